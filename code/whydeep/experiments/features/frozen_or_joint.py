"""The same first layer, frozen at its start or trained together with the classifier.

"The game now is simply to incorporate the matrices as free variables", says the essay
({cite}`bubeck2015`). A network with one hidden layer of m ReLU units is trained twice from the same
start: all of it, or only the logistic regression on the frozen layer. We compare the test errors
along m, each at the learning rate that does best on examples held out of training.

What would refute it: frozen layers that on average over the widths do as well as trained ones, or
a lead that does not shrink with the width. That a wide enough frozen layer catches up is refuted by
a task on which it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import SGD, train
from whydeep.device import current
from whydeep.errors import BadSettings
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Dense
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, panels, ticks

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "features/learning-the-features"
WIDTHS = (16, 64, 256, 1024)
TRAINABLE = {"frozen": ("classifier.*",), "joint": ("*",)}
TESTS = 2000


@dataclass(frozen=True)
class Settings:
    """``examples`` of the ``task``, of which ``held_out`` choose the learning rate; 2,000 to test.

    Each width of WIDTHS up to ``widest`` is trained at each rate of ``sgd``. The tasks: "fashion",
    the ten classes of Fashion-MNIST at 14 x 14 pixels; "linear", the same pictures with labels
    drawn from a logistic regression on their first ``components`` principal components, its scores
    ``certainty`` standard deviations wide; "parity", whether an odd number of ``relevant`` of
    ``bits`` random bits is set.
    """

    task: str = "fashion"
    widest: int = 64
    examples: int = 2500
    held_out: int = 500
    sgd: SGD = SGD(lr=(0.01, 0.03, 0.1), steps=200, batch=64, momentum=0.9)
    components: int = 2
    certainty: float = 3.0
    bits: int = 20
    relevant: int = 3


SCALES = {
    "quick": Settings(),
    "full": Settings(widest=1024),
    "gpu": Settings(
        widest=1024,
        examples=10_000,
        sgd=SGD(lr=(0.01, 0.03, 0.1), steps=4000, batch=64, momentum=0.9),
    ),
}
VARIANTS = {"linear": {"task": "linear"}, "parity": {"task": "parity", "sgd.steps": 480}}


def pictures(examples: int, chance: Chance) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
    """``examples`` training pictures drawn by ``chance``, then the test pictures; 14 x 14, centred.

    Pixels are averaged two by two, the mean picture of the training examples is subtracted, and one
    factor brings their standard deviation to 1. Returns vectors of 196 pixels, and labels.
    """
    data = fashion_mnist().subset(examples, seed=chance.seed)
    x = F.avg_pool2d(torch.cat([data.train_x, data.test_x]), 2).flatten(1)
    x = x - x[:examples].mean(0)
    return x / x[:examples].std(), torch.cat([data.train_y, data.test_y])


def linear_labels(
    x: Float[Tensor, "n d"],
    examples: int,
    components: int,
    certainty: float,
    generator: torch.Generator,
) -> Int[Tensor, " n"]:
    """Ten labels drawn from softmax(certainty A^T z), z the first principal components of x.

    z has unit variance over the first ``examples``; the columns of A are random unit vectors.
    """
    _, _, axes = torch.linalg.svd(x[:examples], full_matrices=False)
    z = x @ axes[:components].T
    z = z / z[:examples].std(0)
    a = F.normalize(torch.randn(components, 10, generator=generator), dim=0)
    # The largest of the scores plus standard Gumbel noise is a draw from their softmax.
    gumbel = -torch.log(-torch.log(torch.rand(len(x), 10, generator=generator)))
    return (certainty * (z @ a) + gumbel).argmax(1)


def parity(
    n: int, bits: int, relevant: int, generator: torch.Generator
) -> tuple[Float[Tensor, "n bits"], Int[Tensor, " n"]]:
    """n uniform vectors of -1 and 1, and label 1 where the first ``relevant`` have product 1."""
    x = torch.randint(0, 2, (n, bits), generator=generator) * 2.0 - 1
    return x, (x[:, :relevant].prod(1) > 0).long()


def examples_of(
    settings: Settings, chance: Chance
) -> tuple[Float[Tensor, "n d"], Int[Tensor, " n"]]:
    """The training examples of the task, then its 2,000 test examples."""
    generator = chance.members(1)[0].torch()
    n = settings.examples
    if settings.task == "parity":
        return parity(n + TESTS, settings.bits, settings.relevant, generator)
    if settings.task not in ("fashion", "linear"):
        raise BadSettings(f"task is {settings.task!r}, expected 'fashion', 'linear' or 'parity'")
    x, y = pictures(n, chance)
    if settings.task == "linear":
        y = linear_labels(x, n, settings.components, settings.certainty, generator)
    return x, y


def run(settings: Settings, chance: Chance) -> Result:
    """Test error of the frozen and of the trained layer along the width, and their ratio.

    The ratio divides errors of which neither is counted below half an example.
    """
    x, y = examples_of(settings, chance)
    held, n = settings.held_out, settings.examples
    widths = [m for m in WIDTHS if m <= settings.widest]
    error = np.zeros((len(TRAINABLE), len(widths)))
    for i, trainable in enumerate(TRAINABLE.values()):
        for j, m in enumerate(widths):
            trained = train(
                partial(Dense, (x.shape[1], m, int(y.max()) + 1)),
                x[held:n],
                y[held:n],
                # One seed: the same start and the same batches at each learning rate.
                seeds=[chance] * np.size(settings.sgd.lr),
                trainable=trainable,
                device=current(),
                **settings.sgd.how,
            )
            wrong = (trained.predict(x).cpu() != y).double()
            best = int(wrong[:, :held].mean(1).argmin())
            error[i, j] = wrong[best, n:].mean()
    frozen, joint = np.maximum(error, 0.5 / TESTS)
    ratio = frozen / joint
    return Result(
        widths=(widths, "units"),
        error=Quantity(error, "fraction of test examples", layer=TRAINABLE, width=widths),
        ratio=Quantity(ratio, "ratio of test errors", width=widths),
        falls=(ratio[0] / ratio[-1], "ratio of ratios"),
    )


CLAIMS = (
    Claim(
        id="bubeck2015-joint-training-is-the-step",
        cite="bubeck2015", kind="effect", expected=SHOWN,
        title="Does it pay to train the features with the classifier?", ours=True,
        says="What the essay calls the game, to make the feature matrices free variables of the "
        "training, pays: they give a lower test error than the same matrices frozen at their "
        "random start, and the more so the fewer units they have.",
        tested="One hidden layer of 16, 64, 256 or 1,024 ReLU units on 2,500 pictures of clothes, "
        "14 by 14, for 200 steps: all weights trained, or the classifier alone, each at the best "
        "of three rates on held-out examples.",
        so="Frozen layers err {num}`bubeck2015-joint-training-is-the-step:beats .2f ±` times as "
        "often as trained ones over the four widths: {num}`features/frozen-or-joint ratio[0] "
        ".2f ±` times with 16 units, {num}`features/frozen-or-joint ratio[-1] .2f ±` with 1,024.",
        caveat="With 1,024 units the frozen layer has all but caught up on pictures, "
        "{num}`features/frozen-or-joint error[frozen,-1] .1%` against "
        "{num}`features/frozen-or-joint error[joint,-1] .1%`: there width does what training does. "
        "On the parity of three bits it never does.",
        paper=(("the post", "no number", "section 'Deep learning: it's all about the features'"),),
        decides=(
            Condition("beats", "over the four widths, the frozen layer's error is on average "
                      "(geometric mean) at least {bound} times the trained one's",
                      lambda r: float(np.exp(np.log(r["ratio"]).mean())), ">=", 1.1,
                      "ratio of test errors", none=1.0, log=True,
                      because="a tenth more errors is the least that would make a reader choose"),
            at_least("falls", "with the fewest units that ratio is at least {bound} times what it "
                     "is with the most", 1.2, none=1.0, log=True,
                     because="twice the least difference that would matter at one width"),
        ),
        mechanism=(
            at_most("ratio[-1]", "with the most units the frozen layer has all but caught up, to "
                    "a ratio of {bound}", 1.15, none=1.15, log=True,
                    because="kept from the first registration"),
        ),
        controls=(
            Control(
                "linear", "that features have to be found: the same pictures, but with labels "
                "drawn from a logistic regression on their first two principal components",
                ("beats", "falls"),
                (
                    at_most("error[joint, 0]", "the trained network beats guessing, to an error "
                            "of {bound}", 0.7),
                ),
            ),
            Control(
                "parity", "that random features will do if there are enough: whether an odd "
                "number of three among twenty bits is set", ("ratio[-1]",),
                (
                    at_most("error[joint, -1]", "the trained network solves the task, to an error "
                            "of {bound}", 0.05),
                ),
            ),
        ),
        limits="Much of a deep network may stay at its random start if the rest is trained "
        "{cite}`rosenfeld2018`, so that what joint training buys depends on what is frozen.",
        changes=("The comparison was made with 16 units alone, where it is largest (at least 1.4 "
                 "times); now all four widths decide together, at least 1.1 times (another "
                 "quantity). That the widest frozen layer catches up no longer decides. The "
                 "sentence is marked as the book's own: the essay compares with nothing frozen.",),
    ),
)  # fmt: skip

PLOT = Plot(
    sweep=Axis("units in layer 1", log=True),
    at="widths",
    y=Axis("test error", "%"),
    series={"error[frozen]": "layer 1 frozen", "error[joint]": "trained together"},
    factor=100.0,
    variants={MAIN: "Fashion-MNIST", "linear": "linear labels", "parity": "sparse parity"},
)


def figure(runs: Runs) -> figures.Figure:
    """Test error against width, one panel a task, bands over seeds."""
    with panels(3, size=(8.4, 3.3), sharey=True) as (drawn, axes):
        PLOT.draw_variants(axes, runs)
        for panel in axes:
            ticks(panel, first(runs, "widths"))
        axes[0].set(ylim=(0, None))
    return figures.Figure(
        drawn,
        label="fig-frozen-or-joint",
        caption="Test error against the number of units in the only hidden layer, which is frozen "
        f"at its random start or trained with the classifier: means and standard deviations over "
        f"{figures.count(len(runs[MAIN]))}. On pictures the gap is wide for few units and "
        "closes; where the label is a linear function there is none; on sparse parity no number "
        "of random units shown here closes it.",
        alt="Panels of test error against width. On Fashion-MNIST the frozen layer starts far "
        "above the trained one at 16 units and comes down to it at 1,024. With linear labels the "
        "two curves lie together. On sparse parity the frozen layer stays at one half while the "
        "trained one is at zero.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """The same to drag along, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="width",
        title="Test error with layer 1 frozen or trained, against its number of units",
        about="Move along the number of units and watch the gap between the two curves. "
        "Then change the task: where is there no gap, and where does it never close?",
        predict=Prediction(
            "With 1,024 units in layer 1, in which task does the frozen layer still err in about "
            "half of all cases although the trained one does not?",
            tuple(PLOT.variants.values()),
            2,
            "No unit that is drawn without knowing which bits matter says much about their parity; "
            "training finds the three bits among the twenty.",
        ),
    )
