"""ILSVRC 2012 (ImageNet, Russakovsky et al. 2015), whole or a part of its classes, in one of two layouts.

With list files in the WSOL benchmark's format (`cmr.data.benchmark`): `<root>/metadata/{train,val,test}/`, the images
elsewhere under the root as the lists say. The benchmark's `val` is ImageNetV2 (train-fullsup), its `test` the official
validation set. A part of the classes has `metadata/classes.txt` with index,wnid,index among the 1,000.

With the official XML: `<root>/Data/CLS-LOC/train/<wnid>/*.JPEG`, `Data/CLS-LOC/val/*.JPEG` (or `val/<wnid>/*.JPEG`, as
PyTorch's loaders want it) and `Annotations/CLS-LOC/val/*.xml`; `test` is the official validation set. Classes are the
wnids in alphabetical order.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from tqdm import tqdm

from cmr.data import benchmark
from cmr.data.lists import check_box, cut, file_bytes, headers, hidden, integer, lines, reals
from cmr.data.split import NO_BOXES, ImageFiles, Split, split_of_files
from cmr.errors import UserError
from cmr.files import read_regular
from cmr.nets.published import imagenet_classes


@dataclass(frozen=True)
class Settings:
    """Where the lists lie, and which training list is used."""

    metadata: str = ""  # folder with train/, val/, test/ list files; empty: <root>/metadata
    proxy: bool = False  # train on the benchmark's tenth of the images, image_ids_proxy.txt


def load(root: str | Path, split: str, settings: Settings | None = None) -> Split:
    """Loads a split from list files where there are any, otherwise from the official XML.

    Boxes are xyxy in original pixels and taken as half-open with the official numbers as they stand, as in the
    benchmark; the XML's xmax and ymax are cut at width - 1 and height - 1 as in the benchmark's lists. (The XML does
    not say whether its last pixel is meant to be inside; reading it so would make each box one pixel wider.)

    Args:
        root: the folder of the data set.
        split: "train", "val" (list files only) or "test".
        settings: see `Settings`.

    Returns:
        The split, named "ILSVRC" when there are 1,000 classes and "ILSVRC-K" for a part with K.

    Raises:
        UserError: when neither layout is found, a list or annotation is wrong, or an image is missing.
    """
    root, settings = Path(root), settings or Settings()
    metadata = Path(settings.metadata) if settings.metadata else root / "metadata"
    if metadata.is_dir():
        return _from_lists(root, metadata / split, split, settings)
    if (root / "Data" / "CLS-LOC").is_dir() and not settings.metadata:
        return _from_xml(root, split)
    raise UserError(
        f"{root}: neither list files ({metadata}/{split}) nor the official layout (Data/CLS-LOC) is there; "
        "give the folder that holds one of them"
    )


def _from_lists(root: Path, folder: Path, split: str, settings: Settings) -> Split:
    classes_list = folder.parent / "classes.txt"
    classes = _classes(classes_list)
    proxy = settings.proxy and split == "train"
    files, labels, numbers = benchmark.labelled(folder, root, "image_ids_proxy.txt" if proxy else "image_ids.txt")
    benchmark.check_labels(
        folder, labels, numbers, len(classes), f"{classes_list}" if classes_list.exists() else "ILSVRC"
    )
    sizes, content = benchmark.sizes_and_bytes(folder, files)
    notes: list[str] = []
    boxes = benchmark.boxes(folder, files, sizes, notes)
    return split_of_files(_name(classes), split, files, labels, sizes, boxes, classes, content, notes=notes)


def _classes(path: Path) -> tuple[str, ...]:
    """Names the classes: the 1,000, or those of `classes.txt` (index, wnid, index among the 1,000)."""
    thousand = imagenet_classes()
    if not path.exists():
        return thousand
    names: list[str] = []
    for number, fields in lines(path, ",", (2, 3)):
        if integer(fields[0], "class index", path, number) != len(names):
            raise UserError(
                f"{path}, line {number}: class index {fields[0]}, expected {len(names)} (0, 1, 2, ... in order)"
            )
        index = integer(fields[2], "class index", path, number) if len(fields) == 3 else -1
        names.append(thousand[index] if 0 <= index < len(thousand) else fields[1])
    return tuple(names)


def _from_xml(root: Path, split: str) -> Split:
    train = root / "Data" / "CLS-LOC" / "train"
    annotations = root / "Annotations" / "CLS-LOC" / "val"
    if split == "val":
        raise UserError(
            "split 'val': the official layout has train and test (its validation set); "
            "the benchmark's val is ImageNetV2 and needs the list files"
        )
    wnids = _folders(train)
    if split == "train":
        if not wnids:
            raise UserError(f"{train}: there is no class folder here; unpack the training images to <wnid>/*.JPEG")
        images = {wnid: _images(train / wnid) for wnid in wnids}
        pairs = [(f"{wnid}/{name}", k) for k, wnid in enumerate(wnids) for name in images[wnid]]
        if not pairs:
            raise UserError(f"{train}: the class folders hold no image")
        for wnid in wnids:
            if not images[wnid]:
                raise UserError(f"{train / wnid}: the class folder holds no image; fill it or remove it")
        files = ImageFiles(train, tuple(name for name, _ in pairs))
        labels = np.array([k for _, k in pairs], np.int64)
        sizes, boxes, notes = headers(files), (NO_BOXES,) * len(pairs), []
    else:
        names = sorted(entry.name for entry in os.scandir(annotations)) if annotations.is_dir() else []
        names = [name for name in names if name.endswith(".xml") and not hidden(name)]
        if not names:
            raise UserError(f"{annotations}: there is no annotation (*.xml) here")
        read = [read_xml(annotations / name) for name in tqdm(names, "reading annotations", unit="image", delay=2)]
        # Without the training folders the validation set itself says which classes there are.
        wnids = wnids or sorted({wnid for wnid, *_ in read})
        index = {wnid: k for k, wnid in enumerate(wnids)}
        for name, (wnid, *_) in zip(names, read, strict=True):
            if wnid not in index:
                raise UserError(f"{annotations / name}: class '{wnid}' has no folder in {train}")
        val = root / "Data" / "CLS-LOC" / "val"
        stored = [name.removesuffix(".xml") + ".JPEG" for name in names]
        if _folders(val):  # the images may be sorted into them
            sorted_in = [f"{wnid}/{name}" for name, (wnid, *_) in zip(stored, read, strict=True)]
            stored = [b if (val / b).exists() else a for a, b in zip(stored, sorted_in, strict=True)]
        files = ImageFiles(val, tuple(stored))
        labels = np.array([index[wnid] for wnid, *_ in read], np.int64)
        sizes = np.array([size for _, size, _, _ in read], np.int64)
        boxes = tuple(found for _, _, found, _ in read)
        given = [box for *_, listed in read for box in listed]
        notes = cut(given, [box for some in boxes for box in some.tolist()], annotations, clip=True)
    classes = imagenet_classes() if len(wnids) == 1000 else tuple(wnids)
    return split_of_files(_name(classes), split, files, labels, sizes, boxes, classes, file_bytes(files), notes=notes)


def _folders(folder: Path) -> list[str]:
    """The class folders; hidden ones (`.ipynb_checkpoints`) are none."""
    entries = os.scandir(folder) if folder.is_dir() else ()
    return sorted(entry.name for entry in entries if entry.is_dir() and not hidden(entry.name))


def _images(folder: Path) -> list[str]:
    names = [entry.name for entry in os.scandir(folder) if not hidden(entry.name)]
    return sorted(name for name in names if name.lower().endswith((".jpeg", ".jpg", ".png")))


def read_xml(path: Path) -> tuple[str, tuple[int, int], np.ndarray, list[list[float]]]:
    """Reads one official annotation.

    Args:
        path: the XML file.

    Returns:
        The wnid, the image's width and height, its boxes (k, 4) xyxy, half-open, original pixels, and the k boxes as
        the file has them, not cut.

    Raises:
        UserError: when it is no such annotation, has no object, or a box is wrong.
    """
    try:
        data = read_regular(path)
        tree = ElementTree.fromstring(data)
    except (OSError, ElementTree.ParseError) as error:
        raise UserError(f"{path}: cannot be read as XML ({error})") from error
    objects = list(tree.iter("object"))
    # The parser keeps no line numbers; an object begins where its tag stands.
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n"))
    begun = [match.start() for match in re.finditer(rb"<object\b", data)]
    starts = (np.searchsorted(ends, begun) + 1).tolist() if len(begun) == len(objects) else [1] * len(objects)

    def text(node: ElementTree.Element | None, tag: str, line: int, within: str = "") -> str:
        found = None if node is None else node.findtext(tag)
        if found is None:
            raise UserError(f"{path}, line {line}: <{within}{tag}> is missing; is this an annotation of ILSVRC?")
        return found.strip()

    width, height = (integer(text(tree, f"size/{side}", 1), side, path, 1) for side in ("width", "height"))
    if min(width, height) < 1:
        raise UserError(
            f"{path}, line 1: an image of {width}x{height} pixels is not possible; write the picture's size"
        )
    names, given, found = set(), [], []
    for item, line in zip(objects, starts, strict=True):
        names.add(text(item, "name", line))
        box = item.find("bndbox")  # and not the path bndbox/xmin below, which takes ten times as long
        corners = [text(box, side, line, "bndbox/") for side in ("xmin", "ymin", "xmax", "ymax")]
        given.append(reals(corners, "box", path, line))
        found.append(check_box(given[-1], (width, height), path, line, clip=True))
    if len(names) != 1:
        listed = ", ".join(sorted(names)) or "none"
        raise UserError(f"{path}: objects of {len(names)} classes ({listed}); expected exactly one class")
    return names.pop(), (width, height), np.array(found), given


def _name(classes: tuple[str, ...]) -> str:
    return "ILSVRC" if len(classes) == 1000 else f"ILSVRC-{len(classes)}"
