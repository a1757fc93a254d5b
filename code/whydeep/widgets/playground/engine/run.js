// A run: networks of several seeds trained side by side, what is kept of it, and when it may stop.

import { dataOf, inputsOf } from "./data.js";
import { measure, sizes } from "./network.js";
import { network, takeStep } from "./training.js";

/** Networks of one setting and several seeds, on the same examples. */
export function run(settings, given) {
  const own = { ...settings };
  const { train, test } = dataOf(own, given);
  const [inside, outside] = [train, test].map(({ x, y }) => (
    { x: inputsOf(own.inputs, x), y }
  ));
  const nets = [...Array(own.seeds).keys()].map((s) => network(own, inside, own.seed + s));
  const state = { step: 0, dead: false, changes: [] };

  function step() {
    if (state.dead) return;
    for (const net of nets) takeStep(net, state.step);
    state.step += 1;
  }

  /** What is kept of a moment: losses and errors of all, and the first network itself. */
  function look() {
    const found = nets.map((net) => [measure(net, inside), measure(net, outside)]);
    const numbers = (part, what) => found.map((pair) => pair[part][what]);
    const { shape, weights, gradient } = nets[0];
    const moment = {
      step: state.step,
      epoch: state.step ? nets[0].drawn / (train.y.length - 1) - 1 + nets[0].at / train.y.length : 0,
      train: numbers(0, "loss"), test: numbers(1, "loss"),
      trainError: numbers(0, "error"), testError: numbers(1, "error"),
      weights: weights.slice(),
      weightSizes: sizes(shape, weights),
      gradientSizes: state.step ? sizes(shape, gradient) : null,
    };
    if (!moment.train.some((loss) => loss < 1e6)) state.dead = true;
    return moment;
  }

  function set(name, value) {
    own[name] = value;
    state.changes.push([state.step, name, value]);
  }

  return { settings: own, nets, state, step, look, set };
}

/** Moments are kept at every step at first, then ever further apart. */
export function nextMoment(step) {
  return step + Math.max(1, Math.floor(step / 40));
}

/** Why training may stop, judged by what was kept: "" to go on. A loss at rest is one whose mean over
 *  the last quarter of the steps is within 0.3% of that over the quarter before. */
export function verdict(moments) {
  const now = moments[moments.length - 1];
  const mean = ({ train }) => train.reduce((sum, loss) => sum + loss, 0) / train.length;
  if (!now.train.some((loss) => loss < 1e6)) return "diverged";
  if (mean(now) < 1e-4) return "fitted";
  if (now.step < 3000) return "";
  const over = (from, to) => {
    const kept = moments.filter(({ step }) => step > from * now.step && step <= to * now.step);
    return kept.reduce((sum, moment) => sum + mean(moment), 0) / kept.length;
  };
  const [before, after] = [over(0.5, 0.75), over(0.75, 1)];
  return Math.abs(before - after) < 0.003 * before ? "at rest" : "";
}
