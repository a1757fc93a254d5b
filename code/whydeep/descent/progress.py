"""Whether to show a bar: to someone who watches, and on no page."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

_shown: ContextVar[bool] = ContextVar("progress", default=True)


@contextmanager
def showing(wanted: bool) -> Iterator[None]:
    """Within the block bars are shown if they are wanted."""
    before = _shown.set(wanted)
    try:
        yield
    finally:
        _shown.reset(before)


def bar(steps: int, wanted: bool = True) -> tqdm:
    """A bar for so many steps, shown after 2 s, if it is wanted and someone is watching."""
    silent = not (wanted and _shown.get() and can_show_progress())
    return tqdm(total=steps, unit="step", delay=2, leave=False, disable=silent)


def can_show_progress() -> bool:
    """Whether someone is watching: a terminal, or a notebook open in a live front end.

    When nbval, papermill or nbclient execute a notebook, what is written to stderr would end up in
    the page or break a comparison. Only Jupyter's server, VS Code and Colab leave these traces.
    """
    live = "JPY_SESSION_NAME" in os.environ or "VSCODE_PID" in os.environ
    in_kernel = "ipykernel" in sys.modules
    return sys.stderr.isatty() or (in_kernel and (live or "google.colab" in sys.modules))
