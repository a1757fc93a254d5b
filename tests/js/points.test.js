// Pasted points, and what is painted of maps.
import assert from "node:assert/strict";
import { test } from "node:test";

import { HALF, latticeOf, paintMap, strokeLevel } from "../../code/whydeep/widgets/playground/paint.js";
import { parsePoints } from "../../code/whydeep/widgets/playground/points.js";

const lines = (count, line) => [...Array(count).keys()].map(line).join("\n");

test("pasted numbers get mean 0 and standard deviation 1, and labels -1 and 1 in their order", () => {
  const found = parsePoints(lines(8, (n) => `${10 * n}; ${n % 3} ;${n < 4 ? "b" : "a"}`));
  assert.equal(found.length, 8);
  for (const column of [0, 1]) {
    const values = found.map((point) => point[column]);
    const mean = values.reduce((sum, v) => sum + v) / 8;
    assert.ok(Math.abs(mean) < 1e-4);
    assert.ok(Math.abs(values.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 7 - 1) < 1e-3);
  }
  // The small numbers have the label that sorts last.
  assert.ok(found.every(([x, , label]) => (x < 0) === (label === 1)));
});

test("each label's points are for training and for testing in turn", () => {
  const found = parsePoints(lines(12, (n) => `${n},${n % 5},${n < 6 ? 0 : 1}`));
  for (const part of [0, 1]) {
    const labels = found.filter((_, n) => n % 2 === part).map(([, , label]) => label);
    assert.deepEqual([labels.filter((l) => l === -1).length, labels.filter((l) => l === 1).length], [3, 3]);
  }
});

test("labels sort as numbers do, and names of columns are passed over", () => {
  const found = parsePoints(`x,y,kind\n${lines(10, (n) => `${n},${n % 4},${n < 5 ? 10 : 9}`)}`);
  assert.equal(found.length, 8); // five of each label: two and a half pairs
  assert.ok(found.every(([x, , label]) => (x < 0) === (label === 1)));
});

test("what is wrong with pasted points is told in one line", () => {
  const refused = (text, message) => assert.throws(() => parsePoints(text), { message });
  refused("1,2", "Line 1 has 2 values, expected three: x1, x2, label.");
  refused("1,2,a\n,1,b", 'Line 2 begins with ", 1", expected two numbers.');
  refused("1,2,a\n\n2,1,b\n3,3,c", 'Line 4 has a third label, "c", expected two: a, b.');
  refused(lines(2001, (n) => `${n},${-n},${n % 2}`), "There are 2001 points, expected 8 to 2,000.");
  refused(lines(9, (n) => `4,${n},${n % 2}`), "All points have x1 = 4, expected different ones.");
});

test("a lattice has the middles of its cells, from the upper left row by row", () => {
  assert.deepEqual([...latticeOf(2)], [-1.5, 1.5, 1.5, 1.5, -1.5, -1.5, 1.5, -1.5].map((v) => (v * HALF) / 3));
});

/** What is drawn of the line where a map of `side` x `side` values crosses a level, in cells. */
function strokes(side, values, level) {
  const found = [];
  const context = {
    beginPath() {}, stroke() {}, moveTo: (x, y) => found.push([x, y]), lineTo: (x, y) => found.at(-1).push(x, y),
  };
  strokeLevel(context, side, side, values, 0, level);
  return found;
}

test("the line crosses between two points where the values between them do", () => {
  // Values 0 and 4 side by side cross 1 at a quarter of the way; places are middles of cells.
  assert.deepEqual(strokes(2, [0, 4, 0, 4], 1), [[0.75, 0.5, 0.75, 1.5]]);
  assert.deepEqual(strokes(2, [0, 0, 4, 4], 1), [[0.5, 0.75, 1.5, 0.75]]);
  assert.deepEqual(strokes(2, [2, 4, 2, 4], 1), []);
});

test("a saddle has two lines, and a map no more than its own", () => {
  assert.equal(strokes(2, [1, -1, -1, 1], 0).length, 2);
  // A plateau of one point in the middle of five by five has a line in each of four cells around it.
  const values = Array(25).fill(0);
  values[12] = 1;
  assert.equal(strokes(5, values, 0.5).length, 4);
});

test("a value's share chooses its colour, beyond the ends the last", () => {
  const ramp = Uint8ClampedArray.from({ length: 765 }, (_, n) => Math.floor(n / 3));
  const image = { data: new Uint8ClampedArray(16) };
  paintMap({ side: 2, context: { putImageData() {} }, image }, [9, -1, 0, 1, 5], 1, (v) => v, ramp);
  assert.deepEqual([...image.data], [0, 0, 0, 255, 127, 127, 127, 255, 254, 254, 254, 255, 254, 254, 254, 255]);
});
