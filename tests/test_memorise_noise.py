"""The experiments of *A network that can memorise noise*: worked examples and other loops."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from torch import nn
from whydeep.chance import Chance
from whydeep.datasets.tasks import halved
from whydeep.descent import SGD
from whydeep.descent.recipe import Recipe, fit
from whydeep.errors import BadSettings
from whydeep.experiments.theory_survey.generalization import (
    explicit_regularization,
    finite_sample,
    kernel_interpolation,
    memorization,
    random_labels,
)
from whydeep.labs.thinned import outputs
from whydeep.networks import Dense

# --- random labels ---------------------------------------------------------------------------


def small(module, **changes):
    """The quick settings with changes, those of the nested SGD among them."""
    settings = module.SCALES["quick"]
    known = {field.name for field in dataclasses.fields(SGD)}
    sgd = {name: changes.pop(name) for name in known & set(changes)}
    if sgd:
        changes["sgd"] = dataclasses.replace(settings.sgd, **sgd)
    return dataclasses.replace(settings, **changes)


def test_shuffled_pixels_move_alike_and_scattered_ones_each_their_way():
    x = torch.arange(5 * 7.0).view(5, 7)
    order = torch.tensor([3, 1, 0, 6, 5, 2, 4])
    shuffled, scattered, noise = random_labels.inputs(
        x, order, generator=torch.Generator().manual_seed(0)
    )
    assert shuffled[0].tolist() == [3, 1, 0, 6, 5, 2, 4]
    assert torch.equal(shuffled - shuffled[:1], x - x[:1])
    assert torch.equal(scattered.sort(1).values, x)
    assert not torch.equal(scattered - scattered[:1], x - x[:1])
    assert noise.shape == x.shape
    assert not np.isin(noise.numpy(), x.numpy()).any()


def test_noise_for_pictures_has_their_mean_and_standard_deviation():
    x = 3 + 2 * torch.randn(400, 100, generator=torch.Generator().manual_seed(1))
    noise = random_labels.inputs(x, torch.arange(100), generator=torch.Generator())[2]
    # Four standard deviations of the mean, and of the spread, of 40,000 normal numbers.
    assert abs(noise.mean() - x.mean()) < 4 * 2 / 200
    assert abs(noise.std() - x.std()) < 4 * 2 / 200 / 2**0.5


def test_learned_after_is_the_first_time_that_the_error_is_a_hundredth():
    epochs = np.array([0, 2, 4, 6])
    assert random_labels.learned_after(np.array([0.9, 0.02, 0.01, 0.03]), epochs) == 4
    assert random_labels.learned_after(np.array([0.9, 0.5, 0.4, 0.02]), epochs) == np.inf


def test_what_is_never_learned_counts_as_the_next_measurement_and_stays_finite():
    result = random_labels.run(
        small(random_labels, examples=40, tests=50, epochs=2, hidden=(8,)), Chance(5)
    )
    assert result["learned_after[random]"] == 4
    assert all(np.isfinite(values).all() for values in result.values())


# --- any labels for n points -----------------------------------------------------------------


def test_the_construction_of_a_worked_example_is_the_one_made_by_hand():
    # Places 0, 1, 2 and thresholds -1/2, 1/2, 3/2: w_1 / 2 = 1; 3/2 * 2 + w_2 / 2 = 0; and so on.
    b, w = finite_sample.construct(
        np.array([[1.0], [0.0], [2.0]]), np.array([0.0, 1.0, 1.0]), np.array([1.0])
    )
    assert b.tolist() == [-0.5, 0.5, 1.5]
    assert w.tolist() == [2, -6, 10]


def test_rounding_is_within_what_fractions_say_it_is():
    rng = np.random.default_rng(3)
    x, y, a = rng.standard_normal((30, 4)), rng.standard_normal(30), rng.standard_normal(4)
    b, w = finite_sample.construct(x, y, a)
    exactly = np.vectorize(Fraction, otypes=[object])
    units = np.maximum((exactly(x) @ exactly(a))[:, None] - exactly(b), 0)
    errors = abs(units @ exactly(w) - exactly(y)).astype(float)
    assert errors.max() > 0
    assert (errors <= finite_sample.allowed(x, a, b, w)).all()


def test_two_equal_points_are_refused_in_one_line():
    with pytest.raises(BadSettings, match="same place: give each point once"):
        finite_sample.construct(np.ones((2, 3)), np.array([0.0, 1.0]), np.ones(3))


def test_one_unit_fewer_misses_a_label():
    rng = np.random.default_rng(4)
    x, y = rng.standard_normal((40, 5)), rng.standard_normal(40)
    share, error, weights, _ = finite_sample.fit(
        x, y, small(finite_sample, units=-1), np.random.default_rng(0)
    )
    assert weights == 2 * 39 + 5
    assert error > 1e-3
    assert share > 1e6


# --- exact fits of kernels -------------------------------------------------------------------


def test_kernel_and_fit_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    x, z, y = rng.standard_normal((25, 3)), rng.standard_normal((9, 3)), rng.standard_normal(25)
    squared = kernel_interpolation.squared_distances(torch.tensor(z), torch.tensor(x))
    np.testing.assert_allclose(squared, cdist(z, x, "sqeuclidean"), atol=1e-12)
    kernel = kernel_interpolation.gaussian(squared, 2.0, 3.0)
    np.testing.assert_allclose(kernel, rbf_kernel(z, x, gamma=1.5), atol=1e-12)
    among = torch.tensor(rbf_kernel(x, x, gamma=1.5))
    for ridge in (1e-9, 0.5):
        c, _ = kernel_interpolation.interpolate(among, torch.tensor(y)[:, None], ridge)
        library = KernelRidge(alpha=ridge, kernel="rbf", gamma=1.5).fit(x, y)
        np.testing.assert_allclose((kernel @ c)[:, 0], library.predict(z), rtol=1e-5, atol=1e-6)


def test_the_norm_with_a_linear_kernel_is_that_of_the_least_exact_weights():
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((10, 30)), rng.standard_normal((10, 2))
    _, norm = kernel_interpolation.interpolate(torch.tensor(x @ x.T), torch.tensor(y))
    assert norm == pytest.approx(np.linalg.norm(np.linalg.pinv(x) @ y))


def test_an_unknown_kernel_is_named():
    with pytest.raises(BadSettings, match="'cosine', expected 'gaussian' or 'linear'"):
        kernel_interpolation.run(small(kernel_interpolation, kernel="cosine"), Chance(5))


# --- remedies --------------------------------------------------------------------------------


class OnImages(nn.Module):
    """`Dense` on flattened images, as `recipe.fit` needs it to mirror them."""

    def __init__(self, dense):
        super().__init__()
        self.dense = dense

    def forward(self, x):
        return self.dense(x.flatten(1))


@pytest.mark.parametrize(("mirror", "decay"), [(False, 0.0), (True, 0.0), (False, 0.01)])
def test_a_network_of_the_stack_is_the_one_that_the_recipe_trains_alone(mirror, decay):
    settings = small(
        explicit_regularization, width=16, rate=0.5, epochs=4, cool=2, decay=decay or 0.1
    )
    x, y, *_ = halved(60, chance=Chance(5)).flat()
    # The first member has the remedies that the second one lacks.
    remedies = torch.tensor([[not mirror, not decay, True], [mirror, bool(decay), False]])
    stack = explicit_regularization.train(x, torch.stack([y, y]), remedies, settings, Chance(5))
    alone = OnImages(Dense((196, 16, 16, 10), generator=Chance(5)["init"]))
    recipe = Recipe(
        epochs=4, lr=settings.sgd.lr, batch_size=50, momentum=settings.sgd.momentum,
        weight_decay=decay, mirror=mirror, divide_at=(2,),
    )  # fmt: skip
    fit(alone, x.view(-1, 1, 14, 14), y, recipe, chance=Chance(5))
    for w, weight in zip(
        [*alone.dense.layers.values(), alone.dense.classifier], stack[::2], strict=True
    ):
        torch.testing.assert_close(weight[1].T, w.weight, atol=1e-5, rtol=1e-4)
    scores = outputs(stack, x)
    torch.testing.assert_close(scores[1], alone(x), atol=1e-4, rtol=1e-3)


def test_the_table_holds_every_combination_once_and_each_remedy_alone_on_random_labels():
    arms = explicit_regularization.ARMS
    assert len(set(arms[:8])) == 8
    assert [sum(arm) for arm in arms[8:]] == [0, 1, 1, 1]
    result = explicit_regularization.run(
        small(explicit_regularization, examples=40, width=4, epochs=1, cool=0), Chance(5)
    )
    table = dict(zip(arms[:8], result["test_true"].tolist(), strict=True))
    assert result["test_true[none]"] == table[False, False, False]
    assert result["test_true[augmentation+decay+dropout]"] == table[True, True, True]
    assert result["test_true[augmentation]"] == table[True, False, False]
    assert result["test_true[decay]"] == table[False, True, False]
    assert result["test_true[dropout]"] == table[False, False, True]
    assert result.axes["test_random"]["arm"] == ["none", "augmentation", "decay", "dropout"]


# --- the pattern first -----------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.6, 1.0])
def test_nine_in_ten_labels_that_are_drawn_anew_are_wrong(noise):
    result = memorization.run(
        small(memorization, examples=1000, noise=noise, width=4, epochs=2, cool=0), Chance(5)
    )
    expected = 0.9 * noise
    assert abs(result["share_wrong"] - expected) < 4 * (expected * (1 - expected) / 1000) ** 0.5


def test_the_rise_counts_from_the_largest_lead():
    settings = small(memorization, examples=60, width=16, epochs=8, cool=0)
    result = memorization.run(settings, Chance(5))
    lead = result["right[noisy_plain]"] - result["wrong[noisy_plain]"]
    at = lead.argmax()
    assert result["lead"] == lead.max()
    assert result["early"] == 2 * at
    test = result["test[noisy_plain]"]
    assert result["rise"] == test[-1] - test[at]
