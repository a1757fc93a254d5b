// Playground: a small network trained live. The model holds what the reader chose; every change of it,
// from whichever side, ends in update(). One object, `view`, holds the rest: what the engine has brought
// (training), what of it is shown, the network's units, the picture, and the parts on the page.

import { make } from "../kit/dom.js";
import { legend } from "../kit/drawing.js";
import { address, live, valuesOf } from "../kit/page.js";
import { build } from "./controls.js";
import { choose, measureRoom } from "./network.js";
import { newPicture, refresh } from "./picture.js";
import { parsePoints } from "./points.js";
import { follow, NAMES, settingsOf } from "./state.js";
import { attend, bring, drive, hear, newTraining, showWish } from "./training.js";

function newView({ model, el, page }) {
  const spec = model.get("spec");
  return {
    model, el, spec,
    fields: Object.fromEntries(spec.fields.map((field) => [field.name, field])),
    link: address(spec.key, page),
    initial: valuesOf(model, NAMES),
    still: window.matchMedia("(prefers-reduced-motion: reduce)"),
    root: make("div", { class: "wd wd-play", role: "group" }),
    pasted: spec.paste ? parsePoints(spec.paste) : [],
    training: newTraining(),
    shown: { at: -1, run: 0, tests: false, logarithmic: false }, // which moment (-1: the last), which run
    network: { rows: [], cells: [], ends: [], measured: 0 }, // ends: where threads come in and go out
    surfaces: [],
    picture: newPicture(),
    parts: null,
    update: null,
  };
}

/** Shows what the model holds. */
function update(view) {
  const { model, parts } = view;
  const opened = model.get("opened");
  parts.question?.show(opened, model.get("predicted"));
  for (const part of parts.afterwards) part.hidden = !opened;
  parts.settings.show(model.get("settings"), model.get("twin"));
  const runs = settingsOf(view);
  parts.legendBox.replaceChildren(legend(runs.flatMap((_, r) => (
    ["training", "test"].map((part) => (runs.length > 1 ? `${"AB"[r]} ${part}` : part))))));
  view.root.classList.toggle("wd-closed", !opened);
  bring(view);
  choose(view);
  showWish(view);
  refresh(view);
}

function resize(view) {
  if (view.root.clientWidth === view.network.measured) return; // only words have grown
  measureRoom(view);
  refresh(view);
}

/** Notes whether anybody sees the widget, and when the page changes its colours; until it is told to
 *  stop. */
function watch(view) {
  const sight = new IntersectionObserver(([entry]) => {
    view.training.seen = entry.isIntersecting;
    attend(view);
  });
  sight.observe(view.root);
  const shown = () => attend(view);
  document.addEventListener("visibilitychange", shown);
  const theme = new MutationObserver(() => {
    view.picture.coloursDue = true;
    view.picture.pointsDue = true;
    refresh(view);
  });
  for (const place of [document.documentElement, document.body]) {
    theme.observe(place, { attributeFilter: ["data-theme", "theme", "data-jp-theme-light", "class"] });
  }
  return () => {
    sight.disconnect();
    theme.disconnect();
    document.removeEventListener("visibilitychange", shown);
  };
}

function render({ model, el, signal, page = false }) {
  const view = newView({ model, el, page });
  view.update = () => update(view);
  view.parts = build(view);
  el.append(view.root);
  drive(view, "page");
  const hearing = (message) => hear(view, message);
  model.on("msg:custom", hearing);
  model.send?.({ type: "hello" }); // silence means that there is no kernel
  const unwatch = watch(view);
  const leave = live({ model, el, signal }, NAMES, {
    update: view.update, resize: () => resize(view), follow: () => follow(view),
  });
  const close = () => {
    view.training.closed = true;
    leave();
    unwatch();
    model.off("msg:custom", hearing);
    view.training.local?.close();
    view.training.kernel?.close();
  };
  signal?.addEventListener("abort", close);
  return close;
}

export default { render };
