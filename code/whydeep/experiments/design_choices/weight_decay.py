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
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets.tasks import CLASSES, PIXELS, halved
from whydeep.descent import SGD, mean_loss, train
from whydeep.evidence.claims import UNDECIDED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, panels, ticks

PAGE = "design-choices/constraints-and-sizes"
GUESSING = math.log(CLASSES)  # the loss of equal probabilities
ARMS = ("without", "with")


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; two layers of ``units``.

    ``networks`` pairs of networks start alike; one of each pair has the weight decay of ``sgd``.
    """

    examples: int = 1000
    units: int = 128
    networks: int = 6
    sgd: SGD = SGD(lr=0.1, epochs=15, batch=100, momentum=0.9, decay=5e-4)


SCALES = {"quick": Settings()}
VARIANTS = {"nearly-too-high": {"sgd.lr": 0.3, "sgd.decay": 0.01}}


def capped(loss: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Losses, with that of guessing for any that is higher or not a number."""
    return np.nan_to_num(loss, nan=GUESSING, posinf=GUESSING).clip(max=GUESSING)


def run(settings: Settings, chance: Chance) -> Result:
    """Training loss after each epoch, with and without decay: means over the networks.

    ``ends`` are means over the ends of the last five epochs.
    """
    x, y, *_ = halved(settings.examples, 100, chance=chance).flat()
    sgd, seeds = settings.sgd, chance.members(settings.networks)
    how = sgd.how
    how["weight_decay"] = np.repeat([0.0, sgd.decay], settings.networks)
    stack = train(
        partial(Dense, (PIXELS, settings.units, settings.units, CLASSES)), x, y,
        seeds=[*seeds, *seeds], **how,
        measure={"loss": mean_loss(x, y)}, device=device.current(),
    )  # fmt: skip
    losses = capped(stack.history["loss"].double().numpy())  # (2 networks, epochs + 1)
    curves = losses.reshape(2, settings.networks, -1).mean(1)
    ends = curves[:, -5:].mean(1)
    epochs = np.arange(sgd.epochs + 1)
    steps = sgd.epochs * -(-settings.examples // sgd.batch)
    return Result(
        epochs=(epochs, "epochs"),
        loss=Quantity(curves, "nats", decay=ARMS, epoch=epochs),
        ends=Quantity(ends, "nats", decay=ARMS),
        ratio=(ends[1] / ends[0], "ratio of training losses"),
        foldings=(
            np.divide(sgd.lr, 1 - sgd.momentum) * sgd.decay * steps,
            "times that decay alone would divide a weight by e",
        ),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-weight-decay-lowers-training-error",
        cite="krizhevsky2012", kind="effect", expected=UNDECIDED,
        title="Does weight decay lower the training error?",
        says="A weight decay of 0.0005 is not merely a regulariser: it reduces the training error "
        "of the network (section 5).",
        tested="Six pairs of networks a seed with two hidden layers of 128 units on 1,000 pictures "
        "of clothes, 14 x 14, 15 epochs at a learning rate of 0.1, with a decay of 0.0005 and "
        "without.",
        so="With decay the training loss is {num}`design-choices/weight-decay ratio .2f ±` times "
        "that without: five seeds can tell it neither from no effect nor from a twentieth.",
        caveat="In so short a training the decay alone takes about 7% off a weight, and in one "
        "epoch of ImageNet more than a third; the network is dense, too. Where decay is strong and "
        "the learning rate nearly too high, it leaves "
        "{num}`design-choices/weight-decay@nearly-too-high ratio .2f ±` of the loss.",
        paper=(
            (
                "weight decay; what it does",
                ("{}; “reduces the model’s training error”, without a number", 0.0005),
                "section 5",
            ),
        ),
        decides=(
            at_most("ratio", "with weight decay the training loss is at most {bound} times that "
                    "without", 0.95, none=1.0, log=True,
                    because="the paper gives no number; a twentieth of the loss is the least that "
                    "one would call a reduction"),
        ),
        controls=(
            Control(
                "nearly-too-high", "the mildness: a learning rate of 0.3, at which some networks "
                "without decay fail, and a decay of 0.01",
                valid=(
                    at_least("ends[without]", "without decay the networks do not train as well as "
                             "at the learning rate 0.1: their loss is at least {bound}", 0.5),
                ),
                finds=("ratio",),
            ),
        ),
        changes=("The bound was first 0.9 and the control's margin 0.1. Both were changed to 0.95 "
                 "and 0.03 after the calibration and before any reported value had been looked "
                 "at; but the command that records the reported seeds had been started at the "
                 "first ones, and was not stopped by the change. By the first ones the verdict "
                 "would have been void: the control lowers the loss to 0.84 times, and 0.8 was "
                 "asked for.",
                 "The interval is now one of logarithms; the control has to find a reduction, "
                 "which it does not for certain.",),
    ),
)  # fmt: skip

PANELS = {
    MAIN: "learning rate 0.1, decay 0.0005",
    "nearly-too-high": "learning rate 0.3, decay 0.01",
}
PLOT = Plot(
    sweep=Axis("epoch"),
    at="epochs",
    y=Axis("training loss", "nats"),
    series={"loss[without]": "no decay", "loss[with]": "weight decay"},
)


def figure(runs: Runs) -> figures.Figure:
    """Training loss along the epochs, with and without decay, one panel a variant."""
    shown = [variant for variant in PANELS if variant in runs]
    with panels(len(shown), size=(8.2, 3.3), sharey=True, squeeze=False) as (drawn, axes):
        for panel, variant in zip(axes[0], shown, strict=True):
            PLOT.draw(panel, runs, variant)
            panel.set(title=PANELS[variant], ylim=(0, 2.5))
            ticks(panel, range(0, 16, 5))
        for panel in axes[0, 1:]:
            panel.set(ylabel="")
            panel.get_legend().remove()
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
