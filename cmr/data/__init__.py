"""Data sets by name: each module has `Settings` and `load(root, split, settings) -> Split`."""

from pathlib import Path
from types import ModuleType

from cmr.data import cub, folder, ilsvrc, openimages, toybirds
from cmr.data.split import SPLITS, Split, fingerprint
from cmr.errors import require_known

DATASETS: dict[str, ModuleType] = {
    "toybirds": toybirds,
    "cub": cub,
    "ilsvrc": ilsvrc,
    "openimages": openimages,
    "folder": folder,
}

__all__ = ["DATASETS", "SPLITS", "Split", "fingerprint", "load"]


def load(name: str, root: str | Path | None, split: str, settings: object | None = None) -> Split:
    """Loads one split of a data set by name; the lists are checked, the images are not decoded.

    Args:
        name: "toybirds", "cub", "ilsvrc", "openimages" or "folder".
        root: the folder of the data set; None for ToyBirds, which is generated.
        split: "train", "val" or "test", as far as the data set has it.
        settings: the module's `Settings`; None for its defaults.

    Returns:
        The split.

    Raises:
        UserError: for an unknown name or split, and for a list that is missing, empty or wrong.
    """
    require_known(name, "data set", DATASETS)
    require_known(split, "split", SPLITS)
    module = DATASETS[name]
    return module.load(root, split, module.Settings() if settings is None else settings)
