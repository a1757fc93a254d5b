"""Do all runs of a large network end alike?

Choromanska and co-authors ({cite}`choromanska2015`) train many networks with one hidden layer from
different starts: the larger the network, the closer together their losses, and the less a run's
training loss says about its test loss; only small networks have starts that end badly. We train
stacks of networks of 2 to 50 hidden units on scikit-learn's digits.

What would refute it: test losses that spread over the starts as widely at 50 units as at 2, or
training losses that tell the test losses as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.descent import SGD, mean_loss, train
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Runs, compare, panels, ticks

PAGE = "theory-survey/sgd/are-networks-spin-glasses"
STARTS = 6


@dataclass(frozen=True)
class Settings:
    """``networks`` of each of ``widths`` hidden ReLU units, on ``examples`` digits.

    With ``grow`` "inputs" every network has only the smallest number of hidden units; instead the
    inputs grow, by products of two pixels, until there are as many weights.
    """

    widths: tuple[int, ...] = (2, 5, 12, 50)
    networks: int = 30
    examples: int = 400
    grow: str = "units"
    sgd: SGD = SGD(lr=0.05, epochs=25, batch=50, momentum=0.9)


SCALES = {"quick": Settings()}
VARIANTS = {"more-inputs": {"grow": "inputs", "widths": (2, 50)}}


def weights(inputs: int, units: int, classes: int = 10) -> int:
    """The number of weights of a dense network with one hidden layer, biases included."""
    return (inputs + 1) * units + (units + 1) * classes


def with_products(
    x: Float[Tensor, "n d"], inputs: int, generator: torch.Generator
) -> Float[Tensor, "n inputs"]:
    """x and products of two of its columns, drawn at random, together as large as x is."""
    more = inputs - x.shape[1]
    if more <= 0:
        return x
    i, j = torch.randint(x.shape[1], (2, more), generator=generator)
    products = x[:, i] * x[:, j]
    products = (products - products.mean()) / products.std()
    return torch.cat([x, products * (x.shape[1] / more) ** 0.5], 1)


def correlation(a: Float[np.ndarray, " k"], b: Float[np.ndarray, " k"]) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(a, b)[0, 1])


def run(settings: Settings, chance: Chance) -> Result:
    """Training and test loss of every network of every width, their spread and correlation.

    ``orders_share`` is the spread over batch orders alone, from each of ``STARTS`` starts and at
    the smallest width, as a share of the spread there over starts and orders together. Runs on the
    CPU.
    """
    data = digits().subset(settings.examples, seed=chance.seed)
    x, x_test = data.train_x.flatten(1), data.test_x.flatten(1)
    mean, sd = x.mean(), x.std()
    x, x_test = (x - mean) / sd, (x_test - mean) / sd
    members, fewest, sgd = chance.members(settings.networks), settings.widths[0], settings.sgd

    def ends(inputs: int, units: int, starts: Sequence[Chance]) -> Float[np.ndarray, "2 k"]:
        """Training and test losses of a stack, a start and an order of batches for each member."""
        grown, grown_test = (with_products(z, inputs, chance.torch()) for z in (x, x_test))
        trained = train(
            partial(Dense, (inputs, units, 10)),
            grown,
            data.train_y,
            seeds=members,
            starts=starts,
            lr=sgd.lr,
            momentum=sgd.momentum,
            epochs=sgd.epochs,
            batch_size=sgd.batch,
            device="cpu",
        )
        measures = mean_loss(grown, data.train_y), mean_loss(grown_test, data.test_y)
        return np.stack([measure(trained).double() for measure in measures])

    found = []
    for width in settings.widths:
        if settings.grow == "inputs":
            # (d + 1) h + (h + 1) 10 weights: as many as 64 inputs and ``width`` units have.
            inputs = (weights(64, width) - (fewest + 1) * 10) // fewest - 1
            found.append(ends(inputs, fewest, members))
        else:
            found.append(ends(64, width, members))
    losses = np.stack(found, 1)  # (training or test, width, network)
    mean, spread = losses.mean(-1), losses[1].std(-1, ddof=1)
    orders = {}
    if settings.grow == "units":
        few = [members[i % STARTS] for i in range(settings.networks)]
        test = ends(64, fewest, few)[1].reshape(-1, STARTS)  # rows are orders, columns starts
        within = np.sqrt(np.square(test.std(axis=0, ddof=1)).mean())
        orders = {"orders_share": (within / spread[0], "ratio of standard deviations")}
    correlations = np.array([correlation(*losses) for losses in found])
    of, by = {"examples": ("train", "test")}, {"units": [f"{w} units" for w in settings.widths]}
    return Result(
        widths=(np.array(settings.widths), "hidden units"),
        weights=(np.array([weights(64, width) for width in settings.widths]), "weights"),
        loss=Quantity(losses.astype(np.float32), "nats", **of, **by, network=None),
        mean=Quantity(mean, "nats", **of, **by),
        spread=Quantity(spread, "nats", **by),
        narrowing=(spread[-1] / spread[0], "ratio of standard deviations"),
        correlation=Quantity(correlations, "correlation", **by),
        correlation_ratio=(correlations[-1] / correlations[0], "ratio of correlations"),
        worst_to_best=(losses[1, -1].max() / losses[1, 0].min(), "ratio of test losses"),
        **orders,
    )


def from_twelve(result: Result) -> float:
    """The spread at the largest size over that at the size before: 12 hidden units."""
    return float(result["spread"][-1] / result["spread"][-2])


CLAIMS = (
    Claim(
        id="choromanska2015-concentration",
        cite="choromanska2015", kind="effect", expected=SHOWN,
        title="Do all runs of a large network end alike?",
        says="Runs of a large network end at almost the same, good test loss, while those of "
        "a small one can end badly; and the larger the network, the less its training loss says "
        "about its test loss (abstract and experiments).",
        tested="30 starts of networks of 2 to 50 hidden ReLU units on 400 of scikit-learn's "
        "digits, 25 epochs.",
        so="From 2 to 50 hidden units the standard deviation of the test loss over starts falls to "
        "{num}`theory-survey/sgd/width-and-spread narrowing .3f ±` of what it was, and the "
        "correlation of training and test loss from "
        "{num}`theory-survey/sgd/width-and-spread correlation[0] .2f` to "
        "{num}`theory-survey/sgd/width-and-spread correlation[-1] .2f ±`.",
        caveat="Two units cannot hold ten classes, so the small networks are poor for want of "
        "room as well: from 12 units, where the "
        "correlation is {num}`theory-survey/sgd/width-and-spread correlation[2] .2f`, to 50 the "
        "spread falls to {num}`choromanska2015-concentration:from-12 .2f ±` of what it was. And "
        "the correlation falls because training losses of large networks are nearly equal: they "
        "cannot tell anything apart.",
        paper=(
            ("local minima of poor quality, by the test error", "found with a probability that is "
             "not zero by small networks", "abstract"),
            ("the global minimum of the training loss", "irrelevant in practice, as it often "
             "overfits", "abstract"),
        ),
        decides=(
            at_most("narrowing", "the standard deviation of the test loss over starts at 50 "
                    "hidden units is at most {bound} times the one at 2", 0.3, none=1.0, log=True,
                    because="*almost the same* asks for much less than half"),
            at_most("correlation_ratio", "the correlation of training and test loss at 50 units "
                    "is at most {bound} times the one at 2", 0.5, none=1.0,
                    because="half of the correlation is a quarter of what the one loss explains of "
                    "the other"),
        ),
        mechanism=(
            at_most("worst_to_best", "the worst of 30 networks of 50 units has at most {bound} "
                    "times the test loss of the best of 2 units", 0.6, none=1.0, log=True),
            Condition("from-12", "the standard deviation at 50 hidden units is at most {bound} "
                      "times the one at the size before", from_twelve, "<=", 0.5,
                      "ratio of standard deviations", none=1.0, log=True),
        ),
        controls=(
            Control(
                "more-inputs", "the hidden units: as many weights, spent on products of pixels "
                "that feed two units",
                ("narrowing", "correlation_ratio", "worst_to_best"),
                (
                    at_most("mean[test, -1]", "its networks learn: mean test loss of at most "
                            "{bound}, where chance has 2.3", 2.0),
                ),
            ),
        ),
        changes=("Ratios of spreads and losses are judged by their logarithms. The worst large "
                 "network against the best small one no longer decides: two units cannot hold ten "
                 "classes, so it was an easy condition. New, and shown: the spread from 12 units "
                 "to 50.",),
        limits="The observation is not the theory. Its authors call the assumptions that lead "
        "from networks to spin glasses possibly unrealistic {cite}`choromanska2015open`, and "
        "networks with weights to spare slow down in other ways than glasses do "
        "{cite}`baityjesi2018`.",
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Every network's test loss against the number of weights; the spread; the correlation."""
    one = runs[MAIN][min(runs[MAIN])]
    widths, places = one["widths"].astype(int), one["weights"]
    by = {MAIN: "more hidden units", "more-inputs": "more inputs"}
    with panels(3, size=(9.2, 3.5)) as (drawn, axes):
        for losses, place in zip(one["loss[test]"], places, strict=True):
            aside = place * np.exp(np.linspace(-0.2, 0.2, len(losses)))
            look = dict(ms=4, mew=0, alpha=0.55, color=figures.COLOURS["blue"], ls="none")
            axes[0].plot(aside, np.sort(losses), "o", **look)
        axes[0].set(ylabel="test loss (nats), each network", yscale="log", ylim=(0.07, 4))
        axes[0].set_yticks((0.1, 0.2, 0.5, 1, 2), ("0.1", "0.2", "0.5", "1", "2"))
        compare(axes[1], runs, "spread", "weights", by)
        compare(axes[2], runs, "correlation", "weights", by)
        axes[1].set(ylabel="spread over starts (nats)", yscale="log", ylim=(0.008, 1.5))
        axes[1].set_yticks((0.01, 0.03, 0.1, 0.3, 1), ("0.01", "0.03", "0.1", "0.3", "1"))
        axes[1].legend(loc="lower left")
        axes[2].set(ylabel="correlation of the two losses", ylim=(-0.3, 1.08))
        axes[2].axhline(0, color=figures.MUTED, lw=0.7)
        for panel in axes:
            panel.set(xlabel="weights", xscale="log", xlim=(110, 5600))
            ticks(panel, places, [f"{n:,}" for n in places])
        axes[0].set_xlabel("hidden units")
        ticks(axes[0], places, [f"{width}" for width in widths])
    starts = one["loss"].shape[-1]
    return figures.Figure(
        drawn,
        label="fig-width-and-spread",
        caption=f"Networks of {', '.join(str(w) for w in widths[:-1])} and {widths[-1]} hidden "
        f"units on digits, {starts} starts each. Left, the test loss of every "
        "network of one seed. Middle, its standard deviation over the starts, and right, its "
        "correlation with the training loss; both also for networks of two hidden units that get "
        f"as many weights by having more inputs. Bands are over {figures.count(len(runs[MAIN]))}.",
        alt="Three panels against the size of the network, on a logarithmic axis. Left, clouds of "
        "dots sink from about two nats to below a fifth and draw together. Middle, the spread over "
        "starts falls about twentyfold with more hidden units and hardly changes with more inputs. "
        "Right, the correlation falls from almost one to near zero with more hidden units and "
        "stays near one with more inputs.",
    )
