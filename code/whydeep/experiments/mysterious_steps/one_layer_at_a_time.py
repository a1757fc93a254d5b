"""Which layer matters, if only one may be trained?

In a comment below the essay Nicolas Le Roux proposes an experiment ({cite}`leroux2015`): in a
network with any number of layers, optimise one layer and keep the others as they are. "You'll see
that doing this on any layer but the last has almost no effect at all." We do this with each of the
five matrices of three networks, all on the same examples and from the same starts: tanh and
sigmoid with weights of variance 1 / inputs, and ReLU with those of He et al. (2015).

What would refute it: a lower layer that alone takes much of the loss away.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float

from whydeep.chance import Chance
from whydeep.evidence.claims import OPPOSITE, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.mysterious_steps._digits import pictures
from whydeep.labs.blocks import ACTIVATIONS, descend, draw, mean_loss
from whydeep.show import figures
from whydeep.show.plot import Axis, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "mysterious-steps/theory-out-of-the-window"
LEARNING_RATES = (0.1, 0.3, 1.0, 3.0)
MEASURED = 17  # losses along each run, the start and the end included


@dataclass(frozen=True)
class Settings:
    """``layers`` maps of ``width`` units on ``examples`` digits of 8 x 8 pixels, then V.

    All W_l then have 64 x 64 weights, so that no layer has more of them than another; only V is
    smaller. ``small`` is the non-linearity of the network with weights of variance 1 / inputs.
    Each block is trained for ``steps`` of SGD at each of LEARNING_RATES; its best run counts.
    """

    small: str = "tanh"
    examples: int = 600
    layers: int = 4
    width: int = 64
    steps: int = 150
    batch_size: int = 50
    momentum: float = 0.9


SCALES = {"quick": Settings()}
VARIANTS = {"relu-small-weights": {"small": "relu"}}


def one_at_a_time(
    activation: str, gain: float, settings: Settings, chance: Chance
) -> Float[np.ndarray, "b T"]:
    """Training loss, in nats, along the run that trains one block only, a row for each block.

    Of the runs of a block, one for each learning rate, the row is the one that ends lowest; all
    start from the same weights and see the same batches.
    """
    x, y, _, _ = pictures(settings.examples, chance)
    sigma = ACTIVATIONS[activation]
    widths = (x.shape[1], *[settings.width] * settings.layers, int(y.max()) + 1)
    count, rates = settings.layers + 1, len(LEARNING_RATES)
    alone = torch.eye(count, dtype=torch.bool).repeat_interleave(rates, 0)
    _, seen = descend(
        draw(widths, gain, count * rates, chance["init"]),
        x, y, alone[:, None, :].expand(-1, settings.steps, -1),
        activation=sigma, lr=torch.tensor(LEARNING_RATES).repeat(count),
        beta=settings.momentum, batch=settings.batch_size, order=chance["order"],
        look=partial(mean_loss, x, y, activation=sigma), look_at=measured_at(settings),
    )  # fmt: skip
    loss = seen.double().view(count, rates, -1).numpy()
    best = np.where(np.isfinite(loss[:, :, -1]), loss[:, :, -1], np.inf).argmin(1)
    return loss[np.arange(count), best]


def measured_at(settings: Settings) -> list[int]:
    """The numbers of steps after which the loss is measured."""
    return np.linspace(0, settings.steps, MEASURED).round().astype(int).tolist()


def run(settings: Settings, chance: Chance) -> Result:
    """Training loss along steps for each network and block trained alone.

    Also what is left at the end, as a share of the loss at the start, and by how much less V alone
    leaves than W_1 alone. Runs on the CPU: the networks are small.
    """
    networks = {
        "small": (settings.small, 1.0),
        "he": ("relu", 2.0),
        "sigmoid": ("sigmoid", 1.0),
    }
    loss = np.stack([one_at_a_time(*how, settings, chance) for how in networks.values()])
    left = loss[..., -1] / loss[..., 0]
    blocks = [*(f"W_{number}" for number in range(1, settings.layers + 1)), "V"]
    steps = sorted(set(measured_at(settings)))
    share = "share of the loss at the start"
    return Result(
        steps=(steps, "steps"),
        loss=Quantity(loss.astype(np.float32), "nats", network=networks, block=blocks, step=steps),
        left=Quantity(left, share, network=networks, block=blocks),
        lead=Quantity(left[:, 0] - left[:, -1], share, network=networks),
    )


# --- What the claims ask ---

IN_WORDS = {
    "small": "tanh network with small weights",
    "he": "ReLU network with He's weights",
    "sigmoid": "sigmoid network with small weights",
}


def least_left(network: str) -> Condition:
    """What the best of the layers below the last one leaves of the loss when it trains alone."""

    def measure(result: Result) -> float:
        return float(result[f"left[{network}]"][:-1].min())

    return Condition(
        f"least_left_{network}",
        f"in the {IN_WORDS[network]}, every layer but the last leaves at least {{bound:word}} of "
        "the loss when it trains alone",
        measure,
        ">=",
        0.9,
        "share of the loss at the start",
        none=0.9,
        because="a tenth of the loss is more than 'almost no effect at all'",
    )


CLAIMS = (
    Claim(
        id="leroux2015-one-layer-at-a-time", title="Does training only a lower layer do anything?",
        cite="leroux2015", kind="effect", expected=OPPOSITE,
        says="If one layer of a network is optimised and the others are kept as they are, doing "
        "this on any layer but the last has almost no effect at all (the comment, without a "
        "number).",
        tested="Each of the five matrices trained alone, at the best of four learning rates, for "
        "150 steps: four layers of 64 units, tanh or ReLU, 600 digits of 8 by 8 pixels.",
        so="The best layer below the last leaves {num}`leroux2015-one-layer-at-a-time:"
        "least_left_small .0%` of the training loss with tanh and "
        "{num}`leroux2015-one-layer-at-a-time:least_left_he .1%` with ReLU, where the last alone "
        "leaves {num}`mysterious-steps/one-layer-at-a-time left[small,V] .0%` and "
        "{num}`mysterious-steps/one-layer-at-a-time left[he,V] .0%`: lower layers have an effect, "
        "with ReLU more than the last.",
        caveat="With sigmoids, the unit of an earlier time, each lower layer does leave "
        "{num}`leroux2015-one-layer-at-a-time:least_left_sigmoid .0%` or more; but there the last "
        "layer leaves {num}`mysterious-steps/one-layer-at-a-time left[sigmoid,V] .0%` too. With "
        "tanh the ranking, the last layer first, is as the comment has it.",
        paper=(("any layer but the last", "'almost no effect at all', no number", "the comment"),),
        decides=(least_left("small"), least_left("he")),
        mechanism=(
            least_left("sigmoid"),
            at_least("lead[small]", "in the tanh network, training $V$ alone takes more of the "
                     "loss away than training $W_1$ alone, by {bound:word} of the start", 0.2,
                     none=0.0),
            at_least("lead[he]", "in the ReLU network, too, by {bound:word} of the start", 0.2,
                     none=0.0),
        ),
        controls=(
            Control(
                "relu-small-weights", "the non-linearity that squashes: ReLU, with the same small "
                "weights", ("least_left_small", "lead[small]"),
                (
                    at_most("left[small, V]", "training $V$ alone still leaves at most "
                            "{bound:word} of the loss", 2 / 3),
                ),
            ),
        ),
        contested="Layers trained one after the other, each with a classifier of its own, come "
        "close to joint training on ImageNet: {cite:t}`belilovsky2019`.",
        changes=("The sentence decides, for every layer below the last and in both networks "
                 "(stricter); before, it was asked of $W_1$ with tanh. The ranking of $V$ and "
                 "$W_1$, which made a 'partly', is shown and decides no more.",),
    ),
)  # fmt: skip

NETWORKS = {
    "small": "tanh, small weights",
    "he": "ReLU, He's weights",
    "sigmoid": "sigmoid, small weights",
}


def figure(runs: Runs) -> figures.Figure:
    """What is left of the loss when one block is trained alone, one panel a network."""
    blue = figures.COLOURS["blue"]
    with panels(3, size=(8.6, 3.1), sharey=True) as (drawn, axes):
        for panel, (name, title) in zip(axes, NETWORKS.items(), strict=True):
            left = over_seeds(runs, f"left[{name}]", factor=100.0)
            places = np.arange(left.shape[1])
            panel.bar(places, left.mean(0), 0.6, color=blue, alpha=0.35)
            for values in left:
                panel.plot(places, values, "o", ls="none", color=blue)
            panel.axhline(100, **figures.THEORY)
            panel.set_xticks(places, [*(f"$W_{place}$" for place in places[1:]), "$V$"])
            panel.set(title=title, xlabel="block trained", ylim=(0, 112))
            panel.grid(axis="x", visible=False)
        axes[0].set_ylabel("loss left (% of the start)")
        axes[0].text(0.5, 101, "no effect", ha="center", va="bottom")
    return figures.Figure(
        drawn,
        label="fig-one-at-a-time",
        caption="One block of weights is trained, the others stay at their random start: what is "
        f"left of the training loss, means (bars) and {figures.count(len(left))} "
        "(marks). With tanh and small weights the blocks rank as Le Roux says, though the effect "
        "of the lower ones is not nil; with ReLU and He's weights they rank the other way round; "
        "with sigmoids no block alone gets anywhere in this time.",
        alt="Three bar charts of the loss left against the block trained, from W 1 to V. For tanh "
        "the bars fall from about two fifths to almost nothing. For ReLU they are close to "
        "nothing for the lowest blocks and rise to the top. For sigmoids all bars are close to "
        "one hundred per cent.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Training loss along steps, a curve for each block trained alone, with a question first."""
    from whydeep.widgets import Prediction, SweepExplorer  # pages need it, the CLI does not

    # The network that the question is about comes first. The first steps are left out: all curves
    # start at one point, and the large rates throw some up before they come down.
    shown = {name: NETWORKS[name] for name in ("he", "small", "sigmoid")}
    names = ["W₁ alone", "W₂ alone", "W₃ alone", "W₄ alone", "V alone"]
    values = [over_seeds(runs, f"loss[{name}]")[..., 2:].swapaxes(0, 1) for name in shown]
    return SweepExplorer(
        np.array(values),
        key="block",
        title="Training loss when one block is trained and the others stay at their random start",
        about="Move along the steps and watch which block is ahead. Then change the network: "
        "which curve changes its place, and which network hardly moves at all?",
        series=names,
        variants=shown,
        seeds=list(runs[MAIN]),
        sweep=Axis("steps taken"),
        sweep_values=first(runs, "steps")[2:].tolist(),
        y=Axis("training loss", "nats"),
        predict=Prediction(
            "A ReLU network with He's weights has four layers and a classifier. You may train one "
            "block only. Which one leaves the highest training loss?",
            ("W₁, the farthest from the labels", "W₃, in the middle", "V, the classifier"),
            2,
            "Four random ReLU layers make all examples look alike, and the classifier alone must "
            "do with what is left; a lower block can still change what it gets to see.",
        ),
    )
