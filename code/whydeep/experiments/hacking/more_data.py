"""Shifted copies of the training images: what do they buy, and what do they cost?

Krizhevsky et al. (2012, section 4.1) train on random crops and mirror images of each picture, 2048
times as many by their count, and say that the network overfits badly without. We train a dense and
a small convolutional network on Fashion-MNIST, from plain and from randomly shifted images, and
test both on images as they are and on images that were moved.

What would refute it: shifted copies that leave the gap between training and test error as wide as
it was, that help no more on moved test images than any other change of the pictures does, or that
do not lower the error on the test images as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from whydeep.datasets import fashion_mnist
from whydeep.descent.recipe import Recipe, error, fit, generators
from whydeep.evidence.claims import PARTLY, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Convolutional, Dense
from whydeep.show import figures

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "hacking/more-data-for-free"


@dataclass(frozen=True)
class Settings:
    """``examples`` training images of 28 x 28 pixels, drawn afresh by every seed.

    The dense network is trained once for each of ``shifts``, the largest number of pixels by which
    a training image moves each way, and tested on images moved by each of ``moves``. The
    convolutional network is trained plain and with the shift ``convolutional_shift``. With
    ``mirror`` images are mirrored, and not shifted, wherever they would have been shifted.
    """

    examples: int = 1000
    shifts: tuple[int, ...] = (0, 1, 2, 4)
    moves: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    convolutional_shift: int = 2
    mirror: bool = False
    epochs: int = 40
    convolutional_epochs: int = 12
    batch_size: int = 50
    learning_rate: float = 0.02


SCALES = {"quick": Settings()}
VARIANTS = {"mirrored": {"mirror": True, "shifts": (0, 4)}}


class Flat(nn.Module):
    """A dense network with one hidden layer of 256 ReLU units, on images (n, 1, 28, 28)."""

    def __init__(self, *, generator: torch.Generator) -> None:
        super().__init__()
        self.dense = Dense((784, 256, 10), generator=generator)

    def forward(self, x: Float[Tensor, "n 1 h w"]) -> Float[Tensor, "n classes"]:
        return self.dense(x.flatten(1))


def moved(
    x: Float[Tensor, "n c h w"], pixels: int, *, generator: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Each image moved by exactly so many pixels up, down, left or right; zeros move in."""
    by = torch.randint(4, (len(x),), generator=generator)
    padded = F.pad(x, (pixels,) * 4)
    h, w = x.shape[2:]
    places = [(0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels)]
    images = torch.stack([padded[:, :, i : i + h, j : j + w] for i, j in places])
    return images[by, torch.arange(len(x))]


def run(settings: Settings, *, seed: int, device: str = "cpu", progress: bool = False) -> Result:
    """Training and test errors of both networks, plain and with more data."""
    data = fashion_mnist().subset(settings.examples, seed=seed)
    x, y, y_test = data.train_x.to(device), data.train_y.to(device), data.test_y.to(device)
    chance = torch.Generator().manual_seed(seed)
    tests = [moved(data.test_x, s, generator=chance).to(device) for s in settings.moves]

    def errors(kind: type, shift: int, epochs: int) -> tuple[float, Float[np.ndarray, "moves"]]:
        generator = generators(seed)["init"]
        if kind is Flat:
            network = Flat(generator=generator).to(device)
        else:
            network = Convolutional((1, 28, 28), (8, 16), generator=generator).to(device)
        recipe = Recipe(
            epochs=epochs,
            lr=settings.learning_rate,
            batch_size=settings.batch_size,
            shift=0 if settings.mirror else shift,
            mirror=settings.mirror and shift > 0,
        )
        fit(network, x, y, recipe, seed=seed, progress=progress)
        with torch.no_grad():
            found = np.array([error(images, y_test)(network) for images in tests])
            return error(x, y)(network), found

    dense = [errors(Flat, shift, settings.epochs) for shift in settings.shifts]
    convolutional = [
        errors(Convolutional, shift, settings.convolutional_epochs)
        for shift in (0, settings.convolutional_shift)
    ]
    training = np.array([found[0] for found in dense])
    test = np.stack([found[1] for found in dense])  # (shifts, moves)
    at = list(settings.moves).index(max(settings.shifts))
    gap = test[:, 0] - training
    share = "fraction of examples"
    return Result(
        shifts=(np.array(settings.shifts), "pixels"),
        moves=(np.array(settings.moves), "pixels"),
        training_error=(training, share),
        error=(test, share),
        error_plain=(test[0, 0], share),
        error_shifted=(test[-1, 0], share),
        error_plain_moved=(test[0, at], share),
        error_shifted_moved=(test[-1, at], share),
        gap_plain=(gap[0], share),
        gap_shifted=(gap[-1], share),
        moved_gain=(test[0, at] - test[-1, at], share),
        gap_gain=(gap[0] - gap[-1], share),
        still_gain=(test[0, 0] - test[-1, 0], share),
        convolutional_error=(np.stack([found[1] for found in convolutional]), share),
        convolutional_still_gain=(convolutional[0][1][0] - convolutional[1][1][0], share),
        convolutional_moved_gain=(convolutional[0][1][2] - convolutional[1][1][2], share),
        examples=(settings.examples, "training examples"),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-data-augmentation",
        cite="krizhevsky2012",
        sentence="Shifted copies of the training images are data for free: they reduce "
        "overfitting, and the network does better on new images.",
        kind="effect",
        expected=PARTLY,
        paper=(
            (
                "factor by which crops of 224 from 256 pixels and reflections enlarge the set",
                ("{}", 2048),
                "section 4.1; there are 33 x 33 x 2 = 2178 such crops",
            ),
            ("top-1 error saved by changing colours", ("more than {} %", 1), "section 4.1"),
            ("without this scheme", '"substantial overfitting", no number', "section 4.1"),
        ),
        conditions=(
            at_least(
                "gap_gain",
                "shifts of up to 4 pixels narrow the gap between test and training error by "
                "{bound} or more",
                0.1,
            ),
            at_least(
                "moved_gain",
                "they lower the error on test images moved by 4 pixels by {bound} or more",
                0.2,
            ),
            at_least(
                "still_gain",
                "they lower the error on the test images as they are by {bound} or more",
                0.02,
            ),
        ),
        controls=(
            Control(
                "mirrored",
                "the shift: the images are mirrored at random, which also makes more of them",
                {"gap_gain": 0.02, "moved_gain": 0.1, "still_gain": 0.005},
                (
                    at_most(
                        "error_shifted",
                        "its network learns: its error on test images as they are is at most "
                        "{bound}",
                        0.25,
                    ),
                ),
            ),
        ),
        disputed="Copies are no new examples, and what they buy is known in one case: where the "
        "moved image is as likely as the image itself, averaging over moves lowers the variance "
        "and changes nothing else {cite}`chen2020`. Centred photographs of clothes are no such "
        "case, and later schemes search for the moves that suit the data {cite}`cubuk2019`.",
        missed=("still_gain",),
    ),
)

SERIES = {0: "no shift", 1: "up to 1 pixel", 2: "up to 2 pixels", 4: "up to 4 pixels"}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Test error against how far test images are moved, dense left and convolutional right."""
    main = list(runs[MAIN].values())
    moves = main[0]["moves"]
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.2, 3.6), sharey=True)
        for i, shift in enumerate(main[0]["shifts"]):
            errors = np.array([100 * result["error"][i] for result in main])
            figures.band(axes[0], moves, errors, label=SERIES[int(shift)])
        colours = figures.COLOURS["blue"], figures.COLOURS["green"]
        for i, (label, colour) in enumerate(zip((SERIES[0], SERIES[2]), colours, strict=True)):
            errors = np.array([100 * result["convolutional_error"][i] for result in main])
            figures.band(axes[1], moves, errors, label=label, color=colour)
        if "mirrored" in runs:
            errors = np.array([100 * r["error"][-1] for r in runs["mirrored"].values()])
            axes[0].plot(moves, errors.mean(0), **figures.THEORY, label="mirrored (control)")
        axes[0].set(title="dense", ylabel="test error (%)", ylim=(0, 115))
        axes[1].set(title="convolutional")
        for panel in axes:
            panel.set(xlabel="test images moved by (pixels)")
            panel.legend(title="training images shifted", loc="upper left")
    return figures.Figure(
        drawn,
        label="fig-more-data",
        caption="Test error on Fashion-MNIST when the test images are moved, for networks trained "
        "on images that were shifted at random. Shifts buy a network that does not mind being "
        "moved, and cost some of its error at 0, on the images as they are. Bands are one standard "
        "deviation over seeds.",
        alt="Two panels, test error against pixels by which test images are moved, from 0 to 6. "
        "Left, a dense network: without shifts the error climbs steeply; the larger the shifts "
        "in training, the later it climbs and the higher it starts; mirrored images leave it as "
        "it was. Right, a convolutional network: the same in smaller measure.",
    )


def explorer(runs: Mapping[str, Mapping[int, Result]]) -> SweepExplorer:
    """Test error against training error's way: move the test images, choose the training shift."""
    from whydeep.widgets import Axis, Prediction, SweepExplorer  # pages need it, the CLI does not

    shifts = [int(shift) for shift in next(iter(runs[MAIN].values()))["shifts"]]
    table = {
        MAIN: {
            seed: {"moves": result["moves"]}
            | {f"error_{shift}": result["error"][i] for i, shift in enumerate(shifts)}
            for seed, result in runs[MAIN].items()
        }
    }
    return SweepExplorer.from_runs(
        table,
        key="more-data",
        title="Test error against the move of the test images",
        about="Move the test images and compare the networks. Where does shifting begin to pay?",
        series={f"error_{shift}": SERIES[shift] for shift in shifts},
        variants={MAIN: "dense network"},
        sweep=Axis("test images moved by", "pixels"),
        sweep_values="moves",
        factor=100.0,
        y=Axis("test error", "%"),
        predict=Prediction(
            "All test images are centred, as the training images are. Which network errs least "
            "on them as they are: the one that saw no shift, or one that saw shifts?",
            (
                "The one that saw shifts of up to 4 pixels: it saw the most data",
                "The one that saw no shift, or one pixel at most",
                "They err equally often",
            ),
            1,
            "Its hidden units need not serve pictures that never come. More data of the wrong "
            "kind is not more data.",
        ),
    )
