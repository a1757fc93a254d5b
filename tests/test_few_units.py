"""The experiments of *Few units, many dimensions*: theorems, worked examples, other libraries."""

import dataclasses
from itertools import product

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from sklearn.kernel_ridge import KernelRidge
from whydeep.chance import Chance
from whydeep.experiments.theory_survey.generalization import (
    barron_rate,
    diverse_units,
    hidden_direction,
)
from whydeep.experiments.theory_survey.generalization.barron_rate import Waves

ONE = Waves(np.array([[1, -1, 0]]), np.array([-0.3]), np.array([0.7]))
TWO = Waves(np.array([[2, 0], [1, 1]]), np.array([0.2, -0.1]), np.array([0.3, 2.0]))


def generator(seed):
    return torch.Generator().manual_seed(seed)


# --- Barron's rate -----------------------------------------------------------------------------


def test_the_constant_is_height_times_the_largest_angle_on_the_cube():
    corners = np.array(list(product((-1.0, 1.0), repeat=3)))
    reach = np.abs(np.pi * corners @ ONE.k.T).max(0)
    np.testing.assert_allclose(ONE.reach, reach)
    assert ONE.constant == pytest.approx(0.3 * reach[0])


@pytest.mark.parametrize("d", [1, 2, 20])
@pytest.mark.parametrize("size", [1, 2, 9])
def test_every_drawn_function_has_the_constant_c(d, size):
    f = barron_rate.draw_waves(d, 4, size, np.random.default_rng(0))
    assert (np.abs(f.k).sum(1) == size).all()
    assert f.constant == pytest.approx(barron_rate.C)


@pytest.mark.parametrize("f", [ONE, TWO], ids=["one wave", "two waves"])
def test_the_mean_unit_is_the_function(f):
    rng = np.random.default_rng(1)
    x = rng.uniform(-1, 1, (5, f.k.shape[1]))
    j, s, t, c = barron_rate.draw_units(f, 400_000, rng)
    outputs = c * (s * (np.pi * x @ f.k.T)[:, j] > t)
    # Five standard errors of a mean of numbers that are never above 2 C.
    np.testing.assert_allclose(outputs.mean(1), f(x), atol=5 * 2 * f.constant / 400_000**0.5)
    assert np.abs(outputs).max() <= 2 * f.constant * (1 + 1e-12)


def test_the_exact_mean_error_is_scipys_integral():
    x = np.array([[0.4, 0.3], [-0.9, 0.2]])
    square = 0.0
    for point in x:
        for j, side in product(range(2), (-1.0, 1.0)):
            reach, phi = TWO.reach[j], TWO.phi[j]
            on = min(reach, max(0.0, side * np.pi * point @ TWO.k[j]))

            def unit(t, phi=phi, side=side):
                return (2 * TWO.constant * np.sin(phi + side * t)) ** 2

            share = abs(TWO.a[j]) * reach / TWO.constant / 2
            square += share * quad(unit, 0, on)[0] / reach / len(x)
    expected = square - np.square(TWO(x)).mean()
    assert barron_rate.mean_error(TWO, x) == pytest.approx(expected, rel=1e-9)


def test_drawn_units_meet_their_exact_mean_and_keep_below_barrons_bound():
    rng = np.random.default_rng(2)
    x = rng.uniform(-1, 1, (300, 2))
    errors = np.mean([barron_rate.drawn_errors(TWO, x, (10, 100), rng) for _ in range(400)], 0)
    np.testing.assert_allclose(errors * (10, 100), barron_rate.mean_error(TWO, x), rtol=0.1)
    assert (errors * (10, 100) <= (2 * TWO.constant) ** 2).all()


@pytest.mark.parametrize(("d", "size"), [(1, 5), (2, 4), (3, 3), (4, 2)])
def test_waves_are_counted_as_by_listing_them(d, size):
    listed = sum(sum(map(abs, k)) <= size for k in product(range(-size, size + 1), repeat=d))
    assert barron_rate.count_waves(d, size) == listed


@pytest.mark.parametrize(("d", "m", "first"), [(1, 8, 4), (1, 9, 5), (2, 8, 2), (20, 41, 2)])
def test_the_first_missing_wave_of_small_bases(d, m, first):
    # One input: 1 and four pairs are nine functions. Two: five up to size 1. Twenty: 41.
    assert barron_rate.first_missing(d, m) == first


def test_the_fourier_basis_never_beats_the_lower_bound_and_falls_as_barron_says():
    m = [2**i for i in range(4, 12)]
    for d in (1, 2, 3):
        fixed = [barron_rate.wave_norm(barron_rate.first_missing(d, each)) for each in m]
        lower = [barron_rate.lower_bound(d, each) for each in m]
        assert (np.array(fixed) >= lower).all()
        assert np.polyfit(np.log(m), np.log(fixed), 1)[0] == pytest.approx(-2 / d, abs=0.1)


def test_least_squares_on_units_drawn_in_advance_is_numpys():
    rng = np.random.default_rng(3)
    x = rng.uniform(-1, 1, (2000, 3))
    target = barron_rate.draw_waves(3, 2, 2, rng)
    found = barron_rate.in_advance_errors([target], x, np.random.default_rng(4))[0]
    again = np.random.default_rng(4)
    other = barron_rate.draw_waves(3, barron_rate.UNITS[-1], 2, again)
    s = again.choice((-1.0, 1.0), size=barron_rate.UNITS[-1])
    t = again.uniform(0, other.reach)
    on = (np.pi * x @ other.k.T * s > t).astype(float)
    for m, value in zip(barron_rate.UNITS[:2], found, strict=False):
        basis = np.c_[np.ones(len(x)), on[:, :m]]
        rest = basis @ np.linalg.lstsq(basis, target(x), rcond=None)[0] - target(x)
        assert value == pytest.approx(np.square(rest).mean(), rel=1e-6)


# --- a hidden direction ------------------------------------------------------------------------


def test_the_kernel_is_the_mean_product_of_two_units():
    rng = np.random.default_rng(5)
    x, y = rng.standard_normal((3, 4)), rng.standard_normal((2, 4))
    v = rng.standard_normal((5, 400_000))
    units_x, units_y = (np.maximum(0, np.c_[z, np.ones(len(z))] @ v) for z in (x, y))
    np.testing.assert_allclose(
        hidden_direction.relu_kernel(x, y), units_x @ units_y.T / v.shape[1], rtol=0.03, atol=0.02
    )


def test_the_kernels_error_is_scikit_learns_at_the_best_ridge():
    rng = np.random.default_rng(6)
    x, x_test = rng.standard_normal((60, 3)), rng.standard_normal((40, 3))
    y, y_test = np.abs(x[:, 0]), np.abs(x_test[:, 0])
    errors = []
    for ridge in hidden_direction.RIDGES:
        model = KernelRidge(alpha=ridge, kernel="precomputed")
        model.fit(hidden_direction.relu_kernel(x, x), y)
        errors.append(
            np.square(model.predict(hidden_direction.relu_kernel(x_test, x)) - y_test).mean()
        )
    found = hidden_direction.kernel_error(x, y, x_test, y_test)
    assert found == pytest.approx(min(errors), rel=1e-6)


def test_alignment_of_a_worked_example():
    w = np.array([[3.0, 4.0], [0.0, 2.0], [5.0, 0.0]])
    a = np.array([1.0, 0.5, -0.4])  # shares of |a| |w|: 5, 1, 2
    found = hidden_direction.alignment(w, a, np.array([1.0, 0.0]))
    assert found == pytest.approx((5 * 0.36 + 1 * 0 + 2 * 1) / 8)


def test_the_label_knows_one_direction_or_none():
    x = np.array([[3.0, 4.0], [0.0, 5.0]])
    u = np.array([0.0, 1.0])
    np.testing.assert_allclose(hidden_direction.label(x, u, radial=False), [3.2, 4.2])
    np.testing.assert_allclose(hidden_direction.label(x, u, radial=True), 5 - 2**0.5)


# --- diverse units -----------------------------------------------------------------------------


def draw_network(seed, units=8, inputs=3, examples=7):
    x = torch.randn(examples, inputs, generator=generator(seed), dtype=torch.float64)
    y = torch.randn(examples, generator=generator(seed + 1), dtype=torch.float64)
    w = torch.randn(2, units, inputs, generator=generator(seed + 2), dtype=torch.float64)
    return x, y, w


def test_the_gradient_is_that_of_automatic_differentiation():
    x, y, w = draw_network(0)
    w.requires_grad_()
    r, gates = diverse_units.residuals_and_gates(w, x, y)
    (r.square().sum() / 2).backward()
    found = diverse_units.gradient(r.detach(), gates.detach(), x, w.detach())
    torch.testing.assert_close(found, w.grad)


def test_a_singular_matrix_has_a_least_singular_value_of_exactly_zero():
    # 40 examples and two units of 3 inputs: D has 6 rows of 40, so at most 6 values are not zero.
    x = torch.randn(40, 3, generator=generator(1), dtype=torch.float64)
    gates = torch.ones(1, 40, 2, dtype=torch.float64)
    gates[0, 20:, 1] = 0
    found = diverse_units.singular_values(gates, x)[0]
    assert (found[:-6] == 0).all()
    assert (found[-6:] > 0.1).all()


def test_singular_values_are_those_of_the_extended_feature_matrix_written_out():
    x, y, w = draw_network(1)
    _, gates = diverse_units.residuals_and_gates(w, x, y)
    v = diverse_units.signs(w)
    for member in range(2):
        columns = [
            torch.cat([v[j] * float(w[member, j] @ xi > 0) * xi for j in range(w.shape[1])])
            for xi in x
        ]
        expected = torch.linalg.svdvals(torch.stack(columns, 1)).flip(0)
        torch.testing.assert_close(diverse_units.singular_values(gates, x)[member], expected)


def test_many_uniform_units_come_to_the_limit_of_their_kernel():
    x, _, _ = draw_network(2)
    x = torch.nn.functional.normalize(x, dim=1)
    w = torch.randn(1, 200_000, 3, generator=generator(9), dtype=torch.float64)
    gates = (x @ w.transpose(1, 2) > 0).double()
    found = diverse_units.singular_values(gates, x)[0, 0].item()
    # The share of units that are on at both of two points at the angle t is 1/2 - t / (2 pi).
    cos = (x @ x.T).clamp(-1, 1)
    limit = torch.linalg.eigvalsh(cos * (0.5 - torch.arccos(cos) / (2 * torch.pi)))[0]
    assert found == pytest.approx(limit.clamp(min=0).sqrt().item(), abs=0.02)


def test_directions_lie_in_their_cap_and_the_widest_is_the_sphere():
    caps = torch.tensor([30.0, 90.0, 180.0], dtype=torch.float64)
    w = diverse_units.draw_directions(caps, 4000, 3, generator(3))
    torch.testing.assert_close(w.norm(dim=2), torch.ones(3, 4000, dtype=torch.float64))
    angle = torch.rad2deg(torch.arccos(w[..., 0].clamp(-1, 1)))
    assert (angle.amax(1) <= caps + 1e-4).all()
    # On the sphere in three dimensions a coordinate is uniform on [-1, 1] (Archimedes).
    assert w[2, :, 0].mean().abs() < 0.05
    assert w[2, :, 0].square().mean().item() == pytest.approx(1 / 3, abs=0.03)


def test_copied_units_see_no_more_than_one_copy():
    few = dataclasses.replace(diverse_units.Settings(), draws=1, copies=50)
    result = diverse_units.run(few, Chance(1))
    # Two directions of 15 inputs give 30 rows that differ, fewer than 60 examples.
    assert result["least"][0, :, 0].max() < 1e-6
    assert result["largest_ratio"] <= 1 + 1e-9
