"""The experiments of *Learning the features*: their tasks, their measures, and Gabor fits."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist, first_layer_filters
from whydeep.descent import SGD
from whydeep.errors import BadSettings
from whydeep.experiments.features import first_layer, frozen_or_joint, mirror_symmetry, one_layer
from whydeep.labs.gabor import gabor_fit
from whydeep.networks import Convolutional


def same_bits(first, second):
    return list(first) == list(second) and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


# --- Gabor functions -------------------------------------------------------------------------


def gabor(x0, y0, angle, frequency, s, t, phase, side=7):
    """A Gabor function by the formula, with numpy."""
    y, x = np.mgrid[:side, :side] - (side - 1) / 2
    u = (x - x0) * np.cos(angle) + (y - y0) * np.sin(angle)
    v = -(x - x0) * np.sin(angle) + (y - y0) * np.cos(angle)
    bell = np.exp(-((u / s) ** 2 + (v / t) ** 2) / 2)
    return bell * np.cos(2 * np.pi * frequency * u + phase)


PARAMETERS = [
    (0.0, 0.0, 0.4, 0.2, 1.5, 2.0, 0.3),
    (1.0, -0.5, 2.0, 0.15, 2.0, 1.2, 1.2),
    (-1.0, 1.0, 1.3, 0.3, 1.2, 1.8, -0.7),
]


@pytest.mark.parametrize("parameters", PARAMETERS)
def test_the_fit_finds_a_gabor_function_again_with_its_angle_and_frequency(parameters):
    fit = gabor_fit(torch.from_numpy(gabor(*parameters))[None])
    assert fit.r2.item() > 0.995
    turn = abs(fit.angle.item() - parameters[2])
    assert min(turn, math.pi - turn) < 0.1
    assert fit.frequency.item() == pytest.approx(parameters[3], abs=0.04)


def test_the_fit_cannot_notice_the_size_or_the_sign_of_a_picture():
    picture = torch.from_numpy(gabor(*PARAMETERS[1]) + 0.3 * gabor(*PARAMETERS[0]))
    fit = gabor_fit(torch.stack([picture, -7 * picture]))
    torch.testing.assert_close(fit.r2[0], fit.r2[1], atol=1e-3, rtol=0)
    torch.testing.assert_close(fit.pictures[1], -7 * fit.pictures[0], atol=0.2, rtol=0)


def test_a_picture_turned_by_a_right_angle_has_its_wave_turned_by_one():
    picture = torch.from_numpy(gabor(*PARAMETERS[0]))
    fit = gabor_fit(torch.stack([picture, picture.rot90()]))
    turned = (fit.angle[0] - fit.angle[1]).remainder(math.pi).item()
    assert turned == pytest.approx(math.pi / 2, abs=0.02)


def test_the_share_is_one_minus_the_residual_over_the_energy():
    pictures = torch.randn(6, 7, 7, generator=torch.Generator().manual_seed(0)).double()
    fit = gabor_fit(pictures)
    residual = (pictures - fit.pictures).square().sum((1, 2)) / pictures.square().sum((1, 2))
    torch.testing.assert_close(fit.r2, 1 - residual)
    assert ((fit.r2 > 0) & (fit.r2 < 1)).all()


def test_the_fit_is_as_good_as_that_of_scipys_least_squares():
    bank = first_layer.leading_component(first_layer_filters())[:2]
    found = gabor_fit(bank).r2
    rng = np.random.default_rng(0)
    for picture, r2 in zip(bank.double().numpy(), found, strict=True):

        def residual(p, picture=picture):
            cosine, sine = gabor(*p[:6], 0.0), gabor(*p[:6], -np.pi / 2)
            return (p[6] * cosine + p[7] * sine - picture).ravel() / np.linalg.norm(picture)

        low = np.array([-3, -3, -7, 0.05, 0.8, 0.8, -9, -9])
        high = np.array([3, 3, 7, 0.5, 4.0, 4.0, 9, 9])
        starts = low + rng.random((8, 8)) * (high - low) * [1, 1, 0.5, 1, 1, 1, 0.05, 0.05]
        best = min(
            2 * least_squares(residual, start.clip(low, high), bounds=(low, high)).cost
            for start in starts
        )
        assert r2.item() > 1 - best - 0.02


def test_the_filters_fit_as_well_as_when_the_data_were_chosen():
    # With scipy's curve_fit, before this code was written: median 0.964, share above 0.8 27 of 32.
    r2 = gabor_fit(first_layer.leading_component(first_layer_filters())).r2
    assert r2.median().item() == pytest.approx(0.964, abs=0.01)
    assert int((r2 > 0.8).sum()) == 27


# --- first layers ----------------------------------------------------------------------------


def test_the_share_of_colour_is_that_of_worked_examples():
    plane = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))
    grey = torch.stack([plane, plane, plane])
    red = torch.stack([plane, 0 * plane, 0 * plane])
    opponent = torch.stack([plane, -plane, 0 * plane])
    share = first_layer.colour_share(torch.stack([grey, red, opponent]))
    torch.testing.assert_close(share, torch.tensor([0, 2 / 3, 1]), atol=1e-5, rtol=0)


def test_the_leading_component_of_one_picture_in_one_colour_is_that_picture():
    plane = torch.randn(7, 7, generator=torch.Generator().manual_seed(1))
    colour = torch.tensor([2.0, -1.0, 2.0])  # of length 3
    (found,) = first_layer.leading_component((colour[:, None, None] * plane)[None])
    sign = torch.sign((found * plane).sum())
    torch.testing.assert_close(sign * found, 3 * plane)


def test_the_same_seed_gives_the_same_independent_components_and_another_seed_others():
    order = torch.arange(49)
    first, again, other = (first_layer.ica_filters(200, order, Chance(s)) for s in (0, 0, 1))
    assert first.shape == (32, 7, 7)
    assert torch.equal(first, again)
    assert not torch.allclose(first, other)


def test_a_shuffle_of_the_pixels_shuffles_the_space_of_the_independent_components():
    # Which directions come out within it depends on where a finite sample lets FastICA stop.
    order = torch.randperm(49, generator=torch.Generator().manual_seed(0))
    seed = Chance(0)
    plain = first_layer.ica_filters(200, torch.arange(49), seed).flatten(1).double()
    shuffled = first_layer.ica_filters(200, order, seed).flatten(1).double()
    spaces = [torch.linalg.qr(bank.T).Q for bank in (plain[:, order], shuffled)]
    angles = torch.linalg.svdvals(spaces[0].T @ spaces[1])
    torch.testing.assert_close(angles, torch.ones(32).double(), atol=1e-3, rtol=0)


def test_the_shuffle_keeps_every_weight_and_loses_the_neighbours_and_the_colours():
    sgd = SGD(lr=0.02, steps=2, batch=64, momentum=0.9, decay=5e-4)
    tiny = dict(patches=200, examples=100, channels=2, sgd=sgd)
    plain = first_layer.run(first_layer.Settings(**tiny), Chance(0))
    shuffled = first_layer.run(first_layer.Settings(**tiny, shuffle=True), Chance(0))
    assert plain["median[random]"] == shuffled["median[random]"]
    assert plain["median[real]"] > 0.9
    assert shuffled["median[real]"] < 0.5
    assert plain["blind"] > 0.5
    assert shuffled["blind"] < 0.1
    assert same_bits(plain, first_layer.run(first_layer.Settings(**tiny), Chance(0)))


# --- mirror symmetry -------------------------------------------------------------------------


def test_eight_of_the_64_inputs_are_symmetric():
    x, y = mirror_symmetry.task()
    assert len({tuple(row) for row in x.tolist()}) == 64
    assert y.sum() == 2**3
    assert y[(x == torch.tensor([1.0, 0, 1, 1, 0, 1])).all(1)].item() == 1
    assert y[(x == torch.tensor([1.0, 0, 1, 1, 1, 1])).all(1)].item() == 0


def test_weights_start_uniform_within_the_spread():
    network = mirror_symmetry.SymmetryNetwork(0.3, generator=torch.Generator().manual_seed(0))
    weights = torch.cat([w.flatten() for w in network.parameters()])
    assert len(weights) == 6 * 2 + 2 + 2 + 1
    assert weights.abs().max() < 0.3
    many = [
        w.flatten()
        for seed in range(300)
        for w in mirror_symmetry.SymmetryNetwork(
            0.3, generator=torch.Generator().manual_seed(seed)
        ).parameters()
    ]
    # The standard deviation of a uniform law on (-a, a) is a / sqrt(3).
    assert torch.cat(many).std().item() == pytest.approx(0.3 / 3**0.5, rel=0.03)


def test_the_loss_is_half_the_squared_error_of_the_sigmoid():
    outputs = torch.tensor([[0.0], [2.0]])
    y = torch.tensor([[1.0], [0.0]])
    expected = torch.tensor([0.5 * 0.5**2, 0.5 / (1 + math.exp(-2)) ** 2])
    torch.testing.assert_close(mirror_symmetry.half_squared_error(outputs, y), expected)


def test_the_shape_of_weights_is_measured_as_in_worked_examples():
    exact = torch.tensor([1.0, -2, 4, -4, 2, -1])
    other_order = torch.tensor([4.0, 1, -2, 2, -1, -4])
    symmetric = torch.tensor([1.0, 2, 4, 4, 2, 1])
    ramp = torch.tensor([1.0, 2, 3, -3, -2, -1])  # ratios 2 and 1.5
    weights = torch.stack([exact, other_order, symmetric, ramp])
    torch.testing.assert_close(
        mirror_symmetry.antisymmetry(weights), torch.tensor([0, 0, 2**0.5, 0])
    )
    torch.testing.assert_close(
        mirror_symmetry.ratio_deviation(weights[[0, 1, 3]]), torch.tensor([0.0, 0, 0.5])
    )


def test_weights_in_ratio_1_2_4_tell_symmetric_vectors_from_all_others():
    x, y = mirror_symmetry.task()
    sums = x @ torch.tensor([1.0, -2, 4, -4, 2, -1])
    assert torch.equal(sums == 0, y[:, 0] == 1)


def test_frozen_hidden_units_stay_where_they_start():
    settings = mirror_symmetry.Settings(starts=3, sweeps=50, freeze=True)
    frozen = mirror_symmetry.run(settings, Chance(0))
    assert np.abs(frozen["weights"]).max() < 0.3
    free = mirror_symmetry.run(mirror_symmetry.Settings(starts=3, sweeps=50), Chance(0))
    assert not np.array_equal(free["weights"], frozen["weights"])
    assert same_bits(frozen, mirror_symmetry.run(settings, Chance(0)))


# --- frozen or joint -------------------------------------------------------------------------


def rates(**changes):
    """The SGD of the experiment, changed."""
    return replace(frozen_or_joint.Settings().sgd, **changes)


def test_parity_changes_with_each_relevant_bit_and_with_no_other():
    x, y = frozen_or_joint.parity(4000, 10, 3, torch.Generator().manual_seed(0))
    assert set(x.flatten().tolist()) == {-1.0, 1.0}
    # Half of the labels are 1, give or take four standard deviations.
    assert y.double().mean().item() == pytest.approx(0.5, abs=4 * 0.5 / 4000**0.5)
    ones = (x[:, :3] < 0).sum(1)
    assert torch.equal(y, 1 - ones % 2)


def test_linear_labels_follow_the_first_components_only():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3000, 6, generator=generator) * torch.tensor([9.0, 5, 1, 1, 1, 1])
    y = frozen_or_joint.linear_labels(x, 2000, 2, 50.0, torch.Generator().manual_seed(1))
    other = x.clone()
    other[2000:, 2:] += 3  # moved along directions that carry no label
    again = frozen_or_joint.linear_labels(other, 2000, 2, 50.0, torch.Generator().manual_seed(1))
    assert (y[2000:] == again[2000:]).double().mean() > 0.9
    # All but certain scores: examples in nearly one direction have one label.
    angle = torch.atan2(x[:, 1] / 5, x[:, 0] / 9)
    near = (angle > 0.5) & (angle < 0.55) & (x[:, :2].norm(dim=1) > 5)
    assert y[near].bincount().max() / near.sum() > 0.6


def test_pictures_are_centred_with_the_training_examples_alone():
    x, y = frozen_or_joint.pictures(500, Chance(0))
    assert x.shape == (2500, 196)
    assert len(y) == 2500
    torch.testing.assert_close(x[:500].mean(0), torch.zeros(196), atol=1e-4, rtol=0)
    assert x[:500].std().item() == pytest.approx(1, abs=1e-4)
    assert x[500:].mean().abs() > 1e-4


def test_an_unknown_task_is_one_clear_line():
    with pytest.raises(BadSettings, match="task is 'fashon', expected 'fashion'"):
        frozen_or_joint.run(frozen_or_joint.Settings(task="fashon"), Chance(0))


def test_the_sweep_has_a_value_a_width_and_repeats_bit_for_bit():
    settings = frozen_or_joint.Settings(
        task="parity", examples=300, held_out=100, sgd=rates(steps=5)
    )
    first, again = (frozen_or_joint.run(settings, Chance(3)) for _ in range(2))
    assert first["widths"].tolist() == [16, 64]
    assert first["error[frozen]"].shape == first["error[joint]"].shape == (2,)
    assert same_bits(first, again)


def test_a_frozen_layer_cannot_solve_what_a_trained_one_can():
    # Parity of two of four bits, many examples: easy to learn, and no unit is drawn for it.
    settings = frozen_or_joint.Settings(
        task="parity", bits=20, relevant=2, examples=2500, sgd=rates(steps=300), widest=16
    )
    result = frozen_or_joint.run(settings, Chance(0))
    assert result["error[joint, 0]"] < 0.05
    assert result["error[frozen, 0]"] > 0.3


# --- one layer -------------------------------------------------------------------------------


def halves(n_kinds=6, seed=0):
    """Small pictures 14 x 14 of two kinds, as one_layer.pairs takes them."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n_kinds, 1, 14, 14, generator=generator), torch.arange(n_kinds) % 2


def test_a_pair_is_two_garments_with_a_gap_and_its_label_says_whether_they_are_of_one_kind():
    x, kind = halves()
    pictures, same, left_kind = one_layer.pairs(x, kind, 50, torch.Generator().manual_seed(0))
    assert pictures.shape == (50, 1, 14, 14 + 4 + 14)
    assert not pictures[..., 14:18].any()
    for picture, label, kind_left in zip(pictures, same, left_kind, strict=True):
        left, right = (
            next(i for i in range(len(x)) if torch.equal(x[i, 0], side))
            for side in (picture[0, :, :14], picture[0, :, 18:])
        )
        assert label == (kind[left] == kind[right])
        assert kind_left == kind[left]


def test_the_score_of_one_layer_of_local_filters_is_a_sum_of_a_left_and_a_right_part():
    # What the theorem on the page needs of the network: f(ab) + f(a'b') = f(ab') + f(a'b).
    x, _ = halves()
    gap = torch.zeros(1, 14, one_layer.GAP)

    def picture(left, right):
        return torch.cat([x[left], gap, x[right]], 2)

    four = torch.stack([picture(0, 2), picture(1, 3), picture(0, 3), picture(1, 2)]).double()

    def imbalance(channels, widths):
        network = Convolutional(
            (1, 14, 32), channels, widths, classes=2, generator=torch.Generator().manual_seed(0)
        ).double()
        with torch.no_grad():
            scores = network(four)
        return (scores[0] + scores[1] - scores[2] - scores[3]).abs().max().item()

    assert imbalance(*one_layer.LAYERS["one"]["pairs"]) < 1e-12
    assert imbalance(*one_layer.LAYERS["two"]["pairs"]) > 1e-3


def test_one_and_two_layers_have_about_as_many_weights():
    result = one_layer.run(
        one_layer.Settings(examples=50, sgd=SGD(lr=0.01, steps=1, batch=64)), Chance(0)
    )
    for task in one_layer.TASKS:
        one, two = result[f"weights[{task}]"].tolist()
        assert one == pytest.approx(two, rel=0.02)


def test_the_control_shuffles_every_garment_alike_and_asks_for_the_left_one():
    data = fashion_mnist().subset(200, seed=0)
    chance = Chance(5)
    plain = one_layer.tasks(data, one_layer.Settings(examples=200), chance)
    control = one_layer.tasks(data, one_layer.Settings(examples=200, shuffle=True), chance)
    x, shuffled = (found["single"][0].flatten(1) for found in (plain, control))
    assert not torch.equal(x, shuffled)
    torch.testing.assert_close(x.sort(1).values, shuffled.sort(1).values, atol=1e-4, rtol=0)
    # In each pair, the left garment alone decides the label of the control.
    pictures, labels = control["pairs"]
    lefts = {}
    for left, label in zip(pictures[..., :14].flatten(1).tolist(), labels.tolist(), strict=True):
        assert lefts.setdefault(tuple(left), label) == label
    assert len(set(labels.tolist())) == 2
