"""Where does descent stop in a spherical spin glass?

In the spherical p-spin glass the critical points of low index lie in a band of energies: between
the ground state and a threshold, -2 sqrt((p - 1) / p) per spin, as the number N of spins grows
(Auffinger, Ben Arous and Cerny 2013, Theorems 2.1 to 2.5). Choromanska and co-authors
({cite}`choromanska2015`) argue that the loss of a network has the same shape. Here is the glass
itself: projected gradient descent from random states for p = 3 and 12 to 96 spins.

What would refute it: ends of descent whose energies spread as widely with 96 spins as with 12, or
lie far from the threshold; or the same band where only a few of the spins take part in the
energy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from whydeep import figures, spin_glass
from whydeep.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.results import MAIN, Result

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/sgd/are-networks-spin-glasses"


@dataclass(frozen=True)
class Settings:
    """Descent from ``walkers`` random states in each of ``glasses`` glasses of each of ``sizes``.

    ``p`` spins a term of the energy. ``coupled``, if not 0, lets only so many spins take part in
    it, whatever the size.
    """

    sizes: tuple[int, ...] = (12, 24, 48, 96)
    glasses: tuple[int, ...] = (32, 16, 8, 4)
    walkers: int = 8
    p: int = 3
    steps: int = 800
    rate: float = 0.15
    coupled: int = 0


SCALES = {"quick": Settings()}
VARIANTS = {
    "eight-coupled": {"coupled": 8},
    "pairs": {"p": 2, "steps": 8000},
}


def few_coupled(
    n: int, glasses: int, coupled: int, rng: np.random.Generator
) -> Float[np.ndarray, "g n n n"]:
    """Couplings among the first ``coupled`` = m spins only; along the others the energy is flat.

    The scale is that of a glass of m spins: its energy per spin where the rest of the state is 0.
    """
    full = np.zeros((glasses, n, n, n), np.float32)
    drawn = spin_glass.draw_couplings(3, coupled, glasses, rng, np.float32)
    # The energy per spin is N^-2 S(sigma), and sigma is longer than theirs by sqrt(N / m).
    full[:, :coupled, :coupled, :coupled] = drawn * (n / coupled) ** 0.5
    return full


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """Energies per spin at the end of descent, for each size: mean, spread and extremes.

    ``spread`` is the standard deviation over the walkers of one glass, root-mean-square over the
    glasses of a size. Runs on the CPU in float32 whatever the ``device``.
    """
    mean, spread, lowest, highest, unfinished, ends = [], [], [], [], [], {}
    with threadpool_limits(1):  # the digits then do not depend on the number of cores
        for n, glasses, child in zip(
            settings.sizes,
            settings.glasses,
            np.random.SeedSequence(seed).spawn(len(settings.sizes)),
            strict=True,
        ):
            rng = np.random.default_rng(child)
            if settings.coupled:
                couplings = few_coupled(n, glasses, settings.coupled, rng)
            else:
                couplings = spin_glass.draw_couplings(settings.p, n, glasses, rng, np.float32)
            start = spin_glass.random_spins(glasses, settings.walkers, n, rng)
            spins, energies = spin_glass.descend(
                couplings,
                start,
                steps=settings.steps,
                rate=settings.rate,
                record_at=[settings.steps],
            )
            e = energies[..., 0].astype(float)
            mean.append(e.mean())
            spread.append(float(np.sqrt(e.var(axis=1, ddof=1).mean())))
            lowest.append(e.min(axis=1).mean())
            highest.append(e.max(axis=1).mean())
            left = spin_glass.gradient(couplings, spins)
            unfinished.append(float(np.sqrt(np.square(left).mean(-1)).max()))
            ends[f"ends_{n}"] = (np.sort(e[0]).astype(np.float32), "energy per spin")
    threshold = spin_glass.threshold(settings.p)
    gap = np.array(mean) - threshold
    unit = "energy per spin"
    return Result(
        sizes=(np.array(settings.sizes), "spins"),
        mean=(np.array(mean), unit),
        spread=(np.array(spread), unit),
        lowest=(np.array(lowest), unit),
        highest=(np.array(highest), unit),
        gap=(abs(gap[-1]), unit),
        gap_ratio=(abs(gap[-1]) / abs(gap[0]), "ratio of gaps"),
        mean_most=(mean[-1], unit),
        spread_fewest=(spread[0], unit),
        spread_most=(spread[-1], unit),
        narrowing=(spread[-1] / max(spread[0], 1e-6), "ratio of standard deviations"),
        unfinished=(max(unfinished), "root-mean-square gradient"),
        walkers=(settings.walkers, "walkers a glass"),
        **ends,
    )


CLAIMS = ()


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    raise NotImplementedError


def explorer(runs: Mapping[str, Mapping[int, Result]]) -> SweepExplorer:
    raise NotImplementedError
