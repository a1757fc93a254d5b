"""The house style of every matplotlib figure, and figures that carry their caption and alt text.

    with figures.style():
        figure, axes = plt.subplots()
        figures.band(axes, steps, losses, label="learned features")
        axes.set(xlabel="step", ylabel="loss (nats)")
    figures.Figure(figure, label="fig-losses", caption="...", alt="...")

The background is opaque, so that a figure reads alike on the light and the dark page. Colours keep
apart for colour-blind readers and stand at 3:1 or more against the background; every colour comes
with its own line style and marker, so that nothing rests on colour alone.
"""

from __future__ import annotations

import base64
from contextlib import AbstractContextManager
from io import BytesIO
from typing import Any, Literal

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from jaxtyping import Float, Real
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

MIME = "application/vnd.whydeep.figure+json"
BACKGROUND, INK, GRID = "#fcfcfa", "#23262b", "#d9dad6"
# Blue, vermillion and green after Okabe and Ito (2008), the green darkened; purple and ochre after
# Tol, darkened: all at least 3:1 on BACKGROUND.
COLOURS = {
    "blue": "#0072b2",
    "vermillion": "#c8500a",
    "green": "#00805e",
    "purple": "#8f4f9f",
    "ochre": "#8c6d00",
    "grey": "#5a5f66",
}
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
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 11.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 10.5,
    "axes.linewidth": 0.8,
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
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "font.family": "DejaVu Sans",  # ships with matplotlib: the same letters everywhere
    "font.size": 10,
    "legend.frameon": False,
    "legend.fontsize": 9.5,
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
    x: Real[np.ndarray, "points"],
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
    mean = values.mean(axis=0)
    (drawn,) = axes.plot(x, mean, label=label, **line)
    if len(values) > 1:
        sd = values.std(axis=0, ddof=1)
        axes.fill_between(x, mean - sd, mean + sd, color=drawn.get_color(), alpha=0.22, lw=0)
    return drawn


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
