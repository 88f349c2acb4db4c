"""A command undisturbed, and beside it the same disturbed: what differs in the files that they leave."""

from pathlib import Path

from stress import materials
from stress.attempt import attempt, wrong


def undisturbed(name: str, folder: Path) -> tuple[dict[str, object], str]:
    """What the command of this name leaves, and what is wrong with its end."""
    right = folder / "right"
    right.mkdir()
    said = wrong(attempt(materials.WRITERS[name](right)), success=True)
    return materials.contents(right), said


def beside(folder: Path) -> Path:
    """An empty folder for the disturbed call."""
    mine = folder / "mine"
    mine.mkdir()
    return mine


def differing(right: dict[str, object], folder: Path) -> str:
    """The first file that the disturbed call left or made differently; "" where there is none."""
    mine = materials.contents(folder / "mine")
    odd = sorted(path for path in {*right, *mine} if right.get(path) != mine.get(path))
    return f"{odd[0]} is left or differs" if odd else ""
