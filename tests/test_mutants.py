"""The list of known faults fits the files, and the runner of `make mutants` counts as it says."""

import hashlib
import json
import re

import mutants
import pytest
from mutants import BadList, Mutant, commands, read_list, verdict

FAULTS = read_list()


@pytest.mark.parametrize("mutant", FAULTS, ids=[mutant.name for mutant in FAULTS])
def test_a_fault_fits_the_files_as_they_are_and_changes_them(mutant):
    texts = mutant.texts(mutants.ROOT)
    assert mutant.checks
    assert all(path.read_text("utf-8") != text for path, text in texts.items())


def test_every_test_that_the_list_names_is_there():
    named = {check.partition("[")[0] for fault in FAULTS for check in fault.checks}
    for check in filter(mutants.is_test, sorted(named)):
        path, _, name = check.partition("::")
        text = (mutants.ROOT / path).read_text("utf-8")
        assert not name or re.search(rf"^def {name}\(", text, re.MULTILINE), check


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("FAILED tests/test_a.py::test_b[1-x] - assert 1 == 2", "test_a.py::test_b[1-x]"),
        ("ERROR: not found: book/tests/test_a.py::b", "not found: book/tests/test_a.py::b"),
        ("ERROR tests/test_a.py - ImportError: no", "test_a.py"),
    ],
)
def test_what_failed_is_told_from_the_last_lines_of_pytest(said, told):
    assert mutants.FOUND.search(f"...\n{said}\n1 failed\n")[1] == told


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        ({"old": "a", "new": "b"}, "stands there 2 times, expected once"),
        ({"old": "c", "new": "b"}, "stands there 0 times, expected once"),
        ({"set": {"runs/0": 1}}, "Expecting value"),
    ],
)
def test_a_fault_that_does_not_fit_is_told_in_one_line(tmp_path, edit, says):
    (tmp_path / "x.py").write_text("aha")
    with pytest.raises(BadList, match=says) as told:
        Mutant("a slip", ({"file": "x.py"} | edit,), ()).texts(tmp_path)
    assert "\n" not in str(told.value)
    assert "a slip" in str(told.value)


def test_an_edited_record_has_its_new_values_and_its_new_checksum_and_no_other_changes(tmp_path):
    folder = tmp_path / mutants.RESULTS
    (folder / "part").mkdir(parents=True)
    record = {"runs": {"0": {"x": 1}, "1": {"x": 2}}, "cells": [{"id": "c", "tags": []}]}
    (folder / "part" / "quick.json").write_text(json.dumps(record))
    (folder / "SHA256SUMS").write_text(f"{'0' * 64}  part/full.json\n{'0' * 64}  part/quick.json\n")
    edit = {
        "file": f"{mutants.RESULTS}part/quick.json",
        "set": {"runs/1": "= runs/0", "cells/c/tags": ["t"], "new": 3},
    }
    texts = Mutant("a slip", (edit,), (), sums=True).texts(tmp_path)
    text, sums = texts[folder / "part" / "quick.json"], texts[folder / "SHA256SUMS"]
    same = {"x": 1}
    wanted = {"runs": {"0": same, "1": same}, "cells": [{"id": "c", "tags": ["t"]}], "new": 3}
    assert json.loads(text) == wanted
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert sums == f"{'0' * 64}  part/full.json\n{digest}  part/quick.json\n"


def test_tests_that_follow_each_other_are_run_by_one_command_in_the_order_of_the_list():
    found = list(commands(["lint x y", "tests/a.py::b[c d]", "tests/e.py::f", "golden part/id"]))
    assert found == [
        ["lint", "x", "y"], ["pytest", "tests/a.py::b[c d]", "tests/e.py::f"], ["golden", "part/id"]
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("living", "reviewed", "good"), [(1, False, True), (2, False, False), (1, True, False)]
)
def test_one_in_ten_may_live_and_none_that_a_review_found(living, reviewed, good):
    killed = {
        Mutant(str(i), (), (), reviewed=reviewed and i < living): i >= living for i in range(10)
    }
    assert verdict(killed)[1] is good
