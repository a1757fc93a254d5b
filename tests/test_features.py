"""Feature maps: HOG against an independent loop, and what each map must leave unchanged."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from whydeep.errors import BadSettings
from whydeep.labs.features import hog, pixels, random_relu


def pictures(seed, n=2, h=12, w=16):
    return torch.from_numpy(np.random.default_rng(seed).random((n, 1, h, w)))


def naive_hog(image, cell, angles):
    """HOG of one grey image (h, w), after section 6 of Dalal and Triggs 2005, loop by loop.

    Centred differences [-1, 0, 1] with edges repeated; unsigned orientation; each pixel's vote is
    split linearly between the two neighbouring bins; L2 norm over 2 x 2 cells.
    """
    h, w = image.shape
    histogram = np.zeros((h // cell, w // cell, angles))
    for y in range(h):
        for x in range(w):
            g_y = image[min(y + 1, h - 1), x] - image[max(y - 1, 0), x]
            g_x = image[y, min(x + 1, w - 1)] - image[y, max(x - 1, 0)]
            degrees = math.degrees(math.atan2(g_y, g_x)) % 180
            below = int(degrees // (180 / angles))
            share = degrees / (180 / angles) - below
            vote = math.sqrt(g_x**2 + g_y**2)
            histogram[y // cell, x // cell, below % angles] += (1 - share) * vote
            histogram[y // cell, x // cell, (below + 1) % angles] += share * vote
    blocks = {}
    for i in range(h // cell - 1):
        for j in range(w // cell - 1):
            block = histogram[i : i + 2, j : j + 2]
            blocks[i, j] = block / np.sqrt((block**2).sum())
    return blocks


def as_blocks(vector, rows, columns, angles):
    """One image's vector from `hog` as an array (rows, columns, bin, 2, 2) of its blocks."""
    return vector.view(rows, columns, angles, 2, 2).numpy()


@pytest.mark.parametrize(("cell", "angles"), [(4, 8), (2, 9), (4, 4)])
@pytest.mark.parametrize("seed", range(3))
def test_hog_agrees_with_a_loop_written_from_the_paper(seed, cell, angles):
    x = pictures(seed, n=1)
    rows, columns = 12 // cell - 1, 16 // cell - 1
    found = as_blocks(hog(x, cell=cell, angles=angles)[0], rows, columns, angles)
    for (i, j), block in naive_hog(x[0, 0].numpy(), cell, angles).items():
        np.testing.assert_allclose(found[i, j].transpose(1, 2, 0), block, atol=1e-9)


@pytest.mark.parametrize(
    ("h", "w", "cell", "angles"), [(28, 28, 4, 8), (8, 12, 4, 9), (6, 8, 2, 5)]
)
def test_hog_has_four_histograms_for_each_block_of_cells(h, w, cell, angles):
    found = hog(pictures(0, 3, h, w), cell=cell, angles=angles)
    assert found.shape == (3, 4 * angles * (h // cell - 1) * (w // cell - 1))


def test_hog_of_a_constant_picture_is_zero():
    assert not hog(torch.full((1, 1, 12, 16), 0.7)).any()


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 4), st.floats(-1, 1))
@settings(max_examples=25)
def test_hog_ignores_inversion_brightness_and_contrast(seed, contrast, brightness):
    x = pictures(seed)
    for other in (1 - x, contrast * x + brightness):
        torch.testing.assert_close(hog(other), hog(x), rtol=0, atol=1e-9)


@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
@settings(max_examples=25)
def test_no_block_of_hog_is_longer_than_one_nor_has_a_negative_entry(seed, contrast):
    found = hog(contrast * pictures(seed)).view(2, -1, 4 * 8)
    assert found.min() >= 0
    assert found.norm(dim=2).max() <= 1 + 1e-12


def test_the_noise_of_a_nearly_empty_block_is_not_blown_up_to_unit_length():
    faint = hog(1e-6 * pictures(0)).view(2, -1, 4 * 8)
    assert faint.norm(dim=2).max() < 1e-2


@pytest.mark.parametrize("angles", [4, 8])
def test_turning_a_picture_by_90_degrees_turns_cells_and_shifts_bins_by_90_degrees(angles):
    x = pictures(5, n=1, h=16, w=16)
    before = as_blocks(hog(x, angles=angles)[0], 3, 3, angles)
    after = as_blocks(hog(torch.rot90(x, 1, (2, 3)), angles=angles)[0], 3, 3, angles)
    turned = np.rot90(np.rot90(before, 1, (0, 1)), 1, (3, 4))
    np.testing.assert_allclose(after, np.roll(turned, angles // 2, axis=2), atol=1e-9)


def test_an_upright_edge_votes_for_the_horizontal_gradient_alone():
    x = torch.zeros(1, 1, 8, 8)
    x[..., 4:] = 1
    found = as_blocks(hog(x)[0], 1, 1, 8)[0, 0]
    # Four cells have the same votes, all in bin 0, and the block has length 1: each is 1/2.
    np.testing.assert_allclose(found[0], 0.5)
    assert not found[1:].any()


def test_a_slanted_edge_at_half_a_bin_splits_its_vote_evenly():
    # A ramp whose gradient stands at 180/16 degrees, half-way between bins 0 and 1 of 8.
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(12.0), indexing="ij")
    ramp = math.cos(math.pi / 16) * x + math.sin(math.pi / 16) * y
    found = as_blocks(hog(ramp[None, None].double(), cell=3)[0], 3, 3, 8)[1, 1]
    np.testing.assert_allclose(found[:2], math.sqrt(1 / 8), rtol=1e-6)
    assert np.abs(found[2:]).max() < 1e-6


def test_pixels_are_the_pixels_row_by_row():
    x = torch.arange(24.0).view(2, 1, 3, 4)
    assert pixels(x).tolist() == [list(map(float, range(12))), list(map(float, range(12, 24)))]


def random_features(seed, x=None, width=500):
    x = pictures(0, n=50) if x is None else x
    return random_relu(x, width=width, generator=torch.Generator().manual_seed(seed))


def test_random_units_are_the_same_for_a_seed_and_differ_between_seeds():
    assert torch.equal(random_features(1), random_features(1))
    assert not torch.equal(random_features(1), random_features(2))


def test_random_units_leave_the_global_generator_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    random_features(1)
    assert torch.equal(torch.rand(3), expected)


def test_random_units_are_never_negative_and_about_half_of_them_are_on():
    # Directions and thresholds are symmetric about zero, and so is a centred input on the average.
    found = random_features(0, width=5000)
    assert found.shape == (50, 5000)
    assert found.min() == 0
    assert (found > 0).double().mean() == pytest.approx(0.5, abs=0.02)


def test_hog_refuses_cells_that_do_not_fill_the_picture():
    with pytest.raises(BadSettings, match="28 x 28 pixels do not split into cells of 5"):
        hog(torch.zeros(1, 1, 28, 28), cell=5)


def test_random_units_change_no_faster_than_their_input():
    # Unit directions and a ReLU: |phi_j(x) - phi_j(z)| <= |x - z| for each unit j.
    x = pictures(7, n=50)
    found = random_features(0, x)
    gap = (found[:25] - found[25:]).abs().amax(1)
    assert (gap <= (x[:25] - x[25:]).flatten(1).norm(dim=1) + 1e-9).all()
