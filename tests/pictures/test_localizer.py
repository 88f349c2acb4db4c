"""The Python call, on a network whose answer is known: it sees where a picture is bright."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import cmr
from cmr.errors import UserError
from cmr.pictures.localizer import Localizer
from cmr.pictures.rule import RULES, rule_of

NAMES = ["nothing", "red thing", "green thing"]


class Bright(nn.Module):
    """Features are the colours, in cells of 8 pixels; the classes weigh them. Class 0 hates both."""

    def __init__(self):
        super().__init__()
        self.cells = nn.AvgPool2d(8)
        self.head = nn.Linear(3, 3)
        with torch.no_grad():
            self.head.weight.copy_(torch.tensor([[-9.0, -9, 0], [9, -3, 0], [-3, 9, 0]]))
            self.head.bias.copy_(torch.tensor([-50.0, 0, 0]))

    def forward(self, images):
        mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
        std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
        return self.head(self.cells(images * std + mean).mean((2, 3)))


def scene(*places, size=(128, 64)):
    """Coloured rectangles on black: (x0, y0, x1, y1, channel)."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    for x0, y0, x1, y1, channel in places:
        pixels[y0:y1, x0:x1, channel] = 255
    return pixels


def make(**options):
    return Localizer(Bright(), classes=NAMES, image_size=64, device="cpu", **options)


def near(box, expected, within=6):
    return np.abs(np.array(box) - expected).max() <= within


RED = scene((32, 16, 80, 48, 0))


def test_class_score_and_box_in_the_pictures_pixels():
    [found] = make()(RED)
    assert found.label == "red thing" and found.objects[0].index == 1
    assert near(found.box, (32, 16, 80, 48))
    assert 0.4 < found.score < 1
    assert found.scoremap.shape == (64, 64) and 0 <= found.scoremap.min() <= found.scoremap.max() <= 1


@pytest.mark.parametrize("kind", ["path", "pil", "array", "floats", "tensor", "grey alpha"])
def test_every_kind_of_picture_gives_the_same(kind, tmp_path):
    Image.fromarray(RED).save(tmp_path / "red.png")
    tensor = torch.from_numpy(RED).permute(2, 0, 1)
    rgba = Image.fromarray(RED).convert("RGBA")
    given = {
        "path": str(tmp_path / "red.png"), "pil": Image.fromarray(RED), "array": RED, "floats": RED / 255,
        "tensor": tensor.float() / 255, "grey alpha": rgba,
    }[kind]  # fmt: skip
    assert make()(given)[0].box == make()(RED)[0].box


def test_lists_and_batches_keep_their_order():
    green = scene((16, 8, 64, 56, 1))
    localizer = make()
    singles = [localizer(picture)[0].to_dict()["objects"] for picture in (RED, green)]
    for given in ([RED, green], np.stack([RED, green]), torch.from_numpy(np.stack([RED, green])).permute(0, 3, 1, 2)):
        assert [found.to_dict()["objects"] for found in localizer(given)] == singles
    assert localizer([]) == []
    many = localizer([RED] * 20)  # more than a batch
    assert [found.box for found in many] == [many[0].box] * 20


def test_one_box_or_all_of_a_class():
    two = scene((16, 8, 48, 56, 0), (80, 16, 112, 48, 0))
    [one] = make()(two)
    assert len(one.objects) == 1 and near(one.box, (16, 8, 48, 56))
    [every] = make(objects="all")(two)
    expected = [(16, 8, 48, 56), (80, 16, 112, 48)]
    assert all(near(found.box, box) for found, box in zip(every.objects, expected, strict=True))


def test_the_likeliest_classes_each_with_a_map_of_its_own():
    both = scene((16, 8, 64, 56, 0), (80, 16, 112, 48, 1))
    [found] = make(top=2)(both)
    assert [one.label for one in found.objects] == ["red thing", "green thing"]
    assert near(found.objects[0].box, (16, 8, 64, 56)) and near(found.objects[1].box, (80, 16, 112, 48))
    assert found.objects[0].score > found.objects[1].score
    assert set(found.scoremaps) == {1, 2}
    [asked] = make(only="green thing")(both)
    assert asked.label == "green thing" and near(asked.box, (80, 16, 112, 48))
    [likeliest] = make(only="thing")(both)  # a word that two names have
    assert likeliest.label == "red thing"


def test_the_literal_map_is_one_option_away():
    assert rule_of("cam") == RULES["cam"] and (RULES["cam"].normalise, RULES["cam"].threshold) == ("minmax", 0.2)
    assert rule_of("boxes", "ivr", 0.3).normalise == "ivr"
    # the literal map of red is negative on green, so black lies above its minimum; the positive part has no such place
    both = scene((16, 8, 64, 56, 0), (80, 16, 112, 48, 1))
    [literal], [default] = make(rule="cam")(both), make()(both)
    assert literal.box[2] - literal.box[0] > default.box[2] - default.box[0]
    assert near(default.box, (16, 8, 64, 56))


def test_a_flat_map_gives_the_whole_picture():
    [found] = make()(np.full((30, 40, 3), 90, np.uint8))
    assert found.box == (0, 0, 40, 30)


def test_show_save_and_what_a_notebook_shows(tmp_path, monkeypatch):
    found = cmr.localize(
        RED, backbone=Bright(), classes=["nothing", "<b>red & hot", "green"], image_size=64, device="cpu"
    )
    for name in ("a.png", "deep/a.jpg"):
        with Image.open(found.save(tmp_path / name)) as picture:
            assert picture.size == (128, 64)
    with pytest.raises(ValueError, match="its ending names no kind of picture"):
        found.save(tmp_path / "a.xyz")
    assert found._repr_png_().startswith(b"\x89PNG")
    page = found._repr_html_()
    assert "&lt;b&gt;red &amp; hot" in page and "data:image/png;base64," in page
    seen = []
    monkeypatch.setattr(Image.Image, "show", lambda self, title: seen.append((self.size, title)))
    found.show()
    assert seen == [((128, 64), "picture 0")]
    assert json.loads(json.dumps(found.to_dict()))["objects"][0]["class"] == "<b>red & hot"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("no.jpg", "no.jpg: cannot be read as a picture"),
        (np.zeros((4, 4, 2)), r"picture 0: ndarray of shape \(4, 4, 2\); expected \(H, W, 3\)"),
        (torch.zeros(2, 4, 4), r"picture 0: Tensor of shape \(2, 4, 4\); expected \(3, H, W\)"),
        (np.full((4, 4, 3), 2.0), r"picture 0: float64 from 2.0 to 2.0; expected uint8, or floats in \[0, 1\]"),
        ([RED, np.zeros((4, 4), complex)], "picture 1: an array of type complex128"),
        (np.full((4, 4, 3), np.nan), "picture 0: float64 from nan to nan"),
    ],
)
def test_what_is_no_picture_is_named(given, message):
    with pytest.raises(UserError, match=message):
        make()(given)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"only": "bird"}, "unknown class 'bird'"),
        ({"only": 3}, "there is no class 3; their numbers run from 0 to 2"),
        ({"objects": "some"}, "unknown objects 'some'"),
        ({"rule": "good"}, "unknown rule 'good'"),
        ({"normalise": "max2"}, "unknown normaliser 'max2': did you mean 'max'"),
        ({"layer": "cell"}, "unknown layer 'cell': did you mean 'cells'"),
        ({"layer": "head"}, "which is no map of features; name another"),
    ],
)
def test_mistakes_are_told_when_the_localizer_is_made(options, message):
    with pytest.raises(UserError, match=message):
        make(**options)


def test_names_must_be_as_many_as_the_classes():
    with pytest.raises(UserError, match="2 names for a network of 3 classes"):
        Localizer(Bright(), classes=["a", "b"], image_size=64, device="cpu")


def test_a_network_with_broken_weights_is_named():
    net = Bright()
    nn.init.constant_(net.head.weight, float("nan"))
    with pytest.raises(UserError, match="gives maps that are not finite"):
        Localizer(net, image_size=64, device="cpu", rule="cam")(RED)
