"""Bounds, vacuous and not: formulas against worked examples, and what the experiments rest on."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import binom, binomtest, norm
from torch.distributions import Normal, kl_divergence
from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.experiments.theory_survey.generalization import (
    _two_kinds,
    certificates,
    size_free_complexity,
    size_of_weights,
)
from whydeep.labs import bounds


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


# --- the size of the weights ---------------------------------------------------------------------


def test_output_weights_are_the_shortest_and_longer_ones_with_the_same_outputs():
    rng = np.random.default_rng(0)
    phi, y = rng.standard_normal((20, 50)), rng.choice([-1.0, 1.0], 20)
    v = size_of_weights.output_weights(phi, y, (0.0, 0.5, 2.0), rng)
    np.testing.assert_allclose(phi @ v, np.repeat(y[:, None], 3, axis=1), atol=1e-9)
    shortest = np.linalg.lstsq(phi, y, rcond=None)[0]
    np.testing.assert_allclose(v[:, 0], shortest, atol=1e-9)
    # z is at right angles to v_0, which lies in the span of the examples: Pythagoras.
    lengths = (v * v).sum(0) / (shortest @ shortest)
    np.testing.assert_allclose(lengths, [1, 1.25, 5], rtol=1e-9)


def test_with_fewer_units_than_examples_there_is_nothing_to_add():
    rng = np.random.default_rng(0)
    phi, y = rng.standard_normal((50, 20)), rng.choice([-1.0, 1.0], 50)
    v = size_of_weights.output_weights(phi, y, (0.0, 2.0), rng)
    np.testing.assert_allclose(v[:, 1], v[:, 0], atol=1e-9)
    np.testing.assert_allclose(v[:, 0], np.linalg.lstsq(phi, y, rcond=None)[0], atol=1e-9)


# --- norms of deep networks ----------------------------------------------------------------------


def test_the_climb_finds_the_best_single_unit_and_nothing_above_it():
    # In the plane a scan over the angles finds the best unit, which the proposition says is best.
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(30, 2, generator=generator)
    signs = 2.0 * torch.randint(2, (3, 30), generator=generator) - 1
    angle = torch.linspace(0, 2 * math.pi, 2000)
    units = torch.relu(x @ torch.stack([angle.cos(), angle.sin()]))
    best = (signs @ units / 30).abs().amax(1)
    settings = size_free_complexity.Settings(steps=150)
    for hidden in ((40,), (20, 20)):
        reached = size_free_complexity.reach(x, signs, hidden, settings, generator)
        assert (reached <= best * 1.001).all()
        assert (reached >= best * 0.98).all()


def test_what_is_held_at_one_is_held_at_one():
    w = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        size_free_complexity.hold(w, "layer").norm(dim=(1, 2)), torch.ones(2)
    )
    torch.testing.assert_close(size_free_complexity.hold(w, "unit").norm(dim=2), torch.ones(2, 5))


def test_the_log_loss_of_one_output_is_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    f = torch.randn(2, 6, 1, generator=generator)
    y = torch.randint(2, (2, 6, 1), generator=generator)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(f, y.float(), reduction="none")
    torch.testing.assert_close(_two_kinds.log_loss_of_one(f, 2.0 * y - 1), expected.squeeze(-1))


def test_pictures_have_the_length_asked_for_and_labels_of_two_kinds():
    (x, y), (x_test, y_test) = _two_kinds.pictures(50, 3.0, None, Chance(0))
    torch.testing.assert_close(x.norm(dim=1), torch.full((50,), 3.0))
    assert x_test.shape == (2000, 196)
    assert set(y.tolist()) == set(y_test.tolist()) == {0, 1}


# --- certificates --------------------------------------------------------------------------------


def normal_network(hidden=7, d=5, seed=0):
    generator = torch.Generator().manual_seed(seed)
    mean = [
        torch.randn(hidden, d, generator=generator),
        torch.randn(1, hidden, generator=generator),
    ]
    log_sd = [0.3 * torch.randn(w.shape, generator=generator) - 1 for w in mean]
    return mean, log_sd, generator


def test_the_chance_of_an_error_is_that_of_drawn_weights():
    mean, log_sd, generator = normal_network()
    x, y, draws = torch.randn(5, generator=generator), torch.tensor(1.0), 40_000
    noise = torch.randn(draws, 7, generator=generator)
    short = certificates.chance_of_error(mean, log_sd, x.expand(draws, -1), y.expand(draws), noise)
    weights = [
        m + s.exp() * torch.randn(draws, *m.shape, generator=generator)
        for m, s in zip(mean, log_sd, strict=True)
    ]
    outputs = (torch.relu(weights[0] @ x) * weights[1][:, 0]).sum(1)
    # Two means over 40,000 draws: standard errors of at most 0.0025.
    assert short.mean().item() == pytest.approx((outputs <= 0).float().mean().item(), abs=0.0125)


def test_without_a_hidden_layer_the_chance_of_an_error_is_exact():
    w, s = torch.tensor([[2.0, -1.0]]), torch.tensor([[0.5, 0.25]])
    x = torch.tensor([[1.0, 3.0]])
    found = certificates.chance_of_error([w], [s.log()], x, torch.tensor([1.0]), torch.zeros(1, 0))
    expected = norm.cdf(-(2 - 3) / math.sqrt(0.25 + 9 / 16))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_that_of_torch_and_least_at_the_best_variance():
    mean, log_sd, generator = normal_network()
    centre = [torch.randn(w.shape, generator=generator) for w in mean]
    variance = torch.tensor(0.7)
    expected = sum(
        kl_divergence(Normal(m, s.exp()), Normal(c, variance.sqrt())).sum()
        for m, s, c in zip(mean, log_sd, centre, strict=True)
    )
    found, _ = certificates.divergence(mean, log_sd, centre, variance)
    torch.testing.assert_close(found, expected)
    least, best = certificates.divergence(mean, log_sd, centre)
    for factor in (0.9, 1.1):
        assert certificates.divergence(mean, log_sd, centre, best * factor)[0] > least


def test_training_and_test_pictures_do_not_overlap():
    settings = certificates.Settings(examples=3000)
    (x, y), (x_test, y_test) = certificates.pictures(settings, Chance(0))
    assert (len(x), len(x_test)) == (3000, 9000)
    assert len(y) + len(y_test) == 12_000
    assert 0.45 < y.double().mean() < 0.55
