"""Class maps out of any classifier: by its head where that is linear behind a mean, by gradients elsewhere."""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.errors import UserError, first_line, unknown
from cmr.maps.layers import gradient_map
from cmr.nets.backbones import hooked

# logits (B, K) -> classes (B, M) int64, those whose maps are wanted
Choose = Callable[[Tensor], Tensor]
# normalised images (B, 3, H, W), choose -> logits (B, K), classes (B, M), raw maps (B, M, h, w)
Read = Callable[[Tensor, Choose], tuple[Tensor, Tensor, Tensor]]

MOST_PREFIX = 8  # class and register tokens in front of the patches


@dataclass(frozen=True)
class Layer:
    """Where the features are taken, and how they lie.

    Attributes:
        name: of the module, as in `named_modules`.
        order: "nchw", "nhwc" or "tokens".
        prefix: tokens in front of the patches.
    """

    name: str
    order: str
    prefix: int = 0

    def grid(self, features: Tensor) -> Tensor:
        """The features as (B, C, h, w)."""
        if self.order == "nchw":
            return features
        if self.order == "nhwc":
            return features.permute(0, 3, 1, 2)
        patches = features[:, self.prefix :]  # (B, N, C)
        side = math.isqrt(patches.shape[1])
        return patches.transpose(1, 2).unflatten(2, (side, side))


def reader(module: nn.Module, side: int, layer: str = "", positive: bool = True) -> Read:
    """Makes the call that reads logits and class maps out of a classifier.

    The last feature map is found by one pass of noise. Where the logits are a linear layer of its mean, the maps are
    CAM's (Zhou et al., CVPR 2016), of the positive weights alone or of all. Elsewhere they are Grad-CAM's (Selvaraju et
    al., ICCV 2017): features weighed by the mean gradient of the logit, and what is below 0 dropped. In a transformer
    the features are the patches in front of the last attention block.

    Args:
        module: images (B, 3, H, W) -> logits (B, K); on the CPU. It is put into evaluation mode.
        side: of the square images.
        layer: the module whose output is taken as features; empty: the last feature map, or the last `norm1`.
        positive: only positive weights, where the head is linear.

    Returns:
        The call, see `Read`.

    Raises:
        UserError: the module gives no logits, or there is no feature map, or no such layer.

    Example:
        >>> head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5)
        >>> net = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(), *head)
        >>> logits, classes, maps = reader(net, 32)(torch.rand(2, 3, 32, 32), lambda logits: logits.topk(2, 1).indices)
        >>> tuple(logits.shape), tuple(classes.shape), tuple(maps.shape)
        ((2, 5), (2, 2), (2, 2, 16, 16))
    """
    module.eval()
    noise = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    outputs, logits = _outputs(module, noise)
    place = _place(module, outputs, layer)
    head = None if layer else _linear_head(module, outputs, place, logits)
    if head is None:
        return _by_gradient(module, place)
    return _by_head(module, place, head.clamp(min=0) if positive else head)


def _outputs(module: nn.Module, noise: Tensor) -> tuple[dict[str, Tensor], Tensor]:
    """The outputs of all layers for two images, in the order in which they end, and the logits."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[[object], None]:
        def act(output: object) -> None:
            if isinstance(output, Tensor):
                seen.pop(name, None)
                seen[name] = output

        return act

    try:
        with torch.no_grad(), hooked(module, {name: keep(name) for name, _ in module.named_modules() if name}):
            logits = module(noise)
    except (RuntimeError, AssertionError, TypeError, ValueError) as error:
        reason = first_line(error)
        raise UserError(
            f"network: it cannot take images of {noise.shape[2]} pixels ({reason}); give the size that it was made for"
        ) from error
    if not isinstance(logits, Tensor) or logits.ndim != 2 or len(logits) != 2:
        got = tuple(logits.shape) if isinstance(logits, Tensor) else type(logits).__name__
        raise UserError(f"network: it gives {got} for two images; expected logits of shape (2, classes)")
    return seen, logits


def _place(module: nn.Module, outputs: dict[str, Tensor], layer: str) -> Layer:
    prefix = getattr(module, "num_prefix_tokens", None)
    if layer:
        if layer not in dict(module.named_modules()):
            raise unknown("layer", layer, [name for name, _ in module.named_modules() if name])
        found = _laid_out(layer, outputs[layer], prefix) if layer in outputs else None
        if found is None:
            got = tuple(outputs[layer].shape) if layer in outputs else "no tensor"
            raise UserError(f"layer: '{layer}' gives {got} for two images, which is no map of features; name another")
        return found
    maps = [place for name, output in outputs.items() if (place := _laid_out(name, output, prefix))]
    if maps and maps[-1].order == "tokens":
        # behind the last attention a class token hears no more of the patches, so their gradient is 0 there
        maps = [place for place in maps if re.search(r"(^|\.)norm1$", place.name)]
    if not maps:
        raise UserError("network: no layer of it gives a map of features; say with --layer which one to read")
    return maps[-1]


def _laid_out(name: str, output: Tensor, prefix: int | None) -> Layer | None:
    """How an output lies, if it is a map: the images are square, so its two equal axes are height and width."""
    if output.ndim < 3 or len(output) != 2:
        return None
    if output.ndim == 4 and output.shape[2] == output.shape[3] > 1:
        return Layer(name, "nchw")
    if output.ndim == 4 and output.shape[1] == output.shape[2] > 1:
        return Layer(name, "nhwc")
    if output.ndim == 3:
        for first in range(MOST_PREFIX) if prefix is None else [prefix]:
            left = output.shape[1] - first
            if left > 1 and math.isqrt(left) ** 2 == left:
                return Layer(name, "tokens", first)
    return None


def _linear_head(module: nn.Module, outputs: dict[str, Tensor], place: Layer, logits: Tensor) -> Tensor | None:
    """The weight (K, C) of a linear layer behind the mean of the features, if the logits are just that."""
    parts = dict(module.named_modules())
    mean = place.grid(outputs[place.name]).mean((2, 3))
    for name in reversed(list(outputs)):
        part = parts[name]
        if isinstance(part, nn.Linear) or (isinstance(part, nn.Conv2d) and part.kernel_size == (1, 1)):
            weight = part.weight.detach().flatten(1)
            if weight.shape != (logits.shape[1], mean.shape[1]):
                continue
            same = functional.linear(mean, weight, part.bias)
            # noise may give logits that hardly differ, so they are compared on their own scale
            return weight if (same - logits).abs().max() <= 1e-3 * logits.abs().max() else None
    return None


def _by_head(module: nn.Module, place: Layer, weight: Tensor) -> Read:
    @torch.no_grad()
    def read(images: Tensor, choose: Choose) -> tuple[Tensor, Tensor, Tensor]:
        with _caught(module, place, leaf=False) as kept:
            logits = module(images)
        classes = choose(logits)
        features = place.grid(kept[0])
        return logits, classes, torch.einsum("bchw,bmc->bmhw", features, weight.to(features)[classes])

    return read


def _by_gradient(module: nn.Module, place: Layer) -> Read:
    def read(images: Tensor, choose: Choose) -> tuple[Tensor, Tensor, Tensor]:
        with torch.no_grad(), _caught(module, place, leaf=True) as kept:
            logits = module(images)
        classes = choose(logits.detach())
        maps = []
        for column in classes.T:  # one class of each image at a time
            chosen = logits.gather(1, column[:, None]).sum()
            try:
                gradient = torch.autograd.grad(chosen, kept[0], retain_graph=True)[0]
            except RuntimeError as error:
                raise UserError(f"layer: the classes do not depend on '{place.name}'; name another") from error
            maps.append(gradient_map("gradcam", place.grid(kept[0].detach()), place.grid(gradient)))
        return logits.detach(), classes, torch.stack(maps, 1)

    return read


@contextmanager
def _caught(module: nn.Module, place: Layer, leaf: bool) -> Iterator[list[Tensor]]:
    """Keeps the features of the passes inside the block; as a leaf, the graph begins with them."""
    kept: list[Tensor] = []

    def keep(output: Tensor) -> Tensor | None:
        if not leaf:
            kept[:] = [output]
            return None
        torch.set_grad_enabled(True)
        kept[:] = [output.detach().requires_grad_()]
        return kept[0].clone()  # a layer behind may work in place, which a leaf does not allow

    with hooked(module, {place.name: keep}):
        yield kept


def mirrored(read: Read) -> Read:
    """The same call that also looks at the mirror images: logits and maps are the means of both.

    Args:
        read: a call, see `Read`.

    Returns:
        The call; the classes are chosen by the mean logits.

    Example:
        >>> def look(images, choose):
        ...     logits = images.mean((2, 3))
        ...     return logits, choose(logits), torch.arange(4.0).expand(len(images), 1, 1, 4)
        >>> mirrored(look)(torch.rand(1, 3, 4, 4), lambda logits: logits.topk(1, 1).indices)[2].tolist()
        [[[[1.5, 1.5, 1.5, 1.5]]]]
    """

    def call(images: Tensor, choose: Choose) -> tuple[Tensor, Tensor, Tensor]:
        count = len(images)
        means: list[Tensor] = []

        def both(logits: Tensor) -> Tensor:
            means[:] = [(logits[:count] + logits[count:]) / 2]
            return choose(means[0]).repeat(2, 1)

        _, classes, maps = read(torch.cat((images, images.flip(3))), both)
        return means[0], classes[:count], (maps[:count] + maps[count:].flip(3)) / 2

    return call


def of_all(localize: Callable[[Tensor], tuple[Tensor, Tensor]]) -> Read:
    """The call for a network that gives the maps of all its classes at once (`cmr.maps.Localize`).

    Example:
        >>> read = of_all(lambda images: (torch.tensor([[0.0, 1.0]]), torch.arange(2.0).view(1, 2, 1, 1)))
        >>> found = read(torch.rand(1, 3, 8, 8), lambda logits: logits.topk(1, 1).indices)
        >>> [value.flatten().tolist() for value in found]
        [[0.0, 1.0], [1], [1.0]]
    """

    @torch.no_grad()
    def read(images: Tensor, choose: Choose) -> tuple[Tensor, Tensor, Tensor]:
        logits, maps = localize(images)
        classes = choose(logits)
        return logits, classes, maps[torch.arange(len(maps), device=maps.device)[:, None], classes]

    return read
