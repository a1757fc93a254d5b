"""Runs the notebooks of the book before Sphinx reads them: each once, two at a time.

    python -m whydeep.book.execute [FOLDER_OF_THE_BOOK]

Their outputs go into the execution cache that Sphinx reads (whydeep.book.cache), each as soon as
its page is done, so that an interrupted run goes on where it stopped. A cell that fails, or writes
to stderr, is told with its page and its last line; the other pages run all the same. Without this
pass `jupyter-book build .` makes the same book and runs the notebooks itself, one after the other.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from jupyter_cache.base import CacheBundleIn
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from nbformat import NotebookNode
from sphinx_external_toc.parsing import MalformedError, parse_toc_yaml

from whydeep.book import cache
from whydeep.book.checks.notebooks import TIMEOUT, last_line
from whydeep.errors import WhydeepError

KERNELS = 2
# RuntimeError: a kernel that does not start in time.
FAILURES = (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError)


def pages(book: Path) -> list[Path]:
    """The notebooks in the table of contents of the book in the folder ``book``, in its order."""
    try:
        names = list(parse_toc_yaml(book / "_toc.yml"))
    except (OSError, MalformedError) as error:
        raise WhydeepError(f"{book} is no folder of a book ({error}): name one") from None
    paths = (book / f"{name.removesuffix('.ipynb')}.ipynb" for name in names)
    return [path for path in paths if path.is_file()]


@dataclass
class Run:
    """A notebook to run: ``problem`` says in a line what went wrong, once it has been run."""

    page: Path
    notebook: NotebookNode
    seconds: float = 0.0
    problem: str = ""

    def __post_init__(self) -> None:
        self.client = NotebookClient(
            self.notebook,
            timeout=TIMEOUT,
            startup_timeout=TIMEOUT,
            resources={"metadata": {"path": str(self.page.parent)}},
            record_timing=False,
            extra_arguments=["--log-level=ERROR"],
        )

    def go(self) -> Run:
        """Run all cells, up to the first that fails."""
        began = time.monotonic()
        try:
            self.client.execute()
        except FAILURES as error:
            self.problem = self._failure(error)
        else:
            self.problem = self._stderr()
        self.seconds = time.monotonic() - began
        return self

    def stop(self) -> None:
        """Kill the kernel, whatever it is doing."""
        with contextlib.suppress(AttributeError, TypeError, ProcessLookupError):
            os.kill(self.client.km.provisioner.pid, signal.SIGKILL)

    def _failure(self, error: Exception) -> str:
        code = [(i, c) for i, c in enumerate(self.notebook.cells, 1) if c.cell_type == "code"]
        failed = [i for i, c in code if any(o.output_type == "error" for o in c.outputs)]
        unfinished = [i for i, c in code if c.execution_count is None]
        cell = (failed or unfinished or [code[-1][0]])[0]
        return f"cell {cell}: {last_line(error)}"

    def _stderr(self) -> str:
        for i, cell in enumerate(self.notebook.cells, start=1):
            for output in cell.get("outputs", []):
                if output.output_type == "stream" and output.name == "stderr":
                    lines = [line for line in output.text.splitlines() if line.strip()]
                    named = [line for line in lines if re.search(r"(Warning|Error)\b", line)]
                    last = (named or lines or ["an empty line"])[-1].strip()
                    return f"cell {i} writes to stderr: {last}"
        return ""


def finished(runs: Sequence[Run]) -> Iterator[Run]:
    """The runs as they end, two at a time; kernels are killed if the caller goes no further."""
    with ThreadPoolExecutor(KERNELS) as pool:
        waiting = {pool.submit(run.go): run for run in runs}
        try:
            while waiting:
                done, _ = wait(waiting, return_when=FIRST_COMPLETED)
                for each in done:
                    del waiting[each]
                    yield each.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
            while at_work := [run for future, run in waiting.items() if future.running()]:
                for run in at_work:  # again and again: a kernel may be about to start
                    run.stop()
                time.sleep(0.1)


def execute(book: Path) -> list[str]:
    """Run the notebooks that the cache does not have; returns what went wrong, a line a page.

    A line is printed for each page as it ends.
    """
    built = book / "_build"
    with cache.alone(built, print):
        cache.kernels_import_this_package()
        store, began, problems = cache.opened(built), time.monotonic(), []
        notebooks = {page: cache.keyed(page.read_text("utf-8"), page) for page in pages(book)}
        runs = [
            Run(page, notebook)
            for page, notebook in notebooks.items()
            if cache.executed(store, notebook) is None
        ]
        for run in finished(runs):
            name = run.page.relative_to(book).as_posix()
            if run.problem:
                problems.append(f"{name}, {run.problem}")
            else:
                bundle = CacheBundleIn(
                    run.notebook, str(run.page), data={"execution_seconds": run.seconds}
                )
                store.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
            print(f"{run.seconds:6.1f} s  {name}{' FAILS' if run.problem else ''}", flush=True)
        print(
            f"{len(runs)} of {len(notebooks)} notebooks run in {time.monotonic() - began:.0f} s, "
            f"{KERNELS} at a time; {len(notebooks) - len(runs)} as they were"
        )
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if every notebook has run, 1 if one fails, 2 on bad input, 130 if interrupted."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.execute", description="Run the notebooks of the book."
    )
    parser.add_argument("book", nargs="?", type=Path, default=Path(), help="its folder (here)")
    args = parser.parse_args(argv)
    try:
        problems = execute(args.book.resolve())
    except WhydeepError as error:
        print(f"execute: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("execute: interrupted; the pages that are done are kept", file=sys.stderr)
        return 130
    for problem in problems:
        print(f"execute: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
