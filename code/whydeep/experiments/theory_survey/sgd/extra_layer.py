"""Can a layer that adds nothing make gradient descent faster on a convex problem?

{cite:t}`arora2018` put a number, or two, in front of a linear regression: w becomes a w or a b w.
No new function can be computed, and the loss is no longer convex. Yet they prove that the product
moves as under a preconditioner that favours the way already gone, and find that it can arrive
sooner, if the loss is a power p > 2 of the residual. We take their warm-up problem, two examples
along the axes with targets 10 and 1, search the learning rates finely for every depth, and compare.

What would refute it: products that need as many steps as the plain weights at p = 4; or a path of
the product that leaves the end-to-end rule however small the steps are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.claims import SHOWN, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, over_seeds, panels, ticks

PAGE = "theory-survey/sgd/more-weights-than-data"
DEPTHS = (1, 2, 3)
ENOUGH = 0.8  # a start that points away from the solution may wait at the origin, a saddle


@dataclass(frozen=True)
class Settings:
    """The loss is the mean of |residual|^``power`` / ``power``, to be brought below ``reached``.

    Each of ``starts`` draws a vector of length ``start``; a product begins at the same vector, with
    layers of equal length. A depth counts with the one of ``rates`` learning rates, from
    10^``slowest`` to 10^``fastest``, whose median over starts is least, if none flies off and four
    in five arrive.
    ``features``: 0 for the two axes, else a random whitened regression with as many columns.
    ``projected``: whether the end-to-end rule keeps the term along the weights.
    """

    power: int = 4
    targets: tuple[float, float] = (10.0, 1.0)
    features: int = 0
    starts: int = 5
    start: float = 0.01
    rates: int = 61
    slowest: float = -2.7
    fastest: float = 0.3
    reached: float = 1e-4
    steps: int = 1400
    projected: bool = True


SCALES = {"quick": Settings()}
# ``ten-features`` is no control: it asks how far the effect goes beyond two examples.
VARIANTS = {
    "squares": {"power": 2},
    "without-projection": {"projected": False, "rates": 21, "slowest": -3.0, "fastest": -1.0},
    "ten-features": {"features": 10, "rates": 51, "slowest": -2.5, "fastest": 0.0},
}


def regression(
    settings: Settings, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """The examples and their targets; a weight vector that meets all of them exists."""
    if not settings.features:
        return np.eye(2), np.array(settings.targets)
    x = rng.standard_normal((2 * settings.features, settings.features))
    u, _, v = np.linalg.svd(x, full_matrices=False)
    x = np.sqrt(len(x)) * u @ v  # whitened: the mean of x x^T is the identity
    return x, x @ rng.standard_normal(settings.features)


def loss_and_gradient(
    w: Float[np.ndarray, "k d"], x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], power: int
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, "k d"]]:
    """The mean of |w . x - y|^power / power and its gradient, for each of k weight vectors."""
    residual = w @ x.T - y
    size, push = np.abs(residual), residual
    for _ in range(power - 2):  # much faster than a power of an array
        push = push * size
    return (push * residual).mean(1) / power, push @ x / len(y)


def by_product(
    w: Float[np.ndarray, "k d"],
    rate: Float[np.ndarray, " k"],
    depth: int,
    problem: tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], int],
    steps: int,
) -> tuple[Float[np.ndarray, "t k"], Float[np.ndarray, "t k d"]]:
    """Gradient descent on a vector and depth - 1 numbers whose product starts at ``w``.

    Returns the losses and the products after 0 to ``steps`` steps; not finite where it flew off.
    """
    length = np.linalg.norm(w, axis=1, keepdims=True) ** (1 / depth)
    v, a = w / length ** (depth - 1), np.repeat(length, depth - 1, axis=1)
    rate, losses, path = rate[:, None], [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps + 1):
            product = a.prod(1, keepdims=True)
            loss, g = loss_and_gradient(product * v, *problem)
            losses.append(loss)
            path.append(product * v)
            # The gradient by one factor is g times all the others.
            along = (g * v).sum(1, keepdims=True)
            others = [np.delete(a, i, axis=1).prod(1) for i in range(depth - 1)]
            g_a = along * np.stack(others, 1) if others else np.zeros_like(a)
            v, a = v - rate * product * g, a - rate * g_a
    return np.array(losses), np.array(path)


def by_rule(
    w: Float[np.ndarray, "k d"],
    rate: Float[np.ndarray, " k"],
    depth: int,
    problem: tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"], int],
    steps: int,
    projected: bool = True,
) -> Float[np.ndarray, "t k d"]:
    """The end-to-end rule of Arora, Cohen and Hazan (2018), for one output.

    w <- w - rate |w|^(2 - 2/N) (g + (N - 1) times the part of g along w), N being the depth.
    """
    path = [w]
    for _ in range(steps):
        _, g = loss_and_gradient(w, *problem)
        length = np.linalg.norm(w, axis=1, keepdims=True)
        along = (g * w).sum(1, keepdims=True) * w / length**2
        push = g + (depth - 1) * along if projected else g
        w = w - rate[:, None] * length ** (2 - 2 / depth) * push
        path.append(w)
    return np.array(path)


def run(settings: Settings, chance: Chance) -> Result:
    """Steps to arrive at the best rate of each depth, and how far the rule is from the product."""
    rng = chance.numpy()
    problem = *regression(settings, rng), settings.power
    w = rng.standard_normal((settings.starts, problem[0].shape[1]))
    w *= settings.start / np.linalg.norm(w, axis=1, keepdims=True)
    rates = np.logspace(settings.slowest, settings.fastest, settings.rates)
    needed, off = [], []
    for depth in DEPTHS:
        losses, _ = by_product(
            np.tile(w, (settings.rates, 1)),
            np.repeat(rates, settings.starts),
            depth,
            problem,
            settings.steps,
        )
        above = ~(losses <= settings.reached)  # not finite counts as above
        # The step after the last one above: from there on the loss stays low.
        arrived = len(above) - above[::-1].argmax(0)
        arrived = np.where(above[-1], np.inf, arrived).reshape(settings.rates, -1)
        stays = (losses <= 1e6).all(0).reshape(settings.rates, -1).all(1)
        enough = stays & (np.isfinite(arrived).mean(1) >= ENOUGH)
        middle = np.where(enough, np.median(arrived, 1), np.inf)
        if not np.isfinite(middle.min()):
            raise BadSettings(f"depth {depth} arrives at no rate: take more steps or other rates")
        best = middle.argmin()
        needed.append(middle[best])
        if depth > 1:  # a tenth of the best rate, for as long a way
            rate = np.full(settings.starts, rates[best] / 10)
            _, path = by_product(w, rate, depth, problem, int(10 * needed[-1]))
            rule = by_rule(w, rate, depth, problem, len(path) - 1, settings.projected)
            away = np.linalg.norm(path - rule, axis=2).max(0)
            off.append(np.median(away / np.linalg.norm(path[-1], axis=1)))
    named = [f"depth={depth}" for depth in DEPTHS]
    off_unit = "largest distance over the length of the solution"
    return Result(
        needed=Quantity(needed, "steps", depth=named),
        ratio=Quantity(np.array(needed) / needed[0], "steps over those of one layer", depth=named),
        rule_off=Quantity(off, off_unit, depth=named[1:]),
    )


CLAIMS = (
    Claim(
        id="arora2018-implicit-acceleration", cite="arora2018", kind="effect", expected=SHOWN,
        title="Can a layer that adds nothing speed up training?",
        says="A linear layer more, which adds no function, acts as a preconditioner that favours "
        "the way already gone, and can make gradient descent faster even on a convex problem: "
        "linear regression with powers $p > 2$ of the residuals (abstract and experiments).",
        tested="The paper's warm-up problem, two examples along the axes with targets 10 and 1, "
        "$p = 4$, five starts near zero; depths 1, 2 and 3, each at the best of 61 learning rates, "
        "to a loss of 0.0001.",
        so="Depth 2 needs {num}`theory-survey/sgd/extra-layer ratio[depth=2] .2f ±` and depth 3 "
        "{num}`theory-survey/sgd/extra-layer ratio[depth=3] .2f ±` times the steps of depth 1.",
        caveat="It takes $p > 2$: with squares depth 2 needs "
        "{num}`theory-survey/sgd/extra-layer@squares ratio[depth=2] .1f ±` times the steps. The "
        "best learning rates are chosen on the very run that is timed, and no adaptive method, "
        "such as AdaGrad, is run beside the products.",
        paper=(
            ("end-to-end rule of depth $N$, one output", "$w \\leftarrow w - \\eta\\, \\lVert w "
             "\\rVert^{2 - 2/N} (\\nabla + (N - 1) \\operatorname{Pr}_w \\nabla)$",
             "the end-to-end update rule"),
            (
                "regression with fourth powers of residuals",
                ("depths {} and {} are faster than depth {}, each at its best rate", 2, 3, 1),
                "experiments, regression on gas sensors",
            ),
        ),
        decides=(
            at_most("ratio[depth=2]", "at $p = 4$ depth 2 needs at most {bound} times the steps "
                    "of depth 1", 0.8, none=1.0, log=True,
                    because="a step of depth 2 costs about as much, and a fifth fewer steps is "
                    "the least that is worth a search for another learning rate"),
            at_most("ratio[depth=3]", "at $p = 4$ depth 3 needs at most {bound} times the steps "
                    "of depth 1", 0.8, none=1.0, log=True, because="as for depth 2"),
        ),
        mechanism=(
            at_most("rule_off[depth=2]", "at a tenth of its best rate, depth 2 stays within "
                    "{bound:%} % of the end-to-end rule", 0.2),
        ),
        controls=(
            Control(
                "squares", "the power above two: squares of the residuals, $p = 2$",
                ("ratio[depth=2]", "ratio[depth=3]"),
                (
                    at_most("needed[depth=3]", "every depth arrives, the slowest within {bound} "
                            "steps", 400.0),
                ),
            ),
            Control(
                "without-projection", "from the rule, the term along the weights",
                ("rule_off[depth=2]",),
                (
                    at_most("needed[depth=2]", "the product that it is compared with arrives, "
                            "within {bound} steps", 1500.0),
                ),
            ),
        ),
        changes=("A first record counted a learning rate if four in five starts arrived, and the "
                 "fifth had flown off at the best rates of the products. Now none may fly off, "
                 "there are 61 rates instead of 75, and a run has 1,400 steps at most instead of "
                 "1,600; calibration and record were run again, with the same bounds.",
                 "Ratios are judged by their logarithms. The distance from the end-to-end rule no "
                 "longer decides: it is a theorem about small steps, and the reason.",),
        limits="Depth can also slow gradient descent down: a product of $N$ numbers may need a "
        "time that grows exponentially with $N$ {cite}`shamir2018`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Steps that each depth needs at its best rate, one mark a seed, for each of the problems."""
    names = {
        MAIN: "two examples, $p = 4$",
        "ten-features": "ten features, $p = 4$",
        "squares": "two examples, $p = 2$",
    }
    with panels(size=(6.6, 3.7)) as (drawn, axes):
        for i, (variant, name) in enumerate(names.items()):
            if variant in runs:
                needed = over_seeds(runs, "needed", variant)
                (line,) = axes.plot(DEPTHS, np.exp(np.log(needed).mean(0)), label=name)
                aside = np.tile(DEPTHS, (len(needed), 1)) + 0.04 * (i - 1)
                look = dict(color=line.get_color(), ls="none", alpha=0.45)
                axes.plot(aside, needed, line.get_marker(), **look)
        axes.set(xlabel="depth", ylabel="steps to a loss of 0.0001", yscale="log", ylim=(1.4, 4e3))
        axes.set_yticks((2, 10, 100, 1000), ("2", "10", "100", "1,000"))
        ticks(axes, DEPTHS, ("1: $w$", "2: $a\\,v$", "3: $a\\,b\\,v$"))
        axes.legend(fontsize=8, loc="lower right")
    return figures.Figure(
        drawn,
        label="fig-extra-layer",
        caption="Steps that gradient descent needs with plain weights (depth 1) and with products, "
        "each at its best learning rate. With fourth powers of the residuals the products need "
        "fewer, with squares they need more. Lines are geometric means over "
        f"{figures.count(len(runs[MAIN]))}, faint marks the seeds.",
        alt="Three lines over the depths one, two and three, on a logarithmic axis of steps. For "
        "fourth powers, with two examples and with ten features, the line falls from depth one to "
        "depth two and stays low at three; for squares it rises from two steps to tens of steps.",
    )
