# The house style: what every figure of the book promises its readers.
import base64
import itertools
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from whydeep.show import figures


def luminance(colour: str) -> float:
    """Relative luminance of "#rrggbb" as WCAG 2.2 defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def contrast(a: str, b: str) -> float:
    light, dark = sorted((luminance(a), luminance(b)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def draw(**options) -> figures.Figure:
    with figures.style():
        figure, axes = plt.subplots()
        figures.band(axes, np.arange(3), np.array([[0.0, 1, 2], [2, 3, 4]]), label="loss")
        axes.legend()
    return figures.Figure(
        figure, label="fig-x", caption="A  line.", alt="A rising line.", **options
    )


def test_contrast_formula_gives_the_extremes_of_wcag():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("colour", [*figures.COLOURS.values(), figures.INK])
def test_every_colour_of_a_line_stands_out_from_the_background(colour):
    assert contrast(colour, figures.BACKGROUND) >= 3  # WCAG 1.4.11, graphical objects


def test_no_two_lines_differ_in_colour_alone():
    with figures.style():
        lines = [(str(s["linestyle"]), s["marker"]) for s in plt.rcParams["axes.prop_cycle"]]
    assert all(a != b for a, b in itertools.combinations(lines, 2))


@pytest.mark.parametrize("kind", ["svg", "png"])
def test_a_figure_is_drawn_to_the_same_bytes_every_time(kind):
    first, second = draw(kind=kind), draw(kind=kind)
    assert first.bytes() == first.bytes() == second.bytes()


def test_the_picture_is_opaque_so_that_it_reads_on_a_dark_page():
    picture = Image.open(BytesIO(draw(kind="png").bytes())).convert("RGBA")
    assert picture.getextrema()[3] == (255, 255)


def test_a_figure_offers_its_caption_and_alt_text_beside_the_plain_picture():
    bundle = draw()._repr_mimebundle_()
    assert bundle[figures.MIME] == {
        "label": "fig-x",
        "caption": "A line.",
        "alt": "A rising line.",
        "kind": "svg",
    }
    assert bundle["image/svg+xml"].lstrip().startswith("<?xml")
    png = draw(kind="png")._repr_mimebundle_()["image/png"]
    assert base64.b64decode(png).startswith(b"\x89PNG")


def test_a_figure_is_not_shown_a_second_time_by_the_inline_backend():
    before = plt.get_fignums()
    draw()
    assert plt.get_fignums() == before


def test_band_is_the_mean_and_one_standard_deviation_to_each_side():
    # Two seeds, 0 and 2 at the first point: mean 1, standard deviation sqrt(2) with n - 1.
    figure, axes = plt.subplots()
    line = figures.band(axes, np.array([0, 1]), np.array([[0.0, 5], [2, 5]]), label="two")
    assert line.get_ydata() == pytest.approx([1, 5])
    edges = axes.collections[0].get_paths()[0].vertices
    at_first = sorted({round(y, 6) for x, y in edges if x == 0})
    assert at_first == pytest.approx([1 - 2**0.5, 1 + 2**0.5], abs=1e-6)
    plt.close(figure)


def test_one_seed_has_no_band():
    figure, axes = plt.subplots()
    figures.band(axes, np.array([0, 1]), np.array([[0.0, 5]]), label="one")
    assert not axes.collections
    plt.close(figure)


def test_dots_and_bars_show_every_seed_and_a_single_one_too():
    values = np.array([[1.0, 4.0], [3.0, 8.0]])
    with figures.style():
        drawn, axes = plt.subplots()
        marks = figures.dots(axes, np.arange(2), values, label="means")
        figures.bars(axes, np.arange(2), values, colour="#000000")
        assert list(marks.lines[0].get_ydata()) == [2.0, 6.0]
        ends = [segment[:, 1].tolist() for segment in marks.lines[2][0].get_segments()]
        # Of 1 and 3 the standard deviation is the root of 2, of 4 and 8 that of 8.
        assert np.allclose(ends, [[2 - 2**0.5, 2 + 2**0.5], [6 - 8**0.5, 6 + 8**0.5]])
        assert [bar.get_height() for bar in axes.patches] == [2.0, 6.0]
        shown = np.concatenate([line.get_ydata() for line in axes.lines[-2:]])
        assert sorted(shown.tolist()) == [1.0, 3.0, 4.0, 8.0]
        figures.dots(axes, np.arange(2), values[:1])
        figures.bars(axes, np.arange(2), values[:1], colour="#000000")
        plt.close(drawn)
    assert figures.spread(values[:1]) is None


def test_captions_count_in_words():
    assert [figures.count(n) for n in (1, 5)] == ["1 seed", "5 seeds"]
    assert figures.count(1000, "run") == "1,000 runs"
