"""Can the dropout rate be learned, and does it notice overfitting?

Gal, Hron and Kendall 2017 make the mask soft, so that the loss has a gradient in the rate p of each
layer, and descend

    log-loss under dropout + 1/n sum_l [ l2/2 |W_l|^2 / (1 - p_l) - K_l H(p_l) ],

with K_l units dropped from layer l, H(p) = -p ln p - (1 - p) ln(1 - p), and W_l such that kept
units are divided by 1 - p_l ({cite}`gal2017`). The entropy pulls each p to 1/2,
the log-loss pulls it to 0, and with n examples the first pull is n times weaker. We learn the rates
for several n, beside networks of fixed rates, and beside a rule that answers the question as it was
asked: raise p while the loss on examples held out is more than a tenth above the training loss.

What would refute it: a rate that does not fall as the examples grow in number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.evidence.claims import PARTLY, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Result
from whydeep.show import figures

PAGE = "mysterious-steps/overfitting-and-dropout"


@dataclass(frozen=True)
class Settings:
    """For each of ``examples`` a stack of networks: one that learns its rates, one whose rate the
    rule moves, and one of each ``fixed`` rate.

    Images have 14x14 pixels, means of 2x2. A share ``noise`` of the labels, in training and test,
    is drawn at random. Each network has two hidden layers of ``width`` units, both dropped, and
    takes ``steps`` steps of Adam on batches of ``batch`` examples. Learned rates start at
    ``start``; the mask's softness is ``temperature``. ``l2`` and ``entropy`` are the factors of the
    two penalties. The rule holds one example in five out, looks every ``every`` steps, and moves p
    by ``move``: up while the loss held out is more than ``tolerance`` above the training loss.
    """

    examples: tuple[int, ...] = (50, 500, 5000)
    fixed: tuple[float, ...] = (0.1, 0.4, 0.7)
    noise: float = 0.3
    width: int = 64
    steps: int = 400
    batch: int = 50
    lr: float = 0.003
    lr_rate: float = 0.05
    start: float = 0.1
    temperature: float = 0.1
    l2: float = 1.0
    entropy: float = 1.0
    every: int = 10
    move: float = 0.02
    tolerance: float = 0.1


SCALES = {"quick": Settings()}
VARIANTS = {"loss-alone": {"entropy": 0.0, "l2": 0.0}}
MOST = 0.9  # no rate goes higher: the kept units would be multiplied by more than 10


class Stack:
    """K networks 196 - width - width - 10 with a dropout rate for each hidden layer, (K, 2)."""

    def __init__(self, rates: list[float], width: int, generator: torch.Generator) -> None:
        sizes, k = (196, width, width, 10), len(rates)
        self.weights = [
            torch.randn(a, b, generator=generator).mul((2 / a) ** 0.5).repeat(k, 1, 1)
            for a, b in pairwise(sizes)
        ]
        self.biases = [torch.zeros(k, 1, b) for b in sizes[1:]]
        p = torch.tensor(rates)
        self.logits = torch.log(p / (1 - p))[:, None].repeat(1, 2)
        for tensor in self.parameters():
            tensor.requires_grad_()

    def parameters(self) -> list[Tensor]:
        return [*self.weights, *self.biases, self.logits]

    def outputs(
        self, x: Float[Tensor, "k n d"], masks: list[Tensor] | None = None
    ) -> Float[Tensor, "k n classes"]:
        """Logits; ``masks`` holds what each hidden layer is multiplied by, (k, n, width)."""
        for number, (w, b) in enumerate(zip(self.weights, self.biases, strict=True)):
            if number:
                x = torch.relu(x)
                x = x if masks is None else x * masks[number - 1]
            x = torch.baddbmm(b, x, w)
        return x


def soft_masks(
    logits: Float[Tensor, "k layers"],
    uniform: Float[Tensor, "layers k n width"],
    temperature: float,
) -> list[Tensor]:
    """For each layer 1 - z, over 1 - p: z near 1 (dropped) with probability p, and smooth in p.

    z = sigmoid((ln p - ln(1 - p) + ln u - ln(1 - u)) / temperature), u uniform on (0, 1): the
    concrete relaxation of Gal et al. 2017. At temperature 0 it is the mask.
    """
    noise = torch.logit(uniform, eps=1e-6)
    z = torch.sigmoid((logits.T[:, :, None, None] + noise) / temperature)
    return list((1 - z) / (1 - torch.sigmoid(logits)).T[:, :, None, None])


def penalty(stack: Stack, settings: Settings) -> Float[Tensor, "k"]:
    """The bracket of the module's formula, summed over the layers, per network."""
    p = torch.sigmoid(stack.logits)
    squares = [w.square().sum((1, 2)) for w in stack.weights]
    lengths = squares[0] + sum(s / (1 - p[:, i]) for i, s in enumerate(squares[1:]))
    entropy = -(p * torch.log(p) + (1 - p) * torch.log1p(-p)).sum(1)
    return settings.l2 / 2 * lengths - settings.entropy * settings.width * entropy


def losses(stack: Stack, x: Tensor, y: Tensor, masks: list[Tensor] | None = None) -> Tensor:
    """The mean log-loss of each network on its examples x (k, n, d), y (k, n): (k,)."""
    outputs = stack.outputs(x, masks)
    return F.cross_entropy(outputs.flatten(0, 1), y.flatten(), reduction="none").view_as(y).mean(1)


def fit(
    x: Float[Tensor, "n d"], y: Int64[Tensor, "n"], settings: Settings, generator: torch.Generator
) -> Stack:
    """Train the stack: member 0 learns its rates, member 1 follows the rule, the others are fixed.

    Member 1 trains on four examples in five. All start from the same weights and see batches of
    their own.
    """
    start, k, n = settings.start, 2 + len(settings.fixed), len(x)
    stack = Stack([start, start, *settings.fixed], settings.width, generator)
    weights = [*stack.weights, *stack.biases]
    optimiser = torch.optim.Adam(
        [{"params": weights, "lr": settings.lr}, {"params": [stack.logits], "lr": settings.lr_rate}]
    )
    training = n - n // 5
    sizes = torch.full((k, 1), float(n))
    sizes[1] = training
    for step in range(1, settings.steps + 1):
        rows = (torch.rand(k, settings.batch, generator=generator) * sizes).long()
        uniform = torch.rand(2, k, settings.batch, settings.width, generator=generator)
        masks = soft_masks(stack.logits, uniform, settings.temperature)
        loss = losses(stack, x[rows], y[rows], masks) + penalty(stack, settings) / sizes[:, 0]
        optimiser.zero_grad()
        loss.sum().backward()
        stack.logits.grad[1:] = 0
        optimiser.step()
        if step % settings.every == 0:
            _apply_rule(stack, x, y, training, settings)
    return stack


@torch.no_grad()
def _apply_rule(stack: Stack, x: Tensor, y: Tensor, training: int, settings: Settings) -> None:
    """Move the rate of member 1: up if its loss held out is too far above its training loss."""

    def loss(rows: slice) -> float:
        own = Stack.__new__(Stack)
        own.weights = [w[1:2] for w in stack.weights]
        own.biases = [b[1:2] for b in stack.biases]
        return float(losses(own, x[rows][None], y[rows][None])[0])

    seen = slice(max(0, training - 1000), training)
    up = loss(slice(training, None)) > (1 + settings.tolerance) * loss(seen)
    p = float(torch.sigmoid(stack.logits[1, 0])) + (settings.move if up else -settings.move)
    p = min(max(p, 0.01), MOST)
    stack.logits[1] = np.log(p / (1 - p))


def noisy_images(
    n: int, settings: Settings, chance: Chance
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """``n`` training examples and all 2,000 test examples: x (n, 196), labels partly random."""
    data, generator = fashion_mnist().subset(n, seed=chance.seed), chance.torch()
    parts = []
    for images, labels in ((data.train_x, data.train_y), (data.test_x, data.test_y)):
        x = (F.avg_pool2d(images, 2).flatten(1) - 0.29) / 0.33
        random = torch.randint(10, labels.shape, generator=generator)
        struck = torch.rand(len(labels), generator=generator) < settings.noise
        order = torch.randperm(len(labels), generator=generator)
        parts.append((x[order], torch.where(struck, random, labels)[order]))
    return parts[0], parts[1]


def run(settings: Settings, chance: Chance) -> Result:
    """The rates learned for each number of examples, and the test log-loss beside fixed rates.

    A rate learned is the mean over the two hidden layers. Networks are tested without dropout. Runs
    on the CPU whatever the ``device``.
    """
    generator = chance.torch()
    learned, ruled, rates, tests = [], [], [], []
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        for n in settings.examples:
            (x, y), (x_test, y_test) = noisy_images(n, settings, chance)
            stack = fit(x, y, settings, generator)
            with torch.no_grad():
                k = len(stack.logits)
                loss = losses(stack, x_test.expand(k, -1, -1), y_test.expand(k, -1))
                p = torch.sigmoid(stack.logits)
            learned.append(p[0].tolist())
            ruled.append(float(p[1, 0]))
            tests.append(loss.tolist())
    learned, tests = np.array(learned), np.array(tests)
    rates = learned.mean(1)
    # Entropy against a log-loss that grows as c p: p / (1 - p) = exp(-n c / K), c from the first n.
    odds = np.log(rates[0] / (1 - rates[0])) * np.array(settings.examples) / settings.examples[0]
    best = tests[:, 2:].min(1)
    nats, over = "nats a test example", "excess over the best fixed rate's loss"
    return Result(
        examples=(np.array(settings.examples), "training examples"),
        fixed=(np.array(settings.fixed), "rate"),
        rate=(rates, "rate"),
        rate_first_layer=(learned[:, 0], "rate"),
        rate_second_layer=(learned[:, 1], "rate"),
        rate_theory=(1 / (1 + np.exp(-odds)), "rate"),
        rate_rule=(np.array(ruled), "rate"),
        rate_best_fixed=(np.array(settings.fixed)[tests[:, 2:].argmin(1)], "rate"),
        loss_learned=(tests[:, 0], nats),
        loss_rule=(tests[:, 1], nats),
        loss_fixed=(tests[:, 2:].ravel(), nats),
        loss_best_fixed=(best, nats),
        rate_fewest=(rates[0], "rate"),
        rate_most=(rates[-1], "rate"),
        fall=(rates[0] - rates[-1], "rate"),
        excess=(float((tests[:, 0] / best).max() - 1), over),
        excess_most=(tests[-1, 0] / best[-1] - 1, over),
        excess_rule=(
            float((tests[:, 1] / best).max() - 1),
            over,
        ),
    )


CLAIMS = (
    Claim(
        id="gal2017-adaptive-rate",
        cite="gal2017",
        sentence="The dropout rate can be learned through a relaxed mask and a variational "
        "objective, and fewer examples give a higher rate.",
        kind="effect",
        expected=PARTLY,
        missed=("excess",),
        paper=(
            (
                "what the method is for",
                "automatic tuning of the dropout probability in large models",
                "{cite:t}`gal2017`, abstract",
            ),
        ),
        conditions=(
            at_least(
                "fall",
                "the rate learned from 50 examples exceeds that from 5,000 by {bound} or more",
                0.2,
            ),
            at_most(
                "excess",
                "for every number of examples the test loss is within {bound:%} % of that of the "
                "best fixed rate",
                0.05,
            ),
        ),
        controls=(
            Control(
                "loss-alone",
                "the variational objective: the rates descend the loss under dropout alone",
                {"fall": 0.1, "excess": 0.1},
                (
                    at_most(
                        "excess_most",
                        "from 5,000 examples it learns as well as the best fixed rate, within "
                        "{bound:%} %",
                        0.1,
                    ),
                ),
            ),
        ),
        disputed="The rate depends on what the prior says of the weights, which somebody chooses. "
        "And another variational account of dropout learns a rate for every weight, not for a "
        "layer {cite}`kingma2015`.",
    ),
)


def figure(runs: Mapping[str, Mapping[int, Result]]) -> figures.Figure:
    """The rates learned, by number of examples, and the test loss beside that of fixed rates."""
    results = list(runs[MAIN].values())
    n, colours = results[0]["examples"], list(figures.COLOURS.values())

    def values(quantity: str, variant: str = MAIN) -> np.ndarray:
        return np.array([result[quantity] for result in runs[variant].values()])

    rule = {"color": colours[2], "marker": "^", "linestyle": (0, (2, 1.5))}
    with figures.style():
        drawn, axes = plt.subplots(1, 2, figsize=(8.6, 3.6))
        figures.band(axes[0], n, values("rate"), label="learned")
        if "loss-alone" in runs:
            alone = values("rate", "loss-alone")
            figures.band(axes[0], n, alone, label="learned from the loss alone")
        figures.band(axes[0], n, values("rate_rule"), label="rule", **rule)
        first = values("rate_fewest").mean()
        between = np.geomspace(n[0], n[-1], 60)
        balance = 1 / (1 + ((1 - first) / first) ** (between / n[0]))
        axes[0].plot(between, balance, **figures.THEORY, label="entropy against loss")
        axes[0].set(ylabel="dropout rate", ylim=(-0.03, 1.55))
        axes[0].set_yticks((0, 0.25, 0.5, 0.75, 1))
        figures.band(axes[1], n, values("loss_learned"), label="learned")
        best = {"color": colours[3], "marker": "D", "linestyle": "-"}
        figures.band(axes[1], n, values("loss_best_fixed"), label="best fixed rate", **best)
        figures.band(axes[1], n, values("loss_rule"), label="rule", **rule)
        axes[1].set(ylabel="test loss (nats)", ylim=(1.2, None))
        for panel in axes:
            panel.set(xlabel="training examples", xscale="log")
            panel.set_xticks(n, [f"{count:,}" for count in n])
            panel.minorticks_off()
            panel.legend(fontsize=9, loc="upper right")
    seeds = len(results)
    return figures.Figure(
        drawn,
        label="fig-learned-rate",
        caption="Left, the dropout rate that concrete dropout learns, the one that it learns "
        "without its penalties, and the one that a rule finds which raises the rate while the loss "
        "held out is a tenth above the training loss; dashed, the balance of entropy and loss with "
        "its constant taken from 50 examples. Right, the test loss of each, beside the best of the "
        "fixed rates. Three labels in ten are drawn at random. Means and standard deviations over "
        f"{figures.count(seeds)}.",
        alt="Two panels against 50, 500 and 5,000 training examples. Left, the learned rate drops "
        "from above one third to almost zero already at 500 examples, near the dashed curve; "
        "without the penalties it is near zero throughout; the rule goes from 0.9 to about 0.3. "
        "Right, at 500 examples the loss of the learned rate lies far above that of the best fixed "
        "rate and of the rule; at 5,000 all agree.",
    )
