"""A stack of K dense networks that leave units out while they learn; no experiment by itself.

The engine (`whydeep.descent`) draws no masks and `recipe.fit` takes one network at a time.
Here K networks that differ in their settings only (dropout rate, labels, learning rate) share their
start, the order of their examples and their random numbers, so that they can be compared in pairs:

    every step:   u_l uniform on [0, 1): one number for each example and unit of layer l
                  a unit is kept where u_l >= rate:  x^(l+1) = keep_l relu(W_l^T x^(l)) / (1 - rate)
                  v <- momentum v + gradient,  w <- w - lr v

What the mask acts on is a setting (`MASKS`), because that is what the page is about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.descent.recipe import generators
from whydeep.errors import BadSettings
from whydeep.networks import Dense

MASKS = ("units", "one a step", "columns")
"""units: a mask for each example; one a step: the batch shares the mask of its first example;
columns: that mask decides which columns of W_l are updated, and no unit is left out."""


@dataclass(frozen=True)
class Member:
    """One network of the stack: its dropout rate, what its mask acts on, its learning rate."""

    rate: float = 0.0
    mask: str = "units"
    lr: float = 0.02


Weights = list[tuple[Float[Tensor, "k _ _"], Float[Tensor, "k 1 _"]]]
Measure = Callable[[Weights], Tensor]  # returns (k,) or (k, ...)


def outputs(
    weights: Weights, x: Float[Tensor, "n d"], factors: Sequence[Tensor] = ()
) -> Float[Tensor, "k n classes"]:
    """The scores of each member for the examples ``x``; layer l is multiplied by ``factors[l]``.

    A factor has shape (k, n or 1, units). Without factors this is the network as it is used.
    """
    h = x.expand(len(weights[0][0]), *x.shape)
    for i, (w, b) in enumerate(weights[:-1]):
        h = torch.relu(torch.baddbmm(b, h, w))
        h = h * factors[i] if factors else h
    w, b = weights[-1]
    return torch.baddbmm(b, h, w)


def error_and_loss(x: Float[Tensor, "n d"], y: Int64[Tensor, "..."]) -> Measure:
    """A measure: error and mean log-loss (nats) over the examples x, labels y (n,) or (k, n)."""

    def measure(weights: Weights) -> Float[Tensor, "k 2"]:
        scores = outputs(weights, x).double()
        labels = y.expand(scores.shape[:2])
        losses = F.cross_entropy(scores.transpose(1, 2), labels, reduction="none")
        return torch.stack([(scores.argmax(-1) != labels).double(), losses], -1).mean(1)

    return measure


def factors_and_columns(
    members: Sequence[Member], u: Float[Tensor, "b units"]
) -> tuple[Float[Tensor, "k b units"], Float[Tensor, "k 1 units"]]:
    """What multiplies the units of one layer, and what multiplies the gradient of its columns."""
    rate = torch.tensor([m.rate for m in members]).view(-1, 1, 1)
    kinds = [MASKS.index(m.mask) for m in members]
    units, step, columns = (torch.tensor([k == i for k in kinds]).view(-1, 1, 1) for i in range(3))
    keep, first = u >= rate, u[:1] >= rate
    left_out = torch.where(units, keep, torch.where(step, first, True)).to(u)
    scale = torch.where(columns, 1.0, 1 - rate)
    return left_out / scale, torch.where(columns, first, True).to(u)


def train(
    x: Float[Tensor, "n d"],
    labels: Int64[Tensor, "k n"],
    members: Sequence[Member],
    *,
    widths: Sequence[int],
    epochs: int,
    batch_size: int,
    momentum: float,
    seed: int,
    measure: Mapping[str, Measure],
    every: int = 1,
    cool: int = 0,
) -> dict[str, Float[np.ndarray, "k t ..."]]:
    """Train `Dense(widths)` once for each member, side by side, by SGD on the mean log-loss.

    ``measure`` is taken before the first epoch and after every ``every`` epochs: t = 1 + epochs /
    every numbers a member. The last ``cool`` epochs take a tenth of the learning rate, which ends
    the jumping about of single steps. Runs on the CPU in float32.

    Raises BadSettings if a rate is no share below 1, a mask is unknown or the shapes do not fit.
    """
    for m in members:
        if not 0 <= m.rate < 1 or m.mask not in MASKS:
            raise BadSettings(
                f"a rate of {m.rate} and the mask '{m.mask}': expected a rate of at least 0 and "
                f"less than 1, and one of {', '.join(MASKS)}"
            )
    if labels.shape != (len(members), len(x)) or epochs % every:
        raise BadSettings(
            f"labels have shape {tuple(labels.shape)}, and {epochs} epochs are measured every "
            f"{every}: expected ({len(members)}, {len(x)}), and a divisor of the epochs"
        )
    chance = generators(seed)
    start = Dense(widths, generator=chance["init"])
    layers = [*start.layers.values(), start.classifier]
    k = len(members)
    weights: Weights = [
        tuple(
            part.detach().repeat(k, 1, 1).requires_grad_()
            for part in (layer.weight.T, layer.bias[None])
        )
        for layer in layers
    ]
    flat = [part for pair in weights for part in pair]
    velocity = [torch.zeros_like(w) for w in flat]
    lr = torch.tensor([m.lr for m in members]).view(-1, 1, 1)
    hidden = list(widths[1:-1])
    history: dict[str, list[Tensor]] = {name: [] for name in measure}

    @torch.no_grad()
    def look() -> None:
        for name, values in history.items():
            values.append(measure[name](weights))

    look()
    for epoch in range(1, epochs + 1):
        if epoch == epochs - cool + 1:
            lr = lr / 10
        order = torch.randperm(len(x), generator=chance["order"])
        for rows in order.split(batch_size):
            u = torch.rand(len(rows), sum(hidden), generator=chance["dropout"]).split(hidden, 1)
            masks = [factors_and_columns(members, part) for part in u]
            scores = outputs(weights, x[rows], [factor for factor, _ in masks])
            # Summed over the members: a member's weights appear in its own loss only.
            loss = k * F.cross_entropy(scores.flatten(0, 1), labels[:, rows].flatten())
            gradient = torch.autograd.grad(loss, flat)
            with torch.no_grad():
                for i, (w, v, g) in enumerate(zip(flat, velocity, gradient, strict=True)):
                    # The classifier, the last two of ``flat``, has no mask.
                    g = g * masks[i // 2][1] if i // 2 < len(masks) else g
                    v.mul_(momentum).add_(g)
                    w.sub_(lr * v)
        if epoch % every == 0:
            look()
    return {name: torch.stack(v, dim=1).numpy() for name, v in history.items()}
