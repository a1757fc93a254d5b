"""The execution cache, made honest: no page shows a result of code or data that have changed.

jupyter-cache compares the source of a notebook's cells and nothing else: it is blind to an edit of
an imported module or of a data file. So the cache's folder is named after a hash of the package,
the data, the pinned requirements and the versions of Python and torch; and the same hash, extended
by this extension's own files, is a Sphinx value whose change makes every page be read again.
"""

from __future__ import annotations

import hashlib
import os
import platform
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

from whydeep.book.notebooks import kernels_raise
from whydeep.provenance import PACKAGE, repository

logger = logging.getLogger(__name__)
PINS = ("requirements.txt", "requirements.lock")


def _files(root: Path) -> Iterator[Path]:
    for path in sorted(root.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".part":
            yield path


def source_hash(*, with_book: bool) -> str:
    """Sixteen hex digits over everything that the output of a notebook can depend on.

    ``with_book`` adds the package's Sphinx side, which shapes pages but not the cells' outputs.
    """
    digest = hashlib.sha256()
    root = repository()
    pins = [root / name for name in PINS if (root / name).is_file()]
    for path in [*_files(PACKAGE), *_files(root / "data"), *pins]:
        if with_book or PACKAGE / "book" not in path.parents:
            name = os.path.relpath(path, PACKAGE if PACKAGE in path.parents else root)
            digest.update(f"{name}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    digest.update(f"{platform.python_version()} {version('torch')}".encode())
    return digest.hexdigest()[:16]


def _configure(app: Sphinx, config: Config) -> None:
    executed = source_hash(with_book=False)
    config.nb_execution_cache_path = str(
        Path(app.outdir).resolve().parent / ".jupyter_cache" / executed
    )
    config.whydeep_source_hash = source_hash(with_book=True)
    # The kernel imports the package that was hashed, whatever else is installed.
    others = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    os.environ["PYTHONPATH"] = os.pathsep.join([str(PACKAGE.parent), *others])
    kernels_raise()


def _note_read(app: Sphinx, env: BuildEnvironment, docnames: list[str]) -> None:
    app.whydeep_read = (time.time(), list(docnames))


def _report(app: Sphinx, exception: Exception | None) -> None:
    """Say in the log which pages were executed, which came from the cache, which were not read."""
    if exception is not None or app.env is None:
        return
    began, read = getattr(app, "whydeep_read", (0.0, []))
    executed = {
        name: data["exec_data"]["mtime"]
        for name, data in getattr(app.env, "nb_metadata", {}).items()
        if data.get("exec_data")
    }
    misses = sorted(name for name in read if executed.get(name, 0) >= began)
    hits = sorted(name for name in read if 0 < executed.get(name, 0) < began)
    untouched = sorted(set(executed) - set(read))
    logger.info(
        "execution cache %s: %d executed%s, %d from the cache%s, %d unchanged",
        Path(app.config.nb_execution_cache_path).name,
        len(misses),
        f" ({', '.join(misses)})" if misses else "",
        len(hits),
        f" ({', '.join(hits)})" if hits else "",
        len(untouched),
    )


def setup(app: Sphinx) -> None:
    """Name the cache after the sources, and report what came from it."""
    app.add_config_value("whydeep_source_hash", "", "env", str)
    app.connect("config-inited", _configure)
    app.connect("env-before-read-docs", _note_read)
    app.connect("build-finished", _report)
