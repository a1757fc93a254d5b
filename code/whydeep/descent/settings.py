"""The settings of SGD that experiments nest in theirs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class SGD:
    """How long, how fast and on how much: ``batch`` examples a step, all of them in each epoch.

    ``lr`` is a number, or one for each network of a stack. The last ``cool`` epochs take a tenth of
    it, which ends the jumping about of single steps.
    """

    lr: float | tuple[float, ...]
    epochs: int
    batch: int
    momentum: float = 0.0
    decay: float = 0.0
    cool: int = 0

    @property
    def cooling(self) -> int:
        """The epoch, counted from 0, before which the learning rate is divided by ten."""
        return self.epochs - self.cool
