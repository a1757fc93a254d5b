// Images on the page: painted, a value a pixel, and many of them in a grid to choose from.

import { blend, SIGNED } from "../kit/colours.js";
import { make } from "../kit/dom.js";

/** Paints an image, a value a pixel. Colours reach to `limit`, on both sides of zero if signed. */
export function paint(canvas, image, limit, signed) {
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

export const CELL = 42; // an item's room in the grid, in CSS pixels
const LARGEST = 36; // its image in it

/** A grid of images, one of them chosen by tap, or by arrows, Home and End (with Control the very
 *  first and last); Tab comes to the chosen one only. */
export function gallery(label, onChoose) {
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
