// What the images show, in words, tables and as CSV.

import { capital, csv, format } from "../kit/numbers.js";
import { extent } from "./maps.js";
import { mapOf, poolOf } from "./state.js";

export function nameOf({ banks, item: kind }, bank, item) {
  return banks[bank].names[item] ?? `${capital(kind)} ${item + 1}`;
}

/** What the colours of an image stand for. */
export function colours({ channels }, limit, signed) {
  const most = format(limit);
  if (!signed) return `black is 0, ${channels === 3 ? "full colour" : "white"} is ${most}.`;
  return channels === 3
    ? `in each of red, green and blue, none is −${most}, half is 0, full is ${most}.`
    : `blue is −${most}, light grey is 0, orange is ${most}.`;
}

function size({ height, width, channels }) {
  return `${height} × ${width} pixels${channels === 3 ? ", red, green and blue" : ""}`;
}

/** "row 3, column 4" of the value at place i. */
function at({ width }, i) {
  return `row ${Math.floor(i / width) + 1}, column ${(i % width) + 1}`;
}

/** The chosen item in numbers, and its map if it is a filter. */
export function sentence(view, now) {
  const { spec, items } = view;
  const bank = spec.banks[now.bank];
  const image = items[now.bank][now.item];
  const { low, high, mean } = extent(image);
  const name = bank.names[now.item] ? `, ${bank.names[now.item]}` : "";
  const numbers = bank.numbers.filter(({ values }) => values[now.item] !== null)
    .map(({ label, values }) => `${label}: ${format(values[now.item])}`);
  const given = numbers.length ? ` ${capital(numbers.join("; "))}.` : "";
  const told = `${capital(bank.label)}: ${spec.item} ${now.item + 1} of ${bank.items}${name}, ${
    size(image)}. Values from ${format(image.values[low])} to ${format(image.values[high])}, mean ${
    format(mean)}.${given}`;
  return spec.pictures.length ? `${told} ${tellMap(view, now)}` : told;
}

function tellMap(view, now) {
  const { spec } = view;
  const found = mapOf(view, now);
  const seen = now.relu ? found.cut : found.plain;
  const range = extent(seen);
  const more = spec.matrix ? ` ${tellMatrix(view, now)}` : spec.pools.length ? ` ${tellPool(view, now)}` : "";
  return `Feature map of ${spec.pictures[now.picture].label}${now.relu ? " after a ReLU" : ""}, ${
    size(seen)}: from ${format(seen.values[range.low])} (${at(seen, range.low)}) to ${
    format(seen.values[range.high])} (${at(seen, range.high)}), above zero at ${
    format(100 * range.above, 0)} % of the places.${more}`;
}

/** How far the picture is shifted and what that changes, before and after pooling. */
function tellPool(view, now) {
  const { now: image, change: after, mapChange: before } = poolOf(view, now);
  const told = ({ count, share }, all, what) => (
    `${format(count)} of ${format(all)} ${what} change, by ${format(100 * share, 0)} % of the map`
  );
  const label = `Pooled by ${view.spec.pools[now.pool].label} to ${size(image)}.`;
  if (!now.right && !now.down) return `${label} The picture is not shifted: nothing changes.`;
  const far = (by, ways) => (by === 0 ? [] : [`${Math.abs(by)} ${by > 0 ? ways[0] : ways[1]}`]);
  const shift = [
    ...far(now.right, ["to the right", "to the left"]), ...far(now.down, ["down", "up"]),
  ].join(" and ");
  return `${label} Shifted by ${shift}: ${
    told(after, image.values.length, "pooled units")}; before pooling ${
    told(before, mapOf(view, now).plain.values.length, "units")}.`;
}

/** The shape formula and the counts of W, in numbers. */
function tellMatrix(view, now) {
  const { spec, items, scenes } = view;
  const [picture, filter] = [scenes[now.picture], items[now.bank][now.item]];
  const { plain, w } = mapOf(view, now);
  const weights = filter.height * filter.width;
  const stride = spec.strides[now.stride];
  const fits = (picture.height - filter.height) % stride === 0;
  return `Places from top to bottom: (${picture.height} − ${filter.height}) / ${stride} + 1${
    fits ? "" : ", rounded down,"} = ${plain.height}. W has ${format(w.height)} rows and ${
    format(w.width)} columns; ${format(w.width * weights)} of its ${
    format(w.width * w.height)} entries lie in a patch, and ${weights} weights fill them.`;
}

/** The table's head and rows: the items of the bank, each in numbers. */
export function tabulate({ spec, items }, { bank }) {
  const { names, numbers } = spec.banks[bank];
  return [
    [spec.item, "lowest", "mean", "highest", ...numbers.map(({ label }) => label)],
    items[bank].map((image, i) => {
      const { low, high, mean } = extent(image);
      return [
        names[i] ?? String(i + 1),
        ...[image.values[low], mean, image.values[high]].map((value) => format(value)),
        ...numbers.map(({ values }) => (values[i] === null ? "no value" : format(values[i]))),
      ];
    }),
  ];
}

/** Rows of channel, row, column, value. */
function pixels({ height, width, values }) {
  return [...values].map((value, i) => [
    Math.floor(i / (height * width)) + 1, (Math.floor(i / width) % height) + 1, (i % width) + 1,
    Number(value.toPrecision(5)),
  ]);
}

/** Every value of every bank. */
export function asCsv({ spec, items }) {
  return csv([
    ["bank", spec.item, "name", "channel", "row", "column", "value"],
    ...spec.banks.flatMap(({ label, names }, b) => items[b].flatMap((image, i) => (
      pixels(image).map((row) => [label, i + 1, names[i] ?? "", ...row])
    ))),
  ]);
}

export function mapAsCsv(image) {
  return csv([["row", "column", "value"], ...pixels(image).map((row) => row.slice(1))]);
}
