"""The site around the pages: our style and scripts, vendored MathJax, the repository's address.

Jupyter Book loads every script below a source folder called _static on every page, so ours are
served from static paths that this extension appends instead.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment

from whydeep.evidence.provenance import PACKAGE, repository

HOSTS = ("github.com", "gitlab.com", "bitbucket.org")
NOTEBOOKS = "notebooks"  # the branch that `make publish` pushes the launch notebooks to


def git(*arguments: str) -> str:
    """What git says of the checkout; "" outside a checkout, or where git is not installed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(repository()), *arguments],
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def repository_url() -> str:
    """Where the book's source is published: GITHUB_REPOSITORY, else git's origin, else "".

    Only a public forge counts; a path on this machine is no address for a reader.
    """
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return f"https://github.com/{name}"
    remote = git("remote", "get-url", "origin")
    found = re.fullmatch(r"(?:https?://|ssh://)?(?:[^@/]+@)?([\w.-]+)[:/](.+?)(?:\.git)?/?", remote)
    if found and found[1] in HOSTS:
        return f"https://{found[1]}/{found[2]}"
    return ""


def _configure(app: Sphinx, config: Config) -> None:
    # Relative, since Sphinx hashes the paths into the output: two builds shall be identical.
    book = os.path.relpath(PACKAGE / "book", app.confdir)
    config.html_static_path.extend([f"{book}/static", f"{book}/vendor"])
    url = repository_url()
    config.whydeep_repository = url
    options = config.html_theme_options
    for name in ("repository_url", "repository_branch", "path_to_docs"):
        options.pop(name, None)
    options.pop("launch_buttons", None)
    if url:
        options["repository_url"] = url
        # Where the buttons lead that open a page: there the launch notebooks have the pages' names.
        options["repository_branch"] = NOTEBOOKS
        options["use_repository_button"] = True
        options["use_issues_button"] = True
    if url.startswith("https://github.com/"):  # the one forge that Colab opens notebooks from
        options["launch_buttons"] = {
            "notebook_interface": "jupyterlab",
            "binderhub_url": "https://mybinder.org",
            "colab_url": "https://colab.research.google.com",
        }


def _without_thebe(app: Sphinx, config: Config) -> None:
    """Drop sphinx-thebe, which Jupyter Book always loads.

    It declares the same constant twice on every page, a script error, and its button would fetch
    a script from unpkg.com.
    """
    for listeners in list(app.events.listeners.values()):
        for listener in list(listeners):
            if listener.handler.__module__.partition(".")[0] == "sphinx_thebe":
                app.disconnect(listener.id)
    files = app.registry.css_files
    files[:] = [(name, attributes) for name, attributes in files if "thebe" not in name]


def _remove_pages(
    app: Sphinx, env: BuildEnvironment, added: set[str], changed: set[str], removed: set[str]
) -> list[str]:
    """Remove from the site the pages that have left the book; Sphinx would let them lie."""
    if app.builder.format == "html":
        for name in removed:
            Path(app.builder.get_outfilename(name)).unlink(missing_ok=True)
    return []


def _visit_citation(self, node: nodes.citation) -> None:
    """An entry of the bibliography as an item of a list.

    docutils writes the role doc-biblioentry, which ARIA has withdrawn.
    """
    if not isinstance(node.previous_sibling(), nodes.citation):
        self.body.append('<div role="list" class="citation-list">\n')
    self.body.append(self.starttag(node, "div", CLASS="citation", role="listitem"))


def _depart_citation(self, node: nodes.citation) -> None:
    self.body.append("</div>\n")
    if not isinstance(node.next_node(descend=False, siblings=True), nodes.citation):
        self.body.append("</div>\n")


def setup(app: Sphinx) -> None:
    """Add the site's files and settings."""
    app.add_node(nodes.citation, override=True, html=(_visit_citation, _depart_citation))
    app.add_config_value("whydeep_repository", "", "env", str)
    app.connect("config-inited", _configure)
    app.connect("config-inited", _without_thebe)
    app.connect("env-get-outdated", _remove_pages)
    app.add_css_file("face.css")
    app.add_css_file("whydeep.css")
    app.add_js_file("whydeep.js", loading_method="defer")
