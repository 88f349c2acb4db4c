"""Maps of layers and controls: what the controls are by hand, and that a judge gives what the metrics give."""

import numpy as np
import pytest
import torch
from torch import nn

from cmr.errors import UserError
from cmr.maps.ddt import Component
from cmr.maps.layers import Seen
from cmr.maps.locate import normalise, resize
from cmr.metrics.faithfulness import area, deletion, insertion
from cmr.metrics.wsol import WSOLMetrics
from cmr.study.layers import CONTROLS, Judge, areas, control_maps, faithful, layer_maps, right_boxes

BOXES = [np.array([[2, 4, 10, 12]]), np.array([[0, 0, 4, 4], [4, 0, 16, 16]])]


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(48, 3)).eval()


def test_a_map_for_each_kind_and_layer():
    features = {"layer1": torch.rand(2, 3, 8, 8), "layer2": torch.rand(2, 5, 4, 4)}
    gradients = {name: torch.randn(values.shape) for name, values in features.items()}
    seen = Seen(torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), features, gradients)
    component = Component(torch.zeros(5).double(), torch.eye(5)[1].double(), 1.0)
    maps = layer_maps(seen, {"layer2": component})
    assert len(maps) == 2 * 3 + 1
    torch.testing.assert_close(maps["LayerCAM", "layer1"], (gradients["layer1"].relu() * features["layer1"]).sum(1))
    torch.testing.assert_close(maps["DDT", "layer2"], features["layer2"][:, 1])


def test_controls_by_hand():
    maps = control_maps(BOXES, [3, 4], side=16, cells=4)
    assert [title for title, _ in maps] == list(CONTROLS)
    box = maps["true box", ""]
    assert box[0, 8, 6] == box[0].max() == 1 - 0.5 / 4  # the pixel beside the middle of a box of 8 pixels
    inside = torch.zeros(16, 16)
    inside[4:12, 2:10] = 1
    assert torch.equal((box[0] > 0).float(), inside)
    assert torch.equal((box[1] > 0).nonzero().amin(0), torch.tensor([0, 4]))  # of two boxes the larger one
    bell = maps["centred Gaussian", ""]
    assert bell.shape == (2, 16, 16) and torch.equal(bell[0], bell[0].flip(0)) and torch.equal(bell[0], bell[1].T)
    assert bell[0, 8, 8 + 4] / bell[0, 8, 8] == pytest.approx(np.exp((0.125**2 - 1.125**2) / 2))
    assert maps["random cells", ""].shape == (2, 4, 4) and maps["random pixels", ""].shape == (2, 16, 16)


def test_noise_belongs_to_the_image_and_not_to_its_batch():
    both, alone = control_maps(BOXES, [3, 4], 16, 4), control_maps(BOXES[1:], [4], 16, 4)
    for title in CONTROLS:
        assert torch.equal(both[title, ""][1:], alone[title, ""])
    assert not torch.equal(both["random cells", ""][0], both["random cells", ""][1])


def test_an_image_without_a_box_is_named():
    with pytest.raises(UserError, match="image 9 has no true box"):
        control_maps([np.zeros((0, 4))], [9], 16, 4)


def test_right_boxes_add_up_to_maxboxacc():
    scoremaps = normalise(resize(torch.rand(2, 4, 4, generator=torch.Generator().manual_seed(2)), 16))
    truth = [np.array([[2, 4, 10, 12]]), np.array([[0, 0, 14, 14]])]
    metrics = WSOLMetrics()
    metrics.update(scoremaps, None, None, truth, ["a", "b"])
    assert 100 * right_boxes(scoremaps, truth).mean(0).max() == pytest.approx(metrics.result().max_box_acc)


def test_a_judge_gives_what_the_metrics_give():
    images = torch.randn(2, 3, 16, 16, generator=torch.Generator().manual_seed(4))
    classes = torch.tensor([0, 2])
    maps = {("Grad-CAM", "layer1"): torch.rand(2, 4, 4), ("DDT", "layer1"): torch.randn(2, 4, 4)}
    judge = Judge(net(), steps=8, removed=torch.ones_like, hidden=torch.zeros_like)
    for i in (0, 1):  # one batch after the other
        one = slice(i, i + 1)
        judge.update({key: raw[one] for key, raw in maps.items()}, images[one], classes[one], BOXES[one])
    arrays = judge.arrays()
    assert arrays["deletion"].shape == (2, 2, 9) and arrays["before"].shape == (2, 2)
    for i, raw in enumerate(maps.values()):
        sized = resize(raw, 16)
        gone = deletion(net(), images, classes, sized, torch.ones_like(images), 8)
        come = insertion(net(), images, classes, sized, torch.zeros_like(images), 8)
        np.testing.assert_allclose(arrays["deletion"][i], gone, rtol=1e-5)
        np.testing.assert_allclose(arrays["insertion"][i], come, rtol=1e-5)
        np.testing.assert_allclose(areas(arrays["deletion"], 256)[i], area(gone, 256), rtol=1e-5)
    rows = faithful(arrays, 256)
    assert rows[1]["deletion"] == pytest.approx(100 * float(area(gone, 256).mean()), rel=1e-5)
    assert rows[0]["score"] == pytest.approx(100 * float(arrays["before"][0].mean()))
    for row, raw in zip(rows, maps.values(), strict=True):
        boxed = right_boxes(normalise(resize(raw, 16)), BOXES)
        assert row["MaxBoxAcc"] == pytest.approx(100 * boxed.mean(0).max())


def test_without_boxes_and_without_maps():
    judge = Judge(net(), steps=2)
    assert judge.arrays() == {}
    judge.update({("CAM", "layer1"): torch.rand(1, 4, 4)}, torch.randn(1, 3, 16, 16), torch.tensor([1]))
    assert "right" not in judge.arrays() and "MaxBoxAcc" not in faithful(judge.arrays(), 256)[0]
