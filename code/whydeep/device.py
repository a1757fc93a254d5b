"""Where the numbers are crunched: one choice of device for the whole book.

The order is an explicit name, the environment variable WHYDEEP_DEVICE, CUDA, MPS, CPU.
MPS (Apple's GPUs) is untested: the book's authors had none. It works in single precision only.
"""

import os

import torch

from whydeep.errors import UnknownDevice

KINDS = ("cuda", "mps", "cpu")


def device(name: str | torch.device | None = None) -> torch.device:
    """The device to compute on.

    `name` is `cpu`, `cuda`, `cuda:1` (the second GPU), `mps`, or None for the default: the value
    of WHYDEEP_DEVICE if that is set, else the first of cuda, mps and cpu that this machine has.

    Raises `UnknownDevice` if the name is none of these or the machine has no such device.
    """
    source = "device"
    if name is None and (name := os.environ.get("WHYDEEP_DEVICE")):
        source = "WHYDEEP_DEVICE"
    if not name:
        return torch.device(next(kind for kind in KINDS if _count(kind) > 0))

    kind, _, number = str(name).partition(":")
    if (
        kind not in KINDS
        or (number and not number.isdecimal())
        or (":" in str(name) and not number)
    ):
        raise UnknownDevice(
            f"{source} is '{name}', expected one of {', '.join(KINDS)} (or cuda:0, cuda:1, ...): "
            f"correct the name or leave it out to take the best device found"
        )
    if int(number or 0) >= (count := _count(kind)):
        raise UnknownDevice(
            f"{source} is '{name}', but this machine has {count or 'no'} {kind} device"
            f"{'' if count == 1 else 's'} that PyTorch can use: choose cpu, or leave it out"
        )
    return torch.device(str(name))


def _count(kind: str) -> int:
    """How many devices of this kind PyTorch can use here."""
    if kind == "cuda":
        return torch.cuda.device_count() if torch.cuda.is_available() else 0
    if kind == "mps":
        return int(torch.backends.mps.is_available())
    return 1
