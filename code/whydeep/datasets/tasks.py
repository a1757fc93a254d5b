"""Tasks that several experiments share: data drawn by a run's chance, and made ready to learn."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets.images import fashion_mnist
from whydeep.datasets.pools import draw, draw_digits
from whydeep.errors import BadSettings

PIXELS, CLASSES = 14 * 14, 10


@dataclass(frozen=True)
class Task:
    """Standardised examples x with labels y, to train on and to test on."""

    x: Float[Tensor, "n ..."]
    y: Int64[Tensor, " n"]
    x_test: Float[Tensor, "m ..."]
    y_test: Int64[Tensor, " m"]

    def __iter__(self):
        """x, y, x_test, y_test, in this order."""
        return iter((self.x, self.y, self.x_test, self.y_test))

    def flat(self) -> Task:
        """The same with images as vectors: (n, c h w)."""
        return replace(self, x=self.x.flatten(1), x_test=self.x_test.flatten(1))

    def to(self, device: str | torch.device) -> Task:
        return Task(*(part.to(device) for part in self))


def halved(examples: int, test: int | None = None, *, chance: Chance) -> Task:
    """Fashion-MNIST at 14 x 14 pixels, each the mean of 2 x 2: x has shape (n, 1, 14, 14).

    ``examples`` training and ``test`` test images are drawn by ``chance``; all test images without
    ``test``. Standardised by one mean and one standard deviation, those of the training images.
    """
    data = fashion_mnist().subset(examples, test, seed=chance.seed)
    x, x_test = (F.avg_pool2d(z, 2) for z in (data.train_x, data.test_x))
    mean, sd = x.mean(), x.std()
    return Task((x - mean) / sd, data.train_y, (x_test - mean) / sd, data.test_y)


def drawn(examples: int, test: int, *, chance: Chance, data: str = "clothes") -> Task:
    """A task of the run's own: training and test examples that ``chance`` draws from the pool.

    ``data`` is "clothes", at 14 x 14 pixels as `halved` has them, or "digits" (8 x 8); both have
    ten classes. Standardised by one mean and one standard deviation, those of the training images.
    """
    if data == "clothes":
        images = draw(examples, test, chance=chance)
        x, x_test = (F.avg_pool2d(z, 2) for z in (images.train_x, images.test_x))
    elif data == "digits":
        images = draw_digits(examples, test, chance=chance)
        x, x_test = images.train_x, images.test_x
    else:
        raise BadSettings(f"data is {data!r}, expected 'clothes' or 'digits'")
    mean, sd = x.mean(), x.std()
    return Task((x - mean) / sd, images.train_y, (x_test - mean) / sd, images.test_y)
