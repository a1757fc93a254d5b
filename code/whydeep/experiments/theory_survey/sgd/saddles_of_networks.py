"""Are the high critical points of networks saddles, and is Newton's method drawn to them?

Dauphin and others ({cite}`dauphin2014`) carry the picture of random landscapes over to networks: at
critical points the share of downward directions grows with the training loss; Newton's method goes
to the saddles, since it steps towards the nearest point without slope, up or down; with the
absolute values of the curvatures it leaves them (*saddle-free* Newton). Two kinds of networks: a
linear autoencoder of 7-3-7 units, whose critical points are choices of at most three eigenvectors
({cite}`baldi1989`), and tanh networks on random labels, where one has to search.

What would refute it: high critical points with few ways down; the same correlation at points that
are not critical, for then it says nothing of critical points; a Newton's method that finds minima.
Frye and others ({cite}`frye2021`) warn of the search itself: it often ends or passes where the
gradient's length is stationary but not zero (*gradient-flat* points), and we count how often.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import spearmanr

from whydeep.chance import Chance
from whydeep.evidence.claims import IN_PART, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels, ticks

PAGE = "theory-survey/sgd/can-you-build-a-box"
INPUTS, HIDDEN = 7, 3  # of the autoencoder
SPECTRUM = (0.5, 6.0)  # its data's variances are drawn from this interval
START = 0.3  # standard deviation of its weights at the start
ARRIVED = 1e-8  # a critical point of a tanh network has a gradient no longer than this
FLAT = 1e-6  # curvatures within this share of the largest count as zero
EXAMPLES = 60
METHODS = ("newton", "saddle-free")

Derivatives = tuple[
    Float[np.ndarray, " b"], Float[np.ndarray, "b weights"], Float[np.ndarray, "b weights weights"]
]


@dataclass(frozen=True)
class Settings:
    """``starts`` of the two Newton methods on the autoencoder; ``searches`` on each tanh network.

    ``critical``: whether correlations are taken at critical points, or at random weights.
    ``swapped``: Newton's method gets the absolute values and the saddle-free one the signs.
    """

    starts: int = 40
    steps: int = 60
    searches: int = 120
    critical: bool = True
    swapped: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {
    "anywhere": {"critical": False, "starts": 4},
    "swapped": {"swapped": True, "searches": 12},
}


# --- The linear autoencoder ---------------------------------------------------------------------


def autoencoder(
    weights: Float[np.ndarray, "b weights"], spectrum: Float[np.ndarray, " n"], hidden: int
) -> Derivatives:
    """Loss, gradient and Hessian of x -> A B x on data with covariance diag(``spectrum``).

    The loss is half the mean squared error. ``weights`` holds A (n, hidden), then B (hidden, n),
    row by row. The Hessian is a Gauss-Newton part, never negative, plus a part proportional to the
    residual (I - A B) Sigma, which joins A to B.
    """
    n, b = len(spectrum), len(weights)
    a = weights[:, : n * hidden].reshape(b, n, hidden)
    c = weights[:, n * hidden :].reshape(b, hidden, n)
    off = np.eye(n) - a @ c
    residual = off * spectrum
    loss = 0.5 * (off * residual).sum((1, 2))
    gradient = [-residual @ c.swapaxes(1, 2), -a.swapaxes(1, 2) @ residual]
    by_a = np.einsum("im,bkj->bijmk", np.eye(n), c).reshape(b, n * n, -1)
    by_c = np.einsum("bik,jm->bijkm", a, np.eye(n)).reshape(b, n * n, -1)
    jacobian = np.concatenate([by_a, by_c], 2)
    hessian = jacobian.swapaxes(1, 2) @ (np.tile(spectrum, n)[:, None] * jacobian)
    cross = -np.einsum("bij,kl->biklj", residual, np.eye(hidden)).reshape(b, n * hidden, -1)
    hessian[:, : n * hidden, n * hidden :] += cross
    hessian[:, n * hidden :, : n * hidden] += cross.swapaxes(1, 2)
    return loss, np.concatenate([g.reshape(b, -1) for g in gradient], 1), hessian


def critical_points(n: int, hidden: int) -> tuple[list[tuple[int, ...]], Float[np.ndarray, "b w"]]:
    """All choices of at most ``hidden`` eigenvectors, and the weights that copy just these."""
    chosen = [s for r in range(hidden + 1) for s in itertools.combinations(range(n), r)]
    a = np.zeros((len(chosen), n, hidden))
    for point, s in zip(a, chosen, strict=True):
        point[list(s), range(len(s))] = 1
    return chosen, np.concatenate([a.reshape(len(a), -1), a.swapaxes(1, 2).reshape(len(a), -1)], 1)


def index_formula(chosen: tuple[int, ...], n: int, hidden: int) -> int:
    """Downward directions where the eigenvectors ``chosen`` are copied; number 0 has most variance.

    One for each pair of a copied and a larger uncopied one, which could be exchanged; one for each
    pair of a free hidden unit and an uncopied one, which it could take up.
    """
    left_out = [j for j in range(n) if j not in chosen]
    exchanges = sum(j < i for i in chosen for j in left_out)
    return exchanges + (hidden - len(chosen)) * len(left_out)


def downward(hessian: Float[np.ndarray, "b w w"]) -> Int[np.ndarray, " b"]:
    """Eigenvalues below zero, by more than FLAT times the largest in size."""
    eigenvalues = np.linalg.eigvalsh(hessian)
    return (eigenvalues < -FLAT * np.abs(eigenvalues).max(1, keepdims=True)).sum(1)


def newton(
    derivatives: Callable[[Float[np.ndarray, "b w"]], Derivatives],
    weights: Float[np.ndarray, "b w"],
    steps: int,
    *,
    absolute: bool,
    longest: float = 1.0,
    damping: float = 1e-3,
) -> Float[np.ndarray, "b w"]:
    """Newton's method: the gradient along each eigenvector, divided by its curvature.

    ``damping`` is added to the curvature's size, whose sign is kept, or dropped with ``absolute``
    (saddle-free Newton, Dauphin and others 2014, algorithm 1). Steps are cut to ``longest``.
    """
    for _ in range(steps):
        _, gradient, hessian = derivatives(weights)
        curvature, v = np.linalg.eigh(hessian)
        size = np.abs(curvature) + damping
        divisor = size if absolute else np.where(curvature < 0, -size, size)
        along = (gradient[:, None] @ v)[:, 0] / divisor
        step = -(v @ along[..., None])[..., 0]
        length = np.linalg.norm(step, axis=1, keepdims=True)
        weights = weights + step * (longest / np.maximum(length, longest))
    return weights


# --- The tanh network ---------------------------------------------------------------------------


def tanh_network(
    weights: Float[np.ndarray, "b weights"],
    x: Float[np.ndarray, "n inputs"],
    y: Float[np.ndarray, " n"],
    hidden: int,
) -> Derivatives:
    """Loss, gradient and Hessian of sum_h v_h tanh(W_h . (x, 1)); half the mean squared error.

    ``weights`` holds the rows W_h, threshold last, and then all v_h.
    """
    b, n = len(weights), len(x)
    x = np.concatenate([x, np.ones((n, 1))], 1)
    d = x.shape[1]
    w, v = weights[:, : hidden * d].reshape(b, hidden, d), weights[:, hidden * d :]
    t = np.tanh(x @ w.swapaxes(1, 2))
    slope = 1 - t * t
    residual = (t @ v[..., None])[..., 0] - y
    by_w = (v[:, None] * slope)[..., None] * x[:, None]
    jacobian = np.concatenate([by_w.reshape(b, n, -1), t], 2)
    gradient = (residual[:, None] @ jacobian)[:, 0] / n
    hessian = jacobian.swapaxes(1, 2) @ jacobian / n
    bend = residual[..., None] * (-2 * t * slope) * v[:, None] / n
    within = np.einsum("bnh,nd,ne->bhde", bend, x, x, optimize=True)
    across = np.einsum("bnh,nd->bhd", residual[..., None] * slope / n, x)
    for h in range(hidden):
        own, out = slice(h * d, (h + 1) * d), hidden * d + h
        hessian[:, own, own] += within[:, h]
        hessian[:, own, out] += across[:, h]
        hessian[:, out, own] += across[:, h]
    return 0.5 * (residual**2).mean(1), gradient, hessian


def search(
    derivatives: Callable[[Float[np.ndarray, "b w"]], Derivatives],
    weights: Float[np.ndarray, "b w"],
    steps: int,
) -> Float[np.ndarray, "b w"]:
    """Minimises the squared length of the gradient, by Levenberg's and Marquardt's method.

    Wherever it stops, H g = 0: at a critical point, or at a gradient-flat one, where the gradient
    is not zero and the Hessian takes it to zero. Each member has a damping of its own.
    """
    damping = np.full(len(weights), 1e-2)
    _, g, h = derivatives(weights)
    squared = (g * g).sum(1)
    for _ in range(steps):
        matrix = h @ h + damping[:, None, None] * np.eye(h.shape[-1])
        tried = weights - np.linalg.solve(matrix, h @ g[..., None])[..., 0]
        _, g_tried, h_tried = derivatives(tried)
        better = (g_tried * g_tried).sum(1) < squared
        weights = np.where(better[:, None], tried, weights)
        g = np.where(better[:, None], g_tried, g)
        h = np.where(better[:, None, None], h_tried, h)
        squared = (g * g).sum(1)
        damping = np.where(better, np.maximum(damping / 4, 1e-14), np.minimum(damping * 6, 1e3))
    return weights


def correlation(
    loss: Float[np.ndarray, " b"], index: Int[np.ndarray, " b"], *, distinct: bool = False
) -> float:
    """Rank correlation; 0 where nothing varies. ``distinct``: each loss counts once."""
    if distinct:
        _, first = np.unique(np.round(loss, 6), return_index=True)
        loss, index = loss[first], index[first]
    if len(loss) < 3 or not np.ptp(index) or not np.ptp(loss):
        return 0.0
    return float(spearmanr(loss, index).statistic)  # pyright: ignore[reportAttributeAccessIssue]


@dataclass(frozen=True)
class Found:
    """Ends of the searches on one network: loss, index, residual, and whether they arrived.

    ``at_random`` and ``at_start`` are correlations of loss and index at the random weights from
    which a short descent leads to the starts of the searches, and at these starts.
    """

    loss: Float[np.ndarray, " b"]
    index: Int[np.ndarray, " b"]
    residual: Float[np.ndarray, " b"]
    there: Bool[np.ndarray, " b"]
    at_random: float
    at_start: float


def search_network(
    inputs: int, hidden: int, searches: int, steps: int, rng: np.random.Generator
) -> Found:
    """Searches on one tanh network with 60 random labels, from places on descent paths.

    ``residual`` is |H g| / (|H| |g|), which is 0 at a gradient-flat point.
    """
    x, y = rng.standard_normal((EXAMPLES, inputs)), rng.standard_normal(EXAMPLES)

    def derivatives(weights):
        return tanh_network(weights, x, y, hidden)

    weights = rng.standard_normal((searches, hidden * (inputs + 2)))
    loss, _, hessian = derivatives(weights)
    at_random = correlation(loss, downward(hessian))
    stop = rng.integers(0, 100, searches)
    for t in range(100):
        weights = weights - 0.3 * (stop > t)[:, None] * derivatives(weights)[1]
    loss, _, hessian = derivatives(weights)
    at_start = correlation(loss, downward(hessian))
    loss, gradient, hessian = derivatives(search(derivatives, weights, steps))
    length = np.linalg.norm(gradient, axis=1)
    moved = np.linalg.norm((hessian @ gradient[..., None])[..., 0], axis=1)
    largest = np.abs(np.linalg.eigvalsh(hessian)).max(1)
    residual = moved / (largest * np.maximum(length, 1e-300))
    there = length <= ARRIVED
    return Found(loss, downward(hessian), residual, there, at_random, at_start)


def run(settings: Settings, chance: Chance) -> Result:
    """Loss and index at the autoencoder's critical points; ends of two Newtons; the searches.

    ``formula``: largest difference between counted and predicted index. ``linear`` and ``network``:
    rank correlations of loss and index, for the tanh network of 8 weights the mean over two sets of
    labels, each critical point once. ``starts``: the same correlation where the searches began.
    ``arrived_8``, ``arrived_60``: share of searches that arrived, by the number of weights;
    ``residual_60``: median over those that did not. Runs on the CPU in float64.
    """
    exact, labels = (member.numpy() for member in chance.members(2))
    spectrum = np.sort(exact.uniform(*SPECTRUM, INPUTS))[::-1]

    def derivatives(weights):
        return autoencoder(weights, spectrum, HIDDEN)

    chosen, points = critical_points(INPUTS, HIDDEN)
    predicted = np.array([index_formula(s, INPUTS, HIDDEN) for s in chosen])
    loss, _, hessian = derivatives(points)
    index = downward(hessian)
    formula = np.abs(index - predicted).max()
    if not settings.critical:
        loss, _, hessian = derivatives(START * exact.standard_normal(points.shape))
        index = downward(hessian)

    begin = START * exact.standard_normal((settings.starts, points.shape[1]))
    floor = spectrum[HIDDEN:].sum() / 2
    reached, trapped = [], []
    for absolute in (False, True):
        end = newton(derivatives, begin, settings.steps, absolute=absolute != settings.swapped)
        height, left, bent = derivatives(end)
        still = np.linalg.norm(left, axis=1) < 1e-6
        reached.append((height - floor < 1e-6).mean())
        trapped.append((still & (downward(bent) > 0)).mean())

    small = [search_network(2, 2, settings.searches, 120, labels) for _ in range(2)]
    large = search_network(8, 6, max(settings.searches // 5, 4), 80, labels)
    network = [
        correlation(f.loss[f.there], f.index[f.there], distinct=True)
        if settings.critical
        else f.at_random
        for f in small
    ]
    lost = large.residual[~large.there]
    shown = small[0]
    return Result(
        loss=(loss, "half mean squared error"),
        index=(index, "directions"),
        formula=(formula, "directions"),
        linear=(correlation(loss, index), "rank correlation"),
        trapped=Quantity(trapped, "share of starts", method=METHODS),
        reached=Quantity(reached, "share of starts", method=METHODS),
        network=(np.mean(network), "rank correlation"),
        starts=(np.mean([f.at_start for f in small]), "rank correlation"),
        arrived_8=(np.mean([f.there.mean() for f in small]), "share of searches"),
        arrived_60=(large.there.mean(), "share of searches"),
        residual_60=(float(np.median(lost)) if len(lost) else math.nan, "ratio"),
        shown_loss=(shown.loss.astype(np.float32), "half mean squared error"),
        shown_index=(shown.index / 8, "share of directions"),
        shown_there=(shown.there, "arrived"),
    )


COUNTED = (
    at_most(
        "formula",
        "at the autoencoder's critical points the counted index is the predicted one",
        0.0,
    ),
)
CLAIMS = (
    Claim(
        id="dauphin2014-saddle-points", cite="dauphin2014", kind="effect", expected=IN_PART,
        title="Are the high critical points of networks saddles?",
        says="At critical points of small networks the share of downward directions grows "
        "with the training error, as in random landscapes (figure 1); Newton's method is drawn to "
        "such saddles, and with the absolute values of the curvatures, *saddle-free*, it leaves "
        "them.",
        tested="Two Newton methods from 40 starts on a linear autoencoder of 7-3-7 units; 120 "
        "searches for critical points on each of two tanh networks of 8 weights with 60 random "
        "labels.",
        so="Newton's method ends at a saddle from "
        "{num}`theory-survey/sgd/saddles-of-networks trapped[newton] .0% ±` of the starts, and the "
        "saddle-free one at the minimum from "
        "{num}`theory-survey/sgd/saddles-of-networks reached[saddle-free] .0% ±`; at critical "
        "points of the tanh networks loss and index have a rank correlation of only "
        "{num}`theory-survey/sgd/saddles-of-networks network .2f ±`.",
        caveat="A rising cloud shows nothing of critical points: where the searches began, at "
        "points that are not critical, the correlation is "
        "{num}`theory-survey/sgd/saddles-of-networks starts .2f ±`. Random labels and 8 weights "
        "are not the networks of the paper: with 60 weights "
        "{num}`theory-survey/sgd/saddles-of-networks arrived_60 .0% ±` of the searches arrive.",
        missed=("network",),
        paper=(
            ("training loss and index, small networks on images", "rise together", "figure 1"),
            ("saddle-free Newton against SGD and Newton", "reaches a lower loss", "abstract"),
        ),
        decides=(
            at_least("network", "at the critical points found of tanh networks of 8 weights loss "
                     "and index have a rank correlation of at least {bound}", 0.6, none=0.0,
                     because="a figure shows a rise at a glance from about there on, and points "
                     "that are not critical have more"),
            at_least("trapped[newton]", "from at least {bound} of the starts Newton's method ends "
                     "at a saddle", 0.4, none=0.0,
                     because="less would be an accident rather than an attraction"),
            at_least("reached[saddle-free]", "from at least {bound} of them the saddle-free "
                     "method ends at the minimum", 0.9, none=0.0,
                     because="the remedy should hardly ever fail, on a network without bad minima"),
        ),
        mechanism=(
            at_least("linear", "at the 64 critical points of the linear autoencoder, which are "
                     "all known, loss and index have a rank correlation of at least {bound}", 0.9,
                     none=0.0),
        ),
        controls=(
            Control(
                "swapped", "the absolute values, which the other of the two methods gets",
                ("trapped[newton]", "reached[saddle-free]"),
                (
                    *COUNTED,
                    at_least("reached[newton]", "the method that now has them reaches the minimum "
                             "from at least {bound} of the starts", 0.9),
                ),
            ),
            Control(
                "anywhere", "that the points are critical: random weights of both networks",
                ("linear", "network"),
                COUNTED,
            ),
        ),
        changes=("The correlation of the linear autoencoder no longer decides: it follows from a "
                 "formula, and was an easy condition beside the one on networks that are not "
                 "linear.",),
        contested="{cite:t}`frye2021` doubt that the points were critical: searches on networks "
        "often stop at points where the gradient is not zero and the Hessian takes it to zero.",
        limits="Training may never come near a critical point {cite}`lipton2016`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Loss and index of the autoencoder, of the tanh network's ends, and how many arrived."""
    blue, orange = figures.COLOURS["blue"], figures.COLOURS["vermillion"]
    there = first(runs, "shown_there").astype(bool)
    loss, index = first(runs, "shown_loss"), 100 * first(runs, "shown_index")
    arrived = [over_seeds(runs, f"arrived_{weights}", factor=100.0) for weights in (8, 60)]
    about = {"ls": "none", "ms": 5}
    with panels(3, size=(8.8, 3.5), width_ratios=(3, 3, 2)) as (drawn, (left, middle, right)):
        left.plot(first(runs, "loss"), first(runs, "index"), "o", color=blue, **about)
        left.set(xlabel="loss", ylabel="directions down (of 42)", title="autoencoder")
        left.set(ylim=(-1, 22))
        open_ = {"mfc": "none", "mec": orange, "mew": 1.2}
        middle.plot(loss[~there], index[~there], "s", label="not critical", **about | open_)
        middle.plot(loss[there], index[there], "o", color=blue, label="critical", **about)
        middle.set(xlabel="loss", ylabel="directions down (% of 8)", title="tanh network")
        middle.set(ylim=(-4, 80))
        middle.legend(loc="upper left")
        figures.bars(right, np.arange(2), np.array(arrived).T, colour=blue, width=0.5)
        ticks(right, np.arange(2), ["8 weights", "60 weights"])
        right.set(ylabel="searches that arrived (%)", xlim=(-0.6, 1.6), ylim=(0, 100))
        right.grid(axis="x", visible=False)
    return figures.Figure(
        drawn,
        label="fig-box-networks",
        caption="Left: the 64 critical points of a linear autoencoder. Middle: where searches for "
        "critical points of a tanh network of 8 weights ended, those that arrived and those that "
        "stopped at a point with a slope (one seed each). Right: how many arrived, for 8 weights "
        f"and for 60; bars are means over {figures.count(len(runs[MAIN]))}, marks single seeds.",
        alt="Left, blue dots rise from one at the lowest loss with no direction down to one at the "
        "highest with 21 of 42. Middle, blue dots and orange open squares are scattered over the "
        "same range of losses, mostly between an eighth and half of the directions down. Right, "
        "the bar for 8 weights is several times as high as the one for 60.",
    )
