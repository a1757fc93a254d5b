"""The build status: when, from which commit and with what the book was built.

The one page whose content may differ between two builds of the same sources.
"""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from importlib.metadata import version

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from whydeep.book.claims import EvidenceDirective, table
from whydeep.book.site import git
from whydeep.provenance import VERSIONED

BUILDERS = ("jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme")


def commit() -> str:
    """The commit that is checked out, with a word on changes on top of it; "" outside git."""
    head = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{head} with changes that are not committed" if head and changed else head


class StatusDirective(EvidenceDirective):
    """``{build-status}``: a table of date, commit, machine and versions."""

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["whydeep-status"] = True
        rows = [
            ("built", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
            ("commit", commit() or "not built from a git checkout"),
            ("sources", [nodes.literal("", self.config.whydeep_source_hash)]),
            ("machine", f"{platform.system()} {platform.machine()}"),
            ("python", platform.python_version()),
            *((name, version(name)) for name in (*VERSIONED, *BUILDERS)),
        ]
        return [table(("What", "This build"), rows, "build-status")]


def _always_outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Read the status page again in each build that reads or executes anything at all."""
    if not added | changed | removed:
        return []
    return [name for name, data in env.metadata.items() if "whydeep-status" in data]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("build-status", StatusDirective)
    app.connect("env-get-outdated", _always_outdated)
