// Between the reader's state and an engine: begins runs, sends live changes, goes and pauses, and takes
// in the frames. What they bring is kept here, to scrub back through.

import { make } from "../kit/dom.js";
import { dataOf } from "./engine/data.js";
import { kernelEngine, startEngine } from "./drivers.js";
import { layOut } from "./network.js";
import { refresh } from "./picture.js";
import { changesBetween, givenOf, settingsOf } from "./state.js";

export function newTraining() {
  return {
    driver: null, kernel: null, local: null, // the engine in use, and the two that there may be
    torch: "", // the kernel's version of PyTorch
    id: 0, // of the runs; frames of others are passed over
    started: null, // the settings that the engine has
    births: [], // those with which the runs began
    data: [], // of each run: train, test and which labels are wrong
    moments: [], nows: [], changes: [], // of each run: kept moments, the present one, live changes
    wish: false, // whether the reader wants it to train
    going: false, reason: "", step: 0, rate: 0, // as the last frame told
    seen: false, closed: false,
  };
}

/** Brings the engine to what the model holds: live changes are sent, others begin a new run. */
export function bring(view) {
  const { training, fields } = view;
  const wanted = settingsOf(view);
  const found = changesBetween(training.started, wanted, fields);
  if (!found) {
    restart(view);
    return;
  }
  training.started = wanted.map((settings) => ({ ...settings }));
  if (found.live.length) training.driver.send({ type: "set", changes: found.live });
  if (found.pace && training.going) go(view);
}

function restart(view) {
  const { training } = view;
  const births = settingsOf(view);
  const started = births.map((settings) => ({ ...settings }));
  Object.assign(training, {
    births, started, id: training.id + 1,
    moments: started.map(() => []), nows: [], changes: started.map(() => []),
    going: false, reason: "", step: 0, rate: 0,
    data: started.map((settings) => dataOf(settings, givenOf(view, settings.data))),
  });
  view.shown.at = -1;
  training.driver.send({
    type: "start", id: training.id,
    runs: started.map((settings) => ({ settings, given: givenOf(view, settings.data) })),
  });
  layOut(view);
  if (training.wish) go(view);
}

const watched = ({ seen, closed }) => seen && !document.hidden && !closed;

/** Trains, unless nobody can see it: then it waits until somebody can. */
export function go(view) {
  const { training } = view;
  training.wish = true;
  view.shown.at = -1;
  view.picture.dues.words = 0;
  showWish(view);
  if (watched(training)) {
    const { speed, stop_at: stopAt } = view.model.get("settings");
    training.driver.send({ type: "go", speed, stopAt });
  }
  refresh(view);
}

export function pause(view) {
  view.training.wish = false;
  showWish(view);
  view.training.driver.send({ type: "pause" });
}

export function stepOnce(view) {
  view.training.wish = false;
  view.shown.at = -1;
  showWish(view);
  view.training.driver.send({ type: "step", count: 1 });
}

/** Trains on, or rests, as somebody looks or nobody does. */
export function attend(view) {
  const { training } = view;
  if (!training.wish || training.closed) return;
  if (watched(training)) go(view);
  else training.driver.send({ type: "pause" });
}

/** The button's name is what it will do. */
export function showWish({ parts: { runButton }, training: { wish } }) {
  const name = wish ? "Pause" : "Run";
  if (runButton.textContent !== name) runButton.textContent = name;
}

function receive(view, frame) {
  const { training } = view;
  if (frame.type !== "frame" || training.closed) return;
  training.driver.send({ type: "ack" });
  if (frame.id !== training.id) return;
  const { going, reason, step, rate, now } = frame;
  Object.assign(training, { going, reason, step, rate, nows: now });
  training.changes = frame.changes ?? training.changes;
  frame.moments.forEach((list, r) => training.moments[r].push(...list));
  if (!going) { // what is shown at rest can be scrubbed back to
    now.forEach((moment, r) => {
      if (moment && !(training.moments[r].at(-1)?.step >= moment.step)) training.moments[r].push(moment);
    });
    if (reason && reason !== "paused") training.wish = false;
  }
  showWish(view);
  refresh(view);
}

/** Who trains; once there is a kernel, the reader may choose. */
function showBadge(view) {
  const { training, parts: { badge } } = view;
  if (!training.torch) {
    badge.textContent = "trained in this page";
    return;
  }
  const list = make("select", { "aria-label": "trained by", onchange: () => drive(view, list.value) });
  list.append(
    make("option", { value: "kernel" }, `PyTorch ${training.torch}, your kernel`),
    make("option", { value: "page" }, "this page"),
  );
  list.value = training.driver === training.kernel ? "kernel" : "page";
  badge.replaceChildren("trained by ", list);
}

/** From now on the "kernel" trains, or the "page". */
export function drive(view, which) {
  const { training } = view;
  training.driver?.send({ type: "pause" });
  if (which === "kernel") training.driver = training.kernel;
  else {
    training.local ??= startEngine((frame) => receive(view, frame));
    training.driver = training.local;
  }
  if (training.started) restart(view);
  showBadge(view);
}

/** A message from the model's other end. */
export function hear(view, message) {
  const { training } = view;
  if (message?.type === "kernel" && !training.kernel) {
    training.torch = message.torch;
    training.kernel = kernelEngine(view.model, (frame) => receive(view, frame));
    drive(view, "kernel");
  } else if (message?.type === "error") view.parts.words.say(`The kernel says: ${message.message}`);
  else training.kernel?.receive(message);
}
