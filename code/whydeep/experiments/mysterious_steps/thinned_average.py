"""Is a network with scaled weights the average of all its thinned networks?

Dropout trains 2^N networks that share their weights, one for each choice of units that are kept. In
use one network stands for all: nothing is left out, and weights are scaled so that each unit gets
what it got on average. For one softmax layer its probabilities are exactly the normalised geometric
mean of those of the 2^N networks ({cite}`baldi2013`); with a non-linearity after the mask only
approximately ({cite}`wardefarley2014`). We take few enough inputs to go through all masks.

What would refute it: a difference beyond rounding for one layer; none for a layer of ReLUs, or one
so large that the scaled network is no stand-in for the mean.

The bound: a log-probability here is a number below 100 in magnitude, and a mean of 2^12 such
numbers in float64 is off by at most 2^12 * 2^-53 * 100, about 5e-11 (Higham 2002, section 4.2). The
condition allows 1e-9.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.descent.recipe import Recipe, fit
from whydeep.evidence.claims import HOLDS, Claim, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.networks import Activation, Dense, identity
from whydeep.networks.layers import Dropout
from whydeep.show import figures
from whydeep.show.plot import Runs, first, panels

PAGE = "mysterious-steps/overfitting-and-dropout"
CLASSES = 10
RATE = 0.5  # half of the inputs are left out, so that every mask is equally likely
NETWORKS = ("softmax", "hidden")
SIGMA: dict[str, Activation] = {"relu": torch.relu, "identity": identity}


@dataclass(frozen=True)
class Settings:
    """Two networks on ``inputs`` principal components of digits: one layer, and one more of width.

    Dropout acts on the inputs, each left out with probability RATE. ``sigma`` is "relu" or
    "identity". ``scaled`` is how a network is used: as trained on average, or, if not, with every
    input as strong as it was where it was kept. ``tested`` test images go through all masks.
    """

    inputs: int = 12
    width: int = 32
    sigma: str = "relu"
    scaled: bool = True
    recipe: Recipe = Recipe(epochs=20, lr=0.02, batch_size=50)
    tested: int = 60


SCALES = {"quick": Settings()}
VARIANTS = {"unscaled": {"scaled": False}, "linear": {"sigma": "identity"}}


class OnInputs(Dense):
    """`Dense` with dropout on its inputs."""

    def __init__(self, widths: tuple[int, ...], activation: Activation, chance: Chance):
        super().__init__(widths, activation, generator=chance["init"])
        self.dropout = Dropout(RATE, generator=chance["dropout"])

    def features(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n features"]:
        return super().features(self.dropout(x))


def components(
    inputs: int, chance: Chance
) -> tuple[Float[Tensor, "n inputs"], Int64[Tensor, " n"], Float[Tensor, "m inputs"], Tensor]:
    """Principal components of digits, each of mean 0 and standard deviation 1 in training."""
    data = digits().subset(600, seed=chance.seed)
    x, x_test = data.train_x.flatten(1).double(), data.test_x.flatten(1).double()
    mean = x.mean(0)
    _, _, directions = torch.linalg.svd(x - mean, full_matrices=False)
    z, z_test = ((a - mean) @ directions[:inputs].T for a in (x, x_test))
    return z / z.std(0), data.train_y, z_test / z.std(0), data.test_y


def all_masks(n: int) -> Float[Tensor, "masks n"]:
    """Every vector of n zeros and ones."""
    return torch.tensor(list(product((0.0, 1.0), repeat=n)), dtype=torch.float64)


@torch.no_grad()
def thinned_log_probabilities(
    network: Dense, x: Float[Tensor, "n inputs"]
) -> Float[Tensor, "masks n classes"]:
    """The answer of each thinned network: inputs that are kept are divided by 1 - RATE."""
    return torch.stack(
        [network(x * mask / (1 - RATE)).log_softmax(-1) for mask in all_masks(x.shape[1])]
    )


def geometric_mean(log_p: Float[Tensor, "masks n classes"]) -> Float[Tensor, "n classes"]:
    """Log of the normalised geometric mean of probabilities, all masks being equally likely."""
    return log_p.mean(0).log_softmax(-1)


def total_variation(log_p: Float[Tensor, "n classes"], log_q: Float[Tensor, "n classes"]) -> float:
    """Mean over the examples of half the sum of |p - q|."""
    return float((log_p.exp() - log_q.exp()).abs().sum(-1).mean() / 2)


def run(settings: Settings, chance: Chance) -> Result:
    """Differences between each network in use and the mean over all its thinned networks.

    ``used`` and ``mean`` are log-probabilities of the label. Runs on the CPU in float64.
    """
    x, y, x_test, y_test = components(settings.inputs, chance)
    shown, truth = x_test[: settings.tested], y_test[: settings.tested]
    right = torch.arange(len(truth)), truth
    strength = 1.0 if settings.scaled else 1 / (1 - RATE)
    found = []
    for hidden in ((), (settings.width,)):
        widths = (settings.inputs, *hidden, CLASSES)
        network = OnInputs(widths, SIGMA[settings.sigma], chance).double()
        fit(network, x, y, settings.recipe, chance=chance)
        thinned = thinned_log_probabilities(network, shown)
        with torch.no_grad():
            used = network(shown * strength).log_softmax(-1)
            error = (network(x_test * strength).argmax(-1) != y_test).double().mean()
        mean = geometric_mean(thinned)
        of_thinned = (thinned.argmax(-1) != truth).double().mean()
        distances = (total_variation(used, m) for m in (mean, thinned.exp().mean(0).log()))
        largest = (used - mean).abs().max()
        found.append((largest, *distances, error, of_thinned, used[right], mean[right]))
    difference, distance, arithmetic, error, of_thinned, used, mean = map(
        np.stack, zip(*found, strict=True)
    )
    axes = {"network": NETWORKS}
    over_test, of_label = "fraction of test examples", "log-probability of the label"
    return Result(
        masks=(2**settings.inputs, "thinned networks"),
        difference=Quantity(difference, "nats", **axes),
        distance=Quantity(distance, "probability", **axes),
        distance_arithmetic=Quantity(arithmetic, "probability", **axes),
        error=Quantity(error, over_test, **axes),
        error_thinned=Quantity(of_thinned, f"{over_test}, mean over the thinned networks", **axes),
        used=Quantity(used, of_label, **axes, example=None),
        mean=Quantity(mean, of_label, **axes, example=None),
    )


EXACT = at_most(
    "difference[softmax]",
    "for one softmax layer no log-probability differs by more than rounding could explain, "
    "$10^{{bound:log10}}$",
    1e-9,
)
LEARNS = at_most(
    "error[hidden]",
    "its network learns: it errs on at most {bound:word} of the test examples",
    0.25,
)
CLAIMS = (
    Claim(
        id="dropout-as-model-averaging",
        title="Which average does a network stand for after dropout?",
        cite="baldi2013", kind="exact", expected=HOLDS,
        says="The network with scaled weights that is used after training computes the "
        "normalised geometric mean of exponentially many thinned networks, exactly for one "
        "softmax layer and approximately otherwise.",
        tested="One layer, and one more of 32 ReLUs, trained with dropout on twelve principal "
        "components of 600 digits; all 4,096 thinned networks on 60 test pictures.",
        so="For one softmax layer no log-probability is off by more than rounding, "
        "{num}`dropout-as-model-averaging:difference[softmax] max .0e`; with a layer of ReLUs "
        "after the mask the probabilities lie {num}`dropout-as-model-averaging:"
        "distance[hidden] .2f` from the mean's.",
        caveat="'Approximately' is not exact, and not judged: some log-probability is off by "
        "{num}`dropout-as-model-averaging:difference[hidden] .1f`, and from the arithmetic "
        "mean, the vote of the thinned networks, the probabilities lie "
        "{num}`mysterious-steps/thinned-average distance_arithmetic[hidden] .2f` away.",
        paper=(
            ("one softmax layer", "equality", "theorem on the normalised geometric mean"),
            ("small networks of ReLUs", "nearly the same, also against the exact mean",
             "{cite:t}`wardefarley2014`"),
        ),
        decides=(EXACT,),
        mechanism=(
            at_least("difference[hidden]", "with a hidden layer of ReLUs after the mask, some "
                     "log-probability differs by at least {bound}", 0.01),
            at_most("distance[hidden]", "and yet its probabilities lie, in the mean over test "
                    "examples, within {bound} of the mean's (half the sum of the differences)",
                    0.1),
        ),
        controls=(
            Control(
                "unscaled", "the scaling: inputs are as strong as they were where they were kept",
                ("difference[softmax]", "distance[hidden]"),
                (LEARNS,),
            ),
            Control(
                "linear", "the ReLU: the hidden layer is linear", ("difference[hidden]",),
                (EXACT, LEARNS),
            ),
        ),
        changes=("Only what is exact decides, that one softmax layer is the mean; how near a layer "
                 "of ReLUs comes is an effect, and shown with its old bounds.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """The log-probability of the label: the network in use against the mean over all masks."""
    titles = ("one softmax layer", "a layer of ReLUs first")
    with panels(2, size=(7.4, 3.6), sharex=True, sharey=True) as (drawn, axes):
        for panel, name, title in zip(axes, NETWORKS, titles, strict=True):
            mean, used = first(runs, f"mean[{name}]"), first(runs, f"used[{name}]")
            if "unscaled" in runs:
                unscaled = first(runs, f"used[{name}]", "unscaled")
                panel.plot(mean, unscaled, "s", label="not scaled", alpha=0.6)
            panel.plot(mean, used, "o", label="scaled")
            low = min(mean.min(), used.min())
            panel.plot([low, 0], [low, 0], **figures.THEORY, label="equality")
            panel.set(title=title, xlabel="mean over all thinned networks (nats)")
        axes[0].set(ylabel="network in use (nats)")
        axes[0].legend()
    masks = int(first(runs, "masks"))
    return figures.Figure(
        drawn,
        label="fig-thinned-average",
        caption="Log-probability of the right label for test digits: the network in use against "
        f"the normalised geometric mean of its {masks:,} thinned networks. For one "
        "softmax layer the scaled network lies on the line of equality; with a layer of ReLUs "
        "after the mask it lies near it.",
        alt="Two scatter plots along a dashed diagonal. Left, the circles of the scaled network "
        "lie exactly on the diagonal and the squares of the network that was not scaled lie off "
        "it. Right, the circles lie close to the diagonal.",
    )
