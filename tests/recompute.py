"""The words and intervals of the ledger once more, from the records, by other means.

    python tests/recompute.py

It reads data/results as JSON and does its own statistics with NumPy: the quantile of Student's t
by integrating its density, the zones and the words from their table in *How to read a verdict*. Of
the package it takes what was registered: conditions, bounds, controls. It prints what differs from
the package's verdicts and exits with 1 if anything does.
"""

import json
import math
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
from whydeep.book.evidence import evidence
from whydeep.evidence.results import Quantity, Result
from whydeep.experiments import experiments, recorded_scale

RESULTS = Path(__file__).resolve().parents[1] / "data" / "results"


@lru_cache
def t_quantile(p, degrees):
    """The point below which Student's t lies with probability p > 1/2, by the trapezoid rule."""
    angle = np.linspace(0, np.pi / 2, 400_001)[:-1]  # t = sqrt(degrees) tan(angle)
    density = np.cos(angle) ** (degrees - 1)
    area = np.concatenate([[0.0], np.cumsum((density[1:] + density[:-1]) / 2)])
    return math.sqrt(degrees) * math.tan(np.interp((p - 0.5) * 2, area / area[-1], angle))


def ends(values, level, share, log):
    """The interval of the mean, as numpy says it."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2 or not np.isfinite(x).all() or (log and (x <= 0).any()):
        return math.nan, math.nan
    x = np.log(x) if log else x
    n = len(x)
    half = t_quantile(0.5 + level / 2, n - 1) * x.std(ddof=1)
    half *= math.sqrt(1 / n + share / (1 - share))
    low, high = x.mean() - half, x.mean() + half
    return (math.exp(low), math.exp(high)) if log else (low, high)


def state(c, low, high):
    """favour, missed, opposite or open, on an axis turned so that more is better."""
    if math.isnan(low):
        return "open"
    sign = 1 if c.sense == ">=" else -1
    low, high = sorted((sign * low, sign * high))
    slack = 1e-12 * max(abs(low), abs(high), abs(c.bound))  # a mean of equal values may round
    if low >= sign * c.bound - slack:
        return "favour"
    if high >= sign * c.bound:
        return "open"
    return "opposite" if c.none is not None and high < sign * c.none else "missed"


def word(claim, runs, share):
    """The word, and the intervals of all conditions by name."""
    if claim.kind == "account":
        return "told", {}

    def values(c, variant):
        return [float(c.measure(runs[variant][seed])) for seed in sorted(runs[variant])]

    def met(c, v):
        return math.isfinite(v) and (v >= c.bound if c.sense == ">=" else v <= c.bound)

    k = len(claim.decides)
    level = 0.95 if k < 3 else 1 - 0.1 / k
    if claim.kind == "exact":
        good = [all(met(c, v) for v in values(c, "main")) for c in claim.decides]
        return "holds" if all(good) else "does not hold", {}
    found = {c.name: ends(values(c, "main"), level, share, c.log) for c in claim.conditions}
    states = {c.name: state(c, *found[c.name]) for c in claim.decides}
    favour = [name for name, s in states.items() if s == "favour"]
    missed = {name: False for name in states}  # whether a control missed it, and none failed to
    shown = {name: False for name in states}
    for control in claim.controls:
        valid = all(
            met(v, float(np.mean(values(v, control.variant)))) for v in control.valid
        ) and all(np.isfinite(values(v, control.variant)).all() for v in control.valid)
        for c in (c for c in claim.decides if c.name in control.attacks):
            there = ends(values(c, control.variant), 0.95, share, c.log)
            at = state(c, *there)
            if c.name in control.misses:
                fine = valid and at in ("missed", "opposite")
                missed[c.name] = fine and (missed[c.name] is not None)
                if not fine:
                    missed[c.name] = None
            if c.name in control.finds and valid and at == "favour":
                shown[c.name] = True
    if favour and not all(missed[name] for name in favour):
        return "undecided", found
    if len(favour) == k:
        ratios = []
        for c in claim.decides:
            if c.source is not None:
                f = math.log if c.log else float
                span = f(c.source) - f(c.none)
                ratios += [(f(x) - f(c.none)) / span for x in found[c.name]]
        like = ratios and all(0.5 <= r <= 2 for r in ratios)
        return "reproduced" if like else "shown here", found
    rest = set(states.values()) - {"favour"}
    if favour:
        return "in part" if rest & {"missed", "opposite"} else "undecided", found
    if "opposite" in rest:
        return "opposite", found
    return "not shown" if rest == {"missed"} and all(shown.values()) else "undecided", found


def records():
    """Every experiment's module, and its recorded runs as the JSON has them."""
    for name, module in experiments().items():
        raw = json.loads((RESULTS / name / f"{recorded_scale(module)}.json").read_text("utf-8"))
        axes, others = raw.get("axes", {}), raw.get("axes of variants", {})
        runs = {
            variant: {
                int(seed): Result(**{
                    q: Quantity(v, raw["units"][q], **(axes | others.get(variant, {})).get(q, {}))
                    for q, v in values.items()
                })
                for seed, values in by_seed.items()
            }
            for variant, by_seed in raw["runs"].items()
        }  # fmt: skip
        yield module, runs, raw["provenance"].get("shares", {}).get("main", 0.0)


def differences():
    """A line for each claim whose word or intervals the package tells otherwise."""
    for module, runs, share in records():
        for claim in module.CLAIMS:
            told = evidence(claim.id).verdict(claim.id)
            ours, found = word(claim, runs, share)
            if ours != told.word:
                yield f"{claim.id}: {ours}, but the package says {told.word} ({told.why})"
            for m in told.measured if found else ():
                both = np.array([found[m.condition.name], (m.low, m.high)])
                if not np.allclose(both[0], both[1], rtol=1e-5, atol=1e-9, equal_nan=True):
                    yield f"{claim.id}, {m.condition.name}: {both[0]}, the package says {both[1]}"


if __name__ == "__main__":
    lines = list(differences())
    print(*lines, sep="\n")
    print(f"{len(lines)} differences")
    sys.exit(bool(lines))
