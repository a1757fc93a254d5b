# Stored outputs beside executed ones: text exactly, numbers by their last digit, and nothing is let
# through that changes what a page says.
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_cache.base import CacheBundleIn
from whydeep.book import cache
from whydeep.book.checks import compare, notebooks


@pytest.mark.parametrize(
    ("stored", "run"),
    [
        ("loss 0.412", "loss 0.4135"),
        ("loss 0.412", "loss 0.4105"),
        ("1.2e-03 and 9.9e-04", "1.3e-03 and 1.0e-03"),
        ("[1.25, -2.50]", "[1.26, -2.49]"),
        ("a  9.99 b", "a 10.00 b"),
        ("12,345.6 pixels", "12,345.7 pixels"),
        ("11.0% at 2", "11.1% at 2"),
        ("0.5", "0.51"),
        ("rate −0.25", "rate -0.25"),
        ("", ""),
    ],
)
def test_a_number_may_move_by_one_and_a_half_units_of_its_last_digit(stored, run):
    assert compare.text_difference(stored, run) == ""


@pytest.mark.parametrize(
    ("stored", "run"),
    [
        ("loss 0.412", "loss 0.414"),
        ("loss 0.412", "loss 0.410"),
        ("3 of 5", "4 of 5"),
        ("10,000 pictures", "10,001 pictures"),
        ("tensor([3., 4.])", "tensor([3., 5.])"),
        ("-0.01", "0.01"),
        ("0.00", "-0.00"),
        ("True", "False"),
        ("0.5", "nan"),
        ("inf", "1.5"),
        ("1e-05", "2e-05"),
        ("1.0 2.0", "1.0"),
        ("1.0", "1.0 2.0"),
        ("5.0", "5"),
        ("torch 2.13.0", "torch 2.14.0"),
        ("float32", "float64"),
        ("a 1.5", "a  1.5"),
        ("a 1.5\nb", "a 1.5\nc"),
        ("a\n", "a"),
        ("12.0 s", "12.0 ms"),
    ],
)
def test_all_else_is_exact(stored, run):
    assert compare.text_difference(stored, run)


def test_a_difference_is_told_with_both_numbers_what_was_allowed_and_the_line():
    told = compare.text_difference("first 1.00\nsecond 2.00", "first 1.01\nsecond 2.50")
    assert told == "stored 2.00, now 2.50, which may differ by 0.015 (in 'second 2.00')"


def test_a_tolerance_is_a_fraction_of_the_stored_number_and_frees_no_whole_number_and_no_sign():
    assert compare.text_difference("12.0", "13.2", tolerance=0.1) == ""
    assert compare.text_difference("12.0", "13.3", tolerance=0.1)
    assert compare.text_difference("0.412", "0.413", tolerance=0.001) == ""
    assert compare.text_difference("12", "13", tolerance=0.5)
    assert compare.text_difference("0.1", "-0.1", tolerance=9.0)


# ---------------------------------------------------------------------------------- cells


def text(name: str, content: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name=name, text=content)


def result(content: str, **others: str) -> nbformat.NotebookNode:
    data = {"text/plain": content} | {k.replace("_", "/"): v for k, v in others.items()}
    return nbformat.v4.new_output("execute_result", data=data, execution_count=1)


def test_two_prints_may_arrive_as_one_output():
    assert (
        compare.difference([text("stdout", "ab")], [text("stdout", "a"), text("stdout", "b")]) == ""
    )


@pytest.mark.parametrize(
    ("run", "told"),
    [
        ([], "stored stdout; text/plain, now nothing"),
        ([result("2"), text("stdout", "a")], "stored stdout; text/plain, now text/plain; stdout"),
        ([text("stderr", "a"), result("2")], "stored stdout; text/plain, now stderr; text/plain"),
        (
            [text("stdout", "a"), result("2", image_png="aa")],
            "stored stdout; text/plain, now stdout; image/png, text/plain",
        ),
        ([text("stdout", "b"), result("2")], "stored 'a', now 'b'"),
    ],
)
def test_an_output_of_another_kind_or_place_is_told(run, told):
    assert compare.difference([text("stdout", "a"), result("2")], run) == told


def book(cells: list[tuple[str, str, dict]]) -> nbformat.NotebookNode:
    """A notebook of code cells, each with its source, what it prints, and metadata."""
    made = nbformat.v4.new_notebook(metadata=notebooks.METADATA)
    for count, (source, prints, metadata) in enumerate(cells, start=1):
        cell = nbformat.v4.new_code_cell(source, execution_count=count, metadata=metadata)
        cell.outputs = [text("stdout", prints)] if prints else []
        made.cells += [nbformat.v4.new_markdown_cell("Words."), cell]
    return made


IGNORED = {"tags": [notebooks.IGNORED]}


def test_a_notebook_is_compared_cell_by_cell_with_nbvals_tag_and_the_cells_own_tolerance():
    stored = book([("a", "1.00", {}), ("b", "2.0", {"tolerance": 0.5}), ("c", "", IGNORED)])
    run = book([("a", "1.02", {}), ("b", "2.9", {}), ("c", "3", {})])
    assert list(compare.differences(stored, run)) == [
        "cell 2: stored 1.00, now 1.02, which may differ by 0.015 (in '1.00')"
    ]
    assert list(compare.differences(stored, stored)) == []


def test_outputs_of_other_cells_are_never_taken_for_those_of_the_page():
    stored, run = book([("a", "1", {}), ("b", "", {})]), book([("a", "1", {}), ("c", "", {})])
    (told,) = compare.differences(stored, run)
    assert "other cells were run" in told
    assert list(compare.differences(stored, book([("a", "1", {})]))) == [told]


def test_nbval_fails_by_the_same_rule_and_on_nothing_else(tmp_path):
    cells = [
        ("print('loss 0.412')", "loss 0.413\n", {}),
        ("print('loss 0.412')", "loss 0.415\n", {}),
        ("print('loss 0.412')", "loss 0.415\n", {"tolerance": 0.1}),
        ("print('3 of 5')", "4 of 5\n", {}),
        ("print('anything')", "", IGNORED),
    ]
    nbformat.write(book(cells), tmp_path / "page.ipynb")
    nbval = ["pytest", "-q", "--nbval", "-p", "whydeep.book.checks.compare"]
    done = subprocess.run(
        [sys.executable, "-m", *nbval, "page.ipynb"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "2 failed, 3 passed" in done.stdout, done.stdout
    for told in ("stored 0.415, now 0.412, which may differ by 0.0015", "stored 4, now 3"):
        assert told in done.stdout


# ---------------------------------------------------------------------------------- pages

PAGES = [Path(f"chapters/{name}.ipynb") for name in "abcdefg"]


def test_a_page_is_run_again_if_it_has_changed_or_if_the_commit_chooses_it():
    third = [compare.due(PAGES, f"{commit:x}", set()) for commit in range(3)]
    assert (
        sorted(page for pages in third for page in pages) == PAGES
    )  # three commits in a row look at all pages, once each
    assert min(map(len, third)) >= 2
    changed = {PAGES[1], Path("code/whydeep/descent/stack.py")}
    assert set(compare.due(PAGES, "0", changed)) == {*third[0], PAGES[1]}


def test_all_pages_are_run_again_where_git_cannot_tell_what_has_changed():
    assert compare.due(PAGES, "", None) == PAGES


def test_a_page_that_was_not_run_as_it_is_fails_the_comparison(tmp_path, monkeypatch, capsys):
    page = tmp_path / "page.ipynb"
    nbformat.write(book([("1 + 1", "", {})]), page)
    (tmp_path / "data").mkdir()
    (tmp_path / "_toc.yml").write_text("format: jb-book\nroot: page\n")
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    assert compare.main([]) == 1
    assert "page.ipynb has not been run as it is: run make book" in capsys.readouterr().out
    store = cache.opened(tmp_path / "_build")
    notebook = cache.keyed(page.read_text(), page)
    store.cache_notebook_bundle(CacheBundleIn(notebook, "page"), check_validity=False)
    assert compare.main([]) == 0
    assert "1 notebooks, 1 cells, 0 of them not compared, 0 differ" in capsys.readouterr().out
