"""How little of a convolutional network has to be learned?

Rosenfeld and Tsotsos leave most weights of a convolutional network at the values that they were
drawn with, train a small part, and find it often on a par with training everything
({cite}`rosenfeld2018`). We train all filters, an eighth or none of them, and always the
classifier, on 14 x 14 pictures of clothes; each layer's outputs are normalised over the batch.

What would refute it: an eighth of the filters that falls well short of all of them. It would mean
little if the classifier alone did as well, or if the frozen filters could be left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.evidence.claims import PARTLY, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Network, initialise
from whydeep.networks.miniature import Task, task
from whydeep.show import figures

PAGE = "theory-survey/generalization/what-the-optimiser-prefers"
SHARE = "fraction of test examples"
CLASSES = 10
LEARNED = {"all": 1.0, "eighth": 0.125, "none": 0.0}
"""The share of each layer's filters that learns; the classifier always does."""


@dataclass(frozen=True)
class Settings:
    """Three convolutional layers of ``channels`` filters of 3 x 3, the first two pooled.

    ``left_out``: the filters that do not learn are set to zero, in place of being left as drawn.
    In the last ``cool`` epochs the learning rate is a tenth.
    """

    examples: int = 600
    channels: int = 16
    epochs: int = 8
    batch_size: int = 50
    learning_rate: float = 0.03
    momentum: float = 0.9
    cool: int = 2
    left_out: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {"left-out": {"left_out": True}}


class Filters(Network):
    """The network: x has shape (n, 1, 14, 14), and each layer's outputs are normalised.

    A channel is brought to mean 0 and variance 1 over the batch and the pixels; nothing is learned
    in that, and a test set is normalised as one batch of its own.
    """

    example_dims = 3
    stacks_on_cpu = False

    def __init__(self, channels: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                str(number): nn.utils.skip_init(nn.Conv2d, inputs, channels, 3, padding=1)
                for number, inputs in enumerate((1, channels, channels), start=1)
            }
        )
        self.classifier = nn.utils.skip_init(nn.Linear, channels * 4 * 4, CLASSES)
        initialise(self, generator, init="he", gain=2.0)

    def features(self, x: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n features"]:
        for number, layer in self.layers.items():
            x = torch.relu(F.batch_norm(layer(x), None, None, training=True))
            if number != "3":
                x = F.max_pool2d(x, 2, ceil_mode=True)
        return x.flatten(1)


def learned(network: Filters, share: float) -> list[tuple[Tensor, Tensor]]:
    """Each parameter that learns, with a mask of ones where it does; filters from the first on.

    The convolutions' thresholds never learn: the normalisation takes them away again.
    """
    parts = []
    for layer in network.layers.values():
        mask = torch.zeros_like(layer.weight)
        mask[: round(share * len(mask))] = 1
        parts.append((layer.weight, mask))
    parts += [(p, torch.ones_like(p)) for p in network.classifier.parameters()]
    return [(p, mask) for p, mask in parts if mask.any()]


def accuracy(data: Task, share: float, settings: Settings, *, chance: Chance) -> tuple[float, int]:
    """Test accuracy after training a ``share`` of the filters, and the number of weights learned.

    All shares begin with the same weights and see the same batches.
    """
    network = Filters(settings.channels, generator=chance["init"]).to(data.x.device)
    for layer in network.layers.values():
        if settings.left_out:
            with torch.no_grad():
                layer.weight[round(share * len(layer.weight)) :] = 0
    network.requires_grad_(False)
    parts = learned(network, share)
    weights = [p.requires_grad_() for p, _ in parts]
    velocity = [torch.zeros_like(p) for p in weights]
    generator = chance["order"]
    for epoch in range(settings.epochs):
        cooled = epoch >= settings.epochs - settings.cool
        lr = settings.learning_rate * (0.1 if cooled else 1)
        for rows in torch.randperm(len(data.x), generator=generator).split(settings.batch_size):
            loss = F.cross_entropy(network(data.x[rows]), data.y[rows])
            gradient = torch.autograd.grad(loss, weights)
            with torch.no_grad():
                for (p, mask), v, g in zip(parts, velocity, gradient, strict=True):
                    v.mul_(settings.momentum).add_(g * mask)
                    p.sub_(v, alpha=lr)
    with torch.no_grad():
        right = network(data.x_test).argmax(1) == data.y_test
    return float(right.double().mean()), int(sum(mask.sum() for _, mask in parts))


def run(settings: Settings, chance: Chance) -> Result:
    """Test accuracy and number of weights learned for each share of LEARNED."""
    data = task(settings.examples, chance=chance, device=device)
    pairs = {
        name: accuracy(data, share, settings, chance=chance) for name, share in LEARNED.items()
    }
    found = {name: right for name, (right, _) in pairs.items()}
    counts = {name: count for name, (_, count) in pairs.items()}
    network = Filters(settings.channels, generator=chance["init"])
    filters = sum(layer.weight.numel() for layer in network.layers.values())
    classifier = counts["none"]
    return Result(
        shares=(100 * np.array(list(LEARNED.values())), "% of the filters"),
        accuracies=(np.array(list(found.values())), SHARE),
        weights=(np.array(list(counts.values())), "weights learned"),
        **{f"accuracy_{name}": (value, SHARE) for name, value in found.items()},
        **{f"weights_{name}": (value, "weights learned") for name, value in counts.items()},
        classifier_share=(classifier / (filters + classifier), "fraction of all weights"),
        ratio_eighth=(found["eighth"] / found["all"], "ratio of accuracies"),
        deficit_eighth=(found["all"] - found["eighth"], SHARE),
        deficit_none=(found["all"] - found["none"], SHARE),
        gain_eighth=(found["eighth"] - found["none"], SHARE),
    )


CLAIMS = (
    Claim(
        id="rosenfeld2018-learn-next-to-nothing",
        cite="rosenfeld2018",
        sentence="A convolutional network of which most filters stay as they were drawn, and only "
        "a small part is learned, is about as accurate as one that learns everything.",
        kind="effect",
        expected=PARTLY,
        missed=("deficit_eighth",),
        paper=(
            (
                "learning a small part of deep convolutional networks",
                "often on a par with learning everything",
                "abstract",
            ),
        ),
        conditions=(
            at_least(
                "ratio_eighth",
                "learning an eighth of the filters and the classifier gives at least {bound} of "
                "the accuracy of learning all",
                0.92,
            ),
            at_most(
                "deficit_eighth", "on a par: it loses at most {bound:%} point of accuracy", 0.01
            ),
        ),
        controls=(
            Control(
                "left-out",
                "the frozen filters: those that do not learn are left out",
                {"ratio_eighth": 0.02, "deficit_eighth": 0.02},
                (
                    at_least(
                        "accuracy_eighth",
                        "what is left still learns: it is right on at least {bound} of the test "
                        "examples",
                        0.4,
                    ),
                ),
            ),
        ),
        disputed="At a larger scale a gap remains: with nothing learned but the scale and shift of "
        "the normalisation, deep networks reach 82 % on CIFAR-10 and 32 % on ImageNet "
        "{cite}`frankle2021`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test accuracy against what learns, with the other filters as drawn or left out."""
    looks = {
        MAIN: ("as they were drawn", "blue", "o", None),
        "left-out": ("left out", "vermillion", "s", "//"),
    }
    shown = [variant for variant in looks if variant in runs]
    results = list(runs[MAIN].values())
    names = {"all": "all", "eighth": "an eighth", "none": "none"}
    places = np.arange(len(names))
    with figures.style():
        drawn, axes = plt.subplots(figsize=(6.8, 3.8))
        for variant in shown:
            name, colour, marker, hatch = looks[variant]
            accuracies = 100 * np.array([r["accuracies"] for r in runs[variant].values()])
            figures.bars(
                axes,
                places + 0.17 * (2 * shown.index(variant) - len(shown) + 1),
                accuracies,
                label=name,
                colour=figures.COLOURS[colour],
                marker=marker,
                hatch=hatch,
            )
        counts = results[0]["weights"]
        axes.set_xticks(
            places,
            [f"{name}\n{n:,} weights" for name, n in zip(names.values(), counts, strict=True)],
        )
        axes.set(xlabel="filters that learn", ylabel="test accuracy (%)", ylim=(0, 100))
        axes.legend(title="the other filters", ncols=2, loc="upper right")
    return figures.Figure(
        drawn,
        label="fig-prefers-nothing",
        caption="Test accuracy of a network of three convolutional layers when all, an eighth or "
        "none of the filters learn, and the classifier always, with the number of "
        "weights that learn; the other filters stay as they were drawn, or are left out. Bars are "
        f"means over {figures.count(len(results))}, marks the seeds.",
        alt="Three pairs of bars. With the other filters as they were drawn, the accuracy falls by "
        "a few points from all filters to none. With the other filters left out, it falls far "
        "more, and to chance when no filter is left.",
    )
