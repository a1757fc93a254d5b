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
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy import stats

from whydeep.chance import Chance
from whydeep.evidence.claims import AGAINST, FAVOUR, MISSED, OPEN, UNDECIDED, decide, level

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

    def states(
        self, truth: float, draws: int, rng: np.random.Generator, *, at: float, seeds: int = 0
    ) -> list[tuple[str, ...]]:
        """The states of all conditions in ``draws`` studies, each on fresh seeds."""
        values = self._values(truth, draws, rng, seeds or self.seeds)
        return _states(values, self.spreads, at)

    def _values(
        self, truth: float, draws: int, rng: np.random.Generator, seeds: int
    ) -> Float[np.ndarray, "draws conditions seeds"]:
        size = (draws, self.conditions, seeds)
        return rng.normal(truth * self.spreads, 1.0, size)


def words(
    study: Study, truth: float, *, leak: float = 0.0, draws: int = 20_000, seed: int = 0
) -> dict[str, float]:
    """The share of each word where the effect is ``truth`` times the bound.

    ``leak`` is what is left of the effect in each control, in the same unit: 0 for a control that
    takes the whole cause away.
    """
    rng = Chance(seed).numpy()
    main = study.states(truth, draws, rng, at=level(study.conditions))
    return _shares(study, main, leak, draws, rng)


def extended(
    study: Study, truth: float, more: int, *, draws: int = 20_000, seed: int = 0
) -> dict[str, float]:
    """The same, where an *undecided* study gets ``more`` fresh seeds, once, and is judged on all.

    How many was fixed beforehand; the seeds that are there already count again.
    """
    rng = Chance(seed).numpy()
    first = study._values(truth, draws, rng, study.seeds)
    added = study._values(truth, draws, rng, more)
    at = level(study.conditions)
    before = _states(first, study.spreads, at)
    after = _states(np.concatenate([first, added], axis=2), study.spreads, at)
    open_ = [
        decide(s, controlled=True, like=False, found=study.planted) == UNDECIDED for s in before
    ]
    final = [b if goes_on else a for a, b, goes_on in zip(before, after, open_, strict=True)]
    return _shares(study, final, 0.0, draws, rng)


def _shares(
    study: Study, main: Sequence[tuple[str, ...]], leak: float, draws: int, rng: np.random.Generator
) -> dict[str, float]:
    worked = np.ones(draws, dtype=bool)
    for _ in range(study.controls):
        states = study.states(leak, draws, rng, at=level(1))
        worked &= [all(state in (MISSED, AGAINST) for state in each) for each in states]
    found = np.zeros(draws, dtype=bool)
    if study.planted:
        states = study.states(2.0, draws, rng, at=level(1))
        found = np.array([all(state == FAVOUR for state in each) for each in states])
    told = Counter(
        decide(each, controlled=bool(ok), like=False, found=bool(saw))
        for each, ok, saw in zip(main, worked, found, strict=True)
    )
    return {word: n / draws for word, n in told.most_common()}


def _states(
    values: Float[np.ndarray, "draws conditions seeds"], bound: float, at: float
) -> list[tuple[str, ...]]:
    """States by the zones: in favour beyond ``bound``, opposite beyond 0; see `Condition.state`."""
    n = values.shape[2]
    half = stats.t.ppf(0.5 + at / 2, n - 1) * values.std(axis=2, ddof=1) / math.sqrt(n)
    low, high = values.mean(axis=2) - half, values.mean(axis=2) + half
    chosen = np.select([low >= bound, high >= bound, high < 0], [FAVOUR, OPEN, AGAINST], MISSED)
    return [tuple(row) for row in chosen.tolist()]


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
