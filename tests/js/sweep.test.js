// Sweeps: which value is whose, means, words, tables, files, and the state in the address.
import assert from "node:assert/strict";
import { test } from "node:test";

import { atSeeds, dataOf, fieldAt, rangeOf } from "../../code/whydeep/widgets/sweep/data.js";
import { addressOf, fromAddress } from "../../code/whydeep/widgets/sweep/index.js";
import { asCsv, describe, sentence, tabulate } from "../../code/whydeep/widgets/sweep/words.js";

const axis = (label, values, log = false) => ({ label, unit: "", values, log });
const VARIANTS = [{ name: "main", label: "as they are" }, { name: "other", label: "shuffled" }];

/** Data whose value number n is n: the shape is read off the values. */
function counted(count, more) {
  const spec = {
    sweep: axis("size", [1, 2, 3]), x: null, rows: null, series: ["a", "b"], seeds: [5, 6], variants: VARIANTS,
    y: { label: "error", unit: "%", log: false, low: 0, high: 65534 }, ...more,
  };
  return dataOf(spec, new DataView(Uint16Array.from(Array(count).keys()).buffer));
}

test("values lie by variant, series, seed and swept value", () => {
  const data = counted(24);
  assert.deepEqual(atSeeds(data, 0, 0, 0, 0), [0, 3]);
  assert.deepEqual(atSeeds(data, 0, 1, 0, 2), [8, 11]);
  assert.deepEqual(atSeeds(data, 1, 1, 0, 0), [18, 21]);
});

test("with an x the swept value chooses the curve, with rows the field", () => {
  const curves = counted(96, { x: axis("step", [1, 2, 3, 4]) });
  assert.deepEqual(atSeeds(curves, 0, 0, 1, 2), [6, 18]);
  const field = counted(144, {
    series: ["a"], x: axis("w", [1, 2, 3, 4]), rows: axis("b", [0, 1, 2]),
  });
  // Means over two seeds that lie 3 steps of 12 cells apart.
  assert.deepEqual(fieldAt(field, 0, 0).map((row) => row[0]), [18, 22, 26]);
  assert.deepEqual(fieldAt(field, 1, 0)[0], [30, 31, 32, 33]);
});

test("curves reach down to zero, logarithmic ones around their values", () => {
  const linear = rangeOf([2, 10, NaN], { log: false });
  assert.deepEqual([linear.least, linear.most, linear.lowest], [2, 10, 0]);
  assert.ok(linear.highest > 10);
  assert.equal(linear.share(6), 0.5);
  const log = rangeOf([0.1, 10], { log: true });
  assert.ok(log.lowest > 0 && log.lowest < 0.1);
  assert.ok(Math.abs(log.share(1) - 0.5) < 1e-12);
  assert.equal(rangeOf([0, 0], { log: false }).highest, 1); // an axis has a length
});

test("the sentence gives mean and spread at the cursor and names the lowest", () => {
  // At the second value: a has 1 and 4, mean 2.5, sd 2.1; b has 7 and 10.
  assert.equal(
    sentence(counted(24), { position: 1, variant: 0 }),
    "Size: 2; as they are. Error (%), mean ± sd over 2 seeds: a 2.5 ± 2.1; b 8.5 ± 2.1. Lowest: a.",
  );
});

test("of a field the sentence gives the extremes and where they are", () => {
  const field = counted(144, { series: ["a"], x: axis("w", [1, 2, 3, 4]), rows: axis("b", [0, 1, 2]) });
  assert.match(sentence(field, { position: 0, variant: 0 }), /lowest 18 at w 1, b 0; highest 29 at w 4, b 2\.$/);
});

test("what the picture is, open and closed", () => {
  assert.match(describe(counted(24), { variant: 1, opened: true }), /^Curves of error \(%\) against size, shuffled;/);
  assert.match(describe(counted(24), { variant: 1, opened: false }), /^Empty axes, error \(%\) against size:/);
});

test("the table has a row for each value across, or thinned", () => {
  assert.deepEqual(tabulate(counted(24), { position: 0, variant: 0 }), [
    ["size", "a", "b"],
    [["1", "1.5 ± 2.1", "7.5 ± 2.1"], ["2", "2.5 ± 2.1", "8.5 ± 2.1"], ["3", "3.5 ± 2.1", "9.5 ± 2.1"]],
  ]);
  const long = counted(1200, { x: axis("step", [...Array(50).keys()]) });
  assert.equal(tabulate(long, { position: 0, variant: 0 })[1].length, 25);
});

test("the file has every value once, with its axes", () => {
  const rows = asCsv(counted(24)).trim().split("\r\n");
  assert.equal(rows.length, 25);
  assert.equal(rows[0], "variant,series,seed,size,error (%)");
  assert.equal(rows.at(-1), "other,b,6,3,23");
  const field = asCsv(counted(144, { series: ["a"], x: axis("w", [1, 2, 3, 4]), rows: axis("b", [0, 1, 2]) }));
  const lines = field.trim().split("\r\n");
  assert.equal(lines[0], "variant,series,seed,size,b,w,error (%)");
  assert.equal(lines.at(-1), "other,a,6,3,2,4,143");
  assert.equal(lines.length, 145);
});

test("the address tells what differs, and gives it back; nonsense is left out", () => {
  const { spec } = counted(24);
  const initial = { position: 0, variant: 0, opened: false };
  const told = addressOf({ position: 2, variant: 1, opened: true }, initial, spec);
  assert.deepEqual(told, { at: 3, show: "other", open: "1" });
  assert.deepEqual(fromAddress({ at: "3", show: "other", open: "1" }, spec), { position: 2, variant: 1, opened: true });
  assert.deepEqual(addressOf(initial, initial, spec), { at: null, show: null, open: null });
  assert.deepEqual(fromAddress({ at: "x", show: "none" }, spec), {});
});
