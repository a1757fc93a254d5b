// Small dense networks on typed arrays: sizes, first weights, values, losses. playground_torch.py says the
// same in PyTorch; the tests hold both to each other over 200 steps.

import { keyOf, normals, uniform } from "./chance.js";
import { inputsOf } from "./data.js";

export const ACTIVATIONS = { linear: 0, relu: 1, tanh: 2, sigmoid: 3 };

/** Sizes and places of a network: per layer, `weights` (units x inputs, then the biases) begin at
 *  `at` among all parameters, and its units at `unit` among all units, inputs included. */
export function shapeOf(settings) {
  const sizes = [settings.inputs === "plain" ? 2 : 5, ...settings.widths, 1];
  const layers = [];
  let [at, unit] = [0, 0];
  for (let l = 1; l < sizes.length; l += 1) {
    unit += sizes[l - 1];
    layers.push({ inputs: sizes[l - 1], units: sizes[l], at, unit, from: unit - sizes[l - 1] });
    at += sizes[l] * (sizes[l - 1] + 1);
  }
  const hidden = settings.widths.reduce((sum, width) => sum + width, 0);
  return { sizes, layers, parameters: at, units: unit + 1, hidden };
}

/** Weights from N(0, gain / inputs), gain 2 where a ReLU drops half (He et al. 2015); biases 0. */
export function initial(shape, activation, seed) {
  const key = keyOf(seed, "init");
  const weights = new Float64Array(shape.parameters);
  let drawn = 0;
  shape.layers.forEach(({ inputs, units, at }, l) => {
    const gain = activation === "relu" && l < shape.layers.length - 1 ? 2 : 1;
    for (let k = 0; k < inputs * units; k += 1, drawn += 2) {
      const [z] = normals(uniform(key, drawn), uniform(key, drawn + 1));
      weights[at + k] = Math.sqrt(gain / inputs) * z;
    }
  });
  return weights;
}

/** One example through the network. `values` holds its inputs and gets every unit's value; `slopes`,
 *  where given, gets the derivative of each hidden unit's value by what it sums, and `masks` are what
 *  dropout multiplies hidden units with. Returns the output. */
export function forward(shape, weights, kind, values, slopes, masks) {
  const { layers } = shape;
  const last = layers.length - 1;
  let h = 0;
  for (let l = 0; l <= last; l += 1) {
    const { inputs, units, at, unit, from } = layers[l];
    let k = at;
    const bias = at + inputs * units;
    for (let j = 0; j < units; j += 1) {
      let sum = weights[bias + j];
      let i = 0;
      for (; i + 3 < inputs; i += 4, k += 4) {
        sum += weights[k] * values[from + i] + weights[k + 1] * values[from + i + 1]
          + weights[k + 2] * values[from + i + 2] + weights[k + 3] * values[from + i + 3];
      }
      for (; i < inputs; i += 1, k += 1) sum += weights[k] * values[from + i];
      if (l === last) return sum;
      let value = sum;
      let slope = 1;
      if (kind === 1) {
        if (!(sum > 0)) { value = sum === sum ? 0 : sum; slope = 0; }
      } else if (kind === 2) {
        value = 1 - 2 / (Math.exp(2 * sum) + 1); // tanh, at a third of the cost of Math.tanh
        slope = 1 - value * value;
      } else if (kind === 3) {
        value = 1 / (1 + Math.exp(-sum));
        slope = value * (1 - value);
      }
      if (masks !== null) {
        value *= masks[h];
        slope *= masks[h];
        h += 1;
      }
      values[unit + j] = value;
      if (slopes !== null) slopes[unit + j] = slope;
    }
  }
  return NaN;
}

/** log(1 + exp(-m)) without overflow: the log-loss of margin m. */
export function softplus(m) {
  return m > 0 ? Math.log1p(Math.exp(-m)) : Math.log1p(Math.exp(m)) - m;
}

function lossOf(name, output, label) {
  return name === "log" ? softplus(label * output) : (output - label) * (output - label);
}

/** Mean loss and share of wrong answers over a set, without dropout. */
export function measure(net, { x, y }) {
  const { shape, settings, weights, values } = net;
  const kind = ACTIVATIONS[settings.activation];
  const width = shape.sizes[0];
  let [loss, wrong] = [0, 0];
  for (let n = 0; n < y.length; n += 1) {
    for (let i = 0; i < width; i += 1) values[i] = x[n * width + i];
    const output = forward(shape, weights, kind, values, null, null);
    loss += lossOf(settings.loss, output, y[n]);
    if (!(output * y[n] > 0)) wrong += 1;
  }
  return { loss: loss / y.length, error: wrong / y.length };
}

/** Every unit's value, inputs and output included, at each of the points x (pairs): one row of
 *  points a unit. */
export function maps(settings, weights, x) {
  const shape = shapeOf(settings);
  const kind = ACTIVATIONS[settings.activation];
  const inputs = inputsOf(settings.inputs, x);
  const width = shape.sizes[0];
  const count = x.length / 2;
  const values = new Float64Array(shape.units);
  const found = new Float64Array(shape.units * count);
  for (let n = 0; n < count; n += 1) {
    for (let i = 0; i < width; i += 1) values[i] = inputs[n * width + i];
    values[shape.units - 1] = forward(shape, weights, kind, values, null, null);
    for (let u = 0; u < shape.units; u += 1) found[u * count + n] = values[u];
  }
  return found;
}

/** Per layer, the root mean square of its weights (not the biases) in `numbers`. */
export function sizes(shape, numbers) {
  return shape.layers.map(({ inputs, units, at }) => {
    let square = 0;
    for (let k = at; k < at + inputs * units; k += 1) square += numbers[k] * numbers[k];
    return Math.sqrt(square / (inputs * units));
  });
}
