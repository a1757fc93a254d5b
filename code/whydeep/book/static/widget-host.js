// Shows the page's widgets without a kernel, a server or a library. It reads the state that
// whydeep.book.widgets has left in the page, gives each view a model, and calls the widget's own
// module, the same that Jupyter calls. One [data-ready] or [data-failed] marks each view once done.
"use strict";

(() => {
  const stored = document.querySelector('script[type="application/vnd.jupyter.widget-state+json"]');
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
  if (!stored || !views.length) return;
  const { state, sources } = JSON.parse(stored.textContent);

  function toDataView(base64) {
    const text = atob(base64);
    return new DataView(Uint8Array.from(text, (c) => c.charCodeAt(0)).buffer);
  }

  /** What a module may ask of its model; nobody listens at the other end. */
  class Model {
    constructor(id) {
      if (!state[id]) throw new Error(`the page has no state for the widget ${id}`);
      this.values = { ...state[id].state };
      this.listeners = new Map();
      for (const { path, data } of state[id].buffers ?? []) {
        let place = this.values;
        for (const step of path.slice(0, -1)) place = place[step];
        place[path.at(-1)] = toDataView(data);
      }
      this.widget_manager = { get_model: async (other) => modelOf(other.replace("IPY_MODEL_", "")) };
    }

    get(name) { return this.values[name]; }

    set(name, value) {
      const changes = typeof name === "object" ? name : { [name]: value };
      const changed = Object.keys(changes).filter((key) => this.values[key] !== changes[key]);
      Object.assign(this.values, changes);
      for (const key of changed) this.trigger(`change:${key}`, changes[key]);
      if (changed.length) this.trigger("change");
    }

    on(event, callback) {
      this.listeners.set(event, [...(this.listeners.get(event) ?? []), callback]);
    }

    off(event = null, callback = null) {
      for (const name of event === null ? [...this.listeners.keys()] : [event]) {
        const kept = (this.listeners.get(name) ?? []).filter((c) => callback && c !== callback);
        this.listeners.set(name, kept);
      }
    }

    trigger(event, value) {
      for (const callback of this.listeners.get(event) ?? []) callback({}, value);
    }

    save_changes() { /* the values are where they stay */ }

    send() { /* no kernel: a module that waits for an answer takes silence for "static" */ }
  }

  /** Calls `create` once for each key. */
  function once(create) {
    const made = new Map();
    return (key) => {
      if (!made.has(key)) made.set(key, create(key));
      return made.get(key);
    };
  }

  const modelOf = once((id) => new Model(id));
  const moduleOf = once(async (key) => {
    const url = URL.createObjectURL(new Blob([sources[key]], { type: "text/javascript" }));
    const { default: widget } = await import(url);
    return typeof widget === "function" ? widget() : widget;
  });
  const style = once((key) => {
    const element = document.createElement("style");
    element.textContent = sources[key];
    document.head.append(element);
  });
  const initialise = once(async (id) => {
    const widget = await moduleOf(state[id].esm);
    await widget.initialize?.({ model: modelOf(id), experimental: {} });
    return widget;
  });

  async function mount(element, id) {
    const inner = document.createElement("div"); // the module's own; the frame around it is ours
    try {
      const model = modelOf(id);
      if (state[id].css) style(state[id].css);
      const widget = await initialise(id);
      element.replaceChildren(inner);
      const { signal } = new AbortController();
      await widget.render({ model, el: inner, signal, experimental: {}, page: true });
      element.dataset.ready = "";
    } catch (error) {
      console.error(error);
      const box = document.createElement("p");
      box.className = "widget-error";
      box.setAttribute("role", "alert");
      box.textContent = `This interactive figure could not be drawn (${error.message}). `
        + "Reload the page; if that does not help, please report it.";
      element.replaceChildren(box);
      element.dataset.failed = "";
    }
  }

  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        seen.unobserve(target);
        const element = /** @type {HTMLElement} */ (target);
        mount(element, element.dataset.widget);
      }
    }
  }, { rootMargin: "300px" });

  for (const view of views) {
    const element = document.createElement("div");
    element.className = "widget-frame";
    element.dataset.widget = JSON.parse(view.textContent).model_id;
    element.textContent = "The interactive figure appears here.";
    view.after(element);
    // An address with a widget's state in it may mean one further down.
    if (window.location.hash.includes("=")) mount(element, element.dataset.widget);
    else seen.observe(element);
  }
})();
