"""Compares what the notebooks store with what the build has run: text exactly, numbers nearly.

    python -m whydeep.book.checks.compare         stored outputs beside those in the execution cache
    python -m whydeep.book.checks.compare --due   the notebooks that `make test` runs once more

A number with decimals may move by one and a half units of its last stored digit: printed 0.412, it
may come out from 0.4105 to 0.4135. A cell that needs more says so in its metadata, as a fraction of
the number: {"tolerance": 0.1}. Everything else is exact: words, True and False, whole numbers (also
those printed as 3.), signs, how many numbers there are. Cells with the tag `nbval-ignore-output`
are run and not compared.

As a plugin of pytest (`-p whydeep.book.checks.compare`) it gives nbval the same rule.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path
from typing import Any

from nbformat import NotebookNode

from whydeep.book.checks.notebooks import IGNORED
from whydeep.errors import WhydeepError

UNITS = Decimal("1.5")  # of the last digit that is stored
# The spaces before a number, its sign, its digits; not what stands in a name or a version (1.0.4).
NUMBER = re.compile(
    r"( *)([-+−]?)(?<![\w.])"
    r"((?:(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+)(?:[eE][-+]?\d+)?)(?!\d|\.\d)"
)
EVERY = 3  # one page in so many is run once more


# ---------------------------------------------------------------------------------- numbers


def allowed(stored: str, tolerance: float) -> Decimal:
    """How far a number may lie from ``stored``, its digits as printed: 0 for a whole number."""
    digits = Decimal(stored.replace(",", ""))
    if "." not in stored:
        return Decimal(0)
    unit = Decimal(1).scaleb(digits.as_tuple().exponent)
    return max(UNITS * unit, Decimal(str(tolerance)) * abs(digits))


def _split(text: str) -> tuple[list[str], list[re.Match[str]]]:
    """The text between the numbers of ``text``, and the numbers."""
    numbers = list(NUMBER.finditer(text))
    ends = [0, *(found.end() for found in numbers)]
    starts = [*(found.start() for found in numbers), len(text)]
    return [text[a:b] for a, b in zip(ends, starts, strict=True)], numbers


def _as_stored(stored: re.Match[str], run: re.Match[str], tolerance: float) -> bool:
    # Spaces that fill up a column may give way to a digit more.
    if stored[1] != run[1] and len(stored[0]) != len(run[0]):
        return False
    if stored[2].replace("−", "-") != run[2].replace("−", "-"):
        return False
    if stored[3] == run[3]:
        return True
    away = abs(Decimal(stored[3].replace(",", "")) - Decimal(run[3].replace(",", "")))
    return "." in run[3] and away <= allowed(stored[3], tolerance)


def text_difference(stored: str, run: str, tolerance: float = 0.0) -> str:
    """How ``run`` differs from ``stored``, in a line; "" if it does not beyond the tolerance."""
    (between, numbers), (between_now, numbers_now) = _split(stored), _split(run)
    if between != between_now:
        lines, lines_now = stored.splitlines(keepends=True), run.splitlines(keepends=True)
        for old, new in zip_longest(lines, lines_now, fillvalue=""):
            if _split(old)[0] != _split(new)[0]:
                return f"stored {old!r}, now {new!r}"
    for old, new in zip(numbers, numbers_now, strict=True):
        if not _as_stored(old, new, tolerance):
            line = run[: new.end()].count("\n")
            return (
                f"stored {old[0].strip()}, now {new[0].strip()}, which may differ by "
                f"{allowed(old[3], tolerance).normalize():f} (in {stored.splitlines()[line]!r})"
            )
    return ""


# ---------------------------------------------------------------------------------- outputs


def _parts(outputs: Sequence[NotebookNode]) -> list[tuple[str, str]]:
    """What a cell put out, in order: its kind, and its text where it has one."""
    parts: list[tuple[str, str]] = []
    for output in outputs:
        if output.output_type == "stream":
            if parts and parts[-1][0] == output.name:  # two prints may arrive as one or as two
                parts[-1] = (output.name, parts[-1][1] + output.text)
            else:
                parts.append((output.name, output.text))
        elif output.output_type == "error":
            parts.append(("an error", f"{output.ename}: {output.evalue}"))
        else:
            parts.append((", ".join(sorted(output.data)), output.data.get("text/plain", "")))
    return parts


def difference(
    stored: Sequence[NotebookNode], run: Sequence[NotebookNode], tolerance: float = 0.0
) -> str:
    """How the outputs ``run`` differ from those ``stored``, in a line; "" if they do not."""
    old, new = _parts(stored), _parts(run)
    if [kind for kind, _ in old] != [kind for kind, _ in new]:
        words = ("; ".join(kind for kind, _ in parts) or "nothing" for parts in (old, new))
        return "stored {}, now {}".format(*words)
    for (_, text), (_, text_now) in zip(old, new, strict=True):
        if found := text_difference(text, text_now, tolerance):
            return found
    return ""


def differences(stored: NotebookNode, run: NotebookNode) -> Iterator[str]:
    """A line for each code cell whose source or output in ``run`` is not as ``stored``."""
    pairs = [
        [(number, cell) for number, cell in enumerate(book.cells, 1) if cell.cell_type == "code"]
        for book in (stored, run)
    ]
    if [cell.source for _, cell in pairs[0]] != [cell.source for _, cell in pairs[1]]:
        yield "other cells were run than the notebook has: run make book"
        return
    for (number, old), (_, new) in zip(*pairs, strict=True):
        if IGNORED in old.metadata.get("tags", []):
            continue
        tolerance = old.metadata.get("tolerance", 0.0)
        if found := difference(old.outputs, new.outputs, tolerance):
            yield f"cell {number}: {found}"


# ---------------------------------------------------------------------------------- nbval


def pytest_configure(config: Any) -> None:
    """Let nbval compare by the rule above."""
    from nbval.plugin import IPyNbCell

    def compare_outputs(cell: Any, test: Any, ref: Any, skip_compare: Any = None) -> bool:
        found = difference(ref, test, cell.cell.metadata.get("tolerance", 0.0))
        cell.comparison_traceback = [found]
        return not found

    IPyNbCell.compare_outputs = compare_outputs


# ---------------------------------------------------------------------------------- command


def due(pages: Sequence[Path], commit: str, changed: set[Path] | None) -> list[Path]:
    """The pages to run once more: those ``changed``, and a third that ``commit`` (hex) chooses.

    All of them where it is not known what has changed (None).
    """
    turn = int(commit or "0", 16) % EVERY
    return [
        page
        for place, page in enumerate(sorted(pages))
        if changed is None or page in changed or place % EVERY == turn
    ]


def _changed(book: Path) -> set[Path] | None:
    """The files that differ from the main branch, or on it from the last commit; None: unknown."""
    from whydeep.book.site import git

    head = git("rev-parse", "HEAD")
    base = git("merge-base", "HEAD", "origin/main")
    if not base or base == head:
        base = git("rev-parse", "--verify", "--quiet", "HEAD~1")
    if not base:
        return None
    names = git("diff", "--name-only", base), git("ls-files", "--others", "--exclude-standard")
    return {book / name for name in "\n".join(names).splitlines()}


def compare(book: Path) -> tuple[list[str], str]:
    """What differs between the stored notebooks and the executed ones, and how many there are."""
    from whydeep.book import cache
    from whydeep.book.execute import pages

    found, cells, ignored, store = [], 0, 0, cache.opened(book / "_build")
    notebooks = pages(book)
    for page in notebooks:
        name, stored = page.relative_to(book), cache.keyed(page.read_text("utf-8"), page)
        run = cache.executed(store, stored)
        if run is None:
            found.append(f"{name} has not been run as it is: run make book")
            continue
        found += [f"{name}, {line}" for line in differences(stored, run)]
        tags = [c.metadata.get("tags", []) for c in stored.cells if c.cell_type == "code"]
        cells, ignored = cells + len(tags), ignored + sum(IGNORED in each for each in tags)
    return found, f"{len(notebooks)} notebooks, {cells} cells, {ignored} of them not compared"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if all is as stored, 1 if not, 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.checks.compare", description=__doc__
    )
    parser.add_argument("--due", action="store_true", help="name the notebooks to run once more")
    args = parser.parse_args(argv)
    from whydeep.book.execute import pages
    from whydeep.book.site import git
    from whydeep.evidence.provenance import repository

    try:
        book = repository().resolve()
        if args.due:
            for page in due(pages(book), git("rev-parse", "HEAD"), _changed(book)):
                print(page.relative_to(book))
            return 0
        found, counts = compare(book)
    except WhydeepError as error:
        print(f"compare: {error}", file=sys.stderr)
        return 2
    print(*found, f"{counts}, {len(found)} differ", sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
