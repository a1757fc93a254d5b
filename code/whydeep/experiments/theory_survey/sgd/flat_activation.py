"""A staircase for a non-linearity: the gradient is zero, and ignoring the stairs learns.

One unit u(w . x + b) with u flat between jumps has a gradient of zero almost everywhere, so descent
along it does not move. Shalev-Shwartz, Shamir and Shammah ({cite}`shalev2017`) put 1 for the
derivative in the backward pass, as the perceptron and the Isotron do ({cite}`kalai2009`), and say
that smoothing the jumps is slow or inaccurate instead. With steps of the staircase finer than its
inputs are spread, this update is in the mean that of a linear unit, so the distance from the right
weights should shrink by 1 - eta in each step, and the error with it.

What would refute it: a forward-only update that does not learn a staircase, or, for the last part,
a smoothed staircase that learns it too.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.claims import IN_PART, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "theory-survey/sgd/where-gradients-fail"
STEP = 0.5  # width and height of a stair
START = 0.25  # bias at the start: the middle of a stair
SLOPES = (3.0, 10.0, 50.0, 100.0, 1000.0)  # of the sigmoids that replace the jumps
RATES = (0.01, 0.1, 1.0)  # each slope is given the one that ends with the smallest error
SEEN = 3e-3  # the prediction is compared with the measurement while it is above this
METHODS = ("forward", "gradient", *(f"slope={slope:g}" for slope in SLOPES))


@dataclass(frozen=True)
class Settings:
    """Normal inputs of standard deviation ``spread`` in ``dimension`` coordinates, and a bias.

    ``activation`` is "staircase", "identity" or "periodic", which goes up and down by one stair.
    All methods take ``steps`` full gradient steps on ``examples`` examples; the forward-only one
    and the true gradient have rate ``lr``.
    """

    activation: str = "staircase"
    dimension: int = 10
    spread: float = 1.0
    bias: float = 1.3
    examples: int = 2000
    steps: int = 400
    lr: float = 0.05


SCALES = {"quick": Settings()}
VARIANTS = {
    "identity": {"activation": "identity"},
    "periodic": {"activation": "periodic"},
    "narrow": {"spread": 0.1},
}


def activate(z: Float[np.ndarray, "..."], name: str) -> Float[np.ndarray, "..."]:
    """u(z): a staircase of stairs STEP wide and high, the identity, or a stair up and down."""
    if name == "identity":
        return z
    if name not in ("staircase", "periodic"):
        raise BadSettings(f"activation is {name!r}: expected staircase, identity or periodic")
    stair = np.floor(z / STEP)
    return STEP * (stair if name == "staircase" else stair % 2)


def smoothed(
    z: Float[np.ndarray, "n k"], slopes: Float[np.ndarray, " k"], name: str
) -> tuple[Float[np.ndarray, "n k"], Float[np.ndarray, "n k"]]:
    """The activation with each jump replaced by a sigmoid of that slope, and its derivative.

    A slope of c takes the sigmoid from 12% to 88% of the jump within 4 / c stairs.
    """
    if name == "identity":
        return z, np.ones_like(z)
    jump = np.round(z / STEP)
    s = 1 / (1 + np.exp(-np.clip(slopes * (z / STEP - jump), -300, 300)))
    rise = slopes * s * (1 - s)
    if name == "staircase":
        return STEP * (jump - 1 + s), rise
    up = np.where(jump % 2 == 1, 1.0, -1.0)
    return STEP * (np.where(up > 0, s, 1 - s)), up * rise


def predicted_error(mean: float, sd: float | np.floating) -> float:
    """E[(u(z + D) - u(z))^2] for D normal and z spread evenly over the stairs.

    D = m STEP + r crosses m + 1 jumps with probability r / STEP, else m.
    """
    grid = stats.norm.ppf((np.arange(2000) + 0.5) / 2000)
    stairs = np.abs(mean + sd * grid) / STEP
    whole = np.floor(stairs)
    rest = stairs - whole
    return float(STEP**2 * (whole**2 * (1 - rest) + (whole + 1) ** 2 * rest).mean())


def run(settings: Settings, chance: Chance) -> Result:
    """Mean squared error of the unit with its true activation, along the steps of each method.

    ``error`` is over the variance of the targets, of the forward-only update, the true gradient
    and the smoothed staircases; ``factor`` is the largest distance of the first from its
    prediction; ``left`` is the last error over the first. Runs on the CPU in float64.
    """
    rng = chance.numpy()
    direction = rng.standard_normal(settings.dimension)
    truth = np.append(direction / np.linalg.norm(direction), settings.bias)
    x = settings.spread * rng.standard_normal((settings.examples, settings.dimension))
    x = np.column_stack([x, np.ones(settings.examples)])
    begin = np.append(0.1 * rng.standard_normal(settings.dimension), START)
    y = activate(x @ truth, settings.activation)

    slopes, rates = (grid.ravel() for grid in np.meshgrid(SLOPES, RATES, indexing="ij"))
    w = np.repeat(begin[:, None], 2 + len(slopes), 1)  # forward-only, true gradient, smoothed
    rates = np.concatenate([[settings.lr, settings.lr], rates])
    errors = np.empty((settings.steps + 1, w.shape[1]))
    predicted = np.empty(settings.steps + 1)
    for t in range(settings.steps + 1):
        z = x @ w
        errors[t] = ((activate(z, settings.activation) - y[:, None]) ** 2).mean(0)
        away = (1 - settings.lr) ** t * (begin - truth)
        sd = settings.spread * np.linalg.norm(away[:-1])
        predicted[t] = predicted_error(away[-1], sd)
        if t < settings.steps:
            seen, slope = smoothed(z[:, 2:], slopes, settings.activation)
            missed = activate(z[:, :2], settings.activation) - y[:, None]
            if settings.activation != "identity":
                missed[:, 1] = 0.0  # times the derivative, which is zero between the jumps
            through = np.column_stack([missed, (seen - y[:, None]) * slope])
            w = w - rates * (x.T @ through) / len(y)
    by_slope = errors[:, 2:].reshape(-1, len(SLOPES), len(RATES))
    chosen = by_slope[:, np.arange(len(SLOPES)), by_slope[-1].argmin(1)]
    error = np.column_stack([errors[:, :2], chosen])  # of METHODS
    compared = predicted > SEEN
    apart = np.abs(np.log10(np.maximum(errors[:, 0], 1e-9) / predicted))[compared].max()
    shown = np.unique([*range(0, settings.steps + 1, 5), settings.steps])
    variance, of = y.var(), "share of the variance of the targets"
    return Result(
        steps=(shown, "steps"),
        slopes=(np.array(SLOPES), "slope in stairs"),
        error=Quantity((error[shown] / variance).T, of, method=METHODS, step=shown),
        predicted=(predicted[shown] / variance, of),
        left=Quantity(error[-1] / errors[0, 0], "share of the error at the start", method=METHODS),
        factor=(apart, "powers of ten"),
        moved=(np.linalg.norm(w[:, 0] - begin), "distance in weights"),
    )


CLAIMS = (
    Claim(
        id="shalev2017-flat-activation", cite="shalev2017", kind="effect", expected=IN_PART,
        title="Can a unit with a staircase for its non-linearity be trained?",
        says="Where a non-linearity is flat between jumps the gradient is zero almost everywhere; "
        "an update that puts 1 for its derivative in the backward pass, *forward-only*, learns "
        "the target, and smoothing the jumps is slow or inaccurate (section on flat activations).",
        tested="One unit on 2,000 normal inputs of 10 numbers, which spread over many stairs; 400 "
        "full steps of the forward-only update and of gradient descent on sigmoids in place of "
        "jumps.",
        so="The forward-only update ends with "
        "{num}`theory-survey/sgd/flat-activation error[forward,-1] .1%` of the variance; but so "
        "does smoothing, nearly: sigmoids of slope 50 leave "
        "{num}`theory-survey/sgd/flat-activation error[slope=50,-1] .2%`, where the paper expects "
        "a failure.",
        caveat="The authors' inputs are narrow. Where all inputs lie on one stair or two, slope 50 "
        "leaves {num}`theory-survey/sgd/flat-activation@narrow left[slope=50] .0%` of the error at "
        "the start and the forward-only update "
        "{num}`theory-survey/sgd/flat-activation@narrow left[forward] .1%`; but that is "
        "{num}`theory-survey/sgd/flat-activation@narrow error[forward,-1] .2f` of the variance, no "
        "better than a constant answer. Smoothing gets the best of three learning rates, "
        "forward-only has one.",
        missed=("error[slope=50, -1]",),
        paper=(
            ("the forward-only update", "converges, after {cite:t}`kalai2009`",
             "theorem on flat activations"),
        ),
        decides=(
            at_most("error[forward, -1]", "the forward-only update leaves an error of at most "
                    "{bound} of the variance of the targets", 0.01, none=1.0,
                    because="a hundredth left is the most that one would call learned"),
            at_least("error[slope=50, -1]", "with jumps smoothed to sigmoids of slope 50 a stair, "
                     "gradient descent leaves at least {bound} of it", 0.1, none=0.01,
                     because="ten times what counts as learned for the forward-only update; below "
                     "that level smoothing has learned too, which is the opposite"),
        ),
        mechanism=(
            at_least("error[gradient, -1]", "gradient descent through the staircase, whose "
                     "gradient is zero, leaves at least {bound} of it", 0.9, none=0.01),
            at_most("factor", "the error of the forward-only update is within a factor of "
                    "{bound:10^} of the prediction, as long as that is above 0.003", 0.36),
        ),
        controls=(
            Control(
                "periodic", "that the stairs only rise: they go up and down in turn",
                ("error[forward, -1]", "factor"),
                (at_least("moved", "the update does move the weights, by at least {bound}", 0.1),),
            ),
            Control(
                "identity", "the stairs: the non-linearity is the identity",
                ("error[gradient, -1]",),
                (
                    at_most("error[forward, -1]", "the forward-only update learns it, all but "
                            "{bound}", 0.01),
                ),
                by_design="without stairs nothing is smoothed: both updates are the gradient",
            ),
            Control(
                "narrow", "inputs that all lie on one stair or two, out of reach of a steep "
                "sigmoid", finds=("error[slope=50, -1]",),
                valid=(at_least("moved", "the forward-only update moves the weights, by at least "
                                "{bound}", 0.1),),
            ),
        ),
        changes=("That the true gradient does not move no longer decides: it is zero by "
                 "construction, and was an easy condition beside the two statements. What "
                 "smoothing leaves has a zone opposite now, below 0.01 (stricter), and a control "
                 "that finds a failure of smoothing.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Errors along the steps with the prediction; what smoothing leaves, for each slope."""
    steps, slopes = first(runs, "steps"), first(runs, "slopes")
    lowest = 1e-4
    methods = {
        "gradient": "true gradient",
        "forward": "forward-only",
        "slope=50": "smoothed, slope 50",
    }
    inputs = {MAIN: ("inputs over many stairs", "o"), "narrow": ("inputs on one stair", "s")}
    with panels(2, size=(8.6, 3.7)) as (drawn, (left, right)):
        for method, label in methods.items():
            mean = over_seeds(runs, f"error[{method}]").mean(0)
            left.plot(steps, np.where(mean > 0, mean, np.nan), label=label, markevery=10)
        predicted = over_seeds(runs, "predicted").mean(0)
        left.plot(steps, predicted, **figures.THEORY, label="predicted, forward-only")
        left.set(yscale="log", ylim=(lowest, 5000), xlabel="step")
        left.set(ylabel="error over the variance of $y$")
        left.legend(fontsize=9, loc="upper right")
        for variant, (label, marker) in inputs.items():
            if variant in runs:
                values = np.maximum(over_seeds(runs, "left", variant)[:, 2:], lowest)
                figures.dots(right, slopes, values, label=label, fmt=marker)
        right.set(xscale="log", yscale="log", ylim=(lowest / 2, 30), xlabel="slope of the sigmoids")
        right.set(ylabel="error left, over that at the start")
        right.legend(fontsize=9, loc="upper left")
    return figures.Figure(
        drawn,
        label="fig-fails-flat",
        caption="Left: mean squared error of a unit with a staircase for its non-linearity, as a "
        "share of the variance of its targets, under three ways to step; dashed, what "
        "{prf:ref}`thm-fails-forward` predicts for the forward-only update. A curve ends where no "
        "error is left. Right: what gradient descent on a smoothed staircase leaves of the error "
        "at the start, against the slope of the sigmoids, for inputs that spread over many stairs "
        f"and for inputs that all lie on one or two. {figures.count(len(runs[MAIN]))}.",
        alt="Two panels. Left, the error of the true gradient is a flat line above 1; that of the "
        "forward-only update falls along its dashed prediction, and that of the smoothed staircase "
        "falls too. Right, for inputs over many stairs every slope leaves less than 1 percent; for "
        "inputs on one stair, slopes of 50 and more leave everything.",
    )
