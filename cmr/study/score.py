"""A folder of score maps, whoever made them, scored against the benchmark's list files."""

import io
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from cmr.data import benchmark
from cmr.data.check import fractions
from cmr.data.lists import below
from cmr.data.split import fingerprint
from cmr.data.threaded import in_threads
from cmr.errors import UserError, first_line, require_known
from cmr.files import read_regular, write_json
from cmr.maps import locate
from cmr.metrics import WSOLMetrics, gt_boxes
from cmr.metrics.baselines import box_baselines
from cmr.metrics.contours.levels import quantise
from cmr.metrics.result import CENTRED, TITLES, Result, known

NORMALISERS = ("none", *locate.NORMALISERS)
ENDINGS = (".npy", ".npz")
MAPS_AT_ONCE = 64
READERS = 4
# An .npy header is read by Python's own parser, which in 3.11 fails now and then when two threads are in it
# ("AST constructor recursion depth mismatch", cpython issue 106905). So threads read side by side and parse in turn.
_PARSING = threading.Lock()


@dataclass(frozen=True)
class Lists:
    """What the benchmark's list files of one split say of the images; the images themselves are not needed.

    Attributes:
        ids: n image ids, as in `image_ids.txt`.
        sizes: (n, 2) int64, original width and height.
        boxes: n arrays (k, 4) xyxy, half-open, original pixels.
        fingerprint: 16 hex digits over ids, labels, sizes and boxes.
    """

    ids: tuple[str, ...]
    sizes: np.ndarray
    boxes: tuple[np.ndarray, ...]
    fingerprint: str


@dataclass(frozen=True)
class Scored:
    """A folder of score maps, scored.

    Attributes:
        scoremaps, metadata: the folders.
        fingerprint: of the lists.
        threshold, step, normalise, size: as `evaluate_folder` was given them.
        grids: sizes of the maps, "224x224", and how many have each.
        result: the metrics.
    """

    scoremaps: str
    metadata: str
    fingerprint: str
    threshold: float
    step: float | None
    normalise: str
    size: int
    grids: Mapping[str, int]
    result: Result


def read_lists(metadata: str | Path) -> Lists:
    """Reads `image_ids.txt`, `class_labels.txt`, `image_sizes.txt` and `localization.txt` (see `cmr.data.benchmark`).

    Args:
        metadata: the folder that holds the four lists of one split.

    Raises:
        UserError: a list is missing, empty or wrong, no image has a box, or all boxes are in fractions; the message
            names file and line.
    """
    folder = Path(metadata)
    files, labels, _ = benchmark.labelled(folder, folder)
    sizes = benchmark.listed_sizes(folder, files)
    boxes = benchmark.boxes(folder, files, sizes)
    if not any(len(b) for b in boxes):
        raise UserError(f"{folder / 'localization.txt'}: there is no box to score maps against; give path,x0,y0,x1,y1")
    if fractions(boxes, sizes):
        raise UserError(
            f"{folder / 'localization.txt'}: every box lies inside the first pixel of its image, as fractions do; "
            "give pixels (times width and height)"
        )
    return Lists(files.names, sizes, boxes, fingerprint(files.names, labels, sizes, boxes))


def find_maps(folder: str | Path, ids: Sequence[str]) -> list[Path]:
    """Finds the map of each image.

    The map of image `a/b.jpg` is `a/b.jpg.npy`, which is how the benchmark writes it, or `a/b.npy`; or one of both with
    the ending .npz. Linked folders are looked into, hidden files passed over.

    Args:
        folder: with the maps, and no other .npy or .npz file.
        ids: n image ids.

    Returns:
        n paths.

    Raises:
        UserError: an image has no map or two, or a map belongs to no image; the message names it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such folder of score maps")
    left = {path.relative_to(folder).as_posix() for path in below(folder) if path.name.endswith(ENDINGS)}
    total, paths = len(left), []
    for image in ids:
        stems = (image, PurePosixPath(image).with_suffix("").as_posix())
        names = list(dict.fromkeys(stem + ending for ending in ENDINGS for stem in stems))
        found = [name for name in names if name in left]
        if len(found) != 1:
            what = f"no map; expected {' or '.join(names)}"
            if found:
                what = f"{len(found) if len(found) > 2 else 'two'} maps, {' and '.join(found)}; remove all but one"
            raise UserError(f"{folder}: image '{image}' has {what} ({total} maps there, {len(ids)} images listed)")
        left.remove(found[0])
        paths.append(folder / found[0])
    if left:
        raise UserError(
            f"{folder / min(left)}: belongs to no image of the list ({len(left)} such of {total} maps); "
            "move it away, or give the lists of its split"
        )
    return paths


def load_map(path: Path, image: str, in_range: bool = True) -> np.ndarray:
    """Reads one map.

    Args:
        path: a .npy file, or a .npz with one array; nothing pickled is loaded.
        image: the image's id, for the messages.
        in_range: whether floats have to lie in [0, 1].

    Returns:
        (H, W), uint8 or a float type; uint16 is scaled to [0, 1], and an axis of one map more is taken off.

    Raises:
        UserError: the file is not such a map, or is out of range.
    """
    where = f"{path}: the map of image '{image}'"
    try:
        content = io.BytesIO(read_regular(path))
        with _PARSING:
            array = np.load(content, allow_pickle=False)
            if isinstance(array, np.lib.npyio.NpzFile):
                held = array.files
                array = array[held[0]] if len(held) == 1 else None
    except Exception as error:  # a damaged file makes the reader raise a dozen kinds, Python's tokenizer's among them
        reason = first_line(error)
        raise UserError(f"{where} cannot be read as an .npy array ({reason})") from error
    if array is None:
        raise UserError(f"{where} holds {len(held)} arrays ({', '.join(held[:4])}); expected one, the map")
    if isinstance(array, np.ndarray) and array.ndim == 3 and 1 in (array.shape[0], array.shape[2]):
        array = array[0] if array.shape[0] == 1 else array[..., 0]  # (1, H, W) or (H, W, 1) -> (H, W)
    if not isinstance(array, np.ndarray) or array.ndim != 2 or not array.size:
        raise UserError(f"{where} has shape {getattr(array, 'shape', 'unknown')}; expected (height, width)")
    if array.dtype.kind == "u" and array.itemsize == 2:
        array = array.astype(np.float32) / 65535
    if array.dtype != np.uint8 and array.dtype.kind != "f":
        raise UserError(f"{where} is {array.dtype}; expected a float type, uint8 (0 to 255) or uint16 (0 to 65535)")
    if array.dtype.kind == "f":
        array = array.astype({2: np.float32, 4: np.float32}.get(array.itemsize, np.float64), copy=False)
        low, high = float(array.min()), float(array.max())
        if not np.isfinite(low + high):
            raise UserError(f"{where} holds NaN or an infinity")
        if in_range and not (low >= 0 and high <= 1):
            raise UserError(
                f"{where} lies between {low:g} and {high:g}; expected numbers in [0, 1]: "
                "bring maps there with --normalise minmax (or max, pas, ivr)"
            )
    return array


def evaluate_folder(
    scoremaps: str | Path,
    metadata: str | Path,
    threshold: float = 0.2,
    step: float | None = None,
    normalise: str = "none",
    size: int = 0,
    progress: bool = True,
) -> Scored:
    """Scores every map of a folder: all box metrics at all thresholds, in one pass.

    Args:
        scoremaps: folder of maps, see `find_maps`; float in [0, 1], uint8 or uint16, of any size.
        metadata: folder of the split's list files.
        threshold: the fixed tau.
        step: distance of the taus of which the best is chosen; `None`: all 255 levels.
        normalise: "none", for maps that are in [0, 1], or how to bring them there (`cmr.maps.locate.normalise`).
        size: side in pixels to which maps are enlarged before they are normalised; 0 scores them at their own size.
        progress: show a bar.

    Returns:
        What was asked, and the result, with baselines where all maps have one size.

    Raises:
        UserError: maps and lists do not fit, or a setting is out of range.
    """
    require_known(normalise, "normaliser", NORMALISERS)
    if size < 0 or (size and normalise == "none"):
        raise UserError(
            f"--size {size} with --normalise {normalise}: enlarging overshoots [0, 1], so normalise afterwards "
            "(--normalise minmax is the benchmark's), and give a size above 0"
        )
    lists = read_lists(metadata)
    paths = find_maps(scoremaps, lists.ids)
    metrics = WSOLMetrics(threshold, step, ids=lists.ids)
    grids: dict[tuple[int, int], int] = {}
    with tqdm(total=len(paths), desc="scoring", unit="map", disable=not progress, leave=False) as bar:
        for index, maps in _batches(paths, lists.ids, normalise, size):
            grid = (maps.shape[2], maps.shape[1])  # width, height
            boxes = gt_boxes([lists.boxes[i] for i in index], lists.sizes[index], grid)
            metrics.update(maps, None, None, boxes, [lists.ids[i] for i in index])
            grids[grid] = grids.get(grid, 0) + len(index)
            bar.update(len(index))
    result = metrics.result()
    if len(grids) == 1 and grid[0] == grid[1]:
        result = replace(result, baselines=box_baselines(gt_boxes(lists.boxes, lists.sizes, grid), grid[0]))
    return Scored(
        scoremaps=str(scoremaps),
        metadata=str(metadata),
        fingerprint=lists.fingerprint,
        threshold=threshold,
        step=step,
        normalise=normalise,
        size=size,
        grids={f"{width}x{height}": count for (width, height), count in grids.items()},
        result=result,
    )


def _batches(
    paths: Sequence[Path], ids: Sequence[str], normalise: str, size: int
) -> Iterator[tuple[list[int], np.ndarray]]:
    """Positions (B) and levels (B, H, W) of maps of one size; the next are read and cut while these are scored."""

    def batch(k: int) -> list[tuple[list[int], np.ndarray]]:
        kinds: dict[tuple, dict[int, np.ndarray]] = {}
        for i in range(k * MAPS_AT_ONCE, min((k + 1) * MAPS_AT_ONCE, len(paths))):
            array = load_map(paths[i], ids[i], normalise == "none")
            kinds.setdefault((array.shape, array.dtype), {})[i] = array
        return [(list(one), _levels(one, ids, normalise, size)) for one in kinds.values()]

    for found in in_threads(batch, -(-len(paths) // MAPS_AT_ONCE), READERS, piece=1):
        yield from found


def _levels(maps: Mapping[int, np.ndarray], ids: Sequence[str], normalise: str, size: int) -> np.ndarray:
    """Maps of one size, by position, as (B, H, W) uint8 levels."""
    stacked = torch.from_numpy(np.stack(list(maps.values())))
    if normalise != "none":
        stacked = stacked / 255 if stacked.dtype == torch.uint8 else stacked
        stacked = locate.normalise(locate.resize(stacked, size) if size else stacked, normalise)
    return quantise(stacked, [ids[i] for i in maps])


def write(scored: Scored, out: str | Path) -> tuple[Path, Path]:
    """Writes what `evaluate_folder` returns as JSON, and its tau curves as a picture beside it.

    Args:
        scored: the outcome.
        out: the JSON file.

    Returns:
        Both paths.
    """
    from cmr import figures

    out = Path(out)
    write_json(out, vars(scored) | {"result": scored.result.to_dict()})
    curves = known(scored.result.curves)
    rules = {TITLES["all_contours"]: curves.all_contours, TITLES["largest_contour"]: curves.largest_contour}
    lines: dict[str, dict[float, tuple[Any, Any]]] = {
        rule: {iou: (curves.tau, values) for iou, values in of_rule.items()} for rule, of_rule in rules.items()
    }
    baseline: Any = scored.result.baselines and scored.result.baselines[CENTRED].curve
    picture = figures.save(figures.tau_curves(lines, baseline, scored.threshold), out.with_suffix(".png"))
    return out, picture
