"""Does the error of a network follow the size of its weights or their number?

Bartlett ({cite}`bartlett1998`) bounds the error of a network that classifies its examples with a
margin by the sum of the magnitudes of each unit's weights; how many weights there are does not
enter. We give networks with one layer of tanh units, of several widths, output weights that meet
every training label exactly, with margin 1. There are many such weights. The shortest vector v_0 is
one; v_0 + z is another, if z leaves all training outputs as they are. Along z the size A of the
weights grows while their number, the margin and the training error stay.

What would refute it: networks whose test error does not go with A, or rises with their width. That
the bound is vacuous here would be refuted by a value below 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from whydeep import bounds, figures
from whydeep.claims import REPRODUCED, Claim, Condition, Control, at_least, at_most
from whydeep.datasets import fashion_mnist
from whydeep.results import MAIN, Result

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14x14 pixels (coarser by ``pool``) of two ``classes``, by each seed.

    Pictures have length 1 and hidden weights are normal with standard deviation ``scale``.
    ``widths`` are the numbers of hidden units; ``extra`` the lengths of z, as multiples of that of
    v_0. ``labels`` are "true" or "random". At most ``tests`` pictures are tested.
    """

    examples: int = 300
    classes: tuple[int, int] = (2, 4)
    labels: str = "true"
    widths: tuple[int, ...] = (400, 600, 900, 1400, 2100)
    extra: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    scale: float = 2.0
    tests: int = 1500
    pool: int = 1
    delta: float = 0.05


SCALES = {"quick": Settings()}
VARIANTS = {
    "random-labels": {"labels": "random"},
    "fewer-units": {"widths": (40, 80, 140, 200, 260)},
    "few-inputs": {"classes": (1, 7), "pool": 7, "examples": 2000, "widths": (4, 5, 6, 7, 8)},
}


def pictures(settings: Settings, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of the two classes, in random order (m, d), and labels -1 or 1."""
    data = fashion_mnist()
    x, y = torch.cat([data.train_x, data.test_x]), torch.cat([data.train_y, data.test_y])
    rows = (y == settings.classes[0]) | (y == settings.classes[1])
    x = F.avg_pool2d(x[rows], 2)
    if settings.pool > 1:
        x = F.avg_pool2d(x, settings.pool)
    x = F.normalize(x.flatten(1), dim=1).double().numpy()
    y = np.where(y[rows].numpy() == settings.classes[0], -1.0, 1.0)
    if settings.labels == "random":
        y = rng.choice([-1.0, 1.0], len(y))
    order = rng.permutation(len(y))
    return x[order], y[order]


def output_weights(
    phi: Float[np.ndarray, "n units"],
    y: Float[np.ndarray, "n"],
    extra: tuple[float, ...],
    rng: np.random.Generator,
) -> Float[np.ndarray, "units many"]:
    """The shortest least-squares weights v_0, and v_0 + z for each length in ``extra``.

    z is a random direction from which all that changes an output on the examples is taken away; the
    lengths are in units of that of v_0. Where n >= units nothing is left of z.
    """
    # The singular vectors span what the examples can tell apart.
    u, s, vt = np.linalg.svd(phi, full_matrices=False)
    seen = s > 1e-10 * s[0]
    u, s, vt = u[:, seen], s[seen], vt[seen]
    shortest = vt.T @ ((u.T @ y) / s)
    z = rng.standard_normal(phi.shape[1])
    z = z - vt.T @ (vt @ z)
    length = np.linalg.norm(z)
    z = z / length if length > 1e-6 else 0 * z
    return shortest[:, None] + np.outer(z, np.array(extra) * np.linalg.norm(shortest))


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """The size A over the margin and the test error of a network for each width and each z.

    Runs on the CPU whatever the ``device``.
    """
    rng = np.random.default_rng(seed)
    x, y = pictures(settings, rng)
    n, d = settings.examples, x.shape[1]
    train_x, train_y = x[:n], y[:n]
    test_x, test_y = x[n : n + settings.tests], y[n : n + settings.tests]
    sizes, errors, fits, sums, margins = [], [], [], [], []
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        for width in settings.widths:
            hidden = settings.scale * rng.standard_normal((d, width))
            phi, phi_test = np.tanh(train_x @ hidden), np.tanh(test_x @ hidden)
            v = output_weights(phi, train_y, settings.extra, rng)
            found = train_y[:, None] * (phi @ v)
            margin = np.quantile(found, 0.1, axis=0)
            sizes.append(np.abs(v).sum(0) / np.abs(margin))
            margins.append(margin)
            fits.append((found <= 0).mean(0))
            errors.append((test_y[:, None] * (phi_test @ v) <= 0).mean(0))
            sums.append(np.abs(hidden).sum(0).max())
    size, error = np.array(sizes), np.array(errors)
    largest = float(np.sqrt((train_x**2).mean(0).max()))
    # Bartlett has two forms: units of any weights, whose values lie in [-1, 1], and units whose
    # weights have a bounded sum of magnitudes as well. The smaller factor is the kinder one.
    factor = np.minimum(np.array(sums)[:, None] * largest, np.sqrt(d))
    bare = factor * size / np.sqrt(n)
    proved = [
        [
            bounds.by_margin(0.1, bounds.of_sums(a * b, largest, d, n), 1.0, n, settings.delta)
            for a in row
        ]
        for row, b in zip(size, sums, strict=True)
    ]
    by_width = [spearmanr(settings.widths, column).statistic for column in error.T]
    kept = [column for column in by_width if np.isfinite(column)]
    share = "error rate"
    return Result(
        widths=(np.array(settings.widths), "units"),
        extra=(np.array(settings.extra), "lengths of v_0"),
        size=(size, "A over the margin"),
        error=(error, "fraction of test examples"),
        bare=(bare, share),
        proved=(np.array(proved), share),
        by_size=(spearmanr(size.ravel(), error.ravel()).statistic, "rank correlation"),
        by_width=(float(np.mean(kept)), "rank correlation"),
        bare_least=(bare.min(), share),
        proved_least=(np.min(proved), share),
        worst_fit=(np.max(fits), "fraction of examples"),
        best_error=(error.min(), "fraction of test examples"),
        spread_of_size=(size.max() / size.min(), "ratio"),
        least_margin=(np.min(margins), "output"),
    )


CLAIMS = ()
