"""What CI does is what the README tells a reader to do, and nothing else."""

import os
import re
import runpy
import shlex
import shutil
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


def steps(path: Path) -> list[dict]:
    """The steps of all jobs; a job that calls another workflow has none of its own."""
    return [step for job in read(path)["jobs"].values() for step in job.get("steps", [])]


def commands(path: Path) -> list[str]:
    return [step["run"] for step in steps(path) if "run" in step]


def test_every_phony_target_has_a_rule_with_a_line_of_help_and_no_other_rule_is_left_out():
    # A phony target without a rule is no error to make: it does nothing, and exits 0.
    phony = re.search(r"^\.PHONY:((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)[1]
    assert sorted(phony.replace("\\", " ").split()) == sorted(TARGETS)
    assert set(re.findall(r"^([a-z]+):.*##", MAKEFILE, re.MULTILINE)) == TARGETS


@pytest.fixture
def stages(tmp_path):
    """Runs a script of .ci where `make` only notes its target, makes what it names, and may fail.

    Gives the exit status, the targets that were made, and what was printed.
    """
    make = tmp_path / "bin" / "make"
    make.parent.mkdir()
    make.write_text(
        '#!/bin/sh\nshift\necho "$1" >> made\n'
        'case "$1" in test) .ci/stages lint unit;; "$BREAKS") exit 3;; esac\n'
    )
    make.chmod(0o755)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")

    def run(*command: str, breaks: str = "nothing") -> tuple[int, list[str], str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "STAGES"))}
        environment |= {"PATH": f"{make.parent}:{os.environ['PATH']}", "BREAKS": breaks}
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        return done.returncode, (tmp_path / "made").read_text().split(), done.stdout

    return run


def test_ci_runs_the_two_commands_of_the_readme_and_tells_the_time_of_every_stage(stages):
    status, made, said = stages(".ci/run")
    assert (status, made) == (0, ["book", "test", "lint", "unit"])
    table = said[said.index("stage ") :].splitlines()
    assert [line.split()[0] for line in table] == ["stage", "book", "lint", "unit", "test"]
    for command in ("make book", "make test"):
        assert command in README


def test_ci_stops_at_the_first_failure_with_its_status_and_says_where(stages):
    status, made, said = stages(".ci/run", breaks="lint")
    assert (status, made) == (3, ["book", "test", "lint"])
    assert re.search(r"lint +\d+ failed\ntest +\d+ failed\n", said)


def test_the_projection_counts_each_stage_once_and_grows_it_by_pages_and_claims():
    table = "stage     seconds\n  execute     100\nbook          100\n  unit       50 failed\n"
    project = runpy.run_path(str(ROOT / ".ci" / "project.py"))["project"]
    rows = {name: (now, then) for name, now, then in project(table, pages=2.0, claims=3.0)}
    assert rows == {"execute": (100, 200.0), "unit": (50, pytest.approx(50 * (0.4 + 0.6 * 3)))}


def test_the_projection_knows_every_stage_and_its_shares_are_shares():
    shares = runpy.run_path(str(ROOT / ".ci" / "project.py"))["SHARES"]
    assert {
        stage for line in re.findall(r"@\.ci/stages (.*)", MAKEFILE) for stage in line.split()
    } == {
        *shares,
        "book",
    }
    assert all(sum(parts) == pytest.approx(1) for parts in shares.values())


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
        if "uses" in job:  # its steps are tested where they stand
            assert re.fullmatch(r"\./\.github/workflows/\w+\.yml", job["uses"])
            assert set(job) <= {"uses", "needs", "with"}
            continue
        if "write" in job.get("permissions", {}).values():
            assert path.stem == "publish"
            # What runs with the right to write has installed nothing.
            assert not {"pull_request", "schedule"} & set(workflow["on"])
            ran = {step["run"] for step in job["steps"] if "run" in step}
            assert ran <= {"make publish", "make release"}
        assert job["timeout-minutes"] <= 120
        for step in job["steps"]:
            assert "secrets" not in str(step)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_commit_with_the_version_beside_it(path):
    # A tag can be moved to other code by whoever gets hold of the action; a commit cannot.
    text = path.read_text("utf-8")
    used = re.findall(r"uses: (?!\./)(.*)", text)
    assert used or "uses: ./" in text
    pinned = [re.fullmatch(r"(actions/[\w-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", u) for u in used]
    assert all(pinned), used
    everywhere = "".join(each.read_text("utf-8") for each in WORKFLOWS)
    for pin in pinned:
        assert len(set(re.findall(rf"{pin[1]}@.*", everywhere))) == 1, "one version of each"


def test_workflows_use_the_python_that_the_lock_was_made_for():
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    assert "--python-version 3.11" in MAKEFILE
    assert lock.count("--hash=sha256:") > 100
    used = [step["with"] for path in WORKFLOWS for step in steps(path) if "setup-p" in str(step)]
    assert used
    assert all(with_ == {"python-version": "3.11"} for with_ in used)


def test_ci_builds_the_book_once_and_publishes_what_it_has_tested():
    (tested,) = [path for path in WORKFLOWS if ".ci/run" in commands(path)]
    assert {"pull_request", "schedule"} <= set(read(tested)["on"])
    (publish,) = [path for path in WORKFLOWS if "push" in read(path)["on"]]
    assert not {"make book", ".ci/run"} & set(commands(publish))
    jobs = read(publish)["jobs"]
    assert jobs["test"]["uses"] == f"./.github/workflows/{tested.name}"
    made, taken = (
        {step["with"]["name"] for step in steps(path) if f"/{what}-artifact@" in str(step)}
        for path, what in ((tested, "upload"), (publish, "download"))
    )
    assert taken <= made

    def tested_before(name: str) -> bool:
        needs = jobs[name].get("needs", [])
        return name == "test" or any(map(tested_before, [needs] if needs == str(needs) else needs))

    for name, job in jobs.items():
        if "write" in job.get("permissions", {}).values():
            assert tested_before(name), f"{name} publishes what no test has seen"


def test_every_make_target_that_the_readme_names_exists():
    assert {"book", "test", "lint", "verify", "bench", "clean", "serve"} <= TARGETS
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.MULTILINE)) <= TARGETS


def test_make_test_runs_every_kind_of_check():
    (needed,) = re.findall(r"^test: .*\n\t@\.ci/stages ([a-z ]+)$", MAKEFILE, re.MULTILINE)
    every = {"lint", "javascript", "unit", "claims", "book", "notebooks", "rotation", "site"}
    assert set(needed.split()) == every


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
        ["make", "-n", "pages"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "jupyter-book build . --nitpick --warningiserror --keep-going" in done.stdout
