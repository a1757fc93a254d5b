"""The one loop of the book: gradient descent on the weights of K networks at once.

At step t chance draws what it decides (a batch, masks, noise), and

    g <- gradient at w of loss(w, drawn), one number a member        (its own weights only)
    g <- change(g, w, now)      for every change of the rule, in order
    w <- w - lr(t) g
    bound(w)                    for every bound, in place

A rule is a tuple of changes (`whydeep.descent.rules`): `(decay(1e-3), momentum(0.9))` is the SGD of
the first part, `(adam(),)` is Adam. Nothing else is hidden: data, masks and schedules are ordinary
functions that a page can print and call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

Weights = list[Tensor]  # each (K, ...); of one network alone, as its module has them
Gradient = list[Tensor] | tuple[Tensor, ...]  # one a weight; both are what torch returns
# For all members, for each of K, or by the step.
Rate = float | int | Tensor | Callable[[int], float | Tensor]


@dataclass(frozen=True)
class Now:
    """The step that is being taken: its number, from 0, and what chance drew for it."""

    t: int
    drawn: Any


Change = Callable[[Gradient, Weights, Now], Gradient]
Bound = Callable[[Weights], None]
Value = TypeVar("Value", bound=float | int | Tensor)


def per_member(value: Value, w: Tensor) -> Value:
    """One number as it is; K numbers with as many dimensions as ``w``, the members first."""
    # A view of a Value that is a Tensor is no Value to the checker, which thinks of subclasses.
    return (  # pyright: ignore[reportReturnType]
        value.view(-1, *[1] * (w.ndim - 1)) if isinstance(value, Tensor) and value.ndim else value
    )


def walk(
    weights: Weights,
    loss: Callable[[Weights, Any], Float[Tensor, " k"]],
    chance: Iterable[Any],
    *,
    lr: Rate,
    rule: Sequence[Change] = (),
    bounds: Sequence[Bound] = (),
) -> Iterator[Float[Tensor, " k"]]:
    """One step after the other, in place, as long as ``chance`` draws; each yields the losses.

    ``weights`` are leaves that require gradients. ``loss(w, drawn)`` is one number a member, of
    which the value before the step is yielded.
    """
    rates = None if callable(lr) else _rates(lr, weights)
    for t, drawn in enumerate(chance):
        losses = loss(weights, drawn)
        # One backward pass gives every member its own gradient: the losses of the members are
        # added, and a member's weights appear in its own loss only.
        total = losses.sum() if len(losses) > 1 else losses
        gradient: Gradient = torch.autograd.grad(total, weights)
        with torch.no_grad():
            for change in rule:
                gradient = change(gradient, weights, Now(t, drawn))
            # `rates` is None where `lr` is a function.
            _move(weights, gradient, _rates(lr(t), weights) if rates is None else rates)  # pyright: ignore[reportCallIssue]
            for bound in bounds:
                bound(weights)
        yield losses.detach()


def _rates(lr: float | int | Tensor, weights: Weights) -> float | int | list[Tensor]:
    """-lr, as `_move` takes it: one number, or one tensor for each weight."""
    return [per_member(-lr, w) for w in weights] if isinstance(lr, Tensor) else -lr


def _move(weights: Weights, gradient: Gradient, rates: float | int | list[Tensor]) -> None:
    """w <- w - lr g, in place."""
    if isinstance(rates, list):
        torch._foreach_addcmul_(weights, gradient, rates)
    else:
        torch._foreach_add_(weights, gradient, alpha=rates)


def descend(
    weights: Sequence[Tensor],
    loss: Callable[[Weights, Any], Float[Tensor, " k"]],
    chance: Iterable[Any],
    *,
    steps: int,
    lr: Rate,
    rule: Sequence[Change] = (),
    bounds: Sequence[Bound] = (),
    look: Callable[[Weights], Any] | None = None,
    look_at: Iterable[int] = (),
) -> tuple[Weights, list[Any]]:
    """Take so many ``steps`` from these weights, which stay as they are.

    Returns where they lead, and what ``look(w)`` returned after each number of steps in
    ``look_at``, in rising order. ``chance`` yields what is drawn for each step. ValueError if it
    ends early, or for a look after more steps than there are.
    """
    stops = sorted(set(look_at))
    if stops and not 0 <= stops[0] <= stops[-1] <= steps:
        raise ValueError(f"look_at has {stops[0]} to {stops[-1]}, expected 0 to {steps}")
    w = [each.detach().clone().requires_grad_() for each in weights]
    taken = walk(w, loss, chance, lr=lr, rule=rule, bounds=bounds)
    seen = []
    for t in range(steps + 1):
        if t in stops:
            with torch.no_grad():
                seen.append(look(w))  # pyright: ignore[reportOptionalCall]
        if t < steps and next(taken, None) is None:
            raise ValueError(f"chance ends after {t} draws, expected {steps}, one a step")
    return [each.detach() for each in w], seen
