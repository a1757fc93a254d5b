"""The experiments of *Can you build a box in high dimensions?*: theory, counts, other libraries."""

import math

import numpy as np
import pytest
import torch
from whydeep.evidence.results import Quantity, Result
from whydeep.experiments.theory_survey.sgd import (
    index_energy,
    saddles_of_networks,
    spurious_minima,
)
from whydeep.labs import spin_glass, teachers

# --- spurious minima -------------------------------------------------------------------------


def test_the_curvatures_at_the_teacher_are_those_of_a_calculation_by_hand():
    # Without residual the Hessian is E[1(v_i.x > 0) 1(v_j.x > 0) x x^T]: half the identity for
    # i = j, and a quarter of it plus (v_i v_j^T + v_j v_i^T) / (2 pi) for two at right angles.
    k, d = 4, 5
    v = teachers.orthonormal_teacher(k, d)
    expected = torch.zeros(k, d, k, d, dtype=torch.float64)
    for i in range(k):
        for j in range(k):
            both = (torch.outer(v[i], v[j]) + torch.outer(v[j], v[i])) / (2 * math.pi)
            expected[i, :, j] = torch.eye(d) / 2 if i == j else torch.eye(d) / 4 + both
    found = teachers.hessian(v[None], v)[0]
    torch.testing.assert_close(found, expected.reshape(k * d, k * d), atol=1e-5, rtol=0)
    lowest = float(torch.linalg.eigvalsh(found)[0])
    assert lowest == pytest.approx(1 / 4 - 1 / (2 * math.pi), abs=1e-4)


def test_halving_a_unit_changes_no_output():
    w = teachers.starts(2, 3, 4, np.random.default_rng(0))
    halved = spurious_minima.halve(w, 1)
    x = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert halved.shape == (2, 4, 4)
    outputs = [torch.relu(x @ z.mT).sum(-1) for z in (w, halved)]
    torch.testing.assert_close(*outputs)


def test_a_polished_point_has_no_slope_and_students_that_settle_are_somewhere():
    teacher = teachers.orthonormal_teacher(8)
    w = teachers.starts(12, 8, 8, np.random.default_rng(3))
    found = spurious_minima.settle(w, teacher)
    done = (found.slope <= spurious_minima.SLOPE) | (found.loss <= spurious_minima.FOUND)
    assert done.all()
    stuck = found.loss > spurious_minima.STUCK
    assert stuck.any()  # 12 students of 8 units: this seed has some that are
    polished = spurious_minima.polish(found.weights[stuck], teacher)
    assert float(teachers.gradient(polished, teacher).abs().max()) < 1e-8


# --- index and energy ------------------------------------------------------------------------


def test_a_quadratic_form_has_two_critical_points_of_every_index():
    found = index_energy.expected_numbers(2, 5, np.random.default_rng(0))
    np.testing.assert_allclose(found, 2, atol=1e-12)


def test_a_random_cubic_on_the_circle_has_the_critical_points_of_rices_formula():
    # Covariance cos^3: E f'^2 = 3, E f''^2 = 21, so that f' has 2 sqrt(21 / 3) zeros on average.
    found = index_energy.expected_numbers(3, 2, np.random.default_rng(0))
    assert found.sum() == pytest.approx(2 * math.sqrt(7), rel=0.01)
    assert found[0] == pytest.approx(found[1], rel=0.01)  # as many minima as maxima


def test_newton_finds_the_eigenvectors_of_a_quadratic_form_and_their_rank():
    rng = np.random.default_rng(0)
    couplings = spin_glass.draw_couplings(2, 6, 1, rng)
    spins, there = index_energy.newton(couplings, spin_glass.random_spins(1, 200, 6, rng))
    assert there.all()
    energy = spin_glass.energy(couplings, spins)
    index = (np.linalg.eigvalsh(spin_glass.hessian(couplings, spins)) < 0).sum(-1)
    energy, index = index_energy.distinct(energy[0], index[0], 6, 2, mirror=True)
    eigenvalues = np.linalg.eigvalsh(couplings[0]) / math.sqrt(6)
    np.testing.assert_allclose(energy, eigenvalues, atol=1e-9)
    assert index.tolist() == [0, 1, 2, 3, 4, 5]


def test_the_mirror_image_of_a_minimum_is_a_maximum():
    energy, index = index_energy.distinct(
        np.array([-1.0, -1.0, 0.5]), np.array([0, 0, 2]), 4, 3, mirror=True
    )
    assert energy.tolist() == [-1.0, -0.5, 0.5, 1.0]
    assert index.tolist() == [0, 1, 2, 3]


def test_copies_of_a_point_count_once_wherever_rounding_puts_them():
    copies = 1.00000005 + np.array([2e-12, -2e-12, 1e-12])  # half of the last decimal that counts
    energy = np.concatenate([copies, [1.1]])
    found, index = index_energy.distinct(energy, np.array([3, 3, 3, 4]), 5, 2, mirror=False)
    assert found.tolist() == [energy[0], 1.1]
    assert index.tolist() == [3, 4]


# --- saddles of networks ---------------------------------------------------------------------


def check_derivatives(derivatives, loss, weights):
    """Loss, gradient and Hessian against those that torch finds of a plain formula."""
    found = derivatives(weights)
    for i, w in enumerate(torch.from_numpy(weights)):
        assert found[0][i] == pytest.approx(float(loss(w)))
        np.testing.assert_allclose(
            found[1][i], torch.autograd.functional.jacobian(loss, w), atol=1e-10
        )
        np.testing.assert_allclose(
            found[2][i], torch.autograd.functional.hessian(loss, w), atol=1e-10
        )


def test_the_derivatives_of_the_autoencoder_are_those_of_torch():
    spectrum = np.array([3.0, 2.0, 1.0, 0.5])
    weights = np.random.default_rng(0).standard_normal((3, 16))

    def loss(w):
        product = w[:8].view(4, 2) @ w[8:].view(2, 4)
        off = (torch.eye(4) - product) @ torch.diag(torch.from_numpy(spectrum).sqrt())
        return (off**2).sum() / 2

    check_derivatives(lambda w: saddles_of_networks.autoencoder(w, spectrum, 2), loss, weights)


def test_the_derivatives_of_the_tanh_network_are_those_of_torch():
    rng = np.random.default_rng(1)
    x, y, weights = (rng.standard_normal(shape) for shape in ((9, 3), 9, (3, 10)))
    ones = torch.cat([torch.from_numpy(x), torch.ones(9, 1)], 1)

    def loss(w):
        outputs = torch.tanh(ones @ w[:8].view(2, 4).T) @ w[8:]
        return ((outputs - torch.from_numpy(y)) ** 2).mean() / 2

    check_derivatives(lambda w: saddles_of_networks.tanh_network(w, x, y, 2), loss, weights)


def test_every_choice_of_eigenvectors_is_critical_and_has_the_index_of_the_formula():
    spectrum = np.array([5.0, 4.0, 2.0, 1.5, 1.0])
    chosen, points = saddles_of_networks.critical_points(5, 2)
    loss, gradient, hessian = saddles_of_networks.autoencoder(points, spectrum, 2)
    assert len(chosen) == 1 + 5 + 10
    assert np.abs(gradient).max() < 1e-12
    for s, height in zip(chosen, loss, strict=True):  # what is not copied is lost
        assert height == pytest.approx((spectrum.sum() - spectrum[list(s)].sum()) / 2)
    predicted = [saddles_of_networks.index_formula(s, 5, 2) for s in chosen]
    assert saddles_of_networks.downward(hessian).tolist() == predicted
    assert predicted.count(0) == 1
    assert chosen[predicted.index(0)] == (0, 1)


def test_on_a_saddle_newton_goes_to_the_middle_and_saddle_free_newton_away():
    curvature = np.diag([1.0, -1.0])

    def derivatives(w):
        bent = np.broadcast_to(curvature, (len(w), 2, 2))
        return (w @ curvature * w).sum(1) / 2, w @ curvature, bent

    start = np.array([[0.3, 0.1]])
    to, away = (
        saddles_of_networks.newton(derivatives, start, 6, absolute=absolute)
        for absolute in (False, True)
    )
    assert np.abs(to).max() < 1e-6
    assert abs(away[0, 0]) < 1e-6
    assert away[0, 1] > 1


def test_the_search_stops_at_a_flat_point_where_the_gradient_is_not_zero():
    # f = x^3 / 3 + x has no critical point; its slope x^2 + 1 is least, with f'' = 0, at 0.
    def derivatives(w):
        x = w[:, 0]
        return x**3 / 3 + x, (x**2 + 1)[:, None], (2 * x)[:, None, None]

    end = saddles_of_networks.search(derivatives, np.array([[0.8]]), 200)
    assert abs(end[0, 0]) < 0.02


def test_a_correlation_of_ranks_counts_equal_losses_once_if_asked():
    loss, index = np.array([1.0, 2.0, 3.0, 3.0]), np.array([0, 1, 2, 2])
    assert saddles_of_networks.correlation(loss, index, distinct=True) == pytest.approx(1)
    assert saddles_of_networks.correlation(loss, np.zeros(4, int)) == 0


def test_freed_is_the_share_of_the_stuck_that_extra_units_leave_unstuck():
    stuck = [[0.4, 0.8], [0.1, 0.4], [0.0, 0.2]]
    by = {"extra": spurious_minima.EXTRA, "units": ["k=10", "k=15"]}
    result = Result(stuck=Quantity(stuck, "share of starts", **by))
    assert spurious_minima.freed(result, 1, "small") == pytest.approx(0.75)
    assert spurious_minima.freed(result, 2, "large") == pytest.approx(0.75)
