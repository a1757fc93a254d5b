// Gradients by hand, and steps of SGD with momentum, dropout, weight decay and a bound on the norms.

import { keyOf, uniform } from "./chance.js";
import { ACTIVATIONS, forward, initial, shapeOf, softplus } from "./network.js";

/** Adds the gradient of the mean loss over `rows` to `gradient`; returns that mean loss. */
export function backward(net, rows, gradient) {
  const { shape, settings, weights, values, slopes, deltas } = net;
  const { layers } = shape;
  const last = layers.length - 1;
  const kind = ACTIVATIONS[settings.activation];
  const { x, y } = net.data;
  const width = shape.sizes[0];
  const { dropout } = settings;
  const masks = dropout > 0 ? net.masks : null;
  const log = settings.loss === "log";
  let total = 0;
  for (let n = 0; n < rows.length; n += 1) {
    const row = rows[n];
    for (let i = 0; i < width; i += 1) values[i] = x[row * width + i];
    if (masks !== null) {
      for (let h = 0; h < shape.hidden; h += 1, net.dropped += 1) {
        masks[h] = uniform(net.dropKey, net.dropped) < dropout ? 0 : 1 / (1 - dropout);
      }
    }
    const output = forward(shape, weights, kind, values, slopes, masks);
    const label = y[row];
    total += log ? softplus(label * output) : (output - label) * (output - label);
    deltas[layers[last].unit] = (log
      ? -label / (1 + Math.exp(label * output)) : 2 * (output - label)) / rows.length;
    for (let l = last; l >= 0; l -= 1) {
      const { inputs, units, at, unit, from } = layers[l];
      const bias = at + inputs * units;
      let k = at;
      if (l > 0) for (let i = 0; i < inputs; i += 1) deltas[from + i] = 0;
      for (let j = 0; j < units; j += 1) {
        const delta = deltas[unit + j];
        if (delta === 0) { k += inputs; continue; }
        gradient[bias + j] += delta;
        if (l === 0) {
          for (let i = 0; i < inputs; i += 1, k += 1) gradient[k] += delta * values[i];
          continue;
        }
        let i = 0;
        for (; i + 1 < inputs; i += 2, k += 2) {
          gradient[k] += delta * values[from + i];
          gradient[k + 1] += delta * values[from + i + 1];
          deltas[from + i] += delta * weights[k];
          deltas[from + i + 1] += delta * weights[k + 1];
        }
        if (i < inputs) {
          gradient[k] += delta * values[from + i];
          deltas[from + i] += delta * weights[k];
          k += 1;
        }
      }
      if (l > 0) for (let i = 0; i < inputs; i += 1) deltas[from + i] *= slopes[from + i];
    }
  }
  return total / rows.length;
}

/** One network in training: weights, velocity, the order of its examples, the masks it draws. */
export function network(settings, data, seed) {
  const shape = shapeOf(settings);
  return {
    settings, shape, data,
    weights: initial(shape, settings.activation, seed),
    gradient: new Float64Array(shape.parameters),
    velocity: new Float64Array(shape.parameters),
    values: new Float64Array(shape.units),
    slopes: new Float64Array(shape.units),
    deltas: new Float64Array(shape.units),
    masks: new Float64Array(shape.hidden),
    order: new Int32Array(data.y.length),
    at: data.y.length, // nothing is left of the epoch before the first
    drawn: 0,
    dropped: 0,
    orderKey: keyOf(seed, "order"),
    dropKey: keyOf(seed, "dropout"),
  };
}

/** The rows of the next batch; an epoch takes all examples in a new order (Fisher and Yates). */
function nextBatch(net) {
  const { order } = net;
  const n = order.length;
  if (net.at >= n) {
    for (let i = 0; i < n; i += 1) order[i] = i;
    for (let i = n - 1; i > 0; i -= 1, net.drawn += 1) {
      const j = Math.floor(uniform(net.orderKey, net.drawn) * (i + 1));
      const kept = order[i];
      order[i] = order[j];
      order[j] = kept;
    }
    net.at = 0;
  }
  const rows = order.subarray(net.at, Math.min(n, net.at + (net.settings.batch_size || n)));
  net.at += rows.length;
  return rows;
}

/** v <- momentum v + g + decay w;  w <- w - lr v;  then columns longer than max_norm are scaled back
 *  to it, the output's excepted. `step` counts from 0. */
export function takeStep(net, step) {
  const { weights, gradient, velocity, settings, shape } = net;
  const { momentum, weight_decay: decay, max_norm: bound, divide_at: divide } = settings;
  const rate = divide && step >= divide ? settings.lr / 10 : settings.lr;
  gradient.fill(0);
  backward(net, nextBatch(net), gradient);
  for (let k = 0; k < weights.length; k += 1) {
    velocity[k] = momentum * velocity[k] + gradient[k] + decay * weights[k];
    weights[k] -= rate * velocity[k];
  }
  if (bound > 0) {
    for (let l = 0; l < shape.layers.length - 1; l += 1) {
      const { inputs, units, at } = shape.layers[l];
      for (let j = 0; j < units; j += 1) {
        const from = at + j * inputs;
        let square = 0;
        for (let k = from; k < from + inputs; k += 1) square += weights[k] * weights[k];
        const shrink = bound / Math.sqrt(square);
        if (shrink < 1) for (let k = from; k < from + inputs; k += 1) weights[k] *= shrink;
      }
    }
  }
}
