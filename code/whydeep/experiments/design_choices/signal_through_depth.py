"""How large are signal and gradient after many random layers? Theory beside measurement.

A layer with weights N(0, c / d), d inputs a unit and no biases, turns a signal of mean square rho
into z of variance c rho, normal if d is large, and so into one of mean square E sigma(sqrt(c rho)
Z)^2. Going back, each layer multiplies the mean square of the gradient by c E sigma'(sqrt(c rho)
Z)^2 (Z standard normal; {cite}`he2015` for ReLU, {cite}`schoenholz2017` for any sigma). We send
random inputs through layers of several starts and gradients back, and lay the theory beside them.
It carries no claim of the catalogue: the page's figure and explorer show it.

What would refute it: sizes that leave the theory's line by more than the spread over networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.evidence.claims import Claim
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "design-choices/the-non-linearity"


@dataclass(frozen=True)
class Settings:
    """``layers`` of ``width`` units each, ``examples`` inputs of independent normal numbers.

    ``start`` says the weights' variance: "fitted" (2 / d for ReLU, 1 / d for the others), "one"
    (1 / d for all), "two" (2 / d for all), "pytorch" (1 / (3 d), as its linear layers have) or
    "paper" (0.01^2, whatever d).
    """

    layers: int = 20
    width: int = 500
    examples: int = 40
    start: str = "fitted"


SCALES = {"quick": Settings()}
VARIANTS = {start: {"start": start} for start in ("one", "two", "pytorch", "paper")}
CLAIMS: tuple[Claim, ...] = ()
NAMES = ("relu", "tanh", "sigmoid")
Function = Callable[[Tensor], Tensor]


def derivatives() -> dict[str, tuple[Function, Function]]:
    """sigma and sigma' of each of NAMES, as functions of z."""
    return {
        "relu": (torch.relu, lambda z: (z > 0).to(z)),
        "tanh": (torch.tanh, lambda z: 1 - torch.tanh(z).square()),
        "sigmoid": (torch.sigmoid, lambda z: torch.sigmoid(z) * torch.sigmoid(-z)),
    }


def constant(start: str, name: str, width: int) -> float:
    """c, the variance of the weights times the number of inputs."""
    fitted = 2.0 if name == "relu" else 1.0
    return {
        "fitted": fitted, "one": 1.0, "two": 2.0, "pytorch": 1 / 3, "paper": 1e-4 * width,
    }[start]  # fmt: skip


def normal_mean(function: Function, variance: float) -> float:
    """E f(sqrt(variance) Z)^2 for a standard normal Z, by adding up 4000 places from -10 to 10.

    Zero, where a slope may jump, is none of them.
    """
    z = torch.linspace(-10, 10, 4000, dtype=torch.float64)
    density = torch.exp(-z.square() / 2)
    values = function(variance**0.5 * z).square()
    return float((values * density).sum() / density.sum())


def theory(
    name: str, c: float, layers: int
) -> tuple[Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"]]:
    """Mean squares of the signal and of the gradient at x^(1), ..., x^(layers + 1).

    The signal starts at 1 at the bottom, the gradient at 1 at the top.
    """
    sigma, slope = derivatives()[name]
    signal, factors = [1.0], []
    for _ in range(layers):
        variance = c * signal[-1]
        signal.append(normal_mean(sigma, variance))
        factors.append(c * normal_mean(slope, variance))
    gradient = np.append(np.cumprod(factors[::-1])[::-1], 1.0)
    return np.array(signal), gradient


def measure(
    name: str, c: float, settings: Settings, generator: torch.Generator
) -> tuple[Float[np.ndarray, " sizes"], Float[np.ndarray, " sizes"]]:
    """The same from a random network: inputs and the gradient at the top are standard normal."""
    sigma, slope = derivatives()[name]
    width, shape = settings.width, (settings.examples, settings.width)

    def draw(*size: int) -> Tensor:
        return torch.randn(size, generator=generator, dtype=torch.float64)

    x = draw(*shape)
    signal, weights, slopes = [float(x.square().mean())], [], []
    for _ in range(settings.layers):
        w = draw(width, width) * (c / width) ** 0.5
        z = x @ w
        x = sigma(z)
        weights.append(w)
        slopes.append(slope(z))
        signal.append(float(x.square().mean()))
    g = draw(*shape)
    gradient = [float(g.square().mean())]
    for w, own in zip(weights[::-1], slopes[::-1], strict=True):
        g = (g * own) @ w.T
        gradient.append(float(g.square().mean()))
    return np.array(signal), np.array(gradient[::-1])


def run(settings: Settings, chance: Chance) -> Result:
    """Mean squares of signal and gradient at every layer, measured and by theory.

    Runs on the CPU in float64: after many small layers float32 holds zero.
    """
    generator = chance.torch()
    measured, predicted = [], []
    with threadpool_limits(1):  # the digits then do not depend on the number of cores
        for name in NAMES:
            c = constant(settings.start, name, settings.width)
            measured.append(measure(name, c, settings, generator))
            predicted.append(theory(name, c, settings.layers))
    signal, gradient = np.moveaxis(np.array(measured), 1, 0)  # each (NAMES, layers)
    theory_signal, theory_gradient = np.moveaxis(np.array(predicted), 1, 0)
    layer = np.arange(1, settings.layers + 2)
    size, gradient_size = "mean square", "mean square, 1 at the top"
    axes = {"sigma": NAMES, "layer": layer}
    return Result(
        layer=(layer, "layer"),
        signal=Quantity(signal, size, **axes),
        gradient=Quantity(gradient, gradient_size, **axes),
        theory_signal=Quantity(theory_signal, size, **axes),
        theory_gradient=Quantity(theory_gradient, gradient_size, **axes),
    )


LABELS = {"relu": "ReLU", "tanh": "tanh", "sigmoid": "sigmoid"}
STARTS = {
    MAIN: "fitted: 2/d for ReLU, 1/d for the others",
    "one": "1/d for all",
    "two": "2/d for all",
    "pytorch": "1/(3d), PyTorch's linear layers",
    "paper": "0.01², the paper's",
}


PLOT = Plot(
    sweep=Axis("layer"),
    at="layer",
    y=Axis("mean square, 1 at the top", log=True),
    series={
        f"{source}gradient[{name}]": f"{label}{what}"
        for name, label in LABELS.items()
        for source, what in (("", ""), ("theory_", ", theory"))
    },
    variants=STARTS,
)


def figure(runs: Runs) -> figures.Figure:
    """Signal and gradient through the layers, in powers of ten, from the fitted start."""
    layer = first(runs, "layer")
    with panels(2, size=(8.2, 3.5)) as (drawn, axes):
        for panel, quantity in zip(axes, ("signal", "gradient"), strict=True):
            for name, label in LABELS.items():
                sizes = np.log10(over_seeds(runs, f"{quantity}[{name}]"))
                figures.band(panel, layer, sizes, label=label, markevery=4)
                theirs = np.log10(first(runs, f"theory_{quantity}[{name}]"))
                told = "theory" if name == "sigmoid" else None
                panel.plot(layer, theirs, label=told, **figures.THEORY)
            panel.set(xlabel="layer", title=f"mean square of the {quantity}")
            panel.set_xticks(range(1, 22, 5))
        axes[0].set(ylabel="power of ten", ylim=(-3, 1))
        axes[1].legend()
    layers = len(layer) - 1
    return figures.Figure(
        drawn,
        label="fig-depth",
        caption=f"Mean square of the signal on its way up through {layers} random layers, and of "
        "the gradient on its way down from the top, in powers of ten, from weights fitted to each "
        "non-linearity. The theory is dashed. The sigmoid lets the signal through and loses the "
        "gradient: more than a power of ten at every layer. Bands, where they can be seen, are "
        "one standard deviation over seeds.",
        alt="Two panels against the layer, from 1 to 21. Left, the signal: flat for ReLU, flat "
        "for the sigmoid after the first layer, slowly falling for tanh. Right, the gradient: "
        "flat for ReLU, slowly falling towards the bottom for tanh, and for the sigmoid a "
        "straight line down to ten to the minus twenty-five. All lie on their dashed theory.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The gradient at every layer, measured and by theory, for one start at a time."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="depth",
        title="Mean square of the gradient on its way down from the top",
        about="Choose a start and read off how much of the gradient is left at the first layer. "
        "Which start suits which non-linearity? Does any of them suit the sigmoid?",
        predict=Prediction(
            "The slope of the sigmoid is at most 1/4. Weights of variance 1/d keep a sum at the "
            "size of its terms. By what factor does the mean square of the gradient shrink at "
            "each layer of sigmoids?",
            ("By at least 4", "By at least 16", "Not at all, on average"),
            1,
            "Squares multiply by the squared slope, which is at most 1/16: after twenty layers "
            "less than one part in 10 to the 24 is left.",
        ),
    )
