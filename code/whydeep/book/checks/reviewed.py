"""Facts that no run can check, as they were last looked up: a change asks for another look.

    python -m whydeep.book.checks.reviewed
    python -m whydeep.book.checks.reviewed accept works/rahimi2007 statements

A bibliography entry, an entry of the catalogue, a statement or a correction, what a claim says of
its source, an alternative text, an assertion about a record, a number in a sentence: a slip there
builds and passes every test. ``data/reviewed.yaml`` holds a digest of each (of a page's numbers,
the numbers), so that none changes unseen. Who changes one looks its source up, or looks at its
figure or its record, and accepts it by its key, or by its section where all changes in it were
looked up. Words in between are free: rewriting a page's prose trips nothing. `cited` lists every
sentence that leans on a work beside what the work is.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import yaml
from pybtex.database import parse_file
from pybtex.exceptions import PybtexError

from whydeep.book.checks.vocabulary import page_texts
from whydeep.errors import WhydeepError
from whydeep.evidence.provenance import repository
from whydeep.evidence.results import write_atomically
from whydeep.experiments import experiments

NAME = "reviewed.yaml"
SHOWN = ("caption", "alt", "about")  # what a figure or an explorer says of itself
# A number worth a look in a sentence: with a decimal point, of two digits or more, or per cent.
NUMBER = re.compile(r"(?<![\w.,−-])[−-]?(?:\d[\d,]*\.\d+|\d[\d,]*\d|\d(?= ?%))(?: ?%)?(?!\w)")
SECTIONS = {  # what each holds, and what to look at before a change is accepted
    "works": ("the entry in references.bib", "look the work up"),
    "catalogue": ("the entry in data/catalogue.yaml", "look its works up"),
    "statements": ("the statement in data/concordance.yaml", "read the document and the entries"),
    "corrections": ("the entry in data/corrections.yaml", "look its works up"),
    "sources": ("what the claim says of its source", "look the source up"),
    "experiments": ("a caption or an alternative text", "look at the figure"),
    "figures": ("a caption or an alternative text on the page", "look at the figure"),
    "asserts": ("an assertion on the page", "see that it still guards its sentence"),
    "numbers": ("a number in a sentence of the page", "look up where it comes from"),
}
HEADER = """\
# Facts in text as they were last looked up (whydeep.book.checks.reviewed writes and
# checks this): a digest of each, or the numbers in a page's sentences. Who changes a fact looks its
# source up, then runs
# `python -m whydeep.book.checks.reviewed accept KEY`.
"""
Facts = dict[str, dict[str, str]]


def digest(fact: Any) -> str:
    """Eight hex digits over a fact made of lists, dictionaries and text; white space is one."""
    text = " ".join(json.dumps(fact, sort_keys=True, default=str).replace("\\n", " ").split())
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def read_works() -> dict[str, Any]:
    """The works of references.bib by key (pybtex's); WhydeepError where it cannot be read."""
    path = repository() / "references.bib"
    try:
        return dict(parse_file(str(path), "bibtex").entries.items())
    except (OSError, PybtexError) as error:
        raise WhydeepError(f"{path} cannot be read ({error}): mend it") from None


def read_data(name: str) -> Any:
    """What ``data/name`` holds; WhydeepError where it is missing or no YAML."""
    path = repository() / "data" / name
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WhydeepError(f"no {path}: restore it with git") from None
    except yaml.YAMLError as error:
        raise WhydeepError(f"{path} is damaged ({str(error).splitlines()[0]}): mend it") from None


def _trees(path: Path) -> Iterator[ast.Module]:
    """The parsed code of a module, or of each cell of a page; magics are left out."""
    if path.suffix == ".py":
        yield ast.parse(path.read_text(encoding="utf-8"))
    elif path.suffix == ".ipynb":
        for number, cell in enumerate(nbformat.read(path, as_version=4).cells, start=1):
            if cell.cell_type == "code":
                kept = (line for line in cell.source.splitlines() if line[:1] not in "%!")
                try:
                    yield ast.parse("\n".join(kept))
                except SyntaxError as error:
                    raise WhydeepError(f"{path}, cell {number} is no Python: {error}") from None


def shown(path: Path) -> list[str]:
    """The code of every caption, alternative text and explanation in a module or on a page."""
    return [
        f"{node.arg}={ast.unparse(node.value)}"
        for tree in _trees(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.keyword) and node.arg in SHOWN
    ]


def asserted(path: Path) -> list[str]:
    """The assertions on a page, without their messages."""
    return [
        ast.unparse(node.test)
        for tree in _trees(path)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assert)
    ]


def numbers(path: Path) -> str:
    """The numbers that the sentences of a page hold by hand, in order; code and formulas do not."""
    prose = (text for _, text in page_texts(path, code=False))
    return "; ".join(found.replace(" %", "%") for text in prose for found in NUMBER.findall(text))


def pages() -> Iterator[tuple[str, Path]]:
    """Every page of the book: its name and where it lies."""
    root = repository()
    found = (p for p in (root / "chapters").rglob("*.*") if p.suffix in (".md", ".ipynb"))
    for page in (root / "index.md", *sorted(found)):
        if ".ipynb_checkpoints" not in page.parts:
            name = str(page.relative_to(root).with_suffix(""))
            yield name.removeprefix("chapters/"), page


def statements() -> Iterator[dict[str, Any]]:
    """Every statement of the documents, as data/concordance.yaml has it."""
    for document in read_data("concordance.yaml")["documents"]:
        for section in document["sections"]:
            yield from section["statements"]


def facts() -> Facts:
    """Every fact by section and key: a digest of it, or a page's numbers."""
    found: Facts = {name: {} for name in SECTIONS}
    found["works"] = {
        key: digest([w.type, {k: list(map(str, p)) for k, p in w.persons.items()}, dict(w.fields)])
        for key, w in read_works().items()
    }
    found["catalogue"] = {e["id"]: digest(e) for e in read_data("catalogue.yaml")["entries"]}
    found["statements"] = {statement["id"]: digest(statement) for statement in statements()}
    corrections = read_data("corrections.yaml")["corrections"]
    found["corrections"] = {correction["id"]: digest(correction) for correction in corrections}
    for name, module in experiments().items():
        assert module.__file__ is not None
        found["experiments"][name] = digest(shown(Path(module.__file__)))
        for claim in module.CLAIMS:
            found["sources"][claim.id] = digest(
                [claim.cite, claim.says, claim.paper_says, claim.contested, claim.limits]
            )
    for name, page in pages():
        told = {"figures": shown(page), "asserts": asserted(page), "numbers": numbers(page)}
        for section, value in told.items():
            if value:
                found[section][name] = value if section == "numbers" else digest(value)
    return found


def read_reviewed() -> Facts:
    """What ``data/reviewed.yaml`` holds; WhydeepError where it is missing or misshapen."""
    raw = read_data(NAME)
    if not isinstance(raw, dict) or set(raw) != set(SECTIONS):
        raise WhydeepError(f"data/{NAME} needs the sections {', '.join(SECTIONS)}: restore it")
    return {name: {k: str(v) for k, v in (raw[name] or {}).items()} for name in SECTIONS}


def write_reviewed(reviewed: Mapping[str, Mapping[str, str]]) -> None:
    """Write ``data/reviewed.yaml``: a line a fact, in alphabetical order."""
    lines = [HEADER.rstrip()]
    for section, kept in reviewed.items():
        lines.append(f"{section}:  # {SECTIONS[section][0]}")
        lines += (f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in sorted(kept.items()))
    write_atomically(repository() / "data" / NAME, "\n".join(lines) + "\n")


def _moved(before: str, after: str) -> str:
    """Which numbers came and which went."""
    old, new = (Counter(filter(None, text.split("; "))) for text in (before, after))
    signed = [f"+{n}" for n in (new - old).elements()] + [f"-{n}" for n in (old - new).elements()]
    return f" ({', '.join(signed)})"


def problems(reviewed: Facts, now: Facts) -> list[str]:
    """One line for every fact that is not as it was reviewed: what it is, and what to do."""
    found = []
    for section, (what, look) in SECTIONS.items():
        for name in sorted(reviewed[section] | now[section]):
            before, after = reviewed[section].get(name), now[section].get(name)
            if section == "numbers" and Counter((before or "").split("; ")) == Counter(
                (after or "").split("; ")
            ):
                continue  # sentences may change places
            if before == after:
                continue
            verb = "is new" if before is None else "is gone" if after is None else "has changed"
            moved = _moved(before or "", after or "") if section == "numbers" else ""
            found.append(
                f"{section}/{name}: {what} {verb}{moved}: {look}, then run "
                f"`python -m whydeep.book.checks.reviewed accept {section}/{name}`"
            )
    return found


def accept(keys: Sequence[str], reviewed: Facts, now: Facts) -> Facts:
    """``reviewed`` with the facts ``keys`` (``section/name``, or a section) as they are now."""
    accepted = {section: dict(kept) for section, kept in reviewed.items()}
    for key in keys:
        section, _, name = key.partition("/")
        known = reviewed.get(section, {}) | now.get(section, {})
        if section not in SECTIONS or (name and name not in known):
            raise WhydeepError(
                f"no fact is called {key!r}: give section/name, or one of {', '.join(SECTIONS)}"
            )
        for each in [name] if name else known:
            accepted[section].pop(each, None)
            if each in now[section]:
                accepted[section][each] = now[section][each]
    return accepted


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if every fact is as reviewed, 1 if not, 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.checks.reviewed", description=__doc__
    )
    parser.add_argument("action", nargs="?", choices=["accept"])
    parser.add_argument("keys", nargs="*", help="section/name, or a section")
    args = parser.parse_args(argv)
    if args.action and not args.keys:
        parser.error("accept what? Give section/name, or a section")
    try:
        now = facts()
        reviewed = read_reviewed()
        if args.action:
            reviewed = accept(args.keys, reviewed, now)
            write_reviewed(reviewed)
        found = problems(reviewed, now)
    except WhydeepError as error:
        print(f"reviewed: {error}", file=sys.stderr)
        return 2
    print(*found, sep="\n", end="\n" if found else "")
    if not found:
        print(f"{sum(map(len, now.values()))} facts are as they were looked up")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
