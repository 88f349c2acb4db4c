"""Section 4.2: the classification networks, cut behind their last feature map.

Every network is an `nn.Sequential` of stages that carry torchvision's names, so that its weight files load unchanged
and a method can reach a stage (`backbone.body.layer3`). The cuts are those of the WSOL benchmark: at 224 px the map is
14x14, or 28x28 with stride 8, and none of them adds a parameter.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmr.errors import UserError, require_known
from cmr.nets import BACKBONES
from cmr.nets.weights import load_weights, state_of


@contextmanager
def hooked(module: nn.Module, acts: Mapping[str, Callable[[Any], Any]]) -> Iterator[None]:
    """Calls functions on what layers give, as long as the block lasts.

    Args:
        module: a network.
        acts: name of a layer to a function of its output; what it returns takes the output's place, unless it is None.

    Example:
        >>> net = nn.Sequential(nn.ReLU(), nn.Flatten())
        >>> with hooked(net, {"0": lambda output: output + 1}):
        ...     net(torch.tensor([[-1.0, 2.0]]))
        tensor([[1., 3.]])
    """
    hooks = [
        module.get_submodule(layer).register_forward_hook(lambda _module, _args, output, act=act: act(output))
        for layer, act in acts.items()
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class Backbone(nn.Module):
    """A network up to its last feature map, after the ReLU (section 3.1: F = f(I)).

    Args:
        name: the architecture.
        body: the layers.
        channels: C of the map.
        stride: pixels of the image for one cell of the map, in each direction.
    """

    def __init__(self, name: str, body: nn.Sequential, channels: int, stride: int) -> None:
        super().__init__()
        self.name = name
        self.body = body
        self.channels = channels
        self.stride = stride

    def forward(self, images: Tensor, at: Mapping[str, Callable[[Tensor], Tensor]] | None = None) -> Tensor:
        """Computes the feature map.

        Args:
            images: (B, 3, H, W) float, ImageNet's mean and standard deviation taken out; H and W multiples of `stride`.
            at: what a method does inside the network: layer name (torchvision's, as `layer3.0` or `features.16`) to a
                function of that layer's output, whose result takes its place. It may change the batch size, as
                erasing beside not erasing does. To just look there is `look`.

        Returns:
            (B, C, H / stride, W / stride), never negative.

        Example:
            >>> backbone = build_backbone("tiny")
            >>> seen = []
            >>> double = lambda f: (seen.append(tuple(f.shape)), torch.cat((f, f)))[1]
            >>> tuple(backbone(torch.zeros(2, 3, 64, 64), {"layer1": double}).shape), seen
            ((4, 128, 8, 8), [(2, 32, 16, 16)])
        """
        with hooked(self.body, at or {}):
            return self.body(images)

    def look(self, images: Tensor, layers: Sequence[str]) -> tuple[Tensor, dict[str, Tensor]]:
        """The feature map as of `forward`, and by layer what these layers gave on the way, not copied.

        Example:
            >>> features, seen = build_backbone("tiny").look(torch.zeros(2, 3, 64, 64), ["layer1"])
            >>> tuple(features.shape), tuple(seen["layer1"].shape)
            ((2, 128, 8, 8), (2, 32, 16, 16))
        """
        seen: dict[str, Tensor] = {}

        def keep(layer: str) -> Callable[[Tensor], Tensor]:
            return lambda output: seen.setdefault(layer, output)

        return self(images, {layer: keep(layer) for layer in layers}), seen

    def require_side(self, side: int) -> None:
        """Raises `UserError` for the side of an image that cells do not fill: the map would be spread over less of it.

        Example:
            >>> build_backbone("tiny").require_side(60)
            Traceback (most recent call last):
            ...
            cmr.errors.UserError: image_size: 60 is no multiple of 8, the stride of tiny; give 56 or 64
        """
        if over := side % self.stride:
            near = " or ".join(str(one) for one in (side - over, side - over + self.stride) if one)
            what = f"{side} is no multiple of {self.stride}, the stride of {self.name}"
            raise UserError(f"image_size: {what}; give {near}")

    def layer_channels(self, layer: str) -> int:
        """Number of feature maps behind a layer, found by one pass of a small image (no random state is touched)."""
        training = self.training
        with torch.no_grad():
            _, seen = self.eval().look(torch.zeros(1, 3, 64, 64), [layer])
        self.train(training)
        return seen[layer].shape[1]


def places(method: str, backbone: Backbone, known: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Where a method acts inside a backbone.

    Args:
        method: the method's name, for the message.
        backbone: the network.
        known: backbone name to layer names.

    Returns:
        The layer names of this backbone.

    Raises:
        UserError: the method is not defined for this backbone.

    Example:
        >>> places("adl", build_backbone("tiny"), {"tiny": ["layer1"]})
        ('layer1',)
    """
    if backbone.name not in known:
        raise UserError(
            f"method '{method}' says no layers for backbone '{backbone.name}'; it is defined for {', '.join(known)}"
        )
    return tuple(known[backbone.name])


def _timm_model(name: str) -> Any:
    import timm  # here and below: timm and torchvision take seconds to load, and a command's help needs neither

    return timm.create_model(name)


def _vgg16(stride: int) -> nn.Sequential:
    from torchvision.models import vgg

    layers = vgg.make_layers(vgg.cfgs["D"], batch_norm=False)[:-1]  # without pool5
    for layer in (layer for layer in layers if isinstance(layer, nn.Conv2d)):
        nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # it has a bias
    if stride == 8:
        layers[23] = nn.Identity()  # pool4; the numbers behind it stay those of the weight files
    return nn.Sequential(OrderedDict(features=layers))


def _resnet(name: str) -> Callable[[int], nn.Sequential]:
    def body(stride: int) -> nn.Sequential:
        net = _timm_model(name)
        if stride <= 16:
            _keep_size(net.layer4)
        if stride == 8:
            _keep_size(net.layer3)
        return _children(net, until="layer4")

    return body


def _keep_size(stage: nn.Module) -> None:
    # Stride off and no dilation instead, as in the benchmark: the ImageNet weights are kept for what they are.
    for module in stage.modules():
        if isinstance(module, nn.Conv2d):
            module.stride = (1, 1)


def _children(net: nn.Module, until: str) -> nn.Sequential:
    stages = list(net.named_children())
    last = [name for name, _ in stages].index(until)
    return nn.Sequential(OrderedDict(stages[: last + 1]))


class _Mixed6a(nn.Module):
    """Inception's reduction with its three strides off; the published module has no setting for its pool."""

    def __init__(self, published: Any) -> None:
        super().__init__()
        self.branch3x3 = published.branch3x3
        self.branch3x3dbl_1 = published.branch3x3dbl_1
        self.branch3x3dbl_2 = published.branch3x3dbl_2
        self.branch3x3dbl_3 = published.branch3x3dbl_3
        for branch in (self.branch3x3, self.branch3x3dbl_3):
            branch.conv.stride, branch.conv.padding = (1, 1), (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        dbl = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), dbl, F.max_pool2d(x, 3, stride=1, padding=1)], 1)


def _inception_v3(stride: int) -> nn.Sequential:
    net = _timm_model("inception_v3")
    # The published stem has no padding and gives 25x25 at 224. Padding 1 in all of its 3x3 convolutions and pools that
    # keep a last incomplete window give an exact half each time: 224 -> 112 -> 56 -> 28.
    for stem in (net.Conv2d_1a_3x3, net.Conv2d_2a_3x3, net.Conv2d_4a_3x3):
        stem.conv.padding = (1, 1)
    net.Pool1.ceil_mode = net.Pool2.ceil_mode = True
    pool = nn.MaxPool2d(3, 2, ceil_mode=True) if stride == 16 else nn.Identity()
    stages: OrderedDict[str, nn.Module] = OrderedDict()
    for name, module in _children(net, until="Mixed_6e").named_children():
        if name == "Mixed_6a":
            stages["Pool3"], module = pool, _Mixed6a(module)
        stages[name] = module
    return nn.Sequential(stages)


def _squeezenet1_1(stride: int) -> nn.Sequential:
    from torchvision.models import squeezenet1_1

    features = squeezenet1_1().features
    features[0].padding = (1, 1)  # published without, which gives 13x13 at 224
    return nn.Sequential(OrderedDict(features=features))


def _tiny(stride: int) -> nn.Sequential:
    from timm.models.resnet import BasicBlock, ResNet

    # 20 M multiply-adds at 64 px: 64 -> 32 (three convolutions, 8, 8, 16 maps) -> 16 (pool, 32 maps) -> 8 (128 maps).
    kind: Any = BasicBlock  # timm's own type for it is that of an instance
    net: Any = ResNet(kind, (1, 1), num_classes=0, channels=(32, 128), stem_type="deep", stem_width=8, avg_down=True)
    # Even kernels where the size is halved: a 3x3 with stride 2 looks half a pixel up and left of its cell, adding up
    # to half a cell. In short trials on ToyBirds the even ones classified better and localized alike.
    net.conv1[0] = nn.Conv2d(3, 8, 4, stride=2, padding=1, bias=False)
    net.maxpool = nn.MaxPool2d(2)
    block = net.layer2[0]
    if stride == 8:
        block.conv1 = nn.Conv2d(32, 128, 4, stride=2, padding=1, bias=False)
    else:
        block.conv1.stride = (1, 1)
        block.downsample[0] = nn.Identity()  # the shortcut's average pool
    net.init_weights()
    return _children(net, until="layer2")


_BODIES: dict[str, Callable[[int], nn.Sequential]] = {
    "vgg16": _vgg16,
    "resnet50": _resnet("resnet50"),
    "resnet18": _resnet("resnet18"),
    "inception_v3": _inception_v3,
    "squeezenet1_1": _squeezenet1_1,
    "tiny": _tiny,
}


def build_backbone(
    name: str, weights: str | Path = "none", stride: int | None = None, partial: bool = False
) -> Backbone:
    """Builds a network up to its last feature map.

    Section 4.2, and the WSOL benchmark's cuts: VGG16 up to conv5_3 without pool5 (stride 8: without pool4 too); ResNets
    with layer4 at stride 1 and no dilation (stride 8: layer3 too; 32: as published); InceptionV3 up to Mixed_6e, padded
    to even halves; SqueezeNet 1.1 with its first convolution padded; `tiny`, a ResNet for 64 px images.

    Args:
        name: one of `BACKBONES`.
        weights: "none" (random), "imagenet" (fetched once, then cached), "toybirds" (for `tiny`), or a file as in
            `cmr.nets.weights.read_weights`. InceptionV3's were learnt on images in [-1, 1]; as in the
            benchmark, nothing is done about it.
        stride: pixels for one cell of the map; None takes 16, for `tiny` 8.
        partial: accept a file that lacks layers; they start from random values.

    Returns:
        The backbone, in training mode, on the CPU.

    Raises:
        UserError: unknown name, stride that the architecture does not have, weights that are missing or do not fit.

    Example:
        >>> backbone = build_backbone("resnet18")
        >>> backbone(torch.zeros(2, 3, 128, 128)).shape, backbone.channels, backbone.stride
        (torch.Size([2, 512, 8, 8]), 512, 16)
    """
    require_known(name, "backbone", BACKBONES)
    architecture = BACKBONES[name]
    stride = architecture.strides[0] if stride is None else stride
    if stride not in architecture.strides:
        allowed = ", ".join(str(s) for s in sorted(architecture.strides))
        raise UserError(f"stride: {stride} is not possible with backbone '{name}'; choose one of {allowed}")
    backbone = Backbone(name, _BODIES[name](stride), architecture.channels, stride)
    if weights != "none":
        load_weights(backbone.body, state_of(name, weights), str(weights), architecture.head, partial)
    return backbone
