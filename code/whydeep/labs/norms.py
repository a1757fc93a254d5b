"""The sizes of a dense network's weights, by which theorems bound its error, and its margins.

A network here is the list of its matrices, first layer first, each of shape (*k, units, inputs) as
`torch.nn.Linear` keeps them: a row holds the incoming weights of one unit. Leading dimensions (*k)
are the members of a stack. The theorems are about networks without biases, with an activation of
slope at most 1 that maps 0 to 0, such as ReLU or tanh; `matrices` checks the first.

    spectral_complexity   prod ||W_l||_2 (sum (||W_l - M_l||_{2,1} / ||W_l||_2)^(2/3))^(3/2)
    frobenius_complexity  prod ||W_l||_F
    path_norm             (sum over the paths from inputs to outputs of prod |w|^p)^(1/p)

Each is multiplied by c when the network's function is (by a factor in one layer), so only a ratio
to the margin says something: `margins`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from operator import mul

import torch
from jaxtyping import Float, Int
from torch import Tensor

from whydeep.errors import BadSettings


def matrices(parameters: Mapping[str, Tensor]) -> list[Float[Tensor, "*k units inputs"]]:
    """The matrices of a `Dense` network or stack, first layer first, detached.

    ``parameters`` maps names to weights, as `Trained.parameters` or `dict(n.named_parameters())`.
    Raises BadSettings if a bias is not zero: the theorems know of none.
    """
    found = []
    for name, value in parameters.items():
        if name.endswith("bias"):
            if bool(value.detach().any()):
                raise BadSettings(
                    f"{name} is not zero, but the bounds are for networks without biases: train "
                    f'with trainable=("*weight",)'
                )
        else:
            found.append(value.detach())
    return found


def spectral_norm(w: Float[Tensor, "*k units inputs"]) -> Float[Tensor, "*k"]:
    """||W||_2, the largest singular value: the most by which W lengthens a vector."""
    return torch.linalg.matrix_norm(w, ord=2)


def frobenius_norm(w: Float[Tensor, "*k units inputs"]) -> Float[Tensor, "*k"]:
    """||W||_F, the root of the sum of the squared weights."""
    return torch.linalg.matrix_norm(w)


def group_norm(w: Float[Tensor, "*k units inputs"]) -> Float[Tensor, "*k"]:
    """The (2,1) norm: the sum over the units of the length of their incoming weights.

    Bartlett, Foster and Telgarsky (2017, section 1) write it as ||W^T||_{2,1}, a sum over columns.
    """
    return w.norm(dim=-1).sum(-1)


def largest_sum(w: Float[Tensor, "*k units inputs"]) -> Float[Tensor, "*k"]:
    """The largest sum of the magnitudes of one unit's incoming weights: Bartlett's A (1998)."""
    return w.abs().sum(-1).amax(-1)


def spectral_complexity(
    layers: Sequence[Tensor], reference: Sequence[Tensor] | None = None
) -> Float[Tensor, "*k"]:
    """R_A of Bartlett, Foster and Telgarsky (2017), equation (1.2), for slopes rho_l of 1.

    ``reference`` holds the matrices M_l, fixed before the examples are seen: zero if None.
    """
    sizes = [spectral_norm(w) for w in layers]
    reference = [torch.zeros_like(w) for w in layers] if reference is None else reference
    ratios = [group_norm(w - m) / size for w, m, size in zip(layers, reference, sizes, strict=True)]
    return _product(sizes) * sum(ratio ** (2 / 3) for ratio in ratios) ** 1.5


def frobenius_complexity(layers: Sequence[Tensor]) -> Float[Tensor, "*k"]:
    """The product of the Frobenius norms (Golowich, Rakhlin and Shamir 2018, Theorem 1)."""
    return _product([frobenius_norm(w) for w in layers])


def depth_factor(depth: int) -> float:
    """What depth costs in that theorem: sqrt(2 ln 2 L) + 1 for L matrices, where others had 2^L."""
    return math.sqrt(2 * math.log(2) * depth) + 1


def path_norm(layers: Sequence[Tensor], p: float = 2.0) -> Float[Tensor, "*k"]:
    """The p-norm of the products of weights along all paths from an input to an output.

    Neyshabur, Tomioka and Srebro (2015), "Norm-based capacity control", section 3. No path needs
    to be walked: it is the sum of the outputs, to the power 1/p, of the network whose weights are
    |w|^p and which sees a one at every input.
    """
    reached = torch.ones_like(layers[0][..., 0, :])
    for w in layers:
        reached = (w.abs() ** p @ reached.unsqueeze(-1)).squeeze(-1)
    return reached.sum(-1) ** (1 / p)


def margins(
    outputs: Float[Tensor, "*k n classes"], y: Int[Tensor, "*k n"]
) -> Float[Tensor, "*k n"]:
    """By how much the output of the right class exceeds the largest other one, per example.

    With a single output f the labels are 0 and 1, and the margin is -f or f.
    """
    if outputs.shape[-1] == 1:
        return outputs[..., 0] * (2 * y - 1)
    right = outputs.gather(-1, y.unsqueeze(-1))
    others = outputs.scatter(-1, y.unsqueeze(-1), -torch.inf)
    return right[..., 0] - others.amax(-1)


def _product(factors: Sequence[Tensor]) -> Tensor:
    return reduce(mul, factors)
