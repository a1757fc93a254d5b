"""Digits for the two experiments in which blocks of weights are trained apart."""

from __future__ import annotations

import torch

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.datasets.tasks import Task


def pictures(examples: int, chance: Chance) -> Task:
    """``examples`` digits to train on, drawn by chance, and all others of the 1,797 to test on.

    Vectors of 64 pixels; the mean training picture is subtracted, and one factor brings the pixels'
    standard deviation to 1.
    """
    data = digits()
    x = torch.cat([data.train_x, data.test_x]).flatten(1)
    y = torch.cat([data.train_y, data.test_y])
    order = torch.from_numpy(chance.numpy().permutation(len(y)))
    x, y = x[order], y[order]
    x = x - x[:examples].mean(0)
    x = x / x[:examples].std()
    return Task(x[:examples], y[:examples], x[examples:], y[examples:])
