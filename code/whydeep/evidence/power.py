"""Operating characteristics: how often each word comes out where the truth is known.

A study has ``conditions`` deciding conditions, each measured on ``seeds`` seeds, its bound so many
``spreads`` (standard deviations over seeds) beyond no effect, and ``controls`` controls that each
attack all of them. The truth is a multiple of the bound: 0 is no effect, 1 the bound itself, 2
twice the bound. Values are normal and conditions independent; the words come from the same
`claims.decide` that the book's verdicts come from.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int, Shaped
from scipy import stats

from whydeep.chance import Chance
from whydeep.evidence.claims import AGAINST, FAVOUR, MISSED, OPEN, STATES, UNDECIDED, decide, level

POWER, LEAST, MOST = 0.9, 5, 20  # the number of seeds: this power at twice the bound


@dataclass(frozen=True)
class Study:
    """A design: see the module's first lines. ``planted``: a positive control as large as twice
    the bound stands beside it, as *not shown* needs."""

    seeds: int = 5
    spreads: float = 1.0
    conditions: int = 1
    controls: int = 1
    planted: bool = False

    def _values(
        self, truth: float, draws: int, rng: np.random.Generator, seeds: int = 0
    ) -> Float[np.ndarray, "draws conditions seeds"]:
        """What each of ``draws`` studies measures, on fresh seeds."""
        size = (draws, self.conditions, seeds or self.seeds)
        return rng.normal(truth * self.spreads, 1.0, size)


def words(
    study: Study, truth: float, *, leak: float = 0.0, draws: int = 20_000, seed: int = 0
) -> dict[str, float]:
    """The share of each word where the effect is ``truth`` times the bound.

    ``leak`` is what is left of the effect in each control, in the same unit: 0 for a control that
    takes the whole cause away.
    """
    rng = Chance(seed).numpy()
    return _shares(_told(study, _draw(study, truth, leak, draws, rng)))


def extended(
    study: Study, truth: float, more: int, *, leak: float = 0.0, draws: int = 20_000, seed: int = 0
) -> dict[str, float]:
    """The same, where an *undecided* study gets ``more`` fresh seeds, once, and is judged on all.

    How many was fixed beforehand; the seeds that are there already count again, and the controls
    get the new ones too.
    """
    rng = Chance(seed).numpy()
    first = _draw(study, truth, leak, draws, rng)
    added = _draw(study, truth, leak, draws, rng, more)
    every = [np.concatenate(pair, axis=2) for pair in zip(first, added, strict=True)]
    before, after = _told(study, first), _told(study, every)
    return _shares(np.where(before == UNDECIDED, after, before))


Runs = list[Float[np.ndarray, "draws conditions seeds"]]


def _draw(
    study: Study, truth: float, leak: float, draws: int, rng: np.random.Generator, seeds: int = 0
) -> Runs:
    """The main run, then each control, then the planted effect where there is one."""
    truths = [truth, *[leak] * study.controls, *[2.0] * study.planted]
    return [study._values(each, draws, rng, seeds) for each in truths]


def _told(study: Study, runs: Runs) -> Shaped[np.ndarray, " draws"]:
    """The word on each study."""
    main = _states(runs[0], study.spreads, level(study.conditions))
    beside = [_states(values, study.spreads, level(1)) for values in runs[1:]]
    controls, planted = beside[: study.controls], beside[study.controls :]
    misses = [np.isin(codes, (CODE[MISSED], CODE[AGAINST])).all(axis=1) for codes in controls]
    controlled = np.all(misses, axis=0) if misses else np.ones(len(main), dtype=bool)
    found = (planted[0] == CODE[FAVOUR]).all(axis=1) if planted else np.zeros(len(main), dtype=bool)
    # Each case is decided once.
    rows = np.column_stack([main, controlled, found])
    digits = len(STATES) ** np.arange(rows.shape[1])
    _, first, which = np.unique(rows @ digits, return_index=True, return_inverse=True)
    told = [
        decide([STATES[code] for code in codes], controlled=bool(ok), like=False, found=bool(saw))
        for *codes, ok, saw in rows[first].tolist()
    ]
    return np.array(told)[which]


def _shares(told: Shaped[np.ndarray, " draws"]) -> dict[str, float]:
    return {word: n / len(told) for word, n in Counter(told.tolist()).most_common()}


CODE = {state: code for code, state in enumerate(STATES)}


def _states(
    values: Float[np.ndarray, "draws conditions seeds"], bound: float, at: float
) -> Int[np.ndarray, "draws conditions"]:
    """States by the zones: in favour beyond ``bound``, opposite beyond 0; see `Condition.state`."""
    n = values.shape[2]
    half = stats.t.ppf(0.5 + at / 2, n - 1) * values.std(axis=2, ddof=1) / math.sqrt(n)
    low, high = values.mean(axis=2) - half, values.mean(axis=2) + half
    cases = [(low >= bound, FAVOUR), (high >= bound, OPEN), (high < 0, AGAINST)]
    return np.select([case for case, _ in cases], [CODE[s] for _, s in cases], CODE[MISSED])


def power(seeds: int, spreads: float, *, share: float = 0.0, at: float = 0.95) -> float:
    """The chance that an interval lies beyond the bound where the truth is twice as far.

    ``spreads`` is the distance of the bound from no effect in standard deviations over seeds;
    ``share`` as in `intervals.interval`. By the noncentral t distribution.
    """
    shift = spreads / math.sqrt(1 / seeds + share / (1 - share))
    return float(stats.nct.sf(stats.t.ppf(0.5 + at / 2, seeds - 1), seeds - 1, shift))


def seeds_needed(spreads: float, *, share: float = 0.0, at: float = 0.95) -> int:
    """How many seeds a claim gets: 90 % power at twice the bound, between five and twenty."""
    enough = (n for n in range(LEAST, MOST) if power(n, spreads, share=share, at=at) >= POWER)
    return next(enough, MOST)
