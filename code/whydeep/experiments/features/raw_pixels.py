"""One classifier, four feature maps: raw pixels, random, by hand, learned.

The post claims that a linear classifier on raw data does not work very well, that one on features
does better, and that deep learning finds the features as part of the learning ({cite}`bubeck2015`).
We fit the same multiclass logistic regression on each map and compare test errors.

What would refute it: a raw-pixel error no higher than that on the two good maps, or an equal gain
on pictures whose pixels are shuffled in one fixed order. That learned features beat hand-made ones
is refuted by equal errors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import train
from whydeep.evidence.claims import PARTLY, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.labs import features
from whydeep.networks import Convolutional
from whydeep.show import figures

PAGE = "features/raw-pixels"
MAPS = {
    "raw": "raw pixels",
    "random": "random ReLU units",
    "hog": "by hand (HOG)",
    "learned": "learned",
}


@dataclass(frozen=True)
class Settings:
    """``examples`` training images, drawn afresh by every seed; always all 2,000 test images.

    ``steps`` of SGD train the convolutional network whose last hidden layer is the learned map;
    ``penalty`` is the weight decay of the logistic regression on standardised features, the same
    for all maps. ``shuffle`` permutes the pixels of all images in one order, drawn by the seed.
    """

    examples: int = 1000
    steps: int = 300
    batch_size: int = 64
    learning_rate: float = 0.01
    momentum: float = 0.9
    weight_decay: float = 1e-3
    width_random: int = 2000
    penalty: float = 100.0
    shuffle: bool = False


SCALES = {"quick": Settings(), "full": Settings(examples=3000, steps=750)}
VARIANTS = {"permuted": {"shuffle": True}, "untrained": {"steps": 0}}


def logistic_regression_errors(
    phi: Float[Tensor, "n d"],
    y: Int[Tensor, "n"],
    phi_test: Float[Tensor, "m d"],
    y_test: Int[Tensor, "m"],
    penalty: float,
) -> tuple[float, float]:
    """Training and test error of multiclass logistic regression on standardised features.

    The loss sum_i log-loss_i + penalty/2 |V|^2 is convex, so its minimum does not depend on how it
    is found; scikit-learn finds it with L-BFGS, in float64.
    """
    mean, sd = phi.mean(0), phi.std(0)
    # A feature that hardly varies would be blown up by a division by its spread.
    standard = [((z - mean) / (sd + 1e-3)).double().cpu().numpy() for z in (phi, phi_test)]
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        fit = LogisticRegression(C=1 / penalty, tol=1e-3, max_iter=1000).fit(standard[0], y.cpu())
        pairs = zip(standard, (y, y_test), strict=True)
        return tuple(1 - float(fit.score(z, labels.cpu())) for z, labels in pairs)


def run(settings: Settings, chance: Chance) -> Result:
    """Training and test error of logistic regression on each map of MAPS; fractions of examples."""
    order, draw, network = chance.members(3)
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    x, x_test = data.train_x.to(device), data.test_x.to(device)
    y, y_test = data.train_y.to(device), data.test_y.to(device)
    if settings.shuffle:
        permutation = torch.from_numpy(order.numpy().permutation(x[0].numel()))
        x, x_test = (z.flatten(1)[:, permutation].view(z.shape) for z in (x, x_test))

    trained = train(
        partial(Convolutional, kernel=3, widths=(128,)),
        (x - x.mean()) / x.std(),
        y,
        seeds=[network],
        steps=settings.steps,
        batch_size=settings.batch_size,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        device=device,
    )
    both = torch.cat([x, x_test])
    generator = draw.torch()
    maps = {
        "raw": features.pixels(both),
        "random": features.random_relu(
            both - x.mean(0), width=settings.width_random, generator=generator
        ),
        "hog": features.hog(both),
        "learned": trained.features((both - x.mean()) / x.std())[0],
    }
    found = {}
    for name, phi in maps.items():
        train_error, test_error = logistic_regression_errors(
            phi[: len(y)], y, phi[len(y) :], y_test, settings.penalty
        )
        found[f"error_{name}"] = (test_error, "fraction of test examples")
        found[f"train_error_{name}"] = (train_error, "fraction of training examples")
    return Result(
        **found,
        examples=(len(y), "training examples"),
        width_random=(settings.width_random, "units"),
    )


def _ratio(worse: str, better: str, says: str, bound: float) -> Condition:
    return Condition(
        f"{worse}_over_{better}",
        says,
        lambda result: float(result[f"error_{worse}"] / result[f"error_{better}"]),
        ">=",
        bound,
        "ratio of test errors",
    )


CLAIMS = (
    Claim(
        id="bubeck2015-linear-on-raw-vs-features",
        cite="bubeck2015",
        sentence="A linear classifier does poorly on raw pixels, better on features made by hand, "
        "and better still on features learned together with it.",
        kind="effect",
        expected=PARTLY,
        missed=("hog_over_learned",),
        paper=(
            ("the post", "no number", "section 'Deep learning: it's all about the features'"),
            (
                "top-5 error on ImageNet 2010: sparse coding; SIFT with Fisher vectors; network",
                ("{} %; {} %; {} %", 28.2, 25.7, 17.0),
                "{cite:t}`krizhevsky2012`, Table 1",
            ),
        ),
        conditions=(
            _ratio(
                "raw", "hog", "the error on raw pixels is at least {bound} times that on HOG", 1.1
            ),
            _ratio(
                "raw",
                "learned",
                "the error on raw pixels is at least {bound} times that on learned features",
                1.1,
            ),
            _ratio(
                "hog",
                "learned",
                "the error on HOG is at least {bound} times that on learned features",
                1.05,
            ),
        ),
        controls=(
            Control(
                "permuted",
                "that neighbouring pixels belong together: one fixed shuffle of the pixels, which "
                "a linear classifier on raw pixels cannot notice",
                {"raw_over_hog": 0.1, "raw_over_learned": 0.1},
                (
                    at_most("error_raw", "raw pixels still give an error of at most {bound}", 0.25),
                    at_most(
                        "train_error_learned",
                        "the network still fits its training examples, to an error of {bound}",
                        0.1,
                    ),
                ),
            ),
            Control(
                "untrained",
                "the learning: the same network before its first step",
                {"raw_over_learned": 0.1, "hog_over_learned": 0.1},
                (
                    at_most(
                        "error_learned",
                        "its features still beat chance by far, with an error of at most {bound}",
                        0.4,
                    ),
                ),
            ),
        ),
        disputed="A wide layer of random units is a good feature map too, so that learned features "
        "must be compared with random ones {cite}`rahimi2007`.",
    ),
)

GROUPS = {
    MAIN: "pictures as they are",
    "permuted": "pixels shuffled",
    "untrained": "before training",
}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test errors of the four maps, as they are and shuffled; one dot a seed."""
    shown = [variant for variant in (MAIN, "permuted") if variant in runs]
    colours = dict(
        zip(shown, (figures.COLOURS["blue"], figures.COLOURS["vermillion"]), strict=False)
    )
    with figures.style():
        drawn, axes = plt.subplots(figsize=(7.2, 3.6))
        for row, variant in enumerate(shown):
            errors = np.array(
                [[100 * float(r[f"error_{name}"]) for name in MAPS] for r in runs[variant].values()]
            )
            places = np.arange(len(MAPS)) + 0.36 * (row - (len(shown) - 1) / 2)
            figures.bars(
                axes, places, errors, label=GROUPS[variant], colour=colours[variant],
                marker="os"[row], hatch="//" if row else None,
            )  # fmt: skip
        axes.set_xticks(range(len(MAPS)), MAPS.values())
        axes.set(ylabel="test error (%)", ylim=(0, None))
        axes.grid(axis="x", visible=False)
        axes.legend(loc="upper center", ncols=2, bbox_to_anchor=(0.5, 1.14))
    first = next(iter(runs[MAIN].values()))
    seeds = len(runs[MAIN])
    return figures.Figure(
        drawn,
        label="fig-four-maps",
        caption="Test error of the same logistic regression on four feature maps, from "
        f"{int(first['examples']):,} training examples: bars are means over {figures.count(seeds)}"
        f", each dot is one seed. On shuffled pixels the advantage of "
        "the last two maps is gone, that of raw pixels cannot change.",
        alt="Bar chart. As they are, HOG and learned features have clearly the lowest test errors, "
        "about equal to each other; random units come third and raw pixels last. With shuffled "
        "pixels, raw pixels are unchanged while HOG and learned features become worse than they.",
    )
