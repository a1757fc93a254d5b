"""Golden runs: every experiment at its smallest and what it gave, so that a crossed wire shows.

    python tests/golden/make.py                       runs all, stores what is new or differs
    python tests/golden/make.py features/raw-pixels   only these experiments

A file, `tests/golden/ID.json`, holds what a person chose and what a machine found:

    settings   fields that differ from the scale `quick`: so few examples and steps that a run takes
               a tenth of a second, so many that every line of `run` matters to some number
    variants   where a variant itself asks for much: its fields, made small again
    constants  the same for constants of the module, or of `whydeep.x` as x.CONSTANT
    rounding   quantities that measure rounding, or end where rounding says: compared on the same
               arithmetic only
    seed, arithmetic, runs   found by this program; timed quantities (`TIMED`) are left out

A new experiment needs a file {"settings": {...}} and this program. Where a stored number changes,
the program says so in one line, and stores the new one. A change of a number must be wanted: it
moves the experiment's record too.
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import is_dataclass, replace
from functools import lru_cache, partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from threadpoolctl import threadpool_info, threadpool_limits
from whydeep.chance import Chance
from whydeep.datasets import files
from whydeep.evidence.results import MAIN, Result, with_variant
from whydeep.experiments import experiments

FOLDER = Path(__file__).parent
SEED = 0
# Of Fashion-MNIST, the first so many: one test picture is then 0.005 of the error.
PICTURES = {"train": 1500, "test": 200}
# Longer arrays are stored by their sums and a few places.
LONG, PLACES, DIGITS = 12, 6, 9
# How far a number may be from the stored one. On the same arithmetic: this share of the quantity's
# largest number. Elsewhere: this share of the largest number of its unit, more for a unit that
# counts, since a prediction may tip over, than for one with such a word in it.
SAME, COUNTED, SMOOTH = 1e-6, 0.02, 0.003
ROUNDING = 1e-12  # what is smaller measures nothing but rounding, which may be any
SMOOTH_WORDS = {"nats", "loss", "losses", "squared", "norm", "norms", "gradient", "gradients"}

Stored = dict[str, Any]


def path_of(experiment: str) -> Path:
    return FOLDER / f"{experiment}.json"


def stored(experiment: str) -> Stored:
    """What the experiment's file holds."""
    return json.loads(path_of(experiment).read_text("utf-8"))


# --- running ---------------------------------------------------------------------------------


@lru_cache
def _few_pictures() -> dict[str, np.ndarray]:
    arrays = files.read_arrays("fashion-mnist")
    return {name: array[: PICTURES[name.partition("_")[2]]] for name, array in arrays.items()}


@contextmanager
def _small(module: ModuleType, constants: Mapping[str, Any]) -> Iterator[None]:
    """One thread, the first of the pictures only, and these constants of the module."""
    read, threads = files.read_arrays, torch.get_num_threads()

    def read_arrays(name: str) -> dict[str, np.ndarray]:
        return dict(_few_pictures()) if name == "fashion-mnist" else read(name)

    _few_pictures()
    with ExitStack() as stack:
        stack.enter_context(threadpool_limits(1))
        stack.callback(torch.set_num_threads, threads)
        torch.set_num_threads(1)
        stack.enter_context(patch.object(files, "read_arrays", read_arrays))
        for name, value in constants.items():
            of, _, constant = name.rpartition(".")
            owner = import_module(f"whydeep.{of}") if of else module
            small = _like(getattr(owner, constant), value)
            stack.enter_context(patch.object(owner, constant, small))
        yield


def _like(old: Any, new: Any) -> Any:
    """What JSON says in place of ``old``, as Python has it: tuples, and keys of the old one's kind.

    For Settings it gives some fields; for the class Settings, some fields' defaults.
    """
    if isinstance(new, list):
        return tuple(_like(None, each) for each in new)
    if not isinstance(new, dict):
        return new
    if is_dataclass(old):
        fields = {name: _like(getattr(old, name, None), value) for name, value in new.items()}
        return partial(old, **fields) if isinstance(old, type) else replace(old, **fields)
    by_key = old if isinstance(old, dict) else {"": None}
    key = type(next(iter(by_key)))
    return {key(k): _like(by_key.get(key(k)), v) for k, v in new.items()}


def run(module: ModuleType, golden: Stored, scale: str = "quick") -> dict[str, Result]:
    """The main run and that of every variant, at the golden settings."""
    small = _like(module.SCALES[scale], golden["settings"])
    found = {}
    for variant in (MAIN, *module.VARIANTS):
        settings = with_variant(small, module.VARIANTS.get(variant, {}))
        settings = _like(settings, golden.get("variants", {}).get(variant, {}))
        with _small(module, golden.get("constants", {})):
            result = module.run(settings, Chance(SEED))
        kept = [name for name in result if name not in getattr(module, "TIMED", ())]
        found[variant] = result.only(kept)
    return found


# --- storing ---------------------------------------------------------------------------------


def summary(value: np.ndarray) -> Any:
    """What is stored of an array: its numbers, or of a long one its means and a few places.

    Every number moves ``mean``; numbers that change places move ``tilted``, whose weights grow.
    """
    if value.size <= LONG:
        return _rounded(value)
    flat = value.ravel().astype(float)
    weights = np.arange(1, value.size + 1) / value.size
    return {
        "shape": list(value.shape),
        "largest": _rounded(np.abs(flat).max()),
        "mean": _rounded(flat.mean()),
        "tilted": _rounded((weights * flat).mean()),
        "some": _rounded(flat[np.linspace(0, value.size - 1, PLACES).astype(int)]),
    }


def _rounded(value: Any) -> Any:
    value = np.asarray(value)
    if value.dtype.kind in "biu":
        return value.astype(int).tolist()
    rounded = [float(f"{x:.{DIGITS}g}") for x in value.ravel().astype(float)]
    return np.array(rounded).reshape(value.shape).tolist()


def summaries(found: Mapping[str, Result]) -> dict[str, dict[str, Any]]:
    return {
        variant: {name: summary(value) for name, value in result.items()}
        for variant, result in found.items()
    }


def arithmetic() -> dict[str, Any]:
    """What decides the last bits here: two that are equal give the same numbers.

    ``bits`` are those of a few sums, since a library's choice of kernels cannot be read from names.
    """
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(2, 150, 150, generator=chance) for _ in range(2))
    picture, kernels = torch.randn(5, 3, 14, 14, generator=chance), torch.ones(4, 3, 3, 3) / 7
    with threadpool_limits(1):
        parts = [
            a, a @ b, a.double() @ b.double(), a.exp(), a.tanh(), a.log_softmax(-1), a.sum(),
            torch.conv2d(picture, kernels), torch.linalg.eigvalsh(a @ a.mT),
        ]  # fmt: skip
        arrays = [part.numpy() for part in parts]
        x = a[0].double().numpy()
        arrays += [x @ x, np.exp(x), np.linalg.eigvalsh(x @ x.T), np.linalg.solve(x, x.T)]
        kernels_of = {
            info["architecture"] for info in threadpool_info() if "scipy_openblas" in info["prefix"]
        }
    return {
        "capability": torch.backends.cpu.get_cpu_capability(),
        "blas": sorted(kernels_of),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "bits": f"{zlib.crc32(b''.join(array.tobytes() for array in arrays)):08x}",
    }


# --- comparing -------------------------------------------------------------------------------


def faults(golden: Stored, found: Mapping[str, Result], *, same: bool) -> list[str]:
    """One line for each quantity that is not as stored; ``same``: on the arithmetic of then."""
    told = []
    for variant in golden["runs"] | dict(found):
        before, now = golden["runs"].get(variant, {}), found.get(variant, {})
        for name in before | dict(now):
            where = f"{name} of {variant}"
            if name not in before or name not in now:
                told.append(f"{where} is {'new' if name in now else 'missing'}")
            elif same or name not in golden.get("rounding", ()):
                tolerance = _tolerance(now, name, same=same)
                was, is_ = before[name], summary(now[name])
                if not _close(was, is_, tolerance):
                    told.append(f"{where} was {was}, is {is_}")
    return told


def _magnitude(value: np.ndarray) -> float:
    finite = value[np.isfinite(value.astype(float))]
    return float(np.abs(finite.astype(float)).max(initial=0))


def _tolerance(result: Result, name: str, *, same: bool) -> float:
    if same:
        return SAME * _magnitude(result[name])
    unit = result.units[name]
    share = SMOOTH if SMOOTH_WORDS & set(unit.split()) else COUNTED
    return share * max(_magnitude(result[n]) for n, u in result.units.items() if u == unit)


def _close(was: Any, is_: Any, tolerance: float) -> bool:
    if isinstance(was, dict) or isinstance(is_, dict):
        return (
            isinstance(was, dict)
            and isinstance(is_, dict)
            and was["shape"] == is_["shape"]
            and all(_close(was[key], is_[key], tolerance) for key in was if key != "shape")
        )
    was, is_ = np.array(was, float), np.array(is_, float)
    # Nine digits were stored.
    return was.shape == is_.shape and np.allclose(
        is_, was, rtol=10.0 ** (1 - DIGITS), atol=max(tolerance, ROUNDING), equal_nan=True
    )


# --- the program -----------------------------------------------------------------------------


def text_of(golden: Stored) -> str:
    """JSON with a line for each setting's group and for each quantity."""

    def line(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    rows = [f' "{key}": {line(value)}' for key, value in golden.items() if key != "runs"]
    runs = []
    for variant, quantities in golden["runs"].items():
        each = ",\n".join(f'   "{name}": {line(value)}' for name, value in quantities.items())
        runs.append(f'  "{variant}": {{\n{each}\n  }}')
    rows.append(' "runs": {\n' + ",\n".join(runs) + "\n }")
    return "{\n" + ",\n".join(rows) + "\n}\n"


def make(experiment: str) -> str:
    """Run, compare with what is stored, store what differs; what there is to say, in one line."""
    golden, here = stored(experiment), arithmetic()
    found = run(experiments()[experiment], golden)
    known = "runs" in golden
    same = known and golden["arithmetic"] == here
    told = faults(golden, found, same=same) if known else []
    if known and not told:
        return "as stored" if same else "as stored, as far as another arithmetic can tell"
    chosen = {k: v for k, v in golden.items() if k not in ("seed", "arithmetic", "runs")}
    new = chosen | {"seed": SEED, "arithmetic": here, "runs": summaries(found)}
    path_of(experiment).write_text(text_of(new), "utf-8")
    if not known:
        return "stored"
    more = f" and {len(told) - 1} more" if told[1:] else ""
    return f"stored anew: {told[0]}{more}. Was that change wanted?"


def main(names: list[str]) -> int:
    unknown = [name for name in names if name not in experiments()]
    if unknown:
        print(f"no experiment is called {unknown[0]!r}: `whydeep list` names them", file=sys.stderr)
        return 2
    for name in names or experiments():
        print(f"{name}: {make(name)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
