// The picture as a whole: its parts in order, each drawn anew as often as a reader can follow, spread over
// frames of the page while it trains.

import { make } from "../kit/dom.js";
import { tableOf } from "../kit/controls.js";
import { format } from "../kit/numbers.js";
import { drawChart } from "./chart.js";
import { maps, shapeOf } from "./engine/network.js";
import { drawThreads, drawTiles } from "./network.js";
import { COARSE, coloursOf, FINE, latticeOf, paperOf } from "./paint.js";
import { selected, settingsOf, shapeNow, shownRun } from "./state.js";
import { drawKey, drawPoints, drawSurface } from "./surface.js";
import { factsOf, sentence, shownMoments, sizeWords, tablesOf } from "./words.js";

// Milliseconds between two drawings of a part while it trains.
const PAUSES = { threads: 120, stats: 200, chart: 250, words: 5000, table: 500 };

export function newPicture() {
  return {
    dirty: true, // something has changed since it was drawn
    palette: null, // the page's colours, from the first picture on
    coloursDue: true, // they have to be asked for: parts of a picture may still be painted in the old
    pointsDue: true, // the data points have to be drawn anew
    frameAsked: false, // of the page
    frameDue: 0, // not before; Infinity while one is being painted
    painting: 0, // which picture is being painted
    chartWidth: 0,
    dues: Object.fromEntries(Object.keys(PAUSES).map((name) => [name, 0])), // when each is drawn anew
    papers: { [COARSE]: paperOf(COARSE), [FINE]: paperOf(FINE) },
    lattices: { [COARSE]: latticeOf(COARSE), [FINE]: latticeOf(FINE) },
  };
}

/** Writes only what is new, so that a selection in it stays. */
function tell(stats, pairs) {
  if (stats.childElementCount !== pairs.length) {
    stats.replaceChildren(...pairs.map(() => make("div", {}, make("dt"), make("dd"))));
  }
  pairs.forEach(([name, value], n) => {
    const [dt, dd] = stats.children[n].children;
    if (dt.textContent !== name) dt.textContent = name;
    if (dd.textContent !== value) dd.textContent = value;
  });
}

/** The facts, the sizes beside the layers, and the place of the scrubber. */
function tellNumbers(view, shown) {
  const { stats, scrub, scrubNumber } = view.parts;
  view.network.rows.slice(1).forEach(({ size }, l) => {
    size.textContent = sizeWords(shown[shownRun(view)], l);
  });
  tell(stats, factsOf(view, shown));
  const count = view.training.moments[0].length - 1;
  scrub.max = count;
  scrub.value = view.shown.at < 0 ? count : view.shown.at;
  scrub.setAttribute("aria-valuetext", `step ${format(shown[0].step, 0)}`);
  if (document.activeElement !== scrubNumber) scrubNumber.value = shown[0].step;
}

/** Tiles and large maps, as two parts: the maps are sharp at rest. */
function mapParts(view, shown) {
  const { lattices } = view.picture;
  const { going } = view.training;
  const settings = settingsOf(view);
  const run = shownRun(view);
  const coarse = [];
  return [
    () => {
      settings.forEach((own, r) => { coarse[r] = maps(own, shown[r].weights, lattices[COARSE]); });
      drawTiles(view, settings[run], shapeNow(view), coarse[run]);
    },
    () => settings.forEach((own, r) => {
      const u = r === run ? selected(view) : shapeOf(own).units - 1;
      const fine = going ? coarse[r] : maps(own, shown[r].weights, lattices[FINE]);
      drawSurface(view, r, own, u, going ? COARSE : FINE, fine);
    }),
  ];
}

/** The parts of the picture as functions, to be called in this order. */
function draw(view) {
  const { picture, parts, training } = view;
  picture.dirty = false;
  const shown = shownMoments(view);
  if (!shown) return [];
  const now = performance.now();
  if (picture.coloursDue) picture.palette = coloursOf(view.root);
  picture.coloursDue = false;
  const part = (name, act) => (!training.going || now > picture.dues[name] ? [() => {
    act();
    picture.dues[name] = now + PAUSES[name];
  }] : []);
  return [
    ...mapParts(view, shown),
    ...part("threads", () => drawThreads(view, shown[shownRun(view)], shapeNow(view))),
    ...part("stats", () => tellNumbers(view, shown)),
    ...part("chart", () => drawChart(view)),
    ...(picture.pointsDue ? [() => {
      shown.forEach((_, r) => drawPoints(view, r));
      drawKey(view);
      picture.pointsDue = false;
    }] : []),
    ...(view.model.get("opened") ? part("words", () => parts.words.say(sentence(view, shown))) : []),
    ...(parts.table.element.open ? part("table", () => {
      parts.table.inner.replaceChildren(...tablesOf(view, shown).map((table) => tableOf(...table)));
    }) : []),
    ...(parts.program.element.open && !training.going ? [() => parts.program.write()] : []),
  ];
}

/** Paints the parts, one in each frame of the page, and rests for twice as long as they were late. */
function paintInTurn(view, parts, began) {
  const { picture, training, still } = view;
  const mine = picture.painting;
  const frames = parts.length;
  picture.frameDue = Infinity;
  const next = () => {
    if (mine !== picture.painting || training.closed) return; // a newer picture is there
    const part = parts.shift();
    part?.();
    if (part) {
      requestAnimationFrame(next);
      return;
    }
    const now = performance.now();
    const late = now - began - 17 * frames;
    picture.frameDue = now + (still.matches ? 2000 : Math.min(400, Math.max(0, 2 * late)));
    if (picture.dirty) refresh(view);
  };
  next();
}

/** Asks for a new picture. While it trains, its parts take a frame of the page each, so that none lasts
 *  long; readers who ask for less motion get a picture every other second. */
export function refresh(view) {
  const { picture, training } = view;
  picture.dirty = true;
  if (picture.frameAsked || training.closed) return;
  const paint = () => requestAnimationFrame((began) => {
    picture.frameAsked = false;
    if (!picture.dirty || training.closed) return;
    const parts = draw(view);
    picture.painting += 1;
    if (training.going) paintInTurn(view, parts, began);
    else for (const part of parts) part();
  });
  const wait = training.going ? picture.frameDue - performance.now() : 0;
  if (wait === Infinity) return; // asked again when the last one is on the screen
  picture.frameAsked = true;
  if (wait > 0) setTimeout(paint, wait);
  else paint();
}
