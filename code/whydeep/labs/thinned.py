"""A stack of K dense networks that leave units out while they learn; no experiment by itself.

K networks that differ in their settings only (dropout rate, labels, learning rate) share their
start, the order of their examples and their random numbers, so that they can be compared in pairs:

    every step:   u_l uniform on [0, 1): one number for each example and unit of layer l
                  a unit is kept where u_l >= rate:  x^(l+1) = keep_l relu(W_l^T x^(l)) / (1 - rate)
                  v <- momentum v + gradient,  w <- w - lr v

What the mask acts on is a setting (`MASKS`), because that is what the page is about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.chance import Chance
from whydeep.descent import Now, by_ten, descend, epochs, log_loss, momentum, times
from whydeep.descent.loop import Weights
from whydeep.descent.settings import SGD
from whydeep.errors import BadSettings
from whydeep.networks import Dense

MASKS = ("units", "one a step", "columns")
"""units: a mask for each example; one a step: the batch shares the mask of its first example;
columns: that mask decides which columns of W_l are updated, and no unit is left out."""


@dataclass(frozen=True)
class Member:
    """One network of the stack: its dropout rate and what its mask acts on."""

    rate: float = 0.0
    mask: str = "units"


def start(widths: Sequence[int], k: int, chance: Chance) -> Weights:
    """`Dense(widths)` k times: W_1, b_1, ..., V, b, each (k, inputs, units) or (k, 1, units)."""
    network = Dense(widths, generator=chance["init"])
    layers = [*network.layers.values(), network.classifier]
    parts = [part for layer in layers for part in (layer.weight.T, layer.bias[None])]
    return [part.detach().repeat(k, 1, 1) for part in parts]


def outputs(
    weights: Weights, x: Float[Tensor, "*k n d"], factors: Sequence[Tensor] = ()
) -> Float[Tensor, "k n classes"]:
    """The scores of each member for examples of its own (k, n, d) or shared ones (n, d).

    Layer l is multiplied by ``factors[l]``, of shape (k, n or 1, units). Without factors this is
    the network as it is used.
    """
    h = x if x.ndim == 3 else x.expand(len(weights[0]), *x.shape)
    hidden = len(weights) // 2 - 1
    for i in range(hidden):
        h = torch.relu(torch.baddbmm(weights[2 * i + 1], h, weights[2 * i]))
        h = h * factors[i] if factors else h
    return torch.baddbmm(weights[-1], h, weights[-2])


def error_and_loss(
    x: Float[Tensor, "n d"], y: Int64[Tensor, "..."]
) -> Callable[[Weights], Float[Tensor, "k 2"]]:
    """A measure: error and mean log-loss (nats) over the examples x, labels y (n,) or (k, n)."""

    def measure(weights: Weights) -> Float[Tensor, "k 2"]:
        scores = outputs(weights, x).double()
        labels = y.expand(scores.shape[:2])
        wrong = (scores.argmax(-1) != labels).double()
        return torch.stack([wrong, log_loss(scores, labels)], -1).mean(1)

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
    sgd: SGD,
    chance: Chance,
    *,
    hidden: Sequence[int],
    classes: int,
    measure: Mapping[str, Callable[[Weights], Tensor]],
    every: int = 1,
) -> dict[str, Float[np.ndarray, "k t ..."]]:
    """Train `Dense((d, *hidden, classes))` once for each member by SGD on the mean log-loss.

    ``sgd.lr`` is one number or one for each member. ``measure`` is taken before the first epoch and
    after every ``every`` epochs: t = 1 + epochs / every numbers a member. On the CPU in float32.

    Raises BadSettings if a rate is no share below 1, a mask is unknown or the shapes do not fit.
    """
    for m in members:
        if not 0 <= m.rate < 1 or m.mask not in MASKS:
            raise BadSettings(
                f"a rate of {m.rate} and the mask '{m.mask}': expected a rate of at least 0 and "
                f"less than 1, and one of {', '.join(MASKS)}"
            )
    if labels.shape != (len(members), len(x)) or sgd.epochs % every:
        raise BadSettings(
            f"labels have shape {tuple(labels.shape)}, and {sgd.epochs} epochs are measured every "
            f"{every}: expected ({len(members)}, {len(x)}), and a divisor of the epochs"
        )

    def draw() -> Iterator[tuple[Tensor, list[tuple[Tensor, Tensor]]]]:
        """A batch, and for each layer the factors of its units and of its columns' gradient."""
        dropout = chance["dropout"]
        for rows in epochs(len(x), sgd.batch, chance["order"]):
            u = torch.rand(len(rows), sum(hidden), generator=dropout).split(list(hidden), 1)
            yield rows, [factors_and_columns(members, part) for part in u]

    def loss(weights: Weights, drawn: Any) -> Float[Tensor, " k"]:
        rows, masks = drawn
        scores = outputs(weights, x[rows], [factor for factor, _ in masks])
        return log_loss(scores, labels[:, rows]).mean(1)

    def columns(now: Now) -> list[Tensor | float]:
        """One mask a layer, for W_l and b_l alike; the classifier has none."""
        return [*(mask for _, mask in now.drawn[1] for _ in range(2)), 1.0, 1.0]

    per_epoch = -(-len(x) // sgd.batch)
    rule = [times(columns)] if any(m.mask == "columns" for m in members) else []
    _, seen = descend(
        start((x.shape[1], *hidden, classes), len(members), chance),
        loss,
        draw(),
        steps=sgd.epochs * per_epoch,
        lr=by_ten(torch.as_tensor(sgd.lr).expand(len(members)), [sgd.cooling * per_epoch]),
        rule=(*rule, momentum(sgd.momentum)),
        look=lambda weights: [each(weights) for each in measure.values()],
        look_at=range(0, (sgd.epochs + 1) * per_epoch, every * per_epoch),
    )
    return {
        name: torch.stack(v, 1).numpy()
        for name, v in zip(measure, zip(*seen, strict=True), strict=True)
    }
