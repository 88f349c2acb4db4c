"""Where numbers come from, in words."""

from pathlib import Path

import numpy as np

from cmr.study import provenance, runs
from cmr.study.groups import Group
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
        "(1 run)",
    ):
        assert fact in box
    assert "<cpu>" not in box


def test_each_run_leads_to_its_record_and_what_a_study_shares_is_said_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = [record(Path("../results/one"), f"{name}&", 1.0, seed=seed) for seed, name in enumerate("ab")]
    box = provenance.box([*found, found[0], record(Path("../results/two"), "c", 1.0)])
    assert "(3 runs)" in box
    assert '<a href="../results/one/a%26/record.json"><code>a&amp;</code></a><br>seed: 0' in box
    assert '<a href="../results/two/c/record.json">' in box
    assert box.count("c0ffeec0ff") == 2  # of the study with two runs, and of the run that is alone
    group = Group("cam", "C <A> M", tuple(found))
    line = provenance.links([group])
    assert 'C &lt;A&gt; M: <a href="../results/one/a%26/record.json"><code>seed 0</code></a>, <a' in line


def test_a_path_of_this_machine_stays_out_of_the_page(tmp_path):
    assert str(tmp_path) not in provenance.box([record(tmp_path, "a", 1.0)])


def test_summary(tmp_path):
    said = provenance.summary(record(tmp_path, "a", 33.333))
    assert "cmr on ToyBirds (32 test images)" in said
    assert "33.33" in said
