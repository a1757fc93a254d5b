"""The claim box: ``{claim}`` shows one claim, how it came out, and a strip for each condition.

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
    carried_words,
    evidence,
    interval_words,
    ratio_words,
    seeds_words,
    shown,
    worst_words,
)
from whydeep.book.numbers import provenance_line, verdict_badges
from whydeep.book.strips import strip
from whydeep.errors import UnknownExperiment, WhydeepError
from whydeep.evidence.claims import IN_PART, UNDECIDED, Verdict

logger = logging.getLogger(__name__)
Cell = str | Sequence[nodes.Node]

EXACT_WORDS = {True: "met", False: "missed"}


class claim_box(nodes.General, nodes.Element):
    """The frame of a claim: a group named by its own heading."""


class claim_record(nodes.General, nodes.Element):
    """What is folded away under a claim: the record in tables."""


def _visit_html(self, node: claim_box) -> None:
    name = node["ids"][0]
    self.body.append(
        self.starttag(
            node, "div", CLASS="claim", role="group", **{"aria-labelledby": f"{name}-title"}
        )
    )


def _depart_html(self, node: claim_box) -> None:
    self.body.append("</div>\n")


def _visit_record(self, node: claim_record) -> None:
    self.body.append('<details class="claim-record"><summary>The record</summary>')


def _depart_record(self, node: claim_record) -> None:
    self.body.append("</details>\n")


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
        "title": f"{{Recorded run: {claim.says.rstrip('.')}}}",
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
        self.target(anchor, verdict.claim.title)
        box += self._head(found, verdict, anchor)
        box += self._strips(verdict)
        box += self._record(found, verdict)
        return [box]

    def _head(self, found: Evidence, verdict: Verdict, anchor: str) -> list[nodes.Node]:
        """Badge and title, what the source says, what was run, what came out, what to mind."""
        claim = verdict.claim
        title = nodes.paragraph("", "", classes=["claim-title"], ids=[f"{anchor}-title"])
        title += verdict_badges(found, verdict)
        title += [nodes.Text(" "), nodes.inline("", claim.title, classes=["claim-name"])]
        says = f"{claim.says} {{cite}}`{claim.cite}`"
        sentence = self.inline(says)
        if claim.ours:
            mark = nodes.inline("", "The book's own statement. ", classes=["claim-ours"])
            sentence = [mark, *sentence]
        made: list[nodes.Node] = [title]
        made.append(nodes.paragraph("", "", *sentence, classes=["claim-sentence"]))
        for label, text in (
            ("Tested here.", claim.tested),
            ("What came out.", claim.so),
            ("", self._why(verdict)),
            ("How far it carries.", self._carried(found, verdict)),
            ("Mind.", claim.caveat),
            ("Contested.", claim.contested),
            ("Limits.", claim.limits),
        ):
            if text:
                mark = f"**{label}** " if label else ""
                made.append(nodes.paragraph("", "", *self.inline(mark + text)))
        if not verdict.as_registered:
            made.append(nodes.paragraph("", f"Registered: {registered_words(verdict)}."))
        return made

    @staticmethod
    def _carried(found: Evidence, verdict: Verdict) -> str:
        """To which neighbours, or which ones it is still to be tried on."""
        if words := carried_words(found.carried(verdict)):
            return f"It carries {words}."
        known = {each.name: each.words for each in getattr(found.module, "NEIGHBOURS", ())}
        if verdict.claim.neighbours and not found.beside:
            named = ", ".join(known[name] for name in verdict.claim.neighbours)
            return f"Not tried yet on its neighbours: {named}."
        return ""

    @staticmethod
    def _why(verdict: Verdict) -> str:
        """What the word leaves open: of *in part* and *undecided*, which conditions and why."""
        if verdict.word == IN_PART:
            wanting = [m for m in verdict.deciding if not m.holds]
            return (
                "**Not so:** "
                + "; ".join(f"{m.condition.says} (*{m.state}*)" for m in wanting)
                + "."
            )
        if verdict.word == UNDECIDED:
            return f"**Why undecided.** {verdict.why[:1].upper()}{verdict.why[1:]}."
        return ""

    def _strips(self, verdict: Verdict) -> list[nodes.Node]:
        """A strip for each condition of an effect, its words above it; a line for an exact one."""
        made: list[nodes.Node] = []
        for m in verdict.measured:
            about = m in verdict.mechanism
            head = nodes.paragraph("", "", classes=["strip-words"])
            words = f"{m.condition.says[:1].upper()}{m.condition.says[1:]}"
            head += self.inline(words)
            state = m.state if verdict.claim.kind == "effect" else EXACT_WORDS[m.holds]
            head += [
                nodes.Text(" "),
                nodes.inline("", state, classes=["state", f"state-{m.state.replace(' ', '-')}"]),
            ]
            if about:
                head += nodes.inline("", " (about the reason; decides nothing)", classes=["quiet"])
            made.append(head)
            if verdict.claim.kind != "effect":
                continue
            controls, planted = [], []
            for outcome in verdict.controls:
                controls += outcome.of({m.condition.name} & set(outcome.control.misses))
                planted += outcome.of({m.condition.name} & set(outcome.control.finds))
            made.append(nodes.raw("", strip(m, controls, planted), format="html"))
        return [nodes.container("", *made, classes=["strips"])] if made else []

    def _record(self, found: Evidence, verdict: Verdict) -> claim_record:
        """Numbers, controls, the source's rows and the provenance, folded."""
        record = claim_record()
        record += self._paper(verdict)
        record += self._measured(found, verdict)
        record += self._controls(verdict)
        record += self._foot(found, verdict)
        return record

    def _paper(self, verdict: Verdict) -> list[nodes.Node]:
        if not verdict.claim.paper:
            return []
        rows = [
            (self.inline(what), self.inline(value), self.inline(where))
            for what, value, where in verdict.claim.paper_says
        ]
        header = ("The source says", "Its number", "Where it stands")
        return [table(header, rows, "claim-table")]

    def _measured(self, found: Evidence, verdict: Verdict) -> list[nodes.Node]:
        if not verdict.measured:
            return []
        exact = verdict.claim.kind == "exact"
        rows = []
        for m in verdict.measured:
            condition = m.condition
            words = [*self.inline(condition.says)]
            if condition.because:
                because = f" Why this bound: {condition.because}."
                words.append(nodes.inline("", "", *self.inline(because), classes=["quiet"]))
            row: list[Cell] = [
                words,
                worst_words(m) if exact else interval_words(m),
                bound_words(m),
            ]
            if not exact:
                none = condition.none
                row += [
                    "" if none is None else shown(none, m.unit),
                    "" if condition.source is None else shown(condition.source, m.unit),
                    ratio_words(m),
                ]
            rows.append([*row, EXACT_WORDS[m.holds] if exact else m.state])
        if exact:
            header = ("We measured", "Worst", "Needed", "State")
        else:
            over = seeds_words(found.record.seeds)
            header = (
                "We measured", f"Mean, 95 % interval, {over}", "Needed", "No effect",
                "The source", "Ours over theirs", "State",
            )  # fmt: skip
        return [table(header, rows, "claim-table")]

    def _controls(self, verdict: Verdict) -> list[nodes.Node]:
        if not verdict.controls:
            return []
        exact = verdict.claim.kind == "exact"
        rows = []
        for outcome in verdict.controls:
            values = [
                nodes.paragraph(
                    "", f"{m.condition.says}: {worst_words(m) if exact else interval_words(m)}"
                )
                for m in outcome.measured
            ]
            what = "Puts in: " if outcome.control.finds else ""
            removes = self.inline(f"{what}{outcome.control.removes}")
            rows.append((removes, values or "—", outcome.why))
        header = ("Control: takes away", "It measured", "Outcome")
        return [table(header, rows, "claim-table")]

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
    app.add_node(
        claim_record,
        html=(_visit_record, _depart_record),
        latex=(_pass, _pass),
        text=(_pass, _pass),
    )
    app.add_directive("claim", ClaimDirective)
