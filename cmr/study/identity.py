"""Which runs are the same: decided here and nowhere else."""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from cmr.config import DATA_PLACE, PLACE, Config
from cmr.data.content import content_fingerprint
from cmr.data.split import Split

if TYPE_CHECKING:
    from cmr.study.runs import Run

# Bump when the same configuration starts giving other numbers, so that old runs are not reused. 3: class names and
# pixels count too. Records from before say nothing of those, and still stand for their configuration (`search`).
VERSION = 3


def determining(config: Config) -> dict[str, Any]:
    """The values of a configuration that can change a result: all but where it runs and where its files lie."""
    values = {name: value for name, value in config.to_dict().items() if name not in PLACE}
    values["data_settings"] |= {name: "" for name in DATA_PLACE if name in values["data_settings"]}
    return values


def values_of(config: Config) -> dict[str, Any]:
    """All values of a run by name, the method's own beside the general ones; those of the data set with a prefix."""
    values = config.to_dict()
    own, of_data = values.pop("settings"), values.pop("data_settings")
    return values | own | {f"data_settings.{name}": value for name, value in of_data.items()}


def fingerprints(train: Split, test: Split, weights: str) -> dict[str, str]:
    """What a run's identity takes from its data and weights.

    Args:
        train, test: the splits; their files are read once, which says at once where one is missing.
        weights: the weights' own fingerprint.

    Returns:
        "train" and "test", the lists' fingerprints; "content", of class names and pixels of both; "weights".

    Raises:
        UserError: a file cannot be read.
    """
    content = hashlib.sha256(f"{content_fingerprint(train)} {content_fingerprint(test)}".encode()).hexdigest()[:16]
    return {"train": train.fingerprint, "test": test.fingerprint, "content": content, "weights": weights}


def identity(config: Config, fingerprints: dict[str, str]) -> str:
    """The id of the run that a configuration describes on data and weights with these fingerprints.

    Args:
        config: the run.
        fingerprints: as `fingerprints` gives them; of weights the file's content counts, not where it lies.

    Returns:
        Data, method, network and seed, and ten hex digits of a hash of all that determines the result.
    """
    values = determining(config)
    if fingerprints.get("weights"):
        values["weights"] = fingerprints["weights"]
    text = json.dumps({"version": VERSION, "config": values, "fingerprints": fingerprints}, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:10]
    return f"{config.data}-{config.method}-{config.backbone}-s{config.seed}-{digest}"


def essence(config: Config) -> tuple[tuple[str, Any], ...]:
    """What a configuration alone says of its run's identity; weights may lie anywhere and are compared apart."""
    left_out = {*PLACE, "weights", *(f"data_settings.{name}" for name in DATA_PLACE)}
    return tuple((name, value) for name, value in sorted(values_of(config).items()) if name not in left_out)


def setting(run: "Run") -> str:
    """What runs share that differ in nothing but their seed, as text to compare.

    A record is read through today's settings: one from before a setting was added has its default.
    """
    values = {name: value for name, value in determining(run.config).items() if name not in ("seed", "weights")}
    about = [values, run.record.weights, run.record.data, run.record.maps]
    return json.dumps(about, sort_keys=True, default=vars)
