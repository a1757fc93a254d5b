"""What is guaranteed for SGD on a loss that is not convex?

Bottou ({cite}`bottou1998`) shows that with steps gamma_t whose sum diverges and whose squares have
a finite sum (Robbins and Monro 1951) the gradient goes to zero, if the loss is smooth and the path
stays confined; the essay's last edit adds that nothing is said of the global minimum. Our loss is a
sum over coordinates of x^2 / 2 - a log cosh x + tilt x: two wells in each, all of it known, and its
curvature is at most 1 in size if 1 < a <= 2, so that the theorem's conditions hold exactly.

What would refute it: a gradient that stays away from zero although the steps are as the theorem
asks. That its other conditions matter is refuted if other steps do as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "mysterious-steps/theory-out-of-the-window"
A = 1.5  # of the loss: two wells in each coordinate for a small tilt
L = 1.0  # the largest curvature of the loss, in size: 1 - A / cosh(x)^2 lies in [1 - A, 1]
FIRST = 0.1  # the first step's learning rate
CONSTANT = (0.1, 0.03, 0.01)
RATES = ("constant_0.1", "constant_0.03", "constant_0.01", "decreasing", "finite")
# What no gradient is counted below: rounding of numbers of 64 bits, squared.
LEAST = 1e-28


@dataclass(frozen=True)
class Settings:
    """``chains`` independent runs of SGD in ``dimension`` coordinates, each with its own noise.

    The noise of a gradient is normal with standard deviation 1 in each coordinate; with ``fading``
    it is as large as the gradient's own coordinate. The decreasing rate is
    FIRST (1 + t / ``knee``)^-``power``, the one with a finite sum has ``finite_power``.
    """

    dimension: int = 10
    chains: int = 200
    steps: int = 10_000
    tilt: float = 0.1
    knee: float = 20.0
    power: float = 0.75
    finite_power: float = 2.0
    fading: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {
    "fading-noise": {"fading": True},
    "no-decrease": {"power": 0.0},
    "sum-diverges": {"finite_power": 1.0},
    "one-well": {"tilt": 0.3},
}


def loss(x: Float[np.ndarray, "*any d"], tilt: float) -> Float[np.ndarray, "*any"] | np.floating:
    """The sum over coordinates of x^2 / 2 - A log cosh x + tilt x."""
    log_cosh = np.logaddexp(x, -x) - np.log(2)
    return (x**2 / 2 - A * log_cosh + tilt * x).sum(-1)


def gradient(x: Float[np.ndarray, "*any d"], tilt: float) -> Float[np.ndarray, "*any d"]:
    """Its gradient, x - A tanh x + tilt in each coordinate."""
    return x - A * np.tanh(x) + tilt


def bottom(tilt: float) -> float:
    """The coordinate of the global minimum for tilt > 0, to the left of 0, by Newton's method."""
    x = -2.0
    for _ in range(50):
        x -= (x - A * np.tanh(x) + tilt) / (1 - A / np.cosh(x) ** 2)
    return x


def rates(settings: Settings) -> Float[np.ndarray, "r steps"]:
    """The learning rate of each of RATES at each step."""
    t = np.arange(settings.steps)
    falling = [
        FIRST * (1 + t / settings.knee) ** -power
        for power in (settings.power, settings.finite_power)
    ]
    return np.stack([*(np.full(settings.steps, rate) for rate in CONSTANT), *falling])


def run(settings: Settings, chance: Chance) -> Result:
    """Mean squared gradient of the chains along the steps for each rate; shares at the global one.

    Also the mean over all steps so far, each weighed by its rate, and the theorem's bound on it.
    All rates see the same starts, uniform on [-2, 2], and the same noise. A chain is at the global
    minimum if each coordinate is within 0.5 of it. Runs on the CPU in float64.
    """
    rng = chance.numpy()
    start = rng.uniform(-2, 2, (settings.chains, settings.dimension))
    x = np.repeat(start[None], len(RATES), 0)
    rate = rates(settings)
    squared = np.empty((len(RATES), settings.steps + 1))
    for t in range(settings.steps + 1):
        g = gradient(x, settings.tilt)
        squared[:, t] = np.einsum("rcd,rcd->r", g, g) / settings.chains
        if t < settings.steps:
            noise = rng.standard_normal(start.shape)
            x -= rate[:, t, None, None] * (g + noise * (np.abs(g) if settings.fading else 1))
    squared = np.maximum(squared, LEAST)
    x_star = bottom(settings.tilt)
    share = (np.abs(x - x_star) < 0.5).all(-1).mean(-1)
    # The theorem: sum of gamma_t E|grad|^2 <= 2 (f(x_0) - min f) + L sigma^2 sum of gamma_t^2.
    drop = loss(start, settings.tilt).mean() - loss(
        np.full(settings.dimension, x_star), settings.tilt
    )
    total = rate.cumsum(1)
    bound = (2 * drop + L * settings.dimension * (rate**2).cumsum(1)) / total
    weighed = (rate * squared[:, :-1]).cumsum(1) / total
    shown = np.geomspace(min(10, settings.steps), settings.steps, 31)
    shown = np.unique(shown.round().astype(int))
    window = max(1, settings.steps // 100)
    # A hundredth of all steps at the end, and as many before a tenth: the last digits are noise.
    late, early = (
        squared[:, end - window : end].mean(1)
        for end in (settings.steps, max(window, settings.steps // 10))
    )
    falling, finite = RATES.index("decreasing"), RATES.index("finite")
    unit, ratio = "squared gradient", "ratio of squared gradients"
    return Result(
        steps=(shown, "steps"),
        weighed=Quantity(weighed[falling, shown - 1], unit, step=shown),
        bound=Quantity(bound[falling, shown - 1], unit, step=shown),
        rate=Quantity(rate[falling, shown - 1], "learning rate", step=shown),
        falls=(late[falling] / early[falling], ratio),
        stuck=(late[finite] / early[finite], ratio),
        floors=(late[0] / late[2], ratio),
        gradient=Quantity(squared[:, shown], unit, rate=RATES, step=shown),
        late=Quantity(late, unit, rate=RATES),
        share=Quantity(share, "share of chains", rate=RATES),
    )


def _goes_down(rate: str) -> tuple[Condition]:
    words = "the squared gradient gets below its mean at the start, to at most {bound}"
    return (at_most(f"late[{rate}]", words, 0.5),)


CLAIMS = (
    Claim(
        id="bottou1998-sgd-nonconvex",
        title="What is guaranteed for SGD without convexity?",
        cite="bottou1998", kind="effect", expected=SHOWN,
        says="With steps whose sum diverges and whose squares have a finite sum, the gradient of a "
        "loss that need not be convex goes to zero along SGD, with probability one, if the path "
        "stays confined.",
        tested="200 chains of 10,000 steps on a loss with two wells in each of ten coordinates, "
        "all of whose minima are known; steps that fall as $t^{-3/4}$, constant ones, and ones "
        "with a finite sum.",
        so="With steps as the theorem asks, the squared gradient falls to "
        "{num}`bottou1998-sgd-nonconvex:falls .2f` of what it was after a tenth of them; with a "
        "constant step it stays, at {num}`bottou1998-sgd-nonconvex@no-decrease:falls .2f`.",
        caveat="Nothing is said of which minimum: {num}`bottou1998-sgd-nonconvex:"
        "share[decreasing] .1%` of the chains end at the global one. Ten thousand steps show a "
        "fall, not a limit, and the mean over chains, not the single path; the loss is a toy, not "
        "a network's.",
        paper=(
            ("the gradient", "goes to zero with probability one", "the part on losses that need "
             "not be convex"),
        ),
        decides=(
            at_most("falls", "with steps falling as $t^{-3/4}$ the squared gradient of the last "
                    "steps is at most {bound} of what it was after a tenth of them", 0.3, none=1.0,
                    log=True, because="a floor that follows the steps would fall to 0.18"),
        ),
        mechanism=(
            at_least("floors", "the floor of the constant rate 0.1 is at least {bound} times that "
                     "of 0.01", 7.0, none=1.0, log=True),
            at_least("stuck", "with a finite sum of steps the same ratio is at least {bound}: "
                     "nothing moves any more", 0.9, none=0.9, log=True),
            at_most("share[decreasing]", "with the decreasing steps at most {bound:word} of the "
                    "runs end at the global minimum", 0.1),
        ),
        controls=(
            Control(
                "no-decrease", "the decrease: the same first step all along", ("falls",),
                _goes_down("decreasing"),
                by_design="a rate that does not decrease is the constant one",
            ),
            Control(
                "fading-noise", "noise that stays: here it fades with the gradient, as on data "
                "that a network fits exactly", ("floors",),
                _goes_down("constant_0.01"),
            ),
            Control(
                "sum-diverges", "the finite sum: steps that fall as $1/t$ in its place",
                ("stuck",),
                _goes_down("finite"),
            ),
            Control(
                "one-well", "the second well: a tilt that leaves each coordinate one minimum",
                ("share[decreasing]",),
                _goes_down("decreasing"),
            ),
        ),
        limits="For networks more is known by now: wide ones reach zero training loss "
        "{cite}`allenzhu2018b`, deep linear ones have no bad local minima {cite}`kawaguchi2016`.",
        changes=("Only what the source says decides, the fall under its conditions; floors, finite "
                 "sums and the share at the global minimum are shown. No bound was changed.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """The squared gradient along the steps for each rate; beside it the theorem's bound."""
    steps, rate = first(runs, "steps"), first(runs, "rate")
    h = 1 - A / np.cosh(bottom(Settings.tilt)) ** 2
    names = {
        "constant_0.1": r"constant, $\eta = 0.1$",
        "constant_0.01": r"constant, $\eta = 0.01$",
        "finite": "finite sum",
        "decreasing": "falling as $t^{-3/4}$",
    }
    with panels(2, size=(8.6, 3.6), sharey=True) as (drawn, (left, right)):
        for name, label in names.items():
            values = over_seeds(runs, f"gradient[{name}]")
            figures.band(left, steps, values, label=label, markevery=5)
        near = Settings.dimension * h * rate / (2 - rate * h)
        left.plot(steps, near, **figures.THEORY, label="theory, near a minimum")
        left.set(xscale="log", yscale="log", xlabel="step", ylabel="mean squared gradient")
        style = {"color": figures.COLOURS["purple"], "marker": "D", "markevery": 5}
        figures.band(right, steps, over_seeds(runs, "weighed"), label="measured", **style)
        bound = over_seeds(runs, "bound").mean(0)
        right.plot(steps, bound, **figures.THEORY, label="theorem: at most")
        right.set(xscale="log", xlabel="step", title="mean so far, weighed by the step")
        left.legend(fontsize=8.5, loc="lower left")
        right.legend(loc="lower left")
    return figures.Figure(
        drawn,
        label="fig-stationary",
        caption="Left: the mean squared gradient of SGD on a loss with 1,024 minima, for constant, "
        "decreasing and summable learning rates; mean and standard deviation over "
        f"{figures.count(len(values))} of {Settings.chains} runs. Dashed: what the "
        "noise alone gives near a minimum at the decreasing rate. Right: the quantity that "
        "{prf:ref}`thm-stationary` bounds, and the bound, for the decreasing rate.",
        alt="Two plots with logarithmic axes. Left, the curves of the constant rates level off at "
        "two floors, a factor of ten apart; the curve of the finite sum levels off between them; "
        "that of the decreasing rate keeps falling along its dashed prediction. Right, the "
        "measured mean falls and stays below the dashed bound.",
    )
