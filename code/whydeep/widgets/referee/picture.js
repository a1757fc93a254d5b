// The strips of one study: zones, seeds, intervals, states.

import { make } from "../kit/dom.js";
import { marker } from "../kit/drawing.js";
import { format, scale, ticks } from "../kit/numbers.js";
import { ARMS, describe, verdictOn } from "./words.js";

const [ROW, TOP] = [62, 40];

/** How far the axis reaches: room for nearly all seeds, the same for all studies of one setting. */
export function reach({ effect, left, spread }) {
  const means = [effect, left * effect, 0, 1, 2];
  return [Math.min(...means) - 2.6 * spread - 0.3, Math.max(...means) + 2.6 * spread + 0.3];
}

/** One arm: its name, its state, its seeds, its mean with the interval. */
function drawArm(arm, { values, mean, low, high, state }, x, y, width) {
  const group = make("g", { class: `wd-s${arm}` });
  group.append(
    make("text", { x: 2, y: y - 14 }, ARMS[arm]),
    make("text", { x: width - 2, y: y - 14, "text-anchor": "end", class: "wd-state" }, verdictOn(arm, state)),
    make("line", { class: "wd-interval", x1: x(low), x2: x(high), y1: y + 12, y2: y + 12 }),
    make("line", { class: "wd-mean", x1: x(mean), x2: x(mean), y1: y + 5, y2: y + 19 }),
    ...values.map((value) => marker(arm, x(value), y, 4)),
  );
  return group;
}

/** The picture, at least 240 pixels wide; without a study the empty strips. */
export function draw(study, settings, room) {
  const width = Math.max(240, room);
  const [low, high] = reach(settings);
  const bottom = TOP + ARMS.length * ROW;
  const place = scale(low, high, 4, width - 4);
  const x = (value) => Math.min(width - 4, Math.max(4, place(value)));
  const image = make("svg", {
    width, height: bottom + 40, role: "img", "aria-label": describe(study !== null, settings),
  });
  image.append(
    make("rect", { class: "wd-zone wd-against", x: 4, width: x(0) - 4, y: TOP, height: bottom - TOP }),
    make("rect", { class: "wd-zone", x: x(1), width: width - 4 - x(1), y: TOP, height: bottom - TOP }),
    make("line", { class: "wd-none", x1: x(0), x2: x(0), y1: TOP - 6, y2: bottom }),
    make("line", { class: "wd-bound", x1: x(1), x2: x(1), y1: TOP - 6, y2: bottom }),
    make("text", { x: x(0) - 4, y: 14, "text-anchor": "end" }, "opposite"),
    make("text", { x: x(1) + 4, y: 14 }, "in favour"),
    make("text", { x: x(0) - 4, y: 31, "text-anchor": "end" }, "no effect"),
    make("text", { x: x(1) + 4, y: 31 }, "bound"),
  );
  for (const value of ticks(low, high, Math.round(width / 90))) {
    image.append(make("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, format(value)));
  }
  image.append(make("text", { x: width / 2, y: bottom + 34, "text-anchor": "middle" }, "effect (bounds)"));
  study?.arms.forEach((arm, n) => image.append(drawArm(n, arm, x, TOP + n * ROW + 34, width)));
  return image;
}
