"""OpenImages30k (Choe et al., PAMI 2022; Benenson et al. 2019): list files and masks, scored by pixels.

List files in the WSOL benchmark's format (`cmr.data.benchmark`) under `<root>/metadata/{train,val,test}/`, images and
masks elsewhere under the root as the lists say. `localization.txt` (val and test) holds path,mask,ignore: one line
an instance, the ignore file on an image's first line only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from cmr.data import benchmark
from cmr.data.lists import inside, lines, normal
from cmr.data.pictures import READ_ERRORS, opened
from cmr.data.split import NO_BOXES, ImageFiles, Split, reason, split_of_files
from cmr.errors import UserError


@dataclass(frozen=True)
class Settings:
    """Where the lists and the masks lie."""

    metadata: str = ""  # folder with train/, val/, test/ list files; empty: <root>/metadata
    masks: str = ""  # folder that the mask paths start from; empty: the root


def load(root: str | Path, split: str, settings: Settings | None = None) -> Split:
    """Loads a split; val and test have masks, train has none, and no split has boxes.

    Args:
        root: the folder of the data set.
        split: "train", "val" or "test".
        settings: see `Settings`.

    Returns:
        The split, named "OpenImages30k" when there are 100 classes and "OpenImages-K" for a part with K. Its `masks`
        give the foreground, any instance above 0.5; its `ignore` the ignore mask without the foreground.

    Raises:
        UserError: when a list is missing, empty or wrong, or an image or mask is missing, naming file and line.
    """
    root, settings = Path(root), settings or Settings()
    metadata = Path(settings.metadata) if settings.metadata else root / "metadata"
    folder = metadata / split
    files, labels, numbers = benchmark.labelled(folder, root)
    classes = _classes(metadata)
    benchmark.check_labels(folder, labels, numbers, len(classes), f"the classes of {metadata}")
    sizes, content = benchmark.sizes_and_bytes(folder, files)
    found = _masks(folder / "localization.txt", files, Path(settings.masks) if settings.masks else root)
    if found:  # other masks are another split
        content = np.concatenate((content, found.bytes()))
    boxes = (NO_BOXES,) * len(files.names)
    name = "OpenImages30k" if len(classes) == 100 else f"OpenImages-{len(classes)}"
    masks, ignore = (found.foreground, found.ignored) if found else (None, None)
    return split_of_files(name, split, files, labels, sizes, boxes, classes, content, masks, ignore)


def _classes(metadata: Path) -> tuple[str, ...]:
    """Names class k by the folder of its images ("train/0bt_c3/x.jpg"); all splits count, so that K is the same."""
    names: dict[int, str] = {}
    for split in ("train", "val", "test"):
        path = metadata / split / "class_labels.txt"
        if not path.exists():
            continue
        for _, (name, label) in lines(path, ",", (2,)):
            if label.isdecimal():
                names.setdefault(int(label), Path(name).parent.name)
    return tuple(names.get(k) or str(k) for k in range(max(names, default=-1) + 1))


@dataclass(frozen=True)
class MaskFiles:
    """Reads the foreground and the ignored pixels of image i.

    Args:
        root: the folder that the mask paths start from.
        instances: for each image its instances' mask files, with their lines in the list.
        ignores: for each image its ignore file and line, or None.
        list_file: `localization.txt`.
    """

    root: Path
    instances: tuple[tuple[tuple[str, int], ...], ...]
    ignores: tuple[tuple[str, int] | None, ...]
    list_file: Path

    def foreground(self, i: int) -> np.ndarray:
        """Gives the (H, W) bool pixels of any instance."""
        masks = [self._read(name, line) for name, line in self.instances[i]]
        for mask, (name, line) in zip(masks, self.instances[i], strict=True):
            if mask.shape != masks[0].shape:
                raise self._error(name, line, f"is {_size(mask)}, the image's first mask {_size(masks[0])}")
        return np.logical_or.reduce(masks)

    def ignored(self, i: int) -> np.ndarray:
        """Gives the (H, W) bool pixels that are not scored: the ignore mask, less the foreground."""
        foreground, entry = self.foreground(i), self.ignores[i]
        if entry is None:
            return np.zeros_like(foreground)
        name, line = entry
        ignore = self._read(name, line)
        if ignore.shape != foreground.shape:
            raise self._error(name, line, f"is {_size(ignore)}, the image's masks {_size(foreground)}")
        return ignore & ~foreground

    def bytes(self) -> np.ndarray:
        """The sizes of all mask files in the order of the images, int64, for the split's fingerprint."""
        pairs = zip(self.instances, self.ignores, strict=True)
        entries = [(*some, *([ignore] if ignore else [])) for some, ignore in pairs]
        return np.array([(self.root / name).stat().st_size for some in entries for name, _ in some], np.int64)

    def _read(self, name: str, line: int) -> np.ndarray:
        try:
            with opened(self.root / name) as image:
                # Levels of grey, or numbers of a palette, as the benchmark reads them; alpha is dropped.
                return np.asarray(image if image.mode == "P" else image.convert("L")) > 0
        except FileNotFoundError:
            raise self._error(name, line, "there is no such file") from None
        except READ_ERRORS as error:
            raise self._error(name, line, f"cannot be read as a mask ({reason(error)})") from error

    def _error(self, name: str, line: int, what: str) -> UserError:
        return UserError(f"{self.root / name}: {what} ({self.list_file}, line {line})")


def _size(mask: np.ndarray) -> str:
    return f"{mask.shape[1]}x{mask.shape[0]}"


def _masks(path: Path, files: ImageFiles, root: Path) -> MaskFiles | None:
    if not path.exists():
        return None
    position = {name: i for i, name in enumerate(files.names)}
    instances: list[list[tuple[str, int]]] = [[] for _ in files.names]
    ignores: list[tuple[str, int] | None] = [None] * len(files.names)
    for number, (name, mask, *rest) in lines(path, ",", (2, 3)):
        name = normal(name)
        if name not in position:
            raise UserError(f"{path}, line {number}: '{name}' is not in {files.list_file}")
        i = position[name]
        if rest and rest[0]:
            if instances[i]:
                raise UserError(f"{path}, line {number}: an ignore file belongs on the first line of '{name}'")
            ignores[i] = (inside(rest[0], path, number), number)
        instances[i].append((inside(mask, path, number), number))
    for i, some in enumerate(instances):
        if not some:
            raise UserError(f"{path}: no mask for '{files.names[i]}'{files.place(i)}")
    _check_present([*(entry for some in instances for entry in some), *filter(None, ignores)], root, path)
    return MaskFiles(root, tuple(map(tuple, instances)), tuple(ignores), path)


def _check_present(entries: Sequence[tuple[str, int]], root: Path, path: Path) -> None:
    for name, number in entries:
        if not (root / name).is_file():
            raise UserError(f"{root / name}: there is no such file ({path}, line {number})")
