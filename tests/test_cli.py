"""The command line: exact exit statuses, one line for each error, and JSON that scripts rely on."""

import dataclasses
import datetime
import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml
from whydeep import cli
from whydeep import experiments as registry
from whydeep.datasets import pools
from whydeep.errors import BadSettings
from whydeep.evidence import compare, results
from whydeep.evidence.provenance import code_hash, reached, repository
from whydeep.evidence.results import Result, read_record, record_path, write_record
from whydeep.experiments import experiments
from whydeep.experiments.features import convex_in_which_block as convex

CLAIM = "convex-in-which-block"
EXPERIMENT = "features/convex-in-which-block"


@pytest.fixture(autouse=True)
def no_settings_of_the_user(monkeypatch):
    for name in ("WHYDEEP_DEVICE", "WHYDEEP_ROOT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def whydeep_says(capsys):
    """Runs the command line in this process; returns exit status, stdout and stderr."""

    def say(*argv):
        try:
            status = cli.main(list(argv))
        except SystemExit as left:
            status = left.code
        out, err = capsys.readouterr()
        return status, out, err

    return say


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    """One folder for the runs of this file, so that the slow ones are done once."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WHYDEEP_RUNS", str(folder))
        yield folder


@pytest.fixture
def broken_claim(monkeypatch):
    """The registered claim with a bound that its values miss."""
    (claim,) = convex.CLAIMS
    first, *others = claim.decides
    broken = (dataclasses.replace(first, bound=-1.0, words="{bound}"), *others)
    monkeypatch.setattr(convex, "CLAIMS", (dataclasses.replace(claim, decides=broken),))


@pytest.fixture
def only_convex(monkeypatch):
    """An installation with a single experiment, for commands that go through all of them."""
    monkeypatch.setattr(registry, "experiments", lambda: {EXPERIMENT: convex})


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A checkout of one's own without records, where runs go as well."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path / "runs"))
    return tmp_path


@pytest.fixture
def small(monkeypatch):
    """The experiment with a few short lines, so that it takes no time."""
    few = dataclasses.replace(convex.SCALES["quick"], lines=1, points=21)
    monkeypatch.setattr(convex, "SCALES", {"quick": few})


# --- list ------------------------------------------------------------------------------------


def test_list_gives_one_row_for_each_runnable_claim_with_exactly_these_keys(whydeep_says):
    status, out, err = whydeep_says("list", "--json")
    rows = json.loads(out)
    assert (status, err) == (0, "")
    assert all(
        list(row) == ["id", "experiment", "kind", "expected", "page", "title"] for row in rows
    )
    claims = [claim for module in experiments().values() for claim in module.CLAIMS]
    assert [row["id"] for row in rows] == [claim.id for claim in claims]
    assert {
        "id": CLAIM,
        "experiment": EXPERIMENT,
        "kind": "exact",
        "expected": "holds",
        "page": "features/raw-pixels",
        "title": convex.CLAIMS[0].title,
    } in rows


def test_list_all_gives_the_whole_catalogue_and_says_what_is_not_yet_run(whydeep_says):
    status, out, _ = whydeep_says("list", "--all", "--json")
    rows = json.loads(out)
    catalogue = yaml.safe_load((repository() / "data" / "catalogue.yaml").read_text("utf-8"))
    assert status == 0
    assert len(rows) == len(catalogue["entries"]) == 185
    assert {row["id"] for row in rows} == {entry["id"] for entry in catalogue["entries"]}
    runnable = {row["id"] for row in rows if row["expected"] != "not yet run"}
    assert runnable == {row["id"] for row in json.loads(whydeep_says("list", "--json")[1])}
    assert all(row["experiment"] is None for row in rows if row["expected"] == "not yet run")


def test_list_for_people_has_a_line_for_each_row(whydeep_says):
    status, out, _ = whydeep_says("list", "--all")
    assert status == 0
    assert len(out.splitlines()) == 185


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{", b"[]", b"entries: 3", b"entries: [1]", b"entries: [{}]", b"\xff\x00"],
)
def test_list_all_without_a_catalogue_or_with_a_damaged_one_is_one_line(
    whydeep_says, checkout, content
):
    path = checkout / "data" / "catalogue.yaml"
    if content is not None:
        path.write_bytes(content)
    status, out, err = whydeep_says("list", "--all")
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert str(path) in err
    assert "restore it with git" in err


# --- run -------------------------------------------------------------------------------------


def test_run_as_json_has_exactly_the_stated_keys(whydeep_says, runs_folder):
    status, out, err = whydeep_says("run", CLAIM, "--seed", "3", "--device", "cpu", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert list(found) == ["id", "seed", "values", "claims", "provenance"]
    assert (found["id"], found["seed"]) == (CLAIM, 3)
    (claim,) = found["claims"]
    assert list(claim) == ["id", "expected", "verdict", "measured", "control"]
    assert (claim["id"], claim["expected"], claim["verdict"]) == (CLAIM, "holds", "holds")
    assert [list(control) for control in claim["control"]] == [["variant", "worked", "why"]] * 3
    assert all(control["worked"] for control in claim["control"])
    assert found["provenance"]["code"] == code_hash(convex.__name__)
    assert found["provenance"]["settings"] == dataclasses.asdict(convex.SCALES["quick"])
    recorded = read_record(EXPERIMENT, "quick").runs["main"][3]
    assert set(found["values"]) == set(recorded)
    assert found["values"]["rise_W_1"] == pytest.approx(float(recorded["rise_W_1"]), rel=1e-6)


def test_run_for_people_shows_this_seed_beside_the_recorded_ones(whydeep_says, runs_folder):
    status, out, err = whydeep_says("run", EXPERIMENT, "--seed", "3", "--device", "cpu")
    assert (status, err) == (0, "")
    assert f"{CLAIM}: one seed judges nothing; over the recorded seeds: holds" in out
    assert re.search(r"rise_V = \S+ on seed 3 \(<= 1e-09; recorded \S+.*, in favour\)", out)
    assert "control brier: misses, as it should" in out


def test_run_judges_nothing_and_leaves_with_0_whatever_it_measures(
    whydeep_says, runs_folder, broken_claim
):
    status, out, _ = whydeep_says("run", CLAIM, "--seed", "3", "--device", "cpu")
    assert status == 0
    assert "over the recorded seeds: does not hold" in out


def test_run_at_a_scale_without_a_record_says_so(whydeep_says, runs_folder, monkeypatch):
    few = dataclasses.replace(convex.SCALES["quick"], lines=1, points=21)
    monkeypatch.setattr(convex, "SCALES", convex.SCALES | {"tiny": few})
    status, out, err = whydeep_says("run", CLAIM, "--scale", "tiny", "--device", "cpu")
    assert (status, err) == (0, "")
    assert "one seed judges nothing; no record of this scale" in out


# --- check -----------------------------------------------------------------------------------


def test_check_of_recorded_arrays_leaves_with_0_as_registered_and_with_1_once_a_claim_is_broken(
    whydeep_says, only_convex, request
):
    status, out, err = whydeep_says("check", "--recorded")
    assert (status, err) == (0, "")
    assert f"ok  {CLAIM}: holds" in out
    request.getfixturevalue("broken_claim")
    status, out, _ = whydeep_says("check", "--recorded")
    assert status == 1
    assert f"NOT AS REGISTERED {CLAIM}: " in out


def test_every_recorded_verdict_is_as_registered(whydeep_says):
    status, out, err = whydeep_says("check", "--recorded")
    assert (status, err) == (0, "")
    assert "NOT AS REGISTERED" not in out


def test_check_reruns_the_seeds_it_is_told(whydeep_says, runs_folder):
    status, out, _ = whydeep_says("check", CLAIM, "--seeds", "3", "--device", "cpu")
    assert status == 0
    assert f"{EXPERIMENT} (quick, rerun)" in out
    assert "     numbers: " in out
    assert "MOVED" not in out


@pytest.fixture
def rerun_gives(monkeypatch, tmp_path):
    """Makes ``run`` give the recorded numbers, but for a change of those named ``rise_...``."""
    recorded = read_record(EXPERIMENT, "quick").runs
    settings_of = {
        results.with_variant(convex.SCALES["quick"], convex.VARIANTS.get(variant, {})): variant
        for variant in recorded
    }
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path / "runs"))

    def give(factor):
        def run(settings, chance):
            found = recorded[settings_of[settings]][chance.seed]
            return Result(
                **{
                    name: (value * factor if name.startswith("rise") else value, found.units[name])
                    for name, value in found.items()
                }
            )

        monkeypatch.setattr(convex, "run", run)

    return give


def test_a_rerun_with_the_recorded_numbers_is_the_same(whydeep_says, rerun_gives):
    rerun_gives(1.0)
    status, out, _ = whydeep_says("check", CLAIM, "--device", "cpu")
    assert status == 0
    assert "     numbers: same\n" in out


def test_a_rerun_whose_numbers_moved_fails_though_its_verdict_is_the_registered_one(
    whydeep_says, rerun_gives, monkeypatch
):
    monkeypatch.setattr(compare, "same_arithmetic", lambda *_: True)
    rerun_gives(1.001)
    status, out, _ = whydeep_says("check", CLAIM, "--device", "cpu")
    assert f"ok  {CLAIM}: holds; registered: holds" in out
    assert re.search(r"numbers: MOVED \(.*rise_\w+ of seed 0: .* -> .*; and \d+ more\)", out)
    assert status == 1


def test_times_are_judged_as_recorded_and_not_compared(whydeep_says, rerun_gives, monkeypatch):
    rerun_gives(1e-9)
    status, out, _ = whydeep_says("check", CLAIM, "--seeds", "0", "--device", "cpu")
    assert (status, "NOT AS REGISTERED" in out) == (1, True)
    numbers = read_record(EXPERIMENT, "quick").runs["main"][0]
    times = tuple(name for name in numbers if name.startswith("rise"))
    monkeypatch.setattr(convex, "TIMED", times, raising=False)
    status, out, _ = whydeep_says("check", CLAIM, "--seeds", "0", "--device", "cpu")
    assert status == 0
    assert "timed, so judged as recorded on " in out
    assert "numbers: same" in out


def test_check_of_recorded_arrays_tells_a_record_and_a_calibration_of_other_code(
    whydeep_says, only_convex, checkout
):
    for scale in ("quick", "calibration"):
        record = _of_this_code(scale, checkout)
        write_record(record)
    assert whydeep_says("check", "--recorded")[0] == 0
    for scale in ("quick", "calibration"):
        record = _of_this_code(scale, checkout)
        about = record.provenance
        old = about | {"code": "0123456789ab", "parts": about["parts"] | {"run": "00000000"}}
        write_record(dataclasses.replace(record, provenance=old))
        status, out, _ = whydeep_says("check", "--recorded")
        assert status == 1
        assert f"     STALE {scale}: run changed since: run `whydeep certify {EXPERIMENT}`\n" in out
        write_record(record)


def _of_this_code(scale, checkout):
    """The book's record of the experiment, said to be of the code as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("WHYDEEP_ROOT")
        record = read_record(EXPERIMENT, scale)
    parts = reached(convex.__name__).parts
    now = record.provenance | {"code": code_hash(convex.__name__), "parts": parts}
    now.pop("certified", None)
    now.pop("earlier", None)
    return dataclasses.replace(record, provenance=now)


def test_a_record_that_does_not_say_its_code_is_stale_and_due(whydeep_says, only_convex, checkout):
    for scale in ("quick", "calibration"):
        record = _of_this_code(scale, checkout)
        silent = {k: v for k, v in record.provenance.items() if k not in ("code", "parts")}
        write_record(dataclasses.replace(record, provenance=silent))
    status, out, err = whydeep_says("check", "--recorded")
    assert (status, err) == (1, "")
    assert out.count("STALE") == 2
    assert cli._due({EXPERIMENT: convex}, {EXPERIMENT: read_record(EXPERIMENT, "quick")})


def test_a_record_without_a_quantity_that_claims_measure_is_one_line(
    whydeep_says, only_convex, checkout
):
    path = write_record(_of_this_code("quick", checkout))
    raw = json.loads(path.read_text())
    for by_seed in raw["runs"].values():
        for run in by_seed.values():
            del run["rise_V"]
    path.write_text(json.dumps(raw))
    status, _, err = whydeep_says("check", "--recorded")
    assert (status, err.count("\n")) == (2, 1)
    assert "lack what its claims measure (KeyError('rise_V'))" in err
    assert f"run `whydeep record {EXPERIMENT}`" in err


def test_what_changed_is_due_and_of_the_rest_the_oldest_for_so_many_seconds(checkout, monkeypatch):
    record = _of_this_code("quick", checkout)
    n = sum(map(len, record.runs.values()))

    def recorded(day, seconds, code=record.provenance["code"]):
        about = dict(recorded=day, seconds=seconds / n, code=code)
        return dataclasses.replace(record, provenance=record.provenance | about)

    records = {
        "new": recorded("2001-11-03", 30.0),
        "old": recorded("2001-11-01", 60.0),
        "huge": recorded("2001-11-01", 1000.0),
        "changed": recorded("2001-11-04", 5000.0, "other code"),
        "middle": recorded("2001-11-02", 35.0),
    }
    chosen = dict.fromkeys(records, convex)
    monkeypatch.setattr(cli, "SHARE", 100.0)
    assert cli._due(chosen, records) == {"changed", "old", "middle"}
    monkeypatch.setattr(cli, "SHARE", 59.0)
    assert cli._due(chosen, records) == {"changed", "middle"}
    # A record that was checked on this machine waits for those that were not.
    cli._note_verified("middle")
    cli._note_verified("old")
    assert cli._due(chosen, records) == {"changed", "new"}


def test_records_of_one_age_take_turns_from_day_to_day(checkout, monkeypatch):
    records = {name: _of_this_code("quick", checkout) for name in "abcdef"}
    seconds = cli._seconds(records["a"])
    monkeypatch.setattr(cli, "SHARE", 2.5 * seconds)
    chosen = dict.fromkeys(records, convex)
    seen = set()
    for day in range(1, 29):
        monkeypatch.setattr(
            datetime, "date", SimpleNamespace(today=lambda d=day: date(2026, 12, d))
        )
        due = cli._due(chosen, records)
        assert len(due) == 2
        seen |= due
    assert seen == set(records)


# --- bad input -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["run", "no-such-claim"], "'no-such-claim': `whydeep list` names them all"),
        (["check", "no-such-claim"], "'no-such-claim'"),
        (["record", "no-such-claim"], "'no-such-claim'"),
        (["run", CLAIM, "--scale", "huge"], "no scale 'huge': choose from quick"),
        (["record", CLAIM, "--scale", "huge"], "no scale 'huge': choose from quick"),
        (["run", CLAIM, "--device", "gpu"], "device is 'gpu', expected one of cuda, mps, cpu"),
        (["run", CLAIM, "--device", "cuda:99"], "cuda device"),
        (["run", CLAIM, "--device", "cpu:٠"], "device is 'cpu:٠', expected one of"),
        (["run", CLAIM, "--device", ""], "--device is empty: leave it out, or name one"),
        (["record", CLAIM, "--device", ""], "--device is empty: leave it out, or name one"),
        (["check", CLAIM, "--device", ""], "--device is empty: leave it out, or name one"),
        (["record", CLAIM, "--scale", ""], "--scale is empty: leave it out, or name one"),
        (["run", CLAIM, "--scale", ""], "no scale '': choose from quick"),
        (["run", CLAIM, "--seed", "one"], "'one' is no whole number from 0 to 4,294,967,295"),
        (["run", CLAIM, "--seed", "-1"], "'-1' is no whole number from 0"),
        (["run", CLAIM, "--seed", "4294967296"], "'4294967296' is no whole number from 0"),
        (["run", CLAIM, "--seed", "18446744073709551616"], "is no whole number from 0"),
        (["run", CLAIM, "--seed", "9" * 5000], "is no whole number from 0"),
        (["run", CLAIM, "--seed", "٣"], "'٣' is no whole number from 0"),
        (["run", CLAIM, "--seed", "1e3"], "'1e3' is no whole number from 0"),
        (["check", CLAIM, "--seeds", "a-b"], "seeds 'a-b' not understood: write 0-4, 7 or 1,3"),
        (["check", CLAIM, "--seeds", "-1"], "seeds '-1' not understood"),
        (["check", CLAIM, "--seeds", ""], "seeds '' not understood"),
        (["check", CLAIM, "--seeds", "1-2-3"], "seeds '1-2-3' not understood"),
        (["check", CLAIM, "--seeds", "٠-٤"], "seeds '٠-٤' not understood"),
        (["check", CLAIM, "--seeds", "4-0"], "seeds '4-0' run backwards from 4 to 0: write 0-4"),
        (["check", CLAIM, "--seeds", "4294967296"], "each below 2^32: write 0-4"),
        (["check", CLAIM, "--seeds", "18446744073709551616"], "not understood"),
        (["check", CLAIM, "--seeds", "0-3000000000"], "are more than 10,000: choose fewer"),
        (["check", CLAIM, "--seeds", "0-9999,0-9999"], "are more than 10,000: choose fewer"),
        (["check", CLAIM, "--recorded", "--seeds", "0-4"], "leave out --seeds, --device, --jobs"),
        (["check", CLAIM, "--recorded", "--seeds", ""], "leave out --seeds, --device, --jobs"),
        (["check", CLAIM, "--recorded", "--device", "cpu"], "leave out --seeds, --device"),
        (["check", CLAIM, "--recorded", "--jobs", "2"], "leave out --seeds, --device, --jobs"),
        (["check", CLAIM, "--recorded", "--scheduler", "tcp://a:1"], "leave out --seeds, --device"),
        (["check", "--recorded", "--changed"], "not allowed with"),
        (["check", CLAIM, "--jobs", "0"], "'0' is no whole number from 1 to 1,024"),
        (["record", CLAIM, "--jobs", "99999999"], "'99999999' is no whole number from 1 to 1,024"),
        (["certify", CLAIM, "--jobs", "two"], "'two' is no whole number from 1 to 1,024"),
        (["check", CLAIM, "--jobs", "1024", "--seeds", "0"], "jobs is 1024, expected 1 to "),
        (["check", CLAIM, "--jobs", "2", "--scheduler", "tcp://a:1"], "for a cluster: choose one"),
        (["check", CLAIM, "--scheduler", "nowhere"], "expected an address like tcp://host:8786"),
        (["check", CLAIM, "--scheduler", ""], "expected an address like tcp://host:8786"),
        (["record", CLAIM, "--scheduler", ""], "--scheduler is empty: leave it out, or name one"),
        (["certify", "no-such-claim"], "'no-such-claim'"),
        (["data", "verify", "no-such-data"], "no-such-data"),
        (["data", "list", "no-such-data"], "no-such-data"),
        (["data", "fetch"], "Name the data set to fetch; there are: "),
        (["data", "verify", "--mirror", "https://example.org"], "--mirror is for fetch"),
        (["data", "list", "--mirror", ""], "--mirror is for fetch"),
        (["data", "burn"], "invalid choice: 'burn'"),
        (["fly"], "invalid choice: 'fly'"),
        ([], "required: command"),
        (["run"], "required: id"),
        (["run", CLAIM, "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_exactly_one_line_on_stderr_and_status_2(whydeep_says, argv, says):
    status, out, err = whydeep_says(*argv)
    assert status == 2
    assert err.startswith("whydeep")
    assert err.count("\n") == 1
    assert err.endswith("\n")
    assert says in err
    assert "NOT AS" not in out


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
@pytest.mark.parametrize("how", ["option", "variable"])
def test_cuda_on_a_machine_without_is_one_line_that_says_what_to_choose(
    whydeep_says, monkeypatch, how
):
    if how == "variable":
        monkeypatch.setenv("WHYDEEP_DEVICE", "cuda")
    options = ["--device", "cuda"] if how == "option" else []
    status, _, err = whydeep_says("run", CLAIM, *options)
    assert status == 2
    assert "no cuda device" in err
    assert "choose cpu" in err
    assert err.count("\n") == 1


def test_the_number_of_the_device_reaches_the_run(monkeypatch, whydeep_says):
    asked = []

    def sweep(module, name, scale, seeds, *, device, progress):
        asked.append(device)
        raise BadSettings("enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(results, "sweep", sweep)
    assert whydeep_says("run", CLAIM, "--device", "cuda:1")[0] == 2
    assert asked == ["cuda:1"]


def test_a_missing_record_is_one_line_with_the_command_that_makes_it(
    whydeep_says, checkout, only_convex
):
    status, _, err = whydeep_says("check", "--recorded")
    assert status == 2
    assert f"run `whydeep record {EXPERIMENT} --scale quick`" in err
    assert err.count("\n") == 1


def test_ctrl_c_is_one_line_and_status_130(whydeep_says, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(results, "sweep", interrupted)
    status, _, err = whydeep_says("run", CLAIM)
    assert status == 130
    assert err == (
        "whydeep: interrupted; finished runs are kept, the same command goes on from there\n"
    )


def test_a_fault_of_the_book_keeps_its_traceback(monkeypatch, whydeep_says):
    def fault(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(results, "sweep", fault)
    with pytest.raises(ZeroDivisionError):
        whydeep_says("run", CLAIM)


# --- record and data -------------------------------------------------------------------------


def test_record_writes_what_check_then_reads(
    whydeep_says, checkout, only_convex, small, monkeypatch
):
    monkeypatch.setattr(cli, "CALIBRATION", "1000-1001")
    status, out, err = whydeep_says("record", CLAIM, "--device", "cpu")
    path = record_path(EXPERIMENT, "quick")
    assert (status, err) == (0, "")
    assert f"written: {path}" in out
    record = read_record(EXPERIMENT, "quick")
    assert record.seeds == [0, 1, 2, 3, 4]
    assert record.provenance["settings"]["lines"] == 1
    assert whydeep_says("record", CLAIM, "--device", "cpu", "--calibration")[0] == 0
    status, again, _ = whydeep_says("check", "--recorded")
    assert status == (0 if "NOT AS REGISTERED" not in out else 1)
    assert [x for x in again.splitlines() if x.startswith("     ")] == [
        x for x in out.splitlines() if x.startswith("     ")
    ]


def test_record_of_a_calibration_keeps_the_numbers_and_leaves_out_the_curves(
    whydeep_says, checkout, monkeypatch, small
):
    assert cli.CALIBRATION == "1000-1019"
    monkeypatch.setattr(cli, "CALIBRATION", "1000-1001")  # the other eighteen are no different
    assert whydeep_says("record", CLAIM, "--calibration", "--device", "cpu")[0] == 0
    record = read_record(EXPERIMENT, "calibration")
    assert record.seeds == [1000, 1001]
    assert record.provenance["scale"] == "quick"
    for by_seed in record.runs.values():
        for result in by_seed.values():
            assert "rise_V" in result
            assert all(value.ndim == 0 for value in result.values())
    assert not record_path(EXPERIMENT, "quick").exists()


@pytest.mark.parametrize("options", [["--calibration"], []])
def test_only_a_calibration_draws_from_the_calibration_pool(
    whydeep_says, checkout, monkeypatch, small, options
):
    monkeypatch.setattr(cli, "CALIBRATION", "1000-1001")
    module, asked = experiments()[EXPERIMENT], set()
    run = module.run

    def drawing(settings, chance):
        asked.add((pools.current(), chance.seed >= 1000))
        return run(settings, chance)

    monkeypatch.setattr(module, "run", drawing)
    assert whydeep_says("record", CLAIM, "--device", "cpu", *options)[0] == 0
    assert asked == {("calibration", True) if options else ("reporting", False)}
    if not options:
        asked.clear()
        whydeep_says("check", CLAIM, "--device", "cpu", "--seeds", "5,1000")
        assert asked == {("reporting", False), ("reporting", True)}


@pytest.fixture
def full_disk(monkeypatch):
    """Nothing new can be put in its place; what has been said of it is forgotten."""

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    results.say_unkept.cache_clear()
    yield
    results.say_unkept.cache_clear()


def test_the_verdict_is_printed_though_the_disk_is_full_and_one_line_says_so(
    whydeep_says, checkout, small, full_disk
):
    status, out, err = whydeep_says("run", CLAIM, "--device", "cpu")
    assert status == 0
    assert f"{CLAIM}: one seed judges nothing" in out
    assert err == (
        f"whydeep: finished runs cannot be kept in {checkout / 'runs'} (No space left on device): "
        "going on without\n"
    )


def test_a_record_that_cannot_be_written_leaves_the_verdict_one_line_and_status_2(
    whydeep_says, checkout, small
):
    (checkout / "data" / "results").write_text("a file where the folder should be")
    status, out, err = whydeep_says("record", CLAIM, "--device", "cpu")
    assert status == 2
    assert f" {CLAIM}: " in out
    assert "written" not in out
    assert err.count("\n") == 1
    assert f"{EXPERIMENT}/quick.json cannot be written (" in err
    assert "finished runs are kept" in err


def test_where_neither_runs_nor_the_record_can_be_written_the_verdict_comes_and_one_line_says_so(
    whydeep_says, checkout, small, full_disk
):
    status, out, err = whydeep_says("record", CLAIM, "--device", "cpu")
    assert status == 2
    assert f" {CLAIM}: " in out
    assert err.count("\n") == 1
    assert f"{EXPERIMENT}/quick.json cannot be written (" in err
    assert err.endswith(
        f"; finished runs cannot be kept in {checkout / 'runs'} (No space left on device)\n"
    )
    assert "runs are kept" not in err


def test_a_record_is_written_though_no_run_can_be_kept_and_one_line_says_so(
    whydeep_says, checkout, small
):
    results.say_unkept.cache_clear()
    (checkout / "runs").write_text("a file where the folder should be")
    status, out, err = whydeep_says("record", CLAIM, "--device", "cpu")
    assert status == 0
    assert out.endswith(f"{EXPERIMENT}/quick.json\n")
    assert re.fullmatch(r"whydeep: finished runs cannot be kept in .*: going on without\n", err)


@pytest.mark.parametrize("text", ["x", "0123  part/toy/quick.json\n", "\x00\n"])
def test_damaged_checksums_are_one_line_and_not_overwritten(whydeep_says, checkout, small, text):
    sums = checkout / "data" / "results" / "SHA256SUMS"
    sums.parent.mkdir()
    sums.write_text(text)
    status, _, err = whydeep_says("record", CLAIM, "--device", "cpu")
    assert (status, err.count("\n")) == (2, 1)
    assert f"{sums} is damaged: restore it with git" in err
    assert sums.read_text() == text


def test_data_list_names_every_file_with_size_and_licence(whydeep_says):
    status, out, err = whydeep_says("data", "list")
    assert (status, err) == (0, "")
    assert all(" bytes  " in line for line in out.splitlines())
    assert "fashion" in out


def test_data_list_of_a_name_lists_its_files_alone(whydeep_says):
    status, out, _ = whydeep_says("data", "list", "photographs")
    assert status == 0
    assert {line.split("/")[0] for line in out.splitlines()} == {"photographs"}


def test_data_verify_finds_the_shipped_files_intact(whydeep_says):
    status, out, err = whydeep_says("data", "verify")
    assert (status, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} == {"ok"}


# --- real processes: pipes, full disks, Ctrl-C, start-up ------------------------------------------

INTERRUPTED = "whydeep: interrupted; finished runs are kept, the same command goes on from there\n"


def start(*argv: str, program=("-m", "whydeep"), **how) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, *program, *argv],
        stdout=how.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE, text=True,
        # A shell's background job ignores Ctrl-C, and so would all that it starts.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler), **how,
    )  # fmt: skip


@pytest.mark.parametrize("argv", [["list"], ["--help"]])
def test_output_that_nobody_reads_ends_quietly_with_141(argv):
    with start(*argv) as process:
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")


def test_a_pipe_to_head_shows_its_line_and_nothing_else():
    command = f"{sys.executable} -m whydeep list --all --json | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    first, status = done.stdout.splitlines()
    assert (first, done.stderr) == ("[", "")
    assert status in ("0", "141")  # the reader may leave after all was written


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("argv", [["list"], ["--help"]])
def test_output_that_fits_on_no_disk_is_one_line(argv):
    with open("/dev/full", "w") as full:
        process = start(*argv, stdout=full)
        _, err = process.communicate()
    assert process.returncode == 2
    assert err == "whydeep: the output cannot be written (No space left on device)\n"


def test_closed_output_is_no_fault():
    command = f"{sys.executable} -m whydeep list >&-"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.platform == "win32", reason="there a folder in use cannot be removed")
@pytest.mark.parametrize("argv", ["list", "check --recorded " + EXPERIMENT])
def test_a_working_folder_that_is_gone_is_no_fault(tmp_path, argv):
    (gone := tmp_path / "gone").mkdir()
    command = f"cd {gone} && rmdir {gone} && {sys.executable} -m whydeep {argv}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert CLAIM in done.stdout


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="this system has no /proc")
@pytest.mark.parametrize("loaded", ["_multiarray_umath", "libtorch_cpu", "_ccallback"])
def test_ctrl_c_while_libraries_are_loaded_is_one_line_and_130(loaded):
    # Told by what the process has loaded rather than by a clock, so that it is the same moment on
    # a busy machine: numpy's, PyTorch's and scipy's first library.
    process = start("list")
    maps = Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and loaded not in maps.read_text():
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert (process.returncode, out, err) == (130, "", INTERRUPTED)


@pytest.mark.parametrize("argv", [["--version"], ["fly"]])
def test_ctrl_c_after_the_last_word_changes_nothing(argv):
    # At two moments of Python's own end: while it does what was registered for it, and when it
    # has given signals back their defaults, and what is left of modules is taken apart.
    late = (
        "import atexit, os, signal, sys\n"
        "from whydeep.__main__ import main\n"
        "class Late:\n"
        "    def __del__(self, kill=os.kill, me=os.getpid(), what=signal.SIGINT): kill(me, what)\n"
        "sys.modules['late'] = Late()\n"
        "atexit.register(os.kill, os.getpid(), signal.SIGINT)\n"
        "sys.exit(main())\n"
    )
    process = start(*argv, program=("-c", late))
    _, err = process.communicate()
    status = 0 if argv == ["--version"] else 2
    assert (process.returncode, err.count("\n")) == (status, status // 2)


@pytest.mark.parametrize(
    "argv", [["--help"], ["run", "--help"], ["--version"], ["fly"], ["run", CLAIM, "--seed", "x"]]
)
def test_help_and_bad_arguments_are_answered_before_anything_heavy_is_loaded(argv):
    program = (
        "import sys\nfrom whydeep import cli\ntry:\n    cli.main(sys.argv[1:])\n"
        "except SystemExit:\n    pass\n"
        "print([name for name in ('torch', 'numpy', 'scipy', 'yaml') if name in sys.modules])\n"
    )
    process = start(*argv, program=("-c", program))
    out, _ = process.communicate()
    assert out.splitlines()[-1] == "[]"


def test_the_version_is_that_of_the_installed_package(whydeep_says):
    assert whydeep_says("--version") == (0, f"whydeep {version('whydeep')}\n", "")
