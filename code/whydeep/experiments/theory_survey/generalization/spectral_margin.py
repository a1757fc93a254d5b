"""Does spectral complexity over margin see random labels, and is the bound made of it of any use?

Bartlett, Foster and Telgarsky ({cite}`bartlett2017`) bound the error of a network by R_A / margin,
where R_A is the product of the layers' spectral norms times a correction. They report that R_A
follows the excess risk (test minus training error) through training, for true and for random
labels. We train ReLU networks without biases on two kinds of pictures, a share of whose labels is
random, and compute R_A, its rivals and the value of the bound, in the units of an error rate.

What would refute it: a complexity over margin that is no larger for random labels than for true
ones, or an R_A that does not follow the excess risk. Along training any number that grows follows
it, the number of steps too; so R_A has to rank networks that have taken equally many. That the
bound is vacuous here would be refuted by a value below 1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from whydeep.chance import Chance
from whydeep.datasets.tasks import PIXELS
from whydeep.evidence.claims import IN_PART, Claim, Condition, Control, at_least, at_most
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


def _by_look(result: Result) -> list[float]:
    """The rank correlation of R_A and excess risk over the shares, at each look."""
    excess = result["test_error"] - result["train_error"]
    return [spearmanr(c, e).statistic for c, e in zip(result["complexity"], excess, strict=True)]  # pyright: ignore[reportAttributeAccessIssue]


def at_equal_steps(result: Result) -> float:
    """The rank correlation of R_A and excess risk over the shares, averaged over the looks."""
    return float(np.mean(_by_look(result)))


def at_the_end(result: Result) -> float:
    """The rank correlation of R_A and excess risk over the shares, after the last step."""
    return float(_by_look(result)[-1])


def beyond_rivals(result: Result) -> float:
    """By how much R_A separates random labels from true ones better than the best other norm."""
    rivals = (result["bare_frobenius"], result["bare_sums"])
    return float(result["separates"]) - max(float(np.log(r[-1] / r[0])) for r in rivals)


def by_the_clock(result: Result) -> float:
    """The rank correlation of the number of steps and excess risk, averaged over the shares."""
    excess = result["test_error"] - result["train_error"]
    clock = [spearmanr(result["steps"], e).statistic for e in excess.T]  # pyright: ignore[reportAttributeAccessIssue]
    return float(np.mean(clock))


def beyond_the_clock(result: Result) -> float:
    """By how much R_A ranks the excess risk along training better than the steps do."""
    return float(result["tracking"]) - by_the_clock(result)


CLAIMS = (
    Claim(
        id="bartlett2017-spectral-margin",
        title="Does spectral complexity tell how a network generalises?",
        cite="bartlett2017", kind="effect", expected=IN_PART,
        says="For AlexNet trained by SGD on MNIST and CIFAR-10, with true and with random labels, "
        "the margin-normalised spectral complexity, the Lipschitz constants and the excess risks "
        "are all in direct correlation: the complexity scales with the difficulty of the task "
        "(abstract, Figure 1).",
        missed=("at_equal_steps",),
        tested="240 pictures of clothes, 14 by 14, in two groups of five classes, of whose labels "
        "0, 25, 50 or 100 % are random; two hidden layers of 64 ReLU units, 900 steps.",
        so="Random labels raise $R_A$ over the margin by a factor of "
        "{num}`theory-survey/generalization/spectral-margin ratio .1f ±`; but after equally many "
        "steps $R_A$ ranks the four networks by their excess risk with a correlation of "
        "{num}`bartlett2017-spectral-margin:at_equal_steps .2f ±` on average over training, and "
        "{num}`bartlett2017-spectral-margin:at_the_end .2f ±` after the last one.",
        caveat="$R_A$ is largely a clock: along training it ranks the excess risk with a "
        "correlation of {num}`theory-survey/generalization/spectral-margin tracking .3f`, the "
        "number of steps with {num}`bartlett2017-spectral-margin:by_the_clock .3f`. After equally "
        "many steps one over the margin alone, without any norm, has "
        "{num}`bartlett2017-spectral-margin@margin-only:at_equal_steps .2f`. And other norms tell "
        "random labels from true ones as well: Frobenius norms give "
        "{num}`theory-survey/generalization/spectral-margin bare_frobenius[0] .0f` for true and "
        "{num}`theory-survey/generalization/spectral-margin bare_frobenius[-1] .0f` for random "
        "ones without constants, spectral norms {num}`theory-survey/generalization/spectral-margin "
        "bare[0] .0f` and {num}`theory-survey/generalization/spectral-margin bare[-1] .0f`.",
        paper=(
            ("bound, up to constants and logarithms", "$\\lVert X \\rVert_F R_A / (\\gamma n)$",
             "{cite:t}`bartlett2017`, Theorem 1.1"),
            ("complexity and excess risk, true and random labels", "in direct correlation",
             "abstract and Figure 1, for AlexNet on CIFAR-10"),
        ),
        decides=(
            at_least("separates", "random labels in place of true ones raise $R_A / \\gamma$: the "
                     "logarithm of the ratio is at least {bound}, a factor of {bound:e^}", 0.25,
                     none=0.0, because="less would hardly show beside what one over the margin "
                     "gives alone"),
            Condition("at_equal_steps", "after equally many steps networks with more random "
                      "labels, and a larger excess risk, have a larger $R_A$: a rank correlation "
                      "over the four shares of at least {bound}, on average over "
                      "training", at_equal_steps,
                      ">=", 0.8, "rank correlation", none=0.0,
                      because="the first bound on the correlation along training, which the number "
                      "of steps meets as well"),
        ),
        mechanism=(
            Condition("at_the_end", "so after the last step, when all have fitted their labels: at "
                      "least {bound}", at_the_end, ">=", 0.8, "rank correlation", none=0.0,
                      because="as on average over training"),
            at_least("tracking", "along training $R_A$ and the excess risk are ranked alike: a "
                     "rank correlation of at least {bound}, on average over the shares of random "
                     "labels", 0.8, none=0.0, because="less would leave a third of the order to "
                     "something else"),
            Condition("by_the_clock", "so are the number of steps and the excess risk: a rank "
                      "correlation of at least {bound}", by_the_clock, ">=", 0.8,
                      "rank correlation", none=0.0, because="the same, for any number that grows"),
            Condition("beyond_the_clock", "$R_A$ ranks it better than the number of steps does, by "
                      "at least "
                      "{bound}", beyond_the_clock, ">=", 0.02, "rank correlation", none=0.0,
                      because="half of what the number of steps leaves to be gained"),
            Condition("beyond_rivals", "$R_A$ tells random labels from true ones better than the "
                      "better of two other norms, Frobenius and sums of magnitudes: the logarithm "
                      "of its ratio is larger by at least {bound}", beyond_rivals, ">=", 0.05,
                      "ln of a ratio", none=0.0, because="a twentieth in the ratio"),
            at_least("bare[0]", "for true labels the bound is vacuous even without its constants "
                     "and logarithms: at least {bound}, where no error rate exceeds 1", 10.0,
                     none=1.0, log=True, because="ten times what no error rate exceeds"),
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
                "that nothing is overfitted", ("at_equal_steps", "tracking"),
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
        contested="{cite:t}`jiang2020`: over many hyperparameters spectral measures go against the "
        "error rather than with it.",
        limits="Such bounds can grow with the number of examples while the error falls "
        "{cite}`nagarajan2019`.",
        changes=("The correlation along training no longer decides: the number of steps has the "
                 "same. In its place, at the same bound of 0.8, $R_A$ has to rank the networks "
                 "after equally many steps (stricter). That the bound is vacuous is ours and "
                 "decides nothing.",),
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
