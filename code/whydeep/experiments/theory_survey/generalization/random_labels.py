"""Can a network that generalises also learn labels that mean nothing?

{cite:t}`zhang2017` train the networks of the day on CIFAR-10, unchanged, with the labels replaced
by chance, with the pixels shuffled, and with pictures of pure noise: the training error goes to
zero every time, and it takes only a little longer. So what these networks could learn does not say
why they do well on real labels. We train one dense network on pictures of clothes in the same five
ways, and on labels of which a growing share is random.

What would refute it: a network that does well on true labels and cannot be brought to learn random
ones; or one that needs far longer for them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets.tasks import CLASSES, PIXELS, halved
from whydeep.descent import SGD, Trained, train
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/generalization/a-network-that-can-memorise-noise"
KINDS = ("true", "random", "shuffled", "scattered", "gaussian")
"""True labels; random labels; pixels shuffled alike in all pictures; shuffled in each picture by an
order of its own; pictures of Gaussian noise. The last three keep the true labels."""
LEARNED = 0.01
PATIENCE = 3.5


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; ``tests`` test pictures.

    A label is drawn anew, from all classes, with each of the probabilities ``shares``; the first
    share is that of the true labels, the last that of the "random" ones. ``hidden`` are the units
    of the hidden layers, none for logistic regression. Measured every ``every`` epochs.
    """

    examples: int = 400
    tests: int = 1000
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 0.75, 1.0)
    hidden: tuple[int, ...] = (128, 128)
    every: int = 2
    sgd: SGD = SGD(lr=0.03, epochs=60, batch=50, momentum=0.9)


SCALES = {
    "quick": Settings(),
    "gpu": Settings(
        examples=10_000, tests=2000, hidden=(1024, 1024), every=10,
        sgd=SGD(lr=0.03, epochs=200, batch=50, momentum=0.9),
    ),
}  # fmt: skip
VARIANTS = {
    "no-hidden-layer": {"hidden": ()},
    "half-random": {"shares": (0.0, 0.125, 0.25, 0.375, 0.5)},
}


def inputs(
    x: Float[Tensor, "n d"], order: Tensor, *, generator: torch.Generator
) -> Float[Tensor, "3 n d"]:
    """Three things that can be made of pictures x, one after the other.

    The pixels in one ``order`` for all; in an order of its own for each picture; and noise, with
    the mean and the standard deviation of x, in place of the pictures.
    """
    own = torch.rand(x.shape, generator=generator).argsort(1)
    noise = torch.randn(x.shape, generator=generator)
    return torch.stack([x[:, order], x.gather(1, own), x.mean() + x.std() * noise])


def learned_after(error: Float[np.ndarray, " t"], epochs: Int[np.ndarray, " t"]) -> float:
    """The first of the ``epochs`` at which the training error is LEARNED; inf if there is none."""
    return float(min(epochs[error <= LEARNED], default=np.inf))


def run(settings: Settings, chance: Chance) -> Result:
    """Training and test error along the epochs, by share of random labels and by kind of data.

    The training error counts the labels that were trained on as right, the test error the true
    ones. Test pictures are changed as the training pictures are.
    """
    x, y, x_test, y_test = halved(settings.examples, chance=chance).flat()
    generator = chance.torch()
    few = torch.randperm(len(x_test), generator=generator)[: settings.tests]
    x_test, y_test = x_test[few], y_test[few]
    order = torch.randperm(PIXELS, generator=generator)
    plain = len(settings.shares)
    x, x_test = (
        torch.cat([z.expand(plain, *z.shape), inputs(z, order, generator=generator)])
        for z in (x, x_test)
    )

    def training_error(trained: Trained) -> Float[Tensor, " k"]:
        return (trained.predict(x) != trained.labels).double().mean(1)

    def test_error(trained: Trained) -> Float[Tensor, " k"]:
        return (trained.predict(x_test).cpu() != y_test).double().mean(1)

    sgd, widths = settings.sgd, (PIXELS, *settings.hidden, CLASSES)
    epochs = np.arange(0, sgd.epochs + 1, settings.every)
    history = train(
        partial(Dense, widths),
        x,
        y,
        seeds=[chance] * len(x),
        lr=sgd.lr,
        epochs=sgd.epochs,
        batch_size=sgd.batch,
        momentum=sgd.momentum,
        label_noise=[*settings.shares, 0.0, 0.0, 0.0],
        measure={"train": training_error, "test": test_error},
        measure_at=(epochs * -(-settings.examples // sgd.batch)).tolist(),
        device=device.current(),
    ).history
    learned, test = history["train"].numpy(), history["test"].numpy()
    kinds = [0, *range(plain - 1, plain + 3)]  # the members of KINDS
    after = [learned_after(error, epochs) for error in learned[kinds]]
    # Where the true labels are never learned, the random ones have all the time there is.
    in_time = epochs <= PATIENCE * after[0]
    # An experiment's numbers are finite: what is not learned counts as the next measurement.
    counted = np.minimum(after, sgd.epochs + settings.every)
    train_unit, test_unit = "fraction of training examples", "fraction of test examples"
    by_share = {"share": settings.shares, "epoch": epochs}
    return Result(
        epochs=(epochs, "epochs"),
        shares=(100 * np.array(settings.shares), "percent of the labels"),
        train_by_share=Quantity(learned[:plain], train_unit, **by_share),
        test_by_share=Quantity(test[:plain], test_unit, **by_share),
        train=Quantity(learned[kinds], train_unit, data=KINDS, epoch=epochs),
        test=Quantity(test[kinds], test_unit, data=KINDS, epoch=epochs),
        reached=Quantity(learned[kinds].min(1), train_unit, data=KINDS),
        learned_after=Quantity(counted, "epochs, at least", data=KINDS),
        not_learned=(learned[kinds].min(1).max(), train_unit),
        not_in_time=(learned[plain - 1, in_time].min(), train_unit),
        slowdown=(counted[1] / counted[0], "ratio of epochs, at least"),
        rise=(test[plain - 1, -1] - test[0, -1], test_unit),
        weights=(sum((a + 1) * b for a, b in pairwise(widths)), "weights"),
    )


CLAIMS = (
    Claim(
        id="zhang2017-random-labels", title="Can a network that generalises learn pure noise?",
        cite="zhang2017", kind="effect", expected=REPRODUCED,
        says="Networks that do well on true labels, with unchanged settings, also fit random "
        "labels, shuffled pixels and pictures of noise to zero training error (on CIFAR-10 a dense "
        "network of three layers of 512 units too), in a time that grows by a small constant "
        "factor (section 2, Figure 1 and Table 1).",
        tested="A dense network with two hidden layers of 128 units, 43,018 weights, on 400 "
        "pictures of clothes, 14 by 14, 60 epochs: true labels, random labels, pixels shuffled in "
        "two ways, and Gaussian noise.",
        so="All five kinds are learned, with a training error of "
        "{num}`theory-survey/generalization/random-labels not_learned .1%`; random labels take "
        "{num}`theory-survey/generalization/random-labels slowdown .1f ±` times the epochs of true "
        "ones.",
        caveat="Four hundred pictures are few: there are more than 100 weights for each of them, "
        "where the paper's dense network has 35. Test error after true labels: "
        "{num}`theory-survey/generalization/random-labels test[true,-1] .0%`.",
        paper=(
            (
                "CIFAR-10, Inception without regularisation, training and test accuracy: true "
                "labels; random labels",
                ("{} %, {} %; {} %, {} %", 100, 85.75, 100, 9.78),
                "Table 1",
            ),
            (
                "the same for a dense network, three layers of 512 units: true labels; random "
                "labels (training accuracy)",
                ("{} %, {} %; {} %", 100, 52.39, 100),
                "Table 1",
            ),
        ),
        by_design="the shares run from true labels to random ones, and repeat the curves of both",
        decides=(
            at_most("not_learned", "each of the five kinds of data is learned, to a training "
                    "error of at most {bound}", 0.01, none=0.9, source=0.0,
                    because="the training error at which labels count as learned; half of the "
                    "paper's effect would be 0.45"),
            at_most("not_in_time", "in 3.5 times the epochs that the true labels take, random "
                    "labels are learned to a training error of at most {bound}", 0.05, none=0.9,
                    because="nearly all; the paper speaks of a small constant factor of time"),
        ),
        mechanism=(
            at_least("rise", "random labels raise the test error by at least {bound}", 0.5,
                     none=0.0, because="most of the way from a small error to guessing"),
        ),
        controls=(
            Control(
                "no-hidden-layer", "the hidden layers: logistic regression on the same pictures",
                ("not_learned", "not_in_time"),
                (
                    at_most("test[true, -1]", "it does well on true labels, with a test error of "
                            "at most {bound}", 0.35),
                ),
            ),
            Control(
                "half-random", "half of the randomness: at most one label in two is drawn anew",
                ("rise",),
                (
                    at_most("reached[random]", "it learns these labels as well, to a training "
                            "error of at most {bound}", 0.01),
                ),
                by_design="its shares end at one half, and repeat that curve",
            ),
        ),
        limits="That a network can memorise noise does not say that it memorises where there is "
        "a pattern {cite}`arpit2017`. Linear models and kernel machines fit noise as well, and "
        "bounds that look at the data can explain both {cite}`wilson2025`.",
        changes=("That random labels raise the test error, which cannot be otherwise, no longer "
                 "decides. No bound was moved.",),
    ),
)  # fmt: skip


NAMES = ("true labels", "random labels", "pixels shuffled", "shuffled, each its way",
         "noise for pictures")  # fmt: skip
ALONG = Plot(
    sweep=Axis("epoch"),
    at="epochs",
    y=Axis("training error", "%"),
    series={f"train[{kind}]": name for kind, name in zip(KINDS, NAMES, strict=True)},
    factor=100.0,
)
BY_SHARE = Plot(
    sweep=Axis("labels drawn anew", "%"),
    at="shares",
    y=Axis("error", "%"),
    series={"train_by_share": "training error", "test_by_share": "test error"},
    factor=100.0,
    variants={MAIN: "two hidden layers", "no-hidden-layer": "no hidden layer"},
)


def figure(runs: Runs) -> figures.Figure:
    """Training error of the five kinds along the epochs, and test error by share of noise."""
    shares = first(runs, "shares")
    test = over_seeds(runs, "test_by_share", factor=100)[..., -1]
    # One example's label is copied: the true one's error, or a draw from ten classes.
    clean = test[:, 0].mean()
    copied = clean + shares / 100 * (90 - clean)
    with panels(2, size=(8.6, 3.6)) as (drawn, axes):
        ALONG.draw(axes[0], runs, markevery=4, markersize=4)
        axes[0].set(ylim=(-2, 95))
        figures.band(axes[1], shares, test, label="network")
        axes[1].plot(shares, copied, **figures.THEORY, label="copies one label")
        axes[1].set(xlabel=str(BY_SHARE.sweep), ylabel="test error (%)", ylim=(0, 100))
        axes[1].legend(loc="upper left")
    return figures.Figure(
        drawn,
        label="fig-random-labels",
        caption=f"One dense network, {len(KINDS)} kinds of data. Left, the training error along "
        "the epochs. Right, the test error after training, by the share of labels drawn anew, "
        "beside that of a rule which copies the label of one training example and errs on clean "
        f"labels as often as the network. Means and standard deviations over "
        f"{figures.count(len(test))}.",
        alt="Left, five curves of training error along the epochs, all falling to zero: pictures "
        "of noise and scattered pixels first, then true labels and shuffled pixels, random labels "
        "last. Right, test error rises steadily with the share of random labels, from about a "
        "quarter to nine tenths, near a dashed straight line.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Training and test error along the epochs, for each share of random labels."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return BY_SHARE.explorer(
        runs,
        key="random-labels",
        title="Training and test error, by the share of random labels",
        about="Move along the share of labels that are drawn anew. Where do the two curves end, "
        "and when does the lower one arrive? Then take the hidden layers away.",
        x=Axis("epoch"),
        x_values="epochs",
        predict=Prediction(
            "Half of the training labels are drawn anew from the ten classes, so that 45 in 100 "
            "are wrong. Two hidden layers, 60 epochs. Where does the training error end, counted "
            "on the labels as they were given?",
            (
                "Near 45 %: the wrong labels contradict the pattern",
                "About half of that",
                "Near 0 %: wrong labels are learned like right ones",
            ),
            2,
            "They are learned one by one, later than the right ones, and the test error pays for "
            "it: it ends near one half.",
        ),
    )
