"""Results on disk: exact, atomic, told in one line when damaged, and never lost to Ctrl-C."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from whydeep.datasets import pools
from whydeep.errors import BadSettings, WhydeepError
from whydeep.evidence import results
from whydeep.evidence.machine import arithmetic
from whydeep.evidence.results import (
    MAIN,
    Quantity,
    Record,
    Result,
    Sweep,
    read_record,
    record_path,
    write_record,
)
from whydeep.experiments.design_choices import unknown_position

ROOT = Path(__file__).resolve().parents[1]
PROVENANCE = {"code": "0123456789ab", "settings": {"steps": 1}}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """An empty checkout of one's own, where records and runs go."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path / "runs"))
    return tmp_path


def record_of(**quantities) -> Record:
    return Record("part/toy", "quick", PROVENANCE, {"main": {0: Result(**quantities)}})


# --- in memory -------------------------------------------------------------------------------


def test_a_result_keeps_names_units_and_shapes_and_takes_tensors_off_the_graph():
    weight = torch.ones(2, 3, requires_grad=True)
    result = Result(error=(0.25, "fraction"), weight=(weight, "1"))
    assert dict(result.units) == {"error": "fraction", "weight": "1"}
    assert result["error"].shape == ()
    assert isinstance(result["weight"], np.ndarray)
    assert result["weight"].dtype == np.float32
    assert repr(result) == "Result(error: 0.25 [fraction], weight: (2, 3) [1])"


@pytest.mark.parametrize("value", ["0.1", None, 1j, {"a": 1}, [None, 1.0]])
def test_a_result_holds_real_numbers_only(value):
    with pytest.raises(ValueError, match=r"error is of type .*, expected real numbers"):
        Result(error=(value, "fraction"))


# --- on disk ---------------------------------------------------------------------------------

SHAPES = arrays_of.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
DTYPES = st.sampled_from(["float32", "float64", "int64", "int32", "uint8", "bool"])


@given(DTYPES.flatmap(lambda dtype: arrays_of.arrays(dtype, SHAPES)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_every_number_comes_back_from_disk_exactly(root, array):
    write_record(record_of(x=(array, "units")))
    back = read_record("part/toy", "quick").runs["main"][0]["x"].astype(array.dtype)
    # JSON nests lists, so that an array without entries keeps its size, not all of its shape.
    np.testing.assert_array_equal(back.reshape(array.shape), array)


@pytest.mark.parametrize("value", [1e-45, 1.1754944e-38, 3.4028235e38, 0.1, 1 / 3, 16777217.0])
def test_float32_is_written_as_the_shortest_decimal_that_gives_it_back(root, value):
    x = np.float32(value)
    path = write_record(record_of(x=(x, "units")))
    text = json.loads(path.read_text(), parse_float=str)["runs"]["main"]["0"]["x"]
    assert np.float32(float(text)) == x
    assert float(text) == float(str(x))


def test_a_record_comes_back_whole(root):
    runs = {
        "main": {seed: Result(a=(seed, "1"), b=([1.5, 2.5], "nats")) for seed in (0, 1)},
        "no cause": {0: Result(a=(7, "1"))},
    }
    path = write_record(Record("part/toy", "full", PROVENANCE, runs))
    assert path == record_path("part/toy", "full") == root / "data/results/part/toy/full.json"
    back = read_record("part/toy", "full")
    assert back.seeds == [0, 1]
    assert set(back.runs) == {"main", "no cause"}
    assert back.runs["main"][1]["b"].tolist() == [1.5, 2.5]
    assert back.runs["main"][1].units == {"a": "1", "b": "nats"}
    assert back.provenance.items() >= PROVENANCE.items()
    assert back.provenance["recorded"] == time.strftime("%Y-%m-%d")


def test_a_record_has_one_line_for_each_number_or_array_so_that_a_diff_names_it(root):
    before = record_of(error=(0.25, "1"), curve=(np.arange(100.0), "1"))
    after = record_of(error=(0.26, "1"), curve=(np.arange(100.0), "1"))
    one, two = (write_record(r).read_text().splitlines() for r in (before, after))
    changed = [pair for pair in zip(one, two, strict=True) if pair[0] != pair[1]]
    assert changed == [('    "error": 0.25,', '    "error": 0.26,')]
    assert sum("99.0" in line for line in one) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        "null",
        '"text"',
        "\x00\xff",
        '{"recorded": "x", "provenance": {}, "units": {}, "runs": []}',
        '{"recorded": "x", "provenance": 1, "units": {}, "runs": {}}',
        '{"recorded": "x", "provenance": {}, "units": {}, "runs": {"main": {"0": {"a": 1}}}}',
        '{"recorded": "x", "provenance": {}, "units": {"a": ""}, "runs": {"main": {"b": {}}}}',
        '{"recorded": "x", "provenance": {}, "units": {"a": ""},'
        ' "runs": {"main": {"0": {"a": [[1], 2]}}}}',
        '{"recorded": "x", "provenance": {}, "units": {"a": ""},'
        ' "runs": {"main": {"0": {"a": "1"}}}}',
    ],
)
def test_a_damaged_record_is_one_line_naming_the_file_and_the_remedy(root, text):
    path = record_path("part/toy", "quick")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(WhydeepError) as caught:
        read_record("part/toy", "quick")
    message = str(caught.value)
    assert str(path) in message
    assert "whydeep record part/toy --scale quick" in message
    assert "\n" not in message


def test_a_truncated_record_is_told_wherever_it_was_cut(root):
    path = write_record(record_of(x=([1.0, 2.0], "units")))
    whole = path.read_text()
    for end in range(0, len(whole.rstrip()), 7):
        path.write_text(whole[:end])
        with pytest.raises(WhydeepError, match="restore it with git"):
            read_record("part/toy", "quick")


def test_a_missing_record_is_one_line_with_the_command_that_makes_it(root):
    with pytest.raises(WhydeepError, match=r"no recorded run at .*`whydeep record part/toy"):
        read_record("part/toy", "quick")


def test_a_missing_calibration_names_the_option_that_makes_it(root):
    with pytest.raises(WhydeepError, match="whydeep record part/toy --calibration"):
        read_record("part/toy", "calibration")


def test_a_quantity_without_a_unit_or_a_record_without_its_date_is_damaged(root):
    path = write_record(record_of(x=(1.0, "units")))
    raw = json.loads(path.read_text())
    for lost in ("units", "recorded", "provenance", "runs"):
        path.write_text(json.dumps({key: value for key, value in raw.items() if key != lost}))
        with pytest.raises(WhydeepError, match=r"quick\.json is damaged .*restore it with git"):
            read_record("part/toy", "quick")


# --- checksums -------------------------------------------------------------------------------


def digest_of(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_checksum_of_each_record_stands_beside_them_sorted_and_is_renewed_with_it(root):
    one = write_record(record_of(x=(1.0, "units")))
    other = write_record(Record("a/first", "full", PROVENANCE, {"main": {0: Result(x=(2, "1"))}}))
    listed = (root / "data" / "results" / "SHA256SUMS").read_text()
    assert listed == (
        f"{digest_of(other)}  a/first/full.json\n{digest_of(one)}  part/toy/quick.json\n"
    )
    before = digest_of(one)
    write_record(record_of(x=(1.5, "units")))
    assert results.checksums() == {
        "a/first/full.json": digest_of(other),
        "part/toy/quick.json": digest_of(one),
    }
    assert digest_of(one) != before


def test_one_can_check_the_records_with_sha256sum(root):
    write_record(record_of(x=(1.0, "units")))
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    folder = root / "data" / "results"
    if shutil.which(command[0]) is None:
        pytest.skip("this system has no sha256sum")
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0
    path = folder / "part/toy/quick.json"
    path.write_text(path.read_text().replace("1.0", "1.1"))
    assert subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 1


# --- written atomically ----------------------------------------------------------------------


def test_a_writer_that_fails_in_the_middle_leaves_the_old_file_and_no_other(root, monkeypatch):
    path = root / "data" / "file.json"
    results.write_atomically(path, "old")

    def fail(_):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="no space"):
        results.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["file.json"]


@pytest.mark.parametrize("step", ["replace", "fsync"])
def test_a_record_that_cannot_be_written_is_one_line_and_leaves_the_old_one(
    root, monkeypatch, step
):
    path = write_record(record_of(x=(1.0, "units")))
    before = path.read_text()
    monkeypatch.setattr(os, step, full_disk)
    with pytest.raises(WhydeepError, match=r"cannot be written \(No space left.*make room") as told:
        write_record(record_of(x=(2.0, "units")))
    assert str(path) in str(told.value)
    assert path.read_text() == before


def full_disk(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_writer_killed_in_the_middle_leaves_the_old_file(root):
    # The real function up to the moment before the file is put in place, then kill -9.
    path = root / "data" / "file.json"
    results.write_atomically(path, "old")
    script = (
        "import os, signal, sys; from pathlib import Path; from whydeep.evidence import results\n"
        "os.replace = lambda a, b: os.kill(os.getpid(), signal.SIGKILL)\n"
        "results.write_atomically(Path(sys.argv[1]), 'new' * 100000)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert [p.suffix for p in path.parent.iterdir() if p != path] == [".part"]


# --- named axes ------------------------------------------------------------------------------


def test_a_place_is_asked_for_by_name_or_number():
    found = Result(
        error=Quantity([[0.5, 0.2], [0.5, 0.1]], "share", arm=("plain", "dropout"), epoch=(0, 8)),
        plain=([1.0, 2.0, 3.0], "nats"),
    )
    assert found["error[dropout, -1]"] == 0.1
    assert found["error[plain]"].tolist() == [0.5, 0.2]
    assert found["error[-1,0]"] == 0.5
    assert found["plain[-1]"] == 3.0
    assert found.unit("error[dropout, -1]") == "share"
    assert list(found) == ["error", "plain"]
    with pytest.raises(KeyError, match=r"no place is called 'drop'; arm is plain, dropout"):
        found["error[drop]"]
    with pytest.raises(KeyError, match=r"no place is called 'first'; it has no names"):
        found["plain[first]"]
    with pytest.raises(KeyError):
        found["other[0]"]
    with pytest.raises(IndexError):
        found["plain[7]"]


def test_a_place_called_by_a_number_with_a_point_is_asked_for_by_it():
    found = Result(bound=Quantity([1.0, 2.0, 3.0], "share", rate=(0.0, 0.25, 0.5)))
    assert found["bound[0.25]"] == 2.0
    assert found["bound[0]"] == found["bound[0.0]"] == 1.0
    assert found["bound[-1]"] == found["bound[0.5]"] == 3.0


@pytest.mark.parametrize(
    "axes", [{"arm": ("a", "b", "c")}, {"arm": ("a", "b"), "epoch": (0, 1)}, {"x": None, "y": None}]
)
def test_axes_that_do_not_fit_are_refused(axes):
    with pytest.raises(ValueError, match="error has shape"):
        Result(error=Quantity([0.5, 0.2], "share", **axes))


def test_a_record_keeps_the_names_of_places(root):
    quantity = Quantity(np.eye(2), "share", arm=("a", "b"), epoch=None)
    record = Record("part/toy", "quick", {}, {MAIN: {0: Result(error=quantity, y=(1.0, "1"))}})
    results.write_record(record)
    again = results.read_record("part/toy", "quick").runs[MAIN][0]
    assert again.axes == {"error": {"arm": ["a", "b"], "epoch": [0, 1]}}
    assert again["error[b, 1]"] == 1.0


def test_a_variant_may_have_other_places_along_an_axis(root):
    runs = {
        MAIN: {0: Result(error=Quantity([0.1, 0.2], "share", size=(4, 8)))},
        "few": {0: Result(error=Quantity([0.3], "share", size=(4,)))},
    }
    results.write_record(Record("part/toy", "quick", {}, runs))
    again = results.read_record("part/toy", "quick").runs
    assert again[MAIN][0].axes == {"error": {"size": [4, 8]}}
    assert again["few"][0].axes == {"error": {"size": [4]}}


def test_a_setting_within_nested_settings_is_named_with_a_dot():
    @dataclass(frozen=True)
    class Outer:
        inner: Toy = Toy()
        other: int = 2

    changed = results.with_variant(Outer(), {"inner.slope": 3.0, "other": 4})
    assert changed == Outer(Toy(3.0), 4)
    with pytest.raises(BadSettings, match=r"unknown setting 'slop': the experiment has slope"):
        results.with_variant(Outer(), {"inner.slop": 3.0})


# --- sweeps ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Toy:
    slope: float = 1.0


def toy_module(calls):
    def run(settings, chance):
        calls.append((settings.slope, chance.seed))
        return Result(y=(settings.slope * chance.seed, "1"))

    module = ModuleType("whydeep.experiments")  # a name that has a code hash
    module.SCALES, module.run = {"quick": Toy()}, run
    module.VARIANTS = {"flat": {"slope": 0.0}, "steep": {"slope": 9.0}}
    return module


def test_a_sweep_runs_every_variant_on_every_seed_and_later_takes_them_from_disk(root):
    calls = []
    module = toy_module(calls)
    first = results.sweep(module, "part/toy", "quick", (s for s in (2, 3)))
    assert calls == [(1.0, 2), (1.0, 3), (0.0, 2), (0.0, 3), (9.0, 2), (9.0, 3)]
    assert list(first.runs) == [MAIN, "flat", "steep"]
    again = results.sweep(module, "part/toy", "quick", [2, 3, 4])
    assert calls[6:] == [(1.0, 4), (0.0, 4), (9.0, 4)]
    for variant, by_seed in first.runs.items():
        for seed, result in by_seed.items():
            assert result["y"] == again.runs[variant][seed]["y"]
            assert result.units == again.runs[variant][seed].units


def test_a_sweep_that_must_not_resume_neither_reads_nor_leaves_files(root):
    calls = []
    for _ in range(2):
        results.sweep(toy_module(calls), "part/toy", "quick", [1], resume=False)
    assert len(calls) == 6
    assert not (root / "runs").exists()
    results.sweep(toy_module(calls), "part/toy", "quick", [1])
    kept = {path: path.read_text() for path in (root / "runs").rglob("*.json")}
    for path in kept:
        path.write_text("not to be read")
    results.sweep(toy_module(calls), "part/toy", "quick", [1], resume=False)
    assert len(calls) == 12
    assert {path.read_text() for path in kept} == {"not to be read"}


def test_a_record_says_what_made_it_and_the_cpu_seconds_of_a_run(root):
    record = results.sweep(toy_module([]), "part/toy", "quick", [0])
    about = record.provenance
    assert about["settings"] == {"slope": 1.0}
    assert about["variants"] == {"flat": {"slope": 0.0}, "steep": {"slope": 9.0}}
    assert about["seconds"] >= 0
    assert about.items() >= arithmetic().items()


def test_a_calibration_draws_from_its_own_pool_and_no_run_of_the_other_is_taken_for_it(
    root, monkeypatch
):
    calls = []
    module = toy_module(calls)
    run = module.run

    def drawing(settings, chance):
        calls.append(pools.current())
        return run(settings, chance)

    module.run = drawing
    monkeypatch.setattr(results, "draws", lambda name: name == module.__name__)
    for pool in ("reporting", "calibration"):
        calls.clear()
        record = results.sweep(module, "part/toy", "quick", [0], pool=pool)
        assert calls[::2] == [pool] * 3
        assert record.provenance["pool"] == pool
    calls.clear()
    assert results.sweep(module, "part/toy", "quick", [0]).provenance["pool"] == "reporting"
    assert results.sweep(module, "part/toy", "quick", [0], pool="calibration").seeds == [0]
    assert calls == []  # both are kept, side by side
    task = ("part/toy", "quick", "flat", 1)
    modules = {"part/toy": module}
    results._run_there(task, modules=modules, pool="calibration", device="cpu", resume=False)
    assert calls[0] == "calibration"
    assert pools.current() == "reporting"


def test_runs_that_draw_nothing_are_the_same_for_either_pool(root):
    calls = []
    for pool in ("reporting", "calibration"):
        record = results.sweep(toy_module(calls), "part/toy", "quick", [0], pool=pool)
        assert "pool" not in record.provenance
    assert len(calls) == 3


def test_a_kept_run_comes_back_with_its_seconds(root):
    module = toy_module([])
    first = results.run_once(module, "part/toy", "quick", "flat", 3)
    again = results.run_once(module, "part/toy", "quick", "flat", 3)
    assert first[0]["y"] == again[0]["y"] == 0.0
    assert again[1] == results.Cost(round(first[1].seconds, 3), 0.0)


def test_a_run_kept_before_shares_were_noted_is_taken_as_it_is(root):
    module = toy_module([])
    results.run_once(module, "part/toy", "quick", "flat", 3)
    (kept,) = results._runs_folder().rglob("flat-3.json")
    kept.write_text(
        json.dumps({k: v for k, v in json.loads(kept.read_text()).items() if k != "share"})
    )
    again, cost = results.run_once(module, "part/toy", "quick", "flat", 3)
    assert (again["y"], cost.share) == (0.0, 0.0)


def test_sweeps_over_several_experiments_yield_each_as_its_last_run_ends(root):
    calls = []
    module = toy_module(calls)
    wanted = [Sweep(module, f"part/{name}", "quick", (0, 1)) for name in ("a", "b", "c")]
    found = []
    for count, record in enumerate(results.sweeps(wanted, resume=False), start=1):
        assert len(calls) == 6 * count  # and none of the next has begun
        found.append(record.experiment)
        assert record.seeds == [0, 1]
        assert set(record.runs) == {MAIN, "flat", "steep"}
    assert found == ["part/a", "part/b", "part/c"]


def test_a_sweep_stopped_between_two_experiments_keeps_the_finished_one(root):
    calls = []
    module = toy_module(calls)
    wanted = [Sweep(module, f"part/{name}", "quick", (0,)) for name in ("a", "b")]
    next(results.sweeps(wanted))
    assert {path.parts[-3] for path in (root / "runs").rglob("*.json")} == {"a"}
    assert [record.experiment for record in results.sweeps(wanted)] == ["part/a", "part/b"]
    assert len(calls) == 6


def test_runs_of_other_code_or_another_device_are_not_taken_for_these(root, monkeypatch):
    calls = []
    results.sweep(toy_module(calls), "part/toy", "quick", [0])
    monkeypatch.setattr(results, "takes_device", lambda module: True)
    results.sweep(toy_module(calls), "part/toy", "quick", [0], device="mps")
    monkeypatch.setattr(results, "code_hash", lambda module: "other code")
    results.sweep(toy_module(calls), "part/toy", "quick", [0])
    assert len(calls) == 9
    monkeypatch.setattr(results, "arithmetic", lambda: {"threads": 64})
    results.sweep(toy_module(calls), "part/toy", "quick", [0])
    assert len(calls) == 12
    folders = {path.parent.name for path in (root / "runs").rglob("main-0.json")}
    assert len(folders) == 4
    assert all(folder.startswith("quick-") for folder in folders)


def test_an_experiment_that_makes_no_use_of_the_device_runs_and_is_recorded_on_the_cpu(root):
    calls = []
    record = results.sweep(toy_module(calls), "part/toy", "quick", [0], device="mps")
    assert record.provenance["device"].startswith("cpu (")
    results.sweep(toy_module(calls), "part/toy", "quick", [0])
    assert len(calls) == 3


@pytest.mark.parametrize("text", ["{", "{}", '{"units": {}, "values": {"y": 1}}'])
def test_a_damaged_run_is_one_line_that_says_to_delete_it(root, text):
    results.sweep(toy_module([]), "part/toy", "quick", [0])
    damaged = next((root / "runs").rglob("main-0.json"))
    damaged.write_text(text)
    with pytest.raises(WhydeepError, match=r"main-0\.json .*delete it and start again"):
        results.sweep(toy_module([]), "part/toy", "quick", [0])


@pytest.mark.parametrize("seeds", [[], [-1], [0, -2]])
def test_a_sweep_needs_seeds_that_exist(root, seeds):
    with pytest.raises(BadSettings, match="seeds are"):
        results.sweep(toy_module([]), "part/toy", "quick", seeds)


@pytest.mark.parametrize("seeds", [[2**32], [0, 2**64], range(10_001)])
def test_a_sweep_takes_no_seed_that_generators_do_not_and_not_too_many(root, seeds):
    with pytest.raises(BadSettings, match=r"expected at most 10,000, each below 2\^32"):
        results.sweep(toy_module([]), "part/toy", "quick", seeds)


def test_a_scale_that_an_experiment_does_not_have_is_named_with_those_that_it_has(root):
    with pytest.raises(BadSettings, match="part/toy has no scale 'huge': choose from quick"):
        results.sweep(toy_module([]), "part/toy", "huge", [0])


# --- runs that cannot be kept ------------------------------------------------------------------


@pytest.fixture
def said():
    """What has been said once is said again in the next test."""
    results.say_unkept.cache_clear()
    yield
    results.say_unkept.cache_clear()


@pytest.mark.parametrize("trouble", ["a file", "no permission", "full disk", "broken disk"])
def test_where_finished_runs_cannot_be_kept_the_numbers_come_all_the_same_and_one_line_says_so(
    root, monkeypatch, capsys, said, trouble
):
    if trouble == "a file":
        (root / "runs").write_text("")
    elif trouble == "no permission":  # by hand, since the superuser is refused nothing
        monkeypatch.setattr(Path, "mkdir", refuse)
    else:
        monkeypatch.setattr(os, "replace" if trouble == "full disk" else "fsync", full_disk)
    calls = []
    record = results.sweep(toy_module(calls), "part/toy", "quick", [0, 1])
    assert len(calls) == 6
    assert record.runs["steep"][1]["y"] == 9.0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"whydeep: finished runs cannot be kept in {root / 'runs'} (")
    assert line.endswith("): going on without")
    assert not [path for path in root.rglob("*.json") if path.is_file()]


def test_where_processes_of_their_own_cannot_keep_their_runs_one_line_says_so(root, capfd, said):
    (root / "runs").write_text("")
    module = ModuleType(unknown_position.__name__)  # whose run other processes can import
    module.SCALES, module.VARIANTS, module.run = unknown_position.SCALES, {}, unknown_position.run
    record = results.sweep(module, "part/toy", "quick", [0, 1, 2], jobs=2)
    assert record.seeds == [0, 1, 2]
    assert capfd.readouterr().err.count("\n") == 1


def refuse(self, *args, **kwargs):
    raise PermissionError(errno.EACCES, "Permission denied", str(self))


def test_a_variant_with_an_unknown_setting_names_it_and_those_that_exist():
    with pytest.raises(BadSettings, match="unknown setting 'slop': the experiment has slope"):
        results.with_variant(Toy(), {"slop": 1})
    assert results.with_variant(Toy(), {"slope": 2.0}) == Toy(2.0)


# --- interrupted runs, really ----------------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """A copy of the package with one slow experiment; returns a starter of `whydeep record`."""
    package = tmp_path / "code" / "whydeep"
    shutil.copytree(
        ROOT / "code" / "whydeep", package,
        ignore=shutil.ignore_patterns("book", "features", "__pycache__"),
    )  # fmt: skip
    shutil.copytree(ROOT / "tests" / "scratch", package / "experiments" / "scratch")
    (package / "experiments" / "scratch" / "__init__.py").touch()
    (tmp_path / "data").mkdir()
    environment = os.environ | {
        "PYTHONPATH": str(tmp_path / "code"),
        "WHYDEEP_DEVICE": "cpu",
        "SCRATCH_LOG": str(tmp_path / "log"),
    }
    for name in ("WHYDEEP_ROOT", "WHYDEEP_RUNS"):
        environment.pop(name, None)

    def start():
        return subprocess.Popen(
            [sys.executable, "-m", "whydeep", "record", "slow-claim"],
            env=environment, cwd=tmp_path, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            # A shell's background job ignores Ctrl-C, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip

    return SimpleNamespace(start=start, path=tmp_path, log=tmp_path / "log")


def finished(checkout) -> set[str]:
    return {path.stem for path in (checkout.path / ".whydeep").rglob("*.json")}


def started(checkout) -> list[str]:
    return checkout.log.read_text().split() if checkout.log.exists() else []


def stop_after(checkout, runs: int, with_signal: int) -> tuple[int, str]:
    """Start, send the signal while a later run is at work; returns exit status and stderr."""
    process = checkout.start()
    until = time.monotonic() + 60
    while len(started(checkout)) <= runs and process.poll() is None and time.monotonic() < until:
        time.sleep(0.005)
    time.sleep(0.03)
    process.send_signal(with_signal)
    _, stderr = process.communicate(timeout=60)
    return process.returncode, stderr


ALL = {f"{variant}-{seed}" for variant in ("main", "no cause") for seed in range(5)}


def test_interrupted_and_killed_runs_lose_nothing_that_was_finished(checkout):
    status, stderr = stop_after(checkout, 2, signal.SIGINT)
    assert status == 130
    assert stderr.splitlines() == [
        "whydeep: interrupted; finished runs are kept, the same command goes on from there"
    ]
    assert finished(checkout) == {"main-0", "main-1"}
    assert started(checkout) == ["True-0", "True-1", "True-2"]

    status, _ = stop_after(checkout, 5, signal.SIGKILL)
    assert status == -signal.SIGKILL
    # The third run, cut off by Ctrl-C, was started again; the finished ones were not.
    assert started(checkout)[3:] == ["True-2", "True-3", "True-4"]
    assert finished(checkout) == {f"main-{seed}" for seed in range(4)}

    # What a writer killed in the middle leaves is no run.
    folder = next((checkout.path / ".whydeep").rglob("main-0.json")).parent
    (folder / "main-4.json.4242.part").write_text('{"units": {}, "values": {}}')
    process = checkout.start()
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert started(checkout)[6:] == ["True-4", *(f"False-{seed}" for seed in range(5))]
    assert finished(checkout) == ALL
    assert "ok  slow-claim: shown here; registered: shown here" in stdout
    record = json.loads((checkout.path / "data/results/scratch/slow/quick.json").read_text())
    assert {v: sorted(by_seed) for v, by_seed in record["runs"].items()} == {
        "main": list("01234"),
        "no cause": list("01234"),
    }
