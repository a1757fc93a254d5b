"""Where a number comes from: the code that made it by hash, settings, data, machine, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from functools import lru_cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from typing import Any

from whydeep.errors import WhydeepError
from whydeep.evidence.machine import arithmetic
from whydeep.evidence.reach import PACKAGE, Reached, reach

# Told for every record, whether or not a run reaches them; what else it reaches comes on top.
VERSIONED = ("torch", "numpy", "scipy", "scikit-learn")


def repository() -> Path:
    """The root of the checkout; WHYDEEP_ROOT overrides. WhydeepError where there is none."""
    root = Path(os.environ.get("WHYDEEP_ROOT", PACKAGE.parents[1]))
    if not (root / "data").is_dir():
        raise WhydeepError(
            f"no data/ folder in {root}: run from a clone of the book's repository, "
            "or set WHYDEEP_ROOT to one"
        )
    return root


@lru_cache
def reached(module: str) -> Reached:
    """What ``run`` of an experiment reaches, read once a process."""
    return reach(module)


def code_hash(module: str) -> str:
    """Twelve hex digits over the definitions that ``run`` of an experiment reaches.

    Comments, docstrings, annotations, layout and the place of a definition do not count, nor what
    no run can reach, such as CLAIMS and figures. The same under every version of Python.
    """
    return reached(module).code


def standing(provenance: Mapping[str, Any]) -> str:
    """The code that a record stands for: that which made it, or the last that was certified.

    "" for a record that does not say, which then stands for none.
    """
    certified = provenance.get("certified") or [provenance]
    return certified[-1].get("code", "")


def data_of(module: str) -> dict[str, str]:
    """The data files that ``run`` of an experiment can read, and the first digits of their SHA-256.

    The files are verified against these whenever they are read, so that a name and a checksum say
    what the numbers rest on. A file to be downloaded counts only if this process has read it.
    """
    from whydeep.datasets import catalogue, used

    asked, read = tuple(reached(module).data), used()
    return {
        file.name: file.checksum
        for file in (catalogue() if asked else ())
        if file.name.startswith(asked) and (file.kind != "download" or file.name in read)
    }


def draws(module: str) -> bool:
    """Whether ``run`` of an experiment draws its examples from a pool."""
    return ("whydeep.datasets.pools", "current") in reached(module).where


def provenance(
    module: str, settings: Any, variants: Mapping[str, Mapping], device: str
) -> dict[str, Any]:
    """What a record says of its making; ``device`` is the one that the runs used.

    ``parts`` are the definitions reached, so that a change can be named.
    """
    found = reached(module)
    return {
        "code": found.code,
        "parts": found.parts,
        "commit": commit(),
        "settings": asdict(settings),
        "variants": {variant: dict(changes) for variant, changes in variants.items()},
        "data": data_of(module),
        "device": f"{device} ({device_name(device)})",
        **arithmetic(),
        "python": platform.python_version(),
        **{name: version(name) for name in (*VERSIONED, *distributions(found.outside))},
    }


def device_name(device: str) -> str:
    """What computes: the GPU's name, or the machine's architecture."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.get_device_name(device)
    return platform.machine()


@lru_cache
def _owners() -> Mapping[str, list[str]]:
    return packages_distributions()


def distributions(names: Iterable[str]) -> list[str]:
    """The installed distributions that dotted names such as ``sklearn.svm.SVC`` come from."""
    owners = _owners()
    tops = {name.partition(".")[0] for name in names} - {"whydeep"}
    return sorted({each for top in tops for each in owners.get(top, ())} - set(VERSIONED))


def commit() -> str:
    """The commit of the checkout, with a + where files of the package or data differ from it.

    "" where there is no git or no repository.
    """

    def git(*words: str) -> str:
        done = subprocess.run(
            # status would else write the index anew, and killed meanwhile leave it locked
            ["git", "--no-optional-locks", "-C", str(PACKAGE), *words],
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    try:
        changed = git("status", "--porcelain", "--", str(PACKAGE))
        return git("rev-parse", "--short=12", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return ""
