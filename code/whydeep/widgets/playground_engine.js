// The Playground's engine: chance, data, and small dense networks trained by SGD, on typed arrays.
// One function that needs nothing from outside, so that its text makes a Web Worker as it stands.
// playground_torch.py says the same in PyTorch; the tests hold both to each other over 200 steps.

function playgroundEngine() {
  "use strict";

  // ------------------------------------------------------------------------------------ chance

  const GOLDEN = 0x9e3779b9; // 2^32 divided by the golden ratio, an odd number
  const USES = ["train", "test", "noise", "init", "order", "dropout"]; // a new one goes to the end

  /** The finaliser of MurmurHash3 on 32 bits (Appleby 2011). */
  function mix(z) {
    z ^= z >>> 16;
    z = Math.imul(z, 0x85ebca6b);
    z ^= z >>> 13;
    z = Math.imul(z, 0xc2b2ae35);
    return (z ^ (z >>> 16)) >>> 0;
  }

  /** Where the numbers for one use of chance begin, so that a change in one leaves others alone. */
  function keyOf(seed, use) {
    return mix(mix(seed) + Math.imul(USES.indexOf(use) + 1, GOLDEN));
  }

  /** Number `i` of a key, in [0, 1): SplitMix (Steele, Lea and Flood 2014) on 32 bits, where a number
   *  depends on its place only and not on those before it. */
  function uniform(key, i) {
    return mix(key + Math.imul(i + 1, GOLDEN)) / 4294967296;
  }

  /** Box and Muller (1958) from two numbers in [0, 1). */
  function normals(u, v) {
    const radius = Math.sqrt(-2 * Math.log(1 - u));
    return [radius * Math.cos(2 * Math.PI * v), radius * Math.sin(2 * Math.PI * v)];
  }

  // -------------------------------------------------------------------------------------- data

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
  function points({ data, spread, seed }, use, count) {
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
  function dataOf(settings, given) {
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
  function inputsOf(kind, x) {
    if (kind === "plain") return x;
    const n = x.length / 2;
    const wide = new Float64Array(5 * n);
    for (let i = 0; i < n; i += 1) {
      const [a, b] = [x[2 * i], x[2 * i + 1]];
      wide.set([a, b, a * a, b * b, a * b], 5 * i);
    }
    return wide;
  }

  // ----------------------------------------------------------------------------------- network

  const ACTIVATIONS = { linear: 0, relu: 1, tanh: 2, sigmoid: 3 };

  /** Sizes and places of a network: per layer, `weights` (units x inputs, then the biases) begin at
   *  `at` among all parameters, and its units at `unit` among all units, inputs included. */
  function shapeOf(settings) {
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
  function initial(shape, activation, seed) {
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
  function forward(shape, weights, kind, values, slopes, masks) {
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
  function softplus(m) {
    return m > 0 ? Math.log1p(Math.exp(-m)) : Math.log1p(Math.exp(m)) - m;
  }

  function lossOf(name, output, label) {
    return name === "log" ? softplus(label * output) : (output - label) * (output - label);
  }

  /** Adds the gradient of the mean loss over `rows` to `gradient`; returns that mean loss. */
  function backward(net, rows, gradient) {
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
  function network(settings, data, seed) {
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
  function takeStep(net, step) {
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

  /** Mean loss and share of wrong answers over a set, without dropout. */
  function measure(net, { x, y }) {
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
  function maps(settings, weights, x) {
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
  function sizes(shape, numbers) {
    return shape.layers.map(({ inputs, units, at }) => {
      let square = 0;
      for (let k = at; k < at + inputs * units; k += 1) square += numbers[k] * numbers[k];
      return Math.sqrt(square / (inputs * units));
    });
  }

  // --------------------------------------------------------------------------------------- run

  /** Networks of one setting and several seeds, on the same examples. */
  function run(settings, given) {
    const own = { ...settings };
    const { train, test } = dataOf(own, given);
    const [inside, outside] = [train, test].map(({ x, y }) => (
      { x: inputsOf(own.inputs, x), y }
    ));
    const nets = [...Array(own.seeds).keys()].map((s) => network(own, inside, own.seed + s));
    const state = { step: 0, dead: false, changes: [] };

    function step() {
      if (state.dead) return;
      for (const net of nets) takeStep(net, state.step);
      state.step += 1;
    }

    /** What is kept of a moment: losses and errors of all, and the first network itself. */
    function look() {
      const found = nets.map((net) => [measure(net, inside), measure(net, outside)]);
      const numbers = (part, what) => found.map((pair) => pair[part][what]);
      const { shape, weights, gradient } = nets[0];
      const moment = {
        step: state.step,
        epoch: state.step ? nets[0].drawn / (train.y.length - 1) - 1 + nets[0].at / train.y.length : 0,
        train: numbers(0, "loss"), test: numbers(1, "loss"),
        trainError: numbers(0, "error"), testError: numbers(1, "error"),
        weights: weights.slice(),
        weightSizes: sizes(shape, weights),
        gradientSizes: state.step ? sizes(shape, gradient) : null,
      };
      if (!moment.train.some((loss) => loss < 1e6)) state.dead = true;
      return moment;
    }

    function set(name, value) {
      own[name] = value;
      state.changes.push([state.step, name, value]);
    }

    return { settings: own, nets, state, step, look, set };
  }

  /** Moments are kept at every step at first, then ever further apart. */
  function nextMoment(step) {
    return step + Math.max(1, Math.floor(step / 40));
  }

  /** Why training may stop, judged by what was kept: "" to go on. A loss at rest is one whose mean over
   *  the last quarter of the steps is within 0.3% of that over the quarter before. */
  function verdict(moments) {
    const now = moments[moments.length - 1];
    const mean = ({ train }) => train.reduce((sum, loss) => sum + loss, 0) / train.length;
    if (!now.train.some((loss) => loss < 1e6)) return "diverged";
    if (mean(now) < 1e-4) return "fitted";
    if (now.step < 3000) return "";
    const over = (from, to) => {
      const kept = moments.filter(({ step }) => step > from * now.step && step <= to * now.step);
      return kept.reduce((sum, moment) => sum + mean(moment), 0) / kept.length;
    };
    const [before, after] = [over(0.5, 0.75), over(0.75, 1)];
    return Math.abs(before - after) < 0.003 * before ? "at rest" : "";
  }

  // ------------------------------------------------------------------------------------ worker

  /** Answers messages: start, go, pause, step, set, ack. Every answer is a `frame` with what has been
   *  kept since the last; the next one waits for its `ack`, so that a busy page is never swamped. */
  function core(post, clock, later) {
    let [runs, id, kept, fresh] = [[], 0, [], []];
    let [going, speed, stopAt, target] = [false, Infinity, 0, 0];
    let [due, waiting, posted, began, beganAt] = [0, false, 0, 0, 0];
    let [reason, ignore, rate, scheduled] = ["", 0, 0, false];

    const step = () => (runs.length ? Math.max(...runs.map(({ state }) => state.step)) : 0);

    function keep() {
      runs.forEach((one, r) => {
        if (one.state.dead) return;
        const moment = one.look();
        kept[r].push(moment);
        fresh[r].push(moment);
      });
      due = nextMoment(step());
    }

    function send() {
      waiting = true;
      posted = clock();
      post({
        type: "frame", id, step: step(), moments: fresh, going, reason, rate,
        now: runs.map((one, r) => (
          kept[r][kept[r].length - 1].step === one.state.step ? null : one.look())),
        changes: runs.map(({ state }) => state.changes),
      });
      fresh = runs.map(() => []);
    }

    function halt(why) {
      going = false;
      reason = why;
    }

    function forwardTo(end, until) {
      while (step() < end && clock() < until) {
        for (const one of runs) one.step();
        if (step() >= due) {
          keep();
          const found = kept.map(verdict);
          if (found.every((why) => why) && (step() >= ignore || found.includes("diverged"))) {
            halt(found[0] === found[1] || found.length === 1 ? found[0] : found.join(" and "));
            return;
          }
        }
        if (stopAt && step() === stopAt) {
          halt("asked");
          return;
        }
      }
    }

    function schedule(wait) {
      if (scheduled) return;
      scheduled = true;
      later(slice, wait);
    }

    function slice() {
      scheduled = false;
      if (!going) return;
      const now = clock();
      target = beganAt + (speed * (now - began)) / 1000;
      // What was missed while the machine was busy is not made up for in a burst.
      if (target > step() + speed) [began, beganAt, target] = [now, step(), step() + 1];
      forwardTo(target, now + 12);
      if (now > began + 300) rate = ((step() - beganAt) / (clock() - began)) * 1000;
      if (!going || (!waiting && clock() - posted > 30)) send();
      schedule(step() < target ? 0 : 8);
    }

    return (message) => {
      if (message.type === "start") {
        ({ id } = message);
        runs = message.runs.map(({ settings, given }) => run(settings, given));
        [kept, fresh] = [runs.map(() => []), runs.map(() => [])];
        [going, due, reason, rate, ignore] = [false, 0, "", 0, 0];
        keep();
        send();
      } else if (message.type === "go") {
        // Who goes on after a stop wants to see more: half as many steps again before the next.
        if (reason && reason !== "paused") ignore = 1.5 * step();
        [speed, stopAt] = [message.speed || Infinity, message.stopAt > step() ? message.stopAt : 0];
        [going, reason, began, beganAt] = [true, "", clock(), step()];
        schedule(0);
      } else if (message.type === "pause") {
        if (going) halt("paused");
        rate = 0;
        send();
      } else if (message.type === "step") {
        halt("paused");
        for (let n = 0; n < message.count; n += 1) forwardTo(step() + 1, Infinity);
        send();
      } else if (message.type === "set") {
        for (const { at, name, value } of message.changes) runs[at].set(name, value);
        if (!going) send();
      } else if (message.type === "ack") {
        waiting = false;
      }
    };
  }

  return {
    mix, keyOf, uniform, points, dataOf, inputsOf, shapeOf, initial, network, backward, takeStep,
    measure, maps, run, nextMoment, verdict, core,
  };
}
