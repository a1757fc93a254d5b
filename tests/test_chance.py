"""Chance: one list of streams, all apart, and no generator made from a seed anywhere else."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
import whydeep
from hypothesis import given
from hypothesis import strategies as st
from whydeep.chance import STREAMS, Chance, chances

PACKAGE = Path(whydeep.__file__).parent


@given(seed=st.integers(0, 2**63 - 1))
def test_no_two_streams_begin_alike(seed):
    chance = Chance(seed)
    streams = [chance[name] for name in STREAMS] + [chance.torch()]
    streams += [each[name] for each in chance.members(3) for name in STREAMS]
    streams += [each.torch() for each in chance.members(3)]
    assert len({stream.initial_seed() for stream in streams}) == len(streams)


@pytest.mark.parametrize("name", STREAMS)
def test_a_stream_asked_for_twice_begins_anew(name):
    one, again = Chance(5)[name], Chance(5)[name]
    assert torch.equal(torch.rand(8, generator=one), torch.rand(8, generator=again))
    assert not torch.equal(torch.rand(8, generator=one), torch.rand(8, generator=Chance(5)[name]))


def test_the_plain_generators_are_those_of_the_seed():
    ours = torch.rand(4, generator=Chance(3).torch())
    assert torch.equal(ours, torch.rand(4, generator=torch.Generator().manual_seed(3)))
    assert Chance(3).numpy().random() == np.random.default_rng(3).random()
    assert Chance(3).numpy(7).random() == np.random.default_rng([3, 7]).random()
    assert Chance(3).numpy(7).random() != Chance(3).numpy(8).random()


@given(seed=st.integers(0, 2**63), k=st.integers(1, 5))
def test_members_are_those_of_numpys_spawn_every_time(seed, k):
    for _ in range(2):
        for member, child in zip(
            Chance(seed).members(k), np.random.SeedSequence(seed).spawn(k), strict=True
        ):
            assert member.numpy().random() == np.random.default_rng(child).random()


def test_members_differ_and_the_first_are_the_same_whatever_their_number():
    few, many = Chance(0).members(2), Chance(0).members(9)
    drawn = [[each.numpy().random(), each["init"].initial_seed()] for each in many]
    assert [[each.numpy().random(), each["init"].initial_seed()] for each in few] == drawn[:2]
    assert len({number for pair in drawn for number in pair}) == 18
    assert Chance(0).members(2)[1].members(2)[0].numpy().random() not in {d for d, _ in drawn}


def test_what_is_a_chance_stays_one():
    chance = Chance(4)
    assert chances([chance, 4])[0] is chance
    assert chances([4])[0].seed == 4
    assert repr(Chance(4).members(2)[1]) == "Chance(4).members()[1]"


def test_an_unknown_stream_is_named():
    with pytest.raises(KeyError, match=r"no stream of chance is called 'lables'.*labels"):
        Chance(0)["lables"]


def test_no_other_module_makes_a_generator_from_a_seed():
    makers = {"manual_seed", "default_rng", "SeedSequence", "RandomState", "seed_everything"}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        # A reader's snippet has no package to import, and the Playground has one stream, SplitMix.
        if path.name in ("chance.py", "playground_torch.py") or "fonts" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            name = getattr(node, "attr", getattr(node, "id", None))
            if name in makers:
                found.append(f"{path.relative_to(PACKAGE)}:{node.lineno} {name}")
    assert not found
