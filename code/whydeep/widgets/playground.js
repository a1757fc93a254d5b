// Playground: a small network trained live. The model holds what the reader chose (settings, twin,
// unit, opened, predicted); every change of it, from whichever side, ends in update(). An engine, in a
// Worker or in a kernel, trains and posts frames; what they bring is kept here, to scrub back through.

const HALF = 3; // the picture reaches from -HALF to HALF
const [COARSE, FINE] = [32, 96]; // points a side of a map while it trains, and of the large one at rest
const PACE = ["speed", "stop_at"]; // of the show, not of the networks
const UNTWINNED = [...PACE, "seeds"];
const INPUTS = ["x₁", "x₂", "x₁²", "x₂²", "x₁x₂"];
const STOPPED = {
  fitted: "Stopped: the training loss is below 0.0001",
  "at rest": "Stopped: the training loss has come to rest",
  diverged: "Stopped: the loss has grown beyond all bounds (diverged)",
  asked: "Stopped at the step asked for",
};

const same = (a, b) => JSON.stringify(a) === JSON.stringify(b);
const meanOf = (numbers) => numbers.reduce((sum, v) => sum + v, 0) / numbers.length;

/** The points on which maps are drawn, as pairs, from the upper left row by row. */
function latticeOf(side) {
  const x = new Float64Array(2 * side * side);
  for (let r = 0; r < side; r += 1) {
    for (let c = 0; c < side; c += 1) {
      x[2 * (r * side + c)] = HALF * ((2 * c + 1) / side - 1);
      x[2 * (r * side + c) + 1] = HALF * (1 - (2 * r + 1) / side);
    }
  }
  return x;
}

/** The page's colours around `element`: of the text, the paper, labels -1 and 1; and `ramp`, red, green
 *  and blue for shares from -1 to 1 in 255 steps, from the one label's colour to the other's. */
function coloursOf(element) {
  const probe = make("i", { hidden: true });
  element.append(probe);
  const [ink, paper, low, high] = ["currentcolor", "--wd-paper", "--wd-0", "--wd-1"].map((name) => {
    probe.style.color = name.startsWith("--") ? `var(${name})` : "";
    return getComputedStyle(probe).color;
  });
  probe.remove();
  const rgb = (colour) => (colour.match(/[\d.]+/g) ?? [0, 0, 0]).slice(0, 3).map(Number);
  const [below, middle, above] = [low, paper, high].map(rgb);
  // The ends of the ramp are paler than the points, so that these stand out.
  const paler = (colour) => colour.map((v, c) => middle[c] + 0.72 * (v - middle[c]));
  const stops = [paler(below), middle, paler(above)];
  const ramp = new Uint8ClampedArray(3 * 255);
  for (let n = 0; n < 255; n += 1) ramp.set(blend(stops, n / 254), 3 * n);
  return { ink, paper, low, high, ramp };
}

/** A canvas of side x side pixels with its image, to paint maps on. */
function paperOf(side) {
  const canvas = make("canvas", { width: side, height: side });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  return { side, canvas, context, image: context.createImageData(side, side) };
}

/** Paints values[from …] of a square map, each through `share`, a number from -1 to 1. */
function paintMap({ side, context, image }, values, from, share, ramp) {
  for (let n = 0; n < side * side; n += 1) {
    const found = share(values[from + n]);
    const at = 3 * Math.round(127 * (1 + (found > 1 ? 1 : found >= -1 ? found : found < -1 ? -1 : 0)));
    image.data[4 * n] = ramp[at];
    image.data[4 * n + 1] = ramp[at + 1];
    image.data[4 * n + 2] = ramp[at + 2];
    image.data[4 * n + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}

/** Strokes where a square map crosses `level` (marching squares), on a canvas `size` pixels wide. */
function strokeLevel(context, size, side, values, from, level) {
  const place = (k) => ((k + 0.5) / side) * size;
  context.beginPath();
  for (let r = 0; r < side - 1; r += 1) {
    for (let c = 0; c < side - 1; c += 1) {
      const at = from + r * side + c;
      const a = values[at] - level;
      const b = values[at + 1] - level;
      const d = values[at + side] - level;
      const e = values[at + side + 1] - level;
      if (a > 0 === b > 0 && a > 0 === d > 0 && a > 0 === e > 0) continue;
      const ends = [];
      if (a > 0 !== b > 0) ends.push([c + a / (a - b), r]);
      if (d > 0 !== e > 0) ends.push([c + d / (d - e), r + 1]);
      if (a > 0 !== d > 0) ends.push([c, r + a / (a - d)]);
      if (b > 0 !== e > 0) ends.push([c + 1, r + b / (b - e)]);
      for (let k = 0; k + 1 < ends.length; k += 2) {
        context.moveTo(place(ends[k][0]), place(ends[k][1]));
        context.lineTo(place(ends[k + 1][0]), place(ends[k + 1][1]));
      }
    }
  }
  context.stroke();
}

/** A point of a label: a disc for -1, a square for 1; hollow if it is for testing. */
function dot(context, x, y, label, r, { low, high, paper }, hollow) {
  context.beginPath();
  if (label < 0) context.arc(x, y, r, 0, 2 * Math.PI);
  else context.rect(x - 0.9 * r, y - 0.9 * r, 1.8 * r, 1.8 * r);
  [context.fillStyle, context.strokeStyle] = hollow
    ? [paper, label < 0 ? low : high] : [label < 0 ? low : high, paper];
  context.fill();
  context.stroke();
}

/** Points from text with a line "x1, x2, label" for each: the first two scaled to mean 0 and standard
 *  deviation 1, in an order that takes the labels in turn as they come. An Error names what is wrong. */
function parsePoints(text) {
  const lines = text.split(/\r?\n/).map((words, n) => [words.trim(), n + 1]).filter(([w]) => w);
  const rows = [];
  const labels = [];
  for (const [words, n] of lines) {
    const parts = words.split(/[,;\t]/).map((part) => part.trim());
    if (parts.length !== 3) {
      throw new Error(`Line ${n} has ${parts.length} values, expected three: x1, x2, label.`);
    }
    const [a, b] = parts.slice(0, 2).map((part) => (part === "" ? NaN : Number(part)));
    if (!Number.isFinite(a) || !Number.isFinite(b)) {
      if (rows.length === 0 && n === lines[0][1]) continue; // names of the columns
      throw new Error(`Line ${n} begins with "${parts[0]}, ${parts[1]}", expected two numbers.`);
    }
    if (!labels.includes(parts[2])) labels.push(parts[2]);
    if (labels.length > 2) {
      throw new Error(`Line ${n} has a third label, "${parts[2]}", expected two: ${labels.slice(0, 2).join(", ")}.`);
    }
    rows.push([a, b, labels.indexOf(parts[2])]);
  }
  if (rows.length < 8) throw new Error(`There are ${rows.length} points, expected 8 to 2,000.`);
  if (rows.length > 2000) throw new Error(`There are ${rows.length} points, expected 8 to 2,000.`);
  if (labels.length < 2) throw new Error(`All points have the label "${labels[0]}", expected two labels.`);
  // The label that sorts first is -1, and the k-th of each label is for training if k is odd.
  const swap = [...labels].sort((p, q) => p.localeCompare(q, "en", { numeric: true }))[0] !== labels[0];
  const columns = [0, 1].map((c) => {
    const { mean, sd } = summary(rows.map((row) => row[c]));
    if (!(sd > 0)) throw new Error(`All points have x${c + 1} = ${rows[0][c]}, expected different ones.`);
    return rows.map((row) => Number(((row[c] - mean) / sd).toFixed(4)));
  });
  const parts = [[], []];
  const seen = [0, 0];
  rows.forEach(([, , label], n) => {
    const point = [columns[0][n], columns[1][n], (label === 1) !== swap ? 1 : -1];
    parts[seen[label] % 2].push(point);
    seen[label] += 1;
  });
  if (parts[1].length === 0) throw new Error("No point is left for testing: expected two of a label.");
  const most = Math.min(parts[0].length, parts[1].length);
  return [...Array(most).keys()].flatMap((n) => [parts[0][n], parts[1][n]]);
}

/** The engine in a Worker made from its own text, which works from the file system too; where a page
 *  may have none, between two frames of the page itself. */
function startEngine(post) {
  const inline = () => {
    const handle = playgroundEngine().core(post, () => performance.now(), setTimeout);
    return { send: handle, close: () => handle({ type: "pause" }) };
  };
  const source = `"use strict";
    const channel = new MessageChannel();
    let next = null;
    channel.port1.onmessage = () => next();
    const later = (act, wait) => {
      if (wait) setTimeout(act, wait);
      else { next = act; channel.port2.postMessage(0); }
    };
    const handle = (${playgroundEngine})().core((m) => self.postMessage(m), () => performance.now(), later);
    self.onmessage = ({ data }) => handle(data);`;
  let url = null;
  try {
    url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    let engine = null;
    const worker = new Worker(url);
    const sent = [];
    worker.onmessage = ({ data }) => { sent.length = 0; post(data); };
    worker.onerror = () => { // refused by the page's policy, before anything came
      if (engine) return;
      engine = inline();
      for (const message of sent) engine.send(message);
    };
    return {
      send: (message) => {
        if (engine) engine.send(message);
        else {
          sent.push(message);
          worker.postMessage(message);
        }
      },
      close: () => {
        worker.terminate();
        URL.revokeObjectURL(url);
        engine?.close();
      },
    };
  } catch {
    return inline();
  }
}

/** The same for a kernel: one message at a time, and the next when the answer is there. */
function kernelEngine(model, verdict, post) {
  let [id, kept, step, going, busy, reason, ignore] = [0, [], 0, false, false, "", 0];
  let [speed, stopAt, began, beganAt] = [Infinity, 0, 0, 0];
  const numbers = (list) => list?.map((v) => v ?? NaN) ?? null;
  const revive = (moment) => moment && Object.fromEntries(
    Object.entries(moment).map(([name, v]) => [name, Array.isArray(v) ? numbers(v) : v]),
  );
  const tell = (frame = {}) => post({
    type: "frame", id, step, moments: kept.map(() => []), now: kept.map(() => null), going, reason,
    rate: going && performance.now() > began + 300
      ? ((step - beganAt) / (performance.now() - began)) * 1000 : 0,
    ...frame,
  });
  const ask = (message) => {
    busy = true;
    model.send({ ...message, id });
  };
  function pump() {
    if (!going || busy) return;
    let to = Math.floor(Math.min(beganAt + (speed * (performance.now() - began)) / 1000, step + 1e6));
    if (to > step + speed) [began, beganAt, to] = [performance.now(), step, step + 1];
    if (stopAt) to = Math.min(to, stopAt);
    if (to > step) ask({ type: "advance", to });
    else setTimeout(pump, 20);
  }
  function receive(frame) {
    busy = false;
    if (frame.type !== "frame" || frame.id !== id) return;
    ({ step } = frame);
    const moments = frame.moments.map((list) => list.map(revive));
    kept = moments.map((list, r) => [...(kept[r] ?? []), ...list]);
    const why = kept.map(verdict);
    if (going && why.every(Boolean) && (step >= ignore || why.includes("diverged"))) {
      [going, reason] = [false, [...new Set(why)].join(" and ")];
    } else if (going && stopAt && step >= stopAt) [going, reason] = [false, "asked"];
    tell({ moments, now: frame.now.map(revive), changes: frame.changes });
    pump();
  }
  const send = (message) => {
    if (message.type === "start") {
      ({ id } = message);
      [kept, step, going, reason, ignore] = [message.runs.map(() => []), 0, false, "", 0];
      ask(message);
    } else if (message.type === "go") {
      if (reason && reason !== "paused") ignore = 1.5 * step;
      [going, reason, began, beganAt] = [true, "", performance.now(), step];
      [speed, stopAt] = [message.speed || Infinity, message.stopAt > step ? message.stopAt : 0];
      pump();
    } else if (message.type === "pause") {
      [going, reason] = [false, "paused"];
      tell();
    } else if (message.type === "step") {
      [going, reason] = [false, "paused"];
      ask({ type: "advance", to: step + message.count });
    } else if (message.type === "set") ask(message);
  };
  return { send, receive, close: () => { going = false; } };
}

function render({ model, el, signal, page = false }) {
  const spec = model.get("spec");
  const { predict } = spec;
  const fields = Object.fromEntries(spec.fields.map((field) => [field.name, field]));
  const [mostLayers, mostUnits] = spec.most;
  const engine = playgroundEngine();
  const lattices = { [COARSE]: latticeOf(COARSE), [FINE]: latticeOf(FINE) };
  const names = ["settings", "twin", "unit", "opened", "predicted"];
  const initial = Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const still = window.matchMedia("(prefers-reduced-motion: reduce)");
  const root = make("div", { class: "wd wd-play", role: "group" });
  let pasted = spec.paste ? parsePoints(spec.paste) : [];

  // ------------------------------------------------------------------------------- state

  let [driver, kernel, torch, id] = [null, null, "", 0];
  let started = null; // the settings that the engine has
  let births = []; // those with which the runs began
  let data = []; // of each run: train, test and which labels are wrong
  let [moments, nows, changes] = [[], [], []];
  let [wish, going, reason, step, rate] = [false, false, "", 0, 0];
  let [at, chosenRun, dirty, tests, logarithmic] = [-1, 0, true, false, false];
  let [seen, closed] = [false, false];
  const link = address(spec.key, page);

  const settingsOf = () => {
    const [first, twin] = [model.get("settings"), model.get("twin")];
    return Object.keys(twin).length ? [first, { ...first, ...twin }] : [first];
  };
  const shownRun = () => Math.min(chosenRun, settingsOf().length - 1);
  const shapeNow = () => engine.shapeOf(settingsOf()[shownRun()]);
  const given = (kind) => (kind === "digits" ? spec.digits : kind === "pasted" ? pasted : []);

  function change(state) {
    for (const [name, value] of Object.entries(state)) model.set(name, value);
    model.save_changes();
    const [settings, twin] = [model.get("settings"), model.get("twin")];
    const text = (value) => (Array.isArray(value) ? value.join("-") : String(value));
    const differing = Object.entries(settings).map(([name, value]) => [
      name, same(value, initial.settings[name]) ? null : text(value),
    ]);
    const [[name, value] = []] = Object.entries(twin);
    link.write({
      ...Object.fromEntries(differing),
      twin: same(twin, initial.twin) ? null : name ? `${name}:${text(value)}` : "none",
      open: model.get("opened") === initial.opened ? null : "1",
    });
  }

  /** The value that a text means for a setting; undefined if it may not have it. */
  function parse(name, text) {
    if (name === "widths") {
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

  function follow() {
    const wanted = link.read();
    if (!Object.keys(wanted).length) return;
    const settings = { ...model.get("settings") };
    for (const [name, text] of Object.entries(wanted)) {
      const value = name in settings ? parse(name, text) : undefined;
      if (value !== undefined) settings[name] = value;
    }
    const state = { settings };
    if (wanted.twin) {
      const [name, text] = wanted.twin.split(":");
      const value = UNTWINNED.includes(name) ? undefined : parse(name, text);
      if (name === "none") state.twin = {};
      else if (value !== undefined && !same(settings[name], value)) state.twin = { [name]: value };
    }
    if (wanted.open) state.opened = true;
    change(state);
    el.scrollIntoView({ block: "nearest" });
  }

  const setTo = (name, value) => change({ settings: { ...model.get("settings"), [name]: value } });

  // ------------------------------------------------------------------------------ engine

  /** Brings the engine to what the model holds: live changes are sent, others begin a new run. */
  function bring() {
    const wanted = settingsOf();
    const differ = (a, b) => Object.keys(a).filter((name) => !same(a[name], b[name]));
    const paired = started?.length === wanted.length;
    const found = paired ? wanted.map((settings, r) => differ(settings, started[r])) : [];
    if (!paired || found.flat().some((name) => !fields[name]?.live)) {
      restart();
      return;
    }
    const live = found.flatMap((list, r) => list
      .filter((name) => !PACE.includes(name))
      .map((name) => ({ at: r, name, value: wanted[r][name] })));
    started = wanted.map((settings) => ({ ...settings }));
    if (live.length) driver.send({ type: "set", changes: live });
    if (found[0].some((name) => PACE.includes(name)) && going) go();
  }

  function restart() {
    births = settingsOf();
    started = births.map((settings) => ({ ...settings }));
    id += 1;
    [moments, nows, changes] = [started.map(() => []), [], started.map(() => [])];
    [going, reason, step, rate, at] = [false, "", 0, 0, -1];
    data = started.map((settings) => engine.dataOf(settings, given(settings.data)));
    driver.send({
      type: "start", id, runs: started.map((settings) => ({ settings, given: given(settings.data) })),
    });
    layOut();
    if (wish) go();
  }

  /** Trains, unless nobody can see it: then it waits until somebody can. */
  function go() {
    wish = true;
    [at, dues.words] = [-1, 0];
    buttons();
    if (seen && !document.hidden && !closed) {
      const { speed, stop_at: stopAt } = model.get("settings");
      driver.send({ type: "go", speed, stopAt });
    }
    refresh();
  }

  function pause() {
    wish = false;
    buttons();
    driver.send({ type: "pause" });
  }

  function attend() {
    if (!wish || closed) return;
    if (seen && !document.hidden) go();
    else driver.send({ type: "pause" });
  }

  function receive(frame) {
    if (frame.type !== "frame" || closed) return;
    driver.send({ type: "ack" });
    if (frame.id !== id) return;
    ({ going, reason, step, rate } = frame);
    changes = frame.changes ?? changes;
    frame.moments.forEach((list, r) => moments[r].push(...list));
    nows = frame.now;
    if (!going) { // what is shown at rest can be scrubbed back to
      nows.forEach((now, r) => {
        if (now && !(moments[r].at(-1)?.step >= now.step)) moments[r].push(now);
      });
      if (reason && reason !== "paused") wish = false;
    }
    buttons();
    refresh();
  }

  // ------------------------------------------------------------------------------- parts

  const titleId = freshId();
  const words = twin();
  const runButton = button("Run", () => (wish ? pause() : go()));
  runButton.classList.add("wd-go");
  const stepButton = button("Step", () => {
    wish = false;
    at = -1;
    buttons();
    driver.send({ type: "step", count: 1 });
  });
  const badge = make("span", { class: "wd-badge" });
  const question = predict && gate(predict, (predicted) => {
    change({ opened: true, predicted });
    if (!still.matches) go();
  });

  /** A native control for a setting; `onValue` gets its value once it fits. */
  function control(name, label, onValue) {
    const field = fields[name];
    const fieldId = freshId();
    const input = name === "widths" || !field.options.length
      ? make("input", { id: fieldId, type: name === "widths" ? "text" : "number", min: field?.low, max: field?.high, step: 1 })
      : make("select", { id: fieldId });
    for (const [value, text] of field?.options ?? []) {
      if (value !== "pasted" || pasted.length) input.append(make("option", { value }, text));
    }
    const show = (value) => {
      const text = Array.isArray(value) ? value.join("-") : String(value);
      if (input.options && ![...input.options].some((o) => o.value === text)) {
        input.append(make("option", { value: text }, name === "data" ? "pasted" : format(Number(text))));
      }
      input.value = text;
    };
    input.addEventListener("change", () => {
      const value = parse(name, input.value);
      if (value === undefined) update();
      else onValue(value);
    });
    const mark = make("i", { "aria-hidden": "true" }, field?.live ? " ●" : " ↻");
    const element = make(
      "div", { class: "wd-field" }, make("label", { for: fieldId }, label ?? field.label, mark), input,
    );
    return { element, show, input };
  }

  const controls = Object.fromEntries(Object.keys(fields).map((name) => (
    [name, control(name, null, (value) => setTo(name, value))])));
  const divide = button("Divide the rate by ten", () => {
    setTo("lr", Number((model.get("settings").lr / 10).toPrecision(6)));
  });
  const group = (legend, live, ...more) => make(
    "fieldset", { class: "wd-fields" }, make("legend", {}, legend),
    ...Object.values(fields).filter((f) => f.live === live).map((f) => controls[f.name].element),
    ...more,
  );
  const twinName = make("select", { id: freshId(), onchange: () => {
    const name = twinName.value;
    const now = model.get("settings")[name];
    const offered = fields[name]?.options.map(([v]) => v).filter((v) => v !== "pasted") ?? [];
    const place = offered.indexOf(now);
    const other = name === "widths" ? now.slice(0, -1)
      : offered[place + 1] ?? offered[place - 1] ?? now + 1;
    change({ twin: !name ? {} : { [name]: same(other, now) ? [4] : other } });
  } });
  twinName.append(
    make("option", { value: "" }, "no twin"), make("option", { value: "widths" }, "hidden layers"),
    ...Object.values(fields).filter((f) => !UNTWINNED.includes(f.name))
      .map((f) => make("option", { value: f.name }, f.label)),
  );
  const twinFields = make(
    "fieldset", { class: "wd-fields" },
    make("legend", {}, "Twin: a second copy that differs in one setting, stepped together"),
    make("div", { class: "wd-field" }, make("label", { for: twinName.id }, "the twin differs in"), twinName),
  );
  let twinControl = null;

  const paste = make("textarea", {
    id: freshId(), spellcheck: "false", placeholder: "x1, x2, label\n0.5, -1.2, cat\n…",
  });
  paste.value = spec.paste;
  const trouble = make("p", { class: "wd-error", role: "alert" });
  const pasteBox = make(
    "details", {}, make("summary", {}, "Paste data of your own"),
    make("label", { for: paste.id }, "A line for each point: two numbers and a label, with commas between"),
    paste, make("p", {}, button("Use these points", usePasted)), trouble,
  );

  function usePasted() {
    try {
      pasted = parsePoints(paste.value);
    } catch (error) {
      trouble.textContent = error.message;
      return;
    }
    trouble.textContent = "";
    started = null; // other points under the same name
    if (model.get("settings").data === "pasted") update();
    else setTo("data", "pasted");
  }

  const code = make("div", { class: "wd-code", tabindex: "0", role: "region", "aria-label": "PyTorch program" });
  const copied = make("span", { class: "wd-quiet", role: "status" });
  const codeBox = make(
    "details", { ontoggle: () => refresh() }, make("summary", {}, "Copy as PyTorch"),
    make("p", {}, "A program that draws the same numbers and gives the same curve. ",
      button("Copy", async () => {
        write();
        let told = "Copied.";
        try { await navigator.clipboard.writeText(code.textContent); } catch {
          window.getSelection().selectAllChildren(code);
          told = "The program is selected: copy it with your keys.";
        }
        copied.textContent = told;
      }), " ", copied),
    code,
  );
  function write() {
    const settings = started[shownRun()];
    // The settings at the start: live changes are told besides.
    const first = { ...settings };
    for (const [, name] of changes[shownRun()] ?? []) first[name] = births[shownRun()][name];
    const text = snippet(first, {
      given: given(settings.data), changes: changes[shownRun()] ?? [], steps: Math.max(200, step),
    });
    if (code.textContent !== text) code.textContent = text;
  }
  const table = folded(spec.title, () => refresh());
  const settingsBox = make(
    "details", { open: window.innerWidth > 480 }, make("summary", {}, "Settings"),
    group("● Live: these take part in the run that goes on", true,
      make("div", { class: "wd-field" }, divide)),
    group("↻ Restart: these begin a new run", false), twinFields, pasteBox,
  );

  const scrub = make("input", { type: "range", id: freshId(), min: 0, max: 0, step: 1, oninput: () => {
    scrubTo(Number(scrub.value));
  } });
  const scrubNumber = make("input", {
    type: "number", min: 0, step: 1, "aria-label": "step shown, as a number", onchange: () => {
      const wanted = Number.parseFloat(scrubNumber.value);
      if (Number.isFinite(wanted)) scrubTo(nearest({ values: moments[0].map((m) => m.step) }, wanted));
    },
  });
  function scrubTo(index) {
    if (wish) pause();
    at = index >= moments[0].length - 1 ? -1 : index;
    refresh();
  }
  const scrubber = make(
    "div", { class: "wd-slider" }, make("label", { for: scrub.id }, "step shown: drag to go back through training"),
    scrub, scrubNumber,
  );

  const net = make("div", { class: "wd-net" });
  const threads = make("canvas", { "aria-hidden": "true" });
  const tiles = make("canvas", { "aria-hidden": "true" });
  const grid = make("div", { role: "grid", "aria-label": "Units, layer by layer", onkeydown: move });
  net.append(threads, tiles, grid);
  const layerButtons = make(
    "div", { class: "wd-actions" },
    button("Add a layer", () => widen([...shapeNow().sizes.slice(1, -1), 4])),
    button("Remove a layer", () => widen(shapeNow().sizes.slice(1, -2))),
  );
  const runChoice = choice("Units shown", ["of A", "of B"], (run) => {
    chosenRun = run;
    layOut();
    refresh();
  });
  const surfaces = make("div", { class: "wd-surfaces" });
  const key = make("ul", { class: "wd-key" });
  const chart = make("div", { class: "wd-picture" });
  const legendBox = make("div");
  const stats = make("dl", { class: "wd-stats" });
  const check = (label, onCheck) => {
    const box = make("input", { type: "checkbox", id: freshId(), onchange: () => onCheck(box.checked) });
    return make("span", {}, box, make("label", { for: box.id }, label));
  };
  const checks = make(
    "div", { class: "wd-checks" },
    check("show the test examples", (on) => { tests = on; pointsDue = true; refresh(); }),
    check("logarithmic axes", (on) => { logarithmic = on; dues.chart = 0; refresh(); }),
  );
  const top = make(
    "div", { class: "wd-top" }, runButton, stepButton, button("Restart", () => {
      started = null;
      update();
    }), button("New seed", () => {
      const { seed, seeds } = model.get("settings");
      setTo("seed", (seed + seeds) % 1_000_000);
    }), badge,
  );
  const left = make("div", { class: "wd-left" }, make(
    "div", { class: "wd-part" }, runChoice.element, net,
    make("p", { class: "wd-under" }, "A thread is a weight: orange above zero, blue below, thick if large. "
      + "w and ∇: root mean square of a layer's weights and of their gradient on the last batch."),
    layerButtons,
  ), stats);
  const curves = [legendBox, chart, scrubber, checks];
  const actions = make(
    "div", { class: "wd-actions" }, button("Back to the start", () => {
      question?.reset();
      wish = false;
      started = null;
      change(initial);
    }), button("Download the curves (CSV)", () => download(`${spec.key}.csv`, asCsv())),
  );
  const afterwards = [top, ...curves, stats, words.element, layerButtons, settingsBox, actions, codeBox, table.element];
  root.append(
    make("p", { class: "wd-title", id: titleId }, spec.title), make("p", {}, spec.about),
    ...(question?.elements ?? []), top,
    make("div", { class: "wd-stageboard" }, left, make("div", { class: "wd-right" }, surfaces, key, ...curves)),
    words.element, settingsBox, codeBox, table.element, actions,
  );
  root.setAttribute("aria-labelledby", titleId);
  el.append(root);

  // ----------------------------------------------------------------------------- network

  let cells = [];
  let rows = [];
  let ends = []; // of each unit: where threads come in and go out
  let measured = 0; // the width that they were measured for
  const maps = []; // of each run: the canvases of its large map, and its caption

  function widen(widths) {
    if (widths.length > mostLayers || widths.some((w) => w < 1 || w > mostUnits)) return;
    const twinned = "widths" in model.get("twin");
    if (!twinned || shownRun() === 0) setTo("widths", widths);
    else if (!same(widths, model.get("settings").widths)) change({ twin: { widths } });
  }

  function unitName(u, { sizes }) {
    let l = 0;
    let first = 0;
    while (u >= first + sizes[l]) first += sizes[l++];
    if (l === 0) return `input ${INPUTS[u]}`;
    return l === sizes.length - 1 ? "the output" : `layer ${l}, unit ${u - first + 1}`;
  }

  const selected = () => {
    const { units } = shapeNow();
    const unit = model.get("unit");
    return unit < 0 || unit >= units ? units - 1 : unit;
  };
  const select = (u) => {
    dues.words = 0;
    change({ unit: u === shapeNow().units - 1 ? -1 : u });
  };

  function move(event) {
    const from = cells.indexOf(event.target);
    if (from < 0 || event.altKey || event.metaKey || event.ctrlKey) return;
    const row = rows.findIndex(({ first, count }) => from >= first && from < first + count);
    const within = (r) => (rows[r] ? rows[r].first + Math.min(from - rows[row].first, rows[r].count - 1) : from);
    // From the output to the first unit that is computed, not to an input, if there is one.
    const onwards = from < cells.length - 1 ? from + 1 : rows[1].first % from;
    const to = {
      ArrowLeft: from - 1, ArrowRight: onwards, ArrowUp: within(row - 1),
      ArrowDown: within(row + 1), Home: rows[row].first, End: rows[row].first + rows[row].count - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    select((to + cells.length) % cells.length);
    cells[(to + cells.length) % cells.length].focus();
  }

  /** The tiles of the units, as many as the shown network has, and the large maps. */
  function layOut() {
    const settings = settingsOf();
    const shape = shapeNow();
    const focused = cells.findIndex((cell) => cell === document.activeElement);
    const tools = grid.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
    let first = 0;
    rows = shape.sizes.map((count, l) => {
      const last = l === shape.sizes.length - 1;
      const size = make("span", { class: "wd-size" });
      const resize = (by) => button(by > 0 ? "+" : "−", () => {
        widen(shape.sizes.slice(1, -1).map((w, i) => (i === l - 1 ? w + by : w)));
      });
      const tuned = l > 0 && !last ? [-1, 1].map((by) => {
        const tool = resize(by);
        tool.setAttribute("aria-label", `${by > 0 ? "one more" : "one fewer"} unit in layer ${l}`);
        tool.disabled = count + by < 1 || count + by > mostUnits;
        return tool;
      }) : [];
      const name = l === 0 ? "inputs" : last ? "output" : `layer ${l}`;
      const row = { first, count, size };
      const own = [...Array(count).keys()].map((j) => make("div", {
        role: "gridcell", "aria-label": unitName(row.first + j, shape),
        onclick: () => select(row.first + j),
      }));
      first += count;
      row.cells = own;
      row.element = make(
        "div", { role: "row" },
        make("div", { role: "rowheader" }, make("span", { class: "wd-layer" }, name, ...tuned), size),
        ...own,
      );
      return row;
    });
    cells = rows.flatMap((row) => row.cells);
    grid.replaceChildren(...rows.map(({ element }) => element));
    root.classList.toggle("wd-twins", settings.length > 1);
    runChoice.element.hidden = settings.length < 2;
    runChoice.show(shownRun());
    surfaces.replaceChildren(...settings.map((_, r) => {
      const [map, dots] = [make("canvas", { role: "img", "aria-label": "Output" }), make("canvas", { "aria-hidden": "true" })];
      dots.style.cssText = "position: absolute; inset: 0;";
      const caption = make("figcaption");
      maps[r] = { map, dots, caption };
      return make("figure", {}, caption, make("div", { class: "wd-surface" }, map, dots));
    }));
    painting += 1; // what was being painted is of another network
    frameDue = 0;
    choose();
    measureRoom();
    if (focused >= 0) cells[Math.min(focused, cells.length - 1)].focus();
    else if (tools) {
      const tool = [...grid.querySelectorAll("button")].find((b) => b.getAttribute("aria-label") === tools);
      (tool && !tool.disabled ? tool : cells[selected()]).focus();
    }
  }

  function choose() {
    const unit = selected();
    cells.forEach((cell, u) => {
      cell.setAttribute("aria-selected", u === unit);
      cell.tabIndex = u === unit ? 0 : -1;
    });
  }

  /** Tiles as large as fit, and the places of their threads. */
  function measureRoom() {
    measured = root.clientWidth;
    const narrow = window.matchMedia("(max-width: 480px)").matches;
    const gap = narrow ? 4 : 6;
    const room = Math.max(200, root.clientWidth - 32) - (narrow ? 0 : 124);
    const most = Math.max(...rows.map(({ count }) => count));
    const fitting = (width) => Math.floor(width / most) - gap;
    const beside = fitting(room - 254); // where the large map still fits beside the units
    const whole = narrow || beside < 28 || settingsOf().length > 1;
    const cell = Math.max(24, Math.min(narrow ? 34 : 40, whole ? fitting(room) : beside));
    net.style.setProperty("--wd-gap", `${gap}px`);
    net.style.setProperty("--wd-cell", `${cell}px`);
    net.style.setProperty("--wd-drop", `${narrow ? 10 : rows.length > 5 ? 18 : 26}px`);
    ends = rows.flatMap(({ element, cells: own }) => own.map((tile) => ({
      x: element.offsetLeft + tile.offsetLeft + tile.offsetWidth / 2,
      top: element.offsetTop + tile.offsetTop,
      bottom: element.offsetTop + tile.offsetTop + tile.offsetHeight,
    })));
    const dense = Math.min(2, window.devicePixelRatio || 1);
    const [wide, high] = [net.clientWidth, net.clientHeight];
    for (const canvas of [threads, tiles]) {
      [canvas.width, canvas.height] = [wide * dense, high * dense];
      canvas.style.cssText = `width: ${wide}px; height: ${high}px;`;
      canvas.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
    }
    for (const { map, dots } of maps.slice(0, settingsOf().length)) {
      const size = Math.round((map.parentElement.clientWidth || 240) * dense);
      for (const canvas of [map, dots]) [canvas.width, canvas.height] = [size, size];
    }
    [pointsDue, dues.chart, dues.threads] = [true, 0, 0];
    chartWidth = chart.clientWidth;
  }

  // ----------------------------------------------------------------------------- picture

  let palette = null;
  let [pointsDue, frameAsked, frameDue, painting, chartWidth] = [true, false, 0, 0, 0];
  const dues = { threads: 0, stats: 0, chart: 0, words: 0, table: 0 }; // when each is drawn anew
  const papers = { [COARSE]: paperOf(COARSE), [FINE]: paperOf(FINE) };

  /** The moment of run r that is shown. */
  function momentOf(r) {
    if (at < 0) return nows[r] ?? moments[r]?.at(-1);
    const until = moments[0][Math.min(at, moments[0].length - 1)].step;
    return moments[r].findLast((moment) => moment.step <= until) ?? moments[r][0];
  }

  /** Asks for a new picture. While it trains, its parts take a frame of the page each, so that none
   *  lasts long, and rest for twice as long as they were late; readers who ask for less motion get a
   *  picture every other second. */
  function refresh() {
    dirty = true;
    if (frameAsked || closed) return;
    const paint = () => requestAnimationFrame((began) => {
      frameAsked = false;
      if (!dirty || closed) return;
      const parts = draw();
      const mine = ++painting;
      if (!going) {
        for (const part of parts) part();
        return;
      }
      const frames = parts.length;
      frameDue = Infinity;
      const next = () => {
        if (mine !== painting || closed) return; // a newer picture is there
        const part = parts.shift();
        part?.();
        if (part) {
          requestAnimationFrame(next);
          return;
        }
        const now = performance.now();
        const late = now - began - 17 * frames;
        frameDue = now + (still.matches ? 2000 : Math.min(400, Math.max(0, 2 * late)));
        if (dirty) refresh();
      };
      next();
    });
    if (going && frameDue === Infinity) return; // asked again when the last one is on the screen
    frameAsked = true;
    if (going && frameDue > performance.now()) setTimeout(paint, frameDue - performance.now());
    else paint();
  }

  function shareOf(u, settings, units, values, from, count) {
    if (u === units - 1) {
      return settings.loss === "log" ? (f) => 2 / (1 + Math.exp(-f)) - 1 : (f) => f;
    }
    let most = 0;
    for (let n = from; n < from + count; n += 1) most = Math.max(most, Math.abs(values[n]));
    return (v) => v / (most || 1);
  }

  function drawTiles(settings, shape, coarse) {
    const context = tiles.getContext("2d");
    const paper = papers[COARSE];
    ends.forEach(({ x, top: y, bottom }, u) => {
      const begin = u * COARSE * COARSE;
      const share = shareOf(u, settings, shape.units, coarse, begin, COARSE * COARSE);
      paintMap(paper, coarse, begin, share, palette.ramp);
      const size = bottom - y;
      context.drawImage(paper.canvas, x - size / 2, y, size, size);
    });
  }

  function drawThreads(moment, shape) {
    const context = threads.getContext("2d");
    context.clearRect(0, 0, threads.width, threads.height);
    for (const { inputs, units, at: begin, unit, from } of shape.layers) {
      let most = 0;
      for (let k = begin; k < begin + inputs * units; k += 1) most = Math.max(most, Math.abs(moment.weights[k]));
      for (let j = 0; j < units; j += 1) {
        for (let i = 0; i < inputs; i += 1) {
          const weight = moment.weights[begin + j * inputs + i];
          const share = Math.abs(weight) / (most || 1);
          if (!(share > 0.03)) continue;
          const [a, b] = [ends[from + i], ends[unit + j]];
          if (!a || !b) continue;
          const middle = (a.bottom + b.top) / 2;
          context.globalAlpha = 0.2 + 0.7 * share;
          context.strokeStyle = weight < 0 ? palette.low : palette.high;
          context.lineWidth = 0.6 + 2.4 * share;
          context.beginPath();
          context.moveTo(a.x, a.bottom);
          context.bezierCurveTo(a.x, middle, b.x, middle, b.x, b.top);
          context.stroke();
        }
      }
    }
    context.globalAlpha = 1;
  }

  function drawSurface(r, settings, u, side, values) {
    const { map, caption } = maps[r];
    const shape = engine.shapeOf(settings);
    const paper = papers[side];
    const context = map.getContext("2d");
    const from = u * side * side;
    const share = shareOf(u, settings, shape.units, values, from, side * side);
    paintMap(paper, values, from, share, palette.ramp);
    context.drawImage(paper.canvas, 0, 0, map.width, map.height);
    context.strokeStyle = palette.ink;
    context.lineWidth = Math.max(1, map.width / 260);
    context.globalAlpha = 0.75;
    const level = settings.activation === "sigmoid" && u < shape.units - 1 && u >= shape.sizes[0] ? 0.5 : 0;
    strokeLevel(context, map.width, side, values, from, level);
    context.globalAlpha = 1;
    const name = capital(unitName(u, shape));
    const twinned = settingsOf().length > 1;
    const text = `${twinned ? `${"AB"[r]} (${tag(r)}): ` : ""}${twinned ? unitName(u, shape) : name}`;
    if (caption.textContent !== text) {
      caption.textContent = text;
      map.setAttribute("aria-label", `${text}, over the plane of x₁ and x₂`);
    }
  }

  function drawPoints(r) {
    const { dots } = maps[r];
    const context = dots.getContext("2d");
    const size = dots.width;
    const radius = Math.max(2.2, size / 95);
    context.clearRect(0, 0, size, size);
    context.lineWidth = radius / 3;
    const place = (x) => (size * (x + HALF)) / (2 * HALF);
    const all = ({ x, y }, hollow) => y.forEach((label, n) => {
      dot(context, place(x[2 * n]), place(-x[2 * n + 1]), label, radius, palette, hollow);
    });
    if (tests) all(data[r].test, true);
    all(data[r].train, false);
    context.strokeStyle = palette.ink;
    context.lineWidth = radius / 2.2;
    data[r].wrong.forEach((wrong, n) => {
      if (!wrong) return;
      context.beginPath();
      context.arc(place(data[r].train.x[2 * n]), place(-data[r].train.x[2 * n + 1]), 1.7 * radius, 0, 2 * Math.PI);
      context.stroke();
    });
  }

  /** What a run is told by: the value of the setting in which the twins differ. */
  function tag(r) {
    const [name] = Object.keys(model.get("twin"));
    const value = settingsOf()[r][name];
    const found = fields[name]?.options.find(([option]) => option === value)?.[1];
    const text = found ?? (Array.isArray(value) ? value.join("-") || "none" : format(value));
    return `${name === "widths" ? "hidden units" : fields[name].label} ${text}`;
  }

  function drawChart() {
    const width = Math.max(220, chartWidth);
    const height = Math.max(170, Math.min(230, 0.6 * width));
    const box = { left: 44, right: width - 22, top: 26, bottom: height - 40 };
    const kept = moments.map((list) => list.filter((moment) => moment.step <= step));
    const shift = logarithmic ? 1 : 0;
    const last = Math.max(10, ...kept.map((list) => list.at(-1)?.step ?? 0));
    const runs = kept.map((list) => ["train", "test"].map((part) => list.map((moment) => ({
      x: moment.step + shift, ...summary(moment[part]),
    }))));
    const means = runs.flat(2).map(({ mean }) => mean).filter((v) => Number.isFinite(v) && v > 0);
    const firsts = runs.flat().map((list) => list[0]?.mean).filter(Number.isFinite);
    // A run that diverges leaves the picture and not the others at its bottom.
    const high = Math.min(Math.max(...means, 1e-3) * 1.05, 3 * Math.max(...firsts, 0.01));
    const low = logarithmic ? Math.max(Math.min(...means, high / 2), high / 1e5) * 0.9 : 0;
    const x = scale(shift, last + shift, box.left, box.right, logarithmic);
    const y = scale(low, high, box.bottom, box.top, logarithmic);
    const clamp = (v) => y(Math.min(high, Math.max(low, v)));
    const image = make(
      "svg", { width, height, role: "img", "aria-label": "Training and test loss against steps; the words below say their last values" },
      frame(
        box,
        { place: x, ticks: ticks(shift, last + shift, Math.round(width / 80), logarithmic), name: logarithmic ? "step + 1" : "step" },
        { place: y, ticks: ticks(low, high, 4, logarithmic), name: "loss, mean ± sd" },
      ),
    );
    runs.forEach((parts, r) => parts.forEach((list, p) => {
      const series = 2 * r + p;
      const every = Math.ceil(list.length / 160);
      const thin = list.filter((_, n) => n % every === 0 || n === list.length - 1);
      if (!thin.length) return;
      image.append(
        band(series, thin.map((m) => [x(m.x), clamp(m.mean - m.sd), clamp(m.mean + m.sd)])),
        line(series, thin.map((m) => [x(m.x), m.mean <= high ? clamp(m.mean) : NaN])),
      );
      const end = thin.at(-1);
      if (end.mean <= high) image.append(marker(series, x(end.x), clamp(end.mean), 3.5));
    }));
    if (at >= 0) {
      const place = x(momentOf(0).step + shift);
      image.append(make("line", { class: "wd-cursor", x1: place, x2: place, y1: box.top, y2: box.bottom }));
    }
    chart.replaceChildren(image);
  }

  function tell(pairs) {
    if (stats.childElementCount !== pairs.length) {
      stats.replaceChildren(...pairs.map(() => make("div", {}, make("dt"), make("dd"))));
    }
    pairs.forEach(([name, value], n) => {
      const [dt, dd] = stats.children[n].children;
      if (dt.textContent !== name) dt.textContent = name;
      if (dd.textContent !== value) dd.textContent = value;
    });
  }

  const madds = (shape) => shape.layers.reduce((sum, { inputs, units }) => sum + inputs * units, 0);
  const epochsOf = (r, steps) => {
    const n = data[r].train.y.length;
    return steps / Math.ceil(n / (settingsOf()[r].batch_size || n));
  };
  const percent = (share) => `${format(100 * share, share > 0 && share < 0.1 ? 1 : 0)}%`;

  function tellStats(shown) {
    const each = (text) => shown.map((moment, r) => text(moment, r)).join(" / ");
    const both = shown.length > 1 ? ", A / B" : "";
    const fast = going && rate ? rate : 0;
    tell([
      ["step", format(shown[0].step, 0)],
      ["epoch", format(shown[0].epoch, 1)],
      [`training loss${both}`, each((m) => (Number.isFinite(meanOf(m.train)) ? format(meanOf(m.train)) : "diverged"))],
      [`test loss${both}`, each((m) => (Number.isFinite(meanOf(m.test)) ? format(meanOf(m.test)) : "diverged"))],
      [`test error${both}`, each((m) => percent(meanOf(m.testError)))],
      ["steps each second", fast ? format(Number(fast.toPrecision(3))) : "–"],
      ["epochs each second", fast ? format(Number(epochsOf(0, fast).toPrecision(3))) : "–"],
      [`parameters${both}`, each((_, r) => format(engine.shapeOf(settingsOf()[r]).parameters))],
      [`multiply-adds${both}`, each((_, r) => format(madds(engine.shapeOf(settingsOf()[r]))))],
    ]);
  }

  /** The state in words: where training is, how it stands, what the chosen unit does. */
  function sentence(shown) {
    const settings = settingsOf();
    const run = shownRun();
    const why = going ? "" : reason.split(" and ").map((part) => STOPPED[part]).find(Boolean) ?? "";
    const told = shown.map((moment, r) => {
      const who = settings.length > 1 ? `${"AB"[r]}, ${tag(r)}: ` : "";
      const text = (part) => spread(summary(moment[part]));
      return `${who}training loss ${text("train")}, test loss ${text("test")}, test error ${
        percent(meanOf(moment.testError))}`;
    });
    const over = settings[0].seeds > 1 ? ` (mean ± sd over ${settings[0].seeds} networks)` : "";
    return `${why ? `${why}. ` : ""}Step ${format(shown[0].step, 0)}. ${capital(told.join(". "))}${over}. ${
      unitWords(run, shown[run])}`;
  }

  /** What the chosen unit does on the test examples. */
  function unitWords(run, moment) {
    const settings = settingsOf()[run];
    const shape = engine.shapeOf(settings);
    const u = selected();
    const { x, y } = data[run].test;
    const n = y.length;
    const values = engine.maps(settings, moment.weights, x).subarray(u * n, (u + 1) * n);
    const name = capital(`${settingsOf().length > 1 ? `${"AB"[run]}, ` : ""}${unitName(u, shape)}`);
    const mean = meanOf([...values]);
    let [both, own, labels, above] = [0, 0, 0, 0];
    const middle = meanOf([...y]);
    for (let k = 0; k < n; k += 1) {
      both += (values[k] - mean) * (y[k] - middle);
      own += (values[k] - mean) ** 2;
      labels += (y[k] - middle) ** 2;
      above += values[k] > (settings.activation === "sigmoid" && u < shape.units - 1 && u >= shape.sizes[0] ? 0.5 : 0);
    }
    const half = settings.activation === "sigmoid" && u >= shape.sizes[0] && u < shape.units - 1 ? "one half" : "zero";
    if (!(own > 1e-20)) return `${name} is chosen: it answers alike to every test example.`;
    return `${name} is chosen: above ${half} on ${percent(above / n)} of the test examples, correlation ${
      format(both / Math.sqrt(own * labels), 2)} with the label.`;
  }

  function tabulate(shown) {
    const shape = shapeNow();
    const moment = shown[shownRun()];
    const round = (v) => (Number.isFinite(v) ? format(Number(v.toPrecision(3))) : "none yet");
    table.inner.replaceChildren(
      tableOf(
        ["layer", "parameters", "multiply-adds", "size of weights", "size of gradient"],
        shape.layers.map(({ inputs, units }, l) => [
          l === shape.layers.length - 1 ? "output" : `layer ${l + 1}`, format(units * (inputs + 1)),
          format(units * inputs), round(moment.weightSizes[l]), round(moment.gradientSizes?.[l] ?? NaN),
        ]),
      ),
      tableOf(
        ["network", "seed", "training loss", "test loss", "training error", "test error"],
        shown.flatMap((found, r) => found.train.map((_, s) => [
          shown.length > 1 ? `${"AB"[r]}${s + 1}` : `${s + 1}`, String(settingsOf()[r].seed + s),
          ...["train", "test"].map((part) => round(found[part][s])),
          ...["trainError", "testError"].map((part) => percent(found[part][s])),
        ])),
      ),
    );
  }

  function asCsv() {
    const out = [["run", "seed", "step", "training loss", "test loss", "training error", "test error"]];
    moments.forEach((list, r) => list.forEach((moment) => moment.train.forEach((_, s) => out.push([
      "AB"[r], settingsOf()[r].seed + s, moment.step, moment.train[s], moment.test[s],
      moment.trainError[s], moment.testError[s],
    ]))));
    return csv(out);
  }

  /** The parts of the picture as functions, to be called in this order. */
  function draw() {
    dirty = false;
    const settings = settingsOf();
    const shown = settings.map((_, r) => momentOf(r));
    if (!shown.every(Boolean) || !started) return [];
    const now = performance.now();
    palette ??= coloursOf(root);
    const run = shownRun();
    const shape = shapeNow();
    const coarse = [];
    const due = (name) => !going || now > dues[name];
    const part = (name, wait, act) => (due(name) ? [() => {
      act();
      dues[name] = now + wait;
    }] : []);
    return [
      () => {
        settings.forEach((own, r) => {
          coarse[r] = engine.maps(own, shown[r].weights, lattices[COARSE]);
        });
        drawTiles(settings[run], shape, coarse[run]);
      },
      () => settings.forEach((own, r) => {
        const u = r === run ? selected() : engine.shapeOf(own).units - 1;
        const fine = going ? coarse[r] : engine.maps(own, shown[r].weights, lattices[FINE]);
        drawSurface(r, own, u, going ? COARSE : FINE, fine);
      }),
      ...part("threads", 120, () => drawThreads(shown[run], shape)),
      ...part("stats", 200, () => {
        const moment = shown[run];
        const round = (v) => (Number.isFinite(v) ? format(Number(v.toPrecision(2))) : "–");
        rows.slice(1).forEach(({ size }, l) => {
          size.textContent = `w ${round(moment.weightSizes[l])}  ∇ ${round(moment.gradientSizes?.[l] ?? NaN)}`;
        });
        tellStats(shown);
        const count = moments[0].length - 1;
        scrub.max = count;
        scrub.value = at < 0 ? count : at;
        scrub.setAttribute("aria-valuetext", `step ${format(shown[0].step, 0)}`);
        if (document.activeElement !== scrubNumber) scrubNumber.value = shown[0].step;
      }),
      ...part("chart", 250, drawChart),
      ...(pointsDue ? [() => {
        settings.forEach((_, r) => drawPoints(r));
        drawKey();
        pointsDue = false;
      }] : []),
      ...(model.get("opened") ? part("words", 5000, () => words.say(sentence(shown))) : []),
      ...(table.element.open ? part("table", 500, () => tabulate(shown)) : []),
      ...(codeBox.open && !going ? [write] : []),
    ];
  }

  function drawKey() {
    const labels = ["label −1", "label 1"];
    const items = [-1, 1].map((label, n) => {
      const canvas = make("canvas", { width: 28, height: 28, "aria-hidden": "true" });
      canvas.style.cssText = "width: 14px; height: 14px;";
      const context = canvas.getContext("2d");
      context.lineWidth = 2;
      dot(context, 14, 14, label, 10, palette, false);
      return make("li", {}, canvas, labels[n]);
    });
    const said = [...(tests ? ["hollow: test examples"] : []),
      ...(data.some(({ wrong }) => wrong.includes(1)) ? ["ringed: label replaced by a wrong one"] : [])];
    key.replaceChildren(...items, ...said.map((text) => make("li", {}, text)));
  }

  // ------------------------------------------------------------------------------ update

  function buttons() {
    const name = wish ? "Pause" : "Run";
    if (runButton.textContent !== name) runButton.textContent = name;
  }

  function update() {
    const [settings, twinned] = [model.get("settings"), model.get("twin")];
    const opened = model.get("opened");
    question?.show(opened, model.get("predicted"));
    for (const part of afterwards) part.hidden = !opened;
    for (const [name, { show, input }] of Object.entries(controls)) {
      show(settings[name]);
      if (name === "spread") input.disabled = ["digits", "pasted"].includes(settings.data);
    }
    const [name = ""] = Object.keys(twinned);
    twinName.value = name;
    if ((twinControl?.name ?? "") !== name) {
      twinControl?.element.remove();
      twinControl = !name ? null : { name, ...control(name, "in the twin (B)", (value) => {
        if (same(value, model.get("settings")[name])) update();
        else change({ twin: { [name]: value } });
      }) };
      if (twinControl) twinFields.append(twinControl.element);
    }
    twinControl?.show(twinned[name]);
    legendBox.replaceChildren(legend(
      settingsOf().flatMap((_, r) => ["training", "test"].map((part) => (
        settingsOf().length > 1 ? `${"AB"[r]} ${part}` : part))),
    ));
    root.classList.toggle("wd-closed", !opened);
    bring();
    choose();
    buttons();
    refresh();
  }

  function showBadge() {
    if (!torch) {
      badge.textContent = "trained in this page";
      return;
    }
    const select_ = make("select", { "aria-label": "trained by", onchange: () => drive(select_.value) });
    select_.append(
      make("option", { value: "kernel" }, `PyTorch ${torch}, your kernel`),
      make("option", { value: "page" }, "this page"),
    );
    select_.value = driver === kernel ? "kernel" : "page";
    badge.replaceChildren("trained by ", select_);
  }

  let local = null;
  function drive(which) {
    driver?.send({ type: "pause" });
    if (which === "kernel") driver = kernel;
    else {
      local ??= startEngine(receive);
      driver = local;
    }
    if (started) restart();
    showBadge();
  }

  drive("page");
  const hear = (message) => {
    if (message?.type === "kernel" && !kernel) {
      torch = message.torch;
      kernel = kernelEngine(model, engine.verdict, receive);
      drive("kernel");
    } else if (message?.type === "error") words.say(`The kernel says: ${message.message}`);
    else kernel?.receive(message);
  };
  model.on("msg:custom", hear);
  model.send?.({ type: "hello" }); // silence means that there is no kernel

  const sight = new IntersectionObserver(([entry]) => {
    seen = entry.isIntersecting;
    attend();
  });
  sight.observe(root);
  document.addEventListener("visibilitychange", attend);
  const theme = new MutationObserver(() => { palette = null; pointsDue = true; refresh(); });
  for (const place of [document.documentElement, document.body]) {
    theme.observe(place, { attributeFilter: ["data-theme", "theme", "data-jp-theme-light", "class"] });
  }
  const leave = live({ model, el, signal }, names, {
    update,
    resize: () => {
      if (root.clientWidth === measured) return; // only words have grown
      measureRoom();
      refresh();
    },
    follow,
  });
  const close = () => {
    closed = true;
    leave();
    sight.disconnect();
    theme.disconnect();
    document.removeEventListener("visibilitychange", attend);
    model.off("msg:custom", hear);
    local?.close();
    kernel?.close();
  };
  signal?.addEventListener("abort", close);
  return close;
}

export default { render };
