"""Gabor functions, and how well a small picture is described by one.

A Gabor function is a plane wave under a Gaussian bell, the shape of the receptive fields of simple
cells in the visual cortex. At offsets (x, y) from the middle of the picture, in pixels, it is

    exp(-(u/s)^2/2 - (v/t)^2/2) (a cos(2 pi f u) + b sin(2 pi f u)),
    u = (x - x0) cos(angle) + (y - y0) sin(angle),   v = -(x - x0) sin(angle) + (y - y0) cos(angle)

with frequency f in cycles a pixel; the edges that it answers to run at right angles to u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64
from scipy.optimize import least_squares
from scipy.special import expit, logit
from torch import Tensor

FREQUENCIES = (0.05, 0.5)  # cycles a pixel; above 0.5 the pixels are too coarse to tell
WIDTHS = (0.8, 4.0)  # pixels; a narrower bell is a single pixel
STARTS = 3
PRECISION = {"ftol": 1e-6, "xtol": 1e-4}  # the share described is then known to some 1e-5


@dataclass(frozen=True)
class GaborFit:
    """The best Gabor function found for each of n pictures.

    ``r2``: the share of the picture's energy (sum of squares) that it describes, 0 to 1.
    ``angle``: of the wave, in radians from 0 to pi; ``frequency``: in cycles a pixel.
    ``pictures``: the functions themselves.
    """

    r2: Float64[Tensor, " n"]
    angle: Float64[Tensor, " n"]
    frequency: Float64[Tensor, " n"]
    pictures: Float64[Tensor, "n h w"]


def gabor_fit(pictures: Float[Tensor, "n h w"]) -> GaborFit:
    """Fit a Gabor function to each picture by least squares.

    Six numbers say where, how wide, at which angle and how fast; the amplitudes a and b of the
    cosine and sine are then a linear fit. The best of a grid of some thousand functions are
    refined by Levenberg and Marquardt's method, the best of them is returned.
    """
    w = pictures.detach().double().flatten(1).numpy()
    w = w / np.linalg.norm(w, axis=1, keepdims=True)
    h, width = pictures.shape[1:]
    y, x = np.mgrid[:h, :width].reshape(2, -1) - np.array([[h - 1], [width - 1]]) / 2
    place, reach = np.stack([x, y]), np.array([width - 1, h - 1]) / 2

    grid = _grid()
    orthonormal = np.linalg.qr(_waves(_bounded(grid, reach), place))[0]
    described = ((orthonormal.swapaxes(1, 2) @ w.T) ** 2).sum(1)

    def off(free: Float64[np.ndarray, " 6"], picture: Float64[np.ndarray, " p"]) -> np.ndarray:
        return picture - _linear_fit(_waves(_bounded(free, reach), place), picture)

    found = []
    for picture, shares in zip(w, described.T, strict=True):
        starts = grid[np.argsort(-shares)[:STARTS]]
        # PRECISION holds tolerances alone.
        fits = [
            least_squares(off, start, args=(picture,), method="lm", **PRECISION)  # pyright: ignore[reportArgumentType]
            for start in starts
        ]
        found.append(min(fits, key=lambda fit: fit.cost))
    six = _bounded(np.stack([fit.x for fit in found]), reach)
    fitted = w - np.stack([fit.fun for fit in found])
    size = pictures.detach().double().flatten(1).norm(dim=1)
    return GaborFit(
        torch.tensor([1 - 2 * fit.cost for fit in found], dtype=torch.float64),
        torch.from_numpy(six[:, 2]).remainder(math.pi),
        torch.from_numpy(six[:, 3].copy()),
        (torch.from_numpy(fitted) * size[:, None]).view(pictures.shape),
    )


def _grid() -> Float64[np.ndarray, "g 6"]:
    """Starts for the refinement, in the free numbers of ``_bounded``."""
    spots = [-0.8, -0.35, 0.0, 0.35, 0.8]
    angles = np.arange(8) * np.pi / 8
    shares, sizes = logit([0.07, 0.2, 0.33, 0.51, 0.73]), logit([0.14, 0.5, 0.82])
    every = np.meshgrid(spots, spots, angles, shares, sizes, sizes, indexing="ij")
    return np.stack(every, -1).reshape(-1, 6)


def _bounded(
    free: Float64[np.ndarray, "*g 6"], reach: Float64[np.ndarray, " 2"]
) -> Float64[np.ndarray, "*g 6"]:
    """x0, y0 within the picture, the angle, f within FREQUENCIES, s and t within WIDTHS."""
    low, high = FREQUENCIES
    narrow, wide = np.log(WIDTHS)
    share = expit(free[..., 3:])
    return np.concatenate(
        [
            reach * np.tanh(free[..., :2]),
            free[..., 2:3],
            low + (high - low) * share[..., :1],
            np.exp(narrow + (wide - narrow) * share[..., 1:]),
        ],
        -1,
    )


def _waves(
    bounded: Float64[np.ndarray, "*g 6"], place: Float64[np.ndarray, "2 p"]
) -> Float64[np.ndarray, "*g p 2"]:
    """The cosine and the sine of each function, with amplitude 1."""
    x0, y0, angle, f, s, t = np.moveaxis(bounded[..., None], -2, 0)
    x, y = place[0] - x0, place[1] - y0
    u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
    bell = np.exp(-((u / s) ** 2 + (v / t) ** 2) / 2)
    turn = 2 * np.pi * f * u
    return np.stack([bell * np.cos(turn), bell * np.sin(turn)], -1)


def _linear_fit(
    waves: Float64[np.ndarray, "p 2"], w: Float64[np.ndarray, " p"]
) -> Float64[np.ndarray, " p"]:
    """What the two waves describe of w."""
    # A trace of ridge keeps the system solvable where the sine is all but zero on the pixels.
    gram = waves.T @ waves + 1e-6 * np.eye(2)
    return waves @ np.linalg.solve(gram, waves.T @ w)
