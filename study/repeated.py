"""How far apart the numbers of one training are that was made twice: on the same kind of processor, and on another."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cmr.study import runs
from cmr.study.identity import essence
from cmr.study.runs import Run


@dataclass(frozen=True)
class Pair:
    """Two records of one training: the same settings, data, weights and seed.

    Attributes:
        first, second: in the order of their folders.
    """

    first: Run
    second: Run

    @property
    def same_processor(self) -> bool:
        """Whether both were made on the same kind of processor or GPU."""
        return self.first.record.environment.device == self.second.record.environment.device

    @property
    def apart(self) -> float:
        """The difference of GT-known Loc, in points."""
        return abs(float(self.first.result.gt_known_loc or 0.0) - float(self.second.result.gt_known_loc or 0.0))


def pairs(*folders: Path) -> list[Pair]:
    """The trainings that these folders hold more than once, each later record beside the first.

    Args:
        *folders: with run records, at any depth.
    """
    found: dict[object, list[Run]] = {}
    for run in _trained(runs.find(*folders)):
        found.setdefault((essence(run.config), run.record.weights, str(run.record.data)), []).append(run)
    return [Pair(first, second) for first, *others in found.values() for second in others]


def _trained(found: Iterable[Run]) -> Iterable[Run]:
    """Without re-evaluations, whose model is trained once."""
    return (run for run in found if run.record.trained is None)
