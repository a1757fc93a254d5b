"""Results of experiments in memory and on disk: named arrays with units, and records.

A *run* is one seed of one variant of an experiment. Finished runs are written at once, each to a
file of its own and atomically, so that Ctrl-C or kill -9 loses none and the next start resumes.
A *record* is the committed, dated sum of them that verdicts rest on: data/results/ID/SCALE.json.
The checksums of all records stand in data/results/SHA256SUMS, so that an edit by hand shows.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch

from whydeep import device as devices
from whydeep.chance import Chance
from whydeep.datasets import pools
from whydeep.descent.progress import showing
from whydeep.errors import BadSettings, WhydeepError
from whydeep.evidence.machine import arithmetic
from whydeep.evidence.provenance import code_hash, draws, provenance, repository
from whydeep.evidence.reach import takes_device
from whydeep.evidence.spread import spread

MAIN = "main"
NEAR = "neighbours"  # the scale under which their runs are recorded
CHECKSUMS = "SHA256SUMS"
MOST_SEEDS = 10_000
T = TypeVar("T")
Tell = Callable[[str], None]
Task = tuple[
    str, str, str, int
]  # a run by the names of experiment, scale and variant, and its seed


Axes = dict[str, list[str | int | float]]  # an axis' name -> the name or value of each place
PLACE = re.compile(r"(?P<name>[^\[\]]+)\[(?P<places>[^\[\]]+)\]")


@dataclass(frozen=True)
class Quantity:
    """An array with its unit, and with a name for each axis and for each place along it.

    ``Quantity(errors, "fraction of test examples", arm=("plain", "dropout"), epoch=epochs)`` of
    shape (2, epochs); an axis whose places have no names is given as None.
    """

    value: Any
    unit: str
    axes: Mapping[str, Iterable[Any] | None]

    def __init__(self, value: Any, unit: str, **axes: Iterable[Any] | None):
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "axes", axes)


class Result(Mapping[str, np.ndarray]):
    """Named arrays, each with a unit: ``Result(error_raw=(0.17, "fraction of test examples"))``.

    Indexing gives a numpy array (shape ``()`` for a scalar); ``units`` maps names to units. Where a
    quantity is a `Quantity`, ``axes`` holds its axes, and a place in it can be asked for by name:
    ``result["error[dropout, -1]"]`` is the last number of the arm called dropout, and
    ``result["error[dropout]"]`` its curve.
    """

    def __init__(self, **quantities: tuple[Any, str] | Quantity):
        self.units: dict[str, str] = {}
        self.axes: dict[str, Axes] = {}
        self._values: dict[str, np.ndarray] = {}
        for name, given in quantities.items():
            quantity = given if isinstance(given, Quantity) else Quantity(*given)
            value = self._values[name] = _as_array(quantity.value)
            self.units[name] = quantity.unit
            if value.dtype.kind not in "biuf":
                raise ValueError(f"{name} is of type {value.dtype}, expected real numbers")
            if quantity.axes:
                self.axes[name] = _axes(name, value.shape, quantity.axes)

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._values or not (place := PLACE.fullmatch(name)):
            return self._values[name]
        value, axes = self._values[place["name"]], list(self.axes.get(place["name"], {}).items())
        index = []
        for i, word in enumerate(place["places"].split(",")):
            along = axes[i] if i < len(axes) else ("", [])
            index.append(_place(word.strip(), *along, name))
        return np.asarray(value[tuple(index)])

    def unit(self, name: str) -> str:
        """The unit of a quantity, or of a place in one."""
        return self.units[name.partition("[")[0]]

    def only(self, names: Iterable[str]) -> Result:
        """A result with these quantities only."""
        return _result({name: self[name] for name in names}, self.units, self.axes)

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


def _axes(name: str, shape: tuple[int, ...], axes: Mapping[str, Iterable[Any] | None]) -> Axes:
    """The axes as a record keeps them; ValueError where they do not fit the array."""
    places = {
        axis: list(range(size)) if along is None else np.asarray(list(along)).tolist()
        for (axis, along), size in zip(axes.items(), shape, strict=False)
    }
    if len(axes) != len(shape) or [len(along) for along in places.values()] != list(shape):
        told = ", ".join(f"{axis} {len(along)}" for axis, along in places.items())
        raise ValueError(f"{name} has shape {shape}, but its axes are {told}")
    return places  # pyright: ignore[reportReturnType]  # whole numbers are places as good as any


def _place(word: str, axis: str, along: list, name: str) -> int:
    """The number of a place along an axis, from its name or from a whole number.

    A place that is called by a number with a point, 0.5, can be asked for by it.
    """
    along = [str(place) if isinstance(place, float) else place for place in along]
    if word in along:
        return along.index(word)
    try:
        return int(word)
    except ValueError:
        known = f"{axis} is {', '.join(map(str, along))}" if along else "it has no names of places"
        raise KeyError(f"{name}: no place is called {word!r}; {known}") from None


def with_variant(settings: Any, changes: Mapping[str, Any]) -> Any:
    """The frozen ``settings`` with a variant's ``changes``; BadSettings names an unknown field.

    A field of nested settings is named with a dot: ``{"sgd.lr": 0.1}``.
    """
    for name, value in changes.items():
        outer, _, inner = name.partition(".")
        if outer not in (known := [f.name for f in fields(settings)]):
            raise BadSettings(f"unknown setting {name!r}: the experiment has {', '.join(known)}")
        nested = with_variant(getattr(settings, outer), {inner: value}) if inner else value
        settings = replace(settings, **{outer: nested})
    return settings


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
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WhydeepError(f"{path} is damaged ({error!r}): {remedy}") from None


def _result(
    values: Mapping[str, Any], units: Mapping[str, str], axes: Mapping[str, Axes]
) -> Result:
    return Result(
        **{n: Quantity(value, units[n], **axes.get(n, {})) for n, value in values.items()}
    )


@dataclass(frozen=True)
class Record:
    """Recorded runs: ``runs[variant][seed]`` is a Result; ``provenance`` says how they came."""

    experiment: str
    scale: str
    provenance: dict[str, Any]
    runs: dict[str, dict[int, Result]]

    @property
    def seeds(self) -> list[int]:
        return sorted(self.runs.get(MAIN) or next(iter(self.runs.values())))

    def share(self, variant: str = MAIN) -> float:
        """The part of its pool of examples that each seed of a variant drew; 0 where none did."""
        return float(self.provenance.get("shares", {}).get(variant, 0.0))


def record_path(experiment: str, scale: str) -> Path:
    return repository() / "data" / "results" / experiment / f"{scale}.json"


def checksums() -> dict[str, str]:
    """The SHA-256 of each record by its path under data/results, as SHA256SUMS lists them.

    None where there is no such file; WhydeepError where it holds something else.
    """
    path = repository() / "data" / "results" / CHECKSUMS
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return {}
    rows = [re.fullmatch(r"([0-9a-f]{64})  (\S+)", line) for line in lines]
    whole = {row[2]: row[1] for row in rows if row}
    if not all(rows):
        raise WhydeepError(f"{path} is damaged: restore it with git")
    return whole


def write_record(record: Record, unkept: Iterable[str] = ()) -> Path:
    """Write the committed file of a record, and its checksum; returns its path.

    WhydeepError where the file cannot be written; it says that finished runs are kept, or
    otherwise why they are not: ``unkept``.
    """
    results = [result for by_seed in record.runs.values() for result in by_seed.values()]
    units = {name: unit for result in results for name, unit in result.units.items()}
    axes = {
        variant: next(iter(by_seed.values())).axes
        for variant, by_seed in record.runs.items()
        if by_seed
    }
    main = axes.pop(MAIN, {})
    # A variant may have other places along an axis: other sizes, fewer steps.
    others = {
        variant: {name: along for name, along in found.items() if along != main.get(name)}
        for variant, found in axes.items()
    }
    others = {variant: found for variant, found in others.items() if found}
    path = record_path(record.experiment, record.scale)
    runs = {
        variant: {seed: dict(result) for seed, result in sorted(by_seed.items())}
        for variant, by_seed in record.runs.items()
    }
    about = dict(record.provenance)
    text = _dump(
        {
            "experiment": record.experiment,
            "scale": record.scale,
            "recorded": about.pop("recorded", date.today().isoformat()),
            "provenance": about,
            "units": units,
            **({"axes": main} if main else {}),
            **({"axes of variants": others} if others else {}),
            "runs": runs,
        }
    )
    folder = repository() / "data" / "results"
    digest = hashlib.sha256(f"{text}\n".encode()).hexdigest()
    try:
        sums = checksums() | {path.relative_to(folder).as_posix(): digest}
        write_atomically(path, f"{text}\n")
        listed = "".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items()))
        write_atomically(folder / CHECKSUMS, listed)
    except OSError as error:
        raise WhydeepError(
            f"{path} cannot be written ({error.strerror or error}): make room or mend the "
            f"permissions, and start again; {'; '.join(unkept) or 'finished runs are kept'}"
        ) from error
    return path


def read_record(experiment: str, scale: str) -> Record:
    """The committed record; WhydeepError says how to make one that is missing or damaged."""
    path = record_path(experiment, scale)
    named = {"calibration": "--calibration", NEAR: "--neighbours"}
    how = named.get(scale, f"--scale {scale}")
    remedy = f"run `whydeep record {experiment} {how}`, or restore it with git"

    def build(raw: dict) -> Record:
        runs = {
            variant: {
                int(seed): _result(
                    v,
                    raw["units"],
                    raw.get("axes", {}) | raw.get("axes of variants", {}).get(variant, {}),
                )
                for seed, v in by_seed.items()
            }
            for variant, by_seed in raw["runs"].items()
        }
        return Record(experiment, scale, raw["provenance"] | {"recorded": raw["recorded"]}, runs)

    return _load(path, remedy, build)


# ---------------------------------------------------------------------------------- running


class Cost(NamedTuple):
    """What a run took: CPU seconds, and of its pool of examples the largest share of a draw."""

    seconds: float
    share: float = 0.0


def _keep_run(path: Path, result: Result, cost: Cost, unkept: Tell) -> None:
    """Write a finished run; where that fails tell why, for its numbers can still be judged."""
    about = {"seconds": round(cost.seconds, 3), "share": cost.share}
    about |= {"units": result.units, "axes": result.axes}
    try:
        write_atomically(path, _dump(about | {"values": dict(result)}))
    except OSError as error:
        unkept(f"finished runs cannot be kept in {_runs_folder()} ({error.strerror or error})")


@lru_cache
def say_unkept(why: str) -> None:
    """Say on stderr why finished runs are not kept; the same is said once."""
    print(f"whydeep: {why}: going on without", file=sys.stderr)


def _runs_folder() -> Path:
    return Path(os.environ.get("WHYDEEP_RUNS", repository() / ".whydeep" / "runs"))


def _path_of_task(task: Task, module: ModuleType, device: str, pool: str) -> Path:
    """Where a finished run lies: no run of other code, data, device or arithmetic is it."""
    experiment, scale, variant, seed = task
    how = hashlib.sha256(repr(sorted(arithmetic().items())).encode()).hexdigest()[:8]
    folder = f"{scale}-{code_hash(module.__name__)}-{used_device(module, device)}-{how}"
    if pool != "reporting" and draws(module.__name__):
        folder = f"{pool}-{folder}"
    if changes := near(module).get(variant):  # which the code that a run reaches does not hold
        digest = hashlib.sha256(repr(sorted(changes.items())).encode()).hexdigest()[:8]
        variant = f"{variant.replace(' / ', '--')}-{digest}"
    return _runs_folder() / experiment / folder / f"{variant}-{seed}.json"


def run_once(
    module: ModuleType,
    experiment: str,
    scale: str,
    variant: str,
    seed: int,
    *,
    pool: str = "reporting",
    device: str = "cpu",
    progress: bool = False,
    resume: bool = True,
    unkept: Tell = say_unkept,
) -> tuple[Result, Cost]:
    """One run and its cost, taken from disk if this code has finished it before.

    "Before" means on this device and this arithmetic, with examples from this ``pool``
    ("reporting" or "calibration"). An experiment that makes no use of ``device`` runs on the CPU,
    and its run is kept as one.
    """
    settings = with_variant(module.SCALES[scale], variants(module)[variant])
    path = _path_of_task((experiment, scale, variant, seed), module, device, pool)
    if resume and path.is_file():

        def build(raw: dict) -> tuple[Result, Cost]:
            found = _result(raw["values"], raw["units"], raw.get("axes", {}))
            # A run kept by an earlier version drew from no pool, and says nothing of a share.
            return found, Cost(float(raw["seconds"]), float(raw.get("share", 0.0)))

        return _load(path, "delete it and start again", build)
    began = time.process_time()
    with devices.using(device), pools.using(pool) as shares, showing(progress):
        result = module.run(settings, Chance(seed))
    cost = Cost(time.process_time() - began, max(shares, default=0.0))
    if resume:
        _keep_run(path, result, cost, unkept)
    return result, cost


def variants(module: Any) -> dict[str, Mapping[str, Any]]:
    """The changes of settings of every run that an experiment has, by its name.

    The main run changes nothing; then come its variants, and what `near` gives.
    """
    return {MAIN: {}, **module.VARIANTS, **near(module)}


def near(module: Any) -> dict[str, Mapping[str, Any]]:
    """The runs of an experiment's neighbours: each one's main run, and the controls beside it.

    Of each claim the first control, called "NEIGHBOUR / CONTROL". What a control takes away, no
    neighbour puts back.
    """
    if isinstance(module, SimpleNamespace):  # as another process has it
        return module.near
    known = {each.name: each for each in getattr(module, "NEIGHBOURS", ())}
    found: dict[str, Mapping[str, Any]] = {}
    for claim in module.CLAIMS if known else ():
        for name in claim.neighbours:
            changes, control = known[name].changes, claim.controls[0].variant
            found[name] = changes
            found[f"{name} / {control}"] = {**changes, **module.VARIANTS[control]}
    return found


def used_device(module: ModuleType, asked: str) -> str:
    """The device that runs of an experiment use when ``asked`` is what the reader chose."""
    return asked if takes_device(module.__name__) else "cpu"


def _portable(module: ModuleType) -> SimpleNamespace:
    """What a run needs of an experiment, in a form that another process can be sent."""
    return SimpleNamespace(
        __name__=module.__name__,
        run=module.run,
        SCALES=module.SCALES,
        VARIANTS=module.VARIANTS,
        near=near(module),
    )


def _run_there(
    task: Task, *, modules: Mapping[str, Any], pool: str, device: str, resume: bool
) -> tuple[Result, Cost]:
    """`run_once` in another process; the result and its cost travel.

    A run that cannot be kept there, the process that gets it tries to keep.
    """
    experiment, scale, variant, seed = task
    module = modules[experiment]
    how: dict[str, Any] = dict(pool=pool, device=used_device(module, device), resume=resume)
    return run_once(module, experiment, scale, variant, seed, **how, unkept=_say_nothing)


def _say_nothing(_: str) -> None:
    pass


@dataclass(frozen=True)
class Sweep:
    """What is to be run: all variants of an experiment at a scale, over some seeds.

    With ``beside`` its neighbours instead: what `near` gives.
    BadSettings for a scale that the experiment does not have, or for seeds that are none.
    """

    module: ModuleType
    experiment: str
    scale: str
    seeds: tuple[int, ...]
    beside: bool = False

    def __post_init__(self):
        if self.scale not in self.module.SCALES:
            raise BadSettings(
                f"{self.experiment} has no scale {self.scale!r}: choose from "
                f"{', '.join(self.module.SCALES)}"
            )
        if not self.seeds or min(self.seeds) < 0:
            raise BadSettings(
                f"seeds are {list(self.seeds)}, expected at least one, each 0 or more: write 0-4"
            )
        if max(self.seeds) >= 2**32 or len(self.seeds) > MOST_SEEDS:
            raise BadSettings(
                f"there are {len(self.seeds):,} seeds up to {max(self.seeds)}, expected at most "
                f"{MOST_SEEDS:,}, each below 2^32: write 0-4"
            )

    @property
    def variants(self) -> tuple[str, ...]:
        """The names of its runs, the main one first, then the controls."""
        return tuple(near(self.module)) if self.beside else (MAIN, *self.module.VARIANTS)

    @property
    def tasks(self) -> list[Task]:
        return [
            (self.experiment, self.scale, variant, seed)
            for variant in self.variants
            for seed in self.seeds
        ]


def sweeps(
    wanted: Iterable[Sweep],
    *,
    pool: str = "reporting",
    device: str = "cpu",
    progress: bool = False,
    resume: bool = True,
    jobs: int = 1,
    scheduler: str | None = None,
    cost: Callable[[Task], float] | None = None,
    unkept: Tell = say_unkept,
) -> Iterator[Record]:
    """The record of each sweep, as soon as its last run has ended.

    All runs draw their examples from one ``pool``: "reporting", or "calibration".
    With ``jobs`` above one, or the address of a Dask ``scheduler``, the runs of all sweeps are
    spread over processes, the longest first by ``cost``; the numbers are those of one process.
    ``unkept`` is told why a finished run could not be kept.
    """
    wanted = list(wanted)
    home = {task: each for each in wanted for task in each.tasks}
    runs: dict[str, dict] = {each.experiment: {} for each in wanted}
    costs: dict[str, dict[tuple[str, int], Cost]] = {each.experiment: {} for each in wanted}
    for task, result, spent in _all_runs(
        home, pool=pool, device=device, progress=progress, resume=resume, jobs=jobs,
        scheduler=scheduler, cost=cost, unkept=unkept,
    ):  # fmt: skip
        (experiment, _, variant, seed), each = task, home[task]
        runs[experiment].setdefault(variant, {})[seed] = result
        costs[experiment][variant, seed] = spent
        if len(costs[experiment]) == len(each.tasks):
            yield _record_of(each, runs.pop(experiment), costs[experiment], pool, device)


def _all_runs(
    home: Mapping[Task, Sweep], *, pool, device, progress, resume, jobs, scheduler, cost, unkept
) -> Iterator[tuple[Task, Result, Cost]]:
    """Every task with its result and its cost, as each ends; those on disk come first."""
    tasks = list(home)

    def here(task: Task) -> tuple[Result, Cost]:
        module = home[task].module
        how: dict[str, Any] = dict(pool=pool, device=used_device(module, device), unkept=unkept)
        return run_once(module, *task, progress=progress, resume=resume, **how)

    if jobs == 1 and scheduler is None:
        for index, (result, spent) in spread(here, tasks):
            yield tasks[index], result, spent
        return
    kept = {task: _path_of_task(task, home[task].module, device, pool) for task in tasks}
    due = [task for task in tasks if not (resume and kept[task].is_file())]
    for task in tasks:
        if task not in due:
            yield task, *here(task)
    modules = {each.experiment: _portable(each.module) for each in home.values()}
    work = partial(_run_there, modules=modules, pool=pool, device=device, resume=resume)
    costs = [cost(task) for task in due] if cost else None
    for index, (result, spent) in spread(work, due, jobs=jobs, scheduler=scheduler, cost=costs):
        if resume and not kept[due[index]].is_file():  # it ran on another machine, or could not
            _keep_run(kept[due[index]], result, spent, unkept)
        yield due[index], result, spent


def _record_of(
    each: Sweep, runs: dict, costs: Mapping[tuple[str, int], Cost], pool: str, device: str
) -> Record:
    """The record of a sweep whose runs are all there, in the order that `Sweep.tasks` has."""
    module = each.module
    ordered = {
        variant: {seed: runs[variant][seed] for seed in each.seeds} for variant in each.variants
    }
    changes = near(module) if each.beside else module.VARIANTS
    about = provenance(
        module.__name__, module.SCALES[each.scale], changes, used_device(module, device)
    )
    if draws(module.__name__):
        shares = {variant: round(cost.share, 6) for (variant, _), cost in costs.items()}
        about |= {"pool": pool, "shares": {variant: shares[variant] for variant in ordered}}
    about["seconds"] = round(sum(cost.seconds for cost in costs.values()) / len(costs), 2)
    if each.beside:
        return Record(each.experiment, NEAR, about | {"scale": each.scale}, ordered)
    return Record(each.experiment, each.scale, about, ordered)


def sweep(
    module: ModuleType, experiment: str, scale: str, seeds: Iterable[int], **how: Any
) -> Record:
    """All variants of one experiment over ``seeds``: the main runs first, then the controls.

    ``how`` is what `sweeps` takes.
    """
    (record,) = sweeps([Sweep(module, experiment, scale, tuple(seeds))], **how)
    return record
