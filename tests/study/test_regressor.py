"""The box regressor: ridge regression against numpy and against leaving images out by hand, and its records."""

import dataclasses

import numpy as np
import pytest
import torch

from cmr.cli import main
from cmr.errors import UserError
from cmr.metrics import gt_boxes
from cmr.study import frozen, regressor
from cmr.study.ddt import Sources
from cmr.study.record import configuration
from cmr.study.regressor import best_iou, drawn, measure, ridge, training_boxes
from cmr.study.settings import Regressor

TINY = Regressor(preset="tiny", image_size=32, device="cpu", cells=2)


@pytest.fixture(scope="module")
def sources() -> Sources:
    return Sources(TINY, configuration(dataclasses.asdict(TINY)), progress=False)


def plain(x: np.ndarray, y: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights and offset of ridge regression in its primal form, with the penalty that `share` stands for."""
    rows = x - x.mean(0)
    penalty = share * np.trace(rows @ rows.T) / len(x)
    weights = np.linalg.solve(rows.T @ rows + penalty * np.eye(x.shape[1]), rows.T @ (y - y.mean(0)))
    return weights, y.mean(0) - x.mean(0) @ weights


@pytest.fixture(scope="module")
def problem() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(12, 5, generator=generator).double()
    y = x @ torch.randn(5, 2, generator=generator).double() + torch.randn(12, 2, generator=generator).double()
    return x, y


def test_the_dual_form_predicts_as_the_primal_one(problem):
    x, y = problem
    found = ridge(x, y)
    weights, offset = plain(x.numpy(), y.numpy(), found.strength)
    new = torch.randn(4, 5, generator=torch.Generator().manual_seed(4)).double()
    assert found.predict(new).numpy() == pytest.approx(new.numpy() @ weights + offset, abs=1e-8)


def test_the_strength_is_the_best_of_images_left_out_one_by_one(problem):
    x, y = (part.numpy() for part in problem)
    rows = x - x.mean(0)
    scale = np.trace(rows @ rows.T) / len(x)
    errors = {}
    for share in regressor.STRENGTHS:
        error = 0.0
        for i in range(len(x)):
            rest = np.arange(len(x)) != i
            inner = x[rest] - x[rest].mean(0)
            weights = np.linalg.solve(
                inner.T @ inner + share * scale * np.eye(5), inner.T @ (y[rest] - y[rest].mean(0))
            )
            error += ((y[i] - y[rest].mean(0) - (x[i] - x[rest].mean(0)) @ weights) ** 2).sum()
        errors[share] = error
    assert ridge(*problem).strength == min(errors, key=errors.get)


def test_features_that_are_many_copies_change_nothing_but_their_weights():
    """Fifty features of six images, all the same: as one feature."""
    x = torch.arange(6.0)[:, None] ** 1.5
    y = 3 * x + 1
    wide = ridge(x.expand(6, 50), y).predict(x.expand(6, 50))
    assert wide.numpy() == pytest.approx(ridge(x, y).predict(x).numpy(), abs=1e-4)
    assert wide.numpy() == pytest.approx(y.double().numpy(), abs=1e-2)
    with pytest.raises(UserError, match=r"^regressor: 2 images with a box; give 3 or more$"):
        ridge(x[:2], y[:2])


def test_the_iou_is_that_with_the_nearest_box():
    boxes = np.array([[0, 0, 3, 3], [2, 2, 9, 9]])
    true = [np.array([[0, 0, 1, 3], [8, 8, 9, 9]]), np.array([[20, 20, 30, 30]])]
    assert best_iou(boxes, true).tolist() == [0.5, 0.0]  # 8 shared pixels of 16


def test_pseudo_boxes_are_ddts_and_true_boxes_the_lists(sources):
    true = training_boxes(dataclasses.replace(TINY, truth="true"), sources)
    expected = gt_boxes(sources.train.boxes, sources.train.sizes, 32)
    assert true.tolist() == [of_image[0].tolist() for of_image in expected]
    pseudo = training_boxes(TINY, sources)
    assert pseudo.shape == (64, 4)
    assert np.median(best_iou(pseudo.numpy(), expected)) > 0.4


def test_boxed_images_are_so_many_of_each_class(sources):
    few = dataclasses.replace(TINY, boxed=3)
    assert np.bincount(sources.train.labels[drawn(sources.train, few)]).tolist() == [3] * 4
    assert set(drawn(sources.train, few)) != set(drawn(sources.train, dataclasses.replace(few, seed=1)))
    assert drawn(sources.train, TINY).tolist() == list(range(64))


def test_the_record_is_what_its_command_gives_again(tmp_path, capsys):
    run = measure(dataclasses.replace(TINY, truth="true", boxed=5), tmp_path, progress=False)
    assert (run.record.uses, run.record.boxed_images, run.record.title) == (
        "boxes",
        20,
        "regressor on true boxes, 5 per class",
    )
    outcomes = run.outcomes()
    assert run.result.gt_known_loc == pytest.approx(100 * (outcomes["iou"] >= 0.5).mean(), abs=1e-4)
    thirds = run.result.box_acc
    assert list(thirds) == [30, 50, 70]
    assert run.result.max_box_acc_v2 == pytest.approx(sum(thirds.values()) / 3, abs=1e-3)
    words = run.record.command.split()
    assert words[:2] == ["cmr", "boxes"]
    main([*words[1:-1], str(tmp_path / "again")])
    assert "regressor on true boxes, 5 per class on ToyBirds (32 test images)" in capsys.readouterr().out
    (again,) = frozen.find(tmp_path / "again", kind="boxes")
    assert again.result == run.result
    assert measure(TINY, tmp_path, progress=False).record.uses == "nothing"


def test_mistakes_are_named(sources):
    for changes in ({"images": 5}, {"flip": True}):
        with pytest.raises(UserError, match="^images, flip: .*; leave both out"):
            dataclasses.replace(TINY, **changes)
    kept = sources.train
    try:
        sources.train = dataclasses.replace(kept, boxes=(np.zeros((0, 4)), *kept.boxes[1:]))
        with pytest.raises(UserError, match=r"1 training images have no box \(.*\); take --truth ddt"):
            training_boxes(dataclasses.replace(TINY, truth="true"), sources)
    finally:
        sources.train = kept
