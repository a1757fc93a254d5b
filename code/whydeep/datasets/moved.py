"""More data for free: images moved by whole pixels, and mirrored."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def shifted(
    x: Float[Tensor, "n c h w"], most: int, *, generator: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Each image moved by its own whole number of pixels, up to ``most`` each way; zeros move in.

    Equals a crop at a random place of the image padded with ``most`` zeros on every side.
    """
    n, _, h, w = x.shape
    down, right = torch.randint(2 * most + 1, (2, n), generator=generator)
    rows = (down[:, None] + torch.arange(h)).to(x.device)
    columns = (right[:, None] + torch.arange(w)).to(x.device)
    padded = F.pad(x, (most,) * 4)
    examples = torch.arange(n, device=x.device)[:, None, None]
    return padded[examples, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def mirrored(
    x: Float[Tensor, "n c h w"], *, generator: torch.Generator
) -> Float[Tensor, "n c h w"]:
    """Each image flipped left to right with probability one half."""
    flip = (torch.rand(len(x), generator=generator) < 0.5).to(x.device)
    return torch.where(flip[:, None, None, None], x.flip(-1), x)
