"""Every kind of file that is read, with bytes flipped, lost, doubled or cut off: refused, or the right result."""

import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from stress import materials
from stress.attempt import Case, Outcome, attempt, wrong
from stress.damaged import READERS, Reader
from stress.runs import differs, outcomes, reference

EACH = 25
# Pictures of every format are read by the same command.
FORMATS = (".png", ".jpg", ".gif", ".tif", ".webp", ".bmp")


def cases(seed: int) -> Iterator[Case]:
    """All of them."""
    readers = dict(READERS) | {f"a picture {ending}": _picture(ending) for ending in FORMATS}
    for name, read in readers.items():
        each = SLOW.get(name, EACH)
        for number in range(each):
            draw = f"{seed} {name} {number}"  # each case has its own random numbers, whichever cases run
            yield Case(f"mutated: {name}", f"mutated {name} {number}", partial(_mutated, name, read, draw))


SLOW = {"a notebook": 8, "localizations.json": 12}  # seconds each


def _picture(ending: str) -> Reader:
    def read(folder: Path) -> tuple[Path, list[str]]:
        path = materials.picture(folder / "data" / f"a{ending}")
        (folder / "data" / "images.csv").write_text(f"path,label,split\n{path.name},a,test\n")
        words = ["data", "check", "--data", "folder", "--data-root", str(folder / "data"), "--split", "test"]
        return path, words

    return read


def mutated(content: bytes, draw: random.Random) -> bytes:
    """The content with something wrong in it.

    Args:
        content: of a file.
        draw: says what is wrong: one to four bytes flipped, a stretch lost, doubled, zeroed or random, or the end cut.
    """
    at = draw.randrange(max(1, len(content)))
    end = min(len(content), at + draw.choice((1, 4, 64)))
    kind = draw.choice(("flip", "flip", "flip", "cut", "lost", "doubled", "zeros", "noise"))
    if kind == "flip":
        changed = bytearray(content)
        for place in [at, *(draw.randrange(len(content)) for _ in range(draw.randrange(4)))]:
            changed[place] ^= 1 << draw.randrange(8)
        return bytes(changed)
    if kind == "cut":
        return content[:at]
    middle = {
        "lost": b"",
        "doubled": content[at:end] * 2,
        "zeros": bytes(end - at),
        "noise": draw.randbytes(end - at),
    }[kind]
    return content[:at] + middle + content[end:]


def _mutated(name: str, read: Reader, seed: str, folder: Path) -> str:
    path, command = read(folder)
    before = path.read_bytes()
    after = mutated(before, random.Random(seed))
    path.write_bytes(after)
    ended = attempt(command)
    said = wrong(ended)
    if said or ended.status or after == before:
        return said
    check = RIGHT.get(name)
    return check(folder, ended) if check else ""


def _same_report(_folder: Path, ended: Outcome) -> str:
    """Whether the table is that of the undisturbed run."""
    right = attempt(["report", reference().parent]).out
    return "" if ended.out == right else "another table, without a word"


def _same_test(_folder: Path, ended: Outcome) -> str:
    result = json.loads((reference() / "record.json").read_text())["result"]
    numbers = f"{result['GT-known Loc']:.2f}"
    return "" if numbers in ended.out and _printed() == ended.out else "other numbers, without a word"


def _printed() -> str:
    global _TESTED
    if not _TESTED:
        _TESTED = attempt(["evaluate", "--run", reference(), "--device", "cpu"]).out
    return _TESTED


_TESTED = ""


def _same_run(folder: Path, _ended: Outcome) -> str:
    return differs(folder / "runs" / reference().name)


def _same_outcomes(folder: Path, _ended: Outcome) -> str:
    [path] = (folder / "runs").glob("*/outcomes.safetensors.xz")
    mine, right = outcomes(path.parent), outcomes(reference())
    same = mine.keys() == right.keys() and all((mine[name] == right[name]).all() for name in right)
    return "" if same else "other outcomes, without a word"


# Where a wrong number can be told: what a run's own files must give if they are taken. Lists, pictures, maps and
# weights are the user's, and another content is another input: the run's identity says so.
RIGHT: dict[str, Callable[[Path, Outcome], str]] = {
    "record.json, report": _same_report,
    "record.json, evaluate": _same_test,
    "model.safetensors": _same_test,
    "checkpoint.pt": _same_run,
    "outcomes": _same_outcomes,
}
