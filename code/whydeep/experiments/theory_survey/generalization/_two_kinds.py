"""Pictures of two kinds, and ReLU networks without biases that learn them with random labels.

What `spectral_margin` and `size_free_complexity` measure, and the loss of `certificates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.datasets.labels import corrupt_labels
from whydeep.descent import SGD, Trained, train
from whydeep.labs import bounds, norms
from whydeep.networks import Dense


@dataclass(frozen=True)
class Networks:
    """``examples`` pictures of 14x14 pixels, scaled to ``length``, drawn afresh by every seed.

    Their label says whether they belong to the last five classes of ten, or, with ``classes``, to
    the second one of two. ``hidden`` are the widths of the hidden layers. Every one of the
    ``shares`` of labels is replaced by a coin's fall in one network. ``quantile`` is the share of
    training margins below the margin gamma, ``looks`` the number of looks at the networks while
    they train; a bound fails with probability ``delta`` at most.
    """

    examples: int = 240
    length: float = 3.0
    classes: tuple[int, int] | None = None
    hidden: tuple[int, ...] = (64, 64)
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    quantile: float = 0.1
    looks: int = 8
    delta: float = 0.05
    sgd: SGD = SGD(lr=0.1, epochs=450, batch=120, momentum=0.9)


@dataclass(frozen=True)
class Fits:
    """What `fit` saw: all but ``steps`` and ``largest`` are (looks, shares), the end last.

    Training error, test error under the same noise, the margin gamma, the three complexities; and
    the largest root mean square of a pixel.
    """

    steps: Int[np.ndarray, " looks"]
    train_error: Float[np.ndarray, "looks shares"]
    test_error: Float[np.ndarray, "looks shares"]
    margin: Float[np.ndarray, "looks shares"]
    spectral: Float[np.ndarray, "looks shares"]
    frobenius: Float[np.ndarray, "looks shares"]
    sums: Float[np.ndarray, "looks shares"]
    largest: float


def pictures(
    examples: int, length: float, classes: tuple[int, int] | None, chance: Chance
) -> tuple[tuple[Tensor, Tensor], tuple[Float[Tensor, "m d"], Int[Tensor, " m"]]]:
    """Training and test pictures (n, 196), each ``length`` long, with labels 0 and 1."""
    data, parts = fashion_mnist(), []
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        if classes is not None:
            rows = (y == classes[0]) | (y == classes[1])
            x, y = x[rows], (y[rows] == classes[1]).long()
        else:
            y = (y >= 5).long()
        parts.append((length * F.normalize(F.avg_pool2d(x, 2).flatten(1), dim=1), y))
    (x, y), test = parts
    chosen = chance.numpy().permutation(len(y))[:examples]
    return (x[chosen], y[chosen]), test


def log_loss_of_one(outputs: Float[Tensor, "k n 1"], y: Float[Tensor, "k n 1"]) -> Tensor:
    """The log-loss ln(1 + exp(-y f)) per example, for one output f and labels y of -1 or 1."""
    return F.softplus(-outputs * y).squeeze(-1)


def fit(settings: Networks, chance: Chance) -> Fits:
    """A network for each share of random labels, looked at while it learns."""
    sgd, shares = settings.sgd, settings.shares
    (x, y), (x_test, y_test) = pictures(
        settings.examples, settings.length, settings.classes, chance
    )
    k = len(shares)
    labels = corrupt_labels(y, shares, [chance] * k, 2)
    flipped = torch.tensor(shares, dtype=torch.float64) / 2

    def look(trained: Trained) -> Float[Tensor, "k 6"]:
        margins = norms.margins(trained.outputs(x).cpu(), labels).double()
        clean = norms.margins(trained.outputs(x_test).cpu(), y_test.expand(k, -1)) <= 0
        clean = clean.double().mean(1)
        layers = [w.cpu().double() for w in norms.matrices(trained.parameters)]
        seen = (
            (margins <= 0).double().mean(1),
            # The chance of an error when the label to be met is flipped with this probability.
            flipped + (1 - 2 * flipped) * clean,
            margins.quantile(settings.quantile, dim=1),
            norms.spectral_complexity(layers),
            norms.frobenius_complexity(layers),
            torch.stack([norms.largest_sum(w) for w in layers]).prod(0),
        )
        return torch.stack(seen, dim=1)

    steps = sgd.epochs * -(-settings.examples // sgd.batch)
    trained = train(
        partial(Dense, (x.shape[1], *settings.hidden, 1)),
        x,
        (2 * labels - 1).float().unsqueeze(-1),
        seeds=[chance] * k,
        lr=sgd.lr,
        steps=steps,
        batch_size=sgd.batch,
        momentum=sgd.momentum,
        trainable=("*weight",),  # no biases: the theorems know of none
        loss=log_loss_of_one,
        measure={"look": look},
        measure_at=sorted({int(step) for step in np.geomspace(steps / 50, steps, settings.looks)}),
        device=device.current(),
    )
    seen = trained.history["look"].numpy().transpose(2, 1, 0)
    largest = float(x.square().mean(0).max().sqrt())
    return Fits(np.array(trained.measured_at), *seen, largest)  # pyright: ignore[reportCallIssue]


def by_frobenius(
    found: Fits, settings: Networks
) -> tuple[Float[np.ndarray, " shares"], Float[np.ndarray, " shares"]]:
    """The bound by the layers' Frobenius norms after training: bare, without constants and
    logarithms, and as proved."""
    n, gamma, frobenius = settings.examples, found.margin[-1], found.frobenius[-1]
    bare = settings.length / (gamma * np.sqrt(n)) * frobenius
    proved = [
        bounds.by_margin(
            settings.quantile,
            bounds.of_frobenius(f, settings.length, len(settings.hidden) + 1, n),
            g,
            n,
            settings.delta,
        )
        for f, g in zip(frobenius, gamma, strict=True)
    ]
    return bare, np.array(proved)
