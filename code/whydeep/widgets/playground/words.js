// The state in words and numbers: the sentence under the picture, captions, facts, tables, curves as CSV.

import { capital, csv, format, spread, summary } from "../kit/numbers.js";
import { maps, shapeOf } from "./engine/network.js";
import { momentOf, selected, settingsOf, shapeNow, shownRun } from "./state.js";

const INPUTS = ["x₁", "x₂", "x₁²", "x₂²", "x₁x₂"];
const STOPPED = {
  fitted: "Stopped: the training loss is below 0.0001",
  "at rest": "Stopped: the training loss has come to rest",
  diverged: "Stopped: the loss has grown beyond all bounds (diverged)",
  asked: "Stopped at the step asked for",
};

const meanOf = (numbers) => numbers.reduce((sum, v) => sum + v, 0) / numbers.length;
const percent = (share) => `${format(100 * share, share > 0 && share < 0.1 ? 1 : 0)}%`;

/** A number to so many digits, or other words where there is none. */
const digits = (v, count, none) => (Number.isFinite(v) ? format(Number(v.toPrecision(count))) : none);

export function unitName(u, { sizes }) {
  let l = 0;
  let first = 0;
  while (u >= first + sizes[l]) first += sizes[l++];
  if (l === 0) return `input ${INPUTS[u]}`;
  return l === sizes.length - 1 ? "the output" : `layer ${l}, unit ${u - first + 1}`;
}

/** Where a unit's value counts as above: one half for hidden sigmoids, else zero. */
export function levelOf({ activation }, { sizes, units }, u) {
  return activation === "sigmoid" && u < units - 1 && u >= sizes[0] ? 0.5 : 0;
}

/** What a run is told by: the value of the setting in which the twins differ. */
export function tag(view, r) {
  const [name] = Object.keys(view.model.get("twin"));
  const value = settingsOf(view)[r][name];
  const found = view.fields[name]?.options.find(([option]) => option === value)?.[1];
  const text = found ?? (Array.isArray(value) ? value.join("-") || "none" : format(value));
  return `${name === "widths" ? "hidden units" : view.fields[name].label} ${text}`;
}

/** The caption of the large map of run r, which shows unit u. */
export function captionOf(view, r, u, shape) {
  const name = unitName(u, shape);
  return settingsOf(view).length > 1 ? `${"AB"[r]} (${tag(view, r)}): ${name}` : capital(name);
}

/** The sizes of weights and of their gradient, of layer l, beside its units. */
export function sizeWords({ weightSizes, gradientSizes }, l) {
  return `w ${digits(weightSizes[l], 2, "–")}  ∇ ${digits(gradientSizes?.[l] ?? NaN, 2, "–")}`;
}

const madds = (shape) => shape.layers.reduce((sum, { inputs, units }) => sum + inputs * units, 0);

/** How many epochs so many steps are, for the first run. */
function epochsOf(view, steps) {
  const n = view.training.data[0].train.y.length;
  return steps / Math.ceil(n / (settingsOf(view)[0].batch_size || n));
}

/** Pairs of a name and a value, for what is shown of each run. */
export function factsOf(view, shown) {
  const { going, rate } = view.training;
  const shapes = settingsOf(view).map(shapeOf);
  const each = (text) => shown.map((moment, r) => text(moment, r)).join(" / ");
  const both = shown.length > 1 ? ", A / B" : "";
  const fast = going && rate ? rate : 0;
  const loss = (part) => each((m) => (Number.isFinite(meanOf(m[part])) ? format(meanOf(m[part])) : "diverged"));
  return [
    ["step", format(shown[0].step, 0)],
    ["epoch", format(shown[0].epoch, 1)],
    [`training loss${both}`, loss("train")],
    [`test loss${both}`, loss("test")],
    [`test error${both}`, each((m) => percent(meanOf(m.testError)))],
    ["steps each second", fast ? digits(fast, 3, "") : "–"],
    ["epochs each second", fast ? digits(epochsOf(view, fast), 3, "") : "–"],
    [`parameters${both}`, each((_, r) => format(shapes[r].parameters))],
    [`multiply-adds${both}`, each((_, r) => format(madds(shapes[r])))],
  ];
}

/** The state in words: where training is, how it stands, what the chosen unit does. */
export function sentence(view, shown) {
  const { going, reason } = view.training;
  const settings = settingsOf(view);
  const run = shownRun(view);
  const why = going ? "" : reason.split(" and ").map((part) => STOPPED[part]).find(Boolean) ?? "";
  const told = shown.map((moment, r) => {
    const who = settings.length > 1 ? `${"AB"[r]}, ${tag(view, r)}: ` : "";
    const text = (part) => spread(summary(moment[part]));
    return `${who}training loss ${text("train")}, test loss ${text("test")}, test error ${
      percent(meanOf(moment.testError))}`;
  });
  const over = settings[0].seeds > 1 ? ` (mean ± sd over ${settings[0].seeds} networks)` : "";
  return `${why ? `${why}. ` : ""}Step ${format(shown[0].step, 0)}. ${capital(told.join(". "))}${over}. ${
    unitWords(view, run, shown[run])}`;
}

/** What the chosen unit does on the test examples. */
export function unitWords(view, run, moment) {
  const settings = settingsOf(view)[run];
  const shape = shapeOf(settings);
  const u = selected(view);
  const { x, y } = view.training.data[run].test;
  const n = y.length;
  const values = maps(settings, moment.weights, x).subarray(u * n, (u + 1) * n);
  const name = capital(`${settingsOf(view).length > 1 ? `${"AB"[run]}, ` : ""}${unitName(u, shape)}`);
  const level = levelOf(settings, shape, u);
  const [mean, middle] = [meanOf([...values]), meanOf([...y])];
  let [both, own, labels, above] = [0, 0, 0, 0];
  for (let k = 0; k < n; k += 1) {
    both += (values[k] - mean) * (y[k] - middle);
    own += (values[k] - mean) ** 2;
    labels += (y[k] - middle) ** 2;
    if (values[k] > level) above += 1;
  }
  if (!(own > 1e-20)) return `${name} is chosen: it answers alike to every test example.`;
  return `${name} is chosen: above ${level ? "one half" : "zero"} on ${
    percent(above / n)} of the test examples, correlation ${
    format(both / Math.sqrt(own * labels), 2)} with the label.`;
}

/** The two tables, as a head and rows each: layers of the shown network, networks of all runs. */
export function tablesOf(view, shown) {
  const shape = shapeNow(view);
  const moment = shown[shownRun(view)];
  const round = (v) => digits(v, 3, "none yet");
  return [
    [
      ["layer", "parameters", "multiply-adds", "size of weights", "size of gradient"],
      shape.layers.map(({ inputs, units }, l) => [
        l === shape.layers.length - 1 ? "output" : `layer ${l + 1}`, format(units * (inputs + 1)),
        format(units * inputs), round(moment.weightSizes[l]), round(moment.gradientSizes?.[l] ?? NaN),
      ]),
    ],
    [
      ["network", "seed", "training loss", "test loss", "training error", "test error"],
      shown.flatMap((found, r) => found.train.map((_, s) => [
        shown.length > 1 ? `${"AB"[r]}${s + 1}` : `${s + 1}`, String(settingsOf(view)[r].seed + s),
        ...["train", "test"].map((part) => round(found[part][s])),
        ...["trainError", "testError"].map((part) => percent(found[part][s])),
      ])),
    ],
  ];
}

/** Every moment that is kept, of every network. */
export function asCsv(view) {
  const rows = [["run", "seed", "step", "training loss", "test loss", "training error", "test error"]];
  view.training.moments.forEach((list, r) => list.forEach((moment) => moment.train.forEach((_, s) => rows.push([
    "AB"[r], settingsOf(view)[r].seed + s, moment.step, moment.train[s], moment.test[s],
    moment.trainError[s], moment.testError[s],
  ]))));
  return csv(rows);
}

/** The moments that are shown of each run; null where one of them is not there yet. */
export function shownMoments(view) {
  const found = settingsOf(view).map((_, r) => momentOf(view, r));
  return found.every(Boolean) && view.training.started ? found : null;
}
