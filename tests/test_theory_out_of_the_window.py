"""The experiments of *Theory out of the window?*: theory, worked examples and other libraries."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize_scalar
from torch.utils.flop_counter import FlopCounterMode
from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.results import read_record
from whydeep.experiments.mysterious_steps import (
    _digits,
    alternating,
    one_layer_at_a_time,
    stationary_points,
)
from whydeep.labs import blocks as blocks_

WIDTHS = (5, 4, 4, 3)


def task(seed=0, n=12):
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(n, 5, generator=generator, dtype=torch.float64),
        torch.randint(0, 3, (n,), generator=generator),
    )


def start(members, seed=0):
    generator = torch.Generator().manual_seed(seed)
    blocks = blocks_.draw(WIDTHS, 2.0, members, generator)
    return [block.double() for block in blocks]


def descend(timetable, lr, batch_size=12, **changes):
    """Full batches of the task, unless told otherwise: then the order plays no part."""
    x, y = task()
    how = dict(
        activation=torch.tanh,
        lr=torch.tensor(lr, dtype=torch.float64),
        beta=0.9,
        batch=batch_size,
        order=torch.Generator().manual_seed(1),
        look=lambda blocks: blocks_.mean_loss(x, y, blocks, torch.tanh),
        look_at=[timetable.shape[1]],
    )
    blocks = changes.pop("blocks", start(len(timetable)))
    return blocks_.descend(blocks, x, y, timetable, **(how | changes))


# --- SGD by blocks ---------------------------------------------------------------------------


def test_a_timetable_is_one_optimiser_of_pytorch_for_each_block_stepped_when_due():
    table = torch.tensor([[1, 0, 0], [1, 0, 1], [0, 1, 0], [1, 1, 1], [0, 0, 1], [1, 0, 0]]).bool()
    found, measured = descend(table[None], [0.2])
    x, y = task()
    blocks = [block[0].clone().requires_grad_() for block in start(1)]
    optimisers = [torch.optim.SGD([block], lr=0.2, momentum=0.9) for block in blocks]
    for due in table.tolist():
        for block in blocks:
            block.grad = None
        scores = torch.tanh(torch.tanh(x @ blocks[0]) @ blocks[1]) @ blocks[2]
        F.cross_entropy(scores, y).backward()
        for optimiser, step in zip(optimisers, due, strict=True):
            if step:
                optimiser.step()
    for block, expected in zip(found, blocks, strict=True):
        torch.testing.assert_close(block[0], expected.detach())
    scores = torch.tanh(torch.tanh(x @ blocks[0]) @ blocks[1]) @ blocks[2]
    torch.testing.assert_close(measured[0, -1], F.cross_entropy(scores, y).detach())


def test_a_block_that_always_rests_stays_as_it_was_to_the_last_bit():
    table = torch.zeros(1, 7, 3, dtype=torch.bool)
    table[:, :, 1] = True
    found, _ = descend(table, [0.3])
    for number, (block, before) in enumerate(zip(found, start(1), strict=True)):
        assert torch.equal(block, before) == (number != 1)


def test_a_member_does_not_depend_on_its_neighbours_even_if_one_diverges():
    tables = torch.tensor([[1, 1, 1], [0, 0, 1]]).bool()[:, None].expand(-1, 9, -1)
    both, measured = descend(tables, [1e200, 0.1], batch_size=5)
    alone, _ = descend(tables[1:], [0.1], batch_size=5)
    assert not measured[0, -1].isfinite() or measured[0, -1] > 1e3
    torch.testing.assert_close(both[2][1], alone[2][0])


def test_measurements_come_after_the_steps_asked_for():
    table = torch.ones(1, 6, 3, dtype=torch.bool)
    _, measured = descend(table, [0.1], look_at=[0, 4, 6])
    assert measured.shape == (1, 3)
    for place, steps in enumerate((0, 4, 6)):
        _, shorter = descend(table[:, :steps], [0.1])
        torch.testing.assert_close(measured[:, place], shorter[:, -1])


def test_weights_have_the_variance_they_should():
    *maps, v = blocks_.draw((400, 300, 200, 100), 2.0, 1, torch.Generator().manual_seed(0))
    for block, expected in ((maps[0], 2 / 400), (maps[1], 2 / 300), (v, 1 / 200)):
        # The variance of n normal numbers is known to about sqrt(2 / n) of itself.
        assert float(block.var()) == pytest.approx(expected, rel=4 * (2 / block.numel()) ** 0.5)


def test_a_timetable_for_another_number_of_blocks_is_refused_in_one_line():
    with pytest.raises(BadSettings) as error:
        descend(torch.ones(1, 2, 3, dtype=torch.bool), [0.1], blocks=start(1)[:2])
    assert "\n" not in str(error.value)


def test_a_measurement_after_the_last_step_is_refused_in_one_line():
    with pytest.raises(ValueError, match="expected 0 to 2") as error:
        descend(torch.ones(1, 2, 3, dtype=torch.bool), [0.1], look_at=[3])
    assert "\n" not in str(error.value)


# --- one layer at a time ---------------------------------------------------------------------


def test_the_digits_are_split_without_overlap_and_scaled_on_the_training_examples_only():
    x, y, x_test, y_test = _digits.pictures(600, Chance(3))
    assert (len(x), len(y), len(x_test), len(y_test)) == (600, 600, 1197, 1197)
    assert float(x.mean(0).abs().max()) < 1e-5
    assert float(x.std()) == pytest.approx(1, abs=1e-5)
    assert torch.bincount(torch.cat([y, y_test])).sum() == 1797


def test_only_the_classifier_trained_is_logistic_regression_and_no_better_than_its_minimum():
    small = one_layer_at_a_time.Settings(examples=150, layers=1, width=8, steps=60)
    loss = one_layer_at_a_time.one_at_a_time("tanh", 1.0, small, Chance(0))
    at = one_layer_at_a_time.measured_at(small)
    assert loss.shape == (2, len(at))
    assert at[0] == 0
    assert at[-1] == 60
    x, y, _, _ = _digits.pictures(150, Chance(0))
    w, v = blocks_.draw((64, 8, 10), 1.0, 1, Chance(0)["init"])
    phi, v = torch.tanh(x @ w[0]).double(), v[0].double().requires_grad_()
    assert loss[:, 0] == pytest.approx(float(F.cross_entropy(phi @ v, y).detach()), rel=1e-5)
    newton = torch.optim.LBFGS([v], max_iter=500, line_search_fn="strong_wolfe")

    def closure():
        newton.zero_grad()
        value = F.cross_entropy(phi @ v, y)
        value.backward()
        return value

    newton.step(closure)
    least = float(F.cross_entropy(phi @ v, y).detach())
    assert least <= loss[-1, -1] < loss[-1, 0]


# --- alternating -----------------------------------------------------------------------------


def test_a_timetable_of_two_to_one_is_the_one_written_by_hand(monkeypatch):
    monkeypatch.setitem(alternating.TIMETABLES, "2:1", (2, 1))
    table = alternating.timetable("2:1", torch.tensor([False, True]), 5)
    assert table.int().tolist() == [[0, 1], [0, 1], [1, 0], [0, 1], [0, 1]]
    assert alternating.timetable("joint", torch.tensor([False, True]), 3).all()


@pytest.mark.parametrize("stepped", [(1, 1, 1, 1), (0, 0, 0, 1), (0, 0, 1, 1), (1, 1, 0, 0)])
def test_the_multiplications_of_a_step_are_those_that_pytorch_counts(stepped):
    widths, n = (6, 5, 4, 3, 2), 7
    blocks = [
        torch.randn(a, b, requires_grad=bool(s))
        for a, b, s in zip(widths[:-1], widths[1:], stepped, strict=True)
    ]
    with FlopCounterMode(display=False) as counter:
        z = torch.randn(n, 6)
        for block in blocks[:-1]:
            z = torch.tanh(z @ block)
        (z @ blocks[-1]).square().sum().backward()
    expected = alternating.multiplications(widths, torch.tensor(stepped).bool())
    assert counter.get_total_flops() == 2 * n * expected  # a multiplication and an addition


def test_each_timetable_is_charged_for_the_steps_it_took():
    small = dataclasses.replace(alternating.SCALES["quick"], examples=60, width=8, steps=22)
    result = alternating.run(small, Chance(0))
    widths = (64, 8, 8, 8, 8, 10)
    upper = torch.arange(5) >= 3
    up, low, both = (
        alternating.multiplications(widths, stepped) for stepped in (upper, ~upper, upper | ~upper)
    )
    assert int(result["cost[joint]"]) == 22 * both
    assert int(result["cost[10:1]"]) == 20 * up + 2 * low
    assert int(result["cost[1:1]"]) == 11 * up + 11 * low
    assert int(result["cost[often]"]) == 22 * up
    assert int(result["cost[seldom]"]) == 22 * low
    steps = int(result["steps_at_equal_cost"])
    spent = [low if t % 11 == 10 else up for t in range(44)]
    assert sum(spent[: steps - 1]) < 22 * both <= sum(spent[:steps])


# --- stationary points -----------------------------------------------------------------------


def test_the_gradient_and_the_curvature_are_those_of_the_loss():
    x = torch.linspace(-5, 5, 41, dtype=torch.float64, requires_grad=True)
    f = x**2 / 2 - 1.5 * torch.log(torch.cosh(x)) + 0.1 * x
    (g,) = torch.autograd.grad(f.sum(), x, create_graph=True)
    (h,) = torch.autograd.grad(g.sum(), x)
    places = x.detach().numpy()[:, None]
    np.testing.assert_allclose(stationary_points.loss(places, 0.1), f.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(
        stationary_points.gradient(places, 0.1)[:, 0], g.detach().numpy(), atol=1e-12
    )
    assert float(h.abs().max()) <= stationary_points.L


@pytest.mark.parametrize(("tilt", "wells"), [(0.1, 2), (0.3, 1)])
def test_the_bottom_is_the_lowest_of_as_many_wells_as_the_tilt_leaves(tilt, wells):
    x = np.linspace(-4, 4, 100_001)
    g = stationary_points.gradient(x, tilt)
    assert int(((g[:-1] < 0) & (g[1:] >= 0)).sum()) == wells
    whole = stationary_points.loss(x[:, None], tilt)
    assert stationary_points.bottom(tilt) == pytest.approx(x[whole.argmin()], abs=1e-4)


def test_one_step_of_the_run_is_the_step_of_the_theorem():
    settings = stationary_points.Settings(dimension=2, chains=3, steps=100)
    result = stationary_points.run(settings, Chance(5))
    rng = np.random.default_rng(5)
    w = rng.uniform(-2, 2, (3, 2))
    for t in range(100):
        w = w - 0.1 * (1 + t / 20) ** -0.75 * (
            w - 1.5 * np.tanh(w) + 0.1 + rng.standard_normal((3, 2))
        )
    expected = ((w - 1.5 * np.tanh(w) + 0.1) ** 2).sum(1).mean()
    assert result["gradient[decreasing]"][-1] == pytest.approx(expected, rel=1e-9)


def test_the_measured_mean_is_below_the_bound_of_the_theorem_in_every_run():
    for variant, by_seed in read_record("mysterious-steps/stationary-points", "quick").runs.items():
        for result in by_seed.values():
            if variant != "fading-noise":  # whose variance is not the one in the bound
                assert (result["weighed"] <= result["bound"]).all()


def test_the_floor_of_a_small_constant_rate_is_that_of_noise_in_a_parabola():
    # x' = x - eta (h x + noise) has variance eta / (h (2 - eta h)); its gradient h^2 times that.
    left = stationary_points.bottom(0.1)
    right = minimize_scalar(
        lambda z: stationary_points.loss(np.array([z]), 0.1), bounds=(0.5, 3), method="bounded"
    ).x
    curvatures = [1 - 1.5 / np.cosh(x) ** 2 for x in (left, right)]
    low, high = sorted(10 * 0.01 * h / (2 - 0.01 * h) for h in curvatures)
    runs = read_record("mysterious-steps/stationary-points", "quick").runs["main"].values()
    floor = np.mean([float(result["late[constant_0.01]"]) for result in runs])
    assert 0.97 * low < floor < 1.03 * high
