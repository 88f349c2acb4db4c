"""A slider over the threshold of a map: what a page of the book lets its reader try.

The HTML holds all its frames as data URIs and twenty lines of script: it works from a page opened as a file,
without a network and without a kernel. Where there is no HTML (print, LaTeX) the still picture stands in.
"""

import base64
import hashlib
import html
import io
import itertools
import json
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from cmr.errors import UserError
from cmr.figures.draw import (
    as_boxes,
    as_image,
    as_scoremap,
    box_legend,
    draw_boxes,
    grid_lines,
    heat_overlay,
    show_image,
)
from cmr.figures.style import GT_COLOUR, INK, METHOD_COLOURS, MUTED, PREDICTION_COLOUR, WIDTH, Card, themed
from cmr.maps.locate import largest_box
from cmr.metrics import box_iou, gt_boxes

LARGEST = 448  # longer side of the embedded pictures, pixels
_COUNT = itertools.count(1)  # two sliders on one page never share an element's id


@dataclass(frozen=True)
class ThresholdSlider:
    """A slider over thresholds, which a notebook shows as HTML and a printed page as a picture.

    Args:
        taus: (T,) thresholds, shares of the map's maximum.
        boxes: (T, 4) xyxy, pixels of the image, half-open; zeros where no pixel is above the threshold.
        ious: (T,) IoU with the nearest true box; 0 where no pixel is above.
        html: the widget.
        png: the still picture.
    """

    taus: np.ndarray
    boxes: np.ndarray
    ious: np.ndarray
    html: str = field(repr=False)
    png: bytes = field(repr=False)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        return {"text/html": self.html, "image/png": base64.b64encode(self.png).decode()}


def threshold_slider(
    image: np.ndarray,
    scoremap: np.ndarray,
    gt_box: np.ndarray,
    steps: int = 21,
    threshold: float = 0.2,
    name: str = "the object",
) -> ThresholdSlider:
    """Makes a slider that shows map, mask, box and IoU at each threshold.

    Args:
        image: (H, W, 3) uint8.
        scoremap: (H, W) in [0, 1].
        gt_box: true box (4,) or boxes (k, 4), xyxy, pixels of the image, half-open.
        steps: thresholds from 0 to 1, 2 to 101 of them.
        threshold: where the slider stands at first; the nearest of the steps is taken.
        name: what the picture shows, for the alternative text.

    Returns:
        The slider; boxes and IoUs follow the benchmark's rules (`cmr.maps.locate.largest_box`,
        `cmr.metrics.box_iou`), at each of its thresholds.

    Raises:
        UserError: wrong shapes, no true box, steps or threshold out of range.

    Example:
        >>> scoremap = np.zeros((32, 32))
        >>> scoremap[8:24, 8:24] = np.linspace(0.3, 1, 16)
        >>> slider = threshold_slider(np.full((32, 32, 3), 90, np.uint8), scoremap, [8, 8, 24, 24], steps=6)
        >>> slider.boxes[1].tolist()
        [8, 8, 25, 25]
    """
    image = as_image(image)
    scoremap = as_scoremap(scoremap, image)
    gt = as_boxes(gt_box, "gt_box")
    if not len(gt):
        raise UserError("threshold slider: no true box; give (4,) or (k, 4), xyxy")
    if not 2 <= steps <= 101:
        raise UserError(f"threshold slider: steps is {steps}; give 2 to 101")
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold slider: threshold is {threshold}; give a number in [0, 1]")
    taus = np.linspace(0, 1, steps)
    masks, boxes, ious = localize_at(scoremap, gt, taus)
    start = int(np.abs(taus - threshold).argmin())
    frames = _Frames(image, scoremap, gt, taus, masks, boxes, ious, start)
    return ThresholdSlider(taus, boxes, ious, _html(frames, name), _still(frames)._repr_png_())


class _Frames(NamedTuple):
    """What the still picture and the widget are made of; arrays as above, T thresholds."""

    image: np.ndarray
    scoremap: np.ndarray
    gt: np.ndarray
    taus: np.ndarray
    masks: np.ndarray
    boxes: np.ndarray
    ious: np.ndarray
    start: int


def localize_at(scoremap: np.ndarray, gt: np.ndarray, taus: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mask, box and IoU of one map at several thresholds, by the benchmark's rules.

    Args:
        scoremap: (H, W) in [0, 1].
        gt: (k, 4) true boxes, xyxy, pixels of the map, half-open.
        taus: (T,) in [0, 1], shares of the map's maximum.

    Returns:
        masks (T, H, W) bool; boxes (T, 4) int, xyxy, half-open, zeros where the mask is empty; ious (T,).
    """
    height, width = scoremap.shape
    levels = (scoremap * 255).astype(np.uint8)  # floor, as the benchmark does
    masks = levels[None] > (taus * levels.max()).astype(int)[:, None, None]  # (T, H, W)
    found = np.concatenate([largest_box(scoremap[None], float(tau)).numpy() for tau in taus])  # (T, 4) inclusive
    truth = gt_boxes([gt], np.array([[width, height]]), (width, height))[0]
    some = masks.any((1, 2))
    ious = np.where(some, box_iou(found, truth).max(1), 0.0)
    return masks, np.where(some[:, None], found + [0, 0, 1, 1], 0), ious


@themed
def _still(frames: _Frames) -> Card:
    image, scoremap, gt, taus, masks, boxes, ious, start = frames
    tall = image.shape[0] / image.shape[1]
    figure = Card(figsize=(WIDTH, 2.35 * min(tall, 1.4) + 0.95))
    figure.set_layout_engine("constrained", w_pad=0.07, h_pad=0.07, rect=(0, 0.36 / figure.get_figheight(), 1, 1))
    left, middle, right = figure.subplots(1, 3)
    show_image(left, heat_overlay(image, scoremap), "map and box")
    show_image(middle, _spotlight(image, masks[start]), rf"mask at $\tau$ = {taus[start]:.2f}")
    for ax in (left, middle):
        draw_boxes(ax, gt, "gt")
        if masks[start].any():
            draw_boxes(ax, boxes[start : start + 1], "prediction")
    right.plot(taus, ious, color=METHOD_COLOURS["cmr"])
    right.plot(taus[start], ious[start], "o", color=INK, markersize=8)
    right.axhline(0.5, color=MUTED, linestyle=(0, (1, 1)), linewidth=1.8)
    right.set(title=f"IoU {ious[start]:.2f}", xlabel=r"threshold $\tau$", xlim=(0, 1), ylim=(0, 1), box_aspect=tall)
    grid_lines(right)
    box_legend(figure)
    return figure


def _spotlight(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], image, image // 5)


def _shrunk(picture: Image.Image, how: Image.Resampling) -> Image.Image:
    factor = min(1.0, LARGEST / max(picture.size))
    return (
        picture.resize((round(picture.width * factor), round(picture.height * factor)), how) if factor < 1 else picture
    )


def _uri(picture: Image.Image, kind: str, **options: Any) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, format=kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _photo(image: np.ndarray) -> str:
    return _uri(_shrunk(Image.fromarray(image), Image.Resampling.LANCZOS), "JPEG", quality=88, subsampling=0)


def _shade(mask: np.ndarray) -> str:
    """A picture of one bit per pixel: clear where the mask is, dark and nearly opaque where it is not."""
    picture = _shrunk(Image.fromarray(mask.astype(np.uint8), mode="L"), Image.Resampling.NEAREST).convert("P")
    picture.putpalette([18, 20, 24, 255, 255, 255])
    return _uri(picture, "PNG", transparency=bytes([205, 0]), bits=1, optimize=True)


def _rect(box: np.ndarray, kind: str) -> str:
    x0, y0, x1, y1 = (float(v) for v in box)
    place = f'x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}"'
    colour, halo, dash = (GT_COLOUR, "#fff", "none") if kind == "gt" else (PREDICTION_COLOUR, "#000", "10 5")
    return "".join(
        f'<rect class="{kind}" {place} fill="none" stroke="{stroke}" stroke-width="{wide}" stroke-opacity="{opacity}"'
        f' stroke-dasharray="{dash}"/>'
        for stroke, wide, opacity in ((halo, 5, 0.7), (colour, 2.8, 1))
    )


def _words(tau: float, iou: float, some: bool) -> str:
    if not some:
        return f"τ = {tau:.2f}: no pixel is above the threshold"
    return f"τ = {tau:.2f}: IoU {iou:.2f}, " + ("✓ localized" if iou >= 0.5 else "✗ not localized")


def _html(given: _Frames, name: str) -> str:
    image, scoremap, gt, taus, masks, boxes, ious, start = given
    height, width = image.shape[:2]
    frames = [
        {"box": box.tolist(), "text": _words(tau, iou, bool(mask.any())), "mask": _shade(mask)}
        for tau, box, iou, mask in zip(taus, boxes, ious, masks, strict=True)
    ]
    key = "cmr-" + hashlib.sha256(json.dumps(frames).encode()).hexdigest()[:8] + f"-{next(_COUNT)}"
    truth = "".join(_rect(box, "gt") for box in gt)
    found = _rect(boxes[start], "found")
    about = html.escape(name, quote=True)
    line = " ".join(f"{2 + 96 * tau:.2f},{20 - 19 * iou:.2f}" for tau, iou in zip(taus, ious, strict=True))
    dots = [
        [round(2 + 96 * float(tau), 2), round(20 - 19 * float(iou), 2)] for tau, iou in zip(taus, ious, strict=True)
    ]
    values = {
        "key": key, "view": f"0 0 {width} {height}",
        "size": f'width="{width}" height="{height}" preserveAspectRatio="none"',
        "truth": truth, "found": found, "line": line,
        "heat": _photo(heat_overlay(image, scoremap)), "photo": _photo(image), "shade": frames[start]["mask"],
        "last": len(taus) - 1, "start": start, "words": frames[start]["text"],
        "cx": dots[start][0], "cy": dots[start][1],
        "alt_map": f"Localization map over a picture of {about}, with the true box (red, solid) and the predicted box"
        " (green, dashed)",
        "alt_mask": f"The pixels of the same picture of {about} above the threshold, with both boxes",
        "alt_line": f"IoU at each threshold: highest {ious.max():.2f} at τ = {taus[int(ious.argmax())]:.2f};"
        " the dotted line is 0.5",
        "frames": json.dumps([f | {"dot": dot} for f, dot in zip(frames, dots, strict=True)], ensure_ascii=False),
    }  # fmt: skip
    page = _TEMPLATE
    for field_name, value in values.items():
        page = page.replace(f"[[{field_name}]]", str(value))
    return page


_TEMPLATE = """<div id="[[key]]" class="cmr-slider">
<style>
#[[key]] {max-width: 46rem; margin: 1rem 0; color: inherit}
#[[key]] .cmr-panels {display: flex; flex-wrap: wrap; gap: .75rem}
#[[key]] figure {flex: 1 1 14rem; margin: 0; min-width: 0}
#[[key]] figure svg {display: block; width: 100%; height: auto; border-radius: .4rem; background: #888}
#[[key]] :is(rect, path, polyline, circle) {vector-effect: non-scaling-stroke}
#[[key]] figcaption {font-size: .9em; margin-top: .2rem; text-align: center}
#[[key]] .cmr-control {display: flex; flex-wrap: wrap; align-items: center; gap: .25rem .75rem; margin-top: .6rem}
#[[key]] input {flex: 1 1 12rem; min-width: 0; height: 2rem; accent-color: #0173b2; cursor: pointer}
#[[key]] output {flex: 1 1 16rem; font-variant-numeric: tabular-nums; font-weight: 600}
#[[key]] .cmr-line {display: block; width: 100%; height: auto; margin-top: .3rem; color: inherit}
</style>
<div class="cmr-panels">
<figure><svg viewBox="[[view]]" role="img" aria-label="[[alt_map]]">
<image href="[[heat]]" [[size]]/>[[truth]][[found]]</svg>
<figcaption>map, true box (red), predicted box (green, dashed)</figcaption></figure>
<figure><svg viewBox="[[view]]" role="img" aria-label="[[alt_mask]]">
<image href="[[photo]]" [[size]]/>
<image class="shade" href="[[shade]]" [[size]] style="image-rendering: pixelated"/>[[truth]][[found]]</svg>
<figcaption>mask: the pixels above the threshold</figcaption></figure>
</div>
<div class="cmr-control">
<label for="[[key]]-tau">threshold τ</label>
<input id="[[key]]-tau" type="range" min="0" max="[[last]]" step="1" value="[[start]]"
 autocomplete="off" aria-valuetext="[[words]]">
<output id="[[key]]-out" for="[[key]]-tau">[[words]]</output>
</div>
<svg class="cmr-line" viewBox="0 0 100 22" role="img" aria-label="[[alt_line]]">
<path d="M2 1V20H98" fill="none" stroke="currentColor" stroke-width="1.2" opacity=".6"/>
<path d="M2 10.5H98" stroke="currentColor" stroke-width="1.5" stroke-dasharray="2 4" opacity=".8"/>
<polyline points="[[line]]" fill="none" stroke="#3a9bd9" stroke-width="2.5"/>
<circle cx="[[cx]]" cy="[[cy]]" r="1.2" fill="#de8f05" stroke="currentColor" stroke-width="1.2"/>
<g fill="currentColor" font-size="2.7"><text x="3" y="3.6">IoU</text>
<text x="97.5" y="9.6" text-anchor="end">0.5</text>
<text x="97.5" y="19" text-anchor="end">τ</text></g></svg>
<noscript><p>The slider needs JavaScript, which is off; what is shown is [[words]].</p></noscript>
<script>
(function () {
  var root = document.getElementById("[[key]]"), frames = [[frames]];
  var input = root.querySelector("input"), output = root.querySelector("output");
  function show() {
    var frame = frames[+input.value], b = frame.box;
    output.textContent = frame.text;
    input.setAttribute("aria-valuetext", frame.text);
    root.querySelector(".shade").setAttribute("href", frame.mask);
    root.querySelector("circle").setAttribute("cx", frame.dot[0]);
    root.querySelector("circle").setAttribute("cy", frame.dot[1]);
    root.querySelectorAll("rect.found").forEach(function (r) {
      r.setAttribute("x", b[0]); r.setAttribute("y", b[1]);
      r.setAttribute("width", b[2] - b[0]); r.setAttribute("height", b[3] - b[1]);
    });
  }
  input.addEventListener("input", show);
  show();
})();
</script>
</div>
"""
