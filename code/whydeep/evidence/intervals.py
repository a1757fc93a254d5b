"""Intervals over seeds: what a mean could be, given how far the seeds differ.

Student's t for values on the scale where effects add. Where each seed draws its examples from one
pool, the seeds' means share that pool, and the interval is wider than the seeds alone say.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import stats


def interval(
    values: Sequence[float], level: float = 0.95, *, share: float = 0.0, log: bool = False
) -> tuple[float, float]:
    """The two-sided interval of the mean over seeds at ``level``, in the values' unit.

    ``share`` is the part of its pool that a seed draws, f: with it the variance of the mean is
    s^2 (1/n + f / (1 - f)). ``log``: the interval is one of logarithms, for values above zero.
    Values that do not vary have an interval of length zero. Fewer than two values, one that is not
    finite, or one that has no logarithm give (nan, nan). Source: Student 1908; for the pool, the
    variance of a mean of draws without replacement.
    """
    n = len(values)
    known = n > 1 and all(map(math.isfinite, values)) and not (log and min(values) <= 0)
    if not known or not 0 <= share < 1:
        return math.nan, math.nan
    seen = [math.log(value) for value in values] if log else list(values)
    mean, sd = statistics.mean(seen), statistics.stdev(seen)
    half = float(stats.t.ppf(0.5 + level / 2, n - 1)) * sd * math.sqrt(1 / n + share / (1 - share))
    ends = (mean - half, mean + half)
    if log and not sd:
        return values[0], values[0]
    return (math.exp(ends[0]), math.exp(ends[1])) if log else ends
