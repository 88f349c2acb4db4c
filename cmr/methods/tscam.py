"""TS-CAM: Token Semantic Coupled Attention Map (Gao et al., ICCV 2021)."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.methods.method import Method
from cmr.methods.settings import TSCAMSettings
from cmr.nets.backbones import Backbone
from cmr.nets.transformer import Transformer


def couple(semantic: Tensor, attention: Tensor) -> Tensor:
    """Weighs what each cell says of each class by how much the class token attends to the cell.

    Paper: section 3.3; M_k = A * S_k, where A is the mean of the blocks' attention.

    Args:
        semantic: (B, K, h, w), a map for each class, raw and signed.
        attention: (B, L, h, w), a map for each block, not negative.

    Returns:
        (B, K, h, w) float32.

    Example:
        >>> semantic = torch.tensor([[[[4.0, -1.0]], [[0.0, 2.0]]]])
        >>> attention = torch.tensor([[[[0.3, 0.1]], [[0.1, 0.3]]]])  # two blocks
        >>> [[round(x, 3) for x in one.flatten().tolist()] for one in couple(semantic, attention)[0]]
        [[0.8, -0.2], [0.0, 0.4]]
    """
    return semantic.float() * attention.float().mean(1, keepdim=True)


class TSCAM(Method):
    """A transformer whose patches name the class, and whose class token says where they are worth listening to.

    Paper: section 3. The network is a hybrid: the patches are the cells of the backbone's last map.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `TSCAMSettings`.
    """

    Settings: ClassVar[type] = TSCAMSettings

    def __init__(self, backbone: Backbone, classes: int, settings: TSCAMSettings) -> None:
        super().__init__()
        self.test_map = settings.test_map
        self.backbone = backbone
        self.transformer = Transformer(backbone.channels, settings.width, settings.depth, settings.heads)
        self.semantic = nn.Conv2d(settings.width, classes, 3, padding=1)
        nn.init.normal_(self.semantic.weight, std=0.01)
        nn.init.zeros_(self.semantic.bias)  # type: ignore[arg-type]  # it has a bias
        self.class_token_weight = settings.class_token_weight
        self.class_head: nn.Linear | None = None
        if self.class_token_weight:
            self.class_head = nn.Linear(settings.width, classes)
            nn.init.normal_(self.class_head.weight, std=0.01)
            nn.init.zeros_(self.class_head.bias)

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropies of patches and class token: (B, 3, H, W), (B,) -> scalars, of which "total" is minimised."""
        patches, class_token = self.transformer(self.backbone(images))
        logits = self.semantic(patches).float().mean((2, 3))
        total = functional.cross_entropy(logits, labels)
        losses = {"total": total, "accuracy": (logits.argmax(1) == labels).float().mean()}
        if self.class_head is not None:
            losses["ce_class_token"] = functional.cross_entropy(self.class_head(class_token).float(), labels)
            losses["total"] = total + self.class_token_weight * losses["ce_class_token"]
        return losses

    def look(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Semantic maps (B, K, h, w), whose means are the logits, and attention (B, L, h, w): both float32."""
        patches, attention = self.transformer.look(self.backbone(images))
        return self.semantic(patches).float(), attention

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) and coupled maps (B, K, h, w), raw and signed; or one of the two factors alone."""
        semantic, attention = self.look(images)
        logits = semantic.mean((2, 3))
        if self.test_map == "semantic":
            return logits, semantic
        if self.test_map == "attention":
            return logits, couple(torch.ones_like(semantic), attention)
        return logits, couple(semantic, attention)

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What the patches say of the true class, what the class token attends to, and both together."""
        semantic, attention = self.look(images)
        chosen = semantic[torch.arange(len(labels), device=labels.device), labels][:, None]
        return {
            "image": images,
            "semantic map": chosen[:, 0],
            "attention": attention.mean(1),
            "coupled": couple(chosen, attention)[:, 0],
        }
