// The large maps: the chosen unit over the plane, of each run, with the data points on top; and their key.

import { make } from "../kit/dom.js";
import { shapeOf } from "./engine/network.js";
import { dot, HALF, paintMap, strokeLevel } from "./paint.js";
import { captionOf, levelOf } from "./words.js";

/** The canvases of a run's large map, and its caption. */
export function surfaceOf() {
  const map = make("canvas", { role: "img", "aria-label": "Output" });
  const dots = make("canvas", { "aria-hidden": "true" });
  dots.style.cssText = "position: absolute; inset: 0;";
  const caption = make("figcaption");
  const element = make("figure", {}, caption, make("div", { class: "wd-surface" }, map, dots));
  return { map, dots, caption, element };
}

export function sizeSurfaces(surfaces, dense) {
  for (const { map, dots } of surfaces) {
    const size = Math.round((map.parentElement.clientWidth || 240) * dense);
    for (const canvas of [map, dots]) [canvas.width, canvas.height] = [size, size];
  }
}

/** How a unit's value becomes a share from -1 to 1 of the colours: of the largest magnitude; the
 *  output's, under the log-loss, by the probability that it stands for. */
export function shareOf(u, settings, units, values, from, count) {
  if (u === units - 1) {
    return settings.loss === "log" ? (f) => 2 / (1 + Math.exp(-f)) - 1 : (f) => f;
  }
  let most = 0;
  for (let n = from; n < from + count; n += 1) most = Math.max(most, Math.abs(values[n]));
  return (v) => v / (most || 1);
}

/** Unit u of run r over the plane, `side` points a side, with the line where it crosses its level. */
export function drawSurface(view, r, settings, u, side, values) {
  const { map, caption } = view.surfaces[r];
  const { palette, papers } = view.picture;
  const shape = shapeOf(settings);
  const context = map.getContext("2d");
  const from = u * side * side;
  const share = shareOf(u, settings, shape.units, values, from, side * side);
  paintMap(papers[side], values, from, share, palette.ramp);
  context.drawImage(papers[side].canvas, 0, 0, map.width, map.height);
  context.strokeStyle = palette.ink;
  context.lineWidth = Math.max(1, map.width / 260);
  context.globalAlpha = 0.75;
  strokeLevel(context, map.width, side, values, from, levelOf(settings, shape, u));
  context.globalAlpha = 1;
  const text = captionOf(view, r, u, shape);
  if (caption.textContent !== text) {
    caption.textContent = text;
    map.setAttribute("aria-label", `${text}, over the plane of x₁ and x₂`);
  }
}

/** The examples of run r; rings around replaced labels. */
export function drawPoints(view, r) {
  const { dots } = view.surfaces[r];
  const { palette } = view.picture;
  const { train, test, wrong } = view.training.data[r];
  const context = dots.getContext("2d");
  const size = dots.width;
  const radius = Math.max(2.2, size / 95);
  context.clearRect(0, 0, size, size);
  context.lineWidth = radius / 3;
  const place = (x) => (size * (x + HALF)) / (2 * HALF);
  const all = ({ x, y }, hollow) => y.forEach((label, n) => {
    dot(context, place(x[2 * n]), place(-x[2 * n + 1]), label, radius, palette, hollow);
  });
  if (view.shown.tests) all(test, true);
  all(train, false);
  context.strokeStyle = palette.ink;
  context.lineWidth = radius / 2.2;
  wrong.forEach((is, n) => {
    if (!is) return;
    context.beginPath();
    context.arc(place(train.x[2 * n]), place(-train.x[2 * n + 1]), 1.7 * radius, 0, 2 * Math.PI);
    context.stroke();
  });
}

/** What the marks of the points stand for. */
export function drawKey(view) {
  const labels = ["label −1", "label 1"];
  const items = [-1, 1].map((label, n) => {
    const canvas = make("canvas", { width: 28, height: 28, "aria-hidden": "true" });
    canvas.style.cssText = "width: 14px; height: 14px;";
    const context = canvas.getContext("2d");
    context.lineWidth = 2;
    dot(context, 14, 14, label, 10, view.picture.palette, false);
    return make("li", {}, canvas, labels[n]);
  });
  const said = [...(view.shown.tests ? ["hollow: test examples"] : []),
    ...(view.training.data.some(({ wrong }) => wrong.includes(1))
      ? ["ringed: label replaced by a wrong one"] : [])];
  view.parts.key.replaceChildren(...items, ...said.map((text) => make("li", {}, text)));
}
