"""Does leaving out half of the units keep a network from overfitting, and what has to be left out?

{cite:t}`hinton2012` omit each hidden unit with probability one half, anew for every example, and
report much less overfitting. The post tells it as taking the gradient with respect to a random half
of the columns of the matrices W_k ({cite}`bubeck2015`), which says nothing of the forward pass. We
train small networks on few pictures, with clean labels and with 30 % of the labels drawn anew:
without dropout, with dropout, and as the post words it.

What would refute it: dropout that errs as often as no dropout on noisy labels, or that has the same
loss on clean ones; and for the wording, masked gradients that do what dropout does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from whydeep.chance import Chance
from whydeep.datasets.labels import corrupt_labels
from whydeep.datasets.tasks import CLASSES, halved
from whydeep.descent import SGD
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.labs import thinned
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "mysterious-steps/overfitting-and-dropout"
LABELS = ("clean", "noisy")
ARMS = ("none", "dropout", "worded")


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; always all test images.

    With probability ``noise`` a training label is drawn anew from all classes. ``dropout`` and
    ``worded`` say what the masks of these two arms act on, one of `thinned.MASKS`; ``rate`` is how
    many of them leave out. The networks are measured every ``every`` epochs.
    """

    examples: int = 500
    width: int = 128
    rate: float = 0.5
    noise: float = 0.3
    dropout: str = "units"
    worded: str = "columns"
    every: int = 4
    sgd: SGD = SGD(lr=0.02, epochs=40, batch=50, momentum=0.9, cool=8)


SCALES = {"quick": Settings()}
VARIANTS = {"gradient-only": {"dropout": "columns"}, "left-out-too": {"worded": "one a step"}}


def run(settings: Settings, chance: Chance) -> Result:
    """Test error, test loss and training error of each arm along training, clean and noisy.

    The training error of noisy labels counts the noisy labels as right. Runs on the CPU.
    """
    x, y, x_test, y_test = halved(settings.examples, chance=chance).flat()
    noisy = corrupt_labels(y, settings.noise, [chance], CLASSES)[0]
    labels = torch.stack([y] * len(ARMS) + [noisy] * len(ARMS))
    masks = (settings.dropout, settings.worded)
    arms = [thinned.Member(), *(thinned.Member(settings.rate, mask) for mask in masks)]
    seen = thinned.train(
        x, labels, arms * 2, settings.sgd, chance,
        hidden=(settings.width,) * 2, classes=CLASSES,
        measure={
            "test": thinned.error_and_loss(x_test, y_test),
            "train": thinned.error_and_loss(x, labels),
        },
        every=settings.every,
    )  # fmt: skip
    # (labels, arms, times, error or loss)
    test, train = (seen[name].reshape(2, len(ARMS), -1, 2) for name in ("test", "train"))
    error, loss = test[..., 0], test[..., 1]
    none, dropout, worded = error[1, :, -1]
    test_unit, train_unit = "fraction of test examples", "fraction of training examples"
    epochs = np.arange(0, settings.sgd.epochs + 1, settings.every)
    axes = {"labels": LABELS, "arm": ARMS, "epoch": epochs}
    return Result(
        epochs=(epochs, "epochs"),
        gain=(none - dropout, test_unit),
        gain_clean=(error[0, 0, -1] - error[0, 1, -1], test_unit),
        loss_ratio=(loss[0, 1, -1] / loss[0, 0, -1], "ratio of test losses"),
        lead=(worded - dropout, test_unit),
        worded_off=(abs(worded - none), test_unit),
        error=Quantity(error, test_unit, **axes),
        loss=Quantity(loss, "nats", **axes),
        train=Quantity(train[..., 0], train_unit, **axes),
    )


CLAIMS = (
    Claim(
        id="hinton2012-dropout", cite="hinton2012", kind="effect", expected=REPRODUCED,
        sentence="Leaving out a random half of the hidden units at each training example greatly "
        "reduces the overfitting of a large network on a small training set.",
        paper=(
            (
                "errors on the 10,000 test images of MNIST",
                ("{} without; about {} with half of the hidden units left out and a bound on the "
                 "weights into each; about {} with a fifth of the pixels left out too",
                 160, 130, 110),
                "Figure 1 and text",
            ),
        ),
        conditions=(
            at_least("gain", "with 30 % of the labels drawn anew, dropout lowers the test error "
                     "by at least {bound}", 0.05),
            at_most("loss_ratio", "with clean labels, dropout brings the test loss to at most "
                    "{bound} times what it is without", 0.82),
        ),
        controls=(
            Control(
                "gradient-only", "the leaving out: as often as dropout would leave a unit out, it "
                "is not updated, but it stays in the network", {"gain": 0.03, "loss_ratio": 0.04},
                (
                    at_most("train[noisy, dropout, -1]", "it learns: it errs on at most "
                            "{bound:word} of the noisy training labels", 0.25),
                ),
                by_design="the arm with dropout becomes the one that skips updates",
            ),
        ),
        disputed="That units which rely on one another are the trouble is hard to measure. "
        "Dropout has other readings, among them an adaptive penalty {cite}`wager2013`, and used "
        "early in training it can lower the training loss {cite}`liu2023`.",
    ),
    Claim(
        id="bubeck2015-dropout-as-gradient-mask",
        cite="bubeck2015", kind="effect", expected=REPRODUCED,
        sentence="To update a random half of the columns at each step, as the post words it, is "
        "not dropout: it errs as if nothing had been done, until the units are left out of the "
        "forward pass as well.",
        paper=(
            ("the post's wording", "no number", "{cite:t}`bubeck2015`, 'Some mysterious steps'"),
        ),
        conditions=(
            at_least("lead", "with 30 % of the labels drawn anew, dropout errs on at least "
                     "{bound} less of the test examples than masked gradients do", 0.05),
            at_most("worded_off", "masked gradients err as often as no dropout, to within {bound}",
                    0.04),
        ),
        controls=(
            Control(
                "left-out-too", "the difference in the forward pass: the units of the columns "
                "that are not updated are left out, for the whole batch",
                {"lead": 0.015, "worded_off": 0.015},
                (
                    at_most("error[noisy, worded, -1]", "it learns: it errs on at most {bound} of "
                            "the test examples", 0.4),
                ),
            ),
        ),
    ),
)  # fmt: skip

NAMES = {"none": "no dropout", "worded": "half of the columns updated", "dropout": "dropout"}


def figure(runs: Runs) -> figures.Figure:
    """Test error on noisy labels and test loss on clean ones along training, bands over seeds."""
    shown = {
        "30 % noisy labels": ("error[noisy, {}]", 100.0, "test error (%)"),
        "clean labels": ("loss[clean, {}]", 1.0, "test loss (nats)"),
    }
    epochs = first(runs, "epochs")
    with panels(2, size=(8.2, 3.5)) as (drawn, axes):
        for panel, (title, (quantity, factor, label)) in zip(axes, shown.items(), strict=True):
            for arm, name in NAMES.items():
                # From the first measurement after the start, which is chance for all.
                values = over_seeds(runs, quantity.format(arm), factor=factor)[:, 1:]
                figures.band(panel, epochs[1:], values, label=name)
            panel.set(title=title, ylabel=label, xlabel="epoch")
        axes[0].legend()
    return figures.Figure(
        drawn,
        label="fig-dropout",
        caption="Networks with two hidden layers on few pictures of clothes, along training. Left, "
        "with 30 % of the training labels drawn anew: the test error rises as the labels are "
        "learned by heart, unless units are left out. Right, with clean labels: the test loss "
        "rises without dropout. Updating half of the columns, without leaving units out, changes "
        "little. Bands are one standard deviation over seeds.",
        alt="Two panels of three curves over the epochs. Left, the test error of the network "
        "without dropout and that of the network of which half of the columns are updated climb "
        "together; with dropout it stays low. Right, the same order for the test loss.",
    )
