// The kit: numbers as readers see them, axes, tables for other programs, the page's address.
import assert from "node:assert/strict";
import { afterEach, test } from "node:test";

import { blend, shade } from "../../code/whydeep/widgets/kit/colours.js";
import { judgement } from "../../code/whydeep/widgets/kit/controls.js";
import {
  capital, csv, format, nearest, scale, spread, summary, ticks, unpack, withUnit,
} from "../../code/whydeep/widgets/kit/numbers.js";
import { address, throttle, valuesOf } from "../../code/whydeep/widgets/kit/page.js";

test("numbers are written as readers expect them", () => {
  assert.equal(format(1234.5678), "1,235");
  assert.equal(format(0.05), "0.05");
  assert.equal(format(0), "0");
  assert.equal(format(-2.5, 2), "−2.50");
  assert.equal(format(1.234e-6), "1.23×10⁻⁶");
  assert.equal(format(-5e7), "−5×10⁷");
});

test("mean and spread leave out what is not finite; equal numbers have no spread", () => {
  // 2, 4, 6 and 8: mean 5, squared deviations 9 + 1 + 1 + 9 = 20, divided by 3.
  assert.deepEqual(summary([2, 4, 6, 8, NaN, Infinity]), { n: 4, mean: 5, sd: Math.sqrt(20 / 3) });
  assert.deepEqual(summary([0.1, 0.1, 0.1]), { n: 3, mean: 0.1, sd: 0 });
  assert.equal(summary([7]).sd, 0);
  assert.equal(summary([NaN]).n, 0);
});

test("a mean is written to the second digit of its spread", () => {
  assert.equal(spread({ n: 5, mean: 20.1342, sd: 0.3467 }), "20.13 ± 0.35");
  assert.equal(spread({ n: 5, mean: 1234.6, sd: 45 }), "1,235 ± 45");
  assert.equal(spread({ n: 0, mean: NaN, sd: 0 }), "no value");
  assert.equal(spread({ n: 1, mean: 0.5, sd: 0 }), "0.5");
});

test("codes become values, by 16 bits and by 8, and the last code is none", () => {
  const wide = new DataView(new Uint16Array([0, 32767, 65534, 65535]).buffer);
  assert.deepEqual([...unpack(wide, { low: -1, high: 3 })], [-1, 1, 3, NaN]);
  const narrow = new DataView(new Uint8Array([0, 127, 254, 255]).buffer);
  assert.deepEqual([...unpack(narrow, { low: 0, high: 1, bits: 8 })], [0, 0.5, 1, NaN]);
  assert.deepEqual([...unpack(wide, { low: -2, high: 2, log: true })], [0.01, 1, 100, NaN]);
});

test("ticks are round and within the axis, whether it is logarithmic or not", () => {
  assert.deepEqual(ticks(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticks(-0.3, 0.3, 3), [-0.2, 0, 0.2]);
  assert.deepEqual(ticks(1, 1000, 4, true), [1, 10, 100, 1000]);
  assert.deepEqual(ticks(1, 50, 5, true), [1, 2, 5, 10, 20, 50]);
  assert.deepEqual(ticks(1, 1e6, 3, true), [1, 100, 1e4, 1e6]);
});

test("a scale maps ends to ends, and decades alike on a logarithmic one", () => {
  assert.equal(scale(0, 10, 100, 200)(5), 150);
  const place = scale(1, 100, 0, 200, true);
  assert.deepEqual([1, 10, 100].map(place), [0, 100, 200]);
});

test("the nearest value is judged on the axis's own scale", () => {
  const values = [1, 10, 100];
  assert.equal(nearest({ values, log: false }, 40), 1);
  assert.equal(nearest({ values, log: true }, 40), 2); // 40 is more than the root of 1,000
});

test("labels carry their units, sentences begin with capitals", () => {
  assert.equal(withUnit("error", "%"), "error (%)");
  assert.equal(withUnit("error", ""), "error");
  assert.equal(capital("mean ± sd"), "Mean ± sd");
});

test("cells with commas, quotes or breaks are quoted", () => {
  assert.equal(csv([["a", 'b"c', 1.5], ["d,e", "f\ng", ""]]), 'a,"b""c",1.5\r\n"d,e","f\ng",\r\n');
});

test("colours go from end to end in straight lines, and stay there", () => {
  const stops = [[0, 0, 0], [100, 200, 50], [200, 0, 100]];
  assert.deepEqual([0, 0.25, 0.5, 1, 7].map((share) => blend(stops, share)), [
    [0, 0, 0], [50, 100, 25], [100, 200, 50], [200, 0, 100], [200, 0, 100],
  ]);
  assert.notEqual(shade(0), shade(1));
});

test("what is said after a prediction names it and what was measured", () => {
  const predict = { options: ["up", "down"], answer: 1, because: "It rains." };
  assert.equal(judgement(predict, -1), "Measured: down. It rains.");
  assert.equal(judgement(predict, 1), "You predicted: down. Measured: down, as you said. It rains.");
  assert.equal(judgement(predict, 0), "You predicted: up. Measured: down, not what you said. It rains.");
});

afterEach(() => { delete globalThis.window; });

/** A window whose address is `hash`. */
function page(hash) {
  const location = { hash, pathname: "/page", search: "?q" };
  const replaceState = (state, title, to) => { location.hash = to.startsWith("#") ? to : ""; };
  Object.assign(globalThis, { window: { location, history: { state: null, replaceState } } });
  return location;
}

test("the address holds each widget's state under its key and keeps the others'", () => {
  const location = page("#a.x=1&b.y=2");
  const link = address("a", true);
  assert.deepEqual(link.read(), { x: "1" });
  link.write({ x: null, z: "3 4" });
  assert.equal(location.hash, "#b.y=2&a.z=3+4");
});

test("an address that only names a place on the page is no state; beside a kernel there is none", () => {
  page("#a-heading");
  assert.deepEqual(address("a", true).read(), {});
  const location = page("#a.x=1");
  const link = address("a", false);
  assert.deepEqual(link.read(), {});
  link.write({ x: "2" });
  assert.equal(location.hash, "#a.x=1");
});

test("a throttled act happens at once, then with the last of what came in between", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const seen = [];
  const act = throttle((value) => seen.push(value), 100);
  for (const value of [1, 2, 3]) act(value);
  assert.deepEqual(seen, [1]);
  context.mock.timers.tick(100);
  assert.deepEqual(seen, [1, 3]);
  context.mock.timers.tick(1000);
  act(4);
  assert.deepEqual(seen, [1, 3, 4]);
});

test("a model's values are read by name", () => {
  const model = { get: (name) => name.length };
  assert.deepEqual(valuesOf(model, ["a", "bcd"]), { a: 1, bcd: 3 });
});
