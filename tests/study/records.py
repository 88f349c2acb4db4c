"""A run record without a training, for tests of what is made of records."""

from cmr.metrics.result import CENTRED, FULL, Baseline, Result
from cmr.presets import make
from cmr.study import runs
from cmr.study.record import Environment, Record, SplitRecord

ENVIRONMENT = Environment(
    commit="c0ffee" * 6,
    dirty=True,
    cmr="0.1.0",
    python="3.13",
    versions={"torch": "9"},
    device="a <cpu>",
    threads=2,
    system="Linux x86_64",
    precision="32-true",
    processes=1,
)


def said(name="a", config=None, **values):
    """What a record says."""
    config = config or make("tiny")
    usual = {
        "settings": config.to_dict(),
        "environment": ENVIRONMENT,
        "duration_s": 1.0,
        "peak_memory_mb": 2.0,
        "data": {"test": SplitRecord("ToyBirds", 32, 4, "f")},
        "weights": "none",
        "seeds": {"seed": config.seed},
        "command": "cmr train",
        "classes": ["a", "b", "c", "d"],
        "history": [],
    }
    return Record(id=name, **usual | values)


def record(tmp_path, name, gt_known, **arguments):
    baselines = {CENTRED: Baseline(max_box_acc=40.0, curve={}), FULL: Baseline(gt_known_loc=10.0)}
    result = Result(gt_known_loc=gt_known, baselines=baselines, parts={"head": 50.0})
    return runs.write(tmp_path / name, said(name, make("tiny", **arguments), result=result), {})
