// The network `tiny` with CAM's classifier on one image of 64 pixels, in plain JavaScript (cmr/nets/backbones.py, "tiny";
// cmr/network.py, Head). tests/book/test_hide.py holds logits and maps to the library's. A layer's output is
// { channels, side, values }, channel by channel.
"use strict";
const cmrNetwork = (() => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

  function half(code) {  // a number of 16 bits
    const sign = code >> 15 ? -1 : 1, exponent = (code >> 10) & 31, fraction = code & 1023;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
  }

  // name -> { shape, values }
  function read({ shapes, weights }) {
    const raw = bytes(weights), found = {};
    let at = 0;
    for (const [name, shape] of shapes) {
      const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
      for (let i = 0; i < values.length; i++, at += 2) values[i] = half(raw[at] | (raw[at + 1] << 8));
      found[name] = { shape, values };
    }
    return found;
  }

  // Pixels (RGB, row by row) as the network wants them, 0 (the mean colour) where `hidden` says so of a pixel's cell.
  const MEAN = [0.485, 0.456, 0.406], STD = [0.229, 0.224, 0.225];
  function view(pixels, side, size, hidden) {
    const values = new Float32Array(3 * side * side), row = Math.ceil(side / size);
    for (let p = 0; p < side * side; p++) {
      const x = p % side, y = Math.floor(p / side);
      if (hidden[Math.floor(y / size) * row + Math.floor(x / size)]) continue;
      for (let c = 0; c < 3; c++) values[c * side * side + p] = (pixels[3 * p + c] / 255 - MEAN[c]) / STD[c];
    }
    return { channels: 3, side, values };
  }

  function pad(input, edge) {
    if (!edge) return input;
    const { channels, side, values } = input, wide = side + 2 * edge, out = new Float32Array(channels * wide * wide);
    for (let c = 0; c < channels; c++)
      for (let y = 0; y < side; y++) {
        const from = (c * side + y) * side;
        out.set(values.subarray(from, from + side), (c * wide + y + edge) * wide + edge);
      }
    return { channels, side: wide, values: out };
  }

  function convolve(input, { shape: [outs, ins, kernel], values: weight }, stride, edge) {
    const { side: wide, values } = pad(input, edge), side = Math.floor((wide - kernel) / stride) + 1;
    const out = new Float32Array(outs * side * side);
    for (let o = 0; o < outs; o++)
      for (let c = 0; c < ins; c++)
        for (let ky = 0; ky < kernel; ky++)
          for (let kx = 0; kx < kernel; kx++) {
            const w = weight[((o * ins + c) * kernel + ky) * kernel + kx];
            for (let y = 0; y < side; y++) {
              let to = (o * side + y) * side, from = (c * wide + y * stride + ky) * wide + kx;
              for (let x = 0; x < side; x++, to++, from += stride) out[to] += w * values[from];
            }
          }
    return { channels: outs, side, values: out };
  }

  function norm(net, name, { channels, side, values }) {  // batch normalisation at test
    const [weight, bias, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map(
      (what) => net[`${name}.${what}`].values);
    const out = values.map((v, i) => {
      const c = Math.floor(i / (side * side));
      return (v - mean[c]) / Math.sqrt(variance[c] + 1e-5) * weight[c] + bias[c];
    });
    return { channels, side, values: out };
  }

  const relu = (input) => ({ ...input, values: input.values.map((v) => Math.max(v, 0)) });
  const add = (a, b) => ({ ...a, values: a.values.map((v, i) => v + b.values[i]) });

  function pool({ channels, side, values }, how) {  // squares of two by two
    const less = side / 2, out = new Float32Array(channels * less * less);
    for (let i = 0; i < out.length; i++) {
      const x = i % less, y = Math.floor(i / less), at = 2 * y * side + 2 * x;  // y counts on over the channels
      out[i] = how(values[at], values[at + 1], values[at + side], values[at + side + 1]);
    }
    return { channels, side: less, values: out };
  }
  const mean = (a, b, c, d) => (a + b + c + d) / 4;

  function block(net, name, input, stride) {
    const conv = (layer) => net[`${name}.${layer}.weight`];
    const first = relu(norm(net, `${name}.bn1`, convolve(input, conv("conv1"), stride, 1)));
    const second = norm(net, `${name}.bn2`, convolve(first, conv("conv2"), 1, 1));
    const short = convolve(stride === 2 ? pool(input, mean) : input, conv("downsample.1"), 1, 0);
    return relu(add(second, norm(net, `${name}.downsample.2`, short)));
  }

  // An image to logits, one per class, and class maps, one after the other.
  function run(net, image) {
    const body = "backbone.body", weight = (name) => net[`${body}.${name}.weight`];
    let x = relu(norm(net, `${body}.conv1.1`, convolve(image, weight("conv1.0"), 2, 1)));
    x = relu(norm(net, `${body}.conv1.4`, convolve(x, weight("conv1.3"), 1, 1)));
    x = relu(norm(net, `${body}.bn1`, convolve(x, weight("conv1.6"), 1, 1)));
    x = block(net, `${body}.layer1.0`, pool(x, Math.max), 1);
    x = block(net, `${body}.layer2.0`, x, 2);
    const { shape: [classes, channels], values } = net["head.weight"], bias = net["head.bias"].values;
    const maps = convolve(x, { shape: [classes, channels, 1], values }, 1, 0), cells = x.side * x.side;
    const logits = Array.from(bias, (b, k) =>
      b + maps.values.subarray(k * cells, (k + 1) * cells).reduce((a, v) => a + v, 0) / cells);
    return { logits, maps: maps.values, side: x.side };
  }

  function softmax(logits) {
    const top = Math.max(...logits), raised = logits.map((v) => Math.exp(v - top));
    const sum = raised.reduce((a, b) => a + b);
    return raised.map((v) => v / sum);
  }

  return { bytes, half, read, view, run, softmax };
})();
