"""Is a convolutional layer a dense layer whose columns are translations of a few sparse vectors?

The post says so of W_1 to W_5 ({cite}`bubeck2015`), after {cite:t}`krizhevsky2012`. We build such a
matrix W by index arithmetic alone, for several strides, without and with a border of zeros, and
compare W^T x with PyTorch's convolution of x.

What would refute it: a difference larger than rounding allows, a column that is no translation of
one of the kernels, or a column with more entries than a kernel has.

The bound: a sum of m products, in whatever order, is off by at most gamma_m = m u / (1 - m u) times
the sum of the products' magnitudes, u = 2^-53 in float64 (Higham, Accuracy and Stability of
Numerical Algorithms, 2002, section 3.1). Products with a zero of W are zero and cost nothing, so m
is the number of entries of a column that are not zero. Two such sums differ by at most twice that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.evidence.claims import HOLDS, Claim, Control, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, panels

PAGE = "design-choices/convolution-is-a-matrix"
STRIDES = (1, 2, 4)
BORDERS = (0, 3)
ROUNDING = 2.0**-53  # u of float64


@dataclass(frozen=True)
class Settings:
    """A random picture of ``channels`` x ``side`` x ``side``, and ``kernels`` of ``size`` pixels.

    ``layer`` is "shared" (a convolution), "unshared" (a kernel of its own at every place) or
    "dense" (as many units, each with a weight for every number of the picture). ``turned``, a
    mutation, builds W from the kernels turned by half a circle.
    """

    channels: int = 3
    side: int = 31
    kernels: int = 4
    size: int = 7
    layer: str = "shared"
    turned: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {
    "unshared": {"layer": "unshared"},
    "dense": {"layer": "dense"},
    "turned": {"turned": True},
}


def places(side: int, size: int, stride: int, border: int) -> int:
    """Places, along one side, of a patch of ``size`` in a picture of ``side`` within a border."""
    return (side + 2 * border - size) // stride + 1


def matrix(
    kernels: Float[Tensor, "rows columns o c q q"], side: int, *, stride: int, border: int
) -> Float[Tensor, "inputs units"]:
    """W, whose column of unit (o, r, s) is kernel ``[r, s, o]`` with its corner at pixel (r, s)
    times ``stride`` of the picture, ``border`` included; what falls on the border is cut off.

    Rows are numbered as a picture (c, side, side) is flattened, columns as (o, rows, columns) is.
    """
    rows, columns, o, c, q, _ = kernels.shape
    whole = side + 2 * border
    frame = torch.zeros(c, whole, whole, o, rows, columns, dtype=kernels.dtype)
    for r in range(rows):
        for s in range(columns):
            top, left = r * stride, s * stride
            patch = kernels[r, s].permute(1, 2, 3, 0)
            frame[:, top : top + q, left : left + q, :, r, s] = patch
    inner = slice(border, border + side)
    return frame[:, inner, inner].reshape(c * side * side, o * rows * columns)


def patterns(w: Float[Tensor, "inputs units"], channels: int, side: int) -> int:
    """Number of distinct columns of ``w`` up to translation in the plane of the picture.

    Each column is cropped to the smallest rectangle of pixels outside of which it is zero.
    """
    seen = set()
    for column in w.T.reshape(-1, channels, side, side):
        _, row, place = torch.nonzero(column, as_tuple=True)
        crop = column[:, row.min() : row.max() + 1, place.min() : place.max() + 1]
        seen.add((tuple(crop.shape), crop.numpy().tobytes()))
    return len(seen)


def layer(
    kernels: Float[Tensor, "rows columns o c q q"],
    x: Float[Tensor, "n c a a"],
    *,
    stride: int,
    border: int,
    shared: bool,
) -> Float[Tensor, "n units"]:
    """The library's layer: its convolution, or its patches, each times the kernels of its place."""
    rows, columns, o, _, q, _ = kernels.shape
    if shared:
        return F.conv2d(x, kernels[0, 0], stride=stride, padding=border).flatten(1)
    patches = F.unfold(x, q, stride=stride, padding=border)
    weights = kernels.reshape(rows * columns, o, -1)
    return torch.einsum("pof,nfp->nop", weights, patches).flatten(1)


def over_bound(
    w: Float[Tensor, "inputs units"], x: Float[Tensor, "n inputs"], out: Float[Tensor, "n units"]
) -> float:
    """The largest difference between W^T x and ``out``, in units of what rounding allows."""
    terms = int((w != 0).sum(0).max())
    gamma = terms * ROUNDING / (1 - terms * ROUNDING)
    allowed = 2 * gamma * (x.abs() @ w.abs())
    difference = (x @ w - out).abs()
    # Where nothing is added up, nothing may differ.
    return float(torch.where(difference > 0, difference / allowed, difference).max())


def _make(
    settings: Settings, draw: Callable[..., Tensor], *, stride: int, border: int
) -> tuple[Tensor, Callable[[Tensor], Tensor], int]:
    """W, the library's layer as a function of pictures, and its number of free weights."""
    channels, side, size = settings.channels, settings.side, settings.size
    across = places(side, size, stride, border)
    if settings.layer == "dense":
        w = draw(channels * side * side, settings.kernels * across**2)
        return w, lambda x: F.linear(x.flatten(1), w.T), w.numel()
    shared = settings.layer == "shared"
    first = (1, 1) if shared else (across, across)
    free = draw(*first, settings.kernels, channels, size, size)
    kernels = free.expand(across, across, *free.shape[2:])
    built = kernels.flip(-1, -2) if settings.turned else kernels
    how = {"stride": stride, "border": border}
    return matrix(built, side, **how), partial(layer, kernels, shared=shared, **how), free.numel()


def run(settings: Settings, chance: Chance) -> Result:
    """Worst of all STRIDES and BORDERS: rounding, columns up to translation, entries a column.

    ``entry_difference`` is the largest between an entry of W and the library's answer to a picture
    of one bright pixel, over all pixels, at the last stride without a border; ``weights`` counts
    that layer's free weights. Runs on the CPU in float64.
    """
    generator = chance.torch()
    channels, side = settings.channels, settings.side

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    x = draw(1, channels, side, side)
    ratios, entries, whole, cut = [], [], [], []
    for stride in STRIDES:
        for border in BORDERS:
            w, apply, _ = _make(settings, draw, stride=stride, border=border)
            ratios.append(over_bound(w, x.flatten(1), apply(x)))
            entries.append(int((w != 0).sum(0).max()))
            (cut if border else whole).append(patterns(w, channels, side))
    w, apply, weights = _make(settings, draw, stride=STRIDES[-1], border=0)
    pixels = torch.eye(len(w), dtype=torch.float64).view(-1, channels, side, side)
    return Result(
        rounding=(max(ratios), "of what rounding allows"),
        entry_difference=((apply(pixels) - w).abs().max(), "weight"),
        extra_patterns=(max(whole) - settings.kernels, "columns, beyond one a kernel"),
        most_entries=(max(entries), "entries of a column"),
        patterns_with_border=(max(cut), "columns up to translation"),
        weights=(weights, "free weights"),
        matrix_entries=(w.numel(), "entries of W"),
        picture=(_small(settings, generator), "weight"),
    )


def _small(settings: Settings, generator: torch.Generator) -> Float[np.ndarray, "25 9"]:
    """W of one kernel of 3 x 3 on a picture of 5 x 5, in tenths, for the figure."""
    tenths = torch.rand(25, 9, generator=generator).argsort(0) % 9 + 2
    if settings.layer == "dense":
        return (tenths / 10).numpy()
    # As many kernels of 9 different weights as there are places, or one.
    kernels = (tenths[:9].argsort(0) + 2).T.reshape(3, 3, 1, 1, 3, 3) / 10
    if settings.layer == "shared":
        kernels = kernels[:1, :1].expand(3, 3, 1, 1, 3, 3)
    kernels = kernels.flip(-1, -2) if settings.turned else kernels
    return matrix(kernels, 5, stride=1, border=0).numpy()


ENTRIES = 3 * 7 * 7.0  # of a kernel
ROUNDS = at_most(
    "rounding",
    "$W^\\top x$ and the library's layer differ by no more than rounding allows",
    1.0,
)
BY_PIXEL = at_most(
    "entry_difference",
    "every entry of $W$ is the library's answer to a picture of one bright pixel",
    0.0,
)
ONE_A_KERNEL = at_most(
    "extra_patterns", "up to translation there are no more distinct columns than kernels", 0.0
)
SPARSE = at_most(
    "most_entries",
    "no column has more entries that are not zero than a kernel of 7 x 7 pixels in 3 channels, "
    "{bound}",
    ENTRIES,
)
CLAIMS = (
    Claim(
        id="krizhevsky2012-conv-as-structured-matrix",
        cite="bubeck2015", kind="exact", expected=HOLDS,
        title="Is a convolution a matrix of translated columns?",
        says="AlexNet's first five matrices, its convolutional layers, are highly structured: "
        "their columns are translations of a few very sparse vectors ('Design choices').",
        tested="The matrix of 4 kernels of 7 x 7 pixels on random pictures of 31 x 31 pixels in 3 "
        "channels, built by index arithmetic, against PyTorch's convolution: strides 1, 2 and 4, "
        "without and with a border.",
        so="The two differ by at most {num}`design-choices/convolution-matrix rounding max .1%` of "
        "what rounding allows, and {num}`design-choices/convolution-matrix weights .0f` weights "
        "fill a matrix of {num}`design-choices/convolution-matrix matrix_entries ,.0f` entries.",
        caveat="With a border, columns at the edge are cut off: there are then "
        "{num}`design-choices/convolution-matrix patterns_with_border .0f` patterns in place of 4, "
        "and the columns are translations only on the picture with its border. Translations are by "
        "multiples of the stride.",
        paper=(
            (
                "first layer",
                ("{} kernels of {} x {} x {}, stride {}, {} x {} places", 96, 11, 11, 3, 4, 55, 55),
                "{cite:t}`krizhevsky2012`, section 3.5 and Figure 2",
            ),
            ("statement of the post", "no number", "{cite:t}`bubeck2015`, 'Design choices'"),
        ),
        decides=(ROUNDS, BY_PIXEL, ONE_A_KERNEL, SPARSE),
        controls=(
            Control(
                "unshared", "the sharing: every place has kernels of its own",
                ("extra_patterns",),
                (ROUNDS, BY_PIXEL, SPARSE),
            ),
            Control(
                "dense", "the zeros: every unit has a weight for every number of the picture",
                ("extra_patterns", "most_entries"),
                (ROUNDS, BY_PIXEL),
            ),
            Control(
                "turned", "the right way up: $W$ has the kernels turned by half a circle, which "
                "is what mathematicians call a convolution",
                ("rounding", "entry_difference"),
                (ONE_A_KERNEL, SPARSE),
            ),
        ),
    ),
)  # fmt: skip

SHOWN = {"dense": "dense", "unshared": "patches, not shared", MAIN: "convolutional"}


def figure(runs: Runs) -> figures.Figure:
    """W of one small layer in three designs: 25 pixels in, 9 units out."""
    shown = [variant for variant in SHOWN if variant in runs]
    size = (2.5 * len(shown), 4.4)
    with panels(len(shown), size=size, squeeze=False) as (drawn, axes):
        for panel, variant in zip(axes[0], shown, strict=True):
            w = first(runs, "picture", variant)
            weights = 9 if variant == MAIN else int((w != 0).sum())
            panel.imshow(1 - w, vmin=0, vmax=1)
            panel.set_title(f"{SHOWN[variant]}:\n{weights} weights", loc="center")
            panel.set(xlabel="unit")
            panel.set_xticks(range(9), range(1, 10))
            panel.set_yticks(range(0, 25, 5), range(1, 26, 5))
            panel.grid(visible=False)
        axes[0, 0].set_ylabel("pixel of the picture, row by row")
    return figures.Figure(
        drawn,
        label="fig-three-matrices",
        kind="png",
        caption="The matrix $W$ of three layers with 25 pixels in and 9 units out; white is zero, "
        "and the darker, the larger the weight. "
        "Patches of 3 by 3 pixels leave 9 entries in each column. Sharing makes every column a "
        "translation of the first: 225 weights become 81, and 81 become 9.",
        alt="Three matrices of 25 rows and 9 columns. The dense one is grey all over. The second "
        "has in each column three short bars, which move downwards from column to column, all of "
        "different greys. In the third the bars have the same greys in every column.",
    )
