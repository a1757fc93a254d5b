"""One Plot gives a figure and an explorer with the same curves."""

import numpy as np
import pytest
from whydeep.evidence.results import MAIN, Quantity, Result
from whydeep.show import figures
from whydeep.show.plot import Axis, Plot, compare, first, over_seeds, panels, ticks

EPOCHS = (0, 2, 4)
PLOT = Plot(
    sweep=Axis("epoch"),
    at="epochs",
    y=Axis("error", "%"),
    series={"error[{}]": "test error"},
    factor=100.0,
)


def runs():
    def one(seed):
        error = np.array([[0.5, 0.3, 0.2], [0.5, 0.4, 0.4]]) + 0.01 * seed
        return Result(
            epochs=(EPOCHS, "epochs"),
            error=Quantity(error, "share", arm=("plain", "dropout"), epoch=EPOCHS),
        )

    return {MAIN: {seed: one(seed) for seed in (0, 1)}}


def test_seeds_are_stacked_and_places_taken():
    assert over_seeds(runs(), "error[dropout]", factor=100.0) == pytest.approx(
        np.array([[50, 40, 40], [51, 41, 41]])
    )
    assert first(runs(), "epochs").tolist() == list(EPOCHS)


def test_a_figure_shows_the_means_at_the_place_it_is_told():
    with panels(2, size=(6, 3)) as (drawn, axes):
        PLOT.draw(axes[0], runs(), place="plain")
        PLOT.draw(axes[1], runs(), place="dropout")
    figures.Figure(drawn, label="fig-x", caption="c", alt="a")
    lines = [panel.get_lines()[0].get_ydata().tolist() for panel in axes]
    assert lines == [pytest.approx([50.5, 30.5, 20.5]), pytest.approx([50.5, 40.5, 40.5])]
    assert axes[0].get_xlabel() == "epoch"
    assert axes[0].get_ylabel() == "error (%)"
    assert axes[0].get_legend().get_texts()[0].get_text() == "test error"


def test_variants_stand_beside_one_another_and_one_that_did_not_run_is_left_out():
    shown = {MAIN: "as it is", "control": "without the cause", "other": "did not run"}
    both = {MAIN: runs()[MAIN], "control": {0: runs()[MAIN][1]}}
    with panels() as (drawn, axes):
        compare(axes, both, "error[dropout]", "epochs", shown, factor=100.0)
    figures.Figure(drawn, label="fig-x", caption="c", alt="a")
    main, control = axes.get_lines()
    assert [main.get_label(), control.get_label()] == ["as it is", "without the cause"]
    assert main.get_xdata().tolist() == list(EPOCHS)
    assert main.get_ydata() == pytest.approx(np.array([50.5, 40.5, 40.5]))
    assert control.get_ydata() == pytest.approx(np.array([51, 41, 41]))


def test_an_explorer_holds_the_same_numbers():
    plot = Plot(
        sweep=Axis("epoch"), at="epochs", y=Axis("error", "%"), factor=100.0,
        series={"error[plain]": "plain", "error[dropout]": "dropout"},
    )  # fmt: skip
    made = plot.explorer(runs(), key="x", title="Errors", about="Move.")
    assert made.spec["series"] == ["plain", "dropout"]
    assert made.spec["sweep"]["values"] == [0.0, 2.0, 4.0]
    assert made.spec["y"]["low"] == pytest.approx(20.0)
    assert made.spec["y"]["high"] == pytest.approx(51.0)


def test_ticks_stand_where_they_are_told_also_on_a_logarithmic_axis():
    with panels() as (drawn, axes):
        axes.plot([2, 30], [1, 2])
        axes.set_xscale("log")
        ticks(axes, [2, 8, 30])
    figures.Figure(drawn, label="fig-x", caption="c", alt="a")
    assert axes.get_xticks().tolist() == [2, 8, 30]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["2", "8", "30"]
