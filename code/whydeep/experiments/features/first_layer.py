"""What the first layer learns: edges, stripes and blobs of colour.

Krizhevsky, Sutskever and Hinton show the first-layer filters of their network and call them
frequency- and orientation-selective kernels and coloured blobs ({cite}`krizhevsky2012`, Figure 3).
We have no AlexNet, but two other first layers: the 32 filters of a network that was trained on
photographs of faces, and those of a small network that we train on Fashion-MNIST, with AlexNet's
start and weight decay. Each filter is compared with the best Gabor function; random ones too.

What would refute it: filters that training leaves as far from Gabor functions as they were at the
start, or that come as near when the pixels of the pictures are shuffled in one fixed order. The
published filters are one example, the same for every seed, and decide nothing.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from sklearn.decomposition import FastICA
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist, first_layer_filters, photographs
from whydeep.descent import SGD, train
from whydeep.device import current
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.labs.gabor import gabor_fit
from whydeep.networks import Convolutional
from whydeep.show import figures
from whydeep.show.plot import Runs, over_seeds

if TYPE_CHECKING:
    from whydeep.widgets import ImageExplorer

PAGE = "features/learning-the-features"
SIDE = 7
BANKS = {
    "real": "a network trained on photographs",
    "random": "random",
    "ica": "ICA on photographs",
    "own": "our network on Fashion-MNIST",
}
BLIND, SPECIFIC = 0.25, 0.5  # shares of a filter's energy that is colour


@dataclass(frozen=True)
class Settings:
    """``patches`` of 7 x 7 pixels a photograph for ICA; ``examples`` and ``sgd`` of our network.

    Its start has the standard deviation 0.01 of AlexNet's (``scale`` times He's), its weight decay
    is AlexNet's. ``shuffle`` permutes the pixels of pictures, patches and filters, each in one
    order drawn by the seed, and gives each filter the red, green and blue of three filters.
    """

    patches: int = 1500
    examples: int = 3000
    channels: int = 16
    sgd: SGD = SGD(lr=0.02, steps=200, batch=64, momentum=0.9, decay=5e-4)
    scale: float = 0.05
    shuffle: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {"shuffled": {"shuffle": True}}


def leading_component(filters: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n h w"]:
    """The picture that, in one colour, comes nearest to the filter (its first singular vector)."""
    _, sizes, pictures = torch.linalg.svd(filters.flatten(2), full_matrices=False)
    return (sizes[:, :1] * pictures[:, 0]).view(len(filters), *filters.shape[2:])


def colour_share(filters: Float[Tensor, "n 3 h w"]) -> Float[Tensor, " n"]:
    """The share of a filter's energy that a grey picture cannot excite: 0 grey, 2/3 for noise."""
    grey = filters.mean(1).square().sum((1, 2)) * 3
    return 1 - grey / filters.square().sum((1, 2, 3))


def random_filters(chance: Chance) -> Float[Tensor, "32 3 7 7"]:
    """32 filters of independent normal weights."""
    return torch.randn(32, 3, SIDE, SIDE, generator=chance.members(1)[0].torch())


def ica_filters(patches: int, order: Int[Tensor, " p"], chance: Chance) -> Float[Tensor, "32 7 7"]:
    """32 independent components of patches of the seven photographs, as pictures.

    ``patches`` a photograph are drawn at random, made grey, centred; the flattest 30 % are dropped,
    the others scaled to unit variance. FastICA with log cosh, one thread. ``order`` permutes the
    pixels of each patch.
    """
    rng = chance.numpy()
    found = []
    for photograph in photographs().values():
        grey = photograph.mean(0)
        windows = grey.unfold(0, SIDE, 1).unfold(1, SIDE, 1)
        rows, columns = (torch.from_numpy(rng.integers(0, m, patches)) for m in windows.shape[:2])
        found.append(windows[rows, columns].flatten(1))
    x = torch.cat(found).double()[:, order]
    x = x - x.mean(1, keepdim=True)
    spread = x.std(1)
    kept = spread > spread.quantile(0.3)
    x = (x[kept] / spread[kept, None]).numpy()
    ica = FastICA(
        32,
        fun="logcosh",
        whiten="unit-variance",
        tol=1e-3,
        max_iter=100,
        random_state=int(rng.integers(2**31)),
    )
    with threadpool_limits(1), warnings.catch_warnings():
        # The last few components turn slowly; a hundred iterations are enough to see their shape.
        warnings.simplefilter("ignore", ConvergenceWarning)
        ica.fit(x)
    return torch.from_numpy(ica.mixing_.T.copy()).float().view(32, SIDE, SIDE)  # pyright: ignore[reportAttributeAccessIssue]


def run(settings: Settings, chance: Chance) -> Result:
    """R^2 of the Gabor fit of each filter, medians of them, and the colour of the real filters.

    ``own`` are the 16 filters of our network, ``start`` the same before training.
    """
    _, shuffles, for_ica, for_network = chance.members(4)  # the first draws `random_filters`
    rng = shuffles.numpy()

    def order(n: int) -> Tensor:
        return torch.from_numpy(rng.permutation(n)) if settings.shuffle else torch.arange(n)

    small = order(SIDE * SIDE)
    real = first_layer_filters()
    real = real.flatten(2)[..., small].view(real.shape)
    if settings.shuffle:
        real = torch.stack([real[:, c].roll(c, 0) for c in range(3)], 1)

    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    large = order(data.train_x[0].numel())
    x, x_test = (
        z.flatten(1)[:, large].view(z.shape).to(current()) for z in (data.train_x, data.test_x)
    )
    mean, sd = x.mean(), x.std()
    trained = train(
        partial(Convolutional, channels=(settings.channels,), kernel=SIDE, scale=settings.scale),
        (x - mean) / sd,
        data.train_y,
        seeds=[for_network],
        measure={"filters": lambda stack: stack.parameters["layers.1.weight"]},
        measure_at=(0, settings.sgd.steps),
        device=current(),
        **settings.sgd.how,
    )
    start, own = trained.history["filters"][0, :, :, 0]
    wrong = trained.predict((x_test - mean) / sd)[0].cpu() != data.test_y

    banks = {
        "real": leading_component(real),
        "random": leading_component(random_filters(chance)),
        "ica": ica_filters(settings.patches, small, for_ica),
        "own": own,
        "start": start,
    }
    fits = {name: gabor_fit(bank) for name, bank in banks.items()}
    median = {name: float(fit.r2.median()) for name, fit in fits.items()}
    colour = colour_share(real)
    blind, specific = (colour < BLIND).double().mean(), (colour > SPECIFIC).double().mean()

    def pictures(bank: Tensor) -> np.ndarray:
        """Each scaled to a largest weight of 1, two decimals: enough to be looked at."""
        return np.round((bank / bank.abs().amax((1, 2), keepdim=True)).numpy(), 2)

    ratio, weight = "ratio of medians", "weight over the filter's largest"
    return Result(
        **{f"r2_{name}": (_rounded(fits[name].r2), "R^2") for name in BANKS},
        median=Quantity(list(median.values()), "R^2", bank=median),
        real_over_random=(median["real"] / median["random"], ratio),
        own_over_start=(median["own"] / median["start"], ratio),
        angle=(_rounded(fits["real"].angle), "radians"),
        frequency=(_rounded(fits["real"].frequency), "cycles a pixel"),
        colour=(_rounded(colour), "share of a filter's energy"),
        blind=(blind, "share of filters"),
        specific=(specific, "share of filters"),
        both_kinds=(min(blind, specific), "share of filters"),
        error_own=(wrong.double().mean(), "fraction of test examples"),
        filters_own=(pictures(own), weight),
        filters_ica=(pictures(banks["ica"]), weight),
    )


def _rounded(values: Tensor) -> np.ndarray:
    return values.float().numpy().round(4)


CLAIMS = (
    Claim(
        id="krizhevsky2012-first-layer-features",
        cite="krizhevsky2012", kind="effect", expected=SHOWN,
        title="Does the first layer learn edges and stripes?",
        says="The first layer of a convolutional network trained on pictures learns a variety of "
        "frequency- and orientation-selective filters (Figure 3 and section 6.1).",
        tested="A small convolutional network with 16 filters of 7 by 7 weights, trained for 200 "
        "steps on 3,000 pictures of clothes from AlexNet's start; before and after, each filter is "
        "compared with the best Gabor function, a wave under a bell.",
        so="The best Gabor functions describe {num}`features/first-layer median[own] .0%` of the "
        "median filter's energy after training and {num}`features/first-layer median[start] .0%` "
        "before it, {num}`krizhevsky2012-first-layer-features:own_over_start .2f ±` times as much.",
        caveat="Neither labels nor a network are needed: independent components of photographs "
        "come to {num}`features/first-layer median[ica] .0%`. Our pictures are grey, so the blobs "
        "of colour that the paper also shows are not tested; in one published set of filters, of a "
        "network trained on photographs of faces, {num}`features/first-layer specific .0%` are "
        "specific to colour and {num}`features/first-layer blind .0%` blind to it.",
        paper=(
            ("96 filters of 11 by 11 pixels: frequency- and orientation-selective, and blobs",
             "no number", "Figure 3, section 6.1"),
            ("colour-blind on one GPU, colour-specific on the other, in every run",
             "no number; not tested here", "section 6.1"),
        ),
        decides=(
            at_least("own_over_start", "the median $R^2$ of our network's filters is at least "
                     "{bound} times what it was before training", 1.5, none=1.0, log=True,
                     because="half as much again of a filter's energy is the least that shows in "
                     "a picture of the filters"),
        ),
        controls=(
            Control(
                "shuffled", "that neighbouring pixels belong together: the pixels of all pictures "
                "are shuffled in one fixed order before the network learns from them",
                ("own_over_start",),
                (
                    at_most("error_own", "our network still learns, to a test error of {bound}",
                            0.25),
                ),
            ),
        ),
        limits="Such filters are no achievement of deep learning alone: sparse coding "
        "{cite}`olshausen1996` and independent components {cite}`bell1997` find them in "
        "photographs without labels and without a second layer.",
        changes=("Two of three conditions were about one published set of filters, the same for "
                 "every seed, and their control shuffled the finished filters, which fails by "
                 "construction. Both became part of the caveat; the networks that we train decide "
                 "alone, by the same bound as before (stricter). The sentence no longer speaks of "
                 "colour, which our grey pictures cannot show.",),
    ),
)  # fmt: skip


def _gallery(axes: Axes, bank: Float[np.ndarray, "n h w *c"], columns: int) -> None:
    """The filters side by side with a pixel between them, each scaled by its largest weight."""
    size = np.abs(bank).reshape(len(bank), -1).max(1).reshape(-1, *[1] * (bank.ndim - 1))
    tiles = 0.5 + bank / size / 2
    rows = -(-len(bank) // columns)
    step = SIDE + 1
    sheet = np.ones((rows * step - 1, columns * step - 1, *bank.shape[3:]))
    for i, tile in enumerate(tiles):
        top, left = step * (i // columns), step * (i % columns)
        sheet[top : top + SIDE, left : left + SIDE] = tile
    axes.imshow(sheet, vmin=0, vmax=1)
    axes.set_axis_off()


def figure(runs: Runs) -> figures.Figure:
    """The four banks of filters, the first seed's, over the spread of their R^2 over all seeds."""
    seed, result = next(iter(runs[MAIN].items()))
    banks = {
        "real": first_layer_filters().permute(0, 2, 3, 1).numpy(),
        "random": random_filters(Chance(seed)).permute(0, 2, 3, 1).numpy(),
        "ica": result["filters_ica"],
        "own": result["filters_own"],
    }
    with figures.style():
        drawn = plt.figure(figsize=(8.4, 7.0))
        upper, lower = drawn.subfigures(2, 1, height_ratios=(1.9, 1))  # pyright: ignore[reportGeneralTypeIssues]
        for panel, (name, bank) in zip(upper.subplots(2, 2).flat, banks.items(), strict=True):
            _gallery(panel, bank, columns=8)
            panel.set_title(BANKS[name], loc="center")
        axes = lower.subplots()
        colours = ("blue", "grey", "green", "vermillion")
        for place, (name, colour) in enumerate(zip(BANKS, colours, strict=True)):
            values = np.sort(over_seeds(runs, f"r2_{name}"), axis=1).ravel()
            jitter = 0.3 * np.sin(np.arange(len(values)) * 2.4)
            axes.plot(
                values, -place + jitter, "os^D"[place], ls="none", alpha=0.55, ms=3.5,
                color=figures.COLOURS[colour],
            )  # fmt: skip
            axes.plot([np.median(values)] * 2, [-place - 0.42, -place + 0.42], ls="-", marker="",
                      color=figures.INK, lw=2)  # fmt: skip
        axes.set_yticks([0, -1, -2, -3], BANKS.values())
        axes.set(xlabel="$R^2$ of the best Gabor function", xlim=(0, 1.01))
        axes.grid(axis="y", visible=False)
    medians = {name: over_seeds(runs, f"median[{name}]").mean() for name in BANKS}
    return figures.Figure(
        drawn,
        label="fig-first-layer",
        kind="png",
        caption="Four banks of 7 by 7 filters, and how much of each filter the best Gabor function "
        f"describes (one mark a filter, {figures.count(len(runs[MAIN]))}, the bar is the "
        f"median). Trained on photographs: {medians['real']:.2f}; random: {medians['random']:.2f}; "
        f"independent components of photographs, found without labels: {medians['ica']:.2f}; our "
        f"small network on Fashion-MNIST: {medians['own']:.2f}.",
        alt="Galleries of small filters. Those trained on photographs are oriented stripes and "
        "edges, most of them grey, and some coloured blobs; the random ones look like coloured "
        "noise; the independent components are grey edges and stripes; those of our network are "
        "soft edges and blobs. Below, marks of the Gabor fit: high for the first, low for random "
        "ones, in between for the other two.",
    )


def explorer(runs: Runs) -> ImageExplorer:
    """The four banks to look into, filter by filter, and what a filter makes of a photograph."""
    from whydeep.widgets import ImageExplorer, Prediction  # pages need it, the CLI does not

    seed, result = next(iter(runs[MAIN].items()))
    banks = {
        "real": leading_component(first_layer_filters()).numpy(),
        "random": leading_component(random_filters(Chance(seed))).numpy(),
        "ica": result["filters_ica"],
        "own": result["filters_own"],
    }
    numbers = {
        BANKS[name]: {"R^2 of the best Gabor function": result[f"r2_{name}"].tolist()}
        for name in banks
    }
    numbers[BANKS["real"]] |= {
        "angle of its wave (degrees)": np.degrees(result["angle"]).round().tolist(),
        "frequency (cycles a pixel)": result["frequency"].round(2).tolist(),
        "energy in colour (%)": (100 * result["colour"]).round().tolist(),
    }
    found = photographs()
    scenes = {"leaves": found["acanthus-mollis"], "boats": found["nagasaki-boats"]}
    return ImageExplorer(
        {BANKS[name]: bank for name, bank in banks.items()},
        key="filters",
        title="First-layer filters: trained, random, found without labels",
        about="Change the bank, walk through its filters, and choose a photograph to see where a "
        "filter answers. Which filters answer to edges of one direction only?",
        item="filter",
        numbers=numbers,
        pictures={
            name: torch.nn.functional.avg_pool2d(scene.mean(0)[None], 7)[0].numpy()
            for name, scene in scenes.items()
        },
        bits=8,
        predict=Prediction(
            "Which bank lies nearest to Gabor functions, by the median over its filters?",
            tuple(BANKS.values()),
            int(np.argmax(result["median"][: len(BANKS)])),
            "Edges and waves are in photographs; a network trained on millions of them has "
            "smoother ones than seven photographs or small pictures of clothes can give.",
        ),
    )
