"""What the last digits of a number depend on: processor, instructions, BLAS, threads.

The same code and seed give the same bits on one arithmetic; on another, sums are taken in another
order and a long training can end elsewhere. So records and golden runs say which arithmetic made
them, and are compared to the bit on the same one, and within what the seeds allow on another.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

# Settings of Intel's library, linked into torch, which tells nobody what it chose.
MKL_SETTINGS = ("MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS")
KEYS = ("processor", "capability", "blas", "threads", "torch", "numpy")


@lru_cache
def processor() -> str:
    """The processor's name with its family and model, which tell apart what a cloud names alike."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:  # not Linux
        return platform.processor() or platform.machine()
    found = dict(re.findall(r"^(model name|cpu family|model)\s*: (.*)$", text, re.MULTILINE))
    name = found.get("model name", platform.machine())
    if "cpu family" in found:
        name += f" (family {found['cpu family']}, model {found['model']})"
    return name


def capability() -> str:
    """The vector instructions that torch's kernels use: DEFAULT, AVX2, AVX512, ..."""
    import torch

    return torch.backends.cpu.get_cpu_capability()


def _is_ours(library: Path) -> bool:
    """Whether numpy, scipy or torch compute with it: another package's wheel brings its own."""
    wheels = {part for part in library.parts if part.endswith(".libs")}
    return wheels <= {"numpy.libs", "scipy.libs", "torch.libs"}


def blas() -> str:
    """The BLAS libraries of numpy and torch, with the kernels that they chose where they tell."""
    import numpy  # noqa: F401 - numpy and scipy load their libraries, so that they are found
    import scipy.linalg  # noqa: F401
    import torch
    from threadpoolctl import threadpool_info

    found = {
        f"{pool['internal_api']} {pool['version']} {pool.get('architecture', '')}".strip()
        for pool in threadpool_info()
        if pool["user_api"] == "blas" and _is_ours(Path(pool["filepath"]))
    }
    if torch.backends.mkl.is_available():
        chosen = [f"{name}={os.environ[name]}" for name in MKL_SETTINGS if os.environ.get(name)]
        found.add(" ".join(["mkl in torch", *chosen]))
    return "; ".join(sorted(found))


def threads_of_a_run() -> int:
    """Threads that a run computes with, whatever ``jobs`` is: OMP_NUM_THREADS, or 1 without it.

    Not the number of cores shared out among the jobs: sums are grouped by thread, so the last bits
    of a result, and after a long training more than these, would depend on ``--jobs``.
    """
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return int(first) if first.isdecimal() and int(first) else 1


def arithmetic() -> dict[str, str | int]:
    """Everything that the last digits depend on, by KEYS; equal means equal to the bit."""

    return {
        "processor": processor(),
        "capability": capability(),
        "blas": blas(),
        "threads": threads_of_a_run(),
        "torch": version("torch"),
        "numpy": version("numpy"),
    }


def same_arithmetic(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two provenances were made on one arithmetic; what one does not say differs."""
    return all(key in one and key in other and one[key] == other[key] for key in KEYS)
