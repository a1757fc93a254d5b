"""Feature maps Phi that are designed or drawn, not learned: what deep learning has to beat."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from whydeep.errors import BadSettings


def pixels(x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """The identity map: images as vectors of d = c h w pixel values."""
    return x.flatten(1)


def hog(x: Float[Tensor, "n 1 h w"], *, cell: int = 4, angles: int = 8) -> Float[Tensor, "n d"]:
    """Histograms of oriented gradients of grey images, after Dalal and Triggs 2005.

    Each pixel's gradient votes with its length for the two nearest of ``angles`` directions
    (0 to 180 degrees, so light-on-dark and dark-on-light edges count alike); votes are averaged
    over cells of ``cell`` x ``cell`` pixels; each 2 x 2 block of cells is scaled to unit length.
    d = 4 angles (h/cell - 1) (w/cell - 1). Raises BadSettings unless ``cell`` divides h and w.
    """
    if x.shape[2] % cell or x.shape[3] % cell:
        raise BadSettings(
            f"images of {x.shape[2]} x {x.shape[3]} pixels do not split into cells of {cell}: "
            "choose a cell that divides both sides"
        )
    down = F.pad(x, (0, 0, 1, 1), mode="replicate")
    across = F.pad(x, (1, 1, 0, 0), mode="replicate")
    g_y, g_x = down[:, :, 2:] - down[:, :, :-2], across[..., 2:] - across[..., :-2]
    length = torch.hypot(g_x, g_y)
    place = torch.remainder(torch.atan2(g_y, g_x), math.pi) * angles / math.pi
    bins = torch.arange(angles, device=x.device).view(1, -1, 1, 1)
    distance = (place - bins).abs()
    votes = length * (1 - torch.minimum(distance, angles - distance)).clamp(min=0)
    cells = F.avg_pool2d(votes, cell)
    blocks = F.unfold(cells, 2).transpose(1, 2)
    return F.normalize(blocks, dim=2, eps=1e-2).flatten(1)


def random_relu(
    x: Float[Tensor, "n c h w"], *, width: int, generator: torch.Generator
) -> Float[Tensor, "n width"]:
    """One layer of ``width`` ReLU units with random weights: Phi(x) = max(0, W^T x + b).

    Centre x first. Columns of W are uniform on the sphere; b is uniform within one standard
    deviation of an input coordinate, which is also about that of W^T x, so that units differ in
    where they switch on (cf. Rahimi and Recht 2007).
    """
    z = x.flatten(1)
    w = torch.randn(z.shape[1], width, generator=generator)
    w = F.normalize(w, dim=0).to(z)
    b = (torch.rand(width, generator=generator) * 2 - 1).to(z) * z.std()
    return F.relu(z @ w + b)
