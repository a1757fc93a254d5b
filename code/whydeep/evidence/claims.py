"""A claim is a source's statement with the conditions that decide it; a verdict is what came out.

The rules (DESIGN section 4, told to the reader in *How to read a verdict*): each deciding condition
names beforehand a zone in favour, beyond its bound, and a zone opposite, beyond no effect. Over the
seeds it gets an interval, and with it one of four states: *in favour* (the interval lies inside the
first zone), *opposite* (inside the second), *missed* (apart from the first), *open*. The states of
all deciding conditions, and of their controls, make the word; see `decide`.

A control is a run of a variant that takes the claimed cause away: its own interval has to miss the
condition that it attacks. A positive control plants an effect, and its interval has to be in
favour. Either must be finite, meet its own checks, and act. It does not act if its numbers are
those of the main run, if nothing varies in it over the seeds, or if two of its curves are equal
number by number though they differ in the main run: a mask that masks nothing leaves the untreated
arm, bit by bit.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from whydeep.evidence.intervals import interval
from whydeep.evidence.results import MAIN, Result

REPRODUCED, SHOWN, IN_PART = "reproduced", "shown here", "in part"
OPPOSITE, NOT_SHOWN, UNDECIDED = "opposite", "not shown", "undecided"
HOLDS, DOES_NOT_HOLD, TOLD = "holds", "does not hold", "told"
WORDS = (
    REPRODUCED, SHOWN, IN_PART, OPPOSITE, NOT_SHOWN, UNDECIDED, HOLDS, DOES_NOT_HOLD, TOLD
)  # fmt: skip
KINDS = {  # and the words that a claim of each kind may get
    "effect": WORDS[:6],
    "exact": (HOLDS, DOES_NOT_HOLD, UNDECIDED),
    "account": (TOLD,),
}
FAVOUR, MISSED, AGAINST, OPEN = "in favour", "missed", "opposite", "open"
STATES = (FAVOUR, MISSED, AGAINST, OPEN)
LIKE = (0.5, 2.0)  # ours over theirs, for the word *reproduced*
CURVE = 5  # numbers of an array that makes a curve, which two arms cannot share by chance


# What `{bound:...}` may ask for in the words of a condition; without a format it is the number.
BOUND = re.compile(r"\{bound(?::([^{}]*))?\}")
IN_WORDS = {
    1 / 10: "a tenth",
    1 / 5: "a fifth",
    1 / 4: "a quarter",
    1 / 2: "half",
    2 / 3: "two thirds",
    9 / 10: "nine tenths",
    2.0: "twice",
    3.0: "three",
    10.0: "ten",
}
FORMATS: dict[str, Callable[[float], str]] = {
    "": lambda bound: f"{bound:,g}",  # 0.05; 1,500
    "abs": lambda bound: f"{abs(bound):,g}",  # "below it by more than 0.01", of -0.01
    "%": lambda bound: f"{100 * bound:g}",  # 5, of 0.05; the sign is the sentence's
    "word": IN_WORDS.__getitem__,  # half, of 0.5
    "log10": lambda bound: f"{math.log10(bound):g}",  # -9, of 1e-9, for $10^{-9}$
    # The factor that stands behind a bound on a logarithm, to two digits: 2, of 0.3 powers of ten.
    "10^": lambda bound: f"{float(f'{10 ** abs(bound):.2}'):,g}",
    "2^": lambda bound: f"{float(f'{2 ** abs(bound):.2}'):,g}",
    "e^": lambda bound: f"{float(f'{math.e ** abs(bound):.2}'):,g}",
}


@dataclass(frozen=True)
class Condition:
    """``measure(result)`` lies beyond ``bound``, on its side ``sense``: ">=" or "<=".

    ``none`` is the value of no effect: beyond it, on the other side than the bound, lies the zone
    opposite. For a statement of equality, told as a distance, it is the bound itself. It is None
    where no zone is opposite: in exact claims and in the checks of a control. ``log`` where effects
    multiply (ratios and rates): then the interval is one of logarithms. ``source`` is the source's
    value of the same quantity, in the same unit, where it has one. ``because`` says why the bound
    stands where it does.

    ``unit`` is "" where the result has it, under the condition's name. ``words`` name the bound as
    ``{bound}``, or in one of FORMATS: ``{bound:%} %``. ``says`` has the number in its place, so
    that words and bound cannot differ.
    """

    name: str
    words: str
    measure: Callable[[Result], float]
    sense: str
    bound: float
    unit: str = ""
    none: float | None = None
    log: bool = False
    source: float | None = None
    because: str = ""

    def __post_init__(self):
        if self.sense not in (">=", "<=") or not math.isfinite(self.bound):
            raise ValueError(
                f"condition {self.name}: '{self.sense} {self.bound}' is no >= or <= finite bound"
            )
        numbers = [x for x in (self.bound, self.none, self.source) if x is not None]
        if self.log and min(numbers) <= 0:
            raise ValueError(f"condition {self.name}: only numbers above zero have a logarithm")
        if self.none is not None and self.margin(self.none) > 0:
            raise ValueError(
                f"condition {self.name}: no effect, {self.none:g}, would meet the bound "
                f"{self.bound:g}"
            )
        if self.source is not None and self.source == self.none:
            raise ValueError(f"condition {self.name}: the source's value is no effect")
        try:
            _ = self.says
        except (KeyError, ValueError) as error:
            raise ValueError(
                f"condition {self.name}: its words cannot name {self.bound:g} ({error}): write "
                f"{{bound}}, or with a format: {', '.join(filter(None, FORMATS))}"
            ) from None

    @property
    def says(self) -> str:
        """The condition in words, its bound filled in."""
        return BOUND.sub(lambda found: FORMATS[found[1] or ""](self.bound), self.words)

    def margin(self, value: float) -> float:
        """How far ``value`` is on the right side of the bound, in the condition's unit."""
        return value - self.bound if self.sense == ">=" else self.bound - value

    def state(self, low: float, high: float) -> str:
        """One of STATES, of an interval from ``low`` to ``high`` in the condition's unit.

        Every interval has one: inside the zone in favour; else inside the zone opposite; else
        apart from the zone in favour; else open, as is one that is not finite.
        """
        if not (math.isfinite(low) and math.isfinite(high)):
            return OPEN
        worse, better = (low, high) if self.sense == ">=" else (high, low)
        if self.margin(worse) >= 0:
            return FAVOUR
        if self.margin(better) >= 0:
            return OPEN
        if self.none is None:
            return MISSED
        beyond = better < self.none if self.sense == ">=" else better > self.none
        return AGAINST if beyond else MISSED

    def of_theirs(self, value: float) -> float:
        """The effect ``value`` over the source's, both measured from no effect."""
        if self.source is None or self.none is None:
            raise ValueError(f"condition {self.name} has no number of the source's to stand beside")
        none = self.scaled(self.none)
        return (self.scaled(value) - none) / (self.scaled(self.source) - none)

    def scaled(self, value: float) -> float:
        """``value`` on the scale where effects add."""
        if not self.log:
            return value
        return math.log(value) if value > 0 else -math.inf if value == 0 else math.nan


def at_most(
    quantity: str, words: str, bound: float, *, default: float | None = None, **how: Any
) -> Condition:
    """The condition that one number of the result is at most ``bound``.

    ``quantity`` is its name, with a place where it is an array: "error[dropout, -1]". Its unit is
    that of the result. ``default`` is the number where a variant leaves the quantity out, because
    it runs a part of the experiment only; without it that is a KeyError. ``how`` are the other
    fields of `Condition`: none, log, source, because.
    """
    return Condition(quantity, words, _number(quantity, default), "<=", bound, **how)


def at_least(
    quantity: str, words: str, bound: float, *, default: float | None = None, **how: Any
) -> Condition:
    """The condition that one number of the result is at least ``bound``; see `at_most`."""
    return Condition(quantity, words, _number(quantity, default), ">=", bound, **how)


def _number(quantity: str, default: float | None) -> Callable[[Result], float]:
    if default is None:
        return lambda result: float(result[quantity])
    return lambda result: float(result.get(quantity, default))


@dataclass(frozen=True)
class Control:
    """A variant that ``removes`` the cause, and so has to miss the conditions named in ``misses``.

    A positive control plants an effect instead, and has to be in favour of those in ``finds``;
    ``removes`` then says what it plants. ``valid`` are conditions on the control's own result,
    without which its outcome shows nothing. ``by_design`` says why two of its arms are one, or why
    nothing varies in it: without it, that is taken for a control that does not act.
    """

    variant: str
    removes: str
    misses: Iterable[str] = ()
    valid: tuple[Condition, ...] = ()
    finds: tuple[str, ...] = ()
    by_design: str = ""

    @property
    def attacks(self) -> tuple[str, ...]:
        """The conditions that the control speaks about."""
        return (*self.misses, *self.finds)


@dataclass(frozen=True)
class Neighbour:
    """A setting that ought not to matter: ``changes`` as in a variant, ``words`` for a reader.

    An experiment lists its own as ``NEIGHBOURS``, and a claim names those that it is tried on.
    """

    name: str
    changes: Mapping[str, Any]
    words: str


@dataclass(frozen=True)
class Claim:
    """One statement of a work, what is run here, and the word that is registered.

    ``title`` is what a person would call it; ``says`` is the source's statement in one sentence,
    cited with ``cite``; ``tested`` what is run here, with data and scale; ``so`` what came out,
    its numbers as ``{num}`` roles; ``caveat`` what would change a reader's mind, or "". ``ours``
    where the statement is the book's own, and the work cited only raises the question.

    ``decides`` are the conditions that together are the source's statement: they make the word.
    ``mechanism`` are conditions about the reason: shown, and no part of the word.
    ``contested`` is a work that contradicts the statement, ``limits`` its scope or sequel, with
    cite keys in braces; "" where none is known. ``paper`` holds (what, value, where it stands). A
    value with numbers in it is a text and the numbers, ``("{} %; {} %", 26.2, 15.3)``, which
    `paper_says` puts together. ``changes`` lists later corrections of thresholds or settings with
    their reasons, for the ledger. ``missed`` names the deciding conditions that a claim registered
    as *in part* does not have in its favour: without it, missing others would look the same.
    ``neighbours`` name settings of the experiment that ought not to matter: the effect *carries* to
    those where it lies beyond no effect, on the same side. The first control runs there too.
    ``by_design`` says why two arms of the main run are equal, number by number, where they are.
    """

    id: str
    cite: str
    kind: str
    expected: str
    title: str
    says: str
    tested: str = ""
    so: str = ""
    caveat: str = ""
    ours: bool = False
    paper: tuple[tuple[str, str | tuple[str | int | float, ...], str], ...] = ()
    decides: tuple[Condition, ...] = ()
    mechanism: tuple[Condition, ...] = ()
    controls: tuple[Control, ...] = ()
    contested: str = ""
    limits: str = ""
    changes: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    neighbours: tuple[str, ...] = ()
    by_design: str = ""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"claim {self.id}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.expected not in KINDS[self.kind]:
            raise ValueError(
                f"claim {self.id}: {self.expected!r} is none of {', '.join(KINDS[self.kind])}"
            )
        if self.kind != "account" and not (self.decides and self.controls):
            raise ValueError(
                f"claim {self.id}: a claim that gets a verdict needs deciding conditions and "
                "controls"
            )
        names = [condition.name for condition in self.conditions]
        if len(set(names)) < len(names):
            raise ValueError(f"claim {self.id}: two conditions have one name")
        if wanting := [c.name for c in self.decides if self.kind == "effect" and c.none is None]:
            raise ValueError(f"claim {self.id}: no effect is not named for {', '.join(wanting)}")
        attacked = {name for control in self.controls for name in control.attacks}
        if unknown := attacked - set(names):
            raise ValueError(f"claim {self.id}: no condition called {', '.join(sorted(unknown))}")
        deciding = {condition.name for condition in self.decides}
        if unknown := set(self.missed) - deciding:
            raise ValueError(
                f"claim {self.id}: {', '.join(sorted(unknown))} decides nothing, and is said to be "
                "missed"
            )
        bare = deciding - {name for control in self.controls for name in control.misses}
        if self.expected == IN_PART:
            bare -= set(self.missed)
        if bare and self.expected in (REPRODUCED, SHOWN, IN_PART, HOLDS):
            raise ValueError(f"claim {self.id}: no control attacks {', '.join(sorted(bare))}")

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """Those that decide, then those about the reason."""
        return (*self.decides, *self.mechanism)

    @property
    def paper_says(self) -> tuple[tuple[str, str, str], ...]:
        """The rows of ``paper`` in words."""
        return tuple(
            (what, value if isinstance(value, str) else str(value[0]).format(*value[1:]), where)
            for what, value, where in self.paper
        )

    def reads(self, result: Result) -> set[str]:
        """The quantities that a condition of the claim, or of a control's, measures."""
        noting = _Noting(result)
        checks = (*self.conditions, *(c for control in self.controls for c in control.valid))
        for condition in checks:
            condition.measure(noting)
        return noting.seen


class _Noting(Result):
    """A result that notes which quantities it is asked for."""

    def __init__(self, result: Result):
        self.units, self.axes, self._values = result.units, result.axes, dict(result)
        self.seen: set[str] = set()

    def __getitem__(self, name: str) -> np.ndarray:
        self.seen.add(name.partition("[")[0])
        return super().__getitem__(name)


@dataclass(frozen=True)
class Measured:
    """One condition over the seeds: its values, their interval (in its unit), and its state."""

    condition: Condition
    values: tuple[float, ...]
    low: float
    high: float
    state: str
    unit: str = "ratio"

    @property
    def holds(self) -> bool:
        return self.state == FAVOUR

    @property
    def finite(self) -> bool:
        return all(map(math.isfinite, self.values))

    @property
    def mean(self) -> float:
        """Mean over the seeds, correctly rounded: three values of 0.1 have the mean 0.1."""
        return float(statistics.mean(self.values))

    @property
    def centre(self) -> float:
        """The middle of the interval on its scale: the mean, or the geometric mean."""
        if not self.condition.log or min(self.values) <= 0 or not self.finite:
            return self.mean
        return math.exp(statistics.mean(map(math.log, self.values)))

    @property
    def sd(self) -> float:
        """Standard deviation over the seeds (n - 1); nan for fewer than two, or not finite."""
        return statistics.stdev(self.values) if len(self.values) > 1 and self.finite else math.nan

    @property
    def of_theirs(self) -> tuple[float, float, float] | None:
        """Ours over theirs with its interval, low and high; None where not comparable."""
        if self.condition.source is None or self.condition.none is None:
            return None
        low, high = sorted(map(self.condition.of_theirs, (self.low, self.high)))
        return self.condition.of_theirs(self.centre), low, high


@dataclass(frozen=True)
class ControlOutcome:
    """What a control did: ``failed`` are the conditions it should have missed or found and did not.

    All that it speaks about where it did not act or failed its checks; ``why`` says it in words.
    """

    control: Control
    failed: frozenset[str]
    why: str
    measured: tuple[Measured, ...]

    @property
    def worked(self) -> bool:
        return not self.failed

    def of(self, names: Iterable[str]) -> tuple[Measured, ...]:
        """What it measured of the conditions with these names."""
        return tuple(m for m in self.measured if m.condition.name in names)


@dataclass(frozen=True)
class Verdict:
    """The outcome of one claim; ``as_registered`` is what checks assert.

    ``measured`` are all conditions, those that decide first; ``why`` is "" where the word says all.
    """

    claim: Claim
    word: str
    why: str
    measured: tuple[Measured, ...]
    controls: tuple[ControlOutcome, ...]

    @property
    def deciding(self) -> tuple[Measured, ...]:
        return self.measured[: len(self.claim.decides)]

    @property
    def mechanism(self) -> tuple[Measured, ...]:
        return self.measured[len(self.claim.decides) :]

    @property
    def as_registered(self) -> bool:
        missed = {m.condition.name for m in self.deciding if not m.holds}
        which = not self.claim.missed or missed == set(self.claim.missed)
        return self.word == self.claim.expected and which

    def __str__(self) -> str:
        return f"{self.claim.id}: {self.word}" + (f" ({self.why})" if self.why else "")


def decide(states: Sequence[str], *, controlled: bool, like: bool, found: bool) -> str:
    """The word on a claim of an effect, from the states of its deciding conditions.

    ``controlled``: every control of a condition in favour acted, passed its own checks and missed;
    ``like``: the effect is of the source's size; ``found``: a positive control found what it
    planted, for every condition that is missed.
    """
    favour, against = states.count(FAVOUR), states.count(AGAINST)
    if favour and not controlled:
        return UNDECIDED
    if favour == len(states):
        return REPRODUCED if like else SHOWN
    if favour and (against or MISSED in states):
        return IN_PART
    if against and not favour:
        return OPPOSITE
    return NOT_SHOWN if found and set(states) == {MISSED} else UNDECIDED


def level(deciding: int) -> float:
    """The level of each interval where so many conditions decide.

    With no effect, an interval lies inside the zone in favour in 2.5 % of all cases at most. Of
    more than two conditions each gets its share of 5 %, so that all of them together keep to it.
    """
    return 0.95 if deciding <= 2 else 1 - 0.1 / deciding


def measure(condition: Condition, results: Sequence[Result], at: float, share: float) -> Measured:
    """A condition of an effect over the seeds, with its interval at the level ``at``."""
    values = tuple(float(condition.measure(result)) for result in results)
    low, high = interval(values, at, share=share, log=condition.log)
    state = condition.state(low, high)
    return Measured(condition, values, low, high, state, _unit(condition, results[0]))


def _every(condition: Condition, results: Sequence[Result]) -> Measured:
    """A condition that every seed has to meet: in favour, or missed."""
    values = tuple(float(condition.measure(result)) for result in results)
    met = all(math.isfinite(v) and condition.margin(v) >= 0 for v in values)
    state = FAVOUR if met else MISSED
    return Measured(
        condition, values, min(values), max(values), state, _unit(condition, results[0])
    )


def _unit(condition: Condition, result: Result) -> str:
    known = condition.name.partition("[")[0] in result
    return condition.unit or (result.unit(condition.name) if known else "ratio")


def _measure(
    condition: Condition, results: Sequence[Result], kind: str, at: float, share: float
) -> Measured:
    if kind == "exact":
        return _every(condition, results)
    return measure(condition, results, at, share)


def _does_not_act(
    results: Sequence[Result], main: Sequence[Result], kind: str, by_design: str
) -> str:
    """Why the control cannot have changed anything; "" if it can."""
    if all(_same(one, other, one) for one, other in zip(results, main, strict=True)):
        return "its numbers are those of the main run"
    if kind == "exact" or by_design:
        return ""
    if not _varying(results) and _varying(main):
        return "nothing varies in it over the seeds"
    return _alike(_twins(results) - _twins(main))


def _alike(twins: set[tuple[str, str]]) -> str:
    return " and ".join(min(twins)) + " are the same, number by number" if twins else ""


def _same(one: Result, other: Result, names: Iterable[str]) -> bool:
    return all(name in other and np.array_equal(one[name], other[name]) for name in names)


def _varying(results: Sequence[Result]) -> bool:
    return any(not _same(results[0], other, results[0]) for other in results[1:])


def _twins(results: Sequence[Result]) -> set[tuple[str, str]]:
    """Pairs of curves that are equal in every run: two arms that were treated alike."""
    curves = [name for name in _curves(results[0]) if results[0][name].size >= CURVE]
    return {
        (one, other)
        for one, other in combinations(curves, 2)
        if all(np.array_equal(run[one], run[other]) and np.ptp(run[one]) > 0 for run in results)
    }


def _curves(result: Result) -> Iterator[str]:
    """The names of all arrays; of one whose axes have names, of each row along the last of them."""
    for name, value in result.items():
        *outer, _ = result.axes.get(name, {"": []}).values()
        # A place that is called by a whole number is asked for by where it stands.
        words = [[i if isinstance(p, int) else p for i, p in enumerate(each)] for each in outer]
        for places in product(*words) if value.ndim else ():
            yield f"{name}[{', '.join(map(str, places))}]" if places else name


def _judge_control(
    control: Control,
    claim: Claim,
    runs: Mapping[str, Mapping[int, Result]],
    seeds: Sequence[int],
    share: float,
) -> ControlOutcome:
    by_seed, all_of_it = runs.get(control.variant, {}), frozenset(control.attacks)
    missing = [seed for seed in seeds if seed not in by_seed]
    if missing:
        return ControlOutcome(control, all_of_it, f"no run of seed {missing[0]}", ())
    results = [by_seed[seed] for seed in seeds]
    measured = tuple(
        _measure(condition, results, claim.kind, level(1), share)
        for condition in claim.conditions
        if condition.name in all_of_it
    )
    main = [runs[MAIN][seed] for seed in seeds]
    if why := _unfit(control, claim, results, main, measured):
        return ControlOutcome(control, all_of_it, why, measured)
    by_name = {m.condition.name: m for m in measured}
    missed = {name: _misses(by_name[name], claim.kind) for name in control.misses}
    found = {name: by_name[name].holds for name in control.finds}
    failed = [name for name, fine in {**missed, **found}.items() if not fine]
    if failed:
        verb = "find" if failed[0] in found else "miss"
        why = f"does not {verb} {', '.join(failed)}"
    else:
        why = "finds it, as it should" if control.finds else "misses, as it should"
    return ControlOutcome(control, frozenset(failed), why, measured)


def _unfit(
    control: Control,
    claim: Claim,
    results: Sequence[Result],
    main: Sequence[Result],
    measured: Sequence[Measured],
) -> str:
    """Why the outcome of a control shows nothing: not finite, idle or not valid; "" if it does."""
    checks = [_every(check, results) for check in control.valid]
    if not all(m.finite for m in (*checks, *measured)):
        return "not finite"
    if idle := _does_not_act(results, main, claim.kind, control.by_design):
        return f"does not act: {idle}"
    for check in checks:
        fine = check.holds if claim.kind == "exact" else check.condition.margin(check.mean) >= 0
        if not fine:
            return f"not valid: {check.condition.says} (measured {check.mean:.4g})"
    return ""


def _misses(measured: Measured, kind: str) -> bool:
    """Whether no seed of an exact claim, or no part of an interval, meets the condition."""
    if kind == "exact":
        return all(measured.condition.margin(value) < 0 for value in measured.values)
    return measured.state in (MISSED, AGAINST)


def judge(claim: Claim, runs: Mapping[str, Mapping[int, Result]], *, share: float = 0.0) -> Verdict:
    """The verdict on ``claim`` from ``runs[variant][seed]``; all seeds of the main run count.

    ``share`` is the part of its pool of examples that each seed draws: see `intervals.interval`.
    """
    if claim.kind == "account":
        return Verdict(claim, TOLD, "", (), ())
    seeds = sorted(runs.get(MAIN, {}))
    if not seeds:
        return Verdict(claim, UNDECIDED, "no run", (), ())
    results = [runs[MAIN][seed] for seed in seeds]
    at, kind = level(len(claim.decides)), claim.kind
    measured = tuple(_measure(each, results, kind, at, share) for each in claim.conditions)
    deciding = measured[: len(claim.decides)]
    if not all(m.finite for m in deciding):
        return Verdict(claim, UNDECIDED, "a measured value is not finite", measured, ())
    if kind == "effect" and not claim.by_design and (why := _alike(_twins(results))):
        return Verdict(claim, UNDECIDED, why, measured, ())
    controls = tuple(_judge_control(each, claim, runs, seeds, share) for each in claim.controls)
    word, why = _word(claim, deciding, controls)
    return Verdict(claim, word, why, measured, controls)


def _word(
    claim: Claim, deciding: Sequence[Measured], controls: Sequence[ControlOutcome]
) -> tuple[str, str]:
    """The word, and what a reader has to know beside it."""
    by_state = {state: [m.condition.name for m in deciding if m.state == state] for state in STATES}
    held = by_state[FAVOUR]
    attacked = {name for outcome in controls for name in outcome.control.misses}
    # A control speaks only about conditions that the main run has in its favour.
    faults = [f"no control attacks {name}" for name in held if name not in attacked]
    faults += [
        f"control {outcome.control.variant!r}: {outcome.why}"
        for outcome in controls
        if outcome.failed & set(outcome.control.misses) & set(held)
    ]
    if claim.kind == "exact":
        if faults:
            return UNDECIDED, faults[0]
        word = HOLDS if len(held) == len(deciding) else DOES_NOT_HOLD
        return word, "" if word == HOLDS else f"missed: {', '.join(by_state[MISSED])}"
    found = {n for outcome in controls for n in outcome.control.finds if n not in outcome.failed}
    sizes = [m.of_theirs for m in deciding if m.of_theirs]
    word = decide(
        [m.state for m in deciding],
        controlled=not faults,
        like=bool(sizes) and all(LIKE[0] <= low and high <= LIKE[1] for _, low, high in sizes),
        found=all(m.condition.name in found for m in deciding),
    )
    told = [f"{state}: {', '.join(names)}" for state, names in by_state.items() if names]
    if word == UNDECIDED and faults:
        told = faults[:1]
    elif word == UNDECIDED and not by_state[OPEN]:
        told = ["no positive control found what it planted"]
    return word, "; ".join(told) if word in (IN_PART, UNDECIDED) or len(told) > 1 else ""
