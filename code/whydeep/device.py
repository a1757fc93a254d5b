"""Where the numbers are crunched: one choice of device for the whole book.

The order is an explicit name, the environment variable WHYDEEP_DEVICE, CUDA, MPS, CPU.
MPS (Apple's GPUs) is untested: the book's authors had none. It works in single precision only.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from whydeep.errors import UnknownDevice

if TYPE_CHECKING:
    import torch

KINDS = ("cuda", "mps", "cpu")
_current: ContextVar[str] = ContextVar("device", default="cpu")


def current() -> torch.device:
    """The device that a run is to compute on; an experiment that asks for none stays on the CPU."""
    return device(_current.get())


@contextmanager
def using(name: str) -> Iterator[None]:
    """Runs within the block compute on the device ``name``: see `device` for its names."""
    before = _current.set(str(name))
    try:
        yield
    finally:
        _current.reset(before)


def device(name: str | torch.device | None = None) -> torch.device:
    """The device to compute on.

    `name` is `cpu`, `cuda`, `cuda:1` (the second GPU), `mps`, or None for the default: the value
    of WHYDEEP_DEVICE if that is set, else the first of cuda, mps and cpu that this machine has.

    Raises `UnknownDevice` if the name is none of these or the machine has no such device.
    """
    source = "device"
    if name is None and (name := os.environ.get("WHYDEEP_DEVICE") or None):
        source = "WHYDEEP_DEVICE"
    # PyTorch takes seconds to import, and a bad name is told without it.
    named = None if name is None else re.fullmatch(r"([a-z]+)(?::(0|[1-9][0-9]*))?", str(name))
    if name is not None and (named is None or named[1] not in KINDS):
        raise UnknownDevice(
            f"{source} is {str(name)!r}, expected one of {', '.join(KINDS)} (or cuda:0, cuda:1, "
            "...): correct the name or leave it out to take the best device found"
        )

    import torch

    if named is None:
        return torch.device(next(kind for kind in KINDS if _count(kind) > 0))
    kind, number = named[1], named[2] or "0"
    # No machine has a billion; a longer number may be too long for int() to read.
    if len(number) > 9 or int(number) >= _count(kind):
        count = _count(kind)
        raise UnknownDevice(
            f"{source} is '{name}', but this machine has {count or 'no'} {kind} device"
            f"{'' if count == 1 else 's'} that PyTorch can use: choose cpu, or leave it out"
        )
    return torch.device(str(name))


def _count(kind: str) -> int:
    """How many devices of this kind PyTorch can use here."""
    import torch

    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1
