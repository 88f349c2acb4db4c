"""`cmr ddt`: localization without training and without a class."""

from dataclasses import dataclass, field
from typing import Annotated

from cmr.cli.arguments import Flat, parse


def command(arguments: list[str]) -> None:
    """Reads the command line, measures, and prints the result."""
    from cmr.study.ddt import DDT, measure
    from cmr.study.frozen import summary

    @dataclass(frozen=True)
    class Ddt:
        """Localize with Deep Descriptor Transforming: a frozen network's first principal component, no training."""

        settings: Annotated[DDT, Flat] = field(default_factory=DDT)
        # folder in which the measurement gets a folder of its own, with record and outcomes
        out: str = "runs"
        # folder that keeps the features (gigabytes) for other measurements of the same network; none: they are not kept
        features: str = ""
        # measure again although it is there
        rerun: bool = False

    asked = parse(Ddt, arguments, "ddt")
    print(summary(measure(asked.settings, asked.out, asked.features, asked.rerun)))
