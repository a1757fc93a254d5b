// Points that a reader pastes.

import { summary } from "../kit/numbers.js";

/** Points from text with a line "x1, x2, label" for each: the first two scaled to mean 0 and standard
 *  deviation 1, in an order that takes the labels in turn as they come. An Error names what is wrong. */
export function parsePoints(text) {
  const lines = text.split(/\r?\n/).map((words, n) => [words.trim(), n + 1]).filter(([w]) => w);
  const rows = [];
  const labels = [];
  for (const [words, n] of lines) {
    const parts = words.split(/[,;\t]/).map((part) => part.trim());
    if (parts.length !== 3) {
      throw new Error(`Line ${n} has ${parts.length} values, expected three: x1, x2, label.`);
    }
    const [a, b] = parts.slice(0, 2).map((part) => (part === "" ? NaN : Number(part)));
    if (!Number.isFinite(a) || !Number.isFinite(b)) {
      if (rows.length === 0 && n === lines[0][1]) continue; // names of the columns
      throw new Error(`Line ${n} begins with "${parts[0]}, ${parts[1]}", expected two numbers.`);
    }
    if (!labels.includes(parts[2])) labels.push(parts[2]);
    if (labels.length > 2) {
      const two = labels.slice(0, 2).join(", ");
      throw new Error(`Line ${n} has a third label, "${parts[2]}", expected two: ${two}.`);
    }
    rows.push([a, b, labels.indexOf(parts[2])]);
  }
  if (rows.length < 8) throw new Error(`There are ${rows.length} points, expected 8 to 2,000.`);
  if (rows.length > 2000) throw new Error(`There are ${rows.length} points, expected 8 to 2,000.`);
  if (labels.length < 2) throw new Error(`All points have the label "${labels[0]}", expected two labels.`);
  // The label that sorts first is -1, and the k-th of each label is for training if k is odd.
  const swap = [...labels].sort((p, q) => p.localeCompare(q, "en", { numeric: true }))[0] !== labels[0];
  const columns = [0, 1].map((c) => {
    const { mean, sd } = summary(rows.map((row) => row[c]));
    if (!(sd > 0)) throw new Error(`All points have x${c + 1} = ${rows[0][c]}, expected different ones.`);
    return rows.map((row) => Number(((row[c] - mean) / sd).toFixed(4)));
  });
  const parts = [[], []];
  const seen = [0, 0];
  rows.forEach(([, , label], n) => {
    const point = [columns[0][n], columns[1][n], (label === 1) !== swap ? 1 : -1];
    parts[seen[label] % 2].push(point);
    seen[label] += 1;
  });
  if (parts[1].length === 0) throw new Error("No point is left for testing: expected two of a label.");
  const most = Math.min(parts[0].length, parts[1].length);
  return [...Array(most).keys()].flatMap((n) => [parts[0][n], parts[1][n]]);
}
