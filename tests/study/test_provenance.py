"""Where numbers come from, in words."""

import numpy as np

from cmr.study import provenance, runs
from tests.study.records import record


def test_the_setting_of_a_table(tmp_path):
    about = record(tmp_path, "a", 10.0).record
    run = runs.write(tmp_path / "a", about, {"maps": np.zeros((1, 7, 7), np.float32)})
    assert provenance.setting(run) == "tiny, images of 32 pixels, maps of 7 by 7, 2 epochs, a <cpu>, 32-true."


def test_provenance_names_everything_and_escapes(tmp_path):
    box = provenance.box([record(tmp_path, "a", 1.0)])
    for fact in (
        "c0ffeec0ff with local changes",
        "seed: 0",
        "ToyBirds test f",
        "a &lt;cpu&gt;",
        "cmr train",
        "Python 3.13",
    ):
        assert fact in box
    assert "<cpu>" not in box


def test_summary(tmp_path):
    said = provenance.summary(record(tmp_path, "a", 33.333))
    assert "cmr on ToyBirds (32 test images)" in said
    assert "33.33" in said
