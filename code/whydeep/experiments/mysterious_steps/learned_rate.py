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

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import adam, descend, log_loss, times
from whydeep.descent.loop import Weights
from whydeep.evidence.claims import IN_PART, Claim, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.labs.thinned import outputs
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels, ticks

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


def start(rates: Sequence[float], width: int, generator: torch.Generator) -> Weights:
    """Networks 196 - width - width - 10, one for each rate: W_1, b_1, ..., V, b as `outputs` has
    them, and last the logits of the dropout rate of each hidden layer, (k, 2)."""
    k, weights = len(rates), []
    for inputs, units in pairwise((196, width, width, 10)):
        w = torch.randn(inputs, units, generator=generator).mul((2 / inputs) ** 0.5)
        weights += [w.repeat(k, 1, 1), torch.zeros(k, 1, units)]
    p = torch.tensor(rates)
    return [*weights, torch.log(p / (1 - p))[:, None].repeat(1, 2)]


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


def penalty(weights: Weights, settings: Settings) -> Float[Tensor, " k"]:
    """The bracket of the module's formula, summed over the layers, per network."""
    *layers, logits = weights
    p = torch.sigmoid(logits)
    squares = [w.square().sum((1, 2)) for w in layers[::2]]
    lengths = squares[0] + sum(s / (1 - p[:, i]) for i, s in enumerate(squares[1:]))
    entropy = -(p * torch.log(p) + (1 - p) * torch.log1p(-p)).sum(1)
    return settings.l2 / 2 * lengths - settings.entropy * settings.width * entropy


def losses(
    weights: Weights, x: Tensor, y: Int64[Tensor, "k n"], masks: Sequence[Tensor] = ()
) -> Float[Tensor, " k"]:
    """The mean log-loss of each network on its examples x (k, n, d), or shared ones (n, d)."""
    return log_loss(outputs(weights[:-1], x, masks), y).mean(1)


def fit(
    x: Float[Tensor, "n d"], y: Int64[Tensor, " n"], settings: Settings, generator: torch.Generator
) -> Weights:
    """Train the stack: member 0 learns its rates, member 1 follows the rule, the others are fixed.

    Member 1 trains on four examples in five. All start from the same weights and see batches of
    their own.
    """
    n, rates = len(x), [settings.start, settings.start, *settings.fixed]
    k, training = len(rates), n - n // 5
    sizes = torch.full((k, 1), float(n))
    sizes[1] = training
    weights = start(rates, settings.width, generator)

    def draw() -> Iterator[tuple[Int64[Tensor, "k b"], Float[Tensor, "2 k b width"]]]:
        """Rows for each network, and uniform numbers for its masks."""
        while True:
            rows = (torch.rand(k, settings.batch, generator=generator) * sizes).long()
            yield rows, torch.rand(2, k, settings.batch, settings.width, generator=generator)

    def loss(w: Weights, drawn: tuple[Tensor, Tensor]) -> Float[Tensor, " k"]:
        rows, uniform = drawn
        masks = soft_masks(w[-1], uniform, settings.temperature)
        return losses(w, x[rows], y[rows], masks) + penalty(w, settings) / sizes[:, 0]

    # A rate of its own for the logits, of which only those of member 0 learn.
    learns = settings.lr_rate * (torch.arange(k) == 0)[:, None]
    rates_of = [*[settings.lr] * (len(weights) - 1), learns]
    found, _ = descend(
        weights,
        loss,
        draw(),
        steps=settings.steps,
        lr=1.0,
        rule=(adam(), times(lambda now: rates_of)),
        look=lambda w: _apply_rule(w, x, y, training, settings),
        look_at=range(settings.every, settings.steps + 1, settings.every),
    )
    return found


def _apply_rule(w: Weights, x: Tensor, y: Tensor, training: int, settings: Settings) -> None:
    """Move the rate of member 1: up if its loss held out is too far above its training loss."""

    def loss(rows: slice) -> float:
        return float(losses([part[1:2] for part in w], x[rows], y[None, rows])[0])

    seen = slice(max(0, training - 1000), training)
    up = loss(slice(training, None)) > (1 + settings.tolerance) * loss(seen)
    p = float(torch.sigmoid(w[-1][1, 0])) + (settings.move if up else -settings.move)
    p = min(max(p, 0.01), MOST)
    w[-1][1] = np.log(p / (1 - p))


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
    on the CPU.
    """
    generator = chance.torch()
    learned, ruled, tests = [], [], []
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        for n in settings.examples:
            (x, y), (x_test, y_test) = noisy_images(n, settings, chance)
            weights = fit(x, y, settings, generator)
            p = torch.sigmoid(weights[-1])
            learned.append(p[0].tolist())
            ruled.append(float(p[1, 0]))
            tests.append(losses(weights, x_test, y_test.expand(len(p), -1)).tolist())
    rates, tests = np.array(learned).mean(1), np.array(tests)
    best = tests[:, 2:].min(1)
    off = tests / best[:, None] - 1
    nats, over = "nats a test example", "excess over the best fixed rate's loss"
    axes = {"examples": settings.examples}
    return Result(
        examples=(settings.examples, "training examples"),
        rate=Quantity(rates, "rate", **axes),
        rate_rule=Quantity(ruled, "rate", **axes),
        loss_learned=Quantity(tests[:, 0], nats, **axes),
        loss_rule=Quantity(tests[:, 1], nats, **axes),
        loss_best_fixed=Quantity(best, nats, **axes),
        fall=(rates[0] - rates[-1], "rate"),
        excess=(off[:, 0].max(), over),
        excess_most=(off[-1, 0], over),
        excess_rule=(off[:, 1].max(), over),
    )


CLAIMS = (
    Claim(
        id="gal2017-adaptive-rate", title="Can the dropout rate be learned?",
        cite="gal2017", kind="effect", expected=IN_PART,
        says="A relaxed mask and a variational objective allow for automatic tuning of the "
        "dropout rate, in place of a search over rates (abstract), and more examples give a lower "
        "rate.",
        missed=("excess",),
        tested="50, 500 and 5,000 pictures of clothes, 14 by 14, 30 % of their labels drawn at "
        "random, two hidden layers of 64 units, 400 steps of Adam; beside it three fixed rates.",
        so="The learned rate is {num}`mysterious-steps/learned-rate rate[0] .2f` from 50 examples "
        "and {num}`mysterious-steps/learned-rate rate[-1] .3f` from 5,000; but its test loss "
        "exceeds that of the best fixed rate by {num}`gal2017-adaptive-rate:excess .0%` where it "
        "does worst.",
        caveat="That the rate falls with the examples is close to what the objective says, which "
        "divides the pull towards one half by their number. A rule without theory, which looks at "
        "examples held out, stays within {num}`gal2017-adaptive-rate:excess_rule .0%`. The network "
        "is tested without dropout, the paper's with it, and the prior is ours.",
        paper=(
            ("what the method is for", "automatic tuning of the dropout probability in large "
             "models", "{cite:t}`gal2017`, abstract"),
        ),
        decides=(
            at_least("fall", "the rate learned from 50 examples exceeds that from 5,000 by "
                     "{bound} or more", 0.2, none=0.0,
                     because="from 0.3 to 0.1, say: another network"),
            at_most("excess", "for every number of examples the test loss is within {bound:%} % "
                    "of that of the best fixed rate", 0.05, none=0.05,
                    because="a twentieth of the loss is what a coarse search loses"),
        ),
        mechanism=(
            at_most("excess_rule", "so is that of a rule that looks at examples held out, within "
                    "{bound:%} %", 0.1, none=0.1),
        ),
        controls=(
            Control(
                "loss-alone", "the variational objective: the rates descend the loss under "
                "dropout alone", ("fall", "excess"),
                (
                    at_most("excess_most", "from 5,000 examples it learns as well as the best "
                            "fixed rate, within {bound:%} %", 0.1),
                ),
            ),
        ),
        limits="The rate depends on what the prior says of the weights, which somebody chooses. "
        "And another variational account of dropout learns a rate for every weight, not for a "
        "layer {cite}`kingma2015`.",
        changes=("Both bounds as before. Outside of the margin of the best fixed rate is the "
                 "opposite of what is said now, and not only a miss.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """The rates learned, by number of examples, and the test loss beside that of fixed rates."""
    n, colours = first(runs, "examples"), list(figures.COLOURS.values())
    rule = {"color": colours[2], "marker": "^", "linestyle": (0, (2, 1.5))}
    best = {"color": colours[3], "marker": "D", "linestyle": "-"}
    rates = over_seeds(runs, "rate")
    with panels(2, size=(8.6, 3.6)) as (drawn, axes):
        figures.band(axes[0], n, rates, label="learned")
        if "loss-alone" in runs:
            alone = over_seeds(runs, "rate", "loss-alone")
            figures.band(axes[0], n, alone, label="learned from the loss alone")
        figures.band(axes[0], n, over_seeds(runs, "rate_rule"), label="rule", **rule)
        # Entropy against a log-loss that grows as c p: p / (1 - p) = exp(-n c / K), with c from
        # the fewest examples.
        fewest, between = rates[:, 0].mean(), np.geomspace(n[0], n[-1], 60)
        balance = 1 / (1 + ((1 - fewest) / fewest) ** (between / n[0]))
        axes[0].plot(between, balance, **figures.THEORY, label="entropy against loss")
        axes[0].set(ylabel="dropout rate", ylim=(-0.03, 1.55))
        axes[0].set_yticks((0, 0.25, 0.5, 0.75, 1))
        for quantity, label, style in (
            ("loss_learned", "learned", {}),
            ("loss_best_fixed", "best fixed rate", best),
            ("loss_rule", "rule", rule),
        ):
            figures.band(axes[1], n, over_seeds(runs, quantity), label=label, **style)
        axes[1].set(ylabel="test loss (nats)", ylim=(1.2, None))
        for panel in axes:
            panel.set(xlabel="training examples", xscale="log")
            ticks(panel, n, [f"{count:,}" for count in n])
            panel.legend(fontsize=9, loc="upper right")
    return figures.Figure(
        drawn,
        label="fig-learned-rate",
        caption="Left, the dropout rate that concrete dropout learns, the one that it learns "
        "without its penalties, and the one that a rule finds which raises the rate while the loss "
        "held out is a tenth above the training loss; dashed, the balance of entropy and loss with "
        "its constant taken from 50 examples. Right, the test loss of each, beside the best of the "
        "fixed rates. Three labels in ten are drawn at random. Means and standard deviations over "
        f"{figures.count(len(rates))}.",
        alt="Two panels against 50, 500 and 5,000 training examples. Left, the learned rate drops "
        "from above one third to almost zero already at 500 examples, near the dashed curve; "
        "without the penalties it is near zero throughout; the rule goes from 0.9 to about 0.3. "
        "Right, at 500 examples the loss of the learned rate lies far above that of the best fixed "
        "rate and of the rule; at 5,000 all agree.",
    )
