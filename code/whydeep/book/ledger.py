"""The ledger: every claim, how it came out, and what has not been run yet.

``{ledger} PART`` with PART one of counts, claims, chance, calibration, changes, not-yet-run;
chapters/back-matter/ledger.md says in words what each part means.
"""

from __future__ import annotations

from collections import Counter

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from whydeep.book.claims import EvidenceDirective, table
from whydeep.book.evidence import (
    Evidence,
    bound_words,
    evidence,
    machine_words,
    margin_words,
    measured_words,
    number,
    seeds_words,
)
from whydeep.book.numbers import verdict_badge, verdict_badges
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import Verdict, judge
from whydeep.evidence.provenance import repository
from whydeep.evidence.results import read_record, record_path
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
    """The entries of the catalogue; WhydeepError where it is missing."""
    path = repository() / "data" / "catalogue.yaml"
    if not path.is_file():
        raise WhydeepError(f"no catalogue at {path}: restore it with `git checkout data`")
    return yaml.safe_load(path.read_text(encoding="utf-8"))["entries"]


def runnable() -> set[str]:
    """The ids of the claims that an experiment of the book runs."""
    return {claim.id for module in experiments().values() for claim in module.CLAIMS}


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
            "chance": self._chance,
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
        rows = [([verdict_badge(word)], str(n)) for word, n in sorted(counts.items())]
        disputed = sum(bool(verdict.claim.disputed) for _, verdict in verdicts)
        rows.append(("of these, disputed", str(disputed)))
        rows.append(("not yet run", str(len(self._waiting()))))
        return [table(("Verdict", "Claims"), rows, "ledger-counts")]

    def _claims(self) -> list[nodes.Node]:
        rows = []
        for found, verdict in self._verdicts():
            claim = verdict.claim
            paper = [
                nodes.paragraph("", "", *self.inline(f"{what}: {value} ({where})"))
                for what, value, where in claim.paper_says
            ]
            ours = [
                nodes.paragraph(
                    "",
                    f"{m.condition.name}: {measured_words(m)} ({bound_words(m)}; "
                    f"margin {margin_words(m)})" + ("" if m.holds else ", missed"),
                )
                for m in verdict.measured
            ]
            controls = []
            for outcome in verdict.controls:
                values = ", ".join(
                    f"{m.condition.name}: {measured_words(m)}" for m in outcome.measured
                )
                text = f"{outcome.control.variant}: {outcome.why}"
                controls.append(nodes.paragraph("", f"{text} ({values})" if values else text))
            badges = nodes.paragraph("", "", *verdict_badges(verdict))
            about = found.record.provenance
            recorded = nodes.paragraph(
                "",
                f"{seeds_words(found.record.seeds)}, scale {found.record.scale}, "
                f"{machine_words(about)}, code ",
                nodes.literal("", about["code"]),
                nodes.Text(", moved on since" if found.moved_on else ""),
                classes=["provenance"],
            )
            shown = nodes.literal("", claim.id)
            link = nodes.paragraph("", "", self.reference(anchor(claim.id), shown))
            rows.append(
                ([link, badges, recorded], paper or "no number", ours or "—", controls or "—")
            )
        header = ("Claim and verdict", "The paper", "Ours", "Controls")
        return [table(header, rows, "ledger-claims")]

    def _chance(self) -> list[nodes.Node]:
        measured = [m for _, verdict in self._verdicts() for m in verdict.measured]
        held = [m for m in measured if m.holds]
        expected = sum(m.chance_of_failing for m in held)
        return [
            nodes.paragraph(
                "",
                f"{len(held)} of the {len(measured)} conditions hold. Of these, at most "
                f"{number(expected, 2)} would be expected to fail by chance on as many fresh "
                "seeds.",
            )
        ]

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
            verdicts = [judge(claim, record.runs) for claim in found.module.CLAIMS]
            for verdict in verdicts:
                rows += [
                    (
                        [nodes.literal("", verdict.claim.id)],
                        m.condition.name,
                        measured_words(m),
                        bound_words(m),
                        margin_words(m),
                        seeds_words(record.seeds),
                        [nodes.literal("", record.provenance["code"])],
                    )
                    for m in verdict.measured
                ]
        if not rows:
            return [nodes.paragraph("", "No claim with a threshold has been recorded yet.")]
        header = ("Claim", "Condition", "Calibrated", "Bound", "Margin", "Seeds", "Code")
        return [table(header, rows, "ledger-calibration")]

    def _changes(self) -> list[nodes.Node]:
        rows = [
            ([nodes.literal("", verdict.claim.id)], self.inline(change))
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
                self.env.get_domain("std").note_hyperlink_target(
                    name, self.env.docname, name, entry["id"]
                )
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
