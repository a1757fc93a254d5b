"""The benchmark compares like with like, and never prints a table with a hole in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "code" / "benchmarks" / "stack.py"
# What a trace of Chromium says of its threads.
THREADS = [
    {"name": "thread_name", "pid": 1, "tid": 2, "args": {"name": "CrRendererMain"}},
    {"name": "thread_name", "pid": 1, "tid": 3, "args": {"name": "DedicatedWorker thread"}},
]
QUICK = ("--k", "1", "2", "--steps", "3", "--repeats", "1", "--device", "cpu")


def run(*arguments, **environment):
    return subprocess.run(
        [sys.executable, str(SCRIPT), *QUICK, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, **environment},
    )


@pytest.fixture
def jax():
    pytest.importorskip("jax", reason="pip install -r code/benchmarks/requirements.txt")


def test_rows_hold_all_contenders_and_their_losses_agreed(jax):
    done = run("--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert [(row["kind"], row["k"]) for row in rows] == [
        ("dense", 1),
        ("dense", 2),
        ("convolutional", 1),
        ("convolutional", 2),
    ]
    for row in rows:
        assert row["device"] == "cpu"
        for seconds in ("ours_s", "vmap_s", "loop_s", "jax_s", "jax_compile_s"):
            assert 0 < row[seconds] < 300


def test_the_markdown_table_names_machine_and_settings(jax):
    done = run("--markdown", "--kind", "dense")
    assert done.returncode == 0, done.stderr
    table, note = done.stdout.split("\n\n")
    assert len(table.splitlines()) == 4  # head, ruler, K = 1 and 2
    assert {line.count("|") for line in table.splitlines()} == {10}
    assert "1 core(s), PyTorch" in note


def test_without_jax_there_is_no_table(tmp_path):
    (tmp_path / "jax.py").write_text("raise ModuleNotFoundError(\"No module named 'jax'\")\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = run("--json", PYTHONPATH=path)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "pip install -r code/benchmarks/requirements.txt" in done.stderr


def test_contenders_that_train_differently_make_no_row(jax, monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import stack
    import torch

    monkeypatch.setattr(stack, "ours", lambda *a: stack.loop(*a) * 1.1)
    with pytest.raises(RuntimeError, match="losses of ours and loop differ"):
        stack.race("dense", 2, torch.device("cpu"), repeats=1, steps=3)


# --- the whole table -----------------------------------------------------------------------------


@pytest.fixture
def bench(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import bench

    return bench


def test_what_cannot_be_measured_is_a_row_that_says_why(bench, monkeypatch, tmp_path, capsys):
    def broken(options):
        yield "one", "1 s", ""
        raise RuntimeError("the clock stands still\nTraceback")

    monkeypatch.setitem(bench.MEASUREMENTS, "build", broken)
    arguments = ["bench.py", "--only", "pages", "build", "--site", str(tmp_path), "--markdown"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert bench.main() == 0
    table, note = capsys.readouterr().out.split("\n\n")
    lines = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines()]
    assert lines[0] == ["what", "measured", "beside it"]
    assert lines[2] == ["pages", "not measured", f"no pages in {tmp_path}: run make book"]
    assert lines[3] == ["build", "not measured", "the clock stands still"]
    assert "cores" in note


def test_a_page_weighs_each_file_that_it_reads_once(bench, tmp_path):
    page, style = tmp_path / "a page.html", tmp_path / "style.css"
    page.write_text("x" * 100)
    style.write_text("y" * 10)

    class Tab:
        def on(self, event, note):
            self.note = note

        def remove_listener(self, event, note):
            self.note = None

        def goto(self, address, wait_until):
            for url in (address, f"{style.as_uri()}?v=1", f"{style.as_uri()}?v=1", "blob:null/1"):
                self.note(type("Request", (), {"url": url}))

    read = bench.read_by(Tab(), f"{page.as_uri()}#top")
    assert sorted(file.stat().st_size for file in read) == [10, 100]


def test_the_longest_task_is_one_of_the_page_and_not_of_the_worker(bench):
    tasks = [(2, 4000), (2, 7000), (3, 90000)]
    events = [{"name": "RunTask", "ph": "X", "pid": 1, "tid": t, "tdur": d} for t, d in tasks]
    assert bench.longest_task(json.dumps({"traceEvents": THREADS + events}).encode()) == 7.0
