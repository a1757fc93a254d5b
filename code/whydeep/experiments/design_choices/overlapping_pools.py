"""Do pools that overlap help? Windows of 3 x 3 at stride 2 against blocks of 2 x 2.

AlexNet pools overlapping windows, which is said to lower its error by 0.4 points and to make it
slightly harder to overfit ({cite}`krizhevsky2012`, section 3.4). We compare the two in the
networks of the page's other experiment. A positive control changes something that helps for
certain: the second network keeps its blocks and is trained for three times as long. Its gain is far
larger than the paper's, and so it says nothing about a gain as small as that.

What would refute it: an error that does not fall, or rises, with overlapping windows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from whydeep.chance import Chance
from whydeep.evidence.claims import OPPOSITE, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.design_choices._pools import Setup, errors
from whydeep.show import figures
from whydeep.show.plot import Runs, over_seeds, panels

PAGE = "design-choices/max-pooling"
KINDS = ("blocks", "second")


@dataclass(frozen=True)
class Settings(Setup):
    """Networks of two kinds; the first pools the maximum of blocks of 2 x 2.

    The second pools as ``second`` says and is trained for ``times`` as many steps. All else is as
    in `Setup`.
    """

    second: str = "overlap"
    times: int = 1


SCALES = {"quick": Settings()}
VARIANTS = {"three-times-the-steps": {"second": "maximum", "times": 3}}


def run(settings: Settings, chance: Chance) -> Result:
    """Errors of both kinds, on test and training pictures; ``gain`` is the first less the second.

    Both kinds start from the same weights, since the seeds and shapes of their members are equal.
    """
    steps = settings.sgd.steps * settings.times
    longer = replace(settings, sgd=replace(settings.sgd, steps=steps))
    first = errors("maximum", settings, chance)
    second = errors(settings.second, longer, chance)
    share = "fraction of test examples"
    return Result(
        error=Quantity([first["test"], second["test"]], share, pools=KINDS),
        gain=(first["test"] - second["test"], share),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-overlapping-pooling",
        cite="krizhevsky2012", kind="effect", expected=OPPOSITE,
        title="Do overlapping pools help?",
        says="Pooling windows of 3 x 3 at stride 2 in place of blocks of 2 x 2 at stride 2 lowers "
        "the top-1 error by 0.4 points (section 3.4).",
        tested="Two networks a seed of two convolutional layers on 2,000 pictures of clothes, "
        "14 x 14, 160 steps; pools of one kind or the other after each layer.",
        so="Overlapping windows err on {num}`design-choices/overlapping-pools error[second] .1% ±` "
        "of the test examples, blocks on "
        "{num}`design-choices/overlapping-pools error[blocks] .1% ±`: they do harm here.",
        caveat="160 steps at one learning rate are few, and on maps of 16 x 16 places a window of "
        "3 x 3 blurs much, on AlexNet's 55 x 55 less.",
        paper=(("top-1 and top-5 error", ("lower by {} and {} points", 0.4, 0.3), "section 3.4"),),
        decides=(
            at_least("gain", "overlapping windows lower the test error by at least {bound}", 0.002,
                     none=0.0, source=0.004, because="half of the paper's 0.4 points"),
        ),
        controls=(
            Control(
                "three-times-the-steps", "something that helps for certain in place of the "
                "overlap: three times as many steps",
                valid=(
                    at_most("error[blocks]", "the network learns: its error is at most {bound}",
                            0.3),
                ),
                finds=("gain",),
            ),
        ),
        contested="{cite:t}`scherer2010` found that overlapping windows bring no significant "
        "improvement.",
        changes=("Bound 0.003 -> 0.002 (looser): half of the paper's effect.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """The gain of each seed, for overlapping windows and for the positive control."""
    names = {MAIN: "overlapping windows", "three-times-the-steps": "three times the steps"}
    shown = [variant for variant in names if variant in runs]
    with panels(size=(6.2, 2.6)) as (drawn, axes):
        for i, variant in enumerate(shown):
            gains = over_seeds(runs, "gain", variant, factor=100.0)
            axes.plot(gains, 0 * gains - i, linestyle="none", label=names[variant])
        axes.axvline(0.4, **figures.THEORY, label="AlexNet's 0.4 points")
        axes.set(xlabel="gain in test error (points)", ylim=(-len(shown) + 0.4, 0.6))
        axes.set_yticks([-i for i in range(len(shown))], [names[variant] for variant in shown])
        axes.grid(axis="y", visible=False)
    return figures.Figure(
        drawn,
        label="fig-overlapping-pools",
        caption="Gain in test error over blocks of 2 by 2, one point a seed. Overlapping windows "
        "do not reach AlexNet's gain, the dashed line, on our small pictures; three times as many "
        "steps with blocks do.",
        alt="Points along a line of gains in percentage points. Those of overlapping windows lie "
        "below zero; those of three times as many steps lie above zero.",
    )
