"""What the Python side of every widget shares: its style, questions, coded numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Shaped

from whydeep.errors import BadSettings

FOLDER = Path(__file__).parent
CODES = {8: np.dtype("u1"), 16: np.dtype("<u2")}
Numbers = Sequence[float] | Sequence[int] | np.ndarray


@dataclass(frozen=True)
class Prediction:
    """A question to answer before the picture shows; ``answer`` is the place of the right option.

    ``because`` is one sentence for after the answer. The reader may skip the question.
    BadSettings if the answer is none of the options.
    """

    question: str
    options: tuple[str, ...]
    answer: int
    because: str

    def __post_init__(self) -> None:
        if not 0 <= self.answer < len(self.options):
            raise BadSettings(
                f"the answer is option {self.answer}, expected 0 to {len(self.options) - 1}"
            )


def check_key(key: str) -> None:
    """BadSettings unless ``key`` can name a widget in the page's address."""
    if not re.fullmatch(r"[a-z][a-z0-9-]*", key):
        raise BadSettings(f"key is {key!r}, expected small letters, digits and dashes")


def style(*names: str) -> str:
    """The style sheets ``names`` of this folder, one after the other."""
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def quantise(
    values: Float[np.ndarray, "..."], *, log: bool, bits: Literal[8, 16] = 16
) -> tuple[bytes, float, float]:
    """``values`` in 8 or 16 bits each: little-endian codes in C order, then the range (low, high).

    With top = 2^bits - 2, code c stands for low + (high - low) c / top, so no value moves by more
    than (high - low) / (2 top). With ``log`` it is the decimal logarithm that is coded, and low and
    high are logarithms. What is not finite (a run that diverged) is coded as missing, top + 1.
    BadSettings if nothing is finite, or if ``log`` meets a value of zero or less.
    """
    finite = np.isfinite(values)
    if not finite.any():
        raise BadSettings("no value to show is finite: expected at least one finite number")
    if log and (values[finite] <= 0).any():
        raise BadSettings(
            f"a logarithmic axis cannot show {values[finite].min():g}: "
            "expected values above zero, or an Axis without log=True"
        )
    places = np.full(values.shape, np.nan)
    places[finite] = np.log10(values[finite]) if log else values[finite]
    low, high = float(places[finite].min()), float(places[finite].max())
    top = 2**bits - 2
    codes = np.full(values.shape, top + 1, dtype=CODES[bits])
    codes[finite] = np.round((places[finite] - low) / ((high - low) or 1.0) * top)
    return codes.tobytes(), low, high


def dequantise(
    codes: bytes, low: float, high: float, *, log: bool, bits: Literal[8, 16] = 16
) -> Float[np.ndarray, " count"]:
    """The values that ``quantise`` has coded, in one row; NaN for what is missing."""
    levels: Shaped[np.ndarray, " count"] = np.frombuffer(codes, dtype=CODES[bits])
    top = 2**bits - 2
    places = low + (high - low) * levels / top
    return np.where(levels > top, np.nan, 10.0**places if log else places)
