"""The experiments of *Feature maps by hand*: theory, worked examples and other libraries."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from sklearn.kernel_approximation import RBFSampler
from sklearn.kernel_ridge import KernelRidge
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import euclidean_distances, rbf_kernel
from sklearn.svm import SVC
from whydeep.chance import Chance
from whydeep.descent import SGD
from whydeep.errors import BadSettings
from whydeep.evidence.results import MAIN, read_record
from whydeep.experiments.features import (
    alternatives,
    kernel_learning,
    random_features,
    single_layer,
)
from whydeep.experiments.features._classifiers import gaussian_kernel


def generator(seed):
    return torch.Generator().manual_seed(seed)


def points(seed, n=40, d=5):
    return torch.rand(n, d, generator=generator(seed))


# --- random Fourier features -----------------------------------------------------------------


def test_the_gaussian_kernel_is_scikit_learns():
    x, y = points(0).double(), points(1, n=7).double()
    wanted = rbf_kernel(x, y, gamma=0.7)
    np.testing.assert_allclose(gaussian_kernel(x, y, 0.7), wanted, atol=1e-12)


def test_the_median_pair_of_points_has_a_kernel_of_one_over_e():
    # On a line at 0, 1, 3 the squared distances are 1, 4, 9.
    x = torch.tensor([[0.0], [1.0], [3.0]])
    gamma = random_features.median_gamma(x)
    assert gamma == pytest.approx(1 / 4)


def test_inner_products_of_random_features_are_the_kernel_on_average():
    x = points(2)
    layer = random_features.draw_features(5, 200_000, 0.7, generator=generator(0))
    phi = random_features.fourier_features(x, *layer)
    # Standard deviation of each entry at most 1 / sqrt(D); five of them.
    np.testing.assert_allclose(phi @ phi.T, rbf_kernel(x, gamma=0.7), atol=5 / math.sqrt(200_000))


@pytest.mark.parametrize("distance", [0.0, 0.5, 1.0, 3.0])
def test_the_expected_error_is_the_spread_of_many_draws(distance):
    x = torch.tensor([[0.3, -0.2], [0.3 + distance, -0.2]])
    w, b = random_features.draw_features(2, 400_000, 0.5, generator=generator(1))
    terms = 2 * torch.cos(x[0] @ w + b) * torch.cos(x[1] @ w + b)
    k = np.array([math.exp(-0.5 * distance**2)])
    expected = random_features.expected_error(k, 1)
    assert expected == pytest.approx(float(terms.std()), rel=0.01)
    assert random_features.expected_error(k, 64) == pytest.approx(expected / 8)


def test_scikit_learns_sampler_is_as_far_from_the_kernel_as_theory_says():
    x = points(3, n=60)
    pairs = np.triu_indices(60, 1)
    exact = rbf_kernel(x, gamma=0.7)
    squares = []
    for seed in range(40):
        z = RBFSampler(gamma=0.7, n_components=64, random_state=seed).fit_transform(x.numpy())
        squares.append(((z @ z.T - exact)[pairs] ** 2).mean())
    expected = random_features.expected_error(exact[pairs], 64)
    assert expected == pytest.approx(math.sqrt(np.mean(squares)), rel=0.15)


def test_shared_directions_are_as_many_as_asked_for_and_phases_are_all_different():
    w, b = random_features.draw_features(9, 500, 1.0, directions=16, generator=generator(0))
    assert len(torch.unique(w, dim=1).T) == 16
    assert len(torch.unique(b)) > 490


@pytest.mark.parametrize("width", [3, 200])
def test_ridge_on_features_makes_the_errors_of_scikit_learns_ridge(width):
    # Fewer features than examples, and more: the two ways through which it is solved.
    phi, phi_test = points(4, n=60, d=width), points(5, n=300, d=width)
    y, y_test = (phi.sum(1) * 7).long() % 3, (phi_test.sum(1) * 7).long() % 3
    other = Ridge(alpha=0.3, fit_intercept=False).fit(phi.double(), torch.eye(3)[y].double())
    wrong = other.predict(phi_test.double()).argmax(1) != y_test.numpy()
    assert random_features.ridge_error(phi, y, phi_test, y_test, 0.3) == pytest.approx(wrong.mean())


def test_kernel_ridge_gives_scikit_learns_outputs():
    x, x_test = points(6).double(), points(7, n=9).double()
    one_hot = torch.eye(4).double()[torch.arange(40) % 4]
    other = KernelRidge(alpha=0.2, kernel="rbf", gamma=0.7).fit(x, one_hot)
    kernels = [gaussian_kernel(z, x, 0.7) for z in (x, x_test)]
    found = random_features.kernel_outputs(kernels[0], one_hot, kernels[1], 0.2)
    np.testing.assert_allclose(found, other.predict(x_test), atol=1e-9)


def test_the_explorer_shows_the_record_and_its_answer_is_what_the_record_shows():
    runs = read_record("features/random-features", "full").runs
    widget = random_features.explorer(runs)
    widths = runs[MAIN][0]["widths"]
    assert widget.spec["sweep"]["values"] == widths.tolist()
    shared = np.mean([run["error[random]"] for run in runs["sixteen-directions"].values()], axis=0)
    exact = np.mean([run["error[exact, 0]"] for run in runs["sixteen-directions"].values()])
    # It falls by more than its spread at first, and ends far above the exact kernel machine.
    assert shared[0] - shared[1] > 0.03
    assert shared[-1] - exact > 0.1
    answer = widget.spec["predict"]["options"][widget.spec["predict"]["answer"]]
    assert answer == "It falls at first, then stays well above it"


# --- learning the kernel ---------------------------------------------------------------------


def small_problem(seed, n=16, q=3):
    """q kernel matrices of trace n, and labels of two classes that they tell apart in part."""
    rng = np.random.default_rng(seed)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    kernels = []
    for i in range(q):
        phi = rng.standard_normal((n, 6)) + 0.5 * i * y[:, None]
        kernels.append(phi @ phi.T)
    return np.stack([k * n / np.trace(k) for k in kernels]), y


def machine_value(kernel, y, cost):
    """max 2 sum(a) - a^T G a of the soft-margin machine, from scikit-learn's solution."""
    fit = SVC(C=cost, kernel="precomputed", tol=1e-8).fit(kernel, y)
    a = np.zeros(len(y))
    a[fit.support_] = fit.dual_coef_[0] * y[fit.support_]
    return 2 * a.sum() - (a * y) @ kernel @ (a * y)


def solved(kernels, y, form, cost=1.0):
    convex = kernel_learning.problem(kernels, y, cost, form)
    assert kernel_learning.solve(convex) > 0
    return convex.value, kernel_learning.weights_of(convex)


@pytest.mark.parametrize("form", ["sdp", "qcqp"])
@pytest.mark.parametrize("cost", [0.5, 5.0])
def test_with_one_kernel_the_convex_problem_is_the_support_vector_machine(form, cost):
    kernels, y = small_problem(0, q=1)
    value, mu = solved(kernels, y, form, cost)
    assert value == pytest.approx(machine_value(kernels[0], y, cost), rel=1e-5)
    assert mu == pytest.approx([1.0], abs=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_both_forms_have_the_same_value_and_it_is_the_machines_at_their_weights(seed):
    kernels, y = small_problem(seed)
    value, mu = solved(kernels, y, "sdp")
    other_value, other_mu = solved(kernels, y, "qcqp")
    assert value == pytest.approx(other_value, rel=1e-4)
    for weights in (mu, other_mu):
        assert weights.min() > -1e-6
        assert weights.sum() == pytest.approx(1, abs=1e-4)
        at_weights = machine_value(np.tensordot(weights, kernels, 1), y, 1.0)
        assert at_weights == pytest.approx(value, rel=1e-3)


def test_no_other_mixture_of_the_kernels_has_a_smaller_value():
    kernels, y = small_problem(4)
    value, _ = solved(kernels, y, "sdp")
    mixtures = np.random.default_rng(0).dirichlet(np.ones(3), 30)
    others = [machine_value(np.tensordot(mu, kernels, 1), y, 1.0) for mu in mixtures]
    assert min(others) > value * (1 - 1e-5)


def test_an_unknown_form_of_the_problem_is_refused_in_one_line():
    kernels, y = small_problem(0)
    with pytest.raises(BadSettings, match="expected 'sdp' or 'qcqp'"):
        kernel_learning.problem(kernels, y, 1.0, "lp")


def test_base_kernels_are_positive_semidefinite_and_have_the_trace_of_the_identity():
    x = torch.rand(12, 1, 28, 28, generator=generator(0))
    kernels = kernel_learning.base_kernels(x, 8)
    assert kernels.shape == (len(kernel_learning.KERNELS), 12, 8)
    for kernel in kernels:
        assert np.trace(kernel[:8]) == pytest.approx(8)
        assert np.linalg.eigvalsh(kernel[:8]).min() > -1e-9
    # The linear kernel on centred pixels, worked out another way.
    z = x.flatten(1).double().numpy()
    gram = (z - z[:8].mean(0)) @ (z[:8] - z[:8].mean(0)).T
    np.testing.assert_allclose(kernels[0], gram * 8 / np.trace(gram[:8]), atol=1e-9)


def test_the_slope_of_a_power_law_is_its_exponent():
    sizes = (10, 20, 50)
    assert kernel_learning.slope(sizes, [7 * n**2.5 for n in sizes]) == pytest.approx(2.5)


def test_an_epoch_learns_and_leaves_the_global_generator_alone():
    x = torch.cat([torch.zeros(100, 4), torch.ones(100, 4)])
    y = torch.arange(200) // 100
    torch.manual_seed(0)
    wanted = torch.rand(3)
    torch.manual_seed(0)
    seconds, loss = kernel_learning.epoch(x, y, kernel_learning.Settings(), Chance(1))
    assert torch.equal(torch.rand(3), wanted)
    assert seconds > 0
    assert loss < math.log(2)


# --- one layer of patches --------------------------------------------------------------------


def test_patches_are_centred_and_scaled_and_flat_ones_are_zero():
    x = torch.rand(2, 1, 8, 8, generator=generator(0))
    x[1] = 0.4
    p = single_layer.patches(x, 3, 2)
    assert p.shape == (2, 9, 9)
    torch.testing.assert_close(p.mean(2), torch.zeros(2, 9), atol=1e-6, rtol=0)
    torch.testing.assert_close(p[1], torch.zeros(9, 9), atol=1e-5, rtol=0)
    first = x[0, 0, :3, :3].flatten()
    wanted = (first - first.mean()) / math.sqrt(float(first.var(correction=0)) + 0.01)
    torch.testing.assert_close(p[0, 0], wanted)


def test_whitened_patches_have_the_identity_as_covariance():
    mix = torch.randn(4, 4, generator=generator(0), dtype=torch.float64)
    p = 3 + torch.randn(500, 4, generator=generator(1), dtype=torch.float64) @ mix
    z = single_layer.Whitening.of(p, floor=0.0)(p)
    torch.testing.assert_close(torch.cov(z.T), torch.eye(4).double())
    torch.testing.assert_close(z.mean(0), torch.zeros(4).double())


def test_the_triangle_code_is_that_of_a_worked_example():
    # Distances 3, 5 and 4 from the origin: the mean is 4, so only the first entry is near.
    dictionary = torch.tensor([[3.0, 0.0], [3.0, 4.0], [0.0, 4.0]])
    code = single_layer.triangle(torch.zeros(1, 2), dictionary)
    torch.testing.assert_close(code, torch.tensor([[1.0, 0.0, 0.0]]))


def test_a_picture_is_described_by_sums_over_its_four_quarters():
    x = torch.rand(3, 1, 28, 28, generator=generator(0))
    whitening = single_layer.Whitening.of(single_layer.patches(x, 6, 1).flatten(0, 1))
    dictionary = torch.randn(7, 36, generator=generator(1))
    phi = single_layer.describe(x, whitening, dictionary, size=6, stride=3)
    assert phi.shape == (3, 28)
    # The lower left quarter of the last picture, patch by patch: rows 4 to 7, columns 0 to 3.
    total = np.zeros(7)
    for row in range(4, 8):
        for column in range(4):
            cut = x[2, 0, 3 * row : 3 * row + 6, 3 * column : 3 * column + 6].flatten()
            cut = (cut - cut.mean()) / math.sqrt(float(cut.var(correction=0)) + 0.01)
            r = euclidean_distances(whitening(cut)[None], dictionary)[0]
            total += np.maximum(0, r.mean() - r)
    np.testing.assert_allclose(phi[2, 14:21], total, rtol=1e-3)


def test_a_random_dictionary_holds_different_patches_of_the_sample():
    z = points(0, n=50)
    found = single_layer.find_dictionary(z, 20, "random", np.random.default_rng(0))
    assert len(torch.unique(found, dim=0)) == 20
    assert all(any(torch.equal(entry, row) for row in z) for entry in found)


def test_k_means_finds_the_middles_of_groups_far_apart():
    middles = torch.tensor([[0.0, 0.0], [50.0, 0.0], [0.0, 50.0]])
    z = middles.repeat(400, 1) + torch.randn(1200, 2, generator=generator(0))
    found = single_layer.find_dictionary(z, 3, "kmeans", np.random.default_rng(0))
    order = euclidean_distances(middles, found).argmin(1)
    assert sorted(order) == [0, 1, 2]
    torch.testing.assert_close(found[order], middles, atol=0.5, rtol=0)


# --- the rivals ------------------------------------------------------------------------------


def test_the_machine_makes_the_errors_of_scikit_learns_gaussian_machine():
    x, x_test = points(8, n=80), points(9, n=300)
    y, y_test = ((z[:, 0] - 0.5).abs() > 0.25 * z[:, 1] for z in (x, x_test))
    other = SVC(C=10, gamma="scale").fit(x.numpy(), y.numpy())
    error = alternatives.machine_error(x, y.long(), x_test, y_test.long(), 10.0)
    assert error == pytest.approx(1 - other.score(x_test.numpy(), y_test.numpy()), abs=1 / 300)
    assert error < 0.2


def test_scrambling_cannot_be_noticed_by_a_machine_on_pixels_but_is_by_one_on_hog():
    few = dataclasses.replace(alternatives.Settings().sgd, steps=2)
    tiny = alternatives.Settings(examples=200, sgd=few, table_steps=2, splits=1, trees=2)
    plain = alternatives.run(tiny, Chance(0))
    scrambled = alternatives.run(dataclasses.replace(tiny, scramble=True), Chance(0))
    assert plain["error[svm_raw]"] == pytest.approx(float(scrambled["error[svm_raw]"]), abs=0.002)
    assert plain["error[svm_table]"] == pytest.approx(
        float(scrambled["error[svm_table]"]), abs=0.006
    )
    assert scrambled["error[svm_hog]"] > plain["error[svm_hog]"]


# --- all four --------------------------------------------------------------------------------

SMALL = {
    random_features: {"examples": 50, "widths": (16, 32), "points": 20, "draws": 1},
    single_layer: {"examples": 50, "sizes": (5, 10), "sample": 500},
    alternatives: {
        "examples": 50,
        "sgd": SGD(lr=0.02, steps=2, batch=64),
        "table_steps": 2,
        "splits": 1,
        "trees": 2,
    },
}


@pytest.mark.parametrize("module", SMALL, ids=lambda module: module.__name__.rpartition(".")[2])
def test_the_same_seed_gives_the_same_bits_and_another_seed_does_not(module):
    small = dataclasses.replace(module.SCALES["quick"], **SMALL[module])
    first, again, other = (module.run(small, Chance(seed)) for seed in (0, 0, 1))
    assert list(first) == list(again) == list(other)
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert any(first[name].tobytes() != other[name].tobytes() for name in first)


def test_a_kernel_is_learned_the_same_twice_whatever_the_time_it_took():
    small = kernel_learning.Settings(sizes=(8, 12), sgd_sizes=(20, 40), repeats=1)
    first, again = (kernel_learning.run(small, Chance(0)) for _ in range(2))
    for name in ("value", "weights", "error", "sgd_loss"):
        np.testing.assert_array_equal(first[name], again[name])
    assert first["convex_time"][0] == first["sgd_time"][0] == 1
