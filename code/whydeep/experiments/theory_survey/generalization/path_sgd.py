"""Path-SGD: a step that does not depend on how a ReLU network is written down.

Multiply a unit's incoming weights by c > 0 and divide its outgoing ones by c: the function is the
same, and the step of SGD is another. Neyshabur, Salakhutdinov and Srebro take the steepest descent
in a geometry of paths instead ({cite}`neyshabur2015path`): every weight's gradient is divided by
the sum, over all paths through it, of the squared product of the other weights on the path. We
train twins, the same function written in two ways, on the same batches; and we race Path-SGD
against SGD and Adam from both, each at the best of its learning rates.

What would refute it: an SGD that is as fast and as good, from He's start too; or scales shuffled
among the weights, which know of no paths, that do as well. That twins stay together is an identity.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets.tasks import CLASSES, PIXELS, halved
from whydeep.descent import Now, adam, descend, each, epochs, log_loss, plain
from whydeep.descent.loop import Change, Gradient
from whydeep.errors import BadSettings
from whydeep.evidence.claims import UNDECIDED, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

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
OTHERS = ("sgd", "adam")  # what Path-SGD, the first of RATES, is held against
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
    batch: int = 100
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
    network = Dense((PIXELS, units, units, CLASSES), generator=chance["init"])
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
    return log_loss(outputs(weights, x), y.expand(len(weights[0]), -1)).mean(1)


def by_path(weights: Weights, shuffled: bool, *, generator: torch.Generator) -> Change:
    """g / kappa; if ``shuffled``, kappa is that of another weight of the layer, always the same."""
    others = [torch.randperm(w[0].numel(), generator=generator) for w in weights]

    def change(g: Gradient, w: Weights, now: Now) -> list[Tensor]:
        scales = path_scales(w)
        if shuffled:
            scales = [s.flatten(1)[:, o].view_as(s) for s, o in zip(scales, others, strict=True)]
        return [a / kappa for a, kappa in zip(g, scales, strict=True)]

    return change


def train(
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
    weights = [torch.stack(ws).to(x) for ws in zip(*starts, strict=True)]
    order = chance["order"]
    changes = {
        "sgd": plain, "path": by_path(weights, shuffled, generator=order), "adam": adam()
    }  # fmt: skip
    _, seen = descend(
        weights,
        lambda w, rows: mean_losses(w, x[rows], y[rows]),
        epochs(len(x), batch_size, order),
        steps=steps,
        lr=torch.tensor(rates, dtype=x.dtype),
        rule=(each([list(changes).index(m) for m in methods], *changes.values()),),
        look=look,
        look_at=range(0, steps + 1, every),
    )
    return torch.stack(seen, 1)


def apart(one: Float[Tensor, "n classes"], other: Float[Tensor, "n classes"]) -> float:
    """The largest difference of two networks' logits, over the largest logit of the first."""
    found = float((one - other).abs().max() / one.abs().max())
    return min(found, MOST_APART) if np.isfinite(found) else MOST_APART


def run(settings: Settings, chance: Chance) -> Result:
    """Twins' outputs after the same steps, and losses and errors of each method's best rate.

    Runs on the CPU.
    """
    x, y, x_test, y_test = halved(settings.examples, chance=chance).flat()
    balanced = start(settings.units, chance)
    twin = rescaled(balanced, settings.spread, generator=chance.torch())
    how = {"batch_size": settings.batch, "chance": chance, "shuffled": settings.shuffled}

    watched = x_test[:TWIN_PICTURES].double()
    seen = train(
        [balanced, twin] * 2,
        ["path"] * 2 + ["sgd"] * 2,
        [settings.twin_rate] * 4,
        x.double(),
        y,
        steps=settings.twin_steps,
        look=lambda weights: outputs(weights, watched),
        every=settings.twin_every,
        **how,
    )
    gaps = [
        [apart(one, other) for one, other in zip(*pair, strict=True)]
        for pair in (seen[:2], seen[2:])
    ]

    members = [
        (method, name, rate) for name in STARTS for method in RATES for rate in RATES[method]
    ]
    starts = dict(zip(STARTS, (balanced, twin), strict=True))
    per_epoch = -(-settings.examples // settings.batch)

    def look(weights: Weights) -> Float[Tensor, "k 2"]:
        wrong = outputs(weights, x_test).argmax(-1) != y_test
        return torch.stack([mean_losses(weights, x, y), wrong.float().mean(1)], 1)

    history = train(
        [starts[name] for _, name, _ in members],  # pyright: ignore[reportArgumentType]
        [method for method, _, _ in members],
        [rate for _, _, rate in members],
        x,
        y,
        steps=settings.epochs * per_epoch,
        look=look,
        every=per_epoch,
        **how,
    ).numpy().astype(float)  # fmt: skip
    losses, error = np.where(history < MOST_LOSS, history, MOST_LOSS)[..., 0], history[:, -1, 1]

    def best(method: str, name: str) -> int:
        """The member with the least training loss in the end."""
        rows = [i for i, member in enumerate(members) if member[:2] == (method, name)]
        return rows[int(losses[rows, -1].argmin())]

    at = np.array([[best(method, name) for name in STARTS] for method in RATES])
    steps, passes = np.arange(len(gaps[0])) * settings.twin_every, np.arange(settings.epochs + 1)
    by_method, others = {"method": RATES, "start": STARTS}, {"method": OTHERS, "start": STARTS}
    loss, error = losses[at], error[at]
    return Result(
        epochs=(passes, "epochs"),
        twin_steps=(steps, "steps"),
        apart=Quantity(gaps, APART, method=("path", "sgd"), step=steps),
        rate=Quantity(np.array([rate for *_, rate in members])[at], "learning rate", **by_method),
        loss=Quantity(loss, NATS, **by_method, epoch=passes),
        error=Quantity(error, SHARE, **by_method),
        ratio=Quantity(loss[0, :, -1] / loss[1:, :, -1], "ratio of training losses", **others),
        gain=Quantity(error[1:] - error[0], SHARE, **others),
    )


FASTER = "the training loss after ten epochs is at most {bound} times that of SGD"

FASTER = "the training loss after ten epochs is at most {bound} times that of SGD"
SLIGHT = "a tenth: less would not be worth another optimiser"

CLAIMS = (
    Claim(
        id="neyshabur2015-path-sgd", title="Does Path-SGD train better than SGD?",
        cite="neyshabur2015path", kind="effect", expected=UNDECIDED,
        says="Path-SGD, whose geometry does not change when a unit's incoming weights are "
        "multiplied and its outgoing ones divided by the same factor, leads to gains over SGD and "
        "AdaGrad (abstract): it trains faster on four sets of pictures and generalises better on "
        "two of them (the conference's reviews).",
        tested="1,000 pictures of clothes, 14 by 14, two hidden layers of 64 ReLU units without "
        "thresholds, 10 epochs, each method at the best of six learning rates, from He's start and "
        "from the same function with rescaled units.",
        so="After ten epochs Path-SGD has "
        "{num}`theory-survey/generalization/path-sgd ratio[sgd,balanced] .2f ±` times the training "
        "loss of SGD from He's start and "
        "{num}`theory-survey/generalization/path-sgd ratio[sgd,unbalanced] .2f ±` times from the "
        "unbalanced one, with test errors lower by "
        "{num}`theory-survey/generalization/path-sgd gain[sgd,balanced] .1%` and "
        "{num}`theory-survey/generalization/path-sgd gain[sgd,unbalanced] .1%`; from He's start "
        "five seeds do not tell it from a tenth.",
        caveat="From He's start path scales shuffled among the weights do as well, "
        "{num}`theory-survey/generalization/path-sgd@shuffled-scales ratio[sgd,balanced] .2f` "
        "times the loss of SGD, so that the paths are not what helps there. And Adam, which knows "
        "of no paths, is ahead of both: Path-SGD has {num}`theory-survey/generalization/path-sgd "
        "ratio[adam,balanced] .1f` times its loss.",
        paper=(
            ("against SGD and AdaGrad, two-layer networks on four sets of pictures",
             "faster on all four, better test examples on half of them", "as the reviews "
             "published by the conference sum it up"),
        ),
        decides=(
            at_most("ratio[sgd, balanced]", f"from He's start {FASTER}", 0.9, none=1.0, log=True,
                    because=SLIGHT),
            at_most("ratio[sgd, unbalanced]", f"from the unbalanced start {FASTER}", 0.9,
                    none=1.0, log=True, because=SLIGHT),
            Condition("gain_both", "the test error is no higher than that of SGD, on average over "
                      "the two starts", lambda r: float(r["gain[sgd]"].mean()), ">=", 0.0, SHARE,
                      none=0.0, because="the paper has gains on half of its data sets"),
        ),
        mechanism=(
            at_most("apart[path, -1]", "after 50 Path-SGD steps on the same batches, the twins' "
                    "scores differ by at most $10^{{bound:log10}}$ of the largest", 1e-9,
                    none=1e-9, because="rounding, in 64 bits"),
        ),
        controls=(
            Control(
                "shuffled-scales", "the paths: each gradient is divided by the path scale of "
                "another weight of its layer",
                ("ratio[sgd, unbalanced]", "ratio[sgd, balanced]", "gain_both"),
                (
                    at_most("loss[path, balanced, -1]", "from He's start it learns: a loss of at "
                            "most {bound}, where guessing has 2.3", 1.0),
                ),
            ),
        ),
        limits="That a norm is kept small need not tell how a network generalises: of more than "
        "forty measures tried on over 10,000 networks, some fail surprisingly {cite}`jiang2020`.",
        changes=("That twins stay together, which is an identity, no longer decides; the test "
                 "error, asked for from the unbalanced start only, is asked for on average over "
                 "both starts (stricter). Ratios are judged by their logarithms. No bound was "
                 "moved.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """How far twins part along the steps, and each method's training loss from both starts."""
    looks = {
        "sgd": ("SGD", figures.COLOURS["vermillion"], "s"),
        "path": ("Path-SGD", figures.COLOURS["blue"], "o"),
        "adam": ("Adam", figures.COLOURS["green"], "^"),
    }
    steps, epochs, least = first(runs, "twin_steps"), first(runs, "epochs"), 2.0**-53

    def middle(variant: str, method: str) -> Float[np.ndarray, " t"]:
        gap = over_seeds(runs, f"apart[{method}]", variant)
        return np.exp(np.log(np.maximum(gap, least / 4)).mean(0))

    with panels(2, size=(8.6, 3.8)) as (drawn, axes):
        for method in ("sgd", "path"):
            name, colour, marker = looks[method]
            line = {"label": name, "color": colour, "marker": marker}
            axes[0].plot(steps, middle(MAIN, method), ls="-", **line)
        if "shuffled-scales" in runs:
            line = {"label": "shuffled scales", "color": figures.COLOURS["purple"]}
            axes[0].plot(steps, middle("shuffled-scales", "path"), ls=":", **line)
        axes[0].axhline(least, **figures.THEORY, label="one rounding")
        axes[0].set(xlabel="steps", ylabel="difference of the twins' scores", yscale="log")
        axes[0].set_ylim(least / 20, None)
        for method, (name, colour, marker) in looks.items():
            for start_, whose, dash in (("balanced", "He", "-"), ("unbalanced", "unbalanced", ":")):
                loss = over_seeds(runs, f"loss[{method},{start_}]")
                line = {"color": colour, "marker": marker, "ls": dash}
                axes[1].plot(epochs, loss.mean(0), **line, label=f"{name}, {whose}")
        axes[1].set(xlabel="epochs", ylabel="training loss (nats)", yscale="log")
        losses = (0.2, 0.3, 0.5, 1, 2)
        axes[1].set_yticks(losses, [f"{loss:g}" for loss in losses])
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
        f"{figures.count(len(loss))}.",
        alt="Two panels. Left, on a logarithmic axis against steps: the line of Path-SGD stays at "
        "the size of one rounding, those of SGD and of shuffled scales jump to one and above at "
        "once. Right, training loss against epochs: the two lines of Path-SGD coincide, SGD is "
        "near them from He's start and above from the unbalanced one, and Adam's two lines lie "
        "lowest.",
    )
