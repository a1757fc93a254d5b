"""The command line: exact exit statuses, one line for each error, and JSON that scripts rely on."""

import ast
import dataclasses
import json
import tokenize
from datetime import date
from pathlib import Path

import pytest
import torch
import whydeep
import yaml
from whydeep import cli
from whydeep.experiments import experiments
from whydeep.experiments.features import convex_in_which_block as convex
from whydeep.provenance import code_hash, repository
from whydeep.results import read_record, record_path, write_record

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
    first, *others = claim.conditions
    broken = (dataclasses.replace(first, bound=-1.0), *others)
    monkeypatch.setattr(convex, "CLAIMS", (dataclasses.replace(claim, conditions=broken),))


@pytest.fixture
def only_convex(monkeypatch):
    """An installation with a single experiment, for commands that go through all of them."""
    monkeypatch.setattr(cli, "experiments", lambda: {EXPERIMENT: convex})


# --- list ------------------------------------------------------------------------------------


def test_list_gives_one_row_for_each_runnable_claim_with_exactly_these_keys(whydeep_says):
    status, out, err = whydeep_says("list", "--json")
    rows = json.loads(out)
    assert (status, err) == (0, "")
    assert all(list(row) == ["id", "experiment", "kind", "expected", "page"] for row in rows)
    claims = [claim for module in experiments().values() for claim in module.CLAIMS]
    assert [row["id"] for row in rows] == [claim.id for claim in claims]
    assert {
        "id": CLAIM,
        "experiment": EXPERIMENT,
        "kind": "exact",
        "expected": "holds",
        "page": "features/raw-pixels",
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


# --- run -------------------------------------------------------------------------------------


def test_run_as_json_has_exactly_the_stated_keys(whydeep_says, runs_folder):
    status, out, err = whydeep_says("run", CLAIM, "--seed", "3", "--device", "cpu", "--json")
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert list(found) == ["id", "seed", "values", "claims", "provenance"]
    assert (found["id"], found["seed"]) == (CLAIM, 3)
    (claim,) = found["claims"]
    assert list(claim) == ["id", "expected", "verdict", "control"]
    assert (claim["id"], claim["expected"], claim["verdict"]) == (CLAIM, "holds", "holds")
    assert [list(control) for control in claim["control"]] == [["variant", "worked", "why"]] * 3
    assert all(control["worked"] for control in claim["control"])
    assert found["provenance"]["code"] == code_hash(convex.__name__)
    assert found["provenance"]["settings"] == dataclasses.asdict(convex.SCALES["quick"])
    recorded = read_record(EXPERIMENT, "quick").runs["main"][3]
    assert set(found["values"]) == set(recorded)
    assert found["values"]["rise_W_1"] == pytest.approx(float(recorded["rise_W_1"]), rel=1e-6)


def test_run_for_people_names_verdict_values_and_controls(whydeep_says, runs_folder):
    status, out, err = whydeep_says("run", EXPERIMENT, "--seed", "3", "--device", "cpu")
    assert (status, err) == (0, "")
    assert f"ok  {CLAIM}: holds; registered: holds" in out
    assert "rise_V = " in out
    assert "1 seed)" in out
    assert "nan" not in out
    for variant in convex.VARIANTS:
        assert f"control {variant}: misses, as it should" in out


def test_run_of_a_claim_that_comes_out_otherwise_leaves_with_1(
    whydeep_says, runs_folder, broken_claim
):
    status, out, _ = whydeep_says("run", CLAIM, "--seed", "3", "--device", "cpu")
    assert status == 1
    assert "NOT AS REGISTERED" in out


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


@pytest.fixture
def recorded_with_this_code(tmp_path, monkeypatch):
    """A checkout of one's own whose record was made by the code as it is now."""
    record = read_record(EXPERIMENT, "quick")
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    now = record.provenance | {"code": code_hash(convex.__name__)}
    write_record(dataclasses.replace(record, provenance=now))
    return record


def test_what_is_due_is_what_changed_and_one_experiment_in_ten_each_day(
    recorded_with_this_code, monkeypatch
):
    names = [f"part/{letter}" for letter in "abcdefghi"] + [EXPERIMENT]
    monkeypatch.setattr(cli, "experiments", lambda: dict.fromkeys(names))
    place = sorted(names).index(EXPERIMENT)

    def due_on(day):
        monkeypatch.setattr(cli, "date", Day(day))
        return cli._due(EXPERIMENT, convex)

    assert [day % 10 for day in range(700_000, 700_030) if due_on(day)] == [place] * 3
    write_record(recorded_with_this_code)
    monkeypatch.setattr(cli, "code_hash", lambda name: "changed code")
    assert all(due_on(day) for day in range(700_000, 700_010))


class Day:
    """`datetime.date` on a day of our choice."""

    def __init__(self, ordinal):
        self.ordinal = ordinal

    def today(self):
        return date.fromordinal(self.ordinal)


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
        (["run", CLAIM, "--seed", "one"], "invalid int value: 'one'"),
        (["run", CLAIM, "--seed", "-1"], "seeds are [-1], expected at least one, each 0 or more"),
        (["check", CLAIM, "--seeds", "a-b"], "seeds 'a-b' not understood: write 0-4, 7 or 1,3"),
        (["check", CLAIM, "--seeds", "-1"], "seeds '-1' not understood"),
        (["check", CLAIM, "--seeds", ""], "seeds '' not understood"),
        (["check", CLAIM, "--seeds", "1-2-3"], "seeds '1-2-3' not understood"),
        (["check", CLAIM, "--seeds", "4-0"], "seeds are [], expected at least one"),
        (["check", CLAIM, "--recorded", "--seeds", "a"], "seeds 'a' not understood"),
        (["check", "--recorded", "--changed"], "not allowed with"),
        (["data", "verify", "no-such-data"], "no-such-data"),
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
        raise cli.BadSettings("enough")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(cli, "sweep", sweep)
    assert whydeep_says("run", CLAIM, "--device", "cuda:1")[0] == 2
    assert asked == ["cuda:1"]


def test_a_missing_record_is_one_line_with_the_command_that_makes_it(
    whydeep_says, tmp_path, monkeypatch, only_convex
):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    status, _, err = whydeep_says("check", "--recorded")
    assert status == 2
    assert f"run `whydeep record {EXPERIMENT} --scale quick`" in err
    assert err.count("\n") == 1


def test_ctrl_c_is_one_line_and_status_130(whydeep_says, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "sweep", interrupted)
    status, _, err = whydeep_says("run", CLAIM)
    assert status == 130
    assert err == (
        "whydeep: interrupted; finished runs are kept, the same command goes on from there\n"
    )


def test_a_fault_of_the_book_keeps_its_traceback(monkeypatch, whydeep_says):
    def fault(*args, **kwargs):
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "sweep", fault)
    with pytest.raises(ZeroDivisionError):
        whydeep_says("run", CLAIM)


# --- record and data -------------------------------------------------------------------------


def test_record_writes_what_check_then_reads(whydeep_says, tmp_path, monkeypatch, only_convex):
    small = dataclasses.replace(convex.SCALES["quick"], lines=2, points=41)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(convex, "SCALES", {"quick": small})
    status, out, err = whydeep_says("record", CLAIM, "--device", "cpu")
    path = record_path(EXPERIMENT, "quick")
    assert (status, err) == (0, "")
    assert f"written: {path}" in out
    record = read_record(EXPERIMENT, "quick")
    assert record.seeds == [0, 1, 2, 3, 4]
    assert record.provenance["settings"]["lines"] == 2
    status, again, _ = whydeep_says("check", "--recorded")
    assert status == (0 if "NOT AS REGISTERED" not in out else 1)
    assert [x for x in again.splitlines() if x.startswith("     ")] == [
        x for x in out.splitlines() if x.startswith("     ")
    ]


def test_record_of_a_calibration_keeps_the_numbers_and_leaves_out_the_curves(
    whydeep_says, tmp_path, monkeypatch
):
    small = dataclasses.replace(convex.SCALES["quick"], lines=1, points=21)
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setenv("WHYDEEP_RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(convex, "SCALES", {"quick": small})
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


def test_data_list_names_every_file_with_size_and_licence(whydeep_says):
    status, out, err = whydeep_says("data", "list")
    assert (status, err) == (0, "")
    assert all(" bytes  " in line for line in out.splitlines())
    assert "fashion" in out


def test_data_verify_finds_the_shipped_files_intact(whydeep_says):
    status, out, err = whydeep_says("data", "verify")
    assert (status, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines()} == {"ok"}


# --- small enough to read --------------------------------------------------------------------


def lines_of_code(path: Path) -> int:
    """Lines that hold code: not blank, not a comment, not a docstring."""
    with path.open("rb") as file:
        tokens = [t for t in tokenize.tokenize(file.readline) if t.string.strip()]
    skipped = (tokenize.COMMENT, tokenize.ENCODING)
    code = {
        line for t in tokens if t.type not in skipped for line in range(t.start[0], t.end[0] + 1)
    }
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        scope = ast.Module | ast.ClassDef | ast.FunctionDef
        if isinstance(node, scope) and ast.get_docstring(node) is not None:
            code -= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    return len(code)


def test_lines_of_code_are_counted_as_a_reader_would(tmp_path):
    path = tmp_path / "example.py"
    path.write_text(
        '"""Two\nlines."""\n\n# Why.\nx = """a\n\nb"""  # three lines of code\n\n\n'
        'def f():\n    """Doc."""\n    return (\n        x\n    )\n'
    )
    assert lines_of_code(path) == 3 + 1 + 3


def test_claims_results_and_cli_together_stay_under_600_lines_of_code():
    package = Path(whydeep.__file__).parent
    assert sum(lines_of_code(package / f"{n}.py") for n in ("claims", "results", "cli")) < 600
