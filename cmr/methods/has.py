"""HaS: Hide-and-Seek (Singh and Lee, ICCV 2017)."""

import torch
from torch import Tensor

from cmr.methods.cam import CAM
from cmr.methods.settings import HaSSettings
from cmr.views import complementary_views, hide_masks


class HaS(CAM):
    """CAM trained on images with randomly hidden cells; at test the image is whole.

    Args:
        backbone: gives the last feature map, (B, C, h, w).
        classes: K.
        settings: see `HaSSettings`. Hidden pixels become 0 after normalisation, which is the data set's mean.
    """

    Settings = HaSSettings
    settings: HaSSettings

    def hide(self, images: Tensor) -> Tensor:
        """The images as training sees them: (B, 3, H, W) -> (B, 3, H, W)."""
        batch, _, height, width = images.shape
        sizes = [size for size in self.settings.sizes if size > 0]
        if not sizes:
            return images
        masks = hide_masks(batch, height, width, sizes, self.settings.hide_probability, device=images.device)
        whole = 1 - len(sizes) / len(self.settings.sizes)  # each entry of the list is equally likely, 0 among them
        masks = masks & (torch.rand(batch, 1, 1, 1, device=images.device) >= whole)
        return complementary_views(images, masks)[0]

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy on the images with hidden cells: (B, 3, H, W), (B,) -> scalars."""
        views = self.settings.views
        return super().losses(self.hide(images.repeat(views, 1, 1, 1)), labels.repeat(views))

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """What training sees, and the maps of the hidden and of the whole image."""
        hidden = self.hide(images)
        maps = [self.head.class_map(self.features(seen), labels) for seen in (hidden, images)]
        return {"image": images, "hidden": hidden, "map of hidden": maps[0], "map of whole": maps[1]}
