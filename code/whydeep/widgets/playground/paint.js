// Painting on canvases: maps in the page's colours, the lines where they cross a level, points.

import { blend } from "../kit/colours.js";
import { make } from "../kit/dom.js";

export const HALF = 3; // the picture reaches from -HALF to HALF
// Points a side of a map while it trains, and of the large one at rest.
export const COARSE = 32;
export const FINE = 96;

/** The points on which maps are drawn, as pairs, from the upper left row by row. */
export function latticeOf(side) {
  const x = new Float64Array(2 * side * side);
  for (let r = 0; r < side; r += 1) {
    for (let c = 0; c < side; c += 1) {
      x[2 * (r * side + c)] = HALF * ((2 * c + 1) / side - 1);
      x[2 * (r * side + c) + 1] = HALF * (1 - (2 * r + 1) / side);
    }
  }
  return x;
}

/** The page's colours around `element`: of the text, the paper, labels -1 and 1; and `ramp`, red, green
 *  and blue for shares from -1 to 1 in 255 steps, from the one label's colour to the other's. */
export function coloursOf(element) {
  const probe = make("i", { hidden: true });
  element.append(probe);
  const [ink, paper, low, high] = ["currentcolor", "--wd-paper", "--wd-0", "--wd-1"].map((name) => {
    probe.style.color = name.startsWith("--") ? `var(${name})` : "";
    return getComputedStyle(probe).color;
  });
  probe.remove();
  const rgb = (colour) => (colour.match(/[\d.]+/g) ?? [0, 0, 0]).slice(0, 3).map(Number);
  const [below, middle, above] = [low, paper, high].map(rgb);
  // The ends of the ramp are paler than the points, so that these stand out.
  const paler = (colour) => colour.map((v, c) => middle[c] + 0.72 * (v - middle[c]));
  const stops = [paler(below), middle, paler(above)];
  const ramp = new Uint8ClampedArray(3 * 255);
  for (let n = 0; n < 255; n += 1) ramp.set(blend(stops, n / 254), 3 * n);
  return { ink, paper, low, high, ramp };
}

/** A canvas of side x side pixels with its image, to paint maps on. */
export function paperOf(side) {
  const canvas = make("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return { side, canvas, context, image: context.createImageData(side, side) };
}

/** Paints values[from …] of a square map, each through `share`, a number from -1 to 1. */
export function paintMap({ side, context, image }, values, from, share, ramp) {
  for (let n = 0; n < side * side; n += 1) {
    const found = share(values[from + n]);
    const at = 3 * Math.round(127 * (1 + (found > 1 ? 1 : found >= -1 ? found : found < -1 ? -1 : 0)));
    image.data[4 * n] = ramp[at];
    image.data[4 * n + 1] = ramp[at + 1];
    image.data[4 * n + 2] = ramp[at + 2];
    image.data[4 * n + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Strokes where a square map crosses `level` (marching squares), on a canvas `size` pixels wide. */
export function strokeLevel(context, size, side, values, from, level) {
  const place = (k) => ((k + 0.5) / side) * size;
  context.beginPath();
  for (let r = 0; r < side - 1; r += 1) {
    for (let c = 0; c < side - 1; c += 1) {
      const at = from + r * side + c;
      const a = values[at] - level;
      const b = values[at + 1] - level;
      const d = values[at + side] - level;
      const e = values[at + side + 1] - level;
      if (a > 0 === b > 0 && a > 0 === d > 0 && a > 0 === e > 0) continue;
      const ends = [];
      if (a > 0 !== b > 0) ends.push([c + a / (a - b), r]);
      if (d > 0 !== e > 0) ends.push([c + d / (d - e), r + 1]);
      if (a > 0 !== d > 0) ends.push([c, r + a / (a - d)]);
      if (b > 0 !== e > 0) ends.push([c + 1, r + b / (b - e)]);
      for (let k = 0; k + 1 < ends.length; k += 2) {
        context.moveTo(place(ends[k][0]), place(ends[k][1]));
        context.lineTo(place(ends[k + 1][0]), place(ends[k + 1][1]));
      }
    }
  }
  context.stroke();
}

/** A point of a label: a disc for -1, a square for 1; hollow if it is for testing. */
export function dot(context, x, y, label, r, { low, high, paper }, hollow) {
  context.beginPath();
  if (label < 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else context.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  [context.fillStyle, context.strokeStyle] = hollow
    ? [paper, label < 0 ? low : high] : [label < 0 ? low : high, paper];
  context.fill();
  context.stroke();
}
