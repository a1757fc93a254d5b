"""Logistic regression, and examples whose useful features are rare: for three experiments."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize
from scipy.special import expit

Penalty = Callable[[np.ndarray], tuple[float, np.ndarray]]


@dataclass(frozen=True)
class Rare:
    """The settings of the examples, which those of an experiment add to.

    The first ``rare`` features decide the label; each is active in a share ``active`` of the
    examples. The other ``common`` ones are noise, always active. ``score_sd`` is the standard
    deviation of the true score, whatever ``active``.
    """

    rare: int = 50
    common: int = 150
    active: float = 0.04
    score_sd: float = 8.0


def true_weights(settings: Rare, rng: np.random.Generator) -> Float[np.ndarray, " d"]:
    """Weights of either sign and one size for the rare features, zero for the common ones."""
    size = settings.score_sd / np.sqrt(settings.rare * settings.active)
    signs = rng.choice([-1.0, 1.0], settings.rare)
    return np.concatenate([size * signs, np.zeros(settings.common)])


def draw(
    settings: Rare, weights: Float[np.ndarray, " d"], n: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "n d"], Float[np.ndarray, " n"]]:
    """``n`` examples (n, d) with labels 0 or 1, drawn with probability sigmoid(weights . x).

    A rare feature is -1 or 1 where it is active and else 0; common ones are standard normal.
    """
    active = rng.random((n, settings.rare)) < settings.active
    rare = active * rng.choice([-1.0, 1.0], (n, settings.rare))
    x = np.concatenate([rare, rng.standard_normal((n, settings.common))], axis=1)
    return x, (rng.random(n) < expit(x @ weights)).astype(float)


def accuracy(
    w: Float[np.ndarray, " d"], x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"]
) -> float:
    """The fraction of the examples on the right side of w . x = 0."""
    return float(((x @ w > 0) == (y > 0.5)).mean())


def fit(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], penalty: Penalty
) -> Float[np.ndarray, " d"]:
    """The weights (d,) of the smallest log-loss, summed over the examples, plus ``penalty(w)``."""

    def objective(w: np.ndarray) -> tuple[float, np.ndarray]:
        z = x @ w
        extra, slope = penalty(w)
        loss = (np.logaddexp(0, z) - y * z).sum()
        return loss + extra, x.T @ (expit(z) - y) + slope

    start = np.zeros(x.shape[1])
    return minimize(objective, start, jac=True, method="L-BFGS-B", options={"maxiter": 500}).x


def fit_l2(
    x: Float[np.ndarray, "n d"], y: Float[np.ndarray, " n"], strength: float
) -> Float[np.ndarray, " d"]:
    """Logistic regression with the penalty strength / 2 |w|^2."""
    return fit(x, y, lambda w: (strength / 2 * w @ w, strength * w))  # pyright: ignore[reportArgumentType]
