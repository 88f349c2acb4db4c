"""The contact sheet: what its data say, that it asks for nothing from outside, and that it is kept by later calls."""

import base64
import html.parser
import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from cmr.pictures import sheet
from cmr.pictures.result import Found, Localization


def result(name, label="jay", size=(300, 200)):
    scoremap = np.zeros((64, 64), np.float32)
    scoremap[16:48, 8:40] = 1
    picture = Image.new("RGB", size, (10, 200, 30))
    return Localization(name, picture, (Found(label, 3, 0.75, (37.5, 50.0, 187.5, 150.0)),), {3: scoremap})


def row(found, path):
    return {**found.to_dict(), "path": path, "picture": f"{path}.cmr.png"}


def read(out):
    page = (out / "sheet.html").read_text(encoding="utf-8")
    return page, json.loads(sheet.DATA.search(page)[1])


def test_the_page_holds_every_picture_its_boxes_and_its_map(tmp_path):
    found = [result("a.jpg"), result("b.jpg", label="翠鸟")]
    rows = [row(one, one.name) for one in found]
    sheet.write(tmp_path, rows, {one.name: sheet.card(one) for one in found}, 0.5)
    _, data = read(tmp_path)
    assert data["threshold"] == 0.5
    assert [p["objects"][0]["class"] for p in data["pictures"]] == ["jay", "翠鸟"]
    shown = data["pictures"][0]
    with Image.open(io.BytesIO(base64.b64decode(shown["image"]))) as small:
        assert small.size == (240, 160)
    levels = np.frombuffer(base64.b64decode(shown["map"]), np.uint8).reshape(data["cells"], data["cells"])
    ys, xs = np.nonzero(levels > 127)
    cell = 64 / data["cells"]
    assert (
        abs(xs.min() * cell - 8) <= cell and abs(ys.min() * cell - 16) <= cell and abs(xs.max() * cell - 40) <= 2 * cell
    )


def test_a_second_call_keeps_the_cards_of_the_first(tmp_path):
    a, b = result("a.jpg"), result("b.jpg")
    sheet.write(tmp_path, [row(a, "a.jpg")], {"a.jpg": sheet.card(a)}, 0.5)
    sheet.write(tmp_path, [row(a, "a.jpg"), row(b, "b.jpg")], {"b.jpg": sheet.card(b)}, 0.5)
    assert all("image" in picture for picture in read(tmp_path)[1]["pictures"])
    (tmp_path / "sheet.html").write_text("broken")
    sheet.write(tmp_path, [row(a, "a.jpg")], {}, 0.5)
    [lost] = read(tmp_path)[1]["pictures"]
    assert "image" not in lost and lost["picture"] == "a.jpg.cmr.png"


@pytest.mark.parametrize("label", ["</script><script>alert(1)</script>", "<!--<script>", "\u2028 & \"'"])
def test_a_name_cannot_leave_its_place(tmp_path, label):
    one = result("x<y>.jpg", label)
    sheet.write(tmp_path, [row(one, "x.jpg")], {"x.jpg": sheet.card(one)}, 0.5)
    page, data = read(tmp_path)
    assert data["pictures"][0]["objects"][0]["class"] == label

    class Scripts(html.parser.HTMLParser):
        count = 0

        def handle_starttag(self, tag, attrs):
            self.count += tag == "script"

    parser = Scripts()
    parser.feed(page)
    assert parser.count == 2


def test_the_page_asks_for_nothing_from_outside(tmp_path):
    one = result("a.jpg")
    sheet.write(tmp_path, [row(one, "a.jpg")], {"a.jpg": sheet.card(one)}, 0.5)
    page, _ = read(tmp_path)
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", page))
    assert addresses == {"http://www.w3.org/2000/svg"}  # the name of a format, not fetched
    assert not re.search(r"<link|@import|url\(|fetch\(|src=", page)
