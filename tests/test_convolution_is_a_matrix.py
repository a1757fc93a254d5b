"""The experiments of *Convolution is a matrix*: theory, worked examples and other libraries."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.signal import correlate2d
from whydeep.chance import Chance
from whydeep.evidence.results import MAIN, read_record, with_variant
from whydeep.experiments.design_choices import alexnet_shapes, convolution_matrix, ensemble


def generator(seed):
    return Chance(seed).torch()


def draw(seed, *shape):
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def shared(kernels, side, stride, border):
    """One bank of kernels (o, c, q, q) at every place."""
    m = convolution_matrix.places(side, kernels.shape[-1], stride, border)
    return kernels.expand(m, m, *kernels.shape)


# --- the matrix ------------------------------------------------------------------------------


def test_the_matrix_of_a_worked_example_is_the_one_written_by_hand():
    kernel = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    w = convolution_matrix.matrix(shared(kernel, 3, 1, 0), 3, stride=1, border=0)
    assert w.T.tolist() == [
        [1, 2, 0, 3, 4, 0, 0, 0, 0],
        [0, 1, 2, 0, 3, 4, 0, 0, 0],
        [0, 0, 0, 1, 2, 0, 3, 4, 0],
        [0, 0, 0, 0, 1, 2, 0, 3, 4],
    ]


def test_what_falls_on_the_border_is_cut_off():
    kernel = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 1, 2, 2)
    w = convolution_matrix.matrix(shared(kernel, 2, 2, 1), 2, stride=2, border=1)
    assert w.T.tolist() == [[4, 0, 0, 0], [0, 3, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("border", [0, 2])
def test_the_matrix_times_a_picture_is_scipys_correlation_at_every_stride(stride, border):
    x, kernels = draw(0, 2, 9, 9), draw(1, 3, 2, 4, 4)
    w = convolution_matrix.matrix(
        shared(kernels, 9, stride, border), 9, stride=stride, border=border
    )
    padded = np.pad(x.numpy(), ((0, 0), (border, border), (border, border)))
    expected = [
        sum(correlate2d(padded[c], kernel[c], mode="valid") for c in range(2))
        for kernel in kernels.numpy()
    ]
    expected = np.array(expected)[:, ::stride, ::stride]
    np.testing.assert_allclose((w.T @ x.flatten()).numpy(), expected.ravel(), atol=1e-12)


@pytest.mark.parametrize(("stride", "border"), [(1, 0), (2, 0), (2, 2)])
def test_kernels_that_are_equal_at_every_place_make_the_unshared_layer_a_convolution(
    stride, border
):
    x, kernels = draw(2, 5, 2, 9, 9), draw(3, 3, 2, 4, 4)
    everywhere = shared(kernels, 9, stride, border)
    how = {"stride": stride, "border": border}
    found = convolution_matrix.layer(everywhere, x, **how, shared=False)
    torch.testing.assert_close(
        found, F.conv2d(x, kernels, stride=stride, padding=border).flatten(1)
    )


def test_columns_that_are_translations_of_one_another_are_one_pattern():
    square, corner = torch.ones(2, 2), torch.tensor([[1.0, 1.0], [1.0, 0.0]])
    columns = torch.zeros(4, 1, 5, 5)
    columns[0, 0, :2, :2], columns[1, 0, 3:, 1:3] = square, square
    columns[2, 0, 1:3, 1:3], columns[3, 0, 2:4, 3:] = corner, 2 * corner
    assert convolution_matrix.patterns(columns.view(4, 25).T, 1, 5) == 3


@pytest.mark.parametrize("border", [0, 1, 2])
def test_a_border_cuts_a_kernel_in_as_many_ways_as_it_can_overhang(border):
    # Along a side a patch overhangs by 0, 1, ..., b pixels at either end: 2 b + 1 ways.
    kernels = draw(4, 2, 1, 3, 3)
    w = convolution_matrix.matrix(shared(kernels, 7, 1, border), 7, stride=1, border=border)
    assert convolution_matrix.patterns(w, 1, 7) == 2 * (2 * border + 1) ** 2


def test_rounding_in_64_bits_is_within_the_bound_and_in_32_bits_is_not():
    x, kernels = draw(5, 1, 3, 9, 9), draw(6, 2, 3, 4, 4)
    w = convolution_matrix.matrix(shared(kernels, 9, 1, 0), 9, stride=1, border=0)
    in_64 = F.conv2d(x, kernels).flatten(1)
    in_32 = F.conv2d(x.float(), kernels.float()).flatten(1).double()
    assert convolution_matrix.over_bound(w, x.flatten(1), in_64) <= 1
    assert convolution_matrix.over_bound(w, x.flatten(1), in_32) > 1000


def test_a_unit_that_adds_up_nothing_must_be_exactly_zero():
    w, x = torch.zeros(3, 1, dtype=torch.float64), draw(7, 1, 3)
    assert convolution_matrix.over_bound(w, x, torch.zeros(1, 1, dtype=torch.float64)) == 0
    assert convolution_matrix.over_bound(w, x, torch.full((1, 1), 1e-300).double() + 1e-9) > 1


@pytest.mark.parametrize(
    ("variant", "weights"),
    [(MAIN, 4 * 147), ("unshared", 49 * 4 * 147), ("dense", 3 * 31 * 31 * 49 * 4)],
)
def test_the_free_weights_of_a_layer_are_those_of_the_formula(variant, weights):
    for result in read_record("design-choices/convolution-matrix", "quick").runs[variant].values():
        assert int(result["weights"]) == weights
        assert int(result["matrix_entries"]) == 3 * 31 * 31 * 49 * 4
        if variant == MAIN:  # 4 kernels, each cut in 7 x 7 ways by a border of 3
            assert int(result["patterns_with_border"]) == 4 * 49


def test_the_matrix_of_the_figure_has_nine_weights_of_its_own_or_shared():
    pictures = {
        variant: convolution_matrix._small(
            with_variant(convolution_matrix.Settings(), changes), generator(0)
        )
        for variant, changes in {MAIN: {}, **convolution_matrix.VARIANTS}.items()
    }
    assert (pictures["dense"] > 0).all()
    for variant in (MAIN, "unshared", "turned"):
        assert ((pictures[variant] > 0).sum(0) == 9).all()
        assert all(len(set(column[column > 0])) == 9 for column in pictures[variant].T)
    as_columns = {
        variant: convolution_matrix.patterns(torch.from_numpy(picture), 1, 5)
        for variant, picture in pictures.items()
    }
    assert as_columns[MAIN] == as_columns["turned"] == 1
    assert as_columns["unshared"] == 9


# --- AlexNet ---------------------------------------------------------------------------------

# Worked by hand: kernels x (inputs of a unit + 1).
PARAMETERS = {
    "conv1": 96 * (11 * 11 * 3 + 1),
    "conv2": 256 * (5 * 5 * 48 + 1),
    "conv3": 384 * (3 * 3 * 256 + 1),
    "conv4": 384 * (3 * 3 * 192 + 1),
    "conv5": 256 * (3 * 3 * 192 + 1),
    "fc6": 4096 * (6 * 6 * 256 + 1),
    "fc7": 4096 * (4096 + 1),
    "fc8": 1000 * (4096 + 1),
}
# Krizhevsky et al. 2012, Figure 2, caption; but for the first, which is 55 x 55 x 96.
UNITS = [290_400, 186_624, 64_896, 64_896, 43_264, 4096, 4096, 1000]


def test_every_layer_of_alexnet_has_the_parameters_worked_by_hand_and_the_papers_units():
    found = alexnet_shapes.sizes(alexnet_shapes.alexnet(), 227)
    assert tuple(found) == alexnet_shapes.LAYERS
    assert {name: size.parameters for name, size in found.items()} == PARAMETERS
    assert [size.units for size in found.values()] == UNITS
    assert sum(PARAMETERS.values()) == alexnet_shapes.PARAMETERS == 60_965_224


def test_a_unit_multiplies_once_for_each_of_its_weights():
    found = alexnet_shapes.sizes(alexnet_shapes.alexnet(), 227)
    for size in found.values():
        kernels = size.shape[0]
        weights = size.parameters // kernels - 1
        assert size.products == size.units * weights


def test_a_border_of_two_on_224_gives_the_same_shapes_as_227():
    without = alexnet_shapes.sizes(alexnet_shapes.alexnet(227, 0), 227)
    within = alexnet_shapes.sizes(alexnet_shapes.alexnet(224, 2), 224)
    assert without == within
    assert alexnet_shapes.alexnet(224, 0)["fc6"].in_features == 5 * 5 * 256


def test_the_network_holds_no_numbers():
    for layer in alexnet_shapes.alexnet().values():
        assert all(p.is_meta for p in layer.parameters())


def test_the_counts_do_not_depend_on_the_seed():
    first, second = (alexnet_shapes.run(alexnet_shapes.Settings(), Chance(s)) for s in (0, 1))
    assert all((first[name] == second[name]).all() for name in first)


# --- averaging -------------------------------------------------------------------------------


def test_the_error_of_averages_is_that_of_a_worked_example():
    # Three members, two examples of class 0. On the first each member is right by itself; on the
    # second only the third is, but so surely that it wins in every average that it stands in.
    sure, unsure = [0.9, 0.1], [0.4, 0.6]
    probabilities = torch.tensor([[sure, unsure], [sure, unsure], [sure, [1.0, 0.0]]])
    y = torch.tensor([0, 0])
    errors = ensemble.errors_by_size(probabilities, y)
    # One: two members of three err on one example of two. Pairs: one of three lacks the third.
    np.testing.assert_allclose(errors, [1 / 3, 1 / 6, 0])
    # Of three pairs of members two disagree, on one example of two.
    assert ensemble.disagreement(probabilities) == pytest.approx(1 / 3)


def test_copies_of_one_network_gain_nothing_and_never_disagree():
    one = draw(8, 1, 50, 4).softmax(-1)
    y = torch.arange(50) % 4
    errors = ensemble.errors_by_size(one.expand(7, -1, -1), y)
    assert np.ptp(errors) == 0
    assert ensemble.disagreement(one.expand(7, -1, -1)) == 0


def test_a_run_gives_the_same_bits_again_and_its_members_are_apart_or_near():
    small = with_variant(ensemble.Settings(), {"examples": 200, "sgd.steps": 100})
    apart, again = (ensemble.run(small, Chance(3)) for _ in range(2))
    assert all(apart[name].tobytes() == again[name].tobytes() for name in apart)
    near = ensemble.run(dataclasses.replace(small, apart=False), Chance(3))
    assert 0 < near["disagreement"] < apart["disagreement"]
    assert len(apart["error"]) == len(near["error"]) == ensemble.MEMBERS
    assert apart["ratio"] == apart["error[6]"] / apart["error[0]"]
