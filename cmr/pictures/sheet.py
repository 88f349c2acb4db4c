"""The contact sheet: one page with all pictures, boxes and maps, which needs neither network nor server."""

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cmr.errors import UserError
from cmr.files import write_aside
from cmr.maps.locate import resize
from cmr.pictures.result import Localization

NAME = "sheet.html"
SIDE = 240  # of a picture on the page, pixels
CELLS = 40  # of a map on the page, per side
DATA = re.compile(r'<script type="application/json" id="data">(.*?)</script>', re.DOTALL)


def card(result: Localization) -> dict[str, Any]:
    """A picture as the page shows it: a small JPEG and the map of its first class as bytes, both in base64."""
    small = result.picture.copy()
    small.thumbnail((SIDE, SIDE))
    file = io.BytesIO()
    small.save(file, format="JPEG", quality=80)
    coarse = resize(torch.from_numpy(result.scoremap)[None], CELLS)[0].clamp(0, 1)
    levels = (coarse * 255).round().to(torch.uint8).numpy()
    return {"image": _text(file.getvalue()), "map": _text(np.ascontiguousarray(levels).tobytes())}


def write(out: Path, rows: Sequence[dict[str, Any]], cards: Mapping[str, dict[str, Any]], threshold: float) -> None:
    """Writes `sheet.html`.

    Args:
        out: the folder of the results.
        rows: all pictures of the folder, as localizations.json has them.
        cards: by path, what `card` made of those that were localized now; the others are taken from the page that is
            there, and a picture whose card is lost is shown from its annotated file.
        threshold: at which the boxes were made.
    """
    known = {**_earlier(out / NAME), **cards}
    shown = []
    for row in rows:
        objects = [{"class": one["class"], "score": one["score"], "box": one["box"]} for one in row["objects"]]
        about = {name: row[name] for name in ("path", "width", "height", "picture")}
        shown.append({"name": row["image"], **about, "objects": objects, **known.get(row["path"], {})})
    data = json.dumps({"threshold": threshold, "cells": CELLS, "pictures": shown}, separators=(",", ":"))
    page = Path(__file__).with_name("sheet.html").read_text(encoding="utf-8")
    # "</script" inside a name would end the script; JSON may write any letter by its number
    write_aside(out / NAME, page.replace("/*DATA*/", data.replace("<", "\\u003c")).encode())


def claimed(out: Path, wanted: bool) -> bool:
    """Whether the page is to be written: where it is wanted, or there, since it would tell of other boxes.

    Raises:
        UserError: it is wanted, and a page of that name is there which is not ours.
    """
    page = out / NAME
    ours = page.is_file() and DATA.search(page.read_text(encoding="utf-8", errors="replace")) is not None
    if wanted and page.exists() and not ours:
        raise UserError(f"out: {page} was not written by cmr localize; choose another folder, or move it")
    return wanted or ours


def _earlier(page: Path) -> dict[str, dict[str, Any]]:
    """The cards of a page that is there, by path; none where it cannot be read: the boxes stand elsewhere."""
    try:
        found = DATA.search(page.read_text(encoding="utf-8"))
        pictures = json.loads(found[1])["pictures"] if found else []
        return {p["path"]: {"image": p["image"], "map": p["map"]} for p in pictures if "image" in p and "map" in p}
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}


def _text(content: bytes) -> str:
    return base64.b64encode(content).decode()
