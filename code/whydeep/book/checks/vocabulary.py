"""One name for each thing: finds words on pages that the glossary tells us not to use.

    python -m whydeep.book.checks.vocabulary

The glossary is the only list: a definition there may end with a line ``*Not:* neuron, node.``, and
then no page says *neuron*. Looked at are the prose of pages, the captions, alternative texts and
axes in their code, and the sentences of claims. Code, formulas, roles and whatever stands in
quotation marks are left alone: others may use their own words.
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser

from whydeep.errors import WhydeepError
from whydeep.evidence.provenance import repository
from whydeep.experiments import experiments

GLOSSARY = Path("chapters", "back-matter", "glossary.md")
# Directives whose content is prose.
PROSE = re.compile(
    r"^\{(admonition|note|tip|warning|important|hint|seealso|exercise|solution|figure|margin|"
    r"dropdown|epigraph|prf:\w+)\}"
)
OPTIONS = re.compile(r"\A(:[\w-]+:.*\n)+")  # of a directive, above its content
SPOKEN = ("caption", "alt", "title", "xlabel", "ylabel")
QUOTED = re.compile(r"“[^”]*”|‘[^’]*’(?!\w)|\"[^\"]*\"")


def avoided(text: str) -> dict[str, str]:
    """The words that the glossary ``text`` tells us not to use, each with the one to use.

    WhydeepError names a word that is to be avoided and is a term of the glossary too.
    """
    words, terms, term = {}, set(), ""
    for line in text.splitlines():
        if re.fullmatch(r"[a-z][\w -]*", line):
            term = line
            terms.add(term)
        elif found := re.fullmatch(r"\s+\*Not:\* (.+)\.", line):
            words |= {word.strip(" *").lower(): term for word in found[1].split(",")}
    if both := terms & set(words):
        raise WhydeepError(f"{GLOSSARY}: {sorted(both)[0]!r} is a term and a word to avoid")
    return words


def _piece(token: Token, roles: bool) -> str:
    """What a part of a paragraph says; code, formulas and roles say nothing but with ``roles``."""
    if token.type in ("softbreak", "hardbreak"):
        return " "
    if token.type == "text":
        return token.content
    if roles and token.type == "myst_role":
        return f"{{{token.meta['name']}}}`{token.content}`"
    if roles and token.type in ("math_inline", "code_inline"):
        mark = "$" if token.type == "math_inline" else "`"
        return f"{mark}{token.content}{mark}"
    return ""


def _spoken(tokens: list[Token], parse, roles: bool) -> Iterator[str]:
    """The prose in ``tokens``, one text a paragraph or heading."""
    for token in tokens:
        if token.type == "inline":
            yield "".join(_piece(child, roles) for child in token.children or [])
        elif token.type in ("fence", "colon_fence") and PROSE.match(token.info):
            yield token.info.partition("}")[2]
            yield from _spoken(parse(OPTIONS.sub("", token.content)), parse, roles)


def drawn(source: str) -> Iterator[str]:
    """The captions, alternative texts, titles and names of axes in the code of a cell."""
    try:
        tree = ast.parse(source)
    except SyntaxError:  # a magic: nothing is drawn there
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg in SPOKEN:
            for part in ast.walk(node.value):
                if isinstance(part, ast.Constant) and isinstance(part.value, str):
                    yield part.value


def page_texts(path: Path, code: bool = True, roles: bool = False) -> Iterator[tuple[str, str]]:
    """The prose of the page at ``path``, each piece with the place where it stands.

    With ``code``, the captions, titles and axes that its cells draw are prose too; with ``roles``,
    what stands in a sentence as a role, a formula or code.
    """
    parser = create_md_parser(
        MdParserConfig(enable_extensions={"colon_fence", "dollarmath", "amsmath", "deflist"}),
        RendererHTML,
    )
    if path.suffix == ".md":
        tokens = parser.parse(path.read_text("utf-8"))
        yield from ((str(path), text) for text in _spoken(tokens, parser.parse, roles))
        return
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells, start=1):
        if cell.cell_type == "code" and not code:
            continue
        prose = (
            drawn(cell.source)
            if cell.cell_type == "code"
            else _spoken(parser.parse(cell.source), parser.parse, roles)
        )
        yield from ((f"{path}, cell {number}", text) for text in prose)


def _claims() -> Iterator[tuple[str, str]]:
    for module in experiments().values():
        for claim in module.CLAIMS:
            spoken = [claim.title, claim.says, claim.tested, claim.so, claim.caveat]
            spoken += [c.says for c in claim.conditions]
            spoken += [control.removes for control in claim.controls]
            yield from ((f"claim {claim.id}", text) for text in spoken)


def problems(texts: Iterator[tuple[str, str]], words: dict[str, str]) -> list[str]:
    """One line for each word of ``words`` in ``texts`` (place, text): what to write instead."""
    if not words:
        return []
    longest_first = "|".join(sorted(map(re.escape, words), key=len, reverse=True))
    pattern = re.compile(rf"(?<![\w-])({longest_first})s?(?![\w-])", re.IGNORECASE)
    return [
        f"{place}: says {found[0]!r}, the glossary's word is {words[found[1].lower()]!r}"
        for place, text in texts
        for found in pattern.finditer(QUOTED.sub("", " ".join(text.split())))
    ]


def main() -> int:
    """Exit 0 if every page keeps to the glossary, 1 if not, 2 if there is no glossary."""
    try:
        root = repository()
        if not (root / GLOSSARY).is_file():
            raise WhydeepError(f"no glossary at {root / GLOSSARY}: restore it with git")
        words = avoided((root / GLOSSARY).read_text("utf-8"))
        pages = [root / "index.md", *sorted((root / "chapters").rglob("*.*"))]
        pages = [
            page
            for page in pages
            if page.suffix in (".md", ".ipynb")
            and page != root / GLOSSARY
            and ".ipynb_checkpoints" not in page.parts
        ]
        found = [line for page in pages for line in problems(page_texts(page), words)]
        found += problems(_claims(), words)
    except WhydeepError as error:
        print(f"vocabulary: {error}", file=sys.stderr)
        return 2
    print(*found, sep="\n", end="\n" if found else "")
    if not found:
        print(f"{len(pages)} pages keep to the glossary: none of {len(words)} words to avoid")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
