"""Do high critical points of a random landscape have more ways down, and minima lie low?

Bray and Dean ({cite}`braydean2007`) compute, for Gaussian landscapes in many dimensions, how many
critical points there are of each height and each share of downward directions, the *index*. The two
are tied: on average the Hessian at height E is a random symmetric matrix moved by a multiple of -E,
and for many dimensions its eigenvalues fill a half-circle, so that the height fixes the share. Our
landscape is the spherical 3-spin glass (`labs.spin_glass`), where the same law is a theorem, and
where the expected number of critical points of every index is a known average over random matrices
({cite}`auffinger2013`). We find critical points by Newton's method: in few dimensions
all of them, with a count to prove it, in 30 a sample.

What would refute it: indices that do not follow the half-circle, or do so no more closely in 30
dimensions than in 8; minima that are as common as those of a quadratic form, one in N.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.labs import spin_glass
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels, ticks

PAGE = "theory-survey/sgd/can-you-build-a-box"
SLOPE = 1e-8  # a critical point has a gradient no longer than this
DESCENDED = (0, 3, 8, 20, 60)  # steps before Newton's method, a fifth of the walkers each
SMALL = {3: (60, 40), 4: (100, 40), 5: (160, 30), 6: (300, 20), 7: (400, 16)}
LARGE = {8: (100, 12), 16: (100, 6), 30: (100, 3)}
"""Spins: walkers in each glass, glasses. From the small ones every critical point is wanted."""
DRAWS = 20_000  # random matrices for the expected number of critical points


@dataclass(frozen=True)
class Settings:
    """``p`` is the degree of the landscape: 3, or 2 for a quadratic form on the sphere.

    ``shift``: whether the Hessian has the part that the sphere gives it, -p times the energy.
    """

    p: int = 3
    shift: bool = True


SCALES = {"quick": Settings()}
VARIANTS = {"quadratic": {"p": 2}, "without-shift": {"shift": False}}


def newton(
    couplings: Float[np.ndarray, "g n *axes"], spins: Float[np.ndarray, "g w n"], steps: int = 40
) -> tuple[Float[np.ndarray, "g w n"], Bool[np.ndarray, "g w"]]:
    """Where Newton's method on the sphere leads from each state, and whether the gradient is 0.

    A step solves H u = -gradient in the tangent space; it is cut to 0.3 of the sphere's radius. It
    goes to the nearest point without slope, up or down: minima, saddles and maxima alike.
    """
    longest = 0.3 * math.sqrt(spins.shape[-1])
    for _ in range(steps):
        basis = spin_glass.tangent_basis(spins)
        slope = spin_glass.gradient(couplings, spins)[..., None, :] @ basis
        u = -np.linalg.solve(spin_glass.hessian(couplings, spins), slope.swapaxes(-1, -2))
        u = (basis @ u)[..., 0]
        length = np.linalg.norm(u, axis=-1, keepdims=True)
        spins = spin_glass.on_sphere(spins + u * (longest / np.maximum(length, longest)))
    slope = np.linalg.norm(spin_glass.gradient(couplings, spins), axis=-1)
    return spins, slope <= SLOPE


def expected_numbers(p: int, n: int, rng: np.random.Generator) -> Float[np.ndarray, " n"]:
    """The expected number of critical points with 0, ..., n - 1 negative eigenvalues.

    2 sqrt(2 / p) (p - 1)^(n / 2) times the mean of exp(-n (p - 2) lambda_k^2 / (2 p)), where
    lambda_k is eigenvalue k of a random symmetric n x n matrix with entries of variance 1 / (2 n)
    off the diagonal and 1 / n on it ({cite}`auffinger2013`; for p = 2 all n means are 1).
    """
    a = rng.standard_normal((DRAWS, n, n))
    eigenvalues = np.linalg.eigvalsh((a + a.swapaxes(1, 2)) / (2 * math.sqrt(n)))
    mean = np.exp(-n * (p - 2) / (2 * p) * eigenvalues**2).mean(0)
    return 2 * math.sqrt(2 / p) * (p - 1) ** (n / 2) * mean


def distinct(
    energy: Float[np.ndarray, " w"], index: Int[np.ndarray, " w"], n: int, p: int, *, mirror: bool
) -> tuple[Float[np.ndarray, " points"], Int[np.ndarray, " points"]]:
    """Each critical point once, told by its energy; with ``mirror`` also those at -sigma.

    For p = 3 the landscape at -sigma is the one at sigma upside down; for p = 2 it is the same, and
    such a pair counts as one here.
    """
    if mirror and p == 3:
        energy = np.concatenate([energy, -energy])
        index = np.concatenate([index, n - 1 - index])
    order = np.argsort(energy, kind="stable")
    # Copies of a point differ by rounding, so neighbours are compared: a limit could part them.
    new = np.flatnonzero(np.diff(energy[order], prepend=-np.inf) > 1e-7)
    first = np.minimum.reduceat(order, new)
    return energy[first], index[first]


def run(settings: Settings, chance: Chance) -> Result:
    """Critical points with their energies and indices; numbers and shares of minima by dimension.

    ``complete``: critical points found of a landscape of 3 to 7 spins, over their expected number;
    ``share``: minima among them; ``common``: how common these are at 7 spins, measured in 1 / N,
    over the same at 3. ``energy_N``, ``index_N``: points of LARGE, with the index as a share of the
    N - 1 directions; ``departure`` of the index from the half-circle (root of the mean square) for
    each N; ``spearman``: rank correlation at 30 spins, mean over landscapes. On the CPU, in
    float64.
    """
    rng = chance.numpy()
    p = settings.p
    arrived = []

    def points(n: int, walkers: int, glasses: int, descended: tuple[int, ...]):
        couplings = spin_glass.draw_couplings(p, n, glasses, rng)
        spins = spin_glass.random_spins(glasses, walkers, n, rng)
        parts = [
            spin_glass.descend(couplings, spins[:, i :: len(descended)], steps=steps, rate=0.1)[0]
            for i, steps in enumerate(descended)
        ]
        spins, there = newton(couplings, np.concatenate(parts, 1))
        energy = spin_glass.energy(couplings, spins)
        hessian = spin_glass.hessian(couplings, spins)
        if not settings.shift:
            hessian = hessian + p * energy[..., None, None] * np.eye(n - 1)
        index = (np.linalg.eigvalsh(hessian) < 0).sum(-1)
        arrived.append(there.mean())
        mirror = descended == (0,)
        return [
            distinct(e[t], k[t], n, p, mirror=mirror)
            for e, k, t in zip(energy, index, there, strict=True)
        ]

    found, share = [], []
    for n, (walkers, glasses) in SMALL.items():
        each = points(n, walkers, glasses, (0,))
        pair = 1 if p == 3 else 2
        found.append(pair * np.mean([len(energy) for energy, _ in each]))
        share.append(np.concatenate([index == 0 for _, index in each]).mean())
    theory = Chance(0).numpy()  # the same matrices for every seed: theory has no seed
    expected = [expected_numbers(p, n, theory) for n in SMALL]

    kept, departure, spearman = {}, [], []
    for n, (walkers, glasses) in LARGE.items():
        each = points(n, walkers, glasses, DESCENDED)
        energy = np.concatenate([e for e, _ in each])
        index = np.concatenate([k for _, k in each]) / (n - 1)
        gap = index - spin_glass.index_fraction(energy, p)
        departure.append(math.sqrt((gap**2).mean()))
        spearman.append(np.mean([spearmanr(e, k).statistic if np.ptp(k) else 0.0 for e, k in each]))  # pyright: ignore[reportAttributeAccessIssue]
        kept[f"energy_{n}"] = (energy.astype(np.float32), "energy per spin")
        kept[f"index_{n}"] = (index.astype(np.float32), "share of directions")
    sizes = np.array(list(SMALL))
    share, total = np.array(share), np.array([e.sum() for e in expected])
    common = share * sizes
    return Result(
        spins=(sizes, "spins"),
        share=(share, "share of critical points"),
        share_expected=([e[0] / e.sum() for e in expected], "share of critical points"),
        complete=(np.mean(np.array(found) / total), "ratio of numbers"),
        common=(common[-1] / common[0], "ratio"),
        departure=(departure, "share of directions"),  # one for each of LARGE
        narrows=(departure[-1] / departure[0], "ratio"),
        spearman=(spearman[-1], "rank correlation"),
        spread=(kept["energy_30"][0].std(), "energy per spin"),
        arrived=(np.mean(arrived), "share of walkers"),
        **kept,
    )


ENOUGH = (
    at_least("arrived", "Newton's method arrives from at least {bound:word} of the states", 0.5),
    at_least(
        "spread",
        "the energies of the points at 30 spins differ: their standard deviation is at least "
        "{bound}",
        0.2,
    ),
)
CLAIMS = (
    Claim(
        id="braydean2007-index-energy", cite="braydean2007", kind="effect", expected=SHOWN,
        title="Do high critical points have more ways down?",
        says="In a random landscape of many dimensions the height of a critical point fixes "
        "its share of downward directions: high ones are saddles with many ways out, and minima "
        "are rare and lie low (the letter's main result).",
        tested="The spherical 3-spin glass: all critical points of 3 to 7 spins, and some hundreds "
        "found by Newton's method for 8, 16 and 30 spins.",
        so="At 30 spins the share of downward directions is within "
        "{num}`theory-survey/sgd/index-energy departure[-1] .3f ±` of the predicted one (root mean "
        "square), {num}`theory-survey/sgd/index-energy narrows .2f ±` of the distance at 8 spins; "
        "minima fall from {num}`theory-survey/sgd/index-energy share[0] .0%` of all critical "
        "points at 3 spins to {num}`theory-survey/sgd/index-energy share[4] .1%` at 7.",
        caveat="The curve and the rarity of minima are theorems for this glass; Bray and Dean "
        "treat Gaussian landscapes without a sphere. The points at 30 spins are those that a "
        "search finds, not a fair choice.",
        paper=(
            ("index and height of critical points", "tied together when the dimension is large",
             "the letter's main result"),
            ("minima among all critical points, here", "$\\mathrm{e}^{-N/3}$, roughly, for the "
             "3-spin glass", "follows from {cite:t}`auffinger2013`"),
        ),
        decides=(
            at_most("departure[-1]", "at 30 spins the index is within {bound} (root mean square) "
                    "of the half-circle's", 0.05, none=0.05,
                    because="with 29 directions one of them is 0.034: a distance of one or two"),
            at_most("narrows", "that is at most {bound} of what it is at 8 spins", 0.6, none=1.0,
                    log=True, because="if only chance moved the index, the distance would fall "
                    "about as $N^{-1/2}$, to 0.52; a law for many dimensions should come near "
                    "that"),
            at_most("common", "from 3 spins to 7 the share of minima falls faster than that of a "
                    "quadratic form, 1/N: times N it falls to at most {bound}", 0.75, none=1.0,
                    log=True, because="a quarter is lost within four dimensions, and the loss is "
                    "to multiply"),
        ),
        mechanism=(
            at_least("spearman", "at 30 spins energy and index have a rank correlation of at "
                     "least {bound}", 0.93, none=0.0),
        ),
        controls=(
            Control(
                "without-shift", "what the height adds to all curvatures: the index is counted at "
                "the same points without it",
                ("spearman", "departure[-1]", "narrows"),
                ENOUGH,
            ),
            Control(
                "quadratic", "the randomness beyond a quadratic form: the 2-spin glass, whose "
                "critical points are the eigenvectors of one matrix", ("common",),
                (
                    *ENOUGH,
                    Condition("complete", "all 2N critical points are found, to within {bound:%} %",
                              lambda result: abs(float(result["complete"]) - 1), "<=", 0.02,
                              "ratio of numbers"),
                ),
                by_design="the energies of all critical points are known, and found",
            ),
        ),
        changes=("Ratios are judged by their logarithms. The rank correlation no longer decides: "
                 "the distance from the predicted share asks for more.",),
        limits="How low a search gets is another matter than where the minima are: in mixed "
        "glasses, descent from a cool start goes below the threshold {cite}`folena2020`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Index against energy at 8 and 30 spins with the half-circle; the share of minima by N."""
    spins = first(runs, "spins")
    clouds = {8: ("vermillion", "s", 0.35), 30: ("blue", "o", 0.7)}
    minima = {
        MAIN: ("3-spin glass", "blue", "o"),
        "quadratic": ("quadratic form", "vermillion", "s"),
    }
    with panels(2, size=(8.6, 3.7), width_ratios=(3, 2)) as (drawn, (left, right)):
        for n, (colour, marker, alpha) in clouds.items():
            energy, index = first(runs, f"energy_{n}"), 100 * first(runs, f"index_{n}")
            look = dict(ls="none", ms=3.5, mew=0, color=figures.COLOURS[colour], alpha=alpha)
            left.plot(energy, index, marker, label=f"{n} spins", **look)
        line = np.linspace(-1.8, 1.1, 300)
        left.plot(line, 100 * spin_glass.index_fraction(line, 3), **figures.THEORY, label="theory")
        left.set(xlabel="energy per spin", ylabel="ways down (% of directions)")
        left.set(xlim=(-1.85, 1.15), ylim=(-3, 103))
        left.legend(loc="upper left")
        expected = 100 * first(runs, "share_expected")
        right.plot(spins, expected, **figures.THEORY, label="theory")
        for variant, (label, colour, marker) in minima.items():
            if variant in runs:
                values = over_seeds(runs, "share", variant, factor=100.0)
                look = dict(label=label, fmt=marker, color=figures.COLOURS[colour])
                figures.dots(right, spins, values, **look)
        if "quadratic" in runs:
            right.plot(spins, 100 / spins, **figures.THEORY)
        right.set(yscale="log", xlabel="spins $N$", ylabel="minima (% of critical points)")
        heights = (5, 10, 20, 30)
        right.set_yticks(heights, [str(height) for height in heights])
        ticks(right, spins)
        right.legend(loc="lower left")
    return figures.Figure(
        drawn,
        label="fig-box-index",
        caption="Left: critical points of a random landscape, the share of their directions that "
        "lead down against their energy, in 8 and in 30 spins (one seed). Dashed: what the "
        "half-circle predicts; no number in it is fitted. Right: minima among all critical points "
        f"of small landscapes, mean and standard deviation over {figures.count(len(runs[MAIN]))}, "
        "with the expected numbers dashed.",
        alt="Left, a cloud of orange squares for 8 spins is spread about a dashed S-shaped curve "
        "that rises from zero at minus 1.6; blue points for 30 spins lie close to it. Right, on a "
        "logarithmic axis, the share of minima falls along dashed lines from about a third at 3 "
        "spins: for the quadratic form to one in seven at 7 spins, for the 3-spin glass to about "
        "one in nineteen, a little below its line.",
    )
