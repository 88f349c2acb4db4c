// What the pages to play with draw alike: heat, boxes, a colour per pixel. data.js has the colours.
"use strict";
const cmrDraw = (() => {
  const SHOWN = 448;  // pixels of a canvas
  const TRUE = { colour: "#d7191c", halo: "#fff", dash: [] }, FOUND = { colour: "#2fe04b", halo: "#000", dash: [14, 7] };
  const CURSOR = { colour: "#fff", halo: "#000", dash: [] };

  function heat(share) {  // RGB between two of the book's colours
    const colours = cmrPlayData.heat, last = colours.length - 1, place = Math.min(Math.max(share, 0), 1) * last;
    const i = Math.min(Math.floor(place), last - 1);
    return colours[i].map((v, c) => v + (place - i) * (colours[i + 1][c] - v));
  }
  const overlay = (score) => [...heat(score), 255 * 0.8 * (0.45 + 0.55 * score)];  // as cmr.figures.draw.heat_overlay

  // Fills a square canvas: `colour(p)` is RGB and opacity of pixel p, row by row.
  function fill(canvas, colour) {
    const pen = canvas.getContext("2d"), pixels = pen.createImageData(canvas.width, canvas.height);
    for (let p = 0; p < canvas.width * canvas.height; p++) pixels.data.set(colour(p), 4 * p);
    pen.putImageData(pixels, 0, 0);
  }

  // A box, both ends inside, on a grid of `side` pixels or cells.
  function frame(pen, [x0, y0, x1, y1], side, { colour, halo, dash }, wide = 5) {
    const scale = SHOWN / side;
    pen.setLineDash(dash);
    for (const [stroke, width] of [[halo, wide + 3], [colour, wide]]) {
      pen.strokeStyle = stroke;
      pen.lineWidth = width;
      pen.strokeRect(x0 * scale, y0 * scale, (x1 + 1 - x0) * scale, (y1 + 1 - y0) * scale);
    }
    pen.setLineDash([]);
  }

  // Makes canvases of a page ready: name -> its pen.
  const pens = (root, names) => Object.fromEntries(names.map((name) => {
    const canvas = root.querySelector(`[name=${name}]`);
    canvas.width = canvas.height = SHOWN;
    return [name, canvas.getContext("2d")];
  }));

  // Calls `draw` once per picture of the screen, however often it is asked.
  function later(draw) {
    let waiting = false;
    return () => {
      if (waiting) return;
      waiting = true;
      requestAnimationFrame(() => { waiting = false; draw(); });
    };
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  return { SHOWN, TRUE, FOUND, CURSOR, ARROWS, heat, overlay, fill, frame, pens, later };
})();
