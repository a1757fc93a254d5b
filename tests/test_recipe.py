"""The ingredients of the recipe against worked examples, PyTorch's own, and plain SGD."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from whydeep.chance import Chance
from whydeep.datasets.moved import mirrored, shifted
from whydeep.descent import max_norm
from whydeep.descent.recipe import Recipe, error, fit, mean_loss
from whydeep.errors import BadSettings
from whydeep.networks import Dense
from whydeep.networks.layers import Dropout
from whydeep.networks.miniature import Choices, build

DATA = Chance(0).torch()
X = torch.randn(60, 8, generator=DATA)
Y = (X[:, 0] + X[:, 1] > 0).long()


def network(seed: int = 0, rate: float = 0.0) -> nn.Module:
    chance = Chance(seed)
    made = Dense((8, 16, 2), generator=chance["init"])
    return nn.Sequential(Dropout(rate, generator=chance["dropout"]), made) if rate else made


def test_dropout_keeps_the_mean_and_leaves_out_the_stated_share():
    drop = Dropout(0.3, generator=Chance(1).torch())
    dropped = drop(torch.ones(400, 500))
    share = float((dropped == 0).double().mean())
    assert share == pytest.approx(0.3, abs=5 * (0.3 * 0.7 / 200_000) ** 0.5)
    assert set(dropped.unique().tolist()) == {0.0, float(torch.tensor(1.0) / 0.7)}
    assert float(dropped.mean()) == pytest.approx(1, abs=0.01)


def test_dropout_changes_nothing_in_eval_mode():
    drop = Dropout(0.9, generator=Chance(0).torch()).eval()
    assert torch.equal(drop(X), X)


def test_dropout_draws_a_mask_of_its_own_for_every_example():
    drop = Dropout(0.5, generator=Chance(1).torch())
    dropped = drop(torch.ones(64, 100))
    assert len(dropped.unique(dim=0)) == 64


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_a_rate_that_is_no_probability_below_one_is_refused(rate):
    with pytest.raises(BadSettings, match="dropout rate"):
        Dropout(rate, generator=Chance(0).torch())


@pytest.mark.parametrize("shape", [(5, 7), (5, 3, 2, 2)])
def test_long_columns_are_scaled_back_and_short_ones_left_alone(shape):
    weight = torch.randn(shape, generator=Chance(2).torch())
    weight[0] = 0
    before = weight.clone()
    c = float(weight.flatten(1).norm(dim=1).median())
    max_norm(c, [0])([weight])
    after, norms = weight.flatten(1), before.flatten(1).norm(dim=1)
    assert torch.allclose(after.norm(dim=1), norms.clamp_max(c))
    assert torch.equal(weight[norms <= c], before[norms <= c])
    assert torch.allclose(F.cosine_similarity(after[1:], before.flatten(1)[1:]), torch.ones(4))


def test_a_shifted_image_is_a_crop_of_the_padded_one():
    x = torch.rand(500, 2, 5, 6, generator=Chance(3).torch())
    moved = shifted(x, 2, generator=Chance(4).torch())
    padded = F.pad(x, (2, 2, 2, 2))
    crops = [padded[:, :, i : i + 5, j : j + 6] for i in range(5) for j in range(5)]
    same = torch.stack([(crop == moved).flatten(1).all(1) for crop in crops], 1)
    assert same.any(1).all()
    assert same.any(0).all(), "each of the 25 places occurs among 500 images"


def test_mirroring_flips_about_half_of_the_images():
    x = torch.rand(400, 1, 3, 4, generator=Chance(3).torch())
    seen = mirrored(x, generator=Chance(5).torch())
    flipped = (seen == x.flip(-1)).flatten(1).all(1)
    assert torch.equal(seen[~flipped], x[~flipped])
    assert 150 < int(flipped.sum()) < 250


def test_response_normalisation_is_that_of_the_paper():
    # Krizhevsky et al. 2012, section 3.3: n = 5 neighbours, k = 2, alpha = 1e-4, beta = 0.75.
    x = 100 * torch.rand(3, 9, 4, 4, generator=DATA, dtype=torch.float64)
    near = [x[:, max(0, i - 2) : i + 3].square().sum(1) for i in range(9)]
    theirs = x / (2 + 1e-4 * torch.stack(near, 1)) ** 0.75
    ours = build(Choices(), Chance(0)).norms["conv1"](x)
    assert torch.allclose(ours, theirs, rtol=0, atol=1e-12)


def test_without_ingredients_the_loop_is_torchs_sgd():
    recipe = Recipe(epochs=3, lr=0.1, batch_size=16, momentum=0.9, weight_decay=0.01)
    ours, theirs = network().double(), network().double()
    x = X.double()
    fit(ours, x, Y, recipe, chance=Chance(0))
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.1, momentum=0.9, weight_decay=0.01)
    order = Chance(0)["order"]
    for _ in range(3):
        for rows in torch.randperm(60, generator=order).split(16):
            sgd.zero_grad()
            F.cross_entropy(theirs(x[rows]), Y[rows]).backward()
            sgd.step()
    for w, v in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(w, v, rtol=0, atol=1e-12)


def test_dividing_by_ten_is_a_run_with_a_tenth_of_the_rate_from_there_on():
    ours, theirs = network(), network()
    how = dict(batch_size=60, momentum=0.0)  # all examples, so that their order says nothing
    fit(ours, X, Y, Recipe(epochs=4, lr=0.1, divide_at=(1,), **how), chance=Chance(0))
    for epochs, lr in ((1, 0.1), (3, 0.01)):
        fit(theirs, X, Y, Recipe(epochs=epochs, lr=lr, **how), chance=Chance(0))
    for w, v in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(w, v)


def test_the_bound_holds_after_training_and_spares_the_classifier():
    bounded = network()
    fit(bounded, X, Y, Recipe(epochs=4, lr=0.5, batch_size=16, max_norm=0.7), chance=Chance(0))
    first, last = (w.detach().norm(dim=1) for n, w in bounded.named_parameters() if w.ndim > 1)
    assert float(first.max()) <= 0.7 + 1e-6
    assert float(last.max()) > 2 * 0.7


def test_equal_seeds_give_equal_runs_dropout_included():
    recipe = Recipe(epochs=2, lr=0.1, batch_size=16)
    histories = [
        fit(
            network(seed, rate=0.5),
            X,
            Y,
            recipe,
            chance=Chance(seed),
            measure={"loss": mean_loss(X, Y)},
        )
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(histories[0]["loss"], histories[1]["loss"])
    assert not np.array_equal(histories[0]["loss"], histories[2]["loss"])


def test_the_history_counts_epochs_and_learning_shows():
    measures = {"error": error(X, Y), "loss": mean_loss(X, Y)}
    history = fit(network(), X, Y, Recipe(epochs=30, lr=0.1), chance=Chance(0), measure=measures)
    assert {name: len(v) for name, v in history.items()} == {
        "error": 31, "loss": 31, "batch_loss": 30
    }  # fmt: skip
    assert history["error"][-1] < 0.1
    assert history["loss"][-1] < history["loss"][0]


@pytest.mark.parametrize(
    ("recipe", "says"),
    [
        (Recipe(epochs=1, lr=0.1, shift=1), "only images"),
        (Recipe(epochs=1, lr=0.1, max_norm=0.0), "expected more than 0"),
        (Recipe(epochs=1, lr=0.1, max_norm=1.0, bounded=("nothing",)), "names among"),
        (Recipe(epochs=-1, lr=0.1), "expected 0 epochs or more"),
    ],
)
def test_settings_that_do_not_fit_are_refused_in_one_line(recipe, says):
    with pytest.raises(BadSettings, match=says) as refused:
        fit(network(), X, Y, recipe, chance=Chance(0))
    assert "\n" not in str(refused.value)
