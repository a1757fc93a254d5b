"""What may be done to a gradient, a learning rate or a weight on the way: the parts of a rule.

A change takes (g, w, now), lists of one tensor a weight, and returns what is to take g's place:
eight lines at most, so that a page can print one, or write one of its own in a cell.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from whydeep.descent.loop import Bound, Change, Gradient, Now, Weights, per_member

# --- changes of the gradient ---------------------------------------------------------------------


def decay(amount: float | int | Tensor) -> Change:
    """g + amount w: weight decay, on every weight; one amount, or one for each member (K,)."""

    def change(g: Gradient, w: Weights, now: Now) -> Gradient:
        if isinstance(amount, Tensor):
            return torch._foreach_addcmul(g, w, [per_member(amount, each) for each in w])
        return torch._foreach_add(g, w, alpha=amount)

    return change


def momentum(beta: float | int | Tensor, on: Callable[[Now], Weights] | None = None) -> Change:
    """v <- beta v + g, and v in place of g (Polyak 1964, in the form of `torch.optim.SGD`).

    ``on(now)`` holds 0 or 1 for each weight: where it is 0 the weight rests, and its v with it.
    """
    v: Weights = []

    def change(g: Gradient, w: Weights, now: Now) -> Gradient:
        if not v:
            v[:] = [torch.zeros_like(each) for each in g]
        if on is None:
            many = isinstance(beta, Tensor)
            # The checker does not see that beta is a number where it is not `many`.
            torch._foreach_mul_(v, [per_member(beta, each) for each in v] if many else beta)  # pyright: ignore[reportCallIssue, reportArgumentType]
            torch._foreach_add_(v, g)
            return v
        share = on(now)
        for s, a, b in zip(share, g, v, strict=True):
            b += s * (per_member(beta, b) * b + a - b)
        return [s * b for s, b in zip(share, v, strict=True)]

    return change


def adam(first: float = 0.9, second: float = 0.999, least: float = 1e-8) -> Change:
    """Means of g and of g squared, freed of their start: m / (sqrt(s) + least).

    Kingma and Ba (2015), algorithm 1; ``first`` and ``second`` are its beta_1 and beta_2.
    """
    m: Weights = []
    s: Weights = []

    def change(g: Gradient, w: Weights, now: Now) -> Gradient:
        if not m:
            m[:], s[:] = ([torch.zeros_like(each) for each in g] for _ in range(2))
        torch._foreach_lerp_(m, g, 1 - first)
        torch._foreach_mul_(s, second)
        torch._foreach_addcmul_(s, g, g, value=1 - second)
        t = now.t + 1
        root = torch._foreach_div(torch._foreach_sqrt(s), (1 - second**t) ** 0.5)
        torch._foreach_add_(root, least)
        return torch._foreach_div(torch._foreach_div(m, 1 - first**t), root)

    return change


def times(masks: Callable[[Now], Sequence[Tensor | float]]) -> Change:
    """g times what ``masks`` says of this step for each weight: frozen filters, resting columns."""
    return lambda g, w, now: [a * m for a, m in zip(g, masks(now), strict=True)]


def each(which: Sequence[int], *changes: Change) -> Change:
    """Member k follows changes[which[k]]."""
    kinds = torch.tensor(which)

    def change(g: Gradient, w: Weights, now: Now) -> Gradient:
        out, *others = [list(one([a.clone() for a in g], w, now)) for one in changes]
        for i, other in enumerate(others, start=1):
            chosen = kinds == i
            out = [
                torch.where(per_member(chosen, a), b, a) for a, b in zip(out, other, strict=True)
            ]
        return out

    return change


def plain(g: Gradient, w: Weights, now: Now) -> Gradient:
    """g as it is: gradient descent."""
    return g


# --- learning rates by the step ------------------------------------------------------------------


def by_ten(lr: float | int | Tensor, at: Iterable[int]) -> Callable[[int], float | Tensor]:
    """``lr``, divided by ten before each of the steps ``at``."""
    at = sorted(at)

    def rate(t: int) -> float | Tensor:
        value = lr
        for step in at:
            value = value / 10 if t >= step else value
        return value

    return rate


def to_zero(lr: float | int | Tensor, steps: int) -> Callable[[int], float | Tensor]:
    """``lr`` at the first step, falling in a straight line to 0 after the last of ``steps``."""
    return lambda t: lr * (1 - t / steps)


# --- bounds of the weights -----------------------------------------------------------------------


def max_norm(c: float | int, which: Sequence[int]) -> Bound:
    """Each unit's incoming weights scaled back to Euclidean norm ``c`` where they are longer.

    For the weights ``which`` of a lone module, (units, inputs) or (channels, c, h, w); a row here
    is a column of W_l (Srebro and Shraibman 2005; Hinton et al. 2012, appendix A.1).
    `torch.renorm` divides by the norm + 1e-7, and leaves a column a little shorter than ``c``.
    """

    def bound(w: Weights) -> None:
        for i in which:
            norms = w[i].flatten(1).norm(dim=1).clamp_min(torch.finfo(w[i].dtype).tiny)
            w[i].mul_(per_member((c / norms).clamp_max(1), w[i]))

    return bound


# --- what chance draws ---------------------------------------------------------------------------


def epochs(
    n: int, size: int, generator: torch.Generator, count: int | None = None, *, whole: bool = False
) -> Iterator[Int64[Tensor, " b"]]:
    """The rows of every batch: epochs of all n examples, each in a new order; endless without
    ``count``. What is left where ``size`` does not divide n is a smaller batch, or, with ``whole``
    batches only, left out."""
    while count is None or count > 0:
        for rows in torch.randperm(n, generator=generator).split(size):
            if not whole or len(rows) == min(size, n):
                yield rows
        count = count and count - 1
