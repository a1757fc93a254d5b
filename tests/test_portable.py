"""Other processors: what stands for them, what runs under each, and times that are of one alone."""

import importlib
import inspect
import pkgutil
import re
import sys
from pathlib import Path

import pytest
import whydeep.experiments
from whydeep.book.checks import portable
from whydeep.evidence.results import read_record
from whydeep.experiments import recorded_scale

ROOT = Path(__file__).parents[1]
READS_A_CLOCK = re.compile(r"\b(process_time|perf_counter|monotonic|time\.time|Timer|timeit)\b")


def timed_experiments():
    """The modules of experiments that read a clock, by their names."""
    found = pkgutil.walk_packages(whydeep.experiments.__path__, "whydeep.experiments.")
    modules = [importlib.import_module(each.name) for each in found if not each.ispkg]
    return {
        module.__name__.removeprefix("whydeep.experiments."): module
        for module in modules
        if READS_A_CLOCK.search(inspect.getsource(module))
    }


def by_name(name):
    return next(each for each in portable.ARITHMETICS if each.name == name)


@pytest.fixture
def run_nothing(monkeypatch):
    """What would have been run: (name of the arithmetic, tests, notebooks, sample)."""
    asked = []

    def run(arithmetic, root, tests, pages, sample):
        asked.append((arithmetic.name, tests, pages, sample))
        return True

    monkeypatch.setattr(portable, "run", run)
    every = frozenset().union(*(each.needs for each in portable.ARITHMETICS))
    monkeypatch.setattr(portable, "flags", lambda: every)
    return asked


# --- times -----------------------------------------------------------------------------------


def test_an_experiment_that_reads_a_clock_says_which_of_its_quantities_are_times():
    modules = timed_experiments()
    assert {name.rpartition(".")[2] for name in modules} >= {"gradient_cost", "roofline"}
    for name, module in modules.items():
        experiment = name.replace("_", "-").replace(".", "/")
        record = read_record(experiment, recorded_scale(module))
        for runs in record.runs.values():
            for result in runs.values():
                assert set(module.TIMED) < set(result)


def test_what_is_said_to_be_a_time_differs_from_seed_to_seed_and_the_rest_does_not():
    # Of roofline everything else is settings: a rate that is left out of TIMED is found here.
    module = timed_experiments()["hacking.roofline"]
    one, two, *_ = read_record("hacking/roofline", "quick").runs["main"].values()
    differ = {name for name in one if (one[name] != two[name]).any()}
    assert differ == set(module.TIMED)


# --- arithmetics -----------------------------------------------------------------------------


def test_pytorch_and_openblas_do_as_an_arithmetic_says(tmp_path):
    sse = by_name("sse")
    if not sse.needs <= portable.flags():
        pytest.skip("another kind of processor")
    assert portable.chosen(sse, ROOT, str(tmp_path)) == "PyTorch DEFAULT, OpenBLAS Nehalem"


def test_what_the_shell_says_of_arithmetic_is_left_out_and_finished_runs_are_kept_apart(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("MKL_CBWR", "AVX2")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    around = portable.environment(by_name("native-2"), str(tmp_path))
    assert "MKL_CBWR" not in around
    assert around["OMP_NUM_THREADS"] == "2"
    assert around["WHYDEEP_RUNS"] == str(tmp_path)
    assert "error::RuntimeWarning" in around["PYTHONWARNINGS"].split(",")


def test_an_arithmetic_that_the_processor_has_not_is_skipped_in_a_line(
    run_nothing, monkeypatch, capsys
):
    monkeypatch.setattr(portable, "flags", lambda: by_name("sse").needs)
    assert portable.main([]) == 0
    assert [name for name, *_ in run_nothing] == ["native-2", "sse"]
    said = capsys.readouterr().out.splitlines()
    assert "avx: skipped, this processor has no avx" in said
    assert "avx2: skipped, this processor has no avx2, fma" in said


def test_by_rotation_all_arithmetics_tests_and_notebooks_come_up_and_a_commit_has_one(
    run_nothing, monkeypatch
):
    for commit in range(60):
        monkeypatch.setattr(portable, "turn", lambda root, n=commit: n)
        assert portable.main(["--rotate"]) == 0
    names, tests, pages, samples = zip(*run_nothing, strict=True)
    assert set(names) == {each.name for each in portable.ARITHMETICS}
    for name in names:
        of_it = [page for n, each in zip(names, pages, strict=True) for page in each if n == name]
        assert set(of_it) == set(portable.notebooks(ROOT))
    assert max(map(len, pages)) <= len(portable.notebooks(ROOT)) // 3 + 1
    assert set().union(*tests) == set(portable.number_tests(ROOT))
    assert not any(samples)


def test_the_commit_chooses_and_the_same_commit_the_same(tmp_path):
    assert portable.turn(ROOT) == portable.turn(ROOT)
    assert portable.turn(tmp_path) == portable.turn(tmp_path)  # no commit: the day


def test_tests_that_compute_are_told_from_those_of_the_machinery():
    tests = portable.number_tests(ROOT)
    assert {"tests/test_norms.py", "tests/test_the_non_linearity.py"} <= set(tests)
    assert not {"tests/test_book.py", "tests/test_launch.py", "tests/test_portable.py"} & set(tests)


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 1), ("print(1)", 0)])
def test_a_stage_that_fails_is_shown_with_what_it_said(code, status, monkeypatch, capsys):
    command = [sys.executable, "-c", f"print('the words of it'); {code}"]
    monkeypatch.setattr(portable, "stages", lambda *a: iter([("a stage", command)]))
    assert portable.main(["--only", "native-2"]) == status
    said = capsys.readouterr().out
    assert ("the words of it" in said) == bool(status)
    assert ("FAILED" in said) == bool(status)
