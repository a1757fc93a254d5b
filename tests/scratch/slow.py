"""An experiment of the tests: slow enough to be interrupted, and it counts its runs in a file."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control
from whydeep.evidence.results import Result

PAGE = "scratch/slow"


@dataclass(frozen=True)
class Settings:
    """``cause`` makes the effect; ``seconds`` is how long a run takes."""

    cause: bool = True
    seconds: float = 0.15


SCALES = {"quick": Settings()}
VARIANTS = {"no cause": {"cause": False}}


def run(settings: Settings, chance: Chance) -> Result:
    """An effect of 1 with the cause, of 0 without; a line in the file SCRATCH_LOG for each run."""
    with Path(os.environ["SCRATCH_LOG"]).open("a") as log:
        log.write(f"{settings.cause}-{chance.seed}\n")
    time.sleep(settings.seconds)
    return Result(effect=(float(settings.cause), "units"), seed=(chance.seed, "seeds"))


CLAIMS = (
    Claim(
        id="slow-claim",
        cite="doe1999",
        title="A toy",
        says="A cause has an effect.",
        kind="effect",
        expected=SHOWN,
        decides=(
            Condition("effect", "it shows", lambda r: float(r["effect"]), ">=", 0.5, none=0.0),
        ),
        controls=(
            Control(
                "no cause",
                "the cause",
                ("effect",),
                (Condition("ran", "it ran", lambda result: float(result["seed"]), ">=", 0.0),),
            ),
        ),
    ),
)
