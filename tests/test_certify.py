"""Certificates: rewritten code that makes the same bits keeps a record, anything else does not."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from whydeep.evidence.certify import _bits
from whydeep.evidence.reach import code_in

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = '''
"""An experiment of the tests; a number without the cause would refute it."""

from __future__ import annotations

from dataclasses import dataclass

from whydeep.chance import Chance
from whydeep.evidence.claims import SHOWN, Claim, Control, at_least
from whydeep.evidence.results import Result

PAGE = "scratch/toy"
WEIGHTS = (0.1, 0.2, 0.3)


@dataclass(frozen=True)
class Settings:
    cause: bool = True


SCALES = {"quick": Settings()}
VARIANTS = {"no cause": {"cause": False}}


def run(settings: Settings, chance: Chance) -> Result:
    """An effect that is a sum of three numbers."""
    # In this order.
    effect = (WEIGHTS[0] + WEIGHTS[1]) + WEIGHTS[2]
    return Result(
        effect=(effect if settings.cause else 0.0, "units"),
        seed=(chance.seed, "seeds"),
        trace=([chance.seed * weight for weight in WEIGHTS], "units"),
    )


def figure(runs):
    return None


CLAIMS = (
    Claim(
        id="toy-claim",
        cite="doe1999",
        title="A toy",
        says="A cause has an effect.",
        kind="effect",
        expected=SHOWN,
        decides=(at_least("effect", "it shows", 0.5, none=0.0),),
        controls=(Control("no cause", "it", ("effect",), (at_least("seed", "it ran", 0.0),)),),
    ),
)
'''


class Checkout:
    """A repository of one's own: the package with one experiment, recorded and committed."""

    def __init__(self, folder: Path):
        self.folder = folder
        package = folder / "code" / "whydeep"
        shutil.copytree(
            ROOT / "code" / "whydeep", package,
            ignore=shutil.ignore_patterns("book", "widgets", "fonts", "__pycache__"),
        )  # fmt: skip
        for part in package.joinpath("experiments").iterdir():
            if part.is_dir():
                shutil.rmtree(part)
        self.module = package / "experiments" / "scratch" / "toy.py"
        self.module.parent.mkdir()
        self.module.with_name("__init__.py").touch()
        self.module.write_text(EXPERIMENT.lstrip())
        (folder / "data").mkdir()
        (folder / ".gitignore").write_text("__pycache__\n.whydeep\n")
        self.git("init", "-q")
        for options in ([], ["--calibration"]):
            status, out, err = self.whydeep("record", "toy-claim", *options)
            assert (status, err) == (0, ""), out
        self.commit()

    def git(self, *words: str) -> str:
        who = ["-c", "user.name=Doe", "-c", "user.email=doe@example.org"]
        return subprocess.run(
            ["git", *who, "-C", str(self.folder), *words],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-q", "-m", "as it is")

    def whydeep(self, *argv: str) -> tuple[int, str, str]:
        environment = os.environ | {
            "PYTHONPATH": str(self.folder / "code"),
            "WHYDEEP_DEVICE": "cpu",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        for name in ("WHYDEEP_ROOT", "WHYDEEP_RUNS", "WHYDEEP_DATA"):
            environment.pop(name, None)
        done = subprocess.run(
            [sys.executable, "-m", "whydeep", *argv],
            env=environment, cwd=self.folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    def edit(self, old: str, new: str) -> None:
        text = self.module.read_text()
        assert old in text
        self.module.write_text(text.replace(old, new, 1))

    @property
    def record(self) -> dict:
        return json.loads((self.folder / "data/results/scratch/toy/quick.json").read_text())

    def change(self, **provenance) -> None:
        """Edit the provenance of both records by hand."""
        for scale in ("quick", "calibration"):
            path = self.folder / f"data/results/scratch/toy/{scale}.json"
            record = json.loads(path.read_text())
            record["provenance"] |= provenance
            path.write_text(json.dumps(record))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return Checkout(tmp_path_factory.mktemp("checkout")).folder


@pytest.fixture
def checkout(recorded, tmp_path):
    """A copy of the recorded checkout, so that each test changes its own."""
    copy = object.__new__(Checkout)
    copy.folder = tmp_path / "copy"
    shutil.copytree(recorded, copy.folder, symlinks=True)
    copy.module = copy.folder / "code/whydeep/experiments/scratch/toy.py"
    return copy


REWRITTEN = ("(WEIGHTS[0] + WEIGHTS[1]) + WEIGHTS[2]", "[a + b + c for a, b, c in [WEIGHTS]][0]")
OTHER_BITS = ("(WEIGHTS[0] + WEIGHTS[1]) + WEIGHTS[2]", "WEIGHTS[0] + (WEIGHTS[1] + WEIGHTS[2])")


def test_the_two_ways_to_add_differ_in_the_last_bit_only():
    a, b, c = 0.1, 0.2, 0.3
    assert (a + b) + c != a + (b + c)
    assert (a + b) + c == pytest.approx(a + (b + c), rel=1e-15)


def test_a_comment_leaves_the_record_as_it_stands(checkout):
    before = checkout.record
    checkout.edit("# In this order.", "# From left to right.")
    status, out, err = checkout.whydeep("certify", "toy-claim")
    assert (status, out, err) == (0, "2 records and calibrations looked at\n", "")
    assert checkout.record == before


def test_code_that_was_rewritten_and_makes_the_same_bits_is_certified(checkout):
    before = checkout.record
    checkout.edit(*REWRITTEN)
    status, out, _ = checkout.whydeep("check", "toy-claim", "--recorded")
    assert status == 1
    assert "STALE quick: run changed since: run `whydeep certify scratch/toy`" in out
    status, out, err = checkout.whydeep("certify", "toy-claim")
    assert (status, err) == (0, "")
    assert "certified scratch/toy (quick): seeds " in out
    assert "certified scratch/toy (calibration): seeds " in out
    after = checkout.record
    (certificate,) = after["provenance"].pop("certified")
    assert after == before  # the numbers, their date and the code that made them stay
    assert certificate["from"] == before["provenance"]["code"] != certificate["code"]
    assert certificate["parts"]["run"] != before["provenance"]["parts"]["run"]
    assert certificate["processor"] == before["provenance"]["processor"]
    recorded, calibration = certificate["seeds"]
    assert recorded in range(5)
    assert calibration in range(1000, 1020)
    assert checkout.whydeep("check", "toy-claim", "--recorded")[0] == 0


def test_code_that_moves_one_bit_is_not_certified_and_the_number_is_named(checkout):
    before = checkout.record
    checkout.edit(*OTHER_BITS)
    status, out, err = checkout.whydeep("certify", "toy-claim")
    assert (status, err) == (1, "")
    assert "differs   scratch/toy (quick): main, seed " in out
    assert ": effect (changed: run); run `whydeep record scratch/toy`" in out
    assert "run `whydeep record scratch/toy --calibration`" in out
    assert checkout.record == before


def test_a_variant_alone_that_differs_is_found(checkout):
    checkout.edit("else 0.0", "else 1e-300")
    status, out, _ = checkout.whydeep("certify", "toy-claim")
    assert status == 1
    assert "differs   scratch/toy (quick): no cause, seed " in out


def test_a_new_variant_is_not_certified(checkout):
    checkout.edit('{"no cause"', '{"more": {"cause": 2}, "no cause"')
    status, out, _ = checkout.whydeep("certify", "toy-claim")
    assert status == 1
    assert "its variants changed: run `whydeep record scratch/toy`" in out


def test_a_fourth_certificate_is_refused(checkout):
    certificates = [{"code": f"{i:012x}", "parts": {}} for i in range(3)]
    checkout.change(certified=certificates)
    checkout.commit()
    status, out, _ = checkout.whydeep("certify", "toy-claim")
    assert status == 1
    assert "it has 3 certificates, which is the most: run `whydeep record scratch/toy`" in out
    assert len(checkout.record["provenance"]["certified"]) == 3


def one_line(checkout, says: str) -> None:
    status, _, err = checkout.whydeep("certify", "toy-claim")
    assert status == 2
    assert err.startswith("whydeep: ")
    assert err.count("\n") == 1
    assert says in err


NO_COMMIT = (
    "no commit that wrote data/results/scratch/toy/quick.json holds the code that it stands for: "
    "commit both together, or record the experiment anew"
)


def test_a_record_that_is_in_no_commit_is_one_line(checkout):
    shutil.rmtree(checkout.folder / ".git")
    checkout.git("init", "-q")
    checkout.edit(*REWRITTEN)
    checkout.git("add", "code")
    checkout.git("commit", "-q", "-m", "the code alone")
    one_line(checkout, NO_COMMIT)


@pytest.mark.parametrize("pool", [None, "reporting", "calibration"])
def test_a_run_is_repeated_on_the_pool_that_its_record_drew_from(checkout, pool):
    checkout.edit("import Chance\n", "import Chance\nfrom whydeep.datasets import pools\n")
    checkout.edit("seed=(chance.seed, ", 'seed=(pools.current() == "calibration", ')
    runs = [("main", 0), ("no cause", 0)]
    for bits in _bits(checkout.folder, "scratch/toy", "quick", pool, runs):
        kind, _, content = bits["seed"]
        assert (kind, content) == ("|b1", "AQ==" if pool == "calibration" else "AA==")


def test_a_checkout_without_git_is_one_line(checkout):
    shutil.rmtree(checkout.folder / ".git")
    checkout.edit(*REWRITTEN)
    one_line(checkout, "certify in a clone with its history")


def test_a_false_code_in_the_record_is_in_no_commit(checkout):
    checkout.change(code="0123456789ab")
    checkout.commit()
    one_line(checkout, NO_COMMIT)


def test_code_is_found_in_an_older_commit_where_a_later_one_wrote_the_record_too(checkout):
    checkout.edit(*REWRITTEN)
    checkout.change(python="3.0")
    checkout.commit()
    status, out, _ = checkout.whydeep("certify", "toy-claim")
    assert status == 0
    assert "certified scratch/toy (quick): seeds " in out
    assert checkout.git("worktree", "list").count("\n") == 1  # what it looked at is gone again


def test_old_code_that_does_not_run_here_any_more_is_one_line(checkout):
    checkout.edit("effect = (WEIGHTS", "settings.gone\n    effect = (WEIGHTS")
    package = checkout.folder / "code" / "whydeep"
    checkout.change(code=code_in(package, "whydeep.experiments.scratch.toy"))
    checkout.commit()
    checkout.edit("settings.gone\n    ", "")
    one_line(checkout, "has no attribute 'gone'): record the experiment anew")
