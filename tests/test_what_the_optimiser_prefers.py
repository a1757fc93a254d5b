"""The experiments of *What the optimiser prefers*: theory, worked examples, other libraries."""

import dataclasses
import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from whydeep.chance import Chance
from whydeep.datasets.tasks import Task
from whydeep.descent import SGD, train
from whydeep.errors import BadSettings
from whydeep.experiments.theory_survey.generalization import (
    next_to_nothing,
    path_sgd,
    width_sweep,
)
from whydeep.labs import norms


def generator(seed):
    return torch.Generator().manual_seed(seed)


def draw(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=generator(seed), dtype=dtype)


# --- width -----------------------------------------------------------------------------------


def test_networks_side_by_side_are_networks_by_themselves():
    network = width_sweep.SideBySide(6, (2, 5), generator=generator(0))
    x = draw(1, 7, 6, dtype=torch.float32)
    found = network(x).view(7, 2, 10)
    first, last = network.layers["1"], network.classifier.weight
    for i, rows in enumerate((slice(0, 2), slice(2, 7))):
        hidden = torch.relu(F.linear(x, first.weight[rows], first.bias[rows]))
        torch.testing.assert_close(found[:, i], F.linear(hidden, last[:, rows]))


def test_a_network_side_by_side_gets_the_gradient_of_its_own_loss():
    network = width_sweep.SideBySide(6, (2, 5), generator=generator(0))
    x, y = draw(1, 7, 6, dtype=torch.float32), torch.arange(7)
    own = F.cross_entropy(network(x).view(7, 2, 10)[:, 1], y)
    expected = torch.autograd.grad(own, network.layers["1"].weight)[0][2:]
    added = width_sweep.added_log_loss(network(x)[None], y[None])
    found = torch.autograd.grad(added.mean(), network.layers["1"].weight)[0][2:]
    torch.testing.assert_close(found, expected)


def test_copies_start_as_the_function_of_the_distinct_units_and_stay_copies():
    few = width_sweep.SideBySide(6, (3, 14), distinct=3, generator=generator(0))
    u = few.layers["1"].weight[3:]
    v = few.classifier.weight[:, 3:]
    assert torch.equal(u, u[torch.arange(14) % 3])
    # 14 units are five copies of the first two and four of the third; He's start for three.
    total = torch.stack([v[:, i::3].sum(1) for i in range(3)], 1)
    chance = generator(0)
    torch.randn(17, 6, generator=chance)
    raw = torch.randn(10, 17, generator=chance)[:, 3:6]
    torch.testing.assert_close(total, raw / math.sqrt(3))

    trained = train(
        partial(width_sweep.SideBySide, 6, (3, 14), distinct=3),
        draw(2, 20, 6, dtype=torch.float32),
        torch.arange(20) % 10,
        seeds=[0],
        steps=20,
        lr=0.1,
        loss=width_sweep.added_log_loss,
        device="cpu",
    )
    u = trained.parameters["layers.1.weight"][0, 3:]
    torch.testing.assert_close(u, u[torch.arange(14) % 3])
    assert len(torch.unique(u[:3].round(decimals=4), dim=0)) == 3


def test_errors_margins_and_norms_are_those_of_a_worked_example():
    outputs = torch.zeros(2, 1, 10)
    outputs[0, 0, 4], outputs[0, 0, 5] = 3.0, 1.0  # label 4 leads by 2
    outputs[1, 0, 7], outputs[1, 0, 8] = 1.0, 5.0  # label 7 is behind by 4
    y = torch.tensor([4, 7])
    assert width_sweep.errors(outputs, y).tolist() == [0.5]
    assert width_sweep.margins(outputs, y).tolist() == [-4.0]
    torch.testing.assert_close(  # the page's other module says the same, example by example
        width_sweep.margins(outputs, y), norms.margins(outputs[:, 0], y).min()[None]
    )


def test_the_norm_does_not_see_a_rescaled_unit_and_half_the_squares_are_no_smaller():
    trained = train(
        partial(width_sweep.SideBySide, 6, (2, 5)),
        draw(2, 20, 6, dtype=torch.float32),
        torch.arange(20) % 10,
        seeds=[0],
        steps=5,
        lr=0.1,
        loss=width_sweep.added_log_loss,
        device="cpu",
    )
    before = width_sweep.group_norms(trained, (2, 5))
    w = trained.parameters
    squares = w["layers.1.weight"].square().sum() + w["layers.1.bias"].square().sum()
    assert (squares + w["classifier.weight"].square().sum()) / 2 >= before.sum()
    w["layers.1.weight"][0, 3] *= 4
    w["layers.1.bias"][0, 3] *= 4
    w["classifier.weight"][0, :, 3] /= 4
    torch.testing.assert_close(width_sweep.group_norms(trained, (2, 5)), before)


def test_a_fitting_width_that_is_not_swept_over_is_told():
    with pytest.raises(BadSettings, match="expected two of 2, 4"):
        width_sweep.run(width_sweep.Settings(widths=(2, 4)), Chance(0))


def test_a_small_sweep_gives_the_same_bits_again():
    sgd = dataclasses.replace(width_sweep.Settings().sgd, epochs=3)
    small = width_sweep.Settings(examples=60, widths=(2, 8, 20), sgd=sgd)
    first, again = (width_sweep.run(small, Chance(3)) for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["ratio[noisy]"] == first["test[noisy,-1]"] / first["test[noisy,2]"]
    assert (first["margin[clean]"] > 0).tolist() == (first["train[clean]"] == 0).tolist()


# --- Path-SGD --------------------------------------------------------------------------------


def matrices(seed, *widths, k=2):
    return [draw(seed + i, k, a, b) for i, (a, b) in enumerate(itertools.pairwise(widths))]


def test_path_scales_are_the_sums_over_all_paths_walked_one_by_one():
    weights = matrices(0, 3, 4, 2, 3, k=1)
    walked = [torch.zeros_like(w) for w in weights]
    for path in itertools.product(*(range(n) for n in (3, 4, 2, 3))):
        passed = [(0, i, j) for i, j in itertools.pairwise(path)]
        squares = [float(w[e]) ** 2 for w, e in zip(weights, passed, strict=True)]
        for at, (scales, e) in enumerate(zip(walked, passed, strict=True)):
            scales[e] += math.prod(squares[:at] + squares[at + 1 :])
    for found, expected in zip(path_sgd.path_scales(weights), walked, strict=True):
        torch.testing.assert_close(found, expected)


def test_path_scales_are_the_slopes_of_the_squared_path_norm():
    # By its definition kappa is the derivative of the sum over paths in the square of the weight.
    squares = [w.square().requires_grad_() for w in matrices(5, 4, 6, 5, 3)]
    total = norms.path_norm([s.sqrt().mT for s in squares]).square()
    slopes = torch.autograd.grad(total.sum(), squares)
    found = path_sgd.path_scales([s.detach().sqrt() for s in squares])
    for one, other in zip(found, slopes, strict=True):
        torch.testing.assert_close(one, other)


def test_rescaled_weights_are_the_same_function():
    weights = [w[0] for w in matrices(1, 8, 6, 6, 4)]
    other = path_sgd.rescaled(weights, math.log(4), generator=generator(0))
    x = draw(9, 5, 8)
    one, two = (path_sgd.outputs([w[None] for w in ws], x) for ws in (weights, other))
    torch.testing.assert_close(one, two)
    ratio = other[0] / weights[0]
    assert ratio.max() / ratio.min() > 4
    torch.testing.assert_close(ratio, ratio[:1].expand_as(ratio))


def descend(weights, methods, rates, x, y, steps, **how):
    """Weights after so many steps, all examples a batch: a list of (k, inputs, units)."""
    shapes = [w.shape for w in weights[0]]
    seen = path_sgd.train(
        weights,
        methods,
        rates,
        x,
        y,
        steps=steps,
        batch_size=len(x),
        chance=Chance(0),
        look=lambda ws: torch.cat([w.flatten(1) for w in ws], 1),
        every=steps,
        **how,
    )[:, -1]
    parts = seen.split([math.prod(shape) for shape in shapes], 1)
    return [part.view(len(seen), *shape) for part, shape in zip(parts, shapes, strict=True)]


@pytest.mark.parametrize(
    ("method", "library"), [("sgd", torch.optim.SGD), ("adam", torch.optim.Adam)]
)
def test_sgd_and_adam_take_the_steps_of_torch(method, library):
    weights = [w[0] for w in matrices(2, 8, 6, 6, 4)]
    x, y = draw(9, 12, 8), torch.arange(12) % 4
    found = descend([weights], [method], [0.05], x, y, 6)
    layers = [w.clone().requires_grad_() for w in weights]
    optimiser = library(layers, lr=0.05)
    for _ in range(6):
        optimiser.zero_grad()
        hidden = torch.relu(torch.relu(x @ layers[0]) @ layers[1])
        F.cross_entropy(hidden @ layers[2], y).backward()
        optimiser.step()
    for one, other in zip(found, layers, strict=True):
        torch.testing.assert_close(one[0], other.detach(), rtol=1e-9, atol=1e-9)


def test_a_path_sgd_step_of_a_worked_example():
    # One input 2, one unit, two outputs; w = 3, v = (1, -1). The scores are (6, -6), label 1.
    weights = [torch.tensor([[3.0]]).double(), torch.tensor([[1.0, -1.0]]).double()]
    found = descend(
        [weights], ["path"], [0.1], torch.full((1, 1), 2.0).double(), torch.tensor([1]), 1
    )
    p = 1 / (1 + math.exp(-12))  # of the wrong class: the slopes in the scores are (p, -p)
    # In w: 2 (p v_1 - p v_2) = 4p, over kappa = 1 + 1. In v: 6 (p, -p), over kappa = 9.
    assert float(found[0]) == pytest.approx(3 - 0.1 * 4 * p / 2)
    assert found[1].flatten().tolist() == pytest.approx([1 - 0.6 * p / 9, -1 + 0.6 * p / 9])


@pytest.mark.parametrize(("method", "shuffled"), [("path", False), ("path", True), ("sgd", False)])
def test_only_path_sgd_with_its_own_scales_commutes_with_rescaling(method, shuffled):
    weights = [w[0] for w in matrices(3, 8, 6, 6, 4)]
    other = path_sgd.rescaled(weights, math.log(4), generator=generator(1))
    x, y = draw(9, 12, 8), torch.arange(12) % 4
    found = descend([weights, other], [method] * 2, [0.01] * 2, x, y, 5, shuffled=shuffled)
    logits = path_sgd.outputs(found, x)
    commutes = path_sgd.apart(logits[0], logits[1]) < 1e-12
    assert commutes == (method == "path" and not shuffled)


def test_members_that_do_not_match_are_told():
    weights = [w[0] for w in matrices(3, 8, 4)]
    with pytest.raises(BadSettings, match="1 starts, 2 methods"):
        descend([weights], ["path", "sgd"], [0.1], draw(9, 4, 8), torch.arange(4) % 4, 1)


def test_what_is_not_finite_counts_as_far_apart():
    one = torch.ones(2, 3)
    assert path_sgd.apart(one, torch.full((2, 3), torch.nan)) == path_sgd.MOST_APART
    assert path_sgd.apart(one, 1.5 * one) == 0.5


# --- next to nothing -------------------------------------------------------------------------


def test_the_network_is_that_of_torchs_layers():
    network = next_to_nothing.Filters(4, generator=generator(0))
    x = draw(0, 6, 1, 14, 14, dtype=torch.float32)
    layers = []
    for i, layer in enumerate(network.layers.values()):
        layers += [layer, nn.BatchNorm2d(4, affine=False), nn.ReLU()]
        layers += [nn.MaxPool2d(2, ceil_mode=True)] if i < 2 else []
    whole = nn.Sequential(*layers, nn.Flatten(), network.classifier).train()
    torch.testing.assert_close(network(x), whole(x))


@pytest.mark.parametrize(("share", "filters"), [(1.0, 16), (0.25, 4), (0.125, 2), (0.0, 0)])
def test_as_many_weights_learn_as_counted_by_hand(share, filters):
    network = next_to_nothing.Filters(16, generator=generator(0))
    parts = next_to_nothing.learned(network, share)
    classifier = 4 * 4 * 16 * 10 + 10
    assert sum(int(m.sum()) for _, m in parts) == filters * 9 * (1 + 16 + 16) + classifier
    assert len(parts) == (5 if filters else 2)


def small_task(n=40):
    x, y = draw(1, n, 1, 14, 14, dtype=torch.float32), torch.arange(n) % 10
    return Task(x, y, x, y)


def test_frozen_filters_do_not_move_and_learned_ones_take_torchs_steps(monkeypatch):
    seen = []
    kept = next_to_nothing.Filters
    monkeypatch.setattr(
        next_to_nothing, "Filters", lambda *a, **k: seen.append(kept(*a, **k)) or seen[-1]
    )
    sgd = SGD(lr=0.03, epochs=3, batch=40, momentum=0.9)
    settings = next_to_nothing.Settings(examples=40, sgd=sgd)
    for share in (1.0, 0.25):
        next_to_nothing.accuracy(small_task(), share, settings, chance=Chance(0))
    everything, quarter = seen
    start = kept(16, generator=Chance(0)["init"])
    for now, then in zip(quarter.layers.values(), start.layers.values(), strict=True):
        assert torch.equal(now.weight[4:], then.weight[4:])
        assert (now.weight[:4] != then.weight[:4]).any()
        assert not now.bias.any()
    optimiser = torch.optim.SGD(
        [p for name, p in start.named_parameters() if "layers" not in name or "weight" in name],
        lr=sgd.lr,
        momentum=sgd.momentum,
    )
    data = small_task()
    for _ in range(3):
        optimiser.zero_grad()
        F.cross_entropy(start(data.x), data.y).backward()
        optimiser.step()
    for one, other in zip(everything.parameters(), start.parameters(), strict=True):
        torch.testing.assert_close(one, other.detach(), rtol=1e-3, atol=1e-5)


def test_filters_that_are_left_out_are_zero_and_stay_so():
    sgd = SGD(lr=0.03, epochs=1, batch=40, momentum=0.9)
    settings = next_to_nothing.Settings(examples=40, left_out=True, sgd=sgd)
    right, _ = next_to_nothing.accuracy(small_task(), 0.0, settings, chance=Chance(0))
    assert right == pytest.approx(0.1)  # nothing is seen: one class of ten for every picture


def test_shares_of_the_record_are_those_of_the_settings():
    sgd = SGD(lr=0.03, epochs=1, batch=50, momentum=0.9)
    found = next_to_nothing.run(next_to_nothing.Settings(examples=50, sgd=sgd), Chance(0))
    assert found["shares"].tolist() == [100, 12.5, 0]
    assert found["classifier_share"] == pytest.approx(2570 / (9 * 16 * 33 + 2570))
    gap = found["accuracy[all]"] - found["accuracy[eighth]"]
    np.testing.assert_allclose(found["deficit_eighth"], gap)
