"""The recipe of 2012: one network by SGD with what Krizhevsky, Sutskever and Hinton added to it.

    every step:   x~ = a randomly shifted, perhaps mirrored batch
                  g = gradient at w of the mean loss on x~ (a new dropout mask), + weight_decay w
                  v <- momentum v + g,   w <- w - lr v
                  each column of W_l longer than c is scaled back to length c
    now and then: lr <- lr / 10

Each line is a rule, a bound or a draw of the one loop (`whydeep.descent.loop`); dropout is a layer
of the network (`whydeep.networks.layers`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.datasets.moved import mirrored, shifted
from whydeep.descent.loop import Bound, walk
from whydeep.descent.progress import bar
from whydeep.descent.rules import by_ten, decay, epochs, max_norm, momentum
from whydeep.errors import BadSettings

Measure = Callable[[nn.Module], float]


@dataclass(frozen=True)
class Recipe:
    """The settings of `fit`.

    ``max_norm`` bounds the Euclidean norm of each unit's incoming weights in the layers named by
    ``bounded`` (prefixes of weight names; () is all but the classifier). ``shift`` moves each
    training image by up to so many pixels each way, zeros moving in; ``mirror`` flips half of them.
    ``divide_at`` holds the epochs, counted from 0, before which the learning rate is divided by 10.
    """

    epochs: int
    lr: float
    batch_size: int = 128
    momentum: float = 0.9
    weight_decay: float = 0.0
    max_norm: float | None = None
    bounded: tuple[str, ...] = ()
    shift: int = 0
    mirror: bool = False
    divide_at: tuple[int, ...] = ()


def fit(
    network: nn.Module,
    x: Float[Tensor, "n ..."],
    y: Int64[Tensor, " n"],
    recipe: Recipe,
    *,
    chance: Chance,
    measure: Mapping[str, Measure] | None = None,
    every: int = 1,
) -> dict[str, Float[np.ndarray, " t"]]:
    """Train ``network`` in place by SGD on the mean log-loss; return what was measured.

    ``x`` holds images (n, c, h, w) or vectors (n, d), ``y`` labels 0, 1, ...; both stay on the
    device of the network. ``measure`` maps names to functions of the network, called in `eval`
    mode without gradients before the first epoch and after each whose number ``every`` divides:
    epochs + 1 numbers each if it is 1.
    The history also has ``batch_loss``, the mean over each epoch of the loss that was descended,
    dropout included (epochs numbers). The network is left in `eval` mode.

    Raises BadSettings if a setting does not fit the network or the data.
    """
    if recipe.epochs < 0 or recipe.batch_size < 1 or len(x) != len(y) or len(x) < 1:
        raise BadSettings(
            f"{recipe.epochs} epochs, batches of {recipe.batch_size}, {len(x)} examples and "
            f"{len(y)} labels: expected 0 epochs or more, 1 example a batch or more, and a label "
            f"for each example"
        )
    if x.ndim != 4 and (recipe.shift or recipe.mirror):
        raise BadSettings(f"x has shape {tuple(x.shape)}: only images (n, c, h, w) can be moved")
    weights = list(network.parameters())
    history: dict[str, list[float]] = {name: [] for name in measure or {}}
    per_epoch = -(-len(x) // recipe.batch_size)

    def look() -> None:
        network.eval()
        with torch.no_grad():
            for name, values in history.items():
                # Without measures the history has no names yet.
                values.append(float(measure[name](network)))  # pyright: ignore[reportOptionalSubscript]
        network.train()

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        images = chance["images"]
        for rows in epochs(len(x), recipe.batch_size, chance["order"], recipe.epochs):
            batch = x[rows.to(x.device)]
            batch = shifted(batch, recipe.shift, generator=images) if recipe.shift else batch
            batch = mirrored(batch, generator=images) if recipe.mirror else batch
            yield batch, y[rows.to(x.device)]

    taken = walk(
        weights,  # pyright: ignore[reportArgumentType]  # a Parameter is a Tensor, but lists are invariant
        lambda _, batch: F.cross_entropy(network(batch[0]), batch[1])[None],
        batches(),
        lr=by_ten(recipe.lr, [epoch * per_epoch for epoch in recipe.divide_at]),
        rule=(
            *([decay(recipe.weight_decay)] if recipe.weight_decay else []),
            *([momentum(recipe.momentum)] if recipe.momentum else []),
        ),
        bounds=_bounds(network, recipe),
    )
    batch_loss = []
    look()
    with bar(recipe.epochs * per_epoch) as shown:
        for epoch in range(1, recipe.epochs + 1):
            losses = list(islice(taken, per_epoch))
            batch_loss.append(float(torch.cat(losses).mean()))
            shown.update(per_epoch)
            if epoch % every == 0:
                look()
    network.eval()
    return {name: np.array(v) for name, v in {**history, "batch_loss": batch_loss}.items()}


def _bounds(network: nn.Module, recipe: Recipe) -> list[Bound]:
    """The bound on the columns of the weight matrices (not the biases) that the recipe names."""
    if recipe.max_norm is None:
        return []
    matrices = {name: i for i, (name, w) in enumerate(network.named_parameters()) if w.ndim > 1}
    prefixes = recipe.bounded or tuple(n for n in matrices if not n.startswith("classifier"))
    found = [i for name, i in matrices.items() if name.startswith(prefixes)]
    if not found or recipe.max_norm <= 0:
        raise BadSettings(
            f"max_norm is {recipe.max_norm} for weights called {prefixes}: expected more than 0 "
            f"and names among {', '.join(matrices)}"
        )
    return [max_norm(recipe.max_norm, found)]


def error(x: Tensor, y: Tensor) -> Measure:
    """A measure: the fraction of the examples x whose predicted label is not y."""

    def measure(network: nn.Module) -> float:
        outputs = torch.cat([network(part) for part in x.split(1000)])
        return float((outputs.argmax(1) != y).double().mean())

    return measure


def mean_loss(x: Tensor, y: Tensor) -> Measure:
    """A measure: the mean log-loss over the examples x with labels y."""

    def measure(network: nn.Module) -> float:
        outputs = torch.cat([network(part) for part in x.split(1000)])
        return float(F.cross_entropy(outputs.double(), y))

    return measure
