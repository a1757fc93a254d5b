// The referee: states and words as the book's judge has them (tests/test_claims.py has the same cases),
// studies that are the same whenever they are drawn, shares against theory, the address.
import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, afresh, fromAddress, settingsOf } from "../../code/whydeep/widgets/referee/index.js";
import {
  AGAINST, FAVOUR, interval, MISSED, OPEN, stateOf, studyOf, tallyOf, wordOf, WORDS,
} from "../../code/whydeep/widgets/referee/judging.js";
import { reach } from "../../code/whydeep/widgets/referee/picture.js";
import { describe, sentence, share, verdictOn } from "../../code/whydeep/widgets/referee/words.js";

const T = { 5: 2.7764451, 10: 2.2621572, 20: 2.0930241 }; // 97.5 % points of Student's t, n - 1 degrees
const settings = (seeds, more) => ({ effect: 0, left: 0, spread: 1, seeds, quantile: T[seeds], ...more });
const SPEC = {
  effects: { values: [-1, 0, 1, 2], log: false }, spreads: { values: [0.5, 1], log: false },
  seeds: [5, 10], quantiles: [T[5], T[10]],
  left: [{ label: "nothing", share: 0 }, { label: "all of it", share: 1 }],
};

test("the interval is Student's t", () => {
  // Mean 3 and standard deviation sqrt(2.5) of 1 to 5: half the width is t sqrt(2.5 / 5).
  const { mean, low, high } = interval([1, 2, 3, 4, 5], T[5]);
  assert.equal(mean, 3);
  assert.ok(Math.abs(high - 3 - T[5] * Math.SQRT1_2) < 1e-12);
  assert.ok(Math.abs(low + high - 6) < 1e-12);
});

test("an interval has the state of the zones it lies in", () => {
  const cases = [
    [1, 2, FAVOUR], [0.9, 2, OPEN], [-1, 2, OPEN], [0.1, 0.9, MISSED], [-0.5, 0.9, MISSED],
    [0, 0, MISSED], [-0.5, -0.1, AGAINST], [NaN, NaN, OPEN], [0.5, Infinity, OPEN],
  ];
  for (const [low, high, state] of cases) assert.equal(stateOf({ low, high }), state, `${low} to ${high}`);
  // A statement of equality: all outside its margin is opposite.
  assert.equal(stateOf({ low: -0.3, high: -0.2 }, { bound: -0.1, none: -0.1 }), AGAINST);
});

test("every state has one word, and in favour needs a control that misses", () => {
  const words = (controlled, found) => [FAVOUR, MISSED, AGAINST, OPEN].map((s) => wordOf(s, controlled, found));
  assert.deepEqual(words(true, true), ["shown here", "not shown", "opposite", "undecided"]);
  assert.deepEqual(words(false, true), ["undecided", "not shown", "opposite", "undecided"]);
  assert.deepEqual(words(true, false), ["shown here", "undecided", "opposite", "undecided"]);
});

test("a study is the same whenever it is drawn; its arms and its neighbours differ", () => {
  const [one, again, next] = [7, 7, 8].map((n) => studyOf(n, settings(5)));
  assert.deepEqual(one, again);
  const all = [...one.arms, ...next.arms].flatMap(({ values }) => values);
  assert.equal(new Set(all.map((v) => v.toFixed(9))).size, 30);
  // Another setting of the same study moves its values and draws no others.
  const moved = studyOf(7, settings(5, { effect: 2, spread: 0.5 }));
  moved.arms[0].values.forEach((v, i) => {
    assert.ok(Math.abs(v - 2 - 0.5 * one.arms[0].values[i]) < 1e-12);
  });
});

test("values are normal around the truth with the spread asked for", () => {
  const values = [...Array(2000).keys()].flatMap((n) => (
    studyOf(n, settings(10, { effect: 3, left: 0.5, spread: 2 })).arms[1].values));
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const sd = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  assert.ok(Math.abs(mean - 1.5) < 0.06, `${mean}`);
  assert.ok(Math.abs(sd - 2) < 0.04, `${sd}`);
  const beyond = values.filter((v) => Math.abs(v - 1.5) > 2 * 1.959964).length / values.length;
  assert.ok(Math.abs(beyond - 0.05) < 0.006, `${beyond}`);
});

test("the words come as often as whydeep.evidence.power says", () => {
  // power.words(Study(seeds, 1 / spread, planted=True), effect, leak=left * effect).
  const cases = [
    [settings(5), { "shown here": 0.0, opposite: 0.025, "not shown": 0.151, undecided: 0.824 }],
    [settings(5, { spread: 0.5 }), { "shown here": 0.0, opposite: 0.025, "not shown": 0.803, undecided: 0.172 }],
    [settings(10, { effect: 2 }), { "shown here": 0.645, undecided: 0.355 }],
    [settings(5, { effect: 2 }), { "shown here": 0.161, undecided: 0.839 }],
    [settings(5, { effect: 4, left: 0.25, spread: 0.5 }), { "shown here": 0.025, undecided: 0.975 }],
    [settings(5, { effect: 4, left: 0.5, spread: 0.5 }), { "shown here": 0, undecided: 1 }],
  ];
  for (const [how, expected] of cases) {
    const tally = tallyOf(0, 20000, how);
    for (const [word, part] of Object.entries(expected)) {
      const wide = 4 * Math.sqrt((part * (1 - part)) / 20000) + 0.001;
      assert.ok(Math.abs(tally[word] / 20000 - part) < wide, `${word}: ${tally[word] / 20000}, ${part}`);
    }
  }
});

test("a tally goes on from where it was, and counts every study once", () => {
  const half = tallyOf(0, 500, settings(5));
  assert.deepEqual(tallyOf(500, 500, settings(5), half), tallyOf(0, 1000, settings(5)));
  assert.equal(WORDS.reduce((sum, word) => sum + half[word], 0), 500);
});

test("shares are counts of few studies and per cent of many", () => {
  assert.equal(share(3, 12), "3 of 12");
  assert.equal(share(25, 1000), "2.5 %");
});

test("the last study and the tally are told in words", () => {
  const how = settings(5);
  const arm = (state) => ({ values: [], mean: 0.25, low: -0.5, high: 1, state });
  const study = { arms: [arm(MISSED), arm(MISSED), arm(FAVOUR)], controlled: true, word: "not shown" };
  const tally = { "shown here": 0, opposite: 1, "not shown": 2, undecided: 0 };
  assert.equal(
    sentence(study, tally, how),
    "Study 3, 5 seeds: mean 0.25 bounds, interval −0.50 to 1.00: missed. The control misses, as it should; "
      + "the positive control finds what was planted. Word: not shown. Of 3 studies: opposite 1 of 3, "
      + "not shown 2 of 3.",
  );
  assert.match(describe(true, how), /true effect 0, spread 1/);
  assert.match(describe(false, how), /^Three empty strips/);
  assert.deepEqual([0, 1, 1, 2].map((n, i) => verdictOn(n, [OPEN, AGAINST, FAVOUR, MISSED][i])),
    ["open", "misses", "does not miss", "does not find it"]);
});

test("the axis has room for nearly all seeds and stays for all studies of one setting", () => {
  const how = settings(20, { effect: -1, spread: 1.5 });
  const [low, high] = reach(how);
  const values = [...Array(200).keys()].flatMap((n) => studyOf(n, how).arms.flatMap((arm) => arm.values));
  assert.ok(values.filter((v) => v < low || v > high).length < 0.01 * values.length);
});

test("the address tells what differs, and gives it back; nonsense is left out", () => {
  const initial = { effect: 1, spread: 1, seeds: 0, left: 0, first: 0, count: 1, opened: false };
  const state = { effect: 3, spread: 0, seeds: 1, left: 1, first: 5, count: 9, opened: true };
  const told = addressOf(state, initial, SPEC);
  assert.deepEqual(told, { effect: 2, spread: 0.5, seeds: 10, left: 1, open: "1" });
  const strings = Object.fromEntries(Object.entries(told).map(([name, value]) => [name, String(value)]));
  assert.deepEqual(fromAddress(strings, SPEC), { effect: 3, spread: 0, seeds: 1, left: 1, opened: true });
  assert.deepEqual(Object.values(addressOf(initial, initial, SPEC)), [null, null, null, null, null]);
  assert.deepEqual(fromAddress({ effect: "x", seeds: "7", left: "", other: "1" }, SPEC), {});
});

test("a change of settings begins a new tally with studies not seen before", () => {
  assert.deepEqual(afresh({ first: 5, count: 1000 }, { spread: 0 }), { first: 1005, count: 1, spread: 0 });
  assert.deepEqual(settingsOf({ effect: 2, spread: 0, seeds: 1, left: 1 }, SPEC), {
    effect: 1, spread: 0.5, seeds: 10, quantile: T[10], left: 1,
  });
});
