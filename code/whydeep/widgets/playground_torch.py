"""The Playground's networks in PyTorch: what a kernel trains, and what "copy as PyTorch" hands out.

The modules in `playground/engine` say the same in JavaScript. A snippet is a reader's settings and
the parts of this file that they need: the lines "# [[ name" and "# ]]" mark the parts. So it stays
free of the rest of the package and is written to be read from top to bottom.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F

# [[ chance
# Every random number is a function of a seed, a use and its place: SplitMix (Steele, Lea and Flood
# 2014) on 32 bits, finished as in MurmurHash3. The page computes the same ones in JavaScript.
GOLDEN, MASK = 0x9E3779B9, 0xFFFFFFFF
USES = ("train", "test", "noise", "init", "order", "dropout")


def mix(z):
    """The finaliser of MurmurHash3 on 32 bits, for a number or an array of 64-bit integers."""
    z = z & MASK
    z = (z ^ (z >> 16)) * 0x85EBCA6B & MASK
    z = (z ^ (z >> 13)) * 0xC2B2AE35 & MASK
    return z ^ (z >> 16)


def uniforms(seed, use, start, count):
    """Numbers in [0, 1): those from place ``start`` on, as a float64 array (count,)."""
    key = mix(mix(seed) + (USES.index(use) + 1) * GOLDEN)
    places = np.arange(start + 1, start + count + 1, dtype=np.uint64) & np.uint64(MASK)
    return mix(np.uint64(key) + places * np.uint64(GOLDEN)) / 2.0**32


def normals(u, v):
    """Two arrays from N(0, 1), from two of uniform numbers (Box and Muller 1958)."""
    radius = np.sqrt(-2 * np.log(1 - u))
    return radius * np.cos(2 * math.pi * v), radius * np.sin(2 * math.pi * v)


# ]]
# [[ rings
def rings(y, u, v):
    """A disc within a ring."""
    radius = np.where(y < 0, 1.1 * np.sqrt(u), 1.7 + 0.6 * u)
    return radius * np.cos(2 * math.pi * v), radius * np.sin(2 * math.pi * v)


# ]]
# [[ moons
def moons(y, u, v):
    """Two half-moons, one into the other."""
    return -y * (1.4 * np.cos(math.pi * u) - 0.7), -y * (1.6 * np.sin(math.pi * u) - 0.5)


# ]]
# [[ spirals
def spirals(y, u, v):
    """Two arms of a spiral."""
    radius, angle = 0.2 + 2.2 * u, 7.5 * u + np.where(y < 0, 0, math.pi)
    return radius * np.cos(angle), radius * np.sin(angle)


# ]]
# [[ xor
def xor(y, u, v):
    """Four squares, opposite ones of one label."""
    x = np.where(u < 0.5, 4.4 * u - 2.3, 4.4 * u - 2.1)
    return x, (0.1 + 2.2 * v) * y * np.sign(x)


# ]]
# [[ blobs
def blobs(y, u, v):
    """Two clouds."""
    return 1.1 * y, 0.9 * y


# ]]
MAKERS = {maker.__name__: maker for maker in (rings, moons, spirals, xor, blobs)}


# [[ drawn
def draw(maker, settings, use, count):
    """``count`` points (count, 2) and their labels (count,), -1 and 1 in turn."""
    y = np.where(np.arange(count) % 2, 1.0, -1.0)
    u = uniforms(settings["seed"], use, 0, 4 * count).reshape(count, 4).T
    x = np.stack(maker(y, u[0], u[1])) + settings["spread"] * np.stack(normals(u[2], u[3]))
    return x.T, y


# ]]
# [[ training
def with_noise(y, settings):
    """Each label replaced, with probability ``label_noise``, by one drawn from both."""
    u = uniforms(settings["seed"], "noise", 0, 2 * len(y)).reshape(-1, 2)
    return np.where(u[:, 0] < settings["label_noise"], np.where(u[:, 1] < 0.5, -1.0, 1.0), y)


def inputs(x, settings):
    """What the first layer sees of points (n, 2): the points, or with products of them."""
    if settings["inputs"] == "products":
        a, b = x.T
        x = np.stack([a, b, a * a, b * b, a * b], axis=1)
    return torch.tensor(x)


ACTIVATIONS = {
    "linear": lambda z: z, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
}  # fmt: skip
LOSSES = {
    "log": lambda f, y: -F.logsigmoid(y * f).mean(),
    "squared": lambda f, y: (f - y).square().mean(),
}


class Training:
    """A network, and its way: W_l of shape (units, inputs) and biases, in float64.

    ``train`` and ``test`` are pairs of points (n, 2) and labels (n,) as arrays. ``settings`` may
    change on the way. ``seed`` gives the first weights, the order of the examples, the masks.
    """

    def __init__(self, settings, train, test, seed):
        self.settings, self.seed, self.steps = settings, seed, 0
        y = with_noise(train[1], settings)
        self.train = inputs(train[0], settings), torch.tensor(y)
        self.test = inputs(test[0], settings), torch.tensor(test[1])
        self.weights, self.biases, drawn = [], [], 0
        sizes = [self.train[0].shape[1], *settings["widths"], 1]
        for i, units in enumerate(sizes[1:]):
            hidden = i < len(sizes) - 2
            gain = 2 if settings["activation"] == "relu" and hidden else 1  # He et al. 2015
            u = uniforms(seed, "init", drawn, 2 * sizes[i] * units).reshape(-1, 2).T
            z = normals(u[0], u[1])[0].reshape(units, sizes[i])
            self.weights.append(torch.tensor(math.sqrt(gain / sizes[i]) * z))
            self.biases.append(torch.zeros(units, dtype=torch.float64))
            drawn += u.size
        self.parameters = [p for pair in zip(self.weights, self.biases, strict=True) for p in pair]
        self.velocity = [torch.zeros_like(p) for p in self.parameters]
        self.gradient = None
        self.order, self.drawn, self.dropped = [], 0, 0

    def __call__(self, x, masks=None):
        """The outputs (n,) for inputs (n, d); ``masks`` (n, hidden units) multiply the hidden."""
        activation, begin = ACTIVATIONS[self.settings["activation"]], 0
        for w, b in zip(self.weights[:-1], self.biases[:-1], strict=True):
            x = activation(x @ w.T + b)
            if masks is not None:
                x = x * masks[:, begin : begin + len(b)]
            begin += len(b)
        return (x @ self.weights[-1].T + self.biases[-1])[:, 0]

    def next_batch(self):
        """Rows of examples; an epoch takes all of them once, in a new order."""
        n = len(self.train[1])
        if not len(self.order):
            self.order = np.arange(n)
            u = uniforms(self.seed, "order", self.drawn, n - 1)
            for i, share in zip(range(n - 1, 0, -1), u, strict=True):
                j = int(share * (i + 1))  # Fisher and Yates
                self.order[[i, j]] = self.order[[j, i]]
            self.drawn += n - 1
        size = self.settings["batch_size"] or n
        rows, self.order = self.order[:size], self.order[size:]
        return rows

    def masks(self, n):
        """What dropout multiplies the hidden units with, for each of n examples."""
        rate, hidden = self.settings["dropout"], sum(self.settings["widths"])
        if rate == 0:
            return None
        u = uniforms(self.seed, "dropout", self.dropped, n * hidden).reshape(n, hidden)
        self.dropped += u.size
        return torch.tensor(np.where(u < rate, 0, 1 / (1 - rate)))

    def step(self):
        """v <- momentum v + g + weight_decay w;  w <- w - lr v;  then the bound on the norms."""
        s = self.settings
        lr = s["lr"] / 10 if s["divide_at"] and self.steps >= s["divide_at"] else s["lr"]
        rows = self.next_batch()
        x, y = self.train[0][rows], self.train[1][rows]
        for p in self.parameters:
            p.requires_grad_(True)
        loss = LOSSES[s["loss"]](self(x, self.masks(len(rows))), y)
        self.gradient = torch.autograd.grad(loss, self.parameters)
        for p, v, g in zip(self.parameters, self.velocity, self.gradient, strict=True):
            p.requires_grad_(False)
            v.mul_(s["momentum"]).add_(g).add_(p, alpha=s["weight_decay"])
            p.sub_(v, alpha=lr)
        if s["max_norm"]:
            for w in self.weights[:-1]:
                w.mul_((s["max_norm"] / w.norm(dim=1, keepdim=True)).clamp_max(1))
        self.steps += 1

    def loss(self, x, y):
        """The mean loss over a set, without dropout."""
        return float(LOSSES[self.settings["loss"]](self(x), y))


# ]]
