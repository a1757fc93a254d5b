"""In which block of weights is the loss convex?

The post says that the loss is convex in W_L and thanks Nicolas Le Roux for it ({cite}`bubeck2015`).
With the post's own definition, Phi(x) = sigma_L(W_L^T x^(L)) followed by a logistic regression with
weights V, the loss is convex in V. It is not convex in W_L, which sits under sigma_L, nor in W_1.

What would refute it: a random line through V along which the loss rises above its convex envelope
by more than rounding, or no line through W_1 or W_L along which it does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.evidence.claims import HOLDS, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, panels

PAGE = "features/raw-pixels"
BLOCKS = ("W_1", "W_2", "V", "all")
SIGMA = {"relu": torch.relu, "identity": lambda z: z}


@dataclass(frozen=True)
class Settings:
    """L = 2 learned maps of ``width`` units on ``examples`` digits; float64 throughout.

    ``lines`` random lines through each block, ``points`` losses on each; ``loss`` is "log-loss" or,
    as a mutation, "brier", the squared error of the probabilities, which is not convex in V.
    """

    examples: int = 20
    width: int = 8
    lines: int = 50
    points: int = 401
    reach: float = 4.0
    sigma_1: str = "relu"
    sigma_2: str = "relu"
    loss: str = "log-loss"


SCALES = {"quick": Settings()}
VARIANTS = {
    "no-relu-over-W_L": {"sigma_2": "identity"},
    "no-relu": {"sigma_1": "identity", "sigma_2": "identity"},
    "brier": {"loss": "brier"},
}


def losses(
    weights: tuple[
        Float[Tensor, "t n_1 d_1"], Float[Tensor, "t n_2 d_2"], Float[Tensor, "t d_2 k"]
    ],
    x: Float[Tensor, "n n_1"],
    y: Float[Tensor, "n k"],
    settings: Settings,
) -> Float[Tensor, " t"]:
    """Mean loss, in nats, of each of ``t`` networks (W_1, W_2, V) on images x, one-hot labels y."""
    w_1, w_2, v = weights
    phi = SIGMA[settings.sigma_2](SIGMA[settings.sigma_1](x @ w_1) @ w_2)
    log_p = torch.log_softmax(phi @ v, dim=-1)
    if settings.loss == "brier":
        return ((log_p.exp() - y) ** 2).sum(-1).mean(-1)
    return -(y * log_p).sum(-1).mean(-1)


def envelope(t: Float[np.ndarray, " p"], f: Float[np.ndarray, " p"]) -> Float[np.ndarray, " p"]:
    """The greatest convex function below f on the grid t: the lower hull, by the monotone chain."""
    hull: list[int] = []
    for i in range(len(t)):
        while len(hull) > 1:
            a, b = hull[-2:]
            if (f[b] - f[a]) * (t[i] - t[a]) < (f[i] - f[a]) * (t[b] - t[a]):
                break
            hull.pop()
        hull.append(i)
    return np.interp(t, t[hull], f[hull])


def above_envelope(t: Float[np.ndarray, " p"], f: Float[np.ndarray, " p"]) -> float:
    """The most by which f rises above its convex envelope: 0 if f is convex on the grid t.

    Midpoint tests miss a concave kink that lies between their points; the envelope of a fine grid
    does not.
    """
    return float((f - envelope(t, f)).max())


def along_line(
    block: str,
    x: Float[Tensor, "n n_1"],
    y: Float[Tensor, "n k"],
    settings: Settings,
    generator: torch.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Loss along one random line through ``block``, the other blocks held at random weights.

    Returns t (p,), in units of the length of the block's weights, and the losses (p,), in nats.
    Weights and directions are normal with variance 2 / inputs (He et al. 2015).
    """
    width, k = settings.width, y.shape[1]
    shapes = ((x.shape[1], width), (width, width), (width, k))

    def draw(shape: tuple[int, int]) -> Tensor:
        w = torch.randn(shape, generator=generator, dtype=torch.float64)
        return w * (2 / shape[0]) ** 0.5

    t = torch.linspace(-settings.reach, settings.reach, settings.points, dtype=torch.float64)
    start, direction = [draw(s) for s in shapes], [draw(s) for s in shapes]
    weights = tuple(
        w + t[:, None, None] * d * (block in (name, "all"))
        for name, w, d in zip(BLOCKS, start, direction, strict=False)
    )
    return t.numpy(), losses(weights, x, y, settings).numpy()  # pyright: ignore[reportArgumentType]


def run(settings: Settings, chance: Chance) -> Result:
    """Worst rise above the convex envelope over all lines, for W_1, W_2 = W_L, V and all at once.

    Also the loss along the worst line of each block. On the CPU in float64.
    """
    data = digits().subset(settings.examples, seed=chance.seed)
    x = data.train_x.flatten(1).double()
    y = torch.nn.functional.one_hot(data.train_y, len(data.classes)).double()
    generator = chance.torch()
    rises, worst = {}, []
    for block in BLOCKS:
        lines = [along_line(block, x, y, settings, generator) for _ in range(settings.lines)]
        rise = np.array([above_envelope(t, f) for t, f in lines])
        rises[f"rise_{block}"] = (rise.max(), "nats")
        t, f = lines[int(rise.argmax())]
        worst.append(f[::4].astype(np.float32))
    t = t[::4].astype(np.float32)
    return Result(
        t=(t, "lengths of the block's weights"),
        line=Quantity(np.stack(worst), "nats", block=BLOCKS, t=None),
        **rises,
    )


NAMES = {"W_1": "$W_1$", "W_2": "$W_2 = W_L$", "V": "$V$", "all": "all weights"}


def _rise(block: str) -> Condition:
    return at_least(
        f"rise_{block}",
        f"along some line through {NAMES[block]} the loss rises above its convex envelope by "
        "{bound} nats",
        1e-3,
        because="a million times what rounding can do",
    )


CLAIMS = (
    Claim(
        id="convex-in-which-block", cite="bubeck2015", kind="exact", expected=HOLDS,
        title="In which weights is the loss convex?", ours=True,
        says="As the essay defines its network, the loss is convex in the weights $V$ of the "
        "logistic regression, and neither in $W_L$, which sits under a ReLU, nor in $W_1$; the "
        "essay itself says: convex in $W_L$.",
        tested="Two learned layers of 8 ReLU units under a logistic regression, on 20 pictures of "
        "handwritten digits: 50 random lines through each block of weights, 401 losses on each.",
        so="Along no line through $V$ does the loss leave its convex envelope; along the worst "
        "line through $W_1$ it rises above it by {num}`features/convex-in-which-block rise_W_1 "
        "min .2f` nats or more, and through $W_2 = W_L$ by {num}`features/convex-in-which-block "
        "rise_W_2 min .2f` or more.",
        caveat="It is a matter of numbering: where the classifier counts as the last layer, as in "
        "Le Roux's comment, convexity in the last layer is what holds.",
        paper=(
            ("statement of the post", "convex in $W_L$ (no number)", "section 'Some mysterious "
             "steps', corrected there after a comment by N. Le Roux"),
        ),
        decides=(
            at_most("rise_V", "along no line through $V$ does the loss rise above its convex "
                    "envelope by more than $10^{{bound:log10}}$", 1e-9,
                    because="rounding in double precision stays far below it"),
            _rise("W_1"),
            _rise("W_2"),
        ),
        controls=(
            Control(
                "no-relu-over-W_L", "the non-linearity over $W_L$: the loss is then convex in "
                "$W_L$ too", ("rise_W_2",),
                (_rise("W_1"),),
            ),
            Control(
                "no-relu", "both non-linearities: the loss is then convex in each block, though "
                "not in all of them at once", ("rise_W_1", "rise_W_2"),
                (_rise("all"),),
            ),
            Control(
                "brier", "the log-loss, whose convexity in $V$ is the point", ("rise_V",),
                (_rise("W_2"),),
            ),
        ),
        limits="For ReLU networks the loss is convex in each single layer within every linear "
        "piece {cite}`rister2016`.",
        changes=("The statement is marked as the book's own, for the essay says convex in $W_L$. "
                 "No condition, bound or control changed.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """The worst line of each block in the first main run, beside its convex envelope."""
    result = next(iter(runs[MAIN].values()))
    t, shown = result["t"].astype(np.float64), BLOCKS[:3]
    with panels(3, size=(8.4, 3.0)) as (drawn, axes):
        for panel, block in zip(axes, shown, strict=True):
            f = result[f"line[{block}]"].astype(np.float64)
            panel.plot(t, f, marker="", label="loss")
            panel.plot(t, envelope(t, f), **figures.THEORY, label="convex envelope")
            panel.fill_between(t, envelope(t, f), f, color=figures.COLOURS["vermillion"], alpha=0.3)
            panel.set(title=f"through {NAMES[block]}", xlabel="place $t$ on the line")
        axes[0].set_ylabel("mean loss (nats)")
        axes[2].legend()
    rises = {block: float(result[f"rise_{block}"]) for block in shown}
    return figures.Figure(
        drawn,
        label="fig-convex-blocks",
        caption="The loss along the least convex of the random lines through each block of "
        "weights, the other blocks held fixed. "
        f"Through $W_1$ it rises above its convex envelope (shaded) by up to {rises['W_1']:.2f} "
        f"nats, through $W_2 = W_L$ by up to {rises['W_2']:.2f}, through the logistic weights $V$ "
        f"{'not at all' if rises['V'] < 1e-9 else 'too'}.",
        alt="Three curves of the loss along straight lines in weight space. Through the first and "
        "the second matrix the curve has humps above its dashed convex envelope; through the "
        "logistic weights the curve is a single bowl and lies on the envelope.",
    )
