"""A rerun against its record: equal numbers, numbers within chance, and numbers that moved."""

import dataclasses

import numpy as np
import pytest
from whydeep import cli
from whydeep.descent import SGD
from whydeep.evidence.claims import SHOWN, UNDECIDED, Claim, Control, at_least, at_most, judge
from whydeep.evidence.compare import ERRORS, MOVED, SAME, WITHIN, compare
from whydeep.evidence.machine import KEYS, arithmetic
from whydeep.evidence.provenance import repository
from whydeep.evidence.results import Record, Result, sweep, write_record
from whydeep.experiments.mysterious_steps import dropout
from whydeep.labs import thinned

HERE = arithmetic()
ELSEWHERE = HERE | {"processor": "another"}
SEEDS = range(5)


def result(rng, effect: float, arm: float) -> Result:
    """A run of two arms: curves over eight epochs, and what is read off their ends."""
    plain = 0.3 + 0.02 * rng.standard_normal() + 0.1 * rng.random(8)
    treated = plain - effect + 0.01 * rng.standard_normal(8)
    noisy = plain + 0.2 + 0.02 * rng.standard_normal(8)
    return Result(
        gain=(plain[-1] - treated[-1], "fraction"),
        loss_ratio=(treated[-1] / plain[-1], "ratio"),
        cost=(arm + 0.005 * rng.standard_normal(), "fraction"),
        plain=(plain, "fraction"),
        treated=(treated, "fraction"),
        noisy=(noisy, "fraction"),
    )


def record_of(seed: int = 0, where=HERE) -> Record:
    """A main run with an effect of 0.1 and a control with one of 0.02, over five seeds."""
    rng = np.random.default_rng(seed)
    runs = {
        "main": {s: result(rng, 0.1, 0.0) for s in SEEDS},
        "without": {s: result(rng, 0.02, 0.0) for s in SEEDS},
    }
    return Record("part/toy", "quick", dict(where), runs)


def changed(record: Record, change, variants=("main", "without"), seeds=SEEDS) -> Record:
    """The record with ``change(values)`` of some runs, where values are arrays by name."""
    runs = {variant: dict(by_seed) for variant, by_seed in record.runs.items()}
    for variant in variants:
        for seed in seeds:
            run = runs[variant][seed]
            values = change({name: value.copy() for name, value in run.items()})
            runs[variant][seed] = Result(
                **{n: (v, run.units.get(n, "new")) for n, v in values.items()}
            )
    return dataclasses.replace(record, runs=runs)


def elsewhere(record: Record) -> Record:
    return dataclasses.replace(record, provenance=dict(ELSEWHERE))


# --- on the arithmetic of the record ------------------------------------------------------------


def test_the_same_numbers_on_the_same_arithmetic_are_the_same():
    record = record_of()
    found = compare(record, record_of())
    assert (found.word, found.moved, str(found)) == (SAME, (), "same")


@pytest.mark.parametrize("variant", ["main", "without"])
@pytest.mark.parametrize("quantity", ["gain", "noisy"])
def test_one_changed_number_of_one_seed_of_any_variant_has_moved_and_is_named(variant, quantity):
    def nudge(values):
        values[quantity].flat[-1] += 1e-4
        return values

    record = record_of()
    found = compare(record, changed(record, nudge, [variant], [3]))
    assert found.word == MOVED
    (line,) = found.moved
    index = "[7]" if quantity == "noisy" else ""
    where = quantity if variant == "main" else f"without {quantity}"
    before = record.runs[variant][3][quantity].flat[-1]
    assert line == f"{where}{index} of seed 3: {before:.6g} -> {before + 1e-4:.6g}"
    assert line in str(found)


def test_what_the_last_digits_of_a_decimal_lose_has_not_moved():
    record = record_of()
    shorter = changed(record, lambda values: {n: np.float32(v) for n, v in values.items()})
    assert compare(record, shorter).word == SAME


def test_a_small_number_may_round_by_its_own_size_only():
    record = changed(record_of(), lambda values: values | {"tiny": np.array(3e-9)})
    for factor, word in ((1 + 1e-7, SAME), (1.01, MOVED)):
        other = changed(record, lambda v, by=factor: v | {"tiny": v["tiny"] * by})
        assert compare(record, other).word == word


def test_only_seeds_that_both_have_are_compared_and_none_is_no_difference():
    record = record_of()
    fewer = {variant: {3: by_seed[3], 9: by_seed[4]} for variant, by_seed in record.runs.items()}
    assert compare(record, dataclasses.replace(record, runs=fewer)).word == SAME


def test_a_long_list_of_moved_numbers_is_cut_to_five():
    found = compare(record_of(0), record_of(1))
    assert len(found.moved) == 12
    assert str(found).endswith("; and 7 more)")


# --- on another arithmetic ------------------------------------------------------------------------


def test_rounding_on_another_arithmetic_is_within_chance():
    record = record_of()
    rounded = changed(record, lambda values: {n: v * (1 + 1e-5) for n, v in values.items()})
    assert compare(record, rounded).word == MOVED
    assert compare(record, elsewhere(rounded)).word == WITHIN
    assert compare(record, elsewhere(record)).word == SAME


def test_a_training_that_ends_elsewhere_for_chance_is_within_chance():
    # As many draws of the same law: what a chaotic training gives on another processor at worst.
    words = [compare(record_of(0), record_of(seed, ELSEWHERE)).word for seed in range(1, 41)]
    assert set(words) == {WITHIN}


@pytest.mark.parametrize("what", KEYS)
def test_each_part_of_the_arithmetic_tells_two_machines_apart(what):
    record = record_of()
    rounded = changed(record, lambda values: {n: v * (1 + 1e-5) for n, v in values.items()})
    other = dataclasses.replace(rounded, provenance=HERE | {what: "other"})
    silent = {key: value for key, value in HERE.items() if key != what}
    assert compare(record, other).word == WITHIN
    assert compare(dataclasses.replace(record, provenance=silent), rounded).word == WITHIN


def test_a_mean_further_off_than_the_seeds_allow_has_moved_on_any_arithmetic():
    record = record_of()
    spread = np.std([record.runs["main"][s]["cost"] for s in SEEDS], ddof=1)

    def shift(by):
        return changed(record, lambda v: v | {"cost": v["cost"] + by}, ["main"])

    reach = ERRORS * spread * np.sqrt(2 / 5)
    assert compare(record, elsewhere(shift(0.9 * reach))).word == WITHIN
    found = compare(record, elsewhere(shift(1.2 * reach)))
    assert found.word == MOVED
    assert found.moved[0].startswith("cost of seed 0: ")


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_number_that_is_none_any_more_has_moved(value):
    record = record_of()
    lost = changed(record, lambda v: v | {"gain": np.array(value)}, ["without"], [2])
    assert compare(record, elsewhere(lost)).word == MOVED


def test_what_does_not_vary_over_the_seeds_may_round_but_not_change():
    record = changed(record_of(), lambda v: v | {"size": np.array(128.0)})
    for by, word in ((1e-2, WITHIN), (1.0, MOVED)):
        other = changed(record, lambda v, by=by: v | {"size": v["size"] + by})
        assert compare(record, elsewhere(other)).word == word


# --- the shape of what is compared --------------------------------------------------------------


def drop(values):
    return {name: value for name, value in values.items() if name != "gain"}


@pytest.mark.parametrize("where", [HERE, ELSEWHERE], ids=["here", "elsewhere"])
@pytest.mark.parametrize(
    ("change", "says"),
    [
        (drop, "without gain is not what it was, or is missing"),
        (lambda v: v | {"more": np.array(1.0)}, "without more is not what it was, or is missing"),
        (lambda v: v | {"plain": v["plain"][:-1]}, "without plain is not what it was"),
        (lambda v: v | {"gain": np.full(1, v["gain"])}, "without gain is not what it was"),
    ],
)
def test_a_quantity_that_came_went_or_changed_its_shape_has_moved(change, says, where):
    record = record_of()
    other = dataclasses.replace(changed(record, change, ["without"], [4]), provenance=dict(where))
    for found in (compare(record, other), compare(other, record)):
        assert found.word == MOVED
        assert says in str(found)


def found_points(seed: int = 0, where=HERE, shift: float = 0.0, more: int = 0) -> Record:
    """As many energies in each seed as it happened to find."""
    rng = np.random.default_rng(seed)
    runs = {s: Result(e=(rng.normal(shift, 1, rng.integers(80, 120) + more), "1")) for s in SEEDS}
    return Record("part/toy", "quick", dict(where), {"main": runs})


def test_where_each_seed_has_as_many_numbers_as_it_finds_they_are_compared_one_by_one():
    record = found_points()
    assert compare(record, found_points()).word == SAME
    moved = found_points()
    moved.runs["main"][3]["e"][70] += 0.01
    assert str(compare(record, moved)).startswith("MOVED (e[70] of seed 3: ")
    for other in (found_points(1), found_points(more=1)):
        assert str(compare(record, other)) == "MOVED (e is not what it was, or is missing)"


def test_on_another_arithmetic_their_number_mean_and_spread_are_within_chance():
    record = found_points()
    assert compare(record, found_points(1, ELSEWHERE)).word == WITHIN
    for other, what in (
        (found_points(1, ELSEWHERE, shift=1.0), "mean of e of seed 0"),
        (found_points(1, ELSEWHERE, more=200), "number of e of seed 0"),
    ):
        found = compare(record, other)
        assert found.word == MOVED
        assert what in str(found)


def test_a_variant_that_only_one_of_them_has_has_moved():
    record = record_of()
    fewer = dataclasses.replace(record, runs={"main": record.runs["main"]})
    for found in (compare(record, fewer), compare(fewer, record)):
        assert (found.word, found.moved) == (MOVED, ("without is in one of them only",))


def test_another_unit_has_moved():
    record = record_of()
    runs = {
        variant: {
            seed: Result(
                **{n: (v, "percent" if n == "gain" else run.units[n]) for n, v in run.items()}
            )
            for seed, run in by_seed.items()
        }
        for variant, by_seed in record.runs.items()
    }
    found = compare(record, dataclasses.replace(record, runs=runs))
    assert found.word == MOVED
    assert found.moved == ("gain changed its unit", "without gain changed its unit")


def test_times_are_left_out():
    record = record_of()
    slower = changed(record, lambda v: v | {"cost": v["cost"] * 7})
    assert compare(record, slower).word == MOVED
    assert compare(record, slower, timed=("cost",)).word == SAME


# --- wrong programs, as arrays -------------------------------------------------------------------
#
# Each passed every test and `whydeep check` when checks looked at the verdict's word alone.

CLAIM = Claim(
    id="toy",
    cite="doe1999",
    title="A toy",
    says="The treatment has an effect.",
    kind="effect",
    expected=SHOWN,
    decides=(
        at_least("gain", "the gain is at least 0.05", 0.05, none=0.0),
        at_most("loss_ratio", "the ratio is at most 0.95", 0.95, none=1.0),
        at_most("cost", "the cost is at most 0.02", 0.02, none=0.02),
    ),
    controls=(
        Control("without", "the cause", ("gain",), (at_most("cost", "it trains", 0.1),)),
        Control("harder", "another", ("loss_ratio", "cost"), (at_most("gain", "", 9.0),)),
    ),
)


def harder(record: Record) -> Record:
    def worse(v):
        return v | {"loss_ratio": v["loss_ratio"] + 0.6, "cost": v["cost"] + 0.2}

    other = changed(record, worse, ["without"])
    return dataclasses.replace(record, runs=record.runs | {"harder": other.runs["without"]})


def control_equal_to_the_untreated_arm(values):
    """The line that masks the gradient is gone: the treated arm of the control is the plain one."""
    return values | {
        "treated": values["plain"],
        "gain": np.array(0.0),
        "loss_ratio": np.array(1.0),
    }


def ratio_from_the_wrong_arm(values):
    return values | {"loss_ratio": np.array(values["noisy"][-1] / values["plain"][-1] - 0.9)}


def cost_from_the_noisy_arms(values):
    return values | {"cost": values["cost"] - 0.166}


@pytest.mark.parametrize(
    ("wrong", "variants", "moved", "word", "elsewhere_"),
    [
        # Undecided, as the control does not act.
        (control_equal_to_the_untreated_arm, ["without"], "without gain", UNDECIDED, WITHIN),
        # Both ratios are near enough that another processor could have made the one of the other.
        (ratio_from_the_wrong_arm, ["main"], "loss_ratio", SHOWN, WITHIN),
        (cost_from_the_noisy_arms, ["main"], "cost", SHOWN, MOVED),
    ],
)
def test_a_wrong_program_whose_words_are_the_registered_ones_has_moved(
    wrong, variants, moved, word, elsewhere_
):
    record = harder(record_of())
    assert judge(CLAIM, record.runs).as_registered
    other = changed(record, wrong, variants)
    assert judge(CLAIM, other.runs).word == word
    found = compare(record, other)
    assert found.word == MOVED
    assert any(line.startswith(moved) for line in found.moved)
    assert compare(record, elsewhere(other)).word == elsewhere_


# --- the whole way: a broken mechanism, `whydeep check`, the number that moved --------------------

SMALL = dataclasses.replace(
    dropout.SCALES["quick"], examples=60, width=12, every=2,
    sgd=SGD(lr=0.02, epochs=6, batch=25, momentum=0.9, cool=2),
)  # fmt: skip


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A checkout of one's own with a record of small runs of the page on dropout."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_DATA", str(repository() / "data"))
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("WHYDEEP_DEVICE", "cpu")
    monkeypatch.setattr(dropout, "SCALES", {"quick": SMALL})
    # So few epochs show no effect; the numbers are what is checked here.
    monkeypatch.setattr(dropout, "CLAIMS", ())
    monkeypatch.setattr(cli, "_due", lambda chosen, records: set(chosen))
    write_record(sweep(dropout, "mysterious-steps/dropout", "quick", [0], resume=False))


def check(capsys) -> tuple[int, str]:
    status = cli.main(["check", "mysterious-steps/dropout", "--changed"])
    return status, capsys.readouterr().out


def test_check_fails_and_names_the_number_when_the_mask_of_the_gradient_is_lost(
    recorded, monkeypatch, capsys
):
    status, out = check(capsys)
    assert (status, "numbers: same" in out) == (0, True)

    masks = thinned.factors_and_columns

    def without_columns(members, u):
        factors, columns = masks(members, u)
        return factors, columns.new_ones(columns.shape)

    monkeypatch.setattr(thinned, "factors_and_columns", without_columns)
    status, out = check(capsys)
    assert status == 1
    assert "numbers: MOVED (" in out
    assert "gradient-only" in out
