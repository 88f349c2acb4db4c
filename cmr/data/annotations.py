"""True boxes as annotation tools write them: one COCO file for all pictures, or a VOC file beside each."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from cmr.data.lists import normal
from cmr.errors import UserError, shown
from cmr.files import read_regular

COCO = "boxes.json"


@dataclass
class Annotation:
    """What an annotation tool says of one picture.

    Attributes:
        size: width and height in pixels of the picture that the tool showed; None where it does not say.
        boxes: x0, y0, x1, y1, half-open, in pixels of that picture.
        crowds: regions with many objects, which are none of the boxes.
    """

    size: tuple[int, int] | None = None
    boxes: list[list[float]] = field(default_factory=list)
    crowds: int = 0


def coco_boxes(path: Path) -> dict[str, Annotation]:
    """Reads the boxes of a COCO file; what they show is not read, and one round a crowd is left out.

    Args:
        path: the file; each box is x, y, width, height in pixels.

    Returns:
        What is said of each picture by its `file_name`, in the file's order.

    Raises:
        UserError: no such JSON, or an annotation without a box of four finite numbers, or of an unknown picture.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "boxes.json"
        >>> _ = path.write_text('{"images": [{"id": 7, "file_name": "owl/a.jpg"}], '
        ...                     '"annotations": [{"image_id": 7, "bbox": [1, 2, 30, 40]}]}')
        >>> coco_boxes(path)["owl/a.jpg"].boxes
        [[1.0, 2.0, 31.0, 42.0]]
    """
    try:
        content = json.loads(read_regular(path).decode("utf-8-sig"))
        pairs = [(image["id"], normal(image["file_name"])) for image in content["images"]]
        names = dict(pairs)
        sizes = [_size(image.get("width"), image.get("height")) for image in content["images"]]
        found = {name: Annotation(size) for (_number, name), size in zip(pairs, sizes, strict=True)}
        annotations = list(content["annotations"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            f"{path}: not a COCO file ({type(error).__name__}: {shown(str(error))}); it needs 'images' with id and "
            "file_name, and 'annotations' with image_id and bbox"
        ) from error
    if len(names) < len(pairs):
        twice = next(name for number, name in pairs if names[number] != name or pairs.count((number, name)) > 1)
        raise UserError(f"{path}: '{twice}' has the id of another of its images; give each one of its own")
    for place, one in enumerate(annotations, 1):
        try:
            name = names[one["image_id"]]
            x, y, width, height = _numbers(one["bbox"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise UserError(
                f"{path}, annotation {place}: it needs the image_id of one of the images and a bbox of four numbers, "
                "x, y, width and height"
            ) from error
        if one.get("iscrowd"):
            found[name].crowds += 1
        else:
            found[name].boxes.append([x, y, x + width, y + height])
    return found


def voc_boxes(path: Path) -> Annotation:
    """Reads the boxes of a VOC file: whole pixels counted from 1, both ends inside.

    Args:
        path: the file of one picture.

    Returns:
        What is said of it, with boxes counted from 0.

    Raises:
        UserError: no such XML, or an object without its four sides.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.xml"
        >>> sides = "<xmin>2</xmin><ymin>3</ymin><xmax>31</xmax><ymax>42</ymax>"
        >>> _ = path.write_text(f"<annotation><object><bndbox>{sides}</bndbox></object></annotation>")
        >>> voc_boxes(path)
        Annotation(size=None, boxes=[[1.0, 2.0, 31.0, 42.0]], crowds=0)
    """
    content = read_regular(path)
    try:
        if b"\0" in content:
            raise ValueError("it is not text in UTF-8")
        if b"<!" in content.replace(b"<!--", b""):  # a declaration may define entities that fill the memory
            raise ValueError("it declares a document type or entities; take that out")
        root = ElementTree.fromstring(content)
        objects, size = root.findall("object"), _size(root.findtext("size/width"), root.findtext("size/height"))
        sides = [[one.findtext(f"bndbox/{side}", "") for side in ("xmin", "ymin", "xmax", "ymax")] for one in objects]
        return Annotation(size, [[x0 - 1, y0 - 1, x1, y1] for x0, y0, x1, y1 in map(_numbers, sides)])
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise UserError(
            f"{path}: not a VOC file ({shown(str(error))}); each object needs a bndbox with xmin, ymin, xmax and ymax"
        ) from error


def _size(width: Any, height: Any) -> tuple[int, int] | None:
    """Both sides as whole numbers above 0; None where a tool left them out or wrote 0."""
    try:
        size = int(width), int(height)
    except (ValueError, TypeError, OverflowError):
        return None
    return size if min(size) > 0 else None


def _numbers(values: Any) -> list[float]:
    """Four finite numbers. Raises `ValueError` or `TypeError` for anything else."""
    if isinstance(values, str):
        raise TypeError(f"{values} is one text")
    found = [float(value) for value in values]
    if len(found) != 4 or not all(abs(value) < float("inf") for value in found):
        raise ValueError(f"{values} is not made of four finite numbers")
    return found
