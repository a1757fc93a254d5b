"""Arguments of a stack of K members: one for all, or one for each."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from whydeep.errors import BadSettings

PerMember = float | int | Sequence[float | int] | Tensor | np.ndarray


def numbers(value: PerMember, name: str, k: int, at_most: float = np.inf) -> Float64[Tensor, " k"]:
    """A number for each member, from one for all or one for each."""
    values = torch.as_tensor(value, dtype=torch.float64).cpu()
    if values.ndim > 1 or (values.ndim == 1 and len(values) != k):
        raise BadSettings(
            f"{name} has shape {tuple(values.shape)}, expected one number, or {k} numbers for the "
            f"{k} members of the stack"
        )
    if not bool(((values >= 0) & (values <= at_most) & values.isfinite()).all()):
        raise BadSettings(
            f"{name} is {values.tolist()}, expected a finite number of 0 or more"
            + (f", up to {at_most:g}" if np.isfinite(at_most) else "")
        )
    return values.expand(k)


def is_shared(tensor: Tensor, example_dims: int, k: int, name: str) -> bool:
    """Whether the members share this tensor, (n, ...), or have one each, (K, n, ...)."""
    if tensor.ndim == example_dims + 1:
        return True
    if tensor.ndim == example_dims + 2 and tensor.shape[0] == k:
        return False
    raise BadSettings(
        f"{name} has shape {tuple(tensor.shape)}, expected {example_dims + 1} dimensions, examples "
        f"first, or {example_dims + 2} with the {k} members of the stack before them: reshape it"
    )
