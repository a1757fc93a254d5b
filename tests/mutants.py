"""Plants faults, one at a time, in a copy of the book's files and says which check finds each.

    make mutants                               all faults of tests/mutants.yaml
    python tests/mutants.py --list             their names
    python tests/mutants.py --only "momentum"  those whose name contains this

A check that no wrong program fails checks nothing. Every fault of the list is a slip that somebody
could make, and names the checks that reach it, the cheapest first; they run until one fails. Before
that, all of them must pass on the copy as it is. Exit 1 where fewer than 90 in 100 are found, or
one lives that a reviewer planted and no check found then (``reviewed``); 2 where the list does not
fit the files any more. A fault that lives asks for a test.

An entry of the list:

    name      the fault in words                       reviewed: true, if a review found it living
    file      where; with old and new, text of which old stands there exactly once,
              or with set, for JSON: {a/b/0: value}, in a list also by id; the value "= a/b" is
              what stands at a/b
    also      further edits of the same fault, each with file and the rest
    sums      true: SHA256SUMS is made to fit the edited record
    by        checks: tests (of pytest), `golden ID`, or a module with its arguments
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from itertools import count, groupby
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]
LIST = Path(__file__).with_suffix(".yaml")
RESULTS = "data/results/"
ENOUGH = 0.9
# For one check; a fault may make a loop that never ends. By the clock on the wall: where there is a
# limit of CPU time, Linux counts it in steps of 4 ms, and timed experiments then measure 0.
LONGEST_S = 600
# Imported once, before a check is forked off: what takes long and is none of the book's.
LIBRARIES = (
    "torch", "scipy.stats", "scipy.optimize", "scipy.spatial", "sklearn.linear_model",
    "sklearn.kernel_ridge", "matplotlib.pyplot", "nbformat", "pybtex.database",
    "sphinx.application", "anywidget",
)  # fmt: skip
FOUND = re.compile(r"^(?:FAILED|ERROR:?) (?:tests/)?(.+?)(?: - .*)?$", re.M)


class BadList(Exception):
    """The list of faults does not fit the files, in one line."""


@dataclass(frozen=True, eq=False)
class Mutant:
    """One fault: ``edits`` make it, ``checks`` reach it."""

    name: str
    edits: tuple[dict[str, Any], ...]
    checks: tuple[str, ...]
    reviewed: bool = False
    sums: bool = False

    def texts(self, root: Path) -> dict[Path, str]:
        """The files that the fault changes, under ``root``, with what they then hold."""
        found: dict[Path, str] = {}
        for edit in self.edits:
            path = root / edit["file"]
            before = found.get(path) or path.read_text("utf-8")
            change = _set if "set" in edit else _replaced
            try:
                found[path] = change(before, edit)
            except (KeyError, IndexError, StopIteration, ValueError) as error:
                raise BadList(f"{self.name!r}, {edit['file']}: {error}") from None
        if self.sums:
            sums = root / RESULTS / "SHA256SUMS"
            found[sums] = sums.read_text("utf-8")
            for path in [path for path in found if path.suffix == ".json"]:
                found[sums] = _summed(found[sums], path.relative_to(root / RESULTS), found[path])
        return found


def _replaced(text: str, edit: dict[str, Any]) -> str:
    if (times := text.count(edit["old"])) != 1:
        raise ValueError(f"its old text stands there {times} times, expected once")
    return text.replace(edit["old"], edit["new"])


def _set(text: str, edit: dict[str, Any]) -> str:
    """JSON with other values in some places."""
    tree = json.loads(text)
    for place, value in edit["set"].items():
        if isinstance(value, str) and value.startswith("= "):
            value = _at(tree, value[2:].split("/"))
        *way, last = place.split("/")
        inner = _at(tree, way)
        key = int(last) if isinstance(inner, list) else last
        if (inner[key] if isinstance(inner, list) else inner.get(key)) == value:
            raise ValueError(f"{place} is {value!r} already")
        inner[key] = value
    return json.dumps(tree, indent=1, ensure_ascii=False) + "\n"


def _at(tree: Any, way: Sequence[str]) -> Any:
    for key in way:
        if isinstance(tree, list) and not key.isdecimal():
            tree = next(each for each in tree if each.get("id") == key)
        else:
            tree = tree[int(key) if isinstance(tree, list) else key]
    return tree


def _summed(sums: str, record: Path, text: str) -> str:
    digest = hashlib.sha256(text.encode()).hexdigest()
    return re.sub(rf"^\w+(?=  {re.escape(record.as_posix())}$)", digest, sums, flags=re.M)


def read_list(path: Path = LIST) -> list[Mutant]:
    """The faults in their order."""
    mutants = []
    for entry in yaml.safe_load(path.read_text("utf-8")):
        edits = tuple(
            {key: part[key] for key in ("file", "old", "new", "set") if key in part}
            for part in (entry, *entry.get("also", ()))
        )
        marks = {key: entry.get(key, False) for key in ("reviewed", "sums")}
        mutants.append(Mutant(entry["name"], edits, tuple(entry["by"]), **marks))
    names = [mutant.name for mutant in mutants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise BadList(f"two faults are called {min(twice)!r}")
    return mutants


# --- checks ------------------------------------------------------------------------------------


def is_test(check: str) -> bool:
    return check.startswith("tests/")


def commands(checks: Sequence[str]) -> Iterator[list[str]]:
    """Modules, or "golden", with their arguments; tests that follow each other are run by one."""
    for tests, group in groupby(checks, key=is_test):
        if tests:
            yield ["pytest", *group]
        else:
            yield from (check.split(" ") for check in group)


def golden(experiment: str) -> None:
    """Exit as test_golden.py would judge this experiment, without importing all the others."""
    sys.path.insert(0, "tests")
    from golden.make import arithmetic, faults, run, stored

    module = import_module(f"whydeep.experiments.{experiment.replace('/', '.').replace('-', '_')}")
    before = stored(experiment)
    told = faults(before, run(module, before), same=before["arithmetic"] == arithmetic())
    sys.exit("\n".join(told) or 0)


def run(command: list[str], copy: Path) -> tuple[str, float]:
    """What failed, "" if nothing did, and the CPU seconds that the command took in the copy."""
    log = copy.with_suffix(".log")
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        _be(command, copy, log)
    _, status, used = os.wait4(child, 0)
    if status == 0:
        return "", used.ru_utime + used.ru_stime
    told = FOUND.search(log.read_text("utf-8", errors="replace"))
    ended = "" if os.WIFEXITED(status) else f" (killed by signal {os.WTERMSIG(status)})"
    return (told[1] if told else " ".join(command[:3])) + ended, used.ru_utime + used.ru_stime


def _be(command: list[str], copy: Path, log: Path) -> None:
    """In a child process: run the command in the copy, and end."""
    status: Any = 1
    try:
        with open(log, "wb") as file:
            for stream in (1, 2):
                os.dup2(file.fileno(), stream)
        signal.alarm(LONGEST_S)
        os.chdir(copy)
        for name in ("WHYDEEP_ROOT", "WHYDEEP_DATA", "WHYDEEP_RUNS"):
            os.environ.pop(name, None)
        os.environ["PYTHONPATH"] = str(copy / "code")
        sys.path.insert(0, str(copy / "code"))
        module, *arguments = command
        if module == "golden":
            golden(*arguments)
        options = ["-x", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider"]
        sys.argv = [module, *(options if module == "pytest" else []), *arguments]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as end:
        status = end.code
        print(status if isinstance(status, str) else "", file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else int(status is not None))


# --- planting ----------------------------------------------------------------------------------


def copied(folder: Path) -> Path:
    """A copy of the files that git tracks, or would, as they are now."""
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, check=True, text=True,
    ).stdout  # fmt: skip
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def write(texts: dict[Path, str], second: Iterator[int]) -> None:
    """Each write has a second of its own: by it Python knows a compiled module from its source."""
    for path, text in texts.items():
        path.write_text(text, "utf-8")
        os.utime(path, (now := next(second), now))


def plant(mutant: Mutant, copy: Path, second: Iterator[int]) -> tuple[str, float]:
    """The first check that finds the fault, "" if none does, and the CPU seconds of them all."""
    texts = mutant.texts(copy)
    before = {path: path.read_text("utf-8") for path in texts}
    write(texts, second)
    spent = 0.0
    try:
        for command in commands(mutant.checks):
            failed, seconds = run(command, copy)
            spent += seconds
            if failed:
                return failed, spent
        return "", spent
    finally:
        write(before, second)


def checks_pass(mutants: Sequence[Mutant], copy: Path) -> float:
    """Run every check once without any fault; the CPU seconds. BadList names one that fails."""
    every = sorted({check for mutant in mutants for check in mutant.checks}, key=is_test)
    spent = 0.0
    for command in commands(every):
        failed, seconds = run(command, copy)
        spent += seconds
        if failed:
            raise BadList(f"without any fault fails: {failed}")
    return spent


def verdict(killed: dict[Mutant, bool]) -> tuple[str, bool]:
    """How many were found, of the reviewed and of the others, and whether that is enough."""
    told = []
    for words, kind in (("of the reviews", True), ("new", False)):
        these = [found for mutant, found in killed.items() if mutant.reviewed is kind]
        if these:
            told.append(f"{sum(these)} of {len(these)} {words} ({sum(these) / len(these):.0%})")
    good = sum(killed.values()) >= ENOUGH * len(killed)
    return "found: " + ", ".join(told), good and all(
        found for mutant, found in killed.items() if mutant.reviewed
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit 0 if enough faults are found, 1 if not, 2 where the list does not fit the files."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", default="", metavar="NAME", help="those with this in their name")
    parser.add_argument("--list", action="store_true", help="print the names, run nothing")
    args = parser.parse_args(argv)
    try:
        mutants = [mutant for mutant in read_list() if args.only in mutant.name]
        for mutant in mutants:
            mutant.texts(ROOT)
        if not mutants:
            raise BadList(f"no fault is called {args.only!r}: --list names them")
        if args.list:
            print(*(mutant.name for mutant in mutants), sep="\n")
            return 0
        for library in LIBRARIES:
            import_module(library)
        with tempfile.TemporaryDirectory() as folder:
            copy = copied(Path(folder) / "book")
            print(f"without any fault: {checks_pass(mutants, copy):.0f} CPU s", flush=True)
            killed, second = {}, count(int(time.time()) + 1)
            for mutant in mutants:
                found, seconds = plant(mutant, copy, second)
                killed[mutant] = bool(found)
                words = f"found by {found}" if found else "LIVES"
                print(f"{seconds:5.1f} s  {mutant.name}\n         {words}", flush=True)
    except BadList as error:
        print(f"mutants: {error}", file=sys.stderr)
        return 2
    words, good = verdict(killed)
    print(words)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
