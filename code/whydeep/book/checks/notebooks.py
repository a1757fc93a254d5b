"""The author's tool for notebooks: `store` executes one and keeps what may be kept, `lint` checks.

    python -m whydeep.book.checks.notebooks store chapters/features/raw-pixels.ipynb
    python -m whydeep.book.checks.notebooks lint chapters

A committed notebook stores text only, which is compared with what every build runs: words exactly,
numbers by their last digit (whydeep.book.checks.compare). A cell that shows a figure or a widget,
or glues a number, is stored empty with the tag `nbval-ignore-output` (`store` does both), for
pictures vary between machines.
nbval passes vacuously on notebooks without outputs and fails on outputs without execution counts,
so `lint` asks for counts, and for at least three compared cells on each page that runs code.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode

from whydeep.errors import WhydeepError
from whydeep.evidence.results import write_atomically

IGNORED = "nbval-ignore-output"
COMPARED_CELLS = 3
# What an untested output must come from: a figure, a widget or a glued number, by the call's name.
SHOWS = re.compile(r"(?:^|[._])(?:glue|figure|explorer|Figure|\w*Explorer|Playground|Referee)$")
# A number in a sentence is no 2.1e+02, which these formats write of a number that grows.
EXPONENT_FORM = re.compile(r"\bglue\(.*:[^{}]*[eg]\}")
TIMEOUT = 300  # seconds a cell, as in _config.yml
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# What must not stand in a stored output, with the reason.
VARYING = (
    (re.compile(r"0x[0-9a-f]{6,}"), "a memory address"),
    (re.compile(r"\d\.\d{7,}"), "a float with more than six decimals: its last digits vary"),
    (re.compile(r"(?:^|[\s'\"])/(?:home|root|tmp|work|Users)/"), "a path of this machine"),
)


def _text(output: NotebookNode) -> str:
    """The text of a stored output; "" for an output that is not text."""
    if output.output_type == "stream":
        return "".join(output.text)
    return "".join(output.get("data", {}).get("text/plain", ""))


def _is_text(output: NotebookNode) -> bool:
    if output.output_type == "stream":
        return True
    return set(output.get("data", {})) == {"text/plain"}


def _read(path: Path) -> NotebookNode:
    try:
        return nbformat.read(path, as_version=4)
    except FileNotFoundError:
        raise WhydeepError(f"no notebook at {path}: check its name") from None
    except (ValueError, nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise WhydeepError(f"{path} is not a notebook ({error}): write it anew") from None


def kernels_raise() -> None:
    """Make kernels that start from now on raise where NumPy would warn of a division by zero.

    Such a warning hangs on the last bit of one machine: on the next it comes, or does not.
    """
    strict = "error::RuntimeWarning"
    asked = [each for each in os.environ.get("PYTHONWARNINGS", "").split(",") if each]
    os.environ["PYTHONWARNINGS"] = ",".join([*(each for each in asked if each != strict), strict])


def last_line(error: Exception) -> str:
    """The last line of what a kernel or nbclient says of an error, without colours."""
    text = re.sub(r"\x1b\[[\d;]*m", "", str(error))
    return ([line.strip() for line in text.splitlines() if line.strip()] or [repr(error)])[-1]


def store(path: Path) -> None:
    """Execute the notebook in place and store its outputs by the rules above.

    WhydeepError names the cell that fails, writes to stderr, or is tagged although it is text.
    """
    notebook = _read(path)
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
        # jupytext draws ids at random; counted ones keep the same page the same file.
        cell.id = f"cell-{number:03}"
    client = NotebookClient(
        notebook,
        timeout=TIMEOUT,
        kernel_name="python3",
        resources={"metadata": {"path": str(path.parent)}},
        record_timing=False,
        coalesce_streams=True,  # two prints may arrive as one output or as two
    )
    kernels_raise()
    try:
        client.execute()
    except CellExecutionError as error:
        raise WhydeepError(
            f"{path}: a cell fails with {last_line(error)}: mend it and store again"
        ) from error
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code":
            continue
        where, tags = f"{path}, cell {number}", cell.metadata.get("tags", [])
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                raise WhydeepError(
                    f"{where} writes to stderr: {_text(output)[:100]!r}: silence its cause"
                )
        if all(map(_is_text, cell.outputs)):
            if IGNORED in tags:
                raise WhydeepError(
                    f"{where} is tagged {IGNORED} but shows no picture, widget or glued number: "
                    "remove the tag, so that its text is compared"
                )
            for output in cell.outputs:
                if "metadata" in output:
                    output.metadata = {}
        else:
            cell.metadata.tags = [*tags, *([] if IGNORED in tags else [IGNORED])]
            cell.outputs = []
        cell.metadata.pop("execution", None)
    kept = {"mystnb": notebook.metadata["mystnb"]} if "mystnb" in notebook.metadata else {}
    notebook.metadata = nbformat.from_dict(METADATA | kept)
    text = nbformat.writes(notebook)
    write_atomically(path, text if text.endswith("\n") else f"{text}\n")


def _shows(source: str) -> bool:
    """Whether the code calls something that draws, makes a widget or glues: SHOWS."""
    kept = (line for line in source.splitlines() if line[:1] not in "%!")
    try:
        tree = ast.parse("\n".join(kept))
    except SyntaxError:  # it fails when it is executed
        return False
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return any(SHOWS.search(ast.unparse(call.func)) for call in calls)


def _cell_problems(cell: NotebookNode, previous: int) -> Iterator[str]:
    tags = cell.metadata.get("tags", [])
    if cell.execution_count is None:
        yield "has no execution count: run `store`"
    elif cell.execution_count != previous + 1:
        yield f"was run out of order (count {cell.execution_count}): run `store`"
    if "nbval-skip" in tags:
        yield f"is tagged nbval-skip: a cell runs in every test, at most tagged {IGNORED}"
    tolerance = cell.metadata.get("tolerance", 0.5)
    if not (isinstance(tolerance, float) and 0 < tolerance < 1):
        yield f"has the tolerance {tolerance!r}: write a fraction of the number, such as 0.1"
    if IGNORED in tags and cell.outputs:
        yield f"is tagged {IGNORED} but stores an output: run `store`"
    if IGNORED in tags and not _shows(cell.source):
        yield (
            f"is tagged {IGNORED} but shows no figure, widget or glued number: remove the tag and "
            "run `store`, so that its text is compared"
        )
    if EXPONENT_FORM.search(cell.source):
        yield "glues a number that may come as 2.1e+02: write it with .0f, .1f or .1%"
    for output in cell.outputs:
        if output.output_type == "error":
            yield "stores an error"
        elif output.output_type == "stream" and output.name == "stderr":
            yield "stores stderr: silence its cause"
        elif not _is_text(output):
            yield f"stores an output that is not text: tag it {IGNORED} and run `store`"
        else:
            for pattern, why in VARYING:
                if pattern.search(_text(output)):
                    yield f"stores {why}: print something that every machine repeats"


def problems(path: Path) -> list[str]:
    """What is wrong with the stored notebook at ``path``, one line each; empty if nothing is."""
    notebook, found = _read(path), []
    if "widgets" in notebook.metadata:
        found.append(f"{path}: metadata.widgets is stored: run `store`")
    if notebook.metadata.get("kernelspec", {}).get("name") != "python3":
        found.append(f"{path}: the kernel is not python3: run `store`")
    compared, count, code = 0, 0, False
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type != "code":
            continue
        code = True
        found += [f"{path}, cell {number} {what}" for what in _cell_problems(cell, count)]
        count = cell.execution_count or count + 1
        compared += bool(cell.outputs) and IGNORED not in cell.metadata.get("tags", [])
    if code and compared < COMPARED_CELLS:
        found.append(
            f"{path}: only {compared} cells store text to compare, at least {COMPARED_CELLS} must: "
            "print shapes, counts, verdict lines"
        )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if all is well, 1 if lint finds a problem, 2 on bad input."""
    parser = argparse.ArgumentParser(
        prog="python -m whydeep.book.checks.notebooks", description=__doc__
    )
    parser.add_argument("action", choices=["store", "lint"])
    parser.add_argument("paths", nargs="+", type=Path, help="notebooks, or folders of them")
    args = parser.parse_args(argv)
    paths = [
        found
        for path in args.paths
        for found in (sorted(path.rglob("*.ipynb")) if path.is_dir() else [path])
        if ".ipynb_checkpoints" not in found.parts
    ]
    try:
        if args.action == "store":
            for path in paths:
                store(path)
                print(f"stored: {path}")
        found = [line for path in paths for line in problems(path)]
    except WhydeepError as error:
        print(f"notebooks: {error}", file=sys.stderr)
        return 2
    for line in found:
        print(line)
    if not found:
        print(f"{len(paths)} notebooks: nothing to report")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
