"""The networks of the page on max-pooling: two convolutions on pictures that are halved twice."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.datasets.tasks import CLASSES, Task
from whydeep.descent import SGD, accuracy, train
from whydeep.descent.stack import Measure
from whydeep.networks import Network, initialise

SIDE = 16  # 14 x 14 pixels and a border of one, so that two poolings halve it without a remainder
# Signs of the four quarters of a picture, one row a class, for the textures.
QUARTERS = (
    (-1, -1, -1, -1), (-1, -1, 1, 1), (-1, 1, -1, 1), (-1, 1, 1, -1), (1, -1, -1, 1),
    (1, -1, 1, -1), (1, 1, -1, -1), (1, 1, 1, 1), (-1, -1, -1, 1), (1, 1, 1, -1)
)  # fmt: skip


@dataclass(frozen=True)
class Setup:
    """``examples`` training and ``test`` test pictures, drawn afresh by every seed.

    ``members`` networks of each design are trained and tested ``checks`` times on the way, after
    equally many steps; an error is the mean over them and over the last two checks. ``data`` is
    "clothes", or "textures": noise whose mean over each quarter of the picture tells the class, by
    ``contrast``. ``scattered`` pools four places that a fixed shuffle brings together, in place of
    neighbours.
    """

    examples: int = 2000
    test: int = 1000
    members: int = 2
    channels: tuple[int, int] = (8, 16)
    data: str = "clothes"
    contrast: float = 0.2
    scattered: bool = False
    checks: int = 4
    sgd: SGD = SGD(lr=0.02, steps=160, batch=50, momentum=0.9)

    @property
    def checked(self) -> list[int]:
        """The numbers of steps after which the networks are tested."""
        return [self.sgd.steps * i // self.checks for i in range(1, self.checks + 1)]


def pool(x: Float[Tensor, "n c a a"], design: str) -> Float[Tensor, "n c m m"]:
    """Half as many places along each side: a design of `DESIGNS`, or "overlap".

    The latter is AlexNet's, the maximum of 3 x 3 places at stride 2 (Krizhevsky et al. 2012,
    section 3.4), with a border so that it leaves as many places as the others.
    """
    if design == "maximum":
        return F.max_pool2d(x, 2)
    if design == "overlap":
        return F.max_pool2d(x, 3, stride=2, padding=1)
    return F.avg_pool2d(x, 2) if design == "average" else x[:, :, ::2, ::2]


class Pooled(Network):
    """Two convolutions of 3 x 3, border 1, each under a ReLU and a `pool`; then a classifier.

    ``scattered`` shuffles the places of each feature map, in one order for all networks, before
    it is pooled; a stride stays as it is. x has shape (n, 1, 16, 16).
    """

    example_dims = 3
    stacks_on_cpu = False

    def __init__(
        self,
        design: str,
        channels: tuple[int, int] = (8, 16),
        scattered: bool = False,
        *,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        first, second = channels
        self.layers = nn.ModuleDict(
            {
                "1": nn.utils.skip_init(nn.Conv2d, 1, first, 3, padding=1),
                "2": nn.utils.skip_init(nn.Conv2d, first, second, 3, padding=1),
            }
        )
        self.classifier = nn.utils.skip_init(nn.Linear, second * (SIDE // 4) ** 2, CLASSES)  # pyright: ignore[reportAttributeAccessIssue]
        self.design = design
        fixed = Chance(0).torch()
        self.orders = [
            torch.randperm(side**2, generator=fixed) if scattered and design != "stride" else None
            for side in (SIDE, SIDE // 2)
        ]
        initialise(self, generator, init="he", gain=2.0)

    def features(self, x: Float[Tensor, "n 1 16 16"]) -> Float[Tensor, "n features"]:
        # Channels side by side in memory: PyTorch pools such images faster on a CPU.
        x = x.movedim(1, -1).clone(memory_format=torch.contiguous_format).movedim(-1, 1)
        for layer, order in zip(self.layers.values(), self.orders, strict=True):
            x = torch.relu(layer(x))
            if order is not None:
                x = x.flatten(2)[:, :, order.to(x.device)].view(x.shape)
            x = pool(x, self.design)
        return x.flatten(1)


def shifted(x: Float[Tensor, "n 1 a a"], right: int) -> Float[Tensor, "n 1 a a"]:
    """Pictures moved to the right by so many pixels (to the left if negative), zeros moving in."""
    a = x.shape[-1]
    return F.pad(x, (max(right, 0), max(-right, 0)))[..., max(-right, 0) :][..., :a]


def textures(
    n: int, contrast: float, generator: torch.Generator
) -> tuple[Float[Tensor, "n 1 16 16"], Int64[Tensor, " n"]]:
    """Unit noise, raised or lowered by ``contrast`` in each quarter as the class says; labels."""
    y = torch.randint(10, (n,), generator=generator)
    signs = torch.tensor(QUARTERS, dtype=torch.float32).view(10, 1, 2, 2)
    means = F.interpolate(signs, size=(SIDE, SIDE))  # nearest
    return torch.randn(n, 1, SIDE, SIDE, generator=generator) + contrast * means[y], y


def pictures(setup: Setup, chance: Chance) -> Task:
    """Training and test pictures, not yet standardised: what moves into a shifted one is 0."""
    if setup.data == "textures":
        drawn = chance["labels"]
        return Task(
            *textures(setup.examples, setup.contrast, drawn),
            *textures(setup.test, setup.contrast, drawn),
        )
    data = fashion_mnist().subset(setup.examples, setup.test, seed=chance.seed)
    x, x_test = (F.pad(F.avg_pool2d(z, 2), (1,) * 4) for z in (data.train_x, data.test_x))
    return Task(x, data.train_y, x_test, data.test_y)


def errors(
    design: str, setup: Setup, chance: Chance
) -> dict[str, float | Float[np.ndarray, " checks"]]:
    """Means over the members: "test" and "train" error, and the "cost" of a shift.

    "curve" is the test error at each check and "test" the mean of its last two. "cost" is what a
    shift of the test pictures by one pixel, to the left or the right, adds at the last.
    """
    here = device.current()
    x, y, x_test, y_test = pictures(setup, chance).to(here)
    mean, sd = x.mean(), x.std()

    def right(z: Tensor, labels: Tensor) -> Measure:
        return accuracy((z - mean) / sd, labels)

    trained = train(
        partial(Pooled, design, setup.channels, setup.scattered), (x - mean) / sd, y,
        seeds=chance.members(setup.members), **setup.sgd.how, device=here,
        measure={"right": right(x_test, y_test)}, measure_at=setup.checked,
    )  # fmt: skip
    curve = 1 - trained.history["right"].numpy().mean(0)
    moved = [1 - right(shifted(x_test, by), y_test)(trained).mean().item() for by in (-1, 1)]
    return {
        "curve": curve,
        "test": float(curve[-2:].mean()),
        "train": 1 - right(x, y)(trained).mean().item(),
        "cost": float(np.mean(moved) - curve[-1]),
    }
