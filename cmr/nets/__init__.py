"""Networks: backbones, their weights, heads, and whole ImageNet classifiers."""
