"""Results of experiments in memory and on disk: named arrays with units, and records.

A *run* is one seed of one variant of an experiment. Finished runs are written at once, each to a
file of its own and atomically, so that Ctrl-C or kill -9 loses none and the next start resumes.
A *record* is the committed, dated sum of them that verdicts rest on: data/results/ID/SCALE.json.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

import numpy as np
import torch

from whydeep.errors import BadSettings, WhydeepError
from whydeep.provenance import code_hash, provenance, repository

MAIN = "main"
T = TypeVar("T")


class Result(Mapping[str, np.ndarray]):
    """Named arrays, each with a unit: ``Result(error_raw=(0.17, "fraction of test examples"))``.

    Indexing gives a numpy array (shape ``()`` for a scalar); ``units`` maps names to units.
    """

    def __init__(self, **quantities: tuple[Any, str]):
        self.units = {name: unit for name, (_, unit) in quantities.items()}
        self._values = {name: _as_array(value) for name, (value, _) in quantities.items()}
        for name, value in self.items():
            if value.dtype.kind not in "biuf":
                raise ValueError(f"{name} is of type {value.dtype}, expected real numbers")

    def __getitem__(self, name: str) -> np.ndarray:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        rows = (
            f"{n}: {v.tolist() if v.ndim == 0 else v.shape} [{self.units[n]}]"
            for n, v in self.items()
        )
        return "Result(" + ", ".join(rows) + ")"


def _as_array(value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    return np.asarray(value)


def with_variant(settings: Any, changes: Mapping[str, Any]) -> Any:
    """The frozen ``settings`` with a variant's ``changes``; BadSettings names an unknown field."""
    unknown = set(changes) - {f.name for f in fields(settings)}
    if unknown:
        raise BadSettings(
            f"unknown setting {sorted(unknown)[0]!r}: the experiment has "
            f"{', '.join(f.name for f in fields(settings))}"
        )
    return replace(settings, **changes)


# ---------------------------------------------------------------------------------- files


def _dump(value: Any, indent: str = "") -> str:
    """JSON with one line an entry and arrays kept on it: small, and readable in a diff."""
    if isinstance(value, Mapping) and value:
        inner = indent + " "
        rows = (f"{inner}{json.dumps(str(k))}: {_dump(v, inner)}" for k, v in value.items())
        return "{\n" + ",\n".join(rows) + f"\n{indent}}}"
    if isinstance(value, np.ndarray):
        if value.dtype == np.float32:  # the shortest decimal that gives the float32 back
            value = np.array([float(str(x)) for x in value.ravel()]).reshape(value.shape)
        value = value.tolist()
    return json.dumps(value, separators=(",", ":"))


def write_atomically(path: Path, text: str) -> None:
    """Write ``text`` so that a reader finds the old file or the new one, never half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(part, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _load(path: Path, remedy: str, build: Callable[[dict], T]) -> T:
    """What ``build`` makes of a file of JSON; WhydeepError where that fails."""
    try:
        return build(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise WhydeepError(f"no recorded run at {path}: {remedy}") from None
    except (ValueError, OSError) as error:
        raise WhydeepError(f"{path} cannot be read ({error}): {remedy}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise WhydeepError(f"{path} is damaged ({error!r}): {remedy}") from None


def _result(values: Mapping[str, Any], units: Mapping[str, str]) -> Result:
    return Result(**{name: (value, units[name]) for name, value in values.items()})


@dataclass(frozen=True)
class Record:
    """Recorded runs: ``runs[variant][seed]`` is a Result; ``provenance`` says how they came."""

    experiment: str
    scale: str
    provenance: dict[str, Any]
    runs: dict[str, dict[int, Result]]

    @property
    def seeds(self) -> list[int]:
        return sorted(self.runs[MAIN])


def record_path(experiment: str, scale: str) -> Path:
    return repository() / "data" / "results" / experiment / f"{scale}.json"


def write_record(record: Record) -> Path:
    """Write the committed file of a record; returns its path."""
    units = {
        name: unit
        for by_seed in record.runs.values()
        for result in by_seed.values()
        for name, unit in result.units.items()
    }
    path = record_path(record.experiment, record.scale)
    runs = {
        variant: {seed: dict(result) for seed, result in sorted(by_seed.items())}
        for variant, by_seed in record.runs.items()
    }
    write_atomically(
        path,
        _dump(
            {
                "experiment": record.experiment,
                "scale": record.scale,
                "recorded": date.today().isoformat(),
                "provenance": record.provenance,
                "units": units,
                "runs": runs,
            }
        )
        + "\n",
    )
    return path


def read_record(experiment: str, scale: str) -> Record:
    """The committed record; WhydeepError says how to make one that is missing or damaged."""
    path = record_path(experiment, scale)
    how = "--calibration" if scale == "calibration" else f"--scale {scale}"
    remedy = f"run `whydeep record {experiment} {how}`, or restore it with git"

    def build(raw: dict) -> Record:
        runs = {
            variant: {int(seed): _result(v, raw["units"]) for seed, v in by_seed.items()}
            for variant, by_seed in raw["runs"].items()
        }
        return Record(experiment, scale, raw["provenance"] | {"recorded": raw["recorded"]}, runs)

    return _load(path, remedy, build)


# ---------------------------------------------------------------------------------- running


def run_once(
    module: ModuleType,
    experiment: str,
    scale: str,
    variant: str,
    seed: int,
    *,
    device: str = "cpu",
    progress: bool = False,
    resume: bool = True,
) -> Result:
    """One run, taken from disk if this code has finished it on this device before."""
    settings = with_variant(
        module.SCALES[scale], {} if variant == MAIN else module.VARIANTS[variant]
    )
    code = code_hash(module.__name__)
    folder = Path(os.environ.get("WHYDEEP_RUNS", repository() / ".whydeep" / "runs"))
    path = (
        folder
        / experiment
        / f"{scale}-{code}-{device}-torch{torch.__version__}"
        / f"{variant}-{seed}.json"
    )
    if resume and path.is_file():
        remedy = "delete it and start again"
        return _load(path, remedy, lambda raw: _result(raw["values"], raw["units"]))
    result = module.run(settings, seed=seed, device=device, progress=progress)
    if resume:
        write_atomically(path, _dump({"units": result.units, "values": dict(result)}))
    return result


def sweep(
    module: ModuleType,
    experiment: str,
    scale: str,
    seeds: Iterable[int],
    *,
    device: str = "cpu",
    progress: bool = False,
    resume: bool = True,
) -> Record:
    """All variants of an experiment over ``seeds``: the main runs first, then the controls."""
    if scale not in module.SCALES:
        raise BadSettings(
            f"{experiment} has no scale {scale!r}: choose from {', '.join(module.SCALES)}"
        )
    seeds = list(seeds)
    if not seeds or min(seeds) < 0:
        raise BadSettings(f"seeds are {seeds}, expected at least one, each 0 or more: write 0-4")
    how = dict(device=device, progress=progress, resume=resume)
    runs = {
        variant: {seed: run_once(module, experiment, scale, variant, seed, **how) for seed in seeds}
        for variant in (MAIN, *module.VARIANTS)
    }
    return Record(
        experiment, scale, provenance(module.__name__, module.SCALES[scale], device), runs
    )
