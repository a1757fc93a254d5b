// The engine beside PyTorch, its chance beside published numbers, and how it goes, pauses and stops.
import assert from "node:assert/strict";
import { test } from "node:test";

import { kernelEngine } from "../../code/whydeep/widgets/playground/drivers.js";
import { keyOf, mix, normals, uniform } from "../../code/whydeep/widgets/playground/engine/chance.js";
import { Core } from "../../code/whydeep/widgets/playground/engine/core.js";
import { dataOf, inputsOf } from "../../code/whydeep/widgets/playground/engine/data.js";
import { initial, maps, shapeOf } from "../../code/whydeep/widgets/playground/engine/network.js";
import { nextMoment, run, verdict } from "../../code/whydeep/widgets/playground/engine/run.js";
import { backward } from "../../code/whydeep/widgets/playground/engine/training.js";
import { SETTINGS, STORED } from "./settings.js";

/** That numbers agree but for rounding in another order of addition. */
function close(found, expected, tolerance = 1e-9) {
  const [a, b] = [found, expected].map((list) => [...list]);
  assert.equal(a.length, b.length);
  a.forEach((value, n) => {
    assert.ok(Math.abs(value - b[n]) <= tolerance * (1 + Math.abs(b[n])), `${value} is not ${b[n]}, at ${n}`);
  });
}

test("the finaliser is MurmurHash3's", () => {
  // The 32-bit hashes of the empty string, as published with it, for seeds 0, 1 and 2^32 - 1.
  assert.deepEqual([0, 1, 0xffffffff].map(mix), [0, 0x514e28b7, 0x81f16f39]);
});

test("a number depends on its place only, and uses of chance do not share them", () => {
  const drawn = (use) => [...Array(200).keys()].map((i) => uniform(keyOf(5, use), i));
  assert.ok(drawn("train").every((u) => u >= 0 && u < 1));
  assert.equal(new Set([...drawn("train"), ...drawn("test"), ...drawn("dropout")]).size, 600);
  // Half a turn at radius sqrt(-2 log 1/2).
  close(normals(0.5, 0.5), [-Math.sqrt(2 * Math.log(2)), 0], 1e-15);
});

for (const [name, { settings, moments, weights }] of Object.entries(STORED.curves)) {
  test(`two hundred steps are PyTorch's: ${name}`, () => {
    const own = run(settings, STORED.given);
    for (const [n, expected] of moments.entries()) {
      const found = own.look();
      for (const [what, numbers] of Object.entries(expected)) close([found[what]].flat(), [numbers].flat());
      for (let t = 0; t < (n < moments.length - 1 ? STORED.every : 1); t += 1) own.step();
    }
    own.nets.forEach((net, n) => close(net.weights, weights[n]));
    // What agrees has moved.
    assert.ok(Math.abs(moments[0].train[0] - moments.at(-1).train[0]) > 0.01);
  });
}

test("a gradient is the slope of the loss, whatever the network", () => {
  for (const { settings } of Object.values(STORED.curves)) {
    const [net] = run({ ...settings, dropout: 0 }, STORED.given).nets;
    const rows = [...net.data.y.keys()];
    const gradient = new Float64Array(net.weights.length);
    backward(net, rows, gradient);
    net.weights.forEach((weight, k) => {
      const lossAt = (w) => {
        net.weights[k] = w;
        return backward(net, rows, new Float64Array(net.weights.length));
      };
      const slope = (lossAt(weight + 1e-5) - lossAt(weight - 1e-5)) / 2e-5;
      net.weights[k] = weight;
      assert.ok(Math.abs(slope - gradient[k]) < 1e-6, `${settings.activation} ${k}: ${slope}, ${gradient[k]}`);
    });
  }
});

test("sizes, places and first weights of a network", () => {
  const own = { ...SETTINGS, inputs: "products", widths: [3, 2], activation: "relu" };
  const shape = shapeOf(own);
  assert.deepEqual(shape.sizes, [5, 3, 2, 1]);
  assert.equal(shape.parameters, 3 * 6 + 2 * 4 + 3);
  assert.equal(shape.units, 11);
  const weights = initial(shape, "relu", 1);
  assert.ok(weights.subarray(15, 18).every((bias) => bias === 0));
  assert.deepEqual([...inputsOf("products", [2, 3])], [2, 3, 4, 9, 6]);
});

test("maps give each unit's value at each point, inputs first and the output last", () => {
  const own = { ...SETTINGS, widths: [1], activation: "relu" };
  // The unit computes max(0, x1 - x2 + 1), the output twice that, minus 3.
  const found = maps(own, Float64Array.from([1, -1, 1, 2, -3]), Float64Array.from([2, 1, 0, 5]));
  assert.deepEqual([...found], [2, 0, 1, 5, 2, 0, 1, -3]);
});

test("labels are replaced at the rate asked for and half of these are wrong", () => {
  const wrong = [...Array(40).keys()].map((seed) => (
    dataOf({ ...SETTINGS, seed, label_noise: 0.4 }, []).wrong.reduce((sum, w) => sum + w, 0) / 250));
  const mean = wrong.reduce((sum, w) => sum + w) / 40;
  assert.ok(Math.abs(mean - 0.2) < 5 * Math.sqrt((0.2 * 0.8) / 10000));
});

// --- when it stops ---------------------------------------------------------------------------

const moment = (step, ...train) => ({ step, train });

test("moments are kept at every step at first, then ever further apart", () => {
  assert.deepEqual([0, 1, 79, 80, 4000].map(nextMoment), [1, 2, 80, 82, 4100]);
});

test("training is judged fitted, diverged or at rest by what was kept", () => {
  assert.equal(verdict([moment(10, 0.5, 0.6)]), "");
  assert.equal(verdict([moment(10, 0, 1.9e-4)]), "fitted");
  assert.equal(verdict([moment(10, NaN, 2e6)]), "diverged");
  assert.equal(verdict([moment(10, NaN, 0.5)]), "");
  const over = (loss) => [...Array(41).keys()].map((n) => moment(100 * n, loss(n / 40)));
  assert.equal(verdict(over(() => 0.5)), "at rest");
  assert.equal(verdict(over((share) => 1 - 0.1 * share)), "");
  assert.equal(verdict(over(() => 0.5).slice(0, 20)), ""); // too early to tell
});

/** A core whose clock stands still unless it is moved, and what it posts. */
function core() {
  const [frames, due] = [[], []];
  const time = { now: 0 };
  const one = new Core((frame) => frames.push(frame), () => time.now, (act) => due.push(act));
  /** Lets so many milliseconds pass, each with what is due in it. */
  const pass = (count) => {
    for (let t = 0; t < count; t += 1) {
      time.now += 1;
      for (const act of due.splice(0)) act();
    }
  };
  const start = (...changes) => {
    const runs = changes.map((change) => ({ settings: { ...SETTINGS, seeds: 1, ...change }, given: [] }));
    one.handle({ type: "start", id: 7, runs });
  };
  return { one, frames, pass, start, last: () => frames.at(-1) };
}

test("a start is answered by the first moment of each run", () => {
  const { start, last } = core();
  start({}, { lr: 1 });
  assert.deepEqual([last().id, last().step], [7, 0]);
  assert.deepEqual(last().moments.map((list) => list.map(({ step }) => step)), [[0], [0]]);
});

test("it trains at the speed asked for, and stops at the step asked for", () => {
  const { one, start, pass, last } = core();
  start({});
  one.handle({ type: "ack" });
  one.handle({ type: "go", speed: 50, stopAt: 60 });
  pass(1000);
  assert.ok(Math.abs(one.step - 50) <= 1, `${one.step} steps in a second`);
  assert.ok(last().going);
  pass(400);
  assert.deepEqual([last().going, last().reason, last().step], [false, "asked", 60]);
});

test("a page that does not answer gets no more frames, and nothing is lost", () => {
  const { one, frames, start, pass } = core();
  start({});
  one.handle({ type: "ack" });
  one.handle({ type: "go", speed: 100, stopAt: 0 });
  pass(500);
  assert.equal(frames.length, 2);
  one.handle({ type: "ack" });
  pass(40);
  assert.equal(frames.length, 3);
  const kept = frames.flatMap((frame) => frame.moments[0].map(({ step }) => step));
  assert.deepEqual(kept, [...kept.keys()]);
});

test("what was missed while the machine was busy is not made up for", () => {
  const { one, start, pass } = core();
  start({});
  one.handle({ type: "go", speed: 10, stopAt: 0 });
  pass(1000);
  const before = one.step;
  one.began -= 60_000; // as if a minute had gone by
  pass(100);
  assert.ok(one.step <= before + 3);
});

test("a step is one step, a pause is told, and a live change is noted with its step", () => {
  const { one, start, pass, last } = core();
  start({});
  one.handle({ type: "step", count: 3 });
  assert.deepEqual([last().step, last().reason], [3, "paused"]);
  one.handle({ type: "set", changes: [{ at: 0, name: "lr", value: 1 }] });
  assert.deepEqual(last().changes, [[[3, "lr", 1]]]);
  one.handle({ type: "go", speed: 100, stopAt: 0 });
  pass(100);
  one.handle({ type: "pause" });
  assert.equal(last().reason, "paused");
  const { step } = one;
  pass(100);
  assert.equal(one.step, step);
});

test("it stops by itself when all runs are done, and goes half as far again when asked once more", () => {
  const { one, start, pass, last } = core();
  const easy = { data: "blobs", spread: 0, lr: 100, batch_size: 0 };
  start(easy, { ...easy, seed: 3 });
  one.handle({ type: "go", speed: 1000, stopAt: 0 });
  pass(500);
  assert.deepEqual([last().going, last().reason], [false, "fitted"]);
  const { step } = one;
  one.handle({ type: "go", speed: 1000, stopAt: 0 });
  pass(1000);
  assert.equal(last().reason, "fitted");
  assert.ok(one.step >= 1.5 * step && one.step < 1.6 * step + 2, `${step}, then ${one.step}`);
});

test("runs that have diverged stop, and take no step more, whatever is asked", () => {
  const { one, start, pass, last } = core();
  const wild = { lr: 1000, loss: "squared", activation: "relu" };
  start(wild, { ...wild, seed: 3 });
  for (const message of [{ type: "go", speed: 1000, stopAt: 0 }, { type: "go", speed: 0, stopAt: 0 }]) {
    one.handle(message);
    pass(500);
    assert.deepEqual([last().going, last().reason], [false, "diverged"]);
  }
  const { step } = one;
  one.handle({ type: "step", count: 1 });
  assert.deepEqual([last().step, last().reason], [step, "diverged"]);
});

test("a kernel gets one message at a time and its missing numbers become NaN", () => {
  const [sent, frames] = [[], []];
  const engine = kernelEngine({ send: (message) => sent.push(message) }, (frame) => frames.push(frame));
  engine.send({ type: "start", id: 1, runs: [{ settings: SETTINGS, given: [] }] });
  const answer = (step, train) => engine.receive({
    type: "frame", id: 1, step, moments: [[moment(step, ...train)]], now: [moment(step, ...train)],
    changes: [[]],
  });
  answer(0, [0.7]);
  engine.send({ type: "go", speed: 0, stopAt: 40 });
  assert.deepEqual(sent.map(({ type, to }) => [type, to]), [["start", undefined], ["advance", 40]]);
  answer(20, [0.5]);
  assert.deepEqual(sent.at(-1), { type: "advance", to: 40, id: 1 });
  answer(40, [null]);
  assert.deepEqual([frames.at(-1).going, frames.at(-1).now[0].train], [false, [NaN]]);
  engine.receive({ type: "frame", id: 9, step: 99, moments: [], now: [], changes: [] }); // of another run
  assert.equal(frames.at(-1).step, 40);
  engine.close();
});
