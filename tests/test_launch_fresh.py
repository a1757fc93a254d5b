"""Every launch notebook, top to bottom, in an environment as on Binder and in one as on Colab.

Both are made from nothing, outside the repository, and know nothing of its .venv. The notebooks are
run from here, in a kernel of the new environment, so that nothing is installed there but what
Binder or Colab would. Needs a built book (`make book`; WHYDEEP_BUILT names another folder), the
package index, and some minutes: `pytest tests/test_launch_fresh.py -m fresh -s` prints times and
memory.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbformat
import pytest
from whydeep.book.publish import launch

ROOT = Path(__file__).resolve().parents[1]
BUILT = Path(os.environ.get("WHYDEEP_BUILT", ROOT / "_build"))
MIB = 2**20
BINDER_LIMIT = 2048 * MIB
# What Binder's Jupyter server takes of it, generously: `jupyter lab` uses about 120 MiB.
BINDER_SERVER = 256 * MIB
# Colab has a numpy older than the book's, and a torch of its own that must stay.
COLAB_NUMPY = "2.0.2"
COLAB = (
    f"numpy=={COLAB_NUMPY}", "torch==2.13.0", "scipy", "scikit-learn", "matplotlib", "ipykernel",
    "ipywidgets", "requests", "pillow", "pyyaml", "tqdm",
)  # fmt: skip
pytestmark = pytest.mark.fresh


def environment(**more: str) -> dict[str, str]:
    """The variables of a new machine: nothing of this checkout, this venv or this test."""
    ours = re.compile(r"WHYDEEP_|PYTHON|VIRTUAL_ENV|PYTEST|GITHUB_|MPL|JUPYTER")
    kept = {name: value for name, value in os.environ.items() if not ours.match(name)}
    # An index that cannot be reached from here is passed over at once.
    return kept | {"PIP_RETRIES": "0", "PIP_NO_INPUT": "1"} | more


def run(*command: object, **options: object) -> str:
    done = subprocess.run(
        list(map(str, command)), capture_output=True, text=True, check=False, **options
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def peak_memory(pid: int, stop: threading.Event, found: dict[int, int]) -> None:
    """Keep in ``found`` the largest resident memory (bytes) of ``pid`` and each descendant.

    The kernel keeps that peak itself (VmHWM), so that none is missed between two looks.
    """
    while not stop.wait(0.2):
        parents, peaks = {}, {}
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                fields = dict(re.findall(r"^(PPid|VmHWM):\s+(\d+)", status.read_text(), re.M))
            except OSError:  # it has ended
                continue
            parents[int(status.parent.name)] = int(fields["PPid"])
            peaks[int(status.parent.name)] = 1024 * int(fields.get("VmHWM", 0))
        for process in peaks:
            ancestor = process
            while ancestor in parents and ancestor != pid:
                ancestor = parents[ancestor]
            if ancestor == pid:
                found[process] = max(found.get(process, 0), peaks[process])


def execute(path: Path, python: Path) -> tuple[float, int]:
    """Run a notebook in its folder in a kernel of ``python``: seconds, peak memory in bytes.

    The memory is that of the kernel and of the process that drives it.
    """
    kernels = path.parent / ".jupyter" / "kernels" / "new"
    kernels.mkdir(parents=True, exist_ok=True)
    start = [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    spec = {"argv": start, "display_name": "new", "language": "python"}
    (kernels / "kernel.json").write_text(json.dumps(spec), "utf-8")
    drive = [sys.executable, "-m", "jupyter", "execute", "--inplace", "--kernel_name=new"]
    began, found, stop = time.monotonic(), {}, threading.Event()
    driver = subprocess.Popen(
        [*drive, "--timeout=600", path],
        env=environment(JUPYTER_PATH=str(kernels.parents[1])),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    watcher = threading.Thread(target=peak_memory, args=(driver.pid, stop, found), daemon=True)
    watcher.start()
    said, _ = driver.communicate()
    stop.set()
    watcher.join()
    assert driver.returncode == 0, said[-3000:]
    return time.monotonic() - began, sum(found.values())


def run_all(notebooks: list[Path], python: Path) -> list[int]:
    """Run them all in place, say how long and how large each was; the peaks in bytes."""
    assert notebooks
    peaks = []
    for path in notebooks:
        seconds, peak = execute(path, python)
        cells = [c for c in nbformat.read(path, 4).cells if c.cell_type == "code"]
        assert cells
        assert all(c.execution_count for c in cells)
        print(f"{path.name}: {seconds:.0f} s, peak resident memory {peak / MIB:.0f} MiB")
        peaks.append(peak)
    return peaks


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A bare clone of the last commit, which stands for the repository on the web."""
    folder = tmp_path_factory.mktemp("remote") / "book.git"
    run("git", "clone", "--quiet", "--bare", ROOT, folder)
    return folder


@pytest.fixture(scope="module")
def commit():
    return run("git", "-C", ROOT, "rev-parse", "HEAD").strip()


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory, bare, commit):
    """The launch notebooks, whose first cell installs from the bare clone, and their folder."""
    out = tmp_path_factory.mktemp("launch")
    command = [sys.executable, "-m", "whydeep.book.publish.launch", "--out", out, "--built", BUILT]
    said = run(*command, "--repository", bare.as_uri(), "--commit", commit, cwd=ROOT)
    assert "0 raw roles or directives left" in said
    return sorted(out.rglob("*.ipynb")), out


def test_every_notebook_runs_on_binder_within_two_gigabytes(notebooks, bare, commit, tmp_path):
    # As repo2docker does: the repository's files, then binder/runtime.txt, requirements.txt and
    # postBuild, from the repository's folder.
    book, venv = tmp_path / "book", tmp_path / "venv"
    run("git", "clone", "--quiet", bare, book)
    run("git", "-C", book, "checkout", "--quiet", commit)
    wanted = (book / "binder" / "runtime.txt").read_text("utf-8").strip().removeprefix("python-")
    assert wanted == "{}.{}".format(*sys.version_info), f"run this test under Python {wanted}"
    run(sys.executable, "-m", "venv", venv)
    new = environment(PATH=f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}")
    requirements = Path("binder", "requirements.txt")
    run(venv / "bin" / "pip", "install", "--quiet", "-r", requirements, cwd=book, env=new)
    run(book / "binder" / "postBuild", cwd=book, env=new)
    laid = [book / path.relative_to(notebooks[1]) for path in notebooks[0]]
    for path, target in zip(notebooks[0], laid, strict=True):  # as publishing does
        shutil.copy(path, target)
    peaks = run_all(laid, venv / "bin" / "python")
    assert not list(book.rglob(launch.FOLDER))  # nothing was missing, so nothing was installed
    assert max(peaks) < BINDER_LIMIT - BINDER_SERVER


def test_every_notebook_runs_on_colab_and_leaves_its_numpy_and_torch_alone(notebooks, tmp_path):
    venv, content = tmp_path / "venv", tmp_path / "content"
    content.mkdir()
    run(sys.executable, "-m", "venv", venv)
    run(venv / "bin" / "pip", "install", "--quiet", *COLAB, env=environment())
    python = venv / "bin" / "python"
    ask = "import numpy, torch; print(numpy.__version__, torch.__version__)"
    before = run(python, "-c", ask, env=environment(), cwd=content)
    assert before.startswith(COLAB_NUMPY)
    here = [shutil.copy(path, content / path.name) for path in notebooks[0]]
    run_all(here, python)
    assert run(python, "-c", ask, env=environment(), cwd=content) == before
    assert (content / launch.FOLDER / "data" / "results").is_dir()
