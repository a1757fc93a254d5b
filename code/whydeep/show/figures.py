"""The house style of every matplotlib figure, and figures that carry their caption and alt text.

    with figures.style():
        figure, axes = plt.subplots()
        figures.band(axes, steps, losses, label="learned features")
        axes.set(xlabel="step", ylabel="loss (nats)")
    figures.Figure(figure, label="fig-losses", caption="...", alt="...")

The background is opaque, so that a figure reads alike on the light and the dark page. Colours keep
apart for colour-blind readers and stand at 3:1 or more against the background; every colour comes
with its own line style and marker, so that nothing rests on colour alone. The letters are the
site's own, from whydeep/fonts: a figure looks the same whatever fonts a machine has.

The palette is stated here once; the style sheets of the site and of the widgets repeat it, and
tests/test_face.py holds them to it.
"""

from __future__ import annotations

import base64
from contextlib import AbstractContextManager
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from jaxtyping import Float, Real
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D

MIME = "application/vnd.whydeep.figure+json"
BACKGROUND, INK, GRID = "#fcfcfa", "#23262b", "#e4e3dd"
# What is said more quietly than in ink: axes, the numbers beside them.
MUTED = "#5a5d63"
# Six colours that stay apart under protanopia, deuteranopia and tritanopia as well (Machado,
# Oliveira and Fernandes 2009), found by search around six hues: they differ in lightness too.
COLOURS = {
    "blue": "#0e4e8c",
    "vermillion": "#cc5c14",
    "green": "#42947e",
    "purple": "#a26ad0",
    "ochre": "#674600",
    "grey": "#3a3d42",
}
# The same for a dark page: of the site and of its widgets.
DARK_BACKGROUND, DARK_INK = "#16181c", "#dfddd7"
DARK_COLOURS = {
    "blue": "#8fb8f5",
    "vermillion": "#dd5a2a",
    "green": "#4a9b85",
    "purple": "#a068d0",
    "ochre": "#f0bd5a",
    "grey": "#dcdcd8",
}
FONTS = Path(__file__).parents[1] / "fonts"
for _font in sorted(FONTS.glob("*.ttf")):
    font_manager.fontManager.addfont(_font)
_DASHES: tuple[Any, ...] = ("-", (0, (6, 2)), (0, (2, 1.5)), (0, (7, 2, 2, 2)), "-", (0, (4, 4)))
_MARKERS = ("o", "s", "^", "D", "v", "P")
THEORY = {"color": INK, "linestyle": (0, (4, 3)), "linewidth": 1.4, "marker": "None"}
"""Keyword arguments for the curve that a theorem predicts: dashed, ink, without markers."""

STYLE = {
    "figure.figsize": (6.8, 4.0),
    "figure.dpi": 100,
    "figure.facecolor": BACKGROUND,
    "figure.constrained_layout.use": True,
    "savefig.facecolor": BACKGROUND,
    "savefig.edgecolor": "none",
    "savefig.transparent": False,
    "axes.facecolor": BACKGROUND,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.5,
    "axes.titleweight": "semibold",
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 10.5,
    "axes.labelpad": 5,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.prop_cycle": (
        cycler(color=list(COLOURS.values())) + cycler(linestyle=_DASHES) + cycler(marker=_MARKERS)
    ),
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.8,
    "lines.markersize": 4.5,
    "lines.markeredgecolor": BACKGROUND,
    "lines.markeredgewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 3,
    "ytick.major.size": 3,
    "xtick.major.width": 0.7,
    "ytick.major.width": 0.7,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "font.family": "Why Sans",
    "font.size": 10.5,
    "mathtext.fontset": "custom",
    "mathtext.rm": "Why Sans",
    "mathtext.it": "Why Sans:italic",
    "mathtext.bf": "Why Sans:semibold",
    "mathtext.bfit": "Why Sans:italic",
    "mathtext.cal": "Why Sans:italic",
    "mathtext.sf": "Why Sans",
    "mathtext.tt": "Why Sans",
    "mathtext.fallback": "stixsans",  # ships with matplotlib, for signs that ours has not
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 2.4,
    "image.cmap": "gray",
    "image.interpolation": "nearest",
    "svg.fonttype": "path",
    "svg.hashsalt": "whydeep",  # ids in the SVG depend on its content, not on chance
}


def style() -> AbstractContextManager[None]:
    """The house style, as a context: ``with figures.style(): figure, axes = plt.subplots()``."""
    return mpl.rc_context(STYLE)


def band(
    axes: Axes,
    x: Real[np.ndarray, " points"],
    values: Float[np.ndarray, "seeds points"],
    *,
    label: str,
    **line: Any,
) -> Line2D:
    """Draw the mean over seeds, and a band of one standard deviation (n - 1) to each side.

    ``x`` holds the points' places, ``values`` one row a seed, both in the units of the axes.
    ``line`` goes to ``Axes.plot`` (colour, markevery). Returns the line of the mean. A single seed
    gives a line without a band.
    """
    mean, sd = values.mean(axis=0), spread(values)
    (drawn,) = axes.plot(x, mean, label=label, **line)
    if sd is not None:
        axes.fill_between(x, mean - sd, mean + sd, color=drawn.get_color(), alpha=0.22, lw=0)
    return drawn


def dots(
    axes: Axes,
    places: Real[np.ndarray, " points"],
    values: Float[np.ndarray, "seeds points"],
    *,
    label: str | None = None,
    fmt: str = "o",
    **style: Any,
) -> ErrorbarContainer:
    """Draw the mean over seeds at each of the ``places``, with bars of one standard deviation.

    ``values`` holds one row a seed. ``style`` goes to ``Axes.errorbar`` (colour); ``fmt`` is the
    marker. A single seed gives marks without bars.
    """
    style = {"capsize": 3, "elinewidth": 1.2} | style
    return axes.errorbar(places, values.mean(0), spread(values), fmt=fmt, label=label, **style)


def bars(
    axes: Axes,
    places: Real[np.ndarray, " groups"],
    values: Float[np.ndarray, "seeds groups"],
    *,
    label: str | None = None,
    colour: str,
    marker: str = "o",
    hatch: str | None = None,
    width: float = 0.32,
) -> None:
    """Draw a bar to the mean over seeds at each of the ``places``, and one mark for every seed.

    ``values`` holds one row a seed, in the units of the axes; the marks of a group stand beside one
    another over a quarter of the bar's ``width`` to each side.
    """
    axes.bar(places, values.mean(0), width, color=colour, alpha=0.35, hatch=hatch, label=label)
    seeds = len(values)
    aside = np.linspace(-width / 4, width / 4, seeds) if seeds > 1 else np.zeros(1)
    axes.plot(np.asarray(places) + aside[:, None], values, marker, color=colour, ls="none")


def spread(values: Float[np.ndarray, "seeds *rest"]) -> Float[np.ndarray, "*rest"] | None:
    """The standard deviation over the first axis, with n - 1; None for a single seed."""
    return values.std(axis=0, ddof=1) if len(values) > 1 else None


def count(n: int, noun: str = "seed") -> str:
    """The words of a caption: ``"5 seeds"``, ``"1 seed"``."""
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


class Figure:
    """A matplotlib figure with what a page needs of it: label, caption and alternative text.

    ``label`` names it for ``{numref}``; ``caption`` is one paragraph of MyST Markdown that states
    the figure's message; ``alt`` says what is seen and what it means, for those who cannot see it.
    ``kind`` is "svg" for lines and "png" for images. In Jupyter and Colab the picture shows as
    usual; the book makes a numbered figure of it (whydeep.book.figures), and its build fails on
    a missing caption or alternative text.
    """

    def __init__(
        self,
        figure: mpl.figure.Figure,
        *,
        label: str,
        caption: str,
        alt: str,
        kind: Literal["svg", "png"] = "svg",
    ):
        self.figure, self.label, self.kind = figure, label, kind
        self.caption, self.alt = " ".join(caption.split()), " ".join(alt.split())
        plt.close(figure)  # else a notebook's inline backend would show it a second time

    def bytes(self) -> bytes:
        """The picture's file, the same bytes on every call."""
        file = BytesIO()
        metadata = {"Date": None, "Creator": None} if self.kind == "svg" else {"Software": None}
        with style():
            self.figure.savefig(
                file, format=self.kind, dpi=200, bbox_inches="tight", metadata=metadata
            )
        return file.getvalue()

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        if self.kind == "svg":
            picture = {"image/svg+xml": self.bytes().decode("utf-8")}
        else:
            picture = {"image/png": base64.b64encode(self.bytes()).decode("ascii")}
        about = {"label": self.label, "caption": self.caption, "alt": self.alt, "kind": self.kind}
        return {MIME: about, **picture, "text/plain": f"Figure: {self.alt}"}
