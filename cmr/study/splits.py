"""The images of a run: those to learn from, and those to be tested on."""

from dataclasses import replace

import numpy as np

from cmr.config import Config
from cmr.data import load
from cmr.data.split import Split
from cmr.errors import UserError


def splits(config: Config) -> tuple[Split, Split]:
    """The training and the test split; with `holdout`, both come from the training images and test is untouched.

    Each class keeps at least one image to learn from, whatever is held out.
    """
    train_split = load(config.data, config.data_root, "train", config.data_settings)
    if not config.holdout:
        test_split = load(config.data, config.data_root, "test", config.data_settings)
        if train_split.classes != test_split.classes:
            raise UserError(f"{train_split.dataset}: the training and the test split have different classes")
        return train_split, test_split
    generator = np.random.default_rng(0)  # the held-out part is the same for every seed
    held = np.zeros(len(train_split), dtype=bool)
    for label in range(len(train_split.classes)):
        members = np.flatnonzero(train_split.labels == label)
        held[generator.permutation(members)[: min(round(config.holdout * len(members)), len(members) - 1)]] = True
    if not held.any():
        raise UserError(f"holdout: {config.holdout} of {len(train_split)} training images holds out none; give more")
    return train_split.subset(np.flatnonzero(~held)), replace(train_split.subset(np.flatnonzero(held)), split="holdout")
