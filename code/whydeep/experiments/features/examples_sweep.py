"""How many training examples does a feature map need? Four maps, as pictures and shuffled.

The experiment `features/raw-pixels` compares four feature maps at one number of training examples.
Here that number is swept, with everything else as on that experiment's quick scale. It carries no
claim: the page's sweep explorer shows it.

What would refute the reading that features which know about neighbours save examples: a curve of
HOG that is no lower than that of raw pixels, or one that is as low on shuffled pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np

from whydeep.chance import Chance
from whydeep.evidence.claims import Claim
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.features import raw_pixels
from whydeep.show import figures

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "features/raw-pixels"
MAPS = raw_pixels.MAPS
LADDER = (100, 300, 1000, 3000, 10000)


@dataclass(frozen=True)
class Settings:
    """``largest`` number of training images: every step of LADDER up to it is run.

    The images are drawn afresh by every seed. ``steps`` of SGD train the learned map, whatever the
    number of examples; ``shuffle`` permutes the pixels of all images in one order, drawn by the
    seed.
    """

    largest: int = 300
    steps: int = 60
    shuffle: bool = False


SCALES = {"quick": Settings(), "full": Settings(largest=3000, steps=300)}
VARIANTS = {"permuted": {"shuffle": True}}
CLAIMS: tuple[Claim, ...] = ()


def run(settings: Settings, chance: Chance) -> Result:
    """Test error of each map of MAPS, one value a step of the ladder; fractions of examples."""
    examples = [n for n in LADDER if n <= settings.largest]
    base = replace(raw_pixels.SCALES["quick"], steps=settings.steps, shuffle=settings.shuffle)
    results = [
        raw_pixels.run(replace(base, examples=n), chance=chance, device=device) for n in examples
    ]
    errors = {
        f"error_{name}": (
            [float(result[f"error_{name}"]) for result in results],
            "fraction of test examples",
        )
        for name in MAPS
    }
    return Result(**errors, examples=(examples, "training examples"))


GROUPS = {MAIN: "pictures as they are", "permuted": "pixels shuffled"}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test error against training examples, one panel a variant, bands over seeds."""
    shown = [variant for variant in GROUPS if variant in runs]
    with figures.style():
        drawn, panels = plt.subplots(1, len(shown), figsize=(7.6, 3.4), sharey=True, squeeze=False)
        for axes, variant in zip(panels[0], shown, strict=True):
            results = list(runs[variant].values())
            for name, label in MAPS.items():
                errors = np.array([100 * result[f"error_{name}"] for result in results])
                figures.band(axes, results[0]["examples"], errors, label=label)
            axes.set(xscale="log", xlabel="training examples", title=GROUPS[variant])
        panels[0][0].set(ylabel="test error (%)", ylim=(0, None))
        panels[0][0].legend()
    seeds = len(runs[MAIN])
    return figures.Figure(
        drawn,
        label="fig-examples-sweep",
        caption="Test error of logistic regression on four feature maps against the number of "
        f"training examples: means and standard deviations over {figures.count(seeds)}"
        f". Left the pictures as they are, right with shuffled pixels.",
        alt="Two panels of falling curves, test error against training examples on a logarithmic "
        "axis. On pictures as they are HOG is lowest; the learned features start high and come "
        "down to it. With shuffled pixels HOG and the learned features lose their advantage.",
    )


def explorer(runs: Mapping[str, Mapping[int, Result]]) -> SweepExplorer:
    """The same to drag along, with a question first."""
    from whydeep.widgets import Axis, Prediction, SweepExplorer  # pages need it, the CLI does not

    fewest = [
        np.mean([result[f"error_{name}"][0] for result in runs[MAIN].values()]) for name in MAPS
    ]
    return SweepExplorer.from_runs(
        runs,
        key="examples",
        title="Test error of four feature maps against the number of training examples",
        about="Move along the training examples and watch the gaps between the maps. Then shuffle "
        "the pixels: which curves stay where they are, and which lose their lead?",
        series={f"error_{name}": label for name, label in MAPS.items()},
        variants=GROUPS,
        sweep=Axis("training examples", log=True),
        sweep_values="examples",
        factor=100.0,
        y=Axis("test error", "%"),
        predict=Prediction(
            "From the fewest training examples, on pictures as they are: which map gives the "
            "lowest test error?",
            tuple(MAPS.values()),
            int(np.argmin(fewest)),
            "HOG knows about edges before it has seen an example; the learned map has to find them "
            "in the examples, and comes nearer as their number grows.",
        ),
    )
