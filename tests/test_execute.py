# The notebooks of a book are run before Sphinx reads them: two at a time, each once, whatever
# happens to the others.
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from whydeep.book import cache, execute
from whydeep.book.checks import notebooks

HOLDS = "import sys, time; from whydeep.book import cache; from pathlib import Path\n"
HOLDS += "lock = cache.alone(Path(sys.argv[1]), print); print('held', flush=True); time.sleep(600)"


@pytest.fixture
def book(tmp_path):
    """Writes a book of notebooks, one for each list of cells; returns its folder."""

    def write(**pages: list[str]) -> Path:
        for name, cells in pages.items():
            made = nbformat.v4.new_notebook(metadata=notebooks.METADATA)
            made.cells = [nbformat.v4.new_markdown_cell("# Title")]
            made.cells += [nbformat.v4.new_code_cell(source) for source in cells]
            nbformat.write(made, tmp_path / f"{name}.ipynb")
        first, *rest = pages
        files = "".join(f"- file: {name}\n" for name in rest)
        toc = f"format: jb-book\nroot: {first}\n" + (f"chapters:\n{files}" if rest else "")
        (tmp_path / "_toc.yml").write_text(toc)
        return tmp_path

    return write


def start(folder: Path, *, code: str = "") -> subprocess.Popen:
    """Start the command on the book in ``folder``, or a program of Python beside it."""
    command = ["-c", code] if code else ["-m", "whydeep.book.execute"]
    return subprocess.Popen(
        [sys.executable, "-u", *command, folder],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def done(started: subprocess.Popen) -> tuple[int, str]:
    said, _ = started.communicate(timeout=3600)
    return started.returncode, said


def test_a_page_that_fails_is_told_with_cell_and_last_line_and_the_others_are_run(book):
    folder = book(
        good=["1 + 1"],
        fails=["x = 1", "print('so far')\nx / 0", "x = 2"],
        warns=["import sys", "print('first\\nOh no!', file=sys.stderr)"],
        dies=["import os", "os._exit(1)"],
        last=["2 + 2"],
    )
    status, said = done(start(folder))
    assert status == 1
    assert "5 of 5 notebooks run" in said
    told = sorted(line for line in said.splitlines() if line.startswith("execute: "))
    assert told[0].startswith("execute: dies.ipynb, cell 3: ")
    assert told[1] == "execute: fails.ipynb, cell 3: ZeroDivisionError: division by zero"
    assert told[2] == "execute: warns.ipynb, cell 3 writes to stderr: Oh no!"
    assert len(told) == 3
    store = cache.opened(folder / "_build")
    for page in execute.pages(folder):
        kept = cache.executed(store, cache.keyed(page.read_text(), page))
        assert (kept is not None) == (page.stem in ("good", "last"))


def test_two_kernels_are_at_work_at_a_time_and_each_page_is_run_once(book):
    # Each page notes its start and waits for the other's: alone it would wait in vain.
    meet = "from pathlib import Path\nimport time\nPath('{0}' + '.here').write_text('x')\n"
    meet += "while not Path('{1}' + '.here').exists():\n    time.sleep(0.05)"
    folder = book(one=[meet.format("one", "two")], two=[meet.format("two", "one")])
    assert done(start(folder))[0] == 0
    status, said = done(start(folder))
    assert (status, said.splitlines()[-1][:24]) == (0, "0 of 2 notebooks run in ")


def test_an_interrupted_run_keeps_the_pages_that_are_done_and_leaves_no_kernel(book):
    slow = (
        "import os, time\nfrom pathlib import Path\nPath('kernel').write_text(str(os.getpid()))\n"
    )
    folder = book(quick=["1 + 1"], slow=[f"{slow}time.sleep(600)"])
    running = start(folder)
    for line in running.stdout:
        if "quick.ipynb" in line:
            break
    while not (folder / "kernel").exists() or not (folder / "kernel").read_text():
        time.sleep(0.1)
    running.send_signal(signal.SIGINT)
    status, said = done(running)
    assert status == 130
    assert re.fullmatch(r"execute: interrupted; .*\n", said), said
    with pytest.raises(ProcessLookupError):
        os.kill(int((folder / "kernel").read_text()), 0)
    book(quick=["1 + 1"], slow=["2 + 2"])
    assert "1 of 2 notebooks run" in done(start(folder))[1]


def test_who_comes_second_waits_and_says_so_and_a_killed_build_blocks_nobody(book):
    folder = book(page=["1 + 1"])
    first = start(folder / "_build", code=HOLDS)
    assert first.stdout.readline() == "held\n"
    second = start(folder)
    waits = second.stdout.readline()
    assert waits.startswith("another build of this book is at work: waiting for it to end")
    assert second.poll() is None
    first.kill()
    first.communicate()
    status, said = done(second)
    assert (status, said.count("\n")) == (0, 2), said


def test_a_page_that_was_cut_short_in_the_cache_is_run_again(book):
    folder = book(page=["1 + 1"])
    assert done(start(folder))[0] == 0
    (kept,) = (folder / "_build" / ".jupyter_cache").glob("executed/*/base.ipynb")
    for damage in (lambda: kept.write_text('{"cells": ['), kept.unlink):
        damage()
        assert "1 of 1 notebooks run" in done(start(folder))[1]


def test_a_folder_that_is_no_book_is_told_in_one_line(tmp_path, capsys):
    assert execute.main([str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert "is no folder of a book" in told
