"""Are networks spin glasses? Numbers from the theory of the spherical p-spin glass, and from hand.

The landscape's own tests come first: covariance, derivatives by finite differences, the exact floor
for two spins a term, and the energies that Auffinger, Ben Arous and Cerny (2013) print.
"""

import math

import numpy as np
import pytest
from whydeep import spin_glass
from whydeep.errors import BadSettings

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


def test_the_floors_that_auffinger_ben_arous_and_cerny_print():
    assert spin_glass.threshold(3) == pytest.approx(-1.633, abs=1e-3)
    assert spin_glass.floor_of_index(3) == pytest.approx(-1.657, abs=1e-3)
    floors = [spin_glass.floor_of_index(3, k) for k in range(5)]
    assert floors == sorted(floors)
    assert floors[-1] < spin_glass.threshold(3)
    assert spin_glass.floor_of_index(2) == pytest.approx(-math.sqrt(2))


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
