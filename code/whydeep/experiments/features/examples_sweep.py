"""How many training examples does a feature map need? Four maps, as pictures and shuffled.

The experiment `features/raw-pixels` compares four feature maps at one number of training examples.
Here that number is swept, with everything else as on that experiment's quick scale. It carries no
claim: the page's sweep explorer shows it.

What would refute the reading that features which know about neighbours save examples: a curve of
HOG that is no lower than that of raw pixels, or one that is as low on shuffled pixels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from whydeep.chance import Chance
from whydeep.descent import SGD
from whydeep.evidence.claims import Claim
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.features._four_maps import MAPS, FourMaps, errors
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "features/raw-pixels"
LADDER = (100, 300, 1000, 3000, 10000)
FEW_STEPS = FourMaps(sgd=SGD(lr=0.01, steps=60, batch=64, momentum=0.9, decay=1e-3))


@dataclass(frozen=True)
class Settings:
    """``largest`` number of training images: every step of LADDER up to it is run.

    ``maps`` says how the maps are made and compared; its own number of examples does not count. Its
    SGD takes the same number of steps whatever the number of examples.
    """

    largest: int = 300
    maps: FourMaps = FEW_STEPS


SCALES = {"quick": Settings(), "full": Settings(largest=3000, maps=FourMaps())}
VARIANTS = {"permuted": {"maps.shuffle": True}}
CLAIMS: tuple[Claim, ...] = ()


def run(settings: Settings, chance: Chance) -> Result:
    """Test error of each map of MAPS, one value a step of the ladder."""
    examples = [n for n in LADDER if n <= settings.largest]
    found = [errors(replace(settings.maps, examples=n), chance)[:, 1] for n in examples]
    along = {"map": MAPS, "examples": examples}
    return Result(
        error=Quantity(torch.stack(found, 1), "fraction of test examples", **along),
        examples=(examples, "training examples"),
    )


PLOT = Plot(
    sweep=Axis("training examples", log=True),
    at="examples",
    y=Axis("test error", "%"),
    series={f"error[{name}]": label for name, label in MAPS.items()},
    factor=100.0,
    variants={MAIN: "pictures as they are", "permuted": "pixels shuffled"},
)


def figure(runs: Runs) -> figures.Figure:
    """Test error against training examples, one panel a variant, bands over seeds."""
    with panels(2, size=(7.6, 3.4), sharey=True) as (drawn, axes):
        PLOT.draw_variants(axes, runs)
        axes[0].set(ylim=(0, None))
    return figures.Figure(
        drawn,
        label="fig-examples-sweep",
        caption="Test error of logistic regression on four feature maps against the number of "
        f"training examples: means and standard deviations over {figures.count(len(runs[MAIN]))}. "
        "Left the pictures as they are, right with shuffled pixels.",
        alt="Two panels of falling curves, test error against training examples on a logarithmic "
        "axis. On pictures as they are HOG is lowest; the learned features start high and come "
        "down to it. With shuffled pixels HOG and the learned features lose their advantage.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The same to drag along, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    fewest = over_seeds(runs, "error")[:, :, 0].mean(0)
    return PLOT.explorer(
        runs,
        key="examples",
        title="Test error of four feature maps against the number of training examples",
        about="Move along the training examples and watch the gaps between the maps. Then shuffle "
        "the pixels: which curves stay where they are, and which lose their lead?",
        predict=Prediction(
            "From the fewest training examples, on pictures as they are: which map gives the "
            "lowest test error?",
            tuple(MAPS.values()),
            int(np.argmin(fewest)),
            "HOG knows about edges before it has seen an example; the learned map has to find them "
            "in the examples, and comes nearer as their number grows.",
        ),
    )
