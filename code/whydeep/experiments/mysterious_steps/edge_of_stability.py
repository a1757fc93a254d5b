"""What does gradient descent on a network do at the limit 2 / learning rate?

On a quadratic loss, descent diverges as soon as its largest curvature exceeds 2 / learning rate.
Networks do something else ({cite}`cohen2021`): full-batch descent raises the largest curvature,
the *sharpness*, until it reaches that limit, and then keeps it there. From then on the loss rises
in many single steps and falls all the same over many. We train a small tanh network on digits with
random labels, which it can fit only with effort, and follow its sharpness.

What would refute it: a sharpness that stays below the limit at a large learning rate, or a loss
that blows up, or stands still, once the sharpness is there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.descent import Trained, squared_error, train
from whydeep.evidence.claims import REPRODUCED, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Dense
from whydeep.show import figures

PAGE = "mysterious-steps/a-small-step"
LAST_LAYER = ("classifier.weight", "classifier.bias")


@dataclass(frozen=True)
class Settings:
    """Full-batch descent for ``steps`` steps, looked at ``looks`` times at even distances.

    A network of 64-``width``-``width``-10 units learns ``examples`` digits; their labels are drawn
    at random if ``random_labels``. ``beyond``, if not 0, trains the last layer only, on which the
    loss is quadratic, and replaces the ``rate`` by ``beyond`` * 2 / (its largest curvature).
    """

    examples: int = 200
    width: int = 48
    rate: float = 0.3
    steps: int = 1500
    looks: int = 30
    random_labels: bool = True
    beyond: float = 0.0


SCALES = {"quick": Settings()}
VARIANTS = {"small-rate": {"rate": 0.1}, "last-layer": {"beyond": 1.002}}


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
    start: Float[np.ndarray, "weights"] | None = None,
) -> tuple[float, Float[np.ndarray, "weights"]]:
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

    hessian = LinearOperator((len(flat),) * 2, matvec=product, dtype=np.float64)
    if start is None:  # scipy would draw one from numpy's global state
        start = np.random.default_rng(0).standard_normal(len(flat))
    value, vector = eigsh(hessian, k=1, which="LA", tol=1e-3, v0=start, ncv=12)
    return float(value[0]), vector[:, 0]


def task(settings: Settings, chance: Chance) -> tuple[Float[Tensor, "n 64"], Float[Tensor, "n 10"]]:
    """Pictures less their mean, and one-hot labels."""
    data = digits().subset(settings.examples, seed=chance.seed)
    labels = data.train_y
    if settings.random_labels:
        labels = torch.randint(10, labels.shape, generator=chance["labels"])
    x = data.train_x.flatten(1)
    return x - x.mean(0), torch.eye(10)[labels]


def descend(
    settings: Settings, rates: tuple[float, ...], chance: Chance, *, device: str
) -> tuple[Trained, Float[np.ndarray, "rates looks"]]:
    """Train one start at every one of ``rates``, in one stack, and measure the sharpness."""
    x, y = task(settings, chance)
    names = LAST_LAYER if settings.beyond else ()
    vectors: dict[int, np.ndarray] = {}

    def look(trained: Trained) -> Float[Tensor, "k"]:
        found = []
        for k in range(len(trained)):
            network = trained.member(k).cpu()
            value, vectors[k] = sharpness(network, x, y, names=names, start=vectors.get(k))
            found.append(value)
        return torch.tensor(found)

    network = partial(Dense, (64, settings.width, settings.width, 10), torch.tanh)
    if settings.beyond:
        first = network(generator=chance["init"])
        rates = (settings.beyond * 2 / sharpness(first, x, y, names=names)[0],)
    trained = train(
        network,
        x.to(device),
        y.to(device),
        seeds=[chance] * len(rates),
        lr=rates,
        steps=settings.steps,
        trainable=names or ("*",),
        loss=half_squared_error,
        measure={"sharpness": look},
        measure_at=[settings.steps * i // settings.looks for i in range(settings.looks + 1)],
        device=device,
    )
    edges = trained.history["sharpness"].numpy() * np.array(rates)[:, None] / 2
    return trained, edges


def run(settings: Settings, chance: Chance) -> Result:
    """Sharpness and loss along the way, and what they do in the second half of training.

    The sharpness is given as a multiple of the limit 2 / rate, which is 1.
    """
    trained, edges = descend(settings, (settings.rate,), chance, device=device)
    loss, edge = trained.batch_loss[0].cpu().double().numpy(), edges[0]
    half, near = settings.steps // 2, max(1, settings.steps // 30)
    late, middle = loss[half:], loss[half : half + near].mean()
    hover = float(np.median(edge[len(edge) // 2 :]))
    return Result(
        at=(np.array(trained.measured_at), "steps"),
        edge=(edge, "sharpness over 2 / learning rate"),
        loss=(loss[:: max(1, settings.steps // 300)], "mean half squared error"),
        hover=(hover, "sharpness over 2 / learning rate"),
        hover_off=(abs(hover - 1), "distance from 1"),
        sharpening=(edge.max() / edge[0], "ratio of sharpnesses"),
        rises=(np.mean(np.diff(late) > 0), "share of the steps"),
        loss_ratio=(loss[-near:].mean() / middle, "ratio of losses"),
        learned=(loss[-near:].mean() / loss[0], "ratio of losses"),
    )


CLAIMS = (
    Claim(
        id="cohen2021-edge-of-stability",
        cite="cohen2021",
        sentence="Full-batch gradient descent first raises the largest curvature of the loss to "
        "$2/\\eta$ and then hovers there; the loss rises in many single steps, and still falls "
        "over many.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "sharpness in the course of full-batch descent",
                "hovers right at, or just above, $2/\\eta$",
                "abstract and Figure 1",
            ),
        ),
        conditions=(
            at_most(
                "hover_off",
                "in the second half of training the median of sharpness over $2/\\eta$ lies "
                "within {bound} of 1",
                0.15,
            ),
            at_least(
                "rises",
                "in the second half the loss rises in at least {bound:word} of the steps",
                0.2,
            ),
            at_most(
                "loss_ratio",
                "and is at most {bound} times as large at its end as at its beginning",
                0.7,
            ),
        ),
        controls=(
            Control(
                "small-rate",
                "the large learning rate: a third of it, for as many steps",
                {"hover_off": 0.3, "rises": 0.15},
                (
                    at_least(
                        "sharpening",
                        "its sharpness grows as well, by a factor of at least {bound}",
                        1.3,
                    ),
                    at_most("learned", "it learns: its loss falls to at most {bound:word}", 0.5),
                ),
            ),
            Control(
                "last-layer",
                "the freedom to change the curvature: only the last layer learns, on which the "
                "loss is quadratic, at a rate just beyond 2 / curvature",
                {"loss_ratio": 0.5},
                (at_most("hover_off", "its sharpness is as near to the limit, to {bound}", 0.15),),
            ),
        ),
    ),
)

NAMES = {MAIN: r"$\eta$ = 0.3", "small-rate": r"$\eta$ = 0.1", "last-layer": "last layer only"}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """Sharpness over its limit, and the loss, along the steps."""
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.2, 3.9))
        for variant, name in NAMES.items():
            if variant not in runs:
                continue
            results = list(runs[variant].values())
            at = results[0]["at"]
            edges = np.array([r["edge"] for r in results])
            losses = np.array([r["loss"] for r in results])
            steps = np.linspace(0, at[-1], losses.shape[1], endpoint=False)
            figures.band(axes[0], at, edges, label=name, markevery=5)
            figures.band(axes[1], steps, losses, label=name, markevery=50)
        axes[0].axhline(1, **figures.THEORY, label=r"the limit $2/\eta$")
        axes[0].set(ylabel=r"sharpness over $2/\eta$", ylim=(0, 1.3))
        axes[1].set(ylabel="loss (half squared error)", yscale="log", ylim=(0.05, 10))
        for panel in axes:
            panel.set(xlabel="steps")
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figures.Figure(
        drawn,
        label="fig-edge",
        caption="Full-batch gradient descent on 200 digits with random labels. Left, the largest "
        "curvature over the limit $2/\\eta$ (dashed). At the learning rate 0.3 it climbs to the "
        "limit and stays there; at 0.1 it climbs and has not arrived. Right, the loss: at the "
        "limit it is ragged and falls. On the last layer alone, whose curvature cannot change, a "
        "rate just beyond the limit makes the loss grow out of the picture. Bands are one standard "
        "deviation over seeds.",
        alt="Two panels against steps. Left, three lines of sharpness over its limit: one climbs "
        "from 0.7 to the dashed line at 1 and stays, one climbs from 0.2 to 0.45, one lies on the "
        "dashed line throughout. Right, the loss on a logarithmic axis: the first falls most, the "
        "second less, the third falls and then grows in a straight line out of the picture.",
    )
