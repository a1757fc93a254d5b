"""Learning the kernel: one convex problem, at a price that grows steeply with the examples.

Lanckriet et al. 2004 learn the kernel matrix together with a support vector machine, as a
semidefinite program (SDP). Bubeck's essay says that this does not scale well, and that SGD on a
network does ({cite}`bubeck2015`). We measure how the processor time of each grows: the SDP over
non-negative combinations of five kernels, solved by an interior-point method, and one epoch of SGD
on a network with one hidden layer.

What would refute it: a time for the SDP that grows no faster than about n^2 with n examples, or an
epoch of SGD whose time grows much faster than n.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits
from torch import Tensor
from torch.nn.functional import cross_entropy

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import walk
from whydeep.errors import BadSettings
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.labs import features
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels, ticks

PAGE = "features/feature-maps-by-hand"
CLASSES = (2, 4)  # pullover and coat, which are hard to tell apart
KERNELS = (
    "linear, pixels",
    "Gaussian, pixels",
    "narrow Gaussian, pixels",
    "linear, HOG",
    "Gaussian, HOG",
)


@dataclass(frozen=True)
class Settings:
    """Pullovers against coats: ``sizes`` are the numbers n of examples of the convex problem.

    ``form`` is "sdp", or "qcqp" for the same problem without its matrix inequality. ``margin_cost``
    is the C of the support vector machine. ``sgd_sizes`` are the n of the network, ``batch`` the
    examples of a step (0: all n of them) in each of the n / 10 steps; ``width`` its hidden units.
    Every time is the least of ``repeats``.
    """

    sizes: tuple[int, ...] = (10, 14, 20, 28, 40)
    form: str = "sdp"
    margin_cost: float = 1.0
    sgd_sizes: tuple[int, ...] = (100, 200, 400, 800)
    batch: int = 10
    width: int = 64
    learning_rate: float = 0.05
    repeats: int = 3


SCALES = {"quick": Settings(repeats=1), "full": Settings()}
VARIANTS = {"qcqp": {"form": "qcqp"}, "full-batch": {"batch": 0}}
# Ratios of times, and how they grow: of one processor, never compared with those of another.
TIMED = ("convex_time", "slope_convex", "sgd_time", "slope_sgd")


def base_kernels(x: Float[Tensor, "m 1 h w"], train: int) -> Float[np.ndarray, "5 m train"]:
    """The kernels of KERNELS between all images and the first ``train`` of them.

    Pixels and HOG are centred. Gaussian widths are in terms of the median squared distance. Each
    kernel is scaled to trace ``train`` over the training images, which makes weights comparable.
    """
    inner, squared = {}, {}
    for name, phi in (("pixels", features.pixels(x)), ("hog", features.hog(x))):
        z = phi.double().numpy() - phi[:train].double().numpy().mean(0)
        inner[name] = z @ z[:train].T
        norms = (z**2).sum(1)
        far = np.maximum(norms[:, None] + norms[:train] - 2 * inner[name], 0)
        squared[name] = far / np.median(far[:train][~np.eye(train, dtype=bool)])
    found = (
        inner["pixels"],
        np.exp(-squared["pixels"]),
        np.exp(-5 * squared["pixels"]),
        inner["hog"],
        np.exp(-squared["hog"]),
    )
    return np.stack([k * train / np.trace(k[:train]) for k in found])


def problem(
    kernels: Float[np.ndarray, "q n n"], y: Float[np.ndarray, " n"], cost: float, form: str
):
    """The kernel and the support vector machine learned at once: a cvxpy Problem.

    With weights mu >= 0 such that sum_i mu_i K_i has trace n, minimise the value of the soft-margin
    machine max_a 2 sum(a) - a^T G(mu) a, 0 <= a <= cost, a^T y = 0, where G = diag(y) K diag(y).
    "sdp": the minimum as one linear matrix inequality, by a Schur complement (Lanckriet et al.
    2004). "qcqp": min and max exchanged, so that each kernel gives one quadratic
    constraint. Kernels must have trace n. Both have the same optimal value.
    Raises BadSettings for another ``form``.
    """
    import cvxpy as cp  # takes a second to import, which other commands need not wait for

    n = len(y)
    flipped = [np.outer(y, y) * k for k in kernels]
    if form == "qcqp":
        a, top = cp.Variable(n), cp.Variable()
        roots = [_root(g) for g in flipped]
        limits = [cp.sum_squares(root.T @ a) <= top for root in roots]
        return cp.Problem(
            cp.Maximize(2 * cp.sum(a) - top), [*limits, a >= 0, a <= cost, a @ y == 0]
        )
    if form != "sdp":
        raise BadSettings(f"form is {form!r}, expected 'sdp' or 'qcqp': correct the name")
    mu = cp.Variable(len(kernels), nonneg=True, name="mu")
    low, high = cp.Variable(n, nonneg=True), cp.Variable(n, nonneg=True)
    offset, value = cp.Variable(), cp.Variable()
    g = sum(mu[i] * each for i, each in enumerate(flipped))
    side = cp.reshape(1 + low - high + offset * y, (n, 1), order="C")
    corner = cp.reshape(value - 2 * cost * cp.sum(high), (1, 1), order="C")
    inequality = cp.bmat([[g, side], [side.T, corner]])
    return cp.Problem(cp.Minimize(value), [cp.sum(mu) == 1, (inequality + inequality.T) / 2 >> 0])  # pyright: ignore[reportArgumentType]


def _root(g: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    """A matrix R with R R^T = g, for a positive semidefinite g."""
    values, vectors = np.linalg.eigh(g)
    return vectors * np.sqrt(np.maximum(values, 0))


def solve(convex) -> float:
    """Solve a cvxpy Problem with Clarabel, an interior-point method; CPU seconds of the solver.

    The time leaves out what cvxpy spends on writing the problem in the solver's form.
    """
    data, chain, inverse = convex.get_problem_data("CLARABEL", solver_opts={})
    start = time.process_time()
    solution = chain.solve_via_data(convex, data, verbose=False, solver_opts={})
    seconds = time.process_time() - start
    with warnings.catch_warnings():
        # An answer to fewer digits than asked for, on some draws, is exact enough for its weights.
        warnings.filterwarnings("ignore", "Solution may be inaccurate", UserWarning)
        convex.unpack_results(solution, chain, inverse)
    return seconds


def weights_of(convex) -> Float[np.ndarray, " q"]:
    """The weights mu of the kernels in a solved problem: a variable, or the price of each limit."""
    if "mu" in convex.var_dict:
        return convex.var_dict["mu"].value
    # All constraints but the last three, which are those on a, are the limits of the kernels.
    return np.array([limit.dual_value.item() for limit in convex.constraints[:-3]])


def machine_error(
    kernels: Float[np.ndarray, "q m n"],
    y: Float[np.ndarray, " n"],
    y_test: Float[np.ndarray, " m_test"],
    cost: float,
    mu: Float[np.ndarray, " q"],
) -> float:
    """Test error of the support vector machine with the kernel sum_i mu_i K_i.

    Rows of ``kernels`` are the n training examples, then the test examples.
    """
    kernel = np.tensordot(mu, kernels, 1)
    machine = SVC(C=cost, kernel="precomputed").fit(kernel[: len(y)], y)
    return 1 - float(machine.score(kernel[len(y) :], y_test))


def epoch(
    x: Float[Tensor, "n d"], y: Int[Tensor, " n"], settings: Settings, chance: Chance
) -> tuple[float, float]:
    """One epoch of SGD on a network with one hidden layer: CPU seconds of it, training loss after.

    ``y`` holds labels 0 and 1; n / 10 steps of ``batch`` examples each, or of all n. Nothing is
    measured on the way, so that the time is that of the steps and of nothing else.
    """
    generator = chance.torch()
    network = Dense((x.shape[1], settings.width, 2), generator=generator)
    order = torch.randperm(len(y), generator=generator)
    batches = [rows[: settings.batch] if settings.batch else order for rows in order.split(10)]
    steps = walk(
        list(network.parameters()),
        lambda _, rows: cross_entropy(network(x[rows]), y[rows])[None],
        batches,
        lr=settings.learning_rate,
    )
    start = time.process_time()
    for _ in steps:
        pass
    seconds = time.process_time() - start
    with torch.no_grad():
        return seconds, float(cross_entropy(network(x), y))


def least(times: int, measure: Callable[[], float]) -> float:
    """The least of so many measurements: what else the machine does only ever adds to one."""
    return min(measure() for _ in range(times))


def slope(sizes: tuple[int, ...], seconds: list[float]) -> float:
    """The exponent of the power of n that fits the seconds best, by least squares on logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(seconds), 1)[0])


def run(settings: Settings, chance: Chance) -> Result:
    """CPU seconds of the convex problem and of an epoch of SGD, and how they grow with n.

    Seconds are given relative to the smallest n of each, so that they compare between machines.
    Also the optimal value and the weights at the largest n, and the test errors of the machine with
    these weights and with equal ones. On the CPU, on one thread.
    """
    data = fashion_mnist()
    kept, kept_test = (torch.isin(y, torch.tensor(CLASSES)) for y in (data.train_y, data.test_y))
    order = torch.from_numpy(chance.numpy().permutation(int(kept.sum())))
    x, y = data.train_x[kept][order], data.train_y[kept][order]
    sign, sign_test = (np.where(z == CLASSES[0], 1.0, -1.0) for z in (y, data.test_y[kept_test]))
    with threadpool_limits(1):
        convex_seconds = []
        for n in settings.sizes:
            kernels = base_kernels(x[:n], n)
            convex = problem(kernels, sign[:n], settings.margin_cost, settings.form)
            convex_seconds.append(least(settings.repeats, lambda c=convex: solve(c)))
        mu = weights_of(convex)
        kernels = base_kernels(torch.cat([x[:n], data.test_x[kept_test]]), n)
        errors = [
            machine_error(kernels, sign[:n], sign_test, settings.margin_cost, each)
            for each in (mu, np.full(len(KERNELS), 1 / len(KERNELS)))
        ]
        sgd_seconds = []
        for n in settings.sgd_sizes:
            label = (y[:n] == CLASSES[1]).long()
            runs = [
                epoch(x[:n].flatten(1), label, settings, chance) for _ in range(settings.repeats)
            ]
            sgd_seconds.append(min(seconds for seconds, _ in runs))
    growth = "log time over log examples"
    return Result(
        sizes=(np.array(settings.sizes), "training examples"),
        convex_time=(np.array(convex_seconds) / convex_seconds[0], "times the shortest"),
        slope_convex=(slope(settings.sizes, convex_seconds), growth),
        sgd_sizes=(np.array(settings.sgd_sizes), "training examples"),
        sgd_time=(np.array(sgd_seconds) / sgd_seconds[0], "times the shortest"),
        slope_sgd=(slope(settings.sgd_sizes, sgd_seconds), growth),
        sgd_loss=(runs[0][1], "nats"),
        value=(float(convex.value), "value of the machine"),  # pyright: ignore[reportArgumentType]
        weights=(mu, "weight of each kernel"),
        weight_off=(abs(mu.sum() - 1), "weight"),
        weight_hog=(mu[3:].sum(), "share of the weights"),
        error=Quantity(errors, "fraction of test examples", weights=("learned", "equal")),
    )


CLAIMS = (
    Claim(
        id="lanckriet2004-learn-the-kernel-by-sdp",
        cite="lanckriet2004", kind="effect", expected=SHOWN,
        title="Does learning a kernel by a semidefinite program scale?",
        says="A kernel can be learned together with a support vector machine as one semidefinite "
        "program, which “does not scale well with large data sets” ({cite:t}`bubeck2015`, section "
        "'Deep learning: it's all about the features').",
        tested="Five kernels for pullovers against coats, 10 to 40 examples, solved by a "
        "general-purpose interior-point method on one processor core; beside it an epoch of SGD "
        "on a network, 100 to 800 examples.",
        so="The time grows like $n$ to the power {num}`features/kernel-learning slope_convex "
        ".2f ±`.",
        caveat="The sizes are tiny, and it is the form that is slow: the same problem, with the "
        "same solution, grows as a program with quadratic constraints with the exponent "
        "{num}`features/kernel-learning@qcqp slope_convex .2f ±`. That an epoch of SGD grows like "
        "$n$ ({num}`features/kernel-learning slope_sgd .2f ±`) is so by construction: $n/10$ steps "
        "of 10 examples.",
        paper=(
            ("the post, on the semidefinite program", "it does not scale well (no number)",
             "{cite:t}`bubeck2015`, section 'Deep learning: it's all about the features'"),
            ("general-purpose solvers, even on the cheaper quadratic form",
             "only a small number of kernels and of data points (no number)",
             "{cite:t}`bach2004`, abstract"),
        ),
        decides=(
            at_least("slope_convex", "the time of the semidefinite program grows at least as "
                     "$n^{{bound}}$", 2.2, none=1.0,
                     because="the entries of a kernel matrix are $n^2$, so no kernel method grows "
                     "much slower; what scales badly grows faster than that"),
        ),
        mechanism=(
            at_most("slope_sgd", "the time of an epoch of SGD grows at most as $n^{{bound}}$", 1.3,
                    none=1.3, because="in proportion to $n$, and something for overheads"),
        ),
        controls=(
            Control(
                "qcqp", "the matrix inequality: the same problem, with the same solution, written "
                "with one quadratic constraint a kernel, for the same solver",
                ("slope_convex",),
                (
                    at_most("weight_off", "it finds weights that sum to 1, as they do at the "
                            "solution, to {bound}", 1e-3),
                ),
            ),
            Control(
                "full-batch", "the minibatch: each of the $n/10$ steps takes all examples",
                ("slope_sgd",),
                (
                    at_most("sgd_loss", "it learns: the training loss ends at {bound} nats or "
                            "less, below log 2", 0.55),
                ),
            ),
        ),
        limits="The growth is that of general-purpose solvers. Alternating between the weights "
        "and an ordinary support vector machine learns the same combination without an SDP "
        "{cite}`rakotomamonjy2008`, and recursive feature machines learn a kernel without one too "
        "{cite}`radhakrishnan2024`.",
        changes=("The growth of an epoch of SGD no longer decides: it is linear by construction "
                 "(stricter). Bounds and controls are as before.",),
    ),
)  # fmt: skip

# Each time against the n of its own method: the variants drawn, and a power of n beside them.
CONVEX = {MAIN: "semidefinite program", "qcqp": "same problem, as QCQP"}
SGD_STEPS = {MAIN: "minibatches of 10", "full-batch": "all examples a step"}
SWEEPS = (("sizes", "convex_time", CONVEX, 3), ("sgd_sizes", "sgd_time", SGD_STEPS, 1))


def figure(runs: Runs) -> figures.Figure:
    """Relative time against n, of the convex problem in both forms and of an epoch of SGD."""
    with panels(2, size=(8.2, 3.6), sharey=True) as (drawn, axes):
        for panel, (sizes, times, variants, exponent) in zip(axes, SWEEPS, strict=True):
            n = first(runs, sizes)
            for variant, label in variants.items():
                figures.band(panel, n, over_seeds(runs, times, variant), label=label)
            power = f"$n^{exponent}$" if exponent > 1 else "$n$"
            panel.plot(n, (n / n[0]) ** exponent, **figures.THEORY, label=power)
            panel.set(xscale="log", yscale="log", xlabel="training examples $n$")
            ticks(panel, n)
            panel.legend()
        axes[0].set(ylabel="time (times the shortest)", title="learn the kernel")
        axes[1].set(title="one epoch of SGD")
    return figures.Figure(
        drawn,
        label="fig-kernel-learning",
        caption="Processor time against the number of examples, relative to the smallest number. "
        "Left, the kernel and the classifier learned at once; right, one epoch of SGD on a network "
        "with one hidden layer. Dashed: powers of $n$ for the eye. Note that the numbers of "
        f"examples differ. Means and standard deviations over "
        f"{figures.count(len(runs[MAIN]))}.",
        alt="Two panels with logarithmic axes. Left, the time of the semidefinite program rises "
        "more steeply than n cubed, to over fifty times the shortest at four times the examples; "
        "the same problem with quadratic constraints rises far less. Right, an epoch with "
        "minibatches rises about like n, and with all examples in each step more steeply.",
    )
