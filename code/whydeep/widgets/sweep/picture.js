// The picture of a sweep: curves with their bands, or a field in colours with its bar.

import { make } from "../kit/dom.js";
import { band, cells, frame, line, marker } from "../kit/drawing.js";
import { format, scale, summary, ticks, withUnit } from "../kit/numbers.js";
import { atSeeds, fieldAt } from "./data.js";
import { describe } from "./words.js";

/** The box of the axes in a picture `width` pixels wide, and how values become places in it. */
function axesOf({ spec, across, points, field, range: { lowest, highest } }, width) {
  const height = Math.min(360, Math.max(230, 0.55 * width));
  const box = { left: 46, right: width - (field ? 92 : 22), top: 28, bottom: height - 42 };
  const ends = [across.values[0], across.values[points - 1]];
  const pad = field ? 0.5 * (box.right - box.left) / points : points > 12 ? 0 : 14;
  const x = scale(ends[0], ends[1], box.left + pad, box.right - pad, across.log);
  const up = field ?? spec.y;
  const inset = field ? 0.5 * (box.bottom - box.top) / field.values.length : 0;
  const [bottom, top] = field ? [field.values[0], field.values.at(-1)] : [lowest, highest];
  const y = scale(bottom, top, box.bottom - inset, box.top + inset, up.log);
  const apart = across.values.slice(1).every((v, i) => x(v) - x(across.values[i]) > 42);
  const axes = frame(
    box,
    {
      place: x, name: withUnit(across.label, across.unit),
      ticks: apart ? across.values : ticks(ends[0], ends[1], Math.round(width / 90), across.log),
    },
    { place: y, name: withUnit(up.label, up.unit), ticks: ticks(bottom, top, 5, up.log) },
  );
  return { height, box, x, y, axes };
}

/** Cells of the field, and the bar that says which colour is which value. */
function drawField(image, data, { position, variant, opened }, { box, x, y }) {
  const { spec, across, field, range: { least, most, share } } = data;
  if (opened) {
    const means = fieldAt(data, position, variant);
    image.append(cells(across.values.map(x), field.values.map(y), (i, j) => share(means[j][i])));
  }
  const left = box.right + 26;
  const at = scale(least, most, box.bottom, box.top, spec.y.log);
  const steps = [...Array(40).keys()];
  const place = scale(0, 39, box.bottom - 3, box.top + 3);
  image.append(cells([left, left + 14], steps.map((n) => place(n)), (i, n) => (i ? NaN : n / 39)));
  for (const value of ticks(least, most, 5, spec.y.log)) {
    image.append(make("text", { class: "wd-value", x: left + 12, y: at(value) + 4 }, format(value)));
  }
  const name = withUnit(spec.y.label, spec.y.unit);
  image.append(make(
    "text", { class: "wd-value", x: left + 50, y: box.top - 10, "text-anchor": "end" }, name,
  ));
}

/** The curve of series s: means, a band of one standard deviation, markers, and every seed at the
 *  cursor, where there is one. */
function drawCurve(image, data, s, { position, variant }, { x, y }) {
  const { spec: { sweep, x: own }, across, points, range: { lowest, highest } } = data;
  const clamp = (value) => y(Math.min(highest, Math.max(lowest, value)));
  const means = across.values.map((v, p) => (
    { x: x(v), ...summary(atSeeds(data, variant, s, position, p)) }));
  image.append(
    band(s, means.map((m) => [m.x, clamp(m.mean - m.sd), clamp(m.mean + m.sd)])),
    line(s, means.map((m) => [m.x, y(m.mean)])),
  );
  const every = Math.ceil(points / 12);
  means.forEach((m, p) => {
    if (p % every === 0 && m.n > 0) image.append(marker(s, m.x, y(m.mean)));
  });
  if (own) return;
  for (const value of atSeeds(data, variant, s, position, position)) {
    if (Number.isFinite(value)) image.append(marker(s, x(sweep.values[position]) + 9, y(value), 2.2));
  }
}

/** Lets the pointer take the cursor along; `onMove` gets the place of the nearest swept value. */
function letDrag(image, { values }, x, onMove) {
  const drag = (event) => {
    const place = event.clientX - image.getBoundingClientRect().left;
    const distance = values.map((v) => Math.abs(x(v) - place));
    onMove(distance.indexOf(Math.min(...distance)));
  };
  image.addEventListener("pointerdown", drag);
  image.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
}

/** The whole picture, at least 240 pixels wide; empty axes while the question is open. */
export function draw(data, state, room, onMove) {
  const { spec, field } = data;
  const width = Math.max(240, room);
  const axes = axesOf(data, width);
  const image = make("svg", {
    width, height: axes.height, role: "img", "aria-label": describe(data, state),
    class: spec.x ? "" : "wd-drag",
  }, axes.axes);
  if (field) drawField(image, data, state, axes);
  else if (state.opened) {
    if (!spec.x) {
      const { box, x } = axes;
      const at = x(spec.sweep.values[state.position]);
      image.append(make("line", { class: "wd-cursor", x1: at, x2: at, y1: box.top, y2: box.bottom }));
      letDrag(image, spec.sweep, x, onMove);
    }
    spec.series.forEach((_, s) => drawCurve(image, data, s, state, axes));
  }
  return image;
}
