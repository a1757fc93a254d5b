"""The book under other arithmetics: what a reader's processor may do to the last bit of a number.

    python -m whydeep.book.checks.portable [--only NAME ...] [--list]
    python -m whydeep.book.checks.portable --rotate

PyTorch, OpenBLAS, MKL, oneDNN and NumPy choose their code by the processor, and another order of
addition gives other last bits. They can be told to choose as for an older processor, so one
machine can stand for several. Under each arithmetic the tests that compute, the notebooks beside
what they store, and a sample of ``whydeep check`` run once. ``--rotate`` takes one arithmetic and
a third of the tests and of the notebooks, chosen by the commit: after a few commits all were seen.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from hashlib import sha256
from pathlib import Path

from whydeep.book.checks.notebooks import kernels_raise
from whydeep.errors import WhydeepError
from whydeep.evidence.provenance import PACKAGE, repository


@dataclass(frozen=True)
class Arithmetic:
    """An order of addition: the ``environment`` that makes the libraries choose it.

    ``needs`` are the processor's flags without which it cannot be run, as /proc/cpuinfo names them.
    """

    name: str
    threads: int
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: frozenset[str] = frozenset()


ARITHMETICS = (
    Arithmetic("native-2", threads=2),
    Arithmetic(
        "avx512",
        threads=1,
        environment={
            "ATEN_CPU_CAPABILITY": "avx512",
            "MKL_ENABLE_INSTRUCTIONS": "AVX512",
            "MKL_CBWR": "AVX512",
            "OPENBLAS_CORETYPE": "SkylakeX",
        },
        needs=frozenset({"avx512f", "avx512dq", "avx512bw", "avx512vl"}),
    ),
    Arithmetic(
        "avx2",
        threads=1,
        environment={
            "ATEN_CPU_CAPABILITY": "avx2",
            "MKL_ENABLE_INSTRUCTIONS": "AVX2",
            "MKL_CBWR": "AVX2",
            "OPENBLAS_CORETYPE": "Haswell",
            "ONEDNN_MAX_CPU_ISA": "AVX2",
            "NPY_DISABLE_CPU_FEATURES": "X86_V4",
        },
        needs=frozenset({"avx2", "fma"}),
    ),
    Arithmetic(
        "avx",
        threads=2,
        environment={
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_ENABLE_INSTRUCTIONS": "AVX",
            "MKL_CBWR": "AVX",
            "OPENBLAS_CORETYPE": "Sandybridge",
            "ONEDNN_MAX_CPU_ISA": "AVX",
            "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        },
        needs=frozenset({"avx"}),
    ),
    Arithmetic(
        "sse",
        threads=1,
        environment={
            "ATEN_CPU_CAPABILITY": "default",
            "MKL_ENABLE_INSTRUCTIONS": "SSE4_2",
            "MKL_CBWR": "COMPATIBLE",
            "OPENBLAS_CORETYPE": "Nehalem",
            "ONEDNN_MAX_CPU_ISA": "SSE41",
            "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4",
        },
        needs=frozenset({"sse4_2"}),
    ),
)
# Whatever the shell says of these would mix with what an arithmetic says.
STEERED = {name for each in ARITHMETICS for name in each.environment}
# Dense and convolutional networks, float32 and float64, eigenvalues, a convex solver, a kernel.
SAMPLE = (
    "theory-survey/generalization/diverse-units",
    "theory-survey/sgd/extra-layer",
    "features/mirror-symmetry",
    "design-choices/max-norm",
    "mysterious-steps/adaptive-penalty",
    "theory-survey/sgd/index-energy",
)
COMPUTES = re.compile(r"^(import|from) (numpy|torch)\b", re.M)
# What these tests are about is not a number: they build, install, serve or call the command line.
MACHINERY = re.compile(r"\b(subprocess|sphinx|playwright|nbformat|whydeep import cli|cli\.main)\b")


def flags() -> frozenset[str]:
    """What the processor can do; empty where the system does not say."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text("utf-8") if cpuinfo.exists() else ""
    found = re.search(r"^flags\s*:(.*)$", text, re.M)
    return frozenset(found[1].split()) if found else frozenset()


def number_tests(root: Path) -> list[str]:
    """The files of tests that compute with NumPy or PyTorch, relative to ``root``."""
    texts = {path: path.read_text("utf-8") for path in sorted((root / "tests").glob("test_*.py"))}
    return [
        path.relative_to(root).as_posix()
        for path, text in texts.items()
        if COMPUTES.search(text) and not MACHINERY.search(text)
    ]


def notebooks(root: Path) -> list[str]:
    """The notebooks of the book, relative to ``root``."""
    return [
        path.relative_to(root).as_posix()
        for path in sorted((root / "chapters").rglob("*.ipynb"))
        if ".ipynb_checkpoints" not in path.parts
    ]


def turn(root: Path) -> int:
    """A number by which to rotate: of the commit, and where git knows none, of the day."""
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True, check=False
    )
    name = head.stdout.strip() if head.returncode == 0 else date.today().isoformat()
    return int(sha256(name.encode()).hexdigest(), 16)


def compare_notebooks(pages: Sequence[str], workers: int) -> list[str]:
    """The command that runs ``pages`` and compares them with what they store."""
    return [
        *(sys.executable, "-m", "pytest", "-p", "whydeep.book.checks.compare"),
        *("--nbval", "--nbval-cell-timeout=600", "-q"),
        *("-n", str(workers), "--dist", "loadfile", "-p", "no:cacheprovider", *pages),
    ]


def stages(
    arithmetic: Arithmetic, tests: Sequence[str], pages: Sequence[str], sample: Sequence[str]
) -> Iterator[tuple[str, list[str]]]:
    """What runs under an arithmetic: a name and a command each."""
    workers = max(1, (os.cpu_count() or 1) // arithmetic.threads)
    pytest = [sys.executable, "-m", "pytest", "-q", "-n", str(workers), "--dist", "loadfile"]
    yield f"{len(tests)} files of tests", [*pytest, "-p", "no:cacheprovider", *tests]
    yield f"{len(pages)} notebooks", compare_notebooks(pages, workers)
    if sample:
        yield f"check of {len(sample)}", [sys.executable, "-m", "whydeep.cli", "check", *sample]


def environment(arithmetic: Arithmetic, runs: str) -> dict[str, str]:
    """The environment of a command under ``arithmetic``, whose finished runs go to ``runs``."""
    kernels_raise()
    kept = {name: value for name, value in os.environ.items() if name not in STEERED}
    package = os.pathsep.join([str(PACKAGE.parent), *filter(None, [kept.get("PYTHONPATH")])])
    return kept | {
        **arithmetic.environment,
        "OMP_NUM_THREADS": str(arithmetic.threads),
        "OMP_WAIT_POLICY": "passive",  # two threads on two busy cores would wait by spinning
        "PYTHONPATH": package,
        "WHYDEEP_RUNS": runs,  # a run kept from another arithmetic would be taken for this one's
    }


CHOSEN = """
import numpy, torch
from threadpoolctl import threadpool_info
blas = {i["architecture"] for i in threadpool_info() if i["internal_api"] == "openblas"}
print("PyTorch", torch.backends.cpu.get_cpu_capability() + ", OpenBLAS", *sorted(blas))
"""


def chosen(arithmetic: Arithmetic, root: Path, runs: str) -> str:
    """What PyTorch and OpenBLAS choose under ``arithmetic``, as they tell it themselves."""
    done = subprocess.run(
        [sys.executable, "-c", CHOSEN],
        cwd=root,
        env=environment(arithmetic, runs),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def run(
    arithmetic: Arithmetic,
    root: Path,
    tests: Sequence[str],
    pages: Sequence[str],
    sample: Sequence[str],
) -> bool:
    """Run the stages under ``arithmetic``, say how long each took; whether all passed."""
    passed = True
    with tempfile.TemporaryDirectory() as runs:
        told, around = chosen(arithmetic, root, runs), environment(arithmetic, runs)
        print(f"{arithmetic.name}: {told}, {arithmetic.threads} thread(s)", flush=True)
        for name, command in stages(arithmetic, tests, pages, sample):
            began = time.monotonic()
            done = subprocess.run(
                command,
                cwd=root,
                env=around,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            good = done.returncode == 0
            took = time.monotonic() - began
            print(f"  {name:20} {took:6.0f} s  {'passed' if good else 'FAILED'}", flush=True)
            if not good:
                print(done.stdout, flush=True)
            passed = passed and good
    return passed


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if everything passes under each arithmetic, 1 if something fails, 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.checks.portable",
        description="The book under other arithmetics.",
    )
    names = [each.name for each in ARITHMETICS]
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=names, help=", ".join(names))
    parser.add_argument("--rotate", action="store_true", help="a third, under one")
    parser.add_argument("--list", action="store_true", help="say what there is, run nothing")
    args = parser.parse_args(argv)
    try:
        root = repository()
    except WhydeepError as error:
        print(f"portable: {error}", file=sys.stderr)
        return 2
    can = flags()
    asked = [each for each in ARITHMETICS if not args.only or each.name in args.only]
    runnable = [each for each in asked if each.needs <= can]
    for each in asked:
        if each not in runnable:
            lacks = ", ".join(sorted(each.needs - can))
            print(f"{each.name}: skipped, this processor has no {lacks}")
    tests, pages, sample = number_tests(root), notebooks(root), SAMPLE
    if args.rotate and runnable:
        at = turn(root)
        runnable = [runnable[at % len(runnable)]]
        third = at // len(ARITHMETICS) % 3
        tests, pages, sample = tests[third::3], pages[third::3], ()
    if args.list:
        for each in runnable:
            settings = " ".join(f"{k}={v!r}" for k, v in sorted(each.environment.items()))
            print(f"{each.name}: {each.threads} thread(s) {settings}".rstrip())
        return 0
    failed = [each.name for each in runnable if not run(each, root, tests, pages, sample)]
    print(f"portable: {len(runnable)} arithmetics, {', '.join(failed) or 'none'} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
