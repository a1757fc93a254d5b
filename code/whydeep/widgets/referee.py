"""Referee: studies drawn from a true effect that the reader sets, and how often each word comes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, ClassVar

import anywidget
import traitlets
from scipy import stats

from whydeep.axes import Axis
from whydeep.errors import BadSettings
from whydeep.widgets.bundler import bundle
from whydeep.widgets.kit import FOLDER, Prediction, check_key, style

EFFECTS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 3.0, 4.0)
SPREADS = (0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0)
LEFT = {"nothing": 0.0, "half": 0.5, "all of it": 1.0}
MOST_SEEDS = 30  # each study has room for so many


class Referee(anywidget.AnyWidget):
    """Studies of an effect that the reader knows, judged by the book's rules.

    Everything is measured in bounds: no effect is 0, the bound 1. A study has one condition, a
    control and a positive control that plants twice the bound; each seed gives a normal value
    around the truth. The strips show the last study, the tally how often each word came out. The
    reader chooses the true effect, the spread over seeds, how many ``seeds`` there are, and how
    much of the effect the control leaves; each such choice begins a new tally.

    ``key`` is short, unique on its page, and names the widget in the page's address.
    ``title`` says what is shown, ``about`` what to try and what to look for.
    ``start`` gives the first settings: effect, spread, seeds, left, each one of those offered.
    ``effect``, ``spread``, ``seeds``, ``left`` (indices), ``first`` and ``count`` (the studies in
    the tally), ``opened`` and ``predicted`` are the state that the reader changes; Python sees it
    in a notebook.

    BadSettings names what does not fit.
    """

    _esm: ClassVar[str] = bundle(FOLDER / "referee" / "index.js")
    _css: ClassVar[str] = style("kit.css", "referee.css")
    spec = traitlets.Dict().tag(sync=True)
    effect = traitlets.Int(0).tag(sync=True)
    spread = traitlets.Int(0).tag(sync=True)
    seeds = traitlets.Int(0).tag(sync=True)
    left = traitlets.Int(0).tag(sync=True)
    first = traitlets.Int(0).tag(sync=True)
    count = traitlets.Int(1).tag(sync=True)
    opened = traitlets.Bool(True).tag(sync=True)
    predicted = traitlets.Int(-1).tag(sync=True)

    def __init__(
        self,
        *,
        key: str,
        title: str,
        about: str,
        start: dict[str, Any] | None = None,
        seeds: Sequence[int] = (5, 10, 20),
        predict: Prediction | None = None,
    ) -> None:
        check_key(key)
        if len(set(seeds)) < len(seeds) or not all(2 <= n <= MOST_SEEDS for n in seeds):
            raise BadSettings(
                f"seeds are {tuple(seeds)}, expected different, from 2 to {MOST_SEEDS}"
            )
        offered = {"effect": EFFECTS, "spread": SPREADS, "seeds": tuple(seeds), "left": tuple(LEFT)}
        chosen = {"effect": 0.0, "spread": 1.0, "seeds": seeds[0], "left": "nothing"}
        chosen |= start or {}
        places = {}
        for name, value in chosen.items():
            if value not in offered.get(name, ()):
                options = ", ".join(map(str, offered.get(name, offered)))
                raise BadSettings(f"start: {name} is {value!r}, expected one of {options}")
            places[name] = offered[name].index(value)
        spec = {
            "key": key,
            "title": title,
            "about": about,
            "effects": asdict(Axis("true effect", "bounds")) | {"values": list(EFFECTS)},
            "spreads": asdict(Axis("spread over seeds", "bounds")) | {"values": list(SPREADS)},
            "seeds": list(seeds),
            "quantiles": [float(stats.t.ppf(0.975, n - 1)) for n in seeds],
            "left": [{"label": label, "share": share} for label, share in LEFT.items()],
            "predict": predict and asdict(predict) | {"options": list(predict.options)},
        }
        super().__init__(spec=spec, opened=predict is None, **places)
