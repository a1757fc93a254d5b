"""Operating characteristics: the shares of words against theory, and what the rules promise."""

import math

import numpy as np
import pytest
from scipy import stats
from whydeep.chance import Chance
from whydeep.evidence.claims import (
    IN_PART,
    NOT_SHOWN,
    REPRODUCED,
    SHOWN,
    UNDECIDED,
    Claim,
    Control,
    at_least,
    judge,
    level,
)
from whydeep.evidence.power import Study, extended, power, seeds_needed, words
from whydeep.evidence.results import Result

FAVOURABLE = (REPRODUCED, SHOWN, IN_PART)
DRAWS = 4000


def favourable(shares):
    return sum(shares.get(word, 0.0) for word in FAVOURABLE)


@pytest.mark.parametrize("conditions", [1, 2, 3, 6])
@pytest.mark.parametrize("seeds", [5, 20])
@pytest.mark.parametrize("spreads", [0.0, 0.5, 2.0])
def test_with_no_effect_at_most_one_study_in_twenty_gets_a_favourable_word(
    conditions, seeds, spreads
):
    shares = words(Study(seeds, spreads, conditions, controls=0), 0.0, draws=DRAWS)
    n = round(favourable(shares) * DRAWS)
    assert stats.binom.sf(n - 1, DRAWS, 0.05) > 1e-4  # no evidence that it is more than 5 %


def test_the_worst_case_is_a_bound_at_no_effect_and_comes_to_the_level():
    shares = words(Study(5, 0.0, 1, controls=0), 0.0, draws=20_000)
    assert favourable(shares) == pytest.approx(0.025, abs=0.005)


@pytest.mark.parametrize(("seeds", "spreads"), [(5, 1.0), (5, 3.0), (10, 1.0), (20, 0.8)])
def test_the_power_at_twice_the_bound_is_that_of_the_noncentral_t(seeds, spreads):
    shares = words(Study(seeds, spreads, controls=0), 2.0, draws=20_000)
    assert favourable(shares) == pytest.approx(power(seeds, spreads), abs=0.015)


def test_a_pool_that_seeds_share_costs_power():
    # By simulation: the pool's own draw moves all seeds of a study together.
    rng, f, n, spreads = Chance(1).numpy(), 0.2, 8, 1.5
    common = rng.normal(0, math.sqrt(f / (1 - f)), (20_000, 1))
    values = 2 * spreads + common + rng.normal(size=(20_000, n))
    width = math.sqrt(1 / n + f / (1 - f))
    half = stats.t.ppf(0.975, n - 1) * values.std(axis=1, ddof=1) * width
    measured = (values.mean(axis=1) - half >= spreads).mean()
    assert measured == pytest.approx(power(n, spreads, share=f), abs=0.015)
    assert power(n, spreads, share=f) < power(n, spreads)


def test_the_number_of_seeds_is_the_least_with_the_power_between_five_and_twenty():
    assert seeds_needed(3.0) == 5
    assert seeds_needed(0.1) == 20
    n = seeds_needed(1.2)
    assert 5 < n < 20
    assert power(n, 1.2) >= 0.9 > power(n - 1, 1.2)
    assert seeds_needed(1.2, share=0.1) > n


def test_a_control_that_leaves_half_of_a_large_effect_makes_it_undecided():
    study = Study(5, 2.0, 1, controls=1)
    # The control needs power too: its bound lies two spreads from nothing, and five seeds tell.
    assert words(study, 4.0, draws=DRAWS)[SHOWN] > 0.85
    assert words(study, 4.0, leak=2.0, draws=DRAWS)[UNDECIDED] > 0.95


def test_not_shown_needs_the_planted_effect():
    assert NOT_SHOWN not in words(Study(10, 2.0), 0.0, draws=DRAWS)
    assert words(Study(10, 2.0, planted=True), 0.0, draws=DRAWS)[NOT_SHOWN] > 0.9


def test_one_extension_decides_more_and_errs_hardly_more():
    study = Study(5, 1.0, controls=0)
    before, after = words(study, 2.0, draws=DRAWS), extended(study, 2.0, 10, draws=DRAWS)
    assert after.get(SHOWN, 0) > before.get(SHOWN, 0) + 0.1
    for spreads in (0.0, 0.5, 1.0):
        shares = extended(Study(5, spreads, controls=0), 0.0, 10, draws=20_000)
        assert favourable(shares) < 0.05


def test_the_simulation_gives_the_words_that_the_judge_gives():
    study, truth = Study(5, 1.0, 2, controls=1), 1.5
    shares = words(study, truth, draws=400, seed=3)
    rng = Chance(3).numpy()
    main, control = (rng.normal(t, 1.0, (400, 2, 5)) for t in (truth, 0.0))
    gains = tuple(at_least(name, "{bound}", 1.0, none=0.0) for name in "ab")
    claim = Claim(
        "toy", "doe1999", "effect", SHOWN, "A toy", "A toy.",
        decides=gains, controls=(Control("without", "the cause", ("a", "b")),),
    )  # fmt: skip

    def runs(values):
        return {i: Result(a=(a, ""), b=(b, "")) for i, (a, b) in enumerate(values.T)}

    told = [
        judge(claim, {"main": runs(m), "without": runs(c)}).word
        for m, c in zip(main, control, strict=True)
    ]
    assert {w: told.count(w) / 400 for w in set(told)} == pytest.approx(shares)
    assert level(2) == 0.95
    assert np.isclose(sum(shares.values()), 1.0)
