"""A fresh clone holds all that it needs: nothing depends on a file that git does not track."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.fresh


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A clone of the last commit."""
    folder = tmp_path_factory.mktemp("fresh") / "book"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def whydeep(clone, *argv):
    """The command line of the clone's package, which must not see this checkout."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WHYDEEP_")}
    environment |= {"PYTHONPATH": str(clone / "code"), "WHYDEEP_DEVICE": "cpu"}
    script = (
        "import sys, whydeep; from whydeep import cli\n"
        "assert whydeep.__file__.startswith(sys.argv[1]), whydeep.__file__\n"
        "sys.exit(cli.main(sys.argv[2:]))"
    )
    return subprocess.run(
        [sys.executable, "-c", script, str(clone), *argv],
        cwd=clone, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_make_book_would_install_everything_first_and_then_execute_and_build(clone):
    done = subprocess.run(
        ["make", "-n", "book", "execute", "pages"],
        cwd=clone, capture_output=True, text=True, check=True,
    )  # fmt: skip
    words = (
        "pip install",
        ".ci/stages execute pages",
        "whydeep.book.execute",
        "jupyter-book build",
    )
    assert sorted(words, key=done.stdout.index) == list(words)


def test_the_verdicts_of_a_clone_are_as_registered(clone):
    done = whydeep(clone, "check", "--recorded")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_the_data_of_a_clone_are_intact(clone):
    done = whydeep(clone, "data", "verify")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_an_experiment_runs_in_a_clone_and_leaves_only_ignored_files(clone):
    done = whydeep(clone, "run", "convex-in-which-block", "--seed", "0", "--json")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    status = subprocess.run(
        ["git", "status", "--short"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""


def test_every_page_of_the_table_of_contents_is_in_the_clone(clone):
    def files(node):
        if isinstance(node, dict):
            yield from (node[key] for key in ("root", "file") if key in node)
            for value in node.values():
                yield from files(value)
        elif isinstance(node, list):
            for value in node:
                yield from files(value)

    named = list(files(yaml.safe_load((clone / "_toc.yml").read_text("utf-8"))))
    assert len(named) > 3
    for name in named:
        assert any((clone / f"{name}{end}").is_file() for end in ("", ".md", ".ipynb")), name
