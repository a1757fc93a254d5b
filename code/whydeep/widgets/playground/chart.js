// The chart: training and test loss against steps, of each run, with their spread over networks.

import { make } from "../kit/dom.js";
import { band, frame, line, marker } from "../kit/drawing.js";
import { scale, summary, ticks } from "../kit/numbers.js";
import { momentOf } from "./state.js";

const THIN = 160; // points of a curve, at most

/** The curves of each run: training and test loss, as points {x, n, mean, sd} up to the present step. */
export function curvesOf({ moments, step }, shift) {
  return moments.map((list) => {
    const kept = list.filter((moment) => moment.step <= step);
    return ["train", "test"].map((part) => kept.map((moment) => ({
      x: moment.step + shift, ...summary(moment[part]),
    })));
  });
}

/** The lowest and the highest loss that are shown. */
export function range(runs, logarithmic) {
  const means = runs.flat(2).map(({ mean }) => mean).filter((v) => Number.isFinite(v) && v > 0);
  const firsts = runs.flat().map((list) => list[0]?.mean).filter(Number.isFinite);
  // A run that diverges leaves the picture and not the others at its bottom.
  const high = Math.min(Math.max(...means, 1e-3) * 1.05, 3 * Math.max(...firsts, 0.01));
  const low = logarithmic ? Math.max(Math.min(...means, high / 2), high / 1e5) * 0.9 : 0;
  return [low, high];
}

/** One curve, thinned, its band and a marker at its end. */
function drawCurve(image, series, list, x, y, [low, high]) {
  const every = Math.ceil(list.length / THIN);
  const thin = list.filter((_, n) => n % every === 0 || n === list.length - 1);
  if (!thin.length) return;
  const clamp = (v) => y(Math.min(high, Math.max(low, v)));
  image.append(
    band(series, thin.map((m) => [x(m.x), clamp(m.mean - m.sd), clamp(m.mean + m.sd)])),
    line(series, thin.map((m) => [x(m.x), m.mean <= high ? clamp(m.mean) : NaN])),
  );
  const end = thin.at(-1);
  if (end.mean <= high) image.append(marker(series, x(end.x), clamp(end.mean), 3.5));
}

export function drawChart(view) {
  const { logarithmic, at } = view.shown;
  const width = Math.max(220, view.picture.chartWidth);
  const height = Math.max(170, Math.min(230, 0.6 * width));
  const box = { left: 44, right: width - 22, top: 26, bottom: height - 40 };
  const shift = logarithmic ? 1 : 0; // step 0 has no logarithm
  const runs = curvesOf(view.training, shift);
  const end = shift + Math.max(10, ...runs.map(([train]) => (train.at(-1)?.x ?? shift) - shift));
  const [low, high] = range(runs, logarithmic);
  const x = scale(shift, end, box.left, box.right, logarithmic);
  const y = scale(low, high, box.bottom, box.top, logarithmic);
  const across = {
    place: x, ticks: ticks(shift, end, Math.round(width / 80), logarithmic),
    name: logarithmic ? "step + 1" : "step",
  };
  const up = { place: y, ticks: ticks(low, high, 4, logarithmic), name: "loss, mean ± sd" };
  const says = "Training and test loss against steps; the words below say their last values";
  const image = make("svg", { width, height, role: "img", "aria-label": says }, frame(box, across, up));
  runs.forEach((parts, r) => parts.forEach((list, p) => {
    drawCurve(image, 2 * r + p, list, x, y, [low, high]);
  }));
  if (at >= 0) {
    const place = x(momentOf(view, 0).step + shift);
    image.append(make("line", { class: "wd-cursor", x1: place, x2: place, y1: box.top, y2: box.bottom }));
  }
  view.parts.chart.replaceChildren(image);
}
