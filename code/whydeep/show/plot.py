"""One description of curves for two looks at them: a figure, and an explorer to drive by hand.

PLOT = Plot(
    sweep=Axis("hidden units", log=True), at="widths",
    y=Axis("error", "%"), factor=100.0,
    series={"error[test]": "test", "error[training]": "training"},
)
with panels() as (drawn, axes):
    PLOT.draw(axes, runs)
PLOT.explorer(runs, key="widths", title=..., about=...)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float, Real
from matplotlib.axes import Axes

from whydeep.axes import Axis
from whydeep.evidence.results import MAIN, Result
from whydeep.show import figures

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

Runs = Mapping[str, Mapping[int, Result]]  # runs[variant][seed], as a record holds them


def over_seeds(
    runs: Runs, quantity: str, variant: str = MAIN, *, factor: float | int = 1.0
) -> Float[np.ndarray, " seeds *rest"]:
    """A quantity, or a place in one, of every run of a variant: one row a seed."""
    return factor * np.array([result[quantity] for result in runs[variant].values()], dtype=float)


def first(runs: Runs, quantity: str, variant: str = MAIN) -> np.ndarray:
    """A quantity that is the same for all seeds, such as the places along an axis."""
    return next(iter(runs[variant].values()))[quantity]


def compare(
    axes: Axes,
    runs: Runs,
    quantity: str,
    at: str,
    variants: Mapping[str, str],
    *,
    factor: float | int = 1.0,
    **line: Any,
) -> None:
    """One quantity of several ``variants`` (name -> label), of those that ``runs`` have, over the
    quantity ``at``: means and bands over seeds."""
    for variant, label in variants.items():
        if variant in runs:
            _curve(axes, runs, quantity, at, variant, factor, label=label, **line)


def _curve(
    axes: Axes, runs: Runs, quantity: str, at: str, variant: str, factor: float | int, **line: Any
) -> None:
    values = over_seeds(runs, quantity, variant, factor=factor)
    figures.band(axes, first(runs, at, variant), values, **line)


@contextmanager
def panels(
    columns: int = 1,
    rows: int = 1,
    *,
    size: tuple[float | int, float | int] | None = None,
    **how: Any,
) -> Iterator[tuple[Any, Any]]:
    """A figure and its axes in the house style: one `Axes`, or an array of them."""
    with figures.style():
        yield plt.subplots(rows, columns, figsize=size, **how)


def ticks(
    axes: Axes,
    places: Sequence[float | int] | Real[np.ndarray, " n"],
    labels: Sequence[str] | None = None,
) -> None:
    """Ticks of the horizontal axis at these ``places`` only, also where it is logarithmic."""
    axes.set_xticks(places, labels or [f"{place:g}" for place in places])
    axes.minorticks_off()


@dataclass(frozen=True)
class Plot:
    """Curves over a swept quantity, one for each of ``series`` (quantity -> label).

    A quantity may leave a place open, ``"error[{}]"``, that `draw` is told. ``at``
    names the quantity that holds the swept values; ``factor`` multiplies the series' values (100
    makes fractions percents). ``variants`` (name -> label) are those that an explorer offers.
    """

    sweep: Axis
    at: str
    y: Axis
    series: Mapping[str, str]
    factor: float | int = 1.0
    variants: Mapping[str, str] = field(default_factory=lambda: {MAIN: "as it is"})

    def draw(
        self,
        axes: Axes,
        runs: Runs,
        variant: str = MAIN,
        *,
        place: str = "",
        **line: Any,
    ) -> None:
        """Means and bands over seeds, of one variant and, where it is left open, at one place."""
        for quantity, label in self.series.items():
            named = quantity.format(place)
            _curve(axes, runs, named, self.at, variant, self.factor, label=label, **line)
        axes.set(xlabel=str(self.sweep), ylabel=str(self.y))
        if self.sweep.log:
            axes.set_xscale("log")
        if self.y.log:
            axes.set_yscale("log")
        axes.legend()

    def draw_variants(self, axes: Sequence[Axes] | np.ndarray, runs: Runs, **line: Any) -> None:
        """Each of ``variants`` in a panel of its own; the first has the y label and the legend."""
        for panel, (variant, title) in zip(axes, self.variants.items(), strict=True):
            self.draw(panel, runs, variant, **line)
            panel.set(title=title)
        for panel in axes[1:]:
            panel.set(ylabel="")
            legend = panel.get_legend()
            assert legend is not None  # drawn above
            legend.remove()

    def explorer(self, runs: Runs, **words: Any) -> SweepExplorer:
        """The same curves to move along; ``words``: key, title, about, predict of the widget."""
        from whydeep.widgets import SweepExplorer  # pages need it, the CLI does not

        return SweepExplorer.from_runs(
            runs,
            series=self.series,
            variants=self.variants,
            sweep=self.sweep,
            sweep_values=self.at,
            factor=self.factor,
            y=self.y,
            **words,
        )
