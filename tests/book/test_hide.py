"""The page "Hide cells and look": its script is the library's network, on the library's views."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from javascript import evaluate
from widget import choose, settle, shown

from book import hide
from cmr.data.images import normalise
from cmr.views import hide_masks

pytestmark = pytest.mark.slow

FOLDER = Path(__file__).resolve().parents[2] / "book" / "_static" / "play"
VIEWS = [(0, 16, []), (1, 13, [0, 7, 12, 24]), (2, 9, list(range(0, 64, 2))), (3, 5, list(range(60, 120)))]


def run_in_script(expression: str):
    given = json.dumps(VIEWS)
    return evaluate(
        [FOLDER / "weights.js", FOLDER / "network.js"],
        "(() => { const net = cmrNetwork.read(cmrNetworkData);"
        f"return {given}.map(([bird, size, cells]) => {{"
        "const hidden = []; cells.forEach((cell) => { hidden[cell] = 1; });"
        "const pixels = cmrNetwork.bytes(cmrNetworkData.birds[bird].pixels);"
        f"const image = cmrNetwork.view(pixels, 64, size, hidden); return {expression}; }}); }})()",
    )


def test_views_are_the_librarys():
    found = run_in_script("[...image.values]")
    for (bird, size, hidden), values in zip(VIEWS, found, strict=True):
        np.testing.assert_allclose(values, hide.view(bird, size, hidden).flatten(), atol=1e-5)


def test_cells_lie_where_the_method_hides_them():
    masks = hide_masks(1, 64, 64, [13], generator=torch.Generator().manual_seed(1))[0].reshape(64, 64)
    hidden = [cell for cell in range(25) if masks[13 * (cell // 5), 13 * (cell % 5)]]
    whole = normalise(torch.from_numpy(hide.picture(0).copy()).permute(2, 0, 1)[None])
    assert 0 < len(hidden) < 25
    assert torch.equal(hide.view(0, 13, hidden), torch.where(masks, 0.0, whole))


def test_logits_and_class_maps_are_the_librarys():
    found = run_in_script(
        "((out) => [out.logits, [...out.maps], cmrNetwork.softmax(out.logits)])(cmrNetwork.run(net, image))"
    )
    method, _ = hide.shipped()
    for (bird, size, hidden), (logits, maps, shares) in zip(VIEWS, found, strict=True):
        with torch.no_grad():
            expected, class_maps = method.localize(hide.view(bird, size, hidden))
        np.testing.assert_allclose(logits, expected[0], atol=1e-3)
        np.testing.assert_allclose(maps, class_maps.flatten(), atol=1e-2)
        np.testing.assert_allclose(shares, expected[0].softmax(0), atol=1e-4)


def test_numbers_of_half_precision_are_read_exactly():
    values = np.array([0, -0.0, 1, -2.5, 65504, 6e-8, 1e-5, 0.1], np.float16)
    found = evaluate([FOLDER / "network.js"], f"{values.view(np.uint16).tolist()}.map(cmrNetwork.half)")
    assert found == values.astype(float).tolist()


def test_files_are_those_of_the_record_and_small():
    record = json.loads(hide.RECORD.read_text())
    for name, digest in record["sha256"].items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
    assert record["command"] == "python -m book.hide" and not record["environment"]["dirty"]
    assert sum(file.stat().st_size for file in FOLDER.iterdir()) < 2**21


def test_the_network_finds_the_class_of_each_bird():
    method, data = hide.shipped()
    for bird, truth in enumerate(data["birds"]):
        with torch.no_grad():
            logits, _ = method.localize(hide.view(bird))
        assert int(logits.argmax()) == truth["class"]


@pytest.mark.parametrize("bird", range(len(hide.BIRDS)))
def test_pixels_are_those_of_the_test_image(bird):
    from cmr.data.toybirds import render

    assert np.array_equal(hide.picture(bird), render(hide.recipe().data_settings, "test", hide.BIRDS[bird]).image)


@pytest.fixture(scope="module")
def widget(tmp_path_factory):
    """The widget on a page of its own, in a browser."""
    scripts = ("maps.js", "data.js", "draw.js", "weights.js", "network.js", "hide.js")
    with shown(tmp_path_factory.mktemp("hide"), "cmr-hide", scripts) as found:
        yield found


@pytest.fixture
def page(widget):
    return widget.fresh()


def told(bird: int, size: int, hidden: list[int]) -> str:
    """The sentence that the page should say, from the library's numbers."""
    data, cells = hide.shipped()[1], (-(-64 // size)) ** 2
    (probability, iou), (whole, whole_iou) = hide.look(bird, size, hidden), hide.look(bird)
    return (
        f"{cells - len(hidden)} of {cells} cells shown: {data['classes'][data['birds'][bird]['class']]}"
        f" {100 * probability:.0f} % (whole image: {100 * whole:.0f} %), IoU {iou:.2f} (whole image: {whole_iou:.2f})"
    )


def test_cells_are_hidden_by_keyboard_and_the_sentence_is_the_librarys(page):
    choose(page, "bird", "3")
    page.run("document.querySelector('canvas[name=cells]').focus()")
    for key, code in (("ArrowRight", 39), ("ArrowRight", 39), ("ArrowDown", 40)):
        page.press(key, code)
    page.press(" ", 32, " ")
    assert settle(page, "cell") == "row 2, column 3: hidden"
    assert settle(page, "result") == told(3, 16, [6])


def test_the_other_view_hides_the_other_cells(page):
    choose(page, "bird", "1")
    page.run("document.querySelector('canvas[name=cells]').focus()")
    page.press(" ", 32, " ")
    page.run("document.querySelector('[name=swap]').click()")
    assert settle(page, "result") == told(1, 16, list(range(1, 16)))
    page.run("document.querySelector('[name=none]').click()")
    assert settle(page, "result") == told(1, 16, [])


def test_cells_of_another_size_are_hidden_by_mouse(page):
    choose(page, "bird", "1")
    choose(page, "size", "13")
    page.run("scrollTo(0, 0)")
    box = "(() => { const r = document.querySelector('canvas[name=cells]').getBoundingClientRect();"
    left, top, side = page.run(box + "return [r.left, r.top, r.width]; })()")
    for kind, x in (("mousePressed", 0.1), ("mouseMoved", 0.3), ("mouseReleased", 0.3)):
        at = {"x": left + x * side, "y": top + 0.5 * side, "button": "left", "buttons": 1, "clickCount": 1}
        page.call("Input.dispatchMouseEvent", type=kind, **at)
    assert settle(page, "cell") == "row 3, column 2: hidden"
    assert settle(page, "result") == told(1, 13, [10, 11])
