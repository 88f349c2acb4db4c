"""`cmr localize`: one's own pictures in, annotated pictures and boxes out."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps, UnidentifiedImageError
from torch import Tensor, nn
from tqdm import tqdm

from cmr import assemble
from cmr.assemble import make
from cmr.data.images import normalise
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
        UserError: no picture there, or one that cannot be read.
    """
    if not 0 <= threshold < 1:
        raise UserError(f"threshold: {threshold} is outside [0, 1)")
    files = picture_files(Path(path))
    target = assemble.make_fabric(make("tiny", device=device)).device
    module, call, classes, side = _from_run(run) if run else _from_classifier(backbone, weights, image_size)
    module.to(target)
    found = []
    for file in tqdm(files, desc="localize", disable=len(files) < 2):
        picture = read_picture(file)
        small = np.asarray(picture.resize((side, side), Image.Resampling.BILINEAR)).copy()
        result = localize_one(call, torch.from_numpy(small).permute(2, 0, 1)[None].to(target), normalise, threshold)
        scale = np.array([picture.width, picture.height] * 2) / side
        x0, y0, x1, y1 = result["box"]
        box = (np.array([x0, y0, x1 + 1, y1 + 1]) * scale).round(1).tolist()  # inclusive pixels -> half-open
        name = classes[result["class"]]
        annotated = annotate(picture, result["scoremap"], box, f"{name}  {result['score']:.2f}")
        destination = Path(out) / f"{file.stem}{file.suffix.lower().replace('.', '-')}.png"
        write_aside(destination, partial(annotated.save, format="PNG"))
        found.append(
            {
                "image": file.name,
                "class": name,
                "score": round(result["score"], 4),
                "box": box,
                "picture": destination.name,
            }
        )
    about = {"box": "xyxy, half-open, the picture's own pixels", "normalise": normalise, "threshold": threshold}
    write_json(Path(out) / "localizations.json", {**about, "localizations": found})
    for row in found:
        print(f"{row['image']}: {row['class']} ({row['score']:.2f}), box {row['box']}")
    return found


def picture_files(path: Path) -> list[Path]:
    """The picture itself, or the pictures of a folder in the order of their names."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such picture or folder")
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
    if not files:
        raise UserError(f"{path}: no picture there (looked for {', '.join(SUFFIXES)})")
    return files


def read_picture(path: Path) -> Image.Image:
    """Reads a picture as RGB, turned as its camera says."""
    try:
        with Image.open(path) as image:
            return ImageOps.exif_transpose(image).convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path}: cannot be read as a picture ({error})") from None


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
    draw.rectangle((x0, y0, x1 - 1, y1 - 1), outline=(0, 200, 60), width=line)
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
