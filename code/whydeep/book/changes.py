"""Verdicts over time: ``{verdict-changes}`` shows them, and a check asks for a reason.

    python -m whydeep.book.changes

``data/verdict-changes.yaml`` holds the verdicts of the last release and, since then and before, an
entry for each verdict that changed and for each record that was made again. A verdict that differs
from the released one without an entry that says so is a problem.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from itertools import pairwise

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from whydeep.book.claims import EvidenceDirective
from whydeep.book.evidence import evidence
from whydeep.book.numbers import verdict_badge
from whydeep.claims import KINDS
from whydeep.errors import WhydeepError
from whydeep.experiments import experiments
from whydeep.provenance import repository

NAME = "verdict-changes.yaml"
WORDS = {word for words in KINDS.values() for word in words}


@dataclass(frozen=True)
class Change:
    """One entry: on ``when``, the verdict on ``claim`` went from ``before`` to ``after``, and why.

    ``before`` and ``after`` are the same where a record was made again and the verdict stood.
    """

    when: date
    claim: str
    before: str
    after: str
    reason: str


def read_changes() -> tuple[dict[str, str], list[Change]]:
    """The released verdicts by claim, and the changes, oldest first.

    WhydeepError names a file that is missing or misshapen.
    """
    path = repository() / "data" / NAME
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        changes = [
            Change(e["when"], e["claim"], e["before"], e["after"], " ".join(e["reason"].split()))
            for e in raw["changes"]
        ]
        released = dict(raw["released"])
        if not all(isinstance(change.when, date) for change in changes):
            raise TypeError("a date is not written as YYYY-MM-DD")
    except FileNotFoundError:
        raise WhydeepError(f"no {path}: restore it with git") from None
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise WhydeepError(f"{path} is damaged ({error!r}): mend it") from None
    return released, sorted(changes, key=lambda change: change.when)


def problems(
    released: Mapping[str, str], changes: list[Change], verdicts: Mapping[str, str]
) -> list[str]:
    """What is wrong with the changes, one line each, given today's ``verdicts`` by claim."""
    found = [
        f"{what} names the claim {claim!r}, which no experiment runs: correct the id"
        for what, named in (("an entry", [c.claim for c in changes]), ("the release", released))
        for claim in dict.fromkeys(named)
        if claim not in verdicts
    ]
    found += [
        f"the entry on {c.claim} of {c.when} says {word!r}, which is no verdict: write one of "
        f"{', '.join(sorted(WORDS))}"
        for c in changes
        for word in (c.before, c.after)
        if word not in WORDS
    ]
    for claim, word in verdicts.items():
        mine = [change for change in changes if change.claim == claim]
        for earlier, later in pairwise(mine):
            if earlier.after != later.before:
                found.append(
                    f"{claim}: the entry of {later.when} begins at {later.before!r}, but the one "
                    f"before it ends at {earlier.after!r}"
                )
        told = mine[-1].after if mine else released.get(claim, word)
        if told != word:
            found.append(
                f"{claim}: the verdict is {word!r}, but the last one told is {told!r}: say in "
                f"data/{NAME} when it changed and why"
            )
        elif claim in released and released[claim] not in {word, *(c.before for c in mine)}:
            found.append(
                f"{claim}: released as {released[claim]!r}, now {word!r}, and no entry in "
                f"data/{NAME} leads from one to the other"
            )
    return found


def verdicts_now() -> dict[str, str]:
    """The verdict on every claim that runs, from the committed records."""
    return {v.claim.id: v.word for name in experiments() for v in evidence(name).verdicts}


class ChangesDirective(EvidenceDirective):
    """``{verdict-changes}``: the changes with their reasons, the latest first."""

    def run(self) -> list[nodes.Node]:
        try:
            _, changes = read_changes()
        except WhydeepError as error:
            self.warn(error)
            return []
        if not changes:
            return [nodes.paragraph("", "No verdict has changed.")]
        return [nodes.definition_list("", *map(self._entry, reversed(changes)))]

    def _entry(self, change: Change) -> nodes.definition_list_item:
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
    """Exit 0 if every verdict is as released or its change is told, 1 if not, 2 on bad input."""
    try:
        released, changes = read_changes()
        verdicts = verdicts_now()
        found = problems(released, changes, verdicts)
    except WhydeepError as error:
        print(f"changes: {error}", file=sys.stderr)
        return 2
    print(*found, sep="\n", end="\n" if found else "")
    if not found:
        print(f"{len(verdicts)} verdicts, {len(changes)} changes told, none untold")
    return 1 if found else 0


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("verdict-changes", ChangesDirective)


if __name__ == "__main__":
    sys.exit(main())
