// Referee: studies drawn from a true effect, judged one after the other. The state lives in the model:
// indices of the settings, and which studies the tally counts: `count` of them, from number `first` on.
// Every change, from whichever side, ends in update().

import { button, choice, gate, slider, tableOf } from "../kit/controls.js";
import { freshId, make } from "../kit/dom.js";
import { format, nearest } from "../kit/numbers.js";
import { address, live, twin, valuesOf } from "../kit/page.js";
import { studyOf, tallyOf, WORDS } from "./judging.js";
import { draw } from "./picture.js";
import { sentence, share } from "./words.js";

const SETTINGS = ["effect", "spread", "seeds", "left"];
const NAMES = [...SETTINGS, "first", "count", "opened", "predicted"];
const MANY = 1000;

/** The settings' values at the places that the state names. */
export function settingsOf(state, { effects, spreads, seeds, quantiles, left }) {
  return {
    effect: effects.values[state.effect], spread: spreads.values[state.spread],
    seeds: seeds[state.seeds], quantile: quantiles[state.seeds], left: left[state.left].share,
  };
}

/** What differs from the `initial` state, as the address tells it; null for what does not. */
export function addressOf(state, initial, spec) {
  const now = settingsOf(state, spec);
  const told = (name) => (state[name] === initial[name] ? null : now[name]);
  return {
    ...Object.fromEntries(SETTINGS.map((name) => [name, told(name)])),
    open: state.opened === initial.opened ? null : "1",
  };
}

/** The state that an address means; nothing for what it does not say. */
export function fromAddress(told, { effects, spreads, seeds, left }) {
  const number = (name) => Number.parseFloat(told[name]);
  const known = (name) => Number.isFinite(number(name));
  const [n, rest] = [seeds.indexOf(number("seeds")), left.findIndex((l) => l.share === number("left"))];
  return {
    ...(known("effect") ? { effect: nearest(effects, number("effect")) } : {}),
    ...(known("spread") ? { spread: nearest(spreads, number("spread")) } : {}),
    ...(n >= 0 ? { seeds: n } : {}),
    ...(rest >= 0 ? { left: rest } : {}),
    ...(told.open ? { opened: true } : {}),
  };
}

/** What a change of settings does to the tally: it begins again, with the next study. */
export function afresh({ first, count }, change) {
  return { count: 1, ...change, first: first + count };
}

function change({ model, spec, link, initial }, state) {
  for (const [name, value] of Object.entries(state)) model.set(name, value);
  model.save_changes();
  link.write(addressOf(valuesOf(model, NAMES), initial, spec));
}

function follow(view) {
  const state = fromAddress(view.link.read(), view.spec);
  if (!Object.keys(state).length) return;
  change(view, afresh(valuesOf(view.model, NAMES), state));
  view.el.scrollIntoView({ block: "nearest" });
}

/** The tally as rows: word, count, share, and a bar; the last study's word stands out. */
function rowsOf(tally, last) {
  const studies = WORDS.reduce((sum, word) => sum + tally[word], 0);
  return WORDS.map((word) => make(
    "tr", { class: word === last ? "wd-last" : "" }, make("th", { scope: "row" }, word), make("td", {}, format(tally[word])),
    make("td", {}, share(tally[word], studies)),
    make("td", { class: "wd-bars" }, make(
      "i", { style: `width: ${((100 * tally[word]) / studies).toFixed(2)}%`, "aria-hidden": "true" },
    )),
  ));
}

/** Makes all parts and puts them into `view.el`; `afterwards` are hidden until the question is answered. */
function build(view) {
  const { spec, el, model } = view;
  const titleId = freshId();
  const state = () => valuesOf(model, NAMES);
  const set = (name) => (at) => change(view, afresh(state(), { [name]: at }));
  const more = (count) => () => change(view, { count: state().count + count });
  const picture = make("div", { class: "wd-picture" });
  const words = twin();
  const settings = {
    effect: slider(spec.effects, set("effect")),
    spread: slider(spec.spreads, set("spread")),
    seeds: choice("Seeds", spec.seeds.map(String), set("seeds")),
    left: choice("The control leaves of the effect", spec.left.map(({ label }) => label), set("left")),
  };
  const question = spec.predict && gate(spec.predict, (predicted) => {
    change(view, { opened: true, predicted, count: MANY });
  });
  const tally = tableOf(["word", "studies", "share", ""], []);
  tally.setAttribute("aria-label", `${spec.title}: how often each word came out`);
  const reset = button("Start again", () => {
    question?.reset();
    change(view, view.initial);
  });
  const afterwards = [
    make(
      "div", { class: "wd-actions" }, button("Draw a study", more(1)),
      button(`Draw ${format(MANY)} studies`, more(MANY)), reset,
    ),
    tally, words.element, ...Object.values(settings).map(({ element }) => element),
  ];
  el.append(make(
    "div", { class: "wd wd-referee", role: "group", "aria-labelledby": titleId },
    make("p", { class: "wd-title", id: titleId }, spec.title),
    make("p", {}, spec.about),
    ...(question?.elements ?? []), picture, ...afterwards,
  ));
  return { picture, words, settings, question, tally, afterwards };
}

/** The tally of the studies that the state counts; those that it has counted are not judged again. */
function counted(view, { first, count, ...state }, settings) {
  const key = JSON.stringify([first, SETTINGS.map((name) => state[name])]);
  const known = view.known?.key === key && view.known.count <= count
    ? view.known : { key, count: 0, tally: {} };
  const tally = tallyOf(first + known.count, count - known.count, settings, known.tally);
  view.known = { key, count, tally };
  return tally;
}

function show(view, state, settings) {
  const { picture } = view.parts;
  const study = state.opened ? studyOf(state.first + state.count - 1, settings) : null;
  picture.replaceChildren(draw(study, settings, picture.clientWidth));
  return study;
}

function update(view) {
  const { model, spec, parts } = view;
  const state = valuesOf(model, NAMES);
  const settings = settingsOf(state, spec);
  parts.question?.show(state.opened, state.predicted);
  for (const part of parts.afterwards) part.hidden = !state.opened;
  for (const name of SETTINGS) parts.settings[name].show(state[name]);
  const study = show(view, state, settings);
  if (!study) return;
  const tally = counted(view, state, settings);
  parts.tally.tBodies[0].replaceChildren(...rowsOf(tally, study.word));
  parts.words.say(sentence(study, tally, settings));
}

function render({ model, el, signal, page = false }) {
  const spec = model.get("spec");
  const view = {
    model, el, spec, link: address(spec.key, page), initial: valuesOf(model, NAMES), parts: null, known: null,
  };
  view.parts = build(view);
  return live({ model, el, signal }, NAMES, {
    update: () => update(view),
    resize: () => {
      const state = valuesOf(model, NAMES);
      show(view, state, settingsOf(state, spec));
    },
    follow: () => follow(view),
  });
}

export default { render };
