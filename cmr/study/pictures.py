"""`cmr localize`: one's own pictures in, annotated pictures and boxes out."""

import itertools
import json
import os
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from tqdm import tqdm

from cmr.config import Range
from cmr.data.images import normalise
from cmr.data.pictures import READ_ERRORS, read_rgb
from cmr.data.split import reason
from cmr.errors import UserError
from cmr.figures.fonts import legible, without_font
from cmr.files import read_regular, write_aside, write_json
from cmr.maps import Localize, locate
from cmr.nets.imagenet import build_classifier, imagenet_classes
from cmr.study import runs

SUFFIXES = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp")
ROWS = "localizations.json"
SIDES = Range(32, 8192)  # all classifiers have a map from the first on


def localize_pictures(
    path: str | Path | Sequence[str | Path],
    out: str | Path = "localized",
    run: str = "",
    backbone: str = "resnet50",
    weights: str = "imagenet",
    image_size: int = 224,
    normalise: str = "minmax",
    threshold: float = 0.2,
    device: str = "auto",
) -> list[dict]:
    """Finds the object in each picture: its class, score and box.

    Args:
        path: a picture, or a folder whose pictures are taken in the order of their names, with those of the folders in
            it; or several of both.
        out: folder for the annotated pictures (PNG) and localizations.json. What an earlier call found for other
            pictures stays there.
        run: folder of a trained run; empty for an ImageNet classifier and its CAM.
        backbone, weights, image_size: of the ImageNet classifier; a run brings its own.
        normalise, threshold: how a map becomes a box (`cmr.maps.locate`).
        device: auto, cpu, cuda, cuda:N or mps.

    Returns:
        One dict per picture: image, path (seen from `out`), class, score in [0, 1], box, xyxy half-open in the
        picture's own pixels, and picture, the name of what was drawn.

    Raises:
        UserError: a setting out of range, no picture there, or an `out` that cannot be used; or, after all others,
            pictures that cannot be read.
    """
    if not 0 <= threshold < 1:
        raise UserError(f"threshold: {threshold} is outside [0, 1)")
    if not run and image_size not in SIDES:
        raise UserError(f"image_size: {image_size} is out of range; give {SIDES}")
    out = Path(out)
    given = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    files = picture_files(given, out)
    _check_out(out, [*given, *(file.parent for file in files)])
    about = {
        "box": "xyxy, half-open, the picture's own pixels",
        "model": Path(run).resolve().name if run else f"{backbone}, {Path(weights).name}, {image_size} pixels",
        "normalise": normalise,
        "threshold": threshold,
    }
    places = {file: _seen_from(out, file) for file in files}
    earlier = _earlier(out)
    kept = [row for row in earlier["localizations"] if row["path"] not in places.values()]
    other = ", ".join(f"{name} {earlier.get(name)}" for name, value in about.items() if earlier.get(name) != value)
    if kept and other:
        raise UserError(f"out: {out / ROWS} holds other pictures ({len(kept)}) with {other}; name another folder")
    target = device_of(device)
    module, call, classes, side = _from_run(run) if run else _from_classifier(backbone, weights, image_size)
    module.to(target)
    out.mkdir(parents=True, exist_ok=True)
    names = drawn_names(files, [row["picture"] for row in kept])
    found, bad = [], []
    for file in tqdm(files, desc="localize", disable=len(files) < 2):
        try:
            picture = read_rgb(file)
        except READ_ERRORS as error:
            bad.append(f"{file}: cannot be read as a picture ({reason(error)})")
            continue
        row, annotated = _located(picture, call, classes, side, target, normalise, threshold)
        write_aside(out / names[file], partial(annotated.save, format="PNG"))
        found.append({"image": files[file], "path": places[file], **row, "picture": names[file]})
    if not found:
        with suppress(OSError):  # it was there before and holds something
            out.rmdir()
        raise UserError("localize: " + "\n".join(bad))
    write_json(out / ROWS, {**about, "localizations": kept + found})
    lacking = list(dict.fromkeys(row["class"] for row in found if legible(row["class"])[0] != row["class"]))
    if lacking:
        print(f"localize: {without_font(lacking)}", file=sys.stderr)
    for row in found:
        print(f"{row['image']}: {row['class']} ({row['score']:.2f}), box {row['box']}")
    if bad:
        raise UserError(f"localize: {len(bad)} of {len(files)} pictures left out:\n  " + "\n  ".join(bad))
    return found


def _located(
    picture: Image.Image,
    call: Localize,
    classes: Sequence[str],
    side: int,
    target: torch.device,
    how: str,
    threshold: float,
) -> tuple[dict[str, Any], Image.Image]:
    """Class, score and box of a picture, the box in its own pixels; and the picture with all of it drawn."""
    small = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)).copy()
    result = localize_one(call, torch.from_numpy(small).permute(2, 0, 1)[None].to(target), how, threshold)
    scale = np.array([picture.width, picture.height] * 2) / side
    x0, y0, x1, y1 = result["box"]
    box = (np.array([x0, y0, x1 + 1, y1 + 1]) * scale).round(1).tolist()  # inclusive pixels -> half-open
    name = classes[result["class"]]
    annotated = annotate(picture, result["scoremap"], box, f"{name}  {result['score']:.2f}")
    return {"class": name, "score": round(result["score"], 4), "box": box}, annotated


def picture_files(given: Sequence[Path], out: Path) -> dict[Path, str]:
    """The pictures, each once, with their names seen from where they were given.

    Args:
        given: pictures, and folders of which those files are taken that end as pictures do, in the order of their
            names, also of folders in them; hidden files and the results of this command are none. Files that are left
            aside are named on the error stream.
        out: where the results go.

    Raises:
        UserError: there is no such file or folder, or a folder has no picture.
    """
    found: dict[Path, tuple[Path, str]] = {}  # by its own place: the file as it was given, and its name
    for path in given:
        if path.is_dir():
            below = [f for f in sorted(path.rglob("*")) if f.is_file()]
            results = {f.parent for f in below if f.name == ROWS or f.parent.resolve() == out.resolve()} - {path}
            below = [f for f in below if not results.intersection(f.parents)]
            inside = [f for f in below if not any(part.startswith(".") for part in f.relative_to(path).parts)]
            files = [f for f in inside if f.suffix.lower() in SUFFIXES]
            if not files:
                raise UserError(f"{path}: no picture there (looked for {', '.join(SUFFIXES)})")
            left = [f.relative_to(path).as_posix() for f in inside if f.suffix.lower() not in SUFFIXES]
            if left:
                more = ", ..." * (len(left) > 5)
                print(f"localize: {path}: no pictures by their names: {', '.join(left[:5])}{more}", file=sys.stderr)
            for file in files:
                found.setdefault(file.resolve(), (file, file.relative_to(path).as_posix()))
        elif path.exists():
            found.setdefault(path.resolve(), (path, path.name))
        else:
            raise UserError(f"{path}: no such picture or folder")
    if not found:
        raise UserError("localize: no picture was named; give pictures or folders")
    return dict(found.values())


def drawn_names(files: Iterable[Path], taken: Iterable[str] = ()) -> dict[Path, str]:
    """What the annotated pictures are called: bird.jpg becomes bird-jpg.png, and bird.JPG beside it bird-jpg-2.png.

    Args:
        files: the pictures.
        taken: names that are in use.

    Example:
        >>> list(drawn_names([Path("a.jpg"), Path("a.JPG"), Path("A.jpg"), Path("a.png")]).values())
        ['a-jpg.png', 'a-jpg-2.png', 'A-jpg-3.png', 'a-png.png']
        >>> list(drawn_names([Path("b/a.jpg")], ["a-jpg.png"]).values())
        ['a-jpg-2.png']
    """
    names: dict[Path, str] = {}
    used = {name.lower() for name in taken}  # some file systems do not tell upper from lower case
    for file in files:
        stem = f"{file.stem}{file.suffix.lower().replace('.', '-')}"
        tries = (f"{stem}.png" if count == 1 else f"{stem}-{count}.png" for count in itertools.count(1))
        names[file] = next(name for name in tries if name.lower() not in used)
        used.add(names[file].lower())
    return names


def device_of(name: str) -> torch.device:
    """The device of this name; `auto` is a GPU where torch sees one.

    Raises:
        UserError: there is no such device here.

    Example:
        >>> device_of("cpu")
        device(type='cpu')
    """
    kind, _, number = name.partition(":")
    if kind not in ("auto", "cpu", "cuda", "mps") or (number and not (kind in ("cuda", "mps") and number.isdigit())):
        raise UserError(f"device: '{name}' is not one of auto, cpu, cuda, cuda:N, mps")
    if kind == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}[kind]
    if int(number or 0) >= there:
        raise UserError(
            f"device: {name} was asked for, but torch sees {there or 'no'} GPU of this kind; take --device cpu"
        )
    return torch.device(name)


def _check_out(out: Path, folders: Iterable[Path]) -> None:
    """Raises `UserError` where results cannot go, or would lie among the pictures."""
    there = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not there.is_dir():
        raise UserError(f"out: {there} is a file; name a folder for what is drawn")
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"out: {there} cannot be written; name another folder for what is drawn")
    if out.resolve() in {folder.resolve() for folder in folders}:
        raise UserError(f"out: {out} is the folder of the pictures; name another for what is drawn")


def _earlier(out: Path) -> dict[str, Any]:
    """What an earlier call left in this folder."""
    try:
        content = json.loads(read_regular(out / ROWS).decode())
        rows = [row | {"path": row.get("path", row["image"])} for row in content["localizations"]]
        if all(isinstance(row["path"], str) and isinstance(row["picture"], str) for row in rows):
            return content | {"localizations": rows}
    except FileNotFoundError:
        return {"localizations": []}
    except (OSError, ValueError, KeyError, TypeError):
        pass
    raise UserError(f"out: {out / ROWS} is not what cmr localize writes; name another folder, or take it away")


def _seen_from(out: Path, file: Path) -> str:
    """The way from the results to the picture: the same from wherever a call is made."""
    try:
        return Path(os.path.relpath(file.resolve(), out.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return file.resolve().as_posix()


@torch.no_grad()
def localize_one(call: Localize, image: Tensor, how: str, threshold: float) -> dict:
    """Class, score, score map (H, W) and box (xyxy inclusive, network pixels) of one uint8 image (1, 3, H, W)."""
    logits, maps = call(normalise(image))
    score, index = logits.float().softmax(1)[0].max(0)
    scoremap = locate.normalise(locate.resize(maps[:, index].float(), image.shape[-1]), how)
    box = locate.largest_box(scoremap, threshold)[0].tolist()
    return {"class": int(index), "score": float(score), "scoremap": scoremap[0].cpu().numpy(), "box": box}


def annotate(picture: Image.Image, scoremap: np.ndarray, box: Sequence[float], text: str) -> Image.Image:
    """The picture with its map laid over it, the box in green and the class above, in letters that a font here has."""
    from matplotlib import colormaps

    heat = Image.fromarray((colormaps["magma"](scoremap)[..., :3] * 255).astype(np.uint8)).resize(
        picture.size, Image.Resampling.BICUBIC
    )
    opacity = Image.fromarray((scoremap * 150).astype(np.uint8)).resize(picture.size, Image.Resampling.BICUBIC)
    result = Image.composite(heat, picture, opacity)
    draw = ImageDraw.Draw(result)
    line = max(2, round(min(picture.size) / 120))
    x0, y0, x1, y1 = box
    draw.rectangle((x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)), outline=(0, 200, 60), width=line)
    text, file = legible(text)
    size = max(11, min(picture.size) // 22)
    font = ImageFont.load_default(size) if text.isascii() else ImageFont.truetype(file, size)
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    at = (min(x0, max(0, picture.width - right - 8)), y0 - bottom - 6 if y0 > bottom + 6 else y0)
    draw.rectangle((at[0], at[1], at[0] + right - left + 8, at[1] + bottom + 6), fill=(0, 90, 30))
    draw.text((at[0] + 4, at[1] + 2), text, fill="white", font=font)
    return result


def _from_run(folder: str) -> tuple[nn.Module, Localize, Sequence[str], int]:
    finished = runs.read(folder)
    classes = finished.record["classes"]
    method = runs.load_method(finished, len(classes))
    return method, method.localize, classes, finished.config.image_size


def _from_classifier(backbone: str, weights: str, side: int) -> tuple[nn.Module, Localize, Sequence[str], int]:
    classifier = build_classifier(backbone, weights).eval()
    return classifier, classifier.cam, imagenet_classes(), side
