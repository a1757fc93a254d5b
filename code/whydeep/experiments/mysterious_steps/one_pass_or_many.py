"""One pass or many: do fresh examples do what the same few, used again and again, cannot?

The post argues that one pass of SGD generalises well for a convex loss, and that many passes over
the same data, for a loss that is not convex, should overfit. For convex losses, SGD is stable: one
example of n changes the weights by at most 2 L / n times the sum of the learning rates in
expectation ({cite}`hardt2016`, proof of Theorem 3.8), so that many passes overfit slowly. For
networks, {cite:t}`nakkiran2021` find that re-used examples do nearly what fresh ones do, until the
training error is gone. We compare a network that never sees an example twice with one that has few
of them, over as many steps, with clean and with noisy labels.

What would refute it: on clean labels, a gap that opens before the few examples are fitted, or one
that does not open afterwards. Noisy labels are our addition.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.datasets.tasks import CLASSES, PIXELS
from whydeep.descent import SGD, Trained, train
from whydeep.evidence.claims import UNDECIDED, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import Quantity, Result
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "mysterious-steps/overfitting-and-dropout"
WORLDS, COMPARISONS = ("fresh", "reused"), ("first", "second")
FITTED = 0.08  # training error at which the few examples count as fitted


@dataclass(frozen=True)
class Settings:
    """Fresh pictures, each once, or ``examples`` of them in `sgd.epochs` passes, as many steps.

    ``first_noise`` and ``second_noise``: the probability with which a label is drawn anew, in the
    two comparisons. ``exchanged`` examples are exchanged, one at a time, to measure stability;
    ``convex_rate`` is the learning rate of that logistic regression.
    """

    examples: int = 300
    first_noise: float = 0.0
    second_noise: float = 0.3
    width: int = 128
    tested: int = 1000
    exchanged: int = 4
    convex_rate: float = 0.5
    sgd: SGD = SGD(lr=0.01, epochs=20, batch=20, momentum=0.9)


SCALES = {"quick": Settings()}
VARIANTS = {"both-noisy": {"first_noise": 0.3}, "both-clean": {"second_noise": 0.0}}


def small_pictures(images: Float[Tensor, "n c h w"]) -> Float[Tensor, "n d"]:
    """14 x 14 pixels as a row."""
    return F.avg_pool2d(images, 2).flatten(1)


def stability(
    x: Float[Tensor, "n d"],
    y: Int64[Tensor, " n"],
    others: tuple[Float[Tensor, "r d"], Int64[Tensor, " r"]],
    *,
    lr: float,
    batch_size: int,
    epochs: int,
    chance: Chance,
) -> tuple[Float[np.ndarray, " t"], Float[np.ndarray, " t"]]:
    """How far one exchanged example moves logistic regression, and how far theory lets it.

    Example i is exchanged for ``others`` i, one at a time; the order of the steps stays. Returns
    the mean distance of the weights after each epoch, and 2 L lr t / n after t steps, where
    L = sqrt(2) max |(x, 1)| bounds the gradient of an example's loss. Each epoch meets the
    exchanged example once, in a batch, where it moves the weights apart by at most
    2 L lr / batch_size. A step on shared examples brings two sets of weights no further apart while
    lr <= 2 / beta, and beta <= max |(x, 1)|^2 / 2 (Hardt et al. 2016, Lemma 3.7, Theorem 3.8).
    """
    r = len(others[0])
    x_all, y_all = x.repeat(r + 1, 1, 1), y.repeat(r + 1, 1)
    for i in range(r):
        x_all[i + 1, i], y_all[i + 1, i] = others[0][i], others[1][i]
    longest = float((torch.cat([x, others[0]]).square().sum(1) + 1).max())
    assert lr <= 4 / longest, "the theorem needs a learning rate of at most 2 / beta"

    def distance(trained: Trained) -> Float[Tensor, " k"]:
        squares = sum((w - w[:1]).flatten(1).square().sum(1) for w in trained.parameters.values())
        return squares.sqrt()  # pyright: ignore[reportAttributeAccessIssue]

    trained = train(
        partial(Dense, (x.shape[1], CLASSES)),
        x_all,
        y_all,
        seeds=[chance] * (r + 1),
        lr=lr,
        epochs=epochs,
        batch_size=batch_size,
        measure={"distance": distance},
        dtype=torch.float64,
    )
    found = trained.history["distance"][1:].mean(0).numpy()
    steps = np.array(trained.measured_at)
    return found, 2 * np.sqrt(2 * longest) * lr * steps / len(x)


def run(settings: Settings, chance: Chance) -> Result:
    """Test errors of the two worlds along the steps, in both comparisons, and the gaps.

    ``gap_first`` is the mean gap over the times from the first measurement to the first at which
    the re-used examples are fitted (training error FITTED); ``gap_second`` is the gap at the end.
    Runs on the CPU.
    """
    data = fashion_mnist()
    few = data.subset(settings.examples, seed=chance.seed)
    x_all, x_few, x_test = map(small_pictures, (data.train_x, few.train_x, data.test_x))
    mean, sd = x_all.mean(), x_all.std()
    x_all, x_few, x_test = ((x - mean) / sd for x in (x_all, x_few, x_test))
    # The test images stand in no order of their classes.
    x_test, y_test = x_test[: settings.tested], data.test_y[: settings.tested]
    sgd = settings.sgd
    pass_steps = settings.examples // sgd.batch
    steps = sgd.epochs * pass_steps
    times = list(range(0, steps + 1, pass_steps))

    def error(trained: Trained) -> Float[Tensor, " k"]:
        return (trained.predict(x_test) != y_test).double().mean(1)

    def training_error(trained: Trained) -> Float[Tensor, " k"]:
        return (trained.predict(x_few) != trained.labels).double().mean(1)

    noises = (settings.first_noise, settings.second_noise)
    different = sorted(set(noises))
    pick = [different.index(noise) for noise in noises]

    def follow(x: Tensor, y: Tensor, **measure) -> dict[str, Float[np.ndarray, "2 t"]]:
        """What is measured along the steps in the two comparisons."""
        trained = train(
            partial(Dense, (PIXELS, settings.width, settings.width, CLASSES)),
            x,
            y,
            seeds=[chance] * len(different),
            lr=sgd.lr,
            momentum=sgd.momentum,
            steps=steps,
            batch_size=sgd.batch,
            label_noise=different,
            measure=measure,
            measure_at=times,
        )
        return {name: values[pick].numpy() for name, values in trained.history.items()}

    fresh = follow(x_all, data.train_y, error=error)
    reused = follow(x_few, few.train_y, error=error, train=training_error)
    gaps = reused["error"] - fresh["error"]
    fitted = reused["train"][0] <= FITTED
    until = int(fitted.argmax()) if fitted.any() else len(times) - 1
    distance, bound = stability(
        x_few / PIXELS**0.5,
        few.train_y,
        (x_test[: settings.exchanged] / PIXELS**0.5, y_test[: settings.exchanged]),
        lr=settings.convex_rate,
        batch_size=sgd.batch,
        epochs=sgd.epochs,
        chance=chance,
    )
    test, apart = "fraction of test examples", "distance of the weights"
    axes = {"comparison": COMPARISONS, "step": times}
    return Result(
        steps=(times, "steps"),
        error=Quantity(np.stack([fresh["error"], reused["error"]]), test, world=WORLDS, **axes),
        train=Quantity(reused["train"], "fraction of training examples", **axes),
        gap_first=(gaps[0, 1 : until + 1].mean(), test),
        gap_second=(gaps[1, -1], test),
        gap_first_end=(gaps[0, -1], test),
        passes_until_fitted=(until, "passes over the few examples"),
        distance=Quantity(distance, apart, step=times),
        distance_bound=Quantity(bound, apart, step=times),
        share_of_bound=((distance[1:] / bound[1:]).max(), "of what the theorem allows"),
    )


# --- What the claims ask ---


def opens(result: Result) -> float:
    """By how much the gap on clean labels is wider at the end than until the fit."""
    return float(result["gap_first_end"] - result["gap_first"])


CLAIMS = (
    Claim(
        id="hardt2016-one-pass-or-many",
        title="Do many passes do what as many fresh examples do?",
        cite="nakkiran2021", kind="effect", expected=UNDECIDED,
        says="The test error of a network that re-uses its examples over many passes stays close "
        "to that of as many steps on fresh examples, until it has fitted its training examples "
        "(Figure 1: 50,000 examples for 100 passes beside 5,000,000 for one).",
        tested="300 pictures of clothes, 14 by 14, for 20 passes beside 6,000 pictures for one, in "
        "a network of two layers of 128 units; clean labels, and 30 % of the labels drawn anew.",
        so="Until 92 % of the re-used examples are fitted, re-using costs "
        "{num}`hardt2016-one-pass-or-many:gap_first .1% ±` of the test examples on average, at "
        "the end {num}`mysterious-steps/one-pass-or-many gap_first_end .1% ±`: whether the gap "
        "opens after the fit, five seeds do not settle.",
        caveat="With 30 % of the labels drawn anew re-using costs "
        "{num}`hardt2016-one-pass-or-many:gap_second .1%` in the end. The control has an average "
        "gap of {num}`hardt2016-one-pass-or-many@both-noisy:gap_first .1% ±`, which reaches into "
        "what counts as close. The paper's set is over 150 times as large, and its networks have "
        "convolutions; all seeds share 1,000 test pictures.",
        paper=(
            ("50,000 examples for 100 passes against 5,000,000 for one", "curves nearly equal "
             "until training has converged", "Figure 1"),
            ("convex losses: stability after steps with learning rates $\\eta_t$",
             "$(2 L^2 / n) \\sum_t \\eta_t$", "{cite:t}`hardt2016`, Theorem 3.8"),
        ),
        decides=(
            at_most("gap_first", "on clean labels, until the re-used examples are fitted "
                    "(training error 8 %), re-using costs at most {bound} on average", 0.03,
                    none=0.03, because="three in a hundred, as first planned"),
            Condition("opens", "after that it costs more: at the end by at least {bound}", opens,
                      ">=", 0.02, "fraction of test examples", none=0.0,
                      because="two in a hundred: without it, 'until' says nothing"),
        ),
        mechanism=(
            at_least("gap_second", "with 30 % of the labels drawn anew, it costs at least {bound} "
                     "in the end", 0.08, none=0.0),
        ),
        controls=(
            Control(
                "both-noisy", "the clean labels: the first comparison too has 30 % of the labels "
                "drawn anew", ("gap_first",),
                (
                    at_most("train[first, -1]", "the re-used examples are learned by heart all "
                            "the same: training error of at most {bound}", 0.15),
                ),
                by_design="the two comparisons are one",
            ),
            Control(
                "both-clean", "the noise: the second comparison too has clean labels",
                ("gap_second",),
                (
                    at_most("train[second, -1]", "the re-used examples are learned by heart: "
                            "training error of at most {bound}", 0.08),
                ),
                by_design="the two comparisons are one",
            ),
        ),
        limits="The same passes over the same pictures with random labels end in chance on new "
        "ones {cite}`zhang2017`: the number of passes alone decides nothing.",
        changes=("Bound of gap_first 0.05 -> 0.03, as first planned (stricter). That the gap opens "
                 "after the fit decides too (stricter): at 0.05 the gap at the end passed as well, "
                 "so that 'until' could not fail. What noisy labels cost is the book's addition, "
                 "and shown.",),
    ),
)  # fmt: skip


def figure(runs: Runs) -> figures.Figure:
    """Test errors of both worlds, and the training error of the few, along the steps."""
    steps = first(runs, "steps")
    curves = {
        "error[fresh, {}]": "fresh examples: test",
        "error[reused, {}]": "few, re-used: test",
        "train[{}]": "few, re-used: training",
    }
    titles = ("clean labels", "30 % noisy labels")
    with panels(2, size=(8.2, 3.5), sharey=True) as (drawn, axes):
        for panel, which, title in zip(axes, COMPARISONS, titles, strict=True):
            for quantity, name in curves.items():
                errors = over_seeds(runs, quantity.format(which), factor=100.0)
                figures.band(panel, steps[1:], errors[:, 1:], label=name)
            panel.set(title=title, xlabel="step")
        axes[0].set(ylabel="error (%)", ylim=(0, None))
        axes[1].legend(fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-one-pass",
        caption="The same network, the same number of steps: one pass over 6,000 pictures, or "
        "twenty passes over 300. On clean labels the test errors stay together until the 300 are "
        "nearly fitted, and part little after. On noisy labels they part as soon as the noise is "
        "learned. Bands are one standard deviation over seeds.",
        alt="Two panels of three curves over the steps. On clean labels the two test errors run "
        "together while the training error goes to zero. On noisy labels the test error of the "
        "re-used examples climbs away while the training error falls.",
    )


def stability_figure(runs: Runs) -> figures.Figure:
    """How far one exchanged example moves logistic regression, beside the theorem's line."""
    steps = first(runs, "steps")
    with panels(size=(6.2, 3.3)) as (drawn, axes):
        figures.band(axes, steps, over_seeds(runs, "distance"), label="measured", markevery=5)
        bound = over_seeds(runs, "distance_bound").mean(0)
        axes.plot(steps, bound, **figures.THEORY, label="theorem")
        axes.set(xlabel="step", ylabel="distance of the weights", ylim=(0, None))
        axes.legend()
    return figures.Figure(
        drawn,
        label="fig-stability",
        caption="Logistic regression on 300 pictures, and on the same with one of them exchanged: "
        "distance of the two sets of weights after the same steps, beside what the theorem allows. "
        "Mean over four exchanged pictures; the band is one standard deviation over seeds.",
        alt="The measured distance rises ever more slowly; the dashed line of the theorem rises "
        "steadily, several times as high.",
    )
