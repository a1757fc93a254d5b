"""Launch notebooks: nothing that only MyST understands is left, nothing that a page says is lost.

On a scratch book with one of each thing that pages use; tests/site looks at the real ones.
"""

import ast
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
from docutils import nodes
from test_book import Book, notebook
from whydeep.book.publish import archive, launch, markdown
from whydeep.errors import WhydeepError

ROOT = Path(__file__).resolve().parents[1]
COMMIT = "0123456789abcdef0123456789abcdef01234567"

# A cell begins with "code" or "text", for the scratch book's own rule goes by the first letter.
LAUNCHED = r"""# All of it

```{admonition} Who this is for
:class: tip
You, who know {doc}`other` and *little* else.

* a formula: $a_1 | b_1$
* a list

$$
x =
y
$$
```
---
# The first cell is hidden.
from myst_nb import glue

x = 3
---
glue("three", x, display=False)
helper = {"a": 1}
for name, value in helper.items():
    glue(name, value, display=False)
---
## Statements

There are {glue:text}`three` things: the error {num}`scratch/coin error .3f ±`, the verdict
{verdict}`scratch-claim`, and how: {experiment}`scratch/coin`.
As {cite:t}`doe1999` says {cite}`roe2001`, see {eq}`eq-one`, {prf:ref}`thm-one` and {ref}`the-end`.

````{prf:definition} A thing with $x_1$
:label: def-one
It is.

$$
x = 1 \quad\text{if}\quad
y = 2
$$
````

````{prf:theorem} It holds
:label: thm-one
Always.
````

````{prf:proof}
:class: dropdown
By {prf:ref}`def-one`.
````

```{math}
:label: eq-one
a = b
```

| formula | meaning |
|---|---|
| $\|x\|$ | size, as `a\|b` |

1990\. was a year. 5 * 3 is 15, and snake_case stays, and so does a<b.
---
import matplotlib.pyplot as plt
from whydeep.show import figures
with figures.style():
    figure, axes = plt.subplots()
    axes.plot([0, 1])
figures.Figure(figure, label='fig-line', caption='A *line*, as in {cite}`poe2003`.', alt='A line.')
---
See {numref}`fig-line`.

```{claim} scratch-claim
```

## Exercises

```{exercise} With code, $x$
:label: ex-code
Do it.
```

```{solution-start} ex-code
:class: dropdown
```

Words before the code.
---
print("done", x)
---
It is done.

```{solution-end}
```

```{exercise} Without
:label: ex-text
Think.
```

```{solution} ex-text
:class: dropdown
Thought: $z$.
```

(the-end)=
## The end

Fin.
"""
TAGS = {1: ["hide-input"], 2: ["remove-cell", "nbval-ignore-output"], 4: ["hide-input"]}


def source() -> str:
    cells = LAUNCHED.split("\n---\n")
    made = nbformat.reads(notebook(["# A"]), 4)
    code = {1, 2, 4, 6}
    made.cells = [
        (nbformat.v4.new_code_cell if i in code else nbformat.v4.new_markdown_cell)(
            cell, id=f"cell-{i}", metadata={"tags": TAGS.get(i, [])}
        )
        for i, cell in enumerate(cells)
    ]
    return nbformat.writes(made)


def launched(book: Book, *options: str) -> subprocess.CompletedProcess:
    environment = {k: v for k, v in os.environ.items() if not re.match("WHYDEEP|GITHUB", k)}
    return subprocess.run(
        [sys.executable, "-m", "whydeep.book.publish.launch", *options],
        cwd=book.root, env=environment | {"PYTHONPATH": str(book.root / "code")},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    book = Book(tmp_path_factory.mktemp("launch") / "book")
    book.write("page.ipynb", source())
    return book


@pytest.fixture(scope="module")
def done(book):
    site = "https://some.example/book"
    done = launched(book, "--repository", "some/book", "--commit", COMMIT, "--site", site)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def made(book, done):
    return nbformat.read(book.root / "_build" / "launch" / "page.ipynb", 4)


@pytest.fixture(scope="module")
def text(made):
    return "\n\n".join(c.source for c in made.cells if c.cell_type == "markdown")


# ---------------------------------------------------------------------------------- the text


def test_the_command_says_how_many_notebooks_and_that_nothing_is_left(done, book):
    assert "2 launch notebooks in " in done.stdout
    assert "0 raw roles or directives left" in done.stdout
    assert f"installs https://github.com/some/book at {COMMIT}" in done.stdout
    files = [p.name for p in (book.root / "_build" / "launch").rglob("*") if p.is_file()]
    assert sorted(files) == ["other.ipynb", "page.ipynb"]


def test_no_role_directive_or_target_is_left(made, text):
    assert launch.leftovers(made) == []
    # Looked for once more, by eye as it were.
    assert not re.search(r"\{[a-z:]+\}`|^ *(```+|:::+)\{|^\([\w-]+\)=", text, re.MULTILINE)


def test_numbers_are_those_of_the_record_and_of_the_run(text):
    assert "There are 3 things: the error 0.120 ± 0.014, the verdict\n**reproduced**" in text
    assert "5 seeds (0–4), scale quick, code `0123456789ab`" in text


def test_citations_name_the_work_and_a_list_at_the_end_has_each_cited_work_once(made, text):
    assert "As Doe [1999] says [Roe, 2001]" in text
    last = made.cells[-1].source
    assert last.startswith("## References\n")
    works = last.splitlines()[2:]
    assert [re.search(r"\d{4}", work)[0] for work in works] == ["1999", "2003", "2001"]
    assert all("On errors" in w or "Once more" in w or "Waiting" in w for w in works)


def test_links_within_the_page_are_words_and_links_to_other_pages_lead_to_the_site(text):
    assert "Theorem 1 and The end" in text
    assert "[Other](https://some.example/book/other.html)" in text


def test_boxes_are_quotes_whose_formulas_stand_on_one_line(text):
    assert "> **Who this is for**\n>\n> You, who know" in text
    assert "> **Definition 1 (A thing with $x_1$)**" in text
    assert "> $$ x = 1 \\quad\\text{if}\\quad y = 2 $$" in text
    assert "> **Theorem 1 (It holds)**\n>\n> Always." in text
    quoted = [line for line in text.splitlines() if line.startswith(">")]
    assert all(line.count("$$") in (0, 2) for line in quoted)


def test_proofs_and_solutions_without_code_are_folded(text):
    assert "<summary>Proof</summary>\n\nBy Definition 1.\n\n</details>" in text
    assert "<summary>Solution to Exercise 2 (Without)</summary>\n\nThought: $z$.\n\n<" in text


def test_a_solution_with_code_is_a_collapsed_section_in_jupyter_and_in_colab(made):
    (title,) = [c for c in made.cells if "Solution to Exercise 1" in c.source]
    assert title.source == "#### Solution to Exercise 1 (With code, $x$)"
    assert title.metadata["jp-MarkdownHeadingCollapsed"] is True
    assert made.metadata.colab.collapsed_sections == [title.metadata.id] == [title.id]
    following = made.cells[made.cells.index(title) + 1 :]
    assert following[0].source == "Words before the code."  # not beside the title: it would show
    assert following[1].source == 'print("done", x)'
    headings = [c.source for c in following if c.source.startswith("#")]
    assert (
        headings[0]
        == "### Exercise 2 (Without)\n\nThink.\n\n" + headings[0].partition("Think.\n\n")[2]
    )  # a heading of a higher level ends the section


def test_a_solution_that_prose_follows_is_not_collapsed_with_it():
    blocks = [
        markdown.Heading(4, "Solution", folded=True), "Its text.", markdown.Heading(5, "More"),
    ]  # fmt: skip
    (first, _) = launch._text_cells(blocks)
    assert "jp-MarkdownHeadingCollapsed" not in first.metadata


def test_the_claim_box_has_verdict_numbers_seeds_control_and_provenance(text):
    box = text.partition("> **reproduced**")[2].partition("\n\n##")[0]
    assert box.startswith(" **contested** Is the error small?")
    assert "0.120 (0.102 to 0.138) fraction | at most 0.2 fraction | 0.5 fraction |" in box
    assert "<summary>The record</summary>" in box
    assert "strip" not in box  # a notebook has no style sheet for it: the table has the numbers
    assert "5 seeds (0–4)" in box
    assert "misses, as it should" in box
    assert "Recorded: 5 seeds (0–4), scale quick, code `0123456789ab`, cpu (test)" in box


def test_bars_in_formulas_and_code_do_not_break_a_table(text):
    row = next(line for line in text.splitlines() if "vert" in line)
    assert row == r"| $\vert x\vert $ | size, as `a\|b` |"


def test_prose_that_looks_like_markdown_stays_prose(text):
    assert r"1990\. was a year. 5 \* 3 is 15, and snake_case stays, and so does a&lt;b." in text
    assert markdown.escaped("_a_b_ `c` $5") == r"\_a_b\_ \`c\` \$5"


def test_numbered_formulas_keep_their_number(text):
    assert "$$\na = b \\tag{1}\n$$" in text
    assert "see (1)" in text


def test_a_figure_has_its_number_and_caption_below_the_cell_that_draws_it(made, text):
    (at,) = [i for i, c in enumerate(made.cells) if c.source.startswith("# @title Fig. 1\n")]
    assert made.cells[at + 1].source.startswith("**Fig. 1.** A *line*, as in [Poe, 2003].")
    assert "See Fig. 1." in text


def test_a_node_that_no_notebook_can_show_is_an_error_and_not_a_hole():
    unknown = nodes.document(None, None, source="page")
    unknown += nodes.image(uri="x.png")
    page = markdown.Page(unknown, numbers={}, formats={}, site="", cited=lambda address: None)
    with pytest.raises(WhydeepError, match=r"page: a launch notebook cannot show the node <image>"):
        page.blocks()


# ---------------------------------------------------------------------------------- the code


def test_a_notebook_asks_colab_for_a_gpu_and_any_jupyter_for_python3(made):
    assert made.metadata.accelerator == "GPU"
    assert made.metadata.kernelspec.name == "python3"
    nbformat.validate(made)


def test_the_first_cell_installs_from_the_repository_and_commit(made):
    first = made.cells[0].source
    assert 'REPOSITORY = "https://github.com/some/book"' in first
    assert f'COMMIT = "{COMMIT}"' in first
    ast.parse(first)


def test_hidden_cells_are_collapsed_in_jupyter_and_in_colab(made):
    hidden = [c for c in made.cells if c.source.startswith("# @title ")]
    assert len(hidden) == 3  # the installation, the imports, the figure
    for cell in hidden:
        assert cell.metadata.cellView == "form"
        assert cell.metadata.jupyter.source_hidden is True


def test_nothing_imports_or_calls_glue_and_all_other_code_is_kept(made):
    code = "\n".join(c.source for c in made.cells if c.cell_type == "code")
    assert "glue" not in code
    assert "helper" not in code  # it served the glue alone
    assert "x = 3" in code
    assert all(not c.outputs for c in made.cells if c.cell_type == "code")


@pytest.mark.parametrize(
    ("cell", "left"),
    [
        ("from myst_nb import glue\nx = 1\nglue('x', x)\n", "x = 1"),
        ("for i in range(3):\n    glue(f'x{i}', i)\nprint(1)", "print(1)"),
        ("y = 2  # no such call", "y = 2  # no such call"),
    ],
)
def test_glue_is_cut_out_of_a_cell(cell, left):
    assert launch.without_glue(cell, "a cell") == left


def test_glue_that_cannot_be_cut_out_is_one_clear_line():
    with pytest.raises(WhydeepError, match="page, cell 3 glues a value amid other code"):
        launch.without_glue("def f():\n    glue('x', 1)", "page, cell 3")


@pytest.mark.parametrize(
    "left",
    ["{num}`a b`", "```{note}\nx\n```", ":::{tip}\nx\n:::", "(label)=\n# T", "{{ name }}", "+++"],
)
def test_whatever_only_myst_understands_is_found(left):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(f"Text.\n\n{left}\n")])
    assert len(launch.leftovers(made)) == 1


@pytest.mark.parametrize("fine", ["$a_{b}`$", "`{num}`", "```python\n{x}\n```", "a {b} c"])
def test_plain_markdown_is_not_taken_for_a_role(fine):
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(fine)])
    assert launch.leftovers(made) == []


# ---------------------------------------------------------------------------------- addresses


def test_without_a_repository_the_first_cell_says_how_to_install():
    cell = launch.setup_cell("", COMMIT)
    assert "run `pip install -e code` in the book's folder" in cell
    assert "http" not in cell
    ast.parse(cell)


@pytest.mark.parametrize("name", ["some", "a/b/c", 'file://x"y', "ssh://a/b"])
def test_a_repository_that_is_none_is_refused_in_one_line(name):
    with pytest.raises(WhydeepError, match=r"expected owner/name or a web address"):
        launch.repository_address(name)


# ---------------------------------------------------------------------------------- publishing


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=Jo", "-c", "user.email=jo@example.org"]
    return subprocess.run(
        ["git", "-C", str(folder), *identity, *words], capture_output=True, text=True, check=True
    ).stdout.strip()


def test_publishing_lays_the_notebooks_over_the_commit_and_leaves_the_checkout_alone(tmp_path):
    here, there = tmp_path / "book", tmp_path / "remote.git"
    git(tmp_path, "init", "--quiet", "--bare", str(there))
    git(tmp_path, "init", "--quiet", str(here))
    git(here, "remote", "add", "origin", str(there))
    for name, content in {
        "chapters/part/page.ipynb": "source", "chapters/part/text.md": "text", "code/x": "code",
        ".gitignore": "_build/\n", "_build/launch/chapters/part/page.ipynb": "launch",
        "_build/launch/chapters/part/new.ipynb": "new",
        "Makefile": (ROOT / "Makefile").read_text("utf-8"),
    }.items():  # fmt: skip
        path = here / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, "utf-8")
    git(here, "add", ".")
    git(here, "commit", "--quiet", "-m", "A book")
    for _ in range(2):  # the second time it takes the place of the first
        subprocess.run(["make", "publish"], cwd=here, check=True, capture_output=True)
    assert git(there, "rev-parse", "notebooks^") == git(here, "rev-parse", "HEAD")
    assert git(there, "show", "notebooks:chapters/part/page.ipynb") == "launch"
    assert git(there, "show", "notebooks:chapters/part/new.ipynb") == "new"
    assert git(there, "show", "notebooks:chapters/part/text.md") == "text"
    assert git(there, "show", "notebooks:code/x") == "code"
    assert git(here, "status", "--short") == ""
    assert (here / "chapters" / "part" / "page.ipynb").read_text("utf-8") == "source"


def test_publishing_without_launch_notebooks_says_to_make_them(tmp_path):
    (tmp_path / "Makefile").write_text((ROOT / "Makefile").read_text("utf-8"), "utf-8")
    done = subprocess.run(
        ["make", "publish"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "no launch notebooks: run make launch" in done.stdout


def test_the_offline_zip_opens_has_its_checksum_and_is_the_same_every_time(tmp_path):
    site = tmp_path / "html"
    (site / "a").mkdir(parents=True)
    (site / "index.html").write_text("<p>", "utf-8")
    (site / "a" / "b.html").write_text("<b>", "utf-8")
    first = archive.write_archive(site, tmp_path / "book.zip")
    os.utime(site / "index.html", (1, 1))
    assert archive.write_archive(site, tmp_path / "book.zip") == first
    subprocess.run(["sha256sum", "--check", "book.zip.sha256"], cwd=tmp_path, check=True)
    with zipfile.ZipFile(tmp_path / "book.zip") as zipped:
        assert zipped.namelist() == ["book/a/b.html", "book/index.html"]


def test_no_site_no_zip(tmp_path):
    with pytest.raises(WhydeepError, match=r"no book in .*: run `make book` first"):
        archive.write_archive(tmp_path, tmp_path / "book.zip")


# ---------------------------------------------------------------------------------- Binder


def test_binder_has_the_books_own_versions_by_hash_of_all_that_the_package_needs():
    def pins(path: str) -> set[tuple[str, str]]:
        text = (ROOT / path).read_text("utf-8")
        return set(re.findall(r"^([\w-]+)==([^\s;+]+)", text, re.MULTILINE))

    locked = pins("binder/requirements.lock")
    assert locked <= pins("requirements.lock")
    package = (ROOT / "code" / "pyproject.toml").read_text("utf-8")
    needed = set(re.findall(r'^    "([\w-]+)>=', package, re.MULTILINE))
    assert needed - {"torch"} <= {name for name, _ in locked}
    lock = (ROOT / "binder/requirements.lock").read_text("utf-8")
    assert len(re.findall(r"== *[^\n]*\\\n +--hash=sha256:", lock)) == lock.count("==")
    # Only where every file has a hash may a second index be asked.
    asked = (ROOT / "binder/requirements.txt").read_text("utf-8").splitlines()
    index, lock_line, torch = [line for line in asked if not line.startswith("#")]
    assert (index.split()[0], lock_line) == ("--extra-index-url", "-r requirements.lock")
    (version,) = re.findall(r"^torch==([\d.]+)\+cpu --hash=sha256:[0-9a-f]{64}$", torch)
    assert ("torch", version) in pins("requirements.txt")
    assert os.access(ROOT / "binder" / "postBuild", os.X_OK)
    runtime = (ROOT / "binder" / "runtime.txt").read_text("utf-8").strip()
    assert runtime == "python-3.11"
