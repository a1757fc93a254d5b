"""What CI does is what the README tells a reader to do, and nothing else."""

import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")
TARGETS = set(re.findall(r"^([a-z]+):", MAKEFILE, re.MULTILINE))


def read(path: Path) -> dict:
    # YAML 1.1 reads the key `on` as true.
    found = yaml.safe_load(path.read_text("utf-8"))
    return {"on" if key is True else key: value for key, value in found.items()}


def commands(path: Path) -> list[str]:
    return [
        step["run"] for job in read(path)["jobs"].values() for step in job["steps"] if "run" in step
    ]


def test_ci_runs_the_two_commands_of_the_readme_and_stops_at_the_first_failure():
    script = ROOT / ".ci" / "run"
    lines = [line for line in script.read_text("utf-8").splitlines() if not line.startswith("#")]
    assert lines == ["set -euo pipefail", 'cd "$(dirname "$0")/.."', "make book", "make test"]
    assert os.access(script, os.X_OK)
    for command in ("make book", "make test"):
        assert command in README


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_runs_only_what_a_reader_can_run_too(path):
    assert commands(path)
    for command in commands(path):
        for line in command.splitlines():
            words = shlex.split(line)
            assert words == [".ci/run"] or (words[0] == "make" and set(words[1:]) <= TARGETS), line


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_only_reads_unless_it_publishes_and_ends_in_time(path):
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert "pull_request_target" not in workflow["on"]
    for job in workflow["jobs"].values():
        if "write" in job.get("permissions", {}).values():
            assert path.stem == "publish"
            # What runs with the right to write has installed nothing.
            assert not {"pull_request", "schedule"} & set(workflow["on"])
            ran = {step["run"] for step in job["steps"] if "run" in step}
            assert ran <= {"make publish", "make release"}
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert "secrets" not in str(step)
            if "uses" in step:
                assert re.fullmatch(r"actions/[\w-]+@v\d+", step["uses"])


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_uses_the_python_that_the_lock_was_made_for(path):
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "--python-version 3.11" in MAKEFILE
    assert lock.count("--hash=sha256:") > 100
    versions = re.findall(r'python-version: "([^"]+)"', path.read_text("utf-8"))
    assert set(versions) == {"3.11"}


def test_a_push_and_a_pull_request_are_both_tested():
    tested = [path for path in WORKFLOWS if ".ci/run" in commands(path)]
    assert tested
    assert {"push", "pull_request"} <= set(read(tested[0])["on"])


def test_every_make_target_that_the_readme_names_exists():
    assert {"book", "test", "lint", "verify", "bench", "clean", "serve"} <= TARGETS
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)) <= TARGETS


def test_make_test_runs_every_kind_of_check():
    (needed,) = re.findall(r"^test: ([a-z ]+)", MAKEFILE, re.MULTILINE)
    assert set(needed.split()) == {"lint", "unit", "claims", "book", "notebooks", "site"}


def test_every_direct_requirement_is_pinned_and_locked_but_torch():
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if "==" in line and line[0] not in "#-")
    rest = [line for line in lines if "==" not in line and line[:1] not in ("#", "")]
    assert rest == ["-e ./code"]
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = dict(re.findall(r"^([a-z0-9\-]+)==([^ ;]+)", lock, re.MULTILINE))
    assert "+" not in pins.pop("torch")
    assert "torch" not in locked
    assert pins.items() <= locked.items()


@pytest.mark.parametrize("path", ["requirements-uv.lock", "code/benchmarks/requirements.txt"])
def test_what_is_installed_beside_the_lock_is_checked_by_hash_too(path):
    text = (ROOT / path).read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    assert all(re.match(r" +--hash=sha256:[0-9a-f]{64}|[\w-]+==", line) for line in lines)
    assert re.findall(rf"--require-hashes .*-r {path}", MAKEFILE)


def test_make_says_what_it_would_do_without_doing_it():
    done = subprocess.run(
        ["make", "-n", "book"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "jupyter-book build . --nitpick --warningiserror --keep-going" in done.stdout
