"""Numbers of every layout and library, and what is said of anything else."""

import numpy as np
import pytest
import torch

from cmr.data.arrays import as_array, as_maps, as_tensor, two_sides
from cmr.errors import UserError
from cmr.maps.locate import largest_box, normalise, resize
from cmr.metrics import PartCoverage, PxAP, WSOLMetrics, box_baselines, box_iou, gt_boxes, resize_masks

MAPS = np.random.default_rng(0).random((2, 14, 14), np.float32)
BOXES = [np.array([[1, 1, 9, 9]])] * 2


def locked(array):
    array = array.copy()
    array.flags.writeable = False
    return array


def layouts(array):
    """The same numbers in memory in other ways."""
    mirrored = array[:, ::-1].copy()[:, ::-1]
    wide = np.repeat(array, 2, axis=1)[:, ::2]
    other = array.astype(array.dtype.newbyteorder())
    tensor = torch.from_numpy(array.copy())
    cams = [tensor.clone().requires_grad_()] if array.ndim == 3 and array.dtype.kind == "f" else [*tensor]
    return [mirrored, wide, other, locked(array), np.asfortranarray(array), list(array), list(tensor), tensor, cams]


def test_maps_of_every_layout_give_the_same_without_a_warning():
    for maps in layouts(MAPS):
        assert torch.equal(resize(maps, np.int64(28)), resize(MAPS, 28))
        assert torch.equal(normalise(maps), normalise(MAPS))
        assert torch.equal(largest_box(maps, np.float32(0.2)), largest_box(MAPS, 0.2))
        assert normalise(maps).numpy().shape == (2, 14, 14)  # none keeps a gradient


def test_metrics_of_every_layout_are_the_same():
    logits, labels = np.random.default_rng(1).standard_normal((2, 7)).astype(np.float32), np.array([3, 1])
    masks = MAPS > 0.5
    expected = None
    for maps, scores, inside in zip(layouts(MAPS), layouts(logits), layouts(masks), strict=True):
        boxes, pixels, parts = WSOLMetrics(), PxAP(), PartCoverage(["a", "b"])
        given = torch.tensor([[[1, 1, 9, 9]]] * 2)
        boxes.update(maps, scores, list(torch.from_numpy(labels)), given, torch.tensor([5, 6]))
        pixels.update(maps, inside, None, ["a", "b"])
        both = as_tensor(inside, "masks")
        parts.update(maps, locked(np.stack([both.numpy(), 1 - both.numpy()], 1)))
        found = boxes.compute(), pixels.compute(), parts.compute()
        expected = expected or found
        assert found == expected


def test_boxes_of_torch_and_lists_and_sizes_of_any_kind():
    expected = gt_boxes(BOXES, np.array([[14, 20]] * 2), (7, 9))
    other = gt_boxes([torch.tensor([[1.0, 1, 9, 9]], requires_grad=True), [1, 1, 9, 9]], torch.tensor([[14, 20]] * 2),
                     torch.Size([7, 9]))  # fmt: skip
    assert [b.tolist() for b in expected] == [b.tolist() for b in other] == [[[0, 0, 4, 4]]] * 2
    assert gt_boxes([[]], [[3, 3]], np.int16(9))[0].shape == (0, 4)
    assert box_iou(torch.tensor([[0, 0, 1, 1]]), [[0, 0, 1, 1]]).tolist() == [[1.0]]
    assert resize_masks(torch.ones(2, 4, 4), np.int64(2)).all()
    assert box_baselines([torch.tensor([[0, 0, 31, 31]])], np.int64(32))["full image"].gt_known_loc == 100
    assert two_sides(torch.tensor(5), "a") == (5, 5) and two_sides(np.array([3, 4]), "a") == (3, 4)


def test_masks_may_be_a_list_with_those_of_each_image():
    coverage = PartCoverage(["a"])
    coverage.update(MAPS, [np.ones((1, 7, 7), bool), torch.zeros(1, 7, 7, dtype=torch.bool)])
    assert int(coverage.visible[0]) == 14 * 14


def test_as_array_leaves_an_array_as_it_is():
    assert as_array(MAPS, "maps") is MAPS


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: resize(MAPS, 28.0), r"^resize: size is 28.0; expected one whole number of pixels or two, each"),
        (lambda: resize(MAPS, 0), "size is 0"),
        (lambda: resize(MAPS, 10**30), "size is 1000"),
        (lambda: resize(MAPS, (3, 4, 5)), r"size is \(3, 4, 5\)"),
        (lambda: resize(MAPS[:, :0], 3), r"shape \(2, 0, 14\); expected at least one pixel"),
        (lambda: gt_boxes(BOXES, [[4, 4]] * 2, "224"), "gt_boxes: size is '224'"),
        (lambda: normalise(MAPS[:, None]), r"shape \(2, 1, 14, 14\); .*; of one class give maps\[:, 0\]"),
        (lambda: normalise(MAPS[0]), r"shape \(14, 14\); .*; of one image give maps\[None\]"),
        (lambda: normalise([torch.rand(2, 7, 7), torch.rand(2, 14, 14)]), r"a list of 2 of shape \(2, 7, 7\), "
         r"\(2, 14, 14\); give those of one layer"),
        (lambda: normalise([np.zeros((7, 7)), np.zeros((9, 9))]), r"of shape \(7, 7\), \(9, 9\); expected all"),
        (lambda: normalise("maps"), "normalise: maps: 'maps' is no tensor or array of numbers"),
        (lambda: normalise(MAPS.astype(complex)), "an array of type complex128 is no tensor"),
        (lambda: largest_box(MAPS, None), "threshold"),
        (lambda: gt_boxes([np.zeros((4, 5))], [[4, 4]]), r"the boxes of image 0 have shape \(4, 5\); expected"),
        (lambda: gt_boxes([BOXES[0]], np.zeros((2, 3))), r"sizes have shape \(2, 3\); expected \(k, 2\)"),
        (lambda: gt_boxes(BOXES, [[4, 4], [0, 4]]), r"the size of image 1 is \[0.0, 4.0\]"),
        (lambda: box_iou([[1, 2, 3]], [[1, 2, 3, 4]]), r"box_iou: boxes have shape \(1, 3\)"),
        (lambda: WSOLMetrics().update(MAPS, None, None, BOXES, "ab"), "ids: 'ab' is one text"),
        (lambda: WSOLMetrics().update(MAPS, None, None, [np.zeros((2, 2, 4)), []], ["a", "b"]), "boxes of image 'a'"),
        (lambda: WSOLMetrics().update(MAPS, MAPS[0, :2, :3], [0, 3], BOXES, ["a", "b"]),
         "the label of image 'b' is 3; expected a class from 0 to 2"),
        (lambda: WSOLMetrics().update(MAPS, MAPS[0, :2, :3], np.eye(2), BOXES, ["a", "b"]), r"labels of shape \(2, 2"),
        (lambda: WSOLMetrics(step=1e-9), "step is 1e-09; expected a number from 0.0001 to 1"),
        (lambda: PartCoverage(["a"], 1.0), "threshold is 1.0"),
        (lambda: PartCoverage(["a"]).update(MAPS, np.ones((2, 1, 4))), r"part masks have shape \(2, 1, 4\)"),
        (lambda: resize_masks(np.ones(3), 3), r"masks have shape \(3,\)"),
        (lambda: PxAP().update(MAPS, [[True]], None, ["a", "b"]), "bring both to one grid"),
        (lambda: as_maps(np.array(["a"]), "maps"), "an array of type <U1"),
        (lambda: as_tensor(torch.zeros(2).to_sparse(), "maps"), "a tensor of torch.sparse_coo, torch.float32"),
        (lambda: as_array(torch.zeros(2, device="meta"), "maps"), "on the device meta is none of plain numbers"),
        (lambda: as_tensor(torch.zeros(2, dtype=torch.complex64), "maps"), "torch.complex64"),
        (lambda: gt_boxes(3.0, [[4, 4]]), "gt_boxes: boxes: 3.0 is no list with the boxes of each image"),
        (lambda: WSOLMetrics().update(MAPS, None, None, None, ["a", "b"]), "boxes: None is no list"),
    ],
)  # fmt: skip
def test_wrong_shapes_and_ranges_are_told(call, message):
    with pytest.raises(UserError, match=message) as error:
        call()
    assert "\n" not in str(error.value)
