"""Launch notebooks: every page as a plain notebook that runs in Colab, on Binder, anywhere.

    python -m whydeep.book.publish.launch --out _build/launch

The sources are MyST, whose roles and directives Colab and Jupyter would show raw. A Sphinx builder
turns each resolved page into Markdown (whydeep.book.publish.markdown) and puts the source's code
cells between; the first cell installs the package. Numbers in the text are those of the built book.

The first cell clones the repository at one commit and installs the package from the clone, rather
than from `git+https://`: pip would leave data/ behind, and pages read data sets *and* recorded runs
from there. A clone has all of it, at the same commit as the notebook, in about 15 MB.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from docutils import nodes
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from myst_parser.config.main import MdParserConfig
from myst_parser.parsers.mdit import create_md_parser
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from sphinx.application import Sphinx
from sphinx.builders import Builder

from whydeep.book.checks.notebooks import METADATA
from whydeep.book.publish.markdown import BOOK, Block, CodeCell, Heading, Page
from whydeep.book.site import git, repository_url
from whydeep.errors import WhydeepError
from whydeep.evidence.provenance import repository
from whydeep.evidence.results import write_atomically

TITLE = "Why Does Deep Learning Work?"
FOLDER = "why-does-deep-learning-work"  # not "whydeep", which would hide the package itself
INSTALL = """\
# @title Run this first: it installs the book's package where it is missing
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

REPOSITORY = "{repository}"
COMMIT = "{commit}"


def run(*command):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip() or done.stdout.strip() or "no word why").splitlines()[-1]
        words = " ".join(map(str, command))
        raise SystemExit(f"`{{words}}` failed ({{reason}}): run this cell again")


if find_spec("whydeep") is None:
    # A clone brings the data and the recorded runs along, which pip alone would leave behind.
    book = Path("{folder}").resolve()
    run("git", "init", "--quiet", book)
    run("git", "-C", book, "fetch", "--quiet", "--depth", "1", REPOSITORY, COMMIT)
    run("git", "-C", book, "checkout", "--quiet", "FETCH_HEAD")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--editable", book / "code")
    sys.path.insert(0, str(book / "code"))  # this kernel started before the package was there"""
FROM_A_CHECKOUT = """\
# @title Run this first: it says what to do where the book's package is missing
from importlib.util import find_spec

if find_spec("whydeep") is None:
    raise SystemExit(
        "whydeep is missing: run `pip install -e code` in the book's folder and restart the kernel"
    )"""


# ------------------------------------------------------------------------------------ code cells


def _is_glue(statement: ast.stmt) -> bool:
    """Whether a statement only glues values, which plain notebooks have no use for."""
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "myst_nb"
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return getattr(statement.value.func, "id", "") == "glue"
    body = [*getattr(statement, "body", []), *getattr(statement, "orelse", [])]
    return isinstance(statement, (ast.For, ast.If)) and all(map(_is_glue, body))


def without_glue(source: str, where: str) -> str:
    """``source`` without what it glues; WhydeepError (with ``where``) if it is in the way."""
    if "glue" not in source:
        return source
    try:
        statements = ast.parse(source).body
    except SyntaxError as error:
        raise WhydeepError(f"{where} is no Python ({error.msg}): mend it") from None
    lines: list[str | None] = list(source.splitlines())
    for statement in filter(_is_glue, statements):
        span = range(statement.lineno - 1, statement.end_lineno)
        lines[span.start : span.stop] = [None] * len(span)
    left = "\n".join(line for line in lines if line is not None).strip()
    if any(getattr(node, "id", "") == "glue" for node in ast.walk(ast.parse(left))):
        raise WhydeepError(
            f"{where} glues a value amid other code: glue it in a cell or a loop of its own"
        )
    return re.sub(r"\n{4,}", "\n\n\n", left)


def _only_names(source: str, later: Sequence[str]) -> bool:
    """Whether the code does no more than name values that no ``later`` code reads."""
    statements = ast.parse(source).body
    if not all(isinstance(s, (ast.Assign, ast.Import, ast.ImportFrom)) for s in statements):
        return False
    names = {
        (getattr(node, "asname", None) or getattr(node, "name", None) or node.id).split(".")[0]
        for s in statements
        for node in ast.walk(s)
        if isinstance(node, ast.alias)
        or (isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
    }
    return names.isdisjoint(
        node.id
        for code in later
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Name)
    )


def _code_cell(cell: NotebookNode, source: str, title: str) -> NotebookNode:
    """The plain cell; what the page hides, Jupyter and Colab hide too, under ``title``."""
    tags = set(cell.metadata.get("tags", []))
    metadata: dict = {}
    if tags & {"hide-input", "hide-cell", "remove-input", "remove-cell"}:
        metadata |= {"cellView": "form", "jupyter": {"source_hidden": True}}
        source = f"# @title {title}\n{source}"
    if tags & {"hide-output", "hide-cell", "remove-output", "remove-cell"}:
        metadata["jupyter"] = metadata.get("jupyter", {}) | {"outputs_hidden": True}
    return new_code_cell(source, id=cell.id, metadata=metadata)


# ------------------------------------------------------------------------------------ notebooks


def _collapsible(blocks: Sequence[Block], at: int) -> bool:
    """Whether the folded heading at ``at`` hides nothing but what belongs to it.

    A collapsed heading hides all up to the next heading of its level; a solution ends there if what
    comes next is an exercise, a section, or the end.
    """
    level = blocks[at].level
    following = [block for block in blocks[at + 1 :] if isinstance(block, Heading)]
    return not following or following[0].level <= level


def _text_cells(blocks: Sequence[Block]) -> Iterator[NotebookNode | CodeCell]:
    """The blocks as Markdown cells, one from each heading on, and the places of code cells."""
    text: list[str] = []
    metadata: dict = {}
    count = 0

    def flush() -> Iterator[NotebookNode]:
        nonlocal text, metadata, count
        if text:
            count += 1
            name = f"text-{count:03}"
            yield new_markdown_cell(
                "\n\n".join(text), id=name, metadata={"id": name, **metadata} if metadata else {}
            )
        text, metadata = [], {}

    for at, block in enumerate(blocks):
        if isinstance(block, str):
            text.append(block)
        else:
            yield from flush()
            if isinstance(block, Heading):
                text.append(f"{'#' * block.level} {block.text}")
                if block.folded and _collapsible(blocks, at):
                    # Alone in its cell: viewers fold the cells below a heading, not its own text.
                    metadata = {"jp-MarkdownHeadingCollapsed": True}
                    yield from flush()
            else:
                yield block
                text.extend(block.captions)
    yield from flush()


def notebook(source: NotebookNode, blocks: Sequence[Block], setup: str, where: str) -> NotebookNode:
    """The launch notebook of ``source``: ``setup``, then text and code in the page's order.

    Cells that the page removes keep their place, unless all they did was to glue numbers.
    """
    hidden = {"cellView": "form", "jupyter": {"source_hidden": True}}
    cells = [new_code_cell(setup, id="setup", metadata=hidden)]
    waiting = {i: cell for i, cell in enumerate(source.cells) if cell.cell_type == "code"}

    def code(index: int, title: str) -> Iterator[NotebookNode]:
        cell = waiting.pop(index)
        stripped = without_glue(cell.source, f"{where}, cell {index + 1}")
        later = [c.source for c in waiting.values()]
        glued = stripped != cell.source
        if stripped and not (glued and _only_names(stripped, later)):
            yield _code_cell(cell, stripped, title)

    shown = {block.index for block in blocks if isinstance(block, CodeCell)}
    for item in _text_cells(blocks):
        if isinstance(item, NotebookNode):
            cells.append(item)
            continue
        for index in [i for i in waiting if i < item.index]:
            cells.extend(code(index, "Preparation"))
        cells.extend(code(item.index, item.title or "Preparation"))
        index = item.index + 1
        while index in waiting and index not in shown:
            cells.extend(code(index, "Preparation"))
            index += 1
    for index in list(waiting):
        cells.extend(code(index, "Preparation"))
    collapsed = [c.id for c in cells if "jp-MarkdownHeadingCollapsed" in c.metadata]
    metadata = METADATA | {
        "accelerator": "GPU",
        "colab": {"provenance": [], "gpuType": "T4", "collapsed_sections": collapsed},
    }
    made = new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(made)
    return made


# ------------------------------------------------------------------------------------ leftovers


def _tokens(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _tokens(token.children or [])


def leftovers(made: NotebookNode) -> list[str]:
    """What only MyST would understand in the text of a notebook: roles, directives, targets.

    Looked for by MyST's own parser in what was written, not by the code that wrote it.
    """
    extensions = {"colon_fence", "dollarmath", "amsmath", "substitution", "deflist"}
    parser = create_md_parser(MdParserConfig(enable_extensions=extensions), RendererHTML)
    found = []
    for cell in made.cells:
        if cell.cell_type == "markdown":
            for token in _tokens(parser.parse(cell.source)):
                directive = token.type in ("fence", "colon_fence") and token.info.startswith("{")
                if directive or token.type in MYST or RAW.search(_html(token)):
                    what = token.info or token.content or str(token.meta)
                    found.append(f"{cell.id}: {' '.join(what.split())[:60]}")
        elif re.search(r"\bmyst_nb\b|\bglue\(", cell.source):
            found.append(f"{cell.id}: glue")
    return found


MYST = {"myst_role", "myst_target", "myst_block_break", "substitution_inline", "substitution_block"}
RAW = re.compile(r"\{[a-z]+(:[a-z]+)?\}`")


def _html(token: Token) -> str:
    return token.content if token.type in ("html_block", "html_inline") else ""


# ------------------------------------------------------------------------------------ Sphinx


class LaunchBuilder(Builder):
    """Writes a launch notebook for every page that is a notebook, into ``whydeep_launch_out``."""

    name = "launch"
    format = "launch"
    epilog = "The launch notebooks are in %(outdir)s."
    allow_parallel = False

    def get_outdated_docs(self) -> str:
        return "every launch notebook"

    def get_target_uri(self, docname: str, typ: str | None = None) -> str:
        return f"{docname}.html"

    def get_relative_uri(self, from_: str, to: str, typ: str | None = None) -> str:
        """Marked as an address within the book: where the book is, only the page's writer knows."""
        return BOOK + self.get_target_uri(to)

    def write(self, build_docnames: object, updated_docnames: object, method: str = "") -> None:
        """Write all launch notebooks, whatever has changed: it takes seconds."""
        self._bibliography = self._works()
        for docname in sorted(self.env.found_docs):
            if Path(self.env.doc2path(docname)).suffix == ".ipynb":
                self._write(docname)

    def _works(self) -> dict[str, str]:
        """The entries of the bibliography as Markdown, by their address within the book."""
        works = {}
        domain = self.env.get_domain("cite")
        for docname in sorted({key.docname for key in domain.bibliographies}):
            doctree = self.env.get_and_resolve_doctree(docname, self)
            for entry in doctree.findall(nodes.citation):
                page = self._page(docname, nodes.document(None, None, source=docname))
                text = "\n".join(page._inner(entry.children, 0))
                works |= {f"{self.get_relative_uri('', docname)}#{i}": text for i in entry["ids"]}
        return works

    def _page(self, docname: str, doctree: nodes.document) -> Page:
        return Page(
            doctree,
            numbers=self.env.toc_fignumbers.get(docname, {}),
            formats=self.config.numfig_format,
            site=self.config.whydeep_launch_site,
            cited=lambda address: address if address in self._bibliography else None,
        )

    def _write(self, docname: str) -> None:
        config = self.config
        doctree = self.env.get_and_resolve_doctree(docname, self)
        page = self._page(docname, doctree)
        blocks = page.blocks()
        blocks.insert(1, self._about(docname))
        if page.works:
            order = list(self._bibliography)
            works = [self._bibliography[w] for w in sorted(page.works, key=order.index)]
            blocks += [Heading(2, "References"), "\n".join(f"* {work}" for work in works)]
        where = self.env.doc2path(docname, base=False)
        source = nbformat.read(self.env.doc2path(docname), as_version=4)
        setup = setup_cell(config.whydeep_launch_repository, config.whydeep_launch_commit)
        made = notebook(source, blocks, setup, where)
        write_atomically(
            Path(config.whydeep_launch_out) / f"{docname}.ipynb", nbformat.writes(made) + "\n"
        )

    def _about(self, docname: str) -> str:
        site, commit = (
            self.config.whydeep_launch_site.rstrip("/"),
            self.config.whydeep_launch_commit,
        )
        page = f"[a page]({site}/{docname}.html)" if site else "a page"
        book = f"[{TITLE}]({site}/)" if site else TITLE
        code = f", at commit `{commit[:12]}`" if commit else ""
        return (
            f"*This notebook is {page} of the textbook* {book}{code}. "
            "*Numbers in the text come from recorded runs, and from the run that built the book.*"
        )


def setup_cell(address: str, commit: str) -> str:
    """The first cell: installs ``commit`` of the repository at ``address``, if both are known."""
    if not (address and commit):
        return FROM_A_CHECKOUT
    return INSTALL.format(repository=address, commit=commit, folder=FOLDER)


def setup(app: Sphinx) -> None:
    """Register the builder and its settings, none of which changes a page."""
    app.add_builder(LaunchBuilder)
    for name in ("out", "repository", "commit", "site"):
        app.add_config_value(f"whydeep_launch_{name}", "", "", str)


# ------------------------------------------------------------------------------------ command


def repository_address(name: str | None) -> str:
    """The address for ``git fetch``: of ``name`` (owner/name, or a URL), else of the checkout.

    "" where the checkout has no public origin. WhydeepError if ``name`` is neither.
    """
    if name is None:
        return repository_url()
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return f"https://github.com/{name}"
    if re.fullmatch(r"(https?|file)://[^\s\"\\]+", name):
        return name
    raise WhydeepError(f"the repository is {name!r}, expected owner/name or a web address")


def build(out: Path, built: Path, *, address: str, commit: str, site: str) -> list[Path]:
    """Write the launch notebooks into ``out``; returns their paths.

    ``built`` is the book's _build folder, whose doctrees and execution cache are used; what they
    lack is executed. WhydeepError if a page cannot be written.
    """
    from jupyter_book.sphinx import build_sphinx

    root, log = repository(), io.StringIO()
    # Extensions put style sheets there; its parent is where the execution cache is.
    scratch = built.resolve() / ".launch"
    settings = {"out": str(out.resolve()), "repository": address, "commit": commit, "site": site}
    overrides = {f"whydeep_launch_{name}": value for name, value in settings.items()}
    with contextlib.redirect_stderr(log):
        failed = build_sphinx(
            root,
            scratch,
            noconfig=True,
            path_config=root / "_config.yml",
            confoverrides=overrides
            | {"external_toc_path": str(root / "_toc.yml"), "latex_individualpages": False},
            doctreedir=built.resolve() / ".doctrees",
            builder="launch",
            quiet=True,
        )
    shutil.rmtree(scratch, ignore_errors=True)
    if failed:
        said = str(failed) if isinstance(failed, WhydeepError) else log.getvalue()
        raise WhydeepError(f"the launch notebooks were not made: {said}")
    return sorted(out.rglob("*.ipynb"))


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if every notebook is clean, 1 if a role or directive is left, 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.publish.launch", description="Write the launch notebooks."
    )
    parser.add_argument("--out", type=Path, help="folder for the notebooks (BUILT/launch)")
    parser.add_argument("--built", type=Path, help="the built book (_build)")
    parser.add_argument("--repository", help="owner/name or URL to install from (git's origin)")
    parser.add_argument("--commit", help="commit to install (git's HEAD)")
    parser.add_argument("--site", default="", help="address of the published book, for links")
    args = parser.parse_args(argv)
    try:
        address = repository_address(args.repository)
        commit = args.commit or git("rev-parse", "HEAD")
        built = args.built or repository() / "_build"
        out = args.out or built / "launch"
        made = build(out, built, address=address, commit=commit, site=args.site)
    except WhydeepError as error:
        print(f"launch: {error}", file=sys.stderr)
        return 2
    left = [f"{path}, {what}" for path in made for what in leftovers(nbformat.read(path, 4))]
    print(*left, sep="\n", end="\n" if left else "")
    print(f"{len(made)} launch notebooks in {out}, {len(left)} raw roles or directives left")
    if address and commit:
        print(f"their first cell installs {address} at {commit}")
    else:
        print("no public repository is known: they ask for an installation from a checkout; name")
        print("one with --repository owner/name")
    if not args.commit and git("status", "--porcelain", "--untracked-files=no"):
        print(
            f"the checkout has changes that commit {commit[:12]} lacks: commit, then launch again"
        )
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
