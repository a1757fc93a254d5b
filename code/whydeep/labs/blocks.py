"""Networks without biases whose matrices, the blocks, are trained apart: alone, or in turns.

A block is one matrix: W_1, ..., W_L, V. The loss may be convex in one of them although it is not
convex in all of them together, so one asks what a block can do alone, or in turns. At step t a
member with timetable s (0 or 1 for each step and block) takes, in block b,

    v_b <- momentum v_b + g_b,    W_b <- W_b - lr v_b       if s[t, b] = 1,

and leaves W_b and v_b as they are if s[t, b] = 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from whydeep.descent import descend as descend_
from whydeep.descent import epochs, log_loss, momentum
from whydeep.descent.loop import Weights
from whydeep.errors import BadSettings

Activation = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, Activation] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}


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


def mean_loss(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    blocks: Sequence[Float[Tensor, "k _ _"]],
    activation: Activation,
) -> Float[Tensor, " k"]:
    """Each member's mean log-loss, in nats, on examples x with labels y that all share."""
    scores = forward(x, blocks, activation)[-1]
    return log_loss(scores, y.expand(len(scores), -1)).mean(-1)


def descend(
    blocks: Sequence[Float[Tensor, "k _ _"]],
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    timetable: Bool[Tensor, "k steps b"],
    *,
    activation: Activation,
    lr: Float[Tensor, " k"],
    beta: float,
    batch: int,
    order: torch.Generator,
    look: Callable[[Weights], Tensor],
    look_at: Sequence[int] = (),
) -> tuple[Weights, Float[Tensor, "k T *more"]]:
    """Take the timetable's steps with momentum ``beta`` from these blocks, which are not changed.

    All members see the same batches. What ``look(blocks)`` returned, one number (k,) or more
    (k, ...) a member, after the numbers of steps in ``look_at`` comes stacked behind the blocks.
    A member that diverges is no error: what is measured of it is not finite.
    Raises BadSettings if the timetable, lr or blocks are not of one number of members and blocks.
    """
    members, steps, count = timetable.shape
    if {len(lr), *(len(block) for block in blocks)} != {members} or len(blocks) != count:
        raise BadSettings(
            f"a timetable for {members} members and {count} blocks, but {len(blocks)} blocks of "
            f"{[len(block) for block in blocks]} members and {len(lr)} learning rates"
        )
    on = timetable.to(x)
    found, seen = descend_(
        blocks,
        lambda w, rows: mean_loss(x[rows], y[rows], w, activation),
        epochs(len(x), batch, order, whole=True),
        steps=steps,
        lr=lr,
        rule=(momentum(beta, lambda now: [on[:, now.t, b, None, None] for b in range(count)]),),
        look=look,
        look_at=look_at,
    )
    return found, torch.stack(seen, 1)
