"""Why one half? The best dropout rate for different labels and different widths.

A reader of the post asks whether one half is arbitrary ({cite}`bavarian2015`). It is the default of
{cite:t}`srivastava2014`, and makes the variance of a mask, rho (1 - rho), largest; but what is kept
is divided by 1 - rho, so that the noise grows with rho without end ({cite}`wager2013`). We sweep
the rate for a wide network on noisy labels, and for a narrow one on clean labels.

What would refute it: one rate that is best for both networks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from whydeep.chance import Chance
from whydeep.datasets.labels import corrupt_labels
from whydeep.datasets.tasks import CLASSES, halved
from whydeep.descent import SGD
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.labs import thinned
from whydeep.show import figures
from whydeep.show.plot import Runs, over_seeds, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "mysterious-steps/overfitting-and-dropout"
SWEEPS = ("wide", "narrow")
RATES = (0.0, 0.1, 0.25, 0.5, 0.75)
LOW, HALF = RATES.index(0.1), RATES.index(0.5)


@dataclass(frozen=True)
class Settings:
    """Two sweeps over RATES: ``wide`` units a layer with label ``noise``, ``narrow`` without.

    Everything else is as in `mysterious-steps/dropout`.
    """

    wide: int = 128
    narrow: int = 16
    noise: float = 0.3
    examples: int = 500
    every: int = 4
    sgd: SGD = SGD(lr=0.02, epochs=40, batch=50, momentum=0.9, cool=8)


SCALES = {"quick": Settings()}
# Both causes taken away at once: the two sweeps are then one and the same.
VARIANTS = {"wide-clean": {"noise": 0.0, "narrow": 128}}


def run(settings: Settings, chance: Chance) -> Result:
    """Test and training errors along training for each rate, in both sweeps. Runs on the CPU."""
    x, y, x_test, y_test = halved(settings.examples, chance=chance).flat()
    members = [thinned.Member(rate) for rate in RATES]
    done = {}
    for how in (sweeps := ((settings.wide, settings.noise), (settings.narrow, 0.0))):
        width, noise = how
        labels = corrupt_labels(y, noise, [chance], CLASSES).expand(len(members), -1)
        if how not in done:
            done[how] = thinned.train(
                x, labels, members, settings.sgd, chance,
                hidden=(width,) * 2, classes=CLASSES,
                measure={
                    "test": thinned.error_and_loss(x_test, y_test),
                    "train": thinned.error_and_loss(x, labels),
                },
                every=settings.every,
            )  # fmt: skip
    test, train = (np.stack([done[how][name][..., 0] for how in sweeps])
                   for name in ("test", "train"))  # fmt: skip
    wide, narrow = test[..., -1]
    unit = "fraction of test examples"
    epochs = np.arange(0, settings.sgd.epochs + 1, settings.every)
    axes = {"sweep": SWEEPS, "rate": RATES, "epoch": epochs}
    return Result(
        rates=(RATES, "share of units left out"),
        epochs=(epochs, "epochs"),
        half_helps=(wide[LOW] - wide[HALF], unit),
        half_hurts=(narrow[HALF] - narrow[LOW], unit),
        best=Quantity(np.array(RATES)[test[..., -1].argmin(1)], "rate", sweep=SWEEPS),
        lowest_wide=(wide.min(), unit),
        test=Quantity(test, unit, **axes),
        train=Quantity(train, "fraction of training examples", **axes),
    )


CLAIMS = (
    Claim(
        id="srivastava2014-why-one-half", title="Why leave out one half?",
        cite="bavarian2015", kind="effect", expected=SHOWN, ours=True,
        says="A dropout rate of one half is a default and not an optimum: which rate is best "
        "depends on the noise in the labels and on the width of the network.",
        tested="500 pictures of clothes, 14 by 14, 40 epochs, five rates from 0 to 0.75: two "
        "layers of 128 units with 30 % of the labels drawn anew, and two of 16 units with clean "
        "ones.",
        so="From one tenth to one half, the wide network on noisy labels gains "
        "{num}`srivastava2014-why-one-half:half_helps .1%` of the test examples, and the narrow "
        "one on clean labels loses {num}`srivastava2014-why-one-half:half_hurts .1%`.",
        caveat="One half is the best of the five rates for the wide network on noisy labels, and "
        "for the wide one on clean labels it is {num}`mysterious-steps/dropout-rates@wide-clean "
        "half_hurts .1% ±` worse than one tenth: what hurts is having 16 units. The control takes "
        "noise and narrowness away together, and all seeds share 2,000 test pictures.",
        paper=(("a reader's question", "is one half arbitrary?", "{cite:t}`bavarian2015`"),),
        decides=(
            at_least("half_helps", "for a wide network on noisy labels, a rate of one half lowers "
                     "the test error of a rate of one tenth by at least {bound}", 0.03, none=0.0,
                     because="three in a hundred are reason enough to choose a rate"),
            at_least("half_hurts", "for a narrow network on clean labels it raises it by at least "
                     "{bound}", 0.03, none=0.0,
                     because="three in a hundred are reason enough to choose a rate"),
        ),
        controls=(
            Control(
                "wide-clean", "noise and narrowness: both sweeps are of the wide network on clean "
                "labels", ("half_helps", "half_hurts"),
                (
                    at_most("lowest_wide", "it learns: at its best rate it errs on at most "
                            "{bound} of the test examples", 0.3),
                ),
                by_design="one sweep stands for both",
            ),
        ),
        contested="{cite:t}`srivastava2014` write that one half seems to be close to optimal for a "
        "wide range of networks and tasks.",
        limits="The argument that one half regularises most rests on masks that are not divided "
        "by the share that is kept {cite}`baldi2013`; with the division the penalty grows with "
        "the rate without end {cite}`wager2013`.",
        changes=("The statement is the book's, and marked so: the work that was cited for it "
                 "thinks otherwise. No bound was changed.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Final test error against the rate: two sweeps, and between them the control."""
    curves = {
        (MAIN, "wide"): "wide, noisy labels",
        (MAIN, "narrow"): "narrow, clean labels",
        ("wide-clean", "wide"): "wide, clean labels",
    }
    best = {}
    with panels(size=(6.4, 3.6)) as (drawn, axes):
        for (variant, sweep), name in curves.items():
            if variant in runs:
                errors = over_seeds(runs, f"test[{sweep}]", variant, factor=100.0)[..., -1]
                best[name] = RATES[int(errors.mean(0).argmin())]
                figures.band(axes, np.array(RATES), errors, label=name)
        axes.axvline(0.5, **figures.THEORY, label="largest $a (1 - a)$")
        axes.set(xlabel="dropout rate $a$", ylabel="test error (%)")
        ticks(axes, RATES)
        axes.legend()
    return figures.Figure(
        drawn,
        label="fig-dropout-rates",
        caption="Test error after training against the dropout rate. Of the five rates, "
        f"{best['wide, noisy labels']:g} is best for a wide network on noisy labels and "
        f"{best['narrow, clean labels']:g} for a narrow one on clean labels; for a wide network on "
        "clean labels all rates up to one half are nearly alike. Dashed: where the variance of a "
        "mask is largest. Bands are one standard deviation over seeds.",
        alt="Three curves of test error over dropout rates from 0 to 0.75. The one for the wide "
        "network on noisy labels falls until one half and then climbs steeply. The one for the "
        "narrow network on clean labels is nearly flat until one quarter and climbs after. "
        "The wide network on clean labels is flat until one half.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Test and training error along the epochs, with the rate to drag along; a question first."""
    from whydeep.widgets import Axis, Prediction, SweepExplorer  # pages need it, the CLI does not

    return SweepExplorer.from_runs(
        runs,
        key="dropout",
        title="Error of the wide network along training, for each dropout rate",
        about="Move along the dropout rate and watch the gap between training and test error. Then "
        "take the noise out of the labels: at which rates does it still pay to leave units out?",
        series={"test[wide]": "test", "train[wide]": "training"},
        variants={MAIN: "30 % noisy labels", "wide-clean": "clean labels"},
        sweep=Axis("dropout rate"),
        sweep_values="rates",
        x=Axis("epoch"),
        x_values="epochs",
        factor=100.0,
        y=Axis("error", "%"),
        predict=Prediction(
            "30 % of the training labels are drawn anew. A wide network without dropout trains for "
            "40 epochs. What does its test error do?",
            (
                "It falls and stays low",
                "It falls, and then rises again",
                "It rises from the first epoch",
            ),
            1,
            "The network first learns what the clean labels share, then the noisy labels one by "
            "one. A rate of one half takes most of the rise away, and the training error stays "
            "far from zero.",
        ),
    )
