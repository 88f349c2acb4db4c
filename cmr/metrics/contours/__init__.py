"""Contours of a map at all 256 levels: the best IoU of each level, in one pass over a tree of components."""
