"""Widgets on pages without a kernel: what static/widget-host.js needs of the build.

myst-nb writes the state of a page's widgets into the page. We keep of it what a static page can
use: anywidget's models that are shown, their modules and styles once each instead of once a widget.
Two builds shall be identical, whether they execute or read the cache: ids count from 1, for Jupyter
draws them at random, and keys are sorted, as they are in the cache. Modules and styles of the
book's own widgets are those of now: what a page has stored never depends on them
(whydeep.book.reads).
"""

from __future__ import annotations

import json
import re
from importlib import import_module
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

from whydeep.evidence.provenance import PACKAGE

logger = logging.getLogger(__name__)
HOST = "widget-host.js"
STATE = "application/vnd.jupyter.widget-state+json"
VIEW = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-view\+json">(.*?)</script>', re.S
)
REFERENCE = re.compile(r"IPY_MODEL_(\w+)")
# What only a live front end reads: layout and style models, names of Python classes.
UNUSED = re.compile(r"_.*|layout|tabbable|tooltip|style")
NOSCRIPT = (
    "<noscript><p>This figure is interactive and needs JavaScript; its data are among the recorded "
    "runs in the book's repository.</p></noscript>"
)


def script_json(value: Any) -> str:
    """JSON, its keys sorted, that may stand in a script element, whatever strings it holds."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=True)
    return text.replace("<", "\\u003c")


def _sources_now(saved: dict[str, Any]) -> tuple[str | None, str | None]:
    """The module and the style of a widget of this package as they are, else as they were saved."""
    module, _, name = saved.get("_anywidget_id", "").rpartition(".")
    if module.partition(".")[0] != PACKAGE.name:
        return saved.get("_esm"), saved.get("_css")
    widget = getattr(import_module(module), name)
    return widget._esm, widget._css


def compact(models: dict[str, Any], shown: list[str]) -> tuple[dict[str, Any], dict[str, str]]:
    """The state for the page, and the new id of each model in it.

    ``models`` is the ``state`` that Jupyter saved, ``shown`` the ids of the views in page order.
    Models that shown ones refer to (IPY_MODEL_...) come along. The modules and styles stand in
    ``sources``, once each, under a name that a model's ``esm`` and ``css`` give. ValueError names
    a view that has no state, or is not anywidget's.
    """
    names: dict[str, str] = {}
    queue = list(shown)
    while queue:
        old = queue.pop(0)
        if old in names:
            continue
        if old not in models:
            raise ValueError(f"a widget is shown but its state was not saved ({old})")
        if models[old]["model_module"] != "anywidget":
            raise ValueError(
                f"a {models[old]['model_name']} is shown, but a page without a kernel shows "
                "anywidget's widgets only: put the control into the widget"
            )
        names[old] = f"w{len(names) + 1}"
        kept = {k: v for k, v in models[old]["state"].items() if not UNUSED.fullmatch(k)}
        queue += [i for i in REFERENCE.findall(json.dumps(kept, sort_keys=True)) if i in models]

    sources: dict[str, str] = {}

    def place(source: str | None) -> str | None:
        """The name of ``source`` among the sources, where it is put if it is new."""
        if not source:
            return None
        known = next((name for name, text in sources.items() if text == source), None)
        name = known or f"s{len(sources) + 1}"
        sources[name] = source
        return name

    state = {}
    for old, new in names.items():
        saved = models[old]["state"]
        kept = {k: v for k, v in saved.items() if not UNUSED.fullmatch(k)}
        esm, css = _sources_now(saved)
        found = {"esm": place(esm), "css": place(css)}
        text = REFERENCE.sub(
            lambda match: f"IPY_MODEL_{names.get(match[1], match[1])}", json.dumps(kept)
        )
        buffers = [{"path": b["path"], "data": b["data"]} for b in models[old].get("buffers", [])]
        state[new] = found | {"state": json.loads(text), "buffers": buffers}
    return {"state": state, "sources": sources}, names


def _rewrite(app: Sphinx, doctree: nodes.document) -> None:
    """Put the compact state and the new ids into the page that has just been read."""
    scripts = getattr(app.env, "nb_metadata", {}).get(app.env.docname, {}).get("js_files", {})
    views = [node for node in doctree.findall(nodes.raw) if VIEW.search(node.astext())]
    shown = [json.loads(VIEW.search(node.astext())[1])["model_id"] for node in views]
    if "ipywidgets_state" not in scripts:
        return
    if not shown:  # widgets were made, but none is on the page
        for name in [name for name in scripts if name.startswith("ipywidgets_")]:
            del scripts[name]
        return
    _, attributes = scripts["ipywidgets_state"]
    try:
        page, names = compact(json.loads(attributes["body"])["state"], shown)
    except ValueError as error:
        logger.warning("%s", error, location=app.env.docname, type="whydeep")
        return
    scripts["ipywidgets_state"] = (None, {"type": STATE, "body": script_json(page)})
    for node, old in zip(views, shown, strict=True):
        view = VIEW.search(node.astext())[1]
        new_view = script_json(json.loads(view) | {"model_id": names[old]})
        new = nodes.raw("", node.astext().replace(view, new_view) + NOSCRIPT, format="html")
        node.replace_self(new)


def _configure(app: Sphinx, config: Config) -> None:
    # myst-nb loads these on pages with widgets only; by default require.js and 3.6 MB from a CDN.
    config.nb_ipywidgets_js = {HOST: {"defer": "defer"}}


def setup(app: Sphinx) -> None:
    """Let the static host show widgets."""
    app.connect("config-inited", _configure)
    app.connect("doctree-read", _rewrite)
