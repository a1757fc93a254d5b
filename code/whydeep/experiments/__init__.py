"""One module an experiment, in folders named like the book's chapters.

A module has SCALES (named frozen Settings), VARIANTS (changes of the settings, for controls), PAGE
(the page that treats it), CLAIMS, ``run(settings, chance) -> Result`` and ``figure(runs)``, and as
it needs them SEEDS (how many a record has, five if it says nothing), NEIGHBOURS (settings that
ought not to matter) and TIMED. Its id is its path here with dashes: ``features/raw-pixels``. No
experiment imports another: what two of a
part share stands beside them in a module whose name begins with ``_``, what two parts share in
`whydeep.labs` or `whydeep.datasets`.
"""

from __future__ import annotations

import importlib
import pkgutil
from functools import lru_cache
from types import ModuleType

from whydeep.errors import UnknownExperiment


@lru_cache
def experiments() -> dict[str, ModuleType]:
    """Every experiment by its id, in alphabetical order."""
    found = {}
    for info in pkgutil.walk_packages(__path__, prefix=f"{__name__}."):
        if not info.ispkg and not info.name.rpartition(".")[2].startswith("_"):
            name = info.name.removeprefix(f"{__name__}.").replace(".", "/").replace("_", "-")
            found[name] = importlib.import_module(info.name)
    return dict(sorted(found.items()))


def recorded_scale(module: ModuleType) -> str:
    """The scale that verdicts rest on: ``full`` where there is one, else ``quick``."""
    return "full" if "full" in module.SCALES else "quick"


def recorded_seeds(module: ModuleType) -> list[int]:
    """The seeds that verdicts rest on: SEEDS of them, five where the module names none."""
    return list(range(getattr(module, "SEEDS", 5)))


def find(name: str) -> tuple[str, ModuleType]:
    """The experiment with this id, or the one that holds the claim with this id."""
    for experiment, module in experiments().items():
        if name == experiment or name in {claim.id for claim in module.CLAIMS}:
            return experiment, module
    raise UnknownExperiment(
        f"no experiment or runnable claim is called {name!r}: `whydeep list` names them all"
    )
