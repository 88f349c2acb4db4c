"""One's own images: a folder with a CSV that says what is on each, or with a folder for each class.

`<root>/images.csv` starts with a header line; columns stand in any order, divided by commas, or by semicolons as some
spreadsheets do (numbers may then have a decimal comma):

    path,label,x0,y0,x1,y1,split
    heron/a.jpg,heron,12,30,200,180,test
    heron/a.jpg,heron,220,35,300,170,test
    owl/b.png,owl,,,,,train

- `path`: relative to the root, with forward slashes. An image with several boxes has several lines.
- `label`: the class, any text. K and the order come from `<root>/classes.txt` (one class per line) where it exists,
  otherwise from the labels of the whole CSV in alphabetical order.
- `x0,y0,x1,y1`: optional, the box in pixels of the image as a viewer shows it (EXIF orientation applied): left, top,
  and the first pixel beyond right and bottom (x1 = x0 + width). Empty where an image has no box; only testing needs
  boxes.
- `split`: optional, train, val or test. Without this column `test_percent` of the images are `test` and the others
  `train`, chosen by a hash of the path: the choice stays when images are added. Where that leaves a class without one
  of the two, its image with the lowest hash is `test`, or the one with the highest `train`.

Without a CSV the folders are the classes, with all pictures below them: `<root>/heron/a.jpg`, `<root>/owl/2024/b.png`.
Where all folders of the root are called train, val or test, they are the splits, and the classes are the folders in
them. Boxes come from `<root>/boxes.json`, a COCO file whose file names are these paths, or else from VOC files beside
the pictures, `<root>/heron/a.xml`; what they call the classes is not read. Without boxes testing says only which
classes are right.
"""

import csv
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from cmr.config import Range, check
from cmr.data.annotations import COCO, Annotation, coco_boxes, voc_boxes
from cmr.data.lists import below, check_box, cut, file_bytes, headers, hidden, inside, lines, reals, repeated
from cmr.data.pictures import suffixes
from cmr.data.split import NO_BOXES, SPLITS, ImageFiles, Split, split_of_files
from cmr.errors import UserError, shown, unknown

SIDES = ("x0", "y0", "x1", "y1")


@dataclass(frozen=True)
class Settings:
    """Which list is read, and how it is divided."""

    RANGES: ClassVar[dict[str, Range]] = {"test_percent": Range(0, 100)}

    csv: str = "images.csv"  # the list, relative to the root
    test_percent: int = 20  # share of test images where the list has no column `split`; 100 to test on all

    def __post_init__(self) -> None:
        check(self)


@dataclass
class _Entry:
    """What the lines of one image say."""

    line: int
    label: str
    split: str
    boxes: list[tuple[int | str, list[float]]]  # with their line in the list, or their place in words
    annotated: tuple[str, tuple[int, int]] | None = None  # where boxes come with a picture's size: place and size


def load(root: str | Path, split: str, settings: Settings | None = None) -> Split:
    """Loads one's own images from a folder with a CSV or class folders; the format stands at the top of this module.

    Args:
        root: the folder; its name is the data set's name.
        split: "train", "val" or "test".
        settings: see `Settings`.

    Returns:
        The split. Boxes are xyxy in original pixels, half-open.

    Raises:
        UserError: when the list is missing, empty or wrong, an image is missing, a class is unknown or a box lies
            outside its image, naming file and line.
    """
    named, root, settings = str(root), Path(root), settings or Settings()
    path = root / settings.csv
    notes: list[str] = []
    by_folder = settings.csv == Settings.csv and not path.exists()
    if by_folder and not named:  # or all pictures below the place where one happens to be
        raise UserError("data_root: no folder of pictures was given; name it (. for this one)")
    entries = (_class_folders if by_folder else _entries)(root if by_folder else path, settings.test_percent, notes)
    classes = _classes(root / "classes.txt", root if by_folder else path, entries)
    chosen = {name: entry for name, entry in entries.items() if entry.split == split}
    if not chosen:
        remedy = f"put its pictures into {split}/CLASS" if by_folder else "fill the column 'split'"
        what = f"{root}: there is" if by_folder else f"{path}: the list has"
        raise UserError(f"{what} no image of split {split}; {remedy}, or set test_percent")
    places = None if by_folder else np.array([entry.line for entry in chosen.values()])
    files = ImageFiles(root, tuple(chosen), None if by_folder else path, places, upright=True)
    sizes = headers(files)
    source = root if by_folder else path
    index = {name: k for k, name in enumerate(classes)}
    labels = np.array([index[entry.label] for entry in chosen.values()], np.int64)
    for entry, size in zip(chosen.values(), sizes.tolist(), strict=True):
        _require_size(root, entry, tuple(size))
    boxes = tuple(
        np.array([check_box(box, (width, height), source, line) for line, box in entry.boxes])
        if entry.boxes
        else NO_BOXES
        for entry, (width, height) in zip(chosen.values(), sizes.tolist(), strict=True)
    )
    given = [box for entry in chosen.values() for _, box in entry.boxes]
    notes += cut(given, [box for some in boxes for box in some.tolist()], source)
    name, content = root.resolve().name, file_bytes(files)
    return split_of_files(name, split, files, labels, sizes, boxes, classes, content, notes=notes)


def _entries(path: Path, test_percent: int, notes: list[str]) -> dict[str, _Entry]:
    """Reads the list: one entry per image, in the order of the first lines."""
    entries: dict[str, _Entry] = {}
    rows = []
    for number, row in _rows(path):
        rows.append((number, tuple(row.values())))
        name = inside(row["path"], path, number)
        if not row["label"]:
            raise UserError(f"{path}, line {number}: '{name}' has no label")
        split = row.get("split", "")
        if "split" in row and split not in SPLITS:
            raise UserError(f"{path}, line {number}: {unknown('split', split, SPLITS)}")
        entry = entries.setdefault(name, _Entry(number, row["label"], split, []))
        if (entry.label, entry.split) != (row["label"], split):
            said = (row["label"], split), (entry.label, entry.split)
            here, before = (" of ".join(filter(None, words)) for words in said)
            raise UserError(f"{path}, line {number}: '{name}' is {here} here, but {before} in line {entry.line}")
        corners = [row.get(side, "") for side in SIDES]
        if any(corners):
            entry.boxes.append((number, reals(corners, "box", path, number)))
    if not entries:
        raise UserError(f"{path}: the list is empty; it must name at least one image")
    notes += repeated(rows, path)
    if not any(entry.split for entry in entries.values()):
        _divide(entries, test_percent)
    return entries


def _class_folders(root: Path, test_percent: int, notes: list[str]) -> dict[str, _Entry]:
    """Takes classes, and splits where there are any, from the names of folders; in the order of the paths."""
    if not root.is_dir():
        raise UserError(f"{root}: there is no such folder; give the folder that holds your pictures (data_root)")
    files = [path for path in sorted(below(root)) if path.suffix.lower() in suffixes() and path.is_file()]
    found = [parts for path in files if len(parts := path.relative_to(root).parts) > 1]
    if not found:
        raise UserError(
            f"{root}: there is neither a list {Settings.csv} nor a folder with pictures; write the list, or put the "
            "pictures of each class into a folder with its name"
        )
    held = {parts[:-1] for parts in found}
    classes = [folder for folder in sorted(root.iterdir()) if folder.is_dir() and not hidden(folder.name)]
    empty = [folder.name for folder in classes if not any(parts[0] == folder.name for parts in held)]
    if empty:
        notes.append(f"{root}: no picture in {', '.join(empty)}, which makes no class")
    if aside := len(files) - len(found):
        notes.append(f"{root}: {aside} picture{'s' * (aside > 1)} beside the class folders, left out")
    split = int({parts[0] for parts in found} <= set(SPLITS))
    if loose := next((parts for parts in found if len(parts) < 2 + split), None):
        raise UserError(
            f"{root / '/'.join(loose)}: lies in no class folder; put it into {'/'.join(loose[:-1])}/CLASS, as "
            f"{' and '.join(sorted({parts[0] for parts in found}))} are taken for splits"
        )
    entries = {"/".join(parts): _Entry(0, parts[split], parts[0] if split else "", []) for parts in found}
    if not split:
        _divide(entries, test_percent)
    _annotate(root, entries, notes)
    return entries


def _annotate(root: Path, entries: dict[str, _Entry], notes: list[str]) -> None:
    """Gives the pictures of class folders the boxes of the COCO file where there is one, else of their VOC files."""
    if (root / COCO).exists():
        known = coco_boxes(root / COCO)
        if stray := next((name for name in known if name not in entries), None):
            raise UserError(
                f"{root / COCO}: {unknown('picture', stray, entries)}; a file_name is like {next(iter(entries))}"
            )
        for name, said in known.items():
            _place(entries[name], f"{COCO}, picture '{name}'", said)
        if crowds := sum(said.crowds for said in known.values()):
            notes.append(f"{root / COCO}: {crowds} region{'s' * (crowds > 1)} of a crowd (iscrowd), left out")
        return
    owners: dict[Path, str] = {}
    for name, entry in entries.items():
        beside = (root / name).with_suffix(".xml")
        if beside.exists():
            if beside in owners:
                raise UserError(f"{beside}: lies beside both {owners[beside]} and {name}; rename one of them")
            owners[beside] = name
            _place(entry, beside.relative_to(root).as_posix(), voc_boxes(beside))


def _place(entry: _Entry, where: str, said: Annotation) -> None:
    entry.boxes = [(where, box) for box in said.boxes]
    entry.annotated = (where, said.size) if said.size else None


def _require_size(root: Path, entry: _Entry, size: tuple[int, int]) -> None:
    """Raises `UserError` where boxes were drawn in a picture of another size, which would put them elsewhere."""
    if entry.annotated and entry.annotated[1] != size:
        where, (width, height) = entry.annotated
        turned = ", turned by its EXIF orientation" * (size == (height, width))
        raise UserError(
            f"{root}, {where}: the boxes are of a picture of {width}x{height} pixels; as a viewer shows it{turned}, "
            f"it has {size[0]}x{size[1]}; annotate the picture as it is, or take the size out if the boxes fit it"
        )


def _rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Gives line number and columns by name; the file goes through `lines` first, for its errors."""
    texts = [(number, fields[0]) for number, fields in lines(path, "\n")]
    divider = ";" if ";" in texts[0][1] and "," not in texts[0][1] else ","
    header = [name.strip() for name in next(csv.reader([texts[0][1]], delimiter=divider))]
    known = ("path", "label", *SIDES, "split")
    where = f"{path}, line {texts[0][0]}"
    for name in header:
        if "\t" in name:
            raise UserError(f"{where}: the columns are divided by tabs; save the list with commas or semicolons")
        if name not in known and name.lower() in known:
            raise UserError(f"{where}: the column '{name}' is written with capitals; write '{name.lower()}'")
        if name not in known:
            raise UserError(f"{where} names the columns: {unknown('column', name, known)}")
        if header.count(name) > 1:
            raise UserError(f"{where}: the column '{name}' is named twice; remove one")
    lacking = [name for name in ("path", "label") if name not in header]
    if lacking:
        raise UserError(f"{where}: the column '{lacking[0]}' is missing")
    if 0 < sum(side in header for side in SIDES) < 4:
        raise UserError(f"{where}: a box needs all of the columns {','.join(SIDES)}")
    for number, text in texts[1:]:
        try:
            fields = [field.strip() for field in next(csv.reader([text], delimiter=divider, strict=True))]
        except csv.Error as error:
            hint = "; a quote ends on the line where it begins, so write no line break" if text.count('"') % 2 else ""
            raise UserError(f"{path}, line {number}: {error}: {shown(text)}{hint}") from error
        if len(fields) != len(header):
            raise UserError(f"{path}, line {number}: {len(fields)} fields, expected {len(header)}: {shown(text)}")
        row = dict(zip(header, fields, strict=True))
        if divider == ";":
            row |= {side: row[side].replace(",", ".") for side in SIDES if side in row}
        yield number, row


def _divide(entries: dict[str, _Entry], test_percent: int) -> None:
    """Gives every image its split, by a hash of its path; a class has both if it has images for both."""
    shares = {
        name: int.from_bytes(hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()[:8], "big") / 2**64
        for name in entries
    }
    for name, entry in entries.items():
        entry.split = "test" if 100 * shares[name] < test_percent else "train"
    of_class: dict[str, list[str]] = {}
    for name, entry in entries.items():
        of_class.setdefault(entry.label, []).append(name)
    for names in of_class.values():
        if len(names) > 1 and 0 < test_percent < 100:
            entries[min(names, key=lambda name: shares[name])].split = "test"
            entries[max(names, key=lambda name: shares[name])].split = "train"


def _classes(path: Path, source: Path, entries: dict[str, _Entry]) -> tuple[str, ...]:
    """Takes the classes from `classes.txt`, else from the labels, which stand in a list or are names of folders."""
    if not path.exists():
        return tuple(sorted({entry.label for entry in entries.values()}))
    classes: dict[str, int] = {}
    for number, (name,) in lines(path, "\n"):
        if name in classes:
            raise UserError(f"{path}, line {number}: class '{name}' is listed twice, first in line {classes[name]}")
        classes[name] = number
    for entry in entries.values():
        if entry.label not in classes:
            where = f"{source}, line {entry.line}" if entry.line else f"{source}, whose classes stand in {path.name}"
            raise UserError(f"{where}: {unknown('class', entry.label, classes)}")
    return tuple(classes)
