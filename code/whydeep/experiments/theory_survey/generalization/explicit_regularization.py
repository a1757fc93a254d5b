"""Is it the explicit regularisation that keeps a network from overfitting?

{cite:t}`zhang2017` switch augmentation, weight decay and dropout on and off: each helps a little on
true labels, none is needed, and none is enough, since random labels are learned with it too. We
fill the table of all eight combinations for a dense network on pictures of clothes, and train the
network on random labels without any of them and with each alone.

What would refute it: a test error on true labels that depends on the three much; or one of them
that keeps the network from learning random labels while it learns the true ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from whydeep.descent import corrupt_labels
from whydeep.descent.recipe import generators, mirrored
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.mysterious_steps.dropout import CLASSES, PIXELS, pictures
from whydeep.networks import Dense
from whydeep.show import figures

PAGE = "theory-survey/generalization/a-network-that-can-memorise-noise"
SIDE = 14
REMEDIES = ("augmentation", "decay", "dropout")
ARMS = (
    *product((False, True), repeat=3),
    (False, False, False),
    (True, False, False),
    (False, True, False),
    (False, False, True),
)
"""Which of the REMEDIES each network has: the first eight learn true labels, the rest random."""


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; always all test images.

    Augmentation mirrors half of the pictures of each batch; ``decay`` is the weight decay, ``rate``
    the dropout rate of all hidden units. With probability ``noise`` a label of the first eight
    networks is drawn anew; those of the others all are. The last ``cool`` epochs take a tenth of
    the learning rate.
    """

    examples: int = 300
    noise: float = 0.0
    decay: float = 1e-3
    rate: float = 0.25
    width: int = 100
    epochs: int = 48
    batch_size: int = 50
    learning_rate: float = 0.03
    momentum: float = 0.9
    cool: int = 8


SCALES = {"quick": Settings()}
VARIANTS = {"noisy-labels": {"noise": 0.5}, "strong-dropout": {"rate": 0.5}}


def forward(
    weights: list[tuple[Tensor, Tensor]],
    x: Float[Tensor, "k n d"],
    factors: list[Float[Tensor, "k n units"]] | None = None,
) -> Float[Tensor, "k n classes"]:
    """The scores of k networks, each for its own examples; layer l is multiplied by factors[l]."""
    for i, (w, b) in enumerate(weights[:-1]):
        x = torch.relu(torch.baddbmm(b, x, w))
        x = x * factors[i] if factors else x
    w, b = weights[-1]
    return torch.baddbmm(b, x, w)


def train(
    x: Float[Tensor, "n d"],
    labels: Int64[Tensor, "k n"],
    augmented: Bool[Tensor, " k"],
    decay: Float[Tensor, " k"],
    rate: Float[Tensor, " k"],
    settings: Settings,
    seed: int,
) -> list[tuple[Tensor, Tensor]]:
    """K networks side by side by SGD, each with its own remedies; their weights (k, inputs, units).

    They share the start, the order of the examples and all chance: a pair of networks differs in
    its remedies and labels only.
    """
    chance, k = generators(seed), len(labels)
    start = Dense((PIXELS, settings.width, settings.width, CLASSES), generator=chance["init"])
    layers = [*start.layers.values(), start.classifier]
    weights = [
        tuple(
            part.detach().repeat(k, 1, 1).requires_grad_()
            for part in (layer.weight.T, layer.bias[None])
        )
        for layer in layers
    ]
    flat = [part for pair in weights for part in pair]
    velocity = [torch.zeros_like(w) for w in flat]
    augmented, decay, rate = (z.view(-1, 1, 1) for z in (augmented, decay, rate))
    lr = settings.learning_rate
    for epoch in range(settings.epochs):
        lr = lr / 10 if epoch == settings.epochs - settings.cool else lr
        order = torch.randperm(len(x), generator=chance["order"])
        for rows in order.split(settings.batch_size):
            batch = x[rows]
            images = batch.view(-1, 1, SIDE, SIDE)
            turned = mirrored(images, generator=chance["images"]).flatten(1)
            own = torch.where(augmented, turned, batch)
            u = [
                torch.rand(len(rows), settings.width, generator=chance["dropout"])
                for _ in layers[:-1]
            ]
            factors = [(each >= rate).to(x) / (1 - rate) for each in u]
            scores = forward(weights, own, factors).flatten(0, 1)
            # Summed over the networks: a network's weights appear in its own loss only.
            loss = k * F.cross_entropy(scores, labels[:, rows].flatten())
            gradient = torch.autograd.grad(loss, flat)
            with torch.no_grad():
                for w, v, g in zip(flat, velocity, gradient, strict=True):
                    v.mul_(settings.momentum).add_(g).add_(decay * w)
                    w.sub_(lr * v)
    return weights


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """Training and test errors of the eight networks on true labels and of four on random ones.

    Training errors are on the pictures as they are, with all units. Runs on the CPU whatever the
    ``device``.
    """
    x, y, x_test, y_test = pictures(settings.examples, seed)
    given = corrupt_labels(y, settings.noise, [seed], CLASSES)[0]
    drawn = corrupt_labels(y, 1.0, [seed], CLASSES)[0]
    cells = 2 ** len(REMEDIES)
    labels = torch.stack([given] * cells + [drawn] * (len(ARMS) - cells))
    augmented, decayed, dropped = torch.tensor(ARMS).T
    weights = train(
        x, labels, augmented, settings.decay * decayed, settings.rate * dropped, settings, seed
    )
    k = len(ARMS)
    with torch.no_grad():
        errors = [
            (forward(weights, z.expand(k, *z.shape)).argmax(-1) != right).double().mean(1).numpy()
            for z, right in ((x, labels), (x_test, y_test))
        ]
    learned, test = errors
    table, random = test[:cells], slice(cells, None)
    train_unit, test_unit = "fraction of training examples", "fraction of test examples"
    # Where the network stands that has none of the remedies, or one of them alone.
    places = dict(zip(("none", *REMEDIES), (0, 4, 2, 1), strict=True))
    alone = {}
    for i, (name, place) in enumerate(places.items()):
        for part, values, unit in (("train", learned, train_unit), ("test", test, test_unit)):
            alone[f"{part}_true_{name}"] = (values[place], unit)
            alone[f"{part}_random_{name}"] = (values[cells + i], unit)
    return Result(
        remedies=(torch.tensor(ARMS[:cells]).int(), "1 where augmentation, decay, dropout"),
        table=(table, test_unit),
        table_train=(learned[:cells], train_unit),
        random_test=(test[random], test_unit),
        random_train=(learned[random], train_unit),
        none=(table[0], test_unit),
        best=(table.min(), test_unit),
        all_three=(table[-1], test_unit),
        spread=(table.max() - table.min(), test_unit),
        random_labels_cost=(test[cells] - table[0], test_unit),
        random_not_learned=(learned[random].max(), train_unit),
        **alone,
    )


CLAIMS = (
    Claim(
        id="zhang2017-explicit-regularization",
        cite="zhang2017",
        sentence="Augmentation, weight decay and dropout change the test error little, and none of "
        "them is needed for a small one or enough for it: random labels are learned with each.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "CIFAR-10, Inception, test accuracy: augmentation and decay; augmentation; decay; "
                "neither",
                ("{} %; {} %; {} %; {} %", 89.05, 89.31, 86.03, 85.75),
                "Table 1",
            ),
            (
                "ImageNet, Inception v3, top-1 accuracy: none; augmentation only",
                ("{:.2f} %; {} %", 59.80, 72.95),
                "Table 2",
            ),
        ),
        conditions=(
            at_most("spread", "the eight combinations lie within {bound} of test error", 0.05),
            at_least(
                "random_labels_cost",
                "without any of them, random labels cost at least {bound} of test error",
                0.5,
            ),
            at_most(
                "random_not_learned",
                "with each alone, all but {bound} of the random labels are learned",
                0.15,
            ),
        ),
        controls=(
            Control(
                "noisy-labels",
                "the true labels: half of them are drawn anew",
                {"spread": 0.03, "random_labels_cost": 0.05},
                (
                    at_most(
                        "best",
                        "the best combination errs on at most {bound} of the test examples",
                        0.6,
                    ),
                ),
            ),
            Control(
                "strong-dropout",
                "the mildness: dropout leaves out half of the units",
                {"random_not_learned": 0.1},
                (
                    at_most(
                        "test_true_dropout",
                        "on true labels its test error is at most {bound}",
                        0.35,
                    ),
                ),
            ),
        ),
        disputed="How little depends on the data: on ImageNet the paper itself gains 13 points by "
        "augmentation, and a stronger dropout does keep noise from being memorised "
        "{cite}`arpit2017`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test error of the eight combinations on true labels, beside that on random labels."""
    results = list(runs[MAIN].values())
    names = ("none", "dropout", "decay", "decay +\ndropout", "mirror", "mirror +\ndropout",
             "mirror +\ndecay", "all")  # fmt: skip
    with figures.style():
        drawn, axes = plt.subplots(figsize=(8.4, 3.6))
        table = np.array([100 * r["table"] for r in results])
        figures.bars(
            axes,
            np.arange(8),
            table,
            label="true labels",
            colour=figures.COLOURS["blue"],
            width=0.5,
        )
        drawn_anew = np.array([100 * r["random_test"] for r in results])
        # None, mirror, decay, dropout, at the places of these four.
        figures.dots(
            axes,
            np.array([0, 4, 2, 1]),
            drawn_anew,
            fmt="s",
            color=figures.COLOURS["vermillion"],
            label="random labels",
        )
        axes.axhline(90, **figures.THEORY, label="chance")
        axes.set(ylabel="test error (%)", ylim=(0, 108))
        axes.set_xticks(np.arange(8), names)
        axes.legend(loc="center right")
    return figures.Figure(
        drawn,
        label="fig-explicit-regularization",
        caption="Test error with all combinations of mirrored pictures, weight decay and dropout: "
        "on true labels (bars, one mark for each seed), and on random labels without any and with "
        f"each alone (squares). {figures.count(len(results)).capitalize()}.",
        alt="Eight bars of nearly the same height, about a quarter, for the eight combinations on "
        "true labels. Four squares far above them, at the dashed line of chance, for random "
        "labels without any remedy and with each alone.",
    )
