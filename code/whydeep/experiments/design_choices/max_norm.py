"""Does a bound on each unit's incoming weights keep training stable, and add to dropout?

The post lets every column of W_l be "bounded in l2 norm (say by 1)" ({cite}`bubeck2015`). Such a
bound came with dropout ({cite}`hinton2012`, appendix A.1; {cite}`srivastava2014`, section 5.1), and
Srebro and Shraibman studied it before ({cite}`srebro2005`). We train a dense network on pictures of
clothes at several learning rates, free and bounded by 1 after every step, without and with dropout.

What would refute it: a bounded network that fails at the same learning rate as the free one; or one
that is as stable if the bound is applied once, before training, and never again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.descent import member_seeds
from whydeep.descent.recipe import Dropout, Recipe, bound_norms, error, fit, generators, mean_loss
from whydeep.evidence.claims import PARTLY, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Dense
from whydeep.networks.miniature import Task, task
from whydeep.show import figures

PAGE = "design-choices/constraints-and-sizes"
GUESSING = math.log(10)  # the loss of ten equal probabilities
LONGEST = 1e6  # stands for any longer column, and for one that is not a number


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; two layers of ``units``.

    ``bound`` is c: no unit's incoming weights are longer. If not ``always``, they are cut to that
    length before the first step only. ``rates`` are the learning rates without dropout, where
    ``networks`` of them are averaged; ``dropout_rates`` those with ``dropout`` after each layer.
    """

    examples: int = 1000
    networks: int = 2
    units: int = 128
    bound: float = 1.0
    always: bool = True
    dropout: float = 0.5
    rates: tuple[float, ...] = (0.03, 0.1, 0.2, 0.4)
    dropout_rates: tuple[float, ...] = (0.01, 0.03, 0.1)
    epochs: int = 15
    batch_size: int = 100


SCALES = {"quick": Settings()}
VARIANTS = {"start-only": {"always": False}}


class Dropped(Dense):
    """`Dense` with dropout after every layer."""

    def __init__(
        self,
        widths: tuple[int, ...],
        rate: float,
        *,
        init: torch.Generator,
        chance: torch.Generator,
    ) -> None:
        super().__init__(widths, generator=init)
        self.drop = Dropout(rate, generator=chance)

    def features(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n features"]:
        for layer in self.layers.values():
            x = self.drop(self.activation(layer(x)))
        return x


def trained(
    data: Task,
    settings: Settings,
    rate: float,
    *,
    bounded: bool,
    dropout: float,
    seed: int,
) -> tuple[float, float, float]:
    """Training loss (nats), test error and the longest column of one network at one learning rate.

    The loss is the mean over the ends of the last five epochs; where it is above that of guessing,
    or not a number, that of guessing is taken.
    """
    chance = generators(seed)
    x, x_test = data.x.flatten(1), data.x_test.flatten(1)
    widths = (x.shape[1], settings.units, settings.units, 10)
    network = Dropped(widths, dropout, init=chance["init"], chance=chance["dropout"]).to(x.device)
    matrices = [layer.weight for layer in network.layers.values()]
    if bounded:
        for matrix in matrices:
            bound_norms(matrix, settings.bound)
    recipe = Recipe(
        settings.epochs,
        rate,
        settings.batch_size,
        max_norm=settings.bound if bounded and settings.always else None,
    )
    loss = fit(network, x, data.y, recipe, seed=seed, measure={"loss": mean_loss(x, data.y)})[
        "loss"
    ]
    with torch.no_grad():
        longest = max(float(matrix.norm(dim=1).nan_to_num(LONGEST).max()) for matrix in matrices)
        wrong = error(x_test, data.y_test)(network)
    ends = np.nan_to_num(loss[-5:], nan=GUESSING, posinf=GUESSING)
    return float(ends.clip(max=GUESSING).mean()), wrong, min(longest, LONGEST)


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """Loss and longest column for each learning rate, and the test error at the best one."""
    data = task(settings.examples, seed=seed, device=device)
    seeds = [int(s.generate_state(1)[0]) for s in member_seeds(seed, settings.networks)]

    def measured(name: str, *, dropout: bool) -> Float[np.ndarray, "three rates"]:
        rates = settings.dropout_rates if dropout else settings.rates
        how = {"bounded": name == "bounded", "dropout": settings.dropout if dropout else 0.0}
        found = [
            [trained(data, settings, rate, seed=one, **how) for rate in rates]
            for one in (seeds[:1] if dropout else seeds)
        ]
        return np.array(found).mean(0).T

    loss_free, _, longest_free = measured("free", dropout=False)
    loss_bounded, _, longest_bounded = measured("bounded", dropout=False)
    _, error_free, _ = measured("free", dropout=True)
    _, error_bounded, _ = measured("bounded", dropout=True)
    share = "fraction of test examples"
    return Result(
        rates=(np.array(settings.rates), "learning rate"),
        dropout_rates=(np.array(settings.dropout_rates), "learning rate"),
        loss_free=(loss_free, "nats"),
        loss_bounded=(loss_bounded, "nats"),
        longest_free=(longest_free, "norm of a unit's weights"),
        longest_bounded=(longest_bounded, "norm of a unit's weights"),
        error_dropout_free=(error_free, share),
        error_dropout_bounded=(error_bounded, share),
        high_free=(loss_free[-1], "nats"),
        high_bounded=(loss_bounded[-1], "nats"),
        best_free=(loss_free.min(), "nats"),
        best_bounded=(loss_bounded.min(), "nats"),
        longest_high_free=(longest_free[-1], "norm of a unit's weights"),
        ratio=(loss_bounded[-1] / loss_free[-1], "ratio of training losses"),
        dropout_free=(error_free.min(), share),
        dropout_bounded=(error_bounded.min(), share),
        dropout_ratio=(error_bounded.min() / error_free.min(), "ratio of test errors"),
    )


CLAIMS = (
    Claim(
        id="maxnorm-columns",
        cite="srivastava2014",
        sentence="Projecting each unit's incoming weights back onto a ball of fixed radius keeps "
        "training stable at high learning rates and adds to what dropout gains.",
        kind="effect",
        expected=PARTLY,
        missed=("dropout_ratio",),
        paper=(
            (
                "MNIST test error, 3 layers of 1,024 ReLU units: dropout; dropout and bound",
                ("{} %; {} %", 1.25, 1.06),
                "{cite:t}`srivastava2014`, Table 2",
            ),
        ),
        conditions=(
            at_most(
                "ratio",
                "at the learning rate 0.4 the bound leaves at most {bound} of the training loss",
                0.7,
            ),
            at_most(
                "dropout_ratio",
                "with dropout, each at its best learning rate, the bound leaves at most {bound} "
                "of the test error (0.85 in the paper)",
                0.9,
            ),
        ),
        controls=(
            Control(
                "start-only",
                "the projection after every step: the columns are cut to length 1 once, at the "
                "start",
                {"ratio": 0.1, "dropout_ratio": 0.02},
                (
                    at_most(
                        "best_bounded",
                        "at its best learning rate it trains to a loss of at most {bound}",
                        0.4,
                    ),
                ),
            ),
        ),
        disputed="The network of 2012 had no such bound but weight decay {cite}`krizhevsky2012`, "
        "and batch normalisation later took over the work of keeping large steps stable "
        "{cite}`ioffe2015`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Training loss against the learning rate: free, bounded at the start only, bounded always."""
    results = list(runs[MAIN].values())
    rates = results[0]["rates"]
    shown = [("free", "loss_free", MAIN), ("bounded by 1 after every step", "loss_bounded", MAIN)]
    if "start-only" in runs:
        shown.append(("bounded by 1 at the start only", "loss_bounded", "start-only"))
    with figures.style():
        drawn, (left, right) = plt.subplots(
            1, 2, figsize=(8.4, 3.5), gridspec_kw={"width_ratios": (5, 3)}
        )
        for name, quantity, variant in shown:
            losses = np.array([result[quantity] for result in runs[variant].values()])
            figures.band(left, rates, losses, label=name)
        left.axhline(GUESSING, **figures.THEORY)
        left.annotate("guessing", (rates[0], GUESSING), xytext=(0, 4), textcoords="offset points")
        left.set(
            xscale="log", ylim=(0, 2.65), xlabel="learning rate", ylabel="training loss (nats)"
        )
        left.set_xticks(rates, [f"{rate:g}" for rate in rates])
        left.minorticks_off()
        left.set_title("without dropout")
        left.legend(loc="center left")
        for name, quantity in (
            ("free", "error_dropout_free"),
            ("bounded", "error_dropout_bounded"),
        ):
            errors = np.array([100 * result[quantity] for result in results])
            figures.band(right, results[0]["dropout_rates"], errors, label=name)
        right.set(
            xscale="log", ylim=(0, None), xlabel="learning rate", ylabel="test error (%)",
            title="with dropout",
        )  # fmt: skip
        right.set_xticks(results[0]["dropout_rates"], ["0.01", "0.03", "0.1"])
        right.minorticks_off()
    return figures.Figure(
        drawn,
        label="fig-max-norm",
        caption="A bound of 1 on every unit's incoming weights. Left: training loss after "
        "150 steps; at small learning rates the bound costs a little, at the highest it saves most "
        "of the loss, unless it is applied at the start only. Right: with dropout, at learning "
        "rates that suit it, the bound hardly changes the test error. Bands are one standard "
        "deviation over seeds.",
        alt="Left, training loss against learning rate from 0.01 to 0.4. The free network's curve "
        "falls and then climbs to the level of guessing; so does the one bounded at the start "
        "only; the one bounded after every step stays below half of it. Right, two curves of "
        "test error with dropout, close to each other but at 0.1, where the free one is higher.",
    )
