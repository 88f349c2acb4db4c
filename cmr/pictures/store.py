"""localizations.json: what was found, in a folder to which later calls add."""

import json
import math
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmr.errors import UserError
from cmr.files import read_regular, write_json
from cmr.pictures.find import DRAWN, ROWS, left_over
from cmr.pictures.formats import PLACES

BOX = "xyxy, half-open, the picture's own pixels"
LARGEST = 2**31  # more pixels on a side than any picture has


@dataclass
class Store:
    """What a folder of results holds.

    Attributes:
        out: the folder.
        about: what all its rows have in common: the model and the rule.
        rows: by the path of the picture, seen from the folder, what was found.
        earlier: the same of the calls before, also of another model or rule.
        formats: the formats of which the folder has files.
        files: names of annotated pictures and maps that calls have written there, or will.
        content: localizations.json as it was found; empty where there was none.
    """

    out: Path
    about: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    earlier: dict[str, dict[str, Any]]
    formats: list[str]
    files: set[str]
    content: dict[str, Any]

    def claim(self, wanted: Sequence[str]) -> None:
        """Adds formats that will be written.

        Raises:
            UserError: a file of that name is there, which no earlier call wrote.
        """
        for name in wanted:
            if name not in self.formats:
                self._free(PLACES[name])
        self.formats = sorted({*self.formats, *wanted})

    def begin(self, names: Sequence[str]) -> None:
        """Notes in localizations.json which annotated pictures and maps will be written.

        The note comes before the files, so that a call after one that was killed knows them for ours.

        Raises:
            UserError: a file of that name is there, which no earlier call wrote.
        """
        for name in names:
            if name not in self.files and not os.path.isdir(self.out / name):  # a folder is never written over
                self._free(name)
        self.files.update(names)
        if names:
            write_json(self.out / ROWS, {"localizations": [], **self.content, "unfinished": sorted(self.files)})

    def due(self, name: str) -> bool:
        """Whether a format's files tell of other boxes than the rows, or may, since a call was stopped."""
        told = self.content.get("formats", ())
        stopped = "unfinished" in self.content
        return stopped or name not in told or self.rows != self.earlier or not (self.out / PLACES[name]).exists()

    def write(self, finished: bool = False) -> None:
        """Writes localizations.json, whole or not at all; before the call has finished, with what no row has yet."""
        about = {"box": BOX, **self.about, "formats": self.formats}
        if not finished:
            about["unfinished"] = self._rowless()
        write_json(self.out / ROWS, {**about, "localizations": list(self.rows.values())})

    def finish(self) -> None:
        """Removes files that no row has any more, and says in localizations.json that all is written."""
        self._clear()
        self.write(finished=True)

    def undo(self) -> None:
        """Leaves the folder as it was found, where nothing was found in any picture."""
        self._clear()
        if self.content:
            write_json(self.out / ROWS, self.content)
        else:
            (self.out / ROWS).unlink(missing_ok=True)

    def _free(self, name: str) -> None:
        place = self.out / name
        if os.path.lexists(place):
            raise UserError(f"out: {place} was not written by cmr localize; choose another folder, or move it")

    def _clear(self) -> None:
        for name in self._rowless():
            with suppress(OSError):  # it was never written, or a folder has its name
                (self.out / name).unlink()

    def _rowless(self) -> list[str]:
        return left_over(self.files, _files(self.rows.values()))


def opened(out: Path, about: dict[str, Any], asked: Iterable[str]) -> Store:
    """What earlier calls left in a folder.

    Args:
        out: the folder; it need not be there.
        about: the model and the rule of this call.
        asked: paths, seen from the folder, of the pictures that will be localized anew if model or rule differ.

    Returns:
        The rows that hold for this model and rule.

    Raises:
        UserError: a file that is none of ours, or rows of other pictures under another model or rule.
    """
    content = _read(out / ROWS)
    earlier = {row["path"]: row for row in content.get("localizations", ())}
    formats = [name for name in PLACES if name in content.get("formats", ())]
    files = {*_files(earlier.values()), *content.get("unfinished", ())}
    other = ", ".join(f"{name} {content.get(name)}" for name, value in about.items() if content.get(name) != value)
    if not other:
        return Store(out, about, dict(earlier), earlier, formats, files, content)
    kept = earlier.keys() - set(asked)
    if kept:
        held = f"{len(kept)} other picture{'s' * (len(kept) > 1)}"
        raise UserError(f"out: {out / ROWS} holds {held}, made with {other}; choose another folder")
    return Store(out, about, {}, earlier, formats, files, content)


def _files(rows: Iterable[dict[str, Any]]) -> set[str]:
    """The files of pictures: what was drawn, and the map where there is one."""
    return {row[kind] for row in rows for kind in ("picture", "map") if kind in row}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path).decode(), parse_float=_finite, parse_constant=_finite)
        rows = [_row(row) for row in content["localizations"]]
        if not isinstance(content.get("formats", []), list) or not isinstance(content.get("unfinished", []), list):
            raise ValueError("no list")
        for name in content.get("unfinished", ()):
            _own_file(name)
        return content | {"localizations": rows}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise UserError(f"out: {path} was not written by cmr localize; choose another folder, or delete it") from None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    """A row in which every value is of its kind: names become paths, and numbers are calculated with."""
    _text(row["path"])
    _inside(row["image"])
    if not _own_file(row["picture"]).endswith(DRAWN) or ("map" in row and _own_file(row["map"]).endswith(DRAWN)):
        raise ValueError("a picture's name for a map, or a map's for a picture")
    width, height = row["width"], row["height"]
    if not all(type(side) is int and 0 < side < LARGEST for side in (width, height)):
        raise ValueError("a picture has whole pixels")
    for one in row["objects"]:
        _text(one["class"])
        x0, y0, x1, y1 = box = one["box"]
        if not all(type(value) in (int, float) for value in (*box, one["score"])) or type(one["index"]) is not int:
            raise ValueError("a number is none")
        if not (0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height and 0 <= one["score"] <= 1 and one["index"] >= 0):
            raise ValueError("a number is out of range")
    return row | {name: row["objects"][0][name] for name in ("class", "score", "box")}


def _finite(text: str) -> float:
    """Reads a number of JSON; what Python takes beside, such as NaN and 1e999, cannot be written again."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not finite")
    return value


def _text(value: Any) -> str:
    """Lets a text pass that can be a file's name; half a letter, as JSON can write it, cannot."""
    if not isinstance(value, str) or b"\0" in value.encode("utf-8", "surrogateescape"):
        raise ValueError("a name is no text")
    return value


def _inside(name: Any) -> str:
    """Lets a name pass that stays in the folder; unlike in a data set's lists, it may be hidden or have a colon."""
    path = Path(_text(name))
    if path.anchor or not path.parts or ".." in path.parts:
        raise ValueError("a name leads out of the folder")
    return name


def _own_file(name: Any) -> str:
    """Lets an annotated picture's or a map's name pass: such files are written over and removed, others are not."""
    if not (_inside(name).endswith(DRAWN) or (name.startswith("maps/") and name.endswith(".npy"))):
        raise ValueError("no file of this command")
    return name
