// The kit: what every widget of the book shares. Plain functions without state of their own, since
// Jupyter evaluates a module once for each widget and the book once for all.

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes (on… are listeners, true is an empty attribute) and children. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "path", "line", "text", "rect", "clipPath", "defs"].includes(tag);
  const element = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value != null) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

/** An id that no other widget on the page has. */
function freshId() {
  return `wd-${Math.random().toString(36).slice(2)}`;
}

// ------------------------------------------------------------------------------------- numbers

/** The values that whydeep.widgets.kit.quantise has coded; NaN for what is missing. */
function unpack(view, { low, high, log = false, bits = 16 }) {
  const missing = 2 ** bits - 1;
  const values = new Float64Array((8 * view.byteLength) / bits);
  for (let i = 0; i < values.length; i += 1) {
    const code = bits === 8 ? view.getUint8(i) : view.getUint16(2 * i, true);
    const place = low + ((high - low) * code) / (missing - 1);
    values[i] = code === missing ? NaN : log ? 10 ** place : place;
  }
  return values;
}

/** Mean and standard deviation (n - 1) of the finite ones among the numbers. */
function summary(numbers) {
  const finite = numbers.filter(Number.isFinite);
  const n = finite.length;
  // Equal numbers have no spread, whatever their mean is rounded to.
  if (n && finite.every((v) => v === finite[0])) return { n, mean: finite[0], sd: 0 };
  const mean = finite.reduce((sum, v) => sum + v, 0) / n;
  const sd = n > 1 ? Math.sqrt(finite.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1)) : 0;
  return { n, mean, sd };
}

/** A number as a reader expects it: 1,000; 0.05; 1.2×10⁻⁶. */
function format(value, decimals = null) {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [digits, power] = value.toExponential(2).split("e");
    const raised = [...String(Number(power))].map((c) => (c === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[c]));
    return `${Number(digits)}×10${raised.join("")}`.replace("-", "−");
  }
  const options = decimals === null
    ? { maximumSignificantDigits: 4 }
    : { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  return new Intl.NumberFormat("en-GB", options).format(value).replace("-", "−");
}

/** "20.13 ± 0.35", to the second significant digit of the spread. */
function spread({ n, mean, sd }) {
  if (n === 0) return "no value";
  if (sd === 0) return format(mean);
  if (Math.max(Math.abs(mean), sd) < 1e-3) return `${format(mean)} ± ${format(sd)}`;
  const decimals = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(sd))));
  return `${format(mean, decimals)} ± ${format(sd, decimals)}`;
}

/** A map from [low, high] to pixels [from, to], linear or logarithmic. */
function scale(low, high, from, to, log = false) {
  const f = log ? Math.log10 : (v) => v;
  return (value) => from + ((to - from) * (f(value) - f(low))) / (f(high) - f(low) || 1);
}

/** About `count` round numbers within [low, high]; powers of ten, or their parts, if log. */
function ticks(low, high, count, log = false) {
  const found = [];
  if (log) {
    const decades = Math.log10(high / low);
    const within = decades < 2 ? [1, 2, 5] : [1];
    const every = Math.max(1, Math.ceil(decades / count));
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e += every) {
      found.push(...within.map((m) => m * 10 ** e));
    }
    return found.filter((v) => v >= low * 0.999 && v <= high * 1.001);
  }
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i += 1) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

/** The place of the value nearest to the given one, on the axis's own scale. */
function nearest({ values, log }, wanted) {
  const f = log ? (v) => Math.log(Math.max(v, Number.MIN_VALUE)) : (v) => v;
  const distance = values.map((v) => Math.abs(f(v) - f(wanted)));
  return distance.indexOf(Math.min(...distance));
}

function withUnit(label, unit) {
  return unit ? `${label} (${unit})` : label;
}

function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

// ------------------------------------------------------------------------------------ controls

/** A native range over an axis's values, with a visible label and a number field beside it.
 *  Arrows, PageUp and PageDown, Home and End come with the range. */
function slider(axis, onInput) {
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
function choice(question, options, onChange) {
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

function button(label, onClick) {
  return make("button", { type: "button", onclick: onClick }, label);
}

/** "Predict first": a question, one answer to pick, or none; then `onOpen(place of the answer)`, and
 *  the focus goes to what is said about the answer. */
function gate(predict, onOpen) {
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
function judgement(predict, predicted) {
  const right = predict.options[predict.answer];
  const said = predicted < 0
    ? `Measured: ${right}.`
    : `You predicted: ${predict.options[predicted]}. Measured: ${right}, ${
      predicted === predict.answer ? "as you said" : "not what you said"}.`;
  return `${said} ${predict.because}`;
}

/** The part of a widget that a reader unfolds to read the picture's numbers. */
function folded(title, onToggle) {
  const inner = make("div", {
    class: "wd-table", role: "region", tabindex: "0", "aria-label": `${title}: table`,
  });
  const element = make("details", { ontoggle: onToggle }, make("summary", {}, "Table"), inner);
  return { element, inner };
}

/** A table of texts; the first cell of each row names the row. */
function tableOf(head, rows) {
  return make(
    "table", {},
    make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...rows.map(([first, ...rest]) => make(
      "tr", {}, make("th", { scope: "row" }, first), ...rest.map((text) => make("td", {}, text)),
    ))),
  );
}

// ---------------------------------------------------------------------- words, address, download

/** Calls `act` at once and then at most every `wait` milliseconds, always with the last argument. */
function throttle(act, wait) {
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
function twin() {
  const element = make("p", { class: "wd-twin", role: "status" });
  return { element, say: throttle((text) => { element.textContent = text; }, 400) };
}

/** The widget's part of the page's address, #KEY.name=value&…; only on a page of the book. */
function address(key, onPage) {
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

/** Keeps a drawn widget up to date, until it is closed: `update` when the model's `names` change,
 *  `resize` when its own size does, `follow` now and when the address changes. */
function live({ model, el, signal }, names, { update, resize, follow }) {
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
function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Rows of cells as CSV (RFC 4180). */
function csv(rows) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

// ------------------------------------------------------------------------------------- drawing

const DASHES = ["", "7 3", "2 3", "9 3 2 3", "", "4 5"]; // as in whydeep.show.figures
const MARKERS = [ // circle, square, triangle, diamond, triangle downwards, cross
  (r) => `M${-r},0a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0Z`,
  (r) => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  (r) => `M0,${-1.2 * r}L${1.15 * r},${0.9 * r}H${-1.15 * r}Z`,
  (r) => `M0,${-1.35 * r}L${1.35 * r},0L0,${1.35 * r}L${-1.35 * r},0Z`,
  (r) => `M0,${1.2 * r}L${1.15 * r},${-0.9 * r}H${-1.15 * r}Z`,
  (r) => `M${-r / 3},${-r}h${r / 1.5}v${r / 1.5}h${r / 1.5}v${r / 1.5}h${-r / 1.5}v${r / 1.5}`
    + `h${-r / 1.5}v${-r / 1.5}h${-r / 1.5}v${-r / 1.5}h${r / 1.5}Z`,
];

function marker(series, x, y, r = 4) {
  return make("path", {
    class: `wd-mark wd-s${series}`, d: MARKERS[series](r), transform: `translate(${x},${y})`,
  });
}

/** A line through the points [x, y], broken where y is not a number. */
function line(series, points) {
  let pen = "M";
  const d = points.map(([x, y]) => {
    if (!Number.isFinite(y)) { pen = "M"; return ""; }
    const step = `${pen}${x.toFixed(1)},${y.toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
  return make("path", { class: `wd-line wd-s${series}`, d, "stroke-dasharray": DASHES[series] });
}

/** The area between points [x, low, high]; where they are not numbers there is none. */
function band(series, points) {
  const parts = [[]];
  for (const point of points) {
    if (point.every(Number.isFinite)) parts.at(-1).push(point);
    else parts.push([]);
  }
  const d = parts.filter((part) => part.length > 1).map((part) => {
    const there = part.map(([x, , high]) => `${x.toFixed(1)},${high.toFixed(1)}`);
    const back = part.map(([x, low]) => `${x.toFixed(1)},${low.toFixed(1)}`).reverse();
    return `M${[...there, ...back].join("L")}Z`;
  }).join("");
  return make("path", { class: `wd-band wd-s${series}`, d });
}

/** Labels in order, each with a sample of its line and marker. */
function legend(labels) {
  return make("ul", { class: "wd-legend" }, ...labels.map((label, i) => make(
    "li", {},
    make(
      "svg", { width: 40, height: 14, "aria-hidden": "true" },
      line(i, [[1, 7], [39, 7]]), marker(i, 20, 7),
    ),
    label,
  )));
}

/** Axes with ticks, labels and units around the box {left, right, top, bottom}. */
function frame(box, x, y) {
  const group = make("g", { class: "wd-axes" });
  const write = (px, py, text, anchor, extra = {}) => group.append(
    make("text", { x: px, y: py, "text-anchor": anchor, ...extra }, text),
  );
  for (const value of y.ticks) {
    const place = y.place(value);
    group.append(make("line", { x1: box.left, x2: box.right, y1: place, y2: place, class: "wd-grid" }));
    write(box.left - 6, place + 4, format(value), "end");
  }
  for (const value of x.ticks) {
    const place = x.place(value);
    group.append(make("line", { x1: place, x2: place, y1: box.bottom, y2: box.bottom + 4 }));
    write(place, box.bottom + 17, format(value), "middle");
  }
  group.append(make("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom }));
  group.append(make("line", { x1: box.left, x2: box.left, y1: box.top, y2: box.bottom }));
  write((box.left + box.right) / 2, box.bottom + 35, x.name, "middle");
  write(4, box.top - 10, y.name, "start");
  return group;
}

// From dark to light alike for all kinds of colour vision: four stops of cividis (Nuñez et al. 2018).
const STOPS = [[0, 34, 78], [87, 93, 109], [165, 156, 116], [254, 232, 56]];
// Signed values: blue below zero, light grey at zero, orange above, equally dark on both sides.
const SIGNED = [[0, 60, 112], [74, 146, 198], [238, 238, 234], [222, 124, 52], [122, 40, 0]];

/** Red, green and blue, 0 to 255, of a share from 0 to 1 of the way along `stops`. */
function blend(stops, share) {
  const at = Math.min(Math.max(share, 0), 1) * (stops.length - 1);
  const i = Math.min(Math.floor(at), stops.length - 2);
  return stops[i].map((from, c) => Math.round(from + (at - i) * (stops[i + 1][c] - from)));
}

/** The colour of a share from 0 to 1. */
function shade(share) {
  return `rgb(${blend(STOPS, share).join(" ")})`;
}

/** Where each of the places begins and ends: half-way to its neighbours. */
function borders(places) {
  const middle = places.slice(1).map((v, i) => (v + places[i]) / 2);
  const [first, last] = [places[0], places.at(-1)];
  return [2 * first - middle[0], ...middle, 2 * last - middle.at(-1)];
}

/** Coloured cells, one for each [column][row] of shares; where a share is not a number, none. */
function cells(columns, rows, share) {
  const [xs, ys] = [borders(columns), borders(rows)];
  const group = make("g", { class: "wd-cells" });
  columns.forEach((_, i) => rows.forEach((__, j) => {
    const found = share(i, j);
    if (!Number.isFinite(found)) return;
    group.append(make("rect", {
      x: Math.min(xs[i], xs[i + 1]), width: Math.abs(xs[i + 1] - xs[i]),
      y: Math.min(ys[j], ys[j + 1]), height: Math.abs(ys[j + 1] - ys[j]), fill: shade(found),
    }));
  }));
  return group;
}
