// The engine's data: points drawn around shapes, or given; replaced labels; what a network sees of them.

import { keyOf, normals, uniform } from "./chance.js";

// Where a point of label y lies, from two numbers in [0, 1); the spread is added afterwards.
const SETS = {
  rings: (y, u, v) => {
    const radius = y < 0 ? 1.1 * Math.sqrt(u) : 1.7 + 0.6 * u;
    return [radius * Math.cos(2 * Math.PI * v), radius * Math.sin(2 * Math.PI * v)];
  },
  moons: (y, u) => (y < 0
    ? [1.4 * Math.cos(Math.PI * u) - 0.7, 1.6 * Math.sin(Math.PI * u) - 0.5]
    : [0.7 - 1.4 * Math.cos(Math.PI * u), 0.5 - 1.6 * Math.sin(Math.PI * u)]),
  spirals: (y, u) => {
    const [radius, angle] = [0.2 + 2.2 * u, 7.5 * u + (y < 0 ? 0 : Math.PI)];
    return [radius * Math.cos(angle), radius * Math.sin(angle)];
  },
  xor: (y, u, v) => {
    const x = u < 0.5 ? 4.4 * u - 2.3 : 4.4 * u - 2.1;
    return [x, (0.1 + 2.2 * v) * y * Math.sign(x)];
  },
  blobs: (y) => [1.1 * y, 0.9 * y],
};

/** `count` points, labels -1 and 1 in turn: {x: pairs one after the other, y: labels}. */
export function points({ data, spread, seed }, use, count) {
  const key = keyOf(seed, use);
  const [x, y] = [new Float64Array(2 * count), new Float64Array(count)];
  for (let n = 0; n < count; n += 1) {
    y[n] = n % 2 ? 1 : -1;
    const place = SETS[data](y[n], uniform(key, 4 * n), uniform(key, 4 * n + 1));
    const moved = normals(uniform(key, 4 * n + 2), uniform(key, 4 * n + 3));
    x[2 * n] = place[0] + spread * moved[0];
    x[2 * n + 1] = place[1] + spread * moved[1];
  }
  return { x, y };
}

/** The training and test set of some settings; `given` are the points of sets that are not drawn,
 *  [x1, x2, label] each, of which every second one is for training. Also which labels are wrong. */
export function dataOf(settings, given) {
  let [train, test] = [null, null];
  if (SETS[settings.data]) {
    train = points(settings, "train", settings.examples);
    test = points(settings, "test", 250);
  } else {
    [train, test] = [0, 1].map((part) => {
      const rows = given.filter((_, n) => n % 2 === part).slice(0, part ? 250 : settings.examples);
      return {
        x: Float64Array.from(rows.flatMap(([a, b]) => [a, b])),
        y: Float64Array.from(rows.map(([, , label]) => label)),
      };
    });
  }
  const key = keyOf(settings.seed, "noise");
  const wrong = new Uint8Array(train.y.length);
  for (let n = 0; n < train.y.length; n += 1) {
    if (uniform(key, 2 * n) < settings.label_noise) {
      const label = uniform(key, 2 * n + 1) < 0.5 ? -1 : 1;
      wrong[n] = label === train.y[n] ? 0 : 1;
      train.y[n] = label;
    }
  }
  return { train, test, wrong };
}

/** What the first layer sees of points given as pairs: the pairs, or with products of them. */
export function inputsOf(kind, x) {
  if (kind === "plain") return x;
  const n = x.length / 2;
  const wide = new Float64Array(5 * n);
  for (let i = 0; i < n; i += 1) {
    const [a, b] = [x[2 * i], x[2 * i + 1]];
    wide.set([a, b, a * a, b * b, a * b], 5 * i);
  }
  return wide;
}
