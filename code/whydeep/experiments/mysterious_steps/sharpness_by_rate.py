"""How does the sharpness that descent arrives at depend on the learning rate?

The experiment `mysterious-steps/edge-of-stability` at a range of learning rates, on random labels
and on the true ones ({cite}`cohen2021`, Figure 1, shows such a range). It carries no claim: the
page's sweep explorer shows it.

What would refute the reading that descent settles at 2 / learning rate: end values of the
sharpness that do not fall as the rate grows, or that pass the limit and keep growing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whydeep.chance import Chance
from whydeep.evidence.claims import Claim
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.mysterious_steps import _sharpness
from whydeep.show import figures
from whydeep.show.plot import Axis, Runs, first, over_seeds, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "mysterious-steps/a-small-step"


@dataclass(frozen=True)
class Settings:
    """The ``rates`` share one start; the rest is as in edge-of-stability, with fewer looks.

    ``random_labels``: labels that are drawn at random, or else the true ones.
    """

    rates: tuple[float, ...] = (0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6)
    examples: int = 200
    width: int = 48
    steps: int = 1500
    looks: int = 25
    random_labels: bool = True


SCALES = {"quick": Settings()}
VARIANTS = {"true-labels": {"random_labels": False}}
CLAIMS: tuple[Claim, ...] = ()


def run(settings: Settings, chance: Chance) -> Result:
    """Sharpness along the steps, one row a rate, and the limits 2 / rate."""
    x, y = _sharpness.task(settings.examples, chance, random_labels=settings.random_labels)
    network = _sharpness.network(settings.width)
    trained, edges = _sharpness.descend(
        network, x, y, settings.rates, chance, steps=settings.steps, looks=settings.looks
    )
    rates, at = np.array(settings.rates), np.array(trained.measured_at)
    limits = 2 / rates
    along, unit = {"rate": rates, "step": at}, "largest eigenvalue of the Hessian"
    return Result(
        rates=(rates, "learning rate"),
        at=(at, "steps"),
        sharpness=Quantity(edges * limits[:, None], unit, **along),
        limit=Quantity(np.repeat(limits[:, None], len(at), axis=1), unit, **along),
        settled=Quantity(np.median(edges[:, len(at) // 2 :], axis=1) * limits, unit, rate=rates),
    )


GROUPS = {MAIN: "random labels", "true-labels": "true labels"}


def figure(runs: Runs) -> figures.Figure:
    """The sharpness late in training against the learning rate, beside the limit."""
    rates = first(runs, "rates")
    with panels(size=(6.4, 3.6)) as (drawn, axes):
        for variant, label in GROUPS.items():
            if variant in runs:
                figures.band(axes, rates, over_seeds(runs, "settled", variant), label=label)
        between = np.linspace(0.045, 0.62, 100)
        axes.plot(between, 2 / between, **figures.THEORY, label=r"the limit $2/\eta$")
        axes.set(
            xlabel=r"learning rate $\eta$", ylabel="sharpness, second half", xscale="log",
            yscale="log",
        )  # fmt: skip
        ticks(axes, rates)
        marks = (2, 5, 10, 20, 40)
        axes.set_yticks(marks, [f"{mark}" for mark in marks])
        axes.minorticks_off()
        axes.legend()
    return figures.Figure(
        drawn,
        label="fig-sharpness-by-rate",
        caption="The sharpness in the second half of 1,500 steps against the learning rate, with "
        "the limit of a quadratic (dashed). Small rates have not arrived; from some rate on the "
        "sharpness is set by the limit, whatever the labels. Bands are one standard deviation "
        "over seeds.",
        alt="Two curves of sharpness against the learning rate, both axes logarithmic, and a "
        "dashed falling line. On the left the curves lie far below the dashed line, from the "
        "middle on they fall together with it.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Sharpness along the steps beside the limit, to drag along the learning rate."""
    from whydeep.widgets import Prediction, SweepExplorer  # pages need it, the CLI does not

    return SweepExplorer.from_runs(
        runs,
        key="sharpness",
        title="Sharpness along the steps, for every learning rate",
        about="Move along the learning rate: the dashed limit comes down. At which rate does the "
        "sharpness arrive at it, and what does it do then? Then take the true labels: does "
        "that change anything?",
        series={"sharpness": "sharpness", "limit": "the limit 2 / learning rate"},
        variants=GROUPS,
        sweep=Axis("learning rate", log=True),
        sweep_values="rates",
        x=Axis("steps"),
        x_values="at",
        y=Axis("largest eigenvalue", log=True),
        predict=Prediction(
            "At a learning rate of 0.3 the sharpness ends near 7. You double the rate to 0.6 and "
            "train the same network from the same start. Where does its sharpness end?",
            (
                "Near 3.5: it halves",
                "Near 7, as before",
                "Near 14: it doubles",
                "Nowhere: the loss goes to infinity",
            ),
            0,
            "The limit 2 / 0.6 is half as high, and descent settles there. It even starts above "
            "it: the first steps carry the weights to where the loss is flatter.",
        ),
    )
