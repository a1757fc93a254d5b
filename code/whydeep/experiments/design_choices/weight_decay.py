"""Does weight decay lower the training loss, as the paper of 2012 says of its network?

The post's "energy control" was weight decay in AlexNet: every step takes a share eta * 0.0005 off
every weight, and the paper says that this "reduces the model's training error"
({cite}`krizhevsky2012`, section 5). A penalty cannot lower the minimum of what it is added to, so
if it is true it is about where SGD gets in a given time. We train stacks of dense networks with and
without decay and compare the training loss, the penalty left out.

What would refute it: networks with decay whose training loss is no lower. That is only telling if
the comparison can see such an effect, so a second run looks where one is to be expected: at a
learning rate that is nearly too high, with a decay that has time to act.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float

from whydeep.chance import Chance
from whydeep.descent import mean_loss, train
from whydeep.evidence.claims import NOT_AT_THIS_SCALE, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Dense
from whydeep.networks.miniature import task
from whydeep.show import figures

PAGE = "design-choices/constraints-and-sizes"
GUESSING = math.log(10)  # the loss of ten equal probabilities


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; two layers of ``units``.

    ``networks`` pairs of networks start alike; one of each pair has weight decay ``decay``.
    """

    examples: int = 1000
    units: int = 128
    networks: int = 6
    rate: float = 0.1
    decay: float = 5e-4
    momentum: float = 0.9
    epochs: int = 15
    batch_size: int = 100


SCALES = {"quick": Settings()}
VARIANTS = {"nearly-too-high": {"rate": 0.3, "decay": 0.01}}


def capped(loss: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Losses, with that of guessing for any that is higher or not a number."""
    return np.nan_to_num(loss, nan=GUESSING, posinf=GUESSING).clip(max=GUESSING)


def run(settings: Settings, chance: Chance) -> Result:
    """Training loss after each epoch, with and without decay: means over the networks.

    ``without`` and ``with_decay`` are means over the ends of the last five epochs.
    """
    data = task(settings.examples, 100, chance=chance, device=device)
    x = data.x.flatten(1)
    seeds = chance.members(settings.networks)
    stack = train(
        partial(Dense, (x.shape[1], settings.units, settings.units, 10)),
        x,
        data.y,
        seeds=[*seeds, *seeds],
        lr=settings.rate,
        momentum=settings.momentum,
        weight_decay=np.repeat([0.0, settings.decay], settings.networks),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        measure={"loss": mean_loss(x, data.y)},
        device=device,
    )
    losses = capped(stack.history["loss"].double().numpy())  # (2 networks, epochs + 1)
    curves = losses.reshape(2, settings.networks, -1).mean(1)
    ends = curves[:, -5:].mean(1)
    steps = settings.epochs * -(-settings.examples // settings.batch_size)
    return Result(
        epochs=(np.arange(settings.epochs + 1), "epochs"),
        loss_without=(curves[0], "nats"),
        loss_with=(curves[1], "nats"),
        without=(ends[0], "nats"),
        with_decay=(ends[1], "nats"),
        ratio=(ends[1] / ends[0], "ratio of training losses"),
        foldings=(
            settings.rate / (1 - settings.momentum) * settings.decay * steps,
            "times that decay alone would divide a weight by e",
        ),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-weight-decay-lowers-training-error",
        cite="krizhevsky2012",
        sentence="A weight decay of 0.0005 lowers the training error too, so that it is more than "
        "a regulariser.",
        kind="null",
        expected=NOT_AT_THIS_SCALE,
        paper=(
            (
                "weight decay; what it does",
                ("{}; “reduces the model’s training error”, without a number", 0.0005),
                "section 5",
            ),
        ),
        conditions=(
            at_most(
                "ratio",
                "with weight decay the training loss is at most {bound} times that without",
                0.95,
            ),
        ),
        controls=(
            Control(
                "nearly-too-high",
                "the mildness: a learning rate of 0.3, at which some networks without decay fail, "
                "and a decay of 0.01",
                {"ratio": 0.03},
                (
                    at_least(
                        "without",
                        "without decay the networks do not train as well as at the learning rate "
                        "0.1: their loss is at least {bound}",
                        0.5,
                    ),
                ),
            ),
        ),
        changes=(
            "The bound was first 0.9 and the control's margin 0.1. Both were changed to 0.95 and "
            "0.03 after the calibration and before any reported value had been looked at; but the "
            "command that records the reported seeds had been started at the first ones, and was "
            "not stopped by the change. By the first ones the verdict would have been void: the "
            "control lowers the loss to 0.84 times, and 0.8 was asked for.",
        ),
    ),
)

PANELS = {
    MAIN: "learning rate 0.1, decay 0.0005",
    "nearly-too-high": "learning rate 0.3, decay 0.01",
}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Training loss along the epochs, with and without decay, one panel a variant."""
    shown = [variant for variant in PANELS if variant in runs]
    with figures.style():
        drawn, panels = plt.subplots(1, len(shown), figsize=(8.2, 3.3), sharey=True, squeeze=False)
        for axes, variant in zip(panels[0], shown, strict=True):
            results = list(runs[variant].values())
            for name, label in (("loss_without", "no decay"), ("loss_with", "weight decay")):
                losses = np.array([result[name] for result in results])
                figures.band(axes, results[0]["epochs"], losses, label=label)
            axes.set(xlabel="epoch", title=PANELS[variant], ylim=(0, 2.5))
            axes.set_xticks(results[0]["epochs"][::5])
        panels[0][0].set(ylabel="training loss (nats)")
        panels[0][0].legend()
    return figures.Figure(
        drawn,
        label="fig-weight-decay",
        caption="Training loss, penalty left out, with and without weight decay. Left: with "
        "AlexNet's decay at a learning rate that suits the network, the curves lie on each other. "
        "Right: at a learning rate at which some networks fail, a stronger decay keeps more of "
        "them going. Means over six networks; bands are one standard deviation over seeds.",
        alt="Two panels of training loss over 15 epochs. Left, two falling curves that can hardly "
        "be told apart. Right, both curves level off after five epochs, the one with decay lower "
        "and with a narrower band.",
    )
