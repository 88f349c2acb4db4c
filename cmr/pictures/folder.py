"""`cmr localize`: pictures and folders in, annotated pictures and boxes out."""

import errno
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from cmr.data.images import threads
from cmr.data.pictures import READ_ERRORS, read_rgb, size_of
from cmr.data.split import reason
from cmr.data.threaded import in_threads
from cmr.errors import UserError, require_known
from cmr.files import alone, write_aside
from cmr.pictures import formats, sheet
from cmr.pictures.find import check_out, drawn_names, map_name, picture_files, seen_from
from cmr.pictures.localizer import BATCH, Localizer
from cmr.pictures.result import Localization
from cmr.pictures.store import Store, opened

AHEAD = 3  # batches decoded before the network has room for them
ROOM = 2_000_000_000  # bytes for decoded pictures, those of the batch in work among them
EVERY = 20.0  # seconds between two states of localizations.json
SPOKEN = 20  # pictures that are named one by one at the end
#: What goes wrong with the name or the place of one picture; with others it may go right.
ITS_OWN = {
    errno.ENAMETOOLONG, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENOENT, errno.EACCES, errno.EPERM,
    errno.EINVAL, errno.EILSEQ, errno.ELOOP,
}  # fmt: skip


@dataclass(frozen=True)
class _Work:
    """One picture to be localized."""

    file: Path
    name: str
    path: str  # seen from the results
    drawn: str


def localize_pictures(
    path: str | Path | Sequence[str | Path],
    out: str | Path = "localized",
    maps: bool = False,
    contact_sheet: bool = True,
    format: Sequence[str] = (),
    **options: Any,
) -> list[dict]:
    """Localizes pictures and folders of pictures, and writes what was found.

    Args:
        path: a picture, or a folder whose pictures are taken in the order of their names, with those of the folders in
            it; or several of both.
        out: folder for the annotated pictures (`name.cmr.png`), localizations.json and the rest. What an earlier call
            found stays there; pictures that are done under the same settings and have not changed are not done again.
        maps: write each first class's map to `maps/NAME.npy`, as `cmr score` reads them.
        contact_sheet: write `sheet.html`, one page with all pictures. One that is there is always written anew.
        format: more files with the boxes of all pictures in the folder: "coco", "yolo", "voc", "csv". Those that an
            earlier call wrote are written anew if anything has changed.
        options: of `cmr.pictures.localizer.Localizer`.

    Returns:
        One dict per picture that was asked for, as localizations.json has them.

    Raises:
        UserError: a setting out of range, no picture there, an `out` that cannot be used, in which another call is at
            work or whose files were written by something else; or, after all others, pictures that cannot be read or
            whose results cannot be written.
        OSError: no room is left in `out`, or it cannot be written any more; what was found before is kept.
    """
    for name in format:
        require_known(name, "format", formats.FORMATS)
    out = Path(out)
    given = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    files = picture_files(given, out)
    check_out(out, [*given, *(file.parent for file in files)])
    localizer = Localizer(**options)
    there = out.exists()
    try:
        with alone(out / "localizations"):
            return _localized(files, out, localizer, maps, contact_sheet, format)
    except OSError as error:
        if error.errno and not error.filename:  # a disk that is full does not say which
            error.filename = str(out)
        raise
    finally:
        if not there:
            with suppress(OSError):  # it holds something
                out.rmdir()


def _localized(
    files: dict[Path, str], out: Path, localizer: Localizer, maps: bool, contact_sheet: bool, format: Sequence[str]
) -> list[dict]:
    places = {file: seen_from(out, file) for file in files}
    store = opened(out, _about(localizer), places.values())
    store.claim(format)
    contact_sheet = sheet.claimed(out, contact_sheet)
    todo = [file for file in files if not _done(store, file, places[file], maps)]
    taken = [row["picture"] for place, row in store.rows.items() if place not in {places[file] for file in todo}]
    names = drawn_names({file: files[file] for file in todo}, taken)
    store.begin([*names.values(), *(map_name(name) for name in names.values() if maps)])
    work = [_Work(file, files[file], places[file], names[file]) for file in todo]
    cards: dict[str, dict] = {}

    def save() -> None:
        """The page first: what localizations.json has is not done again, so its card must be there."""
        if contact_sheet:
            sheet.write(out, list(store.rows.values()), cards, localizer.model.rule.threshold)
        store.write()

    try:
        bad = _work_off(localizer, store, work, maps, cards, save)
    except BaseException:
        if store.rows:
            save()
        elif not store.earlier:
            store.undo()
        raise
    if not store.rows and not store.earlier:
        store.undo()
        raise UserError("localize: " + "\n".join(bad))
    save()
    rows, wrong = list(store.rows.values()), []
    for name in filter(store.due, store.formats):  # those of an earlier call would tell of other boxes
        try:
            formats.write(name, out, rows, list(store.earlier.values()))
        except UserError as error:
            wrong.append(f"localize: {error}")
    if not wrong:  # else the next call tries again
        store.finish()
    found = [store.rows[place] for place in places.values() if place in store.rows]
    _tell(out, found, len(files) - len(todo), contact_sheet)
    if bad:
        wrong.append(f"localize: {len(bad)} of {len(files)} pictures left out:\n  " + "\n  ".join(bad))
    if wrong:
        raise UserError("\n".join(wrong))
    return found


def _about(localizer: Localizer) -> dict[str, Any]:
    rule = localizer.model.rule
    wanted = localizer.wanted if len(localizer.wanted) < len(localizer.model.classes) else "all"
    return {
        "model": localizer.model.name,
        "network": localizer.model.fingerprint(),
        "positive": rule.positive,
        "mirror": rule.mirror,
        "normalise": rule.normalise,
        "threshold": rule.threshold,
        "objects_asked": localizer.objects,
        "top": localizer.top,
        "classes_asked": wanted,
    }


def _stamp(file: Path) -> list[int]:
    about = file.stat()
    return [about.st_size, about.st_mtime_ns]


def _done(store: Store, file: Path, place: str, maps: bool) -> bool:
    row = store.rows.get(place)
    if row is None or row.get("stamp") != _stamp(file) or not (store.out / row["picture"]).is_file():
        return False
    return not maps or ("map" in row and (store.out / row["map"]).is_file())


def _work_off(
    localizer: Localizer, store: Store, work: list[_Work], maps: bool, cards: dict[str, dict], save: Callable[[], None]
) -> list[str]:
    """Localizes what is left to do, into the store and the cards of the sheet; names pictures that cannot be done."""
    bad: dict[str, str] = {}
    written = time.monotonic()
    bar = tqdm(total=len(work), desc="localize", unit=" pictures", disable=len(work) < 2)
    with bar, ThreadPoolExecutor(threads()) as pool:
        for batch in _batches(localizer, work, bad, bar):
            items, pictures, images = zip(*batch, strict=True)
            named = [(item.name, picture) for item, picture in zip(items, pictures, strict=True)]
            results = localizer.batch(named, torch.stack(images))
            saved = [pool.submit(_save, store, *pair, maps) for pair in zip(items, results, strict=True)]
            for item, done in zip(items, saved, strict=True):
                try:
                    store.rows[item.path], cards[item.path] = done.result()
                except OSError as error:
                    if error.errno not in ITS_OWN:
                        raise
                    why = f"cannot be written as {item.drawn} ({error.strerror})"
                    bad[item.path] = f"{item.file}: {why}; rename it, or move what is in the way"
            bar.update(len(batch))
            if time.monotonic() - written > EVERY:  # what is done need not be done again after a stop
                save()
                written = time.monotonic()
    for path in bad:  # an earlier call could read it, and found boxes in another picture
        store.rows.pop(path, None)
    return list(bad.values())


def _batches(
    localizer: Localizer, work: list[_Work], bad: dict[str, str], bar: Any
) -> Iterator[list[tuple[_Work, Image.Image, Tensor]]]:
    """Batches of decoded pictures; threads decode ahead of the network."""

    def decode(i: int) -> tuple[Image.Image, Tensor] | Exception:
        try:
            picture = read_rgb(work[i].file)
            return picture, localizer.seen(picture)
        except READ_ERRORS as error:
            return error

    batch: list[tuple[_Work, Image.Image, Tensor]] = []
    largest = max(in_threads(lambda i: _bytes(work[i].file), len(work), threads()), default=1)
    most = max(1, min(BATCH, ROOM // ((1 + AHEAD) * largest)))
    decoded = in_threads(decode, len(work), threads(), piece=1, ahead=AHEAD * most)
    for item, found in zip(work, decoded, strict=True):
        if isinstance(found, Exception):
            bad[item.path] = f"{item.file}: cannot be read as a picture ({reason(found)})"
            bar.update()
        else:
            batch.append((item, *found))
        if len(batch) == most:
            yield batch
            batch = []
    if batch:
        yield batch


def _bytes(file: Path) -> int:
    """What a picture takes when it is decoded; 1 where its head cannot be read, which decoding will tell."""
    try:
        return max(1, 3 * math.prod(size_of(file)))
    except READ_ERRORS:
        return 1


def _save(store: Store, item: _Work, result: Localization, maps: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Writes what belongs to one picture; its row, and its card for the sheet."""
    out = store.out
    write_aside(out / item.drawn, partial(result.drawn.save, format="PNG", compress_level=1))
    first = result.to_dict()["objects"][0]
    row = {"path": item.path, **result.to_dict(), "class": first["class"], "score": first["score"], "box": first["box"]}
    row |= {"picture": item.drawn, "stamp": _stamp(item.file)}
    if maps:
        row["map"] = map_name(item.drawn)
        write_aside(out / row["map"], partial(np.save, arr=result.scoremap.astype(np.float32)))
    return row, sheet.card(result)


def _tell(out: Path, found: list[dict[str, Any]], skipped: int, contact_sheet: bool) -> None:
    foreign = {one["class"]: None for row in found for one in row["objects"] if not one["class"].isascii()}
    if foreign:
        from cmr.figures.fonts import legible, without_font

        lacking = [name for name in foreign if legible(name)[0] != name]
        if lacking:
            print(f"localize: {without_font(lacking)}", file=sys.stderr)
    for row in found[:SPOKEN]:
        for one in row["objects"]:
            print(f"{row['image']}: {one['class']} ({one['score']:.2f}), box {one['box']}")
    if len(found) > SPOKEN:
        print(f"... and {len(found) - SPOKEN} more picture{'s' * (len(found) > SPOKEN + 1)}")
    if skipped:
        print(f"{skipped} of {len(found)} already done and unchanged")
    print(f"written: {out / 'sheet.html' if contact_sheet else out}")
