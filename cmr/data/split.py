"""What every data set hands over: one split with ids, labels, sizes, boxes and a way to read each image."""

import hashlib
import os
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from cmr.data.pictures import READ_ERRORS, read_rgb, size_of
from cmr.errors import UserError

#: The splits a data set may have: `train` is learned from, `val` chooses settings, `test` is reported.
SPLITS = ("train", "val", "test")

#: The box array of an image without a box; shared, since a million images may have none.
NO_BOXES = np.zeros((0, 4))
NO_BOXES.flags.writeable = False


def reason(error: Exception) -> str:
    """Gives what PIL says without the path, which it puts last: "cannot identify image file '/a/b.jpg'"."""
    return str(error).split(" '")[0] or type(error).__name__


@dataclass(frozen=True)
class Split:
    """One split of one data set; loaders make it, everything else only reads it.

    Args:
        dataset: the name printed beside every number ("CUB-200-2011", "CUB-50", "ToyBirds").
        split: "train", "val" or "test".
        ids: n unique image ids (a path relative to the data root, or a generated name).
        labels: (n,) int64, class indices 0 to K-1.
        sizes: (n, 2) int64, width and height of the original image: the pixels that the boxes are in.
        boxes: n arrays (k, 4) float64, xyxy in original pixels, half-open (x1 = x0 + width);
            k is 0 where the lists give no box.
        classes: K class names.
        read: i -> (H, W, 3) uint8 RGB. The stored image may have another size than `sizes` says
            (data sets that are kept small); boxes are then scaled by the ratio.
        fingerprint: 16 hex digits over what the split holds, from `fingerprint`.
        masks: i -> (H, W) bool, the pixels of the object; None where the data set has no masks.
        ignore: i -> (H, W) bool, pixels that are not scored; None where there are none.
        parts: i -> (P, H, W) bool, the visible pixels of each part; None where there are none.
        part_names: P names.
        notes: what the loader cut or passed over; `cmr data check` prints it.

    Raises:
        ValueError: when the lengths or shapes of the fields do not agree (a loader's defect).

    Example:
        >>> import numpy as np
        >>> grey = np.full((8, 10, 3), 128, np.uint8)
        >>> split = Split("Grey", "test", ("a", "b"), np.array([0, 1]), np.array([[10, 8], [10, 8]]),
        ...               (np.array([[1.0, 2.0, 5.0, 6.0]]), NO_BOXES), ("dull", "duller"), lambda i: grey, "0" * 16)
        >>> len(split), split.read(0).shape, split.subset([1]).ids
        (2, (8, 10, 3), ('b',))
    """

    dataset: str
    split: str
    ids: tuple[str, ...]
    labels: np.ndarray
    sizes: np.ndarray
    boxes: tuple[np.ndarray, ...]
    classes: tuple[str, ...]
    read: Callable[[int], np.ndarray] = field(repr=False)
    fingerprint: str
    masks: Callable[[int], np.ndarray] | None = field(default=None, repr=False)
    ignore: Callable[[int], np.ndarray] | None = field(default=None, repr=False)
    parts: Callable[[int], np.ndarray] | None = field(default=None, repr=False)
    part_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        n = len(self.ids)
        if self.labels.shape != (n,) or self.sizes.shape != (n, 2) or len(self.boxes) != n:
            raise ValueError(
                f"Split {self.dataset}/{self.split}: {n} ids, labels {self.labels.shape}, "
                f"sizes {self.sizes.shape}, {len(self.boxes)} box arrays"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def subset(self, index: Sequence[int] | np.ndarray | slice) -> "Split":
        """Makes the split of some of the images, in the order given.

        Args:
            index: image positions, a boolean mask of n, or a slice.

        Returns:
            A split with its own fingerprint; class indices and class names stay.

        Raises:
            IndexError: when a position lies outside the split.
        """
        index = np.arange(len(self))[index]
        labels, sizes = self.labels[index], self.sizes[index]
        digest = hashlib.sha256(self.fingerprint.encode() + index.astype("<i8").tobytes())
        return replace(
            self,
            ids=tuple(self.ids[i] for i in index),
            labels=labels,
            sizes=sizes,
            boxes=tuple(self.boxes[i] for i in index),
            read=self.read.picked(index) if isinstance(self.read, ImageFiles) else _Picked(self.read, index),
            fingerprint=digest.hexdigest()[:16],
            masks=self.masks and _Picked(self.masks, index),
            ignore=self.ignore and _Picked(self.ignore, index),
            parts=self.parts and _Picked(self.parts, index),
        )


@dataclass(frozen=True)
class _Picked:
    """A reader seen through a choice of images; an object and not a closure, so that it can be pickled."""

    read: Callable[[int], np.ndarray]
    index: np.ndarray

    def __call__(self, i: int) -> np.ndarray:
        return self.read(int(self.index[i]))


def fingerprint(
    ids: Sequence[str],
    labels: np.ndarray,
    sizes: np.ndarray,
    boxes: Sequence[np.ndarray],
    content: np.ndarray | bytes = b"",
) -> str:
    """Names the content of a split, so that a record can say what it was made on.

    Args:
        ids: n image ids.
        labels: (n,) class indices.
        sizes: (n, 2) widths and heights.
        boxes: n arrays (k, 4).
        content: what stands for the pixels: the files' sizes in bytes as an integer array (n,), or for
            generated images the settings and seed that make them, as bytes.

    Returns:
        16 hex digits of a SHA-256, the same on every machine.

    Example:
        >>> one = fingerprint(["a"], np.array([0]), np.array([[4, 4]]), [NO_BOXES])
        >>> two = fingerprint(["a"], np.array([1]), np.array([[4, 4]]), [NO_BOXES])
        >>> len(one), one == two
        (16, False)
    """
    digest = hashlib.sha256()
    counts = np.array([len(b) for b in boxes], dtype="<i8")
    flat = np.concatenate([NO_BOXES, *boxes]).astype("<f8")
    if isinstance(content, np.ndarray):
        content = content.astype("<i8").tobytes()
    names = "\n".join(ids).encode("utf-8", "surrogateescape")
    numbers = (np.asarray(labels, "<i8").tobytes(), np.asarray(sizes, "<i8").tobytes())
    for part in (names, *numbers, counts.tobytes(), flat.tobytes(), content):
        # The length goes first: otherwise bytes could move from one part to the next unseen.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()[:16]


@dataclass(frozen=True)
class ImageFiles:
    """Reads image i from its file; a file that cannot be read is an error that names its line in the list.

    Args:
        root: the folder that the names start from.
        names: n file names relative to it.
        list_file: the list that names them; None where the folder itself is the list.
        lines: (n,) their line numbers in it, from 1; None without a list.
        upright: turn the image as its EXIF orientation says. The benchmarks' boxes are in the pixels
            as stored, so only one's own photographs are turned.

    Raises:
        UserError: on calling, when the file is missing, broken or cut short.
    """

    root: Path
    names: tuple[str, ...]
    list_file: Path | None = None
    lines: np.ndarray | None = None
    upright: bool = False

    def __call__(self, i: int) -> np.ndarray:
        try:
            return np.array(read_rgb(self.root / self.names[i], self.upright))
        except READ_ERRORS as error:
            raise self.error(i, error) from error

    def picked(self, index: np.ndarray) -> "ImageFiles":
        """The reader of some of the files, in the order of `index`."""
        lines = None if self.lines is None else self.lines[index]
        return replace(self, names=tuple(self.names[i] for i in index), lines=lines)

    def size(self, i: int) -> tuple[int, int]:
        """Gives width and height of image i from the file's header, without decoding the image."""
        try:
            return size_of(self.root / self.names[i], self.upright)
        except READ_ERRORS as error:
            raise self.error(i, error) from error

    def error(self, i: int, error: Exception) -> UserError:
        """Makes the error for file i, naming the line of the list that asks for it."""
        place = self.place(i)
        remedy = f"replace the file or remove {'the line' if place else 'it'}"
        if isinstance(error, FileNotFoundError):
            what, twin = "there is no such file", _lookalike(self.root, self.names[i])
            remedy = f"{twin}; write both alike" if twin else remedy
        else:
            what = f"cannot be read as an image ({reason(error)})"
        return UserError(f"{self.root / self.names[i]}: {what}{place}; {remedy}")

    def place(self, i: int) -> str:
        """Says which line of the list names file i, as " (list.txt, line 3)"; nothing without a list."""
        return "" if self.list_file is None or self.lines is None else f" ({self.list_file}, line {self.lines[i]})"


def _lookalike(root: Path, name: str) -> str:
    """Says which file or folder has the name that is missing but for case, or but for how its accents are stored."""
    for part in name.split("/"):
        if not (root / part).exists():
            break
        root /= part
    wanted = unicodedata.normalize("NFC", part)
    for found in sorted(os.listdir(root)) if os.access(root, os.R_OK) and root.is_dir() else []:
        stored = unicodedata.normalize("NFC", found)
        if stored.casefold() == wanted.casefold():
            what = "how its accents are stored (Unicode NFC and NFD)" if stored == wanted else "upper and lower case"
            return f"there is '{root / found}', which differs only in {what}"
    return ""


def split_of_files(
    dataset: str,
    split: str,
    files: ImageFiles,
    labels: np.ndarray,
    sizes: np.ndarray,
    boxes: tuple[np.ndarray, ...],
    classes: tuple[str, ...],
    content: np.ndarray,
    masks: Callable[[int], np.ndarray] | None = None,
    ignore: Callable[[int], np.ndarray] | None = None,
    notes: Sequence[str] = (),
) -> Split:
    """Makes a split whose images are files; its ids are their names.

    Args:
        files: reads image i.
        content: the files' sizes in bytes, (n,), for the fingerprint.
        dataset, split, labels, sizes, boxes, classes, masks, ignore, notes: as in `Split`.
    """
    known_by = fingerprint(files.names, labels, sizes, boxes, content)
    return Split(
        dataset, split, files.names, labels, sizes, boxes, classes, files, known_by, masks, ignore, notes=tuple(notes)
    )
