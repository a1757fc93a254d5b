"""Parities: does the gradient know which one it is asked to learn?

A parity of d signs is the product of those in some set S. Shalev-Shwartz, Shamir and Shammah
({cite}`shalev2017`) take any network at any weights and ask how much the gradient of its
loss differs from one parity to another: with 2^d targets, orthogonal to one another, the variance
is at most a 2^d-th of the mean squared gradient of the network's output. For the squared loss this
is Parseval's identity, up to the one set whose product is always 1. We measure the variance over
random parities of all 2^d inputs, and train on a parity of half of 30 signs.

What would refute it: a variance that does not halve with each bit, or a network trained by
gradients that gets such a parity of 30 signs right more often than chance.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.descent import adam, descend
from whydeep.errors import BadSettings
from whydeep.evidence.claims import SHOWN, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.theory_survey.sgd._parity import (
    draw_signs,
    hinge,
    outputs,
    parities,
    start,
)
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, compare, first, over_seeds, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/sgd/where-gradients-fail"
SPARSE = 3  # signs in a sparse parity


@dataclass(frozen=True)
class Settings:
    """``family`` is what targets are drawn from: "parity", "sparse" or "threshold".

    The variance of the gradient is taken over ``targets`` draws, for a random ReLU network of
    ``units`` units, on all inputs of each number of ``bits``. Training is on a target of ``signs``
    signs (a parity of half of them), with 10 ``signs`` units, hinge loss and Adam of rate ``lr``,
    on ``batch`` fresh examples in each of ``steps`` steps.
    """

    family: str = "parity"
    bits: tuple[int, ...] = (3, 4, 5, 6, 7, 8, 9, 10, 11)
    targets: int = 4000
    units: int = 16
    signs: int = 30
    steps: int = 1500
    batch: int = 128
    lr: float = 0.003
    test: int = 10_000


SCALES = {"quick": Settings()}
VARIANTS = {"sparse": {"family": "sparse"}, "threshold": {"family": "threshold"}}
# --- the targets -----------------------------------------------------------------------------


def all_inputs(d: int) -> Float[Tensor, "inputs d"]:
    """All 2^d strings of d signs; bit j of the row's number is 1 where sign j is -1."""
    return 1 - 2 * (torch.arange(2**d)[:, None] >> torch.arange(d) & 1).float()


def random_sets(
    targets: int, d: int, family: str, generator: torch.Generator
) -> Bool[Tensor, "targets d"]:
    """Random sets: each of the 2^d as likely ("parity"), or each of SPARSE signs ("sparse")."""
    if family == "parity":
        return torch.rand(targets, d, generator=generator) < 0.5
    ranks = torch.rand(targets, d, generator=generator).argsort(1).argsort(1)
    return ranks < SPARSE


def draw_targets(
    targets: int, d: int, family: str, generator: torch.Generator
) -> Callable[[Float[Tensor, "n d"]], Float[Tensor, "targets n"]]:
    """A function from inputs to the labels, +1 or -1, of that many random targets of a family."""
    if family == "threshold":
        v = torch.randn(targets, d, generator=generator)
        return lambda x: torch.where(v @ x.T >= 0, 1.0, -1.0)
    if family not in ("parity", "sparse"):
        raise BadSettings(f"family is {family!r}, expected 'parity', 'sparse' or 'threshold'")
    sets = random_sets(targets, d, family, generator)
    return lambda x: parities(x, sets)


# --- the variance of the gradient ------------------------------------------------------------


def output_gradients(
    x: Float[Tensor, "n d"], units: int, generator: torch.Generator
) -> Float[Tensor, "n weights"]:
    """The gradient in all weights of the output f(x) = v . relu(W x + b) of a random network.

    Weights are N(0, 2 / d) in W, N(0, 1 / units) in v, and biases are N(0, 1 / 4), so that no two
    inputs look alike to it.
    """
    d = x.shape[1]
    w = torch.randn(d, units, generator=generator) * math.sqrt(2 / d)
    b = torch.randn(units, generator=generator) / 2
    v = torch.randn(units, generator=generator) / math.sqrt(units)
    z = x @ w + b
    active = (z > 0).float() * v
    in_w = (x[:, :, None] * active[:, None, :]).flatten(1)
    return torch.cat([in_w, active, torch.relu(z), torch.ones(len(x), 1)], 1)


def relative_variance(
    gradients: Float[Tensor, "n weights"], labels: Float[Tensor, "targets n"]
) -> float:
    """Variance over targets of the squared loss's gradient, over 4 E|grad f|^2.

    The gradient of E(f - y)^2 is 2 E[f grad f] - 2 E[y grad f], and only the second part depends
    on the target. For all parities it is 2^-d, less |grad f(1)|^2 / (4^d E|grad f|^2).
    """
    part = labels @ gradients / gradients.shape[0]
    variance = (part - part.mean(0)).square().sum() / (len(part) - 1)
    return float(variance / gradients.square().sum(1).mean())


# --- training --------------------------------------------------------------------------------


def trained_accuracy(settings: Settings, generator: torch.Generator) -> tuple[float, float]:
    """Accuracy on fresh examples after training, and that of the better constant answer."""
    d = settings.signs
    if settings.family == "parity":  # half of the signs: neither sparse nor nearly all
        half = torch.randperm(d, generator=generator)[: d // 2]
        sets = torch.zeros(1, d, dtype=torch.bool)
        sets[0, half] = True
        label = partial(parities, sets=sets)
    else:
        label = draw_targets(1, d, settings.family, generator)

    def fresh() -> Iterator[Tensor]:
        while True:
            yield draw_signs(settings.batch, d, generator)

    weights, _ = descend(
        start(1, d, 10 * d, "gaussian", generator),
        lambda w, x: hinge(outputs(x, w), label(x)).mean(1),
        fresh(),
        steps=settings.steps,
        lr=settings.lr,
        rule=(adam(),),
    )
    x = draw_signs(settings.test, d, generator)
    y = label(x)
    share = float((y > 0).double().mean())
    right = (outputs(x, weights) * y > 0).double().mean()
    return float(right), max(share, 1 - share)


def run(settings: Settings, chance: Chance) -> Result:
    """The variance of the gradient over targets for each number of bits; accuracy of training.

    ``gap`` is the largest distance of the measured variance from 2^-d, in halvings, and
    ``slope_off`` that of its slope from one halving a bit. Runs on the CPU, on one thread.
    """
    generator = chance.torch()
    with threadpool_limits(1):
        measured = []
        for d in settings.bits:
            x = all_inputs(d)
            gradients = output_gradients(x, settings.units, generator)
            labels = draw_targets(settings.targets, d, settings.family, generator)(x)
            measured.append(relative_variance(gradients, labels))
        accuracy, constant = trained_accuracy(settings, generator)
    bits, halvings = np.array(settings.bits), np.log2(measured)
    slope = np.polyfit(bits, halvings, 1)[0]
    return Result(
        bits=(bits, "bits"),
        variance=(np.array(measured), "share of the mean squared gradient"),
        theory=(2.0**-bits, "share of the mean squared gradient"),
        gap=(np.abs(halvings + bits).max(), "halvings"),
        slope_off=(abs(slope + 1), "halvings a bit"),
        accuracy=(accuracy, "fraction of test examples"),
        constant=(constant, "fraction of test examples"),
    )


SAME_CHANCE = (
    at_most(
        "constant",
        "neither label is more frequent than {bound:%}%, so that chance is the same",
        0.55,
    ),
)

CLAIMS = (
    Claim(
        id="shalev2017-parity", cite="shalev2017", kind="effect", expected=SHOWN,
        title="Does the gradient know which parity it is asked for?",
        says="At any weights the gradient is almost the same for every parity of $d$ signs: its "
        "variance over all of them is at most $2^{-d}$ times the mean squared gradient of the "
        "output (main theorem on parities), and networks trained by gradients stay at chance for "
        "large $d$.",
        tested="A network of 300 ReLU units on parities of 15 of 30 signs, 1,500 steps of Adam on "
        "128 fresh examples each; the variance on all inputs of 3 to 11 signs.",
        so="After training it is right on {num}`theory-survey/sgd/parity accuracy .1% ±` of fresh "
        "examples, chance being 50%; the variance lies within "
        "{num}`theory-survey/sgd/parity gap .2f ±` halvings of $2^{-d}$ times the mean square.",
        caveat="One kind of network and 192,000 examples, of a billion. The theorem averages over "
        "all parities: of 3 signs one is learned "
        "({num}`theory-survey/sgd/parity@sparse accuracy .0%`), and that of all 30, from first "
        "weights that are random signs, to "
        "{num}`theory-survey/sgd/parity-sizes@signs accuracy[-1,-1] .0%`.",
        paper=(
            ("variance of the gradient over orthogonal targets", "at most $G(w)^2 / \\lvert "
             "\\mathcal H \\rvert$", "main theorem on parities"),
        ),
        decides=(
            at_most("accuracy", "trained on a parity of 15 of 30 signs, a network is right on at "
                    "most {bound:%}% of fresh examples", 0.55, none=0.55,
                    because="it is to equal chance, and five points above would be a sign of "
                    "learning"),
        ),
        mechanism=(
            at_most("gap", "from 3 to 11 signs the measured variance is within a factor of "
                    "{bound:2^} of $2^{-d}$ times the mean squared gradient of the output", 1.0),
            at_most("slope_off", "its slope is within {bound} of one halving a bit", 0.15),
        ),
        controls=(
            Control(
                "threshold", "orthogonality: targets are signs of random weighted sums, so two of "
                "them agree more than by chance, or less",
                ("gap", "slope_off", "accuracy"),
                SAME_CHANCE,
            ),
            Control(
                "sparse", "the many targets: parities of 3 of the 30 signs, of which there are "
                "4,060", ("accuracy",),
                SAME_CHANCE,
            ),
        ),
        changes=("The variance and its slope no longer decide: for the squared loss they are "
                 "Parseval's identity, and test the program. What training reaches decides alone.",
                 ),
        limits="It bounds gradients over *all* examples with some error. SGD on few examples at "
        "a time, with gradients exact enough, can learn whatever can be learned from examples, "
        "parities included {cite}`abbe2020,abbe2021`; sparse parities are learned about as fast "
        "as statistical queries allow {cite}`barak2022`; and the parity of *all* signs is learned "
        "from first weights that are random signs, not from normal ones {cite}`abbe2025`.",
    ),
)  # fmt: skip

FAMILIES = {MAIN: "parities", "threshold": "threshold functions"}
PLOT = Plot(
    sweep=Axis("signs d"),
    at="bits",
    y=Axis("relative variance over targets", log=True),
    series={"variance": "measured", "theory": "2 to the minus d"},
    variants=FAMILIES,
)


def figure(runs: Runs) -> figures.Figure:
    """The variance over targets against bits, with 2^-d; the accuracy of training beside it."""
    names = {
        MAIN: ("parity, 15", "blue"),
        "sparse": ("parity, 3", "green"),
        "threshold": ("threshold", "vermillion"),
    }
    shown = [variant for variant in names if variant in runs]
    with panels(2, size=(8.4, 3.6), width_ratios=(3, 2)) as (drawn, (left, right)):
        compare(left, runs, "variance", "bits", FAMILIES)
        left.plot(
            first(runs, "bits"), first(runs, "theory"), **figures.THEORY, label="theorem, $2^{-d}$"
        )
        left.set(xlabel="signs $d$", ylabel="relative variance over targets", yscale="log")
        left.set_ylim(2e-4, 0.5)
        left.legend(loc="lower left")
        for place, variant in enumerate(shown):
            values = over_seeds(runs, "accuracy", variant, factor=100.0)[:, None]
            colour = figures.COLOURS[names[variant][1]]
            figures.bars(right, np.array([place]), values, colour=colour, width=0.5)
        right.axhline(50, **figures.THEORY)
        ticks(right, range(len(shown)), [names[variant][0] for variant in shown])
        right.set(ylabel="accuracy after training (%)", ylim=(0, 105), title="30 signs")
        right.grid(axis="x", visible=False)
    return figures.Figure(
        drawn,
        label="fig-fails-parity",
        caption="Left: variance of the gradient over random targets, as a share of the mean "
        "squared gradient of the network's output, on all inputs of $d$ signs, with what "
        "{prf:ref}`thm-fails-parity` predicts for parities. Right: accuracy of a network of 300 "
        "units, trained on 30 signs, on fresh examples; dashed, chance. Means and standard "
        f"deviations, and single seeds, of {figures.count(len(runs[MAIN]))}.",
        alt="Two panels. Left, on a logarithmic axis, the variance for parities falls along a "
        "dashed straight line, halving with each bit, while that for threshold functions falls "
        "far more slowly. Right, three bars: the parity of 15 signs stays at 50 percent, those of "
        "the parity of 3 signs and of the threshold function are near 100 percent.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The variance against bits, with the theorem, to drag along, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="parity-variance",
        title="How much of the gradient depends on the target",
        about="Move along the number of signs, and compare the measured variance with the "
        "theorem's. Then take threshold functions for targets.",
        predict=Prediction(
            "With 10 signs the share of the gradient that depends on which parity is asked for is "
            "about 1/1000. What is it with 30?",
            ("about 1/3000", "about 1/30 000", "about 1/1 000 000 000"),
            2,
            "Every sign doubles the number of parities and halves the variance: twenty more signs "
            "make it a million times smaller.",
        ),
    )
