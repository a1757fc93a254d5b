// How a study is judged, as whydeep.evidence.claims does it: interval, state, word, and how often.

import { summary } from "../kit/numbers.js";
import { mix, normals, uniform } from "../playground/engine/chance.js";

export const FAVOUR = "in favour";
export const MISSED = "missed";
export const AGAINST = "opposite";
export const OPEN = "open";
export const WORDS = ["shown here", "opposite", "not shown", "undecided"];
const [SHOWN, OPPOSITE, NOT_SHOWN, UNDECIDED] = WORDS;
const ROOM = 64; // numbers that a study may draw

/** Student's t interval of the mean; `quantile` is that of so many values, less one. */
export function interval(values, quantile) {
  const { n, mean, sd } = summary(values);
  const half = (quantile * sd) / Math.sqrt(n);
  return { mean, low: mean - half, high: mean + half };
}

/** The state of an interval whose zone in favour begins at `bound`, the zone opposite below `none`. */
export function stateOf({ low, high }, { bound = 1, none = 0 } = {}) {
  if (!Number.isFinite(low) || !Number.isFinite(high)) return OPEN;
  if (low >= bound) return FAVOUR;
  if (high >= bound) return OPEN;
  return high < none ? AGAINST : MISSED;
}

/** The word on a claim of one condition: its state, whether the control missed, whether the positive
 *  control found what it planted. */
export function wordOf(state, controlled, found) {
  if (state === FAVOUR) return controlled ? SHOWN : UNDECIDED;
  if (state === AGAINST) return OPPOSITE;
  return state === MISSED && found ? NOT_SHOWN : UNDECIDED;
}

/** So many values of study `number`: normal, around `mean`, with the given spread. `arm` keeps the main
 *  run and its controls apart; the same number gives the same values. */
function drawn(number, arm, { mean, spread, seeds }) {
  const key = mix(mix(number + 1) + arm);
  return [...Array(seeds).keys()].map((i) => {
    const [z] = normals(uniform(key, 2 * i), uniform(key, 2 * i + 1));
    return mean + spread * z;
  });
}

/** Study `number` with its main run, its control and its positive control, and the word. `effect` is the
 *  true one, `left` the share of it that the control leaves, in bounds beyond no effect. */
export function studyOf(number, { effect, left, spread, seeds, quantile }) {
  const arms = [effect, left * effect, 2].map((mean, arm) => {
    const values = drawn(number, arm * ROOM, { mean, spread, seeds });
    const found = interval(values, quantile);
    return { values, ...found, state: stateOf(found) };
  });
  const [main, control, planted] = arms;
  const controlled = control.state === MISSED || control.state === AGAINST;
  return { arms, controlled, word: wordOf(main.state, controlled, planted.state === FAVOUR) };
}

/** How often each word came out of studies `first` to `first + count - 1`, added to `before`. */
export function tallyOf(first, count, settings, before = {}) {
  const tally = Object.fromEntries(WORDS.map((word) => [word, before[word] ?? 0]));
  for (let n = first; n < first + count; n += 1) tally[studyOf(n, settings).word] += 1;
  return tally;
}
