"""`cmr localize`: one's own pictures in, annotated pictures and boxes out."""

from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor, nn
from tqdm import tqdm

from cmr import assemble
from cmr.assemble import make
from cmr.data.images import normalise
from cmr.data.pictures import READ_ERRORS, read_rgb
from cmr.data.split import reason
from cmr.errors import UserError
from cmr.files import write_aside, write_json
from cmr.maps import Localize, locate
from cmr.nets.imagenet import build_classifier, imagenet_classes
from cmr.study import runs

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")


def localize_pictures(
    path: str,
    out: str = "localized",
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
        path: a picture, or a folder whose pictures are taken in the order of their names.
        out: folder for the annotated pictures (PNG) and localizations.json.
        run: folder of a trained run; empty for an ImageNet classifier and its CAM.
        backbone, weights, image_size: of the ImageNet classifier; a run brings its own.
        normalise, threshold: how a map becomes a box (`cmr.maps.locate`).
        device: auto, cpu or cuda.

    Returns:
        One dict a picture: image, class, score in [0, 1], and box, xyxy half-open in the picture's own pixels.

    Raises:
        UserError: no picture there; or, after all others, those that cannot be read.
    """
    if not 0 <= threshold < 1:
        raise UserError(f"threshold: {threshold} is outside [0, 1)")
    files = picture_files(Path(path))
    if Path(out).resolve() == Path(path).resolve():
        raise UserError(f"out: {out} is the folder of the pictures; name another for what is drawn")
    target = assemble.make_fabric(make("tiny", device=device)).device
    module, call, classes, side = _from_run(run) if run else _from_classifier(backbone, weights, image_size)
    module.to(target)
    Path(out).mkdir(parents=True, exist_ok=True)
    names = drawn_names(files)
    found, bad = [], []
    for file in tqdm(files, desc="localize", disable=len(files) < 2):
        try:
            picture = read_rgb(file)
        except READ_ERRORS as error:
            bad.append(f"{file}: cannot be read as a picture ({reason(error)})")
            continue
        small = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)).copy()
        result = localize_one(call, torch.from_numpy(small).permute(2, 0, 1)[None].to(target), normalise, threshold)
        scale = np.array([picture.width, picture.height] * 2) / side
        x0, y0, x1, y1 = result["box"]
        box = (np.array([x0, y0, x1 + 1, y1 + 1]) * scale).round(1).tolist()  # inclusive pixels -> half-open
        name = classes[result["class"]]
        annotated = annotate(picture, result["scoremap"], box, f"{name}  {result['score']:.2f}")
        write_aside(Path(out) / names[file], partial(annotated.save, format="PNG"))
        row = {"image": file.name, "class": name, "score": round(result["score"], 4), "box": box}
        found.append(row | {"picture": names[file]})
    if not found:
        with suppress(OSError):  # it was there before and holds something
            Path(out).rmdir()
        raise UserError("localize: " + "\n".join(bad))
    about = {"box": "xyxy, half-open, the picture's own pixels", "normalise": normalise, "threshold": threshold}
    write_json(Path(out) / "localizations.json", {**about, "localizations": found})
    for row in found:
        print(f"{row['image']}: {row['class']} ({row['score']:.2f}), box {row['box']}")
    if bad:
        raise UserError(f"localize: {len(bad)} of {len(files)} pictures left out:\n  " + "\n  ".join(bad))
    return found


def picture_files(path: Path) -> list[Path]:
    """The picture itself, or the pictures of a folder in the order of their names; hidden files are none."""
    if path.is_dir():
        files = sorted(f for f in path.iterdir() if f.suffix.lower() in SUFFIXES and not f.name.startswith("."))
        if not files:
            raise UserError(f"{path}: no picture there (looked for {', '.join(SUFFIXES)})")
        return files
    if not path.exists():
        raise UserError(f"{path}: no such picture or folder")
    return [path]


def drawn_names(files: Sequence[Path]) -> dict[Path, str]:
    """What the annotated pictures are called: bird.jpg becomes bird-jpg.png, and bird.JPG beside it bird-jpg-2.png.

    Example:
        >>> list(drawn_names([Path("a.jpg"), Path("a.JPG"), Path("A.jpg"), Path("a.png")]).values())
        ['a-jpg.png', 'a-jpg-2.png', 'A-jpg-3.png', 'a-png.png']
    """
    names: dict[Path, str] = {}
    taken: Counter[str] = Counter()
    for file in files:
        name = f"{file.stem}{file.suffix.lower().replace('.', '-')}"
        taken[name.lower()] += 1  # some file systems do not tell upper from lower case
        count = taken[name.lower()]
        names[file] = f"{name}.png" if count == 1 else f"{name}-{count}.png"
    return names


@torch.no_grad()
def localize_one(call: Localize, image: Tensor, how: str, threshold: float) -> dict:
    """Class, score, score map (H, W) and box (xyxy inclusive, network pixels) of one uint8 image (1, 3, H, W)."""
    logits, maps = call(normalise(image))
    score, index = logits.float().softmax(1)[0].max(0)
    scoremap = locate.normalise(locate.resize(maps[:, index].float(), image.shape[-1]), how)
    box = locate.largest_box(scoremap, threshold)[0].tolist()
    return {"class": int(index), "score": float(score), "scoremap": scoremap[0].cpu().numpy(), "box": box}


def annotate(picture: Image.Image, scoremap: np.ndarray, box: Sequence[float], text: str) -> Image.Image:
    """The picture with its map laid over it, the box in green and the class above."""
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
    font = ImageFont.load_default(max(11, min(picture.size) // 22))
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
