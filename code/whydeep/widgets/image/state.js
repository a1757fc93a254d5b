// What the reader has chosen: a bank and an item of it, a picture, a stride, a pool, a shift. It lives in
// the model; here it is read, changed, carried into the page's address and back, and made into maps.

import { valuesOf } from "../kit/page.js";
import { changes, correlate, magnitude, matrixOf, moved, pooled, rectify } from "./maps.js";

export const NAMES = [
  "bank", "item", "picture", "stride", "relu", "pool", "right", "down", "opened", "predicted",
];

/** The state, whose item is the last of its bank if the bank holds fewer. */
export function stateOf(model, { banks }) {
  const now = valuesOf(model, NAMES);
  return { ...now, item: Math.min(now.item, banks[now.bank].items - 1) };
}

/** A shift of the picture that is allowed. */
export function within({ reach }, by) {
  return Math.min(Math.max(by, -reach), reach);
}

/** What differs from the `initial` state, as the address tells it; null for what does not. */
export function addressOf(state, initial, { banks, pictures, strides, pools }) {
  const texts = {
    bank: () => banks[state.bank].label,
    item: () => state.item + 1,
    picture: () => pictures[state.picture].label,
    stride: () => strides[state.stride],
    relu: () => Number(state.relu),
    pool: () => pools[state.pool].label,
    right: () => state.right,
    down: () => state.down,
  };
  return {
    ...Object.fromEntries(Object.entries(texts).map(([name, text]) => (
      [name, state[name] === initial[name] ? null : text()]))),
    open: state.opened === initial.opened ? null : "1",
  };
}

/** The changes that an address means, where the model has bank and item `now`. */
export function fromAddress(wanted, now, spec) {
  const { banks, pictures, strides, pools } = spec;
  /** @type {any} */
  const found = {};
  const place = (list, label) => list.findIndex((one) => one.label === label);
  if (place(banks, wanted.bank) >= 0) found.bank = place(banks, wanted.bank);
  if (place(pictures, wanted.picture) >= 0) found.picture = place(pictures, wanted.picture);
  const stride = strides.indexOf(Number(wanted.stride));
  if (stride >= 0) found.stride = stride;
  const most = banks[found.bank ?? now.bank].items;
  const item = Number.parseInt(wanted.item ?? now.item + 1, 10);
  if (Number.isFinite(item)) found.item = Math.min(Math.max(item, 1), most) - 1;
  if (wanted.relu) found.relu = wanted.relu === "1";
  if (place(pools, wanted.pool) >= 0) found.pool = place(pools, wanted.pool);
  for (const way of ["right", "down"]) {
    const by = Number.parseInt(wanted[way], 10);
    if (pools.length && Number.isFinite(by)) found[way] = within(spec, by);
  }
  if (wanted.open) found.opened = true;
  return found;
}

export function change({ model, spec, link, initial }, state) {
  for (const [name, value] of Object.entries(state)) model.set(name, value);
  model.save_changes();
  link.write(addressOf(stateOf(model, spec), initial, spec));
}

/** Takes on what the address says. */
export function follow(view) {
  const { model, spec, link, el } = view;
  const wanted = link.read();
  if (!Object.keys(wanted).length) return;
  change(view, fromAddress(wanted, { bank: model.get("bank"), item: model.get("item") }, spec));
  el.scrollIntoView({ block: "nearest" });
}

/** The feature map of the chosen picture under the chosen filter, kept until another is chosen. */
export function mapOf(view, { bank, item, picture, stride, right, down }) {
  const { spec, items, scenes, kept } = view;
  const of = `${bank} ${item} ${picture} ${stride} ${right} ${down}`;
  if (kept.map?.of !== of) {
    const filter = items[bank][item];
    const looked = moved(scenes[picture], down, right);
    const plain = correlate(looked, filter, spec.strides[stride]);
    const w = spec.matrix && matrixOf(scenes[picture], filter, spec.strides[stride]);
    kept.map = { of, looked, plain, cut: rectify(plain), limit: magnitude(plain), w };
  }
  return kept.map;
}

/** The pooled map of the picture as it is `now` shifted, and what the shift has changed in it and
 *  in the feature map; kept until something else is chosen. */
export function poolOf(view, now) {
  const { spec, items, scenes, kept } = view;
  const found = mapOf(view, now);
  const of = `${found.of} ${now.relu} ${now.pool}`;
  if (kept.pool?.of !== of) {
    const filter = items[now.bank][now.item];
    const still = correlate(scenes[now.picture], filter, spec.strides[now.stride]);
    const [before, after] = now.relu ? [rectify(still), found.cut] : [still, found.plain];
    const [first, then] = [before, after].map((map) => pooled(map, spec.pools[now.pool]));
    kept.pool = {
      of, now: then, limit: magnitude(first),
      change: changes(first, then), mapChange: changes(before, after),
    };
  }
  return kept.pool;
}
