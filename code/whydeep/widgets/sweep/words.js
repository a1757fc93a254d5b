// What a sweep shows, in words, tables and as CSV.

import { capital, csv, format, spread, summary, withUnit } from "../kit/numbers.js";
import { atSeeds, fieldAt } from "./data.js";

/** What the picture is, for those who do not see it. */
export function describe({ spec, across, field }, { variant, opened }) {
  const over = field ? `${withUnit(field.label, field.unit)} and ` : "";
  const axes = `${withUnit(spec.y.label, spec.y.unit)} against ${over}${
    withUnit(across.label, across.unit)}`;
  return opened
    ? `${field ? "Colours" : "Curves"} of ${axes}, ${
      spec.variants[variant].label}; the text below gives the values.`
    : `Empty axes, ${axes}: the measurement appears after the question.`;
}

/** The lowest and the highest cell of the field. */
function extremes(data, { position, variant }) {
  const { across, field } = data;
  const all = fieldAt(data, position, variant).flatMap((row, j) => row.map((value, i) => ({
    value, at: `${across.label} ${format(across.values[i])}, ${field.label} ${
      format(field.values[j])}`,
  }))).filter(({ value }) => Number.isFinite(value));
  if (!all.length) return "no value";
  const low = all.reduce((a, b) => (b.value < a.value ? b : a));
  const high = all.reduce((a, b) => (b.value > a.value ? b : a));
  return `lowest ${format(low.value)} at ${low.at}; highest ${format(high.value)} at ${high.at}`;
}

/** The values at the cursor; where curves are chosen, at their ends; of a field, its extremes. */
export function sentence(data, state) {
  const { spec: { x, y, sweep, series, seeds, variants }, field, points } = data;
  const { position, variant } = state;
  const point = x ? points - 1 : position;
  const found = series.map((label, s) => ({
    label, ...summary(atSeeds(data, variant, s, position, point)),
  }));
  const where = `${sweep.label}: ${format(sweep.values[position])} ${sweep.unit}`.trim();
  const end = x && !field ? `, at ${x.label} ${format(x.values[point])}` : "";
  const of = variants.length > 1 ? `; ${variants[variant].label}` : "";
  const over = seeds.length > 1
    ? `, mean${field ? "" : " ± sd"} over ${seeds.length} seeds` : "";
  const told = field ? extremes(data, state) : found.map((f) => `${f.label} ${spread(f)}`).join("; ");
  const shown = found.filter((f) => f.n > 0);
  const best = shown.length > 1
    ? ` Lowest: ${shown.reduce((a, b) => (b.mean < a.mean ? b : a)).label}.` : "";
  const what = capital(withUnit(y.label, y.unit));
  return `${capital(where)}${end}${of}. ${what}${over}: ${told}.${best}`;
}

/** Places in a list, so many at most, evenly apart. */
function thin(list, most) {
  const every = Math.ceil(list.length / most);
  return [...list.keys()].filter((i) => i % every === 0);
}

/** The table's head and rows: means of all series or of the field, thinned to what a table can hold. */
export function tabulate(data, { position, variant }) {
  const { spec, across, field } = data;
  if (field) {
    const columns = thin(across.values, 8);
    const means = fieldAt(data, position, variant);
    return [
      [`${field.label}, ${across.label}`, ...columns.map((i) => format(across.values[i]))],
      thin(field.values, 25).map((j) => [
        format(field.values[j]),
        ...columns.map((i) => (Number.isFinite(means[j][i]) ? format(means[j][i]) : "no value")),
      ]),
    ];
  }
  return [
    [withUnit(across.label, across.unit), ...spec.series],
    thin(across.values, 25).map((p) => [
      format(across.values[p]),
      ...spec.series.map((_, s) => spread(summary(atSeeds(data, variant, s, position, p)))),
    ]),
  ];
}

/** Every value: variant, series, seed, swept value (and row and x), value to the digits that are kept. */
export function asCsv(data) {
  const { spec: { x, y, sweep, series, seeds, variants }, field, points, each } = data;
  const digits = (value) => (Number.isFinite(value) ? Number(value.toPrecision(5)) : "");
  const axes = [sweep, ...(field ? [field] : []), ...(x ? [x] : []), y];
  const rows = [["variant", "series", "seed", ...axes.map(({ label, unit }) => withUnit(label, unit))]];
  variants.forEach(({ name }, v) => series.forEach((label, s) => {
    sweep.values.forEach((swept, step) => {
      for (let cell = 0; cell < each; cell += 1) {
        const at = [
          ...(field ? [field.values[Math.floor(cell / points)]] : []),
          ...(x ? [x.values[cell % points]] : []),
        ];
        atSeeds(data, v, s, step, x ? cell : step).forEach((value, k) => {
          rows.push([name, label, seeds[k], swept, ...at, digits(value)]);
        });
      }
    });
  }));
  return csv(rows);
}
