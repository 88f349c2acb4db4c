"""The script that times `cmr localize`: small, but whole."""

import json

import pytest

from benchmarks import localize as script


@pytest.mark.slow
def test_cold_start_and_folder_are_timed(tmp_path, shared, capsys):
    path = tmp_path / "localize.json"
    root = str(shared / "data/CUB_200_2011_first50")
    script.main(
        ["--backbone", "resnet18", "--data-root", root, "--pictures", "3", "--side", "100", "--rounds", "1"]
        + ["--out", str(path)]
    )
    record = json.loads(path.read_text())
    assert list(record["cold_start_s"]) == list(script.PROGRAMS)
    assert record["cold_start_s"]["Python"] < record["cold_start_s"]["the whole command"]
    [row] = record["folder"]
    assert row["ratio"] == pytest.approx(row["command"] / row["network"], rel=0.02)
    assert "pictures per second" in capsys.readouterr().out
