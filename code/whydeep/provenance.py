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
VERSIONED = ("torch", "numpy", "scipy", "scikit-learn")
# Modules that read results but never make them: a change there cannot move a number.
READERS = ("claims", "results", "provenance", "figures", "cli", "book")


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


@lru_cache
def code_hash(module: str) -> str:
    """Twelve hex digits over ``module`` and every module of the package that it imports.

    Comments, docstrings and layout do not count: the hash is of the parsed code.
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
        for node in ast.walk(tree):
            body = getattr(node, "body", None)
            if (
                isinstance(body, list)
                and body
                and isinstance(body[0], ast.Expr)
                and isinstance(body[0].value, ast.Constant)
                and isinstance(body[0].value.value, str)
            ):
                body[0].value.value = ""
        digest.update(f"{name}\n{ast.dump(tree)}\n".encode())
    return digest.hexdigest()[:12]
