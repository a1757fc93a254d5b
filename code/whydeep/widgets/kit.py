"""What the Python side of every widget shares: bundling of its files, numbers in 16 bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped

from whydeep.errors import BadSettings

FOLDER = Path(__file__).parent
LEVELS = 65534  # the highest code; one more, 65535, stands for a value that is missing
MISSING = 65535


def bundle(*names: str) -> str:
    """The files ``names`` of this folder, one after the other: a widget's one ES module or style.

    The kit comes first and declares functions; only the last file exports.
    """
    return "\n".join((FOLDER / name).read_text(encoding="utf-8") for name in names)


def quantise(values: Float[np.ndarray, "..."], *, log: bool) -> tuple[bytes, float, float]:
    """``values`` in 16 bits each: little-endian codes in C order, then the range (low, high).

    Code c stands for low + (high - low) c / 65534, so no value moves by more than
    (high - low) / 131068. With ``log`` it is the decimal logarithm that is coded, and low and high
    are logarithms. What is not finite (a run that diverged) is coded as missing.
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
    codes = np.full(values.shape, MISSING, dtype="<u2")
    codes[finite] = np.round((places[finite] - low) / ((high - low) or 1.0) * LEVELS)
    return codes.tobytes(), low, high


def dequantise(codes: bytes, low: float, high: float, *, log: bool) -> Float[np.ndarray, "count"]:
    """The values that ``quantise`` has coded, in one row; NaN for what is missing."""
    levels: Shaped[np.ndarray, "count"] = np.frombuffer(codes, dtype="<u2")
    places = low + (high - low) * levels / LEVELS
    return np.where(levels == MISSING, np.nan, 10.0**places if log else places)
