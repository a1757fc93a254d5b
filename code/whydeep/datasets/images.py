"""Images with labels: Fashion-MNIST (a subset is shipped) and scikit-learn's 8x8 digits."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import files
from whydeep.errors import BadSettings

FASHION_CLASSES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
    "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
DIGITS_TEST = 360


@dataclass(frozen=True)
class LabelledImages:
    """A classification task: grey images with labels, split into training and test examples.

    `train_x` (n, 1, h, w) and `test_x` (m, 1, h, w) are float32 in [0, 1], 0 = background;
    `train_y` (n,) and `test_y` (m,) are int64 indices into `classes`. Each loader returns fresh
    tensors, so that changing them in place (corrupting labels, say) touches no one else's.
    """

    name: str
    classes: tuple[str, ...]
    train_x: Float[Tensor, "n 1 h w"]
    train_y: Int[Tensor, " n"]
    test_x: Float[Tensor, "m 1 h w"]
    test_y: Int[Tensor, " m"]

    def subset(
        self, n_train: int | None = None, n_test: int | None = None, *, seed: int
    ) -> LabelledImages:
        """A random subset with the classes in proportion, drawn by `seed`; None keeps all.

        Training and test examples are drawn by independent generators, so that the one does not
        depend on how many of the other are wanted. For balanced sets and multiples of the number
        of classes, a smaller subset of the same seed lies within a larger one.
        The order is that of the full set. Raises `BadSettings` for a size that cannot be had.
        """
        draws = [each.numpy() for each in Chance(seed).members(2)]
        train = stratified_indices(self.train_y.numpy(), n_train, draws[0], "n_train")
        test = stratified_indices(self.test_y.numpy(), n_test, draws[1], "n_test")
        return replace(
            self,
            train_x=self.train_x[train],
            train_y=self.train_y[train],
            test_x=self.test_x[test],
            test_y=self.test_y[test],
        )


def stratified_indices(
    labels: np.ndarray, n: int | None, rng: np.random.Generator, called: str = "n"
) -> np.ndarray:
    """Sorted indices of `n` of the examples, the classes in proportion; all of them if n is None.

    Each class's share of `n` is rounded down; what is left over goes one each to the classes with
    the largest remainders, ties in random order. Classes are permuted in turn, and the first so
    many kept. `called` names the argument in the error: `BadSettings` unless 1 <= n <= len(labels).
    """
    if n is None:
        return np.arange(len(labels))
    if not 1 <= n <= len(labels):
        raise BadSettings(f"{called} is {n}, expected a number from 1 to {len(labels)}, or None.")
    classes, counts = np.unique(labels, return_counts=True)
    share, remainder = np.divmod(n * counts, len(labels))
    tie_order = rng.permutation(len(classes))
    by_remainder = tie_order[np.argsort(-remainder[tie_order], kind="stable")]
    share[by_remainder[: n - share.sum()]] += 1
    kept = [
        rng.permutation(np.flatnonzero(labels == value))[:size]
        for value, size in zip(classes, share, strict=True)
    ]
    return np.sort(np.concatenate(kept))


def fashion_mnist(*, full: bool = False) -> LabelledImages:
    """Fashion-MNIST (Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747): 28x28 grey, 10 classes.

    10,000 training and 2,000 test examples, shipped with the book, exactly balanced; with `full`,
    all 60,000 and 10,000, found on disk or downloaded (31 MB). See `data/fashion-mnist/README.md`.
    Raises `DataError` if a file is missing, damaged or cannot be fetched.
    """
    if full:
        names = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")
        parts = [files.read_idx(f"fashion-mnist-full/{name}-ubyte") for name in names]
        name = "Fashion-MNIST"
    else:
        arrays = files.read_arrays("fashion-mnist")
        parts = [arrays[key] for key in ("x_train", "y_train", "x_test", "y_test")]
        name = "Fashion-MNIST, 10,000/2,000"
    return _labelled(name, FASHION_CLASSES, *parts, levels=255)


def digits() -> LabelledImages:
    """scikit-learn's handwritten digits: 1,797 grey images of 8x8, 17 levels, 10 classes.

    The set has no split of its own. The book's: 360 test examples drawn with the classes in
    proportion by seed 0, the other 1,437 for training (`data/digits/README.md`).
    Raises `DataError` if scikit-learn's copy is missing or differs from the one known to the book.
    """
    arrays = files.read_package_arrays("digits")
    x, y = arrays["x"], arrays["y"]
    test = stratified_indices(y, DIGITS_TEST, Chance(0).numpy())
    train = np.setdiff1d(np.arange(len(y)), test)
    classes = tuple("0123456789")
    return _labelled("Digits 8x8", classes, x[train], y[train], x[test], y[test], levels=16)


def _labelled(
    name: str,
    classes: tuple[str, ...],
    train_x: np.ndarray,
    train_y: np.ndarray,
    test_x: np.ndarray,
    test_y: np.ndarray,
    *,
    levels: int,
) -> LabelledImages:
    def images(x: np.ndarray) -> Tensor:
        # torch divides exactly rounded: 255/255 is 1 and 0/255 is 0.
        return torch.tensor(x, dtype=torch.float32).unsqueeze(1).div_(levels)

    def labels(y: np.ndarray) -> Tensor:
        return torch.tensor(y, dtype=torch.int64)

    return LabelledImages(
        name, classes, images(train_x), labels(train_y), images(test_x), labels(test_y)
    )
