# The launch notebooks of the real book: one for each page that runs code, and nothing in any of
# them that only MyST understands. Needs `make book`; no browser.
import ast
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from whydeep.book.publish import launch

pytestmark = pytest.mark.site

ROOT = Path(__file__).resolve().parents[2]
SITE = Path(os.environ.get("WHYDEEP_SITE", ROOT / "_build" / "html")).resolve()
SOURCES = sorted(p.relative_to(ROOT) for p in (ROOT / "chapters").rglob("*.ipynb"))
SOURCES = [path for path in SOURCES if ".ipynb_checkpoints" not in path.parts]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder of the launch notebooks, made from the doctrees of the built book."""
    out = tmp_path_factory.mktemp("launch")
    command = [
        sys.executable,
        "-m",
        "whydeep.book.publish.launch",
        "--out",
        out,
        "--built",
        SITE.parent,
    ]
    done = subprocess.run(
        [*command, "--repository", "some/book", "--commit", "0" * 40],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(SOURCES)} launch notebooks" in done.stdout
    return out


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_role_or_directive_is_left_and_no_code_is_lost(folder, path):
    made, source = (nbformat.read(at / path, 4) for at in (folder, ROOT))
    assert launch.leftovers(made) == []
    assert made.cells[0].id == "setup"
    code = [c for c in made.cells[1:] if c.cell_type == "code"]
    kept = {c.id: c.source for c in code}
    for cell in source.cells:
        if cell.cell_type == "code" and "glue" not in cell.source:
            assert ast.dump(ast.parse(cell.source)) == ast.dump(ast.parse(kept[cell.id]))
    order = [c.id for c in source.cells if c.id in kept]
    assert [c.id for c in code] == order
