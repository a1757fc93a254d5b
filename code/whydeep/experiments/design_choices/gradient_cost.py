"""Is one gradient cheaper with ReLU than with a sigmoid?

The post says, of the time that a gradient takes, that the ReLU helps in comparison with the
sigmoids used before ({cite}`bubeck2015`). Read literally, this is about the cost of one gradient. A
sigmoid needs an exponential for each unit, the ReLU a comparison; but a unit with m inputs needs
about 3 m products besides, one for its sum and two for the gradients in weights and inputs. We time
the non-linearities alone, then the gradient of a whole layer with m inputs a unit, m from 4 to
1024, and compare with what the times of the parts predict.

What would refute it: a whole gradient that takes no longer with tanh or a sigmoid, in a layer as
wide as AlexNet's. What the non-linearity takes alone is a part of the reason, and no gradient.

Times are CPU times of one thread, in units of ReLU's, from blocks that take turns within one run:
they say nothing about seconds, and another machine has other ratios.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.evidence.claims import UNDECIDED, Claim, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels, ticks

PAGE = "design-choices/the-non-linearity"
UNITS = 2**16  # numbers that go through the non-linearity: examples times units, whatever the width
BLOCK = 8  # of the non-linearity alone in one timing


@dataclass(frozen=True)
class Settings:
    """``widths``: inputs of a unit, and units of the layer. ``repeats``: blocks of each kind.

    ``exponential``: whether tanh and the sigmoid are themselves; if not, both are z cut off at -1
    and 1, which has the same shape.
    """

    widths: tuple[int, ...] = (4, 16, 64, 256, 1024)
    repeats: int = 25
    exponential: bool = True


SCALES = {"quick": Settings()}
VARIANTS = {"piecewise": {"exponential": False}}
# Ratios of times: of one processor and one library, so never compared with those of another.
TIMED = ("alone", "whole", "predicted")
KINDS = ("tanh", "sigmoid")

Pass = Callable[..., Tensor]


def passes(exponential: bool = True) -> dict[str, tuple[Pass, Pass]]:
    """Forward (z, into) and backward (z, a, g, into) of each non-linearity, in memory at hand.

    Forward writes a = sigma(z), backward g sigma'(z); all tensors have one shape, and no memory is
    asked for, which can take longer than the arithmetic.
    """
    aten = torch.ops.aten
    found = {
        "relu": (
            lambda z, into: torch.clamp_min(z, 0, out=into),
            lambda z, a, g, into: aten.threshold_backward.grad_input(g, a, 0, grad_input=into),
        ),
        "tanh": (
            lambda z, into: torch.tanh(z, out=into),
            lambda z, a, g, into: aten.tanh_backward.grad_input(g, a, grad_input=into),
        ),
        "sigmoid": (
            lambda z, into: torch.sigmoid(z, out=into),
            lambda z, a, g, into: aten.sigmoid_backward.grad_input(g, a, grad_input=into),
        ),
    }
    if not exponential:
        cut_off = (
            lambda z, into: aten.hardtanh.out(z, out=into),
            lambda z, a, g, into: aten.hardtanh_backward.grad_input(g, z, -1, 1, grad_input=into),
        )
        found |= {"tanh": cut_off, "sigmoid": cut_off}
    return found


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch with one thread, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def take_turns(
    work: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, Float[np.ndarray, " repeats"]]:
    """CPU seconds of each piece of ``work``, timed in turn ``repeats`` times, after one to warm up.

    A disturbance that lasts longer than a turn falls on all of them alike.
    """
    found: dict[str, list[float]] = {name: [] for name in work}
    for repeat in range(repeats + 1):
        for name, piece in work.items():
            start = time.process_time()
            piece()
            if repeat:
                found[name].append(time.process_time() - start)
    return {name: np.array(times) for name, times in found.items()}


class Layer:
    """One dense layer of ``width`` units and as many inputs, on UNITS / ``width`` examples.

    ``gradient(kind)`` is a step of backpropagation through it: z = x W, a = sigma(z),
    delta = g sigma'(z), then the gradients x^T delta in W and delta W^T in x.
    """

    def __init__(self, width: int, kinds: Mapping[str, tuple[Pass, Pass]], draw) -> None:
        shape = (UNITS // width, width)
        self.kinds = kinds
        self.x, self.g = draw(*shape), draw(*shape)
        self.w = draw(width, width) / width**0.5
        self.z, self.a, self.delta, self.g_x = (torch.empty(shape) for _ in range(4))
        self.g_w = torch.empty(width, width)

    def gradient(self, kind: str) -> tuple[Tensor, Tensor]:
        """The gradients in W (width, width) and in x (examples, width)."""
        forward, backward = self.kinds[kind]
        torch.mm(self.x, self.w, out=self.z)
        forward(self.z, self.a)
        backward(self.z, self.a, self.g, self.delta)
        torch.mm(self.x.T, self.delta, out=self.g_w)
        torch.mm(self.delta, self.w.T, out=self.g_x)
        return self.g_w, self.g_x

    def alone(self, kind: str) -> None:
        """The non-linearity forward and backward, BLOCK times, without the sums."""
        forward, backward = self.kinds[kind]
        for _ in range(BLOCK):
            forward(self.z, self.a)
            backward(self.z, self.a, self.g, self.delta)


def run(settings: Settings, chance: Chance) -> Result:
    """CPU times alone and of whole gradients, as ratios to ReLU's; medians over the turns.

    ``predicted`` is what the times of the parts say of the whole: 1 plus the extra time of the
    non-linearity alone over the time of the whole gradient with ReLU. Always on the CPU.
    """
    generator = chance.torch()
    sigmas = passes(settings.exponential)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    def times(work: Callable[[str], object]) -> dict[str, Float[np.ndarray, " repeats"]]:
        return take_turns({kind: partial(work, kind) for kind in sigmas}, settings.repeats)

    whole, predicted = [], []  # each (widths, KINDS)
    with one_thread():
        layer = Layer(settings.widths[0], sigmas, draw)
        layer.z = draw(*layer.z.shape)
        alone = times(layer.alone)
        extra = [np.median(alone[kind] - alone["relu"]) / BLOCK for kind in KINDS]
        for width in settings.widths:
            found = times(Layer(width, sigmas, draw).gradient)
            whole.append([np.median(found[kind] / found["relu"]) for kind in KINDS])
            predicted.append([1 + more / np.median(found["relu"]) for more in extra])
    z = torch.linspace(-10, 10, 2001)
    a = sigmas["tanh"][0](z, torch.empty_like(z))
    ratio, axes = "ratio of CPU times", {"kind": KINDS, "width": settings.widths}
    return Result(
        widths=(np.array(settings.widths), "inputs of a unit"),
        alone=Quantity([np.median(alone[k] / alone["relu"]) for k in KINDS], ratio, kind=KINDS),
        whole=Quantity(np.array(whole).T, ratio, **axes),
        predicted=Quantity(np.array(predicted).T, ratio, **axes),
        off_tanh=((a - torch.tanh(z)).abs().max(), "value"),
    )


FELT = "a step that is a seventh shorter is the least that anybody would change a network for"
CLAIMS = (
    Claim(
        id="bubeck2015-relu-cost-per-gradient", cite="bubeck2015", kind="effect",
        expected=UNDECIDED,
        title="Is a gradient cheaper with ReLU?",
        says="Of the time that one gradient takes: the ReLU helps, in comparison with the sigmoids "
        "used before ('Hacking through life').",
        tested="CPU times of the gradient of one dense layer with 1024 inputs a unit, about "
        "AlexNet's mean, and 64 examples, in one thread: tanh and the sigmoid against ReLU, in "
        "turns.",
        so="The whole gradient takes {num}`design-choices/gradient-cost whole[tanh,-1] .2f ±` "
        "times as long with tanh as with ReLU, and "
        "{num}`design-choices/gradient-cost whole[sigmoid,-1] .2f ±` times with the sigmoid: a "
        "saving too small to be felt.",
        caveat="Alone, the non-linearity does cost more, tanh "
        "{num}`design-choices/gradient-cost alone[tanh] .1f ±` times as much as ReLU, and in a "
        "layer of 16 inputs a unit the whole gradient takes "
        "{num}`design-choices/gradient-cost whole[tanh,1] .1f` times as long. The times are those "
        "of one processor and one library, and the post may mean fewer steps.",
        paper=(("statement of the post", "no number", "'Hacking through life'"),),
        decides=(
            at_least("whole[tanh, -1]", "with 1024 inputs a unit, about AlexNet's mean, a whole "
                     "gradient with tanh takes at least {bound} times as long as one with ReLU",
                     1.15, none=1.0, log=True, because=FELT),
            at_least("whole[sigmoid, -1]", "and so does one with the sigmoid: at least {bound} "
                     "times", 1.15, none=1.0, log=True, because=FELT),
        ),
        mechanism=(
            at_least("alone[tanh]", "alone, forward and backward, tanh takes at least {bound} "
                     "times as long as ReLU", 3.0, none=1.0, log=True),
            at_least("alone[sigmoid]", "alone, forward and backward, the sigmoid takes at least "
                     "{bound} times as long as ReLU", 1.4, none=1.0, log=True),
        ),
        controls=(
            Control(
                "piecewise", "the exponential: tanh and the sigmoid give way to z cut off at -1 "
                "and 1, which is as flat at its ends",
                ("alone[tanh]", "alone[sigmoid]", "whole[tanh, -1]", "whole[sigmoid, -1]"),
                (
                    at_most("off_tanh", "it has the shape of tanh, from which it differs by at "
                            "most {bound:word}", 0.25),
                ),
            ),
        ),
        changes=("The post speaks of a gradient, so that only whole gradients decide, now with the "
                 "sigmoid as well as tanh; the times of the non-linearity alone show the reason "
                 "(stricter). No control finds a planted cost yet.",),
    ),
)  # fmt: skip

PLOT = Plot(
    sweep=Axis("inputs of a unit"),
    at="widths",
    y=Axis("CPU time of a gradient, in ReLU's"),
    series={f"whole[{kind}]": f"{kind}, measured" for kind in KINDS},
)


def figure(runs: Runs) -> figures.Figure:
    """The cost of a whole gradient against the inputs of a unit, beside what its parts predict."""
    widths = first(runs, "widths")
    with panels(size=(6.4, 3.5)) as (drawn, axes):
        PLOT.draw(axes, runs)
        for kind, label in zip(KINDS, ("from its parts", None), strict=True):
            predicted = over_seeds(runs, f"predicted[{kind}]").mean(0)
            axes.plot(widths, predicted, label=label, **figures.THEORY)
        axes.axhline(1, color=figures.MUTED, lw=0.8, ls=":", marker="")
        axes.set_xscale("log", base=2)
        ticks(axes, widths)
        axes.legend()
    return figures.Figure(
        drawn,
        label="fig-gradient-cost",
        caption="CPU time of the gradient of one dense layer with tanh or a sigmoid, in units of "
        "the time with ReLU, against the number of inputs of a unit. Dashed: what the times of "
        "the non-linearity alone and of the layer predict. With many inputs the products decide, "
        "and the difference goes away. Bands are one standard deviation over five runs.",
        alt="Two lines against the inputs of a unit, from 4 to 1024. The one of tanh rises to "
        "about two at 16 inputs and falls to one; the one of the sigmoid stays close to one. Both "
        "lie near their dashed predictions.",
    )
