"""How far an effect carries: the same claim on neighbours, settings that ought not to matter.

Each neighbour was named before it was run. Its main run and the claim's first control are run on
five fresh seeds. The effect carries to it where each condition that the claim has in its favour
lies beyond no effect, on the claimed side, and the control is not in favour; of a claim that came
out opposite, where those conditions are opposite there too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType

from whydeep.evidence.claims import (
    AGAINST,
    FAVOUR,
    IN_PART,
    OPPOSITE,
    REPRODUCED,
    SHOWN,
    Measured,
    Neighbour,
    Verdict,
    level,
    measure,
)
from whydeep.evidence.results import Record

CARRY = (REPRODUCED, SHOWN, IN_PART, OPPOSITE)  # the words that say of an effect where it lies


@dataclass(frozen=True)
class Carried:
    """What one neighbour gave: the deciding conditions there, and what its control measured."""

    neighbour: Neighbour
    carries: bool
    measured: tuple[Measured, ...]
    control: tuple[Measured, ...]


def carried(verdict: Verdict, module: ModuleType, record: Record) -> tuple[Carried, ...]:
    """How each neighbour of a claim fared, from the ``record`` of the experiment's neighbours.

    None where the word says nothing of where the effect lies (*not shown*, *undecided*).
    """
    claim = verdict.claim
    known = {each.name: each for each in getattr(module, "NEIGHBOURS", ())}
    if verdict.word not in CARRY:
        return ()
    state = FAVOUR if verdict.word != OPPOSITE else AGAINST
    asked = [m.condition for m in verdict.deciding if m.state == state]
    found = []
    for name in claim.neighbours:
        control = claim.controls[0]
        beside = f"{name} / {control.variant}"
        if name not in record.runs or beside not in record.runs:
            continue
        main, other = ([*record.runs[each].values()] for each in (name, beside))
        at = level(len(claim.decides))
        attacked = [c for c in claim.decides if c.name in control.misses]
        here = tuple(measure(c, main, at, record.share(name)) for c in claim.decides)
        there = tuple(measure(c, other, level(1), record.share(beside)) for c in attacked)
        carries = all(_on_its_side(m, state) for m in here if m.condition in asked)
        carries &= not any(m.holds for m in there if m.condition in asked)
        found.append(Carried(known[name], carries, here, there))
    return tuple(found)


def _on_its_side(measured: Measured, state: str) -> bool:
    """Whether the interval lies beyond no effect, on the side of ``state``."""
    condition = measured.condition
    if state == AGAINST or condition.none == condition.bound:  # of equality: within its margin
        return measured.state == state
    if condition.none is None:
        return measured.holds
    return (
        measured.low > condition.none if condition.sense == ">=" else measured.high < condition.none
    )


def only_here(outcomes: Sequence[Carried]) -> bool:
    """Whether no more than half of the neighbours carry, so that the badge has to say so."""
    return bool(outcomes) and 2 * sum(each.carries for each in outcomes) <= len(outcomes)
