"""Provenance says what a number came from: code, settings, data, machine, versions."""

import os
import re
import subprocess
from dataclasses import dataclass

import pytest
from whydeep import datasets
from whydeep.errors import WhydeepError
from whydeep.evidence import provenance
from whydeep.evidence.machine import arithmetic
from whydeep.evidence.provenance import (
    code_hash,
    data_of,
    distributions,
    reached,
    repository,
    standing,
)
from whydeep.evidence.reach import OPAQUE, Reached
from whydeep.experiments import experiments
from whydeep.experiments.features import raw_pixels

NAME = raw_pixels.__name__


@dataclass(frozen=True)
class Settings:
    steps: int = 3


@pytest.fixture(scope="module")
def about():
    return provenance.provenance(NAME, Settings(), {"none": {"steps": 0}}, "cpu")


def test_provenance_names_code_settings_variants_data_and_device(about):
    assert about["code"] == code_hash(NAME) == reached(NAME).code
    assert about["parts"] == reached(NAME).parts
    assert about["settings"] == {"steps": 3}
    assert about["variants"] == {"none": {"steps": 0}}
    assert about["data"] == data_of(NAME)
    assert re.fullmatch(r"cpu \(\w+\)", about["device"])


def test_provenance_names_the_arithmetic_and_the_versions_that_the_numbers_rest_on(about):
    assert about.items() >= arithmetic().items()
    assert re.match(r"3\.\d+\.", about["python"])
    for package in ("torch", "numpy", "scipy", "scikit-learn"):
        assert re.match(r"\d+\.\d+", about[package])


def test_the_version_of_every_other_package_that_a_run_reaches_is_told():
    assert distributions({"cvxpy.Variable", "PIL.Image.open", "math.sqrt"}) == ["cvxpy", "pillow"]
    assert distributions({"sklearn.svm.SVC", "numpy.sum", "whydeep.evidence.claims.judge"}) == []


def test_the_code_that_a_record_stands_for_is_the_last_that_was_certified():
    assert standing({"code": "a"}) == standing({"code": "a", "certified": []}) == "a"
    assert standing({"code": "a", "certified": [{"code": "b"}, {"code": "c"}]}) == "c"
    assert standing({}) == ""


def test_the_hash_of_an_experiment_does_not_depend_on_what_was_imported_before():
    before = code_hash(NAME)
    experiments()
    reached.cache_clear()
    assert code_hash(NAME) == before


def test_the_hash_of_a_registered_experiment_covers_training_data_and_features_but_no_reader():
    modules = {module for module, _ in reached(NAME).where}
    assert modules >= {
        "whydeep.datasets.images", "whydeep.labs.features", "whydeep.networks.plain",
        "whydeep.descent.stack",
        "whydeep.evidence.results", NAME,
    }  # fmt: skip
    assert not modules & {"whydeep.evidence.claims", "whydeep.show.figures", "whydeep.cli", *OPAQUE}


def test_a_run_without_data_asks_for_no_catalogue(monkeypatch):
    # As in a package that was installed without the book's data folder.
    monkeypatch.setattr(datasets, "catalogue", lambda: pytest.fail("it was asked for"))
    nothing = Reached({}, frozenset(), frozenset(), frozenset())
    monkeypatch.setattr(provenance, "reached", lambda module: nothing)
    assert data_of(NAME) == {}


def test_data_are_told_by_the_checksum_that_reading_verifies(monkeypatch):
    listed = {file.name: file.checksum for file in datasets.catalogue()}
    found = data_of(NAME)
    assert found["fashion-mnist"] == listed["fashion-mnist"]
    assert not any(name.startswith("fashion-mnist-full/") for name in found)  # nobody read it
    name = next(name for name in listed if name.startswith("fashion-mnist-full/"))
    monkeypatch.setattr(datasets, "used", lambda: {name: listed[name]})
    assert data_of(NAME)[name] == listed[name]


def test_a_commit_with_uncommitted_changes_of_the_package_carries_a_plus(tmp_path, monkeypatch):
    def git(*words):
        who = ["-c", "user.name=Doe", "-c", "user.email=doe@example.org"]
        command = ["git", "-C", str(tmp_path), *who, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    package = tmp_path / "code" / "whydeep"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.setattr(provenance, "PACKAGE", package)
    git("init", "-q")
    assert provenance.commit() == ""  # a repository without a commit
    git("add", "-A")
    git("commit", "-q", "-m", "first")
    assert provenance.commit() == git("rev-parse", "--short=12", "HEAD")
    (tmp_path / "README.md").write_text("it makes no number")
    assert not provenance.commit().endswith("+")
    index = (tmp_path / ".git" / "index").read_bytes()
    os.utime(package / "__init__.py", (1, 1))  # git would note that it has not changed
    assert not provenance.commit().endswith("+")
    assert (tmp_path / ".git" / "index").read_bytes() == index
    (package / "__init__.py").write_text("x = 1\n")
    assert provenance.commit() == git("rev-parse", "--short=12", "HEAD") + "+"


def test_a_folder_without_data_is_no_repository_and_the_message_says_what_to_do(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    with pytest.raises(WhydeepError, match=r"no data/ folder in .* set WHYDEEP_ROOT"):
        repository()
    (tmp_path / "data").mkdir()
    assert repository() == tmp_path
