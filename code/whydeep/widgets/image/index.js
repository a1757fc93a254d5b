// ImageExplorer: banks of images, one of them enlarged, and its feature map where they are filters. Its
// state lives in the model; every change of it, from whichever side, ends in update(). `view` holds the
// model, the images and the parts on the page.

import { tableOf } from "../kit/controls.js";
import { address, live } from "../kit/page.js";
import { build } from "./controls.js";
import { CELL, paint } from "./gallery.js";
import { light } from "./light.js";
import { imagesOf, magnitude } from "./maps.js";
import { follow, mapOf, NAMES, poolOf, stateOf } from "./state.js";
import { colours, nameOf, sentence, tabulate } from "./words.js";

/** The grid, built anew only when the bank or the room for it has changed. */
function fill(view, { bank, item }) {
  const { spec, items, parts: { grid } } = view;
  const count = spec.banks[bank].items;
  const most = Math.min(Math.max(Math.floor(grid.element.clientWidth / CELL), 1), 8);
  const across = Math.ceil(count / Math.ceil(count / most)); // rows alike
  if (view.filled === `${bank} ${across}`) {
    grid.choose(item);
    return;
  }
  view.filled = `${bank} ${across}`;
  grid.fill(items[bank].map((image, i) => ({
    name: nameOf(spec, bank, i),
    draw: (canvas) => paint(canvas, image, magnitude(image), spec.signed),
  })), item, across);
}

/** The picture, its feature map, and what is made of it. */
function drawMaps(view, now) {
  const { spec, parts: { scene, map, matrix, pool, difference, mapKey, pointed } } = view;
  const found = mapOf(view, now);
  scene.show(found.looked, {
    title: spec.pictures[now.picture].label, words: "the picture that is looked at",
    limit: 1, signed: false,
  });
  map.show(now.relu ? found.cut : found.plain, {
    title: now.relu ? "Feature map after a ReLU" : "Feature map",
    words: "where the filter answers; the text below describes it",
    limit: found.limit, signed: true,
  });
  mapKey.textContent = `Feature map: ${colours(found.plain, found.limit, true)}`;
  if (view.pooling) {
    const all = poolOf(view, now);
    pool.show(all.now, {
      title: "Pooled map", words: `${spec.pools[now.pool].label}; the text below describes it`,
      limit: all.limit, signed: true,
    });
    difference.show(all.change.image, {
      title: "Change by the shift", words: "the pooled map less that of the picture unshifted",
      limit: all.limit, signed: true,
    });
    mapKey.textContent += ` Pooled map and change: ${colours(all.now, all.limit, true)}`;
  }
  if (!spec.matrix && !view.pooling) return;
  if (spec.matrix) matrix.show(found.w, {
    title: "Matrix W", words: "a row for each pixel, a column for each unit",
    limit: magnitude(view.items[now.bank][now.item]), signed: true,
  });
  const lit = light(view);
  if (view.held) pointed.say(`${view.held.text} ${lit}`.trim());
}

function draw(view, now) {
  const { spec, items, parts: { large, key } } = view;
  fill(view, now);
  const image = items[now.bank][now.item];
  const limit = magnitude(image);
  const name = nameOf(spec, now.bank, now.item);
  large.show(image, {
    title: name, words: "enlarged; the text below describes it", limit, signed: spec.signed,
  });
  key.textContent = `${name}: ${colours(image, limit, spec.signed)}`;
  if (spec.pictures.length) drawMaps(view, now);
}

/** Shows what the model holds. */
function update(view) {
  const { model, spec, parts } = view;
  const now = stateOf(model, spec);
  parts.question?.show(now.opened, now.predicted);
  parts.waiting.hidden = now.opened;
  parts.shown.hidden = !now.opened;
  parts.chosen.show(now);
  parts.shifts.show(now);
  if (!now.opened) return;
  draw(view, now);
  parts.words.say(sentence(view, now));
  if (parts.table.element.open) parts.table.inner.replaceChildren(tableOf(...tabulate(view, now)));
}

function render({ model, el, signal, page = false }) {
  const spec = model.get("spec");
  const view = {
    model, el, spec, link: address(spec.key, page), initial: stateOf(model, spec),
    pooling: spec.pools.length > 0,
    items: imagesOf(model.get("data"), spec.banks),
    scenes: imagesOf(model.get("scenes"), spec.pictures).map(([scene]) => scene),
    held: null, // the words for the pixel that is pointed at, the enlargement it is in, and where
    filled: "", // what the grid was built for
    kept: { map: null, pool: null }, // the maps of what is chosen
    parts: null,
  };
  view.parts = build(view, () => update(view));
  return live({ model, el, signal }, NAMES, {
    update: () => update(view),
    resize: () => { if (model.get("opened")) draw(view, stateOf(model, spec)); },
    follow: () => follow(view),
  });
}

export default { render };
