"""A condition as a strip: an axis with its bound, a dot a seed, the mean with its interval.

Marks stand at percentages of the strip's width, so that a phone shows the same picture and no
letter shrinks. What a strip shows also stands in words under it, for those who do not see it.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from whydeep.book.evidence import interval_words, shown
from whydeep.evidence.claims import Condition, Measured

ROOM = 0.06  # of the axis, free at either end
FAR = 1.5  # a control that lies further off than so many axes is shown at the end, as an arrow


@dataclass(frozen=True)
class Scale:
    """An axis from ``low`` to ``high`` on the condition's scale, where effects add."""

    condition: Condition
    low: float
    high: float

    def at(self, value: float) -> float:
        """Where ``value`` stands, in percent of the width; at an end where it lies beyond."""
        place = (self.condition.scaled(value) - self.low) / (self.high - self.low)
        return 100 * min(1.0, max(0.0, place))

    def off(self, value: float) -> bool:
        """Whether ``value`` lies beyond the ends."""
        return not self.low <= self.condition.scaled(value) <= self.high


def scale(measured: Measured, controls: Iterable[Measured]) -> Scale:
    """The axis that has room for the measurement, the bound, no effect and the source's value.

    Controls too, unless they lie far off.
    """
    condition = measured.condition

    def finite(values: Iterable[float | None]) -> list[float]:
        scaled = [condition.scaled(value) for value in values if value is not None]
        return [value for value in scaled if math.isfinite(value)]

    named = (condition.bound, condition.none, condition.source)
    must = finite((*named, measured.low, measured.high, *measured.values))
    low, high = min(must), max(must)
    width = (high - low) or abs(high) or 1.0
    more = finite(value for control in controls for value in control.values)
    near = [value for value in more if low - FAR * width <= value <= high + FAR * width]
    low, high = min([low, *near]), max([high, *near])
    room = ROOM * ((high - low) or width)
    return Scale(condition, low - room, high + room)


def strip(measured: Measured, controls: Sequence[Measured], planted: Sequence[Measured]) -> str:
    """The strip of one condition as HTML.

    ``controls`` are what its controls measured of it, ``planted`` what its positive controls did.
    """
    condition, axis = measured.condition, scale(measured, [*controls, *planted])
    inside = (
        (axis.at(condition.bound), 100.0)
        if condition.sense == ">="
        else (0.0, axis.at(condition.bound))
    )
    marks = [_bar("zone", *inside)]
    marks += [_mark("bound", axis, condition.bound)]
    if condition.none is not None and condition.none != condition.bound:
        marks.append(_mark("none", axis, condition.none))
    if condition.source is not None:
        marks.append(_mark("source", axis, condition.source))
    if math.isfinite(measured.low) and math.isfinite(measured.high):
        marks.append(_bar("interval", axis.at(measured.low), axis.at(measured.high)))
        marks.append(_mark("mean", axis, measured.centre))
    marks += [_mark("seed", axis, value) for value in measured.values if math.isfinite(value)]
    for control in (*controls, *planted):
        marks += [_mark("control", axis, value) for value in control.values if math.isfinite(value)]
    told = described(measured, controls, planted)
    return (
        f'<div class="strip" aria-hidden="true">{"".join(marks)}</div>'
        f'<p class="strip-told">{html.escape(told)}</p>'
    )


def described(measured: Measured, controls: Sequence[Measured], planted: Sequence[Measured]) -> str:
    """The strip in words, for all who read it and for those who do not see it."""
    condition, unit = measured.condition, measured.unit
    side = "at least" if condition.sense == ">=" else "at most"
    words = [
        f"measured {interval_words(measured)}",
        f"needed {side} {shown(condition.bound, unit)}",
    ]
    if condition.none is not None and condition.none != condition.bound:
        words.append(f"no effect {shown(condition.none, unit)}")
    if condition.source is not None:
        words.append(f"the source {shown(condition.source, unit)}")
    words += [f"without the cause {interval_words(control)}" for control in controls]
    words += [f"with a planted effect {interval_words(control)}" for control in planted]
    return " · ".join(words)


def _bar(kind: str, left: float, right: float) -> str:
    return f'<i class="strip-{kind}" style="left:{left:.2f}%;right:{100 - right:.2f}%"></i>'


def _mark(kind: str, axis: Scale, value: float) -> str:
    far = " strip-far" if axis.off(value) else ""
    return f'<i class="strip-{kind}{far}" style="left:{axis.at(value):.2f}%"></i>'
