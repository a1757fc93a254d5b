"""Do diverse units leave a small gradient no choice but a small loss?

Freeze the outer weights of a layer of ReLU units at +1 and -1. The gradient of half the squared
loss in the inner weights is then a matrix D, which Xie, Liang and Song call the extended feature
matrix, times the residual r, so |D r| >= s_min |r| with the least singular value s_min of D
({cite}`xie2017`). Where s_min is large no bad stationary point can be, and s_min is large if the
units' directions are diverse. We narrow the cap that directions are drawn from, follow the
inequality in training, and see whether the least singular value tells the final loss.

What would refute it: diverse units whose training loss stays large, or a final training loss that
has nothing to do with the least singular value. The inequality itself is linear algebra, and a
residual above |gradient| / s_min would show a fault of the program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.evidence.claims import UNDECIDED, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, over_seeds, panels

PAGE = "theory-survey/generalization/few-units-many-dimensions"
CAPS = (60.0, 75.0, 90.0, 105.0, 120.0, 140.0, 160.0, 180.0)  # degrees from the pole
LOOKS = (0, 10, 30, 100, 300, 1000)


@dataclass(frozen=True)
class Settings:
    """``examples`` points on the sphere in R^``inputs`` with normal labels; networks of ``units``.

    ``draws`` networks for each of CAPS. ``same_cap`` draws all directions from the whole sphere.
    ``place`` is the place of the singular value that the inequality is tried with, 0 the least.
    ``copies``: each direction is shared by so many units.
    """

    examples: int = 60
    inputs: int = 15
    units: int = 100
    draws: int = 2
    lr: float = 0.2
    same_cap: bool = False
    place: int = 0
    copies: int = 1


SCALES = {"quick": Settings()}
VARIANTS = {
    "whole-sphere": {"same_cap": True},
    "fifth-least": {"place": 4},
    "copied": {"copies": 25},
}


def draw_directions(
    caps: Float[Tensor, " k"], units: int, inputs: int, generator: torch.Generator
) -> Float[Tensor, "k units inputs"]:
    """Directions in a cap around the first axis, of ``caps`` degrees from the pole.

    A direction uniform on the sphere has its angle from the pole shrunk by caps / 180, so that 180
    leaves the uniform law; all caps share the draws.
    """
    uniform = torch.randn(units, inputs, generator=generator, dtype=torch.float64)
    uniform = torch.nn.functional.normalize(uniform, dim=1)
    angle = torch.arccos(uniform[:, 0]) * caps[:, None] / 180
    aside = uniform.clone()
    aside[:, 0] = 0
    aside = torch.nn.functional.normalize(aside, dim=1)
    w = torch.sin(angle)[..., None] * aside
    w[..., 0] = torch.cos(angle)
    return w


def residuals_and_gates(
    w: Float[Tensor, "k units inputs"], x: Float[Tensor, "n inputs"], y: Float[Tensor, " n"]
) -> tuple[Float[Tensor, "k n"], Float[Tensor, "k n units"]]:
    """r = f(x) - y for f(x) = sum_j v_j max(0, w_j . x) / sqrt(m), and which units are on.

    The outer signs v are +1 for the first half of the units and -1 for the others.
    """
    z = x @ w.transpose(1, 2)
    gates = (z > 0).to(z)
    return ((z * gates) @ signs(w)) - y, gates


def signs(w: Float[Tensor, "k units inputs"]) -> Float[Tensor, " units"]:
    """The outer weights v / sqrt(m)."""
    m = w.shape[1]
    v = torch.ones(m, dtype=w.dtype)
    v[m // 2 :] = -1
    return v / m**0.5


def gradient(
    r: Float[Tensor, "k n"],
    gates: Float[Tensor, "k n units"],
    x: Float[Tensor, "n inputs"],
    w: Float[Tensor, "k units inputs"],
) -> Float[Tensor, "k units inputs"]:
    """The gradient of |r|^2 / 2 in w: block j is v_j sum_i r_i 1[unit j on at x_i] x_i = D r."""
    return ((gates * r[..., None]).transpose(1, 2) @ x) * signs(w)[:, None]


def singular_values(
    gates: Float[Tensor, "k n units"], x: Float[Tensor, "n inputs"]
) -> Float[Tensor, "k n"]:
    """Singular values of D, rising. D^T D is (x_i . x_l) times the share of units on at both.

    An eigenvalue of D^T D that is zero but for rounding counts as zero, whose root it is.
    """
    gram = (x @ x.T) * (gates @ gates.transpose(1, 2)) / gates.shape[2]
    eigenvalues = torch.linalg.eigvalsh(gram)
    rounding = gram.shape[-1] * torch.finfo(gram.dtype).eps * eigenvalues[..., -1:]
    return torch.where(eigenvalues > rounding, eigenvalues, 0).sqrt()


def run(settings: Settings, chance: Chance) -> Result:
    """Gradient descent on all networks at once, in 64 bits; what the inequality says on the way.

    Losses are mean squares of the residual, labels having mean square 1 or so. Runs on the CPU.
    """
    generator = chance.torch()
    x = torch.randn(settings.examples, settings.inputs, generator=generator, dtype=torch.float64)
    x = torch.nn.functional.normalize(x, dim=1)
    y = torch.randn(settings.examples, generator=generator, dtype=torch.float64)
    caps = torch.tensor(CAPS, dtype=torch.float64)
    if settings.same_cap:
        caps = torch.full_like(caps, 180)
    # All caps share a draw, unless all caps are the same: then they would be one network.
    each = [caps[i : i + 1] for i in range(len(caps))] if settings.same_cap else [caps]
    different = settings.units // settings.copies
    w = torch.cat(
        [
            draw_directions(cap, different, settings.inputs, generator)
            for _ in range(settings.draws)
            for cap in each
        ]
    ).repeat(1, settings.copies, 1)
    ratios, losses, least, lengths = [], [], [], []
    with threadpool_limits(1):  # the digits do not depend on the number of cores
        for step in range(LOOKS[-1] + 1):
            r, gates = residuals_and_gates(w, x, y)
            g = gradient(r, gates, x, w)
            if step in LOOKS:
                s = singular_values(gates, x)
                size = g.flatten(1).norm(dim=1)
                ratios.append(s[:, settings.place] * r.norm(dim=1) / size)
                least.append(s[:, 0])
                losses.append(r.square().mean(1))
                lengths.append(size)
            w = w - settings.lr * g
    ratio, loss, least, length = (
        torch.stack(rows, 1).view(settings.draws, len(CAPS), -1).numpy()
        for rows in (ratios, losses, least, lengths)
    )
    final = loss[..., -1]
    # Rounded, so that values that are zero up to rounding tie.
    rounded = least[..., 0].round(6).ravel()
    order = spearmanr(rounded, final.ravel()).statistic if np.ptp(rounded) else 0.0  # pyright: ignore[reportAttributeAccessIssue]
    caps = [f"{cap:g}" for cap in CAPS]
    along = {"draw": None, "cap": caps, "step": LOOKS}
    return Result(
        residual=Quantity(np.sqrt(settings.examples * loss), "length of the residual", **along),
        least=Quantity(least, "least singular value of D", **along),
        gradient=Quantity(length, "length of the gradient", **along),
        final=Quantity(final, "mean squared residual", draw=None, cap=caps),
        log_loss=Quantity(np.log10(final).mean(0), "power of ten", cap=caps),
        largest_ratio=(ratio.max(), "s_min |r| over |gradient|"),
        order=(order, "rank correlation"),
        shrinkage=((length[..., -1] / length[..., 0]).max(), "ratio of gradients"),
    )


CLAIMS = (
    Claim(
        id="xie2017-diverse-units", title="Do diverse units leave no bad place to get stuck?",
        cite="xie2017", kind="effect", expected=UNDECIDED,
        says="With one hidden layer of ReLU units, at a stationary point the loss can be made "
        "arbitrarily small if the least singular value of the extended feature matrix is large "
        "enough, as it is where the units are diverse (abstract).",
        tested="100 units with fixed outer weights, 60 points on the sphere in 15 dimensions, "
        "normal labels, 1,000 steps of gradient descent; 16 networks a seed, whose directions come "
        "from caps of eight widths.",
        so="The wider the cap, the smaller the final loss: the least singular value before "
        "training and the loss have a rank correlation of "
        "{num}`theory-survey/generalization/diverse-units order .2f`, which over five seeds, from "
        "{num}`theory-survey/generalization/diverse-units order .2f min` to "
        "{num}`theory-survey/generalization/diverse-units order .2f max`, is not yet told from a "
        "weak one; from the whole sphere the loss ends at ten to the power of "
        "{num}`theory-survey/generalization/diverse-units log_loss[180] .1f ±`.",
        caveat="After 1,000 steps the networks are not yet at stationary points: the slowest has "
        "brought its gradient down to "
        "{num}`theory-survey/generalization/diverse-units shrinkage .2g max` of what it was. The "
        "narrowest cap ends at a loss of ten to the power of "
        "{num}`theory-survey/generalization/diverse-units log_loss[60] .1f`, which is small too.",
        paper=(
            ("training loss at stationary points, if the units are diverse", "arbitrarily small",
             "{cite:t}`xie2017`, abstract"),
        ),
        decides=(
            at_most("order", "the rank correlation of the least singular value before training "
                    "with the final training loss is at most ${bound}$", -0.6, none=0.0,
                    because="weaker ones would leave most of the differences to something else"),
            at_most("log_loss[180]", "with directions from the whole sphere the final training "
                    "loss is at most $10^{{bound}}$", -5.0, none=0.0,
                    because="a hundredth of what copied directions reach"),
        ),
        mechanism=(
            at_most("largest_ratio", "at no step looked at is the residual above {bound} times "
                    "gradient over least singular value", 1.001, none=1.001,
                    because="an inequality of linear algebra: the rest is rounding"),
        ),
        controls=(
            Control(
                "whole-sphere", "the differences in diversity: all networks draw from the whole "
                "sphere", ("order",),
                (
                    at_most("log_loss[180]", "they are trained to a loss of at most $10^{{bound}}$",
                            -5.0),
                ),
            ),
            Control(
                "copied", "diverse units: as many of them, but 25 share each direction",
                ("log_loss[180]",),
                (
                    at_most("shrinkage", "training has brought every gradient down to "
                            "{bound:word} or less", 0.2),
                ),
            ),
        ),
        limits="The paper's title promises the true function; the inequality concerns the training "
        "loss, and from there to new examples it takes another bound. The same matrix, as a kernel "
        "matrix, is the heart of the theory of very wide networks {cite}`jacot2018,allenzhu2018b`, "
        "whose units hardly move {cite}`chizat2019`.",
        changes=("The inequality, which is linear algebra and cannot fail, no longer decides "
                 "(stricter), and its control, the fifth least singular value, which removes no "
                 "cause, is none any more. No bound was moved.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """The inequality at every look, and the final loss against the least singular value."""
    gradient = over_seeds(runs, "gradient")
    bounded = over_seeds(runs, "least") * over_seeds(runs, "residual")
    with panels(2, size=(8.4, 3.8)) as (drawn, (left, right)):
        for place, (look, colour, marker) in enumerate(
            ((0, "grey", "o"), (10, "ochre", "s"), (100, "purple", "^"), (1000, "blue", "D"))
        ):
            x, y = (values[..., LOOKS.index(look)].ravel() for values in (gradient, bounded))
            shown = y > 1e-6
            left.plot(
                x[shown], y[shown], marker, color=figures.COLOURS[colour], ls="none",
                label=f"{look:,} steps", ms=4, zorder=3 + place,
            )  # fmt: skip
        ends = np.array([1e-6, 30])
        left.plot(ends, ends, **figures.THEORY, label="theorem")
        left.set(
            xscale="log", yscale="log", xlim=(1e-5, 30), ylim=(1e-6, 30),
            xlabel="length of the gradient", ylabel="$s_{min}$ times length of the residual",
        )  # fmt: skip
        left.legend(loc="upper left", handlelength=1.6)
        for variant, name, colour, marker in (
            (MAIN, "caps of 60° to 180°", "blue", "o"),
            ("whole-sphere", "whole sphere only", "green", "^"),
            ("copied", "each direction 25 times", "vermillion", "s"),
        ):
            if variant in runs:
                start = over_seeds(runs, "least", variant)[..., 0].ravel()
                final = over_seeds(runs, "final", variant).ravel()
                colour = figures.COLOURS[colour]
                right.plot(start, final, marker, color=colour, ls="none", label=name, ms=4)
        right.set(
            yscale="log", ylim=(None, 3), xlabel="$s_{min}$ before training",
            ylabel="final training loss",
        )  # fmt: skip
        right.legend(loc="upper right")
    return figures.Figure(
        drawn,
        label="fig-few-diverse",
        caption="Left, every network at four moments of training, where the least singular value "
        "is large enough to show. By the theorem no mark can lie above the dashed line; after "
        "1,000 steps they lie nearly on it. Right, the final training loss against the least "
        "singular value at the start, for directions from caps of several widths, and for two "
        f"controls. All networks of {figures.count(len(gradient))}.",
        alt="Two scatter plots. Left, on logarithmic axes, marks for four moments of training lie "
        "below the diagonal and approach it as training goes on. Right, the final loss, on a "
        "logarithmic axis, falls by several powers of ten as the least singular value grows from "
        "0 to 0.3; networks from the whole sphere crowd at the low right end, and networks with "
        "copied directions stand high at zero.",
    )
