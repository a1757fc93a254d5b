"""Is a network that is larger than the one that made the labels easier to train?

{cite:t}`livni2014` show that learning is hard in the worst case if the learner has the very size of
the network that labelled the data, and observe that it becomes easy in practice if the learner is
larger: over-specified. We ask it in two forms. In form (a) the labels come from k orthonormal ReLU
units, where bad minima are known ({cite:t}`safran2018`): which share of starts stays stuck, for k
units and a few more? In form (b) they come from random ReLU units with outputs of random sign, and
the learner sees examples: how much lower is the test error after as many steps, for 4 k units?
We ask (b) for a small teacher and for one that takes longer to learn.

What would refute it: more units that leave as many starts stuck; errors that are no lower by
far; or copies of the same units that help as much as new ones.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.descent import mean_loss, squared_error, train
from whydeep.evidence.claims import PARTLY, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.labs.teachers import descend, orthonormal_teacher, starts, stuck
from whydeep.networks import Dense
from whydeep.show import figures

PAGE = "theory-survey/sgd/more-weights-than-data"


@dataclass(frozen=True)
class Settings:
    """(a) ``units`` orthonormal units; learners with ``extra`` more, ``tries`` starts each.

    (b) ``teachers`` networks of random units, for each of two sizes, ``small`` and ``large``: their
    units and inputs. Learners of as many units and of ``times`` as many, on ``examples`` examples,
    ``sgd_steps`` steps with momentum 0.9, the better of two learning rates. ``copies``: the units
    that the larger learner has more are copies of the others. ``forms``: which of the two are run.
    """

    units: int = 15
    extra: tuple[int, ...] = (0, 1, 2)
    tries: int = 20
    steps: int = 2000
    small: tuple[int, int] = (8, 20)
    large: tuple[int, int] = (15, 50)
    times: int = 4
    teachers: int = 3
    examples: int = 10_000
    batch_size: int = 50
    sgd_steps: int = 600
    rates: tuple[float, ...] = (0.05, 0.1)
    copies: bool = False
    forms: str = "ab"


SCALES = {"quick": Settings()}
VARIANTS = {"three-units": {"units": 3, "forms": "a"}, "copies": {"copies": True, "forms": "b"}}


def learner(inputs: int, units: int, times: int, *, generator: torch.Generator) -> Dense:
    """A layer of ``units`` ReLU units, each present ``times`` times, and one linear output."""
    network = Dense((inputs, units * times, 1), generator=generator)
    with torch.no_grad():
        for weight in (network.layers["1"].weight, network.classifier.weight.T):
            weight.copy_(weight[:units].repeat(times, 1))
    return network


def random_labels(
    settings: Settings, units: int, inputs: int, rng: np.random.Generator
) -> tuple[Float[Tensor, "n d"], Float[Tensor, "k n 1"]]:
    """Normal examples, and what each teacher, a sum of +-relu, says of them: variance 1."""
    x = rng.standard_normal((settings.examples + 1000, inputs))
    labels = []
    for _ in range(settings.teachers):
        v = rng.standard_normal((units, inputs))
        v /= np.linalg.norm(v, axis=1, keepdims=True)
        y = np.maximum(x @ v.T, 0) @ rng.choice([-1.0, 1.0], units)
        labels.append((y - y.mean()) / y.std())
    return torch.from_numpy(x).float(), torch.from_numpy(np.array(labels)).float()[:, :, None]


def stuck_shares(settings: Settings, chance: Chance) -> dict:
    """Form (a): shares of starts that end at a bad point, by the learner's size."""
    teacher, shares, there = orthonormal_teacher(settings.units), [], []
    for extra in settings.extra:
        units = settings.units + extra
        start = starts(settings.tries, units, settings.units, chance.numpy(extra))
        # The rate is half of what the largest curvature allows without momentum.
        found = descend(start, teacher, steps=settings.steps, rate=2 / (units + 2), momentum=0.9)
        shares.append(stuck(found))
        there.append(float((found.loss <= 1e-3).double().mean()))
    return dict(
        learner_units=(np.array([settings.units + extra for extra in settings.extra]), "units"),
        stuck=(np.array(shares), "share of starts"),
        stuck_exact=(shares[0], "share of starts"),
        stuck_more=(shares[-1], "share of starts"),
        freed=(shares[0] - shares[-1], "share of starts"),
        found_exact=(there[0], "share of starts"),
        found_more=(there[-1], "share of starts"),
    )


def error_curves(
    settings: Settings, size: tuple[int, int], chance: Chance, device: str
) -> Float[np.ndarray, "2 times"]:
    """Form (b): test errors of the exact learner and of the larger one, 0 to ``sgd_steps`` steps.

    The labels' variance is 1. A teacher counts with the learning rate that ends lower; errors are
    means over teachers.
    """
    units, inputs = size
    x, y = random_labels(settings, units, inputs, chance.numpy(10_000))
    n, rates = settings.examples, settings.rates
    y = y.repeat(len(rates), 1, 1)
    curves = []
    for width, copied in ((1, 1), (settings.times, settings.times if settings.copies else 1)):
        trained = train(
            partial(learner, inputs, units * width // copied, copied),
            x[:n].to(device),
            y[:, :n].to(device),
            seeds=chance.members(settings.teachers) * len(rates),
            lr=[rate for rate in rates for _ in range(settings.teachers)],
            momentum=0.9,
            steps=settings.sgd_steps,
            batch_size=settings.batch_size,
            loss=squared_error,
            measure={"error": mean_loss(x[n:], y[:, n:], squared_error)},
            measure_at=measured_at(settings),
            device=device,
        )
        errors = trained.history["error"].double().nan_to_num(math.inf)
        errors = errors.view(len(rates), settings.teachers, -1)
        best = errors[:, :, -1].argmin(0)
        curves.append(errors[best, torch.arange(settings.teachers)].mean(0).numpy())
    return np.array(curves)


def measured_at(settings: Settings) -> list[int]:
    """The steps at which the test error of form (b) is taken: 17, evenly spread."""
    return np.linspace(0, settings.sgd_steps, 17).astype(int).tolist()


def run(settings: Settings, chance: Chance) -> Result:
    """(a) shares of stuck starts by learner's size; (b) test errors, for two sizes of teacher."""
    found = stuck_shares(settings, chance) if "a" in settings.forms else {}
    if "b" in settings.forms:
        unit = "test error over variance of the labels"
        found["sgd_steps"] = (np.array(measured_at(settings)), "steps")
        for name in ("small", "large"):
            curves = error_curves(settings, getattr(settings, name), chance, device)
            exact, more = (float(curve[-1]) for curve in curves)
            found |= {
                f"error_{name}": (curves, unit),
                f"exact_{name}": (exact, unit),
                f"more_{name}": (more, unit),
                f"ratio_{name}": (more / exact, "ratio of test errors"),
            }
    return Result(**found)


CLAIMS = (
    Claim(
        id="livni2014-overspecification",
        cite="livni2014",
        sentence="A learner of the very size of the network that made the labels is hard to train "
        "in the worst case; one that is larger, over-specified, is easier to train.",
        kind="effect",
        expected=PARTLY,
        missed=("ratio_large",),
        # A control runs one of the tasks only: what it did not measure is not a number.
        conditions=(
            Condition(
                "freed",
                "(a) two units more than the teacher's 15 free at least {bound:%} % of all starts",
                lambda result: float(result.get("freed", np.nan)),
                ">=",
                0.4,
                "share of starts",
            ),
            Condition(
                "ratio_small",
                "(b) for a teacher of 8 units, 32 units end with at most {bound} times the test "
                "error of 8",
                lambda result: float(result.get("ratio_small", np.nan)),
                "<=",
                0.4,
                "ratio of test errors",
            ),
            Condition(
                "ratio_large",
                "(b) for a teacher of 15 units, 60 units end with at most {bound} times the test "
                "error of 15",
                lambda result: float(result.get("ratio_large", np.nan)),
                "<=",
                0.4,
                "ratio of test errors",
            ),
        ),
        controls=(
            Control(
                "three-units",
                "bad minima: for a teacher of three orthonormal units none are known",
                {"freed": 0.3},
                (
                    at_least(
                        "found_more",
                        "the larger learner finds the teacher from at least {bound:%} % of the "
                        "starts",
                        0.95,
                    ),
                ),
                by_design="no start gets stuck, for any seed",
            ),
            Control(
                "copies",
                "the difference of the units: the larger learner has four copies of each",
                {"ratio_small": 0.3, "ratio_large": 0.3},
                (
                    at_most(
                        "more_small",
                        "the learner of copies learns: its error is at most {bound:word} of the "
                        "labels' variance",
                        0.2,
                    ),
                ),
            ),
        ),
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Form (a): stuck shares against extra units; form (b): errors against steps, two teachers."""
    results = list(runs[MAIN].values())
    names = {MAIN: "teacher of 15 units", "three-units": "teacher of 3 units"}
    with figures.style():
        drawn, axes = plt.subplots(1, 3, figsize=(10.4, 3.5), width_ratios=(0.9, 1, 1))
        for variant, name in names.items():
            if variant in runs:
                its = list(runs[variant].values())
                extra = its[0]["learner_units"] - its[0]["learner_units"][0]
                figures.band(axes[0], extra, np.array([100 * r["stuck"] for r in its]), label=name)
        axes[0].set(xlabel="units more than the teacher", ylabel="starts that get stuck (%)")
        axes[0].set_xticks(extra)
        axes[0].set_ylim(-4, 108)
        axes[0].legend(fontsize=8, loc="upper right")
        for panel, name, k in ((axes[1], "small", 8), (axes[2], "large", 15)):
            at = results[0]["sgd_steps"]
            for i, label in enumerate((f"{k} units", f"{4 * k} units")):
                values = np.log10([r[f"error_{name}"][i] for r in results])
                figures.band(panel, at, values, label=label, markevery=4)
            if "copies" in runs:
                its = runs["copies"].values()
                values = np.log10([r[f"error_{name}"][1] for r in its])
                figures.band(panel, at, values, label=f"{4 * k} units, copies", markevery=4)
            panel.set(xlabel="step", ylim=(-3.4, 0.3), title=f"random teacher of {k} units")
            panel.set_yticks(range(-3, 1), ("0.001", "0.01", "0.1", "1"))
            panel.legend(fontsize=8, loc="lower left")
        axes[1].set_ylabel("test error (variance of labels = 1)")
    return figures.Figure(
        drawn,
        label="fig-larger-learner",
        caption="Left, form (a): the share of starts that end at a bad minimum, against the number "
        "of units that the learner has more than the teacher. Middle and right, form (b): test "
        "error against steps for learners of the teacher's size and four times as large, and for "
        "four copies of each unit. Bands are one standard deviation over "
        f"{figures.count(len(results))}.",
        alt="Three panels. Left, most starts of the exact learner get stuck; with one unit more it "
        "is a minority, with two almost none; for a teacher of three units none gets stuck. "
        "Middle, the larger learner's error falls far below that of the exact "
        "one, and copies do not help. Right, with a larger teacher the curves stay together.",
    )
