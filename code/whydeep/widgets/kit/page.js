// Between a widget, its model and its page: words for all, the address, changes, files to keep.

import { make } from "./dom.js";

/** Calls `act` at once and then at most every `wait` milliseconds, always with the last argument. */
export function throttle(act, wait) {
  let timer = null;
  let due = null;
  const fire = () => {
    timer = null;
    if (due) {
      const args = due;
      due = null;
      timer = setTimeout(fire, wait);
      act(...args);
    }
  };
  return (...args) => {
    due = args;
    if (timer === null) fire();
  };
}

/** A text twin: says in words what the picture shows, to screen readers as well, not too often. */
export function twin() {
  const element = make("p", { class: "wd-twin", role: "status" });
  return { element, say: throttle((text) => { element.textContent = text; }, 400) };
}

/** The widget's part of the page's address, #KEY.name=value&…; only on a page of the book. */
export function address(key, onPage) {
  const parameters = () => {
    const hash = window.location.hash.slice(1);
    return new URLSearchParams(hash.includes("=") ? hash : "");
  };
  const read = () => {
    const found = [...parameters()].filter(([name]) => name.startsWith(`${key}.`));
    return onPage ? Object.fromEntries(found.map(([n, v]) => [n.slice(key.length + 1), v])) : {};
  };
  // Browsers refuse more than some 200 changes of the address in half a minute.
  const write = throttle((state) => {
    if (!onPage) return;
    const all = parameters();
    for (const [name, value] of Object.entries(state)) {
      if (value === null) all.delete(`${key}.${name}`);
      else all.set(`${key}.${name}`, value);
    }
    const { pathname, search } = window.location;
    window.history.replaceState(window.history.state, "", all.size ? `#${all}` : pathname + search);
  }, 300);
  return { read, write };
}

/** The model's values, by name.  @returns {any} */
export function valuesOf(model, names) {
  return Object.fromEntries(names.map((name) => [name, model.get(name)]));
}

/** Keeps a drawn widget up to date, until it is closed: `update` when the model's `names` change,
 *  `resize` when its own size does, `follow` now and when the address changes. */
export function live({ model, el, signal }, names, { update, resize, follow }) {
  const events = names.map((name) => `change:${name}`);
  for (const event of events) model.on(event, update);
  const resized = new ResizeObserver(resize);
  update();
  follow();
  resized.observe(el);
  window.addEventListener("hashchange", follow);
  const close = () => {
    for (const event of events) model.off(event, update);
    resized.disconnect();
    window.removeEventListener("hashchange", follow);
  };
  signal?.addEventListener("abort", close);
  return close;
}

/** Hands the reader a text file. */
export function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}
