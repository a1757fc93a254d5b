"""Can global average pooling replace the dense layers, which hold nearly all the parameters?

In AlexNet the unconstrained matrices W_6 and W_7 hold, with the classifier, 96 % of the parameters.
{cite:t}`lin2014` leave them out: each channel of the last convolutional layer is averaged over the
picture, and the classifier works on these averages. We train two networks alike but for that.

What would refute it: a network with averages that errs more often by several points; or one that
does as well on channels that have learned nothing, since then the averages would not need what the
convolutional layers learn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from whydeep import figures
from whydeep.claims import REPRODUCED, Claim, Control, at_most
from whydeep.miniature import parameters, task
from whydeep.networks import Network, initialise
from whydeep.recipe import Recipe, error, fit, generators
from whydeep.results import MAIN, Result

PAGE = "design-choices/constraints-and-sizes"
CHANNELS = (8, 16, 64)


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14 x 14 pixels, drawn afresh by every seed; ``units`` in the dense
    layer. The dense network learns at ``rate``, the one with averages at ``average_rate``.

    If not ``learned``, the averages are taken of the channels as they were drawn, and only the
    classifier on them is trained.
    """

    examples: int = 1000
    units: int = 128
    rate: float = 0.02
    average_rate: float = 0.05
    epochs: int = 16
    batch_size: int = 50
    learned: bool = True


SCALES = {"quick": Settings()}
VARIANTS = {"random-channels": {"learned": False}}


class Headed(Network):
    """Three convolutional layers, two of them pooled, then a dense layer or averages.

    x has shape (n, 1, 14, 14); the last feature map has 64 channels of 4 x 4 pixels. ``units`` is
    the width of the dense layer, or 0 for the average of each channel.
    """

    example_dims = 3
    stacks_on_cpu = False

    def __init__(self, units: int, *, generator: torch.Generator) -> None:
        super().__init__()
        self.layers = nn.ModuleDict(
            {
                str(i): nn.utils.skip_init(nn.Conv2d, a, b, 3, padding=1)
                for i, (a, b) in enumerate(zip((1, *CHANNELS), CHANNELS, strict=False), start=1)
            }
        )
        if units:
            self.layers["dense"] = nn.utils.skip_init(nn.Linear, CHANNELS[-1] * 4 * 4, units)
        self.classifier = nn.utils.skip_init(nn.Linear, units or CHANNELS[-1], 10)
        initialise(self, generator, init="he", gain=2.0)

    def features(self, x: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n features"]:
        for i in ("1", "2"):
            x = F.max_pool2d(torch.relu(self.layers[i](x)), 2, ceil_mode=True)
        x = torch.relu(self.layers["3"](x))
        if "dense" in self.layers:
            return torch.relu(self.layers["dense"](x.flatten(1)))
        return x.mean((2, 3))


def error_on_fixed_features(
    phi: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    phi_test: Float[Tensor, "m d"],
    y_test: Int64[Tensor, " m"],
) -> float:
    """Test error of logistic regression on features that do not learn, standardised."""
    mean, sd = phi.mean(0), phi.std(0) + 1e-3
    phi, phi_test = ((z - mean) / sd for z in (phi, phi_test))
    with threadpool_limits(1):
        model = LogisticRegression(max_iter=1000).fit(phi.cpu().numpy(), y.cpu().numpy())
        return 1 - float(model.score(phi_test.cpu().numpy(), y_test.cpu().numpy()))


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """Test errors and parameters of the dense network and of what takes its place."""
    data = task(settings.examples, seed=seed, device=device)
    wrong = error(data.x_test, data.y_test)

    def untrained(units: int) -> Headed:
        return Headed(units, generator=generators(seed)["init"]).to(device)

    def trained(network: Headed, rate: float) -> Headed:
        training = Recipe(
            settings.epochs, rate, settings.batch_size, divide_at=(3 * settings.epochs // 4,)
        )
        fit(network, data.x, data.y, training, seed=seed, progress=progress)
        return network

    dense = trained(untrained(settings.units), settings.rate)
    averaged = untrained(0)
    if settings.learned:
        trained(averaged, settings.average_rate)
    with torch.no_grad():
        error_dense, train_error_dense = wrong(dense), error(data.x, data.y)(dense)
        if settings.learned:
            error_other = wrong(averaged)
        else:
            phi, phi_test = (averaged.features(x) for x in (data.x, data.x_test))
            error_other = error_on_fixed_features(phi, data.y, phi_test, data.y_test)
    sizes = {"dense": parameters(dense), "averaged": parameters(averaged)}
    share = "fraction of test examples"
    return Result(
        error_dense=(error_dense, share),
        train_error_dense=(train_error_dense, "fraction of training examples"),
        error_averaged=(error_other, share),
        cost=(error_other - error_dense, share),
        parameters_dense=(sizes["dense"], "parameters"),
        parameters_averaged=(sizes["averaged"], "parameters"),
        fewer=(sizes["dense"] / sizes["averaged"], "times"),
    )


CLAIMS = (
    Claim(
        id="lin2014-fully-connected-not-needed",
        cite="lin2014",
        sentence="The dense layers hold nearly all the parameters, yet global average pooling can "
        "replace them.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "CIFAR-10 test error: dense layers; with dropout; global average pooling",
                "11.59 %; 10.88 %; 10.41 %",
                "Table 5",
            ),
        ),
        conditions=(
            at_most(
                "cost",
                "with a thirteenth of the parameters, averages cost at most five points of test "
                "error",
                0.05,
                "fraction of test examples",
            ),
        ),
        controls=(
            Control(
                "random-channels",
                "what the channels learn: they stay as they were drawn, under a classifier that "
                "is trained",
                {"cost": 0.02},
                (
                    at_most(
                        "error_averaged",
                        "the classifier on them still beats guessing by far, with an error of at "
                        "most 0.5",
                        0.5,
                        "fraction of test examples",
                    ),
                ),
            ),
        ),
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test error against the number of parameters for the two heads, one dot a seed."""
    shown = [
        ("dense layer", MAIN, "dense", "o", "blue"),
        ("averages", MAIN, "averaged", "s", "vermillion"),
        ("averages of random channels", "random-channels", "averaged", "^", "green"),
    ]
    with figures.style():
        drawn, axes = plt.subplots(figsize=(6.4, 3.4))
        for label, variant, head, marker, colour in shown:
            if variant not in runs:
                continue
            results = runs[variant].values()
            sizes = np.array([float(result[f"parameters_{head}"]) for result in results])
            errors = np.array([100 * float(result[f"error_{head}"]) for result in results])
            axes.plot(
                sizes * np.linspace(0.97, 1.03, len(sizes)), errors, marker, ls="none",
                color=figures.COLOURS[colour], label=label,
            )  # fmt: skip
        axes.set(xscale="log", xlim=(5e3, 3e5), ylim=(0, None))
        axes.set(xlabel="parameters", ylabel="test error (%)")
        axes.legend(loc="lower center")
    return figures.Figure(
        drawn,
        label="fig-average-head",
        caption="Test error against parameters of one convolutional network with three heads: a "
        "dense layer of 128 units, the average of each channel, and the same averages where the "
        "channels have learned nothing. One dot a seed.",
        alt="A scatter of dots, one a seed. At 143,000 parameters the dense network, at 11,000 the "
        "averages, a little higher; above them, also at 11,000, the averages of random channels.",
    )
