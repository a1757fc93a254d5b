// The parts of the widget that a reader sees and works with, and where each stands. `view.parts` are those
// that others write to.

import { button, choice, folded, gate, slider } from "../kit/controls.js";
import { freshId, make } from "../kit/dom.js";
import { download, twin } from "../kit/page.js";
import { Enlargement } from "./enlargement.js";
import { gallery } from "./gallery.js";
import { light } from "./light.js";
import { change, mapOf, poolOf, stateOf, within } from "./state.js";
import { asCsv, mapAsCsv } from "./words.js";

const HINT = "Point at a pixel, or go there with the arrow keys, to read its value.";

/** The enlarged images. What is pointed at in one of them is held, and left in the one before.
 *  @returns {any} */
function enlargements(view) {
  const point = (text, enlarged, at) => {
    if (view.held?.enlarged !== enlarged) view.held?.enlarged.leave();
    view.held = { text, enlarged, at };
    view.parts.pointed.say(`${text} ${light(view)}`.trim());
  };
  const shift = (down, right) => {
    const now = stateOf(view.model, view.spec);
    change(view, { down: within(view.spec, now.down + down), right: within(view.spec, now.right + right) });
  };
  const names = ["large", "scene", "map", "matrix", "pool", "difference"];
  return Object.fromEntries(names.map((name) => (
    [name, new Enlargement(point, name === "scene" && view.pooling ? shift : null)])));
}

/** The choices of bank, picture, stride, ReLU and pool; `show` gets the state. */
function choices(view) {
  const { banks, pictures, strides, pools } = view.spec;
  const labels = (list) => list.map(({ label }) => label);
  const all = {
    bank: choice("Bank", labels(banks), (bank) => change(view, { bank })),
    picture: choice("Picture", labels(pictures), (picture) => change(view, { picture })),
    stride: choice("Stride", strides, (stride) => change(view, { stride })),
    relu: choice("Feature map", ["as it is", "after a ReLU"], (i) => change(view, { relu: i === 1 })),
    pool: choice("Pooling", labels(pools), (pool) => change(view, { pool })),
  };
  const show = (now) => {
    for (const [name, { show: mark }] of Object.entries(all)) mark(Number(now[name]));
  };
  return { all, show };
}

/** The two ranges that shift the picture, where it is pooled; `show` gets the state. */
function shiftRanges(view) {
  const { pooling, spec } = view;
  const values = [...Array(2 * spec.reach + 1).keys()].map((i) => i - spec.reach);
  const ranges = (pooling ? ["right", "down"] : []).map((way) => {
    const label = way === "right" ? "Shift to the right" : "Shift down";
    const axis = { label, unit: "pixels", values, log: false };
    return { way, ...slider(axis, (i) => change(view, { [way]: values[i] })) };
  });
  const show = (now) => {
    for (const one of ranges) one.show(values.indexOf(within(spec, now[one.way])));
  };
  return { elements: ranges.map(({ element }) => element), show };
}

/** Start again, and files to keep. */
function lastRow(view) {
  const { model, spec, pooling } = view;
  const state = () => stateOf(model, spec);
  const again = () => {
    view.parts.shown.classList.remove("wd-appear");
    view.parts.question?.reset();
    view.held?.enlarged.leave();
    view.held = null;
    light(view);
    view.parts.pointed.say(HINT);
    change(view, view.initial);
  };
  const saveMap = button("Download the feature map (CSV)", () => {
    const { plain, cut } = mapOf(view, state());
    download(`${spec.key}-map.csv`, mapAsCsv(model.get("relu") ? cut : plain));
  });
  const savePool = button("Download the pooled map (CSV)", () => {
    download(`${spec.key}-pooled.csv`, mapAsCsv(poolOf(view, state()).now));
  });
  return make(
    "div", { class: "wd-actions" }, button("Start again", again),
    button(`Download the ${spec.item}s (CSV)`, () => download(`${spec.key}.csv`, asCsv(view))),
    ...(spec.pictures.length ? [saveMap] : []), ...(pooling ? [savePool] : []),
  );
}

/** What belongs to filters: the choices, and the picture, its maps and the matrix side by side. */
function filterParts(view, { all }, shifts, { scene, map, matrix, pool, difference }, mapKey) {
  const { spec: { pictures, strides, matrix: asMatrix }, pooling } = view;
  const seen = asMatrix
    ? [make("div", {}, scene.element, map.element), matrix.element]
    : [scene.element, map.element, ...(pooling ? [pool.element, difference.element] : [])];
  return [
    ...(pictures.length > 1 ? [all.picture.element] : []),
    ...(strides.length > 1 ? [all.stride.element] : []), all.relu.element,
    ...(pooling ? [all.pool.element, ...shifts.elements] : []),
    make("div", { class: pooling ? "wd-beside wd-pairs" : "wd-beside" }, ...seen), mapKey,
  ];
}

/** Makes all parts, puts them into `view.el`, and gives those that others write to; `shown` is hidden
 *  until the question is answered, and `waiting` from then on. */
export function build(view, update) {
  const { spec, el, pooling } = view;
  const titleId = freshId();
  const [words, pointed] = [twin(), twin()];
  pointed.element.classList.add("wd-quiet");
  pointed.element.textContent = HINT;
  const images = enlargements(view);
  if (pooling) images.large.element.classList.add("wd-small"); // room for the maps
  const grid = gallery(spec.title, (item) => change(view, { item }));
  const [key, mapKey] = [make("p", { class: "wd-quiet" }), make("p", { class: "wd-quiet" })];
  const [chosen, shifts] = [choices(view), shiftRanges(view)];
  const table = folded(spec.title, update);
  const shown = make(
    "div", {},
    ...(spec.banks.length > 1 ? [chosen.all.bank.element] : []),
    make("div", { class: "wd-beside" }, grid.element, images.large.element),
    key,
    ...(spec.pictures.length ? filterParts(view, chosen, shifts, images, mapKey) : []),
    pointed.element, words.element, lastRow(view), table.element,
  );
  const question = spec.predict && gate(spec.predict, (predicted) => {
    shown.classList.add("wd-appear");
    change(view, { opened: true, predicted });
  });
  const waiting = make("p", {}, `The ${spec.item}s appear after the question.`);
  el.append(make(
    "div", { class: "wd", role: "group", "aria-labelledby": titleId },
    make("p", { class: "wd-title", id: titleId }, spec.title),
    make("p", {}, spec.about),
    ...(question?.elements ?? []), waiting, shown,
  ));
  return { ...images, grid, key, mapKey, chosen, shifts, words, pointed, question, table, waiting, shown };
}
