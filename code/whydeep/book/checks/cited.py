"""Every sentence that cites a work, beside what the work is: read them against each other.

    python -m whydeep.book.checks.cited
    python -m whydeep.book.checks.cited goodfellow2015 kingma2015

A citation that builds may still lead to another paper: a key is a surname and a year, and a second
paper of the same people and year hides behind the first; or a sentence says what none of its works
says. No check can tell. This one lists, by key, the sentences of pages, captions, claims, modules,
catalogue, concordance and corrections that cite it, under the work's authors, title, venue and
year, and the first sentence of its abstract where references.bib has one. Who cites a work looks
here, and records with `whydeep.book.checks.reviewed` that it was looked up.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pybtex.richtext import Text

from whydeep.book.checks.reviewed import pages, read_data, read_works, statements
from whydeep.book.checks.vocabulary import drawn, page_texts
from whydeep.book.ledger import catalogue
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import Claim
from whydeep.evidence.provenance import repository
from whydeep.experiments import experiments

ROLE = re.compile(r"\{cite[^}]*\}`([^`]+)`")
SENTENCE_ENDS = re.compile(r"(?<=[.?!])[*\"”)]*\s+(?=[*\"“({$]*[A-Z{$])")
VENUES = ("journal", "booktitle", "publisher", "howpublished")
Uses = dict[str, list[tuple[str, str]]]  # by key: where, and what is said


@dataclass(frozen=True)
class Passage:
    """A text, where it stands, and the works that stand behind it ``whole``, if it has any.

    Of other texts, each sentence stands for itself.
    """

    where: str
    text: str
    whole: frozenset[str] = frozenset()


def keys(text: str) -> frozenset[str]:
    """The keys that a text cites."""
    return frozenset(key.strip() for group in ROLE.findall(text) for key in group.split(","))


def sentences(text: str) -> list[str]:
    """The sentences of a text, each on one line."""
    return SENTENCE_ENDS.split(" ".join(text.split()))


def _of_claim(claim: Claim) -> Iterator[Passage]:
    """What a claim says of a work: its statement, rows of the source, objections and limits."""
    where, own = f"claim {claim.id}", frozenset({claim.cite})
    yield Passage(where, claim.says, own)
    for row in map("; ".join, claim.paper_says):
        yield Passage(f"{where}, its source", row, keys(row) or own)
    for field in ("tested", "caveat", "contested", "limits"):
        yield Passage(f"{where}, {field}", getattr(claim, field))


def _of_module(path: Path) -> Iterator[str]:
    """The docstrings of a module, and what its figures say."""
    source = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            yield ast.get_docstring(node) or ""
    yield from drawn(source)


def passages() -> Iterator[Passage]:
    """Every text of the book that may cite."""
    root = repository()
    for name, page in pages():
        for where, text in page_texts(page, roles=True):
            yield Passage(name + where.removeprefix(str(page)), text)
    for path in sorted((root / "code" / "whydeep").rglob("*.py")):
        where = str(path.relative_to(root / "code"))
        yield from (Passage(where, text) for text in _of_module(path))
    for module in experiments().values():
        for claim in module.CLAIMS:
            yield from _of_claim(claim)
    for entry in catalogue():
        yield Passage(f"catalogue {entry['id']}", entry["claim"], frozenset(entry["cite"]))
    for document in read_data("concordance.yaml")["documents"]:
        own = frozenset({document["cite"]})
        yield Passage(f"concordance, document {document['id']}", document["about"], own)
    for statement in statements():
        yield Passage(f"concordance {statement['id']}", statement["says"])
    for correction in read_data("corrections.yaml")["corrections"]:
        text = f"{correction['document']} {correction['right']}"
        yield Passage(f"correction {correction['id']}", text, keys(text))


def uses(found: Iterable[Passage]) -> Uses:
    """By key, where it is cited and what is said there, once each, in the order of ``found``."""
    by_key: dict[str, dict[tuple[str, str], None]] = {}
    for passage in found:
        whole = " ".join(passage.text.split())
        said = (
            [(passage.whole, whole)]
            if passage.whole
            else [(keys(sentence), sentence) for sentence in sentences(passage.text)]
        )
        for cited, text in said:
            for key in cited:
                by_key.setdefault(key, {})[passage.where, text] = None
    return {key: list(said) for key, said in by_key.items()}


def described(work: Any) -> str:
    """Authors, title, venue and year of a work, and a line for its abstract if it has one."""

    def plain(field: str) -> str:
        return Text.from_latex(work.fields.get(field, "")).render_as("text")

    people = work.persons.get("author") or work.persons.get("editor") or []
    names = [
        " ".join(
            part.render_as("text") for part in person.rich_prelast_names + person.rich_last_names
        )
        for person in people
    ]
    venue = next((plain(field) for field in VENUES if field in work.fields), "")
    if not venue and "eprint" in work.fields:
        venue = f"arXiv {work.fields['eprint']}"
    told = f"{', '.join(names)}, “{plain('title')}”, {venue}, {plain('year')}"
    abstract = sentences(plain("abstract"))[0]
    return told + (f"\n    {abstract}" if abstract else "")


def listing(works: Mapping[str, Any], by_key: Uses, wanted: Sequence[str]) -> Iterator[str]:
    """The lines of the list: each of the ``wanted`` keys, or all, with what cites it."""
    for key in wanted or sorted({*works, *by_key}):
        yield f"{key}: {described(works[key]) if key in works else 'not in references.bib'}"
        yield from (f"  - {where}: {sentence}" for where, sentence in by_key.get(key, []))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0, or 2 on a key that no text cites and no bibliography holds."""
    parser = argparse.ArgumentParser(prog="python -m whydeep.book.checks.cited")
    parser.description, _, parser.epilog = (__doc__ or "").partition("\n\n")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("keys", nargs="*", help="keys in references.bib; all, if none is given")
    wanted = parser.parse_args(argv).keys
    try:
        works, by_key = read_works(), uses(passages())
        for key in wanted:
            if key not in works and key not in by_key:
                near = difflib.get_close_matches(key, works, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "see references.bib"
                raise WhydeepError(f"no work has the key {key!r}: {hint}")
    except WhydeepError as error:
        print(f"cited: {error}", file=sys.stderr)
        return 2
    print(*listing(works, by_key, wanted), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
