"""Recorded numbers beside those of a rerun: the same, within chance, or moved.

On the arithmetic that made the record (`machine.KEYS`) a rerun gives the same numbers, all of
them, for every quantity of every variant and seed. On another, sums are taken in another order
and a long training can end elsewhere; then the means over the seeds may differ by what the spread
over the seeds allows, and what does not vary over the seeds stays the same but for rounding.
Where a seed has as many numbers as it happens to find, they are compared one by one on the
record's arithmetic, and by how many they are, their mean and their spread on another.
Quantities that are times (an experiment's ``TIMED``) say nothing of the code and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whydeep.evidence.machine import same_arithmetic
from whydeep.evidence.results import MAIN, Record, Result

SAME, WITHIN, MOVED = "same", "within chance", "MOVED"
# A record's float64 are written so that they come back exactly, float32 as their shortest decimal.
ROUNDING = 1e-6
# How far the mean over the seeds may lie from the recorded one on another arithmetic, in standard
# errors of their difference. A record has thousands of numbers, so that for one of them 5 is near.
ERRORS = 5.0
# Where nothing varies over the seeds, rounding is all that another arithmetic may change.
OTHER_ROUNDING = 1e-3
Arrays = Sequence[Any]  # of a quantity, one a seed; None where a seed lacks it


@dataclass(frozen=True)
class Comparison:
    """``word`` is SAME, WITHIN or MOVED; ``moved`` has a line for each number that did."""

    word: str
    moved: tuple[str, ...] = ()

    def __str__(self) -> str:
        shown = "; ".join(self.moved[:5])
        more = f"; and {len(self.moved) - 5} more" if len(self.moved) > 5 else ""
        return self.word + (f" ({shown}{more})" if shown else "")


def compare(record: Record, rerun: Record, timed: Collection[str] = ()) -> Comparison:
    """Hold the numbers of ``rerun`` against those of ``record``, over the seeds of both.

    A variant or a quantity that only one of them has is MOVED, as is another shape or unit.
    """
    exact = same_arithmetic(record.provenance, rerun.provenance)
    lines: list[str] = []
    differ = False
    for variant in sorted({*record.runs, *rerun.runs}):
        if variant not in record.runs or variant not in rerun.runs:
            lines.append(f"{variant} is in one of them only")
            continue
        old, new = record.runs[variant], rerun.runs[variant]
        seeds = sorted(set(old) & set(new))
        if not seeds:
            continue
        for quantity in _every(old, new, seeds):
            if quantity in timed:
                continue
            a, b = ([runs[seed].get(quantity) for seed in seeds] for runs in (old, new))
            where = quantity if variant == MAIN else f"{variant} {quantity}"
            pairs = _pairs(a, b, [runs.get(quantity) for runs in old.values()], exact)
            if not pairs:
                lines.append(f"{where} is not what it was, or is missing")
                continue
            units = {runs[seed].units[quantity] for runs in (old, new) for seed in seeds}
            if len(units) > 1:
                lines.append(f"{where} changed its unit")
            for what, before, after in pairs:
                off = ~np.isclose(before, after, rtol=ROUNDING, atol=ROUNDING**2)
                differ |= bool(off.any())
                if off.any() and (exact or not _within(before, after)):
                    seed, *place = np.argwhere(off)[0]
                    index = f"[{', '.join(map(str, place))}]" if place else ""
                    shown = f"{before[(seed, *place)]:.6g} -> {after[(seed, *place)]:.6g}"
                    lines.append(f"{what}{where}{index} of seed {seeds[seed]}: {shown}")
    return Comparison(MOVED if lines else WITHIN if differ else SAME, tuple(lines))


def _every(old: Mapping[int, Result], new: Mapping[int, Result], seeds: list) -> Iterator[str]:
    """The quantities of either side, in order, each once."""
    yield from dict.fromkeys(name for runs in (old, new) for seed in seeds for name in runs[seed])


def _pairs(
    a: Arrays, b: Arrays, recorded: Arrays, exact: bool
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """What to compare of a quantity over the seeds, old and new, (seeds, ...): [] if it misfits.

    ``recorded`` are its arrays of all seeds of the record: where they have several lengths, a seed
    has as many numbers as chance gives it.
    """
    old, new, all_old = (
        {None if each is None else each.shape for each in arrays} for arrays in (a, b, recorded)
    )
    if len(old | new) == 1 and None not in old:
        return [("", np.array(a, dtype=float), np.array(b, dtype=float))]
    ragged = len(all_old) > 1 and (len(b) == 1 or len(new) > 1)
    if not ragged or any(shape is None or len(shape) != 1 for shape in old | new | all_old):
        return []
    if exact:
        if [len(each) for each in a] != [len(each) for each in b]:
            return []
        most = max(len(each) for each in a)
        before, after = (
            np.array([np.pad(each, (0, most - len(each))) for each in arrays], dtype=float)
            for arrays in (a, b)
        )
        return [("", before, after)]

    def over_seeds(of: Callable[[Any], Any], arrays: Arrays) -> np.ndarray:
        return np.array([of(each) for each in arrays], dtype=float)

    told = {"number of ": len, "mean of ": np.mean, "spread of ": np.std}
    return [(what, over_seeds(of, a), over_seeds(of, b)) for what, of in told.items()]


def _within(before: np.ndarray, after: np.ndarray) -> bool:
    """Whether two samples over seeds, (seeds, ...), can be of the same code on other arithmetic.

    The difference of the means is held against its standard error, by the larger of the two
    spreads of this number and the typical one of its array, so that a number that happens to agree
    over the seeds is not held to nothing.
    """
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        return False
    n = len(before)
    scale = np.maximum(np.abs(before).max(0), np.abs(after).max(0))
    allowed = OTHER_ROUNDING * np.maximum(scale, np.median(scale))
    if n > 1:
        spread = np.maximum(before.std(0, ddof=1), after.std(0, ddof=1))
        allowed = allowed + ERRORS * np.maximum(spread, np.median(spread)) * np.sqrt(2 / n)
    gap = np.abs(after.mean(0) - before.mean(0))
    return bool((gap <= allowed).all())
