"""What the tests of `evidence.spread` have other processes do, which import it from here."""

import importlib
import os
import signal
import time
from pathlib import Path

from whydeep.errors import WhydeepError


def experiment(task: tuple[str, str, int]) -> dict[str, list]:
    """A run of an experiment, at the scale ``quick``, by the names of module and variant."""
    from whydeep.chance import Chance
    from whydeep.evidence.results import with_variant

    name, variant, seed = task
    module = importlib.import_module(f"whydeep.experiments.{name}")
    changes = {} if variant == "main" else module.VARIANTS[variant]
    settings = with_variant(module.SCALES["quick"], changes)
    result = module.run(settings, Chance(seed))
    return {quantity: values.tolist() for quantity, values in result.items()}


def process(_: int) -> int:
    return os.getpid()


def threads(_: int) -> set[int]:
    """How many threads torch, numpy's and scipy's BLAS and every OpenMP compute with.

    Another package's BLAS, which a test may have loaded, can be one that knows of no threads.
    """
    import torch
    from scipy import linalg  # noqa: F401 - brings a BLAS of its own
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["prefix"] != "libopenblas"]
    return {torch.get_num_threads(), *(pool["num_threads"] for pool in pools)}


def noted(folder: str, number: int) -> int:
    """Leaves a file named by its number, then ends at once."""
    Path(folder, str(number)).touch()
    return number


def endless(folder: str, number: int) -> None:
    """Says which process it is in, and never ends."""
    part = Path(folder, f"{number}.part")
    part.write_text(str(os.getpid()))
    part.rename(Path(folder, str(number)))
    while True:
        time.sleep(1)


def killed_once(folder: str, number: int) -> int:
    """Number 1 is killed the first time, as kill -9 or want of memory would."""
    seen = Path(folder, "killed")
    if number == 1 and not seen.exists():
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(folder, number)


def killed_always(folder: str, number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(folder, number)


def bad_input(number: int) -> int:
    if number == 1:
        raise WhydeepError("1 is bad: choose another number")
    return number


def fault(number: int) -> float:
    return 1 / number
