"""Pictures without labels: trained first-layer filters, and photographs."""

from __future__ import annotations

import io

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from whydeep.datasets import files


def first_layer_filters() -> Float[Tensor, "32 3 7 7"]:
    """The 32 first-layer filters (7x7, RGB) of dlib's face-embedding network; float32 weights.

    A residual network that Davis King trained from scratch on about 3 million faces; CC0.
    See `data/filters/README.md`. Raises `DataError` if the file is missing or damaged.
    """
    return torch.from_numpy(files.read_arrays("filters")["weight"])


def photographs() -> dict[str, Float[Tensor, "3 h w"]]:
    """Seven photographs (Getty Open Content, CC0) by name; float32 RGB in [0, 1], longer side 1024.

    The values are the JPEG's sRGB bytes over 255 (not linear light); another JPEG decoder may
    differ by a level in places. The prints are toned monochrome: they serve the statistics of
    edges, not of colour. See `data/photographs/README.md`.
    Raises `DataError` if a file is missing or damaged.
    """
    pictures = {}
    for entry in files.entries("photographs"):
        with Image.open(io.BytesIO(files.read_bytes(entry.name))) as image:
            pixels = np.asarray(image.convert("RGB"), dtype=np.float32) / 255
        name = entry.name.split("/")[1]
        pictures[name] = torch.from_numpy(pixels).permute(2, 0, 1).contiguous()
    return pictures
