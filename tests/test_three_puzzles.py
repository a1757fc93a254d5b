"""The three experiments of the overture: random Hessians, parity in two forms, MNIST-1D."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import dblquad
from scipy.ndimage import gaussian_filter1d
from scipy.stats import binom
from whydeep.chance import Chance
from whydeep.descent import SGD
from whydeep.evidence.results import read_record
from whydeep.experiments.three_puzzles import box_of_walls as box
from whydeep.experiments.three_puzzles import convolution_on_signals as convolution
from whydeep.experiments.three_puzzles import depth_writes_parity as parity

# --- walls -----------------------------------------------------------------------------------


def test_the_chance_of_a_box_is_the_closed_form_known_for_one_to_three_directions():
    # D = 2: a cap of 45 degrees, as the page proves; D = 3: the catalogue's value.
    expected = [1 / 2, (2 - math.sqrt(2)) / 4, 1 / 4 - 1 / (math.pi * math.sqrt(2))]
    found = [box.trap_probability(D) for D in (1, 2, 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-10)


def test_the_chance_of_a_box_of_two_is_the_integral_of_the_density_of_the_eigenvalues():
    def density(y, x):
        return abs(x - y) * math.exp(-(x**2 + y**2) / 2)

    # Twice the half in which x < y: the integrand has no kink there.
    half = dblquad(density, 0, 12, lambda x: x, 14)[0]
    whole = dblquad(density, -12, 12, lambda x: x, 14)[0]
    assert box.trap_probability(2) == pytest.approx(half / whole, rel=1e-6)


def test_the_exponent_of_the_chance_comes_down_towards_that_of_dean_and_majumdar():
    # -log P / D^2 tends to log(3) / 4 from above.
    exponents = [-math.log(box.trap_probability(D)) / D**2 for D in range(1, 9)]
    assert all(np.diff(exponents) < 0)
    assert math.log(3) / 4 < exponents[-1] < 0.35


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.sampled_from(["coupled", "independent"]))
@settings(max_examples=30)
def test_pivots_count_the_negative_eigenvalues_and_multiply_to_the_determinant(seed, D, kind):
    h = box.hessians(20, D, np.random.default_rng(seed), kind)
    before = h.copy()
    exits, determinant = box.exits_and_determinant(h)
    eigenvalues = np.linalg.eigvalsh(np.moveaxis(h, -1, 0))
    assert exits.tolist() == (eigenvalues < 0).sum(1).tolist()
    np.testing.assert_allclose(determinant, np.abs(eigenvalues.prod(1)), rtol=1e-6)
    assert (h == before).all()  # the caller's matrices are left alone


@pytest.mark.parametrize("kind", ["coupled", "independent"])
def test_hessians_are_symmetric_and_their_curvatures_have_the_same_mean_square(kind):
    D, count = 6, 20_000
    h = box.hessians(count, D, np.random.default_rng(0), kind)
    assert (h == h.swapaxes(0, 1)).all()
    # E tr H^2 / D = D + 1 for the GOE: 2 from the diagonal and D - 1 from the rest of a row.
    assert (h**2).sum((0, 1)).mean() / D == pytest.approx(D + 1, rel=0.02)


def small_box(**changes):
    return box.run(box.Settings(draws=2**16, raised=200, **changes), Chance(0))


def test_independent_walls_are_coins():
    found, draws = small_box(curvatures="independent")["share"], 2**16
    for D, share in enumerate(found, start=1):
        low, high = binom.interval(1 - 1e-6, draws, 0.5**D)
        assert low <= share * draws <= high


def test_a_random_landscape_on_a_surface_has_one_minimum_in_four_critical_points():
    # Morse theory: on a torus saddles are as many as extrema; by symmetry half of these are minima.
    # In one dimension minima and maxima take turns.
    landscape = small_box()["landscape"]
    assert landscape[0] == pytest.approx(0.5, abs=0.01)
    assert landscape[1] == pytest.approx(0.25, abs=0.01)


def test_raising_all_curvatures_makes_minima_never_saddles():
    found = small_box()
    for D in box.DIMENSIONS:
        share = found[f"raised[{D}]"]
        assert (np.diff(share) >= 0).all()
    # Wigner's edge at 2 sqrt(D); its width falls like D^(-2/3), 0.07 for 50 directions.
    fifty = found["raised[50]"]
    assert fifty[box.SHIFTS <= 1.5].max() < 0.05
    assert fifty[box.SHIFTS >= 2.3].min() > 0.95
    assert found["raised[limit]"].sum() == (box.SHIFTS > 2).sum()


def test_the_explorer_holds_the_recorded_shares_and_the_right_answer():
    runs = read_record("three-puzzles/box-of-walls", "quick").runs
    explorer = box.explorer(runs)
    assert explorer.spec["sweep"]["values"] == pytest.approx(box.SHIFTS.tolist())
    assert explorer.spec["predict"]["options"][explorer.spec["predict"]["answer"]] == "about 2"
    assert not explorer.opened


# --- parity ----------------------------------------------------------------------------------


def smallest_or_of_ands(truth, N):
    """The number of terms of the smallest OR of ANDs, by trying all sets of all ANDs (N <= 3)."""
    x = np.arange(2**N)
    terms = set()
    for mask in range(2**N):
        for value in range(2**N):
            covered = frozenset(x[x & mask == value].tolist())
            if covered and value & ~mask == 0 and all(truth[i] for i in covered):
                terms.add(covered)
    reached, size, goal = {frozenset()}, 0, frozenset(x[truth].tolist())
    while goal not in reached:
        reached, size = {r | t for r in reached for t in terms}, size + 1
    return size


@pytest.mark.parametrize("N", [2, 3])
@pytest.mark.parametrize("name", parity.FUNCTIONS)
def test_the_essential_ands_are_as_few_as_an_exhaustive_search_finds(name, N):
    truth = parity.FUNCTIONS[name](parity.inputs(N))
    accepted = set(np.flatnonzero(truth).tolist())
    found = parity.essential(parity.prime_implicants(accepted, N), accepted)
    assert len(found) == smallest_or_of_ands(truth, N)
    assert (parity.or_of_ands(found, N) == truth).all()


def test_prime_implicants_are_those_of_a_textbook_example():
    # f(a, b, c) true on 0, 1, 2, 5, 6, 7 (bit i of the number is variable i): the cyclic example of
    # Quine, six primes of two bits each, none of them essential.
    accepted = {0, 1, 2, 5, 6, 7}
    primes = parity.prime_implicants(accepted, 3)
    assert len(primes) == 6
    assert {mask.bit_count() for mask, _ in primes} == {2}
    assert parity.essential(primes, accepted) == set()


@given(
    st.integers(1, 5).flatmap(lambda N: st.tuples(st.just(N), st.sets(st.integers(0, 2**N - 1))))
)
@settings(max_examples=50)
def test_the_or_of_all_prime_implicants_is_the_function(case):
    N, accepted = case
    primes = parity.prime_implicants(accepted, N)
    assert set(np.flatnonzero(parity.or_of_ands(primes, N)).tolist()) == accepted


def test_xor_is_addition_modulo_two():
    a, b = np.array([False, False, True, True]), np.array([False, True, False, True])
    table, gates = parity.xor(a, b)
    assert table.astype(int).tolist() == ((a.astype(int) + b) % 2).tolist()
    assert gates == 4


@pytest.mark.parametrize("N", [1, 2, 3, 5, 7, 8])
def test_a_tree_of_xors_is_parity_with_four_gates_a_join_whatever_the_number_of_bits(N):
    bits = parity.inputs(N)
    table, gates, rows = parity.tree(bits, "xor")
    assert table.tolist() == [bin(i).count("1") % 2 == 1 for i in range(2**N)]
    assert gates == 4 * (N - 1)
    assert rows == math.ceil(math.log2(N))


def test_half_a_gate_is_caught_on_every_even_input_but_zero():
    found = parity.run(parity.Settings(gate="or"), Chance(0))
    assert found["wrong_tree"] == 2**7 - 1


# --- signals ---------------------------------------------------------------------------------


class Scripted(np.random.Generator):
    """A generator that hands out given numbers, so that one signal can be followed by hand."""

    def __init__(self, label, padding, scale, turn, smooth, white, tilt):
        super().__init__(np.random.PCG64(0))
        self.whole = iter([label, padding, turn])
        self.real = iter([scale, tilt])
        self.noise = iter([smooth, white])

    def integers(self, *args, size):
        return np.full(size, next(self.whole))

    def uniform(self, low, high, size):
        value = next(self.real)
        assert low <= value <= high
        return np.full(size, value)

    def standard_normal(self, size):
        return next(self.noise).reshape(size)


@pytest.mark.parametrize("label", range(10))
@pytest.mark.parametrize(("padding", "turn"), [(36, 0), (47, 13), (60, 47)])
def test_a_signal_follows_the_published_recipe_step_by_step(label, padding, turn):
    # Greydanus and Kobak 2024: pad, stretch to 72, scale, translate, noise, shear, read at 40.
    rng = np.random.default_rng(label)
    smooth, white = rng.standard_normal((2, 72))
    scale, tilt = 1.1, 0.2
    script = Scripted(label, padding, scale, turn, smooth, white, tilt)
    found, labels = convolution.signals(1, script)

    template = np.array(convolution.TEMPLATES[label], dtype=float)
    template = (template - template.mean()) / template.std()
    padded = np.concatenate([(template - template[0]) / 6 + 1e-8, np.zeros(padding)])
    there = np.linspace(0, 1, 72)
    x = scale * np.interp(there, np.linspace(0, 1, len(padded)), padded)
    x = np.roll(x, turn)
    x = np.where(x != 0, x, gaussian_filter1d(0.25 * smooth, 2)) + 0.02 * white
    x = x - tilt * np.linspace(-0.5, 0.5, 72)
    x = np.interp(np.linspace(0, 1, 40), there, x)
    np.testing.assert_allclose(found[0], x, atol=1e-6)
    assert labels.tolist() == [label]


def test_signals_leave_the_global_generators_alone_and_repeat_with_their_seed():
    np.random.seed(0)  # noqa: NPY002
    expected = np.random.rand()  # noqa: NPY002
    np.random.seed(0)  # noqa: NPY002
    first, again, other = (
        convolution.signals(50, np.random.default_rng(seed)) for seed in (1, 1, 2)
    )
    assert np.random.rand() == expected  # noqa: NPY002
    assert (first[0] == again[0]).all()
    assert (first[0] != other[0]).any()
    assert first[0].shape == (50, 40)
    assert set(first[1]) <= set(range(10))


def strided(seed=0, channels=25):
    return convolution.Strided(channels, generator=torch.Generator().manual_seed(seed))


def test_the_convolutional_network_has_the_shape_of_the_authors():
    # Three layers of 25 filters of 5 readings, then 10 classes from 4 x 25 features.
    network = strided()
    assert network.features(torch.zeros(3, 1, 1, 40)).shape == (3, 100)
    assert network(torch.zeros(3, 1, 1, 40)).shape == (3, 10)
    weights = (5 * 25 + 25) + 2 * (5 * 25 * 25 + 25) + (100 * 10 + 10)
    assert sum(p.numel() for p in network.parameters()) == weights


def test_a_signal_moved_by_eight_readings_moves_the_features_by_one_place():
    # Strides of 2, three times. The first and the last place see the padding.
    x = torch.zeros(1, 1, 1, 40)
    x[..., 12:20] = torch.randn(8, generator=torch.Generator().manual_seed(0))
    before, after = (strided().features(z).view(25, 4) for z in (x, torch.roll(x, 8, dims=-1)))
    torch.testing.assert_close(before[:, 1], after[:, 2])


def tiny(**changes):
    sgd = SGD(lr=0.05, steps=3, batch=50, momentum=0.9, decay=1e-3)
    settings = convolution.Settings(examples=60, test=40, sgd=sgd, **changes)
    return convolution.run(settings, Chance(3))


def test_the_scramble_is_undone_by_no_variant_and_the_dense_network_is_the_same_in_all():
    main, wired = tiny(), tiny(network="dense")
    assert main["error[dense, signals]"] == wired["error[dense, signals]"]
    assert main["error[dense, scrambled]"] == wired["error[dense, scrambled]"]
    assert main.units == wired.units


def test_the_same_seed_gives_the_same_errors():
    first, again = tiny(), tiny()
    assert all(np.array_equal(first[name], again[name]) for name in first)
