"""How long all runs of the finished book take on 2, 16 and 256 cores: a simulation, no run is made.

The plan: every claim on SEEDS seeds, main run and variants; then its neighbours (settings that
ought not to matter), two to four of them, each on five seeds with one control. What a run takes is
read from the records (CPU seconds, one thread), or from a file of `{experiment: seconds}`. Claims
that are not written yet take what known ones take, drawn with a fixed seed. The runs are handed out
one by one to whichever core is free, as `whydeep check --jobs N` does it.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from whydeep.errors import WhydeepError
from whydeep.evidence.results import read_record
from whydeep.experiments import experiments, recorded_scale

NEIGHBOURS = (2, 4)  # the least and the most of a claim
NEIGHBOUR_SEEDS = 5
NEIGHBOUR_VARIANTS = 2  # main and one control


@dataclass(frozen=True)
class Cost:
    """What an experiment asks for: CPU seconds of a run, its variants with main, its claims."""

    seconds: float
    variants: int
    claims: int


def known(path: str | None) -> tuple[list[Cost], int]:
    """The experiments whose seconds are known, and how many there are; the file comes first."""
    given = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    found = experiments()
    costs = []
    for name, module in found.items():
        seconds = given.get(name)
        if seconds is None:
            seconds = read_record(name, recorded_scale(module)).provenance.get("seconds")
        if seconds is not None:
            costs.append(Cost(float(seconds), 1 + len(module.VARIANTS), len(module.CLAIMS)))
    return costs, len(found)


def runs_of(costs: list[Cost], claims: int, seeds: int, dearer: float, draw: int) -> list[float]:
    """CPU seconds of every run of a book of so many claims, an experiment after the other: those
    that are known, with or without a claim, then drawn ones.

    ``dearer``: how many times as long a neighbour's run takes (twice the width, more steps).
    """
    chance = random.Random(draw)
    with_claims = [cost for cost in costs if cost.claims]
    runs: list[float] = []
    upcoming = list(costs)
    while upcoming or claims > 0:
        cost = upcoming.pop(0) if upcoming else chance.choice(with_claims)
        claims -= cost.claims
        runs += [cost.seconds] * (seeds * cost.variants)
        for _ in range(cost.claims):
            neighbours = chance.randint(*NEIGHBOURS)
            one = NEIGHBOUR_SEEDS * NEIGHBOUR_VARIANTS
            runs += [cost.seconds * dearer] * (neighbours * one)
    return runs


def makespan(runs: Iterable[float], cores: int, start: float = 0.0) -> float:
    """Seconds until the last run has ended: each goes to the core that is free first.

    A core is free first after ``start`` seconds, when its process has loaded its libraries.
    """
    free = [start] * cores
    end = 0.0
    for run in runs:
        end = max(end, heapq.heapreplace(free, free[0] + run) + run)
    return end


def told(seconds: float) -> str:
    """``1 h 05 min``, ``12 min``, ``42 s``."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02} min"
    return f"{minutes} min" if seconds >= 120 else f"{seconds:.0f} s"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", help="a JSON file of {experiment: CPU seconds of a run}")
    parser.add_argument("--claims", type=int, default=185)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--cores", type=int, nargs="+", default=[2, 16, 256])
    parser.add_argument("--dearer", type=float, default=2.0, help="a neighbour's run, default 2")
    parser.add_argument("--start", type=float, default=5.0, help="s until a process is warm")
    parser.add_argument("--draw", type=int, default=0, help="seed of what is not known")
    options = parser.parse_args()
    try:
        costs, total = known(options.seconds)
    except (OSError, ValueError, WhydeepError) as error:
        print(f"No plan: {error}", file=sys.stderr)
        return 2
    if not any(cost.claims for cost in costs):
        print("No plan: no record says what its runs took; give --seconds FILE", file=sys.stderr)
        return 2
    runs = runs_of(costs, options.claims, options.seeds, options.dearer, options.draw)
    longest, work = max(runs), sum(runs)
    print(
        f"{options.claims} claims, {options.seeds} seeds, {len(runs):,} runs, {told(work)} of CPU "
        f"time, longest run {told(longest)}\n(seconds known for {len(costs)} of {total} "
        f"experiments, the others drawn from these with seed {options.draw})\n"
    )
    print(f"{'cores':>5}  {'longest first':>14}  {'in order':>14}  {'efficiency':>10}  bound by")
    for cores in options.cores:
        best = makespan(sorted(runs, reverse=True), cores, options.start)
        plain = makespan(runs, cores, options.start)
        bound = "the longest run" if longest > work / cores else "the work"
        share = f"{work / cores / best:>10.0%}"
        print(f"{cores:>5}  {told(best):>14}  {told(plain):>14}  {share}  {bound}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
