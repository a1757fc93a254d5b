"""An axis, as figures and explorers name it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """One axis: ``label``, ``unit`` ("" for none) and whether it is logarithmic."""

    label: str
    unit: str = ""
    log: bool = False

    def __str__(self) -> str:
        return f"{self.label} ({self.unit})" if self.unit else self.label
