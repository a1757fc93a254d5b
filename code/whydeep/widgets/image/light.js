// What belongs to the pixel that a reader points at: outlined in the other images, and said.

import { mapOf, stateOf } from "./state.js";

/** How many units along one side see the pixel at `place`. */
export function seenBy(place, count, size, stride) {
  return [...Array(count).keys()]
    .filter((i) => i * stride <= place && place < i * stride + size).length;
}

/** For a unit, in the feature map or as a column of W, its patch of the picture; for a pixel of the
 *  picture its row of W; for a pooled unit its window of the feature map. Gives the words. */
export function light(view) {
  const { spec, held, parts: { large, scene, map, matrix, pool, difference } } = view;
  for (const part of [scene, map, matrix]) part.mark(null);
  if (spec.pools.length && held && [pool, difference].includes(held.enlarged)) return lightWindow(view);
  if (!spec.matrix || !held || held.enlarged === large) return "";
  return held.enlarged === scene ? lightRow(view) : lightColumn(view);
}

/** The parts of a convolution that is chosen now. */
function chosen({ model, spec, items, scenes }) {
  const now = stateOf(model, spec);
  return {
    now, picture: scenes[now.picture], filter: items[now.bank][now.item], stride: spec.strides[now.stride],
  };
}

/** The row of W that belongs to the pixel of the picture. */
function lightRow(view) {
  const { now, picture, filter, stride } = chosen(view);
  const { plain, w } = mapOf(view, now);
  const [row, column] = view.held.at;
  const pixel = row * picture.width + column;
  view.parts.matrix.mark({ top: pixel, left: 0, height: 1, width: w.width });
  const units = seenBy(row, plain.height, filter.height, stride)
    * seenBy(column, plain.width, filter.width, stride);
  return `It is row ${pixel + 1} of W; ${units} of ${w.width} units see it.`;
}

/** The patch and the column of W that belong to the unit. */
function lightColumn(view) {
  const { held, parts: { scene, map, matrix } } = view;
  const { now, filter, stride } = chosen(view);
  const { plain, w } = mapOf(view, now);
  const [row, column] = held.at;
  const unit = held.enlarged === map ? row * plain.width + column : column;
  const [r, c] = [Math.floor(unit / plain.width), unit % plain.width];
  scene.mark({ top: r * stride, left: c * stride, height: filter.height, width: filter.width });
  matrix.mark({ top: 0, left: unit, height: w.height, width: 1 });
  if (held.enlarged === matrix) map.mark({ top: r, left: c, height: 1, width: 1 });
  return `Column ${unit + 1} of W belongs to the patch from row ${r * stride + 1}, column ${
    c * stride + 1} on.`;
}

/** The window of the pooled unit. */
function lightWindow({ model, spec, held, parts: { map } }) {
  const { kind, size, stride } = spec.pools[model.get("pool")];
  const [top, left] = [held.at[0] * stride, held.at[1] * stride];
  map.mark({ top, left, height: size, width: size });
  const where = `row ${top + 1}, column ${left + 1}`;
  return size === 1
    ? `It is the value of the feature map at ${where}.`
    : `It is the ${kind} of ${size} by ${size} values of the feature map from ${where} on.`;
}
