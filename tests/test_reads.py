# The key of a page in the execution cache, on a package of a few lines: an edit moves the keys of
# the pages that reach it and no other, and where that cannot be told it moves them all.
from pathlib import Path

import nbformat
import pytest
from whydeep.book import reads

PACKAGE = {
    "__init__.py": "",
    "a.py": '"""A."""\nfrom whydeep import b\n\n\ndef a():\n    """Adds."""\n    return b.ONE\n',
    "b.py": "ONE = 1\n",
    "alone.py": "TWO = 2\n",
    "fonts/plain.ttf": "letters",
    "draws.py": 'from pathlib import Path\nFONTS = Path(__file__).parent / "fonts"\n',
    "results.py": "def read_record(name, scale):\n    return name\n",
    "labs/__init__.py": (
        "import importlib\n\n\ndef find(name):\n    return importlib.import_module(name)\n"
    ),
    "labs/first.py": "from . import second\n",
    "labs/second.py": "THREE = 3\n",
    "widgets/__init__.py": 'CODE = ("kit.js", "kit.css")\n',
    "widgets/kit.js": "draw()",
    "widgets/kit.css": "p {}",
    "datasets/__init__.py": "def digits():\n    pass\n",
    "book/site.css": "p {}",
}
DATA = {
    "datasets.yaml": "digits: 1",
    "catalogue.yaml": "entries: []",
    "digits/digits.npz": "0123",
    "digits/README.md": "Digits.",
    "results/part/one/quick.json": "1",
    "results/part/two/quick.json": "2",
    "results/part/other-one/quick.json": "3",
}


class House:
    """A repository with a package and data, and the key that a page of given cells has in it."""

    def __init__(self, root: Path):
        self.root = root
        for folder, files in (("code/whydeep", PACKAGE), ("data", DATA)):
            for name, text in files.items():
                self.write(f"{folder}/{name}", text)
        self.write("requirements.txt", "torch==1")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def key(self, *cells: str) -> str:
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        return reads.key(notebook, self.root / "chapters" / "page.ipynb")

    def moves(self, cell: str, name: str, text: str) -> bool:
        """Whether writing ``text`` to the file ``name`` moves the key of a page with this cell."""
        before = self.key(cell)
        self.write(name, text)
        return self.key(cell) != before


@pytest.fixture
def house(tmp_path, monkeypatch):
    monkeypatch.setattr(reads, "PACKAGE", tmp_path / "code" / "whydeep")
    monkeypatch.setattr(reads, "repository", lambda: tmp_path)
    return House(tmp_path)


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("from whydeep.a import a", "code/whydeep/a.py"),
        ("from whydeep import a", "code/whydeep/b.py"),
        ("import whydeep.a as adder", "code/whydeep/b.py"),
        ("from whydeep.a import *", "code/whydeep/b.py"),
        ("def later():\n    from whydeep import alone", "code/whydeep/alone.py"),
        ("from whydeep import alone", "code/whydeep/__init__.py"),
        ("from whydeep.labs import first", "code/whydeep/labs/second.py"),
        ("import importlib\nimportlib.import_module('whydeep.b')", "code/whydeep/b.py"),
    ],
)
def test_a_module_that_a_page_reaches_moves_its_key(house, cell, name):
    assert house.moves(cell, name, "MORE = 4\n")


@pytest.mark.parametrize(
    "cell", ["1 + 1", "from whydeep import b", "from whydeep.labs import first"]
)
def test_a_module_that_a_page_does_not_reach_leaves_its_key(house, cell):
    assert not house.moves(cell, "code/whydeep/a.py", "MORE = 4\n")


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("from whydeep.labs import find", "code/whydeep/alone.py"),
        ("from whydeep import labs", "code/whydeep/alone.py"),
        ("import whydeep", "code/whydeep/alone.py"),
        ("exec('import whydeep.alone')", "code/whydeep/alone.py"),
        ("__import__(name)", "code/whydeep/alone.py"),
        ("from importlib import import_module as get\nget(name)", "code/whydeep/alone.py"),
        ("%run other.py", "code/whydeep/alone.py"),
        ("get_ipython().run_cell(name)", "data/catalogue.yaml"),
    ],
)
def test_where_it_cannot_be_told_a_page_depends_on_everything(house, cell, name):
    assert house.moves(cell, name, "MORE = 4\n")


def test_a_module_that_imports_by_a_computed_name_makes_its_users_depend_on_everything(house):
    house.write("code/whydeep/a.py", "from whydeep.labs import find\n")
    assert house.moves("from whydeep import a", "code/whydeep/alone.py", "TWO = 22\n")
    house.write("code/whydeep/a.py", "import importlib\nX = importlib.import_module(NAME)\n")
    assert house.moves("from whydeep.a import X", "code/whydeep/alone.py", "TWO = 222\n")


def test_docstrings_comments_and_layout_move_no_key_unless_they_are_looked_at(house):
    again = (
        '"""B."""\nfrom whydeep import b  # 1\n\ndef a():\n\n    """Sum."""\n    return  b.ONE\n'
    )
    assert not house.moves("from whydeep.a import a", "code/whydeep/a.py", again)
    for look in ("import inspect\ninspect.getsource(a)", "print(a.__doc__)", "help(a)"):
        assert house.moves(f"from whydeep import a\n{look}", "code/whydeep/a.py", PACKAGE["a.py"])
        house.write("code/whydeep/a.py", again)


def test_the_files_that_a_module_names_count_but_not_the_scripts_of_widgets_or_of_the_site(house):
    assert house.moves("from whydeep import draws", "code/whydeep/fonts/plain.ttf", "others")
    assert house.moves("from whydeep import draws", "code/whydeep/fonts/bold.ttf", "a new one")
    for name in ("widgets/kit.js", "widgets/kit.css", "book/site.css"):
        assert not house.moves("from whydeep import widgets", f"code/whydeep/{name}", "new")


@pytest.mark.parametrize(
    ("cell", "reads_it"),
    [
        ("read_record('part/one', 'quick')", True),
        ("read_record('part/two', 'quick')", False),
        ("read_record(PART + 'one', 'quick')", True),
        ("read_record(f'{PART}/two', 'quick')", False),
        ("read_record(f'{PART}/{name}', 'quick')", True),
        ("read_record(name, 'quick')", True),
        ("read_record('part/unknown', 'quick')", True),
        ("[*map(read_record, names)]", True),
        ("print('part/one')", False),
    ],
)
def test_a_page_depends_on_the_records_it_reads_and_on_all_if_it_does_not_say_which(
    house, cell, reads_it
):
    cell = f"from whydeep.results import read_record\n{cell}"
    assert house.moves(cell, "data/results/part/one/quick.json", "11") == reads_it


def test_a_page_that_uses_the_data_sets_depends_on_their_files_only(house):
    cell = "from whydeep import datasets"
    assert house.moves(cell, "data/digits/digits.npz", "3210")
    assert house.moves(cell, "data/datasets.yaml", "digits: 2")
    for name in ("catalogue.yaml", "results/part/one/quick.json", "digits/README.md"):
        assert not house.moves(cell, f"data/{name}", "new")
    assert not house.moves("from whydeep import a", "data/digits/digits.npz", "1")


def test_a_page_that_opens_files_depends_on_what_it_names_and_on_all_data(house):
    house.write("chapters/near.txt", "near")
    assert house.moves("read('near.txt')", "chapters/near.txt", "nearer")
    assert house.moves("read('data/catalogue.yaml')", "data/catalogue.yaml", "entries: [1]")
    assert house.moves("open(name)", "data/results/part/two/quick.json", "22")


def test_the_pins_move_every_key_and_the_folder_moves_none(house, tmp_path_factory, monkeypatch):
    key = house.key("from whydeep import a")
    other = House(tmp_path_factory.mktemp("elsewhere"))
    monkeypatch.setattr(reads, "PACKAGE", other.root / "code" / "whydeep")
    monkeypatch.setattr(reads, "repository", lambda: other.root)
    assert other.key("from whydeep import a") == key
    assert other.moves("1 + 1", "requirements.txt", "torch==2")


def test_a_module_that_loads_on_demand_reaches_what_it_tells_type_checkers(house):
    lazy = (
        "from importlib import import_module\nfrom typing import TYPE_CHECKING\n\n"
        "if TYPE_CHECKING:\n    from whydeep.a import a\n\n\n"
        "def __getattr__(name):\n    return getattr(import_module(f'whydeep.{name}'), name)\n"
    )
    house.write("code/whydeep/lazy.py", lazy)
    cell = "from whydeep.lazy import a"
    assert house.moves(cell, "code/whydeep/b.py", "ONE = 2\n")
    assert not house.moves(cell, "code/whydeep/alone.py", "TWO = 3\n")


BOOK = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("page", sorted((BOOK / "chapters").rglob("*.ipynb")), ids=lambda p: p.stem)
def test_of_every_page_of_the_book_it_can_be_told_what_it_reads(page):
    # Else an edit of any file would run all pages again.
    cells = reads.cells_of(nbformat.read(page, as_version=4))
    assert cells is not None
    assert reads._reached(cells) is not None
