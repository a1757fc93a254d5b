// The engine in a Worker of its own: messages in, frames out, and between two slices of work no wait.

import { Core } from "./core.js";

const channel = new MessageChannel();
let next = null;
channel.port1.onmessage = () => next();

/** Calls `act` after `wait` milliseconds; at once where there is none to wait, but after messages. */
function later(act, wait) {
  if (wait) setTimeout(act, wait);
  else {
    next = act;
    channel.port2.postMessage(0);
  }
}

const core = new Core((frame) => self.postMessage(frame), () => performance.now(), later);
self.onmessage = ({ data }) => core.handle(data);
