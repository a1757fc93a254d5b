"""The plan of all runs counts what is to be run, and shares it out as a list schedule does."""

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "code" / "benchmarks"))
import plan


def test_longest_first_on_grahams_example_takes_seven_where_six_would_do():
    # R. L. Graham, Bounds on multiprocessing timing anomalies, 1969: 4/3 - 1/(3m) is attained.
    assert plan.makespan([3, 3, 2, 2, 2], cores=2) == 7
    assert plan.makespan([2, 2, 2, 3, 3], cores=2, start=1) == 8


@given(
    st.lists(st.integers(1, 100), min_size=1, max_size=40),
    st.integers(1, 10),
)
def test_no_schedule_beats_the_work_or_the_longest_run_and_graham_bounds_it(runs, cores):
    least = max(sum(runs) / cores, max(runs))
    found = plan.makespan(sorted(runs, reverse=True), cores)
    assert least <= found <= sum(runs) / cores + max(runs)


def test_every_claim_brings_its_seeds_variants_and_neighbours():
    runs = plan.runs_of([plan.Cost(1.0, 3, 1)], claims=4, seeds=10, dearer=2.0, draw=0)
    assert runs.count(1.0) == 4 * 10 * 3
    neighbours = runs.count(2.0) / (5 * 2)
    assert 4 * 2 <= neighbours <= 4 * 4
    assert len(runs) == runs.count(1.0) + runs.count(2.0)


def test_known_experiments_come_first_and_the_draw_is_visible():
    costs = [plan.Cost(1.0, 1, 1), plan.Cost(5.0, 1, 1), plan.Cost(9.0, 1, 0)]
    first = plan.runs_of(costs, claims=2, seeds=1, dearer=3.0, draw=0)
    assert {1.0, 5.0, 9.0, 3.0, 15.0} == set(first)  # no claim, no neighbours
    more = [plan.runs_of(costs, claims=30, seeds=1, dearer=3.0, draw=d) for d in (0, 0, 1)]
    assert more[0] == more[1] != more[2]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(42, "42 s"), (719, "12 min"), (3900, "1 h 05 min"), (3599, "1 h 00 min")],
)
def test_durations_are_told_in_round_units(seconds, words):
    assert plan.told(seconds) == words
