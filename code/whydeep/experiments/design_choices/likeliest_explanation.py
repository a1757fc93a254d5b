"""Convolution, ReLU and max-pooling as inference: the identity behind the Rice theory.

In the rendering model of Patel, Nguyen and Baraniuk ({cite}`patel2015,patel2016`) a picture may
hold a template at some place, plus Gaussian noise of standard deviation s; a switch says whether it
is there at all. Within a window of places, take the likeliest explanation: the largest, over places
g and the switch, of the log probability of picture and explanation, less that of noise alone. The
switch makes a ReLU of it, the places a maximum:

    max over g of max(0, <t_g, x> / s^2 + b) = max-pool(ReLU(convolution)),
    b = log-odds of the switch - |t|^2 / (2 s^2).

One side is computed from the Gaussian densities of whole pictures, the other by the library's
layers. What would refute it: a difference beyond rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.evidence.claims import HOLDS, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, panels

PAGE = "design-choices/max-pooling"
WINDOW = 2


@dataclass(frozen=True)
class Settings:
    """``pictures`` of ``side`` x ``side`` pixels and ``classes`` templates of ``size`` x ``size``.

    Templates have norms from 1/2 to 3/2; the noise has standard deviation ``noise``, and each
    picture holds a template with probability ``there``, which the layers know. ``pool`` is
    "maximum" or "average"; ``thresholds`` says whether the layers have their biases b.
    """

    pictures: int = 60
    side: int = 12
    size: int = 5
    classes: int = 4
    noise: float = 0.2
    there: float = 0.5
    pool: str = "maximum"
    thresholds: bool = True


SCALES = {"quick": Settings()}
VARIANTS = {"average": {"pool": "average"}, "no-thresholds": {"thresholds": False}}


def layers(
    x: Float[Tensor, "n 1 a a"], templates: Float[Tensor, "k 1 q q"], settings: Settings
) -> Float[Tensor, "n k m m"]:
    """The library's convolution, ReLU and pooling, with weights that the model prescribes."""
    s2 = settings.noise**2
    bias = math.log(settings.there / (1 - settings.there)) - templates.square().sum((1, 2, 3)) / (
        2 * s2
    )
    found = torch.relu(F.conv2d(x, templates / s2, bias if settings.thresholds else None))
    pool = {"maximum": F.max_pool2d, "average": F.avg_pool2d}[settings.pool]
    return pool(found, WINDOW)


def explanations(
    x: Float[Tensor, "n 1 a a"], templates: Float[Tensor, "k 1 q q"], settings: Settings
) -> tuple[Float[Tensor, "n k m m"], Float[Tensor, "n k m m"]]:
    """Log odds of each window's likeliest explanation against noise alone, and their rounding.

    Every explanation is rendered as a whole picture and its Gaussian density compared with that of
    an empty one. The second tensor bounds how far two ways to add up these sums may differ: each of
    n terms is off by at most n 2^-53 of the sum of magnitudes (Higham 2002, section 3.1).
    """
    a, q = x.shape[-1], templates.shape[-1]
    places, s2 = a - q + 1, settings.noise**2
    odds = math.log(settings.there / (1 - settings.there))
    shape = (len(x), len(templates), places, places)
    found, size = x.new_zeros(shape), x.new_zeros(shape)
    empty = x.square().sum((1, 2, 3))
    for c, template in enumerate(templates[:, 0]):
        for i in range(places):
            for j in range(places):
                rendered = x.new_zeros(a, a)
                rendered[i : i + q, j : j + q] = template
                misfit = (x[:, 0] - rendered).square().sum((1, 2))
                there = odds - misfit / (2 * s2)
                absent = -empty / (2 * s2)
                found[:, c, i, j] = torch.maximum(there, absent) - absent
                size[:, c, i, j] = abs(odds) + (misfit + empty + template.square().sum()) / s2
    terms = a * a + 4
    rounding = 2 * terms * 2.0**-53 * size
    windows = [t.unfold(2, WINDOW, WINDOW).unfold(3, WINDOW, WINDOW) for t in (found, rounding)]
    return windows[0].amax((4, 5)), windows[1].amax((4, 5))


def draw(
    settings: Settings, generator: torch.Generator
) -> tuple[Float[Tensor, "n 1 a a"], Float[Tensor, "k 1 q q"]]:
    """Pictures from the model, and the templates."""
    n, k, q = settings.pictures, settings.classes, settings.size
    templates = torch.randn(k, 1, q, q, generator=generator, dtype=torch.float64)
    norms = torch.linspace(0.5, 1.5, k, dtype=torch.float64).view(-1, 1, 1, 1)
    templates *= norms / templates.square().sum((1, 2, 3), keepdim=True).sqrt()
    x = torch.randn(n, 1, settings.side, settings.side, generator=generator, dtype=torch.float64)
    x *= settings.noise
    held = torch.rand(n, generator=generator) < settings.there
    which = torch.randint(k, (n,), generator=generator)
    corner = torch.randint(settings.side - q + 1, (n, 2), generator=generator)
    for picture, there, c, (i, j) in zip(x, held, which, corner, strict=True):
        if there:
            picture[:, i : i + q, j : j + q] += templates[c]
    return x, templates


def run(settings: Settings, chance: Chance) -> Result:
    """How far layers and explanations differ, and how often they name another class.

    Runs on the CPU in float64. A picture's class is that of the largest number over classes and
    windows; pictures that are explained by noise alone have none.
    """
    x, templates = draw(settings, chance.torch())
    pooled = layers(x, templates, settings)
    exact, rounding = explanations(x, templates, settings)
    best, named = exact.flatten(2).amax(2), pooled.flatten(2).amax(2)
    explained = best.amax(1) > 0
    other = best.argmax(1) != named.argmax(1)
    off = (pooled - exact).abs()
    return Result(
        over_rounding=((off / rounding).max(), "of what rounding allows"),
        other_class=((other & explained).sum(), "pictures"),
        explained=(explained.sum(), "pictures"),
        silent=((exact == 0).double().mean(), "fraction of pooled units"),
        pooled=(pooled[:3].flatten(), "log odds"),
        exact=(exact[:3].flatten(), "log odds"),
    )


ROUNDS = at_most(
    "over_rounding",
    "max-pooling after ReLU and convolution gives the log odds of the likeliest explanation to "
    "rounding",
    1.0,
)
SAME_CLASS = at_most("other_class", "both name the same class for every picture that has one", 0.0)
SPARSE = at_most(
    "silent", "there is something to explain: at most {bound} of the log odds are zero", 0.95
)
CLAIMS = (
    Claim(
        id="patel2015-probabilistic-theory", cite="patel2016", kind="exact", expected=HOLDS,
        title="Is a convolutional layer the likeliest explanation?",
        says="Max-sum inference in a model that renders a class under nuisances, with switches "
        "that may leave parts out, exactly reproduces the operations of a deep convolutional "
        "network (abstract).",
        tested="One layer of that model: 60 pictures of 12 x 12 pixels, each noise with or without "
        "one of 4 templates at an unknown place; Gaussian densities of whole pictures against the "
        "library's convolution, ReLU and max-pooling.",
        so="Both sides differ by at most "
        "{num}`design-choices/likeliest-explanation over_rounding max .1%` of what rounding allows "
        "and name the same classes.",
        caveat="One layer and one kind of noise; the model was built so that its inference is a "
        "network. The likeliest class and place together are not the likeliest class, for which "
        "the probabilities of the places are added up.",
        paper=(
            ("max-sum inference in the deep rendering mixture model", "exactly reproduces the "
             "operations in deep convolutional networks", "{cite:t}`patel2016`, abstract"),
        ),
        decides=(ROUNDS, SAME_CLASS),
        controls=(
            Control(
                "average", "the maximum over places: the average of the window in its place",
                ("over_rounding",),
                (SPARSE,),
            ),
            Control(
                "no-thresholds", "the biases, which hold the templates' norms and the odds of the "
                "switch", ("over_rounding", "other_class"),
                (SPARSE,),
            ),
        ),
        limits="Networks are trained on labels, not fitted to such a model, and the sum over "
        "places would give a soft maximum in place of this one {cite}`patel2016`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Pooled units against the log odds that they should be, with the maximum and the average."""
    names = {MAIN: "max-pooling", "average": "average pooling"}
    with panels(size=(4.6, 3.8)) as (drawn, axes):
        for variant, name in names.items():
            if variant in runs:
                exact, pooled = (first(runs, each, variant) for each in ("exact", "pooled"))
                axes.plot(exact, pooled, linestyle="none", label=name)
        top = first(runs, "exact").max()
        axes.plot([0, top], [0, top], **figures.THEORY, label="equal")
        axes.set(xlabel="log odds of the likeliest explanation", ylabel="pooled unit")
        axes.legend()
    return figures.Figure(
        drawn,
        label="fig-likeliest-explanation",
        caption="Each point is a pooled unit of one of three pictures. After max-pooling it "
        "equals the log odds of the likeliest explanation in its window, computed from Gaussian "
        "densities; after average pooling it is smaller, unless both are zero.",
        alt="A scatter plot. The points of max-pooling lie on the diagonal, those of average "
        "pooling below it.",
    )
