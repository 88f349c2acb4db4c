"""A run record without a training, for tests of what is made of records."""

from cmr.presets import make
from cmr.study import runs


def record(tmp_path, name, gt_known, **arguments):
    config = make("tiny", **arguments)
    data = {"test": {"name": "ToyBirds", "images": 32, "fingerprint": "f"}}
    baselines = {"centred box": {"MaxBoxAcc": 40.0, "curve": {}}, "full image": {"GT-known Loc": 10.0}}
    values = {
        "id": name,
        "result": {"GT-known Loc": gt_known, "baselines": baselines, "parts": {"head": 50.0}},
        "config": config.to_dict(),
        "data": data,
        "weights": "none",
        "seeds": {"seed": config.seed},
        "history": [],
        "environment": {"commit": "c0ffee" * 6, "dirty": True, "versions": {"torch": "9"}, "device": "a <cpu>"}
        | {"threads": 2, "precision": "32-true", "python": "3.13"},
        "command": "cmr train",
        "duration_s": 1.0,
        "peak_memory_mb": 2.0,
    }
    return runs.write(tmp_path / name, values, {})
