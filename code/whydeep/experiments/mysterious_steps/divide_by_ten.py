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

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "mysterious-steps/a-small-step"
INPUTS, TEACHER_UNITS, STUDENT_UNITS = 10, 8, 16
EVERY = 50  # steps from one look at the error to the next
SCHEDULES = {"constant": (1, 1, 1), "divided": (1, 0.1, 0.01), "small": (0.01, 0.01, 0.01)}
# W (..., inputs, units), b (..., units), v (..., units), c (...): c + v^T tanh(W^T x + b).
Weights = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Settings:
    """Students of 16 tanh units learn a teacher of 8; labels are its outputs plus ``noise``.

    ``students`` start from as many draws; all of one seed share the teacher. The rate is divided
    by 10 after each of the steps ``divide_at``. Every batch is fresh, unless ``full_batch``: then
    every student has ``batch_size`` examples, and sees all of them in every step.
    ``from_teacher``: the students start as the teacher, so that there is nothing to learn and all
    there is to do is not to lose it.
    """

    rate: float = 0.1
    batch_size: int = 16
    noise: float = 0.5
    divide_at: tuple[int, int] = (1500, 2250)
    steps: int = 3000
    students: int = 4
    full_batch: bool = False
    from_teacher: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {
    "no-noise": {"noise": 0.0, "batch_size": 256, "full_batch": True, "students": 1},
    "from-teacher": {"from_teacher": True},
}


def outputs(
    weights: Weights, x: Float[np.ndarray, "... n inputs"]
) -> tuple[Float[np.ndarray, "... n units"], Float[np.ndarray, "... n"]]:
    """The hidden units and the outputs of a stack of networks, each on its own examples or all
    on the same."""
    w, b, v, c = weights
    hidden = np.tanh(x @ w + b[..., None, :])
    return hidden, (hidden @ v[..., None])[..., 0] + c[..., None]


def gradients(
    weights: Weights, x: Float[np.ndarray, "... n inputs"], y: Float[np.ndarray, "... n"]
) -> Weights:
    """The gradients of each network's mean squared error, by the backward recursion."""
    hidden, answers = outputs(weights, x)
    delta = 2 * (answers - y) / x.shape[-2]
    back = delta[..., None] * weights[2][..., None, :] * (1 - hidden**2)
    return (
        np.swapaxes(x, -1, -2) @ back,
        back.sum(-2),
        (delta[..., None, :] @ hidden)[..., 0, :],
        np.asarray(delta.sum(-1)),  # a scalar for a single network
    )


def draw(rng: np.random.Generator, units: int, variance: float) -> Weights:
    """A network with W of variance 1 / inputs, v of this variance, and thresholds 0."""
    w = rng.standard_normal((INPUTS, units)) / INPUTS**0.5
    v = variance**0.5 * rng.standard_normal(units)
    return w, np.zeros(units), v, np.zeros(())


def as_student(teacher: Weights, student: Weights) -> Weights:
    """The student with its first units replaced by the teacher's and the others silenced."""
    w, b, v, c = (part.copy() for part in student)
    w[:, :TEACHER_UNITS], v[:] = teacher[0], 0
    v[:TEACHER_UNITS] = teacher[2]
    return w, b, v, c


def curvatures(student: Weights, x: Float[np.ndarray, "n inputs"]) -> Float[np.ndarray, " weights"]:
    """The eigenvalues of the Hessian of the mean squared error where the residuals are 0.

    There it is twice the mean of the outer product of the output's gradient with itself.
    """
    hidden, _ = outputs(student, x)
    slope = student[2] * (1 - hidden**2)
    in_w = (x[:, :, None] * slope[:, None, :]).reshape(len(x), -1)
    jacobian = np.concatenate([in_w, slope, hidden, np.ones((len(x), 1))], axis=1)
    return np.linalg.eigvalsh(2 * jacobian.T @ jacobian / len(x)).clip(0)


def predicted_floor(
    curvatures: Float[np.ndarray, " weights"], *, rate: float, noise: float, batch_size: int
) -> float:
    """The mean squared error, noise aside, at which SGD on fresh examples comes to rest.

    Along an eigenvector of curvature lambda a step's gradient has the variance
    tau^2 = 2 noise^2 lambda / batch_size, and the loss the floor rate tau^2 / (2 (2 - rate lambda))
    (the theorem of the page); the floors add up. inf if a curvature is beyond 2 / rate.
    """
    if curvatures.max() * rate >= 2:
        return float("inf")
    return float(rate * noise**2 / batch_size * (curvatures / (2 - rate * curvatures)).sum())


def run(settings: Settings, chance: Chance) -> Result:
    """The error of each schedule along the steps, against the teacher's answers without noise.

    Errors are mean squared errors on 1,000 fresh inputs, averaged over the students; before a
    division and at the end over the last ten looks, after the first division over the looks from
    300 to 500 steps later. Students with equal starts see equal batches under every schedule.
    Runs on the CPU.
    """
    rng = chance.numpy()
    teacher = draw(rng, TEACHER_UNITS, 1 / 2)
    starts = [draw(rng, STUDENT_UNITS, 1 / STUDENT_UNITS) for _ in range(settings.students)]
    if settings.from_teacher:
        starts = [as_student(teacher, student) for student in starts]
    shape = (settings.students, settings.batch_size)
    x_test = rng.standard_normal((1000, INPUTS))
    y_test = outputs(teacher, x_test)[1]

    def batch() -> tuple[np.ndarray, np.ndarray]:
        x = rng.standard_normal((*shape, INPUTS))
        return x, outputs(teacher, x)[1] + settings.noise * rng.standard_normal(shape)

    # One row a schedule, one column a student.
    weights = tuple(
        np.repeat(np.stack(parts)[None], len(SCHEDULES), axis=0)
        for parts in zip(*starts, strict=True)
    )
    factors = np.array(list(SCHEDULES.values()))
    examples, looks = batch(), []
    for step in range(settings.steps + 1):
        if step % EVERY == 0:
            found = outputs(weights, x_test)[1]
            looks.append(((found - y_test) ** 2).mean((-2, -1)))
        phase = sum(step >= division for division in settings.divide_at)
        rate = settings.rate * factors[:, phase]
        slopes = gradients(weights, *examples)
        weights = tuple(
            w - rate.reshape(-1, *[1] * (w.ndim - 1)) * g
            for w, g in zip(weights, slopes, strict=True)
        )
        if not settings.full_batch:
            examples = batch()
    errors = np.array(looks).T  # (schedules, looks)
    constant, divided, small = (curve[-10:].mean() for curve in errors)
    middle, look = errors[list(SCHEDULES).index("divided")], settings.divide_at[0] // EVERY
    before = middle[look - 9 : look + 1].mean()
    after = middle[look + 300 // EVERY : look + 500 // EVERY + 1].mean()
    member = list(SCHEDULES).index("divided"), 0
    settled = tuple(np.asarray(part[member]) for part in weights)
    bent = curvatures(settled, x_test)
    about = {"noise": settings.noise, "batch_size": settings.batch_size}
    unit, ratio, at = "squared error", "ratio of errors", range(0, settings.steps + 1, EVERY)
    return Result(
        at=(at, "steps"),
        error=Quantity(errors, unit, schedule=SCHEDULES, step=at),
        last=Quantity((constant, divided, small), unit, schedule=SCHEDULES),
        before=(before, unit),
        drop=(after / before, ratio),
        against_constant=(divided / constant, ratio),
        too_early=(small / constant, ratio),
        floor=(predicted_floor(bent, rate=settings.rate, **about), unit),
        floor_divided=(predicted_floor(bent, rate=settings.rate / 10, **about), unit),
    )


# --- What the claims ask ---


def at_once(result: Result) -> float:
    """The error of the divided rate over that of the constant one, over the same steps.

    The steps are those from 300 to 500 after the division at step 1,500.
    """
    steps = np.asarray(result["at"])
    looks = (steps >= 1800) & (steps <= 2000)
    divided, constant = (result["error"][list(SCHEDULES).index(n)] for n in ("divided", "constant"))
    return float(divided[looks].mean() / constant[looks].mean())


CLAIMS = (
    Claim(
        id="krizhevsky2012-divide-by-ten", title="Why divide the learning rate by ten, and when?",
        cite="krizhevsky2012", kind="effect", expected=SHOWN, ours=True,
        says="When noise holds the error at a floor, dividing the learning rate by ten lowers "
        "it at once, and dividing too early is worse than never dividing.",
        tested="Networks of 16 tanh units learn the noisy answers of one of 8, from fresh examples "
        "in batches of 16, for 3,000 steps; the rate is divided after 1,500 and 2,250 of them, "
        "never, or is a hundredth from the start.",
        so="Within 500 steps of the division the error is {num}`krizhevsky2012-divide-by-ten:drop "
        ".2f` of what it was, at the end {num}`krizhevsky2012-divide-by-ten:against_constant .2f` "
        "of the constant rate's; a hundredth of the rate from the start ends at "
        "{num}`krizhevsky2012-divide-by-ten:too_early .1f` times that.",
        caveat="Over the same 200 steps the divided rate has {num}`krizhevsky2012-divide-by-ten:"
        "at_once .2f` of the constant one's error. The recipe is the paper's, this reason for it "
        "the book's: the toy has no examples to memorise. On digits a first run found an effect "
        "that was weak.",
        paper=(
            (
                "learning rate on ImageNet",
                ("{}, divided by {} when the validation error stopped improving, three times in "
                 "about {} epochs", 0.01, 10, 90),
                "section 5",
            ),
        ),
        decides=(
            at_most("drop", "300 to 500 steps after the division the error is at most "
                    "{bound:word} of what it was", 0.5, none=1.0, log=True,
                    because="a fall that an eye sees on the curve"),
            at_most("against_constant", "at the end it is at most {bound} times that of the "
                    "constant rate", 0.6, none=1.0, log=True,
                    because="two fifths less, for a schedule that costs nothing"),
            at_least("too_early", "a rate 100 times smaller from the start ends at no less than "
                     "{bound} times the error of the constant rate", 1.5, none=1.0, log=True,
                     because="half as much again is clearly worse"),
        ),
        mechanism=(
            Condition("at_once", "over the same steps, 300 to 500 after the division, the error is "
                      "at most {bound:word} of the constant rate's", at_once, "<=", 0.5,
                      "ratio of errors", none=1.0, log=True),
        ),
        controls=(
            Control(
                "no-noise", "the noise: full-batch descent on labels without noise",
                ("drop", "against_constant", "at_once"),
                (
                    at_most("last[constant]", "it learns the teacher to a squared error of {bound}",
                            0.05),
                ),
            ),
            Control(
                "from-teacher", "the distance to go: the students start as the teacher, so that "
                "no rate is too small", ("too_early",),
                (
                    at_most("last[constant]", "the constant rate keeps it at a floor, at most "
                            "{bound}", 0.05),
                ),
            ),
        ),
        contested="That the gain is only less noise {cite:t}`you2019` dispute: on real networks "
        "decay is said to help because it lets them learn more complex patterns later.",
        changes=("The statement is the book's, and marked so: the paper has the recipe, not the "
                 "reason. Bound of too_early 1.0 -> 1.5, as it was before calibration (stricter). "
                 "The error beside that of the constant rate over the same steps is shown.",),
    ),
)  # fmt: skip

NAMES = {"constant": "constant", "divided": "divided by 10, twice", "small": "100 times smaller"}


def figure(runs: Runs) -> figures.Figure:
    """The error of each schedule with the floors that theory predicts; and without noise."""
    titles = {MAIN: "noisy batches", "no-noise": "no noise"}
    shown = [variant for variant in titles if variant in runs]
    with panels(len(shown), size=(8.2, 3.5), sharey=True, squeeze=False) as (drawn, axes):
        for panel, variant in zip(axes[0], shown, strict=True):
            for name, label in NAMES.items():
                curves = over_seeds(runs, f"error[{name}]", variant)
                figures.band(panel, first(runs, "at", variant), curves, label=label, markevery=10)
            panel.set(xlabel="steps", yscale="log", title=titles[variant])
        for quantity, label in (("floor", "floors in theory"), ("floor_divided", None)):
            floor = over_seeds(runs, quantity).mean()
            axes[0, 0].axhline(floor, **figures.THEORY, label=label)
        axes[0, 0].set(ylabel="squared error (noise aside)")
        axes[0, 0].legend(fontsize=8.5)
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
