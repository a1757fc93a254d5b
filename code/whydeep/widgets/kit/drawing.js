// Drawing in SVG: lines, bands, markers, axes, coloured cells.

import { shade } from "./colours.js";
import { make } from "./dom.js";
import { format } from "./numbers.js";

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "", "4 5"]; // as in whydeep.show.figures
const MARKERS = [ // circle, square, triangle, diamond, triangle downwards, cross
  (r) => `M${-r},0a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0Z`,
  (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0,${-1.2 * r}L${1.15 * r},${0.9 * r}H${-1.15 * r}Z`,
  (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0Z`,
  (r) => `M0,${1.2 * r}L${1.15 * r},${-0.9 * r}H${-1.15 * r}Z`,
  (r) => `M${-r / 3},${-r}h${r / 1.5}v${r / 1.5}h${r / 1.5}v${r / 1.5}h${-r / 1.5}v${r / 1.5}`
    + `h${-r / 1.5}v${-r / 1.5}h${-r / 1.5}v${-r / 1.5}h${r / 1.5}Z`,
];

export function marker(series, x, y, r = 4) {
  return make("path", {
    class: `wd-mark wd-s${series}`, d: MARKERS[series](r), transform: `translate(${x},${y})`,
  });
}

/** A line through the points [x, y], broken where y is not a number. */
export function line(series, points) {
  let pen = "M";
  const d = points.map(([x, y]) => {
    if (!Number.isFinite(y)) { pen = "M"; return ""; }
    const step = `${pen}${x.toFixed(1)},${y.toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
  return make("path", { class: `wd-line wd-s${series}`, d, "stroke-dasharray": DASHES[series] });
}

/** The area between points [x, low, high]; where they are not numbers there is none. */
export function band(series, points) {
  const parts = [[]];
  for (const point of points) {
    if (point.every(Number.isFinite)) parts.at(-1).push(point);
    else parts.push([]);
  }
  const d = parts.filter((part) => part.length > 1).map((part) => {
    const there = part.map(([x, , high]) => `${x.toFixed(1)},${high.toFixed(1)}`);
    const back = part.map(([x, low]) => `${x.toFixed(1)},${low.toFixed(1)}`).reverse();
    return `M${[...there, ...back].join("L")}Z`;
  }).join("");
  return make("path", { class: `wd-band wd-s${series}`, d });
}

/** Labels in order, each with a sample of its line and marker. */
export function legend(labels) {
  return make("ul", { class: "wd-legend" }, ...labels.map((label, i) => make(
    "li", {},
    make(
      "svg", { width: 40, height: 14, "aria-hidden": "true" },
      line(i, [[1, 7], [39, 7]]), marker(i, 20, 7),
    ),
    label,
  )));
}

/** Axes with ticks, labels and units around the box {left, right, top, bottom}. */
export function frame(box, x, y) {
  const group = make("g", { class: "wd-axes" });
  const write = (px, py, text, anchor, extra = {}) => group.append(
    make("text", { x: px, y: py, "text-anchor": anchor, ...extra }, text),
  );
  for (const value of y.ticks) {
    const place = y.place(value);
    group.append(make("line", { x1: box.left, x2: box.right, y1: place, y2: place, class: "wd-grid" }));
    write(box.left - 6, place + 4, format(value), "end");
  }
  for (const value of x.ticks) {
    const place = x.place(value);
    group.append(make("line", { x1: place, x2: place, y1: box.bottom, y2: box.bottom + 4 }));
    write(place, box.bottom + 17, format(value), "middle");
  }
  group.append(make("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  group.append(make("line", { x1: box.left, x2: box.left, y1: box.top, y2: box.bottom }));
  write((box.left + box.right) / 2, box.bottom + 35, x.name, "middle");
  write(4, box.top - 10, y.name, "start");
  return group;
}

/** Where each of the places begins and ends: half-way to its neighbours. */
function borders(places) {
  const middle = places.slice(1).map((v, i) => (v + places[i]) / 2);
  const [first, last] = [places[0], places.at(-1)];
  return [2 * first - middle[0], ...middle, 2 * last - middle.at(-1)];
}

/** Coloured cells, one for each [column][row] of shares; where a share is not a number, none. */
export function cells(columns, rows, share) {
  const [xs, ys] = [borders(columns), borders(rows)];
  const group = make("g", { class: "wd-cells" });
  columns.forEach((_, i) => rows.forEach((__, j) => {
    const found = share(i, j);
    if (!Number.isFinite(found)) return;
    group.append(make("rect", {
      x: Math.min(xs[i], xs[i + 1]), width: Math.abs(xs[i + 1] - xs[i]),
      y: Math.min(ys[j], ys[j + 1]), height: Math.abs(ys[j + 1] - ys[j]), fill: shade(found),
    }));
  }));
  return group;
}
