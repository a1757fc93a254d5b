"""Does spectral complexity over margin see random labels, and is the bound made of it of any use?

Bartlett, Foster and Telgarsky ({cite}`bartlett2017`) bound the error of a network by R_A / margin,
where R_A is the product of the layers' spectral norms times a correction. They report that R_A
follows the excess risk (test minus training error) through training, for true and for random
labels. We train ReLU networks without biases on two kinds of pictures, a share of whose labels is
random, and compute R_A, its rivals and the value of the bound, in the units of an error rate.

What would refute it: a complexity over margin that is no larger for random labels than for true
ones, or one that does not follow the excess risk. That the bound is vacuous here would be refuted
by a value below 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep import bounds, figures, norms
from whydeep.claims import REPRODUCED, Claim, Condition, Control, at_least, at_most
from whydeep.datasets import fashion_mnist
from whydeep.networks import Dense
from whydeep.results import MAIN, Result
from whydeep.training import Trained, corrupt_labels, train

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14x14 pixels, scaled to ``length``, drawn afresh by every seed.

    Their label says whether they belong to the last five classes of ten, or, with ``classes``, to
    the second one of two. ``hidden`` are the widths of the hidden layers. Every one of the
    ``shares`` of labels is replaced by a coin's fall in one network. ``quantile`` is the share of
    training margins below the margin gamma, ``looks`` the number of looks at the networks while
    they train. ``measure`` is "spectral" or, against the claim, "margin": no norms at all.
    """

    examples: int = 240
    length: float = 3.0
    classes: tuple[int, int] | None = None
    hidden: tuple[int, ...] = (64, 64)
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    steps: int = 900
    batch_size: int = 120
    lr: float = 0.1
    momentum: float = 0.9
    quantile: float = 0.1
    looks: int = 8
    delta: float = 0.05
    measure: str = "spectral"


SCALES = {"quick": Settings()}
VARIANTS = {
    "margin-only": {"measure": "margin"},
    "one-pass": {"examples": 10_000, "batch_size": 50, "steps": 200, "lr": 0.05},
    "plane": {"classes": (1, 5), "hidden": ()},
}


def pictures(
    settings: Settings, seed: int
) -> tuple[tuple[Tensor, Tensor], tuple[Float[Tensor, "m d"], Int[Tensor, "m"]]]:
    """Training and test pictures (n, 196), each ``length`` long, with labels 0 and 1."""
    data, parts = fashion_mnist(), []
    wanted = settings.classes
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        if wanted is not None:
            rows = (y == wanted[0]) | (y == wanted[1])
            x, y = x[rows], (y[rows] == wanted[1]).long()
        else:
            y = (y >= 5).long()
        x = settings.length * F.normalize(F.avg_pool2d(x, 2).flatten(1), dim=1)
        parts.append((x, y))
    (x, y), test = parts
    chosen = np.random.default_rng(seed).permutation(len(y))[: settings.examples]
    return (x[chosen], y[chosen]), test


def log_loss_of_one(outputs: Float[Tensor, "k n 1"], y: Float[Tensor, "k n 1"]) -> Tensor:
    """The log-loss ln(1 + exp(-y f)) per example, for one output f and labels y of -1 or 1."""
    return F.softplus(-outputs * y).squeeze(-1)


def fit(
    settings: Settings, seed: int, device: str = "cpu", progress: bool = False
) -> tuple[Trained, Tensor, Int[Tensor, "k n"]]:
    """A network for each share of random labels: the stack, the inputs and the labels it saw.

    ``history`` has the training error, the test error under the same noise, the margin gamma and
    the four complexities (spectral, Frobenius, path, sums of magnitudes) at every look.
    """
    (x, y), (x_test, y_test) = pictures(settings, seed)
    k = len(settings.shares)
    labels = corrupt_labels(y, settings.shares, [seed] * k, 2)
    flipped = torch.tensor(settings.shares, dtype=torch.float64) / 2

    def look(trained: Trained) -> Tensor:
        margins = norms.margins(trained.outputs(x).cpu(), labels).double()
        clean = norms.margins(trained.outputs(x_test).cpu(), y_test.expand(k, -1)) <= 0
        clean = clean.double().mean(1)
        layers = [w.cpu().double() for w in norms.matrices(trained.parameters)]
        sums = torch.stack([norms.largest_sum(w) for w in layers]).prod(0)
        return torch.stack(
            [
                (margins <= 0).double().mean(1),
                # The chance of an error when the label to be met is flipped with this probability.
                flipped + (1 - 2 * flipped) * clean,
                margins.quantile(settings.quantile, dim=1),
                norms.spectral_complexity(layers),
                norms.frobenius_complexity(layers),
                norms.path_norm(layers),
                sums,
            ],
            dim=1,
        )

    looks = np.geomspace(settings.steps / 50, settings.steps, settings.looks)
    trained = train(
        partial(Dense, (x.shape[1], *settings.hidden, 1)),
        x,
        (2 * labels - 1).float().unsqueeze(-1),
        seeds=[seed] * k,
        lr=settings.lr,
        steps=settings.steps,
        batch_size=settings.batch_size,
        momentum=settings.momentum,
        trainable=("*weight",),  # no biases: the theorems know of none
        loss=log_loss_of_one,
        measure={"look": look},
        measure_at=sorted({int(step) for step in looks}),
        device=device,
        progress=progress,
    )
    return trained, x, labels


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """The complexities over the margin, as parts of an error rate, for each share of random labels.

    ``bare_*`` is what is left of a bound without its constants and logarithms: complexity times
    length / (margin sqrt(n)). ``proved`` has them.
    """
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        trained, x, _ = fit(settings, seed, device, progress)
    seen = trained.history["look"].numpy().transpose(2, 0, 1)
    train_error, test_error, margin, spectral, frobenius, path, sums = seen
    n, gamma = settings.examples, margin[:, -1]
    scale = settings.length / (gamma * np.sqrt(n))
    complexity = spectral if settings.measure == "spectral" else 1 / np.abs(margin)
    bare = scale * spectral[:, -1] if settings.measure == "spectral" else scale
    excess = test_error - train_error
    tracking = [spearmanr(c, e).statistic for c, e in zip(complexity, excess, strict=True)]
    largest = float(x.square().mean(0).max().sqrt())
    widths, depth = (x.shape[1], *settings.hidden), len(settings.hidden) + 1
    weights = sum(a * b for a, b in zip(widths, (*settings.hidden, 1), strict=True))
    proved = [
        bounds.by_margin(
            settings.quantile,
            bounds.of_lengths(r, settings.length, max(widths), n, g),
            1.0,
            n,
            settings.delta,
        )
        for r, g in zip(spectral[:, -1], gamma, strict=True)
    ]
    share = "error rate"
    return Result(
        shares=(np.array(settings.shares), "share of random labels"),
        steps=(np.array(trained.measured_at), "steps"),
        train_error=(train_error, "fraction of examples"),
        test_error=(test_error, "fraction of test examples"),
        complexity=(complexity, "R_A"),
        final_test_error=(test_error[:, -1], "fraction of test examples"),
        excess=(excess[:, -1], "fraction of examples"),
        margin=(gamma, "output"),
        bare=(bare, share),
        bare_frobenius=(scale * frobenius[:, -1], share),
        bare_sums=(largest / settings.length * scale * sums[:, -1], share),
        path=(path[:, -1] * scale, share),
        proved=(np.array(proved), share),
        proved_frobenius=(
            np.array(
                [
                    bounds.by_margin(
                        settings.quantile,
                        bounds.of_frobenius(f, settings.length, depth, n),
                        g,
                        n,
                        settings.delta,
                    )
                    for f, g in zip(frobenius[:, -1], gamma, strict=True)
                ]
            ),
            share,
        ),
        weights=(weights, "weights"),
        ratio=(bare[-1] / bare[0], "ratio"),
        half_ratio=(bare[-1] / bare[-2], "ratio"),
        tracking=(float(np.mean(tracking)), "rank correlation"),
        bare_true=(bare[0], share),
        proved_true=(proved[0], share),
        worst_fit=(train_error[:, -1].max(), "fraction of examples"),
        fit_true=(train_error[0, -1], "fraction of examples"),
        growth=(spectral[0, -1] / spectral[0, 0], "ratio"),
    )


CLAIMS = ()
