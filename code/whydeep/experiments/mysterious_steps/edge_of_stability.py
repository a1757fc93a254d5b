"""What does gradient descent on a network do at the limit 2 / learning rate?

On a quadratic loss, descent diverges as soon as its largest curvature exceeds 2 / learning rate.
Networks do something else ({cite}`cohen2021`): full-batch descent raises the largest curvature,
the *sharpness*, until it reaches that limit, and then keeps it there. From then on the loss rises
in many single steps and falls all the same over many. We train a small tanh network on digits with
random labels, which it can fit only with effort, and follow its sharpness.

What would refute it: a sharpness that stays below the limit at a large learning rate, or a loss
that blows up, or stands still, once the sharpness is there.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.mysterious_steps import _sharpness
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "mysterious-steps/a-small-step"


@dataclass(frozen=True)
class Settings:
    """Full-batch descent for ``steps`` steps, looked at ``looks`` times at even distances.

    A network of 64-``width``-``width``-10 units learns ``examples`` digits; their labels are drawn
    at random if ``random_labels``. ``beyond``, if not 0, trains the last layer only, on which the
    loss is quadratic, and replaces the ``rate`` by ``beyond`` * 2 / (its largest curvature).
    """

    examples: int = 200
    width: int = 48
    rate: float = 0.3
    steps: int = 1500
    looks: int = 30
    random_labels: bool = True
    beyond: float = 0.0


SCALES = {"quick": Settings()}
VARIANTS = {"small-rate": {"rate": 0.1}, "last-layer": {"beyond": 1.002}}


def run(settings: Settings, chance: Chance) -> Result:
    """Sharpness and loss along the way, and what they do in the second half of training.

    The sharpness is given as a multiple of the limit 2 / rate, which is 1.
    """
    x, y = _sharpness.task(settings.examples, chance, random_labels=settings.random_labels)
    network, rate, names = _sharpness.network(settings.width), settings.rate, ()
    if settings.beyond:
        names = _sharpness.LAST_LAYER
        start = network(generator=chance["init"])
        rate = settings.beyond * 2 / _sharpness.sharpness(start, x, y, names=names)[0]
    trained, (edge,) = _sharpness.descend(
        network, x, y, (rate,), chance, steps=settings.steps, looks=settings.looks, names=names
    )
    loss = trained.batch_loss[0].cpu().double().numpy()
    half, near = settings.steps // 2, max(1, settings.steps // 30)
    late, middle = loss[half:], loss[half : half + near].mean()
    hover = float(np.median(edge[len(edge) // 2 :]))
    every = max(1, settings.steps // 300)
    limit, ratio = "sharpness over 2 / learning rate", "ratio of losses"
    return Result(
        at=(trained.measured_at, "steps"),
        edge=Quantity(edge, limit, step=trained.measured_at),
        loss=Quantity(
            loss[::every], "mean half squared error", step=range(0, settings.steps, every)
        ),
        hover=(hover, limit),
        hover_off=(abs(hover - 1), "distance from 1"),
        sharpening=(edge.max() / edge[0], "ratio of sharpnesses"),
        rises=(np.mean(np.diff(late) > 0), "share of the steps"),
        loss_ratio=(loss[-near:].mean() / middle, ratio),
        learned=(loss[-near:].mean() / loss[0], ratio),
    )


CLAIMS = (
    Claim(
        id="cohen2021-edge-of-stability",
        title="What does descent do at the limit of stability?",
        cite="cohen2021", kind="effect", expected=SHOWN,
        says="Full-batch gradient descent on networks typically trains in a regime where the "
        "largest curvature of the loss hovers right at, or just above, $2/\\eta$; the loss goes up "
        "and down from step to step, and still falls over many (abstract and Figure 1).",
        tested="Two layers of 48 tanh units, 200 digits of 8 by 8 pixels with random labels, "
        "squared error, 1,500 steps on all of them at a learning rate of 0.3.",
        so="In the second half of training the largest curvature is "
        "{num}`mysterious-steps/edge-of-stability hover .2f` times $2/\\eta$, the loss rises in "
        "{num}`cohen2021-edge-of-stability:rises .0%` of the steps, and ends at "
        "{num}`cohen2021-edge-of-stability:loss_ratio .2f` times what the half began with.",
        caveat="Full batches, one small network and random labels, chosen because they take many "
        "steps to fit; at a third of the rate as many steps only come to "
        "{num}`mysterious-steps/edge-of-stability@small-rate hover .2f` of the limit.",
        paper=(
            ("sharpness in the course of full-batch descent", "hovers right at, or just above, "
             "$2/\\eta$", "abstract and Figure 1"),
        ),
        decides=(
            at_most("hover_off", "in the second half of training the median of sharpness over "
                    "$2/\\eta$ lies within {bound} of 1", 0.15, none=0.15,
                    because="the sharpness starts a third below the limit; half of that is 0.15"),
            at_least("rises", "in the second half the loss rises in at least {bound:word} of the "
                     "steps", 0.2, none=0.0,
                     because="below the limit it rises in none; one step in five is no rarity"),
            at_most("loss_ratio", "and is at most {bound} times as large at its end as at its "
                    "beginning", 0.7, none=1.0, log=True,
                    because="a fall of three tenths is still training"),
        ),
        controls=(
            Control(
                "small-rate", "the large learning rate: a third of it, for as many steps",
                ("hover_off", "rises"),
                (
                    at_least("sharpening", "its sharpness grows as well, by a factor of at least "
                             "{bound}", 1.3),
                    at_most("learned", "it learns: its loss falls to at most {bound:word}", 0.5),
                ),
            ),
            Control(
                "last-layer", "the freedom to change the curvature: only the last layer learns, "
                "on which the loss is quadratic, at a rate just beyond 2 / curvature",
                ("loss_ratio",),
                (at_most("hover_off", "its sharpness is as near to the limit, to {bound}", 0.15),),
            ),
        ),
        limits="With small batches the sharpness stays below the limit {cite}`andreyev2024`.",
    ),
)  # fmt: skip

NAMES = {MAIN: r"$\eta$ = 0.3", "small-rate": r"$\eta$ = 0.1", "last-layer": "last layer only"}


def figure(runs: Runs) -> figures.Figure:
    """Sharpness over its limit, and the loss, along the steps."""
    at = first(runs, "at")
    with panels(2, size=(8.2, 3.9)) as (drawn, axes):
        for variant, name in NAMES.items():
            if variant in runs:
                losses = over_seeds(runs, "loss", variant)
                steps = np.linspace(0, at[-1], losses.shape[1], endpoint=False)
                edges = over_seeds(runs, "edge", variant)
                figures.band(axes[0], at, edges, label=name, markevery=5)
                figures.band(axes[1], steps, losses, label=name, markevery=50)
        axes[0].axhline(1, **figures.THEORY, label=r"the limit $2/\eta$")
        axes[0].set(ylabel=r"sharpness over $2/\eta$", ylim=(0, 1.3))
        axes[1].set(ylabel="loss (half squared error)", yscale="log", ylim=(0.05, 10))
        for panel in axes:
            panel.set(xlabel="steps")
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figures.Figure(
        drawn,
        label="fig-edge",
        caption="Full-batch gradient descent on 200 digits with random labels. Left, the largest "
        "curvature over the limit $2/\\eta$ (dashed). At the learning rate 0.3 it climbs to the "
        "limit and stays there; at 0.1 it climbs and has not arrived. Right, the loss: at the "
        "limit it is ragged and falls. On the last layer alone, whose curvature cannot change, a "
        "rate just beyond the limit makes the loss grow out of the picture. Bands are one standard "
        "deviation over seeds.",
        alt="Two panels against steps. Left, three lines of sharpness over its limit: one climbs "
        "from 0.7 to the dashed line at 1 and stays, one climbs from 0.2 to 0.45, one lies on the "
        "dashed line throughout. Right, the loss on a logarithmic axis: the first falls most, the "
        "second less, the third falls and then grows in a straight line out of the picture.",
    )
