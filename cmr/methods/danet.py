"""DANet: Divergent Activation for Weakly Supervised Object Localization (Xue et al., ICCV 2019)."""

from importlib import resources

import pandas
import torch
from torch import Tensor, nn
from torch.nn import functional

from cmr.errors import UserError
from cmr.methods.method import Method
from cmr.methods.settings import DANetSettings
from cmr.nets.backbones import Backbone, places

# Where orders and families are told apart; species are at the end. Published: VGG16 behind pools 3 and 4, InceptionV3
# behind its second pool and Mixed_5d. By analogy: at the strides of VGG16's, for `tiny` its last three maps.
LAYERS = {
    "vgg16": ("features.16", "features.23"),
    "resnet50": ("layer2", "layer3"),
    "resnet18": ("layer2", "layer3"),
    "inception_v3": ("Pool2", "Mixed_5d"),
    "squeezenet1_1": ("features.5", "features.8"),
    "tiny": ("maxpool", "layer1"),
}


def cub_hierarchy(classes: int) -> tuple[Tensor, Tensor]:
    """Family and order of the first classes of CUB-200-2011, numbered as they first appear.

    Args:
        classes: K, the number of classes in the official order, 1 to 200.

    Returns:
        Family and order of each class, each (K,) int64.

    Raises:
        UserError: more than 200 classes.

    Example:
        >>> family, order = cub_hierarchy(5)  # three albatrosses, an ani and an auklet
        >>> family.tolist(), order.tolist()
        ([0, 0, 0, 1, 2], [0, 0, 0, 1, 2])
    """
    with (resources.files("cmr.data") / "cub_taxonomy.csv").open(encoding="utf-8") as text:
        rows = pandas.read_csv(text, comment="#")
    if classes > len(rows):
        raise UserError(
            f"hierarchy: 'cub' knows the {len(rows)} classes of CUB-200-2011, and the data has {classes}; take none"
        )
    family, order = (torch.from_numpy(pandas.factorize(rows[level][:classes])[0]) for level in ("family", "order"))
    return family, order


def similarity(maps: Tensor, draws: int) -> Tensor:
    """Mean absolute cosine over pairs of maps, drawn anew at each call: 0 where none overlap, 1 where all are alike.

    Args:
        maps: (B, M, h, w) of any sign, M at least 2 for a pair to exist.
        draws: how many of the M maps take part, the same ones for all images; more than M means all.

    Returns:
        Scalar, float32; 0 where fewer than two maps take part.

    Example:
        >>> maps = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, -3.0]]).view(1, 3, 1, 2)
        >>> round(similarity(maps, draws=3).item(), 4)  # pairs: 0, 0 and |-1|
        0.3333
    """
    draws = min(draws, maps.shape[1])
    drawn = torch.rand(maps.shape[1], device=maps.device).argsort()[:draws]
    with torch.autocast(maps.device.type, enabled=False):
        unit = functional.normalize(maps[:, drawn].flatten(2).float(), dim=2)  # (B, draws, N)
        cosines = (unit @ unit.mT).abs().triu(1)  # (B, draws, draws), each pair once
    return cosines.sum((1, 2)).mean() / max(1, draws * (draws - 1) // 2)


class DivergentHead(nn.Module):
    """A classifier with several maps for each class: two 3x3 convolutions with ReLU and a 1x1 convolution.

    A class's logit is the mean of the mean of its maps. Pooling first gives the same logit, so that training computes
    the maps of the true class only.

    Args:
        channels: of the features that come in.
        width: of the two convolutions.
        classes: K.
        maps: of each class.
    """

    def __init__(self, channels: int, width: int, classes: int, maps: int) -> None:
        super().__init__()
        first, second = nn.Conv2d(channels, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.convs = nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
        for conv in (first, second):
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(conv.bias)  # type: ignore[arg-type]  # it has a bias
        # The 1x1 convolution; its start is that of its classes * maps outputs.
        self.weight = nn.Parameter(
            nn.init.xavier_uniform_(torch.empty(classes * maps, width)).view(classes, maps, width)
        )
        self.bias = nn.Parameter(torch.zeros(classes, maps))

    def logits(self, features: Tensor) -> Tensor:
        """Scores of all classes, from the features behind `convs`: (B, C, h, w) -> (B, K)."""
        return functional.linear(features.mean((2, 3)), self.weight.mean(1), self.bias.mean(1))

    def maps_of(self, features: Tensor, labels: Tensor) -> Tensor:
        """The maps of one class per image: (B, C, h, w), (B,) -> (B, maps, h, w)."""
        maps = torch.einsum("bchw,bmc->bmhw", features, self.weight[labels].to(features.dtype))
        return maps + self.bias[labels][..., None, None]

    def test_maps(self, features: Tensor) -> Tensor:
        """Mean of the positive parts of each class's maps: (B, C, h, w) -> (B, K, h, w)."""
        weight, bias = self.weight.flatten(0, 1)[..., None, None], self.bias.flatten()  # (K * maps, C, 1, 1)
        maps = functional.conv2d(features, weight.to(features.dtype), bias.to(features.dtype))
        return maps.relu().unflatten(1, self.bias.shape).mean(2)  # (B, K * maps, h, w) -> (B, K, maps, h, w) -> mean


class DANet(Method):
    """Several maps per class that are pushed apart, and heads for order, family and species on three stages.

    Args:
        backbone: gives the last feature map, (B, C, h, w), and with a hierarchy those of two earlier stages.
        classes: K species.
        settings: see `DANetSettings`.

    Raises:
        UserError: more classes than the hierarchy has, or a backbone for which `LAYERS` says nothing.
    """

    Settings = DANetSettings

    def __init__(self, backbone: Backbone, classes: int, settings: DANetSettings) -> None:
        super().__init__()
        s = self.settings = settings
        self.backbone = backbone
        species = torch.arange(classes)
        self.levels: tuple[str, ...] = ("species",)  # from the last stage to the first
        self.layers: tuple[str, ...] = ()
        group_of: tuple[Tensor, ...] = (species,)
        if s.hierarchy == "cub":
            self.levels = ("species", "family", "order")
            self.layers = places("danet", backbone, LAYERS)[::-1]
            group_of = (species, *cub_hierarchy(classes))
        self.heads: dict[str, DivergentHead] = nn.ModuleDict()  # type: ignore[assignment]  # torch has no such type
        channels = (backbone.channels, *(backbone.layer_channels(layer) for layer in self.layers))
        for level, width, groups in zip(self.levels, channels, group_of, strict=True):
            narrow = max(1, s.head_channels // 2) if level == "order" else s.head_channels
            self.heads[level] = DivergentHead(width, narrow, int(groups.max()) + 1, s.maps_per_class)
            self.register_buffer(f"{level}_of", groups, persistent=False)  # (K,): the group of each species

    def features(self, images: Tensor) -> dict[str, Tensor]:
        """What each head's 1x1 convolution sees, species first: (B, 3, H, W) -> level to (B, C, h, w)."""
        last, inner = self.backbone.look(images, self.layers)
        seen = (last, *(inner[layer] for layer in self.layers))
        return {level: self.heads[level].convs(f) for level, f in zip(self.levels, seen, strict=True)}

    def losses(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Cross-entropy of each level and the similarity of the true classes' maps: -> scalars, "total" minimised."""
        losses: dict[str, Tensor] = {}
        maps = []
        for level, features in self.features(images).items():
            head, target = self.heads[level], self.get_buffer(f"{level}_of")[labels]
            logits = head.logits(features)
            losses[f"ce_{level}"] = functional.cross_entropy(logits.float(), target)
            if level == "species":
                losses["accuracy"] = (logits.argmax(1) == labels).float().mean()
            maps.append(head.maps_of(features, target).float())
        total = self.settings.ce_weight * torch.stack([losses[f"ce_{level}"] for level in self.levels]).sum()
        # 12 of 24 maps in the published network; without a hierarchy all maps of the species
        losses["similarity"] = similarity(torch.cat(_one_grid(maps), 1), self.settings.maps_per_class * 3 // 2)
        return {"total": total + self.settings.diversity * losses["similarity"], **losses}

    def localize(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, K) of the species, and maps (B, K, h, w): each species' own plus its family's and its order's."""
        features = self.features(images)
        maps = [  # (B, K, h, w) each
            self.heads[level].test_maps(f).index_select(1, self.get_buffer(f"{level}_of"))
            for level, f in features.items()
        ]
        return self.heads["species"].logits(features["species"]), _added(maps)

    @torch.no_grad()
    def steps(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """The maps that add up to the map of the label: of each level, or three of the species' maps without levels."""
        features = self.features(images)
        if self.levels == ("species",):
            maps = self.heads["species"].maps_of(features["species"], labels).float()
            shown = {f"map {i + 1}": maps[:, i] for i in range(min(3, maps.shape[1]))}
            return {"image": images, **shown, "mean": maps.relu().mean(1)}
        parts = {}
        for level, f in features.items():
            target = self.get_buffer(f"{level}_of")[labels]
            parts[f"{level} map"] = self.heads[level].maps_of(f, target).float().relu().mean(1)  # (B, h, w)
        total = _added([part[:, None] for part in parts.values()])[:, 0]
        return {"image": images, **dict(reversed(parts.items())), "sum": total}


def _one_grid(maps: list[Tensor]) -> list[Tensor]:
    """Maps (B, M, h, w) of several stages on the grid of the largest."""
    size = max(tuple(m.shape[-2:]) for m in maps)
    return [m if m.shape[-2:] == size else functional.interpolate(m, size, mode="bilinear") for m in maps]


def _added(maps: list[Tensor]) -> Tensor:
    """The sum of maps (B, M, h, w) of several stages, on the grid of the largest."""
    first, *others = _one_grid(maps)
    return sum(others, first)
