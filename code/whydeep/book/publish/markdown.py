"""Markdown of a resolved page, for readers who have no Sphinx: Colab, Jupyter, GitHub.

Everything that MyST's roles and directives mean has been worked out when Sphinx has resolved a
page: numbers, citations, references, claim boxes. What is left is docutils nodes, of which there
are few kinds. So a role that is added to the book tomorrow needs nothing here, and a kind of node
that is unknown here is an error and never a hole in a notebook.

What all three viewers show alike decides the form. Boxes are block quotes, folded ones are
``<details>``; formulas in a box or list stand on one line, since Jupyter would take the line's
``>`` for a part of the formula.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from docutils import nodes

from whydeep.errors import WhydeepError

# What LaunchBuilder writes before an address within the book.
BOOK = "book:"
ADMONITIONS = {"hint", "important", "note", "tip", "warning", "caution", "attention", "seealso"}
# Raw HTML that means nothing without the site's scripts and style sheet.
FOR_THE_SITE = ("<script", "claim-actions", 'class="strip"')
LISTS = (nodes.bullet_list, nodes.enumerated_list)
# Nodes that print nothing, or that a notebook has no use for.
SILENT = (
    nodes.comment, nodes.target, nodes.substitution_definition, nodes.label, nodes.citation,
    nodes.system_message, nodes.meta,
)  # fmt: skip


@dataclass(frozen=True)
class Heading:
    """A heading; a ``folded`` one is shown collapsed, with what follows it."""

    level: int
    text: str
    folded: bool = False


@dataclass(frozen=True)
class CodeCell:
    """The place of a code cell: its index in the source, and the captions of figures it shows."""

    index: int
    title: str
    captions: tuple[str, ...]


Block = str | Heading | CodeCell


class Page:
    """The blocks of one page.

    ``doctree`` is resolved; ``numbers`` gives the number of an id, by kind ("figure", "theorem",
    "exercise"), as Sphinx's ``toc_fignumbers``; ``formats`` its words ("Fig. %s"); ``site`` is the
    address of the published book, "" if there is none; ``cited`` gives the id in the bibliography
    that an address within the book means, or None.
    """

    def __init__(
        self,
        doctree: nodes.document,
        *,
        numbers: dict[str, dict[str, tuple[int, ...]]],
        formats: dict[str, str],
        site: str,
        cited: Callable[[str], str | None],
    ):
        self.doctree, self.numbers, self.formats = doctree, numbers, formats
        self.site, self._cited = site.rstrip("/"), cited
        self.works: list[str] = []  # ids in the bibliography, in the order of first mention

    def blocks(self) -> list[Block]:
        """The page from its title to its end."""
        return list(self._all(self.doctree.children, level=0))

    # ------------------------------------------------------------------------------ blocks

    def _all(self, children: Iterable[nodes.Node], level: int) -> Iterator[Block]:
        for child in children:
            yield from self._block(child, level)

    def _block(self, node: nodes.Node, level: int) -> Iterator[Block]:
        kind = type(node).__name__
        method = getattr(self, f"_{kind}", None)
        if isinstance(node, SILENT) or kind in ("index", "toctree"):
            return
        if not isinstance(node, nodes.Element):
            yield self._paragraph_text([node])
        elif node.get("nb_element") == "cell_code":
            yield self._cell(node)
        elif "realtype" in node:
            yield from self._box(self._numbered(node, node["realtype"]), node, level)
        elif kind.startswith("exercise"):
            yield Heading(level + 1, self._numbered(node, "exercise"))
            yield from self._all(node.children[1:], level + 1)
        elif kind == "solution_node":
            yield from self._solution(node, level)
        elif kind in ADMONITIONS:
            yield from self._box(kind.title(), node, level, titled=False)
        elif method is not None:
            yield from method(node, level)
        elif isinstance(node, nodes.Inline) and kind != "image":
            yield self._paragraph_text([node])
        else:
            raise WhydeepError(
                f"{self.doctree.get('source', 'a page')}: a launch notebook cannot show the node "
                f"<{kind}>: write it in another way, or add it to whydeep/book/publish/markdown.py"
            )

    def _section(self, node: nodes.section, level: int) -> Iterator[Block]:
        # sphinx-proof keeps the content of a theorem in a section without a title.
        titled = isinstance(node.children[0], nodes.title) if node.children else False
        yield from self._all(node.children, level + titled)

    def _title(self, node: nodes.title, level: int) -> Iterator[Block]:
        yield Heading(level, self._text(node))

    def _children(self, node: nodes.Element, level: int) -> Iterator[Block]:
        yield from self._all(node.children, level)

    _container = _compound = _glossary = _children

    def _paragraph(self, node: nodes.paragraph, level: int) -> Iterator[Block]:
        if text := self._paragraph_text(node.children):
            yield text

    def _paragraph_text(self, children: Iterable[nodes.Node]) -> str:
        lines = "".join(self._inline(child) for child in children).strip().splitlines()
        # A line of prose that happens to begin like a list or a heading is still prose.
        marks = re.compile(r"^([-+]|#+)(?= )|^(\d+)([.)])(?= )")
        escaped = (
            marks.sub(lambda m: f"\\{m[1]}" if m[1] else f"{m[2]}\\{m[3]}", line.strip())
            for line in lines
        )
        return "\n".join(line for line in escaped if line)

    def _rubric(self, node: nodes.rubric, level: int) -> Iterator[Block]:
        yield f"**{self._text(node)}**"

    def _transition(self, node: nodes.transition, level: int) -> Iterator[Block]:
        yield "---"

    def _literal_block(self, node: nodes.literal_block, level: int) -> Iterator[Block]:
        code = node.astext()
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        language = node.get("language", "")
        language = "" if language in ("default", "none", "myst-ansi") else language
        yield f"{fence}{language}\n{code}\n{fence}"

    _doctest_block = _literal_block

    def _math_block(self, node: nodes.math_block, level: int) -> Iterator[Block]:
        formula = "\n".join(line for line in node.astext().strip().splitlines() if line.strip())
        if node.get("number"):
            formula += f" \\tag{{{node['number']}}}"
        # An environment of its own needs no dollars, and TeX forbids them around it.
        yield formula if node.get("nowrap") else f"$$\n{formula}\n$$"

    def _bullet_list(self, node: nodes.Element, level: int) -> Iterator[Block]:
        start = node.get("start", 1)
        numbered = isinstance(node, nodes.enumerated_list)
        items = []
        for number, item in enumerate(node.children, start=start):
            mark = f"{number}. " if numbered else "* "
            inner = self._inner(item.children, level)
            tight = len(inner) == 1 or all(isinstance(c, LISTS) for c in item.children[1:])
            text = ("\n" if tight else "\n\n").join(inner)
            items.append(mark + text.replace("\n", "\n" + " " * len(mark)))
        yield "\n".join(re.sub(r"\n +\n", "\n\n", item) for item in items)

    _enumerated_list = _bullet_list

    def _definition_list(self, node: nodes.definition_list, level: int) -> Iterator[Block]:
        items = []
        for item in node.children:
            terms = [self._text(c) for c in item.children if isinstance(c, nodes.term)]
            content = [c for c in item.children if isinstance(c, nodes.definition)]
            text = "\n\n".join(self._inner([g for c in content for g in c.children], level))
            items.append(f"* **{', '.join(terms)}**: {text}".replace("\n", "\n  "))
        yield "\n".join(items)

    def _table(self, node: nodes.table, level: int) -> Iterator[Block]:
        (group,) = (c for c in node.children if isinstance(c, nodes.tgroup))
        rows: list[list[str]] = []
        head = 0
        for part in group.children:
            if isinstance(part, (nodes.thead, nodes.tbody)):
                rows += [[self._table_cell(e, level) for e in row.children] for row in part]
                head += len(part.children) if isinstance(part, nodes.thead) else 0
        if not head:
            rows.insert(0, [""] * len(rows[0]))
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        lines.insert(1, "|" + "---|" * len(rows[0]))
        for title in node.findall(nodes.title):
            lines[:0] = [f"**{self._text(title)}**", ""]
        yield "\n".join(lines)

    def _table_cell(self, entry: nodes.Node, level: int) -> str:
        blocks = [block.replace("\n", " ") for block in self._inner(entry.children, level)]

        def formula(match: re.Match) -> str:
            return match[0].replace(r"\|", r"\Vert ").replace("|", r"\vert ")

        text = "<br>".join(blocks)
        # A bar ends the cell, even in a formula.
        return re.sub(r"(?<!\\)\|", r"\\|", re.sub(r"\$[^$]+\$", formula, text))

    def _block_quote(self, node: nodes.block_quote, level: int) -> Iterator[Block]:
        yield quoted(self._inner(node.children, level))

    def _attribution(self, node: nodes.attribution, level: int) -> Iterator[Block]:
        yield f"— {self._text(node)}"

    def _line_block(self, node: nodes.line_block, level: int) -> Iterator[Block]:
        yield "  \n".join(self._text(line) for line in node.findall(nodes.line))

    def _raw(self, node: nodes.raw, level: int) -> Iterator[str]:
        text = node.astext()
        if node.get("format") == "html" and not any(word in text for word in FOR_THE_SITE):
            yield text

    def _admonition(self, node: nodes.Element, level: int) -> Iterator[Block]:
        yield from self._box(self._text(node.children[0]), node, level)

    _topic = _sidebar = _admonition

    def _claim_box(self, node: nodes.Element, level: int) -> Iterator[Block]:
        yield quoted(self._inner(node.children, level))

    def _claim_record(self, node: nodes.Element, level: int) -> Iterator[Block]:
        yield details("The record", self._inner(node.children, level))

    def _footnote(self, node: nodes.footnote, level: int) -> Iterator[Block]:
        label = node.children[0].astext()
        yield "\n\n".join([f"<sup>{label}</sup>", *self._inner(node.children[1:], level)])

    # ------------------------------------------------------------------------------ boxes

    def _numbered(self, node: nodes.Element, kind: str) -> str:
        """``Theorem 3.1 (Its title)``, of a theorem, exercise and the like."""
        numbers = self.numbers.get(node.get("countertype", kind), {})
        number = next((numbers[i] for i in node["ids"] if i in numbers), None)
        words = kind.title() if number is None else f"{kind.title()} {'.'.join(map(str, number))}"
        title = self._text(node.children[0]) if isinstance(node.children[0], nodes.title) else ""
        return f"{words} {title.removeprefix('Exercise')}".strip()

    def _box(
        self, title: str, node: nodes.Element, level: int, *, titled: bool = True
    ) -> Iterator[Block]:
        has_title = titled and isinstance(node.children[0], nodes.title)
        inner = self._inner(node.children[has_title:], level)
        if "dropdown" in node.get("classes", []):
            yield details(title, inner)
        else:
            yield quoted([f"**{title}**", *inner])

    def _solution(self, node: nodes.Element, level: int) -> Iterator[Block]:
        title, content = node.children[0], list(self._all(node.children[1:], level + 2))
        for link in title.findall(nodes.reference):
            link.attributes.pop("refuri", None)  # the exercise stands right above
        title = self._text(title)
        text = [block for block in content if isinstance(block, str)]
        if len(text) == len(content):
            yield details(title, text)
        else:  # no <details> can span cells, but a heading can be collapsed with what is below it
            yield Heading(level + 2, title, folded=True)
            yield from content

    def _inner(self, children: Iterable[nodes.Node], level: int) -> list[str]:
        """Blocks within a box, list or table, formulas on one line each."""
        inner = []
        for block in self._all(children, level):
            if isinstance(block, Heading):
                inner.append(f"**{block.text}**")
            elif isinstance(block, CodeCell):
                raise WhydeepError(
                    f"{self.doctree.get('source', 'a page')}: a code cell stands in a box or list, "
                    "which a launch notebook cannot show: close the box before the cell"
                )
            elif block.startswith("$$\n"):
                inner.append("$$ " + " ".join(block.strip("$").split()) + " $$")
            else:
                inner.append(block)
        return inner

    def _cell(self, node: nodes.Element) -> CodeCell:
        captions, title = [], ""
        for figure in node.findall(nodes.figure):
            number = next(
                (self.numbers["figure"][i] for i in figure["ids"]
                 if i in self.numbers.get("figure", {})), None,
            )  # fmt: skip
            name = self.formats["figure"] % ".".join(map(str, number)) if number else "Figure"
            text = "".join(self._text(c) for c in figure.children if isinstance(c, nodes.caption))
            captions.append(f"**{name}.** {text}")
            title = title or name
        return CodeCell(node["cell_index"], title, tuple(captions))

    # ------------------------------------------------------------------------------ inline

    def _text(self, node: nodes.Node) -> str:
        """The inline content of ``node`` on one line."""
        return " ".join("".join(self._inline(child) for child in node.children).split())

    def _inline(self, node: nodes.Node) -> str:
        if not isinstance(node, nodes.Element):  # it is text
            return escaped(node.astext())
        if isinstance(node, nodes.math):
            return f"${' '.join(node.astext().split())}$"
        if isinstance(node, nodes.literal):
            return self._code(node.astext())
        if isinstance(node, nodes.reference):
            return self._reference(node)
        if isinstance(node, nodes.raw):
            return next(self._raw(node, 0), "")
        if isinstance(node, nodes.problematic):
            raise WhydeepError(f"{self.doctree.get('source', 'a page')}: {node.astext()} is broken")
        if isinstance(node, SILENT):
            return ""
        inner = "".join(self._inline(child) for child in node.children)
        if isinstance(node, nodes.footnote_reference):
            return f"<sup>{inner}</sup>"
        for kind, around in ((nodes.superscript, "sup"), (nodes.subscript, "sub")):
            if isinstance(node, kind):
                return f"<{around}>{inner}</{around}>"
        mark = "*" * isinstance(node, (nodes.emphasis, nodes.title_reference))
        if isinstance(node, nodes.strong) or "verdict" in node.get("classes", []):
            mark = "**"
        if not isinstance(node, (nodes.Inline, nodes.TextElement)) or isinstance(node, nodes.image):
            raise WhydeepError(
                f"{self.doctree.get('source', 'a page')}: a launch notebook cannot show "
                f"<{type(node).__name__}> in a line of text"
            )
        # Markdown sees no emphasis where the mark is followed by a space.
        body = inner.strip()
        return inner.replace(body, f"{mark}{body}{mark}") if mark and body else inner

    @staticmethod
    def _code(text: str) -> str:
        text = " ".join(text.split())
        ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
        pad = " " if text.startswith("`") or text.endswith("`") else ""
        return f"{ticks}{pad}{text}{pad}{ticks}"

    def _reference(self, node: nodes.reference) -> str:
        text = "".join(self._inline(child) for child in node.children)
        address = node.get("refuri", "")
        if not address.startswith(BOOK):
            return f"[{text}]({address})" if address and not address.startswith("#") else text
        work = self._cited(address)
        if work is not None:
            if work not in self.works:
                self.works.append(work)
            return text
        return f"[{text}]({self.site}/{address.removeprefix(BOOK)})" if self.site else text


def escaped(text: str) -> str:
    """``text`` with a backslash before what Markdown would read as a mark."""
    text = re.sub(r"([\\`*$])", r"\\\1", text).replace("<", "&lt;")
    return re.sub(r"(?<!\w)_|_(?!\w)", r"\\_", text)


def quoted(blocks: list[str]) -> str:
    """``blocks`` as a block quote."""
    lines = "\n\n".join(blocks).splitlines()
    return "\n".join(f"> {line}".rstrip() for line in lines)


def details(title: str, blocks: list[str]) -> str:
    """``blocks`` folded away under ``title``; the empty lines let viewers read them as Markdown."""
    body = "\n\n".join(blocks)
    return f"<details>\n<summary>{title}</summary>\n\n{body}\n\n</details>"
