"""The claim logic: what each word needs, what a control must do, one word for every case."""

import dataclasses
import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from whydeep.evidence import claims
from whydeep.evidence.claims import (
    AGAINST,
    DOES_NOT_HOLD,
    FAVOUR,
    HOLDS,
    IN_PART,
    MISSED,
    NOT_SHOWN,
    OPEN,
    OPPOSITE,
    REPRODUCED,
    SHOWN,
    STATES,
    TOLD,
    UNDECIDED,
    Claim,
    Condition,
    Control,
    at_least,
    at_most,
    decide,
    judge,
    level,
)
from whydeep.evidence.intervals import interval
from whydeep.evidence.results import Quantity, Result

UNIT = "ratio"
GAIN = at_least("gain", "the gain is at least {bound}", 1.0, none=0.0)
COST = at_most("cost", "the cost is at most {bound}", 2.0, none=4.0)
TRAINED = at_most("loss", "the loss is at most {bound}", 0.1)
CONTROL = Control("without", "the cause", ("gain", "cost"), (TRAINED,))
PLANTED = Control("planted", "a gain of 1.5", finds=("gain", "cost"), valid=(TRAINED,))


def claim(kind="effect", expected=SHOWN, **changes):
    given = dict(decides=(GAIN, COST), controls=(CONTROL,)) | changes
    return Claim("toy", "doe1999", kind, expected, "A toy", "A toy.", **given)


def runs_of(gain, cost, loss=None):
    """Runs of seeds 0, 1, ... from the values that the conditions measure, and a draw of chance."""
    loss = [0.0] * len(gain) if loss is None else loss
    return {
        seed: Result(gain=(g, UNIT), cost=(c, UNIT), loss=(x, UNIT), draw=(seed, UNIT))
        for seed, (g, c, x) in enumerate(zip(gain, cost, loss, strict=True))
    }


def around(centre, spread=0.1, n=5):
    """n values of this mean, whose 95 % interval is the mean and 1.24 spreads to both sides."""
    steps = np.linspace(-1, 1, n)
    return list(centre + spread * steps / steps.std(ddof=1))


GOOD = runs_of(around(2.0), around(1.0))
BAD = runs_of(around(0.5), around(3.0))


def word(claim, main, control=BAD, **others):
    return judge(claim, {"main": main, "without": control, **others}).word


# --- the interval ------------------------------------------------------------------------------


def test_the_interval_is_students_t_of_a_worked_example():
    # Mean 5, sum of squares about it 32, so s^2 = 32 / 7; t of 97.5 % at 7 degrees is 2.3646.
    low, high = interval([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0])
    half = 2.364624 * math.sqrt(32 / 7 / 8)
    assert (low, high) == pytest.approx((5 - half, 5 + half), rel=1e-6)


def test_it_is_wider_where_seeds_draw_from_one_pool_as_the_variance_of_their_mean_says():
    values = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]
    alone, shared = interval(values), interval(values, share=0.1)
    wider = math.sqrt((1 / 8 + 0.1 / 0.9) / (1 / 8))
    assert (shared[1] - shared[0]) / (alone[1] - alone[0]) == pytest.approx(wider)


def test_on_a_logarithmic_scale_it_is_the_interval_of_the_logarithms():
    values = [0.5, 1.0, 2.0]
    low, high = interval(values, log=True)
    assert (low, high) == pytest.approx(tuple(np.exp(interval(list(np.log(values))))))
    assert low * high == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("values", "how"),
    [([1.0], {}), ([1.0, math.nan], {}), ([1.0, math.inf], {}), ([1.0, 0.0], {"log": True}),
     ([1.0, 2.0], {"share": 1.0})],
)  # fmt: skip
def test_where_nothing_can_be_said_it_has_no_ends(values, how):
    assert all(map(math.isnan, interval(values, **how)))


@pytest.mark.parametrize("log", [False, True])
def test_values_that_do_not_vary_have_an_interval_of_no_length(log):
    # 0.1 + 0.1 + 0.1 > 0.3 in floating point: a mean by plain summation would miss "<= 0.1".
    assert sum([0.1] * 3) / 3 > 0.1
    assert interval([0.1] * 3, log=log) == (0.1, 0.1)


def test_it_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    draws = rng.normal(3.0, 2.0, size=(2000, 5))
    ends = np.array([interval(list(row)) for row in draws])
    covered = ((ends[:, 0] <= 3) & (ends[:, 1] >= 3)).sum()
    assert stats.binom.cdf(covered, 2000, 0.95) > 1e-3
    assert stats.binom.sf(covered, 2000, 0.95) > 1e-3


# --- the state of a condition ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "state"),
    [
        (1.0, 2.0, FAVOUR),  # the bound itself is in the zone
        (0.9, 2.0, OPEN),
        (-1.0, 2.0, OPEN),  # from beyond no effect to beyond the bound: nothing is known
        (0.1, 0.9, MISSED),
        (-0.5, 0.9, MISSED),
        (0.0, 0.0, MISSED),  # no effect is not the opposite
        (-0.5, -0.1, AGAINST),
        (math.nan, math.nan, OPEN),
        (0.5, math.inf, OPEN),
    ],
)
def test_an_interval_has_the_state_of_the_zones_it_lies_in(low, high, state):
    assert GAIN.state(low, high) == state
    mirrored = at_most("loss", "{bound}", -1.0, none=0.0)
    assert mirrored.state(-high, -low) == state


def test_for_a_statement_of_equality_all_outside_its_margin_is_opposite():
    close = at_most("distance", "the two differ by at most {bound}", 0.1, none=0.1)
    assert close.state(0.0, 0.1) == FAVOUR
    assert close.state(0.05, 0.2) == OPEN
    assert close.state(0.2, 0.3) == AGAINST


def test_a_condition_without_a_zone_opposite_is_missed_at_worst():
    assert TRAINED.state(5.0, 6.0) == MISSED


# --- the word ----------------------------------------------------------------------------------

FLAGS = ("controlled", "like", "found")


def every_case(most=3):
    for n in range(1, most + 1):
        for states in itertools.product(STATES, repeat=n):
            for flags in itertools.product((False, True), repeat=len(FLAGS)):
                yield states, dict(zip(FLAGS, flags, strict=True))


def sentence_of(states, controlled, like, found):
    """The words of DESIGN 4, one predicate each, written from the table and not from the code."""
    favour = [s == FAVOUR for s in states]
    against, missed, opened = (any(s == x for s in states) for x in (AGAINST, MISSED, OPEN))
    return {
        REPRODUCED: all(favour) and controlled and like,
        SHOWN: all(favour) and controlled and not like,
        IN_PART: any(favour) and controlled and (missed or against),
        OPPOSITE: not any(favour) and against,
        NOT_SHOWN: not any(favour) and not against and not opened and found,
    }


def test_the_words_exclude_each_other_and_leave_the_rest_undecided():
    for states, flags in every_case():
        fits = [w for w, fit in sentence_of(states, **flags).items() if fit]
        assert len(fits) <= 1, (states, flags)
        assert decide(states, **flags) == (fits[0] if fits else UNDECIDED), (states, flags)


def test_the_order_of_the_conditions_does_not_matter():
    for states, flags in every_case():
        assert {decide(p, **flags) for p in itertools.permutations(states)} == {
            decide(states, **flags)
        }


def test_an_effect_in_favour_whose_control_misses_is_shown_here():
    verdict = judge(claim(), {"main": GOOD, "without": BAD})
    assert verdict.word == SHOWN
    assert verdict.as_registered
    assert [outcome.worked for outcome in verdict.controls] == [True]
    assert str(verdict) == "toy: shown here"


def test_it_is_in_part_when_one_condition_of_two_is_in_favour():
    verdict = judge(claim(), {"main": runs_of(around(2.0), around(3.0)), "without": BAD})
    assert verdict.word == IN_PART
    assert not verdict.as_registered
    assert str(verdict) == "toy: in part (in favour: gain; missed: cost)"


def test_it_is_opposite_when_the_effect_lies_on_the_other_side_of_none():
    assert word(claim(), runs_of(around(-2.0), around(3.0))) == OPPOSITE


def test_a_mean_beyond_the_bound_is_not_enough_where_chance_could_have_done_it():
    # The mean of 1.1 meets the bound of 1; its interval reaches from 0.98 to 1.22.
    verdict = judge(claim(), {"main": runs_of(around(1.1), around(1.0)), "without": BAD})
    assert verdict.measured[0].mean > 1
    assert verdict.word == UNDECIDED
    assert verdict.why == "in favour: cost; open: gain"


def test_it_is_not_shown_only_where_a_positive_control_finds_what_it_planted():
    null = claim(expected=NOT_SHOWN, controls=(PLANTED,))
    assert judge(null, {"main": BAD, "planted": GOOD}).word == NOT_SHOWN
    for blind in (BAD, {}, runs_of(around(1.1), around(1.0)), runs_of(around(2.0), around(3.0))):
        verdict = judge(null, {"main": BAD, "planted": blind})
        assert (verdict.word, verdict.why) == (
            UNDECIDED, "no positive control found what it planted"
        )  # fmt: skip


def test_a_word_in_favour_needs_a_control_that_takes_the_cause_away():
    verdict = judge(claim(expected=NOT_SHOWN, controls=(PLANTED,)), {"main": GOOD, "planted": BAD})
    assert (verdict.word, verdict.why) == (UNDECIDED, "no control attacks gain")


def test_it_is_reproduced_only_where_the_effect_is_of_the_sources_size():
    def of(source):
        like = dataclasses.replace(GAIN, source=source)
        judged = claim(decides=(like,), controls=(dataclasses.replace(CONTROL, misses=("gain",)),))
        return judge(judged, {"main": GOOD, "without": BAD})

    assert of(2.0).word == REPRODUCED
    ours, low, high = of(2.0).measured[0].of_theirs
    assert ours == pytest.approx(1.0)
    assert (low, high) == pytest.approx((0.938, 1.062), abs=1e-3)
    assert of(4.2).word == SHOWN  # ours is 0.48 of theirs
    assert of(4.0).word == SHOWN  # 0.5 in the mean, and the interval reaches below
    assert of(0.9).word == SHOWN  # 2.2 times theirs
    assert of(-2.0).word == SHOWN  # theirs went the other way


def test_ratios_are_held_against_the_source_by_their_logarithms_from_no_effect():
    half = Condition("r", "{bound}", lambda r: r["r"], "<=", 0.8, none=1.0, log=True, source=0.25)
    assert half.of_theirs(0.5) == pytest.approx(0.5)
    assert half.of_theirs(1.0) == pytest.approx(0.0)


def test_conditions_about_the_reason_make_no_part_of_the_word():
    judged = claim(
        decides=(GAIN,),
        mechanism=(COST,),
        controls=(dataclasses.replace(CONTROL, misses=("gain",)),),
    )
    for cost, state in ((1.0, FAVOUR), (3.0, MISSED), (5.0, AGAINST)):
        verdict = judge(judged, {"main": runs_of(around(2.0), around(cost)), "without": BAD})
        assert verdict.word == SHOWN
        assert [m.state for m in verdict.mechanism] == [state]
    # Nor does one rescue a statement that is missed.
    assert (
        judge(judged, {"main": runs_of(around(0.5), around(1.0)), "without": BAD}).word == UNDECIDED
    )


@pytest.mark.parametrize("k", [1, 2, 3, 6])
def test_with_no_effect_all_conditions_together_are_in_favour_in_five_percent_at_most(k):
    # The worst case: the bounds at no effect, where one interval in forty lies beyond.
    assert k * (1 - level(k)) / 2 <= 0.05 + 1e-12
    assert level(k) >= 0.95


# --- exact claims and accounts -----------------------------------------------------------------


def test_an_exact_claim_holds_only_if_every_seed_meets_every_condition():
    exact = claim("exact", HOLDS)
    assert word(exact, GOOD) == HOLDS
    assert word(exact, runs_of([2.0] * 4 + [0.9], [1.0] * 5)) == DOES_NOT_HOLD


def test_the_mutation_of_an_exact_claim_must_be_caught_on_every_seed():
    exact = claim("exact", HOLDS)
    assert word(exact, GOOD, control=runs_of([0.5] * 5, [2.5] * 5)) == HOLDS
    assert word(exact, GOOD, control=runs_of([0.5] * 4 + [1.0], [2.5] * 5)) == UNDECIDED


def test_an_account_is_told_and_needs_no_run():
    account = Claim("story", "doe1999", "account", TOLD, "A story", "Once upon a time.")
    verdict = judge(account, {})
    assert verdict.word == TOLD
    assert verdict.as_registered


def test_a_number_that_a_variant_leaves_out_is_what_the_condition_says_or_an_error():
    result = Result(gain=(2.0, UNIT))
    assert at_least("gain", "{bound}", 1.0, default=math.nan).measure(result) == 2
    assert math.isnan(at_least("cost", "{bound}", 1.0, default=math.nan).measure(result))
    assert at_most("cost[arm, -1]", "{bound}", 1.0, default=0.0).measure(result) == 0
    with pytest.raises(KeyError):
        at_most("cost", "{bound}", 1.0).measure(result)


def test_a_single_seed_decides_nothing():
    verdict = judge(claim(), {"main": runs_of([2.0], [1.0]), "without": runs_of([0.0], [3.0])})
    assert verdict.word == UNDECIDED
    assert [m.state for m in verdict.measured] == [OPEN, OPEN]


# --- controls, and what leaves a verdict undecided ---------------------------------------------


@pytest.mark.parametrize(
    ("control", "why"),
    [
        (GOOD, "does not act: its numbers are those of the main run"),
        (runs_of(around(3.0), around(1.0)), "does not miss gain, cost"),
        (runs_of([1.0] * 5, around(3.0)), "does not miss gain"),
        (runs_of(around(0.5), [2.0] * 5), "does not miss cost"),
        (runs_of(around(0.0), around(3.0), [0.2] * 5), "not valid: the loss is at most 0.1"),
        (runs_of([0.0] * 4 + [math.nan], [3.0] * 5), "not finite"),
        (runs_of([0.0] * 5, [3.0] * 5, [0.0] * 4 + [math.inf]), "not finite"),
        (runs_of([0.0] * 4, [3.0] * 4), "no run of seed 4"),
        ({}, "no run of seed 0"),
    ],
)
@pytest.mark.parametrize("kind", ["effect", "exact"])
def test_a_control_that_does_not_fail_as_it_should_leaves_it_undecided(kind, control, why):
    verdict = judge(
        claim(kind, UNDECIDED if kind == "effect" else HOLDS), {"main": GOOD, "without": control}
    )
    assert verdict.word == UNDECIDED
    assert f"control 'without': {why}" in verdict.why
    assert verdict.as_registered == (kind == "effect")


def test_a_controls_own_interval_has_to_miss_and_not_its_mean():
    # Its mean of 0.9 misses the bound of 1, and its interval reaches past it.
    verdict = judge(claim(), {"main": GOOD, "without": runs_of(around(0.9), around(3.0))})
    assert verdict.controls[0].measured[0].mean < 1
    assert verdict.word == UNDECIDED


def test_a_control_that_has_the_opposite_effect_has_missed():
    assert word(claim(), GOOD, control=runs_of(around(-3.0), around(5.0))) == SHOWN


def test_a_control_speaks_only_about_conditions_that_are_in_favour():
    # Nothing is claimed to have happened, so there is nothing that the control could explain.
    assert word(claim(), runs_of(around(-2.0), around(5.0)), control=GOOD) == OPPOSITE


def test_a_control_that_fails_to_miss_a_reason_leaves_the_word_alone():
    judged = claim(decides=(GAIN,), mechanism=(COST,))
    assert word(judged, GOOD, control=runs_of(around(0.5), around(1.0))) == SHOWN


def test_one_control_of_two_that_fails_to_fail_is_enough_for_undecided():
    controls = (
        dataclasses.replace(CONTROL, misses=("gain",)),
        Control("other", "another cause", ("cost",), (TRAINED,)),
    )
    runs = {"main": GOOD, "without": BAD, "other": GOOD}
    assert judge(claim(controls=controls), runs).word == UNDECIDED
    assert judge(claim(controls=controls), runs | {"other": BAD}).word == SHOWN


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", ["effect", "exact"])
def test_a_value_that_is_not_finite_in_the_main_run_leaves_it_undecided(kind, value):
    expected = {"effect": SHOWN, "exact": HOLDS}[kind]
    main = runs_of([2.0] * 4 + [value], [1.0] * 5)
    verdict = judge(claim(kind, expected), {"main": main, "without": BAD})
    assert verdict.word == UNDECIDED
    assert "not finite" in verdict.why
    assert math.isnan(verdict.measured[0].sd)


def test_without_any_run_it_is_undecided():
    assert judge(claim(), {}).word == UNDECIDED
    assert judge(claim(), {"main": {}, "without": BAD}).word == UNDECIDED


def test_in_part_is_as_registered_only_if_the_registered_conditions_are_the_missed_ones():
    misses_cost = {"main": runs_of(around(2.0), around(3.0)), "without": BAD}
    misses_gain = {"main": runs_of(around(0.5), around(1.0)), "without": BAD}
    registered = claim("effect", IN_PART, missed=("cost",))
    assert judge(registered, misses_cost).as_registered
    assert judge(registered, misses_gain).word == IN_PART
    assert not judge(registered, misses_gain).as_registered


def test_missing_more_than_is_registered_is_not_as_registered():
    loss = at_most("loss", "the loss is at most {bound}", 0.1, none=1.0)
    control = dataclasses.replace(CONTROL, misses=("gain", "cost", "loss"), valid=())
    registered = claim(
        "effect", IN_PART, missed=("cost",), decides=(GAIN, COST, loss), controls=(control,)
    )
    lost = runs_of(around(0.5), around(3.0), around(2.0))
    for loss_of_main, expected in ((0.01, True), (0.5, False)):
        main = runs_of(around(2.0), around(3.0), around(loss_of_main, 0.001))
        verdict = judge(registered, {"main": main, "without": lost})
        assert verdict.word == IN_PART
        assert verdict.as_registered is expected


def test_a_control_of_two_conditions_speaks_about_the_one_that_is_in_favour():
    main = runs_of(around(2.0), around(5.0))  # a gain, and the opposite of a low cost
    assert word(claim(), main, control=runs_of(around(0.5), around(1.0))) == IN_PART
    assert word(claim(), main, control=runs_of(around(2.5), around(3.0))) == UNDECIDED


# --- a control that does not act ---------------------------------------------------------------

CURVES = claim(
    decides=(GAIN,),
    controls=(dataclasses.replace(CONTROL, misses=("gain",)),),
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
    assert curves_judged(curves_of(2.0), curves_of(0.0)).word == SHOWN


def test_a_control_whose_numbers_are_those_of_the_main_run_does_not_act():
    # Whatever it is attacked for: here it would be in favour.
    main = runs_of([2.0] * 5, [1.0] * 5)
    for judged in (claim(), claim("exact", HOLDS)):
        verdict = judge(judged, {"main": main, "without": main})
        assert verdict.word == UNDECIDED
        assert "does not act: its numbers are those of the main run" in verdict.why


def test_a_control_that_repeats_the_main_run_but_for_a_quantity_more_does_not_act():
    # A variant may record something on top; what both record is the same.
    main = {seed: Result(**_given(run), more=(seed, UNIT)) for seed, run in GOOD.items()}
    verdict = judge(claim(), {"main": main, "without": GOOD})
    assert verdict.word == UNDECIDED
    assert "does not act" in verdict.why


def _given(run):
    return {name: (value, run.units[name]) for name, value in run.items()}


def test_a_control_in_which_nothing_varies_over_the_seeds_does_not_act():
    verdict = curves_judged(curves_of(2.0), curves_of(0.0, constant=True))
    assert verdict.word == UNDECIDED
    assert "does not act: nothing varies in it over the seeds" in verdict.why


def test_where_nothing_varies_in_the_main_run_either_that_shows_nothing():
    constant = {"constant": True}
    assert curves_judged(curves_of(2.0, **constant), curves_of(0.0, **constant)).word == SHOWN


def test_a_control_whose_arms_are_one_number_by_number_does_not_act():
    # The mask masks nothing any more: the treated arm is the untreated one, bit by bit.
    verdict = curves_judged(curves_of(2.0), curves_of(0.0, twins=True))
    assert verdict.word == UNDECIDED
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
    assert curves_judged(main, in_one(curves_of(0.0))).word == SHOWN
    verdict = curves_judged(main, in_one(curves_of(0.0, twins=True)))
    assert verdict.word == UNDECIDED
    assert "error[plain] and error[treated] are the same, number by number" in verdict.why


def test_arms_that_are_one_in_the_main_run_too_make_it_void_itself():
    verdict = curves_judged(curves_of(2.0, twins=True), curves_of(0.0, twins=True))
    assert (verdict.word, verdict.why) == (
        UNDECIDED,
        "plain and treated are the same, number by number",
    )


def test_two_arms_of_too_few_numbers_may_agree_by_chance():
    verdict = curves_judged(curves_of(2.0), curves_of(0.0, twins=True, short=True))
    assert verdict.word == SHOWN


def test_two_arms_that_agree_on_four_seeds_of_five_are_two():
    control = curves_of(0.0, twins=True) | {4: curves_of(0.0)[4]}
    assert curves_judged(curves_of(2.0), control).word == SHOWN


@pytest.mark.parametrize("how", [{"twins": True}, {"constant": True}])
def test_what_is_so_by_design_is_no_fault(how):
    why = {"by_design": "without the cause both arms are one"}
    assert curves_judged(curves_of(2.0), curves_of(0.0, **how)).word == UNDECIDED
    assert curves_judged(curves_of(2.0), curves_of(0.0, **how), control=why).word == SHOWN
    both = curves_judged(
        curves_of(2.0, twins=True),
        curves_of(0.0, twins=True),
        by_design="they are one",
        control=why,
    )
    assert both.word == SHOWN


def test_no_design_lets_a_control_be_the_main_run():
    why = {"by_design": "it is meant so"}
    verdict = curves_judged(curves_of(2.0), curves_of(2.0), control=why)
    assert "its numbers are those of the main run" in verdict.why


def test_a_claim_reads_the_quantities_that_its_conditions_and_its_controls_measure():
    one = GOOD[0]
    # What is measured, and what makes the control valid.
    assert claim().reads(one) == {"cost", "gain", "loss"}


# --- ill-formed claims -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (dict(kind="guess"), "none of effect, exact, account"),
        (dict(expected="reproducd"), "'reproducd' is none of reproduced, shown here"),
        (dict(expected=HOLDS), "none of reproduced, shown here"),
        (dict(decides=()), "needs deciding conditions and controls"),
        (dict(controls=()), "needs deciding conditions and controls"),
        (dict(decides=(GAIN,)), "no condition called cost"),
        (
            dict(decides=(GAIN, COST, dataclasses.replace(TRAINED, none=1.0))),
            "no control attacks loss",
        ),
        (dict(decides=(GAIN, COST, dataclasses.replace(GAIN, bound=2.0))), "one name"),
        (dict(decides=(GAIN,), mechanism=(COST, GAIN)), "one name"),
        (dict(decides=(GAIN, TRAINED)), "no effect is not named for loss"),
        (dict(missed=("price",)), "price decides nothing"),
        (dict(decides=(GAIN,), mechanism=(COST,), missed=("cost",)), "cost decides nothing"),
    ],
)
def test_an_ill_formed_claim_is_refused_with_its_id_and_the_reason(wrong, says):
    with pytest.raises(ValueError, match=says) as caught:
        claim(**wrong)
    assert "toy" in str(caught.value)


@pytest.mark.parametrize(
    "wrong",
    [
        dict(sense=">"),
        dict(bound=math.nan),
        dict(bound=math.inf),
        dict(none=1.5),  # no effect would meet the bound
        dict(source=0.0),  # the source found no effect: nothing to be of the size of
        dict(log=True, none=0.0),
    ],
)
def test_a_condition_that_no_value_could_meet_as_meant_is_refused(wrong):
    with pytest.raises(ValueError, match="condition gain"):
        dataclasses.replace(GAIN, **wrong)


# --- moving deeper into the good side never makes a verdict worse ----------------------------

RANK = {OPPOSITE: 0, UNDECIDED: 1, IN_PART: 2, SHOWN: 3, DOES_NOT_HOLD: 0, HOLDS: 3}
numbers = st.floats(-1e6, 1e6)
seeds = st.lists(st.tuples(numbers, numbers), min_size=2, max_size=7)


@given(seeds, st.floats(0, 1e6), st.sampled_from([("effect", SHOWN), ("exact", HOLDS)]))
def test_values_moved_deeper_into_the_good_side_never_worsen_the_state(rows, by, kind):
    gain, cost = zip(*rows, strict=True)
    control = runs_of(around(0.5, n=len(rows)), around(3.0, n=len(rows)))
    before = judge(claim(*kind), {"main": runs_of(gain, cost), "without": control})
    moved = runs_of([g + by for g in gain], [c - by for c in cost])
    after = judge(claim(*kind), {"main": moved, "without": control})
    order = {AGAINST: 0, MISSED: 1, OPEN: 2, FAVOUR: 3}
    for was, now in zip(before.measured, after.measured, strict=True):
        assert order[now.state] >= order[was.state]


@given(st.permutations([(2.0, 1.0), (1.5, 1.8), (1.9, 1.2), (3.0, 0.1), (1.8, 1.0)]))
def test_the_order_of_the_seeds_does_not_matter(rows):
    verdict = judge(claim(), {"main": runs_of(*zip(*rows, strict=True)), "without": BAD})
    assert verdict.word == SHOWN
    assert verdict.measured[0].mean == pytest.approx(2.04)
    assert verdict.measured[1].mean == pytest.approx(1.02)


def test_every_word_belongs_to_a_kind_and_every_kind_has_a_word_for_no_answer():
    assert {word for words in claims.KINDS.values() for word in words} == set(claims.WORDS)
    assert all(UNDECIDED in claims.KINDS[kind] for kind in ("effect", "exact"))
