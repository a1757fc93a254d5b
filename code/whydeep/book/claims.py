"""The claim box: ``{claim}`` shows one claim, what was measured, its controls and its verdict.

    ```{claim} bubeck2015-linear-on-raw-vs-features
    ```

Everything in it comes from the experiment's module and its committed record.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import cast

from docutils import nodes
from pybtex.database import BibliographyData
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.domains.std import StandardDomain
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib.bibtex.domain import BibtexDomain

from whydeep.book.evidence import (
    Evidence,
    bound_words,
    evidence,
    margin_words,
    measured_words,
    number,
    seeds_words,
    with_unit,
)
from whydeep.book.numbers import provenance_line, verdict_badges
from whydeep.errors import UnknownExperiment, WhydeepError
from whydeep.evidence.claims import ControlOutcome, Measured, Verdict

logger = logging.getLogger(__name__)
Cell = str | Sequence[nodes.Node]


class claim_box(nodes.General, nodes.Element):
    """The frame of a claim: a group named by its own heading."""


def _visit_html(self, node: claim_box) -> None:
    name = node["ids"][0]
    self.body.append(
        self.starttag(
            node, "div", CLASS="claim", role="group", **{"aria-labelledby": f"{name}-title"}
        )
    )


def _depart_html(self, node: claim_box) -> None:
    self.body.append("</div>\n")


def _pass(self, node: nodes.Node) -> None:
    """Builders other than HTML show the content without a frame."""


def table(header: Sequence[str], rows: Iterable[Sequence[Cell]], *classes: str) -> nodes.table:
    """A table node; the first cell of each row is its heading. A cell is text or nodes."""
    group = nodes.tgroup("", cols=len(header))
    for i in range(len(header)):
        group += nodes.colspec("", colwidth=1, **({"stub": 1} if i == 0 else {}))

    def row(cells: Sequence[Cell]) -> nodes.row:
        filled = nodes.row()
        for cell in cells:
            content = [nodes.Text(cell)] if isinstance(cell, str) else list(cell)
            blocks = content and isinstance(content[0], nodes.Body)
            filled += nodes.entry("", *(content if blocks else [nodes.paragraph("", "", *content)]))
        return filled

    group += nodes.thead("", row(header))
    group += nodes.tbody("", *(row(cells) for cells in rows))
    return nodes.table("", group, classes=list(classes))


class EvidenceDirective(SphinxDirective):
    """What the directives that show evidence share."""

    def inline(self, text: str) -> list[nodes.Node]:
        """``text`` parsed as inline MyST, so that citations, maths and code work in it."""
        return self.parse_inline(text)[0]

    def reference(self, anchor: str, shown: nodes.Node) -> addnodes.pending_xref:
        """A link to an anchor on any page; if there is none the build warns."""
        return addnodes.pending_xref(
            "",
            shown,
            refdomain="std",
            reftype="ref",
            reftarget=anchor,
            refexplicit=True,
            refwarn=True,
            refdoc=self.env.docname,
        )

    def target(self, anchor: str, title: str) -> None:
        """Let references from any page find ``anchor`` on this one."""
        domain = cast(StandardDomain, self.env.get_domain("std"))
        for name in {anchor, anchor.lower()}:  # `{ref}` asks in small letters
            domain.note_hyperlink_target(name, self.env.docname, anchor, title)

    def warn(self, message: object) -> None:
        logger.warning("%s", message, location=self.get_location(), type="whydeep")


def registered_words(verdict: Verdict) -> str:
    """The verdict that is registered, and which conditions it misses."""
    missed = ", ".join(verdict.claim.missed)
    return verdict.claim.expected + (f" (missed: {missed})" if missed else "")


def citation_text(found: Evidence, verdict: Verdict, address: str) -> str:
    """BibTeX for the recorded run behind ``verdict``; ``address`` is the repository's, or ""."""
    claim, about = verdict.claim, found.record.provenance
    fields = {
        "author": "{The authors of Why Does Deep Learning Work?}",
        "title": f"{{Recorded run: {claim.sentence.rstrip('.')}}}",
        "howpublished": "{In: Why Does Deep Learning Work? A textbook in experiments}",
        "year": about["recorded"][:4],
        "note": f"{{Claim {claim.id}, verdict: {verdict.word}, "
        f"{seeds_words(found.record.seeds).replace('–', '--')}, code {about['code']}}}",
    } | ({"url": f"{{{address}}}"} if address else {})
    rows = ",\n".join(f"  {name} = {value}" for name, value in fields.items())
    return f"@misc{{whydeep-{claim.id},\n{rows}\n}}"


class ClaimDirective(EvidenceDirective):
    """``{claim} ID``: the claim box of one runnable claim."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        claim_id = self.arguments[0]
        try:
            found = evidence(claim_id)
            if claim_id not in {claim.id for claim in found.module.CLAIMS}:
                raise UnknownExperiment(
                    f"{claim_id!r} is an experiment; a claim box shows one of its claims: "
                    f"{', '.join(claim.id for claim in found.module.CLAIMS)}"
                )
        except WhydeepError as error:
            self.warn(error)
            return []
        verdict = found.verdict(claim_id)
        if not verdict.as_registered:
            self.warn(f"{verdict}, but registered is: {registered_words(verdict)}")
        anchor = f"claim-{claim_id}"
        box = claim_box(ids=[anchor])
        self.set_source_info(box)
        self.target(anchor, claim_id)
        box += self._head(verdict, anchor)
        box += self._paper(verdict)
        box += self._measured(found, verdict)
        box += self._controls(verdict)
        box += self._foot(found, verdict)
        return [box]

    def _head(self, verdict: Verdict, anchor: str) -> list[nodes.Node]:
        claim = verdict.claim
        title = nodes.paragraph("", "", classes=["claim-title"], ids=[f"{anchor}-title"])
        title += nodes.inline("", "Claim: ", classes=["claim-word"])
        title += verdict_badges(verdict)
        title += nodes.Text(" ")
        title += nodes.literal("", claim.id)
        sentence = nodes.paragraph("", "", classes=["claim-sentence"])
        sentence += self.inline(f"{claim.sentence} {{cite}}`{claim.cite}`")
        made: list[nodes.Node] = [title, sentence]
        if verdict.why:
            known = ", as registered" if verdict.as_registered else ""
            made.append(nodes.paragraph("", f"Why this verdict: {verdict.why}{known}."))
        if not verdict.as_registered:
            made.append(nodes.paragraph("", f"Registered: {registered_words(verdict)}."))
        if claim.disputed:
            made.append(nodes.paragraph("", "", *self.inline(f"**Disputed.** {claim.disputed}")))
        return made

    def _paper(self, verdict: Verdict) -> list[nodes.Node]:
        if not verdict.claim.paper:
            return []
        rows = [
            (self.inline(what), self.inline(value), self.inline(where))
            for what, value, where in verdict.claim.paper_says
        ]
        header = ("The paper says", "Its number", "Where it stands")
        return [table(header, rows, "claim-table")]

    def _measured(self, found: Evidence, verdict: Verdict) -> list[nodes.Node]:
        if not verdict.measured:
            return []
        rows = [
            (
                [
                    *self.inline(m.condition.says),
                    nodes.inline("", f" ({m.condition.name})", classes=["quiet"]),
                ],
                measured_words(m),
                bound_words(m),
                margin_words(m),
                "yes" if m.holds else "no",
            )
            for m in verdict.measured
        ]
        over = seeds_words(found.record.seeds)
        header = ("We measured", f"Mean ± sd, {over}", "Needed", "Margin", "Holds")
        return [table(header, rows, "claim-table")]

    def _controls(self, verdict: Verdict) -> list[nodes.Node]:
        if not verdict.controls:
            return []
        rows = []
        for outcome in verdict.controls:
            values = [
                nodes.paragraph(
                    "",
                    "",
                    nodes.Text(f"{measured_words(m)} "),
                    nodes.inline(
                        "", self._asked(outcome, m, verdict.claim.kind), classes=["quiet"]
                    ),
                )
                for m in outcome.measured
            ]
            removes = self.inline(outcome.control.removes)
            rows.append((removes, values or "—", outcome.why))
        kind = "Positive control" if verdict.claim.kind == "null" else "Control: takes away"
        header = (kind, "It measured", "Outcome")
        return [table(header, rows, "claim-table")]

    @staticmethod
    def _asked(outcome: ControlOutcome, measured: Measured, kind: str) -> str:
        """What the control had to do to one condition, in brackets."""
        condition = measured.condition
        by = with_unit(number(outcome.control.misses[condition.name]), measured.unit)
        verb = "be met" if kind == "null" else "be missed"
        return f"({condition.name}, {bound_words(measured)}, must {verb} by {by})"

    def _foot(self, found: Evidence, verdict: Verdict) -> list[nodes.Node]:
        line = nodes.paragraph("", "", classes=["provenance"])
        line += nodes.Text("Recorded: ")
        line += provenance_line(found)
        address = self.config.whydeep_repository
        text = citation_text(found, verdict, address)
        entries = cast(BibtexDomain, self.env.get_domain("cite")).bibdata.data.entries
        for key in (key.strip() for key in verdict.claim.cite.split(",")):
            if key in entries:
                text += "\n\n" + BibliographyData({key: entries[key]}).to_string("bibtex").strip()
        report = ""
        if address:
            link = f"{address}/issues/new?title=Claim%20{verdict.claim.id}"
            report = f'<a class="claim-report" href="{link}">Report a problem</a>'
        actions = (
            '<div class="claim-actions"><details class="claim-citation">'
            "<summary>Citation</summary>"
            f'<pre tabindex="0">{html.escape(text)}</pre></details>{report}</div>'
        )
        return [line, nodes.raw("", actions, format="html")]


def setup(app: Sphinx) -> None:
    """Register the directive and its node."""
    app.add_node(
        claim_box,
        html=(_visit_html, _depart_html),
        latex=(_pass, _pass),
        text=(_pass, _pass),
    )
    app.add_directive("claim", ClaimDirective)
