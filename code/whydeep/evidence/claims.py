"""A claim is a sentence with conditions that a result meets or misses; a verdict is what came out.

The rules (DESIGN section 3, told to the reader in *How to read a verdict*):

* *effect*: reproduced if every condition holds for the mean over the seeds and for at least four
  in five of them; partly reproduced if some conditions do; else not reproduced.
* *exact*: holds if every condition holds for every seed.
* *null*: not at this scale, if no condition holds although a positive control meets them.
* *account*: history or an open question; no verdict.

A control is a run of a variant that takes the claimed cause away (for a *null*: puts it in). It
must be finite, be valid in itself, act, and miss the same condition by a stated margin; else the
verdict is void, whatever the main run says. It does not act if its numbers are those of the main
run, if nothing varies in it over the seeds, or if two of its curves are equal number by number
though they differ in the main run: a mask that masks nothing leaves the untreated arm, bit by bit.
"""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from scipy import stats

from whydeep.evidence.results import MAIN, Result

REPRODUCED, PARTLY, NOT_REPRODUCED = "reproduced", "partly reproduced", "not reproduced"
HOLDS, DOES_NOT_HOLD = "holds", "does not hold"
NOT_AT_THIS_SCALE, NO_VERDICT, VOID = "not at this scale", "no verdict", "void"
KINDS = {  # and the words that a claim of each kind may register
    "effect": (REPRODUCED, PARTLY, NOT_REPRODUCED, VOID),
    "exact": (HOLDS, DOES_NOT_HOLD, VOID),
    "null": (NOT_AT_THIS_SCALE, PARTLY, REPRODUCED, VOID),
    "account": (NO_VERDICT,),
}
SHARE_OF_SEEDS = 0.8
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
    """``measure(result)`` lies on the stated side of ``bound``; ``sense`` is ">=" or "<=".

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

    def __post_init__(self):
        if self.sense not in (">=", "<=") or not math.isfinite(self.bound):
            raise ValueError(
                f"condition {self.name}: '{self.sense} {self.bound}' is no >= or <= finite bound"
            )
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


def at_most(quantity: str, words: str, bound: float, *, default: float | None = None) -> Condition:
    """The condition that one number of the result is at most ``bound``.

    ``quantity`` is its name, with a place where it is an array: "error[dropout, -1]". Its unit is
    that of the result. ``default`` is the number where a variant leaves the quantity out, because
    it runs a part of the experiment only; without it that is a KeyError.
    """
    return Condition(quantity, words, _number(quantity, default), "<=", bound)


def at_least(quantity: str, words: str, bound: float, *, default: float | None = None) -> Condition:
    """The condition that one number of the result is at least ``bound``; see `at_most`."""
    return Condition(quantity, words, _number(quantity, default), ">=", bound)


def _number(quantity: str, default: float | None) -> Callable[[Result], float]:
    if default is None:
        return lambda result: float(result[quantity])
    return lambda result: float(result.get(quantity, default))


@dataclass(frozen=True)
class Control:
    """A variant that removes the cause: ``misses`` maps a condition to the margin it must miss by.

    ``valid`` are conditions on the control's own result, without which its failing shows nothing.
    ``by_design`` says why two of its arms are one, or why nothing varies in it: without it, that
    is taken for a control that does not act.
    """

    variant: str
    removes: str
    misses: Mapping[str, float]
    valid: tuple[Condition, ...]
    by_design: str = ""


@dataclass(frozen=True)
class Claim:
    """One sentence of a work, the paper's numbers, what we measure, and the registered verdict.

    ``paper`` holds (what, value, where it stands). A value with numbers in it is a text and the
    numbers, ``("{} %; {} %", 26.2, 15.3)``, which `paper_says` puts together. ``disputed`` is the
    objection with its cite key in braces, or "" where none is known; ``changes`` lists later
    corrections of thresholds or settings with their reasons, for the ledger. ``missed`` names the
    conditions that a claim registered as partly reproduced misses: without it, missing others would
    look the same.
    ``by_design`` says why two arms of the main run are equal, number by number, where they are.
    """

    id: str
    cite: str
    sentence: str
    kind: str
    expected: str
    paper: tuple[tuple[str, str | tuple[str | int | float, ...], str], ...] = ()
    conditions: tuple[Condition, ...] = ()
    controls: tuple[Control, ...] = ()
    disputed: str = ""
    changes: tuple[str, ...] = ()
    missed: tuple[str, ...] = ()
    by_design: str = ""

    def __post_init__(self):
        if self.kind not in KINDS:
            raise ValueError(f"claim {self.id}: kind {self.kind!r} is none of {', '.join(KINDS)}")
        if self.expected not in KINDS[self.kind]:
            raise ValueError(
                f"claim {self.id}: {self.expected!r} is none of {', '.join(KINDS[self.kind])}"
            )
        if self.kind != "account" and not (self.conditions and self.controls):
            raise ValueError(
                f"claim {self.id}: a claim that gets a verdict needs conditions and controls"
            )
        names = {condition.name for condition in self.conditions}
        if len(names) < len(self.conditions):
            raise ValueError(f"claim {self.id}: two conditions have one name")
        attacked = {name for control in self.controls for name in control.misses}
        if unknown := (attacked | set(self.missed)) - names:
            raise ValueError(f"claim {self.id}: no condition called {', '.join(sorted(unknown))}")
        if not all(by > 0 for control in self.controls for by in control.misses.values()):
            raise ValueError(f"claim {self.id}: a control must miss by a margin above zero")
        if self.kind != "account" and attacked != names:
            raise ValueError(
                f"claim {self.id}: no control attacks {', '.join(sorted(names - attacked))}"
            )

    @property
    def paper_says(self) -> tuple[tuple[str, str, str], ...]:
        """The rows of ``paper`` in words."""
        return tuple(
            (what, value if isinstance(value, str) else value[0].format(*value[1:]), where)
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
    """One condition over the seeds: its values, whether it holds, its margin in spreads."""

    condition: Condition
    values: tuple[float, ...]
    holds: bool
    unit: str = "ratio"

    @property
    def mean(self) -> float:
        """Mean over the seeds, correctly rounded: three values of 0.1 have the mean 0.1."""
        return float(statistics.mean(self.values))

    @property
    def sd(self) -> float:
        """Standard deviation over the seeds (n - 1); nan for fewer than two, or not finite."""
        known = len(self.values) > 1 and all(map(math.isfinite, self.values))
        return statistics.stdev(self.values) if known else math.nan

    @property
    def margin_in_sd(self) -> float:
        """Distance of the mean from the bound in standard deviations; inf where nothing varies."""
        margin = self.condition.margin(self.mean)
        return margin / self.sd if self.sd else math.copysign(math.inf, margin)

    @property
    def chance_of_failing(self) -> float:
        """Upper bound on the chance that fresh seeds, as many, would not meet the condition.

        The seeds are taken as draws from one normal law, of which these few tell the mean and the
        spread only roughly. Student's t says how likely the next mean is to miss. The binomial law
        says how likely too many seeds are to miss, averaged over the laws that these seeds allow.
        """
        n = len(self.values)
        if n < 2 or not self.sd:
            return 0.0 if self.holds else 1.0
        margin = self.margin_in_sd
        mean_misses = stats.t.sf(margin / math.sqrt(2 / n), n - 1)
        grid = (np.arange(200) + 0.5) / 200  # equally likely spreads, and means for each
        spreads = np.sqrt(stats.chi2.ppf(grid, n - 1) / (n - 1))[:, None]
        one_misses = stats.norm.sf(margin * spreads + stats.norm.ppf(grid) / math.sqrt(n))
        allowed = n - math.ceil(SHARE_OF_SEEDS * n)
        return float(min(1.0, mean_misses + stats.binom.sf(allowed, n, one_misses).mean()))


@dataclass(frozen=True)
class ControlOutcome:
    """What a control did: ``worked`` is what the verdict needs, ``why`` says it in words."""

    control: Control
    worked: bool
    why: str
    measured: tuple[Measured, ...]


@dataclass(frozen=True)
class Verdict:
    """The outcome of one claim; ``as_registered`` is what checks and pages assert."""

    claim: Claim
    word: str
    why: str
    measured: tuple[Measured, ...]
    controls: tuple[ControlOutcome, ...]

    @property
    def as_registered(self) -> bool:
        missed = {m.condition.name for m in self.measured if not m.holds}
        which = not self.claim.missed or missed == set(self.claim.missed)
        return self.word == self.claim.expected and which

    def __str__(self) -> str:
        return f"{self.claim.id}: {self.word}" + (f" ({self.why})" if self.why else "")


def _measure(condition: Condition, results: Sequence[Result], kind: str) -> Measured:
    values = tuple(float(condition.measure(result)) for result in results)
    met = [condition.margin(value) >= 0 for value in values]
    if not all(map(math.isfinite, values)):
        holds = False
    elif kind == "exact":
        holds = all(met)
    else:
        enough = sum(met) >= math.ceil(SHARE_OF_SEEDS * len(met))
        holds = enough and condition.margin(float(statistics.mean(values))) >= 0
    known = condition.name.partition("[")[0] in results[0]
    unit = condition.unit or (results[0].unit(condition.name) if known else "ratio")
    return Measured(condition, values, holds, unit)


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
    control: Control, claim: Claim, runs: Mapping[str, Mapping[int, Result]], seeds: Sequence[int]
) -> ControlOutcome:
    by_seed = runs.get(control.variant, {})
    missing = [seed for seed in seeds if seed not in by_seed]
    if missing:
        return ControlOutcome(control, False, f"no run of seed {missing[0]}", ())
    results = [by_seed[seed] for seed in seeds]
    valid = [_measure(condition, results, claim.kind) for condition in control.valid]
    measured = tuple(
        _measure(condition, results, claim.kind)
        for condition in claim.conditions
        if condition.name in control.misses
    )
    if not all(math.isfinite(value) for m in (*valid, *measured) for value in m.values):
        return ControlOutcome(control, False, "not finite", measured)
    main = [runs[MAIN][seed] for seed in seeds]
    if idle := _does_not_act(results, main, claim.kind, control.by_design):
        return ControlOutcome(control, False, f"does not act: {idle}", measured)
    for check in valid:
        if not check.holds:
            return ControlOutcome(
                control,
                False,
                f"not valid: {check.condition.says} (measured {check.mean:.4g})",
                measured,
            )
    for m in measured:
        needed = control.misses[m.condition.name]
        if claim.kind == "null":
            if not m.holds or m.condition.margin(m.mean) < needed:
                return ControlOutcome(control, False, f"does not show {m.condition.name}", measured)
            continue
        margins = (
            [m.condition.margin(v) for v in m.values]
            if claim.kind == "exact"
            else [m.condition.margin(m.mean)]
        )
        if max(margins) > -needed:
            return ControlOutcome(
                control, False, f"does not miss {m.condition.name} by {needed:g}", measured
            )
    word = "shows the effect" if claim.kind == "null" else "misses, as it should"
    return ControlOutcome(control, True, word, measured)


def judge(claim: Claim, runs: Mapping[str, Mapping[int, Result]]) -> Verdict:
    """The verdict on ``claim`` from ``runs[variant][seed]``; all seeds of the main run count."""
    if claim.kind == "account":
        return Verdict(claim, NO_VERDICT, "", (), ())
    seeds = sorted(runs.get(MAIN, {}))
    if not seeds:
        return Verdict(claim, VOID, "no run", (), ())
    results = [runs[MAIN][seed] for seed in seeds]
    measured = tuple(_measure(condition, results, claim.kind) for condition in claim.conditions)
    if not all(math.isfinite(value) for m in measured for value in m.values):
        return Verdict(claim, VOID, "a measured value is not finite", measured, ())
    if claim.kind != "exact" and not claim.by_design and (why := _alike(_twins(results))):
        return Verdict(claim, VOID, why, measured, ())
    controls = tuple(_judge_control(control, claim, runs, seeds) for control in claim.controls)
    held = [m.condition.name for m in measured if m.holds]
    for outcome in controls:
        # A control speaks only about conditions that the main run meets; for a null, always.
        if not outcome.worked and (claim.kind == "null" or set(outcome.control.misses) & set(held)):
            return Verdict(
                claim,
                VOID,
                f"control {outcome.control.variant!r}: {outcome.why}",
                measured,
                controls,
            )
    if claim.kind == "exact":
        word = HOLDS if len(held) == len(measured) else DOES_NOT_HOLD
    elif len(held) == len(measured):
        word = REPRODUCED
    elif held:
        word = PARTLY
    else:
        word = NOT_AT_THIS_SCALE if claim.kind == "null" else NOT_REPRODUCED
    failed = [m.condition.name for m in measured if not m.holds]
    why = f"missed: {', '.join(failed)}" if failed and word != NOT_AT_THIS_SCALE else ""
    return Verdict(claim, word, why, measured, controls)
