"""What records say: those in the repository are read whole and written as they are."""

import json
from pathlib import Path

import pytest

from cmr.errors import UserError
from cmr.plain import from_plain, to_plain
from cmr.study import frozen, runs
from cmr.study.record import FrozenRecord, Record
from cmr.study.seal import whole
from tests.study.records import said

RESULTS = Path(__file__).parents[2] / "results"
KINDS = {runs.RECORD: Record, runs.DIVERGED: Record, frozen.RECORD: FrozenRecord}


@pytest.mark.slow
@pytest.mark.parametrize(("name", "least"), [(runs.RECORD, 1139), (runs.DIVERGED, 13), (frozen.RECORD, 65)])
def test_every_record_is_read_whole_and_written_as_it_is(name, least):
    paths = sorted(RESULTS.rglob(name))
    assert len(paths) >= least
    for path in paths:
        values = json.loads(path.read_text())
        assert whole(values), path
        values.pop("checksum", None)  # older records have none
        record = from_plain(KINDS[name], values, str(path))
        plain = to_plain(record)
        assert plain == values
        if "result" in values:
            assert json.dumps(plain["result"]) == json.dumps(values["result"])  # in the same order, to the byte


def test_what_is_not_there_is_left_out_and_what_is_not_known_is_named():
    values = to_plain(said())
    assert "result" not in values and "trained" not in values and values["history"] == []
    with pytest.raises(UserError, match="unknown key in a.json: 'comand': did you mean 'command'"):
        from_plain(Record, values | {"comand": "cmr train"}, "a.json")
    with pytest.raises(UserError, match="a.json: data: test: it lacks images"):
        from_plain(Record, values | {"data": {"test": {"name": "a", "classes": 1, "fingerprint": "f"}}}, "a.json")
    with pytest.raises(UserError, match="a.json: environment: threads: '2' is not of type int"):
        from_plain(Record, values | {"environment": values["environment"] | {"threads": "2"}}, "a.json")
    with pytest.raises(UserError, match="a.json: it lacks command, classes"):
        from_plain(Record, {key: values[key] for key in values if key not in ("command", "classes")}, "a.json")
