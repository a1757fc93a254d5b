"""The networks compute the book's formula, start as documented, and can be named layer by layer."""

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from whydeep.device import device
from whydeep.errors import BadSettings, UnknownDevice
from whydeep.networks import Convolutional, Dense, Linear


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def set_weights(layer, matrix, bias):
    """Set W^T and b by hand."""
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(matrix))
        layer.bias.copy_(torch.tensor(bias))


def test_a_dense_network_computes_the_formula_of_the_first_part():
    network = Dense((2, 2, 2), generator=seeded())
    set_weights(network.layers["1"], [[1.0, -1.0], [2.0, 0.0]], [0.0, -1.0])
    set_weights(network.classifier, [[1.0, 1.0], [0.0, -1.0]], [0.5, 0.0])
    x = torch.tensor([[3.0, 1.0], [1.0, 3.0]])
    # By hand: W^T x + b = (3-1, 6-1) = (2, 5) and (1-3, 2-1) = (-2, 1); relu makes -2 a 0.
    assert network.features(x).tolist() == [[2.0, 5.0], [0.0, 1.0]]
    assert network(x).tolist() == [[7.5, -5.0], [1.5, -1.0]]


def test_logistic_regression_on_raw_inputs_has_the_inputs_as_features():
    network = Linear((3, 4), generator=seeded())
    x = torch.randn(5, 3, generator=seeded(1))
    assert torch.equal(network.features(x), x)
    assert [name for name, _ in network.named_parameters()] == [
        "classifier.weight",
        "classifier.bias",
    ]


def test_a_linear_network_is_the_product_of_its_matrices():
    network = Linear((3, 5, 4, 2), generator=seeded()).double()
    x = torch.randn(6, 3, generator=seeded(1), dtype=torch.float64)
    w1, w2, v = (
        layer.weight.T for layer in (*network.layers.values(), network.classifier)
    )  # biases start at zero
    assert torch.allclose(network(x), x @ (w1 @ w2 @ v), atol=1e-12)


def test_a_convolutional_layer_is_convolution_then_relu_then_max_pooling():
    network = Convolutional((1, 4, 4), channels=(1,), classes=2, kernel=3, generator=seeded())
    middle = [[[[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 0.0]]]]  # the image itself
    set_weights(network.layers["1"], middle, [-3.0])
    image = torch.arange(16.0).view(1, 1, 4, 4)
    # The maxima of the four 2x2 blocks of 0..15 are 5, 7, 13, 15; the bias takes 3 from each.
    assert network.features(image).tolist() == [[2.0, 4.0, 10.0, 12.0]]


@pytest.mark.parametrize(
    ("size", "features"), [(28, 32 * 7 * 7), (14, 32 * 3 * 3), (8, 32 * 2 * 2)]
)
def test_a_convolutional_network_takes_the_image_sizes_of_the_book(size, features):
    network = Convolutional((1, size, size), generator=seeded())
    x = torch.zeros(3, 1, size, size)
    assert network.features(x).shape == (3, features)
    assert network(x).shape == (3, 10)


def test_layers_are_named_as_in_the_formula():
    names = [n for n, _ in Dense((2, 3, 3, 2), generator=seeded()).named_parameters()]
    expected = ["layers.1", "layers.2", "classifier"]
    assert names == [f"{layer}.{part}" for layer in expected for part in ("weight", "bias")]


MAKERS = {
    "dense": partial(Dense, (20, 30, 4)),
    "linear": partial(Linear, (20, 30, 4)),
    "convolutional": Convolutional,
}


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("init", ["he", "pytorch"])
def test_a_network_depends_on_its_generator_alone(kind, init):
    before = torch.get_rng_state()
    first, again = (MAKERS[kind](generator=seeded(3), init=init) for _ in range(2))
    other = MAKERS[kind](generator=seeded(4), init=init)
    assert torch.equal(torch.get_rng_state(), before)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)


@pytest.mark.parametrize(("activation", "gain"), [(torch.relu, 2.0), (torch.tanh, 1.0)])
def test_he_weights_have_the_variance_of_the_paper(activation, gain):
    network = Dense((400, 500, 600), activation, generator=seeded(), scale=1.5)
    for layer, fan_in, expected in (
        (network.layers["1"], 400, gain),
        (network.classifier, 500, 1.0),
    ):
        # The relative standard error of a variance from N normal draws is sqrt(2 / N) < 0.4 %.
        variance = layer.weight.double().var().item()
        assert variance == pytest.approx(1.5**2 * expected / fan_in, rel=0.02)
        assert not layer.bias.any()


def test_pytorch_weights_have_the_law_of_pytorchs_own_layers():
    network = Dense((100, 300, 2), generator=seeded(), init="pytorch")
    reference = torch.nn.Linear(100, 300)
    ours = network.layers["1"]
    for part in ("weight", "bias"):
        a, b = (getattr(layer, part).detach() for layer in (ours, reference))
        assert a.abs().max() <= 0.1  # 1 / sqrt(100)
        assert a.abs().max().item() == pytest.approx(b.abs().max().item(), rel=0.05)
        assert a.std().item() == pytest.approx(b.std().item(), rel=0.15)


@given(widths=st.lists(st.integers(1, 7), min_size=2, max_size=5), n=st.integers(1, 5))
@settings(deadline=None, max_examples=25)
def test_outputs_are_the_classifier_applied_to_the_features(widths, n):
    network = Dense(widths, generator=seeded())
    x = torch.randn(n, widths[0], generator=seeded(1))
    assert network(x).shape == (n, widths[-1])
    assert network.classes == widths[-1]
    assert torch.equal(network(x), network.classifier(network.features(x)))


@pytest.mark.parametrize(
    "make",
    [
        partial(Dense, (3,)),
        partial(Dense, (3, 0, 2)),
        partial(Dense, (3, 2), init="glorot"),
        partial(Convolutional, (1, 8, 8), channels=(1, 2, 3, 4)),
        partial(Convolutional, kernel=4),
        partial(Convolutional, channels=()),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_line(make):
    with pytest.raises(BadSettings, match="expected") as caught:
        make(generator=seeded())
    assert "\n" not in str(caught.value)


def test_the_device_is_named_by_argument_then_by_environment(monkeypatch):
    monkeypatch.setenv("WHYDEEP_DEVICE", "cpu")
    assert device() == torch.device("cpu")
    monkeypatch.setenv("WHYDEEP_DEVICE", "abacus")
    assert device("cpu") == torch.device("cpu")
    with pytest.raises(UnknownDevice, match="WHYDEEP_DEVICE is 'abacus', expected one of cuda"):
        device()


@pytest.mark.parametrize(
    "name",
    [
        *("", "cuda:99", "gpu", "cpu:", "cpu:1", "cuda:x", "cpu:0:0"),
        *("cpu:00", "cpu:٠", "cpu:-1", " cpu", "cpu\n", "cuda:" + "9" * 5000),
    ],
)
def test_a_device_that_is_not_there_is_refused_in_one_line(name):
    with pytest.raises(UnknownDevice, match="device is") as caught:
        device(name)
    assert "\n" not in str(caught.value)
