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

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import train
from whydeep.device import device as choose_device
from whydeep.evidence.claims import REPRODUCED, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.experiments.theory_survey.generalization import spectral_margin
from whydeep.labs import bounds, norms
from whydeep.networks import Dense
from whydeep.show import figures

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14x14 pixels, scaled to length 3; the other ones are for the test.

    The labels say whether a picture is of the second one of two ``classes``, or of the last five of
    ten; or ``labels`` are "random". A network with ``hidden`` units (0: none) learns by SGD for
    ``epochs``. ``steps`` are those that make a bound small, on batches of ``batch``; ``repeats``
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
    epochs: int = 6
    lr: float = 0.05
    momentum: float = 0.9
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


SCALES = {"quick": Settings()}
VARIANTS = {
    "random-labels": {"labels": "random"},
    "leak": {"labels": "random", "leak": "all", "examples": 200, "epochs": 200},
    "small-plane": {
        "classes": (1, 7),
        "hidden": 0,
        "pool": 7,
        "examples": 2000,
        "epochs": 40,
        "lr": 0.2,
    },
    "few-held-out": {"held_out": 0.01},
}


def pictures(
    settings: Settings, chance: Chance
) -> tuple[tuple[Tensor, Tensor], tuple[Float[Tensor, "m d"], Int[Tensor, "m"]]]:
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


# --- A network with one hidden layer and normal weights ------------------------------------------


def chance_of_error(
    mean: list[Tensor],
    log_sd: list[Tensor],
    x: Float[Tensor, "n d"],
    y: Float[Tensor, "n"],
    noise: Float[Tensor, "n hidden"],
) -> Float[Tensor, "n"]:
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
    variance = squares / number if variance is None else variance
    logs = number * variance.log() - 2 * sum(s.sum() for s in log_sd)
    return (squares / variance - number + logs) / 2, variance


def certify(
    start: list[Tensor],
    centre: list[Tensor],
    train_set: tuple[Tensor, Tensor],
    test_set: tuple[Tensor, Tensor],
    settings: Settings,
    generator: torch.Generator,
) -> dict[str, float]:
    """A Q around ``start`` for a small bound with the prior around ``centre``; what it certifies.

    The bound descended is (sqrt(e + c / 2) + sqrt(c / 2))^2, which is above the p of kl(e, p) = c.
    Of ``delta``, a tenth pays for measuring Q by draws, the rest is shared among the grid's priors.
    """
    (x, y), n = train_set, len(train_set[1])
    signs = 2 * y.to(x) - 1
    mean = [w.clone().requires_grad_() for w in start]
    log_sd = [torch.full_like(w, -4.0).requires_grad_() for w in start]
    optimiser = torch.optim.Adam(mean + log_sd, lr=settings.rate)
    price = np.log(2 * np.sqrt(n) * settings.prior_scales / settings.delta)

    def noise(rows: int) -> Tensor:
        return torch.randn(rows, settings.hidden, generator=generator).to(x)

    order = torch.empty(0, dtype=torch.long)
    for step in range(settings.steps):
        if len(order) < settings.batch:
            order = torch.randperm(n, generator=generator)
        rows, order = order[: settings.batch], order[settings.batch :]
        for group in optimiser.param_groups:  # a straight line down to nothing
            group["lr"] = settings.rate * (1 - step / settings.steps)
        error = chance_of_error(mean, log_sd, x[rows], signs[rows], noise(len(rows))).mean()
        nats, _ = divergence(mean, log_sd, centre)
        c = (nats + price) / n
        bound = ((error + c / 2).sqrt() + (c / 2).sqrt()).square()
        optimiser.zero_grad()
        bound.backward()
        optimiser.step()
    with torch.no_grad():
        errors = []
        for inputs, labels in (train_set, test_set):
            draws = [
                chance_of_error(
                    mean, log_sd, inputs, 2 * labels.to(inputs) - 1, noise(len(labels))
                ).double()
                for _ in range(settings.repeats)
            ]
            errors.append(float(torch.stack(draws).mean()))
        _, best = divergence(mean, log_sd, centre)
        # The grid: variances exp(-j / 4), fixed before; the nearest one to the best.
        j = int(np.clip(np.round(-4 * np.log(float(best))), 0, settings.prior_scales - 1))
        variance = torch.tensor(np.exp(-j / 4)).to(x)
        nats = float(divergence(mean, log_sd, centre, variance)[0].double())
    seen = bounds.sampled(errors[0], settings.repeats * n, settings.delta / 10)
    certificate = bounds.pac_bayes(seen, nats, n, 0.9 * settings.delta / settings.prior_scales)
    return {"train": errors[0], "test": errors[1], "nats": nats, "bound": certificate}


# --- A network of few bytes ----------------------------------------------------------------------


def compress(
    start: list[Tensor],
    train_set: tuple[Tensor, Tensor],
    test_set: tuple[Tensor, Tensor],
    settings: Settings,
    generator: torch.Generator,
) -> dict[str, float]:
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
    place = torch.zeros(settings.directions).to(x).requires_grad_()

    def moved_outputs(place: Tensor, x: Tensor) -> Tensor:
        moved = (directions @ place).split(sizes)
        layers = [w + m.view_as(w) for w, m in zip(start, moved, strict=True)]
        return outputs_of(layers, x)

    optimiser = torch.optim.Adam([place], lr=0.3)
    for step in range(settings.steps):
        rows = torch.randint(n, (settings.batch,), generator=generator)
        optimiser.param_groups[0]["lr"] = 0.3 * (1 - step / settings.steps)
        loss = F.softplus(-signs[rows] * moved_outputs(place, x[rows])).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    best = {"bound": np.inf}
    x_test, y_test = test_set
    with torch.no_grad():
        for bits in range(2, 9):
            for j in range(-8, 8):
                most = 2 ** (bits - 1) - 1
                rounded = (place / 2 ** (j / 2)).round().clamp(-most, most) * 2 ** (j / 2)
                # Only a step that cuts off little is worth looking at; all 16 are paid for.
                if float((rounded - place).abs().max()) > 2 ** (j / 2):
                    continue
                error = float((moved_outputs(rounded, x) * signs <= 0).double().mean())
                nats = settings.directions * np.log(2 * most + 1) + np.log(7 * 16)
                certificate = bounds.occam(error, nats, n, settings.delta)
                if certificate < best["bound"]:
                    test = float(
                        (moved_outputs(rounded, x_test) * (2 * y_test - 1) <= 0).double().mean()
                    )
                    best = {"train": error, "test": test, "nats": nats, "bound": certificate}
    return best


def outputs_of(layers: list[Tensor], x: Float[Tensor, "n d"]) -> Float[Tensor, "n"]:
    """The output of a ReLU network without biases, its matrices given."""
    for w in layers[:-1]:
        x = torch.relu(x @ w.T)
    return (x @ layers[-1].T)[:, 0]


def run(settings: Settings, chance: Chance) -> Result:
    """Six certificates, each beside the test error of the classifier that it is about.

    In the order of ``certificates``: examples held out, PAC-Bayes with a prior from half of the
    examples, few bytes, PAC-Bayes with a prior around the start, norms (at the margin that a tenth
    of the examples do not reach; the median one where more of them are errors), number of weights.
    """
    place = choose_device(device)
    (x, y), (x_test, y_test) = pictures(settings, chance)
    train_set, test_set = (x.to(place), y.to(place)), (x_test.to(place), y_test.to(place))
    x, y = train_set
    n, delta = len(y), settings.delta
    widths = (x.shape[1], settings.hidden, 1) if settings.hidden else (x.shape[1], 1)
    network = partial(Dense, widths)
    generator = chance.torch()

    def learn(rows: slice, epochs: int) -> list[Tensor]:
        """The matrices after so many epochs of SGD on these examples; 0 epochs give the start."""
        trained = train(
            network,
            x[rows],
            (2 * y[rows] - 1).float().unsqueeze(-1),
            seeds=[chance],
            lr=settings.lr,
            epochs=epochs,
            batch_size=100,
            momentum=settings.momentum,
            trainable=("*weight",),
            loss=spectral_margin.log_loss_of_one,
            device=device,
        )
        return [w[0] for w in norms.matrices(trained.parameters)]

    def errors(layers: list[Tensor], inputs: Tensor, labels: Tensor) -> Tensor:
        return outputs_of(layers, inputs) * (2 * labels - 1) <= 0

    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        kept, half = round((1 - settings.held_out) * n), n // 2
        everything = slice(None)
        start = learn(slice(0, 1), 0)
        plain = learn(everything, settings.epochs)
        leaks = settings.leak == "all"
        tested = learn(everything if leaks else slice(0, kept), settings.epochs)
        prior = plain if leaks else learn(slice(0, half), settings.epochs)
        unseen = (x[half:], y[half:])
        wide = certify(plain, plain if leaks else start, train_set, test_set, settings, generator)
        near = certify(prior, prior, unseen, test_set, settings, generator)
        few = compress(start, train_set, test_set, settings, generator)
        test_of_plain = float(errors(plain, *test_set).double().mean())
        train_of_plain = float(errors(plain, x, y).double().mean())
        held = int(errors(tested, x[kept:], y[kept:]).sum())
        test_of_held = float(errors(tested, *test_set).double().mean())
        margins = (outputs_of(plain, x) * (2 * y - 1)).double()
        length = float(x.square().sum(1).mean().sqrt())
        product = float(norms.frobenius_complexity(plain))
    gamma = float(margins.quantile(0.1)) if train_of_plain < 0.1 else float(margins.abs().median())
    below = float((margins < gamma).double().mean())
    weights = sum(w.numel() for w in start)
    certificate = np.array(
        [
            bounds.held_out(held, n - kept, delta),
            near["bound"],
            few["bound"],
            wide["bound"],
            bounds.by_margin(
                below, bounds.of_frobenius(product, length, len(start), n), gamma, n, delta
            ),
            bounds.vc(train_of_plain, weights, n, delta),
        ]
    )
    test = np.array(
        [test_of_held, near["test"], few["test"], wide["test"], test_of_plain, test_of_plain]
    )
    share, nats = "error rate", "nats"
    return Result(
        certificate=(certificate, share),
        test=(test, "fraction of test examples"),
        slack=(certificate - test, share),
        training=(
            np.array([train_of_plain, near["train"], few["train"], wide["train"]]),
            "fraction of examples",
        ),
        weights=(weights, "weights"),
        weights_per_example=(weights / n, "ratio"),
        bound_held=(certificate[0], share),
        bound_half=(certificate[1], share),
        bound_few=(certificate[2], share),
        bound_start=(certificate[3], share),
        bound_norms=(certificate[4], share),
        bound_count=(certificate[5], share),
        test_held=(test[0], "fraction of test examples"),
        test_half=(test[1], "fraction of test examples"),
        test_few=(test[2], "fraction of test examples"),
        test_start=(test[3], "fraction of test examples"),
        test_plain=(test_of_plain, "fraction of test examples"),
        train_plain=(train_of_plain, "fraction of examples"),
        nats_start=(wide["nats"], nats),
        nats_half=(near["nats"], nats),
        nats_few=(few["nats"], nats),
        slack_start=(certificate[3] - test[3], share),
        gain_half=(certificate[3] - certificate[1], share),
        gap_held=(certificate[0] - test[0], share),
        held_first=(certificate[1] - certificate[0], share),
        least_slack=(float((certificate - test)[:4].min()), share),
    )


CLAIMS = (
    Claim(
        id="dziugaite2017-nonvacuous",
        cite="dziugaite2017",
        sentence="A Gaussian around the solution of SGD, chosen to make a PAC-Bayes bound small, "
        "has an error that is bounded far below one half, with more weights than examples; a "
        "prior learned from half of the examples lowers the bound.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "bound on the error, binary MNIST, one hidden layer of 600 units",
                ("{}", 0.161),
                "{cite:t}`dziugaite2017`, Table 1",
            ),
        ),
        conditions=(
            at_most(
                "bound_start",
                "with a prior around the start the bound is at most {bound}, where guessing has "
                "0.5",
                0.35,
            ),
            at_least("slack_start", "it is not below the error of $Q$ on the test examples", 0.0),
            at_least(
                "gain_half", "a prior from half of the examples lowers it by {bound} or more", 0.015
            ),
        ),
        controls=(
            Control(
                "random-labels",
                "what there is to learn: labels are random",
                {"bound_start": 0.1, "gain_half": 0.01},
                (at_least("slack_start", "the bound holds here too", 0.0),),
            ),
            Control(
                "leak",
                "a prior that has not seen the examples: it is centred at weights learned from "
                "all of them, with random labels",
                {"slack_start": 0.1},
                (
                    at_most(
                        "train_plain",
                        "these weights fit the random labels, with at most {bound} errors",
                        0.2,
                    ),
                ),
            ),
        ),
        disputed="It certifies the network with noise on its weights, not that of SGD. With priors "
        "learned from a part of the examples bounds come close to the test error "
        "{cite}`perezortiz2021`, which is then largely the work of that part.",
    ),
    Claim(
        id="mackinlay-q3-decent-error-bound",
        cite="mackinlay2019",
        sentence="A decent bound on the error exists: within a few points from examples held out, "
        "looser from the training examples alone by PAC-Bayes or compression, and none by the "
        "norms or the number of the weights.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "the question",
                '"Can I know a decent error bound?"',
                "{cite:t}`mackinlay2019`; the answer is ours",
            ),
        ),
        conditions=(
            at_most(
                "gap_held",
                "the bound from 1,000 examples held out is at most {bound} above the test error",
                0.05,
            ),
            at_least(
                "least_slack",
                "none of the four bounds that are not vacuous is below the test error of its own "
                "classifier by more than {bound:abs}, three standard errors of 8,000 test "
                "pictures",
                -0.01,
            ),
            at_least(
                "held_first",
                "that from held-out examples is no larger than that of the best PAC-Bayes prior",
                0.0,
            ),
            at_most(
                "bound_few", "that of a network compressed to few bytes is at most {bound}", 0.35
            ),
            Condition(
                "norms",
                "that by the norms is vacuous, at least 1: its logarithm is at least {bound}",
                lambda result: float(np.log(max(float(result["bound_norms"]), 1e-9))),
                ">=",
                0.0,
                "ln of an error rate",
            ),
            at_least(
                "bound_count", "that by the number of weights is vacuous, at least {bound}", 1.0
            ),
        ),
        controls=(
            Control(
                "few-held-out",
                "most of the held-out examples: 40 are left",
                {"gap_held": 0.02, "held_first": 0.01},
                (
                    at_least(
                        "least_slack", "the bounds hold here too, to within {bound:abs}", -0.01
                    ),
                ),
            ),
            Control(
                "leak",
                "the rules: what should have been held out was learned from, with random labels",
                {"least_slack": 0.1},
                (
                    at_most(
                        "train_plain",
                        "the network fits its random labels, with at most {bound} errors",
                        0.2,
                    ),
                ),
            ),
            Control(
                "random-labels",
                "what there is to learn: labels are random",
                {"bound_few": 0.1},
                (
                    at_least(
                        "least_slack", "the bounds hold here too, to within {bound:abs}", -0.01
                    ),
                ),
            ),
            Control(
                "small-plane",
                "size and difficulty: no hidden layer, four pixels, and two easy classes",
                {"norms": 0.05, "bound_count": 0.4},
                (
                    at_most(
                        "train_plain", "the classes are learned, with at most {bound} errors", 0.05
                    ),
                ),
            ),
        ),
        disputed="A bound from held-out examples certifies and does not explain; and data that was "
        "held out is data not learned from.",
    ),
)

NAMES = (
    "1,000 examples held out",
    "PAC-Bayes, prior from half",
    "50 numbers, rounded",
    "PAC-Bayes, prior at the start",
    "norms of the weights",
    "number of the weights",
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """A ladder: each certificate beside the test error of its classifier, on a logarithmic axis."""
    results = list(runs[MAIN].values())
    colours = list(figures.COLOURS.values())
    rows = np.arange(len(NAMES))[::-1]
    with figures.style():
        drawn, axes = plt.subplots(figsize=(7.6, 3.9))
        for variant, quantity, marker, colour, label, up in (
            (MAIN, "test", "o", colours[0], "test error", 0.0),
            (MAIN, "certificate", "s", colours[1], "certificate", 0.0),
            ("random-labels", "certificate", "^", colours[3], "certificate, random labels", -0.24),
        ):
            if variant not in runs:
                continue
            values = np.array([result[quantity] for result in runs[variant].values()])
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
        axes.set_xticks((0.1, 0.2, 0.5, 1, 10, 100), ["0.1", "0.2", "0.5", "1", "10", "100"])
        axes.minorticks_off()
        axes.set_yticks(rows, NAMES)
        axes.legend(loc="center right", fontsize=9.5, bbox_to_anchor=(1.0, 0.6))
    return figures.Figure(
        drawn,
        label="fig-bounds-ladder",
        caption="Six certificates for one task, 4,000 pictures and 11,820 weights: each bound on "
        "the error beside the test error of the classifier that it is about. Triangles are the "
        "same certificates for random labels. Means and standard deviations over "
        f"{figures.count(len(results))}.",
        alt="Six rows on a logarithmic axis of error rates. Test errors lie between 0.10 and 0.14. "
        "The certificate from held-out examples lies at 0.13, the two PAC-Bayes bounds and that "
        "of the compressed network between 0.18 and 0.25, all left of the line of guessing at "
        "0.5; those by norms and by number of weights lie at about 100 and 3.4, in the shaded "
        "zone of vacuous bounds. With random labels none lies left of the line.",
    )
