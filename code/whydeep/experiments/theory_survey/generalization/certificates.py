"""Six certificates for one task: which of them says anything about the error of a network?

Dziugaite and Roy ({cite}`dziugaite2017`) give every weight a normal law, Q, and choose Q to make a
PAC-Bayes bound small: the bound on the error of a network drawn from Q is far below one, with more
weights than examples. We do so with a prior P around the start of training, and with one around
weights learned from half of the examples, which the bound then does without. Beside them stand the
bound from examples held out, that of a network compressed to a few bytes
({cite}`lotfi2022`), that by the norms of the weights and that by their number.

In a network with one hidden layer and no biases, normal weights make the inputs of the hidden units
normal and independent, given the example; given those, the output is normal. So one draw of the
hidden units tells exactly how probable an error is, and each example may have a draw of its own.

What would refute it: a PAC-Bayes bound near one half or above, or one below the test error; or a
bound from held-out examples that is further from the test error than the others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep import device
from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import SGD, adam, descend, epochs, to_zero, train
from whydeep.descent.loop import Weights
from whydeep.evidence.claims import REPRODUCED, SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.theory_survey.generalization._two_kinds import log_loss_of_one
from whydeep.labs import bounds, norms
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Runs, over_seeds, panels, ticks

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"
CERTIFICATES = {
    "held": "1,000 examples held out",
    "half": "PAC-Bayes, prior from half",
    "few": "50 numbers, rounded",
    "start": "PAC-Bayes, prior at the start",
    "norms": "norms of the weights",
    "count": "number of the weights",
}


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14x14 pixels, scaled to length 3; the other ones are for the test.

    The labels say whether a picture is of the second one of two ``classes``, or of the last five of
    ten; or ``labels`` are "random". A network with ``hidden`` units (0: none) learns by ``sgd``.
    ``steps`` are those that make a bound small, on batches of ``batch``; ``repeats``
    the draws for each example when Q is measured; ``prior_scales`` the number of prior variances on
    the grid. The network of few bytes moves along ``directions`` random directions. ``held_out`` is
    the share of the examples that is kept aside; ``leak``, against the rules, is "none" or "all":
    what was to be kept aside, or unseen by the prior, is learned from as well. ``pool`` pictures'
    pixels further; 1 leaves them.
    """

    examples: int = 4000
    classes: tuple[int, int] | None = None
    labels: str = "true"
    hidden: int = 60
    steps: int = 250
    batch: int = 250
    rate: float = 0.015
    repeats: int = 5
    prior_scales: int = 64
    directions: int = 50
    held_out: float = 0.25
    leak: str = "none"
    pool: int = 1
    delta: float = 0.01
    sgd: SGD = SGD(lr=0.05, epochs=6, batch=100, momentum=0.9)


SCALES = {"quick": Settings()}
VARIANTS = {
    "random-labels": {"labels": "random"},
    "leak": {"labels": "random", "leak": "all", "examples": 200, "sgd.epochs": 200},
    "small-plane": {
        "classes": (1, 7),
        "hidden": 0,
        "pool": 7,
        "examples": 2000,
        "sgd.epochs": 40,
        "sgd.lr": 0.2,
    },
    "few-held-out": {"held_out": 0.01},
}


def pictures(
    settings: Settings, chance: Chance
) -> tuple[tuple[Tensor, Tensor], tuple[Float[Tensor, "m d"], Int[Tensor, " m"]]]:
    """``examples`` pictures to learn from, and all others for the test, with labels 0 and 1.

    Training and test pictures of the set are mixed first, so that both are drawn alike.
    """
    data = fashion_mnist()
    x = torch.cat([data.train_x, data.test_x])
    y = torch.cat([data.train_y, data.test_y])
    if settings.classes is not None:
        rows = (y == settings.classes[0]) | (y == settings.classes[1])
        x, y = x[rows], (y[rows] == settings.classes[1]).long()
    else:
        y = (y >= 5).long()
    x = 3 * F.normalize(F.avg_pool2d(x, 2).flatten(1), dim=1)
    if settings.pool > 1:
        x = F.avg_pool2d(x.view(-1, 1, 14, 14), settings.pool).flatten(1)
    generator = chance.torch()
    if settings.labels == "random":
        y = torch.randint(2, y.shape, generator=generator)
    order = torch.randperm(len(y), generator=generator)
    chosen, others = order[: settings.examples], order[settings.examples :]
    return (x[chosen], y[chosen]), (x[others], y[others])


@dataclass(frozen=True)
class Certified:
    """A classifier's error on the test examples, the nats it costs, and the bound on its error."""

    test: float
    nats: float
    bound: float


# --- A network with one hidden layer and normal weights ------------------------------------------


def chance_of_error(
    mean: list[Tensor],
    log_sd: list[Tensor],
    x: Float[Tensor, "n d"],
    y: Float[Tensor, " n"],
    noise: Float[Tensor, "n hidden"],
) -> Float[Tensor, " n"]:
    """The probability of an error on each example, given one draw of its hidden units.

    ``mean`` and ``log_sd`` hold the matrices (hidden, d) and (1, hidden) of the normal weights,
    ``y`` labels -1 or 1, ``noise`` standard normal numbers. The inputs of the hidden units are
    normal with means W x and variances S^2 x^2; given their values r after the ReLU, the output is
    normal with mean v r and variance s^2 r^2. Without a hidden layer r is x.
    """
    r = x
    if len(mean) > 1:
        h = x @ mean[0].T + noise * (x.square() @ (2 * log_sd[0]).exp().T).sqrt()
        r = torch.relu(h)
    centre = r @ mean[-1].T
    spread = (r.square() @ (2 * log_sd[-1]).exp().T + 1e-12).sqrt()
    return torch.special.ndtr(-y * (centre / spread)[:, 0])


def divergence(
    mean: list[Tensor], log_sd: list[Tensor], centre: list[Tensor], variance: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """KL(Q || P) in nats for P = N(centre, variance I), and the variance.

    Without a variance, that which makes the divergence least: the mean of (w - w_0)^2 + s^2.
    """
    squares = sum((m - c).square().sum() for m, c in zip(mean, centre, strict=True))
    squares = squares + sum((2 * s).exp().sum() for s in log_sd)
    number = sum(m.numel() for m in mean)
    variance = squares / number if variance is None else variance  # pyright: ignore[reportAssignmentType]
    logs = number * variance.log() - 2 * sum(s.sum() for s in log_sd)  # pyright: ignore[reportOptionalMemberAccess]
    return (squares / variance - number + logs) / 2, variance  # pyright: ignore[reportOperatorIssue, reportReturnType]


def certify(
    start: list[Tensor],
    centre: list[Tensor],
    train_set: tuple[Tensor, ...],
    test_set: tuple[Tensor, ...],
    settings: Settings,
    generator: torch.Generator,
) -> Certified:
    """A Q around ``start`` for a small bound with the prior around ``centre``; what it certifies.

    The bound descended is (sqrt(e + c / 2) + sqrt(c / 2))^2, which is above the p of kl(e, p) = c.
    Of ``delta``, a tenth pays for measuring Q by draws, the rest is shared among the grid's priors.
    """
    (x, y), n, layers = train_set, len(train_set[1]), len(start)
    signs = 2 * y.to(x) - 1
    price = np.log(2 * np.sqrt(n) * settings.prior_scales / settings.delta)

    def noise(rows: int) -> Tensor:
        return torch.randn(rows, settings.hidden, generator=generator).to(x)

    def draw() -> Iterator[tuple[Tensor, Tensor]]:
        for rows in epochs(n, settings.batch, generator, whole=True):
            yield rows, noise(len(rows))

    def loss(w: Weights, drawn: Any) -> Float[Tensor, " 1"]:
        rows, z = drawn
        error = chance_of_error(w[:layers], w[layers:], x[rows], signs[rows], z).mean()
        c = (divergence(w[:layers], w[layers:], centre)[0] + price) / n
        return ((error + c / 2).sqrt() + (c / 2).sqrt()).square()[None]

    found, _ = descend(
        [*start, *(torch.full_like(w, -4.0) for w in start)],
        loss,
        draw(),
        steps=settings.steps,
        lr=to_zero(settings.rate, settings.steps),
        rule=(adam(),),
    )
    mean, log_sd = found[:layers], found[layers:]

    def error(inputs: Tensor, labels: Tensor) -> float:
        asked = 2 * labels.to(inputs) - 1
        draws = [
            chance_of_error(mean, log_sd, inputs, asked, noise(len(labels))).double()
            for _ in range(settings.repeats)
        ]
        return float(torch.stack(draws).mean())

    seen, test = error(*train_set), error(*test_set)
    _, best = divergence(mean, log_sd, centre)
    # The grid: variances exp(-j / 4), fixed before; the nearest one to the best.
    j = int(np.clip(np.round(-4 * np.log(float(best))), 0, settings.prior_scales - 1))
    variance = torch.tensor(np.exp(-j / 4)).to(x)
    nats = float(divergence(mean, log_sd, centre, variance)[0].double())
    measured = bounds.sampled(seen, settings.repeats * n, settings.delta / 10)
    bound = bounds.pac_bayes(measured, nats, n, 0.9 * settings.delta / settings.prior_scales)
    return Certified(test, nats, bound)


# --- A network of few bytes ----------------------------------------------------------------------


def compress(
    start: list[Tensor],
    train_set: tuple[Tensor, ...],
    test_set: tuple[Tensor, ...],
    settings: Settings,
    generator: torch.Generator,
) -> Certified:
    """Learn along random directions from ``start``, round the coordinates, and count the bits.

    Directions and start are drawn before the examples are seen. A code word says which of 7 ranges
    of whole numbers is used (-1 to 1, -3 to 3, ..., -127 to 127), which of 16 steps they are
    multiplied by (2^-4, 2^-3.5, ..., 2^3.5), and then one whole number for each direction.
    """
    (x, y), n = train_set, len(train_set[1])
    signs = 2 * y.to(x) - 1
    sizes = [w.numel() for w in start]
    directions = torch.randn(sum(sizes), settings.directions, generator=generator).to(x)
    directions = directions / sum(sizes) ** 0.5

    def moved_outputs(place: Tensor, x: Tensor) -> Tensor:
        moved = (directions @ place).split(sizes)
        layers = [w + m.view_as(w) for w, m in zip(start, moved, strict=True)]
        return outputs_of(layers, x)

    def draw() -> Iterator[Tensor]:
        while True:
            yield torch.randint(n, (settings.batch,), generator=generator)

    def loss(w: Weights, rows: Tensor) -> Float[Tensor, " 1"]:
        return F.softplus(-signs[rows] * moved_outputs(w[0], x[rows])).mean()[None]

    (place,), _ = descend(
        [torch.zeros(settings.directions).to(x)],
        loss,
        draw(),
        steps=settings.steps,
        lr=to_zero(0.3, settings.steps),
        rule=(adam(),),
    )

    best = Certified(1.0, np.inf, np.inf)
    for bits in range(2, 9):
        for j in range(-8, 8):
            most, step = 2 ** (bits - 1) - 1, 2 ** (j / 2)
            rounded = (place / step).round().clamp(-most, most) * step
            # Only a step that cuts off little is worth looking at; all 16 are paid for.
            if float((rounded - place).abs().max()) > step:
                continue
            nats = settings.directions * np.log(2 * most + 1) + np.log(7 * 16)
            bound = bounds.occam(error_of(moved_outputs(rounded, x), y), nats, n, settings.delta)
            if bound < best.bound:
                test = error_of(moved_outputs(rounded, test_set[0]), test_set[1])
                best = Certified(test, nats, bound)
    return best


def error_of(outputs: Float[Tensor, " n"], y: Int[Tensor, " n"]) -> float:
    """The share of the examples with labels 0 and 1 on whose wrong side the output lies."""
    return float((outputs * (2 * y - 1) <= 0).double().mean())


def outputs_of(layers: list[Tensor], x: Float[Tensor, "n d"]) -> Float[Tensor, " n"]:
    """The output of a ReLU network without biases, its matrices given."""
    for w in layers[:-1]:
        x = torch.relu(x @ w.T)
    return (x @ layers[-1].T)[:, 0]


def run(settings: Settings, chance: Chance) -> Result:
    """The CERTIFICATES, each beside the test error of the classifier that it is about.

    Examples held out, PAC-Bayes with a prior from half of the examples, few bytes, PAC-Bayes with a
    prior around the start, norms (at the margin that a tenth of the examples do not reach; the
    median one where more of them are errors), number of weights.
    """
    train_set, test_set = (
        tuple(part.to(device.current()) for part in pair) for pair in pictures(settings, chance)
    )
    x, y = train_set
    n, delta, sgd = len(y), settings.delta, settings.sgd
    widths = (x.shape[1], settings.hidden, 1) if settings.hidden else (x.shape[1], 1)
    generator = chance.torch()

    def learn(rows: slice, epochs: int = sgd.epochs) -> list[Tensor]:
        """The matrices after so many epochs of SGD on these examples; 0 epochs give the start."""
        trained = train(
            partial(Dense, widths),
            x[rows],
            (2 * y[rows] - 1).float().unsqueeze(-1),
            seeds=[chance],
            lr=sgd.lr,
            epochs=epochs,
            batch_size=sgd.batch,
            momentum=sgd.momentum,
            trainable=("*weight",),
            loss=log_loss_of_one,
            device=device.current(),
        )
        return [w[0] for w in norms.matrices(trained.parameters)]

    def error(layers: list[Tensor], inputs: Tensor, labels: Tensor) -> float:
        return error_of(outputs_of(layers, inputs), labels)

    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        kept, half = round((1 - settings.held_out) * n), n // 2
        everything, leaks = slice(None), settings.leak == "all"
        start = learn(slice(0, 1), 0)
        plain = learn(everything)
        tested = learn(everything if leaks else slice(0, kept))
        prior = plain if leaks else learn(slice(0, half))
        unseen = (x[half:], y[half:])
        wide = certify(plain, plain if leaks else start, train_set, test_set, settings, generator)
        near = certify(prior, prior, unseen, test_set, settings, generator)
        few = compress(start, train_set, test_set, settings, generator)
        train_plain, test_plain = error(plain, *train_set), error(plain, *test_set)
        held = round(error(tested, x[kept:], y[kept:]) * (n - kept))
        test_held = error(tested, *test_set)
        margins = (outputs_of(plain, x) * (2 * y - 1)).double()
        length = float(x.square().sum(1).mean().sqrt())
        product = float(norms.frobenius_complexity(plain))
    gamma = float(margins.quantile(0.1)) if train_plain < 0.1 else float(margins.abs().median())
    below = float((margins < gamma).double().mean())
    weights = sum(w.numel() for w in start)
    complexity = bounds.of_frobenius(product, length, len(start), n)
    certificate = np.array(
        [
            bounds.held_out(held, n - kept, delta),
            near.bound,
            few.bound,
            wide.bound,
            bounds.by_margin(below, complexity, gamma, n, delta),
            bounds.vc(train_plain, weights, n, delta),
        ]
    )
    test = np.array([test_held, near.test, few.test, wide.test, test_plain, test_plain])
    nats = [near.nats, few.nats, wide.nats]
    held_out, from_half, _, from_start, by_norms, _ = certificate
    share, by = "error rate", {"certificate": CERTIFICATES}
    return Result(
        certificate=Quantity(certificate, share, **by),
        test=Quantity(test, "fraction of test examples", **by),
        slack=Quantity(certificate - test, share, **by),
        nats=Quantity(nats, "nats", certificate=("half", "few", "start")),
        train_plain=(train_plain, "fraction of examples"),
        weights=(weights, "weights"),
        weights_per_example=(weights / n, "ratio"),
        gain_half=(from_start - from_half, share),
        held_first=(from_half - held_out, share),
        least_slack=((certificate - test)[:4].min(), share),
        log_norms=(np.log(max(by_norms, 1e-9)), "ln of an error rate"),
    )


def from_training(result: Result) -> float:
    """The loosest of the three bounds from the training examples alone that are not vacuous."""
    return max(float(result[f"certificate[{name}]"]) for name in ("half", "few", "start"))


CLAIMS = (
    Claim(
        id="dziugaite2017-nonvacuous", title="Can a bound see past the number of the weights?",
        cite="dziugaite2017", kind="effect", expected=REPRODUCED,
        says="A Gaussian around the weights that SGD found, chosen to make a PAC-Bayes bound "
        "small, has an error that is bounded far below guessing, with many more weights than "
        "examples: at most 0.161 on binary MNIST (Table 1).",
        tested="11,820 weights in one hidden layer of 60 units, 4,000 pictures of clothes, 14 by "
        "14, in two groups of five classes; prior around the start of training.",
        so="With probability 0.99 the error is at most "
        "{num}`theory-survey/generalization/certificates certificate[start] .3f ±`, where guessing "
        "has 0.5; on test pictures it is "
        "{num}`theory-survey/generalization/certificates test[start] .3f ±`.",
        caveat="The bound speaks of a network with noise on its weights, not of the one that SGD "
        "found, and it is well above the error; there are "
        "{num}`theory-survey/generalization/certificates weights_per_example .1f` weights an "
        "example here, where the paper has about nine.",
        paper=(
            (
                "bound on the error, binary MNIST, one hidden layer of 600 units",
                ("{}", 0.161),
                "{cite:t}`dziugaite2017`, Table 1",
            ),
        ),
        decides=(
            at_most("certificate[start]", "with a prior around the start the bound is at most "
                    "{bound}, where guessing has 0.5", 0.33, none=0.5, source=0.161,
                    because="half of the way from guessing to the paper's bound"),
        ),
        mechanism=(
            at_least("slack[start]", "it is not below the error of $Q$ on the test examples", 0.0,
                     none=0.0, because="a bound that fails is none"),
            at_least("gain_half", "a prior from half of the examples lowers it by {bound} or more",
                     0.015, none=0.0, because="one point and a half, a tenth of the test error"),
        ),
        controls=(
            Control(
                "random-labels", "what there is to learn: labels are random",
                ("certificate[start]", "gain_half"),
                (at_least("slack[start]", "the bound holds here too", 0.0),),
            ),
            Control(
                "leak", "a prior that has not seen the examples: it is centred at weights learned "
                "from all of them, with random labels", ("slack[start]",),
                (
                    at_most("train_plain", "these weights fit the random labels, with at most "
                            "{bound} errors", 0.2),
                ),
            ),
        ),
        limits="With priors learned from a part of the examples bounds come close to the test "
        "error {cite}`perezortiz2021`, which is then largely the work of that part.",
        changes=("Bound on the certificate 0.35 -> 0.33 (stricter): half of the way from guessing "
                 "to the paper's 0.161. That the bound holds on the test pictures, which is a "
                 "theorem, and the prior from half of the examples, which is not this paper's "
                 "statement, no longer decide.",),
    ),
    Claim(
        id="mackinlay-q3-decent-error-bound", title="Can I know a decent error bound?",
        cite="mackinlay2019", kind="effect", expected=SHOWN, ours=True,
        says="Yes: within a few points from examples held out; more loosely, and still below "
        "guessing, from the training examples alone by PAC-Bayes or compression; and not by the "
        "norms or the number of the weights.",
        tested="Six certificates for one task: 4,000 pictures of clothes, 14 by 14, in two groups "
        "of five classes, one hidden layer of 60 units, 11,820 weights.",
        so="1,000 examples held out bound the error at "
        "{num}`theory-survey/generalization/certificates certificate[held] .3f`, where the test "
        "error is {num}`theory-survey/generalization/certificates test[held] .3f`; PAC-Bayes and "
        "compression give {num}`theory-survey/generalization/certificates certificate[half] .2f` "
        "to {num}`theory-survey/generalization/certificates certificate[start] .2f`; norms "
        "{num}`theory-survey/generalization/certificates certificate[norms] .0f` and the number of "
        "weights {num}`theory-survey/generalization/certificates certificate[count] .1f`, where no "
        "error exceeds 1.",
        caveat="Each bound is about a classifier of its own, with its own test error, "
        "{num}`theory-survey/generalization/certificates test[held] .2f` to "
        "{num}`theory-survey/generalization/certificates test[start] .2f`. With 40 examples held "
        "out the gap is "
        "{num}`theory-survey/generalization/certificates@few-held-out slack[held] .2f`, more than "
        "that of PAC-Bayes.",
        paper=(
            ("the question", '"Can I know a decent error bound?"', "{cite:t}`mackinlay2019`; the "
             "answer is ours"),
        ),
        decides=(
            at_most("slack[held]", "the bound from 1,000 examples held out is at most {bound} "
                    "above the test error", 0.05, none=0.05,
                    because="five points still tell an error of one in ten from one in seven"),
            at_least("held_first", "that from held-out examples is no larger than that of the "
                     "best PAC-Bayes prior", 0.0, none=0.0, because="the order is what is said"),
            Condition("from_training", "the loosest of the three bounds from training examples "
                      "alone, two by PAC-Bayes and one by compression, is at most {bound}",
                      from_training, "<=", 0.33, "error rate", none=0.5,
                      because="as in the claim on the bound of Dziugaite and Roy"),
            at_least("log_norms", "that by the norms is vacuous, at least 1: its logarithm is at "
                     "least {bound}", 0.0, none=0.0, because="no error rate exceeds 1"),
            at_least("certificate[count]", "that by the number of weights is vacuous, at least "
                     "{bound}", 1.0, none=1.0, because="no error rate exceeds 1"),
        ),
        mechanism=(
            at_least("least_slack", "none of the four bounds that are not vacuous is below the "
                     "test error of its own classifier by more than {bound:abs}, three standard "
                     "errors of 8,000 test pictures", -0.01, none=-0.01,
                     because="a bound that fails is none"),
        ),
        controls=(
            Control(
                "few-held-out", "most of the held-out examples: 40 are left",
                ("slack[held]", "held_first"),
                (
                    at_least("least_slack", "the bounds hold here too, to within {bound:abs}",
                             -0.01),
                ),
            ),
            Control(
                "leak", "the rules: what should have been held out was learned from, with random "
                "labels", ("least_slack",),
                (
                    at_most("train_plain", "the network fits its random labels, with at most "
                            "{bound} errors", 0.2),
                ),
            ),
            Control(
                "random-labels", "what there is to learn: labels are random",
                ("from_training",),
                (
                    at_least("least_slack", "the bounds hold here too, to within {bound:abs}",
                             -0.01),
                ),
            ),
            Control(
                "small-plane", "size and difficulty: no hidden layer, four pixels, and two easy "
                "classes", ("log_norms", "certificate[count]"),
                (
                    at_most("train_plain", "the classes are learned, with at most {bound} errors",
                            0.05),
                ),
            ),
        ),
        limits="A bound from held-out examples certifies and does not explain; and data that "
        "was held out is data not learned from.",
        changes=("One condition, at most 0.33, on all three bounds from the training examples, "
                 "instead of one, at most 0.35, on the compressed network (stricter). That the "
                 "bounds hold on test pictures, which is a theorem, no longer decides.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """A ladder: each certificate beside the test error of its classifier, on a logarithmic axis."""
    colours = list(figures.COLOURS.values())
    rows = np.arange(len(CERTIFICATES))[::-1]
    with panels(size=(7.6, 3.9)) as (drawn, axes):
        for variant, quantity, marker, colour, label, up in (
            (MAIN, "test", "o", colours[0], "test error", 0.0),
            (MAIN, "certificate", "s", colours[1], "certificate", 0.0),
            ("random-labels", "certificate", "^", colours[3], "certificate, random labels", -0.24),
        ):
            if variant not in runs:
                continue
            values = over_seeds(runs, quantity, variant)
            axes.errorbar(
                values.mean(0),
                rows + up,
                xerr=figures.spread(values),
                fmt=marker,
                color=colour,
                capsize=3,
                elinewidth=1.2,
                label=label,
            )
        axes.axvspan(1, 1000, color=figures.GRID, lw=0)
        axes.text(1.15, 5.35, "vacuous", fontsize=9.5, va="center")
        axes.axvline(0.5, **figures.THEORY)
        axes.text(0.49, 5.35, "guessing", fontsize=9.5, va="center", ha="right")
        axes.set(xscale="log", xlim=(0.07, 400), ylim=(-0.6, 5.7), xlabel="error rate")
        ticks(axes, (0.1, 0.2, 0.5, 1, 10, 100))
        axes.set_yticks(rows, CERTIFICATES.values())
        axes.legend(loc="center right", fontsize=9.5, bbox_to_anchor=(1.0, 0.6))
    return figures.Figure(
        drawn,
        label="fig-bounds-ladder",
        caption="Six certificates for one task, 4,000 pictures and 11,820 weights: each bound on "
        "the error beside the test error of the classifier that it is about. Triangles are the "
        "same certificates for random labels. Means and standard deviations over "
        f"{figures.count(len(runs[MAIN]))}.",
        alt="Six rows on a logarithmic axis of error rates. Test errors lie between 0.10 and 0.14. "
        "The certificate from held-out examples lies at 0.13, the two PAC-Bayes bounds and that "
        "of the compressed network between 0.18 and 0.25, all left of the line of guessing at "
        "0.5; those by norms and by number of weights lie at about 100 and 3.4, in the shaded "
        "zone of vacuous bounds. With random labels none lies left of the line.",
    )
