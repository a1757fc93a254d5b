// ImageExplorer: banks of images, one of them enlarged, and its feature map where they are filters.
// Its state (bank, item, picture, stride, relu, pool, right, down, opened, predicted) lives in the
// model; every change of it, from whichever side, ends in update(). An image here is {channels,
// height, width, values}.

/** The images that one buffer holds one after the other, as `specs` describe them. */
function imagesOf(view, specs) {
  let start = 0;
  return specs.map((spec) => {
    const values = unpack(new DataView(view.buffer, view.byteOffset + start, spec.bytes), spec);
    start += spec.bytes;
    const size = spec.channels * spec.height * spec.width;
    return [...Array(values.length / size).keys()].map((i) => ({
      channels: spec.channels, height: spec.height, width: spec.width,
      values: values.subarray(i * size, (i + 1) * size),
    }));
  });
}

/** How many places a patch of `size` has along a side of `length`, `stride` pixels apart. */
function places(length, size, stride) {
  return Math.floor((length - size) / stride) + 1;
}

/** The feature map of a picture under a filter: at each place where the filter fits into it, the sum
 *  over channels and pixels of filter times picture (PyTorch's conv2d without padding). */
function correlate(picture, filter, stride = 1) {
  const height = places(picture.height, filter.height, stride);
  const width = places(picture.width, filter.width, stride);
  const values = new Float64Array(height * width);
  for (let k = 0; k < filter.channels; k += 1) {
    for (let i = 0; i < filter.height; i += 1) {
      for (let j = 0; j < filter.width; j += 1) {
        const weight = filter.values[(k * filter.height + i) * filter.width + j];
        for (let r = 0; r < height; r += 1) {
          const from = (k * picture.height + r * stride + i) * picture.width + j;
          for (let c = 0; c < width; c += 1) {
            values[r * width + c] += weight * picture.values[from + c * stride];
          }
        }
      }
    }
  }
  return { channels: 1, height, width, values };
}

/** The matrix W of one channel, as an image: with the pixels of a picture in its rows and the places
 *  of a filter in its columns, W transposed times picture is the picture's feature map. */
function matrixOf(picture, filter, stride) {
  const down = places(picture.height, filter.height, stride);
  const across = places(picture.width, filter.width, stride);
  const [height, width] = [picture.height * picture.width, down * across];
  const values = new Float64Array(height * width);
  for (let unit = 0; unit < width; unit += 1) {
    const [top, left] = [Math.floor(unit / across) * stride, (unit % across) * stride];
    for (let i = 0; i < filter.height; i += 1) {
      for (let j = 0; j < filter.width; j += 1) {
        const pixel = (top + i) * picture.width + left + j;
        values[pixel * width + unit] = filter.values[i * filter.width + j];
      }
    }
  }
  return { channels: 1, height, width, values };
}

/** The image moved by whole pixels, zeros moving in. */
function moved(image, down, right) {
  const { channels, height, width } = image;
  const values = new Float64Array(image.values.length);
  for (let k = 0; k < channels; k += 1) {
    for (let r = Math.max(0, down); r < Math.min(height, height + down); r += 1) {
      for (let c = Math.max(0, right); c < Math.min(width, width + right); c += 1) {
        values[(k * height + r) * width + c] = (
          image.values[(k * height + r - down) * width + c - right]
        );
      }
    }
  }
  return { ...image, values };
}

/** One number for each window of a feature map: its maximum or its average. */
function pooled(map, { kind, size, stride }) {
  const [height, width] = [places(map.height, size, stride), places(map.width, size, stride)];
  const values = new Float64Array(height * width);
  for (let r = 0; r < height; r += 1) {
    for (let c = 0; c < width; c += 1) {
      let [most, sum] = [-Infinity, 0];
      for (let i = 0; i < size; i += 1) {
        for (let j = 0; j < size; j += 1) {
          const value = map.values[(r * stride + i) * map.width + c * stride + j];
          most = Math.max(most, value);
          sum += value;
        }
      }
      values[r * width + c] = kind === "maximum" ? most : sum / (size * size);
    }
  }
  return { channels: 1, height, width, values };
}

/** What has changed from one map to another: value by value, how many by more than a hundredth of
 *  the largest magnitude, and all together as a share of the first map. */
function changes(before, after) {
  const values = after.values.map((value, i) => value - before.values[i]);
  const least = magnitude(before) / 100;
  const total = (all) => all.reduce((sum, value) => sum + Math.abs(value), 0);
  return {
    image: { ...after, values },
    count: values.filter((value) => Math.abs(value) > least).length,
    share: total(values) / (total(before.values) || 1),
  };
}

/** The image with every value below zero set to zero. */
function rectify(image) {
  return { ...image, values: image.values.map((value) => Math.max(0, value)) };
}

/** The largest magnitude among an image's values; 1 for an image that is zero everywhere. */
function magnitude({ values }) {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
}

/** Lowest, highest (each with its place), mean and share above zero of an image's values. */
function extent({ values }) {
  let [low, high, sum, above] = [0, 0, 0, 0];
  values.forEach((value, i) => {
    if (value < values[low]) low = i;
    if (value > values[high]) high = i;
    sum += value;
    if (value > 0) above += 1;
  });
  return { low, high, mean: sum / values.length, above: above / values.length };
}

/** Paints an image, a value a pixel. Colours reach to `limit`, on both sides of zero if signed. */
function paint(canvas, image, limit, signed) {
  const { channels, height, width, values } = image;
  const share = (value) => (signed ? 0.5 + value / (2 * limit) : value / limit);
  const size = height * width;
  const pixels = new Uint8ClampedArray(4 * size);
  for (let p = 0; p < size; p += 1) {
    const colour = channels === 3
      ? [0, 1, 2].map((k) => 255 * share(values[k * size + p]))
      : signed ? blend(SIGNED, share(values[p])) : Array(3).fill(255 * share(values[p]));
    pixels.set([...colour, 255], 4 * p);
  }
  canvas.width = width;
  canvas.height = height;
  canvas.getContext("2d").putImageData(new ImageData(pixels, width, height), 0, 0);
}

const [CELL, LARGEST] = [42, 36]; // an item's room in the grid, and its image in it, in CSS pixels

/** A grid of images, one of them chosen by tap, or by arrows, Home and End (with Control the very
 *  first and last); Tab comes to the chosen one only. */
function gallery(label, onChoose) {
  let cells = [];
  let columns = 1;
  const move = (event) => {
    const at = cells.indexOf(event.target);
    if (at < 0 || event.altKey || event.metaKey) return;
    const row = at - (at % columns);
    const to = {
      ArrowLeft: at - 1, ArrowRight: at + 1, ArrowUp: at - columns, ArrowDown: at + columns,
      Home: event.ctrlKey ? 0 : row,
      End: event.ctrlKey ? cells.length - 1 : Math.min(row + columns, cells.length) - 1,
    }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0 || to >= cells.length) return;
    onChoose(to);
    cells[to].focus();
  };
  const element = make("div", {
    class: "wd-gallery", role: "grid", "aria-label": label, onkeydown: move,
  });
  const choose = (chosen) => cells.forEach((cell, i) => {
    cell.setAttribute("aria-selected", i === chosen);
    cell.tabIndex = i === chosen ? 0 : -1;
  });
  const fill = (items, chosen, across) => {
    const focused = element.contains(document.activeElement);
    columns = across;
    cells = items.map(({ name, draw }, i) => {
      const canvas = make("canvas", { "aria-hidden": "true" });
      draw(canvas);
      const scaled = LARGEST / Math.max(canvas.width, canvas.height); // whole pixels where they fit
      canvas.style.width = `${canvas.width * (scaled < 1 ? scaled : Math.floor(scaled))}px`;
      return make(
        "div", { role: "gridcell", "aria-label": name, onclick: () => onChoose(i) }, canvas,
      );
    });
    const rows = [...Array(Math.ceil(cells.length / columns)).keys()];
    element.replaceChildren(...rows.map((row) => make(
      "div", { role: "row" }, ...cells.slice(row * columns, (row + 1) * columns),
    )));
    choose(chosen);
    if (focused) cells[chosen].focus();
  };
  return { element, fill, choose };
}

/** An enlarged image under its caption. The pointer, or once it has the focus the arrows, go from
 *  pixel to pixel; `onPoint` gets the words for the one they are on, again when its value changes,
 *  the enlargement, which can be told to `leave` it, and its [row, column]. `mark` outlines a
 *  rectangle {top, left, height, width} of pixels, or none. Where there is an `onMove`, the image
 *  can be dragged, or moved by Shift and arrows: it gets the pixels [down, right] of each move. */
function enlargement(onPoint, onMove = null) {
  let shown = null;
  let at = null;
  const caption = make("p", { class: "wd-word" });
  const canvas = make("canvas", { role: "img" });
  const cursor = make("div", { class: "wd-pixel", hidden: true });
  const patch = make("div", { class: "wd-patch", hidden: true });
  const put = (element, { top, left, height, width }) => {
    const percent = (count, all) => `${(100 * count) / all}%`;
    element.hidden = false;
    element.style.top = percent(top, shown.height);
    element.style.left = percent(left, shown.width);
    element.style.height = percent(height, shown.height);
    element.style.width = percent(width, shown.width);
  };
  const point = (row, column) => {
    const { height, width, channels, values } = shown;
    at = [Math.min(Math.max(row, 0), height - 1), Math.min(Math.max(column, 0), width - 1)];
    put(cursor, { top: at[0], left: at[1], height: 1, width: 1 });
    const told = [...Array(channels).keys()].map((k) => {
      const value = format(values[(k * height + at[0]) * width + at[1]]);
      return channels === 3 ? `${["red", "green", "blue"][k]} ${value}` : value;
    });
    const where = `row ${at[0] + 1}, column ${at[1] + 1}`;
    onPoint(`${caption.textContent}, ${where}: ${told.join(", ")}.`, self, at);
  };
  const placeOf = (event) => {
    const box = canvas.getBoundingClientRect();
    const place = (along, from, length, count) => Math.floor(((along - from) / length) * count);
    return [
      place(event.clientY, box.top, box.height, shown.height),
      place(event.clientX, box.left, box.width, shown.width),
    ];
  };
  let grip = null; // where a drag has come to
  const grab = (event) => {
    if (onMove) {
      grip = placeOf(event);
      stage.setPointerCapture(event.pointerId);
    }
    point(...placeOf(event));
  };
  const follow = (event) => {
    const to = placeOf(event);
    if (grip && event.buttons) {
      const [down, right] = [to[0] - grip[0], to[1] - grip[1]];
      grip = to;
      if (down || right) onMove(down, right);
    }
    point(...to);
  };
  const release = () => { grip = null; };
  const move = (event) => {
    if (event.altKey || event.metaKey || event.ctrlKey) return;
    if (onMove && event.shiftKey) {
      const by = {
        ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0],
      }[event.key];
      if (!by) return;
      event.preventDefault();
      onMove(...by);
      return;
    }
    const [row, column] = at ?? [-1, -1];
    const to = {
      ArrowLeft: [row, column - 1], ArrowRight: [row, column + 1],
      ArrowUp: [row - 1, column], ArrowDown: [row + 1, column],
      Home: [row, 0], End: [row, shown.width - 1],
      PageUp: [0, column], PageDown: [shown.height - 1, column],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    point(...to);
  };
  const stage = make(
    "div",
    {
      class: onMove ? "wd-stage wd-grab" : "wd-stage", tabindex: "0", role: "application",
      onkeydown: move, onpointerdown: grab, onpointermove: follow,
      onpointerup: release, onpointercancel: release,
    },
    canvas, patch, cursor,
  );
  const element = make("div", { class: "wd-enlargement" }, caption, stage);
  const leave = () => {
    at = null;
    cursor.hidden = true;
  };
  const show = (image, { title, words, limit, signed }) => {
    const changed = image !== shown;
    shown = image;
    caption.textContent = title;
    canvas.setAttribute("aria-label", `${title}: ${words}`);
    stage.setAttribute("aria-label", `${title}; arrows go from pixel to pixel${
      onMove ? ", with Shift they move the picture" : ""}`);
    paint(canvas, image, limit, signed);
    if (changed && at) point(...at);
  };
  const mark = (place) => {
    if (place) put(patch, place);
    else patch.hidden = true;
  };
  const self = { element, show, leave, mark };
  return self;
}

function render({ model, el, signal, page = false }) {
  const spec = model.get("spec");
  const { banks, pictures, strides, pools, reach, predict } = spec;
  const pooling = pools.length > 0;
  const items = imagesOf(model.get("data"), banks);
  const scenes = imagesOf(model.get("scenes"), pictures).map(([scene]) => scene);
  const names = [
    "bank", "item", "picture", "stride", "relu", "pool", "right", "down", "opened", "predicted",
  ];
  /** The state, whose item is the last of its bank if the bank holds fewer. */
  const state = () => {
    const now = Object.fromEntries(names.map((name) => [name, model.get(name)]));
    return { ...now, item: Math.min(now.item, banks[now.bank].items - 1) };
  };
  const initial = state();

  // ------------------------------------------------------------------------------- state

  const link = address(spec.key, page);

  function change(changes) {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
    const { bank, item, picture, stride, relu, pool, right, down, opened } = state();
    link.write({
      bank: bank === initial.bank ? null : banks[bank].label,
      item: item === initial.item ? null : item + 1,
      picture: picture === initial.picture ? null : pictures[picture].label,
      stride: stride === initial.stride ? null : strides[stride],
      relu: relu === initial.relu ? null : Number(relu),
      pool: pool === initial.pool ? null : pools[pool].label,
      right: right === initial.right ? null : right,
      down: down === initial.down ? null : down,
      open: opened === initial.opened ? null : "1",
    });
  }

  /** A shift of the picture that is allowed. */
  function within(by) {
    return Math.min(Math.max(by, -reach), reach);
  }

  function follow() {
    const wanted = link.read();
    const changes = {};
    const place = (list, label) => list.findIndex((one) => one.label === label);
    if (place(banks, wanted.bank) >= 0) changes.bank = place(banks, wanted.bank);
    if (place(pictures, wanted.picture) >= 0) changes.picture = place(pictures, wanted.picture);
    const stride = strides.indexOf(Number(wanted.stride));
    if (stride >= 0) changes.stride = stride;
    const most = banks[changes.bank ?? model.get("bank")].items;
    const item = Number.parseInt(wanted.item ?? model.get("item") + 1, 10);
    if (Number.isFinite(item)) changes.item = Math.min(Math.max(item, 1), most) - 1;
    if (wanted.relu) changes.relu = wanted.relu === "1";
    if (place(pools, wanted.pool) >= 0) changes.pool = place(pools, wanted.pool);
    for (const way of ["right", "down"]) {
      const by = Number.parseInt(wanted[way], 10);
      if (pooling && Number.isFinite(by)) changes[way] = within(by);
    }
    if (wanted.open) changes.opened = true;
    if (Object.keys(wanted).length) {
      change(changes);
      el.scrollIntoView({ block: "nearest" });
    }
  }

  // ------------------------------------------------------------------------------- parts

  const titleId = freshId();
  const words = twin();
  const pointed = twin();
  pointed.element.classList.add("wd-quiet");
  const hint = "Point at a pixel, or go there with the arrow keys, to read its value.";
  pointed.element.textContent = hint;
  let held = null; // the words for the pixel that is pointed at, the enlargement it is in, and where
  const point = (text, enlarged, at) => {
    if (held?.enlarged !== enlarged) held?.enlarged.leave();
    held = { text, enlarged, at };
    pointed.say(`${text} ${light()}`.trim());
  };
  const grid = gallery(spec.title, (item) => change({ item }));
  const large = enlargement(point);
  const scene = enlargement(point, pooling && ((down, right) => {
    const now = state();
    change({ down: within(now.down + down), right: within(now.right + right) });
  }));
  const map = enlargement(point);
  const matrix = enlargement(point);
  const pool = enlargement(point);
  const difference = enlargement(point);
  const key = make("p", { class: "wd-quiet" });
  const mapKey = make("p", { class: "wd-quiet" });
  const bankChoice = choice("Bank", banks.map(({ label }) => label), (bank) => change({ bank }));
  const pictureChoice = choice("Picture", pictures.map(({ label }) => label), (picture) => {
    change({ picture });
  });
  const reluChoice = choice("Feature map", ["as it is", "after a ReLU"], (i) => {
    change({ relu: i === 1 });
  });
  const strideChoice = choice("Stride", strides, (stride) => change({ stride }));
  const poolChoice = choice("Pooling", pools.map(({ label }) => label), (i) => change({ pool: i }));
  const shifts = pooling ? ["right", "down"].map((way) => {
    const values = [...Array(2 * reach + 1).keys()].map((i) => i - reach);
    const label = way === "right" ? "Shift to the right" : "Shift down";
    const control = slider({ label, unit: "pixels", values }, (i) => change({ [way]: values[i] }));
    return { way, values, ...control };
  }) : [];
  const question = predict && gate(predict, (predicted) => {
    shown.classList.add("wd-appear");
    change({ opened: true, predicted });
  });
  const table = folded(spec.title, () => update());
  const reset = button("Start again", () => {
    shown.classList.remove("wd-appear");
    question?.reset();
    held?.enlarged.leave();
    held = null;
    light();
    pointed.say(hint);
    change(initial);
  });
  const save = button(`Download the ${spec.item}s (CSV)`, () => download(`${spec.key}.csv`, asCsv()));
  const saveMap = button("Download the feature map (CSV)", () => {
    const { plain, cut } = mapOf(state());
    download(`${spec.key}-map.csv`, mapAsCsv(model.get("relu") ? cut : plain));
  });
  const filters = pictures.length > 0;
  const savePool = button("Download the pooled map (CSV)", () => {
    download(`${spec.key}-pooled.csv`, mapAsCsv(poolOf(state()).now));
  });
  const seen = spec.matrix
    ? [make("div", {}, scene.element, map.element), matrix.element]
    : [scene.element, map.element, ...(pooling ? [pool.element, difference.element] : [])];
  if (pooling) large.element.classList.add("wd-small"); // room for the maps
  const shown = make(
    "div", {},
    ...(banks.length > 1 ? [bankChoice.element] : []),
    make("div", { class: "wd-beside" }, grid.element, large.element),
    key,
    ...(filters ? [
      ...(pictures.length > 1 ? [pictureChoice.element] : []),
      ...(strides.length > 1 ? [strideChoice.element] : []), reluChoice.element,
      ...(pooling ? [poolChoice.element, ...shifts.map(({ element }) => element)] : []),
      make("div", { class: pooling ? "wd-beside wd-pairs" : "wd-beside" }, ...seen), mapKey,
    ] : []),
    pointed.element, words.element,
    make("div", { class: "wd-actions" }, reset, save, ...(filters ? [saveMap] : []), ...(pooling ? [savePool] : [])),
    table.element,
  );
  const waiting = make("p", {}, `The ${spec.item}s appear after the question.`);
  el.append(make(
    "div", { class: "wd", role: "group", "aria-labelledby": titleId },
    make("p", { class: "wd-title", id: titleId }, spec.title),
    make("p", {}, spec.about),
    ...(question?.elements ?? []), waiting, shown,
  ));

  // ----------------------------------------------------------------------------- pictures

  const nameOf = (bank, item) => banks[bank].names[item] ?? `${capital(spec.item)} ${item + 1}`;
  let filled = "";

  /** The grid, built anew only when the bank or the room for it has changed. */
  function fill({ bank, item }) {
    const room = grid.element.clientWidth;
    const most = Math.min(Math.max(Math.floor(room / CELL), 1), 8);
    const across = Math.ceil(banks[bank].items / Math.ceil(banks[bank].items / most)); // rows alike
    if (filled === `${bank} ${across}`) {
      grid.choose(item);
      return;
    }
    filled = `${bank} ${across}`;
    grid.fill(items[bank].map((image, i) => ({
      name: nameOf(bank, i),
      draw: (canvas) => paint(canvas, image, magnitude(image), spec.signed),
    })), item, across);
  }

  /** The feature map of the chosen picture under the chosen filter, kept until another is chosen. */
  let kept = { of: "" };
  function mapOf({ bank, item, picture, stride, right, down }) {
    const of = `${bank} ${item} ${picture} ${stride} ${right} ${down}`;
    if (kept.of !== of) {
      const looked = moved(scenes[picture], down, right);
      const plain = correlate(looked, items[bank][item], strides[stride]);
      const w = spec.matrix && matrixOf(scenes[picture], items[bank][item], strides[stride]);
      kept = { of, looked, plain, cut: rectify(plain), limit: magnitude(plain), w };
    }
    return kept;
  }

  /** The pooled map of the picture as it is `now` shifted, and what the shift has changed in it and
   *  in the feature map; kept until something else is chosen. */
  let keptPool = { of: "" };
  function poolOf(now) {
    const found = mapOf(now);
    const of = `${found.of} ${now.relu} ${now.pool}`;
    if (keptPool.of !== of) {
      const filter = items[now.bank][now.item];
      const still = correlate(scenes[now.picture], filter, strides[now.stride]);
      const [before, after] = now.relu ? [rectify(still), found.cut] : [still, found.plain];
      const [first, then] = [before, after].map((map) => pooled(map, pools[now.pool]));
      keptPool = {
        of, now: then, limit: magnitude(first),
        change: changes(first, then), mapChange: changes(before, after),
      };
    }
    return keptPool;
  }

  /** Outlines what belongs to the pixel that is pointed at: for a unit, in the feature map or as a
   *  column of W, its patch of the picture; for a pixel of the picture its row of W; for a pooled
   *  unit its window of the feature map. Says so. */
  function light() {
    for (const part of [scene, map, matrix]) part.mark(null);
    if (pooling && held && (held.enlarged === pool || held.enlarged === difference)) return frame();
    if (!spec.matrix || !held || held.enlarged === large) return "";
    const now = state();
    const [picture, filter] = [scenes[now.picture], items[now.bank][now.item]];
    const stride = strides[now.stride];
    const { plain, w } = mapOf(now);
    const [row, column] = held.at;
    if (held.enlarged === scene) {
      const pixel = row * picture.width + column;
      matrix.mark({ top: pixel, left: 0, height: 1, width: w.width });
      const reach = (place, count, size) => [...Array(count).keys()]
        .filter((i) => i * stride <= place && place < i * stride + size).length;
      const units = reach(row, plain.height, filter.height) * reach(column, plain.width, filter.width);
      return `It is row ${pixel + 1} of W; ${units} of ${w.width} units see it.`;
    }
    const unit = held.enlarged === map ? row * plain.width + column : column;
    const [r, c] = [Math.floor(unit / plain.width), unit % plain.width];
    scene.mark({ top: r * stride, left: c * stride, height: filter.height, width: filter.width });
    matrix.mark({ top: 0, left: unit, height: w.height, width: 1 });
    if (held.enlarged === matrix) map.mark({ top: r, left: c, height: 1, width: 1 });
    return `Column ${unit + 1} of W belongs to the patch from row ${r * stride + 1}, column ${
      c * stride + 1} on.`;
  }

  /** Outlines the window of the pooled unit that is pointed at, and says where it is. */
  function frame() {
    const { kind, size, stride } = pools[state().pool];
    const [top, left] = [held.at[0] * stride, held.at[1] * stride];
    map.mark({ top, left, height: size, width: size });
    const where = `row ${top + 1}, column ${left + 1}`;
    return size === 1
      ? `It is the value of the feature map at ${where}.`
      : `It is the ${kind} of ${size} by ${size} values of the feature map from ${where} on.`;
  }

  function draw(now) {
    fill(now);
    const image = items[now.bank][now.item];
    const limit = magnitude(image);
    large.show(image, {
      title: nameOf(now.bank, now.item), words: "enlarged; the text below describes it",
      limit, signed: spec.signed,
    });
    key.textContent = `${nameOf(now.bank, now.item)}: ${colours(image, limit, spec.signed)}`;
    if (!filters) return;
    const found = mapOf(now);
    scene.show(found.looked, {
      title: pictures[now.picture].label, words: "the picture that is looked at",
      limit: 1, signed: false,
    });
    map.show(now.relu ? found.cut : found.plain, {
      title: now.relu ? "Feature map after a ReLU" : "Feature map",
      words: "where the filter answers; the text below describes it",
      limit: found.limit, signed: true,
    });
    mapKey.textContent = `Feature map: ${colours(found.plain, found.limit, true)}`;
    if (pooling) {
      const all = poolOf(now);
      pool.show(all.now, {
        title: "Pooled map", words: `${pools[now.pool].label}; the text below describes it`,
        limit: all.limit, signed: true,
      });
      difference.show(all.change.image, {
        title: "Change by the shift", words: "the pooled map less that of the picture unshifted",
        limit: all.limit, signed: true,
      });
      mapKey.textContent += ` Pooled map and change: ${colours(all.now, all.limit, true)}`;
    }
    if (!spec.matrix && !pooling) return;
    if (spec.matrix) matrix.show(found.w, {
      title: "Matrix W", words: "a row for each pixel, a column for each unit", limit, signed: true,
    });
    const lit = light();
    if (held) pointed.say(`${held.text} ${lit}`.trim());
  }

  // -------------------------------------------------------------------------------- words

  /** What the colours of an image stand for. */
  function colours({ channels }, limit, signed) {
    const most = format(limit);
    if (!signed) return `black is 0, ${channels === 3 ? "full colour" : "white"} is ${most}.`;
    return channels === 3
      ? `in each of red, green and blue, none is −${most}, half is 0, full is ${most}.`
      : `blue is −${most}, light grey is 0, orange is ${most}.`;
  }

  function size({ height, width, channels }) {
    return `${height} × ${width} pixels${channels === 3 ? ", red, green and blue" : ""}`;
  }

  /** "row 3, column 4" of the value at place i. */
  function at({ width }, i) {
    return `row ${Math.floor(i / width) + 1}, column ${(i % width) + 1}`;
  }

  function sentence(now) {
    const bank = banks[now.bank];
    const image = items[now.bank][now.item];
    const { low, high, mean } = extent(image);
    const name = bank.names[now.item] ? `, ${bank.names[now.item]}` : "";
    const numbers = bank.numbers.filter(({ values }) => values[now.item] !== null)
      .map(({ label, values }) => `${label}: ${format(values[now.item])}`);
    const given = numbers.length ? ` ${capital(numbers.join("; "))}.` : "";
    const told = `${capital(bank.label)}: ${spec.item} ${now.item + 1} of ${bank.items}${name}, ${
      size(image)}. Values from ${format(image.values[low])} to ${format(image.values[high])}, mean ${
      format(mean)}.${given}`;
    if (!filters) return told;
    const found = mapOf(now);
    const seen = now.relu ? found.cut : found.plain;
    const range = extent(seen);
    const shape = spec.matrix ? ` ${tellMatrix(now)}` : pooling ? ` ${tellPool(now)}` : "";
    return `${told} Feature map of ${pictures[now.picture].label}${now.relu ? " after a ReLU" : ""}, ${
      size(seen)}: from ${format(seen.values[range.low])} (${at(seen, range.low)}) to ${
      format(seen.values[range.high])} (${at(seen, range.high)}), above zero at ${
      format(100 * range.above, 0)} % of the places.${shape}`;
  }

  /** How far the picture is shifted and what that changes, before and after pooling. */
  function tellPool(now) {
    const { now: image, change: after, mapChange: before } = poolOf(now);
    const told = ({ count, share }, all, what) => (
      `${format(count)} of ${format(all)} ${what} change, by ${format(100 * share, 0)} % of the map`
    );
    const label = `Pooled by ${pools[now.pool].label} to ${size(image)}.`;
    if (!now.right && !now.down) return `${label} The picture is not shifted: nothing changes.`;
    const far = (by, ways) => (by === 0 ? [] : [`${Math.abs(by)} ${by > 0 ? ways[0] : ways[1]}`]);
    const shift = [
      ...far(now.right, ["to the right", "to the left"]), ...far(now.down, ["down", "up"]),
    ].join(" and ");
    return `${label} Shifted by ${shift}: ${
      told(after, image.values.length, "pooled units")}; before pooling ${
      told(before, mapOf(now).plain.values.length, "units")}.`;
  }

  /** The shape formula and the counts of W, in numbers. */
  function tellMatrix(now) {
    const [picture, filter] = [scenes[now.picture], items[now.bank][now.item]];
    const { plain, w } = mapOf(now);
    const weights = filter.height * filter.width;
    const stride = strides[now.stride];
    const fits = (picture.height - filter.height) % stride === 0;
    return `Places from top to bottom: (${picture.height} − ${filter.height}) / ${stride} + 1${
      fits ? "" : ", rounded down,"} = ${plain.height}. W has ${format(w.height)} rows and ${
      format(w.width)} columns; ${format(w.width * weights)} of its ${
      format(w.width * w.height)} entries lie in a patch, and ${weights} weights fill them.`;
  }

  /** The items of the bank, each in numbers. */
  function tabulate({ bank }) {
    table.inner.replaceChildren(tableOf(
      [spec.item, "lowest", "mean", "highest", ...banks[bank].numbers.map(({ label }) => label)],
      items[bank].map((image, i) => {
        const { low, high, mean } = extent(image);
        return [
          banks[bank].names[i] ?? String(i + 1),
          ...[image.values[low], mean, image.values[high]].map((value) => format(value)),
          ...banks[bank].numbers.map(({ values }) => (
            values[i] === null ? "no value" : format(values[i])
          )),
        ];
      }),
    ));
  }

  const digits = (value) => Number(value.toPrecision(5));

  /** Rows of channel, row, column, value. */
  function pixels({ height, width, values }) {
    return [...values].map((value, i) => [
      Math.floor(i / (height * width)) + 1, (Math.floor(i / width) % height) + 1, (i % width) + 1,
      digits(value),
    ]);
  }

  /** Every value of every bank. */
  function asCsv() {
    return csv([
      ["bank", spec.item, "name", "channel", "row", "column", "value"],
      ...banks.flatMap(({ label, names: called }, b) => items[b].flatMap((image, i) => (
        pixels(image).map((row) => [label, i + 1, called[i] ?? "", ...row])
      ))),
    ]);
  }

  function mapAsCsv(image) {
    return csv([["row", "column", "value"], ...pixels(image).map((row) => row.slice(1))]);
  }

  // ------------------------------------------------------------------------------- update

  function update() {
    const now = state();
    question?.show(now.opened, now.predicted);
    waiting.hidden = now.opened;
    shown.hidden = !now.opened;
    bankChoice.show(now.bank);
    pictureChoice.show(now.picture);
    strideChoice.show(now.stride);
    reluChoice.show(now.relu ? 1 : 0);
    if (pooling) poolChoice.show(now.pool);
    for (const { way, values, show } of shifts) show(values.indexOf(within(now[way])));
    if (!now.opened) return;
    draw(now);
    words.say(sentence(now));
    if (table.element.open) tabulate(now);
  }

  return live({ model, el, signal }, names, {
    update,
    resize: () => { if (model.get("opened")) draw(state()); },
    follow,
  });
}

export default { render };
