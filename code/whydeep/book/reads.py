"""What the outputs of a page's cells can depend on: the page's own key in the execution cache.

A page reaches the modules of this package that its cells import, and those that they import in
turn. With the modules come the files that they name beside themselves (fonts), with
`whydeep.datasets` the data, and with every call of `read_record` the records that it names. Where
this cannot be told from the code (a module imported by a computed name, a cell that is no plain
Python), the page depends on the whole package and all data.

Docstrings, comments and layout do not count, unless something reached looks at them. Neither do
the scripts and styles of widgets: the build takes those as they are now (whydeep.book.widgets).
"""

from __future__ import annotations

import ast
import copy
import hashlib
import os
import platform
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path

from nbformat import NotebookNode

from whydeep.evidence.provenance import PACKAGE, repository

PINS = ("requirements.txt", "requirements.lock")
# Names whose use means that other code runs than an import statement says.
DYNAMIC = {"import_module", "__import__", "run_module", "run_path", "exec", "eval", "get_ipython"}
# Names whose use shows the text of code, docstrings included.
LOOKS_AT_TEXT = {"inspect", "getsource", "getdoc", "__doc__", "help"}
RECORDS = {"read_record", "record_path"}
# Names whose use in a cell means that it opens files of its own.
OPENS = {"open", "Path", "pathlib", "os", "glob", "shutil", "subprocess", "load", "repository"}
SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
RELATIVE = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")  # a path downwards
# Of widgets, the build takes these from the package rather than from what a page has stored.
LIVE = {".js", ".css"}


def _names(tree: ast.AST) -> Iterator[str]:
    """Every name and attribute in ``tree`` that is used, and what is imported by another name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias) and node.asname:
            yield node.name


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _called(node: ast.AST) -> str:
    """The name of the function that ``node`` calls; "" where it is no call by name."""
    function = node.func if isinstance(node, ast.Call) else None
    return getattr(function, "id", getattr(function, "attr", ""))


def _is_dynamic(node: ast.AST) -> bool:
    """Whether ``node``, once it runs, may import or run code that no statement names.

    ``import_module`` of a written-out name is an import like any other. ``eval`` and ``exec`` are
    Python's functions, not the methods of the same name.
    """
    if _called(node) == "import_module" and node.args and isinstance(node.args[0], ast.Constant):
        return False
    if isinstance(node, ast.Name) and node.id in DYNAMIC:
        return True
    if isinstance(node, ast.alias) and node.asname and node.name in DYNAMIC:
        return True
    if isinstance(node, ast.Attribute) and node.attr in DYNAMIC - {"exec", "eval"}:
        return True
    return any(map(_is_dynamic, ast.iter_child_nodes(node)))


def _is_lazy(tree: ast.Module) -> bool:
    """Whether a module says to type checkers what it imports on demand in its ``__getattr__``."""
    return any(isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING" for n in tree.body)


def _told(tree: ast.Module) -> list[ast.stmt]:
    """The statements of a module without a ``__getattr__`` whose imports are told elsewhere."""
    lazy = _is_lazy(tree)
    return [n for n in tree.body if not (lazy and getattr(n, "name", "") == "__getattr__")]


class _WithoutFunctions(ast.NodeTransformer):
    """Leaves of a module what runs when it is imported."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        return ast.Pass() if isinstance(node, FUNCTIONS) else super().generic_visit(node)


@dataclass(frozen=True)
class _Module:
    """What counts of a module; ``imports`` are pairs (module, name taken from it, or "")."""

    path: Path
    code: bytes  # without docstrings and places
    imports: tuple[tuple[str, str], ...]
    texts: frozenset[str]
    names: frozenset[str]
    records: tuple[str, ...]  # how ids of records end that it reads; "" for any
    dynamic: bool  # somewhere in it, so that it matters once something is taken from it
    dynamic_at_import: bool


def _imports(tree: ast.AST, package: str = "") -> Iterator[tuple[str, str]]:
    """The pairs (module, name) that ``tree`` imports, seen from ``package``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            # Without "as" it is the root that gets a name, and anything may be reached from there.
            yield from ((a.name if a.asname else a.name.partition(".")[0], "") for a in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")
            above = above[: len(above) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield from ((source, alias.name) for alias in node.names)
        elif _called(node) == "import_module":
            yield from ((text, "") for text in _texts(node))


def _module(name: str) -> _Module | None:
    """Module ``name`` of this package; None for a name that is none."""
    parts = name.split(".")
    stem = PACKAGE.joinpath(*parts[1:])
    for path in (stem / "__init__.py", stem.with_suffix(".py")):
        if parts[0] == PACKAGE.name and path.is_file():
            package = name if path.name == "__init__.py" else name.rpartition(".")[0]
            return _parsed(path, package, path.read_bytes())
    return None


@cache
def _parsed(path: Path, package: str, content: bytes) -> _Module:
    tree = ast.parse(content)
    dynamic = any(map(_is_dynamic, _told(tree)))
    return _Module(
        path,
        imports=tuple(_imports(tree, package)),
        texts=frozenset(_texts(tree)),
        names=frozenset(_names(tree)),
        records=() if path == PACKAGE / "evidence" / "results.py" else tuple(_records(tree)),
        dynamic=dynamic,
        dynamic_at_import=dynamic and _is_dynamic(_WithoutFunctions().visit(copy.deepcopy(tree))),
        code=_code(tree),
    )


def _code(tree: ast.Module) -> bytes:
    """The parsed code without docstrings, which are taken out of ``tree``, and without places."""
    for node in ast.walk(tree):
        if isinstance(node, SCOPES) and ast.get_docstring(node) is not None:
            del node.body[0]
    return ast.dump(tree).encode()


def _records(tree: ast.AST) -> Iterator[str]:
    """How the ids of the records end that calls of ``read_record`` name; "" where none is clear.

    A name may be put together, ``PART + "width-sweep"``: then the last text counts.
    """
    calls = [node for node in ast.walk(tree) if _called(node) in RECORDS]
    if sum(name in RECORDS for name in _names(tree)) > len(calls):
        yield ""
    for call in calls:
        last = call.args[0] if call.args else call
        while isinstance(last, ast.BinOp | ast.JoinedStr):
            last = last.right if isinstance(last, ast.BinOp) else last.values[-1]
        yield str(last.value) if isinstance(last, ast.Constant) else ""


def _reached(cells: ast.Module) -> dict[str, _Module] | None:
    """The modules that the page's code reaches, by name; None where that cannot be told."""
    found: dict[str, _Module] = {}
    queue = list(_imports(cells))
    while queue:
        source, taken = queue.pop()
        name = f"{source}.{taken}" if taken and _module(f"{source}.{taken}") else source
        module = _module(name)
        if module is None:
            continue
        if module.dynamic or (name == PACKAGE.name and not taken):
            return None
        parts = name.split(".")
        for parent in (".".join(parts[:i]) for i in range(1, len(parts) + 1)):
            if parent not in found:
                found[parent] = _module(parent)
                if found[parent].dynamic_at_import:
                    return None
                queue.extend(found[parent].imports)
    return found


# ---------------------------------------------------------------------------------- files


def below(folder: Path) -> Iterator[Path]:
    """The files in ``folder`` and its folders, in order, without what running leaves behind."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part":
            yield path


def _beside(module: _Module) -> Iterator[Path]:
    """The files, and those in folders, that a module names by their place beside itself."""
    for text in filter(RELATIVE.fullmatch, module.texts):
        path = module.path.parent / text
        for each in below(path) if path.is_dir() else [path] if path.is_file() else []:
            if PACKAGE / "book" not in each.parents and each.suffix not in LIVE | {".py"}:
                yield each


def _recorded(ends: set[str]) -> Iterator[Path]:
    """The records whose experiment's id ends so; all of them for an end that none has."""
    folder = repository() / "data" / "results"
    records = {path: path.parent.relative_to(folder).as_posix() for path in below(folder)}
    for end in ends:
        named = [path for path, name in records.items() if name.endswith(end)]
        yield from named or records


def _data() -> Iterator[Path]:
    """The catalogue of data sets and the sets that lie in the repository."""
    root = repository() / "data"
    for path in below(root):
        is_set = path.parent != root and root / "results" not in path.parents
        if path.name == "datasets.yaml" or (is_set and path.suffix != ".md"):
            yield path


@cache
def _digest(path: Path, changed: int, size: int) -> bytes:
    """The SHA-256 of a file that has changed then and has this size."""
    return hashlib.sha256(path.read_bytes()).digest()


# ---------------------------------------------------------------------------------- pages


def cells_of(notebook: NotebookNode) -> ast.Module | None:
    """The code of a notebook's cells; None where it is no plain Python."""
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    try:
        return ast.parse("\n".join(sources))
    except SyntaxError:
        return None


def key(notebook: NotebookNode, page: Path) -> str:
    """16 hex digits over all that the outputs of ``notebook`` depend on beside its own cells.

    ``page`` is its file, from which it may name others.
    """
    root, cells = repository(), cells_of(notebook)
    modules = None if cells is None or _is_dynamic(cells) else _reached(cells)
    contents: dict[Path, bytes] = {}
    if modules is None:
        files = [p for p in below(PACKAGE) if PACKAGE / "book" not in p.parents]
        files = [p for p in files if p.suffix not in LIVE] + list(below(root / "data"))
    else:
        reached, names = list(modules.values()), set(_names(cells))
        as_text = not LOOKS_AT_TEXT.isdisjoint(names.union(*(m.names for m in reached)))
        contents = {m.path: m.path.read_bytes() if as_text else m.code for m in reached}
        files = [path for module in reached for path in _beside(module)]
        for text in filter(RELATIVE.fullmatch, _texts(cells)):
            files += filter(Path.is_file, (page.parent / text, root / text))
        files += _recorded({*_records(cells), *(end for m in reached for end in m.records)})
        if f"{PACKAGE.name}.datasets" in modules:
            files += _data()
        if not OPENS.isdisjoint(names):
            files += below(root / "data")
    files += [root / name for name in PINS if (root / name).is_file()]
    found = {path: hashlib.sha256(content).digest() for path, content in contents.items()}
    for path in set(files):
        status = path.stat()
        found[path] = _digest(path, status.st_mtime_ns, status.st_size)
    digest = hashlib.sha256(f"{platform.python_version()} {version('torch')}".encode())
    for path in sorted(found):
        at = path.relative_to(PACKAGE) if PACKAGE in path.parents else os.path.relpath(path, root)
        digest.update(f"{at}\0".encode() + found[path])
    return digest.hexdigest()[:16]
