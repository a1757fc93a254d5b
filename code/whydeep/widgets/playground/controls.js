// The parts of the widget that a reader sees and works with, and where each stands. `view.parts` are those
// that others write to.

import { button, choice, folded, gate } from "../kit/controls.js";
import { freshId, make } from "../kit/dom.js";
import { nearest } from "../kit/numbers.js";
import { download, twin } from "../kit/page.js";
import { layOut, move, widen } from "./network.js";
import { refresh } from "./picture.js";
import { programBox } from "./program.js";
import { settingsBox } from "./settings.js";
import { change, setTo, shapeNow } from "./state.js";
import { go, pause, stepOnce } from "./training.js";
import { asCsv } from "./words.js";

/** Run, Step, Restart, New seed, and who trains. */
function topRow(view) {
  const runButton = button("Run", () => (view.training.wish ? pause(view) : go(view)));
  runButton.classList.add("wd-go");
  const badge = make("span", { class: "wd-badge" });
  const again = () => {
    view.training.started = null;
    view.update();
  };
  const reseed = () => {
    const { seed, seeds } = view.model.get("settings");
    setTo(view, "seed", (seed + seeds) % 1_000_000);
  };
  const element = make(
    "div", { class: "wd-top" }, runButton, button("Step", () => stepOnce(view)),
    button("Restart", again), button("New seed", reseed), badge,
  );
  return { element, runButton, badge };
}

/** The range and the number that go back through training. */
function scrubber(view) {
  const to = (index) => {
    if (view.training.wish) pause(view);
    view.shown.at = index >= view.training.moments[0].length - 1 ? -1 : index;
    refresh(view);
  };
  const range = make("input", {
    type: "range", id: freshId(), min: 0, max: 0, step: 1, oninput: () => to(Number(range.value)),
  });
  const number = make("input", {
    type: "number", min: 0, step: 1, "aria-label": "step shown, as a number", onchange: () => {
      const wanted = Number.parseFloat(number.value);
      const values = view.training.moments[0].map(({ step }) => step);
      if (Number.isFinite(wanted)) to(nearest({ values, log: false }, wanted));
    },
  });
  const label = make("label", { for: range.id }, "step shown: drag to go back through training");
  return { element: make("div", { class: "wd-slider" }, label, range, number), range, number };
}

/** What else the picture shows. */
function checkBoxes(view) {
  const check = (label, onCheck) => {
    const box = make("input", { type: "checkbox", id: freshId(), onchange: () => {
      onCheck(box.checked);
      refresh(view);
    } });
    return make("span", {}, box, make("label", { for: box.id }, label));
  };
  return make(
    "div", { class: "wd-checks" },
    check("show the test examples", (on) => {
      view.shown.tests = on;
      view.picture.pointsDue = true;
    }),
    check("logarithmic axes", (on) => {
      view.shown.logarithmic = on;
      view.picture.dues.chart = 0;
    }),
  );
}

/** The units with their threads, and the buttons that change the layers. */
function networkPart(view) {
  const threads = make("canvas", { "aria-hidden": "true" });
  const tiles = make("canvas", { "aria-hidden": "true" });
  const grid = make("div", {
    role: "grid", "aria-label": "Units, layer by layer", onkeydown: (event) => move(view, event),
  });
  const net = make("div", { class: "wd-net" }, threads, tiles, grid);
  const hidden = () => shapeNow(view).sizes.slice(1, -1);
  const layerButtons = make(
    "div", { class: "wd-actions" },
    button("Add a layer", () => widen(view, [...hidden(), 4])),
    button("Remove a layer", () => widen(view, hidden().slice(0, -1))),
  );
  const runChoice = choice("Units shown", ["of A", "of B"], (run) => {
    view.shown.run = run;
    layOut(view);
    refresh(view);
  });
  const element = make(
    "div", { class: "wd-part" }, runChoice.element, net,
    make("p", { class: "wd-under" }, "A thread is a weight: orange above zero, blue below, thick if large. "
      + "w and ∇: root mean square of a layer's weights and of their gradient on the last batch."),
    layerButtons,
  );
  return { element, net, threads, tiles, grid, layerButtons, runChoice };
}

/** Back to the start, and the curves as a file. */
function lastRow(view) {
  const back = () => {
    view.parts.question?.reset();
    view.training.wish = false;
    view.training.started = null;
    change(view, view.initial);
  };
  const save = () => download(`${view.spec.key}.csv`, asCsv(view));
  return make(
    "div", { class: "wd-actions" }, button("Back to the start", back),
    button("Download the curves (CSV)", save),
  );
}

/** Makes all parts, puts them into `view.root`, and gives those that others write to; `afterwards` are
 *  hidden until the question is answered. */
export function build(view) {
  const { spec, root } = view;
  const titleId = freshId();
  const words = twin();
  const question = spec.predict && gate(spec.predict, (predicted) => {
    change(view, { opened: true, predicted });
    if (!view.still.matches) go(view);
  });
  const top = topRow(view);
  const network = networkPart(view);
  const settings = settingsBox(view);
  const program = programBox(view);
  const table = folded(spec.title, () => refresh(view));
  const scrub = scrubber(view);
  const [stats, surfaces] = [make("dl", { class: "wd-stats" }), make("div", { class: "wd-surfaces" })];
  const [key, chart] = [make("ul", { class: "wd-key" }), make("div", { class: "wd-picture" })];
  const legendBox = make("div");
  const curves = [legendBox, chart, scrub.element, checkBoxes(view)];
  const actions = lastRow(view);
  root.append(
    make("p", { class: "wd-title", id: titleId }, spec.title), make("p", {}, spec.about),
    ...(question?.elements ?? []), top.element,
    make(
      "div", { class: "wd-stageboard" }, make("div", { class: "wd-left" }, network.element, stats),
      make("div", { class: "wd-right" }, surfaces, key, ...curves),
    ),
    words.element, settings.element, program.element, table.element, actions,
  );
  root.setAttribute("aria-labelledby", titleId);
  const { net, threads, tiles, grid, layerButtons, runChoice } = network;
  return {
    words, question, settings, program, table, net, threads, tiles, grid, runChoice, stats, surfaces,
    key, chart, legendBox, runButton: top.runButton, badge: top.badge,
    scrub: scrub.range, scrubNumber: scrub.number,
    afterwards: [
      top.element, ...curves, stats, words.element, layerButtons, settings.element, actions,
      program.element, table.element,
    ],
  };
}
