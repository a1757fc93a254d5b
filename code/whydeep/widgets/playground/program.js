// "Copy as PyTorch": the box that shows the program of the present run.

import { button } from "../kit/controls.js";
import { make } from "../kit/dom.js";
import TORCH from "../playground_torch.py";
import { refresh } from "./picture.js";
import { snippet } from "./snippet.js";
import { givenOf, shownRun } from "./state.js";

/** The program that trains what the shown run has trained. */
function programOf(view) {
  const { started, births, changes, step } = view.training;
  const run = shownRun(view);
  const live = changes[run] ?? [];
  // The settings at the start: live changes are told besides.
  const first = { ...started[run] };
  for (const [, name] of live) first[name] = births[run][name];
  return snippet(TORCH, first, {
    given: givenOf(view, started[run].data), changes: live, steps: Math.max(200, step),
  });
}

export function programBox(view) {
  const code = make("div", {
    class: "wd-code", tabindex: "0", role: "region", "aria-label": "PyTorch program",
  });
  const copied = make("span", { class: "wd-quiet", role: "status" });
  const write = () => {
    const text = programOf(view);
    if (code.textContent !== text) code.textContent = text;
  };
  const copy = async () => {
    write();
    let told = "Copied.";
    try {
      await navigator.clipboard.writeText(code.textContent);
    } catch {
      window.getSelection().selectAllChildren(code);
      told = "The program is selected: copy it with your keys.";
    }
    copied.textContent = told;
  };
  const element = make(
    "details", { ontoggle: () => refresh(view) }, make("summary", {}, "Copy as PyTorch"),
    make("p", {}, "A program that draws the same numbers and gives the same curve. ",
      button("Copy", copy), " ", copied),
    code,
  );
  return { element, write };
}
