"""The build status: when, from which commit and with what the book was built.

The one page whose content may differ between two builds of the same sources.
"""

from __future__ import annotations

import platform
from datetime import datetime, timezone
from importlib.metadata import version

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform

from whydeep.book.claims import EvidenceDirective, table
from whydeep.book.evidence import evidence, versions_words
from whydeep.book.site import git
from whydeep.errors import WhydeepError
from whydeep.evidence.provenance import VERSIONED
from whydeep.experiments import experiments

BUILDERS = ("jupyter-book", "Sphinx", "myst-nb", "sphinx-book-theme")


def commit() -> str:
    """The commit that is checked out, with a word on changes on top of it; "" outside git."""
    head = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return f"{head} with changes that are not committed" if head and changed else head


class page_times(nodes.General, nodes.Element):
    """Where the table of pages goes: their times are known once all have been read."""


class StatusDirective(EvidenceDirective):
    """``{build-status}``: date, commit, machine and versions; ``{build-status} pages``: each page.

    The second is a table of how long a page took, when, and with what versions its records were
    made; those of the build itself are the first table's.
    """

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        self.env.metadata[self.env.docname]["whydeep-status"] = True
        if self.arguments == ["pages"]:
            return [page_times()]
        if self.arguments:
            self.warn(f"the build status has no part {self.arguments[0]!r}: only pages")
            return []
        rows = [
            ("built", datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
            ("commit", commit() or "not built from a git checkout"),
            ("sources", [nodes.literal("", self.config.whydeep_source_hash)]),
            ("machine", f"{platform.system()} {platform.machine()}"),
            ("python", platform.python_version()),
            *((name, version(name)) for name in (*VERSIONED, *BUILDERS)),
        ]
        return [table(("What", "This build"), rows, "build-status")]


def _recorded_with(docname: str) -> list[nodes.Node]:
    """The versions behind each record of the experiments on a page, a paragraph each."""
    found = []
    for name, module in experiments().items():
        if docname == f"chapters/{module.PAGE}" or docname == module.PAGE:
            try:
                words = versions_words(evidence(name).record.provenance)
            except WhydeepError:  # the ledger's page warns of a record that is missing
                words = "no record"
            found.append(nodes.paragraph("", "", nodes.literal("", name), nodes.Text(f": {words}")))
    return found


class PageTimes(SphinxPostTransform):
    """Puts the table of pages in its place."""

    default_priority = 8  # before references are resolved

    def run(self, **options: object) -> None:
        for node in list(self.document.findall(page_times)):
            rows = []
            for docname, data in sorted(getattr(self.env, "nb_metadata", {}).items()):
                if not (ran := data.get("exec_data")):
                    continue
                link = addnodes.pending_xref(
                    "",
                    nodes.inline("", self.env.titles[docname].astext()),
                    refdomain="std",
                    reftype="doc",
                    reftarget=f"/{docname}",
                    refexplicit=True,
                    refwarn=True,
                    refdoc=self.env.docname,
                )
                when = datetime.fromtimestamp(ran["mtime"], timezone.utc)
                took = "—" if ran["runtime"] is None else f"{ran['runtime']:.1f}\N{NO-BREAK SPACE}s"
                cells = ([link], took, when.strftime("%Y-%m-%d %H:%M UTC"))
                rows.append((*cells, _recorded_with(docname) or "—"))
            header = ("Page", "Took", "Run", "Its records were made with")
            node.replace_self([table(header, rows, "page-times")])


def _always_outdated(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Read the status page again in each build that reads or executes anything at all."""
    if not added | changed | removed:
        return []
    return [name for name, data in env.metadata.items() if "whydeep-status" in data]


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_node(page_times)
    app.add_directive("build-status", StatusDirective)
    app.add_post_transform(PageTimes)
    app.connect("env-get-outdated", _always_outdated)
