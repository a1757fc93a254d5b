"""Full-batch descent on digits, and the sharpness of the loss on its way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from whydeep import device as devices
from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.descent import Trained, squared_error, train
from whydeep.networks import Dense

LAST_LAYER = ("classifier.weight", "classifier.bias")


def half_squared_error(
    outputs: Float[Tensor, "*k n m"], y: Float[Tensor, "*k n m"]
) -> Float[Tensor, "*k n"]:
    """Half the squared distance of the outputs from the one-hot label, for each example."""
    return squared_error(outputs, y) / 2


def sharpness(
    network: nn.Module,
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n k"],
    *,
    names: tuple[str, ...] = (),
    start: Float[np.ndarray, " weights"] | None = None,
) -> tuple[float, Float[np.ndarray, " weights"]]:
    """The largest eigenvalue of the loss's Hessian in the weights ``names`` (all if none).

    Lanczos iterations (scipy's `eigsh`) on products of the Hessian with a vector, each of which is
    the derivative of gradient times vector (Pearlmutter 1994). Also returns the eigenvector, from
    which a later search may ``start``. The relative accuracy is 0.001.
    """
    weights = [w for name, w in network.named_parameters() if not names or name in names]
    loss = half_squared_error(network(x), y).mean()
    gradient = torch.autograd.grad(loss, weights, create_graph=True)
    flat = torch.cat([g.flatten() for g in gradient])

    def product(v: np.ndarray) -> np.ndarray:
        along = flat @ torch.from_numpy(v.ravel()).to(flat)
        parts = torch.autograd.grad(along, weights, retain_graph=True)
        return torch.cat([part.flatten() for part in parts]).double().numpy()

    hessian = LinearOperator((len(flat),) * 2, matvec=product, dtype=np.float64)  # pyright: ignore[reportCallIssue]
    if start is None:  # scipy would draw one from numpy's global state
        start = Chance(0).numpy().standard_normal(len(flat))
    value, vector = eigsh(hessian, k=1, which="LA", tol=1e-3, v0=start, ncv=12)  # pyright: ignore[reportArgumentType]
    return float(value[0]), vector[:, 0]


def task(
    examples: int, chance: Chance, *, random_labels: bool = True
) -> tuple[Float[Tensor, "n 64"], Float[Tensor, "n 10"]]:
    """Pictures less their mean, and one-hot labels: drawn at random, or the true ones."""
    data = digits().subset(examples, seed=chance.seed)
    labels = data.train_y
    if random_labels:
        labels = torch.randint(10, labels.shape, generator=chance["labels"])
    x = data.train_x.flatten(1)
    return x - x.mean(0), torch.eye(10)[labels]


def network(width: int) -> partial[Dense]:
    """The network 64-``width``-``width``-10 of tanh units, to be started by a generator."""
    return partial(Dense, (64, width, width, 10), torch.tanh)


def descend(
    network: partial[Dense],
    x: Float[Tensor, "n 64"],
    y: Float[Tensor, "n 10"],
    rates: Sequence[float],
    chance: Chance,
    *,
    steps: int,
    looks: int,
    names: tuple[str, ...] = (),
) -> tuple[Trained, Float[np.ndarray, "rates looks"]]:
    """Train one start at every one of ``rates``, in one stack, by full-batch descent.

    Returns it, and at ``looks`` + 1 even distances the sharpness as a multiple of the limit
    2 / rate. Only the weights ``names`` learn (all if none).
    """
    vectors: dict[int, np.ndarray] = {}

    def look(trained: Trained) -> Float[Tensor, " k"]:
        found = []
        for k in range(len(trained)):
            member = trained.member(k).cpu()
            value, vectors[k] = sharpness(member, x, y, names=names, start=vectors.get(k))
            found.append(value)
        return torch.tensor(found)

    device = devices.current()
    trained = train(
        network,
        x.to(device),
        y.to(device),
        seeds=[chance] * len(rates),
        lr=rates,
        steps=steps,
        trainable=names or ("*",),
        loss=half_squared_error,
        measure={"sharpness": look},
        measure_at=[steps * i // looks for i in range(looks + 1)],
        device=device,
    )
    return trained, trained.history["sharpness"].numpy() * np.array(rates)[:, None] / 2
