"""Dropout as a penalty, AdaGrad's relative, McAllester's bound, learned rates: theory and peers."""

import dataclasses

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.results import MAIN, read_record
from whydeep.experiments.mysterious_steps import (
    _logistic,
    adagrad_relative,
    adaptive_penalty,
    learned_rate,
    pac_bayes,
)


def examples(seed, n=60, d=5, size=1.0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d))
    y = (rng.random(n) < expit(size * x.sum(1))).astype(float)
    return x, y, rng


# --- dropout as a penalty ----------------------------------------------------------------------


@pytest.mark.parametrize("t", [0.1, 1.0, 3.0])
def test_the_exact_penalty_of_two_features_is_that_of_the_four_masks(t):
    # At rate 1/2 the kept features count twice: scores 0, 2t, 2t, 4t, or 0, 2t, -2t, 0.
    def loss(z):
        return np.logaddexp(0, z)

    w = np.full(2, t)
    agree = (loss(0) + 2 * loss(2 * t) + loss(4 * t)) / 4 - loss(2 * t)
    apart = (2 * loss(0) + loss(2 * t) + loss(-2 * t)) / 4 - loss(0)
    x = np.array([[1.0, 1.0], [1.0, -1.0]])
    assert adaptive_penalty.exact_penalty(w, x[:1], 0.5) == pytest.approx(agree)
    assert adaptive_penalty.exact_penalty(w, x[1:], 0.5) == pytest.approx(apart)


def test_where_features_agree_the_exact_penalty_is_bounded_and_the_quadratic_one_falls_to_zero():
    # Helmbold and Long 2015 on bounded penalties; for two features the bound is ln(2) / 4.
    w, x = np.full(2, 20.0), np.array([[1.0, 1.0]])
    assert adaptive_penalty.exact_penalty(w, x, 0.5) == pytest.approx(np.log(2) / 4)
    assert adaptive_penalty.quadratic_penalty(w, x, 0.5)[0] < 1e-10


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_the_quadratic_penalty_is_right_to_second_order_and_wrong_at_the_fourth(rate):
    x, _, rng = examples(0)
    w = rng.standard_normal(5)

    def off(size):
        exact = adaptive_penalty.exact_penalty(size * w, x, rate)
        return abs(exact - adaptive_penalty.quadratic_penalty(size * w, x, rate)[0])

    # The third derivative of the loss is zero at score zero, so half the weights err a 16th.
    assert off(0.02) / off(0.01) == pytest.approx(16, rel=0.03)


def test_the_quadratic_penalty_weighs_with_the_diagonal_of_the_hessian_that_autograd_finds():
    x, y, rng = examples(1)
    w = torch.from_numpy(rng.standard_normal(5))

    def loss(w):
        z = torch.from_numpy(x) @ w
        return torch.nn.functional.binary_cross_entropy_with_logits(
            z, torch.from_numpy(y), reduction="sum"
        )

    fisher = torch.autograd.functional.hessian(loss, w).diagonal()
    expected = 0.5 * 0.3 / 0.7 * float(fisher @ w**2)
    assert adaptive_penalty.quadratic_penalty(w.numpy(), x, 0.3)[0] == pytest.approx(expected)


def test_the_gradient_of_the_quadratic_penalty_is_that_of_differences():
    x, _, rng = examples(2)
    w = rng.standard_normal(5)
    gradient = adaptive_penalty.quadratic_penalty(w, x, 0.6)[1]
    found = optimize.approx_fprime(
        w, lambda w: adaptive_penalty.quadratic_penalty(w, x, 0.6)[0], 1e-7
    )
    np.testing.assert_allclose(gradient, found, rtol=1e-4)


@pytest.mark.parametrize("strength", [0.1, 10.0])
def test_the_l2_arm_is_the_logistic_regression_of_scikit_learn(strength):
    x, y, _ = examples(3)
    peer = LogisticRegression(C=1 / strength, fit_intercept=False, tol=1e-10).fit(x, y)
    found = _logistic.fit_l2(x, y, strength)
    np.testing.assert_allclose(found, peer.coef_[0], atol=2e-4)


def test_rarity_alone_is_l2_on_features_divided_by_their_root_mean_square():
    x, y, _ = examples(4)
    x[:, 0] *= 5
    x[10:, 1] = 0
    scale = np.sqrt((x * x).mean(0))
    scaled = _logistic.fit_l2(x / scale, y, len(y) * 0.5 / 0.5 / 4) / scale
    np.testing.assert_allclose(adaptive_penalty.fit_rarity(x, y, 0.5), scaled, atol=1e-4)


def test_dropout_itself_ends_near_the_minimum_of_the_loss_with_the_exact_penalty():
    x, y, rng = examples(5, n=200, size=0.5)

    def objective(w):
        z = x @ w
        loss = (np.logaddexp(0, z) - y * z).sum()
        return (loss + adaptive_penalty.exact_penalty(w, x, 0.5)) / len(y)

    expected = optimize.minimize(objective, np.zeros(5)).x
    found = adaptive_penalty.fit_dropout(x, y, 0.5, steps=4000, rng=rng)
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_rare_features_are_active_in_their_share_and_the_score_has_the_same_spread():
    for active in (0.04, 1.0):
        settings = adaptive_penalty.Settings(active=active)
        rng = np.random.default_rng(6)
        weights = _logistic.true_weights(settings, rng)
        x, _ = _logistic.draw(settings, weights, 20_000, rng)
        assert (x[:, :50] != 0).mean() == pytest.approx(active, abs=0.001)
        assert (x @ weights).std() == pytest.approx(settings.score_sd, rel=0.03)


def test_masks_of_too_many_features_are_refused():
    with pytest.raises(BadSettings, match="at most 16"):
        adaptive_penalty.exact_penalty(np.zeros(17), np.zeros((1, 17)), 0.5)


# --- AdaGrad and its relative ------------------------------------------------------------------


def test_adagrad_takes_the_steps_of_torchs_adagrad():
    x, y, _ = examples(7)
    x[:50, 2] = 0  # a feature that is seldom active
    found = adagrad_relative.online(x, y, "adagrad", np.array([0.3]), np.zeros(1)).weights[0]
    w = torch.zeros(5, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adagrad([w], lr=0.3, eps=0)
    # torch divides by zero where the gradients so far are zero; its feature waits for its turn.
    for row, label in zip(torch.from_numpy(x), torch.from_numpy(y), strict=True):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(row @ w, label).backward()
        optimiser.step()
        with torch.no_grad():
            w.nan_to_num_(0.0)
    np.testing.assert_allclose(found, w.detach().numpy(), rtol=1e-6)


def test_the_relatives_step_minimises_the_linearised_loss_with_dropouts_penalty():
    x, y, rng = examples(8, n=1)
    eta, a = 0.7, 1.5
    # From w = 0: p = 1/2, so that the Fisher information of the one example is x^2 / 4.
    gradient, fisher = (0.5 - y[0]) * x[0], x[0] ** 2 / 4

    def linearised(step):
        return gradient @ step + ((a + fisher) @ step**2) / (2 * eta)

    expected = optimize.minimize(linearised, rng.standard_normal(5), tol=1e-10).x
    learned = adagrad_relative.online(x, y, "fisher", np.array([eta]), np.array([a]))
    np.testing.assert_allclose(learned.weights[0], expected, atol=1e-6)
    assert learned.loss[0] == pytest.approx(np.log(2))


def test_members_of_a_stack_of_learners_do_not_meet():
    x, y, _ = examples(9)
    eta, a = np.array([0.1, 1.0]), np.array([1.0, 10.0])
    both = adagrad_relative.online(x, y, "gradients", eta, a, keep=(10, 60))
    alone = adagrad_relative.online(x, y, "gradients", eta[1:], a[1:], keep=(10, 60))
    np.testing.assert_array_equal(both.weights[1], alone.weights[0])
    assert both.rates.shape == (2, 2, 5)
    with pytest.raises(BadSettings, match="expected one of"):
        adagrad_relative.online(x, y, "adam", eta, a)


def test_a_feature_active_once_in_25_examples_has_five_times_the_step_size_under_adagrad():
    # sqrt(25), give or take how much the gradients of the two kinds differ when active.
    record = read_record("mysterious-steps/adagrad-relative", "quick")
    for result in record.runs[MAIN].values():
        assert result["ratio[adagrad]"] == pytest.approx(5, rel=0.1)
    for result in record.runs["always-active"].values():
        assert result["ratio[adagrad]"] == pytest.approx(1, rel=0.02)


# --- McAllester's bound ------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.0, 0.25, 0.75])
def test_the_divergence_of_dropped_normals_is_the_integral(rate):
    # The mass at zero is the same in both, so only the kept part counts.
    q, p = stats.norm(1.7), stats.norm(0)
    kept, _ = integrate.quad(lambda v: q.pdf(v) * (q.logpdf(v) - p.logpdf(v)), -15, 15)
    found = pac_bayes.divergence(np.array([1.7, 0.0]), rate, pac_bayes.Settings())
    assert found == pytest.approx((1 - rate) * kept)


def test_the_bound_is_that_of_a_worked_example():
    # lambda 1 halves nothing but doubles the sum: 2 (0.1 + (7 + ln 20) / 1000).
    found = pac_bayes.bound(0.1, 7.0, n=1000, lambda_=1.0, delta=0.05)
    assert found == pytest.approx(0.2 + (14 + 2 * np.log(20)) / 1000)
    with pytest.raises(BadSettings, match="more than 1/2"):
        pac_bayes.bound(0.1, 7.0, n=1000, lambda_=0.5, delta=0.05)


@pytest.mark.parametrize("loss", [0.01, 0.3, 0.9])
@pytest.mark.parametrize("lambda_", [0.75, 2.0])
def test_the_moment_that_the_proof_bounds_by_one_is_at_most_one(loss, lambda_):
    n, s = 50, 1 / lambda_
    errors = np.arange(n + 1)
    exponent = n * s * (1 - s / 2) * loss - s * errors
    assert (stats.binom.pmf(errors, n, loss) * np.exp(exponent)).sum() <= 1


def test_the_error_of_q_is_that_of_drawn_masks_and_weights():
    x, y, rng = examples(10, n=8, d=4)
    labels, w = 2 * y - 1, np.array([1.0, -2.0, 0.5, 3.0])
    found, _ = pac_bayes.error_of_q(w, x, labels, 0.4, 20_000, rng)
    kept = rng.random((20_000, 4)) >= 0.4
    drawn = kept * (w + rng.standard_normal((20_000, 4)))
    # Where all weights are dropped the score is zero: half an error.
    scores = labels * (drawn @ x.T)
    errors = np.where(scores == 0, 0.5, scores < 0).mean()
    assert found == pytest.approx(errors, abs=4 * 0.5 / np.sqrt(20_000))


def test_no_step_away_from_the_learned_weights_lowers_what_they_minimise():
    x, y, rng = examples(11, n=100)
    labels, penalty = 2 * y - 1, 0.02
    w = pac_bayes.learn(x, labels, 0.0, penalty)

    def objective(w):
        return pac_bayes.error_of_q(w, x, labels, 0.0, 1, rng)[0] + penalty / 2 * w @ w

    least = objective(w)
    for size in (0.01, 0.1):
        for _ in range(20):
            assert objective(w + size * rng.standard_normal(5)) >= least - 1e-9


def test_weights_longer_by_the_root_of_one_minus_a_pay_the_same_divergence():
    # The exchange of the page: what the factor saves, the longer weights cost.
    settings, w = pac_bayes.Settings(), np.array([3.0, -1.0])
    whole = pac_bayes.divergence(w, 0.0, settings)
    assert pac_bayes.divergence(w / np.sqrt(0.25), 0.75, settings) == pytest.approx(whole)


# --- learned rates -----------------------------------------------------------------------------


def test_a_cold_mask_is_ordinary_dropout():
    generator = torch.Generator().manual_seed(0)
    p = torch.tensor([[0.1, 0.7]])
    uniform = torch.rand(2, 1, 400, 200, generator=generator)
    for mask, rate in zip(
        learned_rate.soft_masks(torch.logit(p), uniform, 1e-4), (0.1, 0.7), strict=True
    ):
        values = mask.flatten()
        between = ((values > 1e-3) & (values < 1 / (1 - rate) - 1e-3)).double().mean()
        assert between < 1e-3
        # A mean of 80,000 masks, give or take four standard errors.
        error = 4 * np.sqrt(rate / (1 - rate) / 80_000)
        assert float(values.mean()) == pytest.approx(1, abs=error)


def test_the_penalty_is_that_of_a_worked_example():
    settings = learned_rate.Settings(width=4, l2=2.0, entropy=3.0)
    weights = learned_rate.start([0.5, 0.75], 4, torch.Generator().manual_seed(0))
    weights = [*map(torch.ones_like, weights[:-1]), weights[-1]]
    # 196 x 4 weights before any mask; 4 x 4 and 4 x 10 behind one: divided by 1 - p.
    entropies = [2 * np.log(2), 2 * (0.75 * np.log(4 / 3) + 0.25 * np.log(4))]
    expected = [784 + 56 / 0.5 - 12 * entropies[0], 784 + 56 / 0.25 - 12 * entropies[1]]
    np.testing.assert_allclose(
        learned_rate.penalty(weights, settings).tolist(), expected, rtol=1e-5
    )


def test_only_the_learning_and_the_ruled_network_change_their_rates():
    settings = learned_rate.Settings(examples=(50,), steps=20, every=10)
    (x, y), _ = learned_rate.noisy_images(50, settings, Chance(0))
    weights = learned_rate.fit(x, y, settings, torch.Generator().manual_seed(0))
    rates = torch.sigmoid(weights[-1])
    expected = torch.tensor(settings.fixed)[:, None].expand(-1, 2)
    torch.testing.assert_close(rates[2:], expected)
    assert (rates[0] != settings.start).all()
    # Two looks, each up or down by one move, the same for both layers.
    moved = abs(rates[1] - settings.start)
    assert float(moved[0]) == float(moved[1])
    assert float(moved[0]) == pytest.approx(0, abs=1e-6) or float(moved[0]) == pytest.approx(0.04)


def test_three_labels_in_ten_are_drawn_at_random():
    settings = learned_rate.Settings()
    (x, y), (_, y_test) = learned_rate.noisy_images(5000, settings, Chance(0))
    clean = dataclasses.replace(settings, noise=0.0)
    (x_clean, y_clean), (_, test_clean) = learned_rate.noisy_images(5000, clean, Chance(0))
    assert torch.equal(x, x_clean)
    # A random label is the right one in one case of ten.
    assert float((y != y_clean).double().mean()) == pytest.approx(0.27, abs=0.025)
    assert float((y_test != test_clean).double().mean()) == pytest.approx(0.27, abs=0.04)


def test_a_seed_gives_the_same_bits_again():
    small = learned_rate.Settings(examples=(50,), steps=5)
    first, again = (learned_rate.run(small, Chance(3)) for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
