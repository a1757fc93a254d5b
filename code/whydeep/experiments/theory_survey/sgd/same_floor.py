"""Does noise buy a lower floor?

Sagun and co-authors ({cite}`sagun2014`) report that in spin glasses and in networks on digits the
level at which descent stops is a matter of the landscape's dimension, not of the algorithm:
gradient descent and stochastic gradient descent reach the same level within the same number of
steps. We compare plain descent with descent under noise that is cooled to zero, in spherical 3-spin
glasses of 4 to 64 spins, and full batches with small ones in networks on digits with noisy labels.

What would refute it: noise that ends lower, by as large a share of the energy, with 64 spins as
with 4; or networks whose training loss depends on the size of the batch at a small rate.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.descent import log_loss, train
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.labs import spin_glass
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Runs, compare, first, over_seeds, panels, ticks

PAGE = "theory-survey/sgd/are-networks-spin-glasses"
SPINS = 512
"""There are a quarter of SPINS / N glasses of N spins: small glasses come in larger numbers."""


@dataclass(frozen=True)
class Settings:
    """Glasses of each of ``sizes``; ``steps`` of descent, with noise ``patience`` times as many.

    ``temperature`` is that of the first step; it falls to zero in a straight line over the first
    four fifths, or stays if not ``cools``. So many ``networks`` of ``width`` hidden ReLU units
    learn ``examples`` digits, three labels in ten of them noise, in ``network_steps`` steps, once
    from full batches and once from batches of ``batch_size``.
    """

    sizes: tuple[int, ...] = (4, 8, 16, 32, 64)
    walkers: int = 12
    steps: int = 500
    rate: float = 0.15
    temperature: float = 0.6
    cools: bool = True
    patience: int = 1
    networks: int = 12
    width: int = 8
    examples: int = 400
    network_steps: int = 200
    learning_rate: float = 0.02
    batch_size: int = 40


SCALES = {"quick": Settings()}
VARIANTS = {
    "four-spins": {"sizes": (4,), "networks": 0},
    "patient": {"patience": 4, "networks": 0},
    "hot": {"cools": False, "batch_size": 4},
}


def cooling(steps: int, first: float, cools: bool) -> Float[np.ndarray, " steps"]:
    """The temperature at each step: from ``first`` to zero over four fifths, or constant."""
    if not cools:
        return np.full(steps, first)
    return first * np.maximum(0, 1 - np.arange(steps) / (0.8 * steps))


def floors(settings: Settings, n: int, child: Chance) -> tuple[float, float]:
    """Mean energy per spin at the end without and with noise."""
    rng = child.numpy()
    glasses = max(2, SPINS // (4 * n))
    couplings = spin_glass.draw_couplings(3, n, glasses, rng, np.float32)
    start = spin_glass.random_spins(glasses, settings.walkers, n, rng)

    def end(steps: int, heat: list[float]) -> float:
        _, energies = spin_glass.descend(
            couplings,
            start,
            steps=steps,
            rate=settings.rate,
            temperature=heat,
            rng=rng,
            record_at=[steps],
        )
        return float(energies.astype(float).mean())

    patient = settings.steps * settings.patience
    heat = cooling(patient, settings.temperature, settings.cools)
    return end(settings.steps, [0.0] * settings.steps), end(patient, heat.tolist())


def training_losses(
    settings: Settings, chance: Chance, batch_size: int | None
) -> Float[Tensor, " k"]:
    """The training loss in the end of each network of the stack, noisy labels included."""
    data = digits().subset(settings.examples, seed=chance.seed)
    x = data.train_x.flatten(1)
    x = (x - x.mean()) / x.std()
    trained = train(
        partial(Dense, (64, settings.width, 10)),
        x,
        data.train_y,
        seeds=chance.members(settings.networks),
        lr=settings.learning_rate,
        momentum=0.9,
        label_noise=0.3,
        steps=settings.network_steps,
        batch_size=batch_size,
        device="cpu",
    )
    return log_loss(trained.outputs(x), trained.labels).mean(1).double()


def compare_batches(settings: Settings, chance: Chance) -> dict[str, Quantity | tuple]:
    """Mean training losses of the networks from full and small batches, for the result."""
    full = training_losses(settings, chance, None)
    mean = float(full.mean())
    small = float(training_losses(settings, chance, settings.batch_size).mean())
    return {
        "loss": Quantity([mean, small], "nats", batches=("full", "small")),
        "network_difference": (abs(mean - small) / mean, "share of the loss"),
        "network_spread": (float(full.std()) / mean, "share of the loss"),
    }


def run(settings: Settings, chance: Chance) -> Result:
    """Where descent ends with and without noise, in glasses of each size and in networks.

    ``advantage`` is how much lower noise ends, as a share of the energy without it; negative if it
    ends higher. Runs on the CPU.
    """
    with threadpool_limits(1):  # the digits then do not depend on the number of cores
        children = chance.members(len(settings.sizes))
        found = [
            floors(settings, n, child) for n, child in zip(settings.sizes, children, strict=True)
        ]
        networks = compare_batches(settings, chance) if settings.networks else {}
    plain, noisy = np.array(found).T
    advantage = (plain - noisy) / np.abs(plain)
    return Result(
        sizes=(np.array(settings.sizes), "spins"),
        advantage=(advantage, "share of the energy"),
        difference=(abs(advantage[-1]), "share of the energy"),
        **networks,
    )


# The variant of four spins trains no networks: there is nothing to differ.
CLAIMS = (
    Claim(
        id="sagun2014-gd-sgd-same-floor", cite="sagun2014", kind="effect", expected=SHOWN,
        title="Does noise reach a lower floor?",
        says="In landscapes of many dimensions, spin glasses and networks on digits, gradient "
        "descent and stochastic gradient descent can reach the same level within the same number "
        "of steps (abstract).",
        tested="Descent without noise and with noise that is cooled to zero, 500 steps each in "
        "3-spin glasses of 64 spins; networks of 8 hidden units on 400 digits, three labels in ten "
        "of them noise, 200 steps with all examples or 40 a batch.",
        so="The final energies differ by {num}`theory-survey/sgd/same-floor difference .1% ±`, the "
        "training losses of the networks by "
        "{num}`theory-survey/sgd/same-floor network_difference .1% ±`.",
        caveat="*The same number of steps* is part of it: with four times the steps, noise ends "
        "{num}`theory-survey/sgd/same-floor@patient advantage[-1] .1% ±` lower. The networks stop "
        "early, at a loss of {num}`theory-survey/sgd/same-floor loss[full] .2f`: a level, and no "
        "floor.",
        paper=(
            ("levels of gradient descent and of stochastic gradient descent",
             "the same, within the same number of steps", "abstract"),
        ),
        decides=(
            at_most("difference", "with 64 spins the mean energies in the end, with noise and "
                    "without, differ by at most {bound:%} %", 0.03, none=0.03,
                    because="a fraction of what noise gains with four spins"),
            at_most("network_difference", "the training losses of networks from batches of 40 and "
                    "from all 400 examples differ by at most {bound:%} %", 0.06, default=0.0,
                    none=0.06, because="less than the losses of single starts spread"),
        ),
        controls=(
            Control(
                "four-spins", "the many spins: glasses of four", ("difference",),
                (
                    Condition("comparable", "noise does not throw the walkers off: the difference "
                              "is at most a {bound:word}",
                              lambda result: float(result["difference"]), "<=", 0.5,
                              "share of the energy"),
                ),
            ),
            Control(
                "hot", "the end of the noise: the temperature stays, and batches hold four "
                "examples", ("difference", "network_difference"),
                (
                    at_most("loss[small]", "its networks learn: training loss below {bound}, "
                            "where chance has 2.3", 2.2),
                ),
            ),
        ),
        changes=("Judged as statements of equality: outside the margin is opposite. Conditions and "
                 "bounds are the old ones.",),
        limits="That batches of all sizes reach the same training loss does not make their "
        "networks alike: {cite:t}`keskar2017` report that large batches end in sharper minima "
        "with a larger test error.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """What noise gains against the number of spins; and training losses by the size of a batch."""
    batches = {"all 400": (MAIN, "full"), "40": (MAIN, "small"), "4": ("hot", "small")}
    with panels(2, size=(8.2, 3.6), width_ratios=(1.35, 1)) as (drawn, (left, right)):
        shown = {MAIN: "as many steps", "patient": "four times the steps"}
        compare(left, runs, "advantage", "sizes", shown, factor=100.0)
        left.axhline(0, **figures.THEORY)
        left.set(xlabel="spins $N$", ylabel="how much lower noise ends (%)")
        left.set(xscale="log", ylim=(-3, 26))
        ticks(left, first(runs, "sizes"))
        left.legend(loc="upper right", title="with noise")
        batches = {name: which for name, which in batches.items() if which[0] in runs}
        losses = [over_seeds(runs, f"loss[{of}]", variant) for variant, of in batches.values()]
        places, green = np.arange(len(batches)), figures.COLOURS["green"]
        figures.bars(right, places, np.array(losses).T, colour=green, width=0.5)
        right.set(xlabel="examples a batch", ylabel="training loss (nats)", ylim=(0, 2.4))
        ticks(right, places, list(batches))
    return figures.Figure(
        drawn,
        label="fig-same-floor",
        caption="Left, by how much of the energy noise that is cooled to zero ends below plain "
        "descent, in glasses of 4 to 64 spins, with as many steps and with four times as many. "
        "Right, the training loss of small networks on digits with noisy labels after "
        f"the same number of steps. Bands and marks are over {figures.count(len(runs[MAIN]))}.",
        alt="Left, two falling curves against the number of spins on a logarithmic axis: noise "
        "ends about a sixth lower with four spins and almost level with plain descent with 64; "
        "with four times the steps it ends somewhat lower at every size. Right, three bars: the "
        "training losses of full batches and of batches of 40 are equal to the eye, that of "
        "batches of four is far higher.",
    )
