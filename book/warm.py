"""What the notebooks that train share: ToyBirds, drawn once in the process from which theirs are forked."""

from cmr.data import load
from cmr.presets import make

for split in ("train", "test"):
    load("toybirds", "", split, make("toybirds").data_settings)
