"""The concordance: what each of the four documents says, and where the book treats it.

``{concordance} PART`` with PART ``counts`` or the id of a document, such as 001. Statements and
corrections come from data/concordance.yaml and data/corrections.yaml, whose first lines explain
their fields; what has been run comes from the experiments.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import MISSING, dataclass, fields
from itertools import zip_longest
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

from whydeep.book.claims import EvidenceDirective, table
from whydeep.book.evidence import evidence
from whydeep.book.ledger import anchor, catalogue, runnable
from whydeep.book.numbers import verdict_badge
from whydeep.errors import WhydeepError
from whydeep.evidence.provenance import repository

TREATED, IN_PART, WAITING, UNDECIDABLE = STATUSES = (
    "treated",
    "treated in part",
    "not yet run",
    "no experiment can decide it",
)
TYPES = {"str": str, "bool": bool}  # of fields, by annotation; those of any other hold tuples


class BadConcordance(WhydeepError):
    """A data file of the concordance is missing or does not follow its rules."""


@dataclass(frozen=True)
class Statement:
    """One sentence of a document in the book's words, and what treats it.

    ``claims`` and ``further`` hold ids of the catalogue, ``pages`` names of pages; ``undecidable``
    is the reason why no experiment can decide the statement, or "".
    """

    id: str
    says: str
    claims: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    undecidable: str = ""
    further: tuple[str, ...] = ()
    corrections: tuple[str, ...] = ()

    def status(self, run: Collection[str]) -> str:
        """One of STATUSES, where ``run`` holds the claims that the book runs; a page counts too."""
        if self.undecidable:
            return UNDECIDABLE
        done = len(self.pages) + sum(claim in run for claim in self.claims)
        if done == len(self.pages) + len(self.claims):
            return TREATED
        return IN_PART if done else WAITING


@dataclass(frozen=True)
class Section:
    """Statements that stand together in a document; ``by_machine``: not its authors' words."""

    where: str
    statements: tuple[Statement, ...]
    by_machine: bool = False


@dataclass(frozen=True)
class Document:
    """A document: its id in the catalogue, how the book cites it, and its sections in order."""

    id: str
    cite: str
    short: str
    about: str
    left_out: str
    sections: tuple[Section, ...]

    @property
    def statements(self) -> Iterator[Statement]:
        return (statement for section in self.sections for statement in section.statements)

    def counts(self, run: Collection[str]) -> Counter[str]:
        """How many statements have each status, given the claims that the book runs."""
        return Counter(statement.status(run) for statement in self.statements)


@dataclass(frozen=True)
class Correction:
    """What a document says, and what is right, with citations."""

    id: str
    document: str
    right: str


@dataclass(frozen=True)
class Exempt:
    """An entry of the catalogue that no statement of a document needs to reach, and why."""

    document: str
    claim: str
    why: str


@dataclass(frozen=True)
class Concordance:
    """The documents in order, the corrections by id, and the exceptions."""

    documents: tuple[Document, ...]
    corrections: dict[str, Correction]
    exceptions: tuple[Exempt, ...] = ()

    def document(self, name: str) -> Document:
        for document in self.documents:
            if document.id == name:
                return document
        known = ", ".join(document.id for document in self.documents)
        raise BadConcordance(f"the concordance has no part {name!r}: choose counts, {known}")


def _load(path: Path, key: str) -> list[dict]:
    """The list ``key`` of a YAML file."""
    if not path.is_file():
        raise BadConcordance(f"no file {path}: restore it with `git checkout data`")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise BadConcordance(f"{path.name} is not valid YAML: {problem}") from None
    return _entries(data, key, path.name)


def _entries(given: Any, key: str, what: str) -> list[dict]:
    """The list ``key`` of a mapping, whose items are mappings."""
    found = given.get(key) if isinstance(given, dict) else None
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise BadConcordance(f"{what} needs a list {key!r} of entries with named fields")
    return found


def _make(kind: type, given: dict, what: str) -> Any:
    """A ``kind`` from the fields of an entry; lists become tuples."""
    known = {f.name: f for f in fields(kind)}
    if unknown := [name for name in given if name not in known]:
        raise BadConcordance(f"{what} has an unknown field {unknown[0]!r}: known are {[*known]}")
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    for name, expected in known.items():
        if name not in values:
            if expected.default is MISSING:
                raise BadConcordance(f"{what} has no field {name!r}")
        elif not isinstance(values[name], TYPES.get(str(expected.type), tuple)):
            raise BadConcordance(
                f"{what}: {name} should be of type {expected.type}, not {given[name]!r}"
            )
    return kind(**values)


def _numbered(ids: Sequence[str], prefix: str, what: str) -> None:
    """Check that ``ids`` are ``prefix`` and 01, 02, ... in this order."""
    for i, name in enumerate(ids, start=1):
        if name != f"{prefix}-{i:02d}":
            raise BadConcordance(
                f"{what} {name!r} stands where {prefix}-{i:02d} should: number them in order"
            )


def _check(statement: Statement, corrections: Collection[str]) -> None:
    treatment = bool(statement.claims or statement.pages)
    if treatment == bool(statement.undecidable):
        raise BadConcordance(
            f"statement {statement.id} needs claims or pages, or the reason why it is undecidable, "
            "and not both"
        )
    for name in statement.corrections:
        if name not in corrections:
            raise BadConcordance(f"statement {statement.id}: no correction is called {name!r}")


def read_concordance(folder: Path | None = None) -> Concordance:
    """The concordance in ``folder``, by default the repository's data.

    BadConcordance says in one line what is missing, misnamed, out of order, untreated or unused.
    """
    folder = folder or repository() / "data"
    listed = _load(folder / "corrections.yaml", "corrections")
    corrections = [_make(Correction, c, f"correction {c.get('id')}") for c in listed]
    _numbered([correction.id for correction in corrections], "C", "correction")
    names = [correction.id for correction in corrections]
    documents = []
    for document in _load(folder / "concordance.yaml", "documents"):
        what, sections = f"document {document.get('id')}", []
        for section in _entries(document, "sections", what):
            where, statements = f"section {section.get('where')!r}", []
            for given in _entries(section, "statements", where):
                statements.append(_make(Statement, given, f"statement {given.get('id')}"))
                _check(statements[-1], names)
            sections.append(_make(Section, section | {"statements": statements}, where))
        documents.append(_make(Document, document | {"sections": sections}, what))
        ids = [statement.id for statement in documents[-1].statements]
        _numbered(ids, document["id"], "statement")
    named = dict.fromkeys(c for d in documents for s in d.statements for c in s.corrections)
    for expected, name in zip_longest(names, named):
        if name is None:
            raise BadConcordance(f"no statement names the correction {expected}")
        if name != expected:
            raise BadConcordance(
                f"correction {name} is named where {expected} should first be: corrections are "
                "numbered in the order of the statements"
            )
    listed = _load(folder / "concordance.yaml", "exceptions")
    exceptions = [_make(Exempt, e, f"exception {e.get('claim')}") for e in listed]
    return Concordance(tuple(documents), {c.id: c for c in corrections}, tuple(exceptions))


class ConcordanceDirective(EvidenceDirective):
    """``{concordance} PART``: the counts, or the statements of one document."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        try:
            self.concordance = read_concordance()
            self.running = runnable()
            self.known = {entry["id"] for entry in catalogue()}
            if self.arguments[0] == "counts":
                return self._counts()
            return self._document(self.concordance.document(self.arguments[0]))
        except WhydeepError as error:
            self.warn(error)
            return []

    def _counts(self) -> list[nodes.Node]:
        documents = self.concordance.documents
        columns = [document.counts(self.running) for document in documents]
        columns.append(sum(columns, Counter()))
        rows = [(status, *(str(counts[status]) for counts in columns)) for status in STATUSES]
        rows.append(("all", *(str(counts.total()) for counts in columns)))
        header = ("Statements", *(document.short for document in documents), "All")
        return [table(header, rows, "concordance-counts")]

    def _document(self, document: Document) -> list[nodes.Node]:
        counts = document.counts(self.running)
        parts = "; ".join(f"{status}: {counts[status]}" for status in STATUSES if counts[status])
        intro = f"{document.about.rstrip('.')} {{cite}}`{document.cite}`."
        made: list[nodes.Node] = [
            nodes.paragraph("", "", *self.inline(intro)),
            nodes.paragraph("", f"{counts.total()} statements ({parts})."),
            nodes.paragraph("", f"Left out: {document.left_out}"),
        ]
        for i, section in enumerate(document.sections, start=1):
            part = nodes.section(ids=[f"concordance-{document.id}-{i}"])
            part += nodes.title("", section.where)
            if section.by_machine:
                words = (
                    "Here the document's own words were written by a machine, not by its authors."
                )
                part += nodes.paragraph("", words)
            items = nodes.bullet_list(classes=["concordance"])
            for statement in section.statements:
                items += self._statement(statement)
            part += items
            made.append(part)
        return made

    def _statement(self, statement: Statement) -> nodes.list_item:
        name = f"statement-{statement.id}"
        label = nodes.reference("", statement.id, refid=name, classes=["statement-id"])
        says = nodes.paragraph("", "", label, nodes.Text(" "), *self.inline(statement.says))
        item = nodes.list_item("", says, ids=[name], classes=["statement"])
        item += self._treatment(statement)
        if statement.further:
            item += self._line("taken further", [self._claim(c) for c in statement.further])
        for correction in statement.corrections:
            item += self._correction(self.concordance.corrections[correction])
        return item

    def _treatment(self, statement: Statement) -> list[nodes.Node]:
        """What treats a statement, what does not run yet, or why nothing can decide it."""
        status = statement.status(self.running)
        if status == UNDECIDABLE:
            return [self._line(status, [[nodes.Text(statement.undecidable)]])]
        done = [[self._page(page)] for page in statement.pages]
        done += [self._claim(claim) for claim in statement.claims if claim in self.running]
        waiting = [self._claim(claim) for claim in statement.claims if claim not in self.running]
        lines: list[nodes.Node] = [self._line(status, done)] if done else []
        return [*lines, self._line(WAITING, waiting)] if waiting else lines

    @staticmethod
    def _line(head: str, parts: Sequence[Sequence[nodes.Node]]) -> nodes.paragraph:
        """``Head: part, part, ...``, where a status also gets its mark."""
        known = [f"status-{STATUSES.index(head)}"] if head in STATUSES else []
        line = nodes.paragraph("", "", classes=["treatment"])
        line += nodes.inline("", f"{head.capitalize()}:", classes=["status", *known])
        for i, part in enumerate(parts):
            line += [nodes.Text(", " if i else " "), *part]
        return line

    def _claim(self, claim: str) -> list[nodes.Node]:
        """A link to where the book treats a catalogue entry, with its verdict if it runs."""
        if claim not in self.known:
            raise BadConcordance(f"the concordance names {claim!r}, which is not in the catalogue")
        if claim not in self.running:
            return [self.reference(anchor(claim), nodes.literal("", claim))]
        link = self.reference(anchor(claim), nodes.inline("", self.running[claim].title))
        return [link, nodes.Text(" "), verdict_badge(evidence(claim).verdict(claim).word)]

    def _page(self, page: str) -> addnodes.pending_xref:
        """A link to a page, which shows its title; if there is none the build warns."""
        return addnodes.pending_xref(
            "",
            nodes.inline("", page),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{page}",
            refexplicit=False,
            refwarn=True,
            refdoc=self.env.docname,
        )

    def _correction(self, correction: Correction) -> nodes.Node:
        """The correction itself where it stands first, and a link to that place afterwards."""
        name = f"correction-{correction.id}"
        shown = self.env.temp_data.setdefault("whydeep_corrections", set())
        if name in shown:
            link = nodes.reference("", f"Correction {correction.id}", refid=name)
            again = nodes.Text(" applies here too.")
            return nodes.paragraph("", "", link, again, classes=["treatment"])
        shown.add(name)
        self.target(name, f"Correction {correction.id}")
        words = nodes.paragraph("", "", nodes.strong("", f"Correction {correction.id}. "))
        words += [*self.inline(correction.document), nodes.Text(" "), nodes.emphasis("", "Rather:")]
        words += [nodes.Text(" "), *self.inline(correction.right)]
        return nodes.container("", words, ids=[name], classes=["correction"])


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("concordance", ConcordanceDirective)
