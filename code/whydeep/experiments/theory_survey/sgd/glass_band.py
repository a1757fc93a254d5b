"""Where does descent stop in a spherical spin glass?

In the spherical p-spin glass the critical points of low index lie in a band of energies: between
the ground state and a threshold, -2 sqrt((p - 1) / p) per spin, as the number N of spins grows
({cite}`auffinger2013`). Choromanska and co-authors ({cite}`choromanska2015`) argue that the loss of
a network has the same shape. Here is the glass itself: projected gradient descent from random
states for p = 3 and 12 to 96 spins.

What would refute it: ends of descent whose energies spread as widely with 96 spins as with 12, or
lie far from the threshold; or the same band where only a few of the spins take part in the
energy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.labs import spin_glass
from whydeep.show import figures
from whydeep.show.plot import Axis, Runs, compare, first, over_seeds, panels, ticks

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
VARIANTS = {"eight-coupled": {"coupled": 8}, "pairs": {"p": 2, "steps": 8000}}


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


def run(settings: Settings, chance: Chance) -> Result:
    """Energies per spin at the end of descent, for each size: mean, spread and extremes.

    ``spread`` is the standard deviation over the walkers of one glass, root-mean-square over the
    glasses of a size. Runs on the CPU in float32.
    """
    members = chance.members(len(settings.sizes))
    found = []
    with threadpool_limits(1):  # the digits then do not depend on the number of cores
        for n, glasses, child in zip(settings.sizes, settings.glasses, members, strict=True):
            rng = child.numpy()
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
            spread = np.sqrt(e.var(axis=1, ddof=1).mean())
            left = spin_glass.gradient(couplings, spins)
            unfinished = np.sqrt(np.square(left).mean(-1)).max()
            found.append((e.mean(), spread, e.min(1).mean(), e.max(1).mean(), unfinished))
    mean, spread, lowest, highest, unfinished = np.array(found).T
    gap = abs(mean - spin_glass.threshold(settings.p))
    unit = "energy per spin"
    return Result(
        sizes=(np.array(settings.sizes), "spins"),
        mean=(mean, unit),
        spread=(spread, unit),
        lowest=(lowest, unit),
        highest=(highest, unit),
        gap=(gap[-1], unit),
        gap_ratio=(gap[-1] / gap[0], "ratio of gaps"),
        narrowing=(spread[-1] / max(spread[0], 1e-6), "ratio of standard deviations"),
        unfinished=(unfinished.max(), "root-mean-square gradient"),
    )


def band_widths(result: Result) -> float:
    """The distance from the threshold with the most spins, in widths of the band below it."""
    return float(result["gap"] / (spin_glass.threshold(3) - spin_glass.floor_of_index(3)))


CLAIMS = (
    Claim(
        id="choromanska2015-spinglass-band",
        cite="choromanska2015", kind="effect", expected=SHOWN,
        title="Where does descent stop in a spin glass?",
        says="In a large spherical spin glass, which stands for a large network, the lowest "
        "critical points lie in a band of energies, and descent is conjectured to converge to "
        "that band (abstract).",
        tested="The glass itself, three spins a term, 12 to 96 spins: descent from 8 random "
        "starts in each of 32 to 4 glasses a size; no network.",
        so="From 12 to 96 spins the distance of the mean final energy from the band's upper edge, "
        "$-1.633$, falls to {num}`theory-survey/sgd/glass-band gap_ratio .2f ±` of what it was, "
        "and the spread over the starts to {num}`theory-survey/sgd/glass-band narrowing .2f ±`.",
        caveat="Descent comes near the band and is not in it: with 96 spins it stops "
        "{num}`theory-survey/sgd/glass-band gap .3f ±` above the edge, "
        "{num}`choromanska2015-spinglass-band:band-widths .1f` times the width of the band of "
        "infinitely many spins.",
        paper=(
            ("energy per spin below which almost all stationary points are minima, $p = 3$",
             "$-2\\sqrt{2/3} = -1.633$", "{cite:t}`auffinger2013`, definition of $E_\\infty$"),
            ("local minima outside the band", "their number falls exponentially with the size of "
             "the network", "abstract, for the glass that stands for the network"),
        ),
        decides=(
            at_most("gap_ratio", "with 96 spins the mean energy in the end is at most {bound} "
                    "times as far from the threshold of infinitely many as with 12", 0.5, none=1.0,
                    log=True, because="for eight times the spins, a fall by less than half would "
                    "hardly be called a convergence"),
            at_most("narrowing", "the spread over the starts is at most {bound} times the one "
                    "with 12 spins", 0.5, none=1.0, log=True, because="as for the distance"),
        ),
        mechanism=(
            Condition("band-widths", "with 96 spins the mean energy in the end is at most as "
                      "far from the threshold as the ground state is: {bound} width of the band",
                      band_widths, "<=", 1.0, "ratio", none=1.0, log=True),
            at_least("spread[-1]", "it is a band and no single energy: with 96 spins the starts "
                     "still spread by {bound}", 0.015, none=0.0),
        ),
        controls=(
            Control(
                "eight-coupled", "the coupling of all spins: only eight of them take part in the "
                "energy, in a space of as many dimensions",
                ("gap_ratio", "narrowing"),
                (
                    at_most("unfinished", "every walker has come to rest: no gradient above "
                            "{bound}", 0.3),
                ),
            ),
            Control(
                "pairs", "the third spin of each product: a quadratic form has one valley and its "
                "mirror image", ("spread[-1]",),
                (
                    at_most("unfinished", "every walker has come to rest: no gradient above "
                            "{bound}", 0.3),
                ),
            ),
        ),
        changes=("Ratios are judged by their logarithms. The distance with 96 spins no "
                 "longer decides under a bound of its own, 0.12; it is shown beside the width of "
                 "the band. That a spread is left is shown and no longer decides: an easy "
                 "condition.",),
        limits="Networks are another matter: a growing number of flat directions slows their "
        "training, and it goes otherwise than in a mean-field glass, although neither crosses "
        "barriers; only networks with too few weights were found to behave as glasses do "
        "{cite}`baityjesi2018`. And for energies that mix several degrees, descent from a prepared "
        "start ends below the threshold {cite}`folena2020`.",
    ),
)  # fmt: skip

NAMES = {
    MAIN: "three spins a term",
    "eight-coupled": "only eight coupled",
    "pairs": "two spins a term",
}


def figure(runs: Runs) -> figures.Figure:
    """Energies in the end against the number of spins, with the theory; and their spread."""
    sizes = first(runs, "sizes")
    heights = (  # each with its name, and whether that stands above the line, and on the right
        (spin_glass.threshold(3), "threshold, $p = 3$", True, False),
        (spin_glass.floor_of_index(3), "ground state, $p = 3$", False, False),
        (spin_glass.threshold(2), "threshold, $p = 2$", False, True),
    )
    with panels(2, size=(8.2, 3.9), width_ratios=(1.35, 1)) as (drawn, axes):
        for variant, label in NAMES.items():
            if variant in runs:
                mean, lowest, highest = (
                    over_seeds(runs, name, variant).mean(0)
                    for name in ("mean", "lowest", "highest")
                )
                (line,) = axes[0].plot(sizes, mean, label=label)
                shade = {"color": line.get_color(), "alpha": 0.18, "lw": 0}
                axes[0].fill_between(sizes, lowest, highest, **shade)
        # Pairs have no spread: nothing to show on a logarithmic axis.
        spreading = {variant: label for variant, label in NAMES.items() if variant != "pairs"}
        compare(axes[1], runs, "spread", "sizes", spreading)
        for height, name, above, right in heights:
            axes[0].axhline(height, **figures.THEORY)
            axes[0].annotate(
                name,
                (sizes[-1] if right else sizes[0], height),
                xytext=(0, 3 if above else -4),
                textcoords="offset points",
                ha="right" if right else "left",
                va="bottom" if above else "top",
                color=figures.INK,
                fontsize=9,
            )
        axes[0].set(ylabel="energy per spin in the end", ylim=(-1.76, -0.75))
        axes[1].set(ylabel="spread over the starts", yscale="log", ylim=(0.02, 0.4))
        axes[1].set_yticks((0.02, 0.05, 0.1, 0.2, 0.4), ("0.02", "0.05", "0.1", "0.2", "0.4"))
        for panel in axes:
            panel.set(xlabel="spins $N$", xscale="log")
            ticks(panel, sizes)
        axes[0].legend(loc="upper right")
        axes[1].legend(loc="lower left")
    seeds = len(runs[MAIN])
    return figures.Figure(
        drawn,
        label="fig-glass-band",
        caption="Where descent from random starts ends. Left, the mean energy per spin and, "
        "shaded, the range from the lowest to the highest of eight walkers in a glass; dashed, "
        "what theory says for infinitely many spins. Right, the standard deviation over the "
        f"walkers of a glass, with its own over {figures.count(seeds)}. For pairs of spins it is "
        "zero: all walkers find the same energy.",
        alt="Two panels against the number of spins, from 12 to 96. Left, the band of three spins "
        "a term sinks towards the dashed threshold at minus 1.63 and narrows from both sides; "
        "that of eight coupled spins stays wide and near minus 1.3; pairs are a line without a "
        "band, which sinks towards its own threshold at minus 1.41. Right, on logarithmic axes, "
        "the spread of three spins a term falls steadily to a quarter, that of eight coupled spins "
        "stays above it.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The band of final energies against the number of spins, to drag along."""
    from whydeep.widgets import Prediction, SweepExplorer  # pages need it, the CLI does not

    heights = ("highest", "mean", "lowest")
    above = {}
    for variant, by_seed in runs.items():
        threshold = spin_glass.threshold(2 if variant == "pairs" else 3)
        above[variant] = {
            seed: dict(result) | {name: result[name] - threshold for name in heights}
            for seed, result in by_seed.items()
        }
    return SweepExplorer.from_runs(
        above,
        key="glass-band",
        title="Where eight walkers end in a spin glass",
        about="Move along the number of spins and watch the highest and the lowest of eight "
        "walkers close in on their mean, and on the threshold, which is zero here. Then couple "
        "only eight of the spins: which of the three curves still moves? Then take pairs: where "
        "has the band gone?",
        series={
            "highest": "highest of eight walkers",
            "mean": "mean",
            "lowest": "lowest of eight walkers",
        },
        variants=NAMES | {"eight-coupled": "only eight spins coupled"},
        sweep=Axis("spins N", log=True),
        sweep_values="sizes",
        y=Axis("energy per spin in the end, above the threshold"),
        predict=Prediction(
            "Eight walkers go down from random places of one landscape, once with 12 spins and "
            "once with 96. How do the energies at which they stop differ?",
            (
                "With more spins they scatter more: there are more valleys to stop in",
                "With more spins they scatter less and lie higher: good valleys are hard to find",
                "With more spins they scatter less and lie lower",
            ),
            2,
            "There are exponentially more valleys, but nearly all of them lie in a narrow band of "
            "energies, near a threshold that small landscapes do not reach.",
        ),
    )
