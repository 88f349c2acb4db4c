"""The shared part of raw maps, turned over: by hand on maps made of a known shared and a known own part."""

from types import SimpleNamespace

import numpy as np
import pytest

from cmr.errors import UserError
from cmr.presets import make
from cmr.study import bridge
from cmr.study.groups import Group
from cmr.study.record import Trained
from cmr.study.splits import splits

CONFIG = make("tiny", method="cmr")


@pytest.fixture(scope="module")
def split():
    return splits(CONFIG)[1]


@pytest.fixture(scope="module")
def maps(split):
    """Of eight images: what all classes share is low on the bird; a class's own part is high in one corner."""
    masks = np.stack([split.masks(i) for i in range(8)]).astype(float)
    own = np.zeros_like(masks)
    own[:, :4, :4] = 1
    return masks, 5 - 3 * masks, own


@pytest.fixture(scope="module")
def rows(split, maps):
    _, shared, own = maps
    index = np.arange(8)
    run = SimpleNamespace(id="a", config=CONFIG, outcomes=lambda: {"maps": shared + own, "map_index": index})
    mean_free = SimpleNamespace(
        config=make("tiny", method="cmr", settings={"test_map": "mean_free"}),
        record=SimpleNamespace(trained=Trained("a", "cmr train", "c")),
        outcomes=lambda: {"maps": own, "map_index": index},
    )
    untested = SimpleNamespace(id="b", config=CONFIG)
    return bridge.bridge({"cmr": Group("cmr", "CMR", (run, untested))}, [mean_free], split)


def test_turned_over_it_finds_the_bird_and_as_it_is_it_does_not(rows):
    loc = {row["reading"]: row["GT-known Loc"] for row in rows}
    assert loc["shared part, turned over"] > 85
    assert loc["shared part, above its mean"] < 50
    assert loc["the class's own part"] == loc["own part, above its mean"] == 0
    assert {(row["title"], row["seed"], row["images"]) for row in rows} == {("CMR", 0, 8)}


def test_turning_over_twice_takes_the_mean_off(maps):
    _, shared, _ = maps
    assert bridge.turned(bridge.turned(shared)) == pytest.approx(shared - shared.mean((1, 2), keepdims=True))


def test_what_is_recorded_is_read(rows, split, tmp_path):
    bridge.write(tmp_path, rows, split)
    assert bridge.read(tmp_path) == rows
    with pytest.raises(UserError, match=r"gone/bridge.json: there is no such file; record it with notebooks/bridge"):
        bridge.read(tmp_path / "gone")


@pytest.mark.parametrize("content", ["{", "[]", '{"rows": 3}', "[" * 100_000, "\xff"])
def test_a_foreign_file_of_that_name_is_told(tmp_path, content):
    (tmp_path / bridge.NAME).write_bytes(content.encode("latin-1"))
    with pytest.raises(UserError, match=r"bridge.json: is not what notebooks/bridge.ipynb records"):
        bridge.read(tmp_path)
