"""The execution cache, made honest: no page shows a result of code or data that have changed.

jupyter-cache compares the source of a notebook's cells, and the kernel that it names. It is blind
to an edit of an imported module or of a data file. So each notebook, as Sphinx reads it and as
whydeep.book.execute runs it, names beside its kernel the hash of all that its outputs can depend on
(whydeep.book.reads). A hash of all sources is a Sphinx value whose change makes every page be read
again, which takes its outputs from the cache.

One build at a time: whoever comes second waits. The operating system lets the lock go when its
process ends, however it ends.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import nbformat
from filelock import FileLock, Timeout
from jupyter_cache import get_cache
from jupyter_cache.cache.db import NbCacheRecord
from jupyter_cache.cache.main import JupyterCacheBase
from nbformat import NotebookNode
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.util import logging

from whydeep.book.checks.notebooks import METADATA, kernels_raise
from whydeep.book.reads import PINS, below, key
from whydeep.evidence.provenance import PACKAGE, repository

logger = logging.getLogger(__name__)


def source_hash() -> str:
    """Sixteen hex digits over everything that a page can depend on beside its own source."""
    digest = hashlib.sha256()
    root = repository()
    pins = [root / name for name in PINS if (root / name).is_file()]
    for path in [*below(PACKAGE), *below(root / "data"), *pins]:
        name = os.path.relpath(path, PACKAGE if PACKAGE in path.parents else root)
        digest.update(f"{name}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(f"{platform.python_version()} {version('torch')}".encode())
    return digest.hexdigest()[:16]


# ---------------------------------------------------------------------------------- notebooks


def keyed(text: str, page: Path) -> NotebookNode:
    """The notebook of the file ``page``, whose content is ``text``, with its key in its kernel."""
    notebook = nbformat.reads(text, as_version=4)
    kernel = notebook.metadata.setdefault("kernelspec", NotebookNode(METADATA["kernelspec"]))
    kernel["reads"] = key(notebook, page)
    return notebook


def opened(built: Path) -> JupyterCacheBase:
    """The execution cache of the book whose build folder is ``built``."""
    return get_cache(str(built / ".jupyter_cache"))


def executed(cache: JupyterCacheBase, notebook: NotebookNode) -> NotebookNode | None:
    """The ``keyed`` notebook with the outputs that the cache has for it; None if it has none."""
    try:
        return cache.merge_match_into_notebook(notebook)[1]
    except (KeyError, ValueError):  # unknown, or cut short by a kill while it was written
        _forget(cache, notebook)
        return None


def _forget(cache: JupyterCacheBase, notebook: NotebookNode) -> None:
    name = cache.create_hashed_notebook(notebook)[1]
    with suppress(KeyError):
        NbCacheRecord.remove_record(NbCacheRecord.record_from_hashkey(name, cache.db).pk, cache.db)
    shutil.rmtree(cache.path / "executed" / name, ignore_errors=True)


def kernels_import_this_package() -> None:
    """Let kernels import the package that was hashed, whatever else is installed."""
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), *others])
    kernels_raise()


# ---------------------------------------------------------------------------------- one at a time


def alone(built: Path, say: Callable[[str], None]) -> FileLock:
    """A held lock of the build folder ``built``; ``say`` gets a line if another build holds it."""
    built.mkdir(parents=True, exist_ok=True)
    lock = FileLock(built / ".lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        say(f"another build of this book is at work: waiting for it to end ({lock.lock_file})")
        lock.acquire()
    return lock


# ---------------------------------------------------------------------------------- Sphinx


def _configure(app: Sphinx, config: Config) -> None:
    built = Path(app.outdir).resolve().parent
    app.whydeep_lock = alone(built, logger.info)
    app.whydeep_cache = opened(built)
    app.whydeep_executed = {}
    config.nb_execution_cache_path = str(app.whydeep_cache.path)
    config.whydeep_source_hash = source_hash()
    kernels_import_this_package()


def _key(app: Sphinx, docname: str, source: list[str]) -> None:
    """Give the notebook that is about to be read its key, and note whether it will be executed."""
    path = Path(app.env.doc2path(docname))
    if path.suffix != ".ipynb":
        return
    try:
        notebook = keyed(source[0], path)
    except ValueError:  # no notebook: the parser says so in its own words
        return
    source[0] = nbformat.writes(notebook)
    app.whydeep_executed[docname] = executed(app.whydeep_cache, notebook) is None


def _report(app: Sphinx, exception: Exception | None) -> None:
    """Say which pages were executed, which came from the cache, which were not read; unlock."""
    if exception is None and app.env is not None:
        metadata = getattr(app.env, "nb_metadata", {})
        ran = {name for name, data in metadata.items() if data.get("exec_data")}
        read = {name: new for name, new in app.whydeep_executed.items() if name in ran}
        misses = sorted(name for name, new in read.items() if new)
        hits = sorted(name for name, new in read.items() if not new)
        logger.info(
            "execution cache: %d executed%s, %d from the cache%s, %d unchanged",
            len(misses),
            f" ({', '.join(misses)})" if misses else "",
            len(hits),
            f" ({', '.join(hits)})" if hits else "",
            len(ran - set(read)),
        )
    app.whydeep_lock.release()


def setup(app: Sphinx) -> None:
    """Lock the build, give each notebook its key, and report what came from the cache."""
    app.add_config_value("whydeep_source_hash", "", "env", str)
    app.connect("config-inited", _configure)
    app.connect("source-read", _key)
    app.connect("build-finished", _report)
