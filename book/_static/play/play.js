// The page "Paint a map": paint, threshold, and see the box. maps.js computes, draw.js draws,
// data.js has the ready maps and the bird.
"use strict";
(() => {
  const root = document.getElementById("cmr-play");
  const { SHOWN, TRUE, FOUND, CURSOR, ARROWS, heat, frame } = cmrDraw;
  const CELLS = 14, SIDE = 224;  // cells; pixels of the network's grid
  const COLOURS = ["#de8f05", "#56b4e9", "#029e73", "#cc78bc", "#fbafe4", "#ca9161"];
  const state = { map: null, cell: [6, 6], brush: 1, tau: 0.2, how: "minmax", rule: "largest", box: [...cmrPlayData.box] };
  const options = (names) => names.map((name) => `<option>${name}</option>`).join("");
  const ends = ["left", "top", "right", "bottom"];

  root.innerHTML = `
    <div class="cmr-play-controls">
      <label>ready map <select name="ready">${options(Object.keys(cmrPlayData.maps))}</select></label>
      <button type="button" name="again">start again</button>
      <label>brush <input name="brush" type="range" min="-0.5" max="1" step="0.1" value="1"> <output name="brushed"></output></label>
    </div>
    <div class="cmr-play-panels">
      <figure><canvas name="map" tabindex="0" role="application" aria-describedby="cmr-play-keys"
        aria-label="The map, 14 by 14 cells; it can be painted"></canvas>
        <figcaption>the map: paint here</figcaption></figure>
      <figure><canvas name="score" role="img" aria-label="The score map over the bird, with both boxes"></canvas>
        <figcaption>score map; drag the true box (red)</figcaption></figure>
      <figure><canvas name="mask" role="img" aria-label="The pixels above the threshold, a colour per component"></canvas>
        <figcaption>mask, components, box (green)</figcaption></figure>
    </div>
    <p class="cmr-play-keys" id="cmr-play-keys">Keys on the map: arrows move the frame, space paints, + and − change the cell.
      <output name="cell" aria-live="polite"></output></p>
    <div class="cmr-play-controls">
      <label class="cmr-play-tau">threshold τ <input name="tau" type="range" min="0" max="1" step="0.01" value="0.2"></label>
      <label>normaliser <select name="how">${options(["minmax", "max", "pas", "ivr"])}</select></label>
      <label>box rule <select name="rule"><option value="largest">largest component</option>
        <option value="all">all components</option></select></label>
    </div>
    <fieldset class="cmr-play-controls"><legend>true box, pixels</legend>${ends.map((end) =>
      `<label>${end} <input name="${end}" type="number" min="0" max="${SIDE}" step="1"></label>`).join("")}</fieldset>
    <output class="cmr-play-result" name="result" aria-live="polite"></output>
    <div class="cmr-play-list"><table><caption>The largest components of the mask; the area is that inside the outline.</caption>
      <thead><tr><th>component</th><th>area</th><th>box</th><th>IoU</th></tr></thead><tbody></tbody></table></div>`;
  const part = (name) => root.querySelector(`[name=${name}]`);
  const pens = cmrDraw.pens(root, ["map", "score", "mask"]), layer = new OffscreenCanvas(SIDE, SIDE);
  const bird = new Image();
  bird.onload = () => redraw();
  bird.src = cmrPlayData.bird;

  const cellColour = (v) => `rgb(${(v < 0 ? [30, 120 - 180 * v, 190 - 130 * v] : heat(v)).map(Math.round)})`;

  function lay(pen, colour) {  // the bird, and over it a colour for each pixel
    cmrDraw.fill(layer, colour);
    pen.clearRect(0, 0, SHOWN, SHOWN);
    if (bird.complete) pen.drawImage(bird, 0, 0, SHOWN, SHOWN);
    pen.drawImage(layer, 0, 0, SHOWN, SHOWN);
  }

  function drawMap() {
    const pen = pens.map, wide = SHOWN / CELLS, [x, y] = state.cell;
    state.map.forEach((v, i) => {
      pen.fillStyle = cellColour(v);
      pen.fillRect((i % CELLS) * wide, Math.floor(i / CELLS) * wide, wide - 1, wide - 1);
    });
    frame(pen, [x, y, x, y], CELLS, CURSOR, 3);
    part("cell").textContent = `row ${y + 1}, column ${x + 1}: ${state.map[y * CELLS + x].toFixed(1)}`;
  }

  function drawResult() {
    const scores = cmrMaps.normalise(cmrMaps.resize(state.map, CELLS, SIDE), state.how);
    const found = cmrMaps.judge(scores, SIDE, state.tau, state.rule, state.box);
    const ranked = found.components.map((one, i) => ({ ...one, number: i + 1 })).sort((a, b) => b.area - a.area);
    const tint = new Map(ranked.map((one, i) => [one.number, COLOURS[i % COLOURS.length]]));
    const rgb = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16));
    const colours = new Map([...tint].map(([number, text]) => [number, [...rgb(text), 110]]));
    lay(pens.score, (p) => cmrDraw.overlay(scores[p]));
    lay(pens.mask, (p) => (found.mask[p] ? colours.get(found.label[p]) : [18, 20, 24, 205]));
    const some = found.components.length > 0;
    for (const name of ["score", "mask"]) {
      frame(pens[name], state.box, SIDE, TRUE);
      if (some) found.boxes.forEach((box) => frame(pens[name], box, SIDE, FOUND, box === found.box ? 5 : 2));
    }
    const [x0, y0, x1, y1] = state.box.map((v) => v * SHOWN / SIDE);
    pens.score.fillStyle = TRUE.colour;
    for (const [x, y] of [[x0, y0], [x1, y0], [x0, y1], [x1, y1]]) pens.score.fillRect(x - 8, y - 8, 16, 16);

    const count = ranked.length, verdict = found.right ? "✓ right" : "✗ wrong";
    part("result").textContent = `τ = ${state.tau.toFixed(2)}: ` + (some
      ? `${count} component${count > 1 ? "s" : ""}, box (${found.box.join(", ")}), ` : "no pixel is above the threshold, ")
      + `IoU ${found.iou.toFixed(2)}, ${state.rule === "all" ? "best of all boxes" : "GT-known Loc"}: ${verdict}`;
    root.querySelector("tbody").innerHTML = ranked.slice(0, 5).map((one, i) =>
      `<tr><th><span style="background:${COLOURS[i]}"></span>${i + 1}</th><td>${one.area}</td>`
      + `<td>${one.box.join(", ")}</td><td>${cmrMaps.iou(one.box, state.box).toFixed(2)}</td></tr>`).join("");
    part("brushed").textContent = state.brush.toFixed(1);
    ends.forEach((end, i) => { if (document.activeElement !== part(end)) part(end).value = state.box[i]; });
  }

  const drawLater = cmrDraw.later(drawResult);
  function redraw() {
    drawMap();
    drawLater();
  }

  function paint([x, y], value) {
    state.cell = [x, y];
    state.map[y * CELLS + x] = Math.round(10 * Math.min(Math.max(value, -0.5), 1)) / 10;
    redraw();
  }

  function place(event, cells) {  // which cell or pixel of the canvas is under the pointer
    const box = event.target.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map((share) => Math.min(Math.max(Math.floor(share * cells), 0), cells - 1));
  }

  // Calls `move` for each place between pressing and letting go, with what `press` returned.
  function drag(canvas, press, move) {
    let held = null;
    canvas.addEventListener("pointerdown", (event) => {
      held = press(event);
      if (!held) return;
      canvas.setPointerCapture(event.pointerId);
      move(event, held);
    });
    canvas.addEventListener("pointermove", (event) => { if (held) move(event, held); });
    for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = null; });
  }
  drag(part("map"), (event) => ({ last: place(event, CELLS) }), (event, held) => {
    const [x, y] = held.last, to = place(event, CELLS);  // a quick stroke leaves no cell out
    const steps = Math.max(Math.abs(to[0] - x), Math.abs(to[1] - y), 1);
    for (let i = 0; i <= steps; i++)
      paint([x + (to[0] - x) * i / steps, y + (to[1] - y) * i / steps].map(Math.round), state.brush);
    held.last = to;
  });
  drag(part("score"), (event) => {
    const [x, y] = place(event, SIDE), [x0, y0, x1, y1] = state.box, near = (a, b) => Math.abs(a - b) < 14;
    const across = near(x, x0) ? 0 : near(x, x1) ? 2 : null, down = near(y, y0) ? 1 : near(y, y1) ? 3 : null;
    const inside = x > x0 && x < x1 && y > y0 && y < y1;
    return across !== null && down !== null ? { across, down } : inside ? { from: [x, y], box: [...state.box] } : null;
  }, (event, held) => {
    const [x, y] = place(event, SIDE);
    if (!held.from) {
      const box = state.box;
      box[held.across] = held.across ? Math.max(x, box[0]) : Math.min(x, box[2]);
      box[held.down] = held.down === 3 ? Math.max(y, box[1]) : Math.min(y, box[3]);
    } else {
      const [x0, y0, x1, y1] = held.box, fit = (way, low, high) => Math.min(Math.max(way, -low), SIDE - 1 - high);
      const dx = fit(x - held.from[0], x0, x1), dy = fit(y - held.from[1], y0, y1);
      state.box = [x0 + dx, y0 + dy, x1 + dx, y1 + dy];
    }
    redraw();
  });

  part("map").addEventListener("keydown", (event) => {
    const [x, y] = state.cell, value = state.map[y * CELLS + x];
    const way = ARROWS[event.key];
    const values = { " ": state.brush, "+": value + 0.1, "=": value + 0.1, "-": value - 0.1, "−": value - 0.1 };
    if (event.ctrlKey || event.metaKey || (!way && !(event.key in values))) return;
    event.preventDefault();
    if (!way) return paint(state.cell, values[event.key]);
    state.cell = [x + way[0], y + way[1]].map((v) => Math.min(Math.max(v, 0), CELLS - 1));
    drawMap();
  });

  const start = () => { state.map = Float32Array.from(cmrPlayData.maps[part("ready").value]); redraw(); };
  part("again").addEventListener("click", start);
  part("ready").addEventListener("change", start);
  part("brush").addEventListener("input", (event) => { state.brush = +event.target.value; redraw(); });
  part("tau").addEventListener("input", (event) => { state.tau = +event.target.value; redraw(); });
  for (const name of ["how", "rule"])
    part(name).addEventListener("change", (event) => { state[name] = event.target.value; redraw(); });
  ends.forEach((end, i) => part(end).addEventListener("input", (event) => {
    const box = [...state.box], value = event.target.valueAsNumber;
    box[i] = value;
    if (!Number.isInteger(value) || value < 0 || value > SIDE || box[0] > box[2] || box[1] > box[3]) return;
    state.box = box;
    redraw();
  }));
  ends.forEach((end, i) => part(end).addEventListener("change", () => { part(end).value = state.box[i]; }));
  start();
})();
