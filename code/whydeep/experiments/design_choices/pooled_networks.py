"""What max-pooling buys a network: the same network with three ways to halve its pictures.

AlexNet takes the maximum over small neighbourhoods after three of its layers
({cite}`krizhevsky2012`). It may serve to shrink the pictures, to tolerate small shifts, or to keep
what is sparse better than an average does ({cite}`boureau2010,scherer2010`). We train networks on
small pictures of clothes that differ in one line: the maximum of each 2 x 2 block, its average, or
its first number only, which is a convolution with stride 2.

What would refute it: an average as good as the maximum on pictures; a maximum that loses as much
to a shift of one pixel as the stride does; or the same lead where features are not sparse, or
where the four numbers that are pooled are no neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import accuracy, train
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Network, initialise
from whydeep.show import figures

PAGE = "design-choices/max-pooling"
SIDE = 16  # 14 x 14 pixels and a border of one, so that two poolings halve it without a remainder
DESIGNS = ("maximum", "average", "stride")
# Signs of the four quarters of a picture, one row a class, for the textures.
QUARTERS = (
    (-1, -1, -1, -1), (-1, -1, 1, 1), (-1, 1, -1, 1), (-1, 1, 1, -1), (1, -1, -1, 1),
    (1, -1, 1, -1), (1, 1, -1, -1), (1, 1, 1, 1), (-1, -1, -1, 1), (1, 1, 1, -1)
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """``examples`` training and ``test`` test pictures, drawn afresh by every seed.

    ``members`` networks of each design are trained for ``steps`` of SGD and tested after each of
    ``checks``; an error is the mean over them and over the last two checks. More of them with
    average pooling learn at ``fast_rate``. ``data`` is "clothes", or "textures": noise whose mean
    over each quarter of the picture tells the class. ``scattered`` pools four places that a fixed
    shuffle brings together, in place of neighbours.
    """

    examples: int = 2000
    test: int = 1000
    steps: int = 160
    checks: tuple[int, ...] = (40, 80, 120, 160)
    members: int = 2
    batch_size: int = 50
    learning_rate: float = 0.02
    fast_rate: float = 0.05
    momentum: float = 0.9
    channels: tuple[int, int] = (8, 16)
    data: str = "clothes"
    contrast: float = 0.2
    scattered: bool = False


SCALES = {"quick": Settings()}
# In the controls one network of each design is enough, and none learns faster.
_CHEAP = {"members": 1, "fast_rate": 0.02}
VARIANTS = {"textures": {"data": "textures", **_CHEAP}, "scattered": {"scattered": True, **_CHEAP}}


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
        self.classifier = nn.utils.skip_init(nn.Linear, second * (SIDE // 4) ** 2, 10)
        self.design = design
        generator = torch.Generator().manual_seed(0)
        self.orders = [
            torch.randperm(side**2, generator=generator)
            if scattered and design != "stride"
            else None
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


def pictures(settings: Settings, chance: Chance) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Training pictures and labels, test pictures and labels; not yet standardised."""
    if settings.data == "textures":
        generator = chance["labels"]
        drawn = (
            textures(n, settings.contrast, generator) for n in (settings.examples, settings.test)
        )
        return tuple(part for pair in drawn for part in pair)
    data = fashion_mnist().subset(settings.examples, settings.test, seed=chance.seed)
    x, x_test = (F.pad(F.avg_pool2d(z, 2), (1,) * 4) for z in (data.train_x, data.test_x))
    return x, data.train_y, x_test, data.test_y


def errors(
    design: str, settings: Settings, chance: Chance, rate: float, members: int, device: str
) -> dict[str, float | Float[np.ndarray, " checks"]]:
    """Means over ``members`` networks: "test" and "train" error, and the "cost" of a shift.

    "curve" is the test error at each check and "test" the mean of its last two. "cost" is what a
    shift of the test pictures by one pixel, to the left or the right, adds at the last.
    """
    x, y, x_test, y_test = pictures(settings, chance)
    mean, sd = x.mean(), x.std()

    def standard(z: Tensor) -> Tensor:
        return ((z - mean) / sd).to(device)

    trained = train(
        partial(Pooled, design, settings.channels, settings.scattered),
        standard(x),
        y.to(device),
        seeds=chance.members(members),
        steps=settings.steps,
        batch_size=settings.batch_size,
        lr=rate,
        momentum=settings.momentum,
        measure={"right": accuracy(standard(x_test), y_test)},
        measure_at=settings.checks,
        device=device,
    )

    def error(z: Tensor, labels: Tensor) -> float:
        return 1 - float(accuracy(standard(z), labels)(trained).mean())

    curve = 1 - trained.history["right"].numpy().mean(0)
    moved = [error(shifted(x_test, by), y_test) for by in (-1, 1)]
    return {
        "curve": curve,
        "test": float(curve[-2:].mean()),
        "train": error(x, y),
        "cost": float(np.mean(moved) - curve[-1]),
    }


def run(settings: Settings, chance: Chance) -> Result:
    """Errors of the three designs, and what a shift of the test pictures by one pixel adds.

    ``ratio`` is the error with average pooling over that with max-pooling, ``ratio_fast`` the same
    where average pooling learns at its faster rate. ``shift_gap`` is how much more a shift costs
    with the stride than with max-pooling.
    """
    found = {
        design: errors(design, settings, chance, settings.learning_rate, settings.members, device)
        for design in DESIGNS
    }
    fast = found["average"]
    if settings.fast_rate != settings.learning_rate:
        fast = errors("average", settings, chance, settings.fast_rate, settings.members, device)
    share = "fraction of test examples"
    return Result(
        curves=(np.stack([found[design]["curve"] for design in DESIGNS]), share),
        **{f"error_{design}": (one["test"], share) for design, one in found.items()},
        **{f"shift_{design}": (one["cost"], share) for design, one in found.items()},
        **{
            f"train_{design}": (one["train"], "fraction of training examples")
            for design, one in found.items()
        },
        error_fast=(fast["test"], share),
        ratio=(found["average"]["test"] / found["maximum"]["test"], "ratio of test errors"),
        ratio_fast=(fast["test"] / found["maximum"]["test"], "ratio of test errors"),
        shift_gap=(found["stride"]["cost"] - found["maximum"]["cost"], share),
    )


RATIO = at_least(
    "ratio",
    "at the same rate and after the same steps, average pooling has at least {bound} times the "
    "error of max-pooling",
    1.08,
)
SHIFT = at_least(
    "shift_gap",
    "a shift by one pixel costs at least {bound} more with a stride than with max-pooling",
    0.03,
)


def _learns(quantity: str, bound: float) -> tuple:
    return (
        at_most(
            quantity,
            "the network learns: its error is at most {bound}",
            bound,
        ),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-max-pooling",
        cite="krizhevsky2012",
        sentence="Taking the maximum over neighbouring positions tolerates small shifts, and beats "
        "averaging when features are sparse.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "max-pooling against subsampling by averages, two collections of pictures",
                "no number: significantly better",
                "{cite:t}`scherer2010`, abstract",
            ),
        ),
        conditions=(RATIO, SHIFT),
        controls=(
            Control(
                "textures",
                "sparse features: the pictures are noise whose mean over a quarter tells the class",
                {"ratio": 0.08},
                _learns("error_average", 0.4),
            ),
            Control(
                "scattered",
                "the neighbourhood: the four places that are pooled are brought together by a "
                "fixed shuffle",
                {"shift_gap": 0.03},
                _learns("error_maximum", 0.35),
            ),
        ),
        disputed="a convolution with stride does as well on pictures that are not shifted "
        "{cite}`springenberg2015`; tolerance to shifts is learned, with and without pooling "
        "{cite}`ruderman2018`; and max-pooling is itself not stable under shifts {cite}`zhang2019`",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test error over training, and what a shift by one pixel adds, for the three designs."""
    settings = SCALES["quick"]
    steps = np.array(settings.checks)
    with figures.style():
        drawn, (left, right) = plt.subplots(1, 2, figsize=(7.4, 3.4))
        colours = list(figures.COLOURS.values())
        for i, design in enumerate(DESIGNS):
            curves = np.array([100 * r["curves"][i] for r in runs[MAIN].values()])
            figures.band(left, steps, curves, label=design)
        left.set(xlabel="step", ylabel="test error (%)", title="on pictures as they are")
        left.legend()
        variants = [variant for variant in (MAIN, "scattered") if variant in runs]
        names = {MAIN: "neighbours pooled", "scattered": "scattered places pooled"}
        for j, variant in enumerate(variants):
            for i, design in enumerate(DESIGNS):
                cost = np.array([100 * r[f"shift_{design}"] for r in runs[variant].values()])
                place = np.array([j + 0.18 * (i - 1)])
                figures.dots(right, place, cost[:, None], fmt="os^"[i], color=colours[i])
        right.set(ylabel="added by a shift (%)", title="shifted by one pixel", ylim=(0, None))
        right.set_xticks(range(len(variants)), [names[variant] for variant in variants])
        right.set_xlim(-0.5, len(variants) - 0.5)
    return figures.Figure(
        drawn,
        label="fig-pooled-networks",
        caption="Three networks that differ in how they halve their pictures. Left: test error "
        "over the training, all at one learning rate. Right: what a shift of the test pictures by "
        "one of 14 pixels adds to the error. Max-pooling makes it cheaper only where neighbours "
        "are pooled. Bands and bars are one standard deviation over seeds.",
        alt="Left: three falling lines of test error against steps; average pooling lies above "
        "maximum and stride, which are close together. Right: the error that a shift adds; with "
        "neighbours pooled it is smallest for average, larger for maximum and largest for stride; "
        "with scattered places maximum has become the largest.",
    )
