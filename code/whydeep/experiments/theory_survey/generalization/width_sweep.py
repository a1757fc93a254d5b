"""Does a network that already fits its labels get worse when it is made wider?

Counting weights says yes: the wider the network, the more it can fit, noise included. Neyshabur,
Tomioka and Srebro widened one hidden layer far past the size that fits the training labels, without
regularisation, and saw the test error go on falling ({cite}`neyshabur2015`): something other than
size controls the capacity. We do so on 8 x 8 digits, with clean labels and with a share of them
replaced at random, and record the margin that the networks reach per unit of norm.

What would refute it: a test error that stays or rises from the smallest width that fits to the
largest; or one that falls as much when the added units are copies of the ones already there.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from whydeep.chance import Chance
from whydeep.datasets import digits
from whydeep.descent import SGD, Trained, log_loss, train
from whydeep.errors import BadSettings
from whydeep.evidence.claims import SHOWN, Claim, Condition, Control, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.networks import Network
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, Runs, first, over_seeds, panels

if TYPE_CHECKING:
    from whydeep.widgets import SweepExplorer

PAGE = "theory-survey/generalization/what-the-optimiser-prefers"
CLASSES = 10
LABELS = ("clean", "noisy")
SHARE = "fraction of test examples"
FITTED = "fraction of training examples"


@dataclass(frozen=True)
class Settings:
    """Networks with ``widths`` units in one hidden layer, once with clean labels, once with noise.

    Every seed draws ``examples`` digits to train on and tests on all the others. ``noise`` is the
    probability with which a label is replaced by one drawn uniformly. ``fits_clean`` and
    ``fits_noisy`` are the widths that fit the labels. With ``copies`` wider networks start as
    copies of so many units.
    """

    examples: int = 300
    widths: tuple[int, ...] = (2, 4, 8, 12, 20, 32, 64, 128, 256)
    noise: float = 0.2
    fits_clean: int = 8
    fits_noisy: int = 20
    copies: bool = False
    sgd: SGD = SGD(lr=0.05, epochs=120, batch=50, momentum=0.9)


SCALES = {"quick": Settings()}
VARIANTS = {"copied-units": {"copies": True}}


class SideBySide(Network):
    """Networks with one hidden layer, of different ``widths``, that share nothing but their input.

    Their units stand in one layer, width after width, and column j of the classifier's matrix holds
    the outgoing weights of unit j. Their outputs follow one another: (n, widths * classes). If the
    losses are added, each network gets its own gradient, as if it were trained alone.

    He's start in each network; thresholds start at 0. With ``distinct``, unit j of a network starts
    as a copy of its unit j modulo ``distinct``. Copies share out the outgoing weights, so that the
    network starts as the function of so many units.
    """

    def __init__(
        self,
        inputs: int,
        widths: tuple[int, ...],
        *,
        distinct: int = 0,
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.widths = widths
        self.layers = nn.ModuleDict({"1": nn.utils.skip_init(nn.Linear, inputs, sum(widths))})
        self.classifier = nn.utils.skip_init(nn.Linear, sum(widths), CLASSES, bias=False)  # pyright: ignore[reportAttributeAccessIssue]
        self.thresholds = nn.Parameter(torch.zeros(len(widths), CLASSES))
        first, last = self.layers["1"], self.classifier
        with torch.no_grad():
            first.weight.normal_(0.0, (2 / inputs) ** 0.5, generator=generator)  # pyright: ignore[reportCallIssue]
            first.bias.zero_()  # pyright: ignore[reportCallIssue]
            last.weight.normal_(generator=generator)
            for u, v, width in zip(
                first.weight.split(widths),  # pyright: ignore[reportCallIssue]
                last.weight.split(widths, 1),
                widths,
                strict=True,
            ):
                several = min(width, distinct or width)
                own = torch.arange(width) % several
                copies = torch.bincount(own)[own]
                u.copy_(u[own])
                v.copy_(v[:, own] / copies / several**0.5)

    def features(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n units"]:
        return torch.relu(self.layers["1"](x))

    def forward(self, x: Float[Tensor, "n inputs"]) -> Float[Tensor, "n outputs"]:
        units = self.features(x).split(self.widths, -1)
        outgoing = self.classifier.weight.split(self.widths, -1)
        parts = zip(units, outgoing, self.thresholds, strict=True)
        return torch.cat([F.linear(h, v, b) for h, v, b in parts], -1)


def added_log_loss(outputs: Float[Tensor, "k n _"], y: Int64[Tensor, "k n"]) -> Tensor:
    """The log-losses of all networks side by side, added up, for each example: (k, n)."""
    each = outputs.unflatten(-1, (-1, CLASSES))
    return log_loss(each, y[..., None].expand(each.shape[:-1])).sum(-1)


def errors(
    outputs: Float[Tensor, "n widths classes"], y: Int64[Tensor, " n"]
) -> Float[np.ndarray, " widths"]:
    """The share of the examples that each network labels other than y."""
    return (outputs.argmax(-1) != y[:, None]).double().mean(0).numpy()


def margins(
    outputs: Float[Tensor, "n widths classes"], y: Int64[Tensor, " n"]
) -> Float[Tensor, " widths"]:
    """The smallest lead of an example's label over all other classes, for each network."""
    label = F.one_hot(y, CLASSES).bool()[:, None, :].expand_as(outputs)
    others = outputs.masked_fill(label, -torch.inf).amax(-1)
    return (outputs[label].view(others.shape) - others).amin(0)


def group_norms(trained: Trained, widths: tuple[int, ...]) -> Float[Tensor, " widths"]:
    """Sum over the units of |incoming weights, threshold included| |outgoing weights|, by network.

    A unit's incoming weights times c and its outgoing ones over c change neither the function nor
    this norm; half the sum of all squared weights is never smaller, and equal where every unit is
    balanced (Neyshabur, Tomioka and Srebro 2015, the part on infinite networks).
    """
    w = trained.parameters
    incoming = torch.cat([w["layers.1.weight"][0], w["layers.1.bias"][0][:, None]], 1)
    norms = incoming.norm(dim=1) * w["classifier.weight"][0].norm(dim=0)
    return torch.stack([part.sum() for part in norms.split(widths)])


def run(settings: Settings, chance: Chance) -> Result:
    """Errors on training and test examples for each width, with clean and with noisy labels.

    Runs on the CPU. Raises BadSettings for fitting widths not swept over.
    """
    widths = settings.widths
    if not {settings.fits_clean, settings.fits_noisy} <= set(widths):
        raise BadSettings(
            f"fitting widths {settings.fits_clean} and {settings.fits_noisy}: expected two of "
            f"{', '.join(map(str, widths))}"
        )
    data = digits()
    x = torch.cat([data.train_x, data.test_x]).flatten(1)
    y = torch.cat([data.train_y, data.test_y])
    order = torch.randperm(len(y), generator=chance.torch())
    fit, test = order[: settings.examples], order[settings.examples :]
    x = (x - x[fit].mean()) / x[fit].std()
    fits = widths.index(settings.fits_clean), widths.index(settings.fits_noisy)
    training, error, margin = np.zeros((3, len(LABELS), len(widths)))
    for i, (noise, fitting) in enumerate(zip((0.0, settings.noise), fits, strict=True)):
        distinct = widths[fitting] if settings.copies else 0
        trained = train(
            partial(SideBySide, x.shape[1], widths, distinct=distinct),
            x[fit],
            y[fit],
            seeds=[chance],
            epochs=settings.sgd.epochs,
            batch_size=settings.sgd.batch,
            lr=settings.sgd.lr,
            momentum=settings.sgd.momentum,
            label_noise=noise,
            loss=added_log_loss,
            device="cpu",
        )
        labels = trained.labels[0]
        on_fit, on_test = (
            trained.outputs(x[rows])[0].unflatten(-1, (-1, CLASSES)) for rows in (fit, test)
        )
        training[i], error[i] = errors(on_fit, labels), errors(on_test, y[test])
        margin[i] = margins(on_fit, labels) / group_norms(trained, widths)
    axes = {"labels": LABELS, "width": widths}
    fitting = error[[0, 1], fits]
    rise = (error - np.minimum.accumulate(error, axis=1)).max(1)
    return Result(
        widths=(np.array(widths), "hidden units"),
        train=Quantity(training, FITTED, **axes),
        test=Quantity(error, SHARE, **axes),
        margin=Quantity(margin, "logits per unit of norm", **axes),
        fitting=Quantity(fitting, SHARE, labels=LABELS),
        ratio=Quantity(error[:, -1] / fitting, "ratio of test errors", labels=LABELS),
        rise=Quantity(rise, SHARE, labels=LABELS),
    )


BETTER_WHEN_WIDER = "a tenth of the errors: less would not be worth the units"


def best_narrow(result: Result) -> float:
    """The error of the widest network over the least of those too narrow to fit noisy labels."""
    error, narrow = result["test[noisy]"], result["train[noisy]"] > 0.02
    return float(error[-1] / error[narrow].min())


CLAIMS = (
    Claim(
        id="neyshabur2015-real-inductive-bias", title="Does a wider network overfit more?",
        cite="neyshabur2015", kind="effect", expected=SHOWN,
        says="With one hidden layer and no regularisation, the test error goes on falling as units "
        "are added far beyond the size that fits the training set, noisy labels included: "
        "something else than the size controls the capacity (abstract and Figure 1).",
        tested="300 digits, 8 by 8, with true labels and with a fifth of them redrawn; one hidden "
        "layer of 2 to 256 ReLU units, 120 epochs.",
        so="From the 8 units that fit clean labels to 256 the test error changes by a factor of "
        "{num}`theory-survey/generalization/width-sweep ratio[clean] .2f ±`, from the 20 that fit "
        "noisy ones by {num}`theory-survey/generalization/width-sweep ratio[noisy] .2f ±`.",
        caveat="Most of the fall with clean labels is made by 20 units, whose error is "
        "{num}`theory-survey/generalization/width-sweep test[clean,4] .1%`, against "
        "{num}`theory-survey/generalization/width-sweep test[clean,-1] .1%` with 256. The way down "
        "begins at the widths that only just fit, where the error may have a peak; in single seeds "
        "a wider network errs more than a narrower one, on up to "
        "{num}`theory-survey/generalization/width-sweep rise[noisy] .1% max`.",
        paper=(
            ("what controls the capacity of networks", "something that plays a central part, and "
             "is not their size", "abstract"),
        ),
        decides=(
            at_most("ratio[clean]", "with clean labels, 256 units err at most {bound} times as "
                    "often as the 8 that fit", 0.9, none=1.0, log=True, because=BETTER_WHEN_WIDER),
            at_most("ratio[noisy]", "with a fifth of the labels redrawn, 256 units err at most "
                    "{bound} times as often as the 20 that fit", 0.9, none=1.0, log=True,
                    because=BETTER_WHEN_WIDER),
        ),
        mechanism=(
            Condition("best_narrow", "with noisy labels, 256 units err no more often than the best "
                      "network that is too narrow to fit them", best_narrow, "<=", 1.0,
                      "ratio of test errors", none=1.0, log=True,
                      because="else the fall would only be the far side of a peak"),
        ),
        controls=(
            Control(
                "copied-units", "the new units: wider networks hold copies of the units that were "
                "there before", ("ratio[clean]", "ratio[noisy]"),
                (
                    at_most("train[clean, -1]", "the widest network fits clean labels, but for at "
                            "most {bound:%} %", 0.02),
                    at_most("train[noisy, -1]", "the widest network fits noisy labels, but for at "
                            "most {bound:%} %", 0.02),
                ),
            ),
        ),
        limits="The test error may peak where the labels are only just fitted, so that part of "
        "the descent beyond is the way down from a peak {cite}`belkin2019,nakkiran2020`.",
        changes=("Ratios are judged by their logarithms; that 256 units also beat the networks "
                 "that are too narrow to fit is shown beside them. No bound was moved.",),
    ),
)  # fmt: skip

PLOT = Plot(
    sweep=Axis("hidden units", log=True),
    at="widths",
    y=Axis("error", "%"),
    series={
        "test[clean]": "test, clean labels",
        "test[noisy]": "test, noisy labels",
        "train[clean]": "training, clean labels",
        "train[noisy]": "training, noisy labels",
    },
    factor=100.0,
    variants={MAIN: "new units", "copied-units": "copies of the units that fit"},
)


def figure(runs: Runs) -> figures.Figure:
    """Test error against width with both kinds of labels, and the margin per unit of norm."""
    widths = first(runs, "widths")
    with panels(2, size=(8.6, 3.8)) as (drawn, axes):
        for labels, colour, marker in (("clean", "blue", "o"), ("noisy", "vermillion", "s")):
            name = f"{labels} labels"
            line = {"color": figures.COLOURS[colour], "marker": marker}
            error = over_seeds(runs, f"test[{labels}]", factor=100)
            figures.band(axes[0], widths, error, label=name, linestyle="-", **line)
            if "copied-units" in runs:
                copied = over_seeds(runs, f"test[{labels}]", "copied-units", factor=100)
                axes[0].plot(widths, copied.mean(0), linestyle=":", label=f"{name}, copies", **line)
            fitted = over_seeds(runs, f"train[{labels}]").max(0) <= 0.02
            fits = int(fitted.argmax())
            axes[0].axvline(widths[fits], color=line["color"], ls=(0, (1, 3)), lw=1, marker="")
            margin = over_seeds(runs, f"margin[{labels}]", factor=1000)[:, fits:]
            figures.band(axes[1], widths[fits:], margin, label=name, linestyle="-", **line)
            # Units of zeros widen a network without changing function or norm.
            within_reach = np.maximum.accumulate(margin, axis=1).mean(0)
            named = {"label": "within reach, at least"} if labels == "clean" else {}
            axes[1].plot(widths[fits:], within_reach, **figures.THEORY, **named)
        axes[0].set(ylabel="test error (%)", ylim=(0, None))
        axes[1].set(ylabel="margin per unit of norm (1/1000)", ylim=(0, None))
        for panel in axes:
            panel.set(xlabel="hidden units", xscale="log")
            panel.set_xticks(widths, [f"{width}" for width in widths], fontsize=8.5)
            panel.minorticks_off()
            panel.legend(fontsize=9)
    return figures.Figure(
        drawn,
        label="fig-prefers-width",
        caption="Left, the test error of networks with one hidden layer against its width, with "
        "clean labels and with a fifth of them redrawn; dotted, wider networks that start as "
        "copies of the units that fit. Vertical lines mark the smallest width that fits the "
        "labels, but for 2 %, with every seed. Right, from there on, the smallest margin of a "
        "training example over the norm of the weights; by the theorem a network of that width "
        "could reach the dashed line, or more. Means and one standard deviation over "
        f"{figures.count(len(error))}.",
        alt="Two panels against the number of hidden units, on a logarithmic axis. Left, two solid "
        "lines of test error fall steeply up to the width that fits the labels and go on falling "
        "beyond it, the lower one for clean labels; two dotted lines, for copied units, rise "
        "instead. Right, with clean labels the margin per unit of norm rises from 8 units to 20 "
        "and then falls to half of it at 256, while the dashed line of the theorem stays up; with "
        "noisy labels it is far lower and hardly moves.",
    )


def explorer(runs: Runs) -> SweepExplorer:
    """Errors against width, with clean and noisy labels, to drag along, with a question first."""
    from whydeep.widgets import Prediction  # pages need it, the CLI does not

    return PLOT.explorer(
        runs,
        key="prefers-width",
        title="Test and training errors against the width of the hidden layer",
        about="Move along the width and find where the training error reaches zero. What does the "
        "test error do from there on? Then let the wider networks be made of copies.",
        predict=Prediction(
            "A fifth of the labels are redrawn at random. A network of 20 units learns them all, "
            "the wrong ones too. What does a network of 256 units do on the test digits?",
            (
                "It errs more often, since it has room for more noise",
                "It errs as often, since neither can learn more than all labels",
                "It errs less often",
            ),
            2,
            "Both fit every label, right or wrong. The wider one fits them with a function that "
            "disturbs the other digits less, although nothing asks it to.",
        ),
    )
