"""Where a number comes from: the hash of the code that made it, settings, device, versions."""

from __future__ import annotations

import ast
import hashlib
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from whydeep.errors import WhydeepError

PACKAGE = Path(__file__).parent
SCOPES = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
VERSIONED = ("torch", "numpy", "scipy", "scikit-learn")
# Modules, and names in an experiment, that read results but never make them: a change there cannot
# move a recorded number, and verdicts are recomputed from the numbers every time.
READERS = ("claims", "results", "provenance", "figures", "cli", "book", "widgets")
READERS_IN_EXPERIMENT = ("CLAIMS", "figure", "explorer")


def repository() -> Path:
    """The root of the checkout; WHYDEEP_ROOT overrides. WhydeepError where there is none."""
    root = Path(os.environ.get("WHYDEEP_ROOT", PACKAGE.parents[1]))
    if not (root / "data").is_dir():
        raise WhydeepError(
            f"no data/ folder in {root}: run from a clone of the book's repository, "
            "or set WHYDEEP_ROOT to one"
        )
    return root


def provenance(module: str, settings: Any, device: str) -> dict[str, Any]:
    """What a record says of its making: code, settings, device, versions."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else platform.machine()
    return {
        "code": code_hash(module),
        "settings": asdict(settings),
        "device": f"{device} ({name})",
        "python": platform.python_version(),
        **{package: version(package) for package in VERSIONED},
    }


def _imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _source(name: str) -> Path | None:
    """The file of module ``name`` of this package; None for a name that is no module of it."""
    parts = name.split(".")
    if parts[0] != "whydeep" or (len(parts) > 1 and parts[1] in READERS):
        return None
    stem = PACKAGE.joinpath(*parts[1:])
    for path in (stem.with_suffix(".py"), stem / "__init__.py"):
        if path.is_file():
            return path
    return None


def _reads(node: ast.stmt) -> bool:
    """Whether a statement at the top of a module is one of READERS_IN_EXPERIMENT."""
    targets = node.targets if isinstance(node, ast.Assign) else []
    names = {getattr(target, "id", None) for target in targets} | {getattr(node, "name", None)}
    return not names.isdisjoint(READERS_IN_EXPERIMENT)


def _plain(node: Any) -> Any:
    """The parsed code as tuples; `ast.dump` itself differs between versions of Python."""
    if isinstance(node, ast.AST):
        given = ((name, value) for name, value in ast.iter_fields(node) if value not in (None, []))
        return type(node).__name__, *((name, _plain(value)) for name, value in given)
    return [_plain(value) for value in node] if isinstance(node, list) else repr(node)


@lru_cache
def code_hash(module: str) -> str:
    """Twelve hex digits over ``module`` and every module of the package that it imports.

    Comments, docstrings and layout do not count, nor do an experiment's CLAIMS and ``figure``: the
    hash is of the parsed code that makes the numbers, and the same under every version of Python.
    """
    digest, seen, queue = hashlib.sha256(), set(), [module]
    while queue:
        name = queue.pop()
        path = _source(name)
        if path is None or name in seen:
            continue
        seen.add(name)
        queue.append(name.rpartition(".")[0])
        queue.extend(_imports(ast.parse(path.read_text(encoding="utf-8"))))
    for name in sorted(seen):
        tree = ast.parse(_source(name).read_text(encoding="utf-8"))
        tree.body = [node for node in tree.body if not _reads(node)]
        for node in ast.walk(tree):
            if isinstance(node, SCOPES) and ast.get_docstring(node) is not None:
                del node.body[0]
        digest.update(f"{name}\n{_plain(tree)}\n".encode())
    return digest.hexdigest()[:12]
