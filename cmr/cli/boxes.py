"""`cmr boxes`: a box regressor on frozen features, told by DDT's boxes or by true ones."""

from dataclasses import dataclass, field
from typing import Annotated

from cmr.cli.arguments import Flat, Measuring, parse
from cmr.study.settings import Regressor


@dataclass(frozen=True)
class Boxes(Measuring):
    """Fit a linear box regressor on frozen features: PSOL on DDT's boxes, or few-shot and full supervision."""

    settings: Annotated[Regressor, Flat] = field(default_factory=Regressor)


def command(arguments: list[str]) -> None:
    """Reads the command line, measures, and prints the result."""
    asked = parse(Boxes, arguments, "boxes")
    from cmr.study.frozen import summary
    from cmr.study.regressor import measure

    print(summary(measure(asked.settings, asked.out, asked.features, asked.rerun)))
