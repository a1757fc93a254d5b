"""The claim logic: what each verdict needs, what a control must do, and how far chance reaches."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from whydeep.evidence.claims import (
    DOES_NOT_HOLD,
    HOLDS,
    NO_VERDICT,
    NOT_AT_THIS_SCALE,
    NOT_REPRODUCED,
    PARTLY,
    REPRODUCED,
    VOID,
    Claim,
    Condition,
    Control,
    Measured,
    at_least,
    at_most,
    judge,
)
from whydeep.evidence.results import Quantity, Result

UNIT = "ratio"
GAIN = Condition("gain", "the gain is at least 1", lambda r: float(r["gain"]), ">=", 1.0)
COST = Condition("cost", "the cost is at most 2", lambda r: float(r["cost"]), "<=", 2.0)
TRAINED = Condition("loss", "the loss is at most 0.1", lambda r: float(r["loss"]), "<=", 0.1)
CONTROL = Control("without", "the cause", {"gain": 0.5, "cost": 0.5}, (TRAINED,))


def claim(kind="effect", expected=REPRODUCED, **changes):
    given = dict(conditions=(GAIN, COST), controls=(CONTROL,)) | changes
    return Claim("toy", "doe1999", "A toy.", kind, expected, **given)


def runs_of(gain, cost, loss=None):
    """Runs of seeds 0, 1, ... from the values that the conditions measure, and a draw of chance."""
    loss = [0.0] * len(gain) if loss is None else loss
    return {
        seed: Result(gain=(g, UNIT), cost=(c, UNIT), loss=(x, UNIT), draw=(seed, UNIT))
        for seed, (g, c, x) in enumerate(zip(gain, cost, loss, strict=True))
    }


GOOD = runs_of([2.0] * 5, [1.0] * 5)
BAD = runs_of([0.0] * 5, [3.0] * 5)


def word(claim, main, control=BAD):
    return judge(claim, {"main": main, "without": control}).word


# --- effect ----------------------------------------------------------------------------------


def test_an_effect_is_reproduced_when_every_condition_holds_and_the_control_misses():
    verdict = judge(claim(), {"main": GOOD, "without": BAD})
    assert verdict.word == REPRODUCED
    assert verdict.as_registered
    assert [outcome.worked for outcome in verdict.controls] == [True]
    assert str(verdict) == "toy: reproduced"


def test_an_effect_is_partly_reproduced_when_one_condition_of_two_holds():
    verdict = judge(claim(), {"main": runs_of([2.0] * 5, [3.0] * 5), "without": BAD})
    assert verdict.word == PARTLY
    assert not verdict.as_registered
    assert str(verdict) == "toy: partly reproduced (missed: cost)"


def test_an_effect_is_not_reproduced_when_no_condition_holds():
    assert word(claim(), BAD) == NOT_REPRODUCED


@pytest.mark.parametrize(("misses", "expected"), [(1, REPRODUCED), (2, NOT_REPRODUCED)])
def test_four_seeds_in_five_must_meet_a_condition_though_the_mean_does(misses, expected):
    gain = [0.9] * misses + [9.0] * (5 - misses)
    only_gain = claim(
        conditions=(GAIN,), controls=(dataclasses.replace(CONTROL, misses={"gain": 0.5}),)
    )
    assert np.mean(gain) > 1
    assert word(only_gain, runs_of(gain, [0.0] * 5)) == expected


def test_the_mean_must_meet_a_condition_though_four_seeds_in_five_do():
    gain = [1.1, 1.1, 1.1, 1.1, -9.0]
    verdict = judge(claim(), {"main": runs_of(gain, [0.0] * 5), "without": BAD})
    assert [m.holds for m in verdict.measured] == [False, True]


@pytest.mark.parametrize("n", [5 * k for k in range(1, 41)])
def test_four_in_five_is_counted_without_rounding_for_any_number_of_seeds(n):
    for met, holds in ((4 * n // 5, True), (4 * n // 5 - 1, False)):
        gain = [9.0] * met + [0.9] * (n - met)
        verdict = judge(claim(), {"main": runs_of(gain, [0.0] * n), "without": {}})
        assert verdict.measured[0].holds is holds


def test_a_number_that_a_variant_leaves_out_is_what_the_condition_says_or_an_error():
    result = Result(gain=(2.0, UNIT))
    assert at_least("gain", "{bound}", 1.0, default=math.nan).measure(result) == 2
    assert math.isnan(at_least("cost", "{bound}", 1.0, default=math.nan).measure(result))
    assert at_most("cost[arm, -1]", "{bound}", 1.0, default=0.0).measure(result) == 0
    with pytest.raises(KeyError):
        at_most("cost", "{bound}", 1.0).measure(result)


def test_values_on_the_bound_meet_it_although_sums_of_them_round():
    # 0.1 + 0.1 + 0.1 > 0.3 in floating point: a mean by plain summation would miss "<= 0.1".
    assert sum([0.1] * 3) / 3 > 0.1
    at_most = dataclasses.replace(COST, bound=0.1)
    verdict = judge(claim(conditions=(GAIN, at_most)), {"main": runs_of([1.0] * 3, [0.1] * 3)})
    assert [m.holds for m in verdict.measured] == [True, True]
    assert verdict.measured[1].sd == 0.0


def test_a_single_seed_gets_a_verdict_but_no_spread():
    main, control = runs_of([2.0], [1.0]), runs_of([0.0], [3.0])
    verdict = judge(claim(), {"main": main, "without": control})
    assert verdict.word == REPRODUCED
    assert math.isnan(verdict.measured[0].sd)
    assert math.isnan(verdict.measured[0].margin_in_sd)
    assert verdict.measured[0].chance_of_failing == 0.0


# --- exact, null, account --------------------------------------------------------------------


def test_an_exact_claim_holds_only_if_every_seed_meets_every_condition():
    exact = claim("exact", HOLDS)
    assert word(exact, GOOD) == HOLDS
    assert word(exact, runs_of([2.0] * 4 + [0.9], [1.0] * 5)) == DOES_NOT_HOLD


def test_the_mutation_of_an_exact_claim_must_be_caught_on_every_seed():
    exact = claim("exact", HOLDS)
    assert word(exact, GOOD, control=runs_of([0.5] * 5, [2.5] * 5)) == HOLDS
    assert word(exact, GOOD, control=runs_of([0.5] * 4 + [0.6], [2.5] * 5)) == VOID


def test_a_null_stands_if_a_positive_control_shows_what_the_main_run_does_not():
    null = claim("null", NOT_AT_THIS_SCALE)
    assert word(null, BAD, control=GOOD) == NOT_AT_THIS_SCALE


@pytest.mark.parametrize(
    "control", [BAD, {}, runs_of([1.4] * 5, [1.0] * 5), runs_of([9.0] * 3 + [0.0] * 2, [1.0] * 5)]
)
def test_a_null_is_void_unless_the_positive_control_shows_the_effect_by_its_margin(control):
    assert word(claim("null", NOT_AT_THIS_SCALE), BAD, control=control) == VOID


def test_a_null_whose_effect_shows_after_all_says_so():
    null = claim("null", NOT_AT_THIS_SCALE)
    shows = runs_of([3.0] * 5, [1.0] * 5)
    assert word(null, GOOD, control=shows) == REPRODUCED
    assert word(null, runs_of([2.0] * 5, [3.0] * 5), control=shows) == PARTLY


def test_an_account_gets_no_verdict_and_needs_no_run():
    account = Claim("story", "doe1999", "Once upon a time.", "account", NO_VERDICT)
    verdict = judge(account, {})
    assert verdict.word == NO_VERDICT
    assert verdict.as_registered


# --- controls and what makes a verdict void --------------------------------------------------


@pytest.mark.parametrize(
    ("control", "why"),
    [
        (GOOD, "does not act: its numbers are those of the main run"),
        (runs_of([3.0] * 5, [1.0] * 5), "does not miss gain by 0.5"),
        (runs_of([0.6] * 5, [3.0] * 5), "does not miss gain by 0.5"),
        (runs_of([0.0] * 5, [2.4] * 5), "does not miss cost by 0.5"),
        (runs_of([0.0] * 5, [3.0] * 5, [0.2] * 5), "not valid: the loss is at most 0.1"),
        (runs_of([0.0] * 4 + [math.nan], [3.0] * 5), "not finite"),
        (runs_of([0.0] * 5, [3.0] * 5, [0.0] * 4 + [math.inf]), "not finite"),
        (runs_of([0.0] * 4, [3.0] * 4), "no run of seed 4"),
        ({}, "no run of seed 0"),
    ],
)
@pytest.mark.parametrize("kind", ["effect", "exact"])
def test_a_control_that_does_not_fail_as_it_should_makes_the_verdict_void(kind, control, why):
    verdict = judge(
        claim(kind, VOID if kind == "effect" else HOLDS), {"main": GOOD, "without": control}
    )
    assert verdict.word == VOID
    assert f"control 'without': {why}" in verdict.why
    assert verdict.as_registered == (kind == "effect")


def test_a_control_that_misses_by_exactly_its_margin_has_missed():
    assert word(claim(), GOOD, control=runs_of([0.5] * 5, [2.5] * 5)) == REPRODUCED


def test_a_control_speaks_only_about_conditions_that_the_main_run_meets():
    # Nothing is claimed to have happened, so there is nothing that the control could explain.
    assert word(claim(), BAD, control=GOOD) == NOT_REPRODUCED


def test_one_control_of_two_that_fails_to_fail_is_enough_for_void():
    controls = (
        dataclasses.replace(CONTROL, misses={"gain": 0.5}),
        Control("other", "another cause", {"cost": 0.5}, (TRAINED,)),
    )
    runs = {"main": GOOD, "without": BAD, "other": GOOD}
    assert judge(claim(controls=controls), runs).word == VOID
    assert judge(claim(controls=controls), runs | {"other": BAD}).word == REPRODUCED


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["effect", "exact", "null"])
def test_a_value_that_is_not_finite_in_the_main_run_makes_the_verdict_void(kind, value):
    expected = {"effect": REPRODUCED, "exact": HOLDS, "null": NOT_AT_THIS_SCALE}[kind]
    main = runs_of([2.0] * 4 + [value], [1.0] * 5)
    verdict = judge(claim(kind, expected), {"main": main, "without": BAD})
    assert verdict.word == VOID
    assert "not finite" in verdict.why
    assert math.isnan(verdict.measured[0].sd)


def test_without_any_run_the_verdict_is_void():
    assert judge(claim(), {}).word == VOID
    assert judge(claim(), {"main": {}, "without": BAD}).word == VOID


def test_partly_is_as_registered_only_if_the_registered_conditions_are_the_missed_ones():
    misses_cost = {"main": runs_of([2.0] * 5, [3.0] * 5), "without": BAD}
    misses_gain = {"main": runs_of([0.0] * 5, [1.0] * 5), "without": BAD}
    registered = claim("effect", PARTLY, missed=("cost",))
    assert judge(registered, misses_cost).as_registered
    assert judge(registered, misses_gain).word == PARTLY
    assert not judge(registered, misses_gain).as_registered


# --- a control that does not act ---------------------------------------------------------------

CURVES = claim(
    conditions=(GAIN,),
    controls=(dataclasses.replace(CONTROL, misses={"gain": 0.5}),),
)


def curves_of(gain, *, twins=False, constant=False, seeds=5, short=False):
    """Runs with two arms, whose curves are one, number by number, if ``twins``."""
    runs = {}
    for seed in range(seeds):
        chance = 0.0 if constant else 0.01 * seed
        plain = np.linspace(1, 2, 4 if short else 6) + chance
        treated = plain.copy() if twins else plain - 0.1 * np.arange(len(plain))
        runs[seed] = Result(
            gain=(gain + chance, UNIT), cost=(1.0, UNIT), loss=(0.0, UNIT),
            plain=(plain, UNIT), treated=(treated, UNIT),
        )  # fmt: skip
    return runs


def curves_judged(main, without, *, control=None, **changes):
    (registered,) = CURVES.controls
    changes["controls"] = (dataclasses.replace(registered, **(control or {})),)
    return judge(dataclasses.replace(CURVES, **changes), {"main": main, "without": without})


def test_a_control_whose_arms_differ_and_that_varies_acts():
    assert curves_judged(curves_of(2.0), curves_of(0.0)).word == REPRODUCED


def test_a_control_whose_numbers_are_those_of_the_main_run_does_not_act():
    # Whatever it is attacked for: here it would miss by the registered margin.
    main = runs_of([2.0] * 5, [1.0] * 5)
    null = claim("null", NOT_AT_THIS_SCALE)
    for judged in (claim(), null, claim("exact", HOLDS)):
        verdict = judge(judged, {"main": main, "without": main})
        assert verdict.word == VOID
        assert "does not act: its numbers are those of the main run" in verdict.why


def test_a_control_that_repeats_the_main_run_but_for_a_quantity_more_does_not_act():
    # A variant may record something on top; what both record is the same.
    main = {seed: Result(**_given(run), more=(seed, UNIT)) for seed, run in GOOD.items()}
    verdict = judge(claim(), {"main": main, "without": GOOD})
    assert verdict.word == VOID
    assert "does not act" in verdict.why


def _given(run):
    return {name: (value, run.units[name]) for name, value in run.items()}


def test_a_control_in_which_nothing_varies_over_the_seeds_does_not_act():
    verdict = curves_judged(curves_of(2.0), curves_of(0.0, constant=True))
    assert verdict.word == VOID
    assert "does not act: nothing varies in it over the seeds" in verdict.why


def test_where_nothing_varies_in_the_main_run_either_that_shows_nothing():
    constant = {"constant": True}
    assert curves_judged(curves_of(2.0, **constant), curves_of(0.0, **constant)).word == REPRODUCED


def test_a_control_whose_arms_are_one_number_by_number_does_not_act():
    # The mask masks nothing any more: the treated arm is the untreated one, bit by bit.
    verdict = curves_judged(curves_of(2.0), curves_of(0.0, twins=True))
    assert verdict.word == VOID
    assert "does not act: plain and treated are the same, number by number" in verdict.why


def in_one(runs):
    """The two arms as one quantity with named axes."""
    arms = {"arm": ("plain", "treated"), "epoch": None}
    return {
        seed: Result(
            **{name: (run[name], UNIT) for name in ("gain", "cost", "loss")},
            width=Quantity([run["plain"], 2 * run["plain"]], UNIT, units=(64, 128), epoch=None),
            error=Quantity([run["plain"] + 1, run["treated"] + 1], UNIT, **arms),
        )
        for seed, run in runs.items()
    }


def test_arms_of_one_quantity_that_are_one_number_by_number_do_not_act():
    main = in_one(curves_of(2.0))
    assert curves_judged(main, in_one(curves_of(0.0))).word == REPRODUCED
    verdict = curves_judged(main, in_one(curves_of(0.0, twins=True)))
    assert verdict.word == VOID
    assert "error[plain] and error[treated] are the same, number by number" in verdict.why


def test_arms_that_are_one_in_the_main_run_too_make_it_void_itself():
    verdict = curves_judged(curves_of(2.0, twins=True), curves_of(0.0, twins=True))
    assert (verdict.word, verdict.why) == (VOID, "plain and treated are the same, number by number")


def test_two_arms_of_too_few_numbers_may_agree_by_chance():
    verdict = curves_judged(curves_of(2.0), curves_of(0.0, twins=True, short=True))
    assert verdict.word == REPRODUCED


def test_two_arms_that_agree_on_four_seeds_of_five_are_two():
    control = curves_of(0.0, twins=True) | {4: curves_of(0.0)[4]}
    assert curves_judged(curves_of(2.0), control).word == REPRODUCED


@pytest.mark.parametrize("how", [{"twins": True}, {"constant": True}])
def test_what_is_so_by_design_is_no_fault(how):
    why = {"by_design": "without the cause both arms are one"}
    assert curves_judged(curves_of(2.0), curves_of(0.0, **how)).word == VOID
    assert curves_judged(curves_of(2.0), curves_of(0.0, **how), control=why).word == REPRODUCED
    both = curves_judged(
        curves_of(2.0, twins=True),
        curves_of(0.0, twins=True),
        by_design="they are one",
        control=why,
    )
    assert both.word == REPRODUCED


def test_no_design_lets_a_control_be_the_main_run():
    why = {"by_design": "it is meant so"}
    verdict = curves_judged(curves_of(2.0), curves_of(2.0), control=why)
    assert "its numbers are those of the main run" in verdict.why


def test_a_claim_reads_the_quantities_that_its_conditions_and_its_controls_measure():
    one = GOOD[0]
    # What is measured, and what makes the control valid.
    assert claim().reads(one) == {"cost", "gain", "loss"}


@pytest.mark.parametrize(
    ("n", "met", "holds"), [(3, 2, False), (4, 3, False), (6, 5, True), (7, 5, False)]
)
def test_four_in_five_is_rounded_up_where_it_is_no_whole_number(n, met, holds):
    gain = [9.0] * met + [0.9] * (n - met)
    verdict = judge(claim(), {"main": runs_of(gain, [0.0] * n), "without": {}})
    assert verdict.measured[0].holds is holds


# --- ill-formed claims -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(kind="guess"), "none of effect, exact, null, account"),
        (dict(expected="reproducd"), "'reproducd' is none of reproduced, partly"),
        (dict(expected=HOLDS), "none of reproduced, partly"),
        (dict(conditions=()), "needs conditions and controls"),
        (dict(controls=()), "needs conditions and controls"),
        (dict(conditions=(GAIN,)), "no condition called cost"),
        (dict(conditions=(GAIN, COST, TRAINED)), "no control attacks loss"),
        (dict(conditions=(GAIN, COST, dataclasses.replace(GAIN, bound=2.0))), "one name"),
        (dict(missed=("price",)), "no condition called price"),
        (
            dict(controls=(dataclasses.replace(CONTROL, misses={"gain": 0.0, "cost": 1.0}),)),
            "a margin above zero",
        ),
    ],
)
def test_an_ill_formed_claim_is_refused_with_its_id_and_the_reason(wrong, says):
    with pytest.raises(ValueError, match=says) as caught:
        claim(**wrong)
    assert "toy" in str(caught.value)


@pytest.mark.parametrize("wrong", [dict(sense=">"), dict(bound=math.nan), dict(bound=math.inf)])
def test_a_condition_that_no_value_could_meet_as_meant_is_refused(wrong):
    with pytest.raises(ValueError, match="condition gain"):
        dataclasses.replace(GAIN, **wrong)


# --- moving deeper into the good side never makes a verdict worse ----------------------------

RANK = {NOT_REPRODUCED: 0, PARTLY: 1, REPRODUCED: 2, DOES_NOT_HOLD: 0, HOLDS: 2}
numbers = st.floats(-1e6, 1e6)
nearly = st.sampled_from([0.9999999999999999, 1.0, 1.0000000000000002, 2.0, 1.9999999999999998])
seeds = st.lists(
    st.tuples(numbers | nearly, numbers | nearly, st.floats(0, 1e6), st.floats(0, 1e6)),
    min_size=1,
    max_size=7,
)


@given(seeds, st.sampled_from([("effect", REPRODUCED), ("exact", HOLDS)]))
def test_values_moved_deeper_into_the_good_side_never_worsen_the_verdict(rows, kind):
    gain, cost, more, less = zip(*rows, strict=True)
    deeper = [g + d for g, d in zip(gain, more, strict=True)]
    cheaper = [c - d for c, d in zip(cost, less, strict=True)]
    bad = runs_of([0.0] * len(rows), [3.0] * len(rows))
    before = word(claim(*kind), runs_of(gain, cost), bad)
    after = word(claim(*kind), runs_of(deeper, cheaper), bad)
    assert RANK[after] >= RANK[before]


@given(seeds)
def test_a_null_never_becomes_more_of_a_null_when_its_effect_grows(rows):
    order = [NOT_AT_THIS_SCALE, PARTLY, REPRODUCED]
    gain, cost, more, less = zip(*rows, strict=True)
    deeper = [g + d for g, d in zip(gain, more, strict=True)]
    cheaper = [c - d for c, d in zip(cost, less, strict=True)]
    n, null = len(rows), claim("null", NOT_AT_THIS_SCALE)
    good = runs_of([2.0] * n, [1.0] * n, [0.05] * n)  # another loss: it is not the main run
    before, after = (word(null, runs_of(*pair), good) for pair in ((gain, cost), (deeper, cheaper)))
    assert order.index(after) >= order.index(before)


@given(st.permutations([(2.0, 1.0), (1.5, 1.8), (0.9, 2.2), (3.0, 0.1), (1.0, 2.0)]))
def test_the_order_of_the_seeds_does_not_matter(rows):
    verdict = judge(claim(), {"main": runs_of(*zip(*rows, strict=True)), "without": BAD})
    assert verdict.word == REPRODUCED  # one seed in five misses each; the means are 1.68, 1.42
    assert verdict.measured[0].mean == pytest.approx(1.68)
    assert verdict.measured[1].mean == pytest.approx(1.42)


# --- margins, spreads and chance -------------------------------------------------------------


def test_mean_spread_and_margin_are_those_of_a_worked_example():
    # Values 2, 4, 4, 4, 5, 5, 7, 9: mean 5, sum of squares about it 32, variance 32 / 7.
    values = (2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0)
    measured = Measured(GAIN, values, True)
    assert measured.mean == 5.0
    assert measured.sd == pytest.approx(math.sqrt(32 / 7))
    assert measured.margin_in_sd == pytest.approx((5 - 1) / math.sqrt(32 / 7))
    at_most = Measured(dataclasses.replace(COST, bound=3.0), values, False)
    assert at_most.margin_in_sd == pytest.approx((3 - 5) / math.sqrt(32 / 7))


def test_without_spread_the_margin_is_infinite_and_the_chance_none_or_certain():
    assert Measured(GAIN, (2.0, 2.0), True).margin_in_sd == math.inf
    assert Measured(GAIN, (2.0, 2.0), True).chance_of_failing == 0.0
    assert Measured(GAIN, (0.5, 0.5), False).margin_in_sd == -math.inf
    assert Measured(GAIN, (0.5, 0.5), False).chance_of_failing == 1.0


def measured_with(margin: float, n: int) -> Measured:
    """n values with standard deviation 1 and a mean ``margin`` above the bound of 1."""
    z = np.arange(n) - (n - 1) / 2
    return Measured(GAIN, tuple((1 + margin + z / z.std(ddof=1)).tolist()), margin >= 0)


@pytest.mark.parametrize("n", [4, 5, 10, 20])
@pytest.mark.parametrize("margin", [0.0, 1.5, 3.0])
def test_the_chance_of_failing_is_that_of_simulated_fresh_seeds(n, margin):
    # Bayes with Jeffreys' prior: sigma^2 = (n - 1) / chi^2, mu normal about the mean; from each
    # such law n fresh seeds. The bound adds the two ways to fail, which overlap.
    rng, draws = np.random.default_rng(0), 100_000
    sigma = np.sqrt((n - 1) / rng.chisquare(n - 1, draws))
    mu = margin + sigma * rng.standard_normal(draws) / math.sqrt(n)
    fresh = mu[:, None] + sigma[:, None] * rng.standard_normal((draws, n))
    mean_misses, too_few = fresh.mean(1) < 0, (fresh >= 0).sum(1) * 5 < 4 * n
    chance = measured_with(margin, n).chance_of_failing
    assert chance == pytest.approx(min(1.0, mean_misses.mean() + too_few.mean()), abs=0.01)
    assert chance >= (mean_misses | too_few).mean() - 0.01


def test_the_chance_of_failing_falls_with_the_margin_and_is_a_probability():
    chances = [measured_with(margin, 5).chance_of_failing for margin in range(-3, 13)]
    assert all(0 <= chance <= 1 for chance in chances)
    assert chances == sorted(chances, reverse=True)
    assert chances[-1] < 0.01 < 0.9 < chances[0]
