"""What is descended and what is measured: losses of single examples, for one network or a stack."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor


def log_loss(outputs: Float[Tensor, "*k n classes"], y: Int64[Tensor, "*k n"]) -> Tensor:
    """-log of the probability that softmax(outputs) gives to the label, per example: (*k, n)."""
    if outputs.ndim == 2:
        return F.cross_entropy(outputs, y, reduction="none")
    # With the classes before the examples it is several times as fast.
    classes_first = outputs.flatten(0, -3).mT
    return F.cross_entropy(classes_first, y.flatten(0, -2), reduction="none").view(y.shape)


def squared_error(outputs: Float[Tensor, "*k n m"], y: Float[Tensor, "*k n m"]) -> Tensor:
    """The squared distance of the outputs from the targets, per example: (*k, n)."""
    return (outputs - y).square().sum(-1)
