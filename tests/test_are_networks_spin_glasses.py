"""Are networks spin glasses? Numbers from the theory of the spherical p-spin glass, and from hand.

The landscape's own tests come first: covariance, derivatives by finite differences, the exact floor
for two spins a term, and the ground state as replica theory has it.
"""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import brentq
from whydeep.chance import Chance
from whydeep.descent import SGD
from whydeep.errors import BadSettings
from whydeep.evidence.results import Result
from whydeep.experiments.theory_survey.sgd import glass_band, same_floor, width_and_spread
from whydeep.labs import spin_glass
from whydeep.networks import Dense

RNG = np.random.default_rng


# --- The landscape ------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [2, 3])
def test_the_energy_is_the_sum_over_couplings(p):
    """The energy with symmetric couplings is the plain sum with independent ones."""
    n = 5
    j = RNG(7).standard_normal((1, *[n] * p))
    couplings = spin_glass.draw_couplings(p, n, 1, RNG(7))
    spins = spin_glass.random_spins(1, 2, n, RNG(1))
    letters = "ijk"[:p]
    for walker in range(2):
        s = spins[0, walker]
        plain = np.einsum(f"{letters},{','.join(letters)}->", j[0], *[s] * p)
        expected = plain / n ** ((p - 1) / 2) / n
        assert spin_glass.energy(couplings, spins)[0, walker] == pytest.approx(expected)


@pytest.mark.parametrize("p", [2, 3])
def test_states_at_overlap_r_have_covariance_r_to_the_p(p):
    n, glasses, r = 6, 4000, 0.6
    couplings = spin_glass.draw_couplings(p, n, glasses, RNG(0))
    a, b = np.zeros(n), np.zeros(n)
    a[0], b[0], b[1] = math.sqrt(n), r * math.sqrt(n), math.sqrt(n * (1 - r * r))
    spins = np.broadcast_to(np.stack([a, b]), (glasses, 2, n))
    heights = n * spin_glass.energy(couplings, spins)
    covariance = heights.T @ heights / glasses / n
    assert covariance[0, 0] == pytest.approx(1, abs=0.1)
    assert covariance[0, 1] == pytest.approx(r**p, abs=0.1)


@pytest.mark.parametrize("p", [2, 3])
def test_gradient_and_hessian_are_derivatives_along_great_circles(p):
    n, step = 7, 1e-4
    couplings = spin_glass.draw_couplings(p, n, 2, RNG(2))
    spins = spin_glass.random_spins(2, 3, n, RNG(3))
    basis = spin_glass.tangent_basis(spins)
    direction = basis @ RNG(4).standard_normal((2, 3, n - 1, 1))
    direction = direction[..., 0] / np.linalg.norm(direction, axis=-2)

    def height(angle):
        moved = np.cos(angle) * spins + np.sin(angle) * math.sqrt(n) * direction
        return n * spin_glass.energy(couplings, moved)

    angle = step / math.sqrt(n)  # an arc of this angle is ``step`` long
    slope = (height(angle) - height(-angle)) / (2 * step)
    bend = (height(angle) - 2 * height(0) + height(-angle)) / step**2
    gradient = spin_glass.gradient(couplings, spins)
    assert (gradient * spins).sum(-1) == pytest.approx(0, abs=1e-9)
    assert (gradient * direction).sum(-1) == pytest.approx(slope, rel=1e-5, abs=1e-6)
    inside = basis.swapaxes(-1, -2) @ direction[..., None]
    along = (inside.swapaxes(-1, -2) @ spin_glass.hessian(couplings, spins) @ inside)[..., 0, 0]
    assert along == pytest.approx(bend, rel=1e-4, abs=1e-4)


def test_two_spins_a_term_have_no_floor_but_the_lowest_eigenvalue():
    couplings = spin_glass.draw_couplings(2, 12, 3, RNG(5))
    start = spin_glass.random_spins(3, 4, 12, RNG(6))
    _, found = spin_glass.descend(couplings, start, steps=4000, rate=0.1, record_at=[4000])
    lowest = np.linalg.eigvalsh(couplings)[:, 0] / math.sqrt(12)
    assert found[..., 0] == pytest.approx(np.repeat(lowest[:, None], 4, 1), abs=1e-6)


def test_descent_never_climbs_and_a_temperature_keeps_its_energy():
    """At temperature T above the transition the energy per spin of a p-spin glass is -1 / T."""
    couplings = spin_glass.draw_couplings(3, 40, 2, RNG(8))
    start = spin_glass.random_spins(2, 8, 40, RNG(9))
    _, path = spin_glass.descend(couplings, start, steps=50, rate=0.05, record_at=range(51))
    assert (np.diff(path) <= 1e-12).all()
    _, hot = spin_glass.descend(
        couplings, start, steps=400, rate=0.02, temperature=3.0, rng=RNG(10),
        record_at=range(200, 401),
    )  # fmt: skip
    assert hot.mean() == pytest.approx(-1 / 3, abs=0.05)
    with pytest.raises(BadSettings, match="generator"):
        spin_glass.descend(couplings, start, steps=3, rate=0.1, temperature=0.1)
    with pytest.raises(BadSettings, match="p is 4"):
        spin_glass.draw_couplings(4, 10, 1, RNG(0))


def test_the_ground_state_is_that_of_replica_theory():
    """Crisanti and Sommers 1992, zero temperature: 1/p = -y (1 - y + log y) / (1 - y)^2."""
    for p, printed in ((3, -1.657), (4, None)):
        y = brentq(lambda y, p=p: -y * (1 - y + math.log(y)) / (1 - y) ** 2 - 1 / p, 1e-6, 0.999)
        replica = -(1 + (p - 1) * y) / math.sqrt(p * y)
        assert spin_glass.floor_of_index(p) == pytest.approx(replica, rel=1e-6)
        if printed:
            assert replica == pytest.approx(printed, abs=1e-3)


def test_floors_rise_with_the_index_to_the_threshold():
    assert spin_glass.threshold(3) == pytest.approx(-1.63299, abs=1e-5)
    floors = [spin_glass.floor_of_index(3, k) for k in range(5)]
    assert floors == sorted(floors)
    assert floors[-1] < spin_glass.threshold(3)
    assert spin_glass.floor_of_index(2) == pytest.approx(-math.sqrt(2))


def test_pulling_an_eigenvalue_out_of_the_semicircle_costs_an_integral():
    """The rate function of the largest eigenvalue is (2 / E^2) times the integral of a root."""
    edge, u = -spin_glass.threshold(3), -1.8
    cost = 2 / edge**2 * quad(lambda z: math.sqrt(z * z - edge * edge), edge, -u)[0]
    both = spin_glass.complexity(u, 3, 0), spin_glass.complexity(u, 3, 1)
    assert both[0] - both[1] == pytest.approx(cost)


def test_the_hessian_is_a_semicircle_moved_by_the_energy():
    """At one state of an isotropic landscape the Hessian is independent of the gradient.

    So random states show the law that holds at critical points.
    """
    couplings = spin_glass.draw_couplings(3, 60, 1, RNG(11))
    spins = spin_glass.random_spins(1, 6, 60, RNG(12))
    eigenvalues = np.linalg.eigvalsh(spin_glass.hessian(couplings, spins))
    energies = spin_glass.energy(couplings, spins)
    middle = eigenvalues + 3 * energies[..., None]
    assert middle.std() == pytest.approx(math.sqrt(6), rel=0.05)  # half the radius 2 sqrt(6)
    assert spin_glass.index_fraction(energies, 3) == pytest.approx(
        (eigenvalues < 0).mean(-1), abs=0.06
    )
    assert spin_glass.index_fraction(np.array([0.0, -3.0, 3.0]), 3) == pytest.approx([0.5, 0, 1])


# --- The band -----------------------------------------------------------------------------------


def test_few_coupled_spins_are_a_small_glass_in_a_large_space():
    """The energy per spin is that of eight spins, wherever the other spins are zero."""
    small = spin_glass.draw_couplings(3, 8, 2, RNG(1), np.float32)
    large = glass_band.few_coupled(20, 2, 8, RNG(1))
    spins = spin_glass.random_spins(2, 3, 8, RNG(2))
    longer = np.zeros((2, 3, 20))
    longer[..., :8] = spins * math.sqrt(20 / 8)
    expected = spin_glass.energy(small, spins)
    assert spin_glass.energy(large, longer) == pytest.approx(expected, rel=1e-5)
    # A direction without couplings: the energy does not feel it.
    aside = np.zeros((2, 1, 20))
    aside[..., -1] = math.sqrt(20)
    assert spin_glass.energy(large, aside) == pytest.approx(0)


def test_pairs_end_at_the_lowest_eigenvalue_and_without_a_band():
    settings = glass_band.Settings(sizes=(6, 10), glasses=(2, 2), walkers=5, p=2, steps=4000)
    result = glass_band.run(settings, Chance(3))
    rng = RNG(np.random.SeedSequence(3).spawn(2)[-1])
    couplings = spin_glass.draw_couplings(2, 10, 2, rng, np.float32)
    lowest = np.linalg.eigvalsh(couplings)[:, 0] / math.sqrt(10)
    assert result["mean[-1]"] == pytest.approx(lowest.mean(), abs=1e-4)
    assert result["spread[-1]"] < 1e-4
    assert result["unfinished"] < 1e-3


# --- Noise --------------------------------------------------------------------------------------


def test_the_temperature_falls_in_a_straight_line_and_then_is_zero():
    cooled = same_floor.cooling(100, 0.6, cools=True)
    assert cooled[[0, 40]] == pytest.approx([0.6, 0.3])
    assert (cooled[80:] == 0).all()
    assert (same_floor.cooling(10, 0.6, cools=False) == 0.6).all()


def test_noise_of_no_temperature_has_no_advantage_and_full_batches_are_full_batches():
    settings = same_floor.Settings(
        sizes=(4, 6), walkers=3, steps=30, temperature=0.0, networks=2, examples=40,
        network_steps=5, batch_size=40,
    )  # fmt: skip
    result = same_floor.run(settings, Chance(0))
    assert result["difference"] == 0
    assert result["network_difference"] == pytest.approx(0, abs=1e-6)


# --- Widths -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("inputs", "units"), [(64, 50), (64, 2), (1863, 2)])
def test_weights_are_those_that_pytorch_counts(inputs, units):
    network = Dense((inputs, units, 10), generator=torch.Generator())
    counted = sum(p.numel() for p in network.parameters())
    assert width_and_spread.weights(inputs, units) == counted


def test_products_are_products_of_pixels_and_weigh_as_much_as_the_pixels():
    x = torch.randn(500, 64, generator=torch.Generator().manual_seed(0))
    grown = width_and_spread.with_products(x, 300, torch.Generator().manual_seed(1))
    assert torch.equal(grown[:, :64], x)
    assert grown[:, 64:].square().sum(1).mean() == pytest.approx(64, rel=0.02)
    i, j = torch.randint(64, (2, 236), generator=torch.Generator().manual_seed(1))
    pair = torch.stack([grown[:, 64], x[:, i[0]] * x[:, j[0]]])
    assert torch.corrcoef(pair)[0, 1] == pytest.approx(1, abs=1e-5)


def test_the_control_has_as_many_weights_and_its_runs_from_one_start_share_it():
    settings = width_and_spread.Settings(
        widths=(2, 50), networks=12, examples=30, sgd=SGD(lr=0.05, epochs=3, batch=30, momentum=0.9)
    )
    # Batches of all examples have no order, so that runs from one start are one run.
    assert width_and_spread.run(settings, Chance(0))["orders_share"] == pytest.approx(0, abs=1e-4)
    inputs = (width_and_spread.weights(64, 50) - 3 * 10) // 2 - 1
    assert abs(width_and_spread.weights(inputs, 2) - width_and_spread.weights(64, 50)) < 2


def test_the_distance_from_the_threshold_is_told_in_widths_of_the_band():
    width = -2 * math.sqrt(2 / 3) + 1.657  # from the ground state of the 3-spin glass up
    result = Result(gap=(2 * width, "energy per spin"))
    assert glass_band.band_widths(result) == pytest.approx(2, rel=0.01)
