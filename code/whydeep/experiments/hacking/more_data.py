"""Shifted copies of the training images: what do they buy, and what do they cost?

Krizhevsky et al. (2012, section 4.1) train on random crops and mirror images of each picture, 2048
times as many by their count, and say that the network overfits badly without. We train a dense and
a small convolutional network on Fashion-MNIST, from plain and from randomly shifted images, and
test both on images as they are and on images that were moved.

What would refute it: shifted copies that do not lower the error on the test images as they are.
That they narrow the gap between training and test error, and help on moved test images more than
another change of the pictures does, is shown beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import SGD
from whydeep.descent.recipe import Recipe, error, fit
from whydeep.device import current
from whydeep.evidence.claims import OPPOSITE, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Convolutional, Dense
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

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
    sgd: SGD = SGD(lr=0.02, epochs=40, batch=50, momentum=0.9)
    convolutional_epochs: int = 12


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


def run(settings: Settings, chance: Chance) -> Result:
    """Training and test errors of both networks, plain and with more data."""
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    x, y, y_test = (part.to(current()) for part in (data.train_x, data.train_y, data.test_y))
    ways, sgd = chance.torch(), settings.sgd
    tests = [moved(data.test_x, s, generator=ways).to(current()) for s in settings.moves]

    def errors(kind: Callable[..., nn.Module], shift: int, epochs: int) -> list[float]:
        """On the training images, then on the test images moved by each of ``moves``."""
        network = kind(generator=chance["init"]).to(current())
        recipe = Recipe(
            epochs=epochs,
            lr=sgd.lr,
            batch_size=sgd.batch,
            momentum=sgd.momentum,
            shift=0 if settings.mirror else shift,
            mirror=settings.mirror and shift > 0,
        )
        fit(network, x, y, recipe, chance=chance)
        with torch.no_grad():
            return [
                error(x, y)(network),
                *(error(images, y_test)(network) for images in tests),
            ]

    small = partial(Convolutional, (1, 28, 28), (8, 16))
    dense = np.array([errors(Flat, shift, sgd.epochs) for shift in settings.shifts])
    shifts = (0, settings.convolutional_shift)
    convolutional = np.array([errors(small, s, settings.convolutional_epochs) for s in shifts])
    convolutional = convolutional[:, 1:]
    training, test = dense[:, 0], dense[:, 1:]  # (shifts,), (shifts, moves)
    at = list(settings.moves).index(max(settings.shifts))
    gap = test[:, 0] - training
    share = "fraction of examples"
    return Result(
        moves=(np.array(settings.moves), "pixels"),
        training_error=Quantity(training, share, shift=settings.shifts),
        error=Quantity(test, share, shift=settings.shifts, move=settings.moves),
        gap=Quantity(gap, share, shift=settings.shifts),
        moved_gain=(test[0, at] - test[-1, at], share),
        gap_gain=(gap[0] - gap[-1], share),
        still_gain=(test[0, 0] - test[-1, 0], share),
        convolutional_error=Quantity(convolutional, share, shift=shifts, move=settings.moves),
        convolutional_still_gain=(convolutional[0, 0] - convolutional[1, 0], share),
        convolutional_moved_gain=(convolutional[0, 2] - convolutional[1, 2], share),
    )


CLAIMS = (
    Claim(
        id="krizhevsky2012-data-augmentation",
        cite="krizhevsky2012", kind="effect", expected=OPPOSITE,
        title="Do shifted copies help on new images?",
        says="Random crops and mirror images enlarge the training set by a factor of 2048; without "
        "them the network overfits substantially, which would have forced the use of a much "
        "smaller one (section 4.1).",
        tested="1,000 pictures of clothes, 28 by 28, for a dense network of 256 hidden units (40 "
        "epochs) and a small convolutional one (12 epochs), each with shifts of up to 2 pixels, "
        "about the paper's share of a picture, and without; no mirroring.",
        so="On test images as they are the shifts raise the error: of the dense network from "
        "{num}`hacking/more-data error[0,0] .1% ±` to {num}`hacking/more-data error[2,0] .1% ±`, "
        "of the convolutional one from {num}`hacking/more-data convolutional_error[0,0] .1% ±` to "
        "{num}`hacking/more-data convolutional_error[1,0] .1% ±`.",
        caveat="On images that are moved the shifts do help: with shifts of up to 4 pixels the "
        "dense network errs on {num}`hacking/more-data error[-1,4] .0%` of those moved by 4, "
        "without on {num}`hacking/more-data error[0,4] .0%`. The gap to the training error closes "
        "because the training error rises, from {num}`hacking/more-data training_error[0] .0%` to "
        "{num}`hacking/more-data training_error[-1] .0%`, in the same number of epochs. Our "
        "pictures are centred; the paper's are not.",
        paper=(
            (
                "factor by which crops of 224 from 256 pixels and reflections enlarge the set",
                ("{}", 2048),
                "section 4.1; there are 33 x 33 x 2 = 2178 such crops",
            ),
            ("top-1 error saved by changing colours", ("more than {} %", 1), "section 4.1"),
            ("without this scheme", '"substantial overfitting", no number', "section 4.1"),
        ),
        decides=(
            Condition("dense_still_gain", "shifts of up to 2 pixels lower the dense network's "
                      "error on the test images as they are by {bound} or more",
                      lambda r: float(r["error[0, 0]"] - r["error[2, 0]"]), ">=", 0.02,
                      "fraction of examples", none=0.0, because="a tenth of the error without "
                      "shifts, the least that would matter"),
            at_least("convolutional_still_gain", "they lower the convolutional network's by "
                     "{bound} or more", 0.02, none=0.0, because="as much"),
        ),
        mechanism=(
            at_least("gap_gain", "shifts of up to 4 pixels narrow the dense network's gap between "
                     "test and training error by {bound} or more", 0.1, none=0.0,
                     because="half of the gap without shifts"),
            at_least("moved_gain", "they lower its error on test images moved by 4 pixels by "
                     "{bound} or more", 0.2, none=0.0,
                     because="kept from the first registration"),
            at_least("still_gain", "they lower its error on the test images as they are by {bound} "
                     "or more", 0.02, none=0.0, because="as for shifts of up to 2 pixels"),
        ),
        controls=(
            Control(
                "mirrored", "the shift: the images are mirrored at random, which also makes more "
                "of them", ("gap_gain", "moved_gain"),
                (
                    at_most("error[-1, 0]", "its network learns: its error on test images as they "
                            "are is at most {bound}", 0.25),
                ),
            ),
        ),
        limits="Copies are no new examples, and what they buy is known in one case: where the "
        "moved image is as likely as the image itself, averaging over moves lowers the variance "
        "and changes nothing else {cite}`chen2020`. Centred photographs of clothes are no such "
        "case, and later schemes search for the moves that suit the data {cite}`cubuk2019`.",
        changes=("The gap and the moved test images no longer decide: the gap narrowed because "
                 "the training error rose, and the source's point is new images of the same kind "
                 "(stricter). Shifts of up to 2 pixels, the paper's share of a picture, decide in "
                 "place of 4 (looser), for the convolutional network too (stricter); the bound "
                 "stays.",),
    ),
)  # fmt: skip

SERIES = ("no shift", "up to 1 pixel", "up to 2 pixels", "up to 4 pixels")
PLOT = Plot(
    sweep=Axis("test images moved by", "pixels"),
    at="moves",
    y=Axis("test error", "%"),
    series={f"error[{i}]": label for i, label in enumerate(SERIES)},
    factor=100.0,
    variants={MAIN: "dense network"},
)


def figure(runs: Runs) -> figures.Figure:
    """Test error against how far test images are moved, dense left and convolutional right."""
    moves = first(runs, "moves")
    with panels(2, size=(8.2, 3.6), sharey=True) as (drawn, axes):
        PLOT.draw(axes[0], runs)
        mirrored = over_seeds(runs, "error[-1]", "mirrored", factor=100).mean(0)
        axes[0].plot(moves, mirrored, **figures.THEORY, label="mirrored (control)")
        errors = over_seeds(runs, "convolutional_error", factor=100)
        for i, (label, colour) in enumerate(((SERIES[0], "blue"), (SERIES[2], "green"))):
            figures.band(axes[1], moves, errors[:, i], label=label, color=figures.COLOURS[colour])
        axes[0].set(title="dense", ylim=(0, 115))
        axes[1].set(title="convolutional", xlabel=str(PLOT.sweep))
        for panel in axes:
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


def explorer(runs: Runs) -> SweepExplorer:
    """Test error against training error's way: move the test images, choose the training shift."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="more-data",
        title="Test error against the move of the test images",
        about="Move the test images and compare the networks. Where does shifting begin to pay?",
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
