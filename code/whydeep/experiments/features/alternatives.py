"""The rivals: what did networks have to beat, and do they beat it here?

A reader of Bubeck's essay asks which methods deep learning outdoes ({cite}`bavarian2015`). On
pictures: support vector machines on features made by hand. On tables: forests. The claim is that
networks win on pictures and that trees often still win on small tables
({cite}`fernandezdelgado2014`, {cite}`grinsztajn2022`). We compare them on Fashion-MNIST and on the
breast-cancer table that comes with scikit-learn.

What would refute it: on pictures, a machine on hand-made features that is as good as a network; on
the table, a network that is as good as a forest. Refuted on these data only, which are small.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits
from torch import Tensor

from whydeep.chance import Chance
from whydeep.datasets import LabelledImages, fashion_mnist
from whydeep.descent import SGD, train
from whydeep.evidence.claims import OPPOSITE, Claim, Control, at_least, at_most
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.experiments.features._classifiers import gaussian_kernel
from whydeep.labs import features
from whydeep.networks import Convolutional, Dense, Network
from whydeep.show import figures
from whydeep.show.plot import Runs, first, over_seeds, panels

PAGE = "features/feature-maps-by-hand"
ON_PICTURES = {
    "svm_hog": "SVM on HOG",
    "svm_raw": "SVM on pixels",
    "forest": "random forest on pixels",
    "network": "convolutional network",
}
ON_TABLE = {"svm_table": "SVM", "forest_table": "random forest", "network_table": "dense network"}
METHODS = (*ON_PICTURES, *ON_TABLE)


@dataclass(frozen=True)
class Settings:
    """``examples`` training images, drawn afresh by every seed; always all 2,000 test images.

    The table is split at random ``splits`` times, two thirds for training. ``margin_cost`` is the C
    of the support vector machines, ``trees`` the size of the forests. ``sgd`` trains the
    convolutional network; the dense one takes ``table_steps`` full-batch steps in the same way.
    ``frozen`` leaves the convolutions as they were drawn. ``scramble`` permutes the pixels in one
    order and turns the table's axes by one rotation.
    """

    examples: int = 1000
    splits: int = 3
    margin_cost: float = 10.0
    trees: int = 40
    sgd: SGD = SGD(lr=0.02, steps=200, batch=64, momentum=0.9, decay=1e-3)
    table_steps: int = 200
    frozen: bool = False
    scramble: bool = False


SCALES = {
    "quick": Settings(
        examples=500,
        splits=1,
        sgd=SGD(lr=0.02, steps=100, batch=64, momentum=0.9, decay=1e-3),
    ),
    "full": Settings(),
}
VARIANTS = {"scrambled": {"scramble": True}, "frozen": {"frozen": True}}


def machine_error(
    phi: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    phi_test: Float[Tensor, "m d"],
    y_test: Int[Tensor, " m"],
    cost: float,
) -> float:
    """Test error of a support vector machine with the Gaussian kernel, gamma = 1 / (d variance)."""
    # One matrix product is much faster than scikit-learn's own loop over pairs.
    gamma = 1 / (phi.shape[1] * float(phi.var(correction=0)))
    kernel, kernel_test = (gaussian_kernel(z, phi, gamma).double().numpy() for z in (phi, phi_test))
    machine = SVC(C=cost, kernel="precomputed").fit(kernel, y.numpy())
    return 1 - float(machine.score(kernel_test, y_test.numpy()))


def forest_error(
    x: Float[Tensor, "n d"],
    y: Int[Tensor, " n"],
    x_test: Float[Tensor, "m d"],
    y_test: Int[Tensor, " m"],
    trees: int,
    chance: Chance,
) -> float:
    """Test error of a random forest."""
    state = chance.torch().initial_seed()  # a number of this member's own
    forest = RandomForestClassifier(trees, random_state=state).fit(x.numpy(), y.numpy())
    return 1 - float(forest.score(x_test.numpy(), y_test.numpy()))


def network_error(
    network: Callable[..., Network],
    x: Float[Tensor, "n ..."],
    y: Int[Tensor, " n"],
    x_test: Float[Tensor, "m ..."],
    y_test: Int[Tensor, " m"],
    chance: Chance,
    sgd: SGD,
    trainable: tuple[str, ...] = ("*",),
) -> float:
    """Test error of a network trained by SGD."""
    trained = train(network, x, y, seeds=[chance], trainable=trainable, device="cpu", **sgd.how)
    return float((trained.predict(x_test)[0] != y_test).double().mean())


def on_pictures(data: LabelledImages, settings: Settings, chance: Chance) -> list[float]:
    """Test error of each method of ON_PICTURES."""
    y, y_test, x, x_test = data.train_y, data.test_y, data.train_x, data.test_x
    for_forest, for_network = chance.members(2)
    flat = features.pixels(x), y, features.pixels(x_test), y_test
    z, z_test = ((images - x.mean()) / x.std() for images in (x, x_test))
    return [
        machine_error(features.hog(x), y, features.hog(x_test), y_test, settings.margin_cost),
        machine_error(*flat, settings.margin_cost),
        forest_error(*flat, settings.trees, for_forest),
        network_error(
            partial(Convolutional, kernel=3, widths=(128,)), z, y, z_test, y_test, for_network,
            settings.sgd, ("classifier.*",) if settings.frozen else ("*",),
        ),
    ]  # fmt: skip


def on_table(settings: Settings, chance: Chance) -> list[float]:
    """Test error of each method of ON_TABLE, averaged over the splits; columns standardised."""
    columns, labels = load_breast_cancer(return_X_y=True)
    rng = chance.numpy()
    turn = np.linalg.qr(rng.standard_normal((columns.shape[1],) * 2))[0]
    y = torch.from_numpy(labels)
    full_batch = replace(settings.sgd, steps=settings.table_steps, batch=len(y))
    errors = []
    for split in chance.members(settings.splits):
        train_rows, test_rows = np.split(rng.permutation(len(y)), [2 * len(y) // 3])
        kept = columns[train_rows]
        table = (columns - kept.mean(0)) / kept.std(0)
        x = torch.from_numpy(table @ turn if settings.scramble else table).float()
        parts = x[train_rows], y[train_rows], x[test_rows], y[test_rows]
        dense = partial(Dense, (x.shape[1], 64, 64, 2))
        errors.append(
            [
                machine_error(*parts, settings.margin_cost),
                forest_error(*parts, settings.trees, split),
                network_error(dense, *parts, split, full_batch),
            ]
        )
    return np.mean(errors, axis=0).tolist()


def run(settings: Settings, chance: Chance) -> Result:
    """Test error of every method, on pictures and on the table. On the CPU, on one thread."""
    order, pictures, table = chance.members(3)
    data = fashion_mnist().subset(settings.examples, seed=chance.seed)
    if settings.scramble:
        permutation = order.numpy().permutation(data.train_x[0].numel())
        for x in (data.train_x, data.test_x):
            x.copy_(x.flatten(1)[:, torch.from_numpy(permutation)].view(x.shape))
    # One thread: the sums, and so the digits, do not depend on the number of cores.
    with threadpool_limits(1):
        errors = on_pictures(data, settings, pictures) + on_table(settings, table)
    of = dict(zip(METHODS, errors, strict=True))
    ratio = "ratio of test errors"
    return Result(
        error=Quantity(errors, "fraction of test examples", method=METHODS),
        hog_helps=(of["svm_raw"] / of["svm_hog"], ratio),
        network_wins_pictures=(of["svm_hog"] / of["network"], ratio),
        forest_wins_table=(of["network_table"] / of["forest_table"], ratio),
        examples=(settings.examples, "training examples"),
    )


CLAIMS = (
    Claim(
        id="bavarian2015-what-are-the-alternatives",
        cite="bavarian2015", kind="effect", expected=OPPOSITE,
        title="Which methods does deep learning outdo?", ours=True,
        says="The usual answer to the reader's question: networks beat support vector machines on "
        "features made by hand on pictures, and forests of decision trees beat networks on small "
        "tables.",
        tested="On 1,000 pictures of clothes, a support vector machine on HOG against a small "
        "convolutional network trained for 200 steps; on the breast-cancer table of 569 rows, a "
        "random forest against a dense network; each with one setting.",
        so="Both are the other way round here: on pictures the machine on HOG errs on "
        "{num}`features/alternatives error[svm_hog] .1% ±` and the network on "
        "{num}`features/alternatives error[network] .1% ±`; on the table the forest errs on "
        "{num}`features/alternatives error[forest_table] .1% ±` and the network on "
        "{num}`features/alternatives error[network_table] .1% ±`.",
        caveat="A thousand small, centred pictures favour features made by hand: on ImageNet, "
        "networks won. One small table, split anew by every seed, says little about tables: a "
        "point is two of its test rows.",
        paper=(
            (
                "top-5 error on ImageNet 2012: Fisher vectors on SIFT; a network",
                ("{} %; {} %", 26.2, 15.3),
                "{cite:t}`krizhevsky2012`, abstract and Table 2",
            ),
            (
                "share of the best accuracy, mean over 121 tables: random forest; Gaussian SVM",
                ("{} %; {} %", 94.1, 92.3),
                "{cite:t}`fernandezdelgado2014`, abstract",
            ),
        ),
        decides=(
            at_least("network_wins_pictures", "on pictures, the machine on HOG errs at least "
                     "{bound} times as often as the network", 1.05, none=1.0, log=True,
                     because="less would be no reason to train a network"),
            at_least("forest_wins_table", "on the table, the network errs at least {bound} times "
                     "as often as the forest", 1.1, none=1.0, log=True,
                     because="a tenth more errors is the least that would make a reader choose"),
        ),
        mechanism=(
            at_least("hog_helps", "on pictures, the machine on pixels errs at least {bound} times "
                     "as often as on HOG", 1.1, none=1.0, log=True,
                     because="a tenth more errors is the least that would make a reader choose"),
        ),
        controls=(
            Control(
                "scrambled", "that neighbouring pixels belong together: all pixels permuted in one "
                "fixed order",
                ("hog_helps",),
                (
                    at_most("error[svm_raw]", "the machine on pixels errs on at most {bound}",
                            0.25),
                ),
            ),
        ),
        limits="Over 121 tables the lead of forests over support vector machines was within "
        "chance {cite}`fernandezdelgado2014`; on 45 tables of about 10,000 examples trees still "
        "led networks {cite}`grinsztajn2022`. One small table, as here, decides neither.",
        changes=("After the recorded run the variant 'frozen' stopped being a control: it "
                 "attacked only a condition that the main run misses, so that it could not have "
                 "changed the verdict. 'scrambled' attacks that condition in its place. No bound "
                 "and no setting was changed.",
                 "That HOG beats pixels no longer decides: it made the word *partly reproduced*, "
                 "though both statements about networks came out the other way round (stricter). "
                 "The sentence is marked as the book's own, for the reader asks a question. "
                 "'scrambled' attacks the condition on HOG alone; bounds as before.",),
    ),
)  # fmt: skip

GROUPS = {MAIN: "as they are", "scrambled": "scrambled"}


def figure(runs: Runs) -> figures.Figure:
    """Test errors of all methods, as the data are and scrambled; one dot a seed."""
    with panels(2, size=(8.4, 3.6), width_ratios=(4, 3)) as (drawn, axes):
        for panel, title, methods in zip(
            axes, ("pictures", "a table"), (ON_PICTURES, ON_TABLE), strict=True
        ):
            for place, name in enumerate(methods):
                for row, (variant, label) in enumerate(GROUPS.items()):
                    errors = over_seeds(runs, f"error[{name}]", variant, factor=100)
                    colour = figures.COLOURS[("blue", "vermillion")[row]]
                    height = place + 0.36 * (row - 0.5)
                    panel.barh(
                        height, errors.mean(), 0.32, color=colour, alpha=0.35,
                        hatch="//" if row else None, label=None if place else label,
                    )  # fmt: skip
                    aside = (
                        np.linspace(-0.08, 0.08, len(errors)) if len(errors) > 1 else np.zeros(1)
                    )
                    panel.plot(errors, height + aside, "os"[row], color=colour, ls="none")
            panel.set_yticks(range(len(methods)), methods.values())
            panel.invert_yaxis()
            panel.set(xlabel="test error (%)", xlim=(0, None), title=title)
            panel.grid(axis="y", visible=False)
        axes[0].legend(loc="upper left", bbox_to_anchor=(0, -0.2), ncols=2)
    return figures.Figure(
        drawn,
        label="fig-alternatives",
        caption="Test error of each method. Left, Fashion-MNIST from "
        f"{int(first(runs, 'examples')):,} training examples, as it is and with its pixels in one "
        "random order; right, the breast-cancer table, as it is and with its axes turned. Bars are "
        f"means over {figures.count(len(runs[MAIN]))}, each dot is one seed.",
        alt="Two bar charts. On pictures the support vector machine on HOG has the lowest error, "
        "below the convolutional network; with scrambled pixels it is no better than the machine "
        "on pixels. On the table the errors of all methods are small and overlap.",
    )
