"""Verdicts and registrations over time: ``{verdict-changes}`` shows them, a check asks for reasons.

    python -m whydeep.book.checks.changes

``data/verdict-changes.yaml`` holds the verdict on each claim and a digest of what was registered,
as last released or, for a newer claim, as first told; and an entry for each verdict, registration
or record that changed. A verdict or a registration that is not the last one told is a problem: a
claim cannot be fitted to its result, nor a result to its claim, without a line that says when and
why. What a claim registers is its statement, kind and verdict, its conditions, what they measure
and its controls; words that only explain may be mended freely.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from types import FunctionType, ModuleType

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from whydeep.book.claims import EvidenceDirective
from whydeep.book.evidence import evidence
from whydeep.book.numbers import verdict_badge
from whydeep.errors import WhydeepError
from whydeep.evidence import claims
from whydeep.evidence.claims import KINDS, Claim, Condition, Control
from whydeep.evidence.provenance import repository
from whydeep.experiments import experiments

NAME = "verdict-changes.yaml"
# The words of today, and those of the first rules, which older entries tell of.
WORDS = {word for words in KINDS.values() for word in words} | {
    "partly reproduced", "not reproduced", "not at this scale", "no verdict", "void"
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """What is known of a claim: its verdict, and the digest of its registration."""

    word: str
    registered: str


@dataclass(frozen=True)
class Change:
    """One entry: on ``when``, the verdict on ``claim`` went from ``before`` to ``after``, and why.

    ``before`` and ``after`` are the same where a record was made again and the verdict stood.
    ``registered`` is the digest of a registration that changed with it, or "".
    """

    when: date
    claim: str
    before: str
    after: str
    reason: str
    registered: str = ""
    place: int = 0  # in the file: the later of a day


@dataclass(frozen=True)
class Registration:
    """One entry: on ``when``, what ``claims`` register became these digests, and why."""

    when: date
    claims: Mapping[str, str]
    reason: str
    place: int = 0


@dataclass(frozen=True)
class History:
    """The file: what was released, and since then and before, the entries, oldest first."""

    released: Mapping[str, Told] = field(default_factory=dict)
    changes: Sequence[Change] = ()
    registrations: Sequence[Registration] = ()

    def registered(self, claim: str) -> str:
        """The digest that was last told of what ``claim`` registers, or ""; the later of a day."""
        told = [
            (c.when, c.place, c.registered)
            for c in self.changes
            if c.claim == claim and c.registered
        ]
        told += [
            (r.when, r.place, r.claims[claim]) for r in self.registrations if claim in r.claims
        ]
        if told:
            return max(told)[2]
        return self.released[claim].registered if claim in self.released else ""


def read_changes() -> History:
    """What ``data/verdict-changes.yaml`` says; WhydeepError where it is missing or misshapen."""
    path = repository() / "data" / NAME
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        released = {}
        for claim, told in raw["released"].items():
            word, _, digest = told.rpartition(" ")
            released[claim] = Told(word, digest)
        changes, registrations = [], []
        for place, entry in enumerate(raw["changes"]):
            when, reason = entry["when"], " ".join(entry["reason"].split())
            if not isinstance(when, date):
                raise TypeError("a date is not written as YYYY-MM-DD")
            if "claim" in entry:
                words = (entry["claim"], entry["before"], entry["after"])
                changes.append(
                    Change(when, *words, reason, str(entry.get("registered", "")), place)
                )
            else:
                digests = {claim: str(digest) for claim, digest in entry["registered"].items()}
                registrations.append(Registration(when, digests, reason, place))
    except FileNotFoundError:
        raise WhydeepError(f"no {path}: restore it with git") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WhydeepError(f"{path} is damaged ({error!r}): mend it") from None
    by_date = (sorted(entries, key=lambda e: e.when) for entries in (changes, registrations))
    return History(released, *by_date)


# ------------------------------------------------------------------------------- registration


@lru_cache
def _functions(path: str) -> dict[int, str]:
    """The code of every function and lambda in a file, by its first line; no docstrings."""
    found: dict[int, str] = {}
    for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Lambda | ast.FunctionDef):
            if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) is not None:
                del node.body[0]
            found[node.lineno] = found.get(node.lineno, "") + ast.unparse(node)
    return found


def measured_by(measure: Callable) -> Iterator[str]:
    """What a condition's ``measure`` computes: its code, what it reads from around it, its helpers.

    A measure made by `whydeep.evidence.claims` is told by what it was made of, whatever the code.
    """
    measure = inspect.unwrap(measure)  # tests check shapes and types on the way in
    read = inspect.getclosurevars(measure)
    if measure.__module__ != claims.__name__:
        code = measure.__code__
        yield _functions(code.co_filename)[code.co_firstlineno]
    for name, value in sorted({**read.globals, **read.nonlocals}.items()):
        if isinstance(value, FunctionType):
            if value is not measure and value.__module__.startswith("whydeep.experiments"):
                yield from measured_by(value)
        elif callable(value) and not isinstance(value, type):
            # What a library's function prints as holds its address.
            yield f"{name} = {value.__module__}.{getattr(value, '__qualname__', value)}"
        elif not isinstance(value, ModuleType | type):
            yield f"{name} = {value!r}"


def registered(claim: Claim) -> str:
    """Eight hex digits over what ``claim`` registers: what cannot change without an entry."""

    def condition(c: Condition) -> list:
        zones = [c.bound, c.none, c.source]
        numbers = [None if x is None else repr(float(x)) for x in zones]
        return [c.name, c.sense, *numbers, c.log, c.unit, *measured_by(c.measure)]

    def excused(what: Claim | Control) -> list:
        """That equal arms do not count as a control that does not act, where it is so."""
        return ["by design"] if what.by_design else []

    said = [
        " ".join(claim.says.split()),
        [claim.kind, claim.expected, claim.ours, *sorted(claim.missed), *excused(claim)],
        [condition(c) for c in claim.decides],
        [condition(c) for c in claim.mechanism],
        [
            [
                control.variant,
                sorted(control.misses),
                sorted(control.finds),
                [condition(c) for c in control.valid],
                *excused(control),
            ]
            for control in claim.controls
        ],
    ]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()[:8]


# ------------------------------------------------------------------------------- the check


def problems(history: History, now: Mapping[str, Told]) -> list[str]:
    """What is wrong with the ``history``, one line each, given what is true ``now`` by claim."""
    changes, released = history.changes, history.released
    named = [c.claim for c in changes] + [c for r in history.registrations for c in r.claims]
    found = [
        f"{what} names the claim {claim!r}, which no experiment runs: correct the id"
        for what, claims_ in (("an entry", named), ("the release", released))
        for claim in dict.fromkeys(claims_)
        if claim not in now
    ]
    found += [
        f"the entry on {c.claim} of {c.when} says {word!r}, which is no verdict: write one of "
        f"{', '.join(sorted(WORDS))}"
        for c in changes
        for word in (c.before, c.after)
        if word not in WORDS
    ]
    for claim, today in now.items():
        mine = [change for change in changes if change.claim == claim]
        for earlier, later in pairwise(mine):
            if earlier.after != later.before:
                found.append(
                    f"{claim}: the entry of {later.when} begins at {later.before!r}, but the one "
                    f"before it ends at {earlier.after!r}"
                )
        if claim not in released:
            found.append(
                f"{claim} is new: put the line `{claim}: {today.word} {today.registered}` under "
                f"`released` in data/{NAME}"
            )
            continue
        told = mine[-1].after if mine else released[claim].word
        if told != today.word:
            found.append(
                f"{claim}: the verdict is {today.word!r}, but the last one told is {told!r}: say "
                f"in data/{NAME} when it changed and why"
            )
        elif released[claim].word not in {today.word, *(c.before for c in mine)}:
            found.append(
                f"{claim}: released as {released[claim].word!r}, now {today.word!r}, and no entry "
                f"in data/{NAME} leads from one to the other"
            )
        if history.registered(claim) != today.registered:
            found.append(
                f"{claim}: what is registered has changed (statement, kind, verdict, conditions or "
                f"controls): say so under `changes` in data/{NAME} with `when`, `reason` and "
                f"`registered: {{{claim}: '{today.registered}'}}`"
            )
    return found


def told_now() -> dict[str, Told]:
    """The verdict on every claim that runs, from the committed records, and its registration."""
    return {
        v.claim.id: Told(v.word, registered(v.claim))
        for name in experiments()
        for v in evidence(name).verdicts
    }


class ChangesDirective(EvidenceDirective):
    """``{verdict-changes}``: the changes with their reasons, the latest first."""

    def run(self) -> list[nodes.Node]:
        try:
            history = read_changes()
        except WhydeepError as error:
            self.warn(error)
            return []
        entries = sorted((*history.changes, *history.registrations), key=lambda e: e.when)
        if not entries:
            return [nodes.paragraph("", "No verdict has changed.")]
        shown = (
            self._change(e) if isinstance(e, Change) else self._registration(e)
            for e in reversed(entries)
        )
        return [nodes.definition_list("", *shown)]

    def _registration(self, entry: Registration) -> nodes.definition_list_item:
        """Date, and under it what was registered anew, why, and for which claims."""
        head = nodes.term("", f"{entry.when.isoformat()} · registered anew")
        links = ", ".join(f"{{ref}}`{claim} <claim-{claim}>`" for claim in entry.claims)
        what = "Claim" if len(entry.claims) == 1 else "Claims"
        about = nodes.paragraph("", "", *self.inline(f"{what} {links}."), classes=["quiet"])
        reason = nodes.paragraph("", "", *self.inline(entry.reason))
        return nodes.definition_list_item("", head, nodes.definition("", reason, about))

    def _change(self, change: Change) -> nodes.definition_list_item:
        """Date, claim and verdict, and under them what happened and why."""
        head = nodes.term("", f"{change.when.isoformat()} · ")
        if change.before != change.after:
            head += [verdict_badge(change.before), nodes.Text(" → ")]
        head += verdict_badge(change.after)
        if change.before == change.after:
            head += nodes.Text(" (unchanged)")
        link = self.inline(f"Claim {{ref}}`{change.claim} <claim-{change.claim}>`.")
        about = nodes.paragraph("", "", *link, classes=["quiet"])
        reason = nodes.paragraph("", "", *self.inline(change.reason))
        return nodes.definition_list_item("", head, nodes.definition("", reason, about))


def main() -> int:
    """Exit 0 if every verdict and registration is the last one told, 1 if not, 2 on bad input."""
    try:
        history, now = read_changes(), told_now()
        found = problems(history, now)
    except WhydeepError as error:
        print(f"changes: {error}", file=sys.stderr)
        return 2
    print(*found, sep="\n", end="\n" if found else "")
    if not found:
        told = len(history.changes) + len(history.registrations)
        print(f"{len(now)} verdicts and registrations, {told} changes told, none untold")
    return 1 if found else 0


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("verdict-changes", ChangesDirective)


if __name__ == "__main__":
    sys.exit(main())
