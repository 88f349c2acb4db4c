"""How a class map becomes a box: the rule that suits pictures nobody has annotated, and the literal CAM beside it."""

from dataclasses import dataclass, replace

from cmr.errors import UserError, require_known
from cmr.maps.locate import NORMALISERS


@dataclass(frozen=True)
class Rule:
    """From the classifier to the box.

    Attributes:
        positive: read the map from the head's positive weights alone.
        mirror: average over the picture and its mirror image.
        normalise: "minmax", "max", "pas" or "ivr" (`cmr.maps.locate.normalise`).
        threshold: tau in [0, 1), the share of the map's maximum above which a pixel counts as object.
    """

    positive: bool
    mirror: bool
    normalise: str
    threshold: float


RUN = "run"  # the rule of a trained run's record

# `boxes` is the best rule for the map of one class on ILSVRC-20, judged on CUB-50, by benchmarks/boxes.py; the record
# results/benchmarks/boxes.json has both.
RULES = {
    "boxes": Rule(positive=True, mirror=True, normalise="pas", threshold=0.5),
    "cam": Rule(positive=False, mirror=False, normalise="minmax", threshold=0.2),
}


def rule_of(name: str, normalise: str | None = None, threshold: float | None = None) -> Rule:
    """The rule of this name, with another normaliser or threshold where they are given.

    Raises:
        UserError: an unknown name, or a threshold outside [0, 1).

    Example:
        >>> rule_of("cam", threshold=0.3)
        Rule(positive=False, mirror=False, normalise='minmax', threshold=0.3)
    """
    require_rule(name)
    if name == RUN:
        raise UserError("rule: run is the rule of a trained run's record; name the run, or take boxes or cam")
    return changed(RULES[name], normalise, threshold)


def require_rule(name: str) -> None:
    """Raises `UserError` for a name that is no rule's."""
    require_known(name, "rule", [*RULES, RUN])


def changed(rule: Rule, normalise: str | None = None, threshold: float | None = None) -> Rule:
    """A rule with what is given in place of its own; None changes nothing.

    Raises:
        UserError: an unknown normaliser, or a threshold outside [0, 1).
    """
    if normalise is not None:
        require_known(normalise, "normaliser", NORMALISERS)
    if threshold is not None and not 0 <= threshold < 1:
        raise UserError(f"threshold: {threshold} is outside [0, 1)")
    return replace(
        rule,
        normalise=rule.normalise if normalise is None else normalise,
        threshold=rule.threshold if threshold is None else threshold,
    )
