"""How fast the evaluator is against a contour search at every threshold: `python -m benchmarks.metrics`.

The other side is the benchmark's protocol as everybody runs it, a Python loop over thresholds around OpenCV. Both sides
use one thread, get the same maps and boxes, and have to return the same numbers. `--slope` measures the whole metric on
1,000 to 50,000 maps instead of 1,000 and 2,000; `--out` keeps the numbers, and where they come from, as JSON.
"""

import argparse
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.common import on_cpu, write
from cmr.maps.locate import normalise, resize
from cmr.metrics import WSOLMetrics, box_iou, score_levels, tau_list
from cmr.metrics.contours.levels import quantise

SIDE = 224


def opencv_boxes(scoremap: np.ndarray, tau: float, every_contour: bool) -> np.ndarray:
    """Boxes of one map at one threshold, by the letter of the benchmark's protocol.

    Args:
        scoremap: (H, W) in [0, 1], or uint8.
        tau: in [0, 1].
        every_contour: all contours ("v2"), or only the largest ("v1").

    Returns:
        (k, 4) int64 xyxy, inclusive map pixels.
    """
    image = scoremap if scoremap.dtype == np.uint8 else (scoremap * 255).astype(np.uint8)
    _, mask = cv2.threshold(image[:, :, None], int(tau * image.max()), 255, cv2.THRESH_BINARY)
    contours = cv2.findContours(mask, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)[-2]
    if len(contours) == 0:
        return np.zeros((1, 4), np.int64)
    if not every_contour:
        contours = [max(contours, key=cv2.contourArea)]
    height, width = image.shape
    rectangles = (cv2.boundingRect(contour) for contour in contours)
    return np.array([(x, y, min(x + w, width - 1), min(y + h, height - 1)) for x, y, w, h in rectangles])


def opencv_iou(scoremap: np.ndarray, boxes: np.ndarray, taus: Sequence[float], every_contour: bool) -> np.ndarray:
    """Best IoU of one map at each threshold, (T,): all boxes of all thresholds against the true ones at once."""
    found = [opencv_boxes(scoremap, tau, every_contour) for tau in taus]
    iou = box_iou(np.concatenate(found), boxes).max(axis=1)
    return np.maximum.reduceat(iou, np.cumsum([0, *(len(f) for f in found[:-1])]))


def smooth_maps(count: int, rng: np.random.Generator) -> np.ndarray:
    """14x14 maps upsampled to 224 and normalised, as class activation maps are: (count, 224, 224) float32."""
    low = rng.standard_normal((count, 14, 14)).cumsum(1).cumsum(2)
    return normalise(resize(low, SIDE)).numpy()


def rough_maps(count: int, rng: np.random.Generator) -> np.ndarray:
    """White 14x14 noise upsampled: every second cell is an extremum; (count, 224, 224) float32."""
    return normalise(resize(rng.standard_normal((count, 14, 14)), SIDE)).numpy()


def noisy_maps(count: int, rng: np.random.Generator) -> np.ndarray:
    """Full-resolution noise, as gradients and guided backpropagation give: (count, 224, 224) float32."""
    return normalise(rng.random((count, SIDE, SIDE), dtype=np.float32)).numpy()


def random_boxes(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    """One box per image, at least a quarter of the side wide and high."""
    corner = rng.integers(0, SIDE // 2, (count, 2))
    return list(np.concatenate([corner, corner + rng.integers(SIDE // 4, SIDE // 2, (count, 2))], axis=1)[:, None])


def seconds(work: Callable[[], object], repeats: int) -> float:
    """Median processor time: on a shared machine the clock on the wall measures the neighbours."""
    times = []
    for _ in range(repeats):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def compare(name: str, maps: np.ndarray, boxes: list[np.ndarray], reference: int, taus: np.ndarray) -> list[dict]:
    """Prints a line for each box rule; the OpenCV loop runs on the first `reference` maps only, it is that slow."""
    rows = []
    for every_contour in (False, True):
        start = time.process_time()
        expected = [opencv_iou(maps[b], boxes[b], taus, every_contour) for b in range(reference)]
        loop = (time.process_time() - start) / reference

        def evaluate(every_contour: bool = every_contour) -> np.ndarray:
            scores = score_levels(quantise(maps), boxes, every_contour, threads=1)
            iou = scores.iou_all if every_contour else scores.iou_largest
            return np.take_along_axis(iou, scores.levels(taus), axis=1)

        if not np.array_equal(evaluate()[:reference], expected):
            raise SystemExit(f"{name}: the evaluator and the OpenCV loop differ")
        tree = seconds(evaluate, 3) / len(maps)
        rule = "all contours" if every_contour else "largest contour"
        print(f"{name:<26}{rule:<18}{1e3 * loop:>10.1f}{1e3 * tree:>10.2f}{loop / tree:>9.0f}x", flush=True)
        row = {"maps": name, "boxes": rule, "loop_ms": round(1e3 * loop, 1), "cmr_ms": round(1e3 * tree, 3)}
        rows.append(row | {"ratio": round(loop / tree, 1)})
    # With all contours the evaluator has found the largest, too; the loop is run once for each rule.
    both = {"maps": name, "boxes": "both rules", "loop_ms": round(sum(row["loop_ms"] for row in rows), 1)}
    both |= {"cmr_ms": rows[-1]["cmr_ms"], "ratio": round(sum(row["loop_ms"] for row in rows) / rows[-1]["cmr_ms"], 1)}
    print(
        f"{name:<26}{'both rules':<18}{both['loop_ms']:>10.1f}{both['cmr_ms']:>10.2f}{both['ratio']:>9.0f}x", flush=True
    )
    return [*rows, both]


def slope(counts: Sequence[int], threads: int, rng: np.random.Generator) -> list[dict]:
    """Prints the time of the whole metric (both rules, curves, breakdown) over the number of images."""
    rows = []
    maps = torch.from_numpy(smooth_maps(256, rng))
    boxes = random_boxes(256, rng)
    for count in counts:
        metrics = WSOLMetrics(threads=threads)
        start = time.perf_counter()
        for first in range(0, count, 256):
            part = min(256, count - first)
            metrics.update(maps[:part], None, None, boxes[:part], [str(first + i) for i in range(part)])
        metrics.result()
        wall = time.perf_counter() - start
        print(f"{count:>8,} images {wall:>9.1f} s {1e3 * wall / count:>8.2f} ms an image", flush=True)
        rows.append({"images": count, "seconds": round(wall, 2), "ms_an_image": round(1e3 * wall / count, 3)})
    return rows


def main() -> None:
    """Prints both tables, and writes them where that is asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--maps", type=int, default=64, help="maps of each kind for the evaluator")
    parser.add_argument("--reference", type=int, default=4, help="of these, maps for the OpenCV loop")
    parser.add_argument("--noisy-reference", type=int, default=1, help="noisy maps for the OpenCV loop; seconds each")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 2000], help="data sets' sizes for the slope")
    parser.add_argument("--threads", type=int, default=2, help="of the evaluator, for the slope only")
    parser.add_argument("--slope", action="store_true", help="data sets of 1,000, 5,000, 10,000 and 50,000 images")
    parser.add_argument("--out", type=Path, help="JSON file for the numbers")
    given = parser.parse_args()
    counts = [1000, 5000, 10000, 50000] if given.slope else given.images
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    taus = tau_list(0.001)
    boxes = random_boxes(given.maps, rng)
    score_levels(quantise(smooth_maps(1, rng)), boxes[:1])  # compiles

    print(f"OpenCV {cv2.__version__}, {len(taus)} thresholds, one thread, processor time per {SIDE}x{SIDE} map")
    print(f"{'maps':<26}{'boxes':<18}{'loop, ms':>10}{'cmr, ms':>10}{'ratio':>10}")
    rows = compare("smooth, a few blobs", smooth_maps(given.maps, rng), boxes, given.reference, taus)
    rows += compare("rough, 14x14 white noise", rough_maps(given.maps, rng), boxes, given.reference, taus)
    rows += compare("noise, full resolution", noisy_maps(given.maps, rng), boxes, given.noisy_reference, taus)
    print(f"\nWSOLMetrics, everything, {given.threads} threads, smooth maps, time on the wall")
    times = slope(counts, given.threads, rng)
    where = on_cpu()["environment"] | {"opencv": cv2.__version__}
    del where["threads"]  # one for the comparison, and for the slope those that were asked
    about = {"thresholds": len(taus), "side": SIDE, "threads": given.threads, "environment": where}
    write(given, "metrics", None, about, {"comparison": rows, "slope": times})


if __name__ == "__main__":
    main()
