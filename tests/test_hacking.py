"""The experiments of *Hacking through life*: moved images, and the roofline."""

import dataclasses

import numpy as np
import pytest
import torch
from whydeep.chance import Chance
from whydeep.evidence.results import MAIN, read_record
from whydeep.experiments.hacking import backward, more_data, roofline

# --- more data for free ------------------------------------------------------------------------


def test_an_image_is_moved_by_exactly_so_many_pixels_in_one_of_four_directions():
    point = torch.zeros(200, 1, 7, 7)
    point[:, :, 3, 3] = 1
    found = more_data.moved(point, 2, generator=torch.Generator().manual_seed(0))
    places = {tuple(image[0].nonzero()[0].tolist()) for image in found}
    assert places == {(1, 3), (5, 3), (3, 1), (3, 5)}
    assert torch.equal(found.sum((1, 2, 3)), torch.ones(200))


def test_moved_by_nothing_an_image_stays():
    x = torch.rand(20, 1, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(more_data.moved(x, 0, generator=torch.Generator()), x)


def test_what_leaves_the_picture_is_lost():
    x = torch.ones(50, 1, 4, 4)
    found = more_data.moved(x, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(found.sum((1, 2, 3)), torch.full((50,), 4.0))


def test_the_gains_are_differences_of_the_recorded_errors():
    for result in read_record("hacking/more-data", "quick").runs[MAIN].values():
        error, training = result["error"], result["training_error"]
        assert result["still_gain"] == pytest.approx(error[0, 0] - error[-1, 0])
        assert result["moved_gain"] == pytest.approx(error[0, 4] - error[-1, 4])
        gap = error[:, 0] - training
        assert result["gap_gain"] == pytest.approx(gap[0] - gap[-1])


# --- the roofline ------------------------------------------------------------------------------


def test_the_intensity_of_a_worked_example():
    # 2 examples, 3 units: 36 operations on 9 weights, 6 inputs and 6 outputs of 4 bytes.
    assert roofline.intensity(3, 2) == 36 / (4 * 21)
    assert roofline.intensity(3, 2, own_weights=True) == 36 / (4 * 30)


def test_a_batch_raises_the_intensity_only_where_weights_are_shared():
    shared = [roofline.intensity(2048, m) for m in (1, 8, 64)]
    own = [roofline.intensity(2048, m, own_weights=True) for m in (1, 8, 64)]
    assert shared == pytest.approx([0.5, 4, 32], rel=0.07)
    assert np.ptp(own) < 1e-12


def test_a_small_roofline_is_made_of_positive_finite_numbers():
    settings = dataclasses.replace(
        roofline.SCALES["quick"], units=64, batches=(1, 4), repeats=1, seconds=1e-3
    )
    result = roofline.run(settings, Chance(0))
    for name in ("rate", "roof", "peak", "bandwidth", "relu_rate"):
        assert np.isfinite(result[name]).all()
        assert (result[name] > 0).all()
    assert (result["roof"] <= result["peak"]).all()
    assert result["growth"] == pytest.approx(result["rate"][-1] / result["rate"][0])


# --- running the network backward --------------------------------------------------------------


def linear(rows):
    """A network without hidden layers on images (n, 1, 2, 2)."""
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2, bias=False))
    with torch.no_grad():
        network[1].weight.copy_(torch.tensor(rows))
    return network


ROWS = [[1.0, -2.0, 0.5, 0.0], [-1.0, 3.0, 0.0, 4.0]]


def test_the_input_gradient_of_a_linear_network_is_its_row_of_weights():
    x, y = torch.rand(2, 1, 2, 2), torch.tensor([0, 1])
    assert backward.input_gradient(linear(ROWS), x, y).flatten(1).tolist() == ROWS


def test_a_signed_step_moves_every_pixel_against_its_class_and_stays_in_range():
    x, y = torch.tensor([[0.5, 0.5, 0.98, 0.5]]).view(1, 1, 2, 2), torch.tensor([0])
    found = backward.signed_step(linear(ROWS), x, y, 0.1)
    # The loss of class 0 falls along row 0 minus row 1, which is (2, -5, 0.5, -4).
    assert found.flatten().tolist() == pytest.approx([0.4, 0.6, 0.88, 0.6])
    assert backward.signed_step(linear(ROWS), x, 1 - y, 0.1).max() == 1


def test_deleting_takes_the_most_important_pixels_and_no_others():
    x = torch.ones(1, 1, 2, 3)
    importance = torch.tensor([3.0, 1.0, 5.0, 2.0, 4.0, 0.0]).view(1, 1, 2, 3)
    assert backward.delete(x, importance, 3).flatten().tolist() == [0, 1, 0, 1, 0, 1]


def test_random_signs_leave_the_plain_network_as_it_was():
    runs = read_record("hacking/backward", "quick").runs
    for seed, result in runs[MAIN].items():
        noisy = runs["random-signs"][seed]
        assert result["error[plain]"].tolist() == noisy["error[plain]"].tolist()
