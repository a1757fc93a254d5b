"""The ledger: every claim, how it came out, and what has not been run yet.

``{ledger} PART`` with PART one of counts, claims, calibration, changes, not-yet-run;
chapters/back-matter/ledger.md says in words what each part means.
"""

from __future__ import annotations

from collections import Counter

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from whydeep.book.claims import EXACT_WORDS, Cell, EvidenceDirective, table
from whydeep.book.evidence import (
    Evidence,
    bound_words,
    carried_words,
    evidence,
    interval_words,
    machine_words,
    ratio_words,
    seeds_words,
    shown,
    worst_words,
)
from whydeep.book.numbers import verdict_badge, verdict_badges
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import WORDS, Claim, ControlOutcome, Measured, Verdict, judge
from whydeep.evidence.provenance import repository
from whydeep.evidence.results import Record, read_record, record_path
from whydeep.experiments import experiments

CHAPTERS = {
    "features": "It is all about the features",
    "design-choices": "Design choices",
    "mysterious-steps": "Mysterious steps",
    "hacking": "Hacking",
    "survey-optimization": "Why is SGD meaningful?",
    "survey-generalization": "Why does it not overfit?",
    "survey-convnets": "Why ConvNets",
    "survey-depth": "Why depth",
    "survey-physics": "Physics and looking inside",
    "readers-questions": "Readers ask",
    "since-then": "Since then",
}


def catalogue() -> list[dict]:
    """The entries of the catalogue; WhydeepError where it is missing.

    What a claim that runs says stands with its experiment, and nowhere else.
    """
    path = repository() / "data" / "catalogue.yaml"
    if not path.is_file():
        raise WhydeepError(f"no catalogue at {path}: restore it with `git checkout data`")
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))["entries"]
    said = runnable()
    return [
        {"claim": said[entry["id"]].says} | entry if entry["id"] in said else entry
        for entry in entries
    ]


def runnable() -> dict[str, Claim]:
    """The claims that an experiment of the book runs, by their ids."""
    return {claim.id: claim for module in experiments().values() for claim in module.CLAIMS}


def anchor(claim: str) -> str:
    """Where the book treats a catalogue entry: its claim box, or its line in the ledger."""
    return f"claim-{claim}" if claim in runnable() else f"not-yet-run-{claim}"


def claimed(entry: dict) -> str:
    """What a catalogue entry claims, with the works that claim it: inline MyST."""
    return entry["claim"] + (f" {{cite}}`{','.join(entry['cite'])}`" if entry["cite"] else "")


class LedgerDirective(EvidenceDirective):
    """``{ledger} PART``: one part of the ledger, from the experiments and their records."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        parts = {
            "counts": self._counts,
            "claims": self._claims,
            "calibration": self._calibration,
            "changes": self._changes,
            "not-yet-run": self._not_yet_run,
        }
        part = self.arguments[0]
        if part not in parts:
            self.warn(f"the ledger has no part {part!r}: choose from {', '.join(parts)}")
            return []
        try:
            return parts[part]()
        except WhydeepError as error:
            self.warn(error)
            return []

    def _all(self) -> list[Evidence]:
        """The evidence of every experiment; one without a record is told once a page."""
        found, told = [], self.env.temp_data.setdefault("whydeep_unrecorded", set())
        for name in experiments():
            try:
                found.append(evidence(name))
            except WhydeepError as error:
                if name not in told:
                    told.add(name)
                    self.warn(error)
        return found

    def _verdicts(self) -> list[tuple[Evidence, Verdict]]:
        return [(found, verdict) for found in self._all() for verdict in found.verdicts]

    def _waiting(self) -> list[dict]:
        done = runnable()
        return [entry for entry in catalogue() if entry["id"] not in done]

    def _counts(self) -> list[nodes.Node]:
        verdicts = self._verdicts()
        counts = Counter(verdict.word for _, verdict in verdicts)
        rows: list[tuple[Cell, str]] = [
            ([verdict_badge(word)], str(counts[word])) for word in WORDS if counts[word]
        ]
        contested = sum(bool(verdict.claim.contested) for _, verdict in verdicts)
        rows.append(("of these, contested", str(contested)))
        rows.append(("not yet run", str(len(self._waiting()))))
        return [table(("Verdict", "Claims"), rows, "ledger-counts")]

    def _claims(self) -> list[nodes.Node]:
        rows = [self._row(found, verdict) for found, verdict in self._verdicts()]
        return [
            table(("Claim and verdict", "What was measured", "Controls"), rows, "ledger-claims")
        ]

    def _row(self, found: Evidence, verdict: Verdict) -> tuple[Cell, Cell, Cell]:
        """Title, statement and word; each condition's number beside the source's; the controls."""
        claim, about = verdict.claim, found.record.provenance
        link = self.reference(anchor(claim.id), nodes.inline("", claim.title))
        head = [
            nodes.paragraph("", "", link, classes=["claim-name"]),
            nodes.paragraph("", "", *verdict_badges(found, verdict)),
            nodes.paragraph("", "", *self.inline(f"{claim.says} {{cite}}`{claim.cite}`")),
            nodes.paragraph(
                "",
                f"{seeds_words(found.record.seeds)}, scale {found.record.scale}, "
                f"{machine_words(about)}, code ",
                nodes.literal("", about["code"]),
                nodes.Text(", moved on since" if found.moved_on else ""),
                classes=["provenance"],
            ),
        ]
        exact = claim.kind == "exact"
        ours = [self._measured(m, exact, m in verdict.mechanism) for m in verdict.measured]
        if carried := carried_words(found.carried(verdict)):
            ours.append(nodes.paragraph("", f"Carries {carried}."))
        controls = [self._outcome(outcome, exact) for outcome in verdict.controls]
        return head, ours or "—", controls or "—"

    def _measured(self, m: Measured, exact: bool, aside: bool) -> nodes.paragraph:
        """One condition with its interval, its state, and the source's value where it has one."""
        words = [
            f": {worst_words(m) if exact else interval_words(m)}",
            f", {bound_words(m)} needed",
        ]
        if m.condition.source is not None:
            words.append(f"; the source {shown(m.condition.source, m.unit)}")
        if ratio := ratio_words(m):
            words.append(f", ours over theirs {ratio}")
        words.append(f". {(EXACT_WORDS[m.holds] if exact else m.state).capitalize()}")
        words.append(", about the reason." if aside else ".")
        return nodes.paragraph("", "", *self.inline(m.condition.says), nodes.Text("".join(words)))

    def _outcome(self, outcome: ControlOutcome, exact: bool) -> nodes.paragraph:
        words = (worst_words(m) if exact else interval_words(m) for m in outcome.measured)
        what = "Puts in " if outcome.control.finds else "Takes away "
        said = self.inline(f"{what}{outcome.control.removes}")
        return nodes.paragraph("", "", *said, nodes.Text(f": {outcome.why} ({'; '.join(words)})."))

    def _calibration(self) -> list[nodes.Node]:
        rows = []
        for found in self._all():
            if not record_path(found.experiment, "calibration").is_file():
                if all(claim.kind in ("exact", "account") for claim in found.module.CLAIMS):
                    continue  # no threshold was fixed on seeds
                self.warn(
                    f"{found.experiment} has no calibration record: run "
                    f"`whydeep record {found.experiment} --calibration`"
                )
                continue
            record = read_record(found.experiment, "calibration")
            for claim in found.module.CLAIMS:
                rows += self._calibrated(claim, record)
        if not rows:
            return [nodes.paragraph("", "No claim with a threshold has been recorded yet.")]
        header = ("Claim", "Condition, and why its bound", "Calibrated", "Bound", "Seeds", "Code")
        return [table(header, rows, "ledger-calibration")]

    def _calibrated(self, claim: Claim, record: Record) -> list[tuple[Cell, ...]]:
        """A row for each condition; one that says so where other quantities were kept."""
        about: list[Cell] = [seeds_words(record.seeds)]
        about.append([nodes.literal("", record.provenance["code"])])
        try:
            verdict = judge(claim, record.runs, share=record.share())
        except KeyError:
            missing = "a condition of today measures what this calibration did not keep"
            return [(claim.title, missing, "—", "—", *about)]
        return [
            (
                claim.title,
                [*self.inline(m.condition.says), *self._because(m)],
                interval_words(m),
                bound_words(m),
                *about,
            )
            for m in verdict.measured
        ]

    def _because(self, m: Measured) -> list[nodes.Node]:
        return self.inline(f" ({m.condition.because})") if m.condition.because else []

    def _changes(self) -> list[nodes.Node]:
        rows = [
            (verdict.claim.title, self.inline(change))
            for _, verdict in self._verdicts()
            for change in verdict.claim.changes
        ]
        if not rows:
            text = "No threshold or setting has changed since it was registered."
            return [nodes.paragraph("", text)]
        return [table(("Claim", "Change and reason"), rows, "ledger-changes")]

    def _not_yet_run(self) -> list[nodes.Node]:
        waiting, sections = self._waiting(), []
        unknown = {entry["chapter"] for entry in waiting} - set(CHAPTERS)
        if unknown:
            self.warn(f"the catalogue has an unknown chapter {sorted(unknown)[0]!r}")
        for chapter, title in CHAPTERS.items():
            entries = [entry for entry in waiting if entry["chapter"] == chapter]
            if not entries:
                continue
            section = nodes.section(ids=[f"not-yet-run-{chapter}"])
            section += nodes.title("", f"{title} ({len(entries)})")
            items = nodes.bullet_list(classes=["not-yet-run"])
            for entry in entries:
                name = anchor(entry["id"])
                self.target(name, entry["id"])
                items += nodes.list_item(
                    "",
                    nodes.paragraph(
                        "",
                        "",
                        *self.inline(claimed(entry)),
                        nodes.Text(" "),
                        nodes.literal("", entry["id"]),
                    ),
                    ids=[name],
                )
            section += items
            sections.append(section)
        return sections


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("ledger", LedgerDirective)
