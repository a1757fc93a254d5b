// Numbers: read from a buffer, summed up, written as readers expect them, placed along an axis.

/** The values that whydeep.widgets.kit.quantise has coded; NaN for what is missing. */
export function unpack(view, { low, high, log = false, bits = 16 }) {
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
export function summary(numbers) {
  const finite = numbers.filter(Number.isFinite);
  const n = finite.length;
  // Equal numbers have no spread, whatever their mean is rounded to.
  if (n && finite.every((v) => v === finite[0])) return { n, mean: finite[0], sd: 0 };
  const mean = finite.reduce((sum, v) => sum + v, 0) / n;
  const sd = n > 1 ? Math.sqrt(finite.reduce((sum, v) => sum + (v - mean) ** 2, 0) / (n - 1)) : 0;
  return { n, mean, sd };
}

/** A number as a reader expects it: 1,000; 0.05; 1.2×10⁻⁶. */
export function format(value, decimals = null) {
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
export function spread({ n, mean, sd }) {
  if (n === 0) return "no value";
  if (sd === 0) return format(mean);
  if (Math.max(Math.abs(mean), sd) < 1e-3) return `${format(mean)} ± ${format(sd)}`;
  const decimals = Math.min(6, Math.max(0, 1 - Math.floor(Math.log10(sd))));
  return `${format(mean, decimals)} ± ${format(sd, decimals)}`;
}

/** A map from [low, high] to pixels [from, to], linear or logarithmic. */
export function scale(low, high, from, to, log = false) {
  const f = log ? Math.log10 : (v) => v;
  return (value) => from + ((to - from) * (f(value) - f(low))) / (f(high) - f(low) || 1);
}

/** About `count` round numbers within [low, high]; powers of ten, or their parts, if log. */
export function ticks(low, high, count, log = false) {
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
export function nearest({ values, log }, wanted) {
  const f = log ? (v) => Math.log(Math.max(v, Number.MIN_VALUE)) : (v) => v;
  const distance = values.map((v) => Math.abs(f(v) - f(wanted)));
  return distance.indexOf(Math.min(...distance));
}

export function withUnit(label, unit) {
  return unit ? `${label} (${unit})` : label;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

/** Rows of cells as CSV (RFC 4180). */
export function csv(rows) {
  const cell = (value) => (/[",\n]/.test(value) ? `"${String(value).replaceAll('"', '""')}"` : value);
  return rows.map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}
