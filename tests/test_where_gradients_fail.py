"""The experiments of *Where gradients fail*: theorems, worked examples and other libraries."""

import math
from itertools import product

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from scipy.linalg import hadamard
from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.results import MAIN, Quantity, Result, read_record
from whydeep.experiments.theory_survey.sgd import (
    conditioning,
    end_to_end,
    flat_activation,
    parity,
    parity_sizes,
    sharp_waves,
)

EXPERIMENTS = (conditioning, end_to_end, flat_activation, parity, parity_sizes, sharp_waves)


def generator(seed):
    return torch.Generator().manual_seed(seed)


# --- parities --------------------------------------------------------------------------------


def every_set(d):
    return torch.tensor(list(product((False, True), repeat=d)))


@pytest.mark.parametrize("d", [2, 4])
def test_all_parities_of_all_inputs_are_the_rows_of_a_hadamard_matrix(d):
    found = parity.parities(parity.all_inputs(d), every_set(d)).numpy().astype(int)
    assert {tuple(row) for row in found} == {tuple(row) for row in hadamard(2**d)}
    assert (found @ found.T == 2**d * np.eye(2**d)).all()


def test_a_parity_of_a_worked_example_is_the_product_of_its_signs():
    x = torch.tensor([[1.0, -1, -1], [-1, 1, -1]])
    sets = torch.tensor([[True, True, False], [True, True, True], [False, False, False]])
    assert parity.parities(x, sets).tolist() == [[-1, -1], [1, 1], [1, 1]]


def test_the_gradient_of_the_output_is_that_of_autograd():
    d, units = 4, 5
    x = parity.all_inputs(d)
    found = parity.output_gradients(x, units, generator(0))
    chance = generator(0)
    w = torch.randn(d, units, generator=chance) * math.sqrt(2 / d)
    b = torch.randn(units, generator=chance) / 2
    v = torch.randn(units, generator=chance) / math.sqrt(units)
    c = torch.zeros(())

    def output(w, b, v, c, one):
        return v @ torch.relu(one @ w + b) + c

    jacobian = torch.func.vmap(torch.func.grad(output, (0, 1, 2, 3)), (None,) * 4 + (0,))
    expected = torch.cat([g.reshape(len(x), -1) for g in jacobian(w, b, v, c, x)], 1)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("d", [3, 6])
def test_over_every_parity_the_variance_is_that_of_parsevals_identity(d):
    gradients = parity.output_gradients(parity.all_inputs(d), 8, generator(1))
    found = parity.relative_variance(gradients, parity.parities(parity.all_inputs(d), every_set(d)))
    # The mean over all parities is 1 on the input of ones and 0 elsewhere; that is row 0.
    share = float(gradients[0].square().sum() / gradients.square().sum(1).mean())
    expected = 2.0**-d - share / 4**d
    unbiased = 2**d / (2**d - 1)
    assert found == pytest.approx(expected * unbiased, rel=1e-4)


def test_random_sets_of_a_sparse_parity_have_three_signs_each_as_often():
    sets = parity.random_sets(6000, 5, "sparse", generator(2))
    assert (sets.sum(1) == parity.SPARSE).all()
    share = sets.double().mean(0)
    assert (share - 3 / 5).abs().max() < 4 * math.sqrt(0.24 / 6000)


def test_first_weights_of_random_signs_are_all_of_one_size():
    w, *_ = parity.start(2, 9, 4, "signs", generator(3))
    torch.testing.assert_close(w.abs(), torch.full((2, 9, 4), 1 / 3))
    assert (w[0] != w[1]).any()


def test_the_full_parity_is_learned_from_random_signs_only():
    record = read_record("theory-survey/sgd/parity-sizes", "quick")
    last = {
        name: np.mean([result["accuracy"][-1, -1] for result in runs.values()])
        for name, runs in record.runs.items()
    }
    assert last["signs"] > 0.75 > 0.55 > last[MAIN]


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: parity.draw_targets(1, 3, "cosine", generator(0)),
        lambda: parity.start(1, 3, 4, "ones", generator(0)),
        lambda: end_to_end.label(torch.ones(1, 2), "mean"),
        lambda: end_to_end.run(end_to_end.Settings(answers="none"), Chance(0)),
        lambda: flat_activation.activate(np.zeros(1), "sine"),
    ],
)
def test_a_name_that_is_not_known_is_one_clear_line(wrong):
    with pytest.raises(BadSettings, match="expected") as caught:
        wrong()
    assert "\n" not in str(caught.value)


# --- a product of answers --------------------------------------------------------------------


def test_the_label_is_a_product_or_the_sign_of_a_sum_in_which_a_tie_goes_with_the_first():
    y = torch.tensor([[1.0, -1, -1], [-1, 1, -1]])
    assert end_to_end.label(y, "product").tolist() == [1, 1]
    assert end_to_end.label(y, "sum").tolist() == [-1, -1]
    assert end_to_end.label(y[:, :2], "sum").tolist() == [1, -1]


def test_what_a_member_does_not_have_does_not_reach_its_output():
    settings = end_to_end.Settings()
    weights = end_to_end.start((2, 5), settings, generator(4))
    alive = torch.tensor([[1.0, 1, 0, 0, 0], [1.0] * 5])
    x = torch.randn(3, end_to_end.MOST, end_to_end.INPUTS, generator=generator(5))
    other = x.clone()
    other[:, 2:] += 1
    one, two = (end_to_end.outputs(z, weights, alive)[2] for z in (x, other))
    torch.testing.assert_close(one[0], two[0])
    assert (one[1] != two[1]).all()


def test_a_head_that_adds_up_its_parts_has_no_signal_of_a_product():
    # By the theorem on mirrored examples: a sum of functions of one answer each is of order 1.
    settings = end_to_end.Settings(starts=2, base=50)
    plane = torch.nn.functional.normalize(torch.randn(8, generator=generator(6)), dim=0)
    real = torch.relu
    try:
        # The hidden units of the part stay ReLUs; those of the head become the identity.
        torch.relu = lambda z: z if z.shape[-1] == settings.head else real(z)
        found = [end_to_end.signal_to_noise(k, plane, settings, generator(7)) for k in (1, 2, 3)]
    finally:
        torch.relu = real
    assert found[0] > 1e-3
    assert max(found[1:]) < 1e-10


# --- kinks -----------------------------------------------------------------------------------


def test_a_curve_is_its_kinks_added_up_twice():
    p = np.random.default_rng(0).standard_normal((3, 12))
    f = p @ conditioning.curve_matrix(12).T
    np.testing.assert_allclose(f, p.cumsum(1).cumsum(1))
    np.testing.assert_allclose(conditioning.windows(f) @ [1, -2, 1], p, atol=1e-12)


def test_the_condition_number_approaches_that_of_a_clamped_beam():
    assert math.cos(conditioning.BEAM) * math.cosh(conditioning.BEAM) == pytest.approx(-1, abs=1e-8)
    ratios = [
        np.linalg.cond(conditioning.curve_matrix(n)) ** 2 / conditioning.predicted_condition(n)
        for n in (25, 100, 400)
    ]
    assert abs(ratios[2] - 1) < abs(ratios[1] - 1) < abs(ratios[0] - 1) < 0.2
    assert ratios[2] == pytest.approx(1, abs=0.02)
    assert conditioning.predicted_condition(1) == pytest.approx(1.294, abs=5e-4)


def test_errors_from_the_eigenvalues_are_those_of_gradient_descent_step_by_step():
    rng = np.random.default_rng(1)
    p = conditioning.draw_kinks(60, 12, 5, rng)
    f = conditioning.mix(p, "curve", rng)
    moments = f.T @ f / 60
    u, rate = np.zeros((12, 12)), 1 / np.linalg.eigvalsh(moments)[-1]
    for _ in range(300):
        u -= rate * (u @ moments - p.T @ f / 60)
    measured = ((f @ u.T - p) ** 2).sum() / (p**2).sum()
    found = conditioning.dense_modes(f, p).error(np.array([300.0]))[0]
    assert found == pytest.approx(measured, rel=1e-6)


@pytest.mark.parametrize("scaled", [False, True])
def test_the_same_holds_for_the_convolution_with_and_without_a_preconditioner(scaled):
    rng = np.random.default_rng(2)
    p = conditioning.draw_kinks(200, 10, 5, rng)
    f = conditioning.mix(p, "rotation", rng)  # no taps fit exactly
    seen = conditioning.windows(f).reshape(-1, 3)
    moments, target = seen.T @ seen / 200, seen.T @ p.ravel() / 200
    scaling = np.diag([1.0, 2.0, 0.5]) if scaled else np.eye(3)
    rate = 1 / np.linalg.eigvals(scaling @ moments).real.max()
    h = np.zeros(3)
    for _ in range(7):
        h -= rate * scaling @ (moments @ h - target)
    measured = ((seen @ h - p.ravel()) ** 2).sum() / (p**2).sum()
    modes = conditioning.convolution_modes(f, p, scaling if scaled else None)
    assert modes.error(np.array([7.0]))[0] == pytest.approx(measured, rel=1e-9)


def test_the_steps_to_an_error_are_those_of_a_worked_example():
    one = conditioning.Modes(np.array([0.01, 1.0]), np.array([0.5, 0.5]))
    assert one.steps_to(0.05) == pytest.approx(math.log(0.1) / (2 * math.log(0.99)))
    stuck = conditioning.Modes(np.array([1.0]), np.array([0.5]), floor=0.5)
    assert stuck.steps_to(0.4) == conditioning.NEVER


# --- stairs ----------------------------------------------------------------------------------


def test_the_activations_are_those_of_a_worked_example():
    z = np.array([-0.3, 0.1, 0.6, 1.2])
    assert flat_activation.activate(z, "staircase").tolist() == [-0.5, 0, 0.5, 1]
    assert flat_activation.activate(z, "periodic").tolist() == [0.5, 0, 0.5, 0]


@pytest.mark.parametrize("name", ["staircase", "periodic"])
def test_a_smoothed_activation_has_its_derivative_and_nears_the_true_one(name):
    z = np.linspace(-2, 2, 200)[:, None] + 1e-3
    for slope in (3.0, 10.0):
        above, below = (
            flat_activation.smoothed(z + e, np.array([slope]), name)[0] for e in (1e-6, -1e-6)
        )
        _, derivative = flat_activation.smoothed(z, np.array([slope]), name)
        inside = np.abs(z / flat_activation.STEP % 1 - 0.5) > 1e-2  # smoothing is pieced together
        np.testing.assert_allclose(((above - below) / 2e-6)[inside], derivative[inside], atol=1e-5)
    sharp, _ = flat_activation.smoothed(z, np.array([1e5]), name)
    np.testing.assert_allclose(sharp, flat_activation.activate(z, name), atol=1e-6)


def test_the_predicted_error_is_that_of_drawn_numbers():
    rng = np.random.default_rng(3)
    z, far = rng.uniform(0, 50, 400_000), rng.normal(0.2, 0.4, 400_000)
    squares = (
        flat_activation.activate(z + far, "staircase") - flat_activation.activate(z, "staircase")
    ) ** 2
    found = flat_activation.predicted_error(0.2, 0.4)
    assert found == pytest.approx(squares.mean(), abs=5 * squares.std() / math.sqrt(400_000))


def test_a_distance_of_a_small_part_of_a_stair_costs_in_proportion():
    # Crossed with probability |D| / STEP, at the price of STEP squared.
    found = flat_activation.predicted_error(0.0, 0.01)
    assert found == pytest.approx(flat_activation.STEP * 0.01 * math.sqrt(2 / math.pi), rel=2e-3)


# --- waves -----------------------------------------------------------------------------------


@pytest.mark.parametrize("s", [0.3, 0.8])
def test_variance_and_trace_of_a_wave_are_those_of_numerical_integration(s):
    def mean(function):
        weighed = lambda z: function(math.cos(math.pi * s * z), z) * stats.norm.pdf(z)  # noqa: E731
        return integrate.quad(weighed, -12, 12, limit=400)[0]

    centre = mean(lambda y, z: y)
    assert sharp_waves.variance(s) == pytest.approx(mean(lambda y, z: (y - centre) ** 2), rel=1e-7)
    along = mean(lambda y, z: (y - centre) * (z * z - 1))
    assert sharp_waves.trace(s) == pytest.approx(-along, rel=1e-7)


def test_the_top_eigenvector_of_a_spiked_matrix_turns_as_predicted():
    # Any symmetric noise of that size: here a Gaussian one of side 600, with a spike.
    n, theta, tau = 600, 1.5, 1.0
    noise = np.random.default_rng(4).standard_normal((n, n))
    noise = tau * (noise + noise.T) / math.sqrt(2 * n)
    noise[0, 0] += theta
    found = np.linalg.eigh(noise)[1][0, -1] ** 2
    s = 0.9
    m = round(n * sharp_waves.variance(s) / (sharp_waves.trace(s) * tau / theta) ** 2)
    assert sharp_waves.predicted_overlap(s, n, m) == pytest.approx(1 - (tau / theta) ** 2, abs=1e-3)
    assert found == pytest.approx(1 - (tau / theta) ** 2, abs=0.08)


def test_at_the_critical_sharpness_the_trace_equals_the_noise():
    s = sharp_waves.critical_sharpness(20, 10_000)
    assert sharp_waves.trace(s) ** 2 == pytest.approx(20 * sharp_waves.variance(s) / 10_000)
    assert sharp_waves.predicted_overlap(s + 0.01, 20, 10_000) == 0


def test_the_crossing_of_a_worked_example_is_interpolated():
    s = np.array([1.0, 2.0, 3.0])
    assert sharp_waves.crossing(s, np.array([0.1, 0.3, 0.7])) == pytest.approx(2.5)
    assert sharp_waves.crossing(s, np.array([0.1, 0.2, 0.3])) == 3
    assert sharp_waves.crossing(s, np.array([0.9, 0.2, 0.3])) == 1


# --- all -------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", EXPERIMENTS, ids=lambda module: module.__name__.split(".")[-1])
def test_a_figure_can_be_drawn_of_one_seed_of_the_main_runs(module):
    name = module.__name__.split("experiments.")[1].replace(".", "/").replace("_", "-")
    runs = read_record(name, "quick").runs
    figure = module.figure({MAIN: {0: runs[MAIN][0]}})
    assert "1 seed" in figure.caption
    assert figure.bytes()


SMALL = {
    conditioning: conditioning.Settings(samples=10, sizes=(5, 10), curves=40),
    end_to_end: end_to_end.Settings(steps=2, test=20, starts=2, base=5),
    flat_activation: flat_activation.Settings(examples=50, steps=5),
    parity: parity.Settings(bits=(3, 4), targets=20, steps=2, test=20),
    parity_sizes: parity_sizes.Settings(units=8, steps=2, times=2, test=20),
    sharp_waves: sharp_waves.Settings(examples=60, steps=2, test=20),
}


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.__name__.split(".")[-1])
def test_a_run_gives_the_same_bits_again_and_other_bits_for_another_seed(module):
    first, again, other = (module.run(SMALL[module], Chance(seed)) for seed in (0, 0, 1))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert any(first[name].tobytes() != other[name].tobytes() for name in first)


@pytest.mark.parametrize(("rise", "share"), [(lambda s: s, 1 / 3), (lambda s: s > 1.2, 1.0)])
def test_a_steady_rise_has_a_third_between_sharpness_1_and_1_5_and_a_jump_all_of_it(rise, share):
    sharpness = np.array(sharp_waves.SHARPNESS)
    named = [f"s={s:g}" for s in sharpness]
    error = Quantity(rise(sharpness).astype(float), "share", sharpness=named)
    assert sharp_waves.jump(Result(error=error)) == pytest.approx(share)
