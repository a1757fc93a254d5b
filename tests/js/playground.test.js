// The Playground's state, its way into the address and back, its words, its program.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { curvesOf, range } from "../../code/whydeep/widgets/playground/chart.js";
import { dataOf } from "../../code/whydeep/widgets/playground/engine/data.js";
import { shapeOf } from "../../code/whydeep/widgets/playground/engine/network.js";
import { run } from "../../code/whydeep/widgets/playground/engine/run.js";
import { otherValue } from "../../code/whydeep/widgets/playground/settings.js";
import { partsOf, snippet } from "../../code/whydeep/widgets/playground/snippet.js";
import {
  addressOf, changesBetween, momentOf, parse, selected, settingsOf, shownRun, stateOf,
} from "../../code/whydeep/widgets/playground/state.js";
import { shareOf } from "../../code/whydeep/widgets/playground/surface.js";
import {
  asCsv, captionOf, factsOf, levelOf, sentence, sizeWords, tablesOf, tag, unitName,
} from "../../code/whydeep/widgets/playground/words.js";
import { SETTINGS } from "./settings.js";

const FIELDS = {
  data: {
    label: "data", low: null,
    options: [["rings", "two rings"], ["moons", "two moons"], ["pasted", "pasted"]],
  },
  lr: { label: "learning rate", live: true, low: 0, high: 1000, options: [[0.1, "0.1"], [1, "1"]] },
  batch_size: {
    label: "batch size", live: true, low: 0, high: 250, whole: true, options: [[0, "all"], [10, "10"]],
  },
  activation: { label: "non-linearity", low: null, options: [["relu", "ReLU"], ["tanh", "tanh"]] },
  seed: { label: "first seed", low: 0, high: 999999, whole: true, options: [] },
  speed: { label: "speed", live: true, low: 0, high: 1e6, options: [[0, "fast"]] },
};

/** A view in the given state, with an engine's run after `steps` steps behind each of its settings. */
function view({ settings = {}, twin = {}, unit = -1, steps = 0, ...more } = {}) {
  const state = { settings: { ...SETTINGS, ...settings }, twin, unit };
  const one = {
    model: { get: (name) => state[name] }, fields: FIELDS, spec: { most: [6, 8] }, pasted: [],
    shown: { run: 0, at: -1 }, training: null, ...more,
  };
  const all = settingsOf(one);
  const moments = all.map((own) => {
    const net = run(own, []);
    return [...Array(steps + 1).keys()].map((n) => {
      if (n) net.step();
      return net.look();
    });
  });
  one.training = {
    going: false, reason: "", step: steps, rate: 0, started: all, moments, nows: all.map(() => null),
    data: all.map((own) => dataOf(own, [])),
  };
  return one;
}

const shownOf = (one) => settingsOf(one).map((_, r) => momentOf(one, r));

// --- state -----------------------------------------------------------------------------------

test("a text means a value only where the setting may have it", () => {
  const one = view();
  const all = (name, texts) => texts.map((text) => parse(one, name, text));
  assert.deepEqual(all("widths", ["8-4", "3 2,1", "", "9", "0", "1-1-1-1-1-1-1", "x"]),
    [[8, 4], [3, 2, 1], [], undefined, undefined, undefined, undefined]);
  assert.deepEqual(all("lr", ["0.5", "1e3"]), [0.5, 1000]);
  assert.deepEqual(all("lr", ["1001", "-1", "", "x"]), Array(4).fill(undefined));
  assert.deepEqual(all("batch_size", ["3", "2.5"]), [3, undefined]);
  assert.deepEqual(all("data", ["moons", "circles", "pasted"]), ["moons", undefined, undefined]);
  assert.equal(parse(view({ pasted: [[0, 0, 1]] }), "data", "pasted"), "pasted");
  assert.deepEqual(all("unknown", ["1"]), [undefined]);
});

test("the address tells what differs, and gives it back", () => {
  const initial = { settings: SETTINGS, twin: {}, opened: false };
  const state = { settings: { ...SETTINGS, widths: [5, 3], lr: 1 }, twin: { lr: 0.1 }, opened: true };
  const told = addressOf(state, initial);
  const text = Object.fromEntries(Object.entries(told).filter(([, value]) => value !== null));
  assert.deepEqual(text, { widths: "5-3", lr: "1", twin: "lr:0.1", open: "1" });
  assert.deepEqual(stateOf(view(), text, SETTINGS), state);
  assert.equal(addressOf(initial, { ...initial, twin: { lr: 1 } }).twin, "none");
});

test("an address with nonsense leaves the settings as they are", () => {
  const wanted = { lr: "x", widths: "99", data: "pasted", twin: "seeds:1", depth: "3" };
  assert.deepEqual(stateOf(view(), wanted, SETTINGS), { settings: SETTINGS });
  assert.deepEqual(stateOf(view(), { twin: `lr:${SETTINGS.lr}` }, SETTINGS), { settings: SETTINGS });
  assert.deepEqual(stateOf(view(), { twin: "none" }, SETTINGS).twin, {});
});

test("a live change is told to the engine, another one begins a new run", () => {
  const two = [SETTINGS, { ...SETTINGS, lr: 1 }];
  const between = (wanted) => changesBetween(two, wanted, FIELDS);
  assert.deepEqual(between(two), { live: [], pace: false });
  assert.deepEqual(between([two[0], { ...two[1], lr: 3 }]), { live: [{ at: 1, name: "lr", value: 3 }], pace: false });
  assert.deepEqual(between(two.map((own) => ({ ...own, speed: 5 }))), { live: [], pace: true });
  assert.equal(between(two.map((own) => ({ ...own, seed: 5 }))), null);
  assert.equal(between(two.map((own) => ({ ...own, widths: [1] }))), null);
  assert.equal(between([two[0]]), null);
  assert.equal(changesBetween(null, two, FIELDS), null);
});

test("a twin has one other setting; it may be gone while it was shown", () => {
  const one = view({ twin: { lr: 3 } });
  assert.deepEqual(settingsOf(one).map(({ lr }) => lr), [SETTINGS.lr, 3]);
  one.shown.run = 1;
  assert.equal(shownRun(one), 1);
  assert.equal(shownRun(view({ shown: { run: 1 } })), 0);
});

test("the output is chosen where a network has not the unit", () => {
  // Two inputs, four and two units, one output: nine, the last of which is the output.
  assert.deepEqual([-1, 3, 8, 9].map((unit) => selected(view({ unit }))), [8, 3, 8, 8]);
});

test("a twin is offered another value than the first has", () => {
  const offer = (name, settings) => otherValue(view({ settings }), name);
  assert.equal(offer("lr", { lr: 0.1 }), 1);
  assert.equal(offer("lr", { lr: 1 }), 0.1);
  assert.equal(offer("data", { data: "moons" }), "rings");
  assert.deepEqual(offer("widths", { widths: [4, 2] }), [4]);
  assert.deepEqual(offer("widths", { widths: [] }), [4]);
  assert.equal(offer("seed", { seed: 7 }), 8);
});

test("going back shows each run at the step of the first, or before it", () => {
  const at = (...steps) => steps.map((step) => ({ step }));
  const training = { moments: [at(0, 1, 4), at(0, 3, 4)], nows: [null, { step: 5 }] };
  const found = (place, r) => momentOf({ training, shown: { at: place } }, r).step;
  assert.deepEqual([found(-1, 0), found(-1, 1)], [4, 5]);
  assert.deepEqual([found(1, 0), found(1, 1)], [1, 0]);
  assert.deepEqual([found(9, 0), found(9, 1)], [4, 4]);
});

// --- words -----------------------------------------------------------------------------------

test("units are called by layer and place", () => {
  const shape = shapeOf({ ...SETTINGS, widths: [3, 2] });
  assert.deepEqual([0, 2, 5, 6, 7].map((u) => unitName(u, shape)),
    ["input x₁", "layer 1, unit 1", "layer 2, unit 1", "layer 2, unit 2", "the output"]);
});

test("hidden sigmoids are above from one half on, all others from zero", () => {
  const own = { ...SETTINGS, activation: "sigmoid", widths: [3] };
  assert.deepEqual([0, 2, 5].map((u) => levelOf(own, shapeOf(own), u)), [0, 0.5, 0]);
  assert.equal(levelOf({ ...own, activation: "tanh" }, shapeOf(own), 2), 0);
});

test("twins are told apart by what they differ in", () => {
  const one = view({ twin: { lr: 1 } });
  assert.deepEqual([tag(one, 0), tag(one, 1)], ["learning rate 0.1", "learning rate 1"]);
  assert.equal(tag(view({ twin: { widths: [] } }), 1), "hidden units none");
  const shape = shapeOf(SETTINGS);
  assert.equal(captionOf(one, 1, 0, shape), "B (learning rate 1): input x₁");
  assert.equal(captionOf(view(), 0, 0, shape), "Input x₁");
});

test("the sentence tells step, losses, and the unit", () => {
  // Clouds at -1.1 and 1.1 with spread 0.15: correlation of x1 with the label 1.1 / sqrt(1.1² + 0.15²).
  const one = view({ settings: { data: "blobs", seeds: 1 }, unit: 0, steps: 3 });
  const words = sentence(one, shownOf(one));
  assert.match(words, /^Step 3\. Training loss 0\.\d+, test loss 0\.\d+, test error \d/);
  assert.match(words, /Input x₁ is chosen: above zero on 50% of the test examples, correlation 0\.99 with the label\.$/);
});

test("a stop is told with its reason, of twins the one that there are words for", () => {
  const one = view();
  const begin = (reason) => {
    one.training.reason = reason;
    return sentence(one, shownOf(one)).split(". ")[0];
  };
  assert.equal(begin("asked"), "Stopped at the step asked for");
  assert.equal(begin("fitted and at rest"), "Stopped: the training loss is below 0.0001");
  assert.equal(begin("paused"), "Step 0");
});

test("a unit that is dead answers alike to all", () => {
  const one = view({ settings: { activation: "relu" }, unit: 2 });
  const [moment] = shownOf(one);
  moment.weights.fill(0);
  assert.match(sentence(one, [moment]), /Layer 1, unit 1 is chosen: it answers alike to every test example\.$/);
});

test("facts count parameters and products, and epochs by the batch", () => {
  const one = view({ settings: { widths: [4, 2], batch_size: 10, examples: 250 }, twin: { widths: [3] }, steps: 5 });
  Object.assign(one.training, { going: true, rate: 1000 });
  const facts = Object.fromEntries(factsOf(one, shownOf(one)));
  // 4 (2 + 1) + 2 (4 + 1) + 1 (2 + 1) = 25, and 3 (2 + 1) + 1 (3 + 1) = 13; biases are not multiplied.
  assert.equal(facts["parameters, A / B"], "25 / 13");
  assert.equal(facts["multiply-adds, A / B"], "18 / 9");
  assert.equal(facts.step, "5");
  assert.equal(facts.epoch, "0.2");
  assert.equal(facts["steps each second"], "1,000");
  assert.equal(facts["epochs each second"], "40");
});

test("a run that has diverged says so in place of numbers", () => {
  const one = view();
  const [moment] = shownOf(one);
  moment.train = [NaN, NaN, NaN];
  assert.equal(Object.fromEntries(factsOf(one, [moment]))["training loss"], "diverged");
  assert.equal(sizeWords({ weightSizes: [NaN, 1.234], gradientSizes: null }, 0), "w –  ∇ –");
  assert.equal(sizeWords({ weightSizes: [NaN, 1.234], gradientSizes: [0, 0.0567] }, 1), "w 1.2  ∇ 0.057");
});

test("the tables have a row for each layer and for each network", () => {
  const one = view({ settings: { seeds: 2, seed: 7 } });
  const [layers, networks] = tablesOf(one, shownOf(one));
  assert.deepEqual(layers[1].map((row) => row.slice(0, 3)), [
    ["layer 1", "12", "8"], ["layer 2", "10", "8"], ["output", "3", "2"],
  ]);
  assert.equal(layers[1][0].at(-1), "none yet");
  assert.deepEqual(networks[1].map((row) => row.slice(0, 2)), [["1", "7"], ["2", "8"]]);
});

test("the file has every moment of every network", () => {
  const one = view({ settings: { seeds: 2, seed: 7 }, twin: { lr: 1 }, steps: 3 });
  const rows = asCsv(one).trim().split("\r\n").map((line) => line.split(","));
  assert.equal(rows.length, 1 + 2 * 2 * 4);
  assert.deepEqual(rows.at(-1).slice(0, 3), ["B", "8", "3"]);
  assert.equal(Number(rows[1][3]), one.training.moments[0][0].train[0]);
});

// --- picture ---------------------------------------------------------------------------------

test("a curve ends at the present step, and one that diverges leaves the picture", () => {
  const moment = (step, loss) => ({ step, train: [loss, loss], test: [2 * loss, 2 * loss] });
  const moments = [[moment(0, 1), moment(1, 0.5), moment(2, 1e9)], [moment(0, 1), moment(1, 0.1)]];
  const runs = curvesOf({ moments, step: 1 }, 1);
  assert.deepEqual(runs[0][1].map(({ x, mean }) => [x, mean]), [[1, 2], [2, 1]]);
  assert.deepEqual(range(runs, false), [0, 2 * 1.05]);
  const [, high] = range(curvesOf({ moments, step: 2 }, 0), false);
  assert.equal(high, 3 * 2); // thrice the largest first loss
  const [low] = range(runs, true);
  assert.ok(low < 0.1 && low > 0);
});

test("the output's colour is its probability, a hidden unit's its share of the largest", () => {
  const values = [0.5, -2, 1, 7];
  const [hidden, output] = [0, 8].map((u) => shareOf(u, { loss: "log" }, 9, values, 0, 3));
  assert.equal(hidden(1), 0.5);
  assert.equal(output(0), 0);
  assert.ok(Math.abs(output(Math.log(3)) - 0.5) < 1e-12); // probability 3/4
  assert.equal(shareOf(8, { loss: "squared" }, 9, values, 0, 3)(0.25), 0.25);
});

// --- program ---------------------------------------------------------------------------------

const TORCH = readFileSync(new URL("../../code/whydeep/widgets/playground_torch.py", import.meta.url), "utf8");

test("the program has the settings, the live changes by step, and only the parts it needs", () => {
  const text = snippet(TORCH, { ...SETTINGS, data: "moons" }, {
    given: [], changes: [[12, "lr", 0.03], [12, "dropout", 0.5], [40, "lr", 0.01]], steps: 300,
  });
  assert.match(text, /^ {4}"widths": \[4, 2\],$/m);
  assert.match(text, /^CHANGES = \{12: \{"lr": 0\.03, "dropout": 0\.5\}, 40: \{"lr": 0\.01\}\}$/m);
  assert.match(text, /^STEPS = 300$/m);
  const parts = partsOf(TORCH);
  assert.ok(text.includes(parts.moons) && text.includes(parts.training));
  assert.ok(!text.includes(parts.rings) && !text.includes('"speed"'));
});

test("given points are written out", () => {
  const given = [...Array(5).keys()].map((n) => [n, -n, n % 2 ? 1 : -1]);
  const text = snippet(TORCH, { ...SETTINGS, data: "pasted" }, { given, changes: [], steps: 200 });
  assert.ok(text.includes(`POINTS = np.array([
    [0, 0, -1], [1, -1, 1], [2, -2, -1], [3, -3, 1],
    [4, -4, -1],
])`));
  assert.ok(!text.includes(partsOf(TORCH).drawn));
});
