"""The repository as a clone gets it: whole, small, self-contained, and quiet towards the world."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomllib

ROOT = Path(__file__).resolve().parents[1]
VENDORED = "code/whydeep/book/vendor/"


def tracked(*patterns: str) -> list[str]:
    """Paths that git tracks, as a clone will have them; deleted ones left out."""
    command = ["git", "ls-files", "-z", *patterns]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [path for path in listed.split("\0") if path and (ROOT / path).is_file()]


def text_of(path: str) -> str | None:
    """The text of a file that the book's authors wrote; None for binary and vendored files."""
    content = (ROOT / path).read_bytes()
    return None if b"\0" in content or path.startswith(VENDORED) else content.decode("utf-8")


def python(*argv: str, **environment: str) -> subprocess.CompletedProcess:
    """Python in a process of its own, on the CPU, with these variables set."""
    settings = os.environ | {"WHYDEEP_DEVICE": "cpu", "OMP_NUM_THREADS": "1"} | environment
    return subprocess.run(
        [sys.executable, *argv], env=settings, capture_output=True, text=True, check=False
    )


# --- what is in it ---------------------------------------------------------------------------


def test_no_file_names_a_folder_of_the_machine_it_was_written_on():
    # Put together here, so that this file does not name them either.
    absolute = re.compile(r"(?<![\w.\-/])/(?:work|tmp|root)/\w")
    beside = "/".join(["..", "shared"])
    for path in tracked():
        text = text_of(path) or ""
        assert beside not in text, path
        assert not absolute.search(text), (path, absolute.search(text))


def test_no_source_fetches_scripts_or_fonts_from_a_third_party():
    servers = re.compile(r"(?:https?:)?//[\w.\-]*(?:cdn|unpkg|jsdelivr|googleapis|gstatic)")
    for path in tracked("code", "chapters", "index.md", "_config.yml"):
        text = text_of(path) or ""
        assert not servers.search(text), (path, servers.search(text))


def test_no_file_is_over_6_mb_but_the_reporting_pool_and_the_data_stay_under_25_mb():
    sizes = {path: (ROOT / path).stat().st_size for path in tracked()}
    pool = "data/fashion-mnist/fashion_mnist_pool_24k.npz"  # 24,000 pictures, 11 MB by design
    assert sizes[pool] < 11_000_000
    others = {path: size for path, size in sizes.items() if path != pool}
    assert max(others.values()) < 6_000_000, max(others, key=others.get)
    assert sum(size for path, size in sizes.items() if path.startswith("data/")) < 25_000_000


def test_what_tools_leave_behind_is_not_tracked():
    leftovers = re.compile(
        r"(^|/)(__pycache__|_build|\.whydeep|\.venv|\.ipynb_checkpoints)/|\.part$"
    )
    assert not [path for path in tracked() if leftovers.search(path)]


def test_a_clone_has_the_same_bytes_where_git_would_change_line_ends(tmp_path):
    # One file of each kind, and scripts, which CRLF would break.
    kinds = {Path(path).suffix or path: path for path in tracked()}
    sample = {".gitattributes", ".ci/run", "binder/postBuild", "Makefile", *kinds.values()}
    source, clone = tmp_path / "source", tmp_path / "clone"
    for path in sample:
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, source / path)
    author = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    windows = ["-c", "core.autocrlf=true", "-c", "core.safecrlf=false"]
    for command in (
        ["init", "--quiet", source],
        ["-C", source, "add", "--force", "."],
        ["-C", source, *author, "commit", "--quiet", "--message", "one file of each kind"],
        [*windows, "clone", "--quiet", source, clone],
    ):
        subprocess.run(["git", *command], check=True)
    for path in sorted(sample):
        assert (clone / path).read_bytes() == (ROOT / path).read_bytes(), path


@pytest.mark.parametrize("path", tracked("chapters/*.ipynb"))
def test_a_notebook_stores_no_widgets_no_pictures_and_no_traces_of_its_machine(path):
    notebook = json.loads((ROOT / path).read_text("utf-8"))
    assert notebook["nbformat"] == 4
    assert "widgets" not in notebook["metadata"]
    assert notebook["metadata"]["kernelspec"]["name"] == "python3"
    for cell in notebook["cells"]:
        assert not cell.get("attachments")
        for output in cell.get("outputs", []):
            kinds = set(output.get("data", {}))
            assert kinds <= {"text/plain"}, (path, kinds)
            assert output["output_type"] != "error"


def test_the_first_lines_of_every_source_say_what_it_is_for():
    for path in tracked("code/*.py", "tests/*.py", "data/*.py"):
        text = text_of(path)
        if text:
            assert re.match(r'(#!.*\n)?(#|[rf]?"""|/\*)', text), path


def test_no_work_is_left_for_later_in_the_sources():
    marks = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" * 3]) + r")\b")
    for path in tracked("code", "tests", "chapters", "Makefile", "README.md"):
        assert not marks.search(text_of(path) or ""), path


# --- what the package needs and touches ------------------------------------------------------


def test_what_builds_the_package_knows_its_licence_line_and_the_licences_go_along():
    with (ROOT / "code" / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)
    # A licence given as text is what setuptools understands from version 77 on.
    assert project["build-system"]["requires"] == ["setuptools>=77"]
    assert project["project"]["license"].split(" AND ") == ["MIT", "OFL-1.1", "Apache-2.0"]
    held = {f"code/{path}" for path in project["project"]["license-files"]}
    texts = {path for path in tracked("code") if re.search(r"(LICENSE|OFL\.txt)$", path)}
    assert held == texts | {"code/LICENSE"}
    assert (ROOT / "code" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_package_works_from_a_copy_outside_the_checkout(tmp_path):
    shutil.copytree(
        ROOT / "code" / "whydeep", tmp_path / "whydeep", ignore=shutil.ignore_patterns("vendor")
    )
    script = (
        "import whydeep; from whydeep import cli; print(whydeep.__file__)\n"
        "for argv in (['list', '--json'], ['check', '--recorded']):\n"
        "    print('status', cli.main(argv))"
    )
    done = python("-c", script, PYTHONPATH=str(tmp_path), WHYDEEP_ROOT=str(tmp_path))
    assert done.returncode == 0, done.stderr
    where, rest = done.stdout.split("\n", 1)
    rows, rest = rest.split("status 0\n")
    assert where == str(tmp_path / "whydeep" / "__init__.py")
    assert "convex-in-which-block" in {row["id"] for row in json.loads(rows)}
    # What needs the repository's files says so in one line.
    assert rest.endswith("status 2\n")
    assert done.stderr.count("\n") == 1
    assert "set WHYDEEP_ROOT" in done.stderr


WATCHED = """
import json, os, sys
seen = []

def watch(event, args):
    if event == "open" and isinstance(args[0], (str, bytes)):
        seen.append([os.fsdecode(args[0]), str(args[1] or args[2])])
    elif event in ("socket.connect", "socket.getaddrinfo"):
        seen.append([event + ": the network", "r"])

sys.addaudithook(watch)
sys.path.insert(0, os.environ["TESTS"])
from golden.make import run, stored
from whydeep.experiments import experiments

for name, module in experiments().items():
    run(module, stored(name))
print(json.dumps([[os.path.realpath(path), mode] for path, mode in seen]))
"""


def test_an_experiment_reads_only_the_repository_and_the_environment_and_writes_nothing(tmp_path):
    done = python(
        "-B", "-c", WATCHED, MPLCONFIGDIR=str(tmp_path / "mpl"), TMPDIR=str(tmp_path),
        TESTS=str(ROOT / "tests"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    opened = json.loads(done.stdout)
    environment = {sys.prefix, sys.base_prefix, *sys.path[1:]}
    ours = [os.path.realpath(folder) for folder in (ROOT, tmp_path, *environment) if folder]
    system = ["/proc", "/sys", "/dev", "/etc", "/usr"]
    outside = {path for path, _ in opened if not path.startswith(tuple([*ours, *system]))}
    assert not outside
    data = [path for path, _ in opened if path.startswith(str(ROOT / "data"))]
    assert data, "the hook saw no data file: does it still work?"
    written = {
        path
        for path, mode in opened
        if set(mode) & set("wax+") and not path.startswith((str(tmp_path), "/dev/"))
    }
    assert not written
