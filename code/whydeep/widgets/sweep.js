// SweepExplorer: curves or fields over one swept axis. Its state (position, variant, opened, predicted) lives
// in the model; every change of it, from whichever side, ends in update().

function render({ model, el, signal, page = false }) {
  const spec = model.get("spec");
  const { sweep, series, variants, seeds, predict } = spec;
  const across = spec.x ?? sweep; // the horizontal axis
  const points = across.values.length;
  const field = spec.rows; // the vertical axis, where colours are shown and not curves
  const each = spec.x ? points * (field?.values.length ?? 1) : 1; // values of a seed at one step
  const values = unpack(model.get("data"), spec.y);
  const initial = {
    position: model.get("position"), variant: model.get("variant"), opened: model.get("opened"),
    predicted: model.get("predicted"),
  };

  /** The values of all seeds; without an x the swept axis is the one across. */
  function atSeeds(variant, s, step, point) {
    const place = (k) => ((variant * series.length + s) * seeds.length + k) * sweep.values.length;
    return seeds.map((_, k) => values[spec.x ? (place(k) + step) * each + point : place(k) + point]);
  }

  // ------------------------------------------------------------------------------- state

  const link = address(spec.key, page);

  function change(state) {
    for (const [name, value] of Object.entries(state)) model.set(name, value);
    model.save_changes();
    const [position, variant] = [model.get("position"), model.get("variant")];
    const opened = model.get("opened");
    link.write({
      at: position === initial.position ? null : sweep.values[position],
      show: variant === initial.variant ? null : variants[variant].name,
      open: opened === initial.opened ? null : "1",
    });
  }

  function follow() {
    const { at, show, open } = link.read();
    const state = {};
    if (Number.isFinite(Number.parseFloat(at))) state.position = nearest(sweep, Number.parseFloat(at));
    const variant = variants.findIndex(({ name }) => name === show);
    if (variant >= 0) state.variant = variant;
    if (open) state.opened = true;
    if (Object.keys(state).length) {
      change(state);
      el.scrollIntoView({ block: "nearest" });
    }
  }

  // ------------------------------------------------------------------------------- parts

  const titleId = freshId();
  const picture = make("div", { class: "wd-picture" });
  const words = twin();
  const chosen = slider(sweep, (position) => change({ position }));
  const variantChoice = choice("Shown", variants.map(({ label }) => label), (variant) => {
    change({ variant });
  });
  const question = predict && gate(predict, (predicted) => {
    picture.classList.add("wd-appear");
    change({ opened: true, predicted });
  });
  const table = folded(spec.title, () => update());
  const reset = button("Start again", () => {
    picture.classList.remove("wd-appear");
    question?.reset();
    change(initial);
  });
  const save = button("Download the data (CSV)", () => download(`${spec.key}.csv`, asCsv()));
  const afterwards = [
    words.element, chosen.element, ...(variants.length > 1 ? [variantChoice.element] : []),
    make("div", { class: "wd-actions" }, reset, save), table.element,
  ];
  el.append(make(
    "div", { class: "wd", role: "group", "aria-labelledby": titleId },
    make("p", { class: "wd-title", id: titleId }, spec.title),
    make("p", {}, spec.about),
    ...(question?.elements ?? []),
    picture, ...(field ? [] : [legend(series)]), ...afterwards,
  ));

  // ------------------------------------------------------------------------------ picture

  const finite = values.filter(Number.isFinite);
  const [least, most] = [Math.min(...finite), Math.max(...finite)];
  const margin = spec.y.log ? 1.1 : 1.06;
  const lowest = spec.y.log ? least / margin : Math.min(0, least * margin);
  const highest = spec.y.log ? most * margin : most > 0 ? most * margin : lowest === 0 ? 1 : 0;

  /** Which share of the whole range a value is, on the values' own scale. */
  const share = (value) => scale(least, most, 0, 1, spec.y.log)(value);

  /** The field's means at one step, as rows of columns. */
  function fieldAt(position, variant) {
    return field.values.map((_, j) => across.values.map((__, i) => (
      summary(atSeeds(variant, 0, position, j * points + i)).mean
    )));
  }

  /** Cells of the field, and the bar that says which colour is which value. */
  function drawField(image, position, variant, opened, box, x, y) {
    if (opened) {
      const means = fieldAt(position, variant);
      image.append(cells(across.values.map(x), field.values.map(y), (i, j) => share(means[j][i])));
    }
    const left = box.right + 26;
    const at = scale(least, most, box.bottom, box.top, spec.y.log);
    const steps = [...Array(40).keys()];
    const place = scale(0, 39, box.bottom - 3, box.top + 3);
    image.append(cells([left, left + 14], steps.map((n) => place(n)), (i, n) => (i ? NaN : n / 39)));
    for (const value of ticks(least, most, 5, spec.y.log)) {
      image.append(make("text", { class: "wd-value", x: left + 12, y: at(value) + 4 }, format(value)));
    }
    const name = withUnit(spec.y.label, spec.y.unit);
    image.append(make(
      "text", { class: "wd-value", x: left + 50, y: box.top - 10, "text-anchor": "end" }, name,
    ));
  }

  function draw(position, variant, opened) {
    const width = Math.max(240, picture.clientWidth);
    const height = Math.min(360, Math.max(230, 0.55 * width));
    const box = { left: 46, right: width - (field ? 92 : 22), top: 28, bottom: height - 42 };
    const ends = [across.values[0], across.values[points - 1]];
    const pad = field ? 0.5 * (box.right - box.left) / points : points > 12 ? 0 : 14;
    const x = scale(...ends, box.left + pad, box.right - pad, across.log);
    const up = field ?? spec.y;
    const inset = field ? 0.5 * (box.bottom - box.top) / field.values.length : 0;
    const [bottom, top] = field ? [field.values[0], field.values.at(-1)] : [lowest, highest];
    const y = scale(bottom, top, box.bottom - inset, box.top + inset, up.log);
    const few = Math.round(width / 90);
    const apart = across.values.slice(1).every((v, i) => x(v) - x(across.values[i]) > 42);
    const image = make(
      "svg",
      {
        width, height, role: "img", "aria-label": describe(position, variant, opened),
        class: spec.x ? "" : "wd-drag",
      },
      frame(
        box,
        {
          place: x, name: withUnit(across.label, across.unit),
          ticks: apart ? across.values : ticks(...ends, few, across.log),
        },
        {
          place: y, name: withUnit(up.label, up.unit), ticks: ticks(bottom, top, 5, up.log),
        },
      ),
    );
    if (field) drawField(image, position, variant, opened, box, x, y);
    else if (opened) {
      if (!spec.x) {
        const at = x(sweep.values[position]);
        image.append(make("line", { class: "wd-cursor", x1: at, x2: at, y1: box.top, y2: box.bottom }));
      }
      const clamp = (value) => y(Math.min(highest, Math.max(lowest, value)));
      series.forEach((_, s) => {
        const means = across.values.map((v, p) => {
          const found = summary(atSeeds(variant, s, position, p));
          return { x: x(v), ...found };
        });
        image.append(
          band(s, means.map((m) => [m.x, clamp(m.mean - m.sd), clamp(m.mean + m.sd)])),
          line(s, means.map((m) => [m.x, y(m.mean)])),
        );
        const every = Math.ceil(points / 12);
        means.forEach((m, p) => {
          if (p % every === 0 && m.n > 0) image.append(marker(s, m.x, y(m.mean)));
        });
        if (!spec.x) {
          for (const value of atSeeds(variant, s, position, position)) {
            if (Number.isFinite(value)) image.append(marker(s, x(sweep.values[position]) + 9, y(value), 2.2));
          }
        }
      });
    }
    if (!spec.x && opened) {
      const drag = (event) => {
        const place = event.clientX - image.getBoundingClientRect().left;
        const distance = sweep.values.map((v) => Math.abs(x(v) - place));
        change({ position: distance.indexOf(Math.min(...distance)) });
      };
      image.addEventListener("pointerdown", drag);
      image.addEventListener("pointermove", (event) => { if (event.buttons) drag(event); });
    }
    picture.replaceChildren(image);
  }

  // -------------------------------------------------------------------------------- words

  function describe(position, variant, opened) {
    const over = field ? `${withUnit(field.label, field.unit)} and ` : "";
    const axes = `${withUnit(spec.y.label, spec.y.unit)} against ${over}${
      withUnit(across.label, across.unit)}`;
    return opened
      ? `${field ? "Colours" : "Curves"} of ${axes}, ${variants[variant].label}; the text below gives the values.`
      : `Empty axes, ${axes}: the measurement appears after the question.`;
  }

  /** The lowest and the highest cell of the field. */
  function extremes(position, variant) {
    const all = fieldAt(position, variant).flatMap((row, j) => row.map((value, i) => ({
      value, at: `${across.label} ${format(across.values[i])}, ${field.label} ${
        format(field.values[j])}`,
    }))).filter(({ value }) => Number.isFinite(value));
    if (!all.length) return "no value";
    const low = all.reduce((a, b) => (b.value < a.value ? b : a));
    const high = all.reduce((a, b) => (b.value > a.value ? b : a));
    return `lowest ${format(low.value)} at ${low.at}; highest ${format(high.value)} at ${high.at}`;
  }

  /** The values at the cursor; where curves are chosen, at their ends; of a field, its extremes. */
  function sentence(position, variant) {
    const point = spec.x ? points - 1 : position;
    const found = series.map((label, s) => ({
      label, ...summary(atSeeds(variant, s, position, point)),
    }));
    const where = `${sweep.label}: ${format(sweep.values[position])} ${sweep.unit}`.trim();
    const end = spec.x && !field ? `, at ${spec.x.label} ${format(spec.x.values[point])}` : "";
    const of = variants.length > 1 ? `; ${variants[variant].label}` : "";
    const over = seeds.length > 1
      ? `, mean${field ? "" : " ± sd"} over ${seeds.length} seeds` : "";
    const told = field ? extremes(position, variant) : found.map((f) => `${f.label} ${spread(f)}`).join("; ");
    const shown = found.filter((f) => f.n > 0);
    const best = shown.length > 1
      ? ` Lowest: ${shown.reduce((a, b) => (b.mean < a.mean ? b : a)).label}.` : "";
    const what = capital(withUnit(spec.y.label, spec.y.unit));
    return `${capital(where)}${end}${of}. ${what}${over}: ${told}.${best}`;
  }

  function tabulate(position, variant) {
    if (field) {
      tabulateField(position, variant);
      return;
    }
    const every = Math.ceil(points / 25);
    const rows = across.values.map((v, p) => [v, p]).filter(([, p]) => p % every === 0);
    table.inner.replaceChildren(tableOf(
      [withUnit(across.label, across.unit), ...series],
      rows.map(([v, p]) => [
        format(v), ...series.map((_, s) => spread(summary(atSeeds(variant, s, position, p)))),
      ]),
    ));
  }

  /** The field's means, thinned to what a table can hold. */
  function tabulateField(position, variant) {
    const thin = (list, most_) => {
      const every = Math.ceil(list.length / most_);
      return [...list.keys()].filter((i) => i % every === 0);
    };
    const columns = thin(across.values, 8);
    const means = fieldAt(position, variant);
    table.inner.replaceChildren(tableOf(
      [`${field.label}, ${across.label}`, ...columns.map((i) => format(across.values[i]))],
      thin(field.values, 25).map((j) => [
        format(field.values[j]),
        ...columns.map((i) => (Number.isFinite(means[j][i]) ? format(means[j][i]) : "no value")),
      ]),
    ));
  }

  /** Every value: variant, series, seed, swept value (and x), value to the digits that are kept. */
  function asCsv() {
    const digits = (value) => (Number.isFinite(value) ? Number(value.toPrecision(5)) : "");
    const head = [
      "variant", "series", "seed", withUnit(sweep.label, sweep.unit),
      ...(field ? [withUnit(field.label, field.unit)] : []),
      ...(spec.x ? [withUnit(spec.x.label, spec.x.unit)] : []), withUnit(spec.y.label, spec.y.unit),
    ];
    const rows = [head];
    variants.forEach(({ name }, v) => series.forEach((label, s) => {
      sweep.values.forEach((swept, step) => {
        for (let cell = 0; cell < each; cell += 1) {
          const at = [
            ...(field ? [field.values[Math.floor(cell / points)]] : []),
            ...(spec.x ? [spec.x.values[cell % points]] : []),
          ];
          atSeeds(v, s, step, spec.x ? cell : step).forEach((value, k) => {
            rows.push([name, label, seeds[k], swept, ...at, digits(value)]);
          });
        }
      });
    }));
    return csv(rows);
  }

  // ------------------------------------------------------------------------------- update

  function update() {
    const [position, variant] = [model.get("position"), model.get("variant")];
    const opened = model.get("opened");
    question?.show(opened, model.get("predicted"));
    for (const part of afterwards) part.hidden = !opened;
    chosen.show(position);
    variantChoice.show(variant);
    draw(position, variant, opened);
    if (opened) words.say(sentence(position, variant));
    if (opened && table.element.open) tabulate(position, variant);
  }

  return live({ model, el, signal }, ["position", "variant", "opened", "predicted"], {
    update,
    resize: () => draw(model.get("position"), model.get("variant"), model.get("opened")),
    follow,
  });
}

export default { render };
