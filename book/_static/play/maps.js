// From a class map to a box, step by step as the library does it (cmr/maps/locate.py, cmr/metrics/contours).
// tests/book/test_play.py holds each step to the library's numbers. Maps are Float32Arrays, row by row.
"use strict";
const cmrMaps = (() => {
  // The four weights of cubic interpolation at a place t between the second and the third sample (a = -0.75).
  function cubic(t) {
    const a = -0.75;
    const near = (d) => ((a + 2) * d - (a + 3)) * d * d + 1, far = (d) => ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    return [far(t + 1), near(t), near(1 - t), far(2 - t)];
  }

  // Where each pixel of the larger side lies among the cells: four of them, cut at the edge, and their weights.
  function taps(cells, side) {
    return Array.from({ length: side }, (_, i) => {
      const place = (i + 0.5) * cells / side - 0.5, first = Math.floor(place);
      const at = [-1, 0, 1, 2].map((k) => Math.min(Math.max(first + k, 0), cells - 1));
      return { at, weights: cubic(place - first) };
    });
  }

  // Bicubic, a square of `cells` a side to one of `side` pixels: rows first, then columns.
  function resize(map, cells, side) {
    const ways = taps(cells, side), wide = new Float32Array(cells * side), out = new Float32Array(side * side);
    for (let y = 0; y < cells; y++)
      ways.forEach(({ at, weights }, x) => {
        for (let k = 0; k < 4; k++) wide[y * side + x] += weights[k] * map[y * cells + at[k]];
      });
    ways.forEach(({ at, weights }, y) => {
      for (let x = 0; x < side; x++) {
        let sum = 0;
        for (let k = 0; k < 4; k++) sum += weights[k] * wide[at[k] * side + x];
        out[y * side + x] = sum;
      }
    });
    return out;
  }

  function percentile(map, share) {
    const ordered = Float32Array.from(map).sort(), place = (map.length - 1) * share, below = Math.floor(place);
    const low = ordered[below], high = ordered[Math.min(below + 1, map.length - 1)];
    return Math.fround(low + (place - below) * (high - low));
  }

  const highest = (map) => map.reduce((a, b) => Math.max(a, b), -Infinity);
  const lowest = (map) => map.reduce((a, b) => Math.min(a, b), Infinity);

  // To [0, 1] by one of the four normalisers.
  function normalise(map, how) {
    const low = lowest(map);
    if (low === highest(map)) return new Float32Array(map.length);
    const from = { minmax: low, max: 0, pas: low, ivr: how === "ivr" && percentile(map, 0.45) }[how];
    const left = Float32Array.from(map, (v) => Math.max(v - from, 0));
    const top = how === "pas" ? percentile(left, 0.9) : highest(left);
    return left.map((v) => (v === 0 ? 0 : Math.min(v / top, 1)));
  }

  // The benchmark's 256 levels, and which of them are above a threshold.
  const quantise = (scores) => Uint8Array.from(scores, (v) => Math.fround(v * 255));
  function above(levels, tau) {
    const cut = Math.trunc(tau * highest(levels));
    return levels.map((v) => (v > cut ? 1 : 0));
  }

  // Numbers connected regions of a mask 1, 2, ... in raster order, and boxes them (both ends inside).
  const ALONG = [[1, 0], [-1, 0], [0, 1], [0, -1]], ACROSS = [[1, 1], [1, -1], [-1, 1], [-1, -1]];
  function regions(mask, side, diagonal) {
    const ways = diagonal ? [...ALONG, ...ACROSS] : ALONG, label = new Int32Array(mask.length), boxes = [], stack = [];
    for (let start = 0; start < mask.length; start++) {
      if (!mask[start] || label[start]) continue;
      const number = boxes.length + 1, box = [side, side, -1, -1];
      label[start] = number;
      stack.push(start);
      while (stack.length) {
        const p = stack.pop(), x = p % side, y = (p - x) / side;
        box[0] = Math.min(box[0], x); box[1] = Math.min(box[1], y);
        box[2] = Math.max(box[2], x); box[3] = Math.max(box[3], y);
        for (const [dx, dy] of ways) {
          const nx = x + dx, ny = y + dy, q = ny * side + nx;
          if (nx < 0 || ny < 0 || nx >= side || ny >= side || !mask[q] || label[q]) continue;
          label[q] = number;
          stack.push(q);
        }
      }
      boxes.push(box);
    }
    return { label, boxes };
  }

  // The benchmark ends a box one pixel beyond its outline to the right and below, unless the map ends there.
  const beyond = ([x0, y0, x1, y1], side) => [x0, y0, Math.min(x1 + 1, side - 1), Math.min(y1 + 1, side - 1)];

  // All outlines of a mask: of its 8-connected components, of the 4-connected holes in them, and which is the largest.
  function outlines(mask, side) {
    const gaps = regions(mask.map((v) => 1 - v), side, false);
    const touches = ([x0, y0, x1, y1]) => x0 === 0 || y0 === 0 || x1 === side - 1 || y1 === side - 1;
    const hole = gaps.boxes.map((box) => !touches(box));
    const filled = mask.map((v, p) => (v || hole[gaps.label[p] - 1] ? 1 : 0));
    const pieces = regions(mask, side, true), outer = regions(filled, side, true);

    // An outline runs through centres of pixels: squares of four inside it count whole, those of three count half.
    const area = new Float64Array(outer.boxes.length);
    for (let y = 0; y + 1 < side; y++)
      for (let x = 0; x + 1 < side; x++) {
        const p = y * side + x, inside = filled[p] + filled[p + 1] + filled[p + side] + filled[p + side + 1];
        if (inside > 2) area[(outer.label[p] || outer.label[p + 1]) - 1] += (inside - 2) / 2;
      }
    let largest = 0;
    area.forEach((v, i) => { if (v >= area[largest]) largest = i; });  // the last one wins a tie
    const around = ([x0, y0, x1, y1]) => [x0 - 1, y0 - 1, x1 + 1, y1 + 1];
    return {
      label: outer.label,
      components: outer.boxes.map((box, i) => ({ box: beyond(box, side), area: area[i], largest: i === largest })),
      all: [...gaps.boxes.filter((_, i) => hole[i]).map(around), ...pieces.boxes].map((box) => beyond(box, side)),
    };
  }

  // Intersection over union of two boxes, areas in pixels, both ends inside.
  function iou(a, b) {
    const size = (box) => (box[2] - box[0] + 1) * (box[3] - box[1] + 1);
    const wide = Math.min(a[2], b[2]) - Math.max(a[0], b[0]) + 1, high = Math.min(a[3], b[3]) - Math.max(a[1], b[1]) + 1;
    const shared = Math.max(wide, 0) * Math.max(high, 0);
    return shared / (size(a) + size(b) - shared);
  }

  // What the evaluator makes of one score map. `rule`: "largest", or "all", of which the best box counts.
  function judge(scores, side, tau, rule, truth) {
    const mask = above(quantise(scores), tau), found = outlines(mask, side);
    const largest = found.components.filter((one) => one.largest).map((one) => one.box);
    let boxes = rule === "all" ? found.all : largest;
    if (!boxes.length) boxes = [[0, 0, 0, 0]];
    const ious = boxes.map((box) => iou(box, truth)), best = ious.indexOf(Math.max(...ious));
    return { ...found, mask, boxes, box: boxes[best], iou: ious[best], right: ious[best] >= 0.5 };
  }

  return { resize, normalise, quantise, above, outlines, iou, judge };
})();
