# A scratch book of widgets for the browser tests: pages of sweep explorers, of image explorers, of
# playgrounds and of referees in a sub-folder, one of widgets that are broken on purpose, and one
# without any.
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
SETUP = """\
import numpy as np
from whydeep.widgets import Axis, Prediction, SweepExplorer
# Two variants, three series, five seeds, four steps: 10 - step + 2 series + (seed - 2) / 10, and
# 5 more on the second variant.
v, s, k, n = np.ogrid[:2, :3, :5, :4]
values = 10.0 - n + 2 * s + (k - 2) / 10 + 5 * v"""
SWEEP = """\
SweepExplorer(
    values, key="ladder", title="Error against examples", about="Drag along the curves.",
    series=["raw", "random", "learned"], variants={"main": "as they are", "permuted": "shuffled"},
    seeds=range(5), sweep=Axis("examples", "pictures", log=True),
    sweep_values=[100, 300, 1000, 3000], y=Axis("test error", "%"),
)"""
GATED = """\
SweepExplorer(
    values[:1], key="gated", title="A question first", about="Say which is lowest.",
    series=["raw", "random", "learned"], variants={"main": "as they are"},
    seeds=range(5), sweep=Axis("examples"), sweep_values=[100, 300, 1000, 3000],
    y=Axis("test error", "%"),
    predict=Prediction("Which has the lowest error?", ("raw", "random", "learned"), 0,
                       "It was made so."),
)"""
FRAMES = """\
step = np.arange(1, 61)
rate = np.array([0.01, 0.1, 1.0])
loss = np.exp(-np.outer(rate, step) / 10)[None, None, None] * np.ones((1, 1, 2, 1, 1))
loss[0, 0, :, 2, 30:] = np.inf
SweepExplorer(
    loss, key="rates", title="Loss curves of three learning rates", about="The last one diverges.",
    series=["loss"], variants={"main": "all"}, seeds=[0, 1],
    sweep=Axis("learning rate", log=True), sweep_values=rate, y=Axis("loss", "nats", log=True),
    x=Axis("step"), x_values=step,
)"""
FIELD = """\
# Weight 1 to 3, bias 0 to 3, and t times weight minus bias: 0 to 9 at t = 3.
t, bias, weight = np.array([1.0, 3.0]), np.arange(4.0), np.arange(1.0, 4.0)
field = t[:, None, None] * weight - bias[:, None] + 3
SweepExplorer(
    np.stack([field - 0.5, field + 0.5])[None, None], key="field", title="A field over two axes",
    about="It steepens.", series=["loss"], variants={"main": "all"}, seeds=[0, 1],
    sweep=Axis("time"), sweep_values=t, y=Axis("loss", "nats"),
    x=Axis("weight"), x_values=weight, rows=Axis("bias"), row_values=bias,
)"""
IMAGES = """\
import numpy as np
from whydeep.widgets import ImageExplorer, Prediction
# -7 to 7 row by row, each item shifted by one pixel more, and one that is zero everywhere. The
# codes of 16 bits hit these values exactly, for 65534 is a multiple of 14.
ramp = np.arange(-7.0, 8.0)
ramps = np.stack([np.roll(ramp, n).reshape(3, 5) for n in range(12)] + [np.zeros((3, 5))])
checks = np.array([[[1.0, -1.0], [-1.0, 1.0]], [[-1.0, 1.0], [1.0, -1.0]]])"""
RAMPS = """\
ImageExplorer(
    {"ramps": ramps, "checks": checks}, key="ramps", title="Two banks", about="Choose one.",
    item="pattern", names={"checks": ["rising", "falling"]},
    numbers={"ramps": {"shift (pixels)": [*range(12), np.nan]}},
)"""
FILTERS = """\
rng = np.random.default_rng(0)
ImageExplorer(
    {"wide": rng.normal(0, 1, (6, 3, 3, 5)), "tall": rng.normal(0, 0.1, (4, 3, 4, 2))},
    key="filters", title="Filters and their feature maps", about="Choose a filter.", item="filter",
    pictures={"leaf": rng.uniform(0, 1, (3, 12, 10)), "sky": rng.uniform(0, 1, (3, 8, 9))},
    predict=Prediction("Which answers more?", ("wide", "tall"), 0, "It has larger weights."),
)"""
TEMPLATES = """\
# Black to white in the first channel only: 0 to 254 in 8 bits, each a step of 1 / 254.
ImageExplorer(
    {"red": np.stack([np.arange(255.0) / 254, np.zeros(255), np.zeros(255)]).reshape(1, 3, 15, 17)},
    key="red", title="One picture", about="It grows redder.", bits=8,
)"""
SLIDING = """\
# Kernels of 3 by 2 pixels and of 2 by 2, over a picture of 5 by 6; 16 bits hit the weights exactly,
# for 14 and 7 divide 65534, and 8 bits the halves.
ImageExplorer(
    {"tall": np.array([[[1.0, 3], [5, 7], [11, 15]]]), "small": np.array([[[1.0, -2], [3, -4]]])},
    key="slide", title="A patch and its column", about="Slide it.", item="kernel",
    pictures={"halves": (np.arange(30) ** 2 * 7 // 5 % 3 / 2).reshape(5, 6)},
    strides=(1, 2), matrix=True,
)"""
PLAY = """\
from whydeep.widgets import Playground, Prediction
Playground(
    key="play", title="A small network, live", about="Press Run.",
    preset={"data": "blobs", "widths": [3], "examples": 60, "seeds": 2},
)"""
TWINS = """\
Playground(
    key="twins", title="Two step sizes", about="Say which learns.",
    preset={"data": "moons", "widths": [4, 2], "activation": "relu", "stop_at": 400, "speed": 0},
    compare={"lr": 0.003},
    predict=Prediction("Which is ahead after 400 steps?", ("A", "B"), 0, "Its steps are larger."),
)"""
PASTED = """\
Playground(
    key="own", title="Points of one's own", about="They were pasted.",
    preset={"data": "pasted", "widths": [3], "inputs": "products", "loss": "squared"},
    paste="x,y,kind\\n" + "\\n".join(f"{n % 7},{n * n % 11},{'ab'[n % 2]}" for n in range(40)),
)"""
REFEREE = """\
from whydeep.widgets import Prediction, Referee
Referee(
    key="referee", title="A worthless method", about="Draw again.",
    predict=Prediction("How often is it shown here?", ("1 in 4", "1 in 40"), 1, "It was so."),
)"""
JUDGES = """\
Referee(
    key="judge", title="Twice the bound", about="Take seeds away.", seeds=(5, 20),
    start={"effect": 2.0, "spread": 0.5, "seeds": 20},
)"""
POOLING = """\
# A picture of 9 by 10 pixels and a filter of 2 by 3: feature maps of 8 by 8. The halves are exact
# in 8 bits, the weights in 16.
from whydeep.widgets import Pool
ImageExplorer(
    {"edges": np.array([[[1.0, 0, -1], [1, 0, -1]]])}, key="pool", title="A pool under a shift",
    about="Shift it.", item="filter", reach=2,
    pictures={"halves": (np.arange(90) ** 2 * 7 // 5 % 3 / 2).reshape(9, 10)},
    pools={
        "maximum of 2 × 2": Pool("maximum", 2, 2), "average of 2 × 2": Pool("average", 2, 2),
        "every second": Pool("maximum", 1, 2), "overlapping 3 × 3": Pool("maximum", 3, 2),
    },
)"""
BROKEN = """\
import anywidget
class Throws(anywidget.AnyWidget):
    _esm = "export default { render() { throw new Error('no luck today'); } }"
class Unreadable(anywidget.AnyWidget):
    _esm = "export default {"
Throws()"""
PAGES = {
    "part/widgets": ["# Widgets\n", SETUP, SWEEP, "Filler.\n\n" * 60, GATED, FRAMES, FIELD],
    "part/images": ["# Images\n", IMAGES, RAMPS, FILTERS, TEMPLATES, SLIDING, POOLING],
    "part/playground": ["# Playground\n", PLAY, "Filler.\n\n" * 60, TWINS, PASTED],
    "part/referee": ["# Referee\n", REFEREE, JUDGES],
    "part/broken": ["# Broken\n", BROKEN, "Unreadable()"],
}
VIEWS = {
    "part/widgets": 4,
    "part/images": 5,
    "part/playground": 3,
    "part/referee": 2,
    "part/broken": 2,
}


def build(root: Path) -> Path:
    """Build the scratch book in the folder ``root``; returns the folder of its pages."""
    for name in ("code", "data"):
        (root / name).symlink_to(ROOT / name)
    (root / "_config.yml").write_text((ROOT / "_config.yml").read_text("utf-8"), "utf-8")
    (root / "references.bib").write_text("", "utf-8")
    (root / "index.md").write_text("# Scratch\n\nA page without widgets.\n", "utf-8")
    files = "".join(f"- file: {page}\n" for page in PAGES)
    (root / "_toc.yml").write_text(f"format: jb-book\nroot: index\nchapters:\n{files}", "utf-8")
    for page, cells in PAGES.items():
        notebook = nbformat.v4.new_notebook(
            metadata={"kernelspec": {"display_name": "", "language": "python", "name": "python3"}}
        )
        for i, source in enumerate(cells):
            prose = re.match(r"# \w+\n$|Filler", source)
            new = nbformat.v4.new_markdown_cell if prose else nbformat.v4.new_code_cell
            notebook.cells.append(new(source, id=f"cell-{i}"))
        (root / page).parent.mkdir(exist_ok=True)
        nbformat.write(notebook, root / f"{page}.ipynb")
    done = subprocess.run(
        [Path(sys.executable).parent / "jupyter-book", "build", ".", "-n", "-W", "--keep-going"],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root / "code"), "GITHUB_REPOSITORY": "some/book"},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]
    return root / "_build" / "html"
