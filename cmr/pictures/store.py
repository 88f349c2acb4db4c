"""localizations.json: what was found, in a folder to which later calls add."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmr.errors import UserError
from cmr.files import read_regular, write_json
from cmr.pictures.find import ROWS
from cmr.pictures.formats import PLACES

BOX = "xyxy, half-open, the picture's own pixels"


@dataclass
class Store:
    """What a folder of results holds.

    Attributes:
        out: the folder.
        about: what all its rows have in common: the model and the rule.
        rows: by the path of the picture, seen from the folder, what was found.
        earlier: the same of the calls before, also of another model or rule.
        formats: the formats of which the folder has files.
    """

    out: Path
    about: dict[str, Any]
    rows: dict[str, dict[str, Any]]
    earlier: dict[str, dict[str, Any]]
    formats: list[str]

    def claim(self, wanted: Sequence[str]) -> None:
        """Adds formats that will be written.

        Raises:
            UserError: a file of that name is there, which no earlier call wrote.
        """
        for name in wanted:
            if name not in self.formats and (self.out / PLACES[name]).exists():
                raise UserError(
                    f"out: {self.out / PLACES[name]} was not written by cmr localize; choose another folder, or move it"
                )
        self.formats = sorted({*self.formats, *wanted})

    def write(self) -> None:
        """Writes localizations.json, whole or not at all."""
        about = {"box": BOX, **self.about, "formats": self.formats}
        write_json(self.out / ROWS, {**about, "localizations": list(self.rows.values())})


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
    earlier = {row["path"]: row for row in content["localizations"]}
    formats = [name for name in PLACES if name in content.get("formats", ())]
    other = ", ".join(f"{name} {content.get(name)}" for name, value in about.items() if content.get(name) != value)
    if not other:
        return Store(out, about, dict(earlier), earlier, formats)
    kept = earlier.keys() - set(asked)
    if kept:
        held = f"{len(kept)} other picture{'s' * (len(kept) > 1)}"
        raise UserError(f"out: {out / ROWS} holds {held}, made with {other}; choose another folder")
    return Store(out, about, {}, earlier, formats)


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(read_regular(path).decode())
        rows = [_row(row) for row in content["localizations"]]
        return content | {"localizations": rows}
    except FileNotFoundError:
        return {"localizations": []}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"out: {path} was not written by cmr localize; choose another folder, or delete it") from None


def _row(row: dict[str, Any]) -> dict[str, Any]:
    found = row | {"path": row["path"]}
    if not all(isinstance(found[name], str) for name in ("path", "picture", "image")):
        raise ValueError("a name is no text")
    for one in found["objects"]:
        if not isinstance(one["class"], str) or len([float(value) for value in one["box"]]) != 4:
            raise ValueError("an object without class or box")
    int(found["width"]), int(found["height"])
    return found
