"""AlexNet in miniature: the recipe of 2012 on pictures of clothes, each choice taken out in turn.

The network is `whydeep.networks.miniature`, trained as in {cite}`krizhevsky2012`: momentum 0.9,
weight decay 0.0005, dropout, shifted and mirrored pictures, and a learning rate that is divided by
ten at the end. Every variant takes one choice out and leaves the rest as it is; where a choice
changes the size of the steps, the step keeps its size. The experiment carries no claim: the paper
gives numbers for five of the choices, on ImageNet, and a few hundred pictures are no test of those.

What would refute the reading that each choice mattered here: variants whose test error and test
loss differ from the whole recipe's by less than they differ between seeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets.tasks import halved
from whydeep.descent.recipe import Recipe, error, fit, mean_loss
from whydeep.evidence.claims import Claim
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks.miniature import Choices, build
from whydeep.show import figures
from whydeep.show.plot import Axis, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "design-choices/constraints-and-sizes"


@dataclass(frozen=True)
class Settings:
    """``examples`` and ``test`` pictures of 14 x 14 pixels, drawn afresh by every seed.

    The network's ``choices`` and its ``training`` are those of 2012. ``every`` so many epochs the
    errors are measured.
    """

    examples: int = 400
    test: int = 1000
    every: int = 3
    choices: Choices = Choices()
    training: Recipe = Recipe(
        epochs=30, lr=0.01, batch_size=25, weight_decay=5e-4, shift=1, mirror=True, divide_at=(24,)
    )


SCALES = {"quick": Settings()}
VARIANTS = {
    "without-relu": {"choices.activation": "tanh"},
    "without-overlap": {"choices.overlap": False},
    "without-response-norm": {"choices.norm": ""},
    "without-dropout": {"choices.dropout": 0.0},
    "without-moved-pictures": {"training.shift": 0, "training.mirror": False},
    "without-weight-decay": {"training.weight_decay": 0.0},
    # Momentum m adds up steps to 1 / (1 - m) times their size.
    "without-momentum": {"training.momentum": 0.0, "training.lr": 0.1},
    "without-divide-by-ten": {"training.divide_at": ()},
}
CLAIMS: tuple[Claim, ...] = ()


def run(settings: Settings, chance: Chance) -> Result:
    """Training error, test error and test loss along the epochs."""
    here = device.current()
    data = halved(settings.examples, settings.test, chance=chance).to(here)
    history = fit(
        build(settings.choices, chance).to(here), data.x, data.y, settings.training,
        chance=chance, every=settings.every,
        measure={
            "train": error(data.x, data.y),
            "test": error(data.x_test, data.y_test),
            "loss": mean_loss(data.x_test, data.y_test),
        },
    )  # fmt: skip
    epochs = np.arange(0, settings.training.epochs + 1, settings.every)
    return Result(
        epochs=(epochs, "epochs"),
        train_error=Quantity(history["train"], "fraction of training examples", epoch=epochs),
        test_error=Quantity(history["test"], "fraction of test examples", epoch=epochs),
        test_loss=Quantity(history["loss"], "nats", epoch=epochs),
    )


LABELS = {
    "without-relu": "ReLU (tanh instead)",
    "without-overlap": "overlap in pooling",
    "without-response-norm": "response normalisation",
    "without-dropout": "dropout",
    "without-moved-pictures": "moved, mirrored pictures",
    "without-weight-decay": "weight decay",
    "without-momentum": "momentum",
    "without-divide-by-ten": "division by ten",
}


def differences(runs: Runs, quantity: str) -> dict[str, tuple[float, float]]:
    """For each choice: mean and standard deviation over seeds of the change when it is taken out.

    The change is paired: same seed, same pictures, same start where the network is the same.
    """
    found = {}
    for variant in LABELS:
        by_seed = runs[variant]
        changes = [float(by_seed[s][quantity] - runs[MAIN][s][quantity]) for s in by_seed]
        found[variant] = float(np.mean(changes)), float(np.std(changes, ddof=1))
    return found


def figure(runs: Runs) -> figures.Figure:
    """What taking out each choice changes in the test error and in the test loss."""
    shown = (
        ("test_error[-1]", 100, "change of test error (points)"),
        ("test_loss[-1]", 1, "change of test loss (nats)"),
    )
    places = np.arange(len(LABELS))[::-1]
    style = {"fmt": "o", "color": figures.COLOURS["blue"], "capsize": 3}
    with panels(2, size=(8.4, 3.8), sharey=True) as (drawn, both):
        for axes, (quantity, factor, label) in zip(both, shown, strict=True):
            means, sds = factor * np.array(list(differences(runs, quantity).values())).T
            axes.axvline(0, **figures.THEORY)
            axes.errorbar(means, places, xerr=sds, **style)
            axes.set(xlabel=label)
        both[0].set_yticks(places, list(LABELS.values()))
        both[0].set(title="without …")
    return figures.Figure(
        drawn,
        label="fig-miniature",
        caption="AlexNet in miniature, one choice taken out at a time: change of the test error "
        "and of the test loss at the end of training, against the whole recipe with the same seed. "
        f"Dots are means and lines one standard deviation over {len(runs[MAIN])} seeds; to the "
        "right of the dashed line the choice was worth having.",
        alt="Two panels, each with eight rows, one for each choice that is taken out. Dots with "
        "horizontal lines show the change of test error on the left and of test loss on the right. "
        "Most lines cross the dashed line at zero.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The recipe with and without one choice, along the epochs, with a question first."""
    from whydeep.widgets import Prediction, SweepExplorer  # pages need it, the CLI does not

    series = {"test_error": "test error", "train_error": "training error"}
    values = [
        [
            over_seeds(runs, quantity, variant, factor=100.0)
            for quantity in series
            for variant in (MAIN, left_out)
        ]
        for left_out in LABELS
    ]
    change = differences(runs, "train_error[-1]")
    options = ("without-relu", "without-dropout", "without-moved-pictures", "without-weight-decay")
    return SweepExplorer(
        np.array(values),
        key="miniature",
        title="AlexNet in miniature, with and without one of its choices",
        about="Choose what to take out and compare the two pairs of curves. Which choices hold the "
        "training error up and leave the test error where it is?",
        series=[f"{label}, {which}" for label in series.values() for which in ("whole", "without")],
        variants={name: f"without {label}" for name, label in LABELS.items()},
        seeds=list(runs[MAIN]),
        sweep=Axis("epoch"),
        sweep_values=first(runs, "epochs").tolist(),
        y=Axis("error", "%"),
        predict=Prediction(
            "Of these four, which one lowers the training error most when it is taken out?",
            tuple(LABELS[variant] for variant in options),
            int(np.argmin([change[variant][0] for variant in options])),
            "A network that sees every picture moved in a new way each time has more to learn; "
            "without that it can learn the few pictures themselves.",
        ),
    )
