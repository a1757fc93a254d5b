"""What a batch buys: arithmetic per second against how often each fetched weight is used.

GPUs made the gradient cheap, says the post ({cite}`bubeck2015`); AlexNet took "between five and six
days" on two of them ({cite}`krizhevsky2012`, section 5). A GPU is a machine that multiplies far
faster than it can fetch what it multiplies, and so, in smaller measure, is a laptop. How fast
either runs depends on the *intensity* of the work, the operations done for each byte fetched
({cite}`williams2009`). We measure the rate of a dense layer on this machine for growing batches.
A GPU's own factor over a CPU is not measured here.

What would refute it: a rate that does not grow with the batch, or one that grows as much when
every example brings its own weights, so that nothing fetched is used twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.utils.benchmark import Timer

from whydeep.chance import Chance
from whydeep.device import current
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least
from whydeep.evidence.results import MAIN, Result
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "hacking/gpus"
BYTES = 4  # of a float32 number


@dataclass(frozen=True)
class Settings:
    """A dense layer of ``units`` by ``units`` weights, on batches of each of ``batches`` examples.

    The rate of a batch is the best of ``repeats`` measurements of at least ``seconds`` each,
    taken in turn. With ``own_weights`` each example is multiplied by a matrix of its own.
    """

    units: int = 2048
    batches: tuple[int, ...] = (1, 2, 4, 8, 16, 32)
    repeats: int = 3
    seconds: float = 0.02
    own_weights: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {"own-weights": {"own_weights": True}}
# Rates, which are measured times, and their ratios: of one processor, never compared with another.
TIMED = (
    "rate",
    "roof",
    "peak",
    "bandwidth",
    "balance",
    "relu_rate",
    "relu_share",
    "one",
    "many",
    "growth",
)


def best_seconds(work: Callable[[], object], settings: Settings) -> float:
    """The shortest mean time of one call of ``work``, in seconds: of one CPU core, or of a GPU.

    On a CPU only the time that this process ran counts, so that a busy machine does less harm; on
    a GPU PyTorch's timer waits for the device.
    """
    clock = {} if current().type == "cuda" else {"timer": time.process_time}
    timer = Timer("work()", globals={"work": work}, num_threads=1, **clock)  # pyright: ignore[reportArgumentType]
    once = timer.timeit(1).mean
    number = max(1, int(settings.seconds / max(once, 1e-7)))
    return min(timer.timeit(number).mean for _ in range(settings.repeats))


def intensity(units: int, batch: int, *, own_weights: bool = False) -> float:
    """Operations for each byte that must be moved at least once, of a dense layer on a batch.

    Per example units^2 multiplications and as many additions; moved are the weights, once or once
    an example, the inputs and the outputs.
    """
    weights = units**2 * (batch if own_weights else 1)
    return 2 * batch * units**2 / (BYTES * (weights + 2 * batch * units))


def run(settings: Settings, chance: Chance) -> Result:
    """Rates of the layer for each batch, and the two limits of the machine."""
    generator = chance.torch()

    def numbers(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(current())

    n = settings.units
    square, other = numbers(n, n), numbers(n, n)
    peak = 2 * n**3 / best_seconds(lambda: square @ other, settings)
    long, copy = numbers(8 * n * n), torch.empty(8 * n * n, device=current())
    bandwidth = 2 * BYTES * len(long) / best_seconds(lambda: copy.copy_(long), settings)
    relu = len(long) / best_seconds(lambda: torch.relu_(long), settings)

    rates = []
    for batch in settings.batches:
        if settings.own_weights:
            # One matrix after the other in memory: what is fetched is as long as in a large layer.
            weights, x = square.expand(batch, n, n).contiguous(), numbers(batch, 1, n)
        else:
            weights, x = square, numbers(batch, n)
        seconds = best_seconds(lambda x=x, w=weights: torch.matmul(x, w), settings)
        rates.append(2 * batch * n**2 / seconds)
    rates = np.array(rates)
    intensities = np.array(
        [intensity(n, batch, own_weights=settings.own_weights) for batch in settings.batches]
    )
    return Result(
        batches=(np.array(settings.batches), "examples"),
        intensity=(intensities, "operations a byte"),
        rate=(rates, "operations a second"),
        roof=(np.minimum(peak, bandwidth * intensities), "operations a second"),
        peak=(peak, "operations a second"),
        bandwidth=(bandwidth, "bytes a second"),
        balance=(peak / bandwidth, "operations a byte"),
        relu_rate=(relu, "operations a second"),
        relu_share=(relu / peak, "fraction of the peak rate"),
        one=(rates[0] / peak, "fraction of the peak rate"),
        many=(rates[-1] / peak, "fraction of the peak rate"),
        growth=(rates[-1] / rates[0], "ratio of rates"),
    )


def _of_roof(result: Result) -> float:
    """The logarithm of the growth of the rate, over that of the growth of the roof."""
    roof = result["roof"]
    return float(np.log(result["growth"]) / np.log(roof[-1] / roof[0]))


CLAIMS = (
    Claim(
        id="krizhevsky2012-gpu", cite="krizhevsky2012", kind="effect", expected=SHOWN,
        title="Why does a batch run faster than its examples one by one?", ours=True,
        says="What GPUs live on, and any other processor too: in a batch every weight that is "
        "fetched is used for all examples, and the same machine computes at least twice as fast.",
        tested="One dense layer of 2,048 by 2,048 weights on one processor core, with batches of 1 "
        "to 32 examples.",
        so="A batch of 32 runs at {num}`hacking/roofline many .0%` of the core's peak rate, a "
        "single example at {num}`hacking/roofline one .0%`: {num}`hacking/roofline growth .2f ±` "
        "times as fast.",
        caveat="No GPU is measured here. The core's roof, what it can fetch against what it can "
        "multiply, predicts more: on a scale of logarithms the measured factor is "
        "{num}`krizhevsky2012-gpu:of_roof .0%` of it, for a single example, repeated, finds part "
        "of its weights in the cache.",
        paper=(
            ("training time, two GPUs of 3 GB", "between five and six days", "section 5"),
            (
                "a GPU's factor over a CPU",
                ("no number; up to {} in {{cite:t}}`raina2009`", 70),
                "not measured here",
            ),
        ),
        decides=(
            at_least("growth", "a batch of 32 runs at {bound} times the rate of a single example, "
                     "or more", 2.0, none=1.0, log=True,
                     because="less than twice would hardly be called much faster"),
        ),
        mechanism=(
            Condition("of_roof", "that factor is at least {bound:word} of the one that the roof "
                      "predicts, on a scale of logarithms", _of_roof, ">=", 0.5,
                      "of the predicted factor's logarithm", none=0.0,
                      because="half of the prediction"),
        ),
        controls=(
            Control(
                "own-weights", "the reuse: each example of the batch brings its own weights",
                ("growth",),
                (
                    at_least("one", "its single example runs at {bound:%} % of the peak rate or "
                             "more", 0.02),
                ),
            ),
        ),
        limits="A GPU's own factor over a CPU, up to 70 for the networks of {cite:t}`raina2009`, "
        "belongs to two machines and not to this idea.",
        changes=("The statement is marked as the book's own, and says twice in place of several "
                 "times, which is what its condition asks for. Condition, bound and control are "
                 "as before.",),
    ),
)  # fmt: skip

PLOT = Plot(
    sweep=Axis("examples in a batch", log=True),
    at="batches",
    y=Axis("rate", "billion operations a second"),
    series={"rate": "measured", "roof": "roof"},
    factor=1e-9,
    variants={MAIN: "shared weights", "own-weights": "own weights (control)"},
)


def figure(runs: Runs) -> figures.Figure:
    """The roofline: rate against intensity, measured beside the machine's two limits."""
    peak, bandwidth, relu = (
        over_seeds(runs, name, factor=1e-9).mean() for name in ("peak", "bandwidth", "relu_rate")
    )
    x = np.geomspace(0.05, 2 * float(first(runs, "intensity")[-1]) + 40, 200)
    with panels(size=(6.8, 3.8)) as (drawn, axes):
        axes.plot(x, np.minimum(peak, bandwidth * x), **figures.THEORY, label="roof")
        for (variant, label), marker in zip(PLOT.variants.items(), "os", strict=True):
            rates = over_seeds(runs, "rate", variant, factor=1e-9)
            at = first(runs, "intensity", variant)
            figures.band(axes, at, rates, label=label, marker=marker)
        green = figures.COLOURS["green"]
        axes.plot([1 / (2 * BYTES)], [relu], "^", color=green, ls="none", label="ReLU")
        for batch, i, rate in zip(
            *(first(runs, name) for name in ("batches", "intensity", "rate")), strict=True
        ):
            below = {"textcoords": "offset points", "ha": "center"}
            axes.annotate(f"{batch}", (i, rate / 1e9), (0, -14), **below)
        axes.set(xlabel="intensity (operations a byte)", xscale="log", yscale="log")
        axes.set(ylabel="rate ($10^9$ operations a second)")
        axes.legend()
    return figures.Figure(
        drawn,
        label="fig-roofline",
        caption="The roofline of one CPU core. The slanted part of the roof is what memory can "
        "deliver, the level part what the core can multiply. A dense layer climbs along it as the "
        "batch grows (numbers at the points); with weights of its own for every example it stays "
        "where it was. ReLU in place lies above the slanted part, which was measured by copying. "
        "Bands are one standard deviation over seeds.",
        alt="Rate against intensity, both logarithmic. A dashed roof rises along a slanted line "
        "and then runs level. Points of a dense layer with batches from 1 to 32 climb along the "
        "slanted part towards the level one; those with own weights stay together at its foot. "
        "ReLU, at the lowest intensity and rate, lies somewhat above the slanted part.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Rate against the batch, with shared weights and with own ones."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="roofline",
        title="Rate of a dense layer against the batch",
        about="Double the batch step by step. Then give every example its own weights.",
        predict=Prediction(
            "A dense layer computes 32 examples one by one, and then as a batch. By which factor "
            "does the rate rise?",
            ("By 32: one product in place of 32", "Several times", "Not at all"),
            1,
            "A single example waits for the weights to arrive from memory; the batch uses each of "
            "them 32 times, until the core has its hands full with multiplying.",
        ),
    )
