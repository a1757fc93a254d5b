"""Draws the book's cover, its mark and its icons: `python -m whydeep.book.cover`.

A network with two hidden layers learns to tell ten kinds of clothing apart, and is asked at 61
moments of its training about 400 pictures that it never trains on. Each picture is a thread. Its
height is the mean place under the network's ten probabilities, sum_c p_c * (place of class c): in
the middle as long as the network has no opinion, at a garment's own height once it has decided.
Threads that end at another garment than their own are vermillion. The network's settings were
chosen for their looks, on the one seed shown: it illustrates, and no verdict rests on it.

The pictures are committed under static/, so that a build draws none of them, and with them
cover.json, which holds the numbers that the caption tells. tests/test_face.py draws them again.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from jaxtyping import Float, Int
from matplotlib.collections import LineCollection
from PIL import Image
from scipy.interpolate import PchipInterpolator

from whydeep.chance import Chance
from whydeep.datasets import fashion_mnist
from whydeep.descent import Trained, train
from whydeep.networks import Dense
from whydeep.show import figures

STATIC = Path(__file__).parent / "static"
PLACES = (
    "Bag", "Trouser", "Dress", "T-shirt/top", "Shirt",
    "Pullover", "Coat", "Sandal", "Sneaker", "Ankle boot",
)  # fmt: skip
EACH, STEPS, MOMENTS, SEED = 40, 2000, 61, 0
# Thread, wrong thread, paper, ink, quiet ink: for the light page and for the dark one.
LOOKS = {
    "light": (figures.COLOURS["blue"], figures.COLOURS["vermillion"], figures.BACKGROUND,
              figures.INK, figures.MUTED),
    "dark": (figures.DARK_COLOURS["blue"], "#ef8459", figures.DARK_BACKGROUND,
             figures.DARK_INK, "#a5a6a3"),
}  # fmt: skip


@dataclass
class Threads:
    """400 test pictures through training: ``height[i, t]`` in places 0 to 9 at ``steps[t]``.

    ``own`` and ``final`` are the places of the picture's class and of the network's last guess;
    ``offset`` keeps the threads of one class side by side, within half a place.
    """

    pictures: Float[np.ndarray, "n 28 28"]
    steps: Int[np.ndarray, " t"]
    height: Float[np.ndarray, "n t"]
    own: Int[np.ndarray, " n"]
    final: Int[np.ndarray, " n"]
    offset: Float[np.ndarray, " n"]

    @property
    def wrong(self) -> np.ndarray:
        return self.final != self.own


def threads() -> Threads:
    """Train the network and follow the pictures; the same on every call on one machine."""
    data = fashion_mnist().subset(None, 10 * EACH, seed=SEED)
    mean, sd = data.train_x.mean(), data.train_x.std()
    x, asked = ((z.flatten(1) - mean) / sd for z in (data.train_x, data.test_x))
    place = torch.tensor([PLACES.index(name) for name in data.classes])
    moments = np.unique(np.round(np.geomspace(1, STEPS + 1, MOMENTS)).astype(int) - 1)

    def probabilities(trained: Trained) -> torch.Tensor:
        return trained.outputs(asked).softmax(-1)

    trained = train(
        partial(Dense, (784, 128, 64, 10)),
        x,
        data.train_y,
        seeds=[SEED],
        steps=STEPS,
        batch_size=500,
        lr=0.03,
        measure={"p": probabilities},
        measure_at=[int(m) for m in moments],
        device="cpu",
        progress=False,
    )
    p = trained.history["p"][0]  # (t, n, classes)
    height = (p * place).sum(-1).T.numpy()
    own = place[data.test_y].numpy()
    offset = np.empty(len(own))
    for c in range(10):
        # Side by side in the order in which they stand half-way, so that they cross little.
        members = np.flatnonzero(own == c)
        order = members[np.argsort(height[members, len(moments) // 2])]
        offset[order] = np.linspace(-0.36, 0.36, len(order))
    final = place[p[-1].argmax(-1)].numpy()
    pictures = data.test_x[:, 0].numpy()
    return Threads(pictures, moments, height, own, final, offset)


def draw(found: Threads, look: str, *, title: bool = False) -> bytes:
    """The cover, WebP of 1440 x 640 pixels; with ``title`` the social preview, PNG of 1200 x 630.

    Preview services read no WebP.
    """
    thread, wrong, paper, ink, quiet = LOOKS[look]
    size, dpi = ((6.0, 3.15), 200) if title else ((7.2, 3.2), 200)
    across = np.log10(found.steps + 1.0)
    fine = np.linspace(0, across[-1], 400)
    paths = PchipInterpolator(across, found.height, axis=1)(fine) + found.offset[:, None]
    lines = np.stack([np.broadcast_to(fine, paths.shape), paths], axis=-1)
    with figures.style(), plt.rc_context({"figure.constrained_layout.use": False}):
        figure = plt.figure(figsize=size, facecolor=paper)
        box = (0.20, 0.06, 0.68, 0.60) if title else (0.15, 0.125, 0.75, 0.86)
        axes = figure.add_axes(box, facecolor=paper)
        for chosen, colour, width, alpha, above in (
            (~found.wrong, thread, 0.45, 0.42, 2),
            (found.wrong, wrong, 0.5, 0.62, 3),
        ):
            axes.add_collection(LineCollection(
                lines[chosen], colors=colour, linewidths=width, alpha=alpha, zorder=above,
                capstyle="round",
            ))  # fmt: skip
        axes.set(xlim=(0, across[-1]), ylim=(9.6, -0.6))
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.set_yticks([])
        marks = [0, 1, 10, 100, 1000]
        axes.set_xticks(np.log10(np.array(marks) + 1.0), [f"{m:,}" for m in marks])
        axes.tick_params(length=0, labelsize=7, colors=quiet, pad=3)
        axes.set_xlabel("steps of learning", fontsize=7.5, color=quiet, labelpad=1)
        if title:
            axes.set_xticks([])
            axes.set_xlabel("")
            figure.text(0.055, 0.925, "Why Does Deep Learning Work?", color=ink, va="top",
                        family="Why Display", weight=600, fontsize=24)  # fmt: skip
            figure.text(0.057, 0.755, "A textbook in which every claim is an experiment",
                        color=quiet, va="top", fontsize=12)  # fmt: skip
        _thumbnails(figure, found, box, look)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=dpi, facecolor=paper, metadata={"Software": None})
        plt.close(figure)
    picture, small = Image.open(file).convert("RGB"), io.BytesIO()
    if title:
        picture.quantize(256).save(small, format="png", optimize=True)
    else:
        picture.save(small, format="webp", quality=76, method=6)
    return small.getvalue()


def _thumbnails(figure: plt.Figure, found: Threads, box: tuple, look: str) -> None:
    """Mixed garments where the threads begin, one of each kind where its strand ends."""
    _, _, paper, ink, _ = LOOKS[look]
    left, bottom, width, height = box
    shape = figure.get_size_inches()
    cell = height / 10.2
    wide = cell * shape[1] / shape[0]
    rng = Chance(SEED).numpy()
    ends = np.array([[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in (paper, ink)])

    def show(i: np.integer, x: float, y: float, scale: float) -> None:
        panel = figure.add_axes((x, y - scale * cell / 2, scale * wide, scale * cell))
        tone = found.pictures[i][..., None]
        panel.imshow(ends[0] + tone * (ends[1] - ends[0]), interpolation="bilinear")
        panel.set_axis_off()

    right = ~found.wrong
    for c in range(10):
        kind = np.flatnonzero((found.own == c) & right)  # and of these the most usual one
        middle = found.pictures[kind].mean(0)
        i = kind[np.square(found.pictures[kind] - middle).sum((1, 2)).argmin()]
        show(i, left + width + 0.35 * wide, bottom + height * (9.6 - c) / 10.2, 1.12)
    mixed = rng.permutation(len(found.own))[:12]
    for k, i in enumerate(mixed):
        row, column = divmod(k, 3)
        middle = bottom + height * (9.6 - 4.5) / 10.2
        show(i, left - (3.9 - 1.15 * column) * wide, middle + (1.5 - row) * 1.15 * cell, 1.0)


# ------------------------------------------------------------------------------- the mark

# A question mark in pixels, as a network gets to see it; its dot is the answer.
MARK = (
    ".####.",
    "##..##",
    "....##",
    "...##.",
    "..##..",
    "......",
    "..@@..",
    "..@@..",
)


def mark_svg(ink: str, accent: str, dark: tuple[str, str] | None = None) -> str:
    """The mark as SVG; with ``dark`` it follows the reader's colour scheme by itself."""
    style = f".i{{fill:{ink}}}.a{{fill:{accent}}}"
    if dark:
        style += (
            "@media(prefers-color-scheme:dark)"
            f"{{.i{{fill:{dark[0]}}}.a{{fill:{dark[1]}}}}}"
        )  # fmt: skip
    parts = []
    for name, sign in (("i", "#"), ("a", "@")):
        cells = [
            f"M{x + 1} {y}h1v1h-1z"
            for y, row in enumerate(MARK)
            for x, pixel in enumerate(row)
            if pixel == sign
        ]
        parts.append(f'<path class="{name}" d="{"".join(cells)}"/>')
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 8" shape-rendering="crispEdges">'
        f"<style>{style}</style>{''.join(parts)}</svg>\n"
    )


def mark_png(size: int) -> Image.Image:
    """The mark on paper, ``size`` (a multiple of 8) pixels wide and high."""
    colours = {".": figures.BACKGROUND, "#": figures.INK, "@": figures.COLOURS["vermillion"]}
    picture = Image.new("RGB", (8, 8), figures.BACKGROUND)
    for y, row in enumerate(MARK):
        for x, pixel in enumerate(row):
            rgb = tuple(int(colours[pixel][i : i + 2], 16) for i in (1, 3, 5))
            picture.putpixel((x + 1, y), rgb)
    return picture.resize((size, size), Image.Resampling.NEAREST)


def main() -> None:
    found = threads()
    for look in LOOKS:
        (STATIC / f"cover-{look}.webp").write_bytes(draw(found, look))
    (STATIC / "social.png").write_bytes(draw(found, "light", title=True))
    numbers = {
        "pictures": len(found.own),
        "wrong": int(found.wrong.sum()),
        "steps": STEPS,
        "layers": 2,
        "seed": SEED,
    }
    (STATIC / "cover.json").write_text(json.dumps(numbers) + "\n", encoding="utf-8")
    light = (figures.INK, figures.COLOURS["vermillion"])
    dark = (figures.DARK_INK, "#ef8459")
    (STATIC / "favicon.svg").write_text(mark_svg(*light, dark), encoding="utf-8")
    (STATIC / "mark-light.svg").write_text(mark_svg(*light), encoding="utf-8")
    (STATIC / "mark-dark.svg").write_text(mark_svg(*dark), encoding="utf-8")
    mark_png(48).save(STATIC / "favicon.ico", sizes=[(16, 16), (32, 32), (48, 48)])
    mark_png(184).save(STATIC / "touch-icon.png", optimize=True)


if __name__ == "__main__":
    main()
