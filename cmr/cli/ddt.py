"""`cmr ddt`: localization without training and without a class."""

from dataclasses import dataclass, field
from typing import Annotated

from cmr.cli.arguments import Flat, Measuring, parse
from cmr.study.settings import DDT


@dataclass(frozen=True)
class Ddt(Measuring):
    """Localize with Deep Descriptor Transforming: a frozen network's first principal component, no training."""

    settings: Annotated[DDT, Flat] = field(default_factory=DDT)


def command(arguments: list[str]) -> None:
    """Reads the command line, measures, and prints the result."""
    asked = parse(Ddt, arguments, "ddt")
    from cmr.study.ddt import measure
    from cmr.study.frozen import summary

    print(summary(measure(asked.settings, asked.out, asked.features, asked.rerun)))
