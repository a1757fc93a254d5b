"""Labels that are wrong on purpose: a share of them drawn anew."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Int, Int64
from torch import Tensor

from whydeep.chance import Chance, chances
from whydeep.errors import BadSettings
from whydeep.members import PerMember, numbers


def corrupt_labels(
    y: Int[Tensor, "*k n"], fraction: PerMember, seeds: Sequence[int | Chance], classes: int
) -> Int64[Tensor, "k n"]:
    """The labels each member is trained on, if a fraction of them is noise.

    With probability `fraction`, a number or one for each member, a label is replaced by one drawn
    uniformly from all `classes`, the right one included, independently for each example (Zhang et
    al., 2017, "partially corrupted labels"): a share (classes - 1) / classes of the replaced ones
    is wrong. `y` is shared, (n,), or per member, (K, n). For one seed, the labels replaced at a
    small fraction are among those replaced at a larger one, and by the same labels.

    Raises `BadSettings` if a fraction is outside 0 to 1 or a label outside 0 to classes - 1.
    """
    k, n = len(seeds), y.shape[-1]
    fraction = numbers(fraction, "label_noise", k, at_most=1.0)
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < classes:
        raise BadSettings(
            f"y has labels from {int(y.min())} to {int(y.max())}, expected 0 to {classes - 1}, as "
            f"the network has {classes} outputs: renumber the labels or widen the last layer"
        )
    y = y.cpu().long().expand(k, n)
    if not fraction.any():
        return y
    corrupted = []
    for labels, p, chance in zip(y, fraction, chances(seeds), strict=True):
        generator = chance["labels"]
        replaced = torch.rand(n, generator=generator, dtype=torch.float64) < p
        drawn = torch.randint(classes, (n,), generator=generator)
        corrupted.append(torch.where(replaced, drawn, labels))
    return torch.stack(corrupted)
