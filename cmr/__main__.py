"""`python -m cmr`, also under torchrun."""

from cmr.cli import main

main()
