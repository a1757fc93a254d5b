"""Waves along a hidden direction: the sharpness beyond which a network learns nothing.

The target is cos(pi s w . x) for a hidden direction w and normal inputs in n dimensions. Song,
Vempala, Wilmes and Xie ({cite}`song2017`) show that small networks of this kind take exponentially
many statistical queries once the wave is sharp, and see the error of training jump at a critical
sharpness s. Why there? The weakest trace of w in averages over examples is of second order: the
matrix E[(y - mean) (x x^T - 1)] has the eigenvalue -a exp(-a / 2) along w, a = (pi s)^2, and no
other. On m examples it stands out of the noise if it exceeds sqrt(n Var(y) / m), as random-matrix
theory says ({cite}`benaych2011`), which fixes a sharpness.

What would refute it: a network that learns far sharper waves, or errors that rise gradually.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.descent import adam, descend
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, compare, first, over_seeds, panels

PAGE = "theory-survey/sgd/where-gradients-fail"
SHARPNESS = (0.5, 0.75, 1.0, 1.25, 1.5, 2.0)
ERROR = "share of the variance of the targets"


@dataclass(frozen=True)
class Settings:
    """``examples`` normal inputs in ``dimension`` dimensions; one tanh layer of ``units`` units.

    With ``direction_given`` the network sees only the part of its input along the hidden direction.
    Adam of rate ``lr`` takes ``steps`` steps on batches of ``batch``; errors are on ``test`` fresh
    examples.
    """

    examples: int = 10_000
    dimension: int = 20
    direction_given: bool = False
    units: int = 64
    steps: int = 800
    batch: int = 128
    lr: float = 0.01
    test: int = 4000


SCALES = {"quick": Settings()}
VARIANTS = {"direction-given": {"direction_given": True}, "few-examples": {"examples": 200}}


def variance(s: Float[np.ndarray, "..."] | float) -> Float[np.ndarray, "..."] | float:
    """Var cos(pi s z) for a normal z: (1 + exp(-2 a)) / 2 - exp(-a), a = (pi s)^2."""
    a = (np.pi * s) ** 2
    return (1 + np.exp(-2 * a)) / 2 - np.exp(-a)


def trace(s: Float[np.ndarray, "..."] | float) -> Float[np.ndarray, "..."] | float:
    """The size of the eigenvalue along w of E[(y - mean)(x x^T - 1)]: a exp(-a / 2)."""
    a = (np.pi * s) ** 2
    return a * np.exp(-a / 2)


def predicted_overlap(
    s: Float[np.ndarray, "..."] | float, n: int, m: int
) -> Float[np.ndarray, "..."] | float:
    """Squared cosine of w and the top eigenvector of that matrix, from m examples, for large n.

    A symmetric matrix of noise of variance tau^2 / n an entry, plus a rank-one part of size theta,
    has its top eigenvector at squared cosine 1 - (tau / theta)^2, or 0 where theta <= tau
    (Benaych-Georges and Nadakuditi 2011, section 3.1); here tau^2 = n Var(y) / m.
    """
    return np.maximum(0, 1 - n * variance(s) / (m * trace(s) ** 2))


def critical_sharpness(n: int, m: int) -> float:
    """The s above 1 / 2 at which the trace equals the noise, by bisection."""
    low, high = 0.5, 5.0
    for _ in range(100):
        s = (low + high) / 2
        low, high = (s, high) if trace(s) ** 2 > n * variance(s) / m else (low, s)
    return high


def overlap(x: Float[Tensor, "m n"], y: Float[Tensor, " m"], w: Float[Tensor, " n"]) -> float:
    """Squared cosine of w and the eigenvector of the largest eigenvalue, in size, from examples."""
    x, y = x.double(), (y - y.mean()).double()
    matrix = (x.T * y) @ x / len(y) - y.mean() * torch.eye(x.shape[1])
    values, vectors = torch.linalg.eigh(matrix)
    return float((vectors[:, values.abs().argmax()] @ w.double()).square())


def crossing(s: Float[np.ndarray, " k"], errors: Float[np.ndarray, " k"]) -> float:
    """The sharpness at which the error first passes 1 / 2, interpolated; else one of the ends."""
    above = np.flatnonzero(errors > 0.5)
    if len(above) == 0:
        return float(s[-1])
    i = above[0]
    if i == 0:
        return float(s[0])
    share = (0.5 - errors[i - 1]) / (errors[i] - errors[i - 1])
    return float(s[i - 1] + share * (s[i] - s[i - 1]))


def output(x: Float[Tensor, "m n"], weights: list[Tensor]) -> Float[Tensor, "k m"]:
    """What each network of a stack makes of x."""
    inner, bias, outer, constant = weights
    return (torch.tanh(x @ inner + bias) @ outer + constant).squeeze(-1)


def run(settings: Settings, chance: Chance) -> Result:
    """Error over variance of the wave of each sharpness, and the overlap, with its prediction.

    A stack of one network for each sharpness sees the same inputs. ``error`` is on fresh examples,
    ``error_seen`` on those it learned from. Runs on the CPU, on one thread.
    """
    generator = chance.torch()
    n, k = settings.dimension, len(SHARPNESS)
    w = torch.randn(n, generator=generator)
    w /= w.norm()
    sharpness = torch.tensor(SHARPNESS)

    def draw(count: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(count, n, generator=generator)
        if settings.direction_given:
            x = (x @ w)[:, None] * w
        return x, torch.cos(math.pi * sharpness[:, None] * (x @ w))

    def batches() -> Iterator[Tensor]:
        while True:
            yield torch.randint(settings.examples, (settings.batch,), generator=generator)

    x, y = draw(settings.examples)
    test = draw(settings.test)
    start = [
        torch.randn(k, n, settings.units, generator=generator) * 3 / math.sqrt(n),
        torch.randn(k, 1, settings.units, generator=generator),
        torch.randn(k, settings.units, 1, generator=generator) / math.sqrt(settings.units),
        torch.zeros(k, 1, 1),
    ]
    with threadpool_limits(1):
        weights, _ = descend(
            start,
            lambda weights, rows: (output(x[rows], weights) - y[:, rows]).square().mean(1),
            batches(),
            steps=settings.steps,
            lr=settings.lr,
            rule=(adam(),),
        )
        error, seen = (
            ((output(inputs, weights) - targets).square().mean(1) / targets.var(1)).double().numpy()
            for inputs, targets in (test, (x, y))
        )
        found = np.array([overlap(x, targets, w) for targets in y])
    s = np.array(SHARPNESS)
    expected = predicted_overlap(s, n, settings.examples)
    critical = critical_sharpness(n, settings.examples)
    waves = {"sharpness": [f"s={each:g}" for each in SHARPNESS]}
    return Result(
        sharpness=(s, "half periods a standard deviation"),
        error=Quantity(error, ERROR, **waves),
        error_seen=Quantity(seen, ERROR, **waves),
        overlap=Quantity(found, "squared cosine", **waves),
        overlap_off=(np.abs(found - expected).max(), "squared cosine"),
        critical=(critical, "sharpness"),
        crossing_off=(abs(crossing(s, error) - critical), "sharpness"),
    )


def jump(result: Result) -> float:
    """The share of the rise of the error, from sharpness 1/2 to 2, that lies between 1 and 1.5."""
    lowest, before, after, highest = (result[f"error[s={s}]"] for s in ("0.5", "1", "1.5", "2"))
    return float((after - before) / (highest - lowest))


CLAIMS = (
    Claim(
        id="song2017-sq-hardness", cite="song2017", kind="effect", expected=SHOWN,
        title="Is there a sharpness beyond which a network learns nothing?",
        says="For waves along a hidden direction, which small networks can compute and which take "
        "exponentially many statistical queries to learn, the error of training has a phase "
        "transition as the wave gets sharper (abstract).",
        tested="Tanh networks of 64 units, 800 steps of Adam on 10,000 normal inputs in 20 "
        "dimensions, for six sharpnesses from 1/2 to 2.",
        so="The error over the variance jumps from "
        "{num}`theory-survey/sgd/sharp-waves error[s=1] .2f ±` at sharpness 1 to "
        "{num}`theory-survey/sgd/sharp-waves error[s=1.5] .2f ±` at 1.5; "
        "{num}`song2017-sq-hardness:jump .0% ±` of its rise from 1/2 to 2 lie between these two.",
        caveat="The number of queries is not measured, and the number of dimensions not varied: "
        "only there could *exponentially many* show. One network, one number of examples and of "
        "steps.",
        paper=(
            ("statistical queries, of tolerance inverse in the dimension", "exponentially many",
             "abstract"),
            ("training error", "a phase transition", "abstract"),
        ),
        decides=(
            Condition("jump", "of the rise of the error from sharpness 1/2 to 2 at least "
                      "{bound:word} lies between 1 and 1.5", jump, ">=", 2 / 3, "share of the rise",
                      none=1 / 3, because="a steady rise has a third there, and twice that is the "
                      "least that one would call a jump"),
            at_least("error[s=2]", "at sharpness 2 the network leaves at least {bound} of the "
                     "variance, as if it had seen nothing", 0.9, none=0.05,
                     because="a tenth less than a constant answer would be a sign of learning"),
            at_most("error[s=0.5]", "at sharpness 1/2 it leaves at most {bound}", 0.05, none=1.0,
                    because="one part in twenty is the most that one would call learned"),
        ),
        mechanism=(
            at_most("crossing_off", "the error passes 1/2 within {bound}, one step of the grid, "
                    "of the sharpness at which the trace of the direction sinks into the noise",
                    0.25),
            at_most("overlap_off", "at each sharpness that trace is within {bound} of the "
                    "predicted squared cosine", 0.45),
        ),
        controls=(
            Control(
                "direction-given", "the search: the network sees only the part of its input along "
                "the direction", ("jump", "error[s=2]", "crossing_off", "overlap_off"),
                (at_most("error[s=0.5]", "it learns the smooth wave, all but {bound}", 0.05),),
            ),
            Control(
                "few-examples", "the examples: 200 in place of 10,000", ("error[s=0.5]",),
                (at_most("error_seen[s=0.5]", "it fits those it has, all but {bound}", 0.2),),
            ),
        ),
        changes=("New: the jump itself decides (stricter; errors at the two ends do not tell a "
                 "jump from a steady rise). Where it happens, and the trace, are predictions of "
                 "ours: they are shown and no longer decide.",),
        limits="Without noise in the labels an algorithm that works with lattices, and asks no "
        "statistical queries, learns such waves; with a little noise they are hard for every "
        "algorithm, if certain problems on lattices are {cite}`song2021`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Errors against sharpness, with the critical one; the overlap beside its prediction."""
    s = first(runs, "sharpness")
    shown = {MAIN: "direction hidden", "direction-given": "direction given"}
    with panels(2, size=(8.6, 3.6)) as (drawn, (left, right)):
        compare(left, runs, "error", "sharpness", shown)
        left.axvline(first(runs, "critical"), **figures.THEORY, label="predicted jump")
        left.set(xlabel="sharpness $s$", ylabel="error over the variance of $y$")
        left.legend(loc="upper left", fontsize=9)
        left.set_ylim(-0.05, 1.9)
        figures.band(right, s, over_seeds(runs, "overlap"), label="measured")
        grid = np.linspace(s[0], s[-1], 200)
        expected = predicted_overlap(grid, Settings.dimension, Settings.examples)
        right.plot(grid, expected, **figures.THEORY, label="predicted")
        right.set(xlabel="sharpness $s$", ylabel="squared cosine with $w$", ylim=(-0.05, 1.05))
        right.legend()
    return figures.Figure(
        drawn,
        label="fig-fails-waves",
        caption="Left: error on fresh examples of networks trained on 10,000 examples of a wave of "
        "sharpness $s$ along a direction in 20 dimensions, hidden or given; dashed, the sharpness "
        "at which the trace of the direction sinks into the noise. Right: how well the second "
        "moments of the same examples show the direction, with what {prf:ref}`thm-fails-trace` "
        f"predicts. Mean and standard deviation over {figures.count(len(runs[MAIN]))}.",
        alt="Two panels against the sharpness of the wave. Left, with the direction hidden the "
        "error jumps from near 0 to above 1 around sharpness 1.1, at a dashed line; with the "
        "direction given it stays low. Right, the squared cosine falls from 1 to near 0 at the "
        "same place, along its dashed prediction.",
    )
