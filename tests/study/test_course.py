"""The table and the picture of a training: read back by other readers."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cmr import figures
from cmr.presets import make
from cmr.study import records
from cmr.study.course import write_course, write_gallery
from cmr.study.runs import Run
from cmr.study.splits import splits
from cmr.study.training import train
from tests.study.records import said

pytestmark = pytest.mark.slow

HISTORY = [
    {"epoch": 1, "total": 2.5, "accuracy": 0.25, "lr": 0.01, "seconds": 1.5},
    {"epoch": 2, "total": 1.25, "accuracy": 0.5, "lr": 0.02, "seconds": 1.25, "Top-1 Loc": 12.5},
    {"epoch": 3, "total": 0.5, "accuracy": 1.0, "lr": 0.0, "seconds": 1.0},
]


def test_the_table_is_the_history(tmp_path):
    table, picture = write_course(Run(tmp_path, said(history=HISTORY)))
    pd.testing.assert_frame_equal(pd.read_csv(table), pd.DataFrame(HISTORY))
    assert (table.parent, table.name, picture.name) == (tmp_path, "history.csv", "curves.png")
    with Image.open(picture) as drawn:
        assert drawn.format == "PNG" and min(drawn.size) > 100
    assert {path.name for path in tmp_path.iterdir()} == {"history.csv", "curves.png"}


def test_one_epoch_is_enough_and_a_second_call_replaces_the_first(tmp_path):
    write_course(Run(tmp_path, said(history=HISTORY)))
    table, _ = write_course(Run(tmp_path, said(history=HISTORY[:1])))
    assert table.read_text() == "epoch,total,accuracy,lr,seconds\n1,2.5,0.25,0.01,1.5\n"


@pytest.mark.filterwarnings("error")
def test_a_share_of_training_images_is_not_among_the_percentages():
    axes = {ax.get_title(): ax for ax in figures.curves(HISTORY).axes}
    assert list(axes) == ["losses", "training accuracy", "held-out images, percent"]
    lines = {title: [line.get_ydata().tolist() for line in ax.lines] for title, ax in axes.items()}
    assert lines["training accuracy"] == [[0.25, 0.5, 1.0]]
    assert lines["held-out images, percent"] == [[12.5]]


def test_a_run_made_again_leaves_no_curves_of_the_one_before(tmp_path):
    config = make("tiny", method="cam", epochs=1, device="cpu")
    run = train(config, tmp_path, progress=False)
    paths = write_course(run)
    again = train(config, tmp_path, rerun=True, progress=False)
    assert again.path == run.path and not any(path.exists() for path in paths)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    config = make("tiny", method="cam", epochs=1, device="cpu", data_settings={"test": 24})
    return train(config, tmp_path_factory.mktemp("course"), progress=False)


def test_the_gallery_has_the_ten_best_boxes_and_then_the_ten_worst(run, monkeypatch):
    shown = []
    monkeypatch.setattr(figures, "gallery", lambda items, columns: shown.extend(items) or figures.curves(HISTORY))
    split = splits(run.config)[1]
    write_gallery(run, split)
    iou = np.sort(run.outcomes()["iou"])[::-1]
    np.testing.assert_allclose([item["iou"] for item in shown], [*iou[:10], *iou[-10:]])
    assert all(item["scoremap"].shape == item["image"].shape[:2] and item["title"] in split.classes for item in shown)


def test_without_true_boxes_the_surest_right_class_is_best_and_the_surest_wrong_one_worst(run, tmp_path, monkeypatch):
    shown, outcomes = [], {
        "iou": np.full(3, np.nan, np.float32), "label": np.array([1, 1, 2]), "box": np.tile([2, 2, 9, 9], (3, 1)),
        "top5": np.array([[0, 1], [1, 0], [2, 1]]), "score": np.array([[0.9, 0.1], [0.6, 0.2], [0.8, 0.1]]),
    }  # fmt: skip
    records.write_outcomes(tmp_path, outcomes)
    monkeypatch.setattr(figures, "gallery", lambda items, columns: shown.extend(items) or figures.curves(HISTORY))
    split = splits(run.config)[1]
    path = write_gallery(Run(tmp_path, run.record), split)
    assert [item["title"] for item in shown] == [split.classes[2], split.classes[1], split.classes[0]]
    assert not any("iou" in item or "scoremap" in item for item in shown)  # no true box, and the model is not there
    with Image.open(path) as drawn:
        assert drawn.format == "PNG"


def test_the_gallery_shows_what_the_test_crop_leaves(tmp_path, monkeypatch):
    config = make("tiny", method="cam", epochs=1, device="cpu", test_crop="classic", data_settings={"test": 8})
    made, shown = train(config, tmp_path, progress=False), []
    monkeypatch.setattr(figures, "gallery", lambda items, columns: shown.extend(items) or figures.curves(HISTORY))
    write_gallery(made, splits(config)[1])
    assert len(shown) == 8
    for item in shown:  # the boxes in the picture's pixels overlap as much as the record says
        x0, y0, x1, y1 = item["box"]
        overlaps = []
        for a0, b0, a1, b1 in item["gt_boxes"]:
            inside = max(min(x1, a1) - max(x0, a0), 0) * max(min(y1, b1) - max(y0, b0), 0)
            overlaps.append(inside / ((x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - inside))
        assert max(overlaps) == pytest.approx(item["iou"], abs=0.12)  # whole pixels of 32
        assert item["image"].shape == (160, 160, 3)
