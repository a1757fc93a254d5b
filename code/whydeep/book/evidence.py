"""What pages show of an experiment: its committed record, the verdicts from it, and their words."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType

import numpy as np

from whydeep.errors import BadSettings
from whydeep.evidence.claims import Measured, Verdict, judge
from whydeep.evidence.near import Carried, carried
from whydeep.evidence.provenance import VERSIONED, code_hash, standing
from whydeep.evidence.results import MAIN, NEAR, Record, read_record, record_path
from whydeep.experiments import find, recorded_scale

NUMBER = re.compile(r"\{num\}`([^`]+)`")
SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
STATISTICS = {
    "mean": np.mean,
    "sd": lambda v: np.std(v, ddof=1),
    "min": np.min,
    "max": np.max,
}


@dataclass(frozen=True)
class Evidence:
    """An experiment's record at the scale that verdicts rest on, with a verdict a claim."""

    experiment: str
    module: ModuleType
    record: Record
    verdicts: tuple[Verdict, ...]
    beside: Record | None = None  # the runs of its neighbours

    @property
    def code_now(self) -> str:
        return code_hash(self.module.__name__)

    @property
    def moved_on(self) -> bool:
        """Whether the experiment's code has changed since the record was made."""
        return self.code_now != standing(self.record.provenance)

    def carried(self, verdict: Verdict) -> tuple[Carried, ...]:
        """How the neighbours of one of its claims fared; none where they are not recorded."""
        return carried(verdict, self.module, self.beside) if self.beside else ()

    def verdict(self, claim: str) -> Verdict:
        return next(v for v in self.verdicts if v.claim.id == claim)


@lru_cache
def evidence(name: str) -> Evidence:
    """The evidence of the experiment ``name``, or of the one that holds the claim ``name``.

    WhydeepError names an unknown id, or a missing or damaged record.
    """
    experiment, module = find(name)
    record = read_record(experiment, recorded_scale(module))
    verdicts = tuple(judge(claim, record.runs, share=record.share()) for claim in module.CLAIMS)
    there = record_path(experiment, NEAR).is_file()
    beside = read_record(experiment, NEAR) if there else None
    return Evidence(experiment, module, record, verdicts, beside)


# ---------------------------------------------------------------------------------- words


def number(value: float, digits: int = 4) -> str:
    """``value`` with so many significant digits, a true minus sign, and powers of ten."""
    if not math.isfinite(value):
        return "∞" if value > 0 else "−∞" if value < 0 else "not a number"
    return _typeset(f"{value:.{digits}g}")


def _typeset(shown: str) -> str:
    """A formatted number for readers: 2.5e-12 becomes 2.5 × 10⁻¹², and a minus sign a true one."""
    mantissa, _, exponent = shown.partition("e")
    if exponent:
        shown = f"{mantissa} × 10{str(int(exponent)).translate(SUPERSCRIPTS)}"
    return shown.replace("-", "−")


def shown(value: float, unit: str, digits: int = 4) -> str:
    """``value`` with its unit; a fraction of something as a percentage of it, a ratio as it is."""
    return _with_unit([number(_in_percent(value, unit), digits)], unit)


def interval_words(measured: Measured) -> str:
    """The middle of the interval and its ends, rounded to the second digit of its half width."""
    seen = [_in_percent(x, measured.unit) for x in (measured.centre, measured.low, measured.high)]
    half = (seen[2] - seen[1]) / 2
    if not math.isfinite(half) or half == 0:
        return _with_unit([number(seen[0])], measured.unit)
    places = 1 - math.floor(math.log10(half))
    largest = max(map(abs, seen))
    if places > 7 or largest >= 1e6:
        texts = [number(x, max(2, places + math.floor(math.log10(largest)) + 1)) for x in seen]
    else:
        texts = [f"{x:.{max(0, places)}f}".replace("-", "−") for x in seen]
    return _with_unit([f"{texts[0]} ({texts[1]} to {texts[2]})"], measured.unit)


def worst_words(measured: Measured) -> str:
    """The value furthest to the wrong side of the bound, of an exact claim."""
    worst = min(measured.values, key=measured.condition.margin)
    return shown(worst, measured.unit)


def _in_percent(value: float, unit: str) -> float:
    return 100 * value if unit.startswith("fraction of ") else value


def _with_unit(texts: Sequence[str], unit: str) -> str:
    """A number and its unit; a ratio has none, whatever it is a ratio of."""
    unit = unit.replace("fraction of ", "% of ", 1) if unit.startswith("fraction of ") else unit
    ratio = not unit or unit.split()[0] == "ratio"
    return " ".join(texts if ratio else [*texts, unit])


def bound_words(measured: Measured) -> str:
    """``at least 5 % of test examples``."""
    side = {">=": "at least", "<=": "at most"}[measured.condition.sense]
    return f"{side} {shown(measured.condition.bound, measured.unit)}"


def ratio_words(measured: Measured) -> str:
    """Ours over theirs, with its interval; "" where nothing stands beside ours."""
    if measured.of_theirs is None:
        return ""
    ours, low, high = measured.of_theirs
    return f"{number(ours, 2)} ({number(low, 2)} to {number(high, 2)})"


def carried_words(outcomes: Sequence[Carried]) -> str:
    """``to 3 of 4 neighbours: digits, ...; not to width 256``; "" where there is none."""
    if not outcomes:
        return ""
    yes = [each.neighbour.words for each in outcomes if each.carries]
    no = [each.neighbour.words for each in outcomes if not each.carries]
    words = f"to {len(yes)} of {len(outcomes)} neighbours"
    words += f": {', '.join(yes)}" if yes else ""
    return words + (f"; not to {', '.join(no)}" if no else "")


def plain(text: str) -> str:
    """A claim's words with each ``{num}`` role in them replaced by its number, for a terminal."""
    return NUMBER.sub(lambda role: resolve(role[1]), text)


def seeds_words(seeds: Sequence[int]) -> str:
    """``seed 0``, or ``5 seeds (0–4)``."""
    if len(seeds) == 1:
        return f"seed {seeds[0]}"
    if list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{len(seeds)} seeds ({seeds[0]}–{seeds[-1]})"
    return f"{len(seeds)} seeds ({', '.join(map(str, seeds))})"


def machine_words(provenance: dict) -> str:
    """``cpu (x86_64), AMD EPYC (...), AVX2, 1 thread``; the device alone where no more is known."""
    words = [provenance["device"]]
    if "processor" in provenance:
        count = provenance["threads"]
        threads = f"{count} thread" if count == 1 else f"{count} threads"
        words += [provenance["processor"], provenance["capability"], threads]
    return ", ".join(words)


def versions_words(provenance: dict) -> str:
    names = ("python", *VERSIONED)
    return ", ".join(f"{name} {provenance[name]}" for name in names if name in provenance)


# ---------------------------------------------------------------------------------- numbers


def _statistic(values: Iterable[float], words: list[str], text: str) -> str:
    values = np.asarray(list(values), dtype=float)
    statistic, form, plus_minus = "mean", ".4g", False
    for word in words:
        if word in STATISTICS:
            statistic = word
        elif word == "±":
            plus_minus = True
        else:
            form = word
    try:
        shown = _typeset(format(float(STATISTICS[statistic](values)), form))
        if plus_minus:
            shown += f" ± {_typeset(format(float(STATISTICS['sd'](values)), form))}"
    except ValueError:
        raise BadSettings(
            f"number {text!r}: {form!r} is no format; write .3f, .1% or .2g, after the quantity, "
            "with mean, sd, min, max or ± beside it"
        ) from None
    return shown


def resolve(text: str) -> str:
    """The number that ``{num}`` shows for ``text``, from the committed record.

    ``EXPERIMENT[@VARIANT] QUANTITY[[PLACE,...]] [mean|sd|min|max] [FORMAT] [±]`` gives a recorded
    quantity, or a place in one: along each axis a number, or a name (no space after the comma).
    ``CLAIM[@VARIANT]:CONDITION ...`` is what a claim's condition measures; a name with spaces
    stands in double quotes. The mean is over the seeds; ``±`` adds the standard deviation.
    WhydeepError names what is unknown.
    """
    words = shlex.split(text)
    if not words:
        raise BadSettings("an empty number: write an experiment and a quantity")
    source, _, condition = words[0].partition(":")
    name, _, variant = source.partition("@")
    found = evidence(name)
    runs = found.record.runs.get(variant or MAIN)
    if runs is None:
        raise BadSettings(
            f"number {text!r}: no recorded variant {variant!r}; there are "
            f"{', '.join(repr(v) for v in found.record.runs)}"
        )
    results = [runs[seed] for seed in sorted(runs)]
    if condition:
        claim = next((c for c in found.module.CLAIMS if c.id == name), None)
        conditions = {c.name: c for c in claim.conditions} if claim else {}
        if condition not in conditions:
            raise BadSettings(
                f"number {text!r}: no condition {condition!r} of a claim {name!r}; there are "
                f"{', '.join(conditions) or 'none'}"
            )
        return _statistic(map(conditions[condition].measure, results), words[1:], text)
    if len(words) < 2:
        raise BadSettings(f"number {text!r}: name a quantity after the experiment")
    quantity = words[1]
    name = quantity.partition("[")[0]
    if name not in results[0]:
        raise BadSettings(
            f"number {text!r}: no quantity {name!r}; there are {', '.join(results[0])}"
        )
    try:
        values = [result[quantity] for result in results]
    except (KeyError, IndexError) as error:
        raise BadSettings(f"number {text!r}: {error.args[0]}") from None
    if values[0].ndim:
        place = ",".join(["-1"] * results[0][name].ndim)
        raise BadSettings(
            f"number {text!r}: {quantity} has shape {values[0].shape}; write one element, such as "
            f"{name}[{place}]"
        )
    return _statistic(map(float, values), words[2:], text)
