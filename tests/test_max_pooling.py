"""The experiments of *Max-pooling*: closed forms, worked examples and other libraries."""

import dataclasses

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import ndimage, stats
from scipy.special import logsumexp
from sklearn.metrics import roc_auc_score
from whydeep.chance import Chance
from whydeep.descent import SGD
from whydeep.evidence.results import MAIN, read_record
from whydeep.experiments.design_choices import (
    _pools,
    likeliest_explanation,
    overlapping_pools,
    pooled_features,
    pooled_networks,
    unknown_position,
)

# --- rare and common features ----------------------------------------------------------------


def test_the_auc_is_scikit_learns_ties_included():
    rng = Chance(0).numpy()
    low, high = rng.integers(5, size=80), rng.integers(1, 7, size=50)
    expected = roc_auc_score(np.repeat([0, 1], [80, 50]), np.concatenate([low, high]))
    assert pooled_features.auc(low.astype(float), high.astype(float)) == pytest.approx(expected)


@pytest.mark.parametrize("noise", [0.0, 0.25])
def test_one_site_is_its_own_maximum_and_average(noise):
    for a in (0.01, 0.3):
        one = pooled_features.auc_of_maximum(a, 1, noise)
        assert one == pytest.approx(pooled_features.auc_of_average(a, 1, noise), abs=1e-5)
    # Without noise, by hand: ahead with probability 2a (1 - a), level otherwise in part.
    a = 0.3
    by_hand = 2 * a * (1 - a) + (2 * a * a + (1 - 2 * a) * (1 - a)) / 2
    assert pooled_features.auc_of_maximum(a, 1, 0.0) == pytest.approx(by_hand)


def test_two_sites_without_noise_are_a_worked_example():
    # Counts 0, 1, 2 with probabilities (.64, .32, .04) at 0.2 and (.36, .48, .16) at 0.4.
    ahead = 0.64 * (0.48 + 0.16) + 0.32 * 0.16
    level = 0.64 * 0.36 + 0.32 * 0.48 + 0.04 * 0.16
    assert pooled_features.auc_of_average(0.2, 2, 0.0) == pytest.approx(ahead + level / 2)
    # The maximum is 1 with probability 0.36 and 0.64.
    assert pooled_features.auc_of_maximum(0.2, 2, 0.0) == pytest.approx((1 + 0.64 - 0.36) / 2)


def test_the_maximum_of_a_large_pool_tells_a_doubled_rate_in_two_cases_of_three():
    # Of 3 J a equally likely winners, 2 J a belong to the second class.
    assert pooled_features.auc_of_maximum(0.2, 256, 0.25) == pytest.approx(2 / 3, abs=2e-3)


def test_a_feature_in_runs_has_the_same_rate_and_a_larger_variance_of_its_average():
    settings = pooled_features.Settings(sites=64, noise=0.0, draws=20000, run=8)
    pools = pooled_features.answers(0.1, settings, Chance(1).numpy())
    assert (pools.reshape(-1, 8, 8) == pools.reshape(-1, 8, 8)[:, :, :1]).all()
    assert pools.mean() == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / (8 * 20000)))
    # Eight independent answers, not 64.
    assert pools.mean(1).var() == pytest.approx(0.1 * 0.9 / 8, rel=0.05)


# --- templates at an unknown position --------------------------------------------------------


def test_bayes_rule_and_maximum_are_those_of_the_gaussian_densities():
    rng = Chance(2).numpy()
    drawn = unknown_position.templates((0.0, 2.0, 4.0), 12, rng)
    np.testing.assert_allclose(np.linalg.norm(drawn, axis=1), 1)
    rendered = unknown_position.turned(drawn, 5)
    assert (rendered[1, 3] == np.roll(drawn[1], 3)).all()
    x, noise = rng.standard_normal((7, 12)), 0.4
    found = unknown_position.scores(x, rendered, noise)
    log = stats.norm(scale=noise).logpdf(x[:, None, None] - rendered).sum(-1)
    posterior = logsumexp(log, axis=2)
    np.testing.assert_allclose(
        found["Bayes"] - found["Bayes"][:, :1], posterior - posterior[:, :1], atol=1e-9
    )
    likeliest = log.max(2)
    np.testing.assert_allclose(
        (found["maximum"] - found["maximum"][:, :1]) / noise**2,
        likeliest - likeliest[:, :1],
        atol=1e-9,
    )


def test_a_template_that_is_smooth_has_few_changes_of_sign():
    drawn = unknown_position.templates((0.0, 8.0), 64, Chance(3).numpy())
    rough, smooth = (int((np.diff(np.sign(t)) != 0).sum()) for t in drawn)
    assert smooth < rough / 3


def test_with_one_position_and_little_noise_every_rule_is_right():
    settings = unknown_position.Settings(examples=200)
    rng = Chance(4).numpy()
    assert (unknown_position.accuracies(settings, 1, 0.01, rng)[[0, 1, 3]] == 1).all()


# --- the likeliest explanation ---------------------------------------------------------------


def test_the_log_odds_of_a_worked_example():
    # One template of 1 x 1 pixels and height 2, noise 1, even odds: x explains with 2 x - 2.
    settings = likeliest_explanation.Settings(side=2, size=1, classes=1, noise=1.0)
    x = torch.tensor([[[[0.0, 3.0], [-1.0, 1.0]]]], dtype=torch.float64)
    template = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    odds, _ = likeliest_explanation.explanations(x, template, settings)
    assert odds.shape == (1, 1, 1, 1)
    assert odds.item() == pytest.approx(4.0)
    assert likeliest_explanation.layers(x, template, settings).item() == pytest.approx(4.0)
    # If the switch is on nine times in ten, its log-odds are added.
    likely = dataclasses.replace(settings, there=0.9)
    odds, _ = likeliest_explanation.explanations(x, template, likely)
    assert odds.item() == pytest.approx(4.0 + np.log(9))


def test_half_of_the_pictures_hold_a_template_of_a_norm_between_a_half_and_one_and_a_half():
    settings = likeliest_explanation.Settings(pictures=400, noise=1e-6)
    x, templates = likeliest_explanation.draw(settings, Chance(0).torch())
    norms = templates.square().sum((1, 2, 3)).sqrt()
    torch.testing.assert_close(norms, torch.linspace(0.5, 1.5, 4, dtype=torch.float64))
    held = x.square().sum((1, 2, 3)).sqrt()
    there = held > 0.1
    assert 140 < int(there.sum()) < 260
    distance = (held[there][:, None] - norms).abs().min(1).values
    assert distance.max() < 1e-4


def test_a_picture_that_noise_explains_has_no_class_to_be_named_otherwise():
    # Templates next to never there; without thresholds the layers name one in every picture.
    settings = likeliest_explanation.Settings(pictures=30, there=1e-4, thresholds=False)
    found = likeliest_explanation.run(settings, Chance(0))
    assert found["other_class"] <= found["explained"] < 15


# --- networks --------------------------------------------------------------------------------


def test_the_pools_are_those_of_scipy():
    z = torch.randn(1, 1, 8, 8, generator=Chance(0).torch())
    picture = z[0, 0].numpy()
    # Centred filters of 2 x 2 end at the pixel that they are at; of 3 x 3 they are around it.
    largest = ndimage.maximum_filter(picture, 2, mode="constant", cval=-np.inf)[1::2, 1::2]
    average = ndimage.uniform_filter(picture.astype(float), 2)[1::2, 1::2]
    around = ndimage.maximum_filter(picture, 3, mode="constant", cval=-np.inf)[::2, ::2]
    expected = {"maximum": largest, "average": average, "overlap": around,
                "stride": picture[::2, ::2]}  # fmt: skip
    for design, values in expected.items():
        found = _pools.pool(z, design)[0, 0].numpy()
        np.testing.assert_allclose(found, values, atol=1e-6)


@pytest.mark.parametrize("right", [-2, 1])
def test_a_shift_is_scipys_with_zeros_moving_in(right):
    x = torch.rand(2, 1, 6, 6, generator=Chance(1).torch())
    expected = ndimage.shift(x.numpy(), (0, 0, 0, right), order=0)
    assert (_pools.shifted(x, right).numpy() == expected).all()


def test_only_the_order_of_the_places_is_scattered():
    def network(design, scattered):
        return _pools.Pooled(design, scattered=scattered, generator=Chance(5).torch())

    x = torch.rand(3, 1, 16, 16, generator=Chance(2).torch())
    plain, scattered = network("maximum", False), network("maximum", True)
    assert all(
        torch.equal(a, b) for a, b in zip(plain.parameters(), scattered.parameters(), strict=True)
    )
    assert not torch.equal(plain(x), scattered(x))
    for order, count in zip(scattered.orders, (256, 64), strict=True):
        assert sorted(order.tolist()) == list(range(count))
    # A stride pools nothing, so that there is nothing to scatter.
    assert torch.equal(network("stride", False)(x), network("stride", True)(x))
    by_hand = F.max_pool2d(torch.relu(plain.layers["1"](x)), 2)
    by_hand = F.max_pool2d(torch.relu(plain.layers["2"](by_hand)), 2).flatten(1)
    torch.testing.assert_close(plain.features(x), by_hand)


def test_textures_tell_their_class_by_the_means_of_their_quarters_only():
    x, y = _pools.textures(4000, 0.2, Chance(3).torch())
    quarters = F.avg_pool2d(x, 8)[:, 0].flatten(1)
    signs = torch.tensor(_pools.QUARTERS).float()
    assert len({tuple(row) for row in signs.tolist()}) == 10
    off = quarters - 0.2 * signs[y]
    assert off.std().item() == pytest.approx(1 / 8, rel=0.05)  # 64 pixels of unit noise
    assert abs(off.mean().item()) < 0.01


def test_a_small_run_is_the_same_again_and_twice_the_steps_are_twice_the_checks():
    sgd = SGD(lr=0.02, steps=6, batch=50, momentum=0.9)
    small = pooled_networks.Settings(
        examples=100, test=50, sgd=sgd, checks=3, members=1, fast_rate=0.02
    )
    first, again = (pooled_networks.run(small, Chance(3)) for _ in range(2))
    assert all(first[name].tobytes() == again[name].tobytes() for name in first)
    assert first["ratio_fast"] == first["ratio"]
    assert first["curve"].shape == (3, 3)
    assert small.checked == first["steps"].tolist() == [2, 4, 6]
    longer = dataclasses.replace(small, sgd=dataclasses.replace(sgd, steps=12))
    assert longer.checked == [4, 8, 12]


def test_overlapping_and_plain_pools_share_the_networks_of_the_page():
    nets = read_record("design-choices/pooled-networks", "quick").runs[MAIN]
    blocks = read_record("design-choices/overlapping-pools", "quick").runs[MAIN]
    settings, base = overlapping_pools.Settings(), pooled_networks.Settings()
    for field in dataclasses.fields(_pools.Setup):
        assert getattr(settings, field.name) == getattr(base, field.name)
    for seed, result in blocks.items():
        assert result["error[blocks]"] == pytest.approx(float(nets[seed]["error[maximum]"]))
