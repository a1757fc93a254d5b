"""Bounds, vacuous and not: the formulas against worked examples, and what the experiments rest on."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import binom, binomtest

from whydeep import bounds
from whydeep.errors import BadSettings


@pytest.mark.parametrize("c", [1e-6, 0.01, 0.3, 2.0])
def test_kl_inverse_has_closed_forms_at_zero_and_at_a_half(c):
    # kl(0, p) = -ln(1 - p), and kl(1/2, p) = -ln(4 p (1 - p)) / 2.
    assert bounds.kl_inverse(0.0, c) == pytest.approx(-math.expm1(-c), rel=1e-7)
    half = (1 + math.sqrt(-math.expm1(-2 * c))) / 2
    assert bounds.kl_inverse(0.5, c) == pytest.approx(half, rel=1e-7)


def test_kl_inverse_is_the_largest_root_and_refuses_what_is_no_rate():
    p = bounds.kl_inverse(0.028, 0.094)
    assert p > 0.028
    assert bounds.kl(0.028, p) == pytest.approx(0.094)
    assert bounds.kl_inverse(0.3, 0.0) == 0.3
    assert bounds.kl_inverse(0.9, 1e3) == 1.0
    assert bounds.kl_inverse(1.0, 0.5) == 1.0
    with pytest.raises(BadSettings, match="expected 0 to 1"):
        bounds.kl_inverse(1.1, 0.1)


def test_pac_bayes_gives_the_bound_that_dziugaite_and_roy_print():
    # Table 1, one hidden layer of 600 units: training error of Q 0.028, KL 5144, 55,000 examples.
    assert bounds.pac_bayes(0.028, 5144.0, 55_000, 0.025) == pytest.approx(0.161, abs=5e-4)


def test_a_held_out_bound_is_the_binomial_tail_turned_round():
    assert bounds.held_out(0, 50, 0.05) == pytest.approx(1 - 0.05 ** (1 / 50))
    p = bounds.held_out(12, 200, 0.05)
    assert binom.cdf(12, 200, p) == pytest.approx(0.05)
    interval = binomtest(12, 200).proportion_ci(0.9, method="exact")
    assert p == pytest.approx(interval.high)
    assert bounds.held_out(7, 7, 0.05) == 1.0


def test_occam_and_sampling_pay_in_nats():
    # No errors: 1 - exp(-(word + ln(1 / delta)) / n).
    expected = -math.expm1(-(100 - math.log(0.05)) / 1000)
    assert bounds.occam(0.0, 100.0, 1000, 0.05) == pytest.approx(expected)
    assert 0.1 < bounds.sampled(0.1, 10_000, 0.01) < 0.1 + math.sqrt(math.log(200) / 20_000)


def test_vc_is_near_the_textbook_and_hopeless_where_the_class_can_fit_anything():
    # Abu-Mostafa, Magdon-Ismail and Lin (2012), section 2.2: dimension 1, 100 examples, 90 %,
    # with the growth function 2n + 1 in place of (2en): 0.848.
    assert 0.848 < bounds.vc(0.0, 1, 100, 0.1) < 0.93
    assert bounds.vc(0.0, 10_000, 1000, 0.05) > math.sqrt(16 * math.log(2))


def test_the_complexities_bound_what_random_signs_reach():
    rng = np.random.default_rng(0)
    n, d = 200, 30
    x = rng.standard_normal((n, d))
    sums = rng.choice([-1.0, 1.0], (500, n)) @ x / n
    # Of linear functions of length 1, and of those whose weights' magnitudes sum to 1.
    length = math.sqrt((x * x).sum(1).mean())
    assert np.linalg.norm(sums, axis=1).mean() < bounds.of_frobenius(1.0, length, 1, n)
    largest = math.sqrt((x * x).mean(0).max())
    reached = np.abs(sums).max(1).mean()
    assert reached < bounds.of_sums(1.0, largest, d, n) < 2 * reached


def test_of_lengths_is_dudleys_integral():
    n, length, spectral, width, margin = 500, 2.0, 7.0, 30, 0.5
    root = length * math.sqrt(n * math.log(2 * width**2)) * spectral / margin
    integral, _ = quad(lambda e: root / e, 1 / math.sqrt(n), math.sqrt(n))
    expected = 4 / math.sqrt(n) / math.sqrt(n) + 12 / n * integral
    assert bounds.of_lengths(spectral, length, width, n, margin) == pytest.approx(expected)


def test_by_margin_adds_up():
    value = bounds.by_margin(0.1, 0.2, 4.0, 1000, 0.05)
    assert value == pytest.approx(0.1 + 0.1 + 3 * math.sqrt(math.log(40) / 2000))
