"""Do bad local minima exist, and does high dimension take them away?

Safran and Shamir ({cite}`safran2018`) let a ReLU network learn from another: k units with
orthonormal weights, normal examples, infinitely many of them. They prove by computer that a student
of exactly k units has bad local minima for 6 <= k <= 20, in any number of inputs; that gradient
descent falls into them more often the larger k; and that a unit or two more take most of them away.
We follow the exact loss (`labs.teachers`) from many starts and look at where they end: at the
loss, at the slope, and at the curvature in all directions.

What would refute it: students of the teacher's size that all find it; end points with a way down;
or as many stuck students when the same weights are spent on inputs, not on units, so that it is the
number of dimensions that helps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep import device
from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.labs import teachers
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/sgd/can-you-build-a-box"
SLOPE = 1e-4  # a student has arrived when its gradient is at most so long
FOUND = 1e-4  # ... or its loss so small: it has found the teacher
STUCK = 1e-3  # and is stuck when it arrived at a loss above this
LOOKED_AT = 5  # stuck students whose curvatures are computed
EXTRA = (0, 1, 2)
HOW = {"steps": 250, "rate": 0.06, "momentum": 0.9, "slope": SLOPE}
ROUNDS = 24  # of so many steps at most; the momentum starts anew in each


@dataclass(frozen=True)
class Settings:
    """``starts`` students for each size in ``units`` and each number of EXTRA ones.

    ``small`` and ``large`` are the sizes of which the claim speaks. ``extra`` is what a student has
    more than its teacher: "units", or as many "inputs", which is the same number of weights for a
    student of k units, k (k + extra). ``halved``: one unit of each stuck student is replaced by two
    halves of it, before its curvatures are looked at.
    """

    starts: int = 40
    units: tuple[int, ...] = (6, 8, 10, 12, 15)
    small: int = 10
    large: int = 15
    extra: str = "units"
    halved: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {
    "few-units": {"units": (3, 5), "small": 3, "large": 5},
    "inputs": {"units": (10, 15), "extra": "inputs"},
    "halved": {"units": (10,), "large": 10, "halved": True},
}


def settle(w: Float[Tensor, "b n d"], teacher: Float[Tensor, "k d"]) -> teachers.Descent:
    """Descent in rounds until every student has arrived: at a small slope, or at the teacher."""
    running = torch.arange(len(w), device=w.device)
    first = teachers.descend(w, teacher, **HOW)
    end, loss, slope, steps = first.weights, first.loss, first.slope, first.steps
    for _ in range(ROUNDS - 1):
        running = running[(slope[running] > SLOPE) & (loss[running] > FOUND)]
        if not len(running):
            break
        found = teachers.descend(end[running], teacher, **HOW)
        end[running], loss[running] = found.weights, found.loss
        slope[running] = found.slope
        steps[running] += found.steps
    return teachers.Descent(end, loss, slope, steps)


def polish(w: Float[Tensor, "b n d"], teacher: Float[Tensor, "k d"]) -> Float[Tensor, "b n d"]:
    """Two Newton steps to the critical point next to ``w``: slope 1e-4 falls below 1e-8."""
    for _ in range(2):
        g = teachers.gradient(w, teacher).flatten(1)
        w = w - torch.linalg.solve(teachers.hessian(w, teacher), g).view(w.shape)
    return w


def halve(w: Float[Tensor, "b n d"], unit: int) -> Float[Tensor, "b n+1 d"]:
    """The same function with one unit more: relu(w . x) = 2 relu(w / 2 . x); ``unit`` >= 0."""
    half = w[:, unit : unit + 1] / 2
    return torch.cat([w[:, :unit], half, half, w[:, unit + 1 :]], 1)


def run(settings: Settings, chance: Chance) -> Result:
    """Share of stuck students by size and extra units, their losses, and curvatures where stuck.

    ``stuck`` (extra, sizes); ``losses`` (extra, sizes, starts): final losses in falling order.
    ``lowest``: the lowest eigenvalue of the Hessian at stuck students of the size ``small``, the
    least over LOOKED_AT of them; 0 if none is stuck. ``moved``: by how much halving a unit changed
    their loss. ``unfinished``: share of all students that did not arrive.
    """
    sizes, where = settings.units, device.current()
    shape = (len(sizes), len(EXTRA))
    losses = np.empty((*shape, settings.starts))
    stuck, unfinished = np.empty(shape), np.empty(shape)
    lowest = moved = kept_slope = 0.0
    members = iter(chance.members(len(sizes) * len(EXTRA)))
    for i, k in enumerate(sizes):
        for j, extra in enumerate(EXTRA):
            units, inputs = (k + extra, k) if settings.extra == "units" else (k, k + extra)
            teacher = teachers.orthonormal_teacher(k, inputs).to(where)
            w = teachers.starts(settings.starts, units, inputs, next(members).numpy()).to(where)
            found = settle(w, teacher)
            losses[i, j] = np.sort(found.loss.cpu().numpy())[::-1]
            stuck[i, j] = teachers.stuck(found, STUCK, SLOPE)
            late = (found.slope > SLOPE) & (found.loss > FOUND)
            unfinished[i, j] = float(late.double().mean())
            at = (found.loss > STUCK) & (found.slope <= SLOPE)
            if k == settings.small and not extra and at.any():
                w = polish(found.weights[at][:LOOKED_AT], teacher)
                before = teachers.loss(w, teacher)
                w = halve(w, 0) if settings.halved else w
                moved = float((teachers.loss(w, teacher) - before).abs().max())
                kept_slope = float(teachers.gradient(w, teacher).abs().max())
                lowest = float(torch.linalg.eigvalsh(teachers.hessian(w, teacher)).min())
    small, large = sizes.index(settings.small), sizes.index(settings.large)
    by = {"extra": EXTRA, "units": [f"k={k}" for k in sizes]}
    shelves = losses.swapaxes(0, 1).astype(np.float32)
    return Result(
        units=(list(sizes), "units"),
        rank=(np.arange(1, settings.starts + 1), "students"),
        losses=Quantity(shelves, "loss", **by, student=None),
        stuck=Quantity(stuck.T, "share of starts", **by),
        stuck_small=(stuck[small, 0], "share of starts"),
        rise=(stuck[large, 0] - stuck[small, 0], "share of starts"),
        one_more=(stuck[small, 1] - 0.2 * stuck[small, 0], "share of starts"),
        two_more=(stuck[large, 2] - 0.2 * stuck[large, 0], "share of starts"),
        lowest=(lowest, "curvature"),
        slope=(kept_slope, "largest entry of the gradient"),
        moved=(moved, "loss"),
        unfinished=(unfinished.max(), "share of starts"),
        least=(losses[:, 0, -1].max(), "loss"),
    )


def freed(result: Result, extra: int, size: str) -> float:
    """The share of the stuck students of the size ``small`` or ``large`` that extra units free."""
    k = getattr(Settings(), size)
    return float(1 - result[f"stuck[{extra}, k={k}]"] / result[f"stuck[0, k={k}]"])


ARRIVED = (
    at_most("unfinished", "at most {bound:word} of the students have not arrived anywhere", 0.1),
    at_most(
        "least", "the best student of every size has found the teacher, to a loss of {bound}", STUCK
    ),
)
CLAIMS = (
    Claim(
        id="safran2018-spurious-minima", cite="safran2018", kind="effect", expected=SHOWN,
        title="Are there bad minima in a hundred dimensions?",
        says="A ReLU network of exactly the size of its teacher, $6 \\le k \\le 20$ orthonormal "
        "units, has bad local minima; the chance to fall into one is high and grows with the size; "
        "and mild over-parametrisation reduces them drastically (abstract).",
        tested="The paper's exact loss over normal inputs: 40 students of each size, teachers of 6 "
        "to 15 units, until they rest; the curvatures where a student of 10 units is stuck.",
        so="Of the students of 10 units "
        "{num}`theory-survey/sgd/spurious-minima stuck[0,k=10] .0% ±` get stuck, of those of 15 "
        "{num}`theory-survey/sgd/spurious-minima stuck[0,k=15] .0% ±`; with 11 units for a teacher "
        "of 10 {num}`theory-survey/sgd/spurious-minima stuck[1,k=10] .0%`, and with 17 for a "
        "teacher of 15 {num}`theory-survey/sgd/spurious-minima stuck[2,k=15] .0%`.",
        caveat="One unit more is not always enough: "
        "{num}`theory-survey/sgd/spurious-minima stuck[1,k=15] .0% ±` of the students of 16 units "
        "stay stuck at a teacher of 15. The teacher is special: orthonormal units, outputs that "
        "are added up, normal inputs.",
        paper=(
            ("sizes with bad local minima", "$6 \\le k \\le 20$", "abstract; proved by computer"),
            ("chance to fall into one", "“quite high, and increasing”", "abstract"),
            ("with a few more units", "“drastically” reduced", "abstract"),
        ),
        decides=(
            at_least("stuck_small", "at least {bound} of the students of 10 units get stuck", 0.15,
                     none=0.0, because="one in seven is the least that one would call quite high"),
            at_least("rise", "with 15 units it is at least {bound} more", 0.2, none=0.0,
                     because="one student in five more, for half as many units again"),
            at_least("lowest", "where a student of 10 units is stuck, the loss curves upwards in "
                     "all 100 directions: the least curvature is at least {bound}", 0.005, none=0.0,
                     because="far above the rounding of the curvatures after Newton's steps"),
            Condition("one-more", "with 11 units for a teacher of 10 at least {bound:%} % fewer "
                      "are stuck", lambda r: freed(r, 1, "small"), ">=", 0.8, "share of the stuck",
                      none=0.0, because="at most one in five left is what we call drastically"),
            Condition("two-more", "with 17 units for a teacher of 15 at least {bound:%} % fewer "
                      "are stuck", lambda r: freed(r, 2, "large"), ">=", 0.8, "share of the stuck",
                      none=0.0, because="as for one unit more"),
        ),
        controls=(
            Control(
                "few-units", "the number of units: teachers and students of 3 and 5, below the "
                "theorem's 6", ("stuck_small", "rise"),
                ARRIVED,
            ),
            Control(
                "inputs", "the extra units: as many further weights, but spent on inputs, so that "
                "the loss has as many dimensions", ("one-more", "two-more"),
                ARRIVED,
            ),
            Control(
                "halved", "the exact size: the same functions written with 11 units, one unit in "
                "two halves", ("lowest",),
                (
                    *ARRIVED,
                    at_most("moved", "halving leaves the loss as it is, to $10^{{bound:log10}}$",
                            1e-9),
                    at_most("slope", "it is still a critical point: no entry of the gradient "
                            "above $10^{{bound:log10}}$", 1e-6),
                ),
            ),
        ),
        changes=("What extra units free is measured as a share of the stuck, with the same bound "
                 "of four in five.",),
        limits="Not the existence of the minima, but what extra units do, is open: one extra "
        "unit turns the minima that are known into saddles, which does not show that no others "
        "are left {cite}`safran2021`.",
    ),
)  # fmt: skip

NAMES = {0: "as many units as the teacher", 1: "one more", 2: "two more"}
PLOT = Plot(
    sweep=Axis("units of the teacher"),
    at="units",
    y=Axis("final loss"),
    series={f"losses[{extra}]": name for extra, name in NAMES.items()},
    variants={MAIN: "orthonormal teacher"},
)


def figure(runs: Runs) -> figures.Figure:
    """Stuck share against the teacher's size, by extra units; beside it with inputs instead."""
    # The curves begin with the control's small teachers, where it has as many seeds.
    few = len(runs.get("few-units", ())) == len(runs[MAIN])
    joined = ("few-units", MAIN) if few else (MAIN,)
    bars = {
        MAIN: ("extra units", "blue", "o", None),
        "inputs": ("extra inputs", "vermillion", "s", "//"),
    }
    with panels(2, size=(8.6, 3.6), width_ratios=(3, 2)) as (drawn, (left, right)):
        units = np.concatenate([first(runs, "units", variant) for variant in joined])
        for extra, name in NAMES.items():
            values = [over_seeds(runs, f"stuck[{extra}]", v, factor=100.0) for v in joined]
            figures.band(left, units, np.concatenate(values, 1), label=name)
        left.axvline(5.5, **figures.THEORY | {"linewidth": 1}, label="proved to exist from here on")
        left.set(xlabel="units of the teacher", ylabel="stuck (% of starts)")
        left.set(xlim=(2.5, 15.5), ylim=(-3, 103))
        about = {"frameon": True, "facecolor": figures.BACKGROUND, "edgecolor": "none"}
        left.legend(loc="upper left", fontsize=9, framealpha=1, **about)
        places = np.arange(2)
        for row, (variant, (name, colour, marker, hatch)) in enumerate(bars.items()):
            if variant in runs:
                shown = ("stuck[1, k=10]", "stuck[2, k=15]")
                values = [over_seeds(runs, place, variant, factor=100.0) for place in shown]
                figures.bars(
                    right,
                    places + 0.36 * (row - 0.5),
                    np.array(values).T,
                    label=name,
                    colour=figures.COLOURS[colour],
                    marker=marker,
                    hatch=hatch,
                )
        ticks(right, places, ["10 units,\n1 more", "15 units,\n2 more"])
        right.set(ylim=(-3, 103), xlim=(-0.6, 1.6))
        right.grid(axis="x", visible=False)
        right.legend(loc="upper left", fontsize=9)
    starts = len(first(runs, "rank"))
    return figures.Figure(
        drawn,
        label="fig-box-stuck",
        caption="Left: the share of students that get stuck at a bad loss, against the size of the "
        "teacher, for students of that size and with one or two units more; mean and standard "
        f"deviation over {figures.count(len(runs[MAIN]))} of {starts} starts each. "
        "The dashed line: from here on such minima are proved to exist. Right: the same number of "
        "extra weights spent on units and on inputs.",
        alt="Left, the curve of students of the teacher's size is at zero up to six units and then "
        "climbs steeply to more than four fifths at fifteen. With one more unit it leaves zero "
        "only beyond ten; with two more it stays near zero. Right, bars: with extra units next to "
        "none are stuck, with extra inputs about as many as without.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The final losses of all students in falling order, by the size of the teacher."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    starts = len(first(runs, "rank"))
    share = over_seeds(runs, "stuck[0, -1]", factor=100.0).mean()
    options = (0, 10, 40, 80)
    return PLOT.explorer(
        runs,
        key="shelves",
        title="Where the students of one teacher end",
        about=f"Each curve is {starts} students in the order of their final loss, the worst first. "
        "Move to larger teachers. Where do shelves appear, and how long are they? Which of them "
        "are left with one more unit, and with two?",
        x=Axis("student, worst first"),
        x_values="rank",
        predict=Prediction(
            "A teacher of 15 units, students of 15 units: about how many in a hundred end at a "
            "bad minimum?",
            tuple(f"about {option}" for option in options),
            int(np.argmin([abs(share - option) for option in options])),
            "The loss has 225 dimensions there, and most students are stuck all the same. It is "
            "not the number of dimensions that decides.",
        ),
    )
