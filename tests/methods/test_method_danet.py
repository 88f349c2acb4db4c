"""DANet: the maps of a class and how alike they are, the levels above the species, the table of CUB's birds."""

import functools
import re
import tomllib
from importlib import resources
from pathlib import Path

import pytest
import torch
from torch.nn import functional

from cmr.errors import UserError
from cmr.methods.danet import LAYERS, DivergentHead, cub_hierarchy, similarity
from cmr.nets import BACKBONES
from tests.methods import small
from tests.methods.small import images

LABELS = torch.tensor([0, 4, 3])
build = functools.partial(small.build, "danet", classes=5, maps_per_class=4)


def rows():
    text = (resources.files("cmr.data") / "cub_taxonomy.csv").read_text(encoding="utf-8")
    return [line.split(",") for line in text.splitlines() if not line.startswith("#")][1:]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_similarity_of_orthogonal_and_of_equal_maps(dtype):
    orthogonal = torch.eye(6, dtype=dtype).view(1, 6, 2, 3).repeat(2, 1, 1, 1) * 5
    assert similarity(orthogonal, 6) == 0
    equal = torch.randn(2, 1, 4, 4).to(dtype).repeat(1, 6, 1, 1)
    factors = torch.tensor([1.0, -1.0, 2.0, -0.5, 4.0, 8.0], dtype=dtype)  # powers of two: exact in bfloat16
    assert similarity(equal * factors[:, None, None], 6).item() == pytest.approx(1.0, abs=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        assert similarity(equal, 6).item() == pytest.approx(1.0, abs=1e-6)


def test_similarity_by_hand():
    maps = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, -3.0]]).view(1, 3, 1, 2)
    assert similarity(maps, 3).item() == pytest.approx((0 + 2 * 0.5**0.5) / 3)
    both = torch.cat((maps, torch.ones(1, 3, 1, 2)))  # a second image whose maps are alike
    assert similarity(both, 3).item() == pytest.approx(((0 + 2 * 0.5**0.5) / 3 + 1) / 2)
    assert similarity(maps, 99).item() == pytest.approx(similarity(maps, 3).item())  # more than there are: all
    assert similarity(maps[:, :1], 3) == 0  # no pair
    assert similarity(maps, 1) == 0


def test_the_same_maps_are_drawn_for_all_images_and_every_pair_as_often():
    maps = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]).view(1, 3, 1, 2).repeat(2, 1, 1, 1)
    values = torch.stack([similarity(maps, 2) for _ in range(600)])
    orthogonal = values == 0
    torch.testing.assert_close(values[~orthogonal], torch.full_like(values[~orthogonal], 0.5**0.5))
    assert orthogonal.float().mean().item() == pytest.approx(1 / 3, abs=0.08)


def test_no_map_is_drawn_twice():
    maps = torch.eye(24).view(1, 24, 4, 6)  # a map beside itself would have cosine 1
    assert all(similarity(maps, 12) == 0 for _ in range(50))
    dim = torch.full((1, 24, 4, 6), 1.0).requires_grad_()
    similarity(dim * maps + 0.1, 12).backward()
    assert (dim.grad.abs().sum((0, 2, 3)) > 0).sum() == 12


def test_a_map_of_zeros_gives_finite_gradients():
    maps = torch.zeros(1, 3, 2, 2).requires_grad_()
    value = similarity(maps + torch.tensor([0.0, 0.0, 1.0])[:, None, None], 3)
    value.backward()
    assert value == 0
    assert maps.grad.isfinite().all()


@pytest.fixture
def head():
    head = DivergentHead(6, 8, classes=5, maps=3)
    torch.nn.init.normal_(head.bias)
    return head


def test_a_head_pools_its_maps(head):
    features = torch.rand(2, 8, 4, 3)
    every = torch.stack([head.maps_of(features, torch.full((2,), k)) for k in range(5)], 1)  # (B, K, maps, h, w)
    assert every.shape == (2, 5, 3, 4, 3)
    torch.testing.assert_close(head.logits(features), every.mean((2, 3, 4)))
    torch.testing.assert_close(head.test_maps(features), every.relu().mean(2))
    by_loop = sum(head.weight[4, 1, c] * features[0, c] for c in range(8)) + head.bias[4, 1]
    torch.testing.assert_close(every[0, 4, 1], by_loop)
    different = head.maps_of(features, torch.tensor([4, 1]))
    torch.testing.assert_close(different, torch.stack((every[0, 4], every[1, 1])))


def test_totals():
    for hierarchy, levels in (("none", ["species"]), ("cub", ["species", "family", "order"])):
        losses = build(hierarchy=hierarchy, diversity=3.0, ce_weight=0.25).losses(images(), LABELS)
        assert set(losses) == {"total", "accuracy", "similarity", *(f"ce_{level}" for level in levels)}
        want = 0.25 * sum(losses[f"ce_{level}"] for level in levels) + 3.0 * losses["similarity"]
        torch.testing.assert_close(losses["total"], want)
        assert 0 <= losses["similarity"] <= 1


def test_cross_entropies_are_of_the_class_its_family_and_its_order():
    method = build(hierarchy="cub").eval()
    features = method.features(images())
    losses = method.losses(images(), LABELS)
    targets = {"species": [0, 4, 3], "family": [0, 2, 1], "order": [0, 2, 1]}  # albatross, auklet, ani
    for level, target in targets.items():
        logits = method.heads[level].logits(features[level])
        want = functional.cross_entropy(logits, torch.tensor(target))
        torch.testing.assert_close(losses[f"ce_{level}"], want)
        assert logits.shape[1] == {"species": 5, "family": 3, "order": 3}[level]


def test_without_a_hierarchy_all_maps_of_the_true_class_are_compared():
    method = build().eval()
    maps = method.heads["species"].maps_of(method.features(images())["species"], LABELS).flatten(2)  # (B, k, N)
    pairs = [
        functional.cosine_similarity(maps[:, i], maps[:, j], dim=1).abs() for i in range(4) for j in range(i + 1, 4)
    ]
    torch.testing.assert_close(method.losses(images(), LABELS)["similarity"], torch.stack(pairs).mean())


def test_with_a_hierarchy_half_of_the_maps_are_drawn_at_each_step():
    method = build(hierarchy="cub").eval()
    torch.manual_seed(5)
    a, b = (method.losses(images(), LABELS) for _ in range(2))
    assert a["ce_order"] == b["ce_order"]
    assert a["similarity"] != b["similarity"]
    torch.manual_seed(5)
    assert method.losses(images(), LABELS)["similarity"] == a["similarity"]


@pytest.mark.parametrize("hierarchy", ["none", "cub"])
def test_similarity_moves_the_true_classes_only(hierarchy):
    method = build(hierarchy=hierarchy)
    method.losses(images(), torch.tensor([1, 1, 1]))["similarity"].backward()
    grad = method.heads["species"].weight.grad.abs().sum((1, 2))
    assert (grad > 0).tolist() == [False, True, False, False, False]
    assert next(method.backbone.parameters()).grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_hierarchy_trains_every_parameter(dtype):
    method = build(hierarchy="cub")
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        losses = method.losses(images(), LABELS)
        logits, maps = method.eval().localize(images())
    assert all(value.isfinite() for value in losses.values())
    losses["total"].backward()
    assert not [name for name, p in method.named_parameters() if p.grad is None]
    assert logits.shape == (3, 5)
    assert maps.shape == (3, 5, 16, 16)


def test_a_test_map_adds_the_family_and_the_order_of_its_own_class():
    method = build(hierarchy="cub").eval()
    features = method.features(images())
    species, family, order = (method.heads[n].test_maps(features[n]) for n in ("species", "family", "order"))
    assert species.shape[2:] == (8, 8)
    assert order.shape[2:] == (16, 16)
    logits, maps = method.localize(images())
    for k, group in enumerate([0, 0, 0, 1, 2]):
        larger = functional.interpolate(species[:, [k]], (16, 16), mode="bilinear")[:, 0]
        torch.testing.assert_close(maps[:, k], larger + family[:, group] + order[:, group])
    torch.testing.assert_close(logits, method.heads["species"].logits(features["species"]))


def test_without_a_hierarchy_the_test_map_is_the_species_map():
    method = build().eval()
    features = method.features(images())["species"]
    torch.testing.assert_close(method.localize(images())[1], method.heads["species"].test_maps(features))


@pytest.mark.parametrize("backbone", sorted(set(BACKBONES) - {"resnet50"}))  # whose layers are resnet18's
def test_levels_on_every_backbone(backbone):
    method = build(backbone, hierarchy="cub", head_channels=4, maps_per_class=2).eval()
    features = method.features(images()[:1])
    sides = [features[level].shape[-1] for level in ("order", "family", "species")]
    assert sides == ({"inception_v3": [8, 8, 4], "tiny": [16, 16, 8]}.get(backbone, [8, 4, 4]))
    assert [features[level].shape[1] for level in ("order", "family", "species")] == [2, 4, 4]
    maps = method.localize(images()[:1])[1]
    assert maps.shape == (1, 5, sides[0], sides[0])


def test_more_classes_than_the_table_has_are_refused():
    with pytest.raises(UserError, match="hierarchy: 'cub' knows the 200 classes of CUB-200-2011, and the data has 201"):
        build(classes=201, hierarchy="cub", head_channels=1, maps_per_class=1)


def test_every_backbone_has_its_layers():
    assert set(LAYERS) == set(BACKBONES)
    assert LAYERS["resnet50"] == LAYERS["resnet18"]


def test_steps():
    method = build().eval()
    assert list(method.steps(images(), LABELS)) == ["image", "map 1", "map 2", "map 3", "mean"]
    method = build(hierarchy="cub").eval()
    shown = method.steps(images(), LABELS)
    assert list(shown) == ["image", "order map", "family map", "species map", "sum"]
    torch.testing.assert_close(shown["sum"], method.localize(images())[1][torch.arange(3), LABELS])


def test_the_table_is_in_the_package():
    project = Path(__file__).resolve().parents[2] / "pyproject.toml"
    assert "*.csv" in tomllib.loads(project.read_text())["tool"]["setuptools"]["package-data"]["cmr.data"]


def test_the_table_is_whole_and_nested():
    table = rows()
    assert [int(name[:3]) for name, _, _ in table] == list(range(1, 201))
    assert all(re.fullmatch(r"[A-Z][a-z]+idae", family) for _, family, _ in table)
    assert all(re.fullmatch(r"[A-Z][a-z]+iformes", order) for _, _, order in table)
    assert len({family for _, family, _ in table}) == 37
    assert len({order for _, _, order in table}) == 13
    orders_of = {}
    for _, family, order in table:
        orders_of.setdefault(family, set()).add(order)
    assert all(len(orders) == 1 for orders in orders_of.values())


def test_the_table_knows_its_birds():
    of = {name.split(".")[1]: (family, order) for name, family, order in rows()}
    one_family = {"Warbler": "Parulidae", "Wren": "Troglodytidae", "Gull": "Laridae", "Tern": "Laridae"}
    one_family |= {"Woodpecker": "Picidae", "Vireo": "Vireonidae", "Kingfisher": "Alcedinidae", "Jay": "Corvidae"}
    one_family |= {"Swallow": "Hirundinidae", "Grebe": "Podicipedidae", "Hummingbird": "Trochilidae"}
    for name, (family, _) in of.items():
        assert family == one_family.get(name.split("_")[-1], family), name
    assert of["Gray_Catbird"][0] == "Mimidae"
    assert of["Spotted_Catbird"][0] == "Ptilonorhynchidae"  # a bowerbird
    assert of["House_Sparrow"][0] == "Passeridae"  # of the Old World, as no other sparrow here
    assert of["Geococcyx"][0] == "Cuculidae"
    assert of["Frigatebird"] == ("Fregatidae", "Suliformes")
    assert of["Nighthawk"] == ("Caprimulgidae", "Caprimulgiformes")
    assert sum(order == "Passeriformes" for _, order in of.values()) == 133


def test_groups_are_numbered_as_they_appear():
    family, order = cub_hierarchy(200)
    assert (family.max() + 1, order.max() + 1) == (37, 13)
    for groups in (family, order):
        seen = groups.cummax(0).values
        assert (seen.diff() <= 1).all()  # no number is left out
        assert groups[0] == 0
    for some, whole in zip(cub_hierarchy(50), (family, order), strict=True):
        assert torch.equal(some, whole[:50])
    assert [int(groups.max()) + 1 for groups in cub_hierarchy(50)] == [20, 9]


def test_the_tables_names_are_those_of_the_data(shared):
    names = [name for name, _, _ in rows()]
    first = (shared / "data" / "CUB_200_2011_first50" / "classes.txt").read_text().split()[1::2]
    assert names[:50] == first
    lists = sorted((shared / "conformance" / "metadata" / "CUB").glob("*/class_labels.txt"))
    if not lists:
        pytest.skip("the benchmark's lists of CUB are not in the shared material")
    pairs = {(line.split("/")[0], int(line.rsplit(",", 1)[1])) for path in lists for line in path.read_text().split()}
    assert sorted(pairs) == [(name, label) for label, name in enumerate(names)]
