"""The experiments of *Constraints and sizes*: theory, worked examples and PyTorch's own modules."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from whydeep.descent.recipe import ResponseNorm
from whydeep.errors import BadSettings
from whydeep.evidence.results import MAIN, Result, read_record, with_variant
from whydeep.experiments.design_choices import alexnet_in_miniature as mini
from whydeep.experiments.design_choices import max_norm, one_layer_out, weight_decay
from whydeep.networks.miniature import CHANNELS, Choices, build, parameters, task

X = torch.randn(6, 1, 14, 14, generator=torch.Generator().manual_seed(0))

# --- the network -----------------------------------------------------------------------------

# Worked by hand: kernels x (inputs of a unit + 1).
CONV = {"conv1": 8 * (9 + 1), "conv2": 16 * (8 * 9 + 1), "conv3": 16 * (16 * 9 + 1)}
FC4, CLASSIFIER = 128 * (4 * 4 * 16 + 1), 10 * (128 + 1)


def test_every_layer_of_the_miniature_has_the_parameters_worked_by_hand():
    network = build(Choices(), seed=0)
    found = {name: parameters(layer) for name, layer in network.layers.items()}
    assert found == {**CONV, "fc4": FC4}
    assert parameters(network) == sum(CONV.values()) + FC4 + CLASSIFIER
    averages = build(Choices(head="average"), seed=0)
    assert parameters(averages) == sum(CONV.values()) + 10 * (16 + 1)


def test_the_miniature_is_the_same_stack_of_pytorchs_own_modules():
    network = build(Choices(), seed=1).eval()
    norm = nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0)  # divides alpha by the size
    pool = nn.MaxPool2d(3, stride=2, padding=1)
    one, two, three, four = network.layers.values()
    stack = nn.Sequential(
        one, nn.ReLU(), norm, pool, two, nn.ReLU(), norm, pool, three, nn.ReLU(),
        nn.Flatten(), four, nn.ReLU(), network.classifier,
    )  # fmt: skip
    torch.testing.assert_close(network(X), stack(X))


@pytest.mark.parametrize("without", [(), *[(name,) for name in CHANNELS], tuple(CHANNELS)])
@pytest.mark.parametrize("overlap", [True, False])
def test_a_convolution_can_be_left_out_and_the_pictures_keep_their_size(without, overlap):
    network = build(Choices(without=without, overlap=overlap), seed=0)
    assert not set(without) & set(network.layers)
    assert network(X).shape == (6, 10)
    last = [16, 1][len(without) == 3]
    assert network.layers["fc4"].in_features == 4 * 4 * last


def test_choices_that_do_not_exist_are_refused_in_one_line():
    for wrong in ({"activation": "gelu"}, {"norm": "layer"}, {"head": ""}, {"without": ("fc4",)}):
        with pytest.raises(BadSettings, match="expected activation") as caught:
            build(Choices(**wrong), seed=0)
        assert "\n" not in str(caught.value)


def test_the_task_is_standardised_and_each_pixel_the_mean_of_four():
    data = task(100, 50, seed=3)
    assert data.x.shape == (100, 1, 14, 14)
    assert float(data.x.mean()) == pytest.approx(0, abs=1e-5)
    assert float(data.x.std()) == pytest.approx(1, abs=1e-5)
    assert torch.bincount(data.y).tolist() == [10] * 10


def test_response_normalisation_of_inputs_of_size_one_is_a_constant_factor():
    # Five squares of at most 1 add 5e-4 to 2: a relative change of at most 0.75 * 2.5e-4.
    x = torch.rand(4, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(ResponseNorm()(x), x * 2**-0.75, rtol=2e-4, atol=0)


# --- max-norm --------------------------------------------------------------------------------


def test_bounded_features_are_no_longer_than_the_theorem_allows():
    network = max_norm.Dropped(
        (196, 32, 24, 10), 0.0, init=torch.Generator(), chance=torch.Generator()
    )
    with torch.no_grad():
        for layer in network.layers.values():
            layer.weight.mul_(100)
            max_norm.bound_norms(layer.weight, 0.5)
    x = X.flatten(1)
    allowed = 0.5**2 * math.sqrt(32 * 24) * x.norm(dim=1)
    assert (network.features(x).norm(dim=1) <= allowed).all()


def test_a_bound_that_is_applied_always_holds_at_the_end_and_one_at_the_start_does_not():
    small = dataclasses.replace(
        max_norm.Settings(), examples=100, networks=1, epochs=5, rates=(0.4,), dropout_rates=(0.1,)
    )
    always = max_norm.run(small, seed=5)
    at_start = max_norm.run(dataclasses.replace(small, always=False), seed=5)
    assert float(always["longest_bounded"][0]) <= 1 + 1e-5
    assert float(at_start["longest_bounded"][0]) > 1.1
    # The free network is the same in both.
    assert always["loss_free"].tobytes() == at_start["loss_free"].tobytes()


def test_a_bound_that_nothing_reaches_changes_nothing():
    small = dataclasses.replace(
        max_norm.Settings(),
        examples=100, networks=1, epochs=5, rates=(0.01,), dropout_rates=(0.01,), bound=1e3,
    )  # fmt: skip
    result = max_norm.run(small, seed=6)
    assert result["loss_free"].tobytes() == result["loss_bounded"].tobytes()
    assert float(result["ratio"]) == 1


# --- weight decay ----------------------------------------------------------------------------


def test_a_loss_that_is_none_counts_as_that_of_guessing():
    capped = weight_decay.capped(np.array([0.5, 7.0, np.nan, np.inf]))
    np.testing.assert_allclose(capped, [0.5, *[math.log(10)] * 3])


def test_no_decay_gives_two_equal_halves_and_a_huge_one_guesses():
    small = dataclasses.replace(weight_decay.Settings(), examples=100, networks=2, epochs=20)
    none = weight_decay.run(dataclasses.replace(small, decay=0.0), seed=7)
    np.testing.assert_allclose(none["loss_with"], none["loss_without"], rtol=1e-5)
    # eta lambda = 0.5: all weights are gone after a few steps, and equal scores cost log 10.
    huge = weight_decay.run(dataclasses.replace(small, decay=5.0, momentum=0.0), seed=7)
    assert float(huge["with_decay"]) == pytest.approx(math.log(10), abs=0.05)


@pytest.mark.parametrize(("variant", "expected"), [(MAIN, 0.075), ("nearly-too-high", 4.5)])
def test_decay_acts_as_long_as_was_worked_by_hand(variant, expected):
    # rate / (1 - momentum) * decay * steps: 0.1 * 10 * 0.0005 * 150 and 0.3 * 10 * 0.01 * 150.
    for result in read_record("design-choices/weight-decay", "quick").runs[variant].values():
        assert float(result["foldings"]) == pytest.approx(expected)


# --- one layer out ---------------------------------------------------------------------------


def test_the_dense_layer_loses_at_least_a_convolutional_layers_weights_and_under_a_unit_more():
    whole, *layers = one_layer_out.choices(whole_layers=True)
    _, *dense = one_layer_out.choices(whole_layers=False)
    size = parameters(build(whole, seed=0))
    a_unit = 256 + 1 + 10  # its inputs, its threshold, its weights in the classifier
    for name, without, fewer in zip(CHANNELS, layers, dense, strict=True):
        assert without.without == (name,)
        lost = size - parameters(build(fewer, seed=0))
        assert CONV[name] <= lost < CONV[name] + a_unit


def test_the_cost_of_a_layer_is_the_difference_to_the_whole_network_of_the_same_seed():
    small = dataclasses.replace(one_layer_out.Settings(), examples=100, epochs=1)
    layers = one_layer_out.run(small, seed=9)
    dense = one_layer_out.run(dataclasses.replace(small, whole_layers=False), seed=9)
    assert layers["error_whole"] == dense["error_whole"]
    assert float(layers["mean_cost"]) == pytest.approx(float(layers["costs"].mean()))
    assert float(layers["least_cost"]) == min(layers["costs"])


# --- AlexNet in miniature --------------------------------------------------------------------


def test_each_variant_takes_out_one_choice_and_leaves_the_others():
    whole_network, whole_training = mini.recipe(mini.Settings())
    assert (whole_network, whole_training.momentum, whole_training.shift) == (Choices(), 0.9, 1)
    for changes in mini.VARIANTS.values():
        network, training = mini.recipe(with_variant(mini.Settings(), changes))
        changed = [
            field.name
            for one, other in ((network, whole_network), (training, whole_training))
            for field in dataclasses.fields(one)
            if getattr(one, field.name) != getattr(other, field.name)
        ]
        together = {"without-momentum": 2, "without-moved-pictures": 2}
        assert len(changed) == together.get(f"without-{changes['without']}", 1)
        # A step keeps its length: lr / (1 - momentum).
        assert training.lr / (1 - training.momentum) == pytest.approx(0.1)


def test_a_choice_that_is_none_of_the_recipe_is_refused():
    with pytest.raises(BadSettings, match="expected '' or one of relu, overlap"):
        mini.recipe(dataclasses.replace(mini.Settings(), without="batch"))


def test_a_measure_taken_seldom_gives_its_last_value_in_between():
    calls = iter([1.0, 2.0, 3.0])
    seldom = mini.Seldom(3, lambda network: next(calls))
    assert [seldom(nn.Identity()) for _ in range(7)] == [1, 1, 1, 2, 2, 2, 3]


def test_a_run_gives_the_same_bits_again_and_an_untrained_network_guesses():
    small = dataclasses.replace(mini.Settings(), examples=100, test=200, epochs=2, every=1)
    first, again = (mini.run(small, seed=8) for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["epochs"].tolist() == [0, 1, 2]
    # Nine in ten wrong, give or take five standard deviations of a share of 200.
    assert float(first["test_error"][0]) == pytest.approx(0.9, abs=5 * (0.09 / 200) ** 0.5)
    assert first["last_test_error"] == first["test_error"][-1]


def test_changes_are_paired_by_seed():
    runs = {
        variant: {s: Result(q=(10.0 * s + shift, "points")) for s in (0, 1)}
        for variant, shift in ((MAIN, 0), *((name, 2) for name in mini.LABELS))
    }
    assert set(mini.differences(runs, "q").values()) == {(2.0, 0.0)}
