"""SGD that steps on some blocks of a network's weights only, as a timetable says, for K at once.

A block is one matrix: W_1, ..., W_L, V. The loss may be convex in one of them although it is not
convex in all of them together, so one asks what a block can do alone, or in turns. At step t a
member with timetable s (0 or 1 for each step and block) takes, in block b,

    v_b <- momentum v_b + g_b,    W_b <- W_b - lr v_b       if s[t, b] = 1,

and leaves W_b and v_b as they are if s[t, b] = 0. `whydeep.descent` takes all steps in the same
blocks, which is what most pages need; this loop is for those that compare blocks.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from whydeep.errors import BadSettings

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}
# As `training.STREAMS`: one generator for each use of chance; a new use goes to the end.
STREAMS = ("weights", "order")


def generator(seed: int, stream: str) -> torch.Generator:
    """A generator on the CPU for one of `STREAMS`: a change in one use leaves the others alone."""
    child = np.random.SeedSequence(seed).spawn(len(STREAMS))[STREAMS.index(stream)]
    return torch.Generator().manual_seed(int(child.generate_state(1, np.uint64)[0]))


def draw(
    widths: Sequence[int], gain: float, members: int, generator: torch.Generator
) -> list[Float[Tensor, "k _ _"]]:
    """One random network, the same for all members: blocks W_1, ..., W_L, V, normal weights.

    ``widths`` are (inputs, units of layer 1, ..., of layer L, classes). Weights of W_l have
    variance gain / inputs, those of V 1 / inputs: gain 2 keeps the signal's mean square through a
    ReLU (He et al. 2015), gain 1 through no non-linearity at all (LeCun et al. 1998).
    """
    gains = [gain] * (len(widths) - 2) + [1.0]
    return [
        (torch.randn(a, b, generator=generator) * math.sqrt(g / a)).repeat(members, 1, 1)
        for (a, b), g in zip(pairwise(widths), gains, strict=True)
    ]


def forward(
    x: Float[Tensor, "n d"], blocks: Sequence[Float[Tensor, "k _ _"]], activation: Activation
) -> list[Float[Tensor, "k n _"]]:
    """x^(2), ..., x^(L+1) and the scores of each member: x^(l+1) = sigma(W_l^T x^(l))."""
    found: list[Tensor] = []
    for block in blocks[:-1]:
        found.append(activation((found[-1] if found else x) @ block))
    return [*found, (found[-1] if found else x) @ blocks[-1]]


def log_loss(scores: Float[Tensor, "k n c"], y: Int[Tensor, "n"]) -> Float[Tensor, "k"]:
    """Each member's mean log-loss, in nats, on the labels y that all share."""
    log_p = torch.log_softmax(scores, dim=-1)
    return -log_p.gather(-1, y.expand(len(scores), -1)[..., None])[..., 0].mean(-1)


@dataclass
class Path:
    """Where `descend` came to, and what was measured after which numbers of steps on the way."""

    blocks: list[Float[Tensor, "k _ _"]]
    measured_at: tuple[int, ...]
    measured: Float[Tensor, "k T *more"]


def descend(
    blocks: Sequence[Float[Tensor, "k _ _"]],
    x: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    timetable: Bool[Tensor, "k steps b"],
    *,
    activation: Activation,
    lr: Float[Tensor, "k"],
    momentum: float,
    batch_size: int,
    order: torch.Generator,
    measure: Callable[[list[Tensor]], Tensor],
    measure_at: Sequence[int] = (),
) -> Path:
    """Take the timetable's steps from these blocks, which are not changed.

    All members see the same batches: ``order`` draws a new order of the examples for each epoch;
    what does not fill a batch is left out of it. ``measure(blocks)``, one number (k,) or more
    (k, ...) a member, is called after the numbers of steps in ``measure_at`` and after the last.
    A member that diverges is no error: what is measured of it is not finite.
    Raises BadSettings if the timetable, lr or blocks are not of one number of members and blocks,
    or a measurement is asked for after more steps than there are.
    """
    members, steps, count = timetable.shape
    if {len(lr), *(len(block) for block in blocks)} != {members} or len(blocks) != count:
        raise BadSettings(
            f"a timetable for {members} members and {count} blocks, but {len(blocks)} blocks of "
            f"{[len(block) for block in blocks]} members and {len(lr)} learning rates"
        )
    if not all(0 <= step <= steps for step in measure_at):
        raise BadSettings(f"measure_at is {sorted(measure_at)}, expected numbers from 0 to {steps}")
    blocks = [block.clone().requires_grad_() for block in blocks]
    velocity = [torch.zeros_like(block) for block in blocks]
    # Where a block rests, its velocity is kept: v + s (momentum v + g - v), and lr s is 0.
    on = timetable.to(x)
    stops, measured = sorted({*measure_at, steps}), []
    batches = iter(())
    for step in range(steps + 1):
        if step in stops:
            with torch.no_grad():
                measured.append(measure(blocks).detach())
        if step == steps:
            break
        batch = next(batches, None)
        if batch is None or len(batch) < min(batch_size, len(x)):
            batches = iter(torch.randperm(len(x), generator=order).split(batch_size))
            batch = next(batches)
        # The members' losses are added; a member's weights appear in its own loss only.
        total = log_loss(forward(x[batch], blocks, activation)[-1], y[batch]).sum()
        gradients = torch.autograd.grad(total, blocks)
        with torch.no_grad():
            for b, (block, v, g) in enumerate(zip(blocks, velocity, gradients, strict=True)):
                s = on[:, step, b, None, None]
                v.add_(s * (g - (1 - momentum) * v))
                block.sub_(lr[:, None, None] * s * v)
    return Path([block.detach() for block in blocks], tuple(stops), torch.stack(measured, 1))
