"""What max-pooling buys a network: the same network with three ways to halve its pictures.

AlexNet takes the maximum over small neighbourhoods after three of its layers
({cite}`krizhevsky2012`). It may serve to shrink the pictures, to tolerate small shifts, or to keep
what is sparse better than an average does ({cite}`boureau2010,scherer2010`). We train networks on
small pictures of clothes that differ in one line: the maximum of each 2 x 2 block, its average, or
its first number only, which is a convolution with stride 2.

What would refute it: an average, at a rate of its own, as good as the maximum on pictures; or the
same lead where features are not sparse. For tolerance to shifts as the reason: a maximum that loses
as much to a shift of one pixel as the stride or the average does, or as little where the four
numbers that are pooled are no neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from whydeep.chance import Chance
from whydeep.evidence.claims import UNDECIDED, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.design_choices._pools import Setup, errors
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, over_seeds, panels

PAGE = "design-choices/max-pooling"
DESIGNS = ("maximum", "average", "stride")


@dataclass(frozen=True)
class Settings(Setup):
    """More networks with average pooling learn at ``fast_rate``; the rest is as in `Setup`."""

    fast_rate: float = 0.05


SCALES = {"quick": Settings()}
# In the controls one network of each design is enough, and none learns faster.
_CHEAP = {"members": 1, "fast_rate": 0.02}
VARIANTS = {"textures": {"data": "textures", **_CHEAP}, "scattered": {"scattered": True, **_CHEAP}}


def run(settings: Settings, chance: Chance) -> Result:
    """Errors of the three designs, and what a shift of the test pictures by one pixel adds.

    ``ratio`` is the error with average pooling over that with max-pooling, ``ratio_fast`` the same
    where average pooling learns at its faster rate. ``shift_gap`` is how much more a shift costs
    with the stride than with max-pooling.
    """
    found = {design: errors(design, settings, chance) for design in DESIGNS}
    fast = found["average"]
    if settings.fast_rate != settings.sgd.lr:
        faster = replace(settings, sgd=replace(settings.sgd, lr=settings.fast_rate))
        fast = errors("average", faster, chance)
    share, steps = "fraction of test examples", settings.checked

    def of_designs(name: str, unit: str) -> Quantity:
        return Quantity([found[design][name] for design in DESIGNS], unit, design=DESIGNS)

    return Result(
        steps=(steps, "steps"),
        curve=Quantity(
            [found[design]["curve"] for design in DESIGNS], share, design=DESIGNS, step=steps
        ),
        error=of_designs("test", share),
        train=of_designs("train", "fraction of training examples"),
        shift=of_designs("cost", share),
        ratio=(found["average"]["test"] / found["maximum"]["test"], "ratio of test errors"),
        ratio_fast=(fast["test"] / found["maximum"]["test"], "ratio of test errors"),
        shift_gap=(found["stride"]["cost"] - found["maximum"]["cost"], share),
    )


FAST = at_least(
    "ratio_fast",
    "average pooling, at a faster rate of its own, has at least {bound} times the error of "
    "max-pooling",
    1.08,
    none=1.0,
    log=True,
    because="the least lead for which one would choose a pool; the catalogue had it before any run",
)
RATIO = at_least(
    "ratio",
    "at the same rate and after the same steps, average pooling has at least {bound} times the "
    "error of max-pooling",
    1.08,
    none=1.0,
    log=True,
)
SHIFT = at_least(
    "shift_gap",
    "a shift by one pixel costs at least {bound} more with a stride than with max-pooling",
    0.03,
    none=0.0,
)
SHIFT_OF_AVERAGE = Condition(
    "shift_of_average",
    "a shift by one pixel costs at least {bound} more with average pooling than with max-pooling",
    lambda result: float(result["shift[average]"] - result["shift[maximum]"]),
    ">=",
    0.03,
    "fraction of test examples",
    none=0.0,
)


def _learns(quantity: str, bound: float) -> tuple[Condition]:
    return (at_most(quantity, "the network learns: its error is at most {bound}", bound),)


CLAIMS = (
    Claim(
        id="krizhevsky2012-max-pooling", cite="scherer2010", kind="effect", expected=UNDECIDED,
        title="Does the maximum beat the average in a network?",
        says="Max-pooling does significantly better than subsampling by averages in convolutional "
        "networks that recognise objects (abstract).",
        tested="Two networks a seed of two convolutional layers on 2,000 pictures of clothes, "
        "14 x 14, 160 steps; maps are halved by the maximum or the average of 2 x 2 blocks, the "
        "average at a rate 2.5 times as high.",
        so="The average errs {num}`design-choices/pooled-networks ratio_fast .2f ±` times as often "
        "as the maximum; at the same rate it is {num}`design-choices/pooled-networks ratio .2f ±` "
        "times, part of which is speed.",
        caveat="The networks are stopped early: with average pooling they still err on "
        "{num}`design-choices/pooled-networks train[average] .0%` of the training pictures, with "
        "the maximum on {num}`design-choices/pooled-networks train[maximum] .0%`, and at the end "
        "of a longer training the lead may be gone. Tolerance to shifts does not explain it: a "
        "shift by one pixel costs the maximum "
        "{num}`design-choices/pooled-networks shift[maximum] .0%`, the average "
        "{num}`design-choices/pooled-networks shift[average] .0%`, a stride "
        "{num}`design-choices/pooled-networks shift[stride] .0%`.",
        paper=(
            ("max-pooling against subsampling by averages, two collections of pictures",
             "no number: significantly better", "{cite:t}`scherer2010`, abstract"),
        ),
        decides=(FAST,),
        mechanism=(RATIO, SHIFT, SHIFT_OF_AVERAGE),
        controls=(
            Control(
                "textures", "sparse features: the pictures are noise whose mean over a quarter "
                "tells the class", ("ratio_fast", "ratio"),
                _learns("error[average]", 0.4),
            ),
            Control(
                "scattered", "the neighbourhood: the four places that are pooled are brought "
                "together by a fixed shuffle", ("shift_gap",),
                _learns("error[maximum]", 0.35),
            ),
        ),
        limits="A convolution with stride does as well on pictures that are not shifted "
        "{cite}`springenberg2015`; tolerance to shifts is learned, with and without pooling "
        "{cite}`ruderman2018`; and max-pooling is itself not stable under shifts "
        "{cite}`zhang2019`.",
        changes=("The average at a rate of its own decides, in place of one at the maximum's rate "
                 "(stricter). The shift is part of the reason and decides nothing; that the "
                 "average tolerates it better than the maximum is shown beside it.",),
    ),
)  # fmt: skip


PLOT = Plot(
    sweep=Axis("step"),
    at="steps",
    y=Axis("test error", "%"),
    series={f"curve[{design}]": design for design in DESIGNS},
    factor=100.0,
)


def figure(runs: Runs) -> figures.Figure:
    """Test error over training, and what a shift by one pixel adds, for the three designs."""
    colours = list(figures.COLOURS.values())
    names = {MAIN: "neighbours pooled", "scattered": "scattered places pooled"}
    shown = [variant for variant in names if variant in runs]
    with panels(2, size=(7.4, 3.4)) as (drawn, (left, right)):
        PLOT.draw(left, runs)
        left.set(title="on pictures as they are")
        for i, design in enumerate(DESIGNS):
            for j, variant in enumerate(shown):
                cost = over_seeds(runs, f"shift[{design}]", variant, factor=100.0)[:, None]
                place = np.array([j + 0.18 * (i - 1)])
                figures.dots(right, place, cost, fmt="os^"[i], color=colours[i])
        right.set(ylabel="added by a shift (%)", title="shifted by one pixel", ylim=(0, None))
        right.set_xticks(range(len(shown)), [names[variant] for variant in shown])
        right.set_xlim(-0.5, len(shown) - 0.5)
    return figures.Figure(
        drawn,
        label="fig-pooled-networks",
        caption="Three networks that differ in how they halve their pictures. Left: test error "
        "over the training, all at one learning rate. Right: what a shift of the test pictures by "
        "one of 14 pixels adds to the error. Max-pooling makes it cheaper only where neighbours "
        "are pooled. Bands and bars are one standard deviation over seeds.",
        alt="Left: three falling lines of test error against steps; average pooling lies above "
        "maximum and stride, which are close together. Right: the error that a shift adds; with "
        "neighbours pooled it is smallest for average, larger for maximum and largest for stride; "
        "with scattered places maximum has become the largest.",
    )
