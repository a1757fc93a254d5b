"""Gradient descent as the book defines it: the loop, its rules, and stacks of trained networks."""

from whydeep.descent.loop import Now, descend, walk
from whydeep.descent.losses import log_loss, squared_error
from whydeep.descent.progress import can_show_progress
from whydeep.descent.rules import (
    adam,
    by_ten,
    decay,
    each,
    epochs,
    max_norm,
    momentum,
    plain,
    times,
    to_zero,
)
from whydeep.descent.settings import SGD
from whydeep.descent.stack import Trained, accuracy, mean_loss, train

__all__ = [
    "SGD",
    "Now",
    "Trained",
    "accuracy",
    "adam",
    "by_ten",
    "can_show_progress",
    "decay",
    "descend",
    "each",
    "epochs",
    "log_loss",
    "max_norm",
    "mean_loss",
    "momentum",
    "plain",
    "squared_error",
    "times",
    "to_zero",
    "train",
    "walk",
]
