"""Does the error of a network follow the size of its weights or their number?

Bartlett ({cite}`bartlett1998`) bounds the error of a network that classifies its examples with a
margin by the sum of the magnitudes of each unit's weights; how many weights there are does not
enter. We give networks with one layer of tanh units, of several widths, output weights that meet
every training label exactly, with margin 1. There are many such weights. The shortest vector v_0 is
one; v_0 + z is another, if z leaves all training outputs as they are. Along z the size A of the
weights grows while their number, the margin and the training error stay.

What would refute it: networks whose test error does not go with A, given the number of units, or
rises with that number. That the bound is vacuous here would be refuted by a value below 1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.evidence.claims import UNDECIDED, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.labs import bounds
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels, ticks

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14x14 pixels (coarser by ``pool``) of two ``classes``, by each seed.

    Pictures have length 1 and hidden weights are normal with standard deviation ``scale``.
    ``widths`` are the numbers of hidden units; ``extra`` the lengths of z, as multiples of that of
    v_0. ``labels`` are "true" or "random". At most ``tests`` pictures are tested.
    """

    examples: int = 300
    classes: tuple[int, int] = (2, 4)
    labels: str = "true"
    widths: tuple[int, ...] = (400, 600, 900, 1400, 2100)
    extra: tuple[float, ...] = (0.0, 0.5, 1.0, 2.0)
    scale: float = 2.0
    tests: int = 1500
    pool: int = 1
    delta: float = 0.05


SCALES = {"quick": Settings()}
VARIANTS = {
    "random-labels": {"labels": "random"},
    "fewer-units": {"widths": (40, 80, 140, 200, 260)},
    "few-inputs": {"classes": (1, 7), "pool": 7, "examples": 2000, "widths": (4, 5, 6, 7, 8)},
}


def pictures(settings: Settings, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """All pictures of the two classes, in random order (m, d), and labels -1 or 1."""
    data = fashion_mnist()
    x, y = torch.cat([data.train_x, data.test_x]), torch.cat([data.train_y, data.test_y])
    rows = (y == settings.classes[0]) | (y == settings.classes[1])
    x = F.avg_pool2d(x[rows], 2)
    if settings.pool > 1:
        x = F.avg_pool2d(x, settings.pool)
    x = F.normalize(x.flatten(1), dim=1).double().numpy()
    y = np.where(y[rows].numpy() == settings.classes[0], -1.0, 1.0)
    if settings.labels == "random":
        y = rng.choice([-1.0, 1.0], len(y))
    order = rng.permutation(len(y))
    return x[order], y[order]


def output_weights(
    phi: Float[np.ndarray, "n units"],
    y: Float[np.ndarray, " n"],
    extra: tuple[float, ...],
    rng: np.random.Generator,
) -> Float[np.ndarray, "units many"]:
    """The shortest least-squares weights v_0, and v_0 + z for each length in ``extra``.

    z is a random direction from which all that changes an output on the examples is taken away; the
    lengths are in units of that of v_0. Where n >= units nothing is left of z.
    """
    # The singular vectors span what the examples can tell apart.
    u, s, vt = np.linalg.svd(phi, full_matrices=False)
    seen = s > 1e-10 * s[0]
    u, s, vt = u[:, seen], s[seen], vt[seen]
    shortest = vt.T @ ((u.T @ y) / s)
    z = rng.standard_normal(phi.shape[1])
    z = z - vt.T @ (vt @ z)
    length = np.linalg.norm(z)
    z = z / length if length > 1e-6 else 0 * z
    return shortest[:, None] + np.outer(z, np.array(extra) * np.linalg.norm(shortest))


def run(settings: Settings, chance: Chance) -> Result:
    """The size A over the margin and the test error of a network for each width and each z.

    Runs on the CPU.
    """
    rng = chance.numpy()
    x, y = pictures(settings, rng)
    n, d = settings.examples, x.shape[1]
    train_x, train_y = x[:n], y[:n]
    test_x, test_y = x[n : n + settings.tests], y[n : n + settings.tests]
    size, error, fits = np.zeros((3, len(settings.widths), len(settings.extra)))
    sums = np.zeros((len(settings.widths), 1))
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        for i, width in enumerate(settings.widths):
            hidden = settings.scale * rng.standard_normal((d, width))
            phi, phi_test = np.tanh(train_x @ hidden), np.tanh(test_x @ hidden)
            v = output_weights(phi, train_y, settings.extra, rng)
            found = train_y[:, None] * (phi @ v)
            size[i] = np.abs(v).sum(0) / np.abs(np.quantile(found, 0.1, axis=0))
            fits[i] = (found <= 0).mean(0)
            error[i] = (test_y[:, None] * (phi_test @ v) <= 0).mean(0)
            sums[i] = np.abs(hidden).sum(0).max()
    largest = float(np.sqrt((train_x**2).mean(0).max()))
    # Bartlett has two forms: units of any weights, whose values lie in [-1, 1], and units whose
    # weights have a bounded sum of magnitudes as well. The smaller factor is the kinder one.
    bare = np.minimum(sums * largest, np.sqrt(d)) * size / np.sqrt(n)
    proved = [
        bounds.by_margin(0.1, bounds.of_sums(a, largest, d, n), 1.0, n, settings.delta)
        for a in (size * sums).ravel()
    ]
    by_width = [spearmanr(settings.widths, column).statistic for column in error.T]  # pyright: ignore[reportAttributeAccessIssue]
    kept = [column for column in by_width if np.isfinite(column)]
    share, axes = "error rate", {"width": settings.widths, "extra": settings.extra}
    return Result(
        widths=(np.array(settings.widths), "units"),
        extra=(np.array(settings.extra), "lengths of v_0"),
        size=Quantity(size, "A over the margin", **axes),
        error=Quantity(error, "fraction of test examples", **axes),
        by_size=(spearmanr(size.ravel(), error.ravel()).statistic, "rank correlation"),  # pyright: ignore[reportAttributeAccessIssue]
        by_width=(float(np.mean(kept)), "rank correlation"),
        bare_least=(bare.min(), share),
        proved_least=(np.min(proved), share),
        worst_fit=(fits.max(), "fraction of examples"),
        best_error=(error.min(), "fraction of test examples"),
        spread_of_size=(size.max() / size.min(), "ratio"),
    )


def given(rival: str) -> Callable[[Result], float]:
    """The rank correlation of size and error among networks of all kinds, given a ``rival``."""

    def partial(result: Result) -> float:
        size, error = result["size"], result["error"]
        along = result[rival][:, None] if rival == "widths" else result[rival][None]
        every = np.stack([size, error, np.broadcast_to(along, size.shape)]).reshape(3, -1)
        inverse = np.linalg.pinv(spearmanr(every.T).statistic)  # pyright: ignore[reportAttributeAccessIssue]
        return float(-inverse[0, 1] / np.sqrt(inverse[0, 0] * inverse[1, 1]))

    return partial


CLAIMS = (
    Claim(
        id="bartlett1998-size-of-weights",
        title="Does the size of the weights matter, or their number?",
        cite="bartlett1998", kind="effect", expected=UNDECIDED,
        says="For networks that classify their examples with a margin, the size of the weights is "
        "more important than the size of the network: with two layers the error exceeds that on "
        "margins by at most about $A^3 \\sqrt{\\ln N / n}$, where $A$ bounds the sum of a unit's "
        "magnitudes and no number of weights occurs (title and abstract).",
        tested="300 pictures of two kinds of clothes, 14 by 14; 400 to 2,100 random tanh units "
        "whose output weights fit all labels exactly, the shortest ones and longer ones.",
        so="Given the number of units, the size of the weights over the margin and the test error "
        "have a rank correlation of {num}`bartlett1998-size-of-weights:given_number .2f ±`; at "
        "equal length of the part that is added, the error goes down as the number goes up, "
        "{num}`theory-survey/generalization/size-of-weights by_width .2f ±`.",
        caveat="The size is made to differ by adding weights that no training example can see, "
        "which are noise on new ones; the hidden layer is random. No control takes the size away "
        "and could come out otherwise, so that nothing is decided. The bound itself is vacuous, "
        "{num}`theory-survey/generalization/size-of-weights bare_least .0f` at least without its "
        "constants. With fewer units than examples the error does rise with the number, "
        "{num}`theory-survey/generalization/size-of-weights@fewer-units by_width .2f`.",
        paper=(
            ("error above the margin error, two layers, sums of magnitudes at most $A$",
             "$A^3 \\sqrt{\\ln N / n}$", "{cite:t}`bartlett1998`, abstract, without logarithms of "
             "$A$ and $n$"),
        ),
        decides=(
            Condition("given_number", "among networks with as many units, test errors are ranked "
                      "like $A / \\gamma$: the rank correlation, given the number of units, is at "
                      "least {bound}", given("widths"), ">=", 0.8, "rank correlation", none=0.0,
                      because="the first bound on the plain rank correlation"),
            at_most("by_width", "they do not rise with the number of weights: at equal length of "
                    "$z$ the rank correlation with the width is at most {bound}", 0.0, none=0.0,
                    because="any rise would speak for the number"),
        ),
        mechanism=(
            at_least("by_size", "over all networks the rank correlation of $A / \\gamma$ and test "
                     "error is at least {bound}", 0.8, none=0.0,
                     because="less would leave a third of the order to something else"),
            Condition("given_length", "and given how far the weights were pushed, it is at least "
                      "{bound}", given("extra"), ">=", 0.8, "rank correlation", none=0.0,
                      because="as for the number of units"),
            at_least("bare_least", "the bound is vacuous for every network, even without its "
                     "constants and logarithms: at least {bound}, where no error rate exceeds 1",
                     10.0, none=1.0, log=True, because="ten times what no error rate exceeds"),
        ),
        controls=(
            Control(
                "fewer-units", "the choice of small weights: with fewer units than examples there "
                "is only one least-squares solution", ("by_width",),
                (
                    at_most("best_error", "the best of these networks has learned: its test error "
                            "is at most {bound}", 0.35),
                ),
            ),
            Control(
                "few-inputs", "difficulty: pictures of four pixels, of two classes that are easy "
                "to tell apart", ("bare_least",),
                (
                    at_most("worst_fit", "every network fits its labels, with at most {bound} "
                            "errors in training", 0.1),
                ),
            ),
        ),
        limits="Our hidden layers are random and only the last one is learned. Norms of "
        "networks whose layers are all learned can grow with the number of examples "
        "{cite}`nagarajan2019`.",
        changes=("The rank correlation of size and error is asked for given the number of units, "
                 "at the same bound of 0.8 (stricter). Random labels stop being its control: with "
                 "test labels drawn by a coin no correlation is possible. Until there is a control "
                 "that could come out otherwise the claim is undecided. That the bound is vacuous "
                 "is ours and decides nothing.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Test error against the size of the weights, and against their number."""
    widths, extra = first(runs, "widths"), first(runs, "extra")
    size, error = over_seeds(runs, "size").mean(0), over_seeds(runs, "error", factor=100)
    with panels(2, size=(8.6, 3.9), sharey=True) as (drawn, axes):
        for i, width in enumerate(widths):
            figures.band(axes[0], size[i], error[:, i], label=f"{width} units")
        for j, length in enumerate(extra):
            label = "shortest weights" if length == 0 else f"plus {length:g} times their length"
            figures.band(axes[1], widths, error[:, :, j], label=label)
        axes[0].set(xlabel="size of the weights $A / \\gamma$", ylabel="test error (%)")
        axes[1].set(xlabel="hidden units")
        for panel, title in zip(axes, ("By size", "By number"), strict=True):
            panel.set(xscale="log", title=title, ylim=(15, 50))
        ticks(axes[0], (200, 400, 800))
        ticks(axes[1], widths, [f"{width}" for width in widths])
        axes[0].legend(loc="lower right", fontsize=9)
        axes[1].legend(loc="lower left", fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-bounds-size",
        caption="Test error of networks with one layer of tanh units that all fit their 300 "
        "training labels exactly, against the size of the output weights over the margin (left) "
        "and against the number of units (right). Along a line on the left only the length of $z$ "
        "changes, along a line on the right only the width. Means and standard deviations over "
        f"{figures.count(len(error))}.",
        alt="Two panels with the same vertical axis, test error in percent. Left, five rising "
        "lines, one a width: larger weights, larger error, and wider networks lie further left "
        "and lower. Right, four lines that fall with the number of units; lines with longer z "
        "lie higher.",
    )
