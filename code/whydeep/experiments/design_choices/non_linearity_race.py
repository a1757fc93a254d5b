"""A race to 25% training error: ReLU, tanh and sigmoid, each at its best learning rate.

Krizhevsky, Sutskever and Hinton report that a network of four layers with ReLU reaches 25% training
error on CIFAR-10 six times faster than one with tanh, each at a learning rate chosen for it, and
add that the factor varies with the architecture ({cite}`krizhevsky2012`, section 3.1). Their inputs
are pixels from 0 to 255 without the mean picture (section 2), and the weights of their large
network start as N(0, 0.01^2) (section 5; for the small one they do not say). We give four learned
layers, dense ones, that start on small pictures of clothes, count steps, and do it again with
inputs and weights of the size that theory asks for.

What would refute it: a tanh or a sigmoid that is less than twice as slow from the paper's start. A
lead that were due to anything but saturation would survive standardised inputs, or a ReLU that is
cut off at 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.datasets.tasks import CLASSES
from whydeep.descent import SGD, Trained, train
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Activation, Dense
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "design-choices/the-non-linearity"
GOAL = 0.25  # training error
EVERY = 10  # steps between two looks at the training error
NAMES = ("relu", "tanh", "sigmoid")


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed.

    ``start`` is "paper" (pixels from 0 to 255 less the mean picture, all weights N(0, 0.01^2)) or
    "fitted" (pixels of standard deviation 1, weights of variance 2 over the number of inputs for
    the ReLU, 1 over it for the others). Each non-linearity is run at all rates of ``sgd``.
    ``rectifier`` is "relu", or "clipped", which stands in its place and is cut off at 1.
    """

    examples: int = 2000
    units: int = 64
    start: str = "paper"
    rectifier: str = "relu"
    sgd: SGD = SGD(lr=(0.003, 0.01, 0.03, 0.1, 0.3), steps=600, batch=50, momentum=0.9)


SCALES = {"quick": Settings()}
VARIANTS = {"fitted": {"start": "fitted"}, "clipped": {"rectifier": "clipped"}}


def clipped(z: Tensor) -> Tensor:
    """min(1, max(0, z)): a ReLU that saturates, as tanh does."""
    return z.clamp(0, 1)


def small_start(
    widths: tuple[int, ...], activation: Activation, *, generator: torch.Generator
) -> Dense:
    """A dense network with all weights N(0, 0.01^2) and all biases zero."""
    network = Dense(widths, activation, generator=generator)
    with torch.no_grad():
        for p in network.parameters():
            if p.ndim > 1:
                p.normal_(0, 0.01, generator=generator)
    return network


def first_below(
    errors: Float[np.ndarray, "rates looks"], looks: tuple[int, ...]
) -> tuple[int, int]:
    """The fewest steps after which some rate has an error of at most GOAL, and that rate's index.

    ``looks`` holds the number of steps at each column. If no rate gets there: the last number of
    steps, and the rate that came nearest.
    """
    hits = errors <= GOAL
    if not hits.any():
        return looks[-1], int(errors.min(axis=1).argmin())
    arrivals = np.where(hits.any(axis=1), hits.argmax(axis=1), len(looks))
    return looks[arrivals.min()], int(arrivals.argmin())


def run(settings: Settings, chance: Chance) -> Result:
    """Training error against step for every non-linearity and rate, and the steps to GOAL.

    The error is taken on every fourth training example. ``to_goal`` are the steps of the best rate,
    or all steps if no rate reaches the goal: ratios are then lower bounds.
    """
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    x, y = F.avg_pool2d(data.train_x, 2).flatten(1), data.train_y
    x = x - x.mean(0)
    widths = (x.shape[1], *3 * (settings.units,), CLASSES)
    if settings.start == "paper":
        x, network = 255 * x, small_start
    else:
        x, network = x / x.std(), Dense
    sgd, rates = settings.sgd, np.atleast_1d(settings.sgd.lr)
    looks = tuple(range(0, sgd.steps + 1, EVERY))
    rectifier = clipped if settings.rectifier == "clipped" else torch.relu

    def error(trained: Trained) -> Tensor:
        return (trained.predict(x[::4]).cpu() != y[::4]).double().mean(1)

    errors = []
    with threadpool_limits(1):  # the digits then do not depend on the number of cores
        for activation in (rectifier, torch.tanh, torch.sigmoid):
            trained = train(
                partial(network, widths, activation), x, y, seeds=[chance] * len(rates),
                **sgd.how, measure={"error": error}, measure_at=looks, device=device.current(),
            )  # fmt: skip
            errors.append(trained.history["error"].numpy())
    arrivals, best = zip(*(first_below(each, looks) for each in errors), strict=True)
    share = "fraction of training examples"
    return Result(
        rates=(rates, "learning rate"),
        steps=(np.array(looks), "steps"),
        error=Quantity(np.stack(errors), share, sigma=NAMES, rate=rates, step=looks),
        to_goal=Quantity(arrivals, "steps", sigma=NAMES),
        best_rate=Quantity(rates[list(best)], "learning rate", sigma=NAMES),
        lowest=Quantity([each.min() for each in errors], share, sigma=NAMES),
        to_relu=Quantity(np.array(arrivals) / arrivals[0], "ratio of steps", sigma=NAMES),
    )


TWICE = at_least(
    "to_relu[tanh]",
    "from the paper's start, tanh takes at least {bound:word} as many steps as ReLU",
    2.0,
)
TWICE_SIGMOID = at_least(
    "to_relu[sigmoid]",
    "from the paper's start, the sigmoid takes at least {bound:word} as many steps as ReLU",
    2.0,
)
CLAIMS = (
    Claim(
        id="krizhevsky2012-relu-speed", title="", cite="krizhevsky2012", kind="effect", expected=SHOWN,
        says="From the paper's start, with raw pixels and small weights, a network of four "
        "layers reaches 25% training error in far fewer steps with ReLU than with tanh or a "
        "sigmoid, each at its best learning rate.",
        paper=(
            (
                "steps to 25 % training error on CIFAR-10, tanh to ReLU, four convolutional layers",
                ("{}, and “varies with network architecture”", 6),
                "section 3.1 and Figure 1",
            ),
            ("sigmoid to ReLU", "no number", "section 3.1 names sigmoid and tanh together"),
        ),
        decides=(TWICE, TWICE_SIGMOID),
        controls=(
            Control(
                "fitted", "the start: pixels of standard deviation one, and weights of the size "
                "that keeps the signal where tanh is steep", ("to_relu[tanh]",),
                (
                    at_most("to_goal[relu]", "the network with ReLU reaches the goal within "
                            "{bound} steps", 200.0),
                ),
            ),
            Control(
                "clipped", "the open end: the ReLU is cut off at 1, so that it saturates as tanh "
                "does", ("to_relu[tanh]", "to_relu[sigmoid]"),
                (
                    at_most("lowest[relu]", "the network still learns: its training error falls "
                            "to {bound:word} or less", 0.5),
                ),
            ),
        ),
        limits="With inputs and weights of fitting size the lead over tanh goes away, as the "
        "control shows, and later networks left the ReLU for smooth cousins of it "
        "{cite}`hendrycks2016`.",
    ),
)  # fmt: skip

LABELS = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid"}
PANELS = {
    MAIN: "the paper's start",
    "fitted": "fitted inputs and weights",
    "clipped": "paper's start, ReLU cut off at 1",
}


PLOT = Plot(
    sweep=Axis("learning rate", log=True),
    at="rates",
    y=Axis("training error", "%"),
    series={f"error[{name}]": label for name, label in LABELS.items()},
    factor=100.0,
    variants=PANELS,
)


def best_curves(runs: Runs, name: str, variant: str) -> Float[np.ndarray, "seeds looks"]:
    """The training error (%) against step at each seed's best rate, one row a seed."""
    curves = over_seeds(runs, f"error[{name}]", variant, factor=100.0)
    best = over_seeds(runs, f"best_rate[{name}]", variant)
    return curves[first(runs, "rates") == best[:, None]]


def figure(runs: Runs) -> figures.Figure:
    """Training error against step, each non-linearity at its best rate, from each start."""
    shown = [variant for variant in PANELS if variant in runs]
    size = (2.5 * len(shown) + 0.7, 3.2)
    with panels(len(shown), size=size, sharey=True, squeeze=False) as (drawn, axes):
        for panel, variant in zip(axes[0], shown, strict=True):
            for name, label in LABELS.items():
                called = "cut off" if (variant, name) == ("clipped", "relu") else label
                curves = best_curves(runs, name, variant)
                figures.band(panel, first(runs, "steps"), curves, label=called, markevery=10)
            panel.axhline(100 * GOAL, **figures.THEORY)
            title = PANELS[variant].replace(", ", ",\n")
            panel.set(xlabel="step", title=title, ylim=(0, 100))
            panel.legend(handlelength=1.8, fontsize=9)
        axes[0, 0].set_ylabel("training error (%)")
    ratio = over_seeds(runs, "to_relu[tanh]").mean()
    return figures.Figure(
        drawn,
        label="fig-race",
        caption="Training error of a network of four dense layers on small pictures of clothes, "
        "each non-linearity at its best learning rate of five; the goal of 25 % is dashed. From "
        f"the paper's start ReLU is there at least {ratio:.1f} times sooner than tanh. With "
        "fitted inputs and weights tanh is as fast, and the sigmoid is not. Bands are one "
        "standard deviation over seeds.",
        alt="Three panels of training error against step. In the first only the ReLU curve falls "
        "below the dashed goal. In the second ReLU and tanh fall together within fifty steps, "
        "the sigmoid some hundred and fifty steps later. In the third, with the ReLU cut off, "
        "no curve reaches the goal.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The curves at every learning rate, to drag through, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="race",
        title="Training error against step, for each learning rate",
        about="Move along the learning rate and find the best one for each non-linearity. Then "
        "change the start, and look for the rates again.",
        x=Axis("step"),
        x_values="steps",
        predict=Prediction(
            "Pixels from 0 to 255 go into tanh units, with small weights. Can some learning rate "
            "bring tanh to 25 % training error as soon as ReLU?",
            (
                "Yes, a larger one than ReLU's",
                "Yes, a smaller one than ReLU's",
                "No, none of the five",
            ),
            2,
            "Units of the first layer sit on the flat ends of tanh, where no rate repairs the "
            "gradient. Choose fitted inputs and weights, and one does.",
        ),
    )
