"""A ReLU network that learns from a ReLU network, on infinitely many examples; no experiment.

The student is x -> sum_i relu(w_i . x), the teacher x -> sum_j relu(v_j . x): one hidden layer,
all output weights 1, examples x normal with covariance 1. The squared loss then needs no data,

    F(W) = 1/2 E (sum_i relu(w_i . x) - sum_j relu(v_j . x))^2,

because the mean of relu(w . x) relu(v . x) has a closed form, the arc-cosine kernel of order one:
|w| |v| (sin t + (pi - t) cos t) / (2 pi), with t the angle between w and v (Cho and Saul 2009;
{cite}`safran2018` take loss, gradient and Hessian from it). Many students learn at once, one a row
of a batch; no member sees its neighbours. All in float64.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whydeep.errors import BadSettings


def orthonormal_teacher(units: int, inputs: int | None = None) -> Float[Tensor, "k d"]:
    """The teacher whose ``units`` weight vectors are unit vectors of ``inputs`` (= units) axes.

    Any other orthonormal teacher is a rotation of it, and the law of the examples does not change
    under rotation. BadSettings if there are fewer inputs than units.
    """
    inputs = units if inputs is None else inputs
    if not 1 <= units <= inputs:
        raise BadSettings(f"{units} orthonormal units do not fit into {inputs} inputs")
    return torch.eye(units, inputs, dtype=torch.float64)


def starts(count: int, units: int, inputs: int, rng: np.random.Generator) -> Float[Tensor, "b n d"]:
    """``count`` students of ``units`` units at their start: normal weights of variance 1 / inputs.

    The start of Safran and Shamir (2018, section 4): a weight vector has length about 1.
    """
    return torch.from_numpy(rng.standard_normal((count, units, inputs)) / math.sqrt(inputs))


def kernel(w: Float[Tensor, "*b n d"], v: Float[Tensor, "*#b m d"]) -> Float[Tensor, "*b n m"]:
    """The mean of relu(w_i . x) relu(v_j . x) over normal x, for all pairs of rows, none zero."""
    lengths = (
        torch.linalg.vector_norm(w, dim=-1)[..., :, None]
        * (torch.linalg.vector_norm(v, dim=-1)[..., None, :])
    )
    cosine = (w @ v.mT / lengths).clamp(-1, 1)
    sine = (1 - cosine**2).clamp_min(0).sqrt()
    return lengths * (sine + (math.pi - cosine.acos()) * cosine) / (2 * math.pi)


def loss(w: Float[Tensor, "*b n d"], teacher: Float[Tensor, "m d"]) -> Float[Tensor, "*b"]:
    """The squared loss F of each student against the ``teacher``; its least value is 0."""
    own, cross, teachers = kernel(w, w), kernel(w, teacher), kernel(teacher, teacher)
    return own.sum((-1, -2)) / 2 - cross.sum((-1, -2)) + teachers.sum() / 2


def gradient(w: Float[Tensor, "*b n d"], teacher: Float[Tensor, "m d"]) -> Float[Tensor, "*b n d"]:
    """The gradient of F by every weight of every student, in closed form.

    d/dw of the kernel is (|v| sin t w / |w| + (pi - t) v) / (2 pi). A pair of equal rows, the
    pair of a unit with itself too, has t = 0 and needs no case of its own.
    """
    others = torch.cat([w, teacher.expand(*w.shape[:-2], *teacher.shape)], -2)
    sign = torch.ones(others.shape[-2], dtype=w.dtype, device=w.device)
    sign[w.shape[-2] :] = -1  # the student's units pull, the teacher's push
    length = torch.linalg.vector_norm(others, dim=-1)
    own = length[..., : w.shape[-2], None]
    cosine = ((w / own) @ (others / length[..., None]).mT).clamp(-1, 1)
    sine = (1 - cosine**2).clamp_min(0).sqrt()
    along = (sine @ (sign * length)[..., None]) / own
    return (along * w + ((math.pi - cosine.acos()) * sign) @ others) / (2 * math.pi)


def hessian(
    w: Float[Tensor, "b n d"], teacher: Float[Tensor, "m d"], step: float = 1e-5
) -> Float[Tensor, "b nd nd"]:
    """Second derivatives of F, by central differences of the exact gradient, ``step`` to each side.

    Error about 1e-9 where no two of the vectors are parallel; the weights in the order (unit,
    input).
    """
    size = w[0].numel()
    columns = []
    for i in range(size):
        move = torch.zeros(size, dtype=w.dtype, device=w.device)
        move[i] = step
        move = move.view(w.shape[1:])
        columns.append((gradient(w + move, teacher) - gradient(w - move, teacher)).flatten(1))
    h = torch.stack(columns, -1) / (2 * step)
    return (h + h.mT) / 2


@dataclass(frozen=True)
class Descent:
    """Where the students of a batch end: weights, loss, length of the gradient, steps made."""

    weights: Float[Tensor, "b n d"]
    loss: Float[Tensor, " b"]
    slope: Float[Tensor, " b"]
    steps: Int[Tensor, " b"]


def descend(
    w: Float[Tensor, "b n d"],
    teacher: Float[Tensor, "m d"],
    *,
    steps: int,
    rate: float,
    momentum: float = 0.0,
    slope: float = 1e-3,
    check_every: int = 50,
) -> Descent:
    """Full gradient descent on F from each start, until its gradient is at most ``slope`` long.

    ``rate`` times the largest curvature, about (n + 2) / 4 for n units, has to stay below 2.
    With ``momentum``: velocity <- momentum velocity + gradient, w <- w - rate velocity. A student
    that has arrived (looked at every ``check_every`` steps) leaves the batch, which changes nothing
    for the others. BadSettings if a student flew off.
    """
    end = w.clone()
    made = torch.full((len(w),), steps, dtype=torch.int64, device=w.device)
    running = torch.arange(len(w), device=w.device)
    velocity = torch.zeros_like(w)
    for t in range(steps):
        g = gradient(w, teacher)
        if t % check_every == 0:
            arrived = torch.linalg.vector_norm(g, dim=(1, 2)) <= slope
            if arrived.any():
                end[running[arrived]], made[running[arrived]] = w[arrived], t
                w, g, velocity, running = (z[~arrived] for z in (w, g, velocity, running))
            if not len(running):
                break
        velocity = momentum * velocity + g
        w = w - rate * velocity
    end[running] = w
    final = loss(end, teacher)
    if not torch.isfinite(final).all():
        raise BadSettings(f"descent with rate {rate} flew off: take a smaller one")
    return Descent(end, final, torch.linalg.vector_norm(gradient(end, teacher), dim=(1, 2)), made)


def stuck(found: Descent, loss: float = 1e-3, slope: float = 1e-3) -> float:
    """Share of students that arrived (gradient at most ``slope``) at a loss above ``loss``."""
    return float(((found.loss > loss) & (found.slope <= slope)).double().mean())
