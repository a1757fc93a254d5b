"""Does spectral complexity over margin see random labels, and is the bound made of it of any use?

Bartlett, Foster and Telgarsky ({cite}`bartlett2017`) bound the error of a network by R_A / margin,
where R_A is the product of the layers' spectral norms times a correction. They report that R_A
follows the excess risk (test minus training error) through training, for true and for random
labels. We train ReLU networks without biases on two kinds of pictures, a share of whose labels is
random, and compute R_A, its rivals and the value of the bound, in the units of an error rate.

What would refute it: a complexity over margin that is no larger for random labels than for true
ones, or one that does not follow the excess risk. That the bound is vacuous here would be refuted
by a value below 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy.stats import spearmanr
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.datasets import fashion_mnist
from whydeep.descent import Trained, corrupt_labels, train
from whydeep.evidence.claims import REPRODUCED, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.labs import bounds, norms
from whydeep.networks import Dense
from whydeep.show import figures

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/generalization/bounds-vacuous-and-not"


@dataclass(frozen=True)
class Settings:
    """``examples`` pictures of 14x14 pixels, scaled to ``length``, drawn afresh by every seed.

    Their label says whether they belong to the last five classes of ten, or, with ``classes``, to
    the second one of two. ``hidden`` are the widths of the hidden layers. Every one of the
    ``shares`` of labels is replaced by a coin's fall in one network. ``quantile`` is the share of
    training margins below the margin gamma, ``looks`` the number of looks at the networks while
    they train. ``measure`` is "spectral" or, against the claim, "margin": no norms at all.
    """

    examples: int = 240
    length: float = 3.0
    classes: tuple[int, int] | None = None
    hidden: tuple[int, ...] = (64, 64)
    shares: tuple[float, ...] = (0.0, 0.25, 0.5, 1.0)
    steps: int = 900
    batch_size: int = 120
    lr: float = 0.1
    momentum: float = 0.9
    quantile: float = 0.1
    looks: int = 8
    delta: float = 0.05
    measure: str = "spectral"


SCALES = {"quick": Settings()}
VARIANTS = {
    "margin-only": {"measure": "margin"},
    "one-pass": {"examples": 10_000, "batch_size": 50, "steps": 200, "lr": 0.05},
    "plane": {"classes": (1, 5), "hidden": ()},
}


def pictures(
    settings: Settings, seed: Chance
) -> tuple[tuple[Tensor, Tensor], tuple[Float[Tensor, "m d"], Int[Tensor, "m"]]]:
    """Training and test pictures (n, 196), each ``length`` long, with labels 0 and 1."""
    data, parts = fashion_mnist(), []
    wanted = settings.classes
    for x, y in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        if wanted is not None:
            rows = (y == wanted[0]) | (y == wanted[1])
            x, y = x[rows], (y[rows] == wanted[1]).long()
        else:
            y = (y >= 5).long()
        x = settings.length * F.normalize(F.avg_pool2d(x, 2).flatten(1), dim=1)
        parts.append((x, y))
    (x, y), test = parts
    chosen = seed.numpy().permutation(len(y))[: settings.examples]
    return (x[chosen], y[chosen]), test


def log_loss_of_one(outputs: Float[Tensor, "k n 1"], y: Float[Tensor, "k n 1"]) -> Tensor:
    """The log-loss ln(1 + exp(-y f)) per example, for one output f and labels y of -1 or 1."""
    return F.softplus(-outputs * y).squeeze(-1)


def fit(settings: Settings, seed: Chance) -> tuple[Trained, Tensor, Int[Tensor, "k n"]]:
    """A network for each share of random labels: the stack, the inputs and the labels it saw.

    ``history`` has the training error, the test error under the same noise, the margin gamma and
    the four complexities (spectral, Frobenius, path, sums of magnitudes) at every look.
    """
    (x, y), (x_test, y_test) = pictures(settings, seed)
    k = len(settings.shares)
    labels = corrupt_labels(y, settings.shares, [seed] * k, 2)
    flipped = torch.tensor(settings.shares, dtype=torch.float64) / 2

    def look(trained: Trained) -> Tensor:
        margins = norms.margins(trained.outputs(x).cpu(), labels).double()
        clean = norms.margins(trained.outputs(x_test).cpu(), y_test.expand(k, -1)) <= 0
        clean = clean.double().mean(1)
        layers = [w.cpu().double() for w in norms.matrices(trained.parameters)]
        sums = torch.stack([norms.largest_sum(w) for w in layers]).prod(0)
        return torch.stack(
            [
                (margins <= 0).double().mean(1),
                # The chance of an error when the label to be met is flipped with this probability.
                flipped + (1 - 2 * flipped) * clean,
                margins.quantile(settings.quantile, dim=1),
                norms.spectral_complexity(layers),
                norms.frobenius_complexity(layers),
                norms.path_norm(layers),
                sums,
            ],
            dim=1,
        )

    looks = np.geomspace(settings.steps / 50, settings.steps, settings.looks)
    trained = train(
        partial(Dense, (x.shape[1], *settings.hidden, 1)),
        x,
        (2 * labels - 1).float().unsqueeze(-1),
        seeds=[seed] * k,
        lr=settings.lr,
        steps=settings.steps,
        batch_size=settings.batch_size,
        momentum=settings.momentum,
        trainable=("*weight",),  # no biases: the theorems know of none
        loss=log_loss_of_one,
        measure={"look": look},
        measure_at=sorted({int(step) for step in looks}),
        device=device,
    )
    return trained, x, labels


def run(settings: Settings, seed: Chance) -> Result:
    """The complexities over the margin, as parts of an error rate, for each share of random labels.

    ``bare_*`` is what is left of a bound without its constants and logarithms: complexity times
    length / (margin sqrt(n)). ``proved`` has them.
    """
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        trained, x, _ = fit(settings, seed, device)
    seen = trained.history["look"].numpy().transpose(2, 0, 1)
    train_error, test_error, margin, spectral, frobenius, path, sums = seen
    n, gamma = settings.examples, margin[:, -1]
    scale = settings.length / (gamma * np.sqrt(n))
    complexity = spectral if settings.measure == "spectral" else 1 / np.abs(margin)
    bare = scale * spectral[:, -1] if settings.measure == "spectral" else scale
    excess = test_error - train_error
    tracking = [spearmanr(c, e).statistic for c, e in zip(complexity, excess, strict=True)]
    largest = float(x.square().mean(0).max().sqrt())
    widths, depth = (x.shape[1], *settings.hidden), len(settings.hidden) + 1
    weights = sum(a * b for a, b in zip(widths, (*settings.hidden, 1), strict=True))
    proved = [
        bounds.by_margin(
            settings.quantile,
            bounds.of_lengths(r, settings.length, max(widths), n, g),
            1.0,
            n,
            settings.delta,
        )
        for r, g in zip(spectral[:, -1], gamma, strict=True)
    ]
    share = "error rate"
    return Result(
        shares=(np.array(settings.shares), "share of random labels"),
        steps=(np.array(trained.measured_at), "steps"),
        train_error=(train_error, "fraction of examples"),
        test_error=(test_error, "fraction of test examples"),
        complexity=(complexity, "R_A"),
        final_test_error=(test_error[:, -1], "fraction of test examples"),
        excess=(excess[:, -1], "fraction of examples"),
        margin=(gamma, "output"),
        bare=(bare, share),
        bare_frobenius=(scale * frobenius[:, -1], share),
        bare_sums=(largest / settings.length * scale * sums[:, -1], share),
        path=(path[:, -1] * scale, share),
        proved=(np.array(proved), share),
        proved_frobenius=(
            np.array(
                [
                    bounds.by_margin(
                        settings.quantile,
                        bounds.of_frobenius(f, settings.length, depth, n),
                        g,
                        n,
                        settings.delta,
                    )
                    for f, g in zip(frobenius[:, -1], gamma, strict=True)
                ]
            ),
            share,
        ),
        weights=(weights, "weights"),
        ratio=(bare[-1] / bare[0], "ratio"),
        half_ratio=(bare[-1] / bare[-2], "ratio"),
        tracking=(float(np.mean(tracking)), "rank correlation"),
        bare_true=(bare[0], share),
        proved_true=(proved[0], share),
        worst_fit=(train_error[:, -1].max(), "fraction of examples"),
        fit_true=(train_error[0, -1], "fraction of examples"),
        growth=(spectral[0, -1] / spectral[0, 0], "ratio"),
    )


CLAIMS = (
    Claim(
        id="bartlett2017-spectral-margin",
        cite="bartlett2017",
        sentence="The spectral complexity of a network over its margin bounds the excess risk, is "
        "larger for random labels than for true ones, and follows the excess risk through "
        "training; as a number the bound is vacuous.",
        kind="effect",
        expected=REPRODUCED,
        paper=(
            (
                "bound, up to constants and logarithms",
                "$\\lVert X \\rVert_F R_A / (\\gamma n)$",
                "{cite:t}`bartlett2017`, Theorem 1.1",
            ),
            (
                "complexity and excess risk, true and random labels",
                "in direct correlation",
                "abstract and Figure 1, for AlexNet on CIFAR-10",
            ),
        ),
        conditions=(
            Condition(
                "separates",
                "random labels in place of true ones raise $R_A / \\gamma$: the logarithm of the "
                "ratio is at least {bound}, a factor of {bound:e^}",
                lambda result: float(np.log(max(float(result["ratio"]), 1e-9))),
                ">=",
                0.25,
                "ln of a ratio",
            ),
            at_least(
                "tracking",
                "along training $R_A$ and the excess risk are ranked alike: a rank correlation of "
                "at least {bound}, on average over the shares of random labels",
                0.8,
            ),
            at_least(
                "bare_true",
                "for true labels the bound is vacuous even without its constants and logarithms: "
                "at least {bound}, where no error rate exceeds 1",
                10.0,
            ),
        ),
        controls=(
            Control(
                "margin-only",
                "the norms: what is compared is one over the margin",
                {"separates": 0.05, "tracking": 0.5},
                (
                    at_most(
                        "worst_fit",
                        "all networks fit their labels, with at most {bound} errors in training",
                        0.02,
                    ),
                ),
            ),
            Control(
                "one-pass",
                "the second look at an example: 10,000 examples, each seen once, so that nothing "
                "is overfitted",
                {"tracking": 0.3},
                (at_least("growth", "$R_A$ grows here too, by a factor of {bound} or more", 1.5),),
            ),
            Control(
                "plane",
                "depth and difficulty: no hidden layer, and two classes that a plane separates",
                {"bare_true": 5.0},
                (
                    at_most(
                        "fit_true",
                        "true labels are fitted, with at most {bound} errors in training",
                        0.02,
                    ),
                ),
            ),
        ),
        disputed="Such bounds can grow with the number of examples while the error falls "
        "{cite}`nagarajan2019`, and over many hyperparameters spectral measures go against the "
        "error rather than with it {cite}`jiang2020`.",
    ),
)

SHOWN = {
    "bare": "spectral, without constants",
    "bare_frobenius": "Frobenius, without constants",
    "bare_sums": "sums of magnitudes, without constants",
    "proved_frobenius": "Frobenius, as proved",
    "proved": "spectral, as proved",
    "final_test_error": "test error",
}


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """The values of the bounds beside the error they bound; complexity beside excess risk."""
    results = list(runs[MAIN].values())
    shares = results[0]["shares"]
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.8, 4.1), width_ratios=(1.15, 1))
        for name, label in SHOWN.items():
            values = np.array([result[name] for result in results])
            figures.band(axes[0], shares, values, label=label)
        axes[0].axhline(1, **figures.THEORY)
        axes[0].text(0.5, 1.25, "above this line: vacuous", ha="center", fontsize=9)
        axes[0].set(
            yscale="log",
            ylim=(0.05, 6e7),
            xlabel="share of random labels",
            ylabel="error rate",
            title="Bounds and what they bound",
        )
        axes[0].legend(loc="upper center", fontsize=8.5, ncols=2, columnspacing=1.0)
        for i, share in enumerate(shares):
            excess = np.array(
                [result["test_error"][i] - result["train_error"][i] for result in results]
            )
            complexity = np.array([result["complexity"][i] for result in results]).mean(0)
            figures.band(axes[1], complexity, excess, label=f"{share:.0%} random")
        axes[1].set(
            xscale="log",
            xlabel="spectral complexity $R_A$",
            ylabel="test minus training error",
            title="Along training",
        )
        axes[1].legend(loc="upper left", fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-bounds-spectral",
        caption="Left, the values of three bounds for trained ReLU networks against the share of "
        "random labels, without constants and logarithms and, for two of them, as proved, beside "
        "the test error. Right, each line is one share of random labels: spectral complexity and "
        "excess risk at eight moments of training. Means and standard deviations over "
        f"{figures.count(len(results))}.",
        alt="Two panels. Left, on a logarithmic axis, the test error rises from about 0.1 to 0.5 "
        "with the share of random labels; the bounds lie between ten and a few hundred without "
        "constants, and between a hundred and several hundred thousand as proved, and rise "
        "too. Right, four rising lines: complexity and excess risk grow together along training, "
        "the steeper the more labels are random.",
    )


def explorer(runs: Mapping[str, Mapping[int, Result]]) -> SweepExplorer:
    """The values of the bounds and the test error against the share of random labels."""
    from whydeep.widgets import Axis, Prediction, SweepExplorer  # pages need it, the CLI does not

    return SweepExplorer.from_runs(
        runs,
        key="bounds",
        title="Three bounds and the test error, against the share of random labels",
        about="Move along the share of random labels and read off each bound beside the error it "
        "bounds. No error rate exceeds 1: by which factor is the best of them off, and does its "
        "curve at least have the right shape?",
        series={"final_test_error": "test error"}
        | {name: label for name, label in SHOWN.items() if name != "final_test_error"},
        variants={MAIN: "two hidden layers"},
        sweep=Axis("share of random labels"),
        sweep_values="shares",
        y=Axis("error rate", log=True),
        predict=Prediction(
            "A network has two hidden layers of 64 units and fits 240 examples with true labels; "
            "its test error is about 0.12. What does the theorem with spectral norms prove about "
            "its error, constants included?",
            (
                "It is at most about 0.5",
                "It is at most about 10",
                "It is at most about 100,000",
            ),
            2,
            "The theorem holds, and an error of at most 100,000 is no news. Without constants and "
            "logarithms the value is still in the hundreds.",
        ),
    )
