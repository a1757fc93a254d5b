"""The experiments of *Constraints and sizes*: theory, worked examples and PyTorch's own modules."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import nn
from whydeep.chance import Chance
from whydeep.datasets.tasks import halved
from whydeep.errors import BadSettings
from whydeep.evidence.results import MAIN, Result, read_record, with_variant
from whydeep.experiments.design_choices import alexnet_in_miniature as mini
from whydeep.experiments.design_choices import max_norm, one_layer_out, weight_decay
from whydeep.networks.miniature import CHANNELS, Choices, build, parameters

X = torch.randn(6, 1, 14, 14, generator=Chance(0).torch())

# --- the network -----------------------------------------------------------------------------

# Worked by hand: kernels x (inputs of a unit + 1).
CONV = {"conv1": 8 * (9 + 1), "conv2": 16 * (8 * 9 + 1), "conv3": 16 * (16 * 9 + 1)}
FC4, CLASSIFIER = 128 * (4 * 4 * 16 + 1), 10 * (128 + 1)


def test_every_layer_of_the_miniature_has_the_parameters_worked_by_hand():
    network = build(Choices(), Chance(0))
    found = {name: parameters(layer) for name, layer in network.layers.items()}
    assert found == {**CONV, "fc4": FC4}
    assert parameters(network) == sum(CONV.values()) + FC4 + CLASSIFIER
    averages = build(Choices(head="average"), Chance(0))
    assert parameters(averages) == sum(CONV.values()) + 10 * (16 + 1)


def test_the_miniature_is_the_same_stack_of_pytorchs_own_modules():
    network = build(Choices(), Chance(1)).eval()
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
    network = build(Choices(without=without, overlap=overlap), Chance(0))
    assert not set(without) & set(network.layers)
    assert network(X).shape == (6, 10)
    last = [16, 1][len(without) == 3]
    assert network.layers["fc4"].in_features == 4 * 4 * last


def test_choices_that_do_not_exist_are_refused_in_one_line():
    for wrong in ({"activation": "gelu"}, {"norm": "layer"}, {"head": ""}, {"without": ("fc4",)}):
        with pytest.raises(BadSettings, match="expected activation") as caught:
            build(Choices(**wrong), Chance(0))
        assert "\n" not in str(caught.value)


def test_the_task_is_standardised_and_each_pixel_the_mean_of_four():
    data = halved(100, 50, chance=Chance(3))
    assert data.x.shape == (100, 1, 14, 14)
    assert float(data.x.mean()) == pytest.approx(0, abs=1e-5)
    assert float(data.x.std()) == pytest.approx(1, abs=1e-5)
    assert torch.bincount(data.y).tolist() == [10] * 10


def test_response_normalisation_of_inputs_of_size_one_is_a_constant_factor():
    # Five squares of at most 1 add 5e-4 to 2: a relative change of at most 0.75 * 2.5e-4.
    x = torch.rand(4, 8, 5, 5, generator=Chance(0).torch())
    norm = build(Choices(), Chance(0)).norms["conv1"]
    torch.testing.assert_close(norm(x), x * 2**-0.75, rtol=2e-4, atol=0)


# --- max-norm --------------------------------------------------------------------------------


def test_bounded_features_are_no_longer_than_the_theorem_allows():
    network = max_norm.Dropped((196, 32, 24, 10), 0.0, Chance(0))
    matrices = [layer.weight for layer in network.layers.values()]
    with torch.no_grad():
        for matrix in matrices:
            matrix.mul_(100)
        max_norm.max_norm(0.5, range(2))(matrices)
    x = X.flatten(1)
    allowed = 0.5**2 * math.sqrt(32 * 24) * x.norm(dim=1)
    assert (network.features(x).norm(dim=1) <= allowed).all()


def test_a_bound_that_is_applied_always_holds_at_the_end_and_one_at_the_start_does_not():
    small = with_variant(
        max_norm.Settings(),
        {"examples": 100, "networks": 1, "training.epochs": 5, "rates": (0.4,),
         "dropout_rates": (0.1,)},
    )  # fmt: skip
    always = max_norm.run(small, Chance(5))
    at_start = max_norm.run(dataclasses.replace(small, always=False), Chance(5))
    assert float(always["longest[bounded, 0]"]) <= 1 + 1e-5
    assert float(at_start["longest[bounded, 0]"]) > 1.1
    # The free network is the same in both.
    assert always["loss[free]"].tobytes() == at_start["loss[free]"].tobytes()


def test_a_bound_that_nothing_reaches_changes_nothing():
    small = with_variant(
        max_norm.Settings(),
        {"examples": 100, "networks": 1, "training.epochs": 5, "rates": (0.01,),
         "dropout_rates": (0.01,), "bound": 1e3},
    )  # fmt: skip
    result = max_norm.run(small, Chance(6))
    assert result["loss[free]"].tobytes() == result["loss[bounded]"].tobytes()
    assert float(result["ratio"]) == 1


# --- weight decay ----------------------------------------------------------------------------


def test_a_loss_that_is_none_counts_as_that_of_guessing():
    capped = weight_decay.capped(np.array([0.5, 7.0, np.nan, np.inf]))
    np.testing.assert_allclose(capped, [0.5, *[math.log(10)] * 3])


def test_no_decay_gives_two_equal_halves_and_a_huge_one_guesses():
    changes = {"examples": 100, "networks": 2, "sgd.epochs": 20, "sgd.decay": 0.0}
    small = with_variant(weight_decay.Settings(), changes)
    none = weight_decay.run(small, Chance(7))
    np.testing.assert_allclose(none["loss[with]"], none["loss[without]"], rtol=1e-5)
    # eta lambda = 0.5: all weights are gone after a few steps, and equal scores cost log 10.
    huge = with_variant(small, {"sgd.decay": 5.0, "sgd.momentum": 0.0})
    huge = weight_decay.run(huge, Chance(7))
    assert float(huge["ends[with]"]) == pytest.approx(math.log(10), abs=0.05)


@pytest.mark.parametrize(("variant", "expected"), [(MAIN, 0.075), ("nearly-too-high", 4.5)])
def test_decay_acts_as_long_as_was_worked_by_hand(variant, expected):
    # rate / (1 - momentum) * decay * steps: 0.1 * 10 * 0.0005 * 150 and 0.3 * 10 * 0.01 * 150.
    for result in read_record("design-choices/weight-decay", "quick").runs[variant].values():
        assert float(result["foldings"]) == pytest.approx(expected)


# --- one layer out ---------------------------------------------------------------------------


def test_the_dense_layer_loses_at_least_a_convolutional_layers_weights_and_under_a_unit_more():
    whole, *layers = one_layer_out.choices(whole_layers=True)
    _, *dense = one_layer_out.choices(whole_layers=False)
    size = parameters(build(whole, Chance(0)))
    a_unit = 256 + 1 + 10  # its inputs, its threshold, its weights in the classifier
    for name, without, fewer in zip(CHANNELS, layers, dense, strict=True):
        assert without.without == (name,)
        lost = size - parameters(build(fewer, Chance(0)))
        assert CONV[name] <= lost < CONV[name] + a_unit


def test_the_cost_of_a_layer_is_the_difference_to_the_whole_network_of_the_same_seed():
    small = with_variant(one_layer_out.Settings(), {"examples": 100, "training.epochs": 1})
    layers = one_layer_out.run(small, Chance(9))
    dense = one_layer_out.run(dataclasses.replace(small, whole_layers=False), Chance(9))
    assert layers["error_whole"] == dense["error_whole"]
    assert float(layers["least_cost"]) == min(layers["cost"])


# --- AlexNet in miniature --------------------------------------------------------------------


def test_each_variant_takes_out_one_choice_and_leaves_the_others():
    whole = mini.Settings()
    assert (whole.choices, whole.training.momentum, whole.training.shift) == (Choices(), 0.9, 1)
    for variant, changes in mini.VARIANTS.items():
        settings = with_variant(whole, changes)
        changed = [
            field.name
            for part in ("choices", "training")
            for field in dataclasses.fields(getattr(whole, part))
            if getattr(getattr(settings, part), field.name)
            != getattr(getattr(whole, part), field.name)
        ]
        together = {"without-momentum": 2, "without-moved-pictures": 2}
        assert len(changed) == together.get(variant, 1)
        assert (settings.examples, settings.test, settings.every) == (400, 1000, 3)
        # A step keeps its length: lr / (1 - momentum).
        training = settings.training
        assert training.lr / (1 - training.momentum) == pytest.approx(0.1)


def test_a_choice_that_is_none_of_the_recipe_is_refused():
    with pytest.raises(BadSettings, match="unknown setting 'batch': the experiment has activation"):
        with_variant(mini.Settings(), {"choices.batch": True})


def test_a_run_gives_the_same_bits_again_and_an_untrained_network_guesses():
    changes = {"examples": 100, "test": 200, "training.epochs": 2, "every": 1}
    small = with_variant(mini.Settings(), changes)
    first, again = (mini.run(small, Chance(8)) for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["epochs"].tolist() == [0, 1, 2]
    # Nine in ten wrong, give or take five standard deviations of a share of 200.
    assert float(first["test_error"][0]) == pytest.approx(0.9, abs=5 * (0.09 / 200) ** 0.5)
    # Measured every second epoch only, nothing else changes.
    seldom = mini.run(dataclasses.replace(small, every=2), Chance(8))
    assert seldom["epochs"].tolist() == [0, 2]
    for name in ("train_error", "test_error", "test_loss"):
        assert seldom[name].tobytes() == first[name][::2].tobytes()


def test_changes_are_paired_by_seed():
    runs = {
        variant: {s: Result(q=(10.0 * s + shift, "points")) for s in (0, 1)}
        for variant, shift in ((MAIN, 0), *((name, 2) for name in mini.LABELS))
    }
    assert set(mini.differences(runs, "q").values()) == {(2.0, 0.0)}
