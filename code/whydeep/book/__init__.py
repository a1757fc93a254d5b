"""What the book needs of Sphinx: claim boxes, numbers bound to records, figures, ledger, cache.

An extension for Jupyter Book 1.x (``local_extensions: whydeep.book: code`` in _config.yml). It
only reads experiments, claims and records; nothing in them knows of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

PARTS = (
    "cache",
    "site",
    "proofs",
    "claims",
    "numbers",
    "ledger",
    "answers",
    "checks.changes",
    "concordance",
    "status",
    "widgets",
    "face",
    "publish.launch",
)


def setup(app: Any) -> dict[str, Any]:
    """Register the extension's parts with the Sphinx application ``app``."""
    # Imported here, so that whydeep.book.checks.notebooks works where Sphinx is not installed.
    for part in PARTS:
        import_module(f"whydeep.book.{part}").setup(app)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
