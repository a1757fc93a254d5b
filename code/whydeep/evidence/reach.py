"""Which definitions a run reaches, and a hash over them by name and content, wherever they stand.

From ``run``, ``SCALES`` and ``VARIANTS`` of an experiment the walk follows names through the
package's own modules: functions, constants, whole classes, and what a reached module does when it
is imported. So a record stays valid when a definition moves to another file, and when something
changes that no run can reach: a legend, a claim, a comment, an annotation. It is a reading of the
source, nothing is imported, and where it cannot follow it counts more rather than less: a module
that is handed about as a value, or that asks for ``globals()``, counts whole.

Files of data count by their checksums (`whydeep.datasets.used`), not by the code that reads them.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

PACKAGE = Path(__file__).parents[1]
ROOTS = ("run", "SCALES", "VARIANTS")
GIVEN = ("whydeep.chance", "Chance")  # what a run is given, and need not name but in an annotation
IMPORT = "<import>"  # stands for what a module does when it is imported
# What makes no number: reading and downloading of data, which are known by their checksums, the
# choice of the device, which a record names, and errors, which end a run.
FILES = "whydeep.datasets.files"
OPAQUE = (FILES, "whydeep.device", "whydeep.errors")
WHOLE_MODULE = {"globals", "vars", "eval", "exec", "locals"}
WHOLE_PACKAGE = ("importlib.import_module", "__import__", "sys.modules.get", "sys.modules[]")
DATACLASS_WORDS = ("ClassVar", "InitVar", "KW_ONLY")  # annotations that a dataclass acts on
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
SCOPED = (*FUNCTIONS, ast.Lambda, *COMPREHENSIONS)


@dataclass(eq=False)
class Source:
    """One module as read: what it defines at its top, what it imports, what importing it does."""

    name: str
    defined: dict[str, list[ast.stmt]] = field(default_factory=dict)
    imported: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    effects: list[ast.stmt] = field(default_factory=list)


@dataclass(frozen=True)
class Found:
    """What a name stands for: a definition of the package, a module of it, or something outside.

    ``kind`` is "definition", "module" or "outside"; for an outside one ``name`` is its dotted name.
    With the kind "data" it is a data file that is asked for, by its name or how that begins.
    """

    kind: str
    module: str
    name: str = ""


@dataclass(frozen=True)
class Reached:
    """What a run reaches: ``parts`` maps a definition's name to eight hex digits of its content.

    ``outside`` holds the dotted names of other packages that were reached, ``data`` what the names
    of the data files that it asks for are or begin with, ``where`` the definitions as (module,
    name), and ``code`` is twelve hex digits over all parts.
    """

    parts: dict[str, str]
    outside: frozenset[str]
    data: frozenset[str]
    where: frozenset[tuple[str, str]]

    @property
    def code(self) -> str:
        return code_of(self.parts)


def code_of(parts: Mapping[str, str]) -> str:
    """Twelve hex digits over ``parts``: over names without the modules that tell two apart."""
    rows = sorted((name.rpartition(".")[2].rstrip("'"), part) for name, part in parts.items())
    return _digest("\n".join(f"{name} {part}" for name, part in rows), 12)


def _digest(text: str, digits: int) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:digits]


# ------------------------------------------------------------------------------ reading a module


def path_of(module: str) -> Path | None:
    """The file of a module of this package; None for a name that is none."""
    return _path_of(PACKAGE, module) if module.partition(".")[0] == "whydeep" else None


@cache
def _path_of(package: Path, module: str) -> Path | None:
    stem = package.joinpath(*module.split(".")[1:])
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def _bound(target: ast.AST) -> Iterator[str]:
    """The names that an assignment's target binds; none for ``a[0]`` or ``a.b``."""
    if isinstance(target, ast.Name):
        yield target.id
    elif isinstance(target, ast.Starred):
        yield from _bound(target.value)
    elif isinstance(target, (ast.Tuple, ast.List)):
        for each in target.elts:
            yield from _bound(each)


def _imports(node: ast.stmt) -> Iterator[tuple[str, tuple[str, str | None]]]:
    """(alias, (module, name in it or None)) for everything that an import statement binds."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            top = alias.name.partition(".")[0]
            yield (alias.asname, (alias.name, None)) if alias.asname else (top, (top, None))
    elif isinstance(node, ast.ImportFrom):
        if node.level or any(alias.name == "*" for alias in node.names):
            raise ValueError("relative and star imports hide what they bind: write them out")
        for alias in node.names:
            yield alias.asname or alias.name, (node.module, alias.name)


def _imports_of(body: list[ast.stmt]) -> Iterator[tuple[str, tuple[str, str | None]]]:
    for node in body:
        yield from _imports(node)


def _binds(node: ast.stmt) -> list[str]:
    """The names that a statement at the top of a module defines."""
    if isinstance(node, (*FUNCTIONS, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [name for target in node.targets for name in _bound(target)]
    if isinstance(node, (ast.AnnAssign, ast.AugAssign)):
        return list(_bound(node.target))
    return []


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _asks(node: ast.stmt, test: str) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == test and not node.orelse


@cache
def _read(path: Path, name: str, stamp: int) -> Source:
    source = Source(name)
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            source.imported |= dict(_imports(node))
        elif _asks(node, "TYPE_CHECKING"):
            # For annotations, which do not count; or what a lazy module's __getattr__ will import.
            source.imported |= dict(_imports_of(node.body))
        elif _asks(node, "__name__ == '__main__'") or _is_text(node):
            continue
        elif names := _binds(node):
            for each in names:
                source.defined.setdefault(each, []).append(node)
        else:  # it acts when the module is imported; what it may bind inside is found by its name
            source.effects.append(node)
            for inner in ast.walk(node):
                if isinstance(inner, (ast.Import, ast.ImportFrom)):
                    source.imported |= dict(_imports(inner))
                elif isinstance(inner, ast.stmt):
                    for each in _binds(inner):
                        source.defined.setdefault(each, []).append(node)
    return source


def source(module: str) -> Source | None:
    """The module as read from its file; None for one that is not of this package, or opaque."""
    path = None if module in OPAQUE else path_of(module)
    return None if path is None else _read(path, module, path.stat().st_mtime_ns)


# ------------------------------------------------------------------------------ following names


def _find(module: str, name: str) -> Found | None:
    """What ``name`` stands for at the top of ``module``; None for a builtin or an unknown name."""
    here = source(module)
    if here is None:
        return Found("outside", module, f"{module}.{name}")
    if name in here.defined:
        return Found("definition", module, name)
    if name in here.imported:
        origin, inner = here.imported[name]
        return _member(origin, inner) if inner else _module(origin)
    return None


def _module(name: str) -> Found:
    return Found("module", name) if path_of(name) else Found("outside", name, name)


def _member(module: str, name: str) -> Found:
    """What ``module.name`` stands for."""
    if path_of(f"{module}.{name}") and module not in OPAQUE:
        return Found("module", f"{module}.{name}")
    found = _find(module, name)
    # A name that the module does not show, such as __name__: then the module counts whole.
    return found or Found("module", module)


class _Scope:
    """The names that a function, lambda or comprehension binds for itself."""

    def __init__(self, node: ast.AST):
        self.names: set[str] = set()
        self.imported: dict[str, tuple[str, str | None]] = {}
        arguments = getattr(node, "args", None)
        if isinstance(arguments, ast.arguments):
            every = (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
            self.names |= {each.arg for each in (*every, arguments.vararg, arguments.kwarg) if each}
        if isinstance(node, COMPREHENSIONS):
            self.names |= {name for each in node.generators for name in _bound(each.target)}
        elif isinstance(node, FUNCTIONS):
            elsewhere: set[str] = set()
            for statement in node.body:
                self._collect(statement, elsewhere)
            self.names -= elsewhere

    def _collect(self, node: ast.AST, elsewhere: set[str]) -> None:
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            elsewhere.update(node.names)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            self.imported |= dict(_imports(node))
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            self.names.add(node.name)
            return
        elif isinstance(node, (ast.Lambda, *COMPREHENSIONS)):
            # Their own names stay inside; a walrus binds out here.
            self.names |= {
                name
                for inner in ast.walk(node)
                if isinstance(inner, ast.NamedExpr)
                for name in _bound(inner.target)
            }
            return
        elif isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            self.names.add(node.id)
        elif isinstance(node, (ast.ExceptHandler, ast.MatchAs, ast.MatchStar)) and node.name:
            self.names.add(node.name)
        for child in ast.iter_child_nodes(node):
            self._collect(child, elsewhere)


def _chain(node: ast.AST) -> list[str] | None:
    """``["np", "linalg", "svd"]`` for ``np.linalg.svd``; None for what is no chain of names."""
    if isinstance(node, ast.Name):
        return [node.id]
    if isinstance(node, ast.Attribute) and (front := _chain(node.value)):
        return [*front, node.attr]
    return None


def _texts(nodes: list[ast.expr]) -> Iterator[str]:
    """The strings among the arguments of a call; of one with {} in it, what stands before."""
    for node in nodes:
        front = node.values[0] if isinstance(node, ast.JoinedStr) else node
        if isinstance(front, ast.Constant) and isinstance(front.value, str):
            yield front.value


class _Reader:
    """Turns a definition into plain tuples, in which every name of ours or of others is resolved.

    So the tuples do not change with aliases of imports or with the place of a definition. What it
    came across is collected in ``found``, and in ``named`` each use of a definition, in order.
    """

    def __init__(self, module: str):
        self.module = module
        self.found: set[Found] = set()
        self.named: list[Found] = []
        self.scopes: list[_Scope] = []

    def _resolve(self, chain: list[str]) -> tuple[Found | None, list[str]]:
        """What the chain's front stands for, and the attributes that are asked of it."""
        name, *rest = chain
        found = None
        for scope in reversed(self.scopes):
            if name in scope.imported:
                origin, inner = scope.imported[name]
                found = _member(origin, inner) if inner else _module(origin)
                break
            if name in scope.names:
                return None, chain
        found = found or _find(self.module, name)
        if found is None and name in WHOLE_MODULE:
            self.found.add(Found("module", self.module))
        elif found is None and name == "__import__":
            self.found.add(Found("outside", "builtins", name))
        while found and found.kind == "module" and rest:
            found, rest = _member(found.module, rest[0]), rest[1:]
        if found and found.kind == "outside":
            return Found("outside", found.module, ".".join([found.name, *rest])), []
        return found, rest

    def plain(self, node: Any) -> Any:
        """The node as nested tuples and strings, the same under every version of Python."""
        if isinstance(node, list):
            return [self.plain(each) for each in node if not self._says_nothing(each)]
        if not isinstance(node, ast.AST):
            return repr(node)
        chain = _chain(node)
        if chain is not None:
            found, rest = self._resolve(chain)
            if found is not None:
                self.found.add(found)
                self.named += [found] if found.kind == "definition" else []
                return ("of", found.name or found.module.rpartition(".")[2], *rest)
        if isinstance(node, ast.Subscript) and _chain(node.value) == ["sys", "modules"]:
            self.found.add(Found("outside", "sys", "sys.modules[]"))
        if isinstance(node, ast.Call) and (called := _chain(node.func)):
            reader, _ = self._resolve(called)
            if reader and reader.module == FILES:
                self.found |= {Found("data", reader.module, each) for each in _texts(node.args)}
        if isinstance(node, ast.ClassDef) and any(_imports_of(node.body)):
            raise ValueError(f"class {node.name} imports in its body: import above it")
        scope = _Scope(node) if isinstance(node, SCOPED) else None
        given = []
        for name, value in ast.iter_fields(self._bare(node)):
            # Decorators, defaults and what is iterated over are read outside of the new names.
            inside = scope is not None and name not in ("decorator_list", "args", "generators")
            if value not in (None, []):
                self.scopes += [scope] if inside else []
                given.append((name, self.plain(value)))
                self.scopes = self.scopes[:-1] if inside else self.scopes
        return type(node).__name__, *given

    @staticmethod
    def _says_nothing(node: Any) -> bool:
        """Whether a statement makes no number: an import, whose names are resolved, or a type."""
        bare = isinstance(node, ast.AnnAssign) and node.value is None and node.simple == 0
        return bare or isinstance(node, (ast.Import, ast.ImportFrom))

    @staticmethod
    def _bare(node: ast.AST) -> ast.AST:
        """The node without docstring and annotations; those that a dataclass acts on stay."""
        if isinstance(node, ast.arg):
            return ast.arg(arg=node.arg)
        if isinstance(node, ast.AnnAssign):
            acts = any(word in ast.unparse(node.annotation) for word in DATACLASS_WORDS)
            return ast.AnnAssign(
                target=node.target, value=node.value, annotation=node.annotation if acts else None
            )
        if not isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            return node
        fields = dict(ast.iter_fields(node)) | {"returns": None}
        if ast.get_docstring(node, clean=False) is not None:
            fields["body"] = node.body[1:]
        return type(node)(**fields)


# ------------------------------------------------------------------------------ the walk


@cache
def _part(read: Source, name: str) -> tuple[str, frozenset[Found], tuple[Found, ...]]:
    """The hash of one definition (or of IMPORT, what the module does), what it finds, and names."""
    reader = _Reader(read.name)
    nodes = read.effects if name == IMPORT else read.defined[name]
    text = repr([reader.plain(node) for node in nodes])
    return _digest(text, 8), frozenset(reader.found), tuple(reader.named)


def reach(module: str, roots: Iterable[str] = ROOTS) -> Reached:
    """Everything of the package that ``roots`` of ``module`` reach.

    A root that the module does not define is left out. ValueError for a relative or star import.
    """
    parts: dict[tuple[str, str], str] = {}
    uses: dict[tuple[str, str], tuple[Found, ...]] = {}
    outside: set[str] = set()
    data: set[str] = set()
    modules: set[str] = set()
    whole: set[str] = set()
    here = source(module)
    queue = [(module, root) for root in roots if root in here.defined]
    if (module, "run") in queue and path_of(GIVEN[0]):
        queue.append(GIVEN)

    def take(where: str, name: str) -> None:
        parts[where, name], every, uses[where, name] = _part(source(where), name)
        for found in every:
            if found.kind == "definition":
                queue.append((found.module, found.name))
            elif found.kind == "data":
                data.add(found.name)
            elif found.kind == "outside":
                outside.add(found.name)
                if found.name in WHOLE_PACKAGE:
                    whole_package()
            else:
                count_whole(found.module)

    def visit(where: str) -> None:
        """Count what importing ``where``, and the packages it lies in, does."""
        while where and where not in modules:
            modules.add(where)
            if (read := source(where)) and read.effects:
                take(where, IMPORT)
            where = where.rpartition(".")[0]

    def count_whole(where: str) -> None:
        if where in whole or source(where) is None:
            return
        whole.add(where)
        visit(where)
        queue.extend((where, name) for name in source(where).defined)

    def whole_package() -> None:
        for path in sorted(PACKAGE.rglob("*.py")):
            inner = path.relative_to(PACKAGE.parent).with_suffix("").parts
            count_whole(".".join(inner[:-1] if inner[-1] == "__init__" else inner))

    while queue:
        where, name = queue.pop()
        if (where, name) not in parts:
            visit(where)
            take(where, name)
    named = _named(_told_apart(parts, uses))
    return Reached(named, frozenset(outside), frozenset(data), frozenset(parts))


def _told_apart(
    parts: dict[tuple[str, str], str], uses: dict[tuple[str, str], tuple[Found, ...]]
) -> dict[tuple[str, str], str]:
    """The parts, where those that use one of two definitions of one name also say which of them.

    By its content, since it may move as well.
    """
    times = Counter(name for _, name in parts)
    which = {
        part: [parts[each.module, each.name] for each in named if times[each.name] > 1]
        for part, named in uses.items()
    }
    return {p: _digest(f"{d} {which[p]}", 8) if which[p] else d for p, d in parts.items()}


def _named(parts: dict[tuple[str, str], str]) -> dict[str, str]:
    """The parts by name alone; two that share a name get the module's last name before it."""
    names = [name for _, name in parts]
    named: dict[str, str] = {}
    for (module, name), digest in sorted(parts.items()):
        shared = names.count(name) > 1
        key = f"{module.rpartition('.')[2]}.{name}" if shared else name
        while key in named:
            key = f"{key}'"
        named[key] = digest
    return dict(sorted(named.items()))


def takes_device(module: str) -> bool:
    """Whether ``run`` of an experiment asks for the device that the reader has chosen."""
    return "whydeep.device.current" in reach(module, ("run",)).outside


def code_in(package: Path, module: str) -> str:
    """The code of an experiment in another copy of the package, in the folder ``package``."""
    global PACKAGE
    here, PACKAGE = PACKAGE, package
    try:
        return reach(module).code if path_of(module) else ""
    finally:
        PACKAGE = here
