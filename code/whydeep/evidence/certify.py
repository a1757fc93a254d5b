"""Certificates: a record stays valid where rewritten code makes the same numbers, bit by bit.

Both the code that a record stands for, taken from git, and the code as it is now run on this
machine, on seeds that nobody chose: one of the recorded ones and one of the calibration's, picked
by a hash of the experiment's id and the new code; all variants. Only equal bits count: trainings
are chaotic, and "nearly the same" would be the same for no reason. At most three certificates stand
in a chain, for each rests on two seeds; then, and for every release, the record is made anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType

from whydeep.errors import WhydeepError
from whydeep.evidence.machine import arithmetic
from whydeep.evidence.provenance import code_hash, commit, reached, repository, standing
from whydeep.evidence.reach import code_in
from whydeep.evidence.results import Record, read_record, record_path

MOST = 3
LOOKED_AT = 20  # commits that wrote the record, back from the newest
# Runs in a process of its own with one of the two packages on its path, and knows no more of it
# than what every version has: the registry, scales, variants, `run`.
RUNNER = """
import base64, contextlib, dataclasses, inspect, json, sys
import numpy as np
from whydeep.experiments import experiments

experiment, scale, pool, runs = json.loads(sys.argv[1])
drawing = contextlib.nullcontext
if pool:  # so both packages have pools
    from whydeep.datasets import pools
    drawing = lambda: pools.using(pool)
module = experiments()[experiment]
found = []
for variant, seed in runs:
    changes = {} if variant == "main" else module.VARIANTS[variant]
    settings = dataclasses.replace(module.SCALES[scale], **changes)
    if "chance" in inspect.signature(module.run).parameters:
        from whydeep.chance import Chance
        with drawing():
            result = module.run(settings, Chance(seed))
    else:  # as runs were called before there was a Chance
        result = module.run(settings, seed=seed, device="cpu", progress=False)
    bits = {}
    for name, value in result.items():
        value = np.ascontiguousarray(value)
        bits[name] = [value.dtype.str, value.shape, base64.b64encode(value.tobytes()).decode()]
    found.append(bits)
sys.stdout.write("\\n" + json.dumps(found))
"""


@dataclass(frozen=True)
class Outcome:
    """What `certify` found of one record: ``word`` is "stands", "certified" or "differs".

    ``record`` is the certified one, to be written.
    """

    experiment: str
    scale: str
    word: str
    why: str = ""
    record: Record | None = None

    @property
    def good(self) -> bool:
        return self.word != "differs"

    def __str__(self) -> str:
        return f"{self.word:9} {self.experiment} ({self.scale})" + (
            f": {self.why}" * bool(self.why)
        )


def earlier(record: Record) -> str:
    """Why a calibration was not made anew when the code changed; "" for one that has to stand."""
    return record.provenance.get("earlier", "") if record.scale == "calibration" else ""


def stale(module: ModuleType, record: Record) -> list[str]:
    """The definitions that changed since the code that the record stands for; [] if none did.

    A calibration that says itself that it is of `earlier` code, and why, is not asked.
    """
    if standing(record.provenance) == code_hash(module.__name__) or earlier(record):
        return []
    certified = record.provenance.get("certified", ())
    before = (certified[-1] if certified else record.provenance).get("parts", {})
    now = reached(module.__name__).parts
    changed = {name for name in {*before, *now} if before.get(name) != now.get(name)}
    return sorted(changed) or ["unknown definitions"]


def certify(module: ModuleType, experiment: str, scale: str) -> Outcome:
    """The record with a certificate for the code as it is now, if that makes the same bits.

    WhydeepError where the record is missing, where git does not have the code that it stands for,
    or where the old code does not run here any more.
    """
    record = read_record(experiment, scale)
    changed = stale(module, record)
    if not changed:
        return Outcome(experiment, scale, "stands")
    about = record.provenance
    chain = list(about.get("certified", ()))
    remedy = f"run `whydeep record {experiment}" + " --calibration`" * (scale == "calibration")
    remedy += "`" * (scale != "calibration")
    if len(chain) >= MOST:
        return Outcome(
            experiment, scale, "differs", f"it has {MOST} certificates, which is the most: {remedy}"
        )
    recorded = about.get("scale", scale)
    if set(record.runs) != {"main", *module.VARIANTS}:
        return Outcome(experiment, scale, "differs", f"its variants changed: {remedy}")
    now = code_hash(module.__name__)
    seeds = chosen_seeds(experiment, now)
    runs = [(variant, seed) for variant in record.runs for seed in seeds]
    with _code_of(record, module.__name__) as old:
        pool = about.get("pool")
        both = (_bits(path, experiment, recorded, pool, runs) for path in (old, repository()))
        for (variant, seed), before, after in zip(runs, *both, strict=True):
            if before != after:
                names = sorted(n for n in {*before, *after} if before.get(n) != after.get(n))
                return Outcome(
                    experiment, scale, "differs",
                    f"{variant}, seed {seed}: {', '.join(names[:3])} (changed: "
                    f"{', '.join(changed[:4])}); {remedy}",
                )  # fmt: skip
    certificate = {
        "code": now,
        "from": standing(about),
        "parts": reached(module.__name__).parts,
        "commit": commit(),
        "seeds": list(seeds),
        "date": date.today().isoformat(),
        **{key: value for key, value in arithmetic().items() if key in ("processor", "capability")},
    }
    renewed = replace(record, provenance=about | {"certified": [*chain, certificate]})
    why = f"seeds {seeds[0]} and {seeds[1]}, all variants"
    return Outcome(experiment, scale, "certified", why, renewed)


def chosen_seeds(experiment: str, code: str) -> tuple[int, int]:
    """A recorded seed and a calibration seed that nobody chose."""
    drawn = int(hashlib.sha256(f"{experiment} {code}".encode()).hexdigest(), 16)
    return drawn % 5, 1000 + drawn // 5 % 20


@contextmanager
def _code_of(record: Record, module: str) -> Iterator[Path]:
    """A checkout of the newest commit that wrote this record and holds the code it stands for."""
    root = repository()
    file = record_path(record.experiment, record.scale).relative_to(root).as_posix()
    wrote = _git(root, "log", f"-{LOOKED_AT}", "--format=%H", "--", file).split()
    with tempfile.TemporaryDirectory() as folder:
        for number, commit_ in enumerate(wrote):
            path = Path(folder) / str(number)
            _git(root, "worktree", "add", "--detach", "--force", str(path), commit_)
            try:
                if code_in(path / "code" / "whydeep", module) == standing(record.provenance):
                    yield path
                    return
            finally:
                _git(root, "worktree", "remove", "--force", str(path))
    raise WhydeepError(
        f"no commit that wrote {file} holds the code that it stands for: commit both together, or "
        "record the experiment anew"
    )


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", None) or str(error)
        raise WhydeepError(
            f"git {words[0]} failed ({told}): certify in a clone with its history"
        ) from None
    return done.stdout.strip()


def _bits(
    root: Path, experiment: str, scale: str, pool: str | None, runs: list[tuple[str, int]]
) -> list[dict]:
    """The bits of every quantity of each run, (variant, seed), by the package in ``root``.

    ``pool`` is the one that the record says it drew from; None where it says none.
    """
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, json.dumps([experiment, scale, pool, runs])],
        env=_environment(root),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise WhydeepError(
            f"the code in {root} does not run {experiment} ({last}): record the experiment anew"
        )
    return json.loads(done.stdout.splitlines()[-1])


def _environment(root: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("WHYDEEP_ROOT", "WHYDEEP_DATA")}
    return kept | {"PYTHONPATH": str(root / "code")}
