"""How much of a lead comes from averaging seven networks?

The post says that AlexNet "basically halved" the error of the ImageNet competition
({cite}`bubeck2015`). The winning 15.3 % against 26.2 % are the top-5 error of seven networks whose
predictions are averaged, two of them first trained on more pictures; one network alone has 18.2 %
({cite}`krizhevsky2012`, section 6). ImageNet is out of reach here. What a laptop can test is the
step from one network to seven: we average seven small convolutional networks on Fashion-MNIST.

What would refute it: an average that errs as often as its members do; or one that gains as much
where the seven were not trained apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import train
from whydeep.evidence.claims import REPRODUCED, Claim, Condition, Control
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Convolutional
from whydeep.show import figures

PAGE = "design-choices/convolution-is-a-matrix"
MEMBERS = 7


@dataclass(frozen=True)
class Settings:
    """``examples`` training pictures of 14 x 14 pixels, drawn afresh by every seed.

    ``apart``: the seven members start and shuffle by seeds of their own. If not, they are one
    network at its last seven moments, ``gap`` steps from one to the next.
    """

    examples: int = 2000
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 0.02
    momentum: float = 0.9
    weight_decay: float = 1e-3
    apart: bool = True
    gap: int = 1


SCALES = {"quick": Settings()}
VARIANTS = {"one-network": {"apart": False}}


def errors_by_size(
    probabilities: Float[Tensor, "m n k"], y: Int[Tensor, "n"]
) -> Float[np.ndarray, "m"]:
    """Error of the average of j members, j = 1 to m, itself averaged over m choices of the j.

    The choices are the members i, i + 1, ..., i + j - 1, counted in a circle, so that each member
    stands in equally many.
    """
    m = len(probabilities)
    round_trip = torch.cat([probabilities, probabilities])
    found = [
        [(round_trip[i : i + j].sum(0).argmax(-1) != y).double().mean() for i in range(m)]
        for j in range(1, m + 1)
    ]
    return np.array(found).mean(1)


def disagreement(probabilities: Float[Tensor, "m n k"]) -> float:
    """Share of the examples to which two members, drawn at random, give different labels."""
    labels = probabilities.argmax(-1)
    pairs = torch.combinations(torch.arange(len(labels)))
    return float((labels[pairs[:, 0]] != labels[pairs[:, 1]]).double().mean())


def run(settings: Settings, chance: Chance) -> Result:
    """Test error of averages of 1 to 7 members, and how often two members disagree."""
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    x, x_test = (F.avg_pool2d(z, 2) for z in (data.train_x, data.test_x))
    mean, sd = x.mean(), x.std()
    x, x_test = ((z - mean) / sd for z in (x, x_test))
    y_test = data.test_y

    def answers(trained) -> Float[Tensor, "k n classes"]:
        return trained.outputs(x_test.to(trained.device)).softmax(-1)

    last = settings.steps
    moments = range(last - (MEMBERS - 1) * settings.gap, last + 1, settings.gap)
    trained = train(
        partial(Convolutional, (1, 14, 14), channels=(8, 16), kernel=3),
        x.to(device),
        data.train_y.to(device),
        seeds=chance.members(MEMBERS if settings.apart else 1),
        steps=settings.steps,
        batch_size=settings.batch_size,
        lr=settings.learning_rate,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        measure={"answers": answers},
        measure_at=[last] if settings.apart else list(moments),
        device=device,
    )
    found = trained.history["answers"]  # (members, 1, n, k) or (1, moments, n, k)
    probabilities = found.flatten(0, 1)
    errors = errors_by_size(probabilities, y_test)
    return Result(
        errors=(errors, "fraction of test examples"),
        error_one=(errors[0], "fraction of test examples"),
        error_seven=(errors[-1], "fraction of test examples"),
        ratio=(errors[-1] / errors[0], "ratio of test errors"),
        disagreement=(disagreement(probabilities), "fraction of test examples"),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-ilsvrc-numbers",
        cite="krizhevsky2012",
        sentence="Of the step from 26.2% to 15.3%, by which AlexNet won the competition of 2012, a "
        "part is due to averaging seven networks: the average errs less than one network does.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "top-5 error, ILSVRC-2012 test: second place; winner",
                ("{} %; {} % (ratio {:.2f})", 26.2, 15.3, 15.3 / 26.2),
                "abstract",
            ),
            (
                "one network; five averaged; seven averaged, two of them pre-trained",
                (
                    "{} %; {} %; {} % (ratios to one: {:.2f}; {:.2f})",
                    18.2,
                    16.4,
                    15.3,
                    16.4 / 18.2,
                    15.3 / 18.2,
                ),
                "section 6, Table 2; the first on validation pictures",
            ),
        ),
        conditions=(
            Condition(
                "ratio",
                "the average of seven networks has at most {bound} times the error of one",
                lambda result: float(result["ratio"]),
                "<=",
                0.92,
                "ratio of test errors",
            ),
        ),
        controls=(
            Control(
                "one-network",
                "the separate training: the seven are one network at its last seven moments",
                {"ratio": 0.02},
                (
                    Condition(
                        "error_one",
                        "a member alone errs on at most {bound:word} of the test examples",
                        lambda result: float(result["error_one"]),
                        "<=",
                        0.25,
                        "fraction of test examples",
                    ),
                    Condition(
                        "disagreement",
                        "the seven are no copies: two of them disagree on at least {bound:%} % of "
                        "the test examples",
                        lambda result: float(result["disagreement"]),
                        ">=",
                        0.01,
                        "fraction of test examples",
                    ),
                ),
            ),
        ),
    ),
)

NAMES = {MAIN: "trained apart", "one-network": "one network, its last moments"}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Error of the average against the number of members, with its band over the seeds."""
    sizes = np.arange(1, MEMBERS + 1)
    with figures.style():
        drawn, axes = plt.subplots(figsize=(6.4, 3.4))
        for variant, name in NAMES.items():
            if variant in runs:
                errors = np.array([100 * r["errors"] for r in runs[variant].values()])
                figures.band(axes, sizes, errors, label=name)
        axes.set(xlabel="networks averaged", ylabel="test error (%)")
        axes.set_xticks(sizes)
        axes.legend()
    ratio = np.mean([float(r["ratio"]) for r in runs[MAIN].values()])
    return figures.Figure(
        drawn,
        label="fig-ensemble",
        caption="Test error of the average of one to seven small convolutional networks on "
        f"Fashion-MNIST. Seven that were trained apart err {ratio:.2f} times as often as one; "
        "seven moments of one network gain little. Bands are one standard deviation over seeds.",
        alt="Two lines over the number of networks averaged, from one to seven. The line of "
        "networks trained apart falls steeply at first and then flattens; the line of one "
        "network's last moments falls only a little.",
    )
