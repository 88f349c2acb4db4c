"""Deep Descriptor Transforming (Wei et al., Pattern Recognition 2019): maps without training and without a class.

A frozen network describes each cell of each image by a vector of C features. The direction in which these descriptors
differ most, their first principal component, tells object from background: a cell's map value is its descriptor less
the mean, along that direction, and what is above 0 is object.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from cmr.errors import UserError, require_known
from cmr.nets.backbones import Backbone

LAST = "last"  # among the layers: the network's last feature map


@dataclass(frozen=True)
class Component:
    """The first principal component of descriptors, and what to subtract before.

    Wei et al. 2019, section 3.2, whose indicator matrix is `maps`.

    Args:
        mean: (C,) float64, of all descriptors.
        direction: (C,) float64, of length 1; it points to the object.
        explained: share of the descriptors' variance along it, 0 to 1.
    """

    mean: Tensor
    direction: Tensor
    explained: float

    def maps(self, features: Tensor) -> Tensor:
        """The map of each image: how far its descriptors lie along the component.

        Args:
            features: (B, C, h, w), any float type and device.

        Returns:
            (B, h, w) float32, signed; above 0 is object. Over the images that made the component the mean is 0.

        Raises:
            UserError: another number of channels.

        Example:
            >>> component = Component(torch.tensor([1.0, 0.0]).double(), torch.tensor([0.0, 1.0]).double(), 1.0)
            >>> component.maps(torch.tensor([[[[1.0, 5.0]], [[-2.0, 3.0]]]])).tolist()
            [[[-2.0, 3.0]]]
        """
        _check(features, len(self.mean))
        direction = self.direction.to(features.device, torch.float32)
        shift = float(self.mean @ self.direction)
        return torch.einsum("bchw,c->bhw", features.float(), direction) - shift


class Descriptors:
    """What the principal component is made of, added up batch by batch: memory does not grow with the images.

    Sums are kept in float64, C * C numbers of them.

    Args:
        channels: C.
        device: where the sums lie.

    Raises:
        UserError: no channel.

    Example:
        >>> descriptors = Descriptors(2)
        >>> descriptors.update(torch.tensor([[[[0.0, 4.0]], [[0.0, 3.0]]]]))  # one image of two cells: (0, 0), (4, 3)
        >>> component = descriptors.component()
        >>> component.mean.tolist(), [round(value, 6) for value in component.direction.tolist()], component.explained
        ([2.0, 1.5], [0.8, 0.6], 1.0)
    """

    def __init__(self, channels: int, device: torch.device | str = "cpu") -> None:
        if channels < 1:
            raise UserError(f"ddt: {channels} channels; descriptors have 1 or more")
        self.count = 0
        self.total = torch.zeros(channels, dtype=torch.float64, device=device)
        self.products = torch.zeros(channels, channels, dtype=torch.float64, device=device)

    def update(self, features: Tensor) -> None:
        """Adds the descriptors of a batch.

        Args:
            features: (B, C, h, w), any float type.

        Raises:
            UserError: another number of channels, or features that are not finite.
        """
        _check(features, len(self.total))
        rows = features.to(self.total).movedim(1, -1).flatten(0, -2)  # (B, C, h, w) -> (B * h * w, C)
        total = rows.sum(0)
        if not total.isfinite().all():
            raise UserError("ddt: the features hold NaN or an infinity; look at the images and the weights")
        self.count += len(rows)
        self.total += total
        self.products.addmm_(rows.T, rows)

    def component(self) -> Component:
        """The first principal component of all descriptors so far.

        A principal component has no sign of its own. The object is taken to be where the features are stronger on the
        whole: the sum over the channels must rise along the direction, which is to say that its entries add up to more
        than 0. No box is needed for that.

        Returns:
            The component; with descriptors that are all alike its direction is any, and `explained` 0.

        Raises:
            UserError: no descriptor was added.
        """
        if not self.count:
            raise UserError("ddt: there are no descriptors yet; call update first")
        mean = self.total / self.count
        covariance = self.products / self.count - torch.outer(mean, mean)
        values, vectors = torch.linalg.eigh(covariance)
        direction = vectors[:, -1] * (-1 if vectors[:, -1].sum() < 0 else 1)
        spread = float(covariance.trace())
        return Component(mean.cpu(), direction.cpu(), float(values[-1]) / spread if spread > 0 else 0.0)


def image_maps(features: Tensor) -> Tensor:
    """Each image's map along the principal component of its own descriptors alone.

    With N cells and more channels than cells it is cheaper to decompose the N x N inner products: their first
    eigenvector, times the root of its eigenvalue, is the map itself. The sign is that of `Descriptors.component`.

    Args:
        features: (B, C, h, w), any float type.

    Returns:
        (B, h, w) float32, signed, of mean 0; above 0 is object.

    Raises:
        UserError: features have not four axes.

    Example:
        >>> image_maps(torch.tensor([[[[0.0, 4.0]], [[0.0, 3.0]]]]))
        tensor([[[-2.5000,  2.5000]]])
    """
    _check(features)
    rows = features.double().flatten(2).mT  # (B, C, h, w) -> (B, N, C)
    rows = rows - rows.mean(1, keepdim=True)
    values, vectors = torch.linalg.eigh(rows @ rows.mT)  # (B, N), (B, N, N)
    maps = vectors[:, :, -1] * values[:, -1:].clamp(min=0).sqrt()  # (B, N)
    # Along the direction v = rows^T u / root(value), the entries of v add up to u . (row sums) / root(value).
    stronger = (vectors[:, :, -1] * rows.sum(2)).sum(1, keepdim=True)
    return (maps * torch.where(stronger < 0, -1, 1)).float().unflatten(1, features.shape[2:])


def features_at(backbone: Backbone, layers: Sequence[str] = (LAST,)) -> Callable[[Tensor], Tensor]:
    """A call that gives a backbone's features at one layer, or those of several as one descriptor.

    Of several layers each cell's part is divided by its length, so that none outweighs the others, and coarser maps are
    enlarged to the finest.

    Args:
        backbone: the network, in evaluation mode.
        layers: names of layers (torchvision's, as `layer3` or `features.22`), and "last" for the network's output.

    Returns:
        normalised images (B, 3, H, W) -> (B, C, h, w), without gradient.

    Raises:
        UserError: no layer, one twice, or one that the network has not.

    Example:
        >>> from cmr.nets.backbones import build_backbone
        >>> tuple(features_at(build_backbone("tiny").eval(), ["layer1", "last"])(torch.zeros(2, 3, 64, 64)).shape)
        (2, 160, 16, 16)
    """
    known = [name for name, _ in backbone.body.named_modules() if name]
    for layer in layers:
        require_known(layer, f"layer of {backbone.name}", [LAST, *known])
    if not layers or len(set(layers)) < len(layers):
        raise UserError(f"layers: {list(layers)}; give one or more, each once")
    inside = [layer for layer in layers if layer != LAST]

    @torch.no_grad()
    def look(images: Tensor) -> Tensor:
        last, seen = backbone.look(images, inside)
        seen[LAST] = last
        return _joined([seen[layer] for layer in layers])

    return look


def _joined(features: list[Tensor]) -> Tensor:
    """(B, C1, h1, w1), (B, C2, h2, w2), ... -> (B, C1 + C2 + ..., h, w) on the finest grid."""
    if len(features) == 1:
        return features[0]
    size = max(tuple(part.shape[2:]) for part in features)
    return torch.cat(
        [
            F.interpolate(F.normalize(part.float(), dim=1), size, mode="bilinear", align_corners=False)
            for part in features
        ],
        dim=1,
    )


def _check(features: Tensor, channels: int | None = None) -> None:
    if features.ndim != 4 or (channels is not None and features.shape[1] != channels):
        wanted = "C" if channels is None else channels
        raise UserError(f"ddt: features have shape {tuple(features.shape)}; expected (images, {wanted}, height, width)")
