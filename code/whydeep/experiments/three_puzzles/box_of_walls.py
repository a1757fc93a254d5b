"""First puzzle: how often is a random critical point a minimum, as the dimension grows?

LeCun's image is a box: to trap a downhill search, a wall must stand in every direction
({cite}`lecun2016`). For a random symmetric Hessian of D directions the chance of D walls falls like
exp(-(log 3 / 4) D^2) ({cite}`dean2006`), faster and faster with each direction. We draw such
matrices and count; we also count among the critical points of an isotropic random landscape, whose
Hessians are such matrices moved up and down, each found in proportion to |det H| (Kac and Rice).

What would refute it: a chance that falls by the same factor with every direction, as for D coins,
or one that departs from the exact values.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from whydeep.chance import Chance
from whydeep.evidence.claims import REPRODUCED, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "three-puzzles/three-puzzles"
CHUNK = 2**16  # matrices at a time: enough to be fast, few enough to stay in the cache


@dataclass(frozen=True)
class Settings:
    """``draws`` random Hessians for each dimension 1 to ``largest``; ``raised`` of larger ones.

    ``curvatures`` is "coupled" for random symmetric matrices, whose eigenvalues push each other
    apart, or "independent" for diagonal ones with eigenvalues of the same mean square.
    """

    draws: int = 2**20
    largest: int = 5
    raised: int = 1000
    curvatures: str = "coupled"


SCALES = {"quick": Settings()}
VARIANTS = {"independent": {"curvatures": "independent"}}
DIMENSIONS = (2, 5, 10, 50)
"""The dimensions of the matrices that are raised."""
RAISED = {f"{n}": f"{n} directions" for n in DIMENSIONS} | {
    "limit": "ever more directions (theory)"
}
SHIFTS = np.round(np.arange(0, 3.05, 0.1), 1)
"""How far they are raised, in units of sqrt(D)."""


def hessians(
    count: int, dimension: int, rng: np.random.Generator, curvatures: str = "coupled"
) -> Float[np.ndarray, "D D count"]:
    """Random symmetric matrices, the draws last: variance 1 off the diagonal, 2 on it (the GOE).

    With ``curvatures`` "independent": diagonal, with N(0, D + 1) entries. The mean square of an
    eigenvalue is D + 1 for both.
    """
    if curvatures == "independent":
        h = np.zeros((dimension, dimension, count))
        i = np.arange(dimension)
        h[i, i] = math.sqrt(dimension + 1) * rng.standard_normal((dimension, count))
        return h
    a = rng.standard_normal((dimension, dimension, count))
    return (a + a.swapaxes(0, 1)) / math.sqrt(2)


def exits_and_determinant(
    h: Float[np.ndarray, "D D count"],
) -> tuple[Int[np.ndarray, " count"], Float[np.ndarray, " count"]]:
    """The number of negative eigenvalues of each symmetric matrix, and |det|.

    By elimination: the pivots have the signs of the eigenvalues (Sylvester's law of inertia) and
    the product of the determinant, and cost a fraction of an eigenvalue solver.
    """
    h = h.copy()
    exits = np.zeros(h.shape[-1], dtype=int)
    determinant = np.ones(h.shape[-1])
    for k in range(len(h)):
        pivot = h[k, k]
        exits += pivot < 0
        determinant *= np.abs(pivot)
        h[k + 1 :, k + 1 :] -= h[k + 1 :, None, k] * (h[None, k, k + 1 :] / pivot)
    return exits, determinant


def trap_probability(dimension: int) -> float:
    """The exact chance that all eigenvalues of a random symmetric matrix (GOE) are positive.

    The density of the eigenvalues is exp(-sum x^2 / 2) times the product of all |x_i - x_j|, up to
    a factor. Its integral over any set of the form A x A x ... is a Pfaffian of double integrals of
    sgn(y - x) x^j y^k (Tracy and Widom 1998), bordered by single ones if D is odd; here A is the
    half-line, and the whole line for the factor. Both in polar coordinates. Reliable up to D = 8.
    """
    nodes, weights = np.polynomial.legendre.leggauss(60)

    def half_log_determinant(angles: tuple[float, ...], half: bool) -> float:
        size = dimension + dimension % 2
        a = np.zeros((size, size))
        for low, high in pairwise(angles):
            theta = (low + high) / 2 + (high - low) / 2 * nodes
            w = (high - low) / 2 * weights * np.sign(np.sin(theta) - np.cos(theta))
            for j in range(dimension):
                for k in range(dimension):
                    radial = 2 ** ((j + k) / 2) * math.gamma((j + k) / 2 + 1)
                    a[j, k] += radial * np.sum(w * np.cos(theta) ** j * np.sin(theta) ** k)
        if dimension % 2:
            for j in range(dimension):
                moment = 2 ** ((j - 1) / 2) * math.gamma((j + 1) / 2)
                a[j, -1] = moment if half else moment * (1 + (-1) ** j)
                a[-1, j] = -a[j, -1]
        return np.linalg.slogdet(a)[1] / 2

    quarter = (0.0, math.pi / 4, math.pi / 2)
    circle = (-3 * math.pi / 4, math.pi / 4, 5 * math.pi / 4)
    return math.exp(half_log_determinant(quarter, True) - half_log_determinant(circle, False))


def run(settings: Settings, chance: Chance) -> Result:
    """Share of minima by dimension, exact share, share in a random landscape, and when raised.

    ``share`` (D = 1 to ``largest``): draws without a negative eigenvalue. ``landscape``: the same
    share among the critical points of an isotropic Gaussian landscape, that is, of the matrix plus
    N(0, 1) times the identity, weighted by |det|. ``raised``: share after adding s sqrt(D) times
    the identity, for the s of SHIFTS, and its limit for ever larger D. On the CPU in float64.
    """
    small, large = (s.numpy() for s in chance.members(2))
    dimensions = list(range(1, settings.largest + 1))
    share, landscape = [], []
    for dimension in dimensions:
        minima, weight, weight_of_minima = 0, 0.0, 0.0
        for start in range(0, settings.draws, CHUNK):
            count = min(CHUNK, settings.draws - start)
            h = hessians(count, dimension, small, settings.curvatures)
            exits, _ = exits_and_determinant(h)
            minima += int((exits == 0).sum())
            i = np.arange(dimension)
            h[i, i] += small.standard_normal(count)
            exits, determinant = exits_and_determinant(h)
            weight += determinant.sum()
            weight_of_minima += determinant[exits == 0].sum()
        share.append(minima / settings.draws)
        landscape.append(weight_of_minima / weight)

    raised = []
    for dimension in DIMENSIONS:
        h = hessians(settings.raised, dimension, large, settings.curvatures)
        lowest = np.linalg.eigvalsh(np.moveaxis(h, -1, 0))[:, 0] / math.sqrt(dimension)
        raised.append((lowest > -SHIFTS[:, None]).mean(1))
    # Semicircle law: all eigenvalues beyond -2 sqrt(D); independent ones have no such edge.
    raised.append((SHIFTS > 2) * (settings.curvatures == "coupled"))
    share = np.array(share)
    exact = np.array([trap_probability(dimension) for dimension in dimensions])
    error = np.sqrt(exact * (1 - exact) / settings.draws)
    falls = share[1:] / share[:-1]
    return Result(
        share=(share, "share of draws"),
        exact=(exact, "probability"),
        landscape=(landscape, "share of critical points"),
        departure=(np.abs((share - exact) / error).max(), "standard errors"),
        bend=((falls[1:] / falls[:-1]).max(), "ratio of ratios"),
        last_fall=(falls[2], "ratio"),
        half=(abs(share[0] - 0.5), "probability"),
        dimensions=(dimensions, "directions"),
        draws=(settings.draws, "random matrices a dimension"),
        draws_raised=(settings.raised, "random matrices a dimension"),
        shifts=(SHIFTS, "units of sqrt(D)"),
        raised=Quantity(np.array(raised, np.float32), "share of draws", D=RAISED, shift=SHIFTS),
    )


def _bends(shares: Float[np.ndarray, " D"]) -> Float[np.ndarray, " D-2"]:
    """How each direction's factor compares with that of the direction before: 1 for coins."""
    falls = shares[1:] / shares[:-1]
    return falls[1:] / falls[:-1]


CLAIMS = (
    Claim(
        id="lecun2016-box-random-matrix", cite="lecun2016", kind="effect", expected=REPRODUCED,
        title="Is it hard to build a box in many dimensions?",
        says="“It's hard to build a box in 100 million dimensions”: for a random symmetric Hessian "
        "the chance of a wall in each of $D$ directions falls like $\\exp(-\\tfrac{\\log 3}{4} "
        "D^2)$, faster with each direction added ({cite:t}`dean2006`, abstract).",
        tested="A million random symmetric matrices for each of 1 to 5 directions; no network and "
        "no loss.",
        so="In five directions {num}`three-puzzles/box-of-walls share[4] .4%` have five walls, "
        "where coins would give {num}`three-puzzles/box-of-walls@independent share[4] .1%`; the "
        "factor of each direction is at most {num}`lecun2016-box-random-matrix:bend .2f` times "
        "that of the one before.",
        caveat="A loss is no random matrix. And in a whole random landscape, counted over all "
        "heights, minima thin out hardly faster than by coins: "
        "{num}`three-puzzles/box-of-walls landscape[4] .1%` of the critical points in five "
        "directions.",
        paper=(
            ("LeCun's answer: directions of the box", ("{} million", 100), "the first question"),
            ("chance of a minimum in $D$ directions, $D$ large", "$\\exp\\big(-\\tfrac{\\log 3}{4} "
             "D^2\\big)$", "{cite:t}`dean2006`, abstract"),
        ),
        decides=(
            at_most("bend", "each further direction cuts the share by a larger factor than the "
                    "one before: the ratio of successive ratios is at most {bound}", 0.75,
                    none=1.0, log=True, source=3**-0.5,
                    because="a little beyond half, on a scale of logarithms, of the effect of "
                    "$\\exp(-\\tfrac{\\log 3}{4} D^2)$, for which it is $1/\\sqrt{3}$"),
        ),
        mechanism=(
            at_most("departure", "at no dimension does the share depart from the exact value by "
                    "more than {bound} standard errors", 4.0, none=4.0,
                    because="the largest of five departures is seldom beyond 3"),
            Condition("landscape_bend", "the same among the critical points of a whole random "
                      "landscape, counted over all heights: at most {bound}",
                      lambda r: float(_bends(r["landscape"]).max()), "<=", 0.75, none=1.0, log=True,
                      because="the bound on the Hessians alone"),
        ),
        controls=(
            Control(
                "independent", "the coupling of the curvatures, which makes them push each other "
                "apart: D independent curvatures of the same size, each a coin",
                ("bend", "departure"),
                (at_most("half", "one direction is a fair coin, to within {bound}", 0.01),),
            ),
        ),
        limits="The Hessians of trained networks are not such matrices: most of their "
        "eigenvalues lie near zero and a few stand out {cite}`sagun2016`. And bad local minima of "
        "networks do exist {cite}`safran2018`.",
        changes=("The departure from the exact values is a check of the drawing and no longer "
                 "decides; that the fourth direction leaves few boxes follows from the bend and "
                 "was dropped (stricter). That a whole random landscape shows no bend is now "
                 "shown. The bound stays.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Share of minima against the dimension, with the exact curve and the control."""
    n, more = first(runs, "dimensions"), np.arange(1, 9)
    square = {"ms": 11, "mfc": "none", "marker": "s", "mew": 1.2}
    shown = (
        ("blue", MAIN, "share", "random symmetric Hessian", {"ms": 6}),
        ("vermillion", "independent", "share", "independent curvatures (control)", square),
        ("green", MAIN, "landscape", "random landscape, all heights", {"ms": 6, "marker": "^"}),
    )
    with panels(size=(6.4, 3.8)) as (drawn, axes):
        axes.plot(more, 0.5**more, **figures.THEORY | {"alpha": 0.5}, label="$2^{-D}$: D coins")
        axes.plot(more, [trap_probability(int(m)) for m in more], **figures.THEORY, label="exact")
        for name, variant, quantity, label, about in shown:
            colour = figures.COLOURS[name]
            about = {"color": colour, "mec": colour, "ls": "none"} | about
            figures.band(axes, n, over_seeds(runs, quantity, variant), label=label, **about)
        axes.set(xlabel="dimension $D$", ylabel="share that are minima", ylim=(3e-10, 1))
        axes.set_yscale("log")
        axes.legend(loc="lower left")
    return figures.Figure(
        drawn,
        label="fig-box",
        caption="The share of minima among random critical points against the number of "
        f"directions, means over {figures.count(len(runs[MAIN]))} of "
        f"{int(first(runs, 'draws')):,} random matrices a dimension. "
        "For a random symmetric Hessian it falls faster with every direction, along the exact "
        "curve (dashed, drawn on to where no draw would find a minimum any more).",
        alt="Shares on a logarithmic axis against dimensions one to eight. The curve of random "
        "symmetric Hessians bends down ever more steeply, from one half to one in ten thousand at "
        "five directions, on top of a dashed exact curve that goes on to less than one in a "
        "hundred million at eight. Independent curvatures fall along a straight line, halving "
        "each time, and a random landscape over all heights falls nearly like them.",
    )


PLOT = Plot(
    sweep=Axis("shift of all curvatures, in units of √D"),
    at="shifts",
    y=Axis("share of minima", "%"),
    series={f"raised[{D}]": label for D, label in RAISED.items()},
    factor=100.0,
    variants={MAIN: "coupled curvatures", "independent": "independent curvatures"},
)


def explorer(runs: Runs) -> SweepExplorer:
    """How far must all curvatures be raised before a critical point is a minimum?"""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    share = over_seeds(runs, "raised[50]").mean(0)
    half = SHIFTS[int(np.argmax(share >= 0.5))]
    options = (0.5, 1.0, 2.0, 4.0)
    return PLOT.explorer(
        runs,
        key="raised",
        title="Share of minima when all curvatures are raised",
        about="Move along the shift, from the typical height of the landscape (0) down towards its "
        "floor. Where does the share of minima rise, and how sharply, in 2 directions and in 50? "
        "Then make the curvatures independent: is there still one place where all curves rise?",
        predict=Prediction(
            "With 50 directions: how far must all curvatures be raised, in units of √D, before "
            "half of the critical points are minima?",
            tuple(f"about {option:g}" for option in options),
            int(np.argmin([abs(half - option) for option in options])),
            "The eigenvalues of a large random matrix fill the interval from -2√D to 2√D and "
            "leave the rest empty. Raised by less, almost every one still has a way down; raised "
            "by more, almost none has.",
        ),
    )
