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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from torch import nn

from whydeep.chance import Chance
from whydeep.descent.recipe import Measure, Recipe, error, fit, mean_loss
from whydeep.errors import BadSettings
from whydeep.evidence.claims import Claim
from whydeep.evidence.results import MAIN, Result
from whydeep.networks.miniature import Choices, build, task
from whydeep.show import figures

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "design-choices/constraints-and-sizes"

# What is taken out -> what changes in the network, and in its training.
WITHOUT: dict[str, tuple[dict, dict]] = {
    "": ({}, {}),
    "relu": ({"activation": "tanh"}, {}),
    "overlap": ({"overlap": False}, {}),
    "response-norm": ({"norm": ""}, {}),
    "dropout": ({"dropout": 0.0}, {}),
    "moved-pictures": ({}, {"shift": 0, "mirror": False}),
    "weight-decay": ({}, {"weight_decay": 0.0}),
    # Momentum m adds up steps to 1 / (1 - m) times their size.
    "momentum": ({}, {"momentum": 0.0, "lr": 0.1}),
    "divide-by-ten": ({}, {"divide_at": ()}),
}


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; one choice ``without``.

    ``every`` so many epochs the errors are measured.
    """

    examples: int = 400
    test: int = 1000
    epochs: int = 30
    every: int = 3
    rate: float = 0.01
    batch_size: int = 25
    without: str = ""


SCALES = {"quick": Settings()}
VARIANTS = {f"without-{name}": {"without": name} for name in WITHOUT if name}
CLAIMS: tuple[Claim, ...] = ()


def recipe(settings: Settings) -> tuple[Choices, Recipe]:
    """The network's choices and its training, one of them taken out."""
    if settings.without not in WITHOUT:
        raise BadSettings(
            f"without is {settings.without!r}, expected '' or one of {', '.join(WITHOUT)[2:]}"
        )
    network, training = WITHOUT[settings.without]
    whole = {
        "epochs": settings.epochs,
        "lr": settings.rate,
        "batch_size": settings.batch_size,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "shift": 1,
        "mirror": True,
        "divide_at": (4 * settings.epochs // 5,),
    }
    return Choices(**network), Recipe(**(whole | training))


class Seldom:
    """A measure that is taken at every so many calls, and gives its last value in between."""

    def __init__(self, every: int, measure: Measure) -> None:
        self.every, self.measure, self.calls, self.value = every, measure, 0, 0.0

    def __call__(self, network: nn.Module) -> float:
        if self.calls % self.every == 0:
            self.value = self.measure(network)
        self.calls += 1
        return self.value


def run(settings: Settings, chance: Chance) -> Result:
    """Training error, test error and test loss along the epochs, and at the end."""
    data = task(settings.examples, settings.test, chance=chance, device=device)
    choices, training = recipe(settings)
    measures = {
        "train": error(data.x, data.y),
        "test": error(data.x_test, data.y_test),
        "loss": mean_loss(data.x_test, data.y_test),
    }
    history = fit(
        build(choices, chance=chance, device=device),
        data.x,
        data.y,
        training,
        chance=chance,
        measure={name: Seldom(settings.every, measure) for name, measure in measures.items()},
    )
    train, test, loss = (history[name][:: settings.every] for name in measures)
    return Result(
        epochs=(np.arange(settings.epochs + 1)[:: settings.every], "epochs"),
        train_error=(train, "fraction of training examples"),
        test_error=(test, "fraction of test examples"),
        test_loss=(loss, "nats"),
        last_train_error=(train[-1], "fraction of training examples"),
        last_test_error=(test[-1], "fraction of test examples"),
        last_test_loss=(loss[-1], "nats"),
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


def differences(
    runs: Mapping[str, Mapping[int, Result]], quantity: str
) -> dict[str, tuple[float, float]]:
    """For each choice: mean and standard deviation over seeds of the change when it is taken out.

    The change is paired: same seed, same pictures, same start where the network is the same.
    """
    found = {}
    for variant in LABELS:
        by_seed = runs[variant]
        changes = [float(by_seed[s][quantity] - runs[MAIN][s][quantity]) for s in by_seed]
        found[variant] = float(np.mean(changes)), float(np.std(changes, ddof=1))
    return found


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """What taking out each choice changes in the test error and in the test loss."""
    panels = (
        ("last_test_error", 100, "change of test error (points)"),
        ("last_test_loss", 1, "change of test loss (nats)"),
    )
    places = np.arange(len(LABELS))[::-1]
    with figures.style():
        drawn, both = plt.subplots(1, 2, figsize=(8.4, 3.8), sharey=True)
        for axes, (quantity, factor, label) in zip(both, panels, strict=True):
            means, sds = factor * np.array(list(differences(runs, quantity).values())).T
            axes.axvline(0, **figures.THEORY)
            axes.errorbar(
                means,
                places,
                xerr=sds,
                fmt="o",
                color=figures.COLOURS["blue"],
                capsize=3,
                ls="none",
            )
            axes.set(xlabel=label)
        both[0].set_yticks(places, list(LABELS.values()))
        both[0].set(title="without …")
    seeds = len(runs[MAIN])
    return figures.Figure(
        drawn,
        label="fig-miniature",
        caption="AlexNet in miniature, one choice taken out at a time: change of the test error "
        "and of the test loss at the end of training, against the whole recipe with the same seed. "
        f"Dots are means and lines one standard deviation over {seeds} seeds; to the right of the "
        "dashed line the choice was worth having.",
        alt="Two panels, each with eight rows, one for each choice that is taken out. Dots with "
        "horizontal lines show the change of test error on the left and of test loss on the right. "
        "Most lines cross the dashed line at zero.",
    )


def explorer(runs: Mapping[str, Mapping[int, Result]]) -> SweepExplorer:
    """The recipe with and without one choice, along the epochs, with a question first."""
    from whydeep.widgets import Axis, Prediction, SweepExplorer  # pages need it, the CLI does not

    seeds = sorted(runs[MAIN])
    series = {"test_error": "test error", "train_error": "training error"}
    values = np.array(
        [
            [
                [100 * runs[variant][chance][quantity] for chance in seeds]
                for quantity in series
                for variant in (MAIN, left_out)
            ]
            for left_out in LABELS
        ]
    )
    change = differences(runs, "last_train_error")
    options = ("without-relu", "without-dropout", "without-moved-pictures", "without-weight-decay")
    answer = int(np.argmin([change[variant][0] for variant in options]))
    return SweepExplorer(
        values,
        key="miniature",
        title="AlexNet in miniature, with and without one of its choices",
        about="Choose what to take out and compare the two pairs of curves. Which choices hold the "
        "training error up and leave the test error where it is?",
        series=[f"{label}, {which}" for label in series.values() for which in ("whole", "without")],
        variants={name: f"without {label}" for name, label in LABELS.items()},
        seeds=seeds,
        sweep=Axis("epoch"),
        sweep_values=runs[MAIN][seeds[0]]["epochs"].tolist(),
        y=Axis("error", "%"),
        predict=Prediction(
            "Of these four, which one lowers the training error most when it is taken out?",
            tuple(LABELS[variant] for variant in options),
            answer,
            "A network that sees every picture moved in a new way each time has more to learn; "
            "without that it can learn the few pictures themselves.",
        ),
    )
