"""The settings of SGD that experiments nest in theirs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class SGD:
    """How long, how fast and on how much: ``batch`` examples a step, all of them in each epoch.

    Its length is so many ``epochs`` or, where they are 0, so many ``steps``. ``lr`` is a number, or
    one for each network of a stack. The last ``cool`` epochs take a tenth of it, which ends the
    jumping about of single steps.
    """

    lr: float | tuple[float, ...]
    epochs: int = 0
    steps: int = 0
    batch: int
    momentum: float = 0.0
    decay: float = 0.0
    cool: int = 0

    @property
    def cooling(self) -> int:
        """The epoch, counted from 0, before which the learning rate is divided by ten."""
        return self.epochs - self.cool

    @property
    def how(self) -> dict[str, Any]:
        """The same as arguments of `train`, which does not cool."""
        return {
            "lr": self.lr,
            "batch_size": self.batch,
            "momentum": self.momentum,
            "weight_decay": self.decay,
            **({"epochs": self.epochs} if self.epochs else {"steps": self.steps}),
        }
