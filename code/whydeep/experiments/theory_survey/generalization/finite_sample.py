"""A network of 2n + d weights that gives n points whatever labels one likes, built by hand.

{cite:t}`zhang2017`, Theorem 1 with its proof in Appendix C: let a be a direction that tells the n
points apart, z_1 < ... < z_n their places along it, and b_1 < z_1 < b_2 < z_2 < ... thresholds. The
network c(x) = sum_j w_j max(a.x - b_j, 0) has the matrix A_ij = max(z_i - b_j, 0), which is lower
triangular with a positive diagonal: whatever the labels y, A w = y has a solution.

A computer solves it with rounding. Forward substitution returns w with |A w - y| at most
gamma |A| |w| in every row, gamma = n u / (1 - n u), u = 2^-53 ({cite}`higham2002`, Theorem 8.5);
to compute c(x) adds as much, and to compute the places along a adds what (d + 2) u |a|.|x|, for
each of the units that are on, makes of them. We build the network for points drawn at random and
for pictures with random labels.

What would refute it: a label missed by more than rounding explains, or a count that is not 2n + d.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import solve_triangular

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.errors import BadSettings
from whydeep.evidence.claims import HOLDS, Claim, Control, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "theory-survey/generalization/a-network-that-can-memorise-noise"
UNIT_ROUNDING = 2.0**-53


@dataclass(frozen=True)
class Settings:
    """``sizes`` are the numbers n of standard normal points in ``d`` dimensions, with labels too.

    ``pictures`` are the pictures of clothes with labels 0 to 9 drawn uniformly. ``units`` is by how
    much the number of units differs from n. ``directions``: "one" for all units, or one "each".
    """

    sizes: tuple[int, ...] = (10, 30, 100, 300, 1000)
    d: int = 50
    pictures: int = 500
    units: int = 0
    directions: str = "one"


SCALES = {"quick": Settings()}
VARIANTS = {"one-unit-fewer": {"units": -1}, "own-directions": {"directions": "each"}}


def thresholds(z: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """b_1 < z_1 < b_2 < ... < z_n for increasing places z: halfway, and the first one before z_1.

    Raises BadSettings if two places are the same: no direction tells two equal points apart.
    """
    gaps = np.diff(z)
    if not (gaps > 0).all():
        raise BadSettings("two points lie at the same place: give each point once")
    first = gaps[0] if len(gaps) else 1.0
    return np.concatenate([[z[0] - first / 2], z[:-1] + gaps / 2])


def network(
    x: Float[np.ndarray, "n d"], a: Float[np.ndarray, " d"], b: Float[np.ndarray, " m"]
) -> Float[np.ndarray, "n m"]:
    """What the units max(a.x - b_j, 0) say to each of the points x."""
    return np.maximum((x @ a)[:, None] - b, 0)


def construct(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], a: Float[np.ndarray, " d"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Thresholds b and outgoing weights w with sum_j w_j max(a.x_i - b_j, 0) = y_i.

    Raises BadSettings if a does not tell the points apart.
    """
    order = np.argsort(x @ a)
    b = thresholds((x @ a)[order])
    return b, solve_triangular(network(x[order], a, b), y[order], lower=True)


def allowed(
    x: Float[np.ndarray, "n d"],
    a: Float[np.ndarray, " d"],
    b: Float[np.ndarray, " m"],
    w: Float[np.ndarray, " m"],
) -> Float[np.ndarray, " n"]:
    """How far rounding may move c(x_i) from y_i: see the top of this file."""
    units, n, d = network(x, a, b), len(b), len(a)
    gamma = n * UNIT_ROUNDING / (1 - n * UNIT_ROUNDING)
    place = (d + 2) * UNIT_ROUNDING / (1 - (d + 2) * UNIT_ROUNDING)
    moved = 2 * place * (np.abs(x) @ np.abs(a))
    return 2 * gamma * (units @ np.abs(w)) + moved * ((units > 0) @ np.abs(w))


def fit(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    settings: Settings,
    rng: np.random.Generator,
) -> tuple[float, float, int, float]:
    """Error over what rounding allows, largest error, number of weights, largest |w_j|."""
    n, d = x.shape
    if settings.directions == "each":
        own = rng.standard_normal((d, n))
        units = np.maximum(x @ own - np.quantile(x @ own, 0.5, axis=0), 0)
        w = np.linalg.lstsq(units, y, rcond=None)[0]
        error = np.abs(units @ w - y)
        # No triangle, and so no theorem on its rounding: against the rounding of its sums alone.
        share = error / (2 * n * UNIT_ROUNDING * (units @ np.abs(w)))
        return share.max(), error.max(), d * n + 2 * n, np.abs(w).max()
    a = rng.standard_normal(d)
    b, w = construct(x, y, a)
    if settings.units:
        # The last threshold goes; what is left does its best, in the sense of least squares.
        b = b[: settings.units]
        w = np.linalg.lstsq(network(x, a, b), y, rcond=None)[0]
    error = np.abs(network(x, a, b) @ w - y)
    # A point whose label is 0 before any unit is on has neither an error nor an allowance.
    share = np.divide(error, allowed(x, a, b, w), out=np.zeros(n), where=error > 0)
    return share.max(), error.max(), d + 2 * len(b), np.abs(w).max()


def run(settings: Settings, chance: Chance) -> Result:
    """Errors and weights by size, and for pictures last. Runs on the CPU, in float64."""
    rng = chance.numpy()
    found = []
    for n in settings.sizes:
        points, labels = rng.standard_normal((n, settings.d)), rng.standard_normal(n)
        found.append(fit(points, labels, settings, rng))
    images = fashion_mnist().subset(settings.pictures, seed=chance.seed).train_x.flatten(1).double()
    x, y = images.numpy(), rng.integers(0, 10, settings.pictures).astype(float)
    found.append(fit(x, y, settings, rng))
    share, error, weights, largest = np.array(found).T
    sizes = np.array([*settings.sizes, settings.pictures])
    dimensions = np.array([settings.d] * len(settings.sizes) + [x.shape[1]])
    over = weights - (2 * sizes + dimensions)
    label, data = "unit of the labels", (*map(str, settings.sizes), "pictures")
    return Result(
        sizes=(np.array(settings.sizes), "points"),
        error=Quantity(error, label, data=data),
        weights=Quantity(weights, "weights", data=data),
        largest=Quantity(largest, label, data=data),
        worst=(error.max(), label),
        rounding=(share.max(), "share of what rounding allows"),
        too_many=(np.abs(over).max(), "weights more or fewer than 2n + d"),
    )


CLAIMS = (
    Claim(
        id="zhang2017-finite-sample-expressivity",
        title="How few weights can give any labels to any points?",
        cite="zhang2017", kind="exact", expected=HOLDS,
        says="There is a network with one hidden layer of ReLU units and $2n + d$ weights that can "
        "represent any function on $n$ different points in $d$ dimensions (Theorem 1).",
        tested="The network of the proof, built for 10 to 1,000 normal points in 50 dimensions and "
        "for 500 pictures of clothes with random labels, in 64 bits.",
        so="Every label is met, the worst to "
        "{num}`theory-survey/generalization/finite-sample rounding .1g max` of what rounding "
        "allows, with $2n + d$ weights exactly.",
        caveat="It is built by hand; nothing is said about what training finds. On the pictures "
        "its largest weight is about {num}`theory-survey/generalization/finite-sample "
        "largest[pictures] ,.0f`, so that the function turns sharply from one picture to the next.",
        paper=(("number of weights", "$2n + d$", "Theorem 1; proof in Appendix C"),),
        decides=(
            at_most("rounding", "every label is met to within what rounding allows", 1.0),
            at_most("too_many", "it has $2n + d$ weights", 0.0),
        ),
        controls=(
            Control(
                "one-unit-fewer", "the last threshold: one unit fewer, the weights that are left "
                "fitted by least squares", ("rounding",),
                (at_most("too_many", "it lacks {bound} weights and no more", 2.0),),
            ),
            Control(
                "own-directions", "the shared direction: each unit has one of its own",
                ("too_many",),
                (at_most("worst", "it meets all labels as well, to $10^{{bound:log10}}$", 1e-6),),
            ),
        ),
        limits="With two hidden layers instead of one, of the order of $\\sqrt n$ units are enough "
        "{cite}`yun2019`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Weights against points beside 2n + d, and error beside the largest outgoing weight."""
    sizes = first(runs, "sizes")
    counted = over_seeds(runs, "weights")[:, :-1]  # all but the pictures
    d = counted[0, 0] - 2 * sizes[0]
    with panels(2, size=(8.4, 3.5)) as (drawn, axes):
        figures.dots(axes[0], sizes, counted, label="counted")
        axes[0].plot(sizes, 2 * sizes + d, **figures.THEORY, label="$2n + d$")
        axes[0].set(ylabel="weights")
        for quantity, name in (("largest", "largest weight"), ("error", "largest error")):
            # An error may be exactly zero, which a logarithmic axis cannot show.
            values = over_seeds(runs, quantity)[:, :-1].clip(1e-17)
            axes[1].plot(sizes, np.exp(np.log(values).mean(0)), label=name)
        axes[1].set(ylabel="in units of the labels")
        for panel in axes:
            panel.set(xlabel="points $n$", xscale="log", yscale="log")
            panel.legend()
    return figures.Figure(
        drawn,
        label="fig-finite-sample",
        caption="The network of the theorem for random points in 50 dimensions. Left, its weights, "
        "beside $2n + d$. Right, the largest error on a label, which is rounding, and the largest "
        f"outgoing weight: geometric means over {figures.count(len(counted))}.",
        alt="Left, counted weights lie on the dashed curve two n plus d. Right, on a logarithmic "
        "axis, errors stay many orders of magnitude below one although both they and the largest "
        "weight grow with the number of points, the weight to many thousands.",
    )
