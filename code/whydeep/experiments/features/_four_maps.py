"""The four feature maps of *Raw pixels and features*, and the errors of one classifier on each."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import SGD, train
from whydeep.device import current
from whydeep.experiments.features._classifiers import logistic_regression_errors
from whydeep.labs import features
from whydeep.networks import Convolutional

MAPS = {
    "raw": "raw pixels",
    "random": "random ReLU units",
    "hog": "by hand (HOG)",
    "learned": "learned",
}


@dataclass(frozen=True)
class FourMaps:
    """``examples`` training images, drawn afresh by every seed; always all 2,000 test images.

    ``sgd`` trains the convolutional network whose last hidden layer is the learned map;
    ``penalty`` is the weight decay of the logistic regression on standardised features, the same
    for all maps. ``shuffle`` permutes the pixels of all images in one order, drawn by the seed.
    """

    examples: int = 1000
    sgd: SGD = SGD(lr=0.01, steps=300, batch=64, momentum=0.9, decay=1e-3)
    width_random: int = 2000
    penalty: float = 100.0
    shuffle: bool = False


def errors(settings: FourMaps, chance: Chance) -> Float[Tensor, "4 2"]:
    """Training and test error of logistic regression on each map of MAPS."""
    order, draw, network = chance.members(3)
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    x, y, x_test, y_test = (
        part.to(current()) for part in (data.train_x, data.train_y, data.test_x, data.test_y)
    )
    if settings.shuffle:
        permutation = torch.from_numpy(order.numpy().permutation(x[0].numel()))
        x, x_test = (z.flatten(1)[:, permutation].view(z.shape) for z in (x, x_test))

    trained = train(
        partial(Convolutional, kernel=3, widths=(128,)),
        (x - x.mean()) / x.std(),
        y,
        seeds=[network],
        device=current(),
        **settings.sgd.how,
    )
    both, width = torch.cat([x, x_test]), settings.width_random
    maps = {
        "raw": features.pixels(both),
        "random": features.random_relu(both - x.mean(0), width=width, generator=draw.torch()),
        "hog": features.hog(both),
        "learned": trained.features((both - x.mean()) / x.std())[0],
    }
    n = len(y)
    found = [
        logistic_regression_errors(maps[name][:n], y, maps[name][n:], y_test, settings.penalty)
        for name in MAPS
    ]
    return torch.tensor(found, dtype=torch.float64)
