"""Does a network learn the pattern before the noise, and can dropout stop it there?

{cite:t}`arpit2017` answer the random labels of {cite:t}`zhang2017`: a network that *can* memorise
noise still learns patterns first, and a well-chosen dropout holds it back from memorising noise
without hurting it on real data. Of our training labels a share is drawn anew. We follow the fit of
the labels that stayed right and of those that became wrong apart, along training, without and with
dropout; and both networks on the true labels.

What would refute it: wrong labels that are learned as fast as right ones; a test error that does
not rise while they are learned; or dropout that does not hold them back, or costs on real data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets.labels import corrupt_labels
from whydeep.datasets.tasks import CLASSES, halved
from whydeep.descent import SGD
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.labs import thinned
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, over_seeds, panels

PAGE = "theory-survey/generalization/a-network-that-can-memorise-noise"
ARMS = ("noisy_plain", "noisy_dropout", "true_plain", "true_dropout")


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; always all test images.

    With probability ``noise`` a training label is drawn anew from all classes. ``rate`` and
    ``mask`` are those of the two arms with dropout (`thinned.MASKS`). Measured every ``every``
    epochs.
    """

    examples: int = 400
    noise: float = 0.6
    rate: float = 0.5
    mask: str = "units"
    width: int = 128
    every: int = 2
    sgd: SGD = SGD(lr=0.02, epochs=40, batch=50, momentum=0.9, cool=6)


SCALES = {"quick": Settings()}
VARIANTS = {
    "all-random": {"noise": 1.0},
    "gradient-only": {"mask": "columns"},
    "untuned": {"rate": 0.9},
}


def run(settings: Settings, chance: Chance) -> Result:
    """Fit of right and of wrong labels, and test error, along the epochs, for each of ARMS.

    A wrong label counts as fitted where the network repeats it. Runs on the CPU.
    """
    x, y, x_test, y_test = halved(settings.examples, chance=chance).flat()
    noisy = corrupt_labels(y, settings.noise, [chance], CLASSES)[0]
    wrong, labels = noisy != y, torch.stack([noisy, noisy, y, y])

    def fit_and_error(weights: list[Tensor]) -> Float[Tensor, "k 3"]:
        fitted = (thinned.outputs(weights, x).argmax(-1) == labels).double()
        missed = (thinned.outputs(weights, x_test).argmax(-1) != y_test).double()
        return torch.stack([fitted[:, ~wrong].mean(1), fitted[:, wrong].mean(1), missed.mean(1)], 1)

    seen = thinned.train(
        x, labels, [thinned.Member(), thinned.Member(settings.rate, settings.mask)] * 2,
        settings.sgd, chance, hidden=(settings.width,) * 2, classes=CLASSES,
        measure={"all": fit_and_error}, every=settings.every,
    )["all"]  # fmt: skip
    right, mistaken, test = seen.transpose(2, 0, 1)  # each (arms, epochs)
    epochs = np.arange(0, settings.sgd.epochs + 1, settings.every)
    lead = right[0] - mistaken[0]
    early = lead.argmax()
    train_unit, test_unit = "fraction of training examples", "fraction of test examples"
    # The arms on true labels have no wrong ones; what is asked of them is the test error alone.
    noisy_arms = {"arm": ARMS[:2], "epoch": epochs}
    return Result(
        epochs=(epochs, "epochs"),
        right=Quantity(right[:2], train_unit, **noisy_arms),
        wrong=Quantity(mistaken[:2], train_unit, **noisy_arms),
        test=Quantity(test, test_unit, arm=ARMS, epoch=epochs),
        share_wrong=(wrong.double().mean(), train_unit),
        lead=(lead[early], train_unit),
        early=(epochs[early], "epochs"),
        rise=(test[0, -1] - test[0, early], test_unit),
        held_back=(mistaken[0, -1] - mistaken[1, -1], train_unit),
        cost=(test[3, -1] - test[2, -1], test_unit),
    )


CLAIMS = (
    Claim(
        id="arpit2017-memorization", title="Are patterns learned before noise?",
        cite="arpit2017", kind="effect", expected=SHOWN,
        says="Networks that can memorise noise tend to learn simple patterns first; and "
        "appropriately tuned regularisation, such as dropout, makes them fit noise worse without "
        "compromising generalisation on real data (abstract).",
        tested="400 pictures of clothes, 14 by 14, of whose labels a share of 0.6 is drawn anew; "
        "two hidden layers of 128 units, 40 epochs, dropout at a rate of 0.5.",
        so="After {num}`theory-survey/generalization/memorization early .0f` epochs the right "
        "labels are ahead of the wrong ones by {num}`theory-survey/generalization/memorization "
        "lead .0% ±`; in the end dropout leaves {num}`theory-survey/generalization/memorization "
        "held_back .0% ±` fewer of the wrong ones fitted, and changes the error on true labels by "
        "{num}`theory-survey/generalization/memorization cost .1% ±`.",
        caveat="Dropout also fits fewer of the right labels, "
        "{num}`theory-survey/generalization/memorization right[noisy_dropout,-1] .0%` instead of "
        "{num}`theory-survey/generalization/memorization right[noisy_plain,-1] .0%`. At a rate of "
        "0.9 it costs {num}`theory-survey/generalization/memorization@untuned cost .0%` on true "
        "labels.",
        paper=(
            ("networks on real data and on noise, with and without regularisation",
             "simple patterns are learned first; tuned dropout hinders training on noise and does "
             "not compromise generalisation on real data (no number)", "abstract"),
        ),
        decides=(
            at_least("lead", "right labels are at some time fitted more than wrong ones, by at "
                     "least {bound}", 0.4, none=0.0,
                     because="less than that would not show on a curve of training"),
            at_least("held_back", "dropout leaves at least {bound} fewer of the wrong labels "
                     "fitted", 0.4, none=0.0,
                     because="less than that would leave most of the noise memorised"),
            at_most("cost", "on true labels dropout raises the test error by at most {bound}",
                    0.02, none=0.02, because="about one in twelve of the errors"),
        ),
        mechanism=(
            at_least("rise", "from that time to the end the test error rises by at least {bound}",
                     0.08, none=0.0, because="what memorising costs has to be seen beside a test "
                     "error of a quarter"),
        ),
        controls=(
            Control(
                "all-random", "the pattern: all labels are drawn anew, and some are right by "
                "chance", ("lead", "rise"),
                (
                    at_least("wrong[noisy_plain, -1]", "the network memorises: it fits at least "
                             "{bound} of the wrong labels", 0.9),
                ),
            ),
            Control(
                "gradient-only", "the leaving out: as often as dropout would leave a unit out, it "
                "is not updated, but it stays in the network", ("held_back",),
                (
                    at_least("right[noisy_dropout, -1]", "the network learns: it fits at least "
                             "{bound} of the right labels", 0.9),
                ),
            ),
            Control(
                "untuned", "the tuning: nine units in ten are left out", ("cost",),
                (
                    at_least("held_back", "it holds memorising back, by at least {bound} of the "
                             "wrong labels", 0.4),
                ),
            ),
        ),
        limits="Where kinds of examples are rare, the best test error needs some memorising: a "
        "rare example cannot be told from a wrong label {cite}`feldman2020`.",
        changes=("That the test error rises while noise is memorised is shown as a consequence and "
                 "does not decide. No bound was moved.",),
    ),
)  # fmt: skip


PLOT = Plot(
    sweep=Axis("epoch"),
    at="epochs",
    y=Axis("share of the examples", "%"),
    series={
        "right[{}]": "right labels fitted",
        "wrong[{}]": "wrong labels fitted",
        "test[{}]": "test error",
    },
    factor=100.0,
)


def figure(runs: Runs) -> figures.Figure:
    """Fit of right and of wrong labels, and test error, without and with dropout."""
    shown = {"noisy_plain": "no dropout", "noisy_dropout": "dropout, rate 0.5"}
    with panels(2, size=(8.6, 3.6), sharey=True) as (drawn, axes):
        for panel, (arm, title) in zip(axes, shown.items(), strict=True):
            PLOT.draw(panel, runs, place=arm, markevery=3, markersize=4)
            panel.set(title=title, ylim=(-2, 102))
        axes[1].set(ylabel="")
        axes[0].get_legend().remove()
        axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.62))
    wrong = over_seeds(runs, "share_wrong")
    return figures.Figure(
        drawn,
        label="fig-memorization",
        caption=f"A network learns labels of which {wrong.mean():.0%} are wrong. The right ones "
        "are fitted first; while the wrong ones are memorised, the test error rises. With dropout "
        "most wrong labels are not memorised. Means and standard deviations over "
        f"{figures.count(len(wrong))}.",
        alt="Two panels along the epochs. Left, without dropout: the fit of right labels rises "
        "steeply within a few epochs, that of wrong labels slowly afterwards, both to nearly "
        "everything; the test error falls steeply, then rises. Right, with dropout: right labels "
        "are fitted mostly, wrong ones to a small part, and the test error stays low.",
    )
