// The page "Hide cells and look": hide cells of a bird, and see what a trained network makes of the rest. network.js and
// maps.js compute, draw.js draws; weights.js has the network and the birds.
"use strict";
(() => {
  const root = document.getElementById("cmr-hide");
  const { SHOWN, TRUE, FOUND, CURSOR, ARROWS, fill, frame } = cmrDraw;
  const SIDE = 64, TAU = 0.2, FILL = "rgb(124, 116, 104)";  // the mean colour, 0 for the network
  const { classes, birds } = cmrNetworkData, net = cmrNetwork.read(cmrNetworkData);
  const state = { bird: birds[0], size: 16, hidden: new Uint8Array(16), cell: [0, 0], whole: null };
  const row = () => Math.ceil(SIDE / state.size);

  root.innerHTML = `
    <div class="cmr-play-controls">
      <label>bird <select name="bird">${birds.map((bird, i) => `<option value="${i}">${classes[bird.class]}</option>`).join("")}</select></label>
      <label>cells <select name="size">${[16, 13, 9, 5].map((size) => `<option value="${size}">${size} pixels</option>`).join("")}</select></label>
      <button type="button" name="half">hide half at random</button>
      <button type="button" name="swap">show the other view</button>
      <button type="button" name="none">show all</button>
    </div>
    <div class="cmr-play-panels">
      <figure><canvas name="cells" tabindex="0" role="application" aria-describedby="cmr-hide-keys"
        aria-label="The bird in cells that can be hidden"></canvas><figcaption>the view: hide cells here</figcaption></figure>
      <figure><canvas name="map" role="img" aria-label="The class map of the bird's class, over the bird, with both boxes"></canvas>
        <figcaption>map of the bird's class, true box (red), predicted box (green)</figcaption></figure>
    </div>
    <p class="cmr-play-keys" id="cmr-hide-keys">Keys on the view: arrows move the frame, space hides or shows the cell.
      <output name="cell" aria-live="polite"></output></p>
    <output class="cmr-play-result" name="result" aria-live="polite"></output>
    <div><table><caption>The bird's class and the four most probable others.</caption>
      <thead><tr><th>class</th><th>this view</th><th>whole image</th></tr></thead><tbody></tbody></table></div>`;
  const part = (name) => root.querySelector(`[name=${name}]`);
  const pens = cmrDraw.pens(root, ["cells", "map"]);
  const photo = new OffscreenCanvas(SIDE, SIDE), layer = new OffscreenCanvas(SIDE, SIDE);

  // Probabilities, and the evaluator's judgement of the map of the bird's class.
  function look(hidden) {
    const out = cmrNetwork.run(net, cmrNetwork.view(state.bird.values, SIDE, state.size, hidden));
    const cells = out.side * out.side, map = out.maps.slice(state.bird.class * cells, (state.bird.class + 1) * cells);
    const scores = cmrMaps.normalise(cmrMaps.resize(map, out.side, SIDE), "minmax");
    return { shares: cmrNetwork.softmax(out.logits), scores, ...cmrMaps.judge(scores, SIDE, TAU, "largest", state.bird.box) };
  }

  function drawCells() {
    const pen = pens.cells, scale = SHOWN / SIDE, wide = state.size * scale, [x, y] = state.cell;
    pen.drawImage(photo, 0, 0, SHOWN, SHOWN);
    pen.fillStyle = FILL;
    pen.strokeStyle = "rgba(255, 255, 255, 0.5)";
    pen.lineWidth = 1;
    state.hidden.forEach((hide, i) => {
      const place = [(i % row()) * wide, Math.floor(i / row()) * wide, wide, wide];
      if (hide) pen.fillRect(...place);
      pen.strokeRect(...place);
    });
    const ends = [x, y, x + 1, y + 1].map((v) => Math.min(v * state.size, SIDE));
    frame(pen, [ends[0], ends[1], ends[2] - 1, ends[3] - 1], SIDE, CURSOR, 3);
    part("cell").textContent = `row ${y + 1}, column ${x + 1}: ${state.hidden[y * row() + x] ? "hidden" : "shown"}`;
  }

  const share = (p) => `${(100 * p).toFixed(0)} %`;
  function drawResult() {
    const seen = look(state.hidden), name = classes[state.bird.class], shown = state.hidden.filter((v) => !v).length;
    state.whole = state.whole || look(state.hidden.map(() => 0));
    fill(layer, (p) => cmrDraw.overlay(seen.scores[p]));
    pens.map.drawImage(photo, 0, 0, SHOWN, SHOWN);
    pens.map.drawImage(layer, 0, 0, SHOWN, SHOWN);
    frame(pens.map, state.bird.box, SIDE, TRUE);
    frame(pens.map, seen.box, SIDE, FOUND);
    part("result").textContent = `${shown} of ${state.hidden.length} cells shown: ${name} ${share(seen.shares[state.bird.class])}`
      + ` (whole image: ${share(state.whole.shares[state.bird.class])}), IoU ${seen.iou.toFixed(2)}`
      + ` (whole image: ${state.whole.iou.toFixed(2)})`;
    const others = classes.map((_, k) => k).filter((k) => k !== state.bird.class)
      .sort((a, b) => seen.shares[b] - seen.shares[a]).slice(0, 4);
    root.querySelector("tbody").innerHTML = [state.bird.class, ...others].map((k) =>
      `<tr><th>${classes[k]}</th><td>${share(seen.shares[k])}</td><td>${share(state.whole.shares[k])}</td></tr>`).join("");
  }

  const drawLater = cmrDraw.later(drawResult);
  function redraw() {
    drawCells();
    drawLater();
  }

  function start() {
    state.bird = birds[part("bird").value];
    state.bird.values = state.bird.values || cmrNetwork.bytes(state.bird.pixels);
    state.size = +part("size").value;
    state.hidden = new Uint8Array(row() * row());
    state.cell = [0, 0];
    state.whole = null;
    fill(photo, (p) => [...state.bird.values.subarray(3 * p, 3 * p + 3), 255]);
    redraw();
  }

  function toggle([x, y], hide = 1 - state.hidden[y * row() + x]) {
    state.cell = [x, y];
    state.hidden[y * row() + x] = hide;
    redraw();
    return hide;
  }

  const canvas = part("cells");
  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height]
      .map((at) => Math.floor(Math.min(Math.max(at * SIDE, 0), SIDE - 1) / state.size));
  }
  let held = null;  // what the stroke does: 1 hides, 0 shows
  canvas.addEventListener("pointerdown", (event) => {
    held = toggle(place(event));
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => { if (held !== null) toggle(place(event), held); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => { held = null; });
  canvas.addEventListener("keydown", (event) => {
    const way = ARROWS[event.key];
    if (event.ctrlKey || event.metaKey || (!way && event.key !== " ")) return;
    event.preventDefault();
    if (!way) return void toggle(state.cell);
    state.cell = state.cell.map((v, i) => Math.min(Math.max(v + way[i], 0), row() - 1));
    drawCells();
  });
  for (const name of ["bird", "size"]) part(name).addEventListener("change", start);
  const change = (how) => () => { state.hidden = state.hidden.map(how); redraw(); };
  part("half").addEventListener("click", change(() => (Math.random() < 0.5 ? 1 : 0)));
  part("swap").addEventListener("click", change((v) => 1 - v));
  part("none").addEventListener("click", change(() => 0));
  start();
})();
