"""Do pools that overlap help? Windows of 3 x 3 at stride 2 against blocks of 2 x 2.

AlexNet pools overlapping windows, which is said to lower its error by 0.4 points and to make it
slightly harder to overfit ({cite}`krizhevsky2012`, section 3.4). The networks of the page's other
experiment are small enough to train several of them a seed, so that a gain of 0.3 points could be
seen if it were there. To know that it could, a positive control changes something that helps for
certain: the second network keeps its blocks and is trained for three times as long.

What would refute the verdict that no gain shows: a mean gain of 0.3 points or more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import matplotlib.pyplot as plt
import numpy as np

from whydeep.chance import Chance
from whydeep.evidence.claims import NOT_AT_THIS_SCALE, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.design_choices import pooled_networks
from whydeep.show import figures

PAGE = "design-choices/max-pooling"


@dataclass(frozen=True)
class Settings:
    """``members`` networks of two kinds; the first pools the maximum of blocks of 2 x 2.

    The second pools as ``second`` says and is trained for ``times`` as many steps. All else is as
    in `pooled_networks.Settings`.
    """

    second: str = "overlap"
    times: int = 1
    members: int = 2
    examples: int = 2000
    steps: int = 160
    learning_rate: float = 0.02


SCALES = {"quick": Settings()}
VARIANTS = {"three-times-the-steps": {"second": "maximum", "times": 3}}


def run(settings: Settings, chance: Chance) -> Result:
    """Errors of both kinds, on test and training pictures; ``gain`` is the first less the second.

    Both kinds start from the same weights, since the seeds and shapes of their members are equal.
    """
    base = pooled_networks.Settings(
        examples=settings.examples, steps=settings.steps, learning_rate=settings.learning_rate
    )
    longer = replace(
        base,
        steps=settings.steps * settings.times,
        checks=tuple(step * settings.times for step in base.checks),
    )
    first, second = (
        pooled_networks.errors(design, each, chance, each.learning_rate, settings.members, device)
        for design, each in (("maximum", base), (settings.second, longer))
    )
    share = "fraction of test examples"
    return Result(
        error_blocks=(first["test"], share),
        error_second=(second["test"], share),
        train_blocks=(first["train"], "fraction of training examples"),
        train_second=(second["train"], "fraction of training examples"),
        gain=(first["test"] - second["test"], share),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-overlapping-pooling",
        cite="krizhevsky2012",
        sentence="Pooling windows of 3 x 3 at stride 2 in place of blocks of 2 x 2 lowers the "
        "error slightly.",
        kind="null",
        expected=NOT_AT_THIS_SCALE,
        paper=(("top-1 and top-5 error", ("lower by {} and {} points", 0.4, 0.3), "section 3.4"),),
        conditions=(
            at_least("gain", "overlapping windows lower the test error by at least {bound}", 0.003),
        ),
        controls=(
            Control(
                "three-times-the-steps",
                "something that helps for certain in place of the overlap: three times as many "
                "steps",
                {"gain": 0.005},
                (at_most("error_blocks", "the network learns: its error is at most {bound}", 0.3),),
            ),
        ),
        disputed="{cite:t}`scherer2010` found that overlapping windows bring no significant "
        "improvement",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """The gain of each seed, for overlapping windows and for the positive control."""
    names = {MAIN: "overlapping windows", "three-times-the-steps": "three times the steps"}
    shown = [variant for variant in names if variant in runs]
    with figures.style():
        drawn, axes = plt.subplots(figsize=(6.2, 2.6))
        for i, variant in enumerate(shown):
            gains = np.array([100 * float(r["gain"]) for r in runs[variant].values()])
            axes.plot(gains, np.full(len(gains), -i), linestyle="none", label=names[variant])
        axes.axvline(0.4, **figures.THEORY, label="AlexNet's 0.4 points")
        axes.set(xlabel="gain in test error (points)", ylim=(-len(shown) + 0.4, 0.6))
        axes.set_yticks([-i for i in range(len(shown))], [names[variant] for variant in shown])
        axes.grid(axis="y", visible=False)
    return figures.Figure(
        drawn,
        label="fig-overlapping-pools",
        caption="Gain in test error over blocks of 2 by 2, one point a seed. Overlapping windows "
        "do not reach AlexNet's gain, the dashed line, on our small pictures; three times as many "
        "steps with blocks do.",
        alt="Points along a line of gains in percentage points. Those of overlapping windows lie "
        "below zero; those of three times as many steps lie above zero.",
    )
