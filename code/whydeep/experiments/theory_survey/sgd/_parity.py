"""What the two experiments on parities share: strings of signs, their products, and a stack."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from whydeep.errors import BadSettings


def parities(
    x: Float[Tensor, "n d"], sets: Bool[Tensor, "targets d"]
) -> Float[Tensor, "targets n"]:
    """chi_S(x), the product of the signs of x in S, for each row S of ``sets``."""
    negative = sets.float() @ (x < 0).float().T
    return 1 - 2 * torch.remainder(negative, 2)


def draw_signs(n: int, d: int, generator: torch.Generator) -> Float[Tensor, "n d"]:
    """n random strings of d signs, each sign +1 or -1 with probability one half."""
    return 1.0 - 2 * torch.randint(2, (n, d), generator=generator)


def start(members: int, d: int, units: int, init: str, generator: torch.Generator) -> list[Tensor]:
    """W (k, d, units), b, v, c of a stack of networks v . relu(x W + b) + c; biases zero.

    "gaussian": W is N(0, 2 / d). "signs": each weight of W is 1 / sqrt(d) with a random sign, as
    in {cite}`abbe2025`. v is N(0, 1 / units) in both.
    """
    if init == "gaussian":
        w = torch.randn(members, d, units, generator=generator) * math.sqrt(2 / d)
    elif init == "signs":
        w = draw_signs(members * d, units, generator).view(members, d, units) / math.sqrt(d)
    else:
        raise BadSettings(f"init is {init!r}, expected 'gaussian' or 'signs'")
    v = torch.randn(members, units, 1, generator=generator) / math.sqrt(units)
    return [w, torch.zeros(members, 1, units), v, torch.zeros(members, 1, 1)]


def outputs(x: Float[Tensor, "n d"], weights: Sequence[Tensor]) -> Float[Tensor, "members n"]:
    """The output of every member of the stack on the same examples."""
    w, b, v, c = weights
    return (torch.relu(x @ w + b) @ v + c).squeeze(-1)


def hinge(outputs: Tensor, y: Tensor) -> Tensor:
    """max(0, 1 - y f(x)), example by example."""
    return torch.relu(1 - y * outputs)
