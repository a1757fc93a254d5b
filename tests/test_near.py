"""How far an effect carries: the runs of neighbours, and what is said of them."""

import dataclasses
from types import ModuleType

import numpy as np
import pytest
from whydeep.evidence import near, results
from whydeep.evidence.claims import (
    IN_PART,
    OPPOSITE,
    SHOWN,
    UNDECIDED,
    Claim,
    Control,
    Neighbour,
    at_least,
    at_most,
    judge,
)
from whydeep.evidence.results import MAIN, NEAR, Record, Result, Sweep
from whydeep.experiments.features import convex_in_which_block as convex

GAIN = at_least("gain", "the gain is at least {bound}", 1.0, none=0.0)
COST = at_most("cost", "the cost is at most {bound}", 2.0, none=4.0)
CONTROL = Control("without", "the cause", ("gain", "cost"))
NEIGHBOURS = (
    Neighbour("digits", {"data": "digits"}, "digits"),
    Neighbour("wide", {"width": 8}, "twice the units"),
)


def claim(**changes):
    given = dict(decides=(GAIN, COST), controls=(CONTROL,), neighbours=("digits", "wide")) | changes
    expected = given.pop("expected", UNDECIDED)
    return Claim("toy", "doe1999", "effect", expected, "A toy", "A toy.", **given)


def module(*claims) -> ModuleType:
    made = ModuleType("whydeep.experiments.part.toy")
    made.CLAIMS, made.NEIGHBOURS = claims or (claim(),), NEIGHBOURS
    made.VARIANTS = {"without": {"cause": False, "width": 4}}
    return made


def runs(gain, cost, spread=0.1, n=5):
    steps = spread * np.linspace(-1, 1, n)
    return {
        100 + i: Result(gain=(gain + s, "units"), cost=(cost + s, "units"), draw=(s, "units"))
        for i, s in enumerate(steps)
    }


def outcomes(main, digits, wide, control=(0.0, 4.0), judged=None, **how):
    judged = judged or claim()
    verdict = judge(judged, {MAIN: runs(*main), "without": runs(0.0, 4.0)})
    beside = {"digits": runs(*digits, **how), "wide": runs(*wide, **how)}
    beside |= {f"{name} / without": runs(*control) for name in ("digits", "wide")}
    record = Record("part/toy", NEAR, {}, beside)
    return verdict, near.carried(verdict, module(judged), record)


def test_each_neighbour_has_its_own_run_and_one_with_the_first_control():
    assert results.near(module()) == {
        "digits": {"data": "digits"},
        "digits / without": {"cause": False, "width": 4, "data": "digits"},
        "wide": {"width": 8},
        "wide / without": {"cause": False, "width": 4},  # what the control takes away stays away
    }


def test_an_experiment_without_neighbours_has_none():
    plain = ModuleType("toy")
    plain.CLAIMS, plain.VARIANTS = (claim(neighbours=()),), {}
    assert results.near(plain) == {}


def test_an_effect_carries_where_it_lies_beyond_no_effect_on_its_side():
    # Short of the bound of 1, and still a gain.
    verdict, (digits, wide) = outcomes((2, 1), (0.5, 3.0), (0.05, 3.0))
    assert verdict.word == SHOWN
    assert digits.carries
    assert not wide.carries  # from -0.04 to 0.14: it may be nothing
    assert not outcomes((2, 1), (-2, 3.0), (2, 5.0))[1][0].carries


def test_all_conditions_that_are_in_favour_have_to_carry_and_no_others():
    verdict, (digits, _) = outcomes((2, 1), (2, 4.5), (2, 1))
    assert not digits.carries
    verdict, (digits, _) = outcomes((2, 3), (2, 4.5), (2, 1))
    assert verdict.word == IN_PART
    assert digits.carries


def test_it_does_not_carry_where_the_control_has_the_effect_too():
    assert not any(each.carries for each in outcomes((2, 1), (2, 1), (2, 1), control=(2, 1))[1])


def test_what_is_opposite_carries_where_it_is_opposite():
    verdict, (digits, wide) = outcomes((-2, 5), (-2, 5), (2, 1))
    assert verdict.word == OPPOSITE
    assert (digits.carries, wide.carries) == (True, False)


def test_of_a_statement_of_equality_the_margin_has_to_hold():
    close = at_most("cost", "the two differ by at most {bound}", 1.0, none=1.0)
    judged = claim(decides=(close,), controls=(Control("without", "the cause", ("cost",)),))
    verdict, (digits, wide) = outcomes((0, 0.5), (0, 0.5), (0, 1.05), judged=judged)
    assert verdict.word == SHOWN
    assert (digits.carries, wide.carries) == (True, False)


def test_an_undecided_effect_carries_nowhere_and_says_nothing():
    verdict, found = outcomes((1.05, 1), (2, 1), (2, 1))
    assert verdict.word == UNDECIDED
    assert found == ()


@pytest.mark.parametrize(
    ("yes", "n", "only"), [(0, 2, True), (1, 2, True), (2, 3, False), (0, 0, False)]
)
def test_the_badge_says_only_here_unless_more_than_half_carry(yes, n, only):
    each = [near.Carried(NEIGHBOURS[0], i < yes, (), ()) for i in range(n)]
    assert near.only_here(each) is only


def test_neighbours_are_run_and_recorded_beside_the_main_record(tmp_path, monkeypatch):
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path))
    few = {"quick": convex.Settings(lines=1, points=21)}
    monkeypatch.setattr(convex, "SCALES", few)
    monkeypatch.setattr(
        convex, "NEIGHBOURS", (Neighbour("short", {"points": 11}, "few points"),), False
    )
    (judged,) = convex.CLAIMS

    named = dataclasses.replace(judged, neighbours=("short",))
    monkeypatch.setattr(convex, "CLAIMS", (named,))
    wanted = Sweep(convex, "features/convex-in-which-block", "quick", (100, 101), beside=True)
    (record,) = results.sweeps([wanted])
    first = judged.controls[0].variant
    assert record.scale == NEAR
    assert list(record.runs) == ["short", f"short / {first}"]
    assert record.seeds == [100, 101]
    assert record.provenance["scale"] == "quick"
    files = sorted(path.name for path in tmp_path.rglob("*.json"))
    assert len(files) == 4
    assert not any(" / " in name for name in files)
    # Other settings under the same name are other runs.
    other = (Neighbour("short", {"points": 15}, "few points"),)
    monkeypatch.setattr(convex, "NEIGHBOURS", other, False)
    (again,) = results.sweeps([wanted])
    assert len(list(tmp_path.rglob("*.json"))) == 8
    assert again.provenance["variants"] != record.provenance["variants"]
