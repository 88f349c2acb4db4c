"""The boxes as other tools read them: COCO, YOLO, Pascal VOC, and a table."""

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from xml.etree import ElementTree

from cmr.errors import UserError
from cmr.files import write_aside, write_json
from cmr.pictures.find import left_over, stem

Rows = Sequence[dict[str, Any]]
ABOUT_YOLO = "# Put the pictures into a folder images beside this file, under the names that the labels have.\n"
COLUMNS = ("image", "width", "height", "class", "score", "x0", "y0", "x1", "y1")


def own_names(rows: Rows) -> list[str]:
    """What each picture is called in a file for other tools: its name, with as many of its folders as tell it apart.

    Example:
        >>> paths = "../mix/a/x.jpg", "../mix/b/x.jpg", "../y.jpg"
        >>> own_names([{"image": path.rpartition("/")[2], "path": path} for path in paths])
        ['a/x.jpg', 'b/x.jpg', 'y.jpg']
    """
    names = [row["image"] for row in rows]
    parts = [[part for part in row["path"].split("/") if part not in ("..", "")] for row in rows]
    depths = [name.count("/") + 1 for name in names]
    while again := [i for i, name in enumerate(names) if names.count(name) > 1 and depths[i] < len(parts[i])]:
        for i in again:
            depths[i] += 1
            names[i] = "/".join(parts[i][-depths[i] :])
    return names


def used_classes(rows: Rows) -> dict[int, str]:
    """Numbers and names of the classes that occur, in the order of their numbers."""
    return dict(sorted({one["index"]: one["class"] for row in rows for one in row["objects"]}.items()))


def write_coco(out: Path, rows: Rows) -> None:
    """Writes `coco.json`: images, annotations (`bbox` is x, y, width, height), categories numbered from 1."""
    categories = {index: number for number, index in enumerate(used_classes(rows), start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, row) in enumerate(zip(own_names(rows), rows, strict=True), start=1):
        images.append({"id": number, "file_name": name, "width": row["width"], "height": row["height"]})
        for one in row["objects"]:
            x0, y0, x1, y1 = one["box"]
            width, height = round(x1 - x0, 1), round(y1 - y0, 1)
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": number,
                    "category_id": categories[one["index"]],
                    "bbox": [x0, y0, width, height],
                    "area": round(width * height, 2),
                    "iscrowd": 0,
                    "score": one["score"],
                }
            )
    named = [{"id": categories[index], "name": name} for index, name in used_classes(rows).items()]
    write_json(out / "coco.json", {"images": images, "annotations": annotations, "categories": named})


def write_yolo(out: Path, rows: Rows) -> None:
    """Writes `yolo/labels/NAME.txt`, lines of class, centre and size as shares of the picture; and `yolo/data.yaml`.

    Raises:
        UserError: two pictures that differ in nothing but their ending: YOLO has one file of labels for both.
    """
    names = own_names(rows)
    files = _yolo_files(rows)
    if twice := next((i for i, file in enumerate(files) if file in files[:i]), None):
        first = names[files.index(files[twice])]
        raise UserError(f"format yolo: {first} and {names[twice]} would share one file of labels; rename one of them")
    classes = used_classes(rows)
    numbers = {index: number for number, index in enumerate(classes)}
    for file, row in zip(files, rows, strict=True):
        lines = []
        for one in row["objects"]:
            x0, y0, x1, y1 = one["box"]
            width, height = row["width"], row["height"]
            place = ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
            lines.append(" ".join([str(numbers[one["index"]]), *(f"{value:.6f}" for value in place)]))
        write_aside(out / file, ("\n".join(lines) + "\n").encode())
    # JSON text is YAML text too, so names need no quoting of their own
    named = "".join(f"  {numbers[index]}: {json.dumps(name, ensure_ascii=False)}\n" for index, name in classes.items())
    write_aside(
        out / "yolo" / "data.yaml", f"{ABOUT_YOLO}path: .\ntrain: images\nval: images\nnames:\n{named}".encode()
    )


def _yolo_files(rows: Rows) -> list[str]:
    return [f"yolo/labels/{PurePosixPath(name).with_suffix('').as_posix()}.txt" for name in own_names(rows)]


def write_voc(out: Path, rows: Rows) -> None:
    """Writes `voc/NAME.xml`: whole pixels counted from 1, both ends inside the box."""
    for file, name, row in zip(_voc_files(rows), own_names(rows), rows, strict=True):
        root = ElementTree.Element("annotation")
        unicode = name.encode("utf-8", "backslashreplace").decode()  # a file's name need not be, XML is
        ElementTree.SubElement(root, "filename").text = unicode
        size = ElementTree.SubElement(root, "size")
        for side, value in (("width", row["width"]), ("height", row["height"]), ("depth", 3)):
            ElementTree.SubElement(size, side).text = str(value)
        for one in row["objects"]:
            item = ElementTree.SubElement(root, "object")
            ElementTree.SubElement(item, "name").text = one["class"]
            for mark in ("truncated", "difficult"):
                ElementTree.SubElement(item, mark).text = "0"
            box = ElementTree.SubElement(item, "bndbox")
            x0, y0, x1, y1 = (round(value) for value in one["box"])
            whole = (min(x0 + 1, row["width"]), min(y0 + 1, row["height"]), max(x1, x0 + 1), max(y1, y0 + 1))
            for end, value in zip(("xmin", "ymin", "xmax", "ymax"), whole, strict=True):
                ElementTree.SubElement(box, end).text = str(value)
        ElementTree.indent(root)
        content = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
        write_aside(out / file, content)


def _voc_files(rows: Rows) -> list[str]:
    return [f"voc/{stem(row['picture'])}.xml" for row in rows]


def write_csv(out: Path, rows: Rows) -> None:
    """Writes `boxes.csv`: one line per object, boxes half-open in the picture's pixels."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for name, row in zip(own_names(rows), rows, strict=True):
        for one in row["objects"]:
            table.writerow([name, row["width"], row["height"], one["class"], one["score"], *one["box"]])
    write_aside(out / "boxes.csv", text.getvalue().encode("utf-8", "surrogateescape"))  # a name need not be UTF-8


PLACES = {"coco": "coco.json", "yolo": "yolo", "voc": "voc", "csv": "boxes.csv"}
FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    "coco": write_coco,
    "yolo": write_yolo,
    "voc": write_voc,
    "csv": write_csv,
}
FILES = {"yolo": _yolo_files, "voc": _voc_files}  # of the formats with a file for each picture


def write(name: str, out: Path, rows: Rows, earlier: Rows) -> None:
    """Writes the files of a format.

    Args:
        name: one of `FORMATS`.
        out: the folder of the results.
        rows: all pictures, as localizations.json has them.
        earlier: those for which the format was written before. Files of pictures that are gone or have another name are
            removed; files of somebody else beside them stay.

    Raises:
        UserError: the format cannot hold these pictures.
    """
    if name in FILES:
        for file in left_over(FILES[name](earlier), FILES[name](rows)):
            (out / file).unlink(missing_ok=True)
    FORMATS[name](out, rows)
