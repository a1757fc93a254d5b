"""SweepExplorer: curves or fields over one swept axis, with their seeds, to drag along."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import anywidget
import numpy as np
import traitlets
from jaxtyping import Float

from whydeep.axes import Axis
from whydeep.errors import BadSettings
from whydeep.widgets.bundler import bundle
from whydeep.widgets.kit import FOLDER, Numbers, Prediction, check_key, quantise, style

MOST_SERIES = 6  # as many colours, dashes and markers as there are to tell apart


class SweepExplorer(anywidget.AnyWidget):
    """Curves, or a field, over a swept quantity, for one variant at a time.

    ``values``, in the unit of ``y``, has one of three shapes:

    * (variants, series, seeds, sweep): curves over the swept quantity, with a cursor to move;
    * (variants, series, seeds, sweep, points): one set of curves over ``x`` for each swept value;
    * (variants, 1, seeds, sweep, rows, points): one field over ``x`` and ``rows``, as colours.

    The picture shows means over seeds, and beside curves bands of one standard deviation (n - 1);
    a value that is not finite leaves a gap.

    ``key`` is short, unique on its page, and names the widget in the page's address.
    ``title`` says what is shown, ``about`` what to try and what to look for.
    ``series`` and ``variants`` are labels, the latter by name (the name goes into the address);
    ``sweep_values``, ``x_values`` and ``row_values`` are increasing, in the unit of their axis.
    ``position``, ``variant`` (indices), ``opened`` (whether the curves show) and ``predicted`` (the
    reader's option, or -1) are the state that the reader changes; Python sees it in a notebook.

    BadSettings names what does not fit.
    """

    _esm: ClassVar[str] = bundle(FOLDER / "sweep" / "index.js")
    _css: ClassVar[str] = style("kit.css")
    spec = traitlets.Dict().tag(sync=True)
    data = traitlets.Bytes().tag(sync=True)
    position = traitlets.Int(0).tag(sync=True)
    variant = traitlets.Int(0).tag(sync=True)
    opened = traitlets.Bool(True).tag(sync=True)
    predicted = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        values: Float[np.ndarray, "variants series seeds sweep *points"],
        *,
        key: str,
        title: str,
        about: str,
        series: Sequence[str],
        variants: Mapping[str, str],
        seeds: Sequence[int],
        sweep: Axis,
        sweep_values: Numbers,
        y: Axis,
        x: Axis | None = None,
        x_values: Numbers = (),
        rows: Axis | None = None,
        row_values: Numbers = (),
        predict: Prediction | None = None,
    ) -> None:
        check_key(key)
        if not 1 <= len(series) <= MOST_SERIES:
            raise BadSettings(
                f"{len(series)} series, expected 1 to {MOST_SERIES}: split the figure"
            )
        expected = {
            "variants": len(variants),
            "series": len(series) if rows is None else 1,
            "seeds": len(seeds),
            "sweep": len(sweep_values),
        }
        if (x is None) != (len(x_values) == 0) or (rows is None) != (len(row_values) == 0):
            raise BadSettings("x and x_values, rows and row_values: give both of a pair or neither")
        if rows is not None:
            expected["rows"] = len(row_values)
        if x is not None:
            expected["points"] = len(x_values)
        if values.shape != tuple(expected.values()) or (rows is not None and x is None):
            raise BadSettings(
                f"values have shape {values.shape}, expected {tuple(expected.values())}: "
                f"({', '.join(expected)}), and x wherever there are rows"
            )
        for axis, along in ((sweep, sweep_values), (x, x_values), (rows, row_values)):
            if axis is not None:
                _check_increasing(axis, along)
        data, low, high = quantise(values.astype(float), log=y.log)
        spec = {
            "key": key,
            "title": title,
            "about": about,
            "series": list(series),
            "variants": [{"name": name, "label": label} for name, label in variants.items()],
            "seeds": [int(seed) for seed in seeds],
            "sweep": asdict(sweep) | {"values": [float(v) for v in sweep_values]},
            "x": x and asdict(x) | {"values": [float(v) for v in x_values]},
            "rows": rows and asdict(rows) | {"values": [float(v) for v in row_values]},
            "y": asdict(y) | {"low": low, "high": high},
            "predict": predict and asdict(predict) | {"options": list(predict.options)},
        }
        super().__init__(spec=spec, data=data, opened=predict is None)

    @classmethod
    def from_runs(
        cls,
        runs: Mapping[str, Mapping[int, Mapping[str, np.ndarray]]],
        *,
        series: Mapping[str, str],
        variants: Mapping[str, str],
        sweep: Axis,
        sweep_values: str,
        factor: float | int = 1.0,
        x: Axis | None = None,
        x_values: str = "",
        rows: Axis | None = None,
        row_values: str = "",
        **rest: Any,
    ) -> SweepExplorer:
        """The explorer of recorded runs, ``runs[variant][seed]`` being results (Record.runs).

        ``series`` and ``variants`` give a label to each quantity and variant to show; a quantity
        has shape (sweep,), (sweep, points) where there is an ``x``, or (sweep, rows, points).
        ``sweep_values``, ``x_values`` and ``row_values`` name the quantities that hold the axes'
        values. ``factor`` multiplies the quantities (100 makes fractions percents). ``rest`` goes
        to the constructor.
        BadSettings names a variant or quantity that the runs do not have.
        """
        for variant in variants:
            if variant not in runs:
                raise BadSettings(f"no runs of variant {variant!r}: there are {', '.join(runs)}")
        seeds = sorted(runs[next(iter(variants))])
        first = runs[next(iter(variants))][seeds[0]]
        axes = [name for name in (sweep_values, x_values, row_values) if name]
        for quantity in (*series, *axes):
            if quantity.partition("[")[0] not in first:
                raise BadSettings(f"no quantity {quantity!r}: there are {', '.join(first)}")
        values = np.array(
            [
                [[runs[variant][seed][quantity] for seed in seeds] for quantity in series]
                for variant in variants
            ],
            dtype=float,
        )
        return cls(
            factor * values,
            series=list(series.values()),
            variants=variants,
            seeds=seeds,
            sweep=sweep,
            sweep_values=first[sweep_values].tolist(),
            x=x,
            x_values=first[x_values].tolist() if x_values else (),
            rows=rows,
            row_values=first[row_values].tolist() if row_values else (),
            **rest,
        )


def _check_increasing(axis: Axis, values: Numbers) -> None:
    steps = np.diff(np.asarray(values, dtype=float))
    if len(values) < 2 or not (steps > 0).all():
        raise BadSettings(
            f"the values of {axis.label!r} are {list(values)[:6]}, expected two or more, increasing"
        )
    if axis.log and values[0] <= 0:
        raise BadSettings(
            f"{axis.label!r} is logarithmic and begins at {values[0]:g}: expected values above zero"
        )
