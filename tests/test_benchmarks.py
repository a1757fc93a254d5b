"""The benchmark compares like with like, and never prints a table with a hole in it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "code" / "benchmarks" / "stack.py"
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


def test_rows_hold_all_three_contenders_and_their_losses_agreed(jax):
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
        for seconds in ("ours_s", "loop_s", "jax_s", "jax_compile_s"):
            assert 0 < row[seconds] < 300


def test_the_markdown_table_names_machine_and_settings(jax):
    done = run("--markdown", "--kind", "dense")
    assert done.returncode == 0, done.stderr
    table, note = done.stdout.split("\n\n")
    assert len(table.splitlines()) == 4  # head, ruler, K = 1 and 2
    assert {line.count("|") for line in table.splitlines()} == {8}
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
