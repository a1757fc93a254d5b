"""Why does the error fall when the learning rate is divided by ten?

The recipe of 2012 starts at a rate and divides it by ten whenever the *validation* error stops
improving ({cite}`krizhevsky2012`, section 5; the post says the training error). One explanation is
noise: every step of SGD is taken on a few examples only, and near a minimum the errors of these
steps keep the weights moving about it, at a loss that is proportional to the learning rate
({cite}`bottou1998`). A student network learns a teacher from fresh examples with noisy labels; we
divide its rate twice, never, or from the start.

What would refute it: an error that stays where it is after the division; a small rate from the
start that does as well; or a division that helps as much where there is no noise.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep import figures
from whydeep.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.networks import Dense, Network
from whydeep.results import MAIN, Result
from whydeep.training import Trained, generator, member_seeds, squared_error, train

PAGE = "mysterious-steps/a-small-step"
INPUTS, TEACHER_UNITS, STUDENT_UNITS = 10, 8, 16
EVERY = 50  # steps from one look at the error to the next
SCHEDULES = {"constant": (1, 1, 1), "divided": (1, 0.1, 0.01), "small": (0.01, 0.01, 0.01)}


@dataclass(frozen=True)
class Settings:
    """Students of 16 tanh units learn a teacher of 8; labels are its outputs plus ``noise``.

    ``students`` start from as many draws; all of one seed share the teacher. The rate is divided
    by 10 after each of the steps ``divide_at``. Every batch is fresh, unless ``examples`` (not 0)
    limits their number. ``from_teacher``: the students start as the teacher, so that there is
    nothing to learn and all there is to do is not to lose it.
    """

    rate: float = 0.1
    batch_size: int = 16
    noise: float = 0.5
    divide_at: tuple[int, int] = (1500, 2250)
    steps: int = 3000
    students: int = 4
    examples: int = 0
    from_teacher: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {
    "no-noise": {"noise": 0.0, "batch_size": 256, "examples": 256, "students": 1},
    "from-teacher": {"from_teacher": True},
}


def draw_teacher(seed: int) -> tuple[Float[Tensor, "10 8"], Float[Tensor, "8 1"]]:
    """The teacher v^T tanh(W^T x): W of unit variance a unit, v of variance 1/2 a unit."""
    chance = generator(seed, "labels")
    w = torch.randn(INPUTS, TEACHER_UNITS, generator=chance) / INPUTS**0.5
    v = torch.randn(TEACHER_UNITS, 1, generator=chance) / 2**0.5
    return w, v


def answers(
    teacher: tuple[Float[Tensor, "10 8"], Float[Tensor, "8 1"]], x: Float[Tensor, "n 10"]
) -> Float[Tensor, "n 1"]:
    """The teacher's outputs, without noise."""
    w, v = teacher
    return torch.tanh(x @ w) @ v


def student(
    teacher: tuple[Float[Tensor, "10 8"], Float[Tensor, "8 1"]] | None = None,
    *,
    generator: torch.Generator,
) -> Network:
    """A student as drawn; or, given a teacher, one with its units and 8 mute ones."""
    network = Dense((INPUTS, STUDENT_UNITS, 1), torch.tanh, generator=generator)
    if teacher is not None:
        w, v = teacher
        with torch.no_grad():
            network.layers["1"].weight[:TEACHER_UNITS] = w.T
            network.classifier.weight.zero_()
            network.classifier.weight[:, :TEACHER_UNITS] = v.T
    return network


def descend(
    network: Callable[..., Network],
    batches: tuple[Float[Tensor, "n 10"], Float[Tensor, "n 1"]],
    schedules: Mapping[int, list[float]],
    *,
    settings: Settings,
    seeds: list,
    measure: Callable[[Trained], Tensor],
    device: str,
    progress: bool,
) -> tuple[Float[Tensor, "k looks"], Trained]:
    """Train a stack in phases: ``schedules`` maps the step at which one ends to its K rates.

    The engine keeps one rate for each member, so each phase starts it anew where the last one
    ended. Returns what ``measure`` saw every EVERY steps, and the stack at its end.
    """
    x, y = batches
    found, start, fresh = [], 0, settings.examples == 0
    for end, rates in schedules.items():
        # Fresh examples are used up in order; a limited number is used again and again.
        rows = (
            slice(start * settings.batch_size, end * settings.batch_size) if fresh else slice(None)
        )
        trained = train(
            network,
            x[rows],
            y[rows],
            seeds=seeds,
            lr=rates,
            steps=end - start,
            batch_size=settings.batch_size,
            loss=squared_error,
            measure={"error": measure},
            measure_at=range(0, end - start + 1, EVERY),
            device=device,
            progress=progress,
        )
        history = trained.history["error"]
        found.append(history if start == 0 else history[:, 1:])
        start, ended = end, iter([trained.member(k).cpu() for k in range(len(trained))])
        network = partial(_next_of, ended)
    return torch.cat(found, dim=1), trained


def _next_of(networks, *, generator: torch.Generator) -> Network:
    """The networks one after another, in the place of fresh ones."""
    return next(networks)


def predicted_floor(
    network: Network, x: Float[Tensor, "n d"], *, rate: float, noise: float, batch_size: int
) -> float:
    """The mean squared error, noise aside, at which SGD on fresh examples comes to rest.

    Near a minimum the loss is a quadratic with curvatures lambda_i, and a step's gradient has the
    variance c_i = 2 noise^2 lambda_i / batch_size along each. Then the weight along it varies by
    rate c_i / (lambda_i (2 - rate lambda_i)), the fixed point of var <- (1 - rate lambda_i)^2 var +
    rate^2 c_i, and half of lambda_i times this is what it costs (after Bottou 1998, section 4; the
    one-dimensional case is an exercise). inf if a curvature is beyond 2 / rate.
    """
    names = list(dict(network.named_parameters()))

    def output(weights: dict[str, Tensor], one: Tensor) -> Tensor:
        return torch.func.functional_call(network, weights, (one[None],))[0, 0]

    weights = {name: w.detach().double() for name, w in network.named_parameters()}
    slopes = torch.func.vmap(torch.func.grad(output), (None, 0))(weights, x.double())
    jacobian = torch.cat([slopes[name].flatten(1) for name in names], dim=1)
    curvatures = torch.linalg.eigvalsh(2 * jacobian.T @ jacobian / len(x)).clamp_min(0)
    if float(curvatures.max()) * rate >= 2:
        return float("inf")
    return float(rate * noise**2 / batch_size * (curvatures / (2 - rate * curvatures)).sum())


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """The error of each schedule along the steps, against the teacher's answers without noise.

    Errors are mean squared errors on 1,000 fresh inputs, averaged over the students; before a
    division and at the end over the last ten looks, after the first division over the looks from
    300 to 500 steps later.
    """
    teacher = draw_teacher(seed)
    chance = generator(seed, "order")
    count = settings.examples or settings.steps * settings.batch_size
    x = torch.randn(count, INPUTS, generator=chance)
    noise = settings.noise * torch.randn(count, 1, generator=chance)
    y = answers(teacher, x) + noise
    x_test = torch.randn(1000, INPUTS, generator=chance)
    y_test = answers(teacher, x_test)

    def error(trained: Trained) -> Float[Tensor, "k"]:
        return (trained.outputs(x_test).cpu() - y_test).square().mean((1, 2))

    ends = (*settings.divide_at, settings.steps)
    found, trained = descend(
        partial(student, teacher if settings.from_teacher else None),
        (x.to(device), y.to(device)),
        {
            end: [settings.rate * factors[phase] for factors in SCHEDULES.values()]
            * settings.students
            for phase, end in enumerate(ends)
        },
        settings=settings,
        seeds=[s for s in member_seeds(seed, settings.students) for _ in SCHEDULES],
        measure=error,
        device=device,
        progress=progress,
    )
    curves = found.double().view(settings.students, len(SCHEDULES), -1).mean(0).numpy()
    by_name = dict(zip(SCHEDULES, curves, strict=True))
    divided = settings.divide_at[0] // EVERY
    last = {name: float(curve[-10:].mean()) for name, curve in by_name.items()}
    before = by_name["divided"][divided - 9 : divided + 1].mean()
    after = by_name["divided"][divided + 300 // EVERY : divided + 500 // EVERY + 1].mean()
    settled = trained.member(list(SCHEDULES).index("divided")).cpu()
    floor = partial(
        predicted_floor, settled, x_test, noise=settings.noise, batch_size=settings.batch_size
    )
    return Result(
        at=(np.arange(0, settings.steps + 1, EVERY), "steps"),
        **{f"error_{name}": (curve, "squared error") for name, curve in by_name.items()},
        before=(before, "squared error"),
        after=(after, "squared error"),
        drop=(after / before, "ratio of errors"),
        **{f"last_{name}": (value, "squared error") for name, value in last.items()},
        against_constant=(last["divided"] / last["constant"], "ratio of errors"),
        too_early=(last["small"] / last["constant"], "ratio of errors"),
        floor=(floor(rate=settings.rate), "squared error"),
        floor_divided=(floor(rate=settings.rate / 10), "squared error"),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-divide-by-ten",
        cite="krizhevsky2012",
        sentence="When noise holds the error at a floor, dividing the learning rate by ten lowers "
        "it at once, and dividing too early is worse than never dividing.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "learning rate on ImageNet",
                "0.01, divided by 10 when the validation error stopped improving, three times in "
                "about 90 epochs",
                "section 5",
            ),
        ),
        conditions=(
            at_most(
                "drop",
                "300 to 500 steps after the division the error is at most half of what it was",
                0.5,
                "ratio of errors",
            ),
            at_most(
                "against_constant",
                "at the end it is at most 0.6 times that of the constant rate",
                0.6,
                "ratio of errors",
            ),
            at_least(
                "too_early",
                "the error of a rate 100 times smaller from the start is at least 1.5 times that "
                "of the constant rate",
                1.5,
                "ratio of errors",
            ),
        ),
        controls=(
            Control(
                "no-noise",
                "the noise: full-batch descent on labels without noise",
                {"drop": 0.15, "against_constant": 0.3},
                (
                    at_most(
                        "last_constant",
                        "it learns the teacher to a squared error of 0.05",
                        0.05,
                        "squared error",
                    ),
                ),
            ),
            Control(
                "from-teacher",
                "the distance to go: the students start as the teacher, so that no rate is too "
                "small",
                {"too_early": 1.0},
                (
                    at_most(
                        "last_constant",
                        "the constant rate keeps it at a floor, at most 0.05",
                        0.05,
                        "squared error",
                    ),
                ),
            ),
        ),
        disputed="That the gain is only less noise is disputed: on real networks decay is said to "
        "help because it lets them learn more complex patterns later {cite}`you2019`.",
    ),
)

NAMES = {
    "constant": "constant",
    "divided": "divided by 10, twice",
    "small": "100 times smaller",
}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """The error of each schedule with the floors that theory predicts; and without noise."""
    titles = {MAIN: "noisy batches", "no-noise": "no noise"}
    shown = [variant for variant in titles if variant in runs]
    with figures.style():
        drawn, axes = plt.subplots(1, len(shown), figsize=(8.2, 3.5), sharey=True, squeeze=False)
        for panel, variant in zip(axes[0], shown, strict=True):
            results = list(runs[variant].values())
            for name, label in NAMES.items():
                curves = np.array([r[f"error_{name}"] for r in results])
                figures.band(panel, results[0]["at"], curves, label=label, markevery=10)
            panel.set(xlabel="steps", yscale="log", title=titles[variant])
        results = list(runs[MAIN].values())
        for quantity, label in (("floor", "floors in theory"), ("floor_divided", None)):
            floor = np.mean([r[quantity] for r in results])
            axes[0][0].axhline(floor, **figures.THEORY, label=label)
        axes[0][0].set(ylabel="squared error (noise aside)")
        axes[0][0].legend(fontsize=8.5)
    return figures.Figure(
        drawn,
        label="fig-divide",
        caption="A student network learns a teacher, at a constant learning rate, at one that is "
        "divided by ten twice, and at a hundredth from the start. Left, on fresh noisy batches: "
        "the constant rate rests near the floor that the theory of a quadratic predicts (upper "
        "dashed line; the lower one is for a tenth of the rate), and the error falls with the "
        "division. Right, full-batch descent without noise: the division stops progress. Bands "
        "are one standard deviation over seeds.",
        alt="Two panels of squared error on a logarithmic axis against steps. Left, the curve of "
        "the constant rate falls and then wavers about the upper dashed line; the divided one "
        "drops at 1,500 steps; the small one falls slowly and ends highest. Right, the constant "
        "rate falls smoothly to the end, the divided one goes flat at the division.",
    )
