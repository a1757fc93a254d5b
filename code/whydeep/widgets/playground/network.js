// The shown network: a tile for each unit, layer by layer, to choose by tap or key; threads for the
// weights between them; and of each run a large map of the chosen unit.

import { button } from "../kit/controls.js";
import { make } from "../kit/dom.js";
import { COARSE, paintMap } from "./paint.js";
import { change, same, selected, setTo, settingsOf, shapeNow, shownRun } from "./state.js";
import { shareOf, sizeSurfaces, surfaceOf } from "./surface.js";
import { unitName } from "./words.js";

/** The widths of the hidden layers, where there may be so many; the twin's, if that is what it has. */
export function widen(view, widths) {
  const [mostLayers, mostUnits] = view.spec.most;
  if (widths.length > mostLayers || widths.some((w) => w < 1 || w > mostUnits)) return;
  const twinned = "widths" in view.model.get("twin");
  if (!twinned || shownRun(view) === 0) setTo(view, "widths", widths);
  else if (!same(widths, view.model.get("settings").widths)) change(view, { twin: { widths } });
}

function select(view, u) {
  view.picture.dues.words = 0;
  change(view, { unit: u === shapeNow(view).units - 1 ? -1 : u });
}

/** The arrows go from unit to unit, Home and End within a layer. */
export function move(view, event) {
  const { cells, rows } = view.network;
  const from = cells.indexOf(event.target);
  if (from < 0 || event.altKey || event.metaKey || event.ctrlKey) return;
  const row = rows.findIndex(({ first, count }) => from >= first && from < first + count);
  const within = (r) => (rows[r] ? rows[r].first + Math.min(from - rows[row].first, rows[r].count - 1) : from);
  // From the output to the first unit that is computed, not to an input, if there is one.
  const onwards = from < cells.length - 1 ? from + 1 : rows[1].first % from;
  const to = {
    ArrowLeft: from - 1, ArrowRight: onwards, ArrowUp: within(row - 1),
    ArrowDown: within(row + 1), Home: rows[row].first, End: rows[row].first + rows[row].count - 1,
  }[event.key];
  if (to === undefined) return;
  event.preventDefault();
  select(view, (to + cells.length) % cells.length);
  cells[(to + cells.length) % cells.length].focus();
}

/** The buttons that give layer l one unit fewer or one more. */
function toolsOf(view, l, shape) {
  return [-1, 1].map((by) => {
    const count = shape.sizes[l] + by;
    const tool = button(by > 0 ? "+" : "−", () => {
      widen(view, shape.sizes.slice(1, -1).map((w, i) => (i === l - 1 ? w + by : w)));
    });
    tool.setAttribute("aria-label", `${by > 0 ? "one more" : "one fewer"} unit in layer ${l}`);
    tool.disabled = count < 1 || count > view.spec.most[1];
    return tool;
  });
}

/** The row of layer l: its name, its tools, and a cell for each unit, the first of which is `first`. */
function rowOf(view, l, first, shape) {
  const count = shape.sizes[l];
  const last = l === shape.sizes.length - 1;
  const size = make("span", { class: "wd-size" });
  const tools = l > 0 && !last ? toolsOf(view, l, shape) : [];
  const name = l === 0 ? "inputs" : last ? "output" : `layer ${l}`;
  const cells = [...Array(count).keys()].map((j) => make("div", {
    role: "gridcell", "aria-label": unitName(first + j, shape), onclick: () => select(view, first + j),
  }));
  const element = make(
    "div", { role: "row" },
    make("div", { role: "rowheader" }, make("span", { class: "wd-layer" }, name, ...tools), size),
    ...cells,
  );
  return { first, count, size, cells, element };
}

/** The tiles of the units, as many as the shown network has, and the large maps. */
export function layOut(view) {
  const { network, picture, root, parts: { grid, runChoice, surfaces } } = view;
  const settings = settingsOf(view);
  const shape = shapeNow(view);
  const focused = network.cells.findIndex((cell) => cell === document.activeElement);
  const tools = grid.contains(document.activeElement) && document.activeElement.getAttribute("aria-label");
  let first = 0;
  network.rows = shape.sizes.map((count, l) => {
    const row = rowOf(view, l, first, shape);
    first += count;
    return row;
  });
  network.cells = network.rows.flatMap((row) => row.cells);
  grid.replaceChildren(...network.rows.map(({ element }) => element));
  root.classList.toggle("wd-twins", settings.length > 1);
  runChoice.element.hidden = settings.length < 2;
  runChoice.show(shownRun(view));
  view.surfaces = settings.map(surfaceOf);
  surfaces.replaceChildren(...view.surfaces.map(({ element }) => element));
  picture.painting += 1; // what was being painted is of another network
  picture.frameDue = 0;
  choose(view);
  measureRoom(view);
  keepFocus(view, focused, tools);
}

/** The focus goes to where it was: to a unit, or to the tool of that name. */
function keepFocus(view, focused, tools) {
  const { cells } = view.network;
  if (focused >= 0) cells[Math.min(focused, cells.length - 1)].focus();
  else if (tools) {
    const tool = [...view.parts.grid.querySelectorAll("button")]
      .find((b) => b.getAttribute("aria-label") === tools);
    (tool && !tool.disabled ? tool : cells[selected(view)]).focus();
  }
}

/** Marks the chosen unit. */
export function choose(view) {
  const unit = selected(view);
  view.network.cells.forEach((cell, u) => {
    cell.setAttribute("aria-selected", u === unit);
    cell.tabIndex = u === unit ? 0 : -1;
  });
}

/** The side of a tile, as large as fits, and the gap beside it. */
function tileSize(view, narrow) {
  const gap = narrow ? 4 : 6;
  const room = Math.max(200, view.root.clientWidth - 32) - (narrow ? 0 : 124);
  const most = Math.max(...view.network.rows.map(({ count }) => count));
  const fitting = (width) => Math.floor(width / most) - gap;
  const beside = fitting(room - 254); // where the large map still fits beside the units
  const whole = narrow || beside < 28 || settingsOf(view).length > 1;
  return { gap, cell: Math.max(24, Math.min(narrow ? 34 : 40, whole ? fitting(room) : beside)) };
}

/** Tiles as large as fit, the places of their threads, and canvases of these sizes. */
export function measureRoom(view) {
  const { network, picture, root, parts: { net, threads, tiles, chart } } = view;
  network.measured = root.clientWidth;
  const narrow = window.matchMedia("(max-width: 480px)").matches;
  const { gap, cell } = tileSize(view, narrow);
  net.style.setProperty("--wd-gap", `${gap}px`);
  net.style.setProperty("--wd-cell", `${cell}px`);
  net.style.setProperty("--wd-drop", `${narrow ? 10 : network.rows.length > 5 ? 18 : 26}px`);
  network.ends = network.rows.flatMap(({ element, cells }) => cells.map((tile) => ({
    x: element.offsetLeft + tile.offsetLeft + tile.offsetWidth / 2,
    top: element.offsetTop + tile.offsetTop,
    bottom: element.offsetTop + tile.offsetTop + tile.offsetHeight,
  })));
  const dense = Math.min(2, window.devicePixelRatio || 1);
  const [wide, high] = [net.clientWidth, net.clientHeight];
  for (const canvas of [threads, tiles]) {
    [canvas.width, canvas.height] = [wide * dense, high * dense];
    canvas.style.cssText = `width: ${wide}px; height: ${high}px;`;
    canvas.getContext("2d").setTransform(dense, 0, 0, dense, 0, 0);
  }
  sizeSurfaces(view.surfaces, dense);
  picture.pointsDue = true;
  [picture.dues.chart, picture.dues.threads] = [0, 0];
  picture.chartWidth = chart.clientWidth;
}

/** The map of each unit on its tile; `coarse` are the values of all. */
export function drawTiles({ network, picture, parts: { tiles } }, settings, shape, coarse) {
  const context = tiles.getContext("2d");
  const paper = picture.papers[COARSE];
  network.ends.forEach(({ x, top, bottom }, u) => {
    const begin = u * COARSE * COARSE;
    const share = shareOf(u, settings, shape.units, coarse, begin, COARSE * COARSE);
    paintMap(paper, coarse, begin, share, picture.palette.ramp);
    const size = bottom - top;
    context.drawImage(paper.canvas, x - size / 2, top, size, size);
  });
}

/** A thread for each weight that is not small beside the largest of its layer. */
export function drawThreads({ network: { ends }, picture: { palette }, parts: { threads } }, { weights }, shape) {
  const context = threads.getContext("2d");
  context.clearRect(0, 0, threads.width, threads.height);
  for (const { inputs, units, at: begin, unit, from } of shape.layers) {
    let most = 0;
    for (let k = begin; k < begin + inputs * units; k += 1) most = Math.max(most, Math.abs(weights[k]));
    for (let j = 0; j < units; j += 1) {
      for (let i = 0; i < inputs; i += 1) {
        const weight = weights[begin + j * inputs + i];
        const share = Math.abs(weight) / (most || 1);
        if (!(share > 0.03)) continue;
        const [a, b] = [ends[from + i], ends[unit + j]];
        if (!a || !b) continue;
        const middle = (a.bottom + b.top) / 2;
        context.globalAlpha = 0.2 + 0.7 * share;
        context.strokeStyle = weight < 0 ? palette.low : palette.high;
        context.lineWidth = 0.6 + 2.4 * share;
        context.beginPath();
        context.moveTo(a.x, a.bottom);
        context.bezierCurveTo(a.x, middle, b.x, middle, b.x, b.top);
        context.stroke();
      }
    }
  }
  context.globalAlpha = 1;
}
