"""The experiments of *The non-linearity*: theory, worked examples and other libraries."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats
from whydeep.chance import Chance
from whydeep.evidence.results import MAIN, read_record, with_variant
from whydeep.experiments.design_choices import (
    gradient_cost,
    non_linearity_race,
    signal_through_depth,
)
from whydeep.networks import Dense


def generator(seed):
    return Chance(seed).torch()


# --- the race --------------------------------------------------------------------------------


def test_the_first_rate_to_reach_the_goal_wins_whatever_comes_later():
    looks = (0, 10, 20, 30)
    errors = np.array([[0.9, 0.5, 0.25, 0.1], [0.9, 0.2, 0.6, 0.9], [0.9, 0.9, 0.9, 0.9]])
    assert non_linearity_race.first_below(errors, looks) == (10, 1)
    # Just above the goal is not there.
    assert non_linearity_race.first_below(errors[[0, 2]] + 1e-9, looks) == (30, 0)


def test_if_no_rate_reaches_the_goal_all_steps_count_and_the_nearest_rate_is_named():
    errors = np.array([[0.9, 0.4, 0.5], [0.9, 0.5, 0.3], [0.9, 0.9, 0.9]])
    assert non_linearity_race.first_below(errors, (0, 10, 20)) == (20, 1)


def test_the_small_start_has_standard_deviation_a_hundredth_and_no_biases():
    network = non_linearity_race.small_start((196, 200, 10), torch.tanh, generator=generator(0))
    weights = [p for p in network.parameters() if p.ndim > 1]
    assert len(weights) == 2
    for p in network.parameters():
        if p.ndim == 1:
            assert not p.any()
        else:  # within five standard errors
            assert p.std().item() == pytest.approx(0.01, rel=5 / math.sqrt(2 * p.numel()))


def test_the_cut_off_relu_is_relu_below_one_and_flat_above():
    z = torch.tensor([-2.0, 0.5, 3.0], requires_grad=True)
    a = non_linearity_race.clipped(z)
    a.sum().backward()
    assert a.tolist() == [0, 0.5, 1]
    assert z.grad.tolist() == [0, 1, 0]


def test_scaled_inputs_scale_the_features_of_relus_and_saturate_tanh():
    # The first theorem of the page, on the networks of the race.
    x = torch.randn(50, 20, generator=generator(1))
    relu, tanh = (
        Dense((20, 30, 30, 5), f, generator=generator(2)) for f in (torch.relu, torch.tanh)
    )
    with torch.no_grad():
        torch.testing.assert_close(relu.features(64 * x), 64 * relu.features(x))
        assert tanh.features(64 * x).abs().max() < 2 * tanh.features(x).abs().max()


def test_a_run_gives_the_same_bits_again_and_the_controls_change_what_they_say():
    changes = {"examples": 200, "sgd.steps": 30, "sgd.lr": (0.01, 0.1)}
    small = with_variant(non_linearity_race.Settings(), changes)
    first, again = (non_linearity_race.run(small, Chance(5)) for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["error"].shape == (3, 2, 4)
    assert first["steps"].tolist() == [0, 10, 20, 30]
    cut = non_linearity_race.run(dataclasses.replace(small, rectifier="clipped"), Chance(5))
    assert (cut["error[tanh]"] == first["error[tanh]"]).all()
    assert (cut["error[relu]"] != first["error[relu]"]).any()


# --- the cost --------------------------------------------------------------------------------


@pytest.mark.parametrize("exponential", [True, False])
def test_forward_and_backward_in_memory_at_hand_are_those_of_autograd(exponential):
    z = torch.linspace(-4, 4, 33, requires_grad=True)
    g = torch.randn(33, generator=generator(3))
    if exponential:
        functions = {"tanh": torch.tanh, "sigmoid": torch.sigmoid}
    else:
        functions = dict.fromkeys(("tanh", "sigmoid"), lambda z: z.clamp(-1, 1))
    for kind, function in {"relu": torch.relu, **functions}.items():
        forward, backward = gradient_cost.passes(exponential)[kind]
        inner = (z.abs() - 1).abs() > 1e-6  # at its corners the cut-off has no slope
        a, into = torch.empty(33), torch.empty(33)
        forward(z.detach(), a)
        backward(z.detach(), a, g, into)
        (expected,) = torch.autograd.grad(function(z), z, g)
        torch.testing.assert_close(a, function(z).detach())
        torch.testing.assert_close(into[inner], expected[inner])


@pytest.mark.parametrize("kind", ["relu", "tanh", "sigmoid"])
def test_the_gradient_that_is_timed_is_that_of_autograd(kind):
    chance = generator(4)
    layer = gradient_cost.Layer(
        1024, gradient_cost.passes(), lambda *shape: torch.randn(shape, generator=chance)
    )
    g_w, g_x = layer.gradient(kind)
    x, w = layer.x.clone().requires_grad_(), layer.w.clone().requires_grad_()
    getattr(torch, kind)(x @ w).backward(layer.g)
    torch.testing.assert_close(g_w, w.grad, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(g_x, x.grad, atol=1e-4, rtol=1e-4)


def test_work_takes_turns_and_the_first_round_is_not_counted():
    done = []
    times = gradient_cost.take_turns(
        {"a": lambda: done.append("a"), "b": lambda: done.append("b")}, 3
    )
    assert done == ["a", "b"] * 4
    assert all(len(t) == 3 and (t >= 0).all() for t in times.values())


def test_a_turn_counts_the_seconds_of_its_own_work_and_of_no_other(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(gradient_cost.time, "process_time", lambda: clock[0])

    def work(seconds):
        clock[0] += seconds

    times = gradient_cost.take_turns({"one": lambda: work(1), "two": lambda: work(2)}, 3)
    assert times["one"].tolist() == [1, 1, 1]
    assert times["two"].tolist() == [2, 2, 2]


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    with gradient_cost.one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before


def test_the_parts_predict_the_whole_of_the_record():
    # Amdahl's law at every width, for the median over the runs: the shortest pieces of work are
    # noisy on a busy machine.
    results = read_record("design-choices/gradient-cost", "quick").runs[MAIN].values()
    for kind in ("tanh", "sigmoid"):
        whole, predicted = (
            np.median([result[f"{what}[{kind}]"] for result in results], axis=0)
            for what in ("whole", "predicted")
        )
        np.testing.assert_allclose(whole, predicted, rtol=0.15)


# --- signal and gradient through depth -------------------------------------------------------


def test_the_means_over_a_normal_are_those_of_theory_and_of_scipy():
    relu, relu_slope = signal_through_depth.derivatives()["relu"]
    for variance in (0.1, 1.0, 7.0):  # He et al. 2015: half of the variance, half of the slopes
        assert signal_through_depth.normal_mean(relu, variance) == pytest.approx(variance / 2)
        assert signal_through_depth.normal_mean(relu_slope, variance) == pytest.approx(0.5)
    for name, function in (("tanh", np.tanh), ("sigmoid", lambda z: 1 / (1 + np.exp(-z)))):
        sigma, _ = signal_through_depth.derivatives()[name]
        expected, _ = integrate.quad(
            lambda z, f=function: f(2**0.5 * z) ** 2 * stats.norm.pdf(z), -9, 9
        )
        assert signal_through_depth.normal_mean(sigma, 2.0) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", signal_through_depth.NAMES)
def test_the_slopes_are_those_of_autograd(name):
    sigma, slope = signal_through_depth.derivatives()[name]
    z = torch.linspace(-3, 3, 60, dtype=torch.float64, requires_grad=True)
    sigma(z).sum().backward()
    torch.testing.assert_close(slope(z.detach()), z.grad)


@pytest.mark.parametrize(("start", "factor"), [("two", 1), ("one", 1 / 2), ("pytorch", 1 / 6)])
def test_relu_multiplies_signal_and_gradient_by_half_of_c_at_every_layer(start, factor):
    c = signal_through_depth.constant(start, "relu", 100)
    signal, gradient = signal_through_depth.theory("relu", c, 6)
    np.testing.assert_allclose(signal, factor ** np.arange(7.0), rtol=1e-5)
    np.testing.assert_allclose(gradient, factor ** np.arange(6.0, -1, -1), rtol=1e-5)


def test_the_sigmoid_loses_at_least_a_factor_of_sixteen_a_layer():
    for settings in ("one", "fitted"):
        c = signal_through_depth.constant(settings, "sigmoid", 100)
        _, gradient = signal_through_depth.theory("sigmoid", c, 8)
        assert (gradient[1:] / gradient[:-1] >= 16 / c).all()


def test_the_measured_gradient_is_that_of_autograd():
    small = signal_through_depth.Settings(layers=3, width=12, examples=5)
    signal, gradient = signal_through_depth.measure("tanh", 1.5, small, generator(6))
    chance = generator(6)

    def draw(*shape):
        return torch.randn(*shape, generator=chance, dtype=torch.float64)

    x = [draw(5, 12).requires_grad_()]
    for _ in range(3):
        x.append(torch.tanh(x[-1] @ (draw(12, 12) * (1.5 / 12) ** 0.5)))
    gradients = torch.autograd.grad(x[-1], x, draw(5, 12))
    np.testing.assert_allclose(signal, [float(a.detach().square().mean()) for a in x])
    np.testing.assert_allclose(gradient, [float(g.square().mean()) for g in gradients])


def test_pytorch_starts_its_linear_layers_with_a_variance_of_a_third_over_d():
    torch.manual_seed(0)
    weight = torch.nn.Linear(400, 400).weight
    assert 400 * weight.var().item() == pytest.approx(1 / 3, rel=0.02)
    assert signal_through_depth.constant("pytorch", "tanh", 400) == pytest.approx(1 / 3)
