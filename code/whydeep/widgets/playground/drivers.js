// Two engines with the same messages: in a Worker of the page, or in a reader's kernel.

import { Core } from "./engine/core.js";
import { verdict } from "./engine/run.js";

/** The engine between two frames of the page itself, where a page may have no Worker. */
function inline(post) {
  const core = new Core(post, () => performance.now(), (act, wait) => setTimeout(act, wait));
  return { send: (message) => core.handle(message), close: () => core.handle({ type: "pause" }) };
}

/** The engine in a Worker, from a script that works from the file system too. */
export function startEngine(post) {
  let url = null;
  let worker = null;
  try {
    url = new URL("./engine/worker.js", import.meta.url);
    worker = new Worker(url);
  } catch {
    return inline(post);
  }
  let engine = null;
  const sent = [];
  worker.onmessage = ({ data }) => { sent.length = 0; post(data); };
  worker.onerror = () => { // refused by the page's policy, before anything came
    if (engine) return;
    engine = inline(post);
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
      URL.revokeObjectURL(url.href);
      engine?.close();
    },
  };
}

/** The same in a kernel: one message at a time, and the next when the answer is there. */
export function kernelEngine(model, post) {
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
