"""Records: identity, files written whole, and what a record holds."""

import json

import numpy as np
import pytest

from cmr.config import PLACE
from cmr.errors import UserError
from cmr.files import write_json
from cmr.metrics.result import Result
from cmr.presets import make
from cmr.study import runs
from cmr.study.identity import VERSION, identity
from tests.study.records import said

PRINTS = {"train": "a", "test": "b", "weights": "none"}


def test_identity_depends_on_what_determines_the_numbers():
    base = identity(make("tiny"), PRINTS)
    assert base == identity(make("tiny"), dict(PRINTS))
    assert base != identity(make("tiny", seed=1), PRINTS)
    assert base != identity(make("tiny", settings={"beta": 1.0}), PRINTS)
    assert base != identity(make("tiny"), PRINTS | {"test": "c"})
    assert base.startswith("toybirds-cmr-tiny-s0-")


def test_identity_does_not_depend_on_the_place(monkeypatch):
    base = identity(make("tiny"), PRINTS)
    elsewhere = {"data_root": "else/where", "device": "cpu", "resident": "no", "workers": 7, "eval_every": 2}
    assert set(elsewhere) == set(PLACE)
    assert base == identity(make("tiny", **elsewhere), PRINTS)
    assert base == identity(make("tiny", weights="a/file"), PRINTS)  # the content counts, not the path
    monkeypatch.setattr("cmr.study.identity.VERSION", VERSION + 1)
    assert base != identity(make("tiny"), PRINTS)


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "record.json"
    write_json(path, {"rows": [{"a": 1}, {"a": 2}], "value": 0.5})
    before = path.read_text()
    assert json.loads(before) == {"rows": [{"a": 1}, {"a": 2}], "value": 0.5}
    assert before.count("\n") == 7  # a line per key, a line per row
    with pytest.raises(ValueError, match="JSON"):
        write_json(path, {"value": float("nan")})
    assert path.read_text() == before
    assert list(tmp_path.iterdir()) == [path]


def test_write_and_read(tmp_path):
    outcomes = {"iou": np.array([0.5, 0.25], np.float16), "maps": np.ones((2, 3, 3), np.float32)}
    written = runs.write(tmp_path / "x", said("x", result=Result(max_box_acc=100 / 3)), outcomes)
    again = runs.read(tmp_path / "x")
    assert again.record == written.record
    assert again.result.max_box_acc == 33.3333
    assert again.config == make("tiny")
    assert {name: value.tolist() for name, value in again.outcomes().items()} == {
        n: v.tolist() for n, v in outcomes.items()
    }
    assert [run.id for run in runs.find(tmp_path, tmp_path / "missing")] == ["x"]
    assert runs.find(tmp_path, method="cam") == []


def test_a_folder_without_record(tmp_path):
    with pytest.raises(UserError, match="no finished run there"):
        runs.read(tmp_path)
    (tmp_path / "record.json").write_text("{\n oops")
    with pytest.raises(UserError, match="not JSON"):
        runs.read(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{}", "not a record of cmr; it lacks id, config"),
        (b"[]", "not a record of cmr"),
        (b"\xff{}", "not a record, which is text in UTF-8"),
        (b'{"id": 1, "config": {}, "data": {}, "weights": "", "environment": {}, "history": []}', "it lacks result"),
        (b"[" * 100_000, "not a record"),
    ],
)
def test_what_is_no_record_is_named_and_the_good_ones_stay(tmp_path, content, message):
    runs.write(tmp_path / "good", said("x", result=Result()), {})
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / runs.RECORD).write_bytes(content)
    with pytest.raises(UserError, match=message):
        runs.read(tmp_path / "bad")
    good, bad = runs.find_good(tmp_path)
    assert [run.id for run in good] == ["x"]
    assert len(bad) == 1 and str(tmp_path / "bad" / runs.RECORD) in bad[0]
