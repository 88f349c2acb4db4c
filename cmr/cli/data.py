"""`cmr data make | check | show`: a data set written, looked through, or shown."""

import csv
import io
import os
import shlex
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Generic, Literal, TypeVar

import numpy as np
import tyro
from PIL import Image
from tqdm import tqdm

from cmr.cli.arguments import Flat, parse, peek
from cmr.data import DATASETS, load
from cmr.data.boxes import resize_boxes
from cmr.errors import UserError, require_known
from cmr.files import alone, clear, require_place, write_aside

C = TypeVar("C")


@dataclass(frozen=True)
class Data(Generic[C]):
    """Make a data set's pictures, check a data set before training, or show some of it."""

    # make: write ToyBirds as image files; check: read every image and box; show: a contact sheet as a picture
    action: tyro.conf.Positional[Literal["make", "check", "show"]]
    settings: Annotated[C, Flat]
    # toybirds, cub, ilsvrc, openimages or folder
    data: str = "toybirds"
    # folder of the data set
    data_root: str = ""
    # train, val or test; check does train and test where it is not given
    split: str = ""
    # make: folder to write; show: picture to write
    out: str = ""


def command(arguments: list[str]) -> None:
    """Reads the command line and does one of the three."""
    chosen = peek(arguments, data="toybirds")["data"]
    require_known(chosen, "data set", DATASETS)
    # A data set has settings of its own, so the type to be read is made for it.
    kind: Any = Data[DATASETS[chosen].Settings]  # type: ignore[misc]  # made at run time
    asked = parse(kind, arguments, "data")
    place = (asked.data, asked.data_root, asked.split, asked.settings)
    if asked.action == "check":
        check(*place)
    elif asked.action == "make":
        make(*place, asked.out)
    else:
        show(*place, asked.out)


def check(data: str, root: str, split: str, settings: Any) -> None:
    """Reads every list, image and box of a data set and says what is wrong with it, and what is odd.

    Args:
        data, root, settings: which data set, as for `cmr.data.load`.
        split: train, val or test; empty for train and test.

    Raises:
        UserError: something is wrong; the message names the first problems, each with its file and line.
    """
    from cmr.data import check as checks
    from cmr.study.identity import fingerprints

    problems: list[str] = []
    splits = []
    seen: dict[bytes, tuple[str, str]] = {}
    for part in [split] if split else ["train", "test"]:
        found = load(data, root, part, settings)
        notes: list[str] = []
        mine = checks.check(found, notes=notes, seen=seen)
        splits.append(found)
        problems += mine
        boxes = sum(len(boxes) for boxes in found.boxes)
        if not boxes and part == "test":
            notes.append("no true box, so a test says which classes are right and not where; see the page on data sets")
        print(
            f"{found.dataset} {part}: {len(found)} images, {len(found.classes)} classes, {boxes} boxes, "
            f"fingerprint {found.fingerprint}: {'all well' if not mine else count(len(mine))}"
        )
        for note in notes:
            print(f"  note: {note}")
    problems += checks.shared(splits)
    if len(splits) > 1 and not problems:
        print(f"class names and pixels of both: fingerprint {fingerprints(splits[0], splits[1], '')['content']}")
    if problems:
        more = f"\n... and {len(problems) - 20} more" if len(problems) > 20 else ""
        raise UserError(f"{count(len(problems))} in all:\n" + "\n".join(problems[:20]) + more)


def count(problems: int) -> str:
    """Example: "1 problem", "3 problems"."""
    return f"{problems} problem{'' if problems == 1 else 's'}"


def make(data: str, root: str, split: str, settings: Any, out: str) -> None:
    """Writes a data set as PNG files with a CSV, in the form that `--data folder` reads.

    Args:
        data, root, split, settings: as for `check`.
        out: the folder to write; it must not exist yet.

    Raises:
        UserError: no folder was named, or it is there already.
    """
    if not out:
        raise UserError("out: say which folder to write (--out DIR)")
    out = os.path.normpath(out)
    if Path(out).exists():
        clear(out)
        raise UserError(f"{out}: is there already; give another folder, or remove it")
    place = Path(os.path.abspath(out))
    with alone(place):
        aside = place.with_name(f".{place.name}.part")  # what is left of a call cut short goes
        shutil.rmtree(aside, ignore_errors=True)
        try:
            _written(data, root, split, settings, aside)
            aside.rename(place)
        except OSError as error:
            raise UserError(f"{out}: {error.strerror or error}; nothing is left there") from error
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    root_option = [f"--data-root={out}"] if out.startswith("-") else ["--data-root", out]
    print(f"{out}: written; train on it with: {shlex.join(['cmr', 'train', '--data', 'folder', *root_option])}")


def _written(data: str, root: str, split: str, settings: Any, out: Path) -> None:
    """The pictures and the list, in a folder that gets its name when all is there."""
    lines = io.StringIO()
    table = csv.writer(lines, lineterminator="\n")
    table.writerow(["path", "label", "x0", "y0", "x1", "y1", "split"])
    for part in [split] if split else ["train", "test"]:
        found = load(data, root, part, settings)
        for i in tqdm(range(len(found)), desc=f"writing {part}"):
            name = f"{part}/{i:06d}.png"
            picture = Image.fromarray(found.read(i))
            write_aside(out / name, partial(picture.save, format="PNG"))
            # ILSVRC-20 is not stored at its own size.
            boxes = resize_boxes(found.boxes[i], found.sizes[i], picture.size)
            for box in boxes if len(boxes) else [[""] * 4]:
                table.writerow([name, found.classes[found.labels[i]], *box, part])
    write_aside(out / "images.csv", lines.getvalue().encode())


def show(data: str, root: str, split: str, settings: Any, out: str) -> None:
    """Writes a contact sheet of images spread evenly over a split, with labels and boxes.

    Args:
        data, root, settings: as for `check`.
        split: train, val or test; empty for test.
        out: the picture to write; empty for a name made of data set and split.
    """
    from cmr import figures
    from cmr.data.images import resize_image

    found = load(data, root, split or "test", settings)
    path = Path(out or f"{found.dataset}-{found.split}.png")
    require_place(path, ours=_drawn)
    positions = np.unique(np.linspace(0, len(found) - 1, 20).round().astype(int))
    figure = figures.contact_sheet(
        [resize_image(found.read(i), 224) for i in positions],
        boxes=[resize_boxes(found.boxes[i], found.sizes[i], (224, 224)) for i in positions],
        labels=[found.classes[found.labels[i]] for i in positions],
    )
    figures.save(figure, path)
    print(f"{path}: written, {len(positions)} of {len(found)} images")


def _drawn(path: Path) -> bool:
    """Whether a file is a PNG that matplotlib has drawn, as an earlier sheet is, and no photograph."""
    try:
        with Image.open(path) as picture:
            return "Matplotlib" in str(picture.info.get("Software"))
    except OSError:
        return False
