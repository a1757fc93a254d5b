"""Does spectral complexity over margin see random labels, and is the bound made of it of any use?

Bartlett, Foster and Telgarsky ({cite}`bartlett2017`) bound the error of a network by R_A / margin,
where R_A is the product of the layers' spectral norms times a correction. They report that R_A
follows the excess risk (test minus training error) through training, for true and for random
labels. We train ReLU networks without biases on two kinds of pictures, a share of whose labels is
random, and compute R_A, its rivals and the value of the bound, in the units of an error rate.

What would refute it: a complexity over margin that is no larger for random labels than for true
ones, or one that does not follow the excess risk. That the bound is vacuous here would be refuted
by a value below 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from whydeep.chance import Chance
from whydeep.datasets.tasks import PIXELS
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.theory_survey.generalization import _two_kinds
from whydeep.labs import bounds
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"


@dataclass(frozen=True)
class Settings(_two_kinds.Networks):
    """The networks; ``measure`` is "spectral" or, against the claim, "margin": no norms at all."""

    measure: str = "spectral"


SCALES = {"quick": Settings()}
VARIANTS = {
    "margin-only": {"measure": "margin"},
    "one-pass": {"examples": 10_000, "sgd.batch": 50, "sgd.epochs": 1, "sgd.lr": 0.05},
    "plane": {"classes": (1, 5), "hidden": ()},
}


def run(settings: Settings, chance: Chance) -> Result:
    """The complexities over the margin, as parts of an error rate, for each share of random labels.

    ``bare`` and ``bare_*`` are what is left of a bound without its constants and logarithms:
    complexity times length / (margin sqrt(n)). ``proved`` has them.
    """
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        found = _two_kinds.fit(settings, chance)
    n, gamma, shares = settings.examples, found.margin[-1], settings.shares
    scale = settings.length / (gamma * np.sqrt(n))
    spectral = settings.measure == "spectral"
    complexity = found.spectral if spectral else 1 / np.abs(found.margin)
    bare = scale * found.spectral[-1] if spectral else scale
    excess = found.test_error - found.train_error
    tracking = [spearmanr(c, e).statistic for c, e in zip(complexity.T, excess.T, strict=True)]  # pyright: ignore[reportAttributeAccessIssue]
    widest = max((PIXELS, *settings.hidden))
    proved = [
        bounds.by_margin(
            settings.quantile,
            bounds.of_lengths(r, settings.length, widest, n, g),
            1.0,
            n,
            settings.delta,
        )
        for r, g in zip(found.spectral[-1], gamma, strict=True)
    ]
    bare_frobenius, proved_frobenius = _two_kinds.by_frobenius(found, settings)
    bare_sums = found.largest / settings.length * scale * found.sums[-1]
    rate, training, ratio = "error rate", "fraction of examples", bare[-1] / bare[0]
    along, by_share = {"step": found.steps, "share": shares}, {"share": shares}
    return Result(
        shares=(np.array(shares), "share of random labels"),
        steps=(found.steps, "steps"),
        train_error=Quantity(found.train_error, training, **along),
        test_error=Quantity(found.test_error, "fraction of test examples", **along),
        complexity=Quantity(complexity, "R_A", **along),
        bare=Quantity(bare, rate, **by_share),
        bare_frobenius=Quantity(bare_frobenius, rate, **by_share),
        bare_sums=Quantity(bare_sums, rate, **by_share),
        proved=Quantity(proved, rate, **by_share),
        proved_frobenius=Quantity(proved_frobenius, rate, **by_share),
        ratio=(ratio, "ratio"),
        separates=(np.log(max(ratio, 1e-9)), "ln of a ratio"),
        half_ratio=(bare[-1] / bare[-2], "ratio"),
        tracking=(float(np.mean(tracking)), "rank correlation"),
        worst_fit=(found.train_error[-1].max(), training),
        growth=(found.spectral[-1, 0] / found.spectral[0, 0], "ratio"),
    )


CLAIMS = (
    Claim(
        id="bartlett2017-spectral-margin", title="", cite="bartlett2017", kind="effect", expected=SHOWN,
        says="The spectral complexity of a network over its margin bounds the excess risk, is "
        "larger for random labels than for true ones, and follows the excess risk through "
        "training; as a number the bound is vacuous.",
        paper=(
            ("bound, up to constants and logarithms", "$\\lVert X \\rVert_F R_A / (\\gamma n)$",
             "{cite:t}`bartlett2017`, Theorem 1.1"),
            ("complexity and excess risk, true and random labels", "in direct correlation",
             "abstract and Figure 1, for AlexNet on CIFAR-10"),
        ),
        decides=(
            at_least("separates", "random labels in place of true ones raise $R_A / \\gamma$: the "
                     "logarithm of the ratio is at least {bound}, a factor of {bound:e^}", 0.25),
            at_least("tracking", "along training $R_A$ and the excess risk are ranked alike: a "
                     "rank correlation of at least {bound}, on average over the shares of random "
                     "labels", 0.8),
            at_least("bare[0]", "for true labels the bound is vacuous even without its constants "
                     "and logarithms: at least {bound}, where no error rate exceeds 1", 10.0),
        ),
        controls=(
            Control(
                "margin-only", "the norms: what is compared is one over the margin",
                ("separates", "tracking"),
                (
                    at_most("worst_fit", "all networks fit their labels, with at most {bound} "
                            "errors in training", 0.02),
                ),
            ),
            Control(
                "one-pass", "the second look at an example: 10,000 examples, each seen once, so "
                "that nothing is overfitted", ("tracking",),
                (at_least("growth", "$R_A$ grows here too, by a factor of {bound} or more", 1.5),),
            ),
            Control(
                "plane", "depth and difficulty: no hidden layer, and two classes that a plane "
                "separates", ("bare[0]",),
                (
                    at_most("train_error[-1, 0]", "true labels are fitted, with at most {bound} "
                            "errors in training", 0.02),
                ),
            ),
        ),
        limits="Such bounds can grow with the number of examples while the error falls "
        "{cite}`nagarajan2019`, and over many hyperparameters spectral measures go against the "
        "error rather than with it {cite}`jiang2020`.",
    ),
)  # fmt: skip

PLOT = Plot(
    sweep=Axis("share of random labels"),
    at="shares",
    y=Axis("error rate", log=True),
    series={
        "bare": "spectral, without constants",
        "bare_frobenius": "Frobenius, without constants",
        "bare_sums": "sums of magnitudes, without constants",
        "proved_frobenius": "Frobenius, as proved",
        "proved": "spectral, as proved",
        "test_error[-1]": "test error",
    },
    variants={MAIN: "two hidden layers"},
)


def figure(runs: Runs) -> figures.Figure:
    """The values of the bounds beside the error they bound; complexity beside excess risk."""
    excess = over_seeds(runs, "test_error") - over_seeds(runs, "train_error")
    complexity = over_seeds(runs, "complexity").mean(0)
    with panels(2, size=(8.8, 4.1), width_ratios=(1.15, 1)) as (drawn, axes):
        PLOT.draw(axes[0], runs)
        axes[0].axhline(1, **figures.THEORY)
        axes[0].text(0.5, 1.25, "above this line: vacuous", ha="center", fontsize=9)
        axes[0].set(ylim=(0.05, 6e7), title="Bounds and what they bound")
        axes[0].legend(loc="upper center", fontsize=8.5, ncols=2, columnspacing=1.0)
        for i, share in enumerate(first(runs, "shares")):
            figures.band(axes[1], complexity[:, i], excess[..., i], label=f"{share:.0%} random")
        axes[1].set(
            xscale="log",
            xlabel="spectral complexity $R_A$",
            ylabel="test minus training error",
            title="Along training",
        )
        axes[1].legend(loc="upper left", fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-bounds-spectral",
        caption="Left, the values of three bounds for trained ReLU networks against the share of "
        "random labels, without constants and logarithms and, for two of them, as proved, beside "
        "the test error. Right, each line is one share of random labels: spectral complexity and "
        "excess risk at eight moments of training. Means and standard deviations over "
        f"{figures.count(len(excess))}.",
        alt="Two panels. Left, on a logarithmic axis, the test error rises from about 0.1 to 0.5 "
        "with the share of random labels; the bounds lie between ten and a few hundred without "
        "constants, and between a hundred and several hundred thousand as proved, and rise "
        "too. Right, four rising lines: complexity and excess risk grow together along training, "
        "the steeper the more labels are random.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The values of the bounds and the test error against the share of random labels."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    last = "test_error[-1]"  # to be seen first
    series = {last: PLOT.series[last], **PLOT.series}
    return replace(PLOT, series=series).explorer(
        runs,
        key="bounds",
        title="Three bounds and the test error, against the share of random labels",
        about="Move along the share of random labels and read off each bound beside the error it "
        "bounds. No error rate exceeds 1: by which factor is the best of them off, and does its "
        "curve at least have the right shape?",
        predict=Prediction(
            "A network has two hidden layers of 64 units and fits 240 examples with true labels; "
            "its test error is about 0.12. What does the theorem with spectral norms prove about "
            "its error, constants included?",
            (
                "It is at most about 0.5",
                "It is at most about 10",
                "It is at most about 100,000",
            ),
            2,
            "The theorem holds, and an error of at most 100,000 is no news. Without constants and "
            "logarithms the value is still in the hundreds.",
        ),
    )
