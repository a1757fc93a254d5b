"""A step size for each feature: AdaGrad, and the relative of it that dropout's penalty gives.

Learn online, one example a step, and let each step minimise a linearised loss plus a penalty that
keeps the weights near the last ones. With the penalty of dropout, to second order and summed over
the examples so far, the step is

    w_{t+1} = w_t - eta g_t / (a + H_t),      H_t = sum_s p_s (1 - p_s) x_s^2

feature by feature. H_t estimates the same as the sum of g_s^2, of which AdaGrad takes the root:

    w_{t+1} = w_t - eta g_t / sqrt(G_t),      G_t = sum_s g_s^2

(Wager, Wang and Liang 2013, {cite}`wager2013`; Duchi, Hazan and Singer 2011,
{cite}`duchi2011`). Both give a feature that is seldom active larger steps than one that always is.
We measure them against plain steps eta g_t / sqrt(t), on the rare features of the experiment
`mysterious-steps/adaptive-penalty`.

What would refute it: steps of the relative that differ between rare and common features by another
power of AdaGrad's than 2. That both beat plain steps is shown; any step of its own for each feature
would do that.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.claims import UNDECIDED, Claim, Condition, Control, at_least
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.mysterious_steps._logistic import Rare, accuracy, draw, true_weights
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels, ticks

PAGE = "mysterious-steps/overfitting-and-dropout"
METHODS = ("plain", "adagrad", "gradients", "fisher")


@dataclass(frozen=True)
class Settings(Rare):
    """A stream of ``examples``, each seen once, and another to choose the step sizes by; ``test``
    examples, and as many to validate.

    ``step_sizes`` are the eta tried for every method; the methods without a root also try each of
    ``dampings`` for a, without which they would have no size for their first steps. ``points``
    steps are kept of the step sizes of each feature.
    """

    examples: int = 2000
    test: int = 4000
    step_sizes: tuple[float, ...] = (
        0.001, 0.003, 0.01, 0.02, 0.04, 0.08, 0.15, 0.3, 0.6, 1.2, 2.5, 5.0
    )  # fmt: skip
    dampings: tuple[float, ...] = (1.0, 10.0)
    points: int = 10


SCALES = {"quick": Settings()}
VARIANTS = {"always-active": {"active": 1.0}}


@dataclass(frozen=True)
class Learned:
    """What a stack of K online learners ends with."""

    weights: Float[np.ndarray, "k d"]
    loss: Float[np.ndarray, " k"]
    """The mean log-loss on each example just before it is learned from: the regret, shifted."""
    rates: Float[np.ndarray, "t k d"]
    """The step size of each feature, without eta, after the steps asked for."""


def online(
    x: Float[np.ndarray, "n d"],
    y: Float[np.ndarray, " n"],
    method: str,
    eta: Float[np.ndarray, " k"],
    damping: Float[np.ndarray, " k"],
    keep: tuple[int | np.integer, ...] = (),
) -> Learned:
    """K learners go through the stream once, each with its own ``eta`` and ``damping`` (a).

    ``method``: "plain" has steps eta g / sqrt(t), "adagrad" eta g / sqrt(G), "gradients"
    eta g / (a + G) and "fisher" eta g / (a + H), as the module states. A feature that has been
    zero in all examples does not move. Raises BadSettings for another method.
    """
    if method not in METHODS:
        raise BadSettings(f"method is {method!r}, expected one of {', '.join(METHODS)}")
    (n, d), k = x.shape, len(eta)
    w, total, loss, rates = np.zeros((k, d)), np.zeros((k, d)), np.zeros(k), []
    for t in range(n):
        z = w @ x[t]
        p = expit(z)
        loss += np.logaddexp(0, z) - y[t] * z
        g = (p - y[t])[:, None] * x[t]
        total += (p * (1 - p))[:, None] * x[t] ** 2 if method == "fisher" else g * g
        if method == "plain":
            rate = np.full((k, d), (t + 1) ** -0.5)
        elif method == "adagrad":
            rate = 1 / np.sqrt(np.maximum(total, 1e-12))
        else:
            rate = 1 / (damping[:, None] + total)
        w -= eta[:, None] * rate * g
        if t + 1 in keep:
            rates.append(rate)
    return Learned(w, loss / n, np.array(rates).reshape(-1, k, d))


def run(settings: Settings, chance: Chance) -> Result:
    """Accuracy of each method on test examples in which some rare feature is active.

    Of the step sizes (and dampings) tried, each method has the one that comes out best on another
    stream: for the loss by its loss there, for the accuracy by what the weights that it ended with
    do on validation examples. The step sizes of features are medians over the rare and over the
    common ones. Runs on the CPU.
    """
    rng = chance.numpy()
    weights = true_weights(settings, rng)
    sizes = (settings.examples, settings.examples, settings.test, settings.test)
    stream, choosing, validation, test = (draw(settings, weights, n, rng) for n in sizes)
    keep = np.geomspace(settings.examples // 20, settings.examples, settings.points)
    keep = np.unique(keep).astype(int)

    def where_rare(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> float:
        """The accuracy on the examples in which some rare feature is active."""
        touched = (x[:, : settings.rare] != 0).any(1)
        return accuracy(w, x[touched], y[touched])

    grid = [(eta, a) for eta in settings.step_sizes for a in settings.dampings]
    found, losses, rates = [], [], []
    for method in METHODS:
        without_damping = method in ("plain", "adagrad")
        tried = [(eta, 0.0) for eta in settings.step_sizes] if without_damping else grid
        eta, a = np.array(tried).T
        other = online(*choosing, method, eta, a)
        learned = online(*stream, method, eta, a, tuple(keep))
        best = int(np.argmax([where_rare(w, *validation) for w in other.weights]))
        found.append(where_rare(learned.weights[best], *test))
        losses.append(learned.loss[other.loss.argmin()])
        of_features = learned.rates[:, best].T
        parts = (of_features[: settings.rare], of_features[settings.rare :])
        rates.append([np.median(part, axis=0) for part in parts])
    found, rates = np.array(found), np.array(rates)  # rates: (methods, rare or common, steps)
    share = "fraction of test examples with a rare feature"
    return Result(
        steps=(keep, "steps"),
        accuracy=Quantity(found, share, method=METHODS),
        gain=Quantity(found[1:] - found[0], share, method=METHODS[1:]),
        loss=Quantity(losses, "nats an example, online", method=METHODS),
        rate=Quantity(
            rates, "step size over eta", method=METHODS, feature=("rare", "common"), step=keep
        ),
        ratio=Quantity(rates[:, 0, -1] / rates[:, 1, -1], "rare over common", method=METHODS),
    )


# --- What the claims ask ---


def off_square(result: Result) -> float:
    """How far from 2 the power is by which the relative's steps differ as AdaGrad's do.

    Between rare and common features AdaGrad's step sizes have one ratio and the relative's
    another; the relative leaves out the root, so the second is to be the square of the first.
    """
    power = np.log(result["ratio[fisher]"]) / np.log(result["ratio[adagrad]"])
    return float(abs(power - 2))


CLAIMS = (
    Claim(
        id="wager2013-adagrad-link", title="Is AdaGrad a relative of dropout?",
        cite="wager2013", kind="effect", expected=UNDECIDED,
        says="A close relative of AdaGrad operates by repeatedly solving linear problems with "
        "dropout's penalty: it divides the step by the sum of second moments, of which AdaGrad "
        "takes the root (abstract).",
        tested="2,000 examples with 200 features, each example seen once; the 50 features that "
        "decide the label are active in 4 % of them. Plain steps, AdaGrad and the relative, each "
        "with the learning rate that did best on another stream.",
        so="Rare features have {num}`mysterious-steps/adagrad-relative ratio[adagrad] .1f` times "
        "the step of common ones under AdaGrad and {num}`mysterious-steps/adagrad-relative "
        "ratio[fisher] .0f ±` times under the relative: too unsteady to say whether it is the "
        "square.",
        caveat="That both beat plain steps where the useful features are rare, by "
        "{num}`wager2013-adagrad-link:gain[adagrad] .0%` and "
        "{num}`wager2013-adagrad-link:gain[fisher] .0%`, would follow for any step "
        "that is larger on rare features. The relative's first steps need an added constant, which "
        "bends the ratio. The link itself is algebra, and proved on the page.",
        paper=(
            ("the link", "a close relative of AdaGrad repeatedly solves linear "
             "dropout-regularized problems", "{cite:t}`wager2013`, abstract"),
        ),
        decides=(
            Condition("off_square", "from common to rare features the relative's steps grow with "
                      "a power of AdaGrad's that is 2, to within {bound}", off_square, "<=", 0.5,
                      "distance from 2", none=0.5,
                      because="halfway to 1, which would be AdaGrad itself, is 1.5"),
        ),
        mechanism=(
            at_least("gain[adagrad]", "AdaGrad classifies at least {bound} more of the test "
                     "examples with rare features than plain steps", 0.08, none=0.0),
            at_least("gain[fisher]", "so does its relative, by at least {bound}, with steps "
                     "divided by the Fisher information", 0.08, none=0.0),
            at_least("gain[gradients]", "and at least {bound} more the relative with the sum of "
                     "squared gradients, no root", 0.05, none=0.0),
        ),
        controls=(
            Control(
                "always-active", "rare features: those that decide the label are active in every "
                "example", ("gain[adagrad]", "gain[fisher]", "gain[gradients]"),
                (
                    at_least("accuracy[plain]", "here plain steps learn, with an accuracy of at "
                             "least {bound}", 0.8),
                ),
            ),
        ),
        limits="The link is one of linear models and diagonal matrices, and the two sums estimate "
        "the same only where the labels are drawn from the learner's present probabilities.",
        changes=("What decided, that each of three methods beats plain steps, any step of its own "
                 "for each feature would have met. It is shown and decides no more. The kinship "
                 "decides, no root against root, as far as the record has it (stricter).",),
        by_design="one rate for every coordinate, rare or common, is what plain descent has",
    ),
)  # fmt: skip

NAMES = {
    "plain": "plain steps",
    "adagrad": "AdaGrad",
    "gradients": "no root",
    "fisher": "dropout's",
}


def figure(runs: Runs) -> figures.Figure:
    """The step sizes of rare and common features over time, and the accuracy of each method."""
    steps = first(runs, "steps")
    blue, vermillion = list(figures.COLOURS.values())[:2]
    with panels(2, size=(8.6, 3.5), width_ratios=(1.15, 1)) as (drawn, axes):
        for method, colour, power in (("adagrad", blue, 0.5), ("fisher", vermillion, 1.0)):
            for feature, line in (("rare", "-"), ("common", (0, (2, 1.5)))):
                rates = over_seeds(runs, f"rate[{method}, {feature}]").mean(0)
                axes[0].plot(
                    steps, rates, linestyle=line, color=colour, marker="None",
                    label=f"{NAMES[method]}, {feature}",
                )  # fmt: skip
            theory = figures.THEORY | {"label": "$t^{-1/2}$ and $t^{-1}$" if power == 1 else None}
            axes[0].plot(steps, rates[-1] * (steps[-1] / steps) ** power, **theory)
        axes[0].set(
            xlabel="step", ylabel="step size over $\\eta$", xscale="log", yscale="log",
            title="A step size for each feature",
        )  # fmt: skip
        ticks(axes[0], (100, 200, 500, 1000, 2000))
        axes[0].legend(fontsize=8.5)
        for offset, variant, says, marker, colour in (
            (-0.12, MAIN, "seldom active", "o", blue),
            (0.12, "always-active", "always active", "s", vermillion),
        ):
            if variant in runs:
                values = over_seeds(runs, "accuracy", variant, factor=100.0)
                places = np.arange(len(METHODS)) + offset
                figures.dots(axes[1], places, values, label=says, fmt=marker, color=colour)
        axes[1].set_xticks(range(len(METHODS)), [NAMES[m] for m in METHODS], rotation=15)
        axes[1].set(ylabel="test accuracy (%)", ylim=(60, 100), title="What it learns")
        axes[1].legend(loc="upper left", ncols=2)
    return figures.Figure(
        drawn,
        label="fig-adagrad-relative",
        caption="Left, the step size of a rare and of a common feature, under AdaGrad and under "
        "the relative of it that dropout's penalty gives; dashed, the power laws, through the last "
        "point of the common feature. Right, the accuracy on test examples with a rare feature "
        "after one pass. Means and standard deviations over "
        f"{figures.count(len(runs[MAIN]))}.",
        alt="Two panels. Left, step size against step on logarithmic axes: AdaGrad's fall along "
        "dashed lines of slope minus one half, that of the rare feature about five times the "
        "common one's; the relative's fall towards slope minus one, with a wider gap. Right, with "
        "features that are seldom active plain steps reach about 70 per cent and the three other "
        "methods more than 80; with features that are always active all four are close.",
    )
