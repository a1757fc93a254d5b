"""Two pools of examples for each data set, and the training and test examples that a run draws.

    from whydeep.datasets import draw
    data = draw(1000, 500, chance=Chance(3))   # what seed 3 trains and is tested on

Bounds are set on runs that draw from the *calibration* pool; results come from runs that draw from
the *reporting* pool, which has none of the other's examples. Which of them a run draws from is
decided where it is started (`using`, entered by `whydeep.evidence.results.run_once`); an
experiment cannot ask for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64, UInt8

from whydeep.chance import Chance
from whydeep.datasets import files
from whydeep.datasets.images import (
    FASHION_CLASSES,
    LabelledImages,
    _labelled,
    stratified_indices,
)
from whydeep.errors import BadSettings

SIZES = {
    "clothes": {"reporting": 24_000, "calibration": 12_000},
    "digits": {"reporting": 1_200, "calibration": 597},
}
DIGITS_SEED = 1  # of the one split of the digits
PLACE = 24_000  # tells the draw apart from what else a run draws with NumPy

_current: ContextVar[str] = ContextVar("pool", default="reporting")
_shares: ContextVar[tuple[list[float], ...]] = ContextVar("shares", default=())


def current() -> str:
    """The pool that a run is to draw from: "reporting", unless the run was started otherwise."""
    return _current.get()


@contextmanager
def using(pool: str) -> Iterator[list[float]]:
    """Runs within the block draw from ``pool``, "reporting" or "calibration"; ValueError else.

    The list that the block is given gets the share of the pool that each draw takes: see `share`.
    """
    shares: list[float] = []
    before = _current.set(_checked(pool)), _shares.set((*_shares.get(), shares))
    try:
        yield shares
    finally:
        _current.reset(before[0])
        _shares.reset(before[1])


@dataclass(frozen=True)
class Pool:
    """All examples of a pool, as stored: grey pictures x of whole ``levels``, with labels y."""

    name: str
    classes: tuple[str, ...]
    levels: int
    x: UInt8[np.ndarray, "n h w"]
    y: UInt8[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.y)

    def draw(self, n: int, m: int, *, chance: Chance) -> LabelledImages:
        """N training and m test examples; see `draw`."""
        if n < 1 or m < 0 or n + m > len(self):
            raise BadSettings(
                f"{n:,} training and {m:,} test examples cannot be drawn from the {len(self):,} of "
                f"{self.name}: ask for at least one to train on, and for at most {len(self):,} "
                "together"
            )
        for shares in _shares.get():
            shares.append(max(n, m) / len(self))
        order = balanced_order(self.y, chance.numpy(PLACE))
        test, train = np.sort(order[:m]), np.sort(order[len(order) - n :])
        x, y = self.x, self.y
        return _labelled(
            self.name, self.classes, x[train], y[train], x[test], y[test], levels=self.levels
        )


def draw(n: int, m: int, *, chance: Chance) -> LabelledImages:
    """N training and m test pictures of clothes (28x28) from the run's pool, drawn by ``chance``.

    The pool is put into one random order in which every beginning and every end has the classes in
    proportion (`balanced_order`). The first m are for testing, the last n for training: so the two
    are disjoint, neither depends on the size of the other, and those of a smaller n or m lie within
    those of a larger one. They are returned in the pool's order. m may be 0.

    Raises `BadSettings` where n + m is more than the pool holds (`SIZES`), `DataError` where the
    pool's file is missing or damaged.
    """
    return fashion_pool(current()).draw(n, m, chance=chance)


def draw_digits(n: int, m: int, *, chance: Chance) -> LabelledImages:
    """The same for scikit-learn's digits (8x8)."""
    return digits_pool(current()).draw(n, m, chance=chance)


def fashion_pool(pool: str) -> Pool:
    """The 24,000 examples of Fashion-MNIST to report on, or the 12,000 to calibrate on.

    The latter are what `fashion_mnist` loads, training examples first. See
    `data/fashion-mnist/README.md`.
    """
    if _checked(pool) == "reporting":
        arrays = files.read_arrays("fashion-pool")
        x, y = arrays["x"], arrays["y"]
    else:
        arrays = files.read_arrays("fashion-mnist")
        x, y = (np.concatenate([arrays[f"{z}_train"], arrays[f"{z}_test"]]) for z in "xy")
    return Pool(f"Fashion-MNIST, {pool} pool", FASHION_CLASSES, 255, x, y)


def digits_pool(pool: str) -> Pool:
    """The 1,200 of scikit-learn's digits to report on, or the 597 to calibrate on.

    The digits are split once, the classes in proportion, by a seed that is written here. See
    `data/digits/README.md`.
    """
    arrays = files.read_package_arrays("digits")
    x, y = arrays["x"], arrays["y"]
    size = SIZES["digits"]["calibration"]
    rows = stratified_indices(y, size, Chance(DIGITS_SEED).numpy())
    if _checked(pool) == "reporting":
        rows = np.setdiff1d(np.arange(len(y)), rows)
    return Pool(f"Digits 8x8, {pool} pool", tuple("0123456789"), 16, x[rows], y[rows])


def balanced_order(labels: np.ndarray, rng: np.random.Generator) -> Int64[np.ndarray, " n"]:
    """All indices in random order, with the classes in proportion in every beginning and end of it.

    Each class is permuted, and the i-th of its k examples (from 0) is put (i + 1/2) / k of the way:
    Webster's method of sharing out seats, under which a larger house never takes a seat from
    anyone. Where classes tie, their order is random. Each class's number among the first or the
    last m is within one of its share.
    """
    classes, counts = np.unique(labels, return_counts=True)
    rank = np.repeat(rng.permutation(len(classes)), counts)
    place = np.concatenate([(np.arange(k) + 0.5) / k for k in counts])
    index = np.concatenate([rng.permutation(np.flatnonzero(labels == c)) for c in classes])
    return index[np.lexsort((rank, place))]


def share(m: int, data: str = "clothes", pool: str = "reporting") -> float:
    """The share f of a pool that each seed draws if it draws m examples.

    The draws of several seeds overlap, so their mean varies more than the mean of independent
    ones. With s^2 the variance between n seeds (divisor n - 1), the variance of their mean about
    the value that all clothes (or digits) would give is

        s^2 (1/n + f / (1 - f)).

    Why: let one example's result have variance v, and let each seed average m of the N = m / f in
    the pool. Over pools, one seed's mean has variance v/m and two seeds have covariance v/N. So s^2
    has the mean v/m - v/N = (1 - f) v/m, and the mean of n seeds has the variance
    (v/m - v/N) / n + v/N, where v/N = f v/m. (As in the project's design, section 4.)

    This is exact, and s^2 times the bracket is unbiased, where the pool is a random sample, the
    seeds draw independently and without replacement, and a seed's value is an average over what
    it drew. It is too large, never too small, where s^2 holds in addition what each seed has for
    itself (initial weights, order), and for values that are no averages: the part that depends on
    k examples at once is shared by two seeds as f^k, not f.

    Training examples are drawn from the pool as well, and what they add to the spread is shared
    in the same way, by *their* share. With m the number of test examples the formula holds if
    training examples add little to the spread. With m the larger of the two numbers it is safe
    unless the examples that are hard to be tested on also do harm when they are trained on, as
    wrongly labelled ones may; with m the sum of the two it is safe always.
    """
    size = SIZES[data][_checked(pool)]
    if not 0 <= m < size:
        raise BadSettings(f"m is {m:,}, expected 0 to {size - 1:,}, fewer than the pool holds")
    return m / size


def _checked(pool: str) -> str:
    if pool not in SIZES["clothes"]:
        raise ValueError(f"pool is {pool!r}, expected 'reporting' or 'calibration'")
    return pool
