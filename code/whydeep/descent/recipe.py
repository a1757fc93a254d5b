"""What a 2012 network adds to plain SGD, each ingredient written out: one network at a time.

The engine (`whydeep.descent`) takes the plain step, for many networks at once. The ingredients of
Krizhevsky, Sutskever and Hinton (2012) that it leaves out stand here: dropout, the bound on the
norm of a unit's incoming weights, shifted and mirrored images, local response normalisation, and a
learning rate that is divided by ten. `fit` is the loop that uses them:

    every step:   x~ = a randomly shifted, perhaps mirrored batch
                  g = gradient at w of the mean loss on x~ (a new dropout mask), + weight_decay w
                  v <- momentum v + g,   w <- w - lr v
                  each column of W_l longer than c is scaled back to length c
    now and then: lr <- lr / 10
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from tqdm import tqdm

from whydeep.descent import can_show_progress
from whydeep.errors import BadSettings

# As `training.STREAMS`: one generator for each use of chance; a new use goes to the end.
STREAMS = ("init", "order", "dropout", "images")

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


def generators(seed: int) -> dict[str, torch.Generator]:
    """A generator on the CPU for each of `STREAMS`: a change in one use leaves the others alone."""
    children = np.random.SeedSequence(seed).spawn(len(STREAMS))
    states = (int(child.generate_state(1, np.uint64)[0]) for child in children)
    return {
        name: torch.Generator().manual_seed(state)
        for name, state in zip(STREAMS, states, strict=True)
    }


# --- The ingredients ---------------------------------------------------------------------------


class Dropout(nn.Module):
    """Leaves each number out with probability ``rate`` while training; changes nothing in `eval`.

    What is kept is divided by 1 - rate, so that the mean stays what it was and nothing needs to be
    rescaled when the network is used (Srivastava et al. 2014, section 10; in 2012 the outgoing
    weights were halved instead). Every example of every batch draws a mask of its own from
    ``generator``. Raises BadSettings unless 0 <= rate < 1.
    """

    def __init__(self, rate: float, *, generator: torch.Generator) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise BadSettings(f"dropout rate is {rate}, expected at least 0 and less than 1")
        self.rate, self.generator = rate, generator

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.rate == 0:
            return x
        mask = torch.rand(x.shape, generator=self.generator).to(x) >= self.rate
        return x * mask / (1 - self.rate)


@torch.no_grad()
def bound_norms(weight: Tensor, c: float) -> None:
    """Scale each unit's incoming weights back to Euclidean norm ``c`` where longer, in place.

    ``weight`` has shape (units, inputs) or (channels, c, h, w): a row here is a column of W_l
    (Srebro and Shraibman 2005; Hinton et al. 2012, appendix A.1).
    """
    norms = weight.flatten(1).norm(dim=1).clamp_min(torch.finfo(weight.dtype).tiny)
    weight.mul_((c / norms).clamp_max(1).view(-1, *[1] * (weight.ndim - 1)))


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


class ResponseNorm(nn.Module):
    """Local response normalisation: a_i / (k + alpha sum_j a_j^2)^beta over ``size`` channels j.

    The sum runs over the channels j from i - size // 2 to i + size // 2 that exist, at the same
    pixel; defaults are the paper's (Krizhevsky et al. 2012, section 3.3). `torch.nn` has
    `LocalResponseNorm`, which divides alpha by ``size``.
    """

    def __init__(
        self, size: int = 5, k: float = 2.0, alpha: float = 1e-4, beta: float = 0.75
    ) -> None:
        super().__init__()
        self.size, self.k, self.alpha, self.beta = size, k, alpha, beta

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        near = self.size // 2
        squares = F.pad(x.square(), (0, 0, 0, 0, near, near))
        sums = squares.unfold(1, 2 * near + 1, 1).sum(-1)
        return x / (self.k + self.alpha * sums) ** self.beta


# --- The loop ----------------------------------------------------------------------------------


def fit(
    network: nn.Module,
    x: Float[Tensor, "n ..."],
    y: Int64[Tensor, " n"],
    recipe: Recipe,
    *,
    seed: int,
    measure: Mapping[str, Measure] | None = None,
    progress: bool = False,
) -> dict[str, Float[np.ndarray, " t"]]:
    """Train ``network`` in place by SGD on the mean log-loss; return what was measured.

    ``x`` holds images (n, c, h, w) or vectors (n, d), ``y`` labels 0, 1, ...; both stay on the
    device of the network. ``measure`` maps names to functions of the network, called in `eval`
    mode without gradients before the first epoch and after every one: epochs + 1 numbers each.
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
    chance = generators(seed)
    weights = list(network.parameters())
    bounded = _bounded(network, recipe)
    velocity = [torch.zeros_like(w) for w in weights]
    history: dict[str, list[float]] = {name: [] for name in (measure or {})}
    batch_loss = []

    def look() -> None:
        network.eval()
        with torch.no_grad():
            for name, values in history.items():
                values.append(float(measure[name](network)))

    lr = recipe.lr
    look()
    steps = recipe.epochs * -(-len(x) // recipe.batch_size)
    silent = not (progress and can_show_progress())
    with tqdm(total=steps, unit="step", delay=2, leave=False, disable=silent) as bar:
        for epoch in range(recipe.epochs):
            network.train()
            lr = lr / 10 if epoch in recipe.divide_at else lr
            losses = []
            order = torch.randperm(len(x), generator=chance["order"]).to(x.device)
            for rows in order.split(recipe.batch_size):
                batch = x[rows]
                if recipe.shift:
                    batch = shifted(batch, recipe.shift, generator=chance["images"])
                if recipe.mirror:
                    batch = mirrored(batch, generator=chance["images"])
                loss = F.cross_entropy(network(batch), y[rows])
                gradient = torch.autograd.grad(loss, weights)
                with torch.no_grad():
                    for w, v, g in zip(weights, velocity, gradient, strict=True):
                        v.mul_(recipe.momentum).add_(g).add_(w, alpha=recipe.weight_decay)
                        w.sub_(v, alpha=lr)
                    for w in bounded:
                        bound_norms(w, recipe.max_norm)
                losses.append(loss.detach())
                bar.update()
            batch_loss.append(float(torch.stack(losses).mean()))
            look()
    network.eval()
    return {name: np.array(v) for name, v in {**history, "batch_loss": batch_loss}.items()}


def _bounded(network: nn.Module, recipe: Recipe) -> list[Tensor]:
    """The weight matrices (not the biases) whose columns the recipe bounds."""
    if recipe.max_norm is None:
        return []
    matrices = {name: w for name, w in network.named_parameters() if w.ndim > 1}
    prefixes = recipe.bounded or tuple(n for n in matrices if not n.startswith("classifier"))
    found = [w for name, w in matrices.items() if name.startswith(prefixes)]
    if not found or recipe.max_norm <= 0:
        raise BadSettings(
            f"max_norm is {recipe.max_norm} for weights called {prefixes}: expected more than 0 "
            f"and names among {', '.join(matrices)}"
        )
    return found


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
