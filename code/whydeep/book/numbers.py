"""Roles that put recorded numbers, verdicts and provenance into sentences.

{num}`features/raw-pixels error[raw] .3f ±`     {verdict}`bubeck2015-linear-on-raw-vs-features`
{experiment}`features/raw-pixels`              (whydeep.book.evidence.resolve has the grammar)
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxRole

from whydeep.book.evidence import (
    Evidence,
    evidence,
    machine_words,
    resolve,
    seeds_words,
    versions_words,
)
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import Verdict
from whydeep.evidence.near import only_here

logger = logging.getLogger(__name__)


def verdict_badge(word: str) -> nodes.inline:
    """A verdict as a badge: the word itself, and a class for its colour and mark."""
    return nodes.inline("", word, classes=["verdict", f"verdict-{word.replace(' ', '-')}"])


def verdict_badges(found: Evidence, verdict: Verdict) -> list[nodes.Node]:
    """The badge of a verdict, with a flag if a work contradicts it or if it does not carry."""
    badges: list[nodes.Node] = [verdict_badge(verdict.word)]
    flags = {"contested": bool(verdict.claim.contested)}
    flags |= {"only in this setting": only_here(found.carried(verdict))}
    for flag in (flag for flag, shown in flags.items() if shown):
        name = f"verdict-{flag.replace(' ', '-')}"
        badges += [nodes.Text(" "), nodes.inline("", flag, classes=["verdict", name])]
    return badges


def provenance_line(found: Evidence) -> list[nodes.Node]:
    """Seeds, scale, code hash, machine, versions; and whether the code has moved on since."""
    about = found.record.provenance
    parts: list[nodes.Node] = [
        nodes.Text(f"{seeds_words(found.record.seeds)}, scale {found.record.scale}, code "),
        nodes.literal("", about["code"]),
        nodes.Text(f", {machine_words(about)}, {versions_words(about)}"),
    ]
    if found.moved_on:
        parts += [
            nodes.Text("; the code has moved on since, to "),
            nodes.literal("", found.code_now),
        ]
    return parts


class Role(SphinxRole):
    """A role whose content may be wrong: a WhydeepError becomes a build warning."""

    def run(self) -> tuple[list[nodes.Node], list[nodes.system_message]]:
        try:
            return self.shown(), []
        except WhydeepError as error:
            logger.warning("%s", error, location=self.get_location(), type="whydeep")
            return [nodes.problematic("", self.text)], []

    def shown(self) -> list[nodes.Node]:
        raise NotImplementedError


class Number(Role):
    """``{num}``: a recorded number."""

    def shown(self) -> list[nodes.Node]:
        return [nodes.inline("", resolve(self.text), classes=["recorded-number"])]


class VerdictWord(Role):
    """``{verdict}``: the verdict on a claim, as its record gives it."""

    def shown(self) -> list[nodes.Node]:
        return [verdict_badge(evidence(self.text).verdict(self.text).word)]


class Provenance(Role):
    """``{experiment}``: how an experiment's record was made."""

    def shown(self) -> list[nodes.Node]:
        return provenance_line(evidence(self.text))


def setup(app: Sphinx) -> None:
    """Register the roles."""
    app.add_role("num", Number())
    app.add_role("verdict", VerdictWord())
    app.add_role("experiment", Provenance())
