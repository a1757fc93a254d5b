"""Random Fourier features: how fast does a random first layer become a kernel machine?

A layer of D cosines with random weights, never trained, has inner products that equal the Gaussian
kernel on average (Rahimi and Recht 2007, from Bochner's theorem). Their kitchen-sinks paper bounds
the excess risk of a linear read-out on them by O(1/sqrt(n) + 1/sqrt(D)) ({cite}`rahimi2008`). We
measure the error of the kernel and the test error of ridge regression on the features, for D from
16 to 4096, against the exact kernel machine.

What would refute it: a kernel error that does not fall as 1/sqrt(D), or a read-out on the widest
layer that stays worse than the exact kernel machine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.evidence.claims import SHOWN, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.features._classifiers import gaussian_kernel
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "features/feature-maps-by-hand"


@dataclass(frozen=True)
class Settings:
    """``examples`` training images, drawn afresh by every seed; always all 2,000 test images.

    ``widths`` are the numbers D of features. The kernel error is taken over the pairs of ``points``
    test images and averaged over ``draws`` of the features. ``ridge`` is the penalty of the ridge
    regression, the same for all D and for the exact kernel. ``directions``, if not 0, lets the
    features share so many random directions, drawn with replacement, each with its own phase.
    """

    examples: int = 400
    widths: tuple[int, ...] = (16, 64, 256, 1024)
    points: int = 100
    draws: int = 3
    ridge: float = 0.1
    directions: int = 0


SCALES = {
    "quick": Settings(),
    "full": Settings(examples=1500, widths=(16, 64, 256, 1024, 4096), points=300, draws=8),
}
VARIANTS = {"sixteen-directions": {"directions": 16}}


def median_gamma(x: Float[Tensor, "n d"]) -> float:
    """The gamma that gives the median pair of different rows a kernel of 1/e."""
    return 1 / float(torch.pdist(x).square().median())


def draw_features(
    d: int, width: int, gamma: float, *, directions: int = 0, generator: torch.Generator
) -> tuple[Float[Tensor, "d width"], Float[Tensor, " width"]]:
    """Weights (d, width) and phases (width,) of random Fourier features for the Gaussian kernel.

    By Bochner's theorem the weights are normal with variance 2 gamma; phases are uniform on
    [0, 2 pi) (Rahimi and Recht 2007, Algorithm 1). With ``directions`` the columns of the weights
    are drawn with replacement from that many.
    """
    columns = directions or width
    weights = torch.randn(d, columns, generator=generator) * (2 * gamma) ** 0.5
    if directions:
        weights = weights[:, torch.randint(directions, (width,), generator=generator)]
    return weights, 2 * torch.pi * torch.rand(width, generator=generator)


def fourier_features(
    x: Float[Tensor, "n d"], weights: Float[Tensor, "d width"], phases: Float[Tensor, " width"]
) -> Float[Tensor, "n width"]:
    """Phi(x) = sqrt(2 / D) cos(W^T x + b), so that Phi(x) . Phi(y) is k(x, y) on average."""
    return (2 / len(phases)) ** 0.5 * torch.cos(x @ weights + phases)


def expected_error(k: Float[np.ndarray, " pairs"], width: int) -> float:
    """The root-mean-square error of the features' kernel over pairs with exact kernel ``k``.

    One term 2 cos(w.x + b) cos(w.y + b) = cos(w.(x - y)) + cos(w.(x + y) + 2b) has mean k and
    variance 1 - k^2 + k^4 / 2, because cos^2 has mean (1 + k(2x, 2y)) / 2 and k(2x, 2y) = k^4 for
    the Gaussian kernel. D independent terms divide the variance by D.
    """
    return float(np.sqrt((1 - k**2 + k**4 / 2).mean() / width))


def ridge_error(
    phi: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    phi_test: Float[Tensor, "m d"],
    y_test: Int[Tensor, " m"],
    ridge: float,
) -> float:
    """Test error of ridge regression on one-hot labels: the largest output is the predicted class.

    Minimises |phi V - Y|^2 + ridge |V|^2 over V (d, k), through whichever of phi^T phi and
    phi phi^T is the smaller.
    """
    phi, phi_test = phi.double(), phi_test.double()
    one_hot = torch.nn.functional.one_hot(y).to(phi)
    if phi.shape[1] < len(y):
        gram = phi.T @ phi + ridge * torch.eye(phi.shape[1]).to(phi)
        v = torch.cholesky_solve(phi.T @ one_hot, torch.linalg.cholesky(gram))
        outputs = phi_test @ v
    else:
        outputs = kernel_outputs(phi @ phi.T, one_hot, phi_test @ phi.T, ridge)
    return float((outputs.argmax(1) != y_test).double().mean())


def kernel_outputs(
    kernel: Float[Tensor, "n n"],
    one_hot: Float[Tensor, "n k"],
    kernel_test: Float[Tensor, "m n"],
    ridge: float,
) -> Float[Tensor, "m k"]:
    """Outputs of kernel ridge regression: K_test (K + ridge I)^-1 Y."""
    regular = kernel + ridge * torch.eye(len(kernel)).to(kernel)
    return kernel_test @ torch.cholesky_solve(one_hot, torch.linalg.cholesky(regular))


def run(settings: Settings, chance: Chance) -> Result:
    """Kernel error and test error for each D of ``widths``, with the exact kernel's test error.

    The kernel error is the root-mean-square difference over pairs of different images.
    """
    generator = chance.torch()
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    x, x_test = data.train_x.flatten(1), data.test_x.flatten(1)
    y, y_test = data.train_y, data.test_y
    gamma = median_gamma(x[:: max(1, len(x) // 500)])
    points = x_test[torch.randperm(len(x_test), generator=generator)[: settings.points]]
    pairs = torch.triu_indices(len(points), len(points), offset=1).unbind()
    exact = gaussian_kernel(points, points, gamma)[pairs]

    def draw(width: int) -> tuple[Tensor, Tensor]:
        return draw_features(
            x.shape[1], width, gamma, directions=settings.directions, generator=generator
        )

    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        one_hot = torch.nn.functional.one_hot(y).double()
        kernel, kernel_test = (gaussian_kernel(z.double(), x.double(), gamma) for z in (x, x_test))
        outputs = kernel_outputs(kernel, one_hot, kernel_test, settings.ridge)
        error_exact = float((outputs.argmax(1) != y_test).double().mean())
        kernel_errors, errors = [], []
        for width in settings.widths:
            squares = []
            for _ in range(settings.draws):
                phi = fourier_features(points, *draw(width))
                squares.append(((phi @ phi.T)[pairs] - exact).square().mean())
            kernel_errors.append(float(torch.stack(squares).mean().sqrt()))
            layer = draw(width)
            phi, phi_test = (fourier_features(z, *layer) for z in (x, x_test))
            errors.append(ridge_error(phi, y, phi_test, y_test, settings.ridge))
    k, widths = exact.double().numpy(), settings.widths
    slope = np.polyfit(np.log(widths), np.log(kernel_errors), 1)[0]
    error = np.array([errors, np.full(len(errors), error_exact)])
    off_kernel, wrong = "root-mean-square error of the kernel", "fraction of test examples"
    return Result(
        widths=(np.array(widths), "random features"),
        kernel_error=(np.array(kernel_errors), off_kernel),
        kernel_error_theory=([expected_error(k, width) for width in widths], off_kernel),
        slope=(slope, "log error over log features"),
        slope_off=(abs(slope + 0.5), "log error over log features"),
        error=Quantity(error, wrong, kernel=("random", "exact"), width=widths),
        gap=(error[0, -1] - error_exact, wrong),
        examples=(len(y), "training examples"),
    )


CLAIMS = (
    Claim(
        id="rahimi2007-random-features", cite="rahimi2007", kind="effect", expected=SHOWN,
        title="Does a random first layer become a kernel machine?",
        says="A linear machine on enough random features, a first layer that is drawn and never "
        "trained, approximates the kernel machine whose kernel their inner products estimate.",
        tested="Ridge regression on 16 to 4,096 random cosines of 1,500 pictures of clothes, "
        "beside ridge regression with the exact Gaussian kernel.",
        so="With 4,096 features the test error is {num}`features/random-features error[random,-1] "
        ".1% ±`, with the exact kernel {num}`features/random-features error[exact,-1] .1% ±`; the "
        "error of the kernel falls like $D$ to the power {num}`features/random-features slope .2f "
        "±`, as the theorem says.",
        caveat="It takes more features than examples: with 1,024 of them the test error is still "
        "{num}`features/random-features error[random,-2] .1% ±`, with 256 "
        "{num}`features/random-features error[random,-3] .1% ±`.",
        paper=(
            ("excess risk of the read-out, $n$ examples and $D$ features", "$O(1/\\sqrt{n} + "
             "1/\\sqrt{D})$", "{cite:t}`rahimi2008`, main theorem"),
        ),
        decides=(
            at_most("gap", "at the largest $D$ the test error exceeds the exact kernel's by at "
                    "most {bound}", 0.02, none=0.02,
                    because="about a tenth of the exact kernel's error; less would matter to few"),
        ),
        mechanism=(
            at_most("slope_off", "the slope of log kernel error over log $D$ lies within {bound} "
                    "of $-1/2$", 0.1, none=0.1,
                    because="an average of $D$ draws, so that no other slope is possible; this "
                    "guards the drawing"),
        ),
        controls=(
            Control(
                "sixteen-directions", "fresh directions: all features share sixteen of them, "
                "however many there are", ("slope_off", "gap"),
                (
                    at_most("error[random, -1]", "its features still beat chance by far, with an "
                            "error of at most {bound}", 0.5),
                ),
            ),
        ),
        limits="Fewer features may do: about $\\sqrt{n}\\log n$ are enough for the rate of the "
        "full kernel machine {cite}`rudi2017`. And a kernel machine is not a network: random "
        "features need exponentially many units, or huge weights, to learn a single ReLU unit "
        "{cite}`yehudai2019`.",
        changes=("The slope of the kernel's error no longer decides: it is that of an average, by "
                 "a theorem of the page (stricter). Bounds and control are as before.",),
    ),
)  # fmt: skip

GROUPS = {MAIN: "fresh directions", "sixteen-directions": "sixteen directions"}
PLOT = Plot(
    sweep=Axis("random features D", log=True),
    at="widths",
    y=Axis("test error", "%"),
    series={"error[random]": "random features", "error[exact]": "exact kernel"},
    factor=100.0,
    variants=GROUPS,
)


def figure(runs: Runs) -> figures.Figure:
    """Kernel error beside its theory, and test error beside the exact kernel's, against D."""
    widths, places = first(runs, "widths"), (0.01, 0.02, 0.05, 0.1, 0.2)
    with panels(2, size=(8.2, 3.5)) as (drawn, axes):
        for variant, label in GROUPS.items():
            for panel, quantity, factor in zip(
                axes, ("kernel_error", "error[random]"), (1, 100), strict=True
            ):
                values = over_seeds(runs, quantity, variant, factor=factor)
                figures.band(panel, widths, values, label=label)
        theory = over_seeds(runs, "kernel_error_theory").mean(0)
        axes[0].plot(widths, theory, **figures.THEORY, label="theory")
        exact = over_seeds(runs, "error[exact, 0]", factor=100).mean()
        axes[1].axhline(exact, **figures.THEORY, label="exact kernel")
        axes[0].set(ylabel="error of the kernel", yscale="log")
        axes[1].set(ylabel="test error (%)", ylim=(0, None))
        for panel in axes:
            panel.set(xlabel="random features $D$", xscale="log")
            ticks(panel, widths)
            panel.legend()
        axes[0].set_yticks(places, [f"{place}" for place in places])
    return figures.Figure(
        drawn,
        label="fig-random-features",
        caption="Left, the root-mean-square error of the kernel of $D$ random Fourier features, "
        f"beside what the theorem predicts. Right, the test error of ridge regression on them, "
        f"from {int(first(runs, 'examples')):,} training examples, beside the exact kernel "
        f"machine. Means and standard deviations over {figures.count(len(runs[MAIN]))}.",
        alt="Two panels against the number of random features, on logarithmic axes. Left, the "
        "kernel error falls along a straight dashed line of slope minus one half; with only "
        "sixteen directions it levels off. Right, the test error falls to the dashed line of the "
        "exact kernel; with sixteen directions it stays far above.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Test error against D, to drag along, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="random-features",
        title="Test error of random Fourier features against their number",
        about="Move along the number of features and watch the gap to the exact kernel machine. "
        "Then let the features share sixteen directions: does a wider layer still help?",
        predict=Prediction(
            "Sixteen fixed random directions, but as many features as you like, each with its own "
            "phase. What does the test error do as D grows from 16 to 4096?",
            (
                "It falls to that of the exact kernel machine",
                "It falls at first, then stays well above it",
                "It does not fall at all",
            ),
            1,
            "Phases average out, directions do not: with sixteen of them the features converge to "
            "another kernel, which sees a picture only through sixteen numbers.",
        ),
    )
