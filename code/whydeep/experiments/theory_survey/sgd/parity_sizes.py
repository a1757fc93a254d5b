"""Which parities of 30 signs are learned? Accuracy along training, for each number of signs.

The theorem on parities ({cite}`shalev2017`) speaks of all 2^d at once. Of one parity of k signs it
says less: there are few of small k, which are learned in about d^k steps after a long plateau
({cite}`barak2022`), and only one of all signs, which is learned from first weights that are random
signs, and not from normal ones ({cite}`abbe2025`). No claim rests on this sweep; what would refute
the last statement is a full parity that is learned from either start, or from neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.descent import adam, descend
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.theory_survey.sgd._parity import (
    draw_signs,
    hinge,
    outputs,
    parities,
    start,
)
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, over_seeds, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/sgd/where-gradients-fail"
SIGNS = 30
SIZES = (1, 2, 3, 4, 5, 6, 15, 24, 28, 30)


@dataclass(frozen=True)
class Settings:
    """``init`` draws the first layer: "gaussian" or "signs", see `start`.

    ``units`` ReLU units, hinge loss and Adam of rate ``lr``, on ``batch`` fresh examples in each
    of ``steps`` steps; the accuracy is measured ``times`` times on ``test`` fresh examples.
    """

    init: str = "gaussian"
    units: int = 300
    steps: int = 1500
    batch: int = 128
    lr: float = 0.003
    times: int = 15
    test: int = 1000


SCALES = {"quick": Settings()}
VARIANTS = {"signs": {"init": "signs"}}


def run(settings: Settings, chance: Chance) -> Result:
    """Accuracy on fresh examples for each of SIZES, along the steps. Runs on the CPU, one thread.

    The parity of k signs is that of the first k, as the order of the inputs means nothing to a
    dense network.
    """
    generator = chance.torch()
    sets = torch.arange(SIGNS) < torch.tensor(SIZES)[:, None]

    def fresh() -> Iterator[Tensor]:
        while True:
            yield draw_signs(settings.batch, SIGNS, generator)

    def accuracy(weights: list[Tensor]) -> Float[np.ndarray, " sizes"]:
        x = draw_signs(settings.test, SIGNS, generator)
        return (outputs(x, weights) * parities(x, sets) > 0).double().mean(1).numpy()

    measured = np.arange(0, settings.steps + 1, settings.steps // settings.times)
    with threadpool_limits(1):
        _, seen = descend(
            start(len(SIZES), SIGNS, settings.units, settings.init, generator),
            lambda w, x: hinge(outputs(x, w), parities(x, sets)).mean(1),
            fresh(),
            steps=settings.steps,
            lr=settings.lr,
            rule=(adam(),),
            look=accuracy,
            look_at=measured.tolist(),
        )
    return Result(
        sizes=(np.array(SIZES), "signs"),
        steps=(measured, "steps"),
        accuracy=Quantity(np.array(seen).T, "fraction of test examples", size=SIZES, step=measured),
    )


CLAIMS = ()

STARTS = {MAIN: "normal first weights", "signs": "random signs"}
PLOT = Plot(
    sweep=Axis("signs in the parity k"),
    at="sizes",
    y=Axis("accuracy", "%"),
    series={"accuracy": "accuracy"},
    factor=100.0,
    variants=STARTS,
)


def figure(runs: Runs) -> figures.Figure:
    """The accuracy after training against the number of signs, for both starts."""
    places = np.arange(len(SIZES))
    look = {MAIN: ("blue", "o", -0.18), "signs": ("vermillion", "s", 0.18)}
    with panels(size=(7.2, 3.4)) as (drawn, axes):
        for variant, (colour, marker, aside) in look.items():
            if variant in runs:
                figures.bars(
                    axes,
                    places + aside,
                    over_seeds(runs, "accuracy", variant, factor=100.0)[..., -1],
                    label=STARTS[variant],
                    colour=figures.COLOURS[colour],
                    marker=marker,
                )
        axes.axhline(50, **figures.THEORY, label="chance")
        ticks(axes, places, [str(k) for k in SIZES])
        axes.set(xlabel="signs in the parity, of 30", ylabel="accuracy (%)", ylim=(0, 135))
        axes.set_yticks(range(0, 101, 25))
        axes.grid(axis="x", visible=False)
        axes.legend(ncols=3, loc="upper center", fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-fails-sizes",
        caption="Accuracy on fresh examples after 1,500 steps on a parity of some of 30 signs, for "
        "first weights that are normal and for first weights that are random signs. Bars: means "
        f"over {figures.count(len(runs[MAIN]))}; marks: single seeds.",
        alt="Bars against the number of signs. Parities of one to four signs reach 100 percent "
        "with normal first weights; those of 15 and 24 signs stay at 50 percent from either "
        "start. The parity of all 30 signs is at chance with normal first weights and near 90 "
        "percent with random signs.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Learning curves for each number of signs, to drag along, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="parity-sizes",
        title="Learning a parity of k of 30 signs",
        about="Move along the number of signs and watch the curve of accuracy. Then start from "
        "random signs: which numbers of signs become learnable?",
        x=Axis("step"),
        x_values="steps",
        predict=Prediction(
            "A network sees 192,000 random strings of 30 signs and the product of the first four "
            "of them, one batch after the other. How does its accuracy rise?",
            (
                "steadily from the first step",
                "hardly at all for 200 steps, then quickly to 100%",
                "it stays at 50%",
            ),
            1,
            "The gradient knows of four signs, but only faintly: what it adds up step by step "
            "shows in the accuracy when it outgrows the rest.",
        ),
    )
