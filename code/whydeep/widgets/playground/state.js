// What the reader has chosen: settings, a twin that differs in one of them, a unit, the open gate. It
// lives in the model; here it is read, checked, changed, and carried into the page's address and back.

import { valuesOf } from "../kit/page.js";
import { shapeOf } from "./engine/network.js";

export const PACE = ["speed", "stop_at"]; // of the show, not of the networks
export const UNTWINNED = [...PACE, "seeds"];
export const NAMES = ["settings", "twin", "unit", "opened", "predicted"];

export const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);

/** A setting as text: in a field, in the address. */
export const textOf = (value) => (Array.isArray(value) ? value.join("-") : String(value));

/** The settings of each run: the reader's, and the twin's if there is one. */
export function settingsOf({ model }) {
  const [first, twin] = [model.get("settings"), model.get("twin")];
  return Object.keys(twin).length ? [first, { ...first, ...twin }] : [first];
}

/** The run whose units are shown. */
export function shownRun(view) {
  return Math.min(view.shown.run, settingsOf(view).length - 1);
}

export function shapeNow(view) {
  return shapeOf(settingsOf(view)[shownRun(view)]);
}

/** The chosen unit's place among all of the shown network. */
export function selected(view) {
  const { units } = shapeNow(view);
  const unit = view.model.get("unit");
  return unit < 0 || unit >= units ? units - 1 : unit;
}

/** The points of a set that is not drawn. */
export function givenOf({ spec, pasted }, kind) {
  return kind === "digits" ? spec.digits : kind === "pasted" ? pasted : [];
}

/** The value that a text means for a setting; undefined if it may not have it. */
export function parse({ spec, fields, pasted }, name, text) {
  if (name === "widths") {
    const [mostLayers, mostUnits] = spec.most;
    const widths = String(text).split(/[-,\s]+/).filter(Boolean).map(Number);
    const fits = widths.every((w) => Number.isInteger(w) && w >= 1 && w <= mostUnits);
    return fits && widths.length <= mostLayers ? widths : undefined;
  }
  const field = fields[name];
  if (!field) return undefined;
  if (field.low === null) {
    const known = field.options.some(([value]) => value === text);
    return known && (text !== "pasted" || pasted.length) ? text : undefined;
  }
  const value = String(text).trim() === "" ? NaN : Number(text);
  const fits = value >= field.low && value <= field.high && (!field.whole || Number.isInteger(value));
  return fits ? value : undefined;
}

/** What differs from the `initial` state, as the address tells it; null for what does not. */
export function addressOf({ settings, twin, opened }, initial) {
  const differing = Object.entries(settings).map(([name, value]) => [
    name, same(value, initial.settings[name]) ? null : textOf(value),
  ]);
  const [[name, value] = []] = Object.entries(twin);
  return {
    ...Object.fromEntries(differing),
    twin: same(twin, initial.twin) ? null : name ? `${name}:${textOf(value)}` : "none",
    open: opened === initial.opened ? null : "1",
  };
}

/** The state that an address means, beginning from `now`; what it may not be is left as it is. */
export function stateOf(view, wanted, now) {
  const settings = { ...now };
  for (const [name, text] of Object.entries(wanted)) {
    const value = name in settings ? parse(view, name, text) : undefined;
    if (value !== undefined) settings[name] = value;
  }
  /** @type {any} */
  const state = { settings };
  if (wanted.twin) {
    const [name, text] = wanted.twin.split(":");
    const value = UNTWINNED.includes(name) ? undefined : parse(view, name, text);
    if (name === "none") state.twin = {};
    else if (value !== undefined && !same(settings[name], value)) state.twin = { [name]: value };
  }
  if (wanted.open) state.opened = true;
  return state;
}

/** What has to be told to an engine that has the settings `started`, of each run, so that it has those
 *  `wanted`: live changes, and whether the pace is another; null where only a new run will do. */
export function changesBetween(started, wanted, fields) {
  if (started?.length !== wanted.length) return null;
  const found = wanted.map((settings, r) => (
    Object.keys(settings).filter((name) => !same(settings[name], started[r][name]))));
  if (found.flat().some((name) => !fields[name]?.live)) return null;
  return {
    live: found.flatMap((list, r) => list
      .filter((name) => !PACE.includes(name))
      .map((name) => ({ at: r, name, value: wanted[r][name] }))),
    pace: found[0].some((name) => PACE.includes(name)),
  };
}

export function change(view, state) {
  const { model, link, initial } = view;
  for (const [name, value] of Object.entries(state)) model.set(name, value);
  model.save_changes();
  link.write(addressOf(valuesOf(model, NAMES), initial));
}

export function setTo(view, name, value) {
  change(view, { settings: { ...view.model.get("settings"), [name]: value } });
}

/** Takes on what the address says. */
export function follow(view) {
  const wanted = view.link.read();
  if (!Object.keys(wanted).length) return;
  change(view, stateOf(view, wanted, view.model.get("settings")));
  view.el.scrollIntoView({ block: "nearest" });
}

/** The moment of run r that is shown. */
export function momentOf({ training: { moments, nows }, shown: { at } }, r) {
  if (at < 0) return nows[r] ?? moments[r]?.at(-1);
  const until = moments[0][Math.min(at, moments[0].length - 1)].step;
  return moments[r].findLast((moment) => moment.step <= until) ?? moments[r][0];
}
