// The measured values of a sweep: of which variant, series, seed, swept value and point each is.

import { scale, summary, unpack } from "../kit/numbers.js";

/** The values with their axes. `across` is the horizontal axis; `field` the vertical one where colours are
 *  shown and not curves, else null. */
export function dataOf(spec, buffer) {
  const across = spec.x ?? spec.sweep;
  const points = across.values.length;
  const values = unpack(buffer, spec.y);
  return {
    spec, across, points, values, field: spec.rows,
    each: spec.x ? points * (spec.rows?.values.length ?? 1) : 1, // values of a seed at one step
    range: rangeOf(values, spec.y),
  };
}

/** The values of all seeds; without an x the swept axis is the one across. */
export function atSeeds({ spec: { x, series, seeds, sweep }, each, values }, variant, s, step, point) {
  const place = (k) => ((variant * series.length + s) * seeds.length + k) * sweep.values.length;
  return seeds.map((_, k) => values[x ? (place(k) + step) * each + point : place(k) + point]);
}

/** The field's means at one step, as rows of columns. */
export function fieldAt(data, position, variant) {
  return data.field.values.map((_, j) => data.across.values.map((__, i) => (
    summary(atSeeds(data, variant, 0, position, j * data.points + i)).mean
  )));
}

/** The least and the most of all values, how far the vertical axis of curves reaches (to zero at least,
 *  unless it is logarithmic), and which share of the whole a value is, on the values' own scale. */
export function rangeOf(values, y) {
  const finite = values.filter(Number.isFinite);
  const [least, most] = [Math.min(...finite), Math.max(...finite)];
  const margin = y.log ? 1.1 : 1.06;
  const lowest = y.log ? least / margin : Math.min(0, least * margin);
  const highest = y.log ? most * margin : most > 0 ? most * margin : lowest === 0 ? 1 : 0;
  return { least, most, lowest, highest, share: scale(least, most, 0, 1, y.log) };
}
