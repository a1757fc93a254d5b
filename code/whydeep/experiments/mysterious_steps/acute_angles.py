"""Must descent be steepest, or will any direction at an acute angle to it do?

A reader of the post asked whether directions that are merely *related* to the gradient would do
({cite}`christos2015`). In theory they do: for a smooth loss and a direction at a fixed acute angle
to minus the gradient, every small enough step lowers the loss. We train one network from one start
along seven directions, among them the gradient after a random tilt, the signs of its entries, a
random tenth of its entries, and feedback alignment, in which fixed random matrices take the place
of the weights in the backward pass ({cite}`lillicrap2016`).

What would refute it: a direction at an acute angle that does not train, or one that trains just as
well after its part along the gradient has been taken away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cosine_similarity, normalize

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "mysterious-steps/a-small-step"
DIRECTIONS = {
    "gradient": "the gradient",
    "signs": "its signs",
    "scaled": "scaled at random",
    "tenth": "a random tenth",
    "half": "cosine 0.5",
    "low": "cosine 0.1",
    "feedback": "feedback alignment",
}
COSINES = {"half": 0.5, "low": 0.1}
Weights = list[Float[Tensor, "k _ _"]]


@dataclass(frozen=True)
class Settings:
    """Full-batch training of a 64-``width``-``width``-``width``-10 ReLU network on digits.

    Every direction is tried at every one of ``rates``; the one with the lowest loss at the end
    counts. ``project_out`` takes the part along the gradient away from every direction but the
    gradient itself, and gives what is left the length that it had.
    """

    examples: int = 200
    width: int = 32
    steps: int = 250
    rates: tuple[float, ...] = (0.03, 0.15, 0.5)
    project_out: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {"right-angles": {"project_out": True}}


def forward(x: Float[Tensor, "n d"], weights: Weights) -> list[Tensor]:
    """x, then the outputs of each hidden layer, then the scores: each (k, n, units)."""
    xs = [x.expand(len(weights[0]), *x.shape)]
    for w in weights[:-1]:
        xs.append(torch.relu(xs[-1] @ w))
    return [*xs, xs[-1] @ weights[-1]]


def backward(
    xs: list[Tensor], weights: Weights, back: Weights, y: Float[Tensor, "n c"]
) -> tuple[Float[Tensor, " k"], Weights]:
    """The mean log-loss, and its gradient in each matrix if ``back`` is ``weights``.

    This is the backward recursion, written out: with other matrices ``back`` of the same shapes it
    is feedback alignment (Lillicrap et al. 2016).
    """
    p = torch.softmax(xs[-1], dim=-1)
    loss = -(y * torch.log_softmax(xs[-1], dim=-1)).sum(-1).mean(-1)
    delta, found = (p - y) / y.shape[0], []
    for layer in reversed(range(len(weights))):
        found.append(xs[layer].mT @ delta)
        if layer:
            delta = (delta @ back[layer].mT) * (xs[layer] > 0)
    return loss, found[::-1]


def flatten(weights: Weights) -> Float[Tensor, "k p"]:
    """All matrices of each member as one vector."""
    return torch.cat([w.flatten(1) for w in weights], dim=1)


def with_length_of(
    direction: Float[Tensor, "k p"], gradient: Float[Tensor, "k p"]
) -> Float[Tensor, "k p"]:
    """The direction, made as long as the gradient."""
    tiny = torch.finfo(direction.dtype).tiny
    return direction * (gradient.norm(dim=1) / direction.norm(dim=1).clamp_min(tiny)).unsqueeze(1)


def without(
    direction: Float[Tensor, "k p"], gradient: Float[Tensor, "k p"]
) -> Float[Tensor, "k p"]:
    """The direction less its part along the gradient."""
    unit = normalize(gradient, dim=1)
    return direction - (direction * unit).sum(1, keepdim=True) * unit


def tilted(
    gradient: Float[Tensor, "k p"], cosine: float, generator: torch.Generator
) -> Float[Tensor, "k p"]:
    """A random direction at exactly this cosine to the gradient, and as long."""
    aside = torch.randn(gradient.shape[1], generator=generator).to(gradient).expand_as(gradient)
    aside = with_length_of(without(aside, gradient), gradient)
    return cosine * gradient + (1 - cosine**2) ** 0.5 * aside


def directions(
    gradient: Mapping[str, Float[Tensor, "r p"]],
    feedback: Float[Tensor, "r p"],
    scale: Float[Tensor, " p"],
    generator: torch.Generator,
) -> dict[str, Float[Tensor, "r p"]]:
    """The step of each kind, from the gradients where its networks stand; each as long as those.

    ``feedback`` is what feedback alignment gives in place of the gradient, ``scale`` are positive
    factors, one for each weight.
    """
    kept = (torch.rand(len(scale), generator=generator) < 0.1).to(scale)
    found = {
        "gradient": gradient["gradient"],
        "signs": gradient["signs"].sign(),
        "scaled": gradient["scaled"] * scale,
        "tenth": gradient["tenth"] * kept,
        **{name: tilted(gradient[name], c, generator) for name, c in COSINES.items()},
        "feedback": feedback,
    }
    return {name: with_length_of(found[name], gradient[name]) for name in DIRECTIONS}


def run(settings: Settings, chance: Chance) -> Result:
    """Loss, test accuracy and cosine of each direction at its best rate. Runs on the CPU.

    ``worst`` and ``easiest`` are the largest and the smallest final loss, over the loss at the
    start, of the directions other than the gradient; ``moved`` is the least of the distances that
    they cover at their largest rate.
    """
    data = digits().subset(settings.examples, seed=chance.seed)
    mean = data.train_x.mean(0)
    x, x_test = ((z - mean).flatten(1) for z in (data.train_x, data.test_x))
    y = torch.eye(10)[data.train_y]
    rates = len(settings.rates)
    k = rates * len(DIRECTIONS)
    kinds = {name: slice(i * rates, (i + 1) * rates) for i, name in enumerate(DIRECTIONS)}

    init, generator = chance["init"], chance["order"]
    widths = (64, settings.width, settings.width, settings.width, 10)
    shapes = list(pairwise(widths))
    drawn = [torch.randn(2, a, b, generator=init) * (2 / a) ** 0.5 for a, b in shapes]
    weights = [both[0].repeat(k, 1, 1) for both in drawn]
    first = flatten([both[:1] for both in drawn])
    fixed = [both[1].repeat(rates, 1, 1) for both in drawn]
    sizes = [a * b for a, b in shapes]
    scale = torch.rand(sum(sizes), generator=init) * 1.9 + 0.1
    lr = torch.tensor(settings.rates).repeat(len(DIRECTIONS))[:, None]

    losses, cosines = [], []
    for step in range(settings.steps + 1):
        xs = forward(x, weights)
        loss, slopes = backward(xs, weights, weights, y)
        losses.append(loss)
        if step == settings.steps:
            break
        all_gradients = flatten(slopes)
        gradient = {name: all_gradients[rows] for name, rows in kinds.items()}
        own = kinds["feedback"]
        back = backward([z[own] for z in xs], [w[own] for w in weights], fixed, y)[1]
        steps = directions(gradient, flatten(back), scale, generator)
        if settings.project_out:
            steps = {
                name: d if name == "gradient" else with_length_of(without(d, gradient[name]), d)
                for name, d in steps.items()
            }
        update = torch.cat(list(steps.values()))
        cosines.append(cosine_similarity(update, all_gradients))
        for w, d in zip(weights, (lr * update).split(sizes, dim=1), strict=True):
            w -= d.view_as(w)

    history = torch.stack(losses, dim=1).double()  # (k, steps + 1)
    scores = forward(x_test, weights)[-1]
    accuracy = (scores.argmax(-1) == data.test_y).double().mean(1)
    moved = ((flatten(weights) - first).norm(dim=1) / first.norm()).nan_to_num(0.0, 0.0, 0.0)
    final = history[:, -1].nan_to_num(torch.inf)
    best = [rows.start + int(final[rows].argmin()) for rows in kinds.values()]
    angles = torch.stack(cosines, dim=1)[best]
    reached, right = final[best].numpy(), accuracy[best].numpy()
    start = float(history[0, 0])
    # The gradient is the first of the directions; the six others are on trial.
    half, feedback = (list(DIRECTIONS).index(name) for name in ("half", "feedback"))
    furthest = moved.view(len(DIRECTIONS), rates).amax(1)
    every = max(1, settings.steps // 60)
    at, taken = range(0, settings.steps + 1, every), range(0, settings.steps, every)
    axes = {"direction": DIRECTIONS}
    cosine, ratio, test = "cosine with the gradient", "ratio of losses", "fraction of test examples"
    return Result(
        at=(at, "steps"),
        loss=Quantity(history[best, ::every], "nats", **axes, step=at),
        final=Quantity(reached, "nats", **axes),
        accuracy=Quantity(right, test, **axes),
        cosine=Quantity(torch.stack([along.mean() for along in angles]), cosine, **axes),
        cosine_feedback_along=Quantity(angles[feedback, ::every], cosine, step=taken),
        start=(start, "nats"),
        worst=(reached[1:].max() / start, ratio),
        easiest=(reached[1:].min() / start, ratio),
        least_accuracy=(right[1:].min(), test),
        half_ratio=(reached[half] / reached[0], ratio),
        moved=(float(furthest[1:].min()), "share of the weights' length"),
    )


CLAIMS = (
    Claim(
        id="christos-gradient-related-directions",
        title="Must it be steepest descent?",
        cite="christos2015", kind="effect", expected=SHOWN, ours=True,
        says="Descent need not be steepest: a network also trains along directions at an acute "
        "angle to minus the gradient, if the steps are small enough.",
        tested="Six directions besides the gradient, each at the best of three learning rates: a "
        "ReLU network of three hidden layers of 32 units, 200 digits of 8 by 8 pixels, 250 steps "
        "on all of them.",
        so="Along the worst of the six directions {num}`christos-gradient-related-directions:worst "
        ".0%` of the loss is left, along the gradient {num}`mysterious-steps/acute-angles "
        "final[gradient] .4f` nats; with the part along the gradient taken out, the best of the "
        "six keeps {num}`mysterious-steps/acute-angles@right-angles easiest .0%`.",
        caveat="It costs speed: at half the cosine the loss ends at "
        "{num}`christos-gradient-related-directions:half_ratio .1f` times the gradient's. Six "
        "directions, one small network and full batches; no bound on the angle is looked for.",
        decides=(
            at_most("worst", "along each of the six directions the loss falls to at most {bound} "
                    "of its start", 0.3, none=1.0, log=True,
                    because="less than a third of the loss is left: the network has learned"),
        ),
        mechanism=(
            at_least("least_accuracy", "and the accuracy on test examples reaches at least {bound}",
                     0.7, none=0.1),
            at_most("half_ratio", "at half the cosine the loss ends at most {bound} times as high "
                    "as the gradient's", 10.0, log=True),
        ),
        controls=(
            Control(
                "right-angles", "the acute angle: the part along the gradient is taken out of "
                "every direction, and the rest made as long as before",
                ("worst", "least_accuracy", "half_ratio"),
                (
                    at_least("accuracy[gradient]", "the gradient itself, which is left alone, "
                             "reaches an accuracy of {bound}", 0.75),
                    at_least("moved", "at their largest rate all six move the weights, by {bound} "
                             "of their length", 0.05),
                ),
            ),
        ),
        limits="What does in principle need not do at scale: on ImageNet variants of feedback "
        "alignment perform significantly worse than backpropagation {cite}`bartunov2018`.",
        changes=("The statement is the book's, and marked so: the comment asks. One condition "
                 "decides, the loss along the worst direction; the accuracy and the cost at half "
                 "the cosine are shown beside it. No bound was changed.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Loss along the steps for the main run's directions, and final loss against cosine."""
    # Where the names stand beside their points (in points), so that they keep apart.
    labels = {
        "feedback": ((-7, -4), "right"),
        "signs": ((0, -16), "center"),
        "scaled": ((0, 9), "center"),
        "gradient": ((6, -16), "right"),
    }
    with panels(2, size=(8.2, 3.6), width_ratios=(1.1, 1)) as (drawn, axes):
        for name in ("gradient", "half", "low", "feedback"):
            curves = over_seeds(runs, f"loss[{name}]")
            figures.band(axes[0], first(runs, "at"), curves, label=DIRECTIONS[name], markevery=10)
        axes[0].set(xlabel="steps", ylabel="loss (nats)", yscale="log")
        axes[0].legend(fontsize=8.5)
        for variant, label, colour, marker, shown in (
            (MAIN, "as they are", "blue", "o", slice(None)),
            ("right-angles", "at right angles", "vermillion", "s", slice(1, None)),
        ):
            if variant not in runs:
                continue
            cosine = over_seeds(runs, "cosine", variant).mean(0)
            # The geometric mean, as the axis is logarithmic.
            final = np.exp(np.log(over_seeds(runs, "final", variant)).mean(0))
            axes[1].plot(
                cosine[shown], final[shown], ls="none", marker=marker, ms=7, label=label,
                color=figures.COLOURS[colour],
            )  # fmt: skip
            if variant == MAIN:
                for (name, words), *point in zip(DIRECTIONS.items(), cosine, final, strict=True):
                    place, ha = labels.get(name, ((7, 3), "left"))
                    axes[1].annotate(
                        words, point, fontsize=8.5, textcoords="offset points", xytext=place, ha=ha
                    )
        axes[1].axhline(over_seeds(runs, "start").mean(), **figures.THEORY, label="at the start")
        axes[1].set(
            xlabel="mean cosine with the gradient", ylabel="loss at the end (nats)", yscale="log",
            xlim=(-0.08, 1.08), ylim=(8e-4, 6),
        )  # fmt: skip
        axes[1].legend(fontsize=8.5, loc="center right")
    return figures.Figure(
        drawn,
        label="fig-angles",
        caption="Training along directions other than the gradient, each at its best learning "
        "rate. Left, the loss along the steps, with bands of one standard deviation over seeds. "
        "Right, the loss at the end against the mean cosine with the gradient: all seven "
        "directions train. With their part along the gradient taken away none does (squares, at "
        "cosine 0, beside the dashed line of the start).",
        alt="Left, four falling curves of loss on a logarithmic axis: the gradient falls fastest, "
        "then feedback alignment and a tilt to cosine one half, and a tilt to cosine 0.1 slowest. "
        "Right, points that fall from upper left to lower right, loss against cosine; six squares "
        "at cosine zero lie at the height of the start.",
    )
