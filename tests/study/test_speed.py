"""The tables of the page on speed: hours by hand, verdicts on either side of each goal, and what is missing says so."""

import json

import pytest

from cmr.errors import UserError
from cmr.study import speed


def record(gpu=True, share=0.5, memory=8000.0, speeds=(0.96, 0.5, 4.0), **settings):
    names = ("cam / bare", "cmr / cam", "cmr / plain")
    place = {"commit": "0123456789abcdef", "dirty": False, "python": "3.12", "versions": {"torch": "2.9"}}
    place |= {"device": "A <GPU>", "threads": 4} | ({"driver": "1", "cuda": "13"} if gpu else {})
    row = {"multiply_adds": 2_500_000_000, "memory_mb": memory, "ms": 320.0, "images_a_second": 100.0}
    row |= {"tflops": 1.0, "share_of_peak": share}
    known = {"backbone": "resnet50", "batch": 32, "size": 224, "classes": 200, "precision": "bf16-mixed"}
    known |= {"compile": False, "memory": "GPU allocator", "command": "python -m benchmarks.train", "finished": "today"}
    return (
        known
        | settings
        | {
            "environment": place,
            "peak_tflops": 100.0,
            "rows": [row | {"step": step} for step in speed.STEPS],
            "apart_ms": {"attention": 32.0, "fusion loss": 3.2},
            "speeds": dict(zip(names, speeds, strict=True)),
        }
    )


def test_hours_by_hand():
    assert speed.hours(100, 5_994, 50) == pytest.approx(0.8325)  # 299,700 images, 2,997 s
    assert speed.hours(100, 5_994, 50, devices=8, scaling=0.9) == pytest.approx(0.8325 / 7.2)
    assert speed.hours(100, 5_994, 50, devices=1, scaling=0.5) == pytest.approx(0.8325)  # one device loses nothing
    for scaling in (0.0, 1.1):
        with pytest.raises(UserError, match=f"scaling: {scaling} is no share .* at most 1"):
            speed.hours(100, 5_994, 50, devices=8, scaling=scaling)


def test_table_of_hours():
    table = speed.hours_table({"train-a": record()}, scaling=0.5)
    assert list(table.columns) == ["1 device", "8 devices", "64 devices"]
    assert list(table.loc["train-a: CMR, CUB, 50 epochs"]) == ["0.83", "0.21", "0.026"]  # 0.8325 / 4, / 32
    assert list(table.loc["train-a: CAM, ILSVRC, 10 epochs"]) == ["35.6", "8.9", "1.1"]  # 12,811,670 / 360,000
    assert len(table) == 4


@pytest.mark.parametrize(("at", "low", "limit"), [(0, 0.949, 0.95), (1, 0.449, 0.45), (2, 2.999, 3.0)])
def test_a_ratio_is_met_at_its_goal_and_missed_below(at, low, limit):
    for value, verdict in ((low, "missed"), (limit, "met")):
        speeds = [9.0, 9.0, 9.0]
        speeds[at] = value
        table = speed.goals(record(speeds=speeds))
        assert table["verdict"].iloc[at] == verdict
        assert table["here"].iloc[at] == f"{value:.3f}"
        assert (table["verdict"].iloc[:3] == "met").sum() == 2 + (verdict == "met")


@pytest.mark.parametrize(("share", "verdict"), [(0.3499, "missed"), (0.35, "met")])
def test_share_of_the_peak_asks_for_vgg16(share, verdict):
    row = speed.goals(record(share=share, backbone="vgg16")).iloc[3]
    assert list(row) == ["at least 35.00%", f"{share:.2%}", verdict]
    assert speed.goals(record(share=share)).iloc[3]["verdict"] == "for other settings"


@pytest.mark.parametrize(("mebibytes", "verdict"), [(11_444.0, "met"), (11_445.0, "missed")])
def test_memory_is_in_gigabytes_and_asks_for_the_papers_setting(mebibytes, verdict):  # 12e9 / 2**20 is 11,444.09
    assert speed.goals(record(memory=mebibytes)).iloc[4]["verdict"] == verdict
    for other in ({"batch": 16}, {"size": 112}, {"backbone": "vgg16"}):
        row = speed.goals(record(memory=mebibytes, **other)).iloc[4]
        assert list(row)[1:] == ["–", "for other settings"]


def test_a_cpu_shows_its_ratios_but_meets_no_goal():
    table = speed.goals(record(gpu=False))
    assert list(table["here"].iloc[:3]) == ["0.960", "0.500", "4.000"]
    assert set(table["verdict"]) == {"no verdict on a CPU"}
    assert "..." not in table.to_html()  # pandas cuts long cells
    assert "(CPU, threads: 4)" in speed.about(record(gpu=False))
    assert "CPU" not in speed.about(record())


def test_steps_and_parts():
    table = speed.steps(record())
    assert list(table.index) == list(speed.STEPS.values())
    assert list(table.iloc[2]) == ["100.0", "320.0", "2.50 G", "50.0%", "8,000 MiB"]
    assert speed.apart(record()).startswith(
        "Alone, forward and backward: attention 32.00 ms (10.0% of step c), fusion loss 3.20 ms (1.0% of step c). "
    )


def test_nothing_measured_says_so(tmp_path):
    assert speed.read(tmp_path) == {}
    assert set(speed.steps(None).to_numpy().ravel()) == {"not run"}
    assert set(speed.goals(None)["verdict"]) == {"not measured"}
    assert set(speed.hours_table({}, 0.9).to_numpy().ravel()) == {"not run"}
    assert speed.apart(None).endswith("not run.")
    assert 'class="provenance"' in speed.provenance({}, "benchmarks")


def test_read_takes_the_benchmarks_files_only(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    for name in ("train-b", "train-a"):
        (tmp_path / f"{name}.json").write_text(json.dumps(record()))
    found = speed.read(tmp_path)
    assert list(found) == ["train-a", "train-b"]
    assert "A &lt;GPU&gt;, 4 threads, driver 1, CUDA 13" in (box := speed.provenance(found, "../b"))
    assert '<a href="../b/train-a.json">' in box
    for text in ("{}", "[]", '{"rows": '):
        (tmp_path / "train-c.json").write_text(text)
        with pytest.raises(UserError, match="train-c.json is not a file of benchmarks.train; make it again"):
            speed.read(tmp_path)


def test_what_bfloat16_and_compiling_are_worth_is_asked_of_records_that_agree():
    slow, fast = record(precision="32-true"), record()
    compiled = record(compile=True)
    for row in fast["rows"]:
        row["ms"] = 160.0
    other = record(precision="32-true", batch=16)
    table = speed.gains({"slow": slow, "fast": fast, "other": other, "compiled": compiled})
    assert list(table.index) == ["bfloat16: slow / fast", "compiled: fast / compiled"]
    assert list(table.iloc[0]) == ["2.00"] * 3
    assert list(table.iloc[1]) == ["0.50"] * 3
    assert speed.gains({"fast": fast}).empty


def test_what_the_arithmetic_alone_would_make_of_the_ratio():
    made = record()
    next(row for row in made["rows"] if row["step"] == "cmr")["multiply_adds"] = 6_250_000_000
    assert "Step c does 2.50 times the arithmetic of b, which by itself would make c/b 0.40." in speed.apart(made)
