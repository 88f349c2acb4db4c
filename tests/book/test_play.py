"""The page "Paint a map": its script gives the library's numbers, and it can be used by keyboard and by mouse."""

import base64
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from javascript import evaluate
from PIL import Image
from widget import choose, settle, shown

from book import play
from cmr.data.toybirds import render
from cmr.maps.locate import NORMALISERS, normalise, resize
from cmr.metrics import box_iou
from cmr.metrics.contours.levels import contour_boxes, quantise, score_levels

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "book" / "_static" / "play"
SCRIPTS = ("maps.js", "data.js", "draw.js", "play.js")
TAUS = (0.0, 0.05, 0.2, 0.5, 0.8, 1.0)


@pytest.fixture(scope="module")
def maps():
    """The ready maps and three rough ones: name -> (14, 14)."""
    chance = np.random.default_rng(5)
    rough = {f"rough {i}": chance.normal(0, 1, (14, 14)).round(1).astype(np.float32) for i in range(3)}
    return play.ready_maps() | rough


def numbers(array) -> str:
    return json.dumps(np.asarray(array, np.float64).ravel().tolist())


def test_ready_maps_bird_and_box_are_those_of_the_script():
    given = evaluate([FOLDER / "data.js"], "cmrPlayData")
    assert given["maps"] == {
        name: [round(float(v), 1) for v in values.ravel()] for name, values in play.ready_maps().items()
    }
    assert given["box"] == list(play.BOX) and given["heat"] == play.heat_colours()
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(given["bird"].split(",")[1]))))
    assert np.abs(picture.astype(int) - play.bird()).mean() < 3  # a JPEG, and decoders differ


def test_the_box_is_that_of_the_visible_bird():
    rows, columns = (render(play.ONE_SPECIES, "test", play.BIRD, play.SIDE).owner > 0).nonzero()
    assert (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) == play.BOX


def test_enlarged_and_normalised_as_in_the_library(maps):
    calls = [
        f"cmrMaps.normalise(cmrMaps.resize(Float32Array.from({numbers(m)}), 14, 32), '{how}')"
        for m in maps.values()
        for how in NORMALISERS
    ]
    found = evaluate([FOLDER / "maps.js"], f"[{', '.join(calls)}].map((m) => [...m])")
    large = resize(np.stack(list(maps.values())), 32)
    expected = torch.stack([normalise(large, how) for how in NORMALISERS], 1).flatten(0, 1).flatten(1)
    np.testing.assert_allclose(found, expected, atol=2e-6)


def test_levels_are_cut_as_in_the_library():
    scores = np.random.default_rng(0).random(2000, np.float32)
    scores[:256] = np.arange(256, dtype=np.float32) / 255
    found = evaluate([FOLDER / "maps.js"], f"[...cmrMaps.quantise(Float32Array.from({numbers(scores)}))]")
    assert found == quantise(scores[None, None])[0, 0].tolist()


def test_every_outline_of_random_masks_is_found_holes_too():
    chance = np.random.default_rng(3)
    masks = [(chance.random((12, 12)) < share).astype(np.uint8) for share in (0, 0.1, 0.3, 0.5, 0.7, 0.9, 1) * 4]
    given = json.dumps([mask.ravel().tolist() for mask in masks])
    found = evaluate(
        [FOLDER / "maps.js"],
        f"{given}.map((mask) => cmrMaps.outlines(Uint8Array.from(mask), 12)).map((o) => "
        "[o.all, o.components.filter((c) => c.largest).map((c) => c.box)])",
    )
    for mask, (outlines, largest) in zip(masks, found, strict=True):
        assert sorted(outlines) == sorted(contour_boxes(mask)[0].tolist())
        scores = score_levels(mask[None], [np.zeros((0, 4), np.int64)])
        assert (largest or [[0, 0, 0, 0]]) == scores.box_largest[:, 0].tolist()


@pytest.mark.parametrize("how", NORMALISERS)
def test_boxes_and_ious_are_the_evaluators(maps, how):
    found = evaluate(
        [FOLDER / "maps.js"],
        f"[{', '.join(numbers(m) for m in maps.values())}].map((m) => {{"
        f"const scores = cmrMaps.normalise(cmrMaps.resize(Float32Array.from(m), 14, 56), '{how}');"
        f"return {list(TAUS)}.map((tau) => ['largest', 'all'].map((rule) => {{"
        "const j = cmrMaps.judge(scores, 56, tau, rule, [7, 12, 45, 47]); return [j.box, j.iou, j.right]; }));})",
    )
    truth = [np.array([[7, 12, 45, 47]])] * len(maps)
    scores = score_levels(quantise(normalise(resize(np.stack(list(maps.values())), 56), how)), truth)
    level = scores.levels(np.array(TAUS))  # (B, T)
    for b, by_tau in enumerate(found):
        for t, (largest, best) in enumerate(by_tau):
            at = b, level[b, t]
            assert largest[0] == scores.box_largest[at].tolist()
            assert [largest[1], best[1]] == pytest.approx([scores.iou_largest[at], scores.iou_all[at]], abs=1e-12)
            assert [largest[2], best[2]] == [scores.iou_largest[at] >= 0.5, scores.iou_all[at] >= 0.5]


def test_iou_counts_pixels_with_both_ends():
    boxes = [[1, 2, 5, 6], [3, 1, 4, 5], [0, 0, 0, 0], [7, 7, 9, 9]]
    found = evaluate([FOLDER / "maps.js"], f"{boxes}.map((a) => {boxes}.map((b) => cmrMaps.iou(a, b)))")
    np.testing.assert_allclose(found, box_iou(np.array(boxes), np.array(boxes)))


@pytest.fixture(scope="module")
def widget(tmp_path_factory):
    """The widget on a page of its own, in a browser."""
    with shown(tmp_path_factory.mktemp("play"), "cmr-play", SCRIPTS) as found:
        yield found


@pytest.fixture
def page(widget):
    return widget.fresh()


def test_the_page_starts_with_the_worked_example(page):
    choose(page, "ready", "one blob")
    assert settle(page, "result") == "τ = 0.20: 1 component, box (21, 38, 187, 202), IoU 0.82, GT-known Loc: ✓ right"


def test_choosing_map_threshold_normaliser_and_rule_changes_the_result(page):
    choose(page, "ready", "two blobs")
    assert "2 components, box (108, 108, 203, 186), IoU 0.25, GT-known Loc: ✗ wrong" in settle(page, "result")
    choose(page, "tau", "0.12", "input")
    assert "1 component" in settle(page, "result") and "IoU 0.76" in settle(page, "result")
    choose(page, "tau", "0.2", "input")
    choose(page, "how", "pas")
    assert "IoU 0.72" in settle(page, "result")
    choose(page, "how", "minmax")
    choose(page, "rule", "all")
    assert "IoU 0.25, best of all boxes: ✗ wrong" in settle(page, "result")
    choose(page, "rule", "largest")
    choose(page, "ready", "empty")
    assert "no pixel is above the threshold, IoU 0.00" in settle(page, "result")


def test_the_map_is_painted_by_keyboard(page):
    choose(page, "ready", "empty")
    page.run("document.querySelector('canvas[name=map]').focus()")
    page.press("ArrowRight", 39)
    page.press("ArrowDown", 40)
    assert settle(page, "cell") == "row 8, column 8: 0.0"
    page.press(" ", 32, " ")
    assert settle(page, "cell") == "row 8, column 8: 1.0"
    page.press("-", 189, "-")
    assert settle(page, "cell") == "row 8, column 8: 0.9"
    page.press("+", 187, "+")
    page.press("+", 187, "+")
    assert settle(page, "cell") == "row 8, column 8: 1.0"
    assert "1 component" in settle(page, "result")


def test_the_map_is_painted_and_the_true_box_dragged_by_mouse(page):
    choose(page, "ready", "empty")
    corner = "(() => { const r = document.querySelector('canvas[name=%s]').getBoundingClientRect();"
    corner += "return [r.left + scrollX, r.top + scrollY, r.width]; })()"

    def drag(name: str, *places: tuple[float, float]) -> None:
        left, top, side = page.run(corner % name)
        for kind, (x, y) in zip(("mousePressed", "mouseMoved", "mouseReleased"), places, strict=True):
            at = {"x": left + x * side, "y": top + y * side, "button": "left", "buttons": 1, "clickCount": 1}
            page.call("Input.dispatchMouseEvent", type=kind, **at)

    page.run("scrollTo(0, 0)")
    drag("map", (0.1, 0.1), (0.9, 0.5), (0.9, 0.5))
    assert settle(page, "cell") == "row 8, column 13: 1.0"
    assert "1 component" in settle(page, "result")  # the stroke between the two places is whole
    drag("score", (182 / 224, 191 / 224), (200.5 / 224, 210.5 / 224), (200.5 / 224, 210.5 / 224))
    settle(page, "result")
    read = "[...document.querySelectorAll('input[type=number]')].map((e) => +e.value)"
    assert page.run(read) == [27, 48, 200, 210]
    choose(page, "left", "40", "input")
    settle(page, "result")
    assert page.run(read) == [40, 48, 200, 210]
    choose(page, "left", "-3", "input")
    choose(page, "left", "-3")  # no such box: the last good one stays
    assert page.run(read) == [40, 48, 200, 210]
