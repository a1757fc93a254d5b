"""The settings of SGD that experiments nest in theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class SGD:
    """How long, how fast and on how much: ``epochs`` or ``steps``, with ``batch`` examples a step.

    ``lr`` is a number, or a tuple of them, one for each network of a stack; a user knows which. The
    last ``cool`` epochs take a tenth of it, which ends the jumping about of single steps.
    """

    lr: Any
    epochs: int = 0
    batch: int = 1
    momentum: float = 0.0
    decay: float = 0.0
    cool: int = 0
    steps: int = 0

    @property
    def cooling(self) -> int:
        """The epoch, counted from 0, before which the learning rate is divided by ten."""
        return self.epochs - self.cool

    @property
    def how(self) -> dict[str, Any]:
        """What `whydeep.descent.train` takes of these; a stack of networks does not cool."""
        long = {"steps": self.steps} if self.steps else {"epochs": self.epochs}
        each = {"lr": self.lr, "batch_size": self.batch}
        return long | each | {"momentum": self.momentum, "weight_decay": self.decay}
