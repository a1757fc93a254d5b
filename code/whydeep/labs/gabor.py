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

import torch
from jaxtyping import Float, Float64
from torch import Tensor

FREQUENCIES = (0.05, 0.5)  # cycles a pixel; above 0.5 the pixels are too coarse to tell
WIDTHS = (0.8, 4.0)  # pixels; a narrower bell is a single pixel
STARTS, STEPS, RATE = 3, 120, 0.06


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
    refined by gradient descent (Adam, a fixed number of steps), the best of them is returned.
    """
    w = pictures.detach().double().flatten(1)
    place = _places(*pictures.shape[1:])
    reach = torch.tensor([(pictures.shape[2] - 1) / 2, (pictures.shape[1] - 1) / 2]).double()
    grid = _grid()
    orthonormal = torch.linalg.qr(_waves(_bounded(grid, reach), place)).Q
    described = torch.einsum("gpi,np->gni", orthonormal, w).square().sum(-1)
    free = grid[described.topk(STARTS, dim=0).indices].clone().requires_grad_()
    optimiser = torch.optim.Adam([free], lr=RATE)
    for _ in range(STEPS):
        optimiser.zero_grad()
        found, _ = _linear_fit(_waves(_bounded(free, reach), place), w)
        (-found.sum()).backward()
        optimiser.step()
    with torch.no_grad():
        bounded = _bounded(free, reach)
        r2, fitted = _linear_fit(_waves(bounded, place), w)
        best = r2.argmax(0), torch.arange(len(w))
        _, _, angle, frequency, _, _ = bounded[best].unbind(-1)
    return GaborFit(
        r2[best], angle.remainder(math.pi), frequency, fitted[best].view(pictures.shape)
    )


def _places(h: int, w: int) -> Float64[Tensor, "2 p"]:
    """The pixels' offsets from the middle, x to the right and y down."""
    y, x = torch.meshgrid(
        torch.arange(h).double() - (h - 1) / 2,
        torch.arange(w).double() - (w - 1) / 2,
        indexing="ij",
    )
    return torch.stack([x.flatten(), y.flatten()])


def _grid() -> Float64[Tensor, "g 6"]:
    """Starts for the refinement, in the free numbers of ``_bounded``."""
    spots = torch.tensor([-0.8, -0.35, 0.0, 0.35, 0.8]).double()
    angles = torch.arange(8).double() * math.pi / 8
    shares = torch.tensor([0.07, 0.2, 0.33, 0.51, 0.73]).double().logit()
    sizes = torch.tensor([0.14, 0.5, 0.82]).double().logit()
    return torch.cartesian_prod(spots, spots, angles, shares, sizes, sizes)


def _bounded(
    free: Float64[Tensor, "*g 6"], reach: Float64[Tensor, " 2"]
) -> Float64[Tensor, "*g 6"]:
    """x0, y0 within the picture, the angle, f within FREQUENCIES, s and t within WIDTHS."""
    low, high = FREQUENCIES
    narrow, wide = map(math.log, WIDTHS)
    share = torch.sigmoid(free[..., 3:])
    return torch.cat(
        [
            reach * torch.tanh(free[..., :2]),
            free[..., 2:3],
            low + (high - low) * share[..., :1],
            torch.exp(narrow + (wide - narrow) * share[..., 1:]),
        ],
        -1,
    )


def _waves(
    bounded: Float64[Tensor, "*g 6"], place: Float64[Tensor, "2 p"]
) -> Float64[Tensor, "*g p 2"]:
    """The cosine and the sine of each function, with amplitude 1."""
    x0, y0, angle, f, s, t = (b.unsqueeze(-1) for b in bounded.unbind(-1))
    x, y = place[0] - x0, place[1] - y0
    u, v = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    bell = torch.exp(-((u / s) ** 2 + (v / t) ** 2) / 2)
    return torch.stack(
        [bell * torch.cos(2 * math.pi * f * u), bell * torch.sin(2 * math.pi * f * u)], -1
    )


def _linear_fit(
    waves: Float64[Tensor, "*g n p 2"], w: Float64[Tensor, "n p"]
) -> tuple[Float64[Tensor, "*g n"], Float64[Tensor, "*g n p"]]:
    """The share of each w's energy in the span of its two waves, and its projection there."""
    # A trace of ridge keeps the system solvable where the sine is all but zero on the pixels.
    gram = waves.mT @ waves + 1e-6 * torch.eye(2, dtype=w.dtype)
    right = waves.mT @ w.unsqueeze(-1)
    amplitudes = torch.linalg.solve(gram, right)
    fitted = (waves @ amplitudes).squeeze(-1)
    return 1 - (w - fitted).square().sum(-1) / w.square().sum(-1), fitted
