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

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.descent import corrupt_labels
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.mysterious_steps.dropout import CLASSES, PIXELS, pictures
from whydeep.labs import thinned
from whydeep.show import figures

PAGE = "theory-survey/generalization/a-network-that-can-memorise-noise"
ARMS = ("noisy_plain", "noisy_dropout", "true_plain", "true_dropout")


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; always all test images.

    With probability ``noise`` a training label is drawn anew from all classes. ``rate`` and
    ``mask`` are those of the two arms with dropout (`thinned.MASKS`). Measured every ``every``
    epochs; the last ``cool`` epochs take a tenth of the learning rate.
    """

    examples: int = 400
    noise: float = 0.6
    rate: float = 0.5
    mask: str = "units"
    width: int = 128
    epochs: int = 40
    batch_size: int = 50
    learning_rate: float = 0.02
    momentum: float = 0.9
    every: int = 2
    cool: int = 6


SCALES = {"quick": Settings()}
VARIANTS = {
    "all-random": {"noise": 1.0},
    "gradient-only": {"mask": "columns"},
    "untuned": {"rate": 0.9},
}


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """Fit of right and of wrong labels, and test error, along the epochs; all four arms at the end.

    A wrong label counts as fitted where the network repeats it. Runs on the CPU whatever the
    ``device``.
    """
    x, y, x_test, y_test = pictures(settings.examples, seed)
    noisy = corrupt_labels(y, settings.noise, [seed], CLASSES)[0]
    wrong = noisy != y
    plain = thinned.Member(lr=settings.learning_rate)
    dropped = thinned.Member(settings.rate, settings.mask, settings.learning_rate)
    labels = torch.stack([noisy, noisy, y, y])

    def fit(weights: thinned.Weights) -> Float[Tensor, "k 2"]:
        fitted = (thinned.outputs(weights, x).argmax(-1) == labels).double()
        return torch.stack([fitted[:, ~wrong].mean(1), fitted[:, wrong].mean(1)], 1)

    def test_error(weights: thinned.Weights) -> Float[Tensor, " k"]:
        return (thinned.outputs(weights, x_test).argmax(-1) != y_test).double().mean(1)

    # The arms on true labels have no wrong ones; what is asked of them is the test error alone.
    history = thinned.train(
        x,
        labels,
        [plain, dropped] * 2,
        widths=(PIXELS, settings.width, settings.width, CLASSES),
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        momentum=settings.momentum,
        seed=seed,
        measure={"fit": fit, "test": test_error},
        every=settings.every,
        cool=settings.cool,
    )
    right, mistaken, test = *history["fit"].transpose(2, 0, 1), history["test"]
    lead = right[0] - mistaken[0]
    early = lead.argmax()
    train_unit, test_unit = "fraction of training examples", "fraction of test examples"
    epochs = np.arange(0, settings.epochs + 1, settings.every)
    along = {}
    for k, arm in enumerate(ARMS[:2]):
        along[f"right_{arm}"] = (right[k], train_unit)
        along[f"wrong_{arm}"] = (mistaken[k], train_unit)
    for k, arm in enumerate(ARMS):
        along[f"test_{arm}"] = (test[k], test_unit)
    finals = {f"final_{name}": (values[-1], unit) for name, (values, unit) in along.items()}
    return Result(
        epochs=(epochs, "epochs"),
        share_wrong=(wrong.double().mean(), train_unit),
        lead=(lead[early], train_unit),
        early=(epochs[early], "epochs"),
        rise=(test[0, -1] - test[0, early], test_unit),
        held_back=(mistaken[0, -1] - mistaken[1, -1], train_unit),
        cost=(test[3, -1] - test[2, -1], test_unit),
        **finals,
        **along,
    )


CLAIMS = (
    Claim(
        id="arpit2017-memorization",
        cite="arpit2017",
        sentence="A network learns the pattern before the noise: right labels are fitted first and "
        "the test error rises while wrong ones are memorised; and a well-chosen dropout holds "
        "memorising back without harm on true labels.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "networks on real data and on noise, with and without regularisation",
                "simple patterns are learned first; tuned dropout hinders training on noise and "
                "does not compromise generalisation on real data (no number)",
                "abstract",
            ),
        ),
        conditions=(
            at_least(
                "lead",
                "right labels are at some time fitted more than wrong ones, by at least {bound}",
                0.4,
                "fraction of training examples",
            ),
            at_least(
                "rise",
                "from that time to the end the test error rises by at least {bound}",
                0.08,
                "fraction of test examples",
            ),
            at_least(
                "held_back",
                "dropout leaves at least {bound} fewer of the wrong labels fitted",
                0.4,
                "fraction of training examples",
            ),
            at_most(
                "cost",
                "on true labels dropout raises the test error by at most {bound}",
                0.02,
                "fraction of test examples",
            ),
        ),
        controls=(
            Control(
                "all-random",
                "the pattern: all labels are drawn anew, and some are right by chance",
                {"lead": 0.15, "rise": 0.02},
                (
                    at_least(
                        "final_wrong_noisy_plain",
                        "the network memorises: it fits at least {bound} of the wrong labels",
                        0.9,
                        "fraction of training examples",
                    ),
                ),
            ),
            Control(
                "gradient-only",
                "the leaving out: as often as dropout would leave a unit out, it is not updated, "
                "but it stays in the network",
                {"held_back": 0.1},
                (
                    at_least(
                        "final_right_noisy_dropout",
                        "the network learns: it fits at least {bound} of the right labels",
                        0.9,
                        "fraction of training examples",
                    ),
                ),
            ),
            Control(
                "untuned",
                "the tuning: nine units in ten are left out",
                {"cost": 0.1},
                (
                    at_least(
                        "held_back",
                        "it holds memorising back, by at least {bound} of the wrong labels",
                        0.4,
                        "fraction of training examples",
                    ),
                ),
            ),
        ),
        disputed="Where kinds of examples are rare, the best test error needs some memorising: a "
        "rare example cannot be told from a wrong label {cite}`feldman2020`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Fit of right and of wrong labels, and test error, without and with dropout."""
    results = list(runs[MAIN].values())
    epochs = results[0]["epochs"]
    panels = {"plain": "no dropout", "dropout": "dropout, rate 0.5"}
    series = {
        "right": "right labels fitted",
        "wrong": "wrong labels fitted",
        "test": "test error",
    }
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.6, 3.6), sharey=True)
        for panel, (arm, title) in zip(axes, panels.items(), strict=True):
            for quantity, name in series.items():
                values = np.array([100 * r[f"{quantity}_noisy_{arm}"] for r in results])
                figures.band(panel, epochs, values, label=name, markevery=3, markersize=4)
            panel.set(title=title, xlabel="epoch", ylim=(-2, 102))
        axes[0].set(ylabel="share of the examples (%)")
        axes[1].legend(loc="center right", bbox_to_anchor=(1, 0.62))
    wrong = np.mean([float(r["share_wrong"]) for r in results])
    return figures.Figure(
        drawn,
        label="fig-memorization",
        caption=f"A network learns labels of which {wrong:.0%} are wrong. The right ones are "
        "fitted first; while the wrong ones are memorised, the test error rises. With dropout "
        "most wrong labels are not memorised. Means and standard deviations over "
        f"{figures.count(len(results))}.",
        alt="Two panels along the epochs. Left, without dropout: the fit of right labels rises "
        "steeply within a few epochs, that of wrong labels slowly afterwards, both to nearly "
        "everything; the test error falls steeply, then rises. Right, with dropout: right labels "
        "are fitted mostly, wrong ones to a small part, and the test error stays low.",
    )
