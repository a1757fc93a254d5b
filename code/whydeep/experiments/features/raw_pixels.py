"""One classifier, four feature maps: raw pixels, random, by hand, learned.

The post claims that a linear classifier on raw data does not work very well, that one on features
does better, and that deep learning finds the features as part of the learning ({cite}`bubeck2015`).
We fit the same multiclass logistic regression on each map and compare test errors.

What would refute it: a raw-pixel error no higher than that on the two good maps, or an equal gain
on pictures whose pixels are shuffled in one fixed order. That learned features beat hand-made ones
is refuted by equal errors.
"""

from __future__ import annotations

import numpy as np

from whydeep.chance import Chance
from whydeep.descent import SGD
from whydeep.evidence.claims import IN_PART, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.features._four_maps import MAPS, FourMaps, errors
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "features/raw-pixels"
Settings = FourMaps
SCALES = {
    "quick": Settings(),
    "full": Settings(
        examples=3000, sgd=SGD(lr=0.01, steps=750, batch=64, momentum=0.9, decay=1e-3)
    ),
}
VARIANTS = {"permuted": {"shuffle": True}, "untrained": {"sgd.steps": 0}}


def run(settings: Settings, chance: Chance) -> Result:
    """Training and test error of logistic regression on each map of MAPS; and ratios of them."""
    train_error, error = errors(settings, chance).T
    raw, _, hog, learned = error.tolist()
    ratio = "ratio of test errors"
    return Result(
        error=Quantity(error, "fraction of test examples", map=MAPS),
        train_error=Quantity(train_error, "fraction of training examples", map=MAPS),
        raw_over_hog=(raw / hog, ratio),
        raw_over_learned=(raw / learned, ratio),
        hog_over_learned=(hog / learned, ratio),
        examples=(settings.examples, "training examples"),
        width_random=(settings.width_random, "units"),
    )


CLAIMS = (
    Claim(
        id="bubeck2015-linear-on-raw-vs-features",
        cite="bubeck2015", kind="effect", expected=IN_PART,
        title="Does a linear classifier need features?",
        says="A linear classifier applied to the raw picture “typically does not work very well”, "
        "so the picture is mapped to features first (section 'Deep learning: it's all about the "
        "features'); deep learning makes finding a good map a part of the learning, and does “so "
        "much better than anything else” (section 'Towards an understanding of deep learning?').",
        tested="The same multiclass logistic regression on raw pixels, on edges by hand (HOG) and "
        "on the last hidden layer of a small convolutional network, on 3,000 pictures of clothes.",
        so="Raw pixels err on {num}`features/raw-pixels error[raw] .1% ±` of the test pictures, "
        "HOG on {num}`features/raw-pixels error[hog] .1% ±`, learned features on "
        "{num}`features/raw-pixels error[learned] .1% ±`: features help, but learned ones do not "
        "beat those made by hand.",
        caveat="Random features, never trained, help too: {num}`features/raw-pixels error[random] "
        ".1%`. The classifier's penalty is the same for all maps and tuned for none.",
        missed=("hog_over_learned",),
        paper=(
            ("the post", "no number", "section 'Deep learning: it's all about the features'"),
            (
                "top-5 error on ImageNet 2010: sparse coding; SIFT with Fisher vectors; network",
                ("{} %; {} %; {} %", 28.2, 25.7, 17.0),
                "{cite:t}`krizhevsky2012`, Table 1",
            ),
        ),
        decides=(
            at_least("raw_over_hog", "the error on raw pixels is at least {bound} times that on "
                     "HOG", 1.1, none=1.0, log=True,
                     because="a tenth more errors is the least that would make a reader choose"),
            at_least("raw_over_learned", "the error on raw pixels is at least {bound} times that "
                     "on learned features", 1.1, none=1.0, log=True,
                     because="a tenth more errors is the least that would make a reader choose"),
            at_least("hog_over_learned", "the error on HOG is at least {bound} times that on "
                     "learned features", 1.05, none=1.0, log=True,
                     because="half of that, between two good maps"),
        ),
        controls=(
            Control(
                "permuted", "that neighbouring pixels belong together: one fixed shuffle of the "
                "pixels, which a linear classifier on raw pixels cannot notice",
                ("raw_over_hog", "raw_over_learned"),
                (
                    at_most("error[raw]", "raw pixels still give an error of at most {bound}",
                            0.25),
                    at_most("train_error[learned]", "the network still fits its training "
                            "examples, to an error of {bound}", 0.1),
                ),
            ),
            Control(
                "untrained", "the learning: the same network before its first step",
                ("raw_over_learned", "hog_over_learned"),
                (
                    at_most("error[learned]", "its features still beat chance by far, with an "
                            "error of at most {bound}", 0.4),
                ),
            ),
        ),
        limits="Three thousand small, centred pictures are what HOG was made for; on a million "
        "photographs of ImageNet the network won by far {cite}`krizhevsky2012`.",
        changes=("No condition, bound or control changed; ratios are now judged on a scale of "
                 "logarithms.",),
    ),
)  # fmt: skip

GROUPS = {MAIN: "pictures as they are", "permuted": "pixels shuffled"}


def figure(runs: Runs) -> figures.Figure:
    """Test errors of the four maps, as they are and shuffled; one dot a seed."""
    with panels(size=(7.2, 3.6)) as (drawn, axes):
        for row, ((variant, label), colour) in enumerate(
            zip(GROUPS.items(), ("blue", "vermillion"), strict=True)
        ):
            figures.bars(
                axes, np.arange(len(MAPS)) + 0.36 * (row - 0.5),
                over_seeds(runs, "error", variant, factor=100), label=label,
                colour=figures.COLOURS[colour], marker="os"[row], hatch="//" if row else None,
            )  # fmt: skip
        axes.set_xticks(range(len(MAPS)), MAPS.values())
        axes.set(ylabel="test error (%)", ylim=(0, None))
        axes.grid(axis="x", visible=False)
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.14))
    return figures.Figure(
        drawn,
        label="fig-four-maps",
        caption="Test error of the same logistic regression on four feature maps, from "
        f"{int(first(runs, 'examples')):,} training examples: bars are means over "
        f"{figures.count(len(runs[MAIN]))}, each dot is one seed. On shuffled pixels the "
        "advantage of the last two maps is gone, that of raw pixels cannot change.",
        alt="Bar chart. As they are, HOG and learned features have clearly the lowest test errors, "
        "about equal to each other; random units come third and raw pixels last. With shuffled "
        "pixels, raw pixels are unchanged while HOG and learned features become worse than they.",
    )
