"""The experiments of *More weights than data*: theory, worked examples, and their own law."""

import math

import numpy as np
import pytest
import torch
from whydeep.chance import Chance
from whydeep.evidence.results import MAIN, Quantity, Result, read_record, with_variant
from whydeep.experiments.theory_survey.sgd import (
    extra_layer,
    larger_learner,
    three_roles,
    wide_enough,
)
from whydeep.labs.teachers import loss, orthonormal_teacher


def generator(seed):
    return torch.Generator().manual_seed(seed)


# --- wide enough -----------------------------------------------------------------------------


def test_the_inputs_lie_on_the_sphere_and_twins_differ_in_their_labels_only():
    settings = wide_enough.SCALES["quick"]
    x, y = wide_enough.task(settings, Chance(7))
    torch.testing.assert_close(x.norm(dim=1), torch.ones(settings.examples))
    assert set(y.flatten().tolist()) == {-1.0, 1.0}
    x, y = wide_enough.task(with_variant(settings, {"twins": True}), Chance(7))
    assert torch.equal(x[0], x[1])
    assert y[0] == -y[1]


def test_a_signal_keeps_its_length_through_the_layers_of_a_wide_network():
    # Variance 2 / m makes up for the half that a ReLU drops: the mean of |h|^2 stays |x|^2.
    network = wide_enough.Theorems(10, 2000, 3, 1.0, generator=generator(0))
    x = torch.randn(5, 10, generator=generator(1))
    x = x / x.norm(dim=1, keepdim=True)
    lengths = network.features(x).norm(dim=1)
    assert (lengths - 1).abs().max() < 0.15


def test_opposite_labels_of_equal_inputs_leave_the_loss_that_arithmetic_says():
    # Two of n residuals are 1 at best, whatever the network: a mean square of 2 / n.
    settings = with_variant(
        wide_enough.SCALES["quick"], {"twins": True, "widths": (64,), "rates": (4.0,)}
    )
    result = wide_enough.run(settings, Chance(3))
    assert float(result["loss[-1, -1]"]) == pytest.approx(2 / settings.examples, rel=1e-2)
    assert float(result["separation"]) == 0


def test_the_theorems_width_is_what_its_two_powers_give():
    for result in read_record("theory-survey/sgd/wide-enough", "quick").runs[MAIN].values():
        assert float(result["orders_theory"]) == pytest.approx(math.log10(24**24 * 2**12))


# --- an extra layer --------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_the_gradient_of_every_factor_is_that_of_automatic_differentiation(depth):
    x, y = np.eye(2), np.array([10.0, 1.0])
    w = np.array([[0.3, -0.2]])
    _, path = extra_layer.by_product(w, np.array([0.01]), depth, (x, y, 4), 1)
    length = np.linalg.norm(w) ** (1 / depth)
    v = torch.tensor(w[0] / length ** (depth - 1), requires_grad=True)
    a = torch.full((depth - 1,), length, dtype=torch.float64, requires_grad=True)
    ((a.prod() * v - torch.tensor(y)).abs() ** 4 / 4).mean().backward()
    moved = (a - 0.01 * a.grad).prod() * (v - 0.01 * v.grad) if depth > 1 else v - 0.01 * v.grad
    np.testing.assert_allclose(path[1, 0], moved.detach().numpy(), rtol=1e-12)


@pytest.mark.parametrize("depth", [2, 3])
def test_the_rule_is_the_limit_of_small_steps_and_needs_its_projection(depth):
    problem = np.eye(2), np.array([2.0, 1.0]), 4
    w = np.array([[0.5, 0.1]])
    off = []
    for rate in (1e-2, 1e-3):
        steps = int(1 / rate)
        _, path = extra_layer.by_product(w, np.array([rate]), depth, problem, steps)
        rule = extra_layer.by_rule(w, np.array([rate]), depth, problem, steps)
        off.append(np.linalg.norm(path - rule, axis=2).max())
    assert off[1] < off[0] / 5  # an error of first order: a tenth of the step, a tenth of it
    bare = extra_layer.by_rule(w, np.array([1e-3]), depth, problem, 1000, projected=False)
    assert np.linalg.norm(path - bare, axis=2).max() > 10 * off[1]


def test_plain_weights_on_squares_take_the_one_step_that_newton_takes():
    # The mean over two axes halves the curvature: learning rate 2 goes to the bottom at once.
    losses, _ = extra_layer.by_product(
        np.array([[0.1, 0.2]]), np.array([2.0]), 1, (np.eye(2), np.array([10.0, 1.0]), 2), 1
    )
    assert losses[0, 0] > 1
    assert losses[1, 0] < 1e-24


# --- larger learners -------------------------------------------------------------------------


def test_copies_compute_the_same_function_family_and_stay_copies():
    network = larger_learner.learner(6, 3, 4, generator=generator(2))
    weight = network.layers["1"].weight
    assert weight.shape == (12, 6)
    assert torch.equal(weight[:3], weight[9:])
    x = torch.randn(20, 6, generator=generator(3))
    network(x).square().mean().backward()
    torch.testing.assert_close(weight.grad[:3], weight.grad[9:])


def test_labels_of_random_teachers_have_variance_one():
    settings = larger_learner.SCALES["quick"]
    x, y = larger_learner.random_labels(settings, 8, 20, np.random.default_rng(0))
    assert y.shape == (settings.teachers, len(x), 1)
    np.testing.assert_allclose(y.std(1, correction=0).numpy(), 1, rtol=1e-4)


# --- three roles -----------------------------------------------------------------------------


def test_merging_parallel_units_leaves_the_function_and_so_the_loss():
    teacher = orthonormal_teacher(4)
    wide = torch.cat([0.2 * teacher, 0.8 * teacher])[None]
    merged = three_roles.merge(wide, 4)
    assert merged.shape == (1, 4, 4)
    assert loss(wide, teacher).item() == pytest.approx(0, abs=1e-12)
    assert loss(merged, teacher).item() == pytest.approx(0, abs=1e-12)


def test_merging_takes_the_most_parallel_pair_first():
    w = torch.tensor([[[1.0, 0.0], [0.0, 1.0], [2.0, 0.1]]], dtype=torch.float64)
    assert three_roles.merge(w, 2).tolist() == [[[3.0, 0.1], [0.0, 1.0]]]


def test_as_many_random_features_as_examples_fit_every_label():
    x = torch.randn(30, 8, generator=generator(4))
    y = torch.randint(0, 10, (30,), generator=generator(5))
    assert torch.equal(three_roles.least_squares(x, y, x, 60, generator(6)), y)


# --- what conditions read from a result ----------------------------------------------------------


def test_errors_at_equal_cost_compare_a_quarter_of_the_steps_with_all_of_them():
    steps = np.arange(larger_learner.MEASURED)
    exact, more = 2.0**-steps, 2.0 ** -(2.0 * steps)  # twice as fast, at four times the price
    error = np.array([[exact, more], [exact, more]])
    by = {"teacher": larger_learner.TEACHERS, "learner": larger_learner.LEARNERS}
    result = Result(error=Quantity(error, "error", **by, step=steps))
    assert larger_learner.at_equal_cost(result) == pytest.approx(2.0 ** (16 - 2 * 4))
    assert math.isnan(larger_learner.at_equal_cost(Result()))


def test_students_are_lost_if_they_are_at_the_teacher_before_they_are_made_small_and_not_after():
    students = ("small", "wide", "merged")
    result = Result(found=Quantity([0.2, 0.9, 0.6], "share of starts", students=students))
    assert three_roles.lost(result) == pytest.approx(0.3)
    assert math.isnan(three_roles.lost(Result()))
