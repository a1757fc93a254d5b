// Images as numbers: feature maps, the matrix of a convolution, pooling, shifts; the state and its words.
import assert from "node:assert/strict";
import { test } from "node:test";

import { pixelWords, target } from "../../code/whydeep/widgets/image/enlargement.js";
import { seenBy } from "../../code/whydeep/widgets/image/light.js";
import {
  changes, correlate, extent, imagesOf, magnitude, matrixOf, moved, places, pooled, rectify,
} from "../../code/whydeep/widgets/image/maps.js";
import { addressOf, fromAddress, mapOf, poolOf, stateOf } from "../../code/whydeep/widgets/image/state.js";
import { asCsv, colours, mapAsCsv, nameOf, sentence, tabulate } from "../../code/whydeep/widgets/image/words.js";

/** An image of one channel from its rows. */
function image(...rows) {
  return { channels: 1, height: rows.length, width: rows[0].length, values: Float64Array.from(rows.flat()) };
}

const rowsOf = ({ height, width, values }) => (
  [...Array(height).keys()].map((r) => [...values.subarray(r * width, (r + 1) * width)]));

const PICTURE = image([1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]);
const EDGE = image([1, -1], [0, 2]);

test("a buffer holds images one after the other, each spec with its own size and range", () => {
  const view = new DataView(new Uint8Array([9, 0, 254, 0, 127, 254, 0]).buffer, 1);
  const specs = [
    { channels: 1, height: 1, width: 2, bytes: 2, low: 0, high: 1, bits: 8 },
    { channels: 1, height: 2, width: 1, bytes: 4, low: -1, high: 1, bits: 8 },
  ];
  const [first, second] = imagesOf(view, specs);
  assert.deepEqual(first.map(rowsOf), [[[0, 1]]]);
  assert.deepEqual(second.map(rowsOf), [[[-1], [0]], [[1], [-1]]]);
});

test("a feature map is the sum of products at each place where the filter fits", () => {
  // At row 0, column 0: 1 * 1 - 1 * 2 + 0 * 5 + 2 * 6 = 11; one to the right every term adds 1 or 2.
  assert.deepEqual(rowsOf(correlate(PICTURE, EDGE)), [[11, 13, 15], [19, 21, 23]]);
  assert.deepEqual(rowsOf(correlate(PICTURE, EDGE, 2)), [[11, 15]]);
});

test("the channels of a filter add up", () => {
  const both = (a, b) => ({ ...a, channels: 2, values: Float64Array.from([...a.values, ...b.values]) });
  const found = correlate(both(PICTURE, moved(PICTURE, 0, 1)), both(EDGE, image([0, 0], [0, 1])));
  assert.deepEqual(rowsOf(found), [[11 + 5, 13 + 6, 15 + 7], [19 + 9, 21 + 10, 23 + 11]]);
});

test("the transposed matrix times the picture is the feature map, at any stride", () => {
  for (const stride of [1, 2]) {
    const w = matrixOf(PICTURE, EDGE, stride);
    const map = correlate(PICTURE, EDGE, stride);
    assert.deepEqual([w.height, w.width], [12, map.values.length]);
    const product = [...map.values.keys()].map((unit) => (
      PICTURE.values.reduce((sum, pixel, p) => sum + pixel * w.values[p * w.width + unit], 0)));
    assert.deepEqual(product, [...map.values]);
    // Four weights a column, of which the filter holds one zero.
    assert.equal(w.values.filter((v) => v !== 0).length, 3 * w.width);
  }
});

test("a filter has (length - size) / stride + 1 places, rounded down", () => {
  assert.deepEqual([places(6, 3, 1), places(6, 3, 2), places(5, 5, 3)], [4, 2, 1]);
});

test("what moves out is gone and zeros move in", () => {
  assert.deepEqual(rowsOf(moved(PICTURE, 1, -1)), [[0, 0, 0, 0], [2, 3, 4, 0], [6, 7, 8, 0]]);
  assert.deepEqual(rowsOf(moved(PICTURE, -2, 2)), [[0, 0, 9, 10], [0, 0, 0, 0], [0, 0, 0, 0]]);
  assert.deepEqual(rowsOf(moved(PICTURE, 9, 0)), Array(3).fill([0, 0, 0, 0]));
});

test("a pool takes the largest or the mean of each window", () => {
  const map = image([1, -2, 3], [4, 0, 1], [-5, 2, 2]);
  assert.deepEqual(rowsOf(pooled(map, { kind: "maximum", size: 2, stride: 1 })), [[4, 3], [4, 2]]);
  assert.deepEqual(rowsOf(pooled(map, { kind: "average", size: 2, stride: 1 })), [[0.75, 0.5], [0.25, 1.25]]);
  assert.deepEqual(rowsOf(pooled(map, { kind: "maximum", size: 1, stride: 2 })), [[1, 3], [-5, 2]]);
});

test("changes are counted beyond a hundredth of the largest and summed as a share", () => {
  const found = changes(image([10, -10, 0]), image([10.05, -5, 5]));
  assert.equal(found.count, 2);
  assert.ok(Math.abs(found.share - 10.05 / 20) < 1e-12);
  assert.deepEqual([...found.image.values.slice(1)], [5, 5]);
});

test("size, range and places of values; a rectified image has none below zero", () => {
  const map = image([1, -3], [2, 0]);
  assert.equal(magnitude(map), 3);
  assert.equal(magnitude(image([0, 0])), 1);
  assert.deepEqual(extent(map), { low: 1, high: 2, mean: 0, above: 0.5 });
  assert.deepEqual(rowsOf(rectify(map)), [[1, 0], [2, 0]]);
});

test("keys go to the pixel beside, to the ends of a row and of a column", () => {
  const go = (key) => target(key, [1, 2], PICTURE);
  assert.deepEqual(["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"].map(go), [[1, 1], [1, 3], [0, 2], [2, 2]]);
  assert.deepEqual(["Home", "End", "PageUp", "PageDown"].map(go), [[1, 0], [1, 3], [0, 2], [2, 2]]);
  assert.equal(go("a"), undefined);
});

test("a pixel is told with its place and the value of each channel", () => {
  assert.equal(pixelWords(PICTURE, [1, 2]), "row 2, column 3: 7.");
  const colour = { channels: 3, height: 1, width: 1, values: [0.1, 0.2, -0.3] };
  assert.equal(pixelWords(colour, [0, 0]), "row 1, column 1: red 0.1, green 0.2, blue −0.3.");
});

test("a pixel is seen by the units whose patch it lies in", () => {
  // Patches of 3 at stride 2 over 7 pixels: 0-2, 2-4, 4-6.
  assert.deepEqual([0, 1, 2, 3, 4, 6].map((place) => seenBy(place, 3, 3, 2)), [1, 1, 2, 1, 2, 1]);
});

// --- the state and its words ------------------------------------------------------------------

const POOLS = [{ label: "largest of 2", kind: "maximum", size: 2, stride: 1 }];

/** A view of two banks of filters over one picture, in the given state. */
function view(values = {}, more = {}) {
  const state = {
    bank: 0, item: 0, picture: 0, stride: 0, relu: false, pool: 0, right: 0, down: 0, opened: true,
    predicted: -1, ...values,
  };
  const bank = (label, items) => ({ label, items, names: [], numbers: [] });
  const spec = {
    item: "filter", banks: [{ ...bank("one", 1), names: ["edge"] }, bank("two", 2)], strides: [1, 2],
    pictures: [{ label: "ramp" }], pools: POOLS, matrix: false, reach: 2, ...more,
  };
  const model = { get: (name) => state[name] };
  return {
    model, spec, items: [[EDGE], [EDGE, image([0, 1])]], scenes: [PICTURE], kept: {}, state,
    pooling: spec.pools.length > 0,
  };
}

test("an item that a bank does not have is its last", () => {
  const { model, spec } = view({ item: 5, bank: 1 });
  assert.equal(stateOf(model, spec).item, 1);
});

test("the address tells what differs, and gives it back", () => {
  const { state, spec } = view();
  const other = { ...state, bank: 1, item: 1, stride: 1, relu: true, right: -2, opened: true };
  const told = addressOf(other, state, spec);
  assert.deepEqual(told, {
    bank: "two", item: 2, picture: null, stride: 2, relu: 1, pool: null, right: -2, down: null, open: null,
  });
  const text = Object.fromEntries(Object.entries(told).filter(([, v]) => v !== null).map(([k, v]) => [k, String(v)]));
  assert.deepEqual(fromAddress(text, state, spec), { bank: 1, item: 1, stride: 1, relu: true, right: -2 });
});

test("an address with nonsense changes nothing but keeps to what there is", () => {
  const { state, spec } = view();
  const wanted = { bank: "none", item: "99", picture: "x", stride: "3", right: "50", down: "x" };
  assert.deepEqual(fromAddress(wanted, state, spec), { item: 0, right: 2 });
  assert.deepEqual(fromAddress({ right: "1" }, state, { ...spec, pools: [] }), { item: 0 });
});

test("maps are kept until something else is chosen", () => {
  const one = view();
  const now = stateOf(one.model, one.spec);
  assert.equal(mapOf(one, now), mapOf(one, now));
  assert.notEqual(mapOf(one, now), mapOf(one, { ...now, down: 1 }));
  assert.deepEqual(rowsOf(mapOf(one, { ...now, stride: 1 }).plain), [[11, 15]]);
});

test("a pooled map is compared with that of the picture unshifted", () => {
  const one = view({ right: 1 });
  const { now, change } = poolOf(one, stateOf(one.model, one.spec));
  // Shifted by one to the right the map is [-1 + 2, ...]: at the left 0 - 1 + 0 + 2 * 5 = 9, then the old.
  assert.deepEqual(rowsOf(now), [[19, 21]]);
  assert.deepEqual(rowsOf(change.image), [[19 - 21, 21 - 23]]);
});

test("the sentence tells the item, its map, and what the shift changes", () => {
  const one = view({ right: 1 });
  const words = sentence(one, stateOf(one.model, one.spec));
  assert.match(words, /^One: filter 1 of 1, edge, 2 × 2 pixels\. Values from −1 to 2, mean 0\.5\./);
  assert.match(words, /Feature map of ramp, 2 × 3 pixels: from 9 \(row 1, column 1\) to 21 \(row 2, column 3\)/);
  assert.match(words, /Shifted by 1 to the right: 2 of 2 pooled units change, by 9 % of the map/);
});

test("with a matrix the sentence counts it", () => {
  const one = view({ stride: 1 }, { matrix: true, pools: [] });
  const words = sentence(one, stateOf(one.model, one.spec));
  assert.match(words, /\(3 − 2\) \/ 2 \+ 1, rounded down, = 1\. W has 12 rows and 2 columns; 8 of its 24 entries/);
});

test("names, colours, table and files", () => {
  const one = view();
  assert.deepEqual([nameOf(one.spec, 0, 0), nameOf(one.spec, 1, 1)], ["edge", "Filter 2"]);
  assert.equal(colours({ channels: 1 }, 2, true), "blue is −2, light grey is 0, orange is 2.");
  assert.equal(colours({ channels: 3 }, 1, false), "black is 0, full colour is 1.");
  assert.deepEqual(tabulate(one, { bank: 1 }), [
    ["filter", "lowest", "mean", "highest"], [["1", "−1", "0.5", "2"], ["2", "0", "0.5", "1"]],
  ]);
  assert.equal(mapAsCsv(image([1, -2])), "row,column,value\r\n1,1,1\r\n1,2,-2\r\n");
  assert.equal(asCsv(one).split("\r\n")[4], "one,1,edge,1,2,2,2");
});
