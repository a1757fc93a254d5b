"""AlexNet in miniature: the network of 2012 with its choices as switches, for 14 x 14 pictures.

Three convolutional layers and a dense one in place of five and two, 38,000 weights in place of
61 million (Krizhevsky, Sutskever and Hinton 2012, section 3):

    conv1, sigma, response norm, pool   14 x 14 -> 7 x 7      8 channels
    conv2, sigma, response norm, pool   7 x 7 -> 4 x 4        16 channels
    conv3, sigma                        4 x 4                 16 channels
    fc4, sigma, dropout                                       128 units
    classifier

What differs other than in size: He's start in place of N(0, 0.01), one group of channels in place
of two, kernels of 3 x 3 pixels throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.networks.layers import Dropout
from whydeep.networks.plain import Network, initialise

CHANNELS = {"conv1": 8, "conv2": 16, "conv3": 16}
POOLED = NORMALISED = ("conv1", "conv2")


@dataclass(frozen=True)
class Choices:
    """The choices that the network leaves open; the defaults are those of 2012.

    ``activation`` is "relu" or "tanh"; ``overlap`` pools 3 x 3 windows at stride 2 in place of
    2 x 2 ones; ``norm`` is what follows conv1 and conv2: "response" (local response
    normalisation), "batch" (batch normalisation) or "". ``dropout`` is the rate after fc4.
    ``without`` names convolutional layers to leave out; their pooling stays.
    ``head`` is "dense" (fc4, with ``units`` units) or "average": the mean of each channel.
    """

    activation: str = "relu"
    overlap: bool = True
    norm: str = "response"
    dropout: float = 0.5
    without: tuple[str, ...] = ()
    head: str = "dense"
    units: int = 128


class Miniature(Network):
    """The network above; x has shape (n, 1, 14, 14). Raises BadSettings for unknown choices."""

    example_dims = 3
    stacks_on_cpu = False

    def __init__(
        self, choices: Choices, *, init: torch.Generator, dropout: torch.Generator
    ) -> None:
        super().__init__()
        sigmas = {"relu": (torch.relu, 2.0), "tanh": (torch.tanh, 1.0)}
        # PyTorch divides alpha by the number of channels that are summed; the paper does not.
        response = nn.LocalResponseNorm(5, alpha=5 * 1e-4, beta=0.75, k=2.0)
        norms = {"response": lambda _: response, "batch": nn.BatchNorm2d, "": nn.Identity}
        if (
            choices.activation not in sigmas
            or choices.norm not in norms
            or choices.head not in ("dense", "average")
            or not set(choices.without) <= set(CHANNELS)
        ):
            raise BadSettings(
                f"{choices}: expected activation relu or tanh, norm response, batch or '', head "
                f"dense or average, and without some of {', '.join(CHANNELS)}"
            )
        self.choices = choices
        self.activation, gain = sigmas[choices.activation]
        kept = {name: c for name, c in CHANNELS.items() if name not in choices.without}
        channels = (1, *kept.values())
        self.layers = nn.ModuleDict(
            {
                name: nn.utils.skip_init(nn.Conv2d, a, b, 3, padding=1)
                for name, (a, b) in zip(kept, pairwise(channels), strict=True)
            }
        )
        self.norms = nn.ModuleDict(
            {n: norms[choices.norm](kept[n]) for n in NORMALISED if n in kept}
        )
        self.drop = Dropout(choices.dropout, generator=dropout)
        units = channels[-1]
        if choices.head == "dense":
            units *= 4 * 4
            self.layers["fc4"] = nn.utils.skip_init(nn.Linear, units, choices.units)
            units = choices.units
        self.classifier = nn.utils.skip_init(nn.Linear, units, 10)
        initialise(self, init, init="he", gain=gain)

    def features(self, x: Float[Tensor, "n 1 14 14"]) -> Float[Tensor, "n features"]:
        for name in CHANNELS:
            if name in self.layers:
                x = self.activation(self.layers[name](x))
            if name in self.norms:
                x = self.norms[name](x)
            if name in POOLED:
                x = self.pool(x)
        if self.choices.head == "average":
            return x.mean((2, 3))
        return self.drop(self.activation(self.layers["fc4"](x.flatten(1))))

    def pool(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h2 w2"]:
        """The largest value of each window: a side of a becomes one of a / 2, rounded up."""
        if self.choices.overlap:
            return F.max_pool2d(x, 3, stride=2, padding=1)
        return F.max_pool2d(x, 2, ceil_mode=True)


def build(choices: Choices, chance: Chance) -> Miniature:
    """The network before training: its weights and its dropout masks are drawn by ``chance``."""
    return Miniature(choices, init=chance["init"], dropout=chance["dropout"])


def parameters(network: nn.Module) -> int:
    """The number of weights and biases."""
    return sum(p.numel() for p in network.parameters())
