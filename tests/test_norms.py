"""The norms of dense networks: worked examples, invariances and what the inequalities demand."""

import itertools
import math

import pytest
import torch
from whydeep.errors import BadSettings
from whydeep.labs import norms


def layers(*widths, seed=0, k=()):
    generator = torch.Generator().manual_seed(seed)
    return [
        torch.randn(*k, b, a, generator=generator, dtype=torch.float64)
        for a, b in itertools.pairwise(widths)
    ]


def test_a_worked_example_of_every_norm():
    w = torch.tensor([[3.0, 4.0], [0.0, -12.0]], dtype=torch.float64)
    assert norms.frobenius_norm(w) == 13
    assert norms.group_norm(w) == 5 + 12
    assert norms.largest_sum(w) == 12
    # Singular values of a 2x2 matrix: s1^2 + s2^2 = 169, s1 s2 = |det| = 36.
    expected = math.sqrt((169 + math.sqrt(169**2 - 4 * 36**2)) / 2)
    assert norms.spectral_norm(w).item() == pytest.approx(expected)


def test_spectral_complexity_of_diagonal_layers_by_hand():
    # Layers a I and b I of size 4: spectral norms a, b; (2,1) norms 4 a, 4 b; ratios 4 and 4.
    eye = torch.eye(4, dtype=torch.float64)
    value = norms.spectral_complexity([2 * eye, 3 * eye]).item()
    assert value == pytest.approx(6 * (2 * 4 ** (2 / 3)) ** 1.5)
    # With the first layer as its own reference only the second one counts.
    value = norms.spectral_complexity([2 * eye, 3 * eye], [2 * eye, 0 * eye]).item()
    assert value == pytest.approx(6 * 4)


@pytest.mark.parametrize("p", [1.0, 2.0])
def test_path_norm_is_the_sum_over_the_paths(p):
    first, second, third = net = layers(3, 4, 2, 2)
    paths = sum(
        abs(first[i, a] * second[j, i] * third[o, j]) ** p
        for a, i, j, o in itertools.product(range(3), range(4), range(2), range(2))
    )
    assert norms.path_norm(net, p).item() == pytest.approx(paths.item() ** (1 / p))


def test_path_norm_ignores_a_rescaling_of_units_that_the_other_norms_see():
    first, second = layers(5, 6, 1)
    scale = torch.linspace(0.1, 4, 6, dtype=torch.float64)
    net, rescaled = [first, second], [scale[:, None] * first, second / scale]
    assert norms.path_norm(rescaled).item() == pytest.approx(norms.path_norm(net).item())
    ratio = norms.frobenius_complexity(rescaled) / norms.frobenius_complexity(net)
    assert abs(ratio.item() - 1) > 0.1


def test_a_stack_gives_what_its_members_give():
    stack = layers(5, 4, 3, k=(2,))
    for measure in (norms.spectral_complexity, norms.frobenius_complexity, norms.path_norm):
        alone = [measure([w[k] for w in stack]) for k in range(2)]
        torch.testing.assert_close(measure(stack), torch.stack(alone))


def test_margins_of_several_classes_and_of_one_output():
    outputs = torch.tensor([[2.0, 5.0, 1.0], [2.0, 5.0, 1.0]])
    assert norms.margins(outputs, torch.tensor([1, 0])).tolist() == [3.0, -3.0]
    assert norms.margins(outputs[:, :1], torch.tensor([1, 0])).tolist() == [2.0, -2.0]


def test_depth_factor_beats_two_to_the_depth_from_the_second_layer_on():
    assert norms.depth_factor(2) == pytest.approx(1 + math.sqrt(4 * math.log(2)))
    assert all(norms.depth_factor(depth) < 2**depth for depth in range(2, 20))


def test_a_bias_is_refused_in_one_line():
    with pytest.raises(BadSettings, match="without biases"):
        norms.matrices({"classifier.weight": torch.ones(1, 2), "classifier.bias": torch.ones(1)})
