// What a reader works with: ranges, choices, buttons, the question that comes first, tables.

import { freshId, make } from "./dom.js";
import { format, nearest, withUnit } from "./numbers.js";

/** A native range over an axis's values, with a visible label and a number field beside it.
 *  Arrows, PageUp and PageDown, Home and End come with the range. */
export function slider(axis, onInput) {
  const id = freshId();
  const last = axis.values.length - 1;
  const name = withUnit(axis.label, axis.unit);
  const range = make("input", {
    type: "range", id, min: 0, max: last, step: 1, oninput: () => onInput(Number(range.value)),
  });
  const number = make("input", {
    type: "number", min: axis.values[0], max: axis.values[last], step: "any",
    "aria-label": `${name}, as a number`,
    onchange: () => {
      const wanted = Number.parseFloat(number.value);
      onInput(Number.isFinite(wanted) ? nearest(axis, wanted) : Number(range.value));
    },
  });
  const element = make(
    "div", { class: "wd-slider" }, make("label", { for: id }, name), range, number,
  );
  const show = (index) => {
    range.value = index;
    range.setAttribute("aria-valuetext", `${format(axis.values[index])} ${axis.unit}`.trim());
    number.value = axis.values[index];
  };
  return { element, show, focus: () => range.focus() };
}

/** One of several options as native radio buttons; `onChange` gets the place of the chosen one. */
export function choice(question, options, onChange) {
  const name = freshId();
  const buttons = options.map((label, i) => make("input", {
    type: "radio", name, id: `${name}-${i}`, onchange: () => onChange(i),
  }));
  const element = make(
    "fieldset", { class: "wd-choice" }, make("legend", {}, question),
    ...buttons.map((button, i) => make(
      "span", {}, button, make("label", { for: button.id }, options[i]),
    )),
  );
  const show = (index) => buttons.forEach((button, i) => { button.checked = i === index; });
  return { element, show };
}

export function button(label, onClick) {
  return make("button", { type: "button", onclick: onClick }, label);
}

/** "Predict first": a question, one answer to pick, or none; then `onOpen(place of the answer)`, and
 *  the focus goes to what is said about the answer. */
export function gate(predict, onOpen) {
  let picked = -1;
  const verdict = make("p", { tabindex: "-1" });
  const open = (predicted) => {
    onOpen(predicted);
    verdict.focus();
  };
  const measured = button("Show the measurement", () => open(picked));
  const options = choice(predict.question, predict.options, (i) => {
    picked = i;
    measured.disabled = false;
  });
  const question = make(
    "div", { class: "wd-gate" }, make("p", { class: "wd-word" }, "Predict first"),
    options.element, make("p", {}, measured, " ", button("Skip the question", () => open(-1))),
  );
  const reset = () => {
    picked = -1;
    measured.disabled = true;
    options.show(-1);
  };
  reset();
  return {
    elements: [question, verdict],
    reset,
    show: (opened, predicted) => {
      question.hidden = opened;
      verdict.hidden = !opened;
      verdict.textContent = opened ? judgement(predict, predicted) : "";
    },
  };
}

/** What is said once the gate is open. */
export function judgement(predict, predicted) {
  const right = predict.options[predict.answer];
  const said = predicted < 0
    ? `Measured: ${right}.`
    : `You predicted: ${predict.options[predicted]}. Measured: ${right}, ${
      predicted === predict.answer ? "as you said" : "not what you said"}.`;
  return `${said} ${predict.because}`;
}

/** The part of a widget that a reader unfolds to read the picture's numbers. */
export function folded(title, onToggle) {
  const inner = make("div", {
    class: "wd-table", role: "region", tabindex: "0", "aria-label": `${title}: table`,
  });
  const element = make("details", { ontoggle: onToggle }, make("summary", {}, "Table"), inner);
  return { element, inner };
}

/** A table of texts; the first cell of each row names the row. */
export function tableOf(head, rows) {
  return make(
    "table", {},
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map(([first, ...rest]) => make(
      "tr", {}, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", {}, text)),
    ))),
  );
}
