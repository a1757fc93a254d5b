// An enlarged image, to point into.

import { make } from "../kit/dom.js";
import { format } from "../kit/numbers.js";
import { paint } from "./gallery.js";

const STEPS = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

/** Where a key goes to from [row, column] in an image; undefined for another key.
 *  @returns {[number, number] | undefined} */
export function target(key, [row, column], { height, width }) {
  if (key in STEPS) return [row + STEPS[key][0], column + STEPS[key][1]];
  return {
    Home: [row, 0], End: [row, width - 1], PageUp: [0, column], PageDown: [height - 1, column],
  }[key];
}

/** The pixel at [row, column] in words: its place, and its value in each channel. */
export function pixelWords({ height, width, channels, values }, [row, column]) {
  const told = [...Array(channels).keys()].map((k) => {
    const value = format(values[(k * height + row) * width + column]);
    return channels === 3 ? `${["red", "green", "blue"][k]} ${value}` : value;
  });
  return `row ${row + 1}, column ${column + 1}: ${told.join(", ")}.`;
}

/** An enlarged image under its caption. The pointer, or once it has the focus the arrows, go from
 *  pixel to pixel; `onPoint` gets the words for the one they are on, again when its value changes,
 *  the enlargement, which can be told to `leave` it, and its [row, column]. `mark` outlines a
 *  rectangle {top, left, height, width} of pixels, or none. Where there is an `onMove`, the image
 *  can be dragged, or moved by Shift and arrows: it gets the pixels [down, right] of each move. */
export class Enlargement {
  constructor(onPoint, onMove = null) {
    this.onPoint = onPoint;
    this.onMove = onMove;
    this.shown = null;
    /** @type {[number, number] | null} */
    this.at = null; // the pixel that is pointed at
    this.grip = null; // where a drag has come to
    this.caption = make("p", { class: "wd-word" });
    this.canvas = make("canvas", { role: "img" });
    this.cursor = make("div", { class: "wd-pixel", hidden: true });
    this.patch = make("div", { class: "wd-patch", hidden: true });
    const release = () => { this.grip = null; };
    this.stage = make(
      "div",
      {
        class: onMove ? "wd-stage wd-grab" : "wd-stage", tabindex: "0", role: "application",
        onkeydown: (event) => this.press(event), onpointerdown: (event) => this.grab(event),
        onpointermove: (event) => this.follow(event), onpointerup: release, onpointercancel: release,
      },
      this.canvas, this.patch, this.cursor,
    );
    this.element = make("div", { class: "wd-enlargement" }, this.caption, this.stage);
  }

  show(image, { title, words, limit, signed }) {
    const changed = image !== this.shown;
    this.shown = image;
    this.caption.textContent = title;
    this.canvas.setAttribute("aria-label", `${title}: ${words}`);
    this.stage.setAttribute("aria-label", `${title}; arrows go from pixel to pixel${
      this.onMove ? ", with Shift they move the picture" : ""}`);
    paint(this.canvas, image, limit, signed);
    if (changed && this.at) this.point(this.at);
  }

  leave() {
    this.at = null;
    this.cursor.hidden = true;
  }

  mark(place) {
    if (place) this.put(this.patch, place);
    else this.patch.hidden = true;
  }

  /** Lays an element over a rectangle of pixels. */
  put(element, { top, left, height, width }) {
    const percent = (count, all) => `${(100 * count) / all}%`;
    element.hidden = false;
    element.style.top = percent(top, this.shown.height);
    element.style.left = percent(left, this.shown.width);
    element.style.height = percent(height, this.shown.height);
    element.style.width = percent(width, this.shown.width);
  }

  /** Points at [row, column], or at the pixel of the image that is nearest to it. */
  point([row, column]) {
    const { height, width } = this.shown;
    this.at = [Math.min(Math.max(row, 0), height - 1), Math.min(Math.max(column, 0), width - 1)];
    this.put(this.cursor, { top: this.at[0], left: this.at[1], height: 1, width: 1 });
    this.onPoint(`${this.caption.textContent}, ${pixelWords(this.shown, this.at)}`, this, this.at);
  }

  /** The pixel that the pointer is on.  @returns {[number, number]} */
  placeOf(event) {
    const box = this.canvas.getBoundingClientRect();
    const place = (along, from, length, count) => Math.floor(((along - from) / length) * count);
    return [
      place(event.clientY, box.top, box.height, this.shown.height),
      place(event.clientX, box.left, box.width, this.shown.width),
    ];
  }

  grab(event) {
    if (this.onMove) {
      this.grip = this.placeOf(event);
      this.stage.setPointerCapture(event.pointerId);
    }
    this.point(this.placeOf(event));
  }

  follow(event) {
    const to = this.placeOf(event);
    if (this.grip && event.buttons) {
      const [down, right] = [to[0] - this.grip[0], to[1] - this.grip[1]];
      this.grip = to;
      if (down || right) this.onMove(down, right);
    }
    this.point(to);
  }

  press(event) {
    if (event.altKey || event.metaKey || event.ctrlKey) return;
    if (this.onMove && event.shiftKey) {
      const by = STEPS[event.key];
      if (!by) return;
      event.preventDefault();
      this.onMove(...by);
      return;
    }
    const to = target(event.key, this.at ?? [-1, -1], this.shown);
    if (!to) return;
    event.preventDefault();
    this.point(to);
  }
}
