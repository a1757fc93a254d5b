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

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whydeep.chance import Chance
from whydeep.descent import Trained, train
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.mysterious_steps.dropout import CLASSES, PIXELS, pictures
from whydeep.networks import Dense
from whydeep.show import figures

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
    epochs: int = 60
    batch_size: int = 50
    learning_rate: float = 0.03
    momentum: float = 0.9
    every: int = 2


SCALES = {"quick": Settings()}
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
    x, y, x_test, y_test = pictures(settings.examples, chance)
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

    epochs = np.arange(0, settings.epochs + 1, settings.every)
    history = train(
        partial(Dense, (PIXELS, *settings.hidden, CLASSES)),
        x,
        y,
        seeds=[chance] * len(x),
        lr=settings.learning_rate,
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        momentum=settings.momentum,
        label_noise=[*settings.shares, 0.0, 0.0, 0.0],
        measure={"train": training_error, "test": test_error},
        measure_at=(epochs * -(-settings.examples // settings.batch_size)).tolist(),
        device=device,
    ).history
    learned, test = history["train"].numpy(), history["test"].numpy()
    members = dict(zip(KINDS, (0, *range(plain - 1, plain + 3)), strict=True))
    reached = {kind: learned[k].min() for kind, k in members.items()}
    after = {kind: learned_after(learned[k], epochs) for kind, k in members.items()}
    # Where the true labels are never learned, the random ones have all the time there is.
    in_time = epochs <= PATIENCE * after["true"]
    train_unit, test_unit = "fraction of training examples", "fraction of test examples"
    by_kind = {}
    for kind, k in members.items():
        by_kind[f"train_{kind}"] = (learned[k], train_unit)
        by_kind[f"final_test_{kind}"] = (test[k, -1], test_unit)
        by_kind[f"reached_{kind}"] = (reached[kind], train_unit)
        # An experiment's numbers are finite: what is not learned counts as the next measurement.
        last = settings.epochs + settings.every
        by_kind[f"epochs_{kind}"] = (min(after[kind], last), "epochs, at least")
    return Result(
        epochs=(epochs, "epochs"),
        shares=(100 * np.array(settings.shares), "percent of the labels"),
        train_by_share=(learned[:plain], train_unit),
        test_by_share=(test[:plain], test_unit),
        final_test_by_share=(test[:plain, -1], test_unit),
        not_learned=(max(reached.values()), train_unit),
        not_in_time=(learned[members["random"], in_time].min(), train_unit),
        slowdown=(
            by_kind["epochs_random"][0] / by_kind["epochs_true"][0],
            "ratio of epochs, at least",
        ),
        rise=(test[members["random"], -1] - test[members["true"], -1], test_unit),
        weights=(
            sum(
                (a + 1) * b
                for a, b in zip(
                    (PIXELS, *settings.hidden), (*settings.hidden, CLASSES), strict=True
                )
            ),
            "weights",
        ),
        **by_kind,
    )


CLAIMS = (
    Claim(
        id="zhang2017-random-labels",
        cite="zhang2017",
        sentence="A network that does well on true labels also learns random labels, shuffled "
        "pixels and pictures of noise to zero training error, with unchanged settings and in not "
        "much more time; so what it could learn does not explain why it generalises.",
        kind="effect",
        expected=REPRODUCED,
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
        conditions=(
            at_most(
                "not_learned",
                "each of the five kinds of data is learned, to a training error of at most {bound}",
                0.01,
            ),
            at_most(
                "not_in_time",
                "in 3.5 times the epochs that the true labels take, random labels are learned to "
                "a training error of at most {bound}",
                0.05,
            ),
            at_least("rise", "random labels raise the test error by at least {bound}", 0.5),
        ),
        controls=(
            Control(
                "no-hidden-layer",
                "the hidden layers: logistic regression on the same pictures",
                {"not_learned": 0.1, "not_in_time": 0.1},
                (
                    at_most(
                        "final_test_true",
                        "it does well on true labels, with a test error of at most {bound}",
                        0.35,
                    ),
                ),
            ),
            Control(
                "half-random",
                "half of the randomness: at most one label in two is drawn anew",
                {"rise": 0.1},
                (
                    at_most(
                        "reached_random",
                        "it learns these labels as well, to a training error of at most {bound}",
                        0.01,
                    ),
                ),
            ),
        ),
        disputed="That a network can memorise noise does not say that it memorises where there is "
        "a pattern {cite}`arpit2017`. Linear models and kernel machines fit noise as well, and "
        "bounds that look at the data can explain both {cite}`wilson2025`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Training error of the five kinds along the epochs, and test error by share of noise."""
    names = {
        "true": "true labels",
        "random": "random labels",
        "shuffled": "pixels shuffled",
        "scattered": "shuffled, each its way",
        "gaussian": "noise for pictures",
    }
    results = list(runs[MAIN].values())
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.6, 3.6))
        for kind, name in names.items():
            learned = np.array([100 * r[f"train_{kind}"] for r in results])
            figures.band(
                axes[0], results[0]["epochs"], learned, label=name, markevery=4, markersize=4
            )
        axes[0].set(xlabel="epoch", ylabel="training error (%)", ylim=(-2, 95))
        axes[0].legend()
        shares = results[0]["shares"]
        test = np.array([100 * r["final_test_by_share"] for r in results])
        figures.band(axes[1], shares, test, label="network")
        clean = test[:, 0].mean()
        # One example's label is copied: the true one's error, or a draw from ten classes.
        copied = clean + shares / 100 * (90 - clean)
        axes[1].plot(shares, copied, **figures.THEORY, label="copies one label")
        axes[1].set(xlabel="labels drawn anew (%)", ylabel="test error (%)", ylim=(0, 100))
        axes[1].legend(loc="upper left")
    return figures.Figure(
        drawn,
        label="fig-random-labels",
        caption=f"One dense network, {len(names)} kinds of data. Left, the training error along "
        "the epochs. Right, the test error after training, by the share of labels drawn anew, "
        "beside that of a rule which copies the label of one training example and errs on clean "
        f"labels as often as the network. Means and standard deviations over "
        f"{figures.count(len(results))}.",
        alt="Left, five curves of training error along the epochs, all falling to zero: pictures "
        "of noise and scattered pixels first, then true labels and shuffled pixels, random labels "
        "last. Right, test error rises steadily with the share of random labels, from about a "
        "quarter to nine tenths, near a dashed straight line.",
    )


def explorer(runs: Mapping[str, Mapping[int, Result]]) -> SweepExplorer:
    """Training and test error along the epochs, for each share of random labels."""
    from whydeep.widgets import Axis, Prediction, SweepExplorer  # pages need it, the CLI does not

    return SweepExplorer.from_runs(
        runs,
        key="random-labels",
        title="Training and test error, by the share of random labels",
        about="Move along the share of labels that are drawn anew. Where do the two curves end, "
        "and when does the lower one arrive? Then take the hidden layers away.",
        series={"train_by_share": "training error", "test_by_share": "test error"},
        variants={MAIN: "two hidden layers", "no-hidden-layer": "no hidden layer"},
        sweep=Axis("labels drawn anew", "%"),
        sweep_values="shares",
        factor=100.0,
        x=Axis("epoch"),
        x_values="epochs",
        y=Axis("error", "%"),
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
