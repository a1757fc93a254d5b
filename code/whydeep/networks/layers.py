"""Layers that PyTorch has, written out because pages are about them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whydeep.errors import BadSettings


class Dropout(nn.Module):
    """Leaves each number out with probability ``rate`` while training; changes nothing in `eval`.

    What is kept is divided by 1 - rate, so that the mean stays what it was and nothing needs to be
    rescaled when the network is used (Srivastava et al. 2014, section 10; in 2012 the outgoing
    weights were halved instead). Every example of every batch draws a mask of its own from
    ``generator``. Raises BadSettings unless 0 <= rate < 1.
    """

    def __init__(self, rate: float, *, generator: torch.Generator) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise BadSettings(f"dropout rate is {rate}, expected at least 0 and less than 1")
        self.rate, self.generator = rate, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        mask = torch.rand(x.shape, generator=self.generator).to(x) >= self.rate
        return x * mask / (1 - self.rate)
