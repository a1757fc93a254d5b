"""Path-SGD: a step that does not depend on how a ReLU network is written down.

Multiply a unit's incoming weights by c > 0 and divide its outgoing ones by c: the function is the
same, and the step of SGD is another. Neyshabur, Salakhutdinov and Srebro take the steepest descent
in a geometry of paths instead ({cite}`neyshabur2015path`): every weight's gradient is divided by
the sum, over all paths through it, of the squared product of the other weights on the path. We
train twins, the same function written in two ways, on the same batches; and we race Path-SGD
against SGD and Adam from both, each at the best of its learning rates.

What would refute it: twins that part under Path-SGD; or an SGD that is as fast and as good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.chance import Chance
from whydeep.errors import BadSettings
from whydeep.evidence.claims import PARTLY, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.networks import Dense
from whydeep.networks.miniature import task
from whydeep.show import figures

PAGE = "theory-survey/generalization/what-the-optimiser-prefers"
SHARE = "fraction of test examples"
NATS = "nats an example"
APART = "share of the largest logit"
TWIN_PICTURES = 500
RATES = {
    "path": (0.0001, 0.001, 0.01, 0.03, 0.1, 0.3),
    "sgd": (0.003, 0.01, 0.03, 0.1, 0.3, 1.0),
    "adam": (0.0003, 0.001, 0.003, 0.01, 0.03),
}
STARTS = ("balanced", "unbalanced")
MOST_LOSS = 10.0  # what a diverged run counts as: far more than ln 10, the loss of guessing
MOST_APART = 1e6  # and what outputs that are not finite count as, relative to finite ones


@dataclass(frozen=True)
class Settings:
    """Networks of two hidden layers of ``units`` ReLUs, without thresholds, on 14 x 14 pictures.

    ``spread`` is the standard deviation of the log of the factor by which a unit of the unbalanced
    start is rescaled. The twins take ``twin_steps`` steps at ``twin_rate`` in 64 bits, and are
    compared every ``twin_every``, on the first 500 test pictures.
    ``shuffled``: each weight takes the path scale of another weight of its layer.
    """

    examples: int = 1000
    units: int = 64
    epochs: int = 10
    batch_size: int = 100
    spread: float = math.log(4)
    twin_steps: int = 50
    twin_every: int = 5
    twin_rate: float = 0.03
    shuffled: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {"shuffled-scales": {"shuffled": True}}

Weights = Sequence[Float[Tensor, "k _ _"]]


def start(units: int, chance: Chance) -> list[Float[Tensor, "_ _"]]:
    """He's start of a network 196 - units - units - 10: matrices W_l (inputs, outputs)."""
    network = Dense((196, units, units, 10), generator=chance["init"])
    layers = [*network.layers.values(), network.classifier]
    return [layer.weight.detach().T.double() for layer in layers]


def rescaled(
    weights: Sequence[Float[Tensor, "_ _"]], spread: float, *, generator: torch.Generator
) -> list[Float[Tensor, "_ _"]]:
    """The same function, each hidden unit's incoming weights times c and its outgoing ones over c.

    log c is normal with mean 0 and standard deviation ``spread``, for each unit by itself.
    """
    weights = [w.clone() for w in weights]
    for below, above in zip(weights[:-1], weights[1:], strict=True):  # noqa: RUF007
        c = torch.exp(spread * torch.randn(len(above), generator=generator, dtype=torch.float64))
        below *= c
        above /= c[:, None]
    return weights


def outputs(weights: Weights, x: Float[Tensor, "n d"]) -> Float[Tensor, "k n classes"]:
    """The logits of each network of the stack."""
    h = x.expand(len(weights[0]), *x.shape)
    for w in weights[:-1]:
        h = torch.relu(h @ w)
    return h @ weights[-1]


def path_scales(weights: Weights) -> list[Float[Tensor, "k _ _"]]:
    """kappa of every weight: over the paths through it, the sum of the other weights' squares.

    The squares of the other weights on a path are multiplied, and the products of all paths from
    an input to an output are added. One pass forward through the squared weights, from ones, and
    one backward, give them all (Neyshabur, Salakhutdinov and Srebro 2015).
    """
    squares = [w.square() for w in weights]
    into, out_of = [torch.ones_like(squares[0][..., 0])], [torch.ones_like(squares[-1][:, 0])]
    for square in squares[:-1]:
        into.append((into[-1].unsqueeze(-2) @ square).squeeze(-2))
    for square in reversed(squares[1:]):
        out_of.append((square @ out_of[-1].unsqueeze(-1)).squeeze(-1))
    return [a[..., :, None] * b[..., None, :] for a, b in zip(into, out_of[::-1], strict=True)]


def mean_losses(
    weights: Weights, x: Float[Tensor, "n d"], y: Int64[Tensor, " n"]
) -> Float[Tensor, " k"]:
    """Each network's mean log-loss over the examples, in nats."""
    logits = outputs(weights, x)
    losses = F.cross_entropy(logits.flatten(0, 1), y.repeat(len(logits)), reduction="none")
    return losses.view(logits.shape[:2]).mean(1)


def descend(
    starts: Sequence[Sequence[Float[Tensor, "_ _"]]],
    methods: Sequence[str],
    rates: Sequence[float],
    x: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    *,
    steps: int,
    batch_size: int,
    chance: Chance,
    shuffled: bool = False,
    look: Callable[[Weights], Float[Tensor, "k ..."]],
    every: int,
) -> Float[Tensor, "k t ..."]:
    """Train K networks side by side on the same batches; member k takes steps by ``methods[k]``.

    sgd:   w <- w - rate g                 path:  w <- w - rate g / kappa
    adam:  Kingma and Ba's, with their constants 0.9, 0.999 and 1e-8.

    With ``shuffled``, kappa is that of another weight of the layer, the same one throughout.
    Returns what ``look`` saw before the first step and after ``every`` so many. The precision is
    that of x. Raises BadSettings if the members' settings do not match or ``every`` does not divide
    the steps.
    """
    matching = len(starts) == len(methods) == len(rates) and set(methods) <= set(RATES)
    if not matching or steps % every:
        raise BadSettings(
            f"{len(starts)} starts, {len(methods)} methods and {len(rates)} rates, {steps} steps "
            f"seen every {every}: expected as many of each, methods among {', '.join(RATES)}, and "
            f"a divisor of the steps"
        )
    weights = [torch.stack(ws).to(x).requires_grad_() for ws in zip(*starts, strict=True)]
    rate = torch.tensor(rates, dtype=x.dtype).view(-1, 1, 1)
    by_path, by_adam = (
        torch.tensor([m == name for m in methods]).view(-1, 1, 1) for name in ("path", "adam")
    )
    generator = chance["order"]
    others = [torch.randperm(w[0].numel(), generator=generator) for w in weights]
    first, second = ([torch.zeros_like(w) for w in weights] for _ in range(2))
    seen, order = [], torch.empty(0, dtype=torch.int64)
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                seen.append(look(weights))
        if step == steps:
            break
        if len(order) == 0:
            order = torch.randperm(len(x), generator=generator)
        rows, order = order[:batch_size], order[batch_size:]
        gradient = torch.autograd.grad(mean_losses(weights, x[rows], y[rows]).sum(), weights)
        with torch.no_grad():
            scales = path_scales(weights)
            for w, g, kappa, m, v, other in zip(
                weights, gradient, scales, first, second, others, strict=True
            ):
                if shuffled:
                    kappa = kappa.flatten(1)[:, other].view_as(kappa)
                m.lerp_(g, 0.1)
                v.lerp_(g.square(), 0.001)
                t = step + 1
                adam = (m / (1 - 0.9**t)) / ((v / (1 - 0.999**t)).sqrt() + 1e-8)
                w -= rate * torch.where(by_path, g / kappa, torch.where(by_adam, adam, g))
    return torch.stack(seen, 1)


def apart(one: Float[Tensor, "n classes"], other: Float[Tensor, "n classes"]) -> float:
    """The largest difference of two networks' logits, over the largest logit of the first."""
    found = float((one - other).abs().max() / one.abs().max())
    return min(found, MOST_APART) if np.isfinite(found) else MOST_APART


def run(settings: Settings, chance: Chance) -> Result:
    """Twins' outputs after the same steps, and losses and errors of each method's best rate.

    Runs on the CPU.
    """
    data = task(settings.examples, chance=chance)
    x, x_test = data.x.flatten(1), data.x_test.flatten(1)
    balanced = start(settings.units, chance)
    twin = rescaled(balanced, settings.spread, generator=chance.torch())
    how = {"batch_size": settings.batch_size, "seed": chance, "shuffled": settings.shuffled}

    watched = x_test[:TWIN_PICTURES].double()
    seen = descend(
        [balanced, twin] * 2,
        ["path"] * 2 + ["sgd"] * 2,
        [settings.twin_rate] * 4,
        x.double(),
        data.y,
        steps=settings.twin_steps,
        look=lambda weights: outputs(weights, watched),
        every=settings.twin_every,
        **how,
    )
    path, sgd = (
        np.array([apart(one, other) for one, other in zip(*pair, strict=True)])
        for pair in (seen[:2], seen[2:])
    )

    members = [(name, m, rate) for name in STARTS for m in RATES for rate in RATES[m]]
    starts = dict(zip(STARTS, (balanced, twin), strict=True))
    per_epoch = -(-settings.examples // settings.batch_size)

    def look(weights: Weights) -> Float[Tensor, "k 2"]:
        wrong = outputs(weights, x_test).argmax(-1) != data.y_test
        return torch.stack([mean_losses(weights, x, data.y), wrong.float().mean(1)], 1)

    history = descend(
        [starts[name] for name, _, _ in members],
        [m for _, m, _ in members],
        [rate for _, _, rate in members],
        x,
        data.y,
        steps=settings.epochs * per_epoch,
        look=look,
        every=per_epoch,
        **how,
    ).numpy().astype(float)  # fmt: skip
    losses, error = np.where(history < MOST_LOSS, history, MOST_LOSS)[..., 0], history[:, -1, 1]
    found = {
        "epochs": (np.arange(settings.epochs + 1), "epochs"),
        "twin_steps": (np.arange(len(path)) * settings.twin_every, "steps"),
        "apart_path": (path[-1], APART),
        "apart_sgd": (sgd[-1], APART),
        "apart_along_path": (path, APART),
        "apart_along_sgd": (sgd, APART),
    }
    for name in STARTS:
        for method in RATES:
            rows = [i for i, m in enumerate(members) if m[:2] == (name, method)]
            best = rows[int(losses[rows, -1].argmin())]
            found |= {
                f"rate_{method}_{name}": (members[best][2], "learning rate"),
                f"by_rate_{method}_{name}": (losses[rows, -1], NATS),
                f"along_{method}_{name}": (losses[best], NATS),
                f"loss_{method}_{name}": (losses[best, -1], NATS),
                f"error_{method}_{name}": (error[best], SHARE),
            }
        for other in ("sgd", "adam"):
            ratio = found[f"loss_path_{name}"][0] / found[f"loss_{other}_{name}"][0]
            found[f"ratio_{other}_{name}"] = (ratio, "ratio of training losses")
            gain = found[f"error_{other}_{name}"][0] - found[f"error_path_{name}"][0]
            found[f"gain_{other}_{name}"] = (gain, SHARE)
    return Result(**found)


FASTER = "the training loss after ten epochs is at most {bound} times that of SGD"

CLAIMS = (
    Claim(
        id="neyshabur2015-path-sgd",
        cite="neyshabur2015path",
        sentence="A ReLU network stays the same function when a unit's incoming weights are "
        "multiplied and its outgoing ones divided by the same factor; SGD then takes another "
        "course, Path-SGD the same; and Path-SGD trains faster and generalises somewhat better.",
        kind="effect",
        expected=PARTLY,
        missed=("ratio_sgd_balanced",),
        paper=(
            (
                "against SGD and AdaGrad, two-layer networks on four sets of pictures",
                "faster on all four, better test examples on half of them",
                "as the reviews published by the conference sum it up",
            ),
        ),
        conditions=(
            at_most(
                "apart_path",
                "after 50 Path-SGD steps on the same batches, the twins' scores differ by at most "
                "$10^{{bound:log10}}$ of the largest",
                1e-9,
            ),
            at_most("ratio_sgd_unbalanced", f"from the unbalanced start {FASTER}", 0.9),
            at_most("ratio_sgd_balanced", f"from He's start {FASTER}", 0.9),
            at_least(
                "gain_sgd_unbalanced",
                "from the unbalanced start the test error is no higher than that of SGD",
                0.0,
            ),
        ),
        controls=(
            Control(
                "shuffled-scales",
                "the paths: each gradient is divided by the path scale of another weight of its "
                "layer",
                {
                    "apart_path": 0.1,
                    "ratio_sgd_unbalanced": 0.2,
                    "ratio_sgd_balanced": 0.02,
                    "gain_sgd_unbalanced": 0.02,
                },
                (
                    at_most(
                        "loss_path_balanced",
                        "from He's start it learns: a loss of at most {bound}, where guessing has "
                        "2.3",
                        1.0,
                    ),
                ),
            ),
        ),
        disputed="That a norm is kept small need not tell how a network generalises: of more than "
        "forty measures tried on over 10,000 networks, some fail surprisingly {cite}`jiang2020`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """How far twins part along the steps, and each method's training loss from both starts."""
    results = list(runs[MAIN].values())
    steps, epochs = results[0]["twin_steps"], results[0]["epochs"]
    looks = {
        "sgd": ("SGD", figures.COLOURS["vermillion"], "s"),
        "path": ("Path-SGD", figures.COLOURS["blue"], "o"),
        "adam": ("Adam", figures.COLOURS["green"], "^"),
    }
    least = 2.0**-53
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.6, 3.8))
        for method in ("sgd", "path"):
            name, colour, marker = looks[method]
            gap = np.array([r[f"apart_along_{method}"] for r in results])
            middle = np.exp(np.log(np.maximum(gap, least / 4)).mean(0))
            axes[0].plot(steps, middle, label=name, color=colour, marker=marker, ls="-")
        if "shuffled-scales" in runs:
            gap = np.array([r["apart_along_path"] for r in runs["shuffled-scales"].values()])
            middle = np.exp(np.log(np.maximum(gap, least / 4)).mean(0))
            axes[0].plot(
                steps, middle, label="shuffled scales", color=figures.COLOURS["purple"], ls=":"
            )
        axes[0].axhline(least, **figures.THEORY, label="one rounding")
        axes[0].set(xlabel="steps", ylabel="difference of the twins' scores", yscale="log")
        axes[0].set_ylim(least / 20, None)
        for method, (name, colour, marker) in looks.items():
            for start_, line in (("balanced", "-"), ("unbalanced", ":")):
                loss = np.array([r[f"along_{method}_{start_}"] for r in results])
                axes[1].plot(
                    epochs,
                    loss.mean(0),
                    color=colour,
                    marker=marker,
                    ls=line,
                    label=f"{name}, {'He' if start_ == 'balanced' else 'unbalanced'}",
                )
        axes[1].set(xlabel="epochs", ylabel="training loss (nats)", yscale="log")
        ticks = (0.2, 0.3, 0.5, 1, 2)
        axes[1].set_yticks(ticks, [f"{tick:g}" for tick in ticks])
        axes[1].minorticks_off()
        axes[0].legend(fontsize=9, loc="center right")
        axes[1].legend(fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-prefers-path",
        caption="Left, how far the scores of two networks part that start as the same function "
        "with other weights and take the same batches, relative to the largest score "
        "(geometric means, no value above a million); the theorem says not at all, but for "
        "rounding. Right, the training loss along ten epochs, each method at the best of its "
        "learning rates, from He's start and from the unbalanced one; Path-SGD's two curves lie "
        "on one another. Means over "
        f"{figures.count(len(results))}.",
        alt="Two panels. Left, on a logarithmic axis against steps: the line of Path-SGD stays at "
        "the size of one rounding, those of SGD and of shuffled scales jump to one and above at "
        "once. Right, training loss against epochs: the two lines of Path-SGD coincide, SGD is "
        "near them from He's start and above from the unbalanced one, and Adam's two lines lie "
        "lowest.",
    )
