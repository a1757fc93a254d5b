"""The one loop and its rules: against torch.optim, by hand, and member by member."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from whydeep.chance import Chance
from whydeep.descent import (
    adam,
    by_ten,
    decay,
    descend,
    each,
    epochs,
    max_norm,
    momentum,
    plain,
    times,
    to_zero,
    walk,
)

F64 = torch.float64
K, N = 3, 12


def problem(seed=0):
    """K least-squares problems with matrices of their own: start, loss, data."""
    generator = Chance(seed).torch()
    x = torch.randn(K, N, 4, generator=generator, dtype=F64)
    y = torch.randn(K, N, 2, generator=generator, dtype=F64)
    weights = [
        torch.randn(K, 4, 2, generator=generator, dtype=F64),
        torch.zeros(K, 1, 2, dtype=F64),
    ]

    def loss(w, rows):
        return (torch.baddbmm(w[1], x[:, rows], w[0]) - y[:, rows]).square().mean((1, 2))

    return weights, loss


def batches():
    return epochs(N, 5, Chance(1)["order"])


def by_torch(make, steps):
    """Every member alone with an optimiser of PyTorch's."""
    weights, loss = problem()
    ends = []
    for k in range(K):
        own = [w.clone().requires_grad_() for w in weights]
        optimiser, rows = make([*own], k), batches()
        for _ in range(steps):
            optimiser.zero_grad()
            loss(own, next(rows))[k].backward()
            optimiser.step()
        ends.append([w[k].detach() for w in own])
    return [torch.stack(parts) for parts in zip(*ends, strict=True)]


RULES = {
    "plain": ((), lambda w, k: torch.optim.SGD(w, lr=0.1)),
    "momentum": ((momentum, 0.8), lambda w, k: torch.optim.SGD(w, lr=0.1, momentum=0.8)),
    "decay": ((decay, 0.3), lambda w, k: torch.optim.SGD(w, lr=0.1, weight_decay=0.3)),
    "adam": ((adam, 0.8, 0.95), lambda w, k: torch.optim.Adam(w, lr=0.1, betas=(0.8, 0.95))),
}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_that_of_torch_optim(name):
    made, optimiser = RULES[name]
    weights, loss = problem()
    rule = [made[0](*made[1:])] if made else []
    found, _ = descend(weights, loss, batches(), steps=40, lr=0.1, rule=rule)
    for ours, theirs in zip(found, by_torch(optimiser, 40), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_decay_then_momentum_and_rates_for_each_member_are_those_of_torch_optim():
    rates, amounts, betas = (
        torch.tensor(v, dtype=F64) for v in ((0.1, 0.05, 0.2), (0, 0.1, 1e-2), (0.9, 0.5, 0))
    )
    weights, loss = problem()
    rule = (decay(amounts), momentum(betas))
    found, _ = descend(weights, loss, batches(), steps=40, lr=rates, rule=rule)

    def make(w, k):
        how = dict(lr=rates[k].item(), momentum=betas[k].item(), weight_decay=amounts[k].item())
        return torch.optim.SGD(w, **how)

    for ours, theirs in zip(found, by_torch(make, 40), strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-10, atol=1e-12)


def test_one_step_by_hand():
    # loss (w - 3)^2 / 2 at w = 1: the slope is -2; with decay 0.5 it is -1.5; w becomes 1.15.
    w, _ = descend(
        [torch.tensor([[1.0]])], lambda w, _: (w[0][:, 0] - 3).square() / 2, iter([None]),
        steps=1, lr=0.1, rule=(decay(0.5),),
    )  # fmt: skip
    assert w[0].item() == pytest.approx(1.15)


def test_a_resting_weight_keeps_its_velocity():
    # The slope is 1 throughout; the weight rests at step 1: v is 1, (1), 1.5; it moves by 2.5.
    on = [1.0, 0.0, 1.0]
    w, _ = descend(
        [torch.zeros(1, 1)], lambda w, _: w[0][:, 0], iter([None] * 3), steps=3, lr=1.0,
        rule=(momentum(0.5, lambda now: [torch.tensor(on[now.t])]),),
    )  # fmt: skip
    assert w[0].item() == -2.5


def test_each_member_follows_its_own_rule_and_no_neighbours():
    weights, loss = problem()
    rules = {"plain": plain, "adam": adam(), "momentum": momentum(0.9)}
    found, _ = descend(
        weights, loss, batches(), steps=20, lr=0.05, rule=(each((2, 0, 1), *rules.values()),)
    )
    for k, name in enumerate(("momentum", "plain", "adam")):
        alone = {"plain": plain, "adam": adam(), "momentum": momentum(0.9)}[name]
        own, _ = descend(weights, loss, batches(), steps=20, lr=0.05, rule=(alone,))
        for a, b in zip(found, own, strict=True):
            assert torch.allclose(a[k], b[k], rtol=1e-12, atol=1e-14)


def test_a_mask_of_zero_leaves_a_weight_where_it_is():
    weights, loss = problem()
    found, _ = descend(
        weights,
        loss,
        batches(),
        steps=5,
        lr=0.1,
        rule=(times(lambda now: (1.0, 0.0)), momentum(0.9)),
    )
    assert torch.equal(found[1], weights[1])
    assert not torch.equal(found[0], weights[0])


def test_rates_by_the_step():
    by = by_ten(0.8, [4, 2])
    assert [by(t) for t in range(6)] == pytest.approx([0.8, 0.8, 0.08, 0.08, 0.008, 0.008])
    assert [to_zero(0.8, 4)(t) for t in range(5)] == pytest.approx([0.8, 0.6, 0.4, 0.2, 0.0])


@given(c=st.floats(0.1, 5), seed=st.integers(0, 99))
def test_no_unit_is_longer_than_its_bound_and_shorter_ones_stay(c, seed):
    before = torch.randn(6, 3, 2, 2, generator=Chance(seed).torch(), dtype=F64)
    matrix, other = before.clone(), before.clone()
    max_norm(c, [0])([matrix, other])
    long = before.flatten(1).norm(dim=1) > c
    assert torch.allclose(matrix[long].flatten(1).norm(dim=1), torch.tensor(c, dtype=F64))
    cosine = torch.cosine_similarity(matrix.flatten(1), before.flatten(1))
    assert torch.allclose(cosine, torch.ones(6, dtype=F64))
    assert torch.equal(matrix[~long], before[~long])
    assert torch.equal(other, before)


def test_the_weights_given_stay_and_looks_see_the_numbers_of_steps_asked_for():
    weights, loss = problem()
    before = [w.clone() for w in weights]
    found, seen = descend(
        weights, loss, batches(), steps=7, lr=0.1, look=lambda w: w[0].clone(), look_at=(7, 0, 3)
    )
    assert all(torch.equal(a, b) for a, b in zip(weights, before, strict=True))
    three, _ = descend(weights, loss, batches(), steps=3, lr=0.1)
    assert [
        torch.equal(a, b) for a, b in zip(seen, (weights[0], three[0], found[0]), strict=True)
    ] == [True] * 3


def test_a_walk_tells_the_loss_before_each_step():
    weights, loss = problem()
    rows = list(epochs(N, 5, Chance(1)["order"], 1))
    own = [w.clone().requires_grad_() for w in weights]
    told = list(walk(own, loss, iter(rows), lr=0.1))
    assert len(told) == len(rows) == 3
    assert torch.equal(told[0], loss(weights, rows[0]))


@pytest.mark.parametrize("look_at", [(-1,), (0, 8)])
def test_a_look_outside_the_steps_is_refused(look_at):
    weights, loss = problem()
    with pytest.raises(ValueError, match=r"look_at has .*, expected 0 to 7"):
        descend(weights, loss, batches(), steps=7, lr=0.1, look=len, look_at=look_at)


def test_chance_that_ends_early_is_told():
    weights, loss = problem()
    with pytest.raises(ValueError, match="chance ends after 3 draws, expected 7"):
        descend(weights, loss, epochs(N, 5, Chance(1)["order"], 1), steps=7, lr=0.1)


@given(n=st.integers(1, 30), size=st.integers(1, 30), count=st.integers(0, 3))
def test_an_epoch_holds_every_example_once_and_whole_ones_no_smaller_batch(n, size, count):
    rows = list(epochs(n, size, Chance(2)["order"], count))
    assert sorted(torch.cat(rows).tolist() if rows else []) == sorted([*range(n)] * count)
    whole = list(epochs(n, size, Chance(2)["order"], count, whole=True))
    assert {len(each) for each in whole} <= {min(n, size)}
    assert len(whole) == count * max(1, n // size)
