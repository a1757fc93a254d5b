"""What *How to read a verdict* tells its reader about chance, checked against simulation."""

import numpy as np
import pytest
from whydeep.evidence.claims import Condition, Measured


@pytest.mark.parametrize("margin", [0.5, 1.0, 2.0, 3.0])
def test_the_chance_of_failing_bounds_how_often_fresh_seeds_fail(margin: float):
    rng, n, trials = np.random.default_rng(0), 5, 100_000
    # Given five normal values of mean `margin` and spread 1, the laws they may have come from:
    # (n - 1) / sd^2 is chi-squared, and the mean is normal around theirs (the flat prior).
    sd = np.sqrt((n - 1) / rng.chisquare(n - 1, size=trials))
    mean = margin + sd / np.sqrt(n) * rng.normal(size=trials)
    fresh = mean[:, None] + sd[:, None] * rng.normal(size=(trials, n))
    fails = ((fresh >= 0).sum(axis=1) < 4) | (fresh.mean(axis=1) < 0)

    seen = np.array([-2.0, -1.0, 0.0, 1.0, 2.0]) / np.sqrt(2.5) + margin
    condition = Condition("gain", "above zero", lambda result: 0.0, ">=", 0.0)
    measured = Measured(condition, tuple(seen.tolist()), True)
    assert measured.margin_in_sd == pytest.approx(margin)
    rounding = 3 * np.sqrt(fails.mean() / trials)
    assert fails.mean() - rounding <= measured.chance_of_failing <= 1.6 * fails.mean()
