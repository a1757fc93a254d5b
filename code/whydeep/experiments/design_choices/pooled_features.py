"""Maximum or average? It depends on how rare a feature is, and on what its silent sites do.

A detector looks for a feature at P sites, and pooling makes one number of its P answers. At each
site the feature is there with probability a in one class and 2 a in the other. Which single number
tells the classes apart? Boureau, Ponce and LeCun ({cite}`boureau2010`) compare the maximum with the
average: the maximum suits features that are rare, and rate and pool size decide together. By the
area under the ROC curve (AUC) it never does in their model of binary answers, where the number of
answers holds all that they say. We add what binary features leave out, a little noise at each site,
and compare the two by their AUC, measured and in closed form. The claim is therefore our own.

What would refute it: an average that separates rare features as well as the maximum does; a maximum
that keeps up where features are common; or AUCs off their closed forms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr
from scipy.stats import binom, rankdata

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "design-choices/max-pooling"
RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3)
RARE, COMMON = RATES.index(0.01), RATES.index(0.3)
POOLS = ("maximum", "average")


@dataclass(frozen=True)
class Settings:
    """``draws`` pools of ``sites`` answers in each class, at every rate of `RATES`.

    An answer is 1 where the feature is and 0 elsewhere, plus Gaussian noise of standard deviation
    ``noise``. Sites are independent, or come in runs of ``run`` neighbours that have the feature
    all together or not at all; ``run`` must divide ``sites``.
    """

    sites: int = 64
    noise: float = 0.25
    draws: int = 10000
    run: int = 1


SCALES = {"quick": Settings()}
VARIANTS = {
    "without-noise": {"noise": 0.0},
    "four-sites": {"sites": 4},
    "runs-of-eight": {"run": 8},
}


def auc(low: Float[np.ndarray, " n"], high: Float[np.ndarray, " m"]) -> float:
    """The chance that a draw of ``high`` exceeds a draw of ``low``, ties counting half.

    This is the area under the ROC curve of a threshold on the number (Mann and Whitney 1947).
    """
    n, m = len(low), len(high)
    ranks = rankdata(np.concatenate([low, high]))[n:]
    return float((ranks.sum() - m * (m + 1) / 2) / (n * m))


def auc_of_average(a: float, sites: int, noise: float) -> float:
    """AUC of the average of independent answers, at rates a and 2 a, in closed form.

    The number of sites with the feature is binomial; given the two counts, the difference of the
    averages is Gaussian.
    """
    count = np.arange(sites + 1)
    ahead = count[None, :] - count[:, None]
    spread = noise * np.sqrt(2 * sites)
    exceeds = ndtr(ahead / spread) if noise else (np.sign(ahead) + 1) / 2
    return float(binom.pmf(count, sites, a) @ exceeds @ binom.pmf(count, sites, 2 * a))


def auc_of_maximum(a: float, sites: int, noise: float) -> float:
    """AUC of the maximum of independent answers, at rates a and 2 a, in closed form.

    One answer has distribution function F; the maximum of P has F^P. Without noise the maximum is
    0 or 1; with noise the integral of F_low^P dF_high^P is taken by the trapezium rule.
    """
    if not noise:
        none_low, none_high = (1 - a) ** sites, (1 - 2 * a) ** sites
        return float((1 + none_low - none_high) / 2)
    t = np.linspace(-8 * noise, 1 + 8 * noise, 20001)
    silent, there = ndtr(t / noise), ndtr((t - 1) / noise)
    low, high = (((1 - rate) * silent + rate * there) ** sites for rate in (a, 2 * a))
    return float((low[1:] + low[:-1]) @ np.diff(high) / 2)


def answers(
    rate: float, settings: Settings, rng: np.random.Generator
) -> Float[np.ndarray, "draws sites"]:
    """``draws`` pools of answers to a feature of this rate."""
    there = rng.random((settings.draws, settings.sites // settings.run)) < rate
    there = there.repeat(settings.run, axis=1)
    return there + settings.noise * rng.standard_normal(there.shape)


def run(settings: Settings, chance: Chance) -> Result:
    """AUC of maximum and average at every rate, measured and by the formula for independent sites.

    ``rare_gain`` is maximum less average at a = 0.01, ``common_loss`` average less maximum at
    a = 0.3, ``off_theory`` the largest difference between a measured AUC and its closed form.
    """
    rng = chance.numpy()
    measured, theory = np.zeros((2, len(RATES))), np.zeros((2, len(RATES)))
    for i, a in enumerate(RATES):
        low, high = (answers(rate, settings, rng) for rate in (a, 2 * a))
        measured[:, i] = auc(low.max(1), high.max(1)), auc(low.mean(1), high.mean(1))
        theory[:, i] = (
            auc_of_maximum(a, settings.sites, settings.noise),
            auc_of_average(a, settings.sites, settings.noise),
        )
    gain = measured[0] - measured[1]
    return Result(
        auc=Quantity(measured, "AUC", pool=POOLS, rate=RATES),
        theory=(theory, "AUC"),
        rare_gain=(gain[RARE], "AUC"),
        common_loss=(-gain[COMMON], "AUC"),
        off_theory=(np.abs(measured - theory).max(), "AUC"),
    )


RARE_GAIN = at_least(
    "rare_gain",
    "at a rate of 0.01 the maximum has an AUC at least {bound} above the average's",
    0.03,
    none=0.0,
    because="three pairs in a hundred that change sides; the catalogue had it before any run",
)
COMMON_LOSS = at_least(
    "common_loss",
    "at a rate of 0.3 the average has an AUC at least {bound} above the maximum's",
    0.2,
    none=0.0,
    because="more than half of what there is to lose, from 1 down to 2/3, where the maximum levels "
    "off; the catalogue had it before any run",
)
THEORY = at_most(
    "off_theory",
    "every AUC is within {bound} of its closed form for independent sites",
    0.02,
    none=0.02,
)
TELLS = at_least(
    "auc[average, 0.01]",
    "the rare feature does tell the classes apart: the average has an AUC of at least {bound}",
    0.51,
)
CLAIMS = (
    Claim(
        id="boureau2010-max-pooling", cite="boureau2010", kind="effect", expected=SHOWN, ours=True,
        title="Is the maximum better where features are rare?",
        says="Where silent sites are a little noisy, the maximum over a pool tells two classes "
        "apart better than the average if the feature is rare, and worse if it is common.",
        tested="10,000 drawn pools of 64 sites a class, at rates of 1% and 2%, and of 30% and 60%, "
        "with Gaussian noise of 0.25 at each site; the measure is the area under the ROC curve "
        "(AUC), 0.5 for guessing.",
        so="At 1% the maximum has an AUC of {num}`design-choices/pooled-features "
        "auc[maximum,0.01] .3f` and the average {num}`design-choices/pooled-features "
        "auc[average,0.01] .3f`; at 30% it is {num}`design-choices/pooled-features "
        "auc[maximum,0.3] .3f` against {num}`design-choices/pooled-features auc[average,0.3] .3f`.",
        caveat="The noise is ours. In the model of {cite:t}`boureau2010`, binary answers without "
        "noise, the average is ahead by this measure even at 1%, with "
        "{num}`design-choices/pooled-features@without-noise auc[average,0.01] .3f` against "
        "{num}`design-choices/pooled-features@without-noise auc[maximum,0.01] .3f`, and no maximum "
        "can be ahead: the number of answers holds all that they say about the class.",
        paper=(
            ("average of $J$ binary answers at rate $\\rho$", "mean $\\rho$, variance $\\rho (1 - "
             "\\rho) / J$", "section 3, pooling binary features"),
            ("maximum of the same", "mean $1 - (1 - \\rho)^J$", "section 3, pooling binary "
             "features"),
        ),
        decides=(RARE_GAIN, COMMON_LOSS),
        mechanism=(THEORY,),
        controls=(
            Control(
                "without-noise", "what the maximum does not listen to: silent sites answer "
                "exactly 0", ("rare_gain",),
                (THEORY, TELLS),
            ),
            Control(
                "four-sites", "the large pool: four sites in place of 64",
                ("rare_gain", "common_loss"),
                (THEORY, TELLS),
            ),
            Control(
                "runs-of-eight", "independent sites: the feature comes in runs of eight neighbours",
                ("off_theory",),
                (TELLS,),
            ),
        ),
        limits="Pools of independent sites and one feature, with the class known by its rate "
        "alone; {cite:t}`boureau2010` compare pools on photographs, too.",
        changes=("The statement is now the book's own: the noise of silent sites, which decides "
                 "it, is no part of the paper's model. The closed forms no longer decide.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """AUC of maximum and average against the rate, with and without noise, and the closed forms."""
    titles = {
        MAIN: "64 sites, noise at each",
        "without-noise": "64 sites, no noise",
        "four-sites": "4 sites, noise at each",
    }
    shown = [variant for variant in titles if variant in runs]
    size = (3.1 * len(shown), 3.3)
    with panels(len(shown), size=size, sharey=True, squeeze=False) as (drawn, axes):
        for panel, variant in zip(axes[0], shown, strict=True):
            for pool in POOLS:
                values = over_seeds(runs, f"auc[{pool}]", variant)
                figures.band(panel, np.array(RATES), values, label=pool, linestyle="none")
            lines = zip(first(runs, "theory", variant), ("closed form", None), strict=True)
            for line, label in lines:
                panel.plot(RATES, line, **figures.THEORY, label=label, zorder=1)
            panel.set(xscale="log", xlabel=r"rate $\rho$ of the feature", title=titles[variant])
        axes[0, 0].set_ylabel("AUC")
        axes[0, 0].legend(loc="upper left")
    return figures.Figure(
        drawn,
        label="fig-pooled-features",
        caption=r"How well one pooled number tells a class with rate $\rho$ from one with "
        r"rate $2\rho$. "
        "With noise at every site the maximum is ahead while the feature is rare, the average when "
        "it is common. Without noise the average is never behind. In a small pool the choice "
        "matters less. Points are means over seeds, dashed lines the closed forms.",
        alt="Three panels with the area under the ROC curve against the rate of a feature. With 64 "
        "noisy sites the maximum lies above the average at first, levels off at two thirds, and "
        "the average overtakes it. Without noise the average is on top everywhere and the maximum "
        "falls to one half. With four sites the two lie close together until the feature is "
        "common.",
    )
