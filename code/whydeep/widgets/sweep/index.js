// SweepExplorer: curves or fields over one swept axis. Its state (position, variant, opened, predicted)
// lives in the model; every change of it, from whichever side, ends in update(). `view` holds the model,
// the data and the parts on the page.

import { button, choice, folded, gate, slider, tableOf } from "../kit/controls.js";
import { freshId, make } from "../kit/dom.js";
import { legend } from "../kit/drawing.js";
import { nearest } from "../kit/numbers.js";
import { address, download, live, twin, valuesOf } from "../kit/page.js";
import { dataOf } from "./data.js";
import { draw } from "./picture.js";
import { asCsv, sentence, tabulate } from "./words.js";

const NAMES = ["position", "variant", "opened", "predicted"];

/** What differs from the `initial` state, as the address tells it; null for what does not. */
export function addressOf({ position, variant, opened }, initial, { sweep, variants }) {
  return {
    at: position === initial.position ? null : sweep.values[position],
    show: variant === initial.variant ? null : variants[variant].name,
    open: opened === initial.opened ? null : "1",
  };
}

/** The state that an address means; nothing for what it does not say. */
export function fromAddress({ at, show, open }, { sweep, variants }) {
  const variant = variants.findIndex(({ name }) => name === show);
  return {
    ...(Number.isFinite(Number.parseFloat(at)) ? { position: nearest(sweep, Number.parseFloat(at)) } : {}),
    ...(variant >= 0 ? { variant } : {}),
    ...(open ? { opened: true } : {}),
  };
}

function change({ model, spec, link, initial }, state) {
  for (const [name, value] of Object.entries(state)) model.set(name, value);
  model.save_changes();
  link.write(addressOf(valuesOf(model, NAMES), initial, spec));
}

function follow(view) {
  const state = fromAddress(view.link.read(), view.spec);
  if (!Object.keys(state).length) return;
  change(view, state);
  view.el.scrollIntoView({ block: "nearest" });
}

/** Makes all parts and puts them into `view.el`; `afterwards` are hidden until the question is answered. */
function build(view) {
  const { spec, data, el } = view;
  const titleId = freshId();
  const picture = make("div", { class: "wd-picture" });
  const words = twin();
  const position = slider(spec.sweep, (at) => change(view, { position: at }));
  const variant = choice("Shown", spec.variants.map(({ label }) => label), (i) => {
    change(view, { variant: i });
  });
  const question = spec.predict && gate(spec.predict, (predicted) => {
    picture.classList.add("wd-appear");
    change(view, { opened: true, predicted });
  });
  const table = folded(spec.title, () => update(view));
  const reset = button("Start again", () => {
    picture.classList.remove("wd-appear");
    question?.reset();
    change(view, view.initial);
  });
  const save = button("Download the data (CSV)", () => download(`${spec.key}.csv`, asCsv(data)));
  const afterwards = [
    words.element, position.element, ...(spec.variants.length > 1 ? [variant.element] : []),
    make("div", { class: "wd-actions" }, reset, save), table.element,
  ];
  el.append(make(
    "div", { class: "wd", role: "group", "aria-labelledby": titleId },
    make("p", { class: "wd-title", id: titleId }, spec.title),
    make("p", {}, spec.about),
    ...(question?.elements ?? []),
    picture, ...(data.field ? [] : [legend(spec.series)]), ...afterwards,
  ));
  return { picture, words, position, variant, question, table, afterwards };
}

function show(view, state) {
  const { picture } = view.parts;
  const move = (position) => change(view, { position });
  picture.replaceChildren(draw(view.data, state, picture.clientWidth, move));
}

function update(view) {
  const { model, data, parts } = view;
  const state = valuesOf(model, NAMES);
  parts.question?.show(state.opened, state.predicted);
  for (const part of parts.afterwards) part.hidden = !state.opened;
  parts.position.show(state.position);
  parts.variant.show(state.variant);
  show(view, state);
  if (!state.opened) return;
  parts.words.say(sentence(data, state));
  if (parts.table.element.open) parts.table.inner.replaceChildren(tableOf(...tabulate(data, state)));
}

function render({ model, el, signal, page = false }) {
  const spec = model.get("spec");
  const view = {
    model, el, spec, link: address(spec.key, page), initial: valuesOf(model, NAMES),
    data: dataOf(spec, model.get("data")), parts: null,
  };
  view.parts = build(view);
  return live({ model, el, signal }, NAMES, {
    update: () => update(view),
    resize: () => show(view, valuesOf(model, NAMES)),
    follow: () => follow(view),
  });
}

export default { render };
