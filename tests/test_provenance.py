"""The code hash moves when code moves, and only then; provenance says what a number came from."""

import ast
import importlib
import re
from dataclasses import dataclass

import pytest
from whydeep import provenance
from whydeep.errors import WhydeepError
from whydeep.provenance import code_hash, repository

FILES = {
    "__init__.py": '"""A package."""\n',
    "networks.py": '"""Networks."""\nimport math\n\nWIDTH = 8\n',
    "training.py": "from whydeep.networks import WIDTH\n\nSTEPS = 10 * WIDTH\n",
    "claims.py": "BOUND = 0.5\n",
    "figures.py": "COLOUR = 'blue'\n",
    "features.py": "ANGLES = 8\n",
    "experiments/__init__.py": "",
    "experiments/part/__init__.py": "",
    "experiments/part/toy.py": (
        '"""What is claimed."""\n'
        "from whydeep import figures, training\n"
        "from whydeep.claims import BOUND\n\n\n"
        "def run(seed):\n"
        '    """Run."""\n'
        "    # Why.\n"
        "    return seed + training.STEPS\n"
    ),
}
TOY = "experiments/part/toy.py"


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of our own on disk; `edit(file, old, new)` changes it and returns the new hash."""
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.setattr(provenance, "PACKAGE", tmp_path)

    def edit(name=TOY, old="", new=""):
        path = tmp_path / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))
        return code_hash.__wrapped__("whydeep.experiments.part.toy")

    return edit


def test_the_code_hash_is_twelve_hex_digits_and_the_same_each_time(package):
    assert re.fullmatch("[0-9a-f]{12}", package())
    assert package() == package()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("# Why.", "# Another reason."),
        ("    # Why.\n", ""),
        ('"""Run."""', '"""Run it."""'),
        ('"""What is claimed."""', '"""\nMuch more.\n"""'),
        ("    return seed", "\n\n    return (  seed )"),
        ('    """Run."""\n', ""),
    ],
)
def test_comments_docstrings_and_layout_do_not_change_the_hash(package, old, new):
    assert package() == package(TOY, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (TOY, "seed +", "seed -"),
        (TOY, "def run(seed)", "def run(root)"),
        (TOY, "training.STEPS", "training.STEPS + 1"),
        ("training.py", "10", "11"),
        ("networks.py", "8", "9"),
        ("__init__.py", "", "import os\n"),
    ],
)
def test_code_of_the_experiment_and_of_what_it_imports_however_far_changes_the_hash(
    package, name, old, new
):
    assert package() != package(name, old, new)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("claims.py", "0.5", "0.6"),
        ("figures.py", "blue", "red"),
        ("features.py", "8", "9"),
    ],
)
def test_readers_of_results_and_modules_not_imported_do_not_change_the_hash(
    package, name, old, new
):
    assert package() == package(name, old, new)


def test_what_newer_pythons_add_to_the_parsed_code_does_not_change_the_hash(package, monkeypatch):
    # Python 3.12 gave functions an empty list `type_params`; 3.13 prints no empty lists.
    expected, parse = package(), ast.parse

    def newer(text):
        tree = parse(text)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                node._fields, node.type_params = (*ast.FunctionDef._fields, "type_params"), []
        return tree

    monkeypatch.setattr(ast, "parse", newer)
    assert package() == expected


def test_a_string_that_is_no_docstring_counts(package):
    package(TOY, "return seed", "return 'a' and seed")
    assert package() != package(TOY, "'a'", "'b'")


def test_the_hash_of_an_experiment_does_not_depend_on_what_was_imported_before():
    name = "whydeep.experiments.features.raw_pixels"
    before = code_hash.__wrapped__(name)
    for other in ("whydeep.cli", "whydeep.datasets", "whydeep.training", name):
        importlib.import_module(other)
    assert code_hash.__wrapped__(name) == before


def test_no_module_of_the_package_uses_relative_imports_which_the_hash_would_miss():
    for path in provenance.PACKAGE.rglob("*.py"):
        assert not re.search(r"^\s*from \.", path.read_text(encoding="utf-8"), re.MULTILINE), path


def test_the_hash_of_a_registered_experiment_covers_training_data_and_features():
    seen = []
    original = provenance._source

    def spy(name):
        path = original(name)
        if path is not None:
            seen.append(path.relative_to(provenance.PACKAGE).as_posix())
        return path

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "_source", spy)
        code_hash.__wrapped__("whydeep.experiments.features.raw_pixels")
    assert {
        "__init__.py", "device.py", "errors.py", "features.py", "networks.py", "training.py",
        "datasets/__init__.py", "datasets/files.py", "datasets/images.py",
        "experiments/features/raw_pixels.py",
    } <= set(seen)  # fmt: skip
    assert not {"claims.py", "results.py", "figures.py", "cli.py"} & set(seen)


def test_provenance_names_code_settings_device_and_versions():
    @dataclass(frozen=True)
    class Settings:
        steps: int = 3

    name = "whydeep.experiments.features.raw_pixels"
    found = provenance.provenance(name, Settings(), "cpu")
    assert found["code"] == code_hash(name)
    assert found["settings"] == {"steps": 3}
    assert found["device"].startswith("cpu (")
    for package in ("torch", "numpy", "scipy", "scikit-learn"):
        assert re.match(r"\d+\.\d+", found[package])


def test_a_folder_without_data_is_no_repository_and_the_message_says_what_to_do(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    with pytest.raises(WhydeepError, match=r"no data/ folder in .* set WHYDEEP_ROOT"):
        repository()
    (tmp_path / "data").mkdir()
    assert repository() == tmp_path
