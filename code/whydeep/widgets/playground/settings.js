// The settings: a native control for each, those of the twin, and points to paste.

import { button } from "../kit/controls.js";
import { freshId, make } from "../kit/dom.js";
import { format } from "../kit/numbers.js";
import { parsePoints } from "./points.js";
import { change, parse, same, setTo, textOf, UNTWINNED } from "./state.js";

/** A native control for a setting; `onValue` gets its value once it fits. */
function control(view, name, label, onValue) {
  const field = view.fields[name];
  const id = freshId();
  const input = field?.options.length ? make("select", { id }) : make("input", {
    id, type: name === "widths" ? "text" : "number", min: field?.low, max: field?.high, step: 1,
  });
  for (const [value, text] of field?.options ?? []) {
    if (value !== "pasted" || view.pasted.length) input.append(make("option", { value }, text));
  }
  const show = (value) => {
    const text = textOf(value);
    if (input.options && ![...input.options].some((o) => o.value === text)) {
      input.append(make("option", { value: text }, name === "data" ? "pasted" : format(Number(text))));
    }
    input.value = text;
  };
  input.addEventListener("change", () => {
    const value = parse(view, name, input.value);
    if (value === undefined) view.update();
    else onValue(value);
  });
  const mark = make("i", { "aria-hidden": "true" }, field?.live ? " ●" : " ↻");
  const element = make(
    "div", { class: "wd-field" }, make("label", { for: id }, label ?? field.label, mark), input,
  );
  return { element, show, input };
}

/** The fields of one kind, live or not, under a legend. */
function group(view, controls, legend, live, ...more) {
  const fields = Object.values(view.fields).filter((field) => field.live === live);
  return make(
    "fieldset", { class: "wd-fields" }, make("legend", {}, legend),
    ...fields.map(({ name }) => controls[name].element), ...more,
  );
}

/** Another value for the setting in which a twin is to differ. */
export function otherValue({ model, fields }, name) {
  const now = model.get("settings")[name];
  if (name === "widths") return now.length ? now.slice(0, -1) : [4];
  const offered = fields[name].options.map(([value]) => value).filter((value) => value !== "pasted");
  const place = offered.indexOf(now);
  return offered[place + 1] ?? offered[place - 1] ?? now + 1;
}

/** Where a reader chooses the twin's setting, and its value. */
function twinBox(view) {
  const list = make("select", { id: freshId(), onchange: () => {
    const name = list.value;
    change(view, { twin: name ? { [name]: otherValue(view, name) } : {} });
  } });
  list.append(
    make("option", { value: "" }, "no twin"), make("option", { value: "widths" }, "hidden layers"),
    ...Object.values(view.fields).filter(({ name }) => !UNTWINNED.includes(name))
      .map(({ name, label }) => make("option", { value: name }, label)),
  );
  const element = make(
    "fieldset", { class: "wd-fields" },
    make("legend", {}, "Twin: a second copy that differs in one setting, stepped together"),
    make("div", { class: "wd-field" }, make("label", { for: list.id }, "the twin differs in"), list),
  );
  let shown = null; // the control of its setting
  const show = (twin) => {
    const [name = ""] = Object.keys(twin);
    list.value = name;
    if ((shown?.name ?? "") !== name) {
      shown?.element.remove();
      shown = !name ? null : { name, ...control(view, name, "in the twin (B)", (value) => {
        if (same(value, view.model.get("settings")[name])) view.update();
        else change(view, { twin: { [name]: value } });
      }) };
      if (shown) element.append(shown.element);
    }
    shown?.show(twin[name]);
  };
  return { element, show };
}

/** Where a reader pastes points of their own. */
function pasteBox(view) {
  const area = make("textarea", {
    id: freshId(), spellcheck: "false", placeholder: "x1, x2, label\n0.5, -1.2, cat\n…",
  });
  area.value = view.spec.paste;
  const trouble = make("p", { class: "wd-error", role: "alert" });
  const use = () => {
    try {
      view.pasted = parsePoints(area.value);
    } catch (error) {
      trouble.textContent = error.message;
      return;
    }
    trouble.textContent = "";
    view.training.started = null; // other points under the same name
    if (view.model.get("settings").data === "pasted") view.update();
    else setTo(view, "data", "pasted");
  };
  return make(
    "details", {}, make("summary", {}, "Paste data of your own"),
    make("label", { for: area.id }, "A line for each point: two numbers and a label, with commas between"),
    area, make("p", {}, button("Use these points", use)), trouble,
  );
}

/** All settings, folded together; `show` gets those of the model. */
export function settingsBox(view) {
  const controls = Object.fromEntries(Object.keys(view.fields).map((name) => (
    [name, control(view, name, null, (value) => setTo(view, name, value))])));
  const divide = button("Divide the rate by ten", () => {
    setTo(view, "lr", Number((view.model.get("settings").lr / 10).toPrecision(6)));
  });
  const twin = twinBox(view);
  const element = make(
    "details", { open: window.innerWidth > 480 }, make("summary", {}, "Settings"),
    group(view, controls, "● Live: these take part in the run that goes on", true,
      make("div", { class: "wd-field" }, divide)),
    group(view, controls, "↻ Restart: these begin a new run", false), twin.element, pasteBox(view),
  );
  const show = (settings, twinned) => {
    for (const [name, one] of Object.entries(controls)) one.show(settings[name]);
    controls.spread.input.disabled = ["digits", "pasted"].includes(settings.data);
    twin.show(twinned);
  };
  return { element, show };
}
