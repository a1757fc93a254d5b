"""Which definitions a run reaches: what moves the hash of its code, what does not, and no more."""

import ast
import re
import sys
from pathlib import Path
from types import CodeType, ModuleType

import pytest
from golden.make import run, stored
from whydeep import datasets
from whydeep.evidence import reach
from whydeep.evidence.provenance import data_of
from whydeep.experiments import experiments

FILES = {
    "__init__.py": '"""A package."""\n',
    "networks.py": '''
"""Networks."""
import math

WIDTH = 8
DEPTH = 2
UNUSED = 1


class Base:
    def scale(self):
        return 2


class Dense(Base):
    """Of some width."""

    units: int = WIDTH

    def forward(self, x: float) -> float:
        # Why.
        return x * self.scale() / math.sqrt(self.units)


def unused():
    return UNUSED
''',
    "training.py": '''
from functools import lru_cache as remember

import numpy as np

from whydeep.networks import DEPTH, Dense
from whydeep import device, streams
from whydeep.errors import BadSettings
from whydeep.datasets import load

RATE = 0.1


@remember
def step(seed: int, rate: float = RATE) -> float:
    """One step."""
    from whydeep.late import shift

    if device.device() is None:
        raise BadSettings("no device")

    def inner(x):
        return x - rate

    return inner(Dense().forward(seed)) + shift(seed) + streams.pick(seed) + np.sum(load())


def by_depth(xs, DEPTH=0):
    return [x for x in xs if x > DEPTH]
''',
    "streams.py": '''
OFFSET = 3


def pick(seed):
    double = lambda x: x * OFFSET
    return double(seed)
''',
    "late.py": '''
SHIFT = 1


def shift(seed):
    return sum([SHIFT * each for each in range(seed)])
''',
    "datasets/__init__.py": '''
from typing import TYPE_CHECKING

from whydeep.datasets.files import fetch

if TYPE_CHECKING:
    from whydeep.datasets.images import load

_LOADERS = {"load": "images"}


def __getattr__(name):
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_LOADERS[name]}"), name)
''',
    "datasets/files.py": '''
def read(name):
    return [1.0]


def fetch(name):
    return read(name)
''',
    "datasets/images.py": '''
from whydeep.datasets import files


def load():
    return files.read("pictures") + files.read(f"more/{1}")
''',
    "device.py": "def device():\n    return 'cpu'\n",
    "errors.py": "class BadSettings(Exception):\n    status = 2\n",
    "claims.py": "BOUND = 0.5\n",
    "figures.py": "COLOUR = 'blue'\n\n\ndef draw(x):\n    return COLOUR\n",
    "elsewhere.py": "",
    "experiments/__init__.py": "",
    "experiments/part/__init__.py": "",
    "experiments/part/toy.py": '''
"""What is claimed."""

from dataclasses import dataclass

from whydeep import figures, training
from whydeep.claims import BOUND

PAGE = "part/toy"


@dataclass(frozen=True)
class Settings:
    steps: int = 3


SCALES = {"quick": Settings()}
VARIANTS = {"none": {"steps": 0}}
CLAIMS = (BOUND,)


def run(settings, seed):
    """Run."""
    # Why.
    return training.step(seed) * settings.steps


def figure(result):
    return figures.draw(result)


def explorer(result):
    return figures.draw(result)
''',
}  # fmt: skip
TOY = "experiments/part/toy.py"
NAME = "whydeep.experiments.part.toy"


class Package:
    """A package of our own on disk, which can be changed and hashed again."""

    def __init__(self, folder: Path):
        self.folder = folder / "whydeep"
        for name, text in FILES.items():
            self.write(name, text)

    def write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.lstrip("\n"))

    def edit(self, name: str, old: str, new: str) -> "Package":
        text = (self.folder / name).read_text()
        assert old in text, f"{old!r} is not in {name}"
        self.write(name, text.replace(old, new, 1))
        return self

    def reached(self) -> reach.Reached:
        for cached in (reach._path_of, reach._read, reach._part):
            cached.cache_clear()
        return reach.reach(NAME)

    @property
    def code(self) -> str:
        return self.reached().code


@pytest.fixture
def package(tmp_path, monkeypatch):
    made = Package(tmp_path)
    monkeypatch.setattr(reach, "PACKAGE", made.folder)
    return made


# --- what is reached ---------------------------------------------------------------------------


def test_a_run_reaches_what_it_names_however_far_and_nothing_else(package):
    found = package.reached()
    assert {name for _, name in found.where} == {
        "run", "SCALES", "VARIANTS", "Settings", "step", "RATE", "Dense", "Base", "WIDTH",
        "pick", "OFFSET", "shift", "SHIFT", "load",
    }  # fmt: skip
    assert set(found.parts) == {name for _, name in found.where}
    assert found.outside >= {"functools.lru_cache", "numpy.sum", "math.sqrt"}
    assert found.data == {"pictures", "more/"}


def test_the_hash_is_twelve_hex_digits_over_the_parts_and_the_same_each_time(package):
    found = package.reached()
    assert re.fullmatch("[0-9a-f]{12}", found.code)
    assert all(re.fullmatch("[0-9a-f]{8}", part) for part in found.parts.values())
    assert found.code == reach.code_of(found.parts) == package.code
    for name in found.parts:
        assert reach.code_of(found.parts | {name: "00000000"}) != found.code


# --- what changes nothing ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        (TOY, "# Why.", "# Another reason."),
        (TOY, '"""Run."""', '"""Run it."""'),
        (TOY, '    """Run."""\n', ""),
        (TOY, '"""What is claimed."""', '"""\nMuch more.\n"""'),
        (TOY, "training.step(seed)", "(training . step( seed, ))"),
        ("networks.py", "x: float) -> float", "x) -> 'whatever'"),
        ("networks.py", "units: int", "units: 'int'"),
        ("training.py", "rate: float = RATE", "rate = RATE"),
        ("networks.py", '"""Of some width."""', '"""Of a width."""'),
        ("networks.py", "UNUSED = 1", "UNUSED = 2"),
        ("networks.py", "return UNUSED", "return UNUSED + 1"),
        ("networks.py", "DEPTH = 2", "DEPTH = 3"),
        ("training.py", "if x > DEPTH", "if x < DEPTH"),
        ("claims.py", "0.5", "0.6"),
        ("figures.py", "blue", "red"),
        (TOY, "CLAIMS = (BOUND,)", "CLAIMS = ()"),
        (TOY, "return figures.draw(result)", "return figures.draw(None)"),
        (TOY, "def explorer(result):\n    return figures", "def explorer(x):\n    return figures"),
        (TOY, "from whydeep.claims import BOUND", "from whydeep.claims import BOUND\nimport json"),
        ("datasets/files.py", "return [1.0]", "return [2.0]"),
        ("device.py", "'cpu'", "'cuda'"),
        ("errors.py", "status = 2", "status = 3"),
        ("datasets/__init__.py", "_LOADERS[name]", "_LOADERS.get(name)"),
        ("training.py", "lru_cache as remember", "lru_cache as remember  # cached"),
    ],
)  # fmt: skip
def test_what_no_run_can_feel_does_not_change_the_hash(package, name, old, new):
    before = package.code
    assert package.edit(name, old, new).code == before


def test_another_alias_of_an_import_does_not_change_the_hash(package):
    before = package.code
    package.edit("training.py", "lru_cache as remember", "lru_cache")
    package.edit("training.py", "@remember", "@lru_cache")
    package.edit("training.py", "import numpy as np", "import numpy")
    package.edit("training.py", "np.sum", "numpy.sum")
    package.edit("training.py", "import device, streams", "import device, streams as s")
    package.edit("training.py", "streams.pick", "s.pick")
    package.edit(TOY, "from whydeep import figures, training", "from whydeep import figures")
    package.edit(TOY, "from whydeep.claims", "import whydeep.training\nfrom whydeep.claims")
    package.edit(TOY, "training.step", "whydeep.training.step")
    assert package.code == before


def test_a_local_import_moved_to_the_top_does_not_change_the_hash(package):
    before = package.code
    package.edit("training.py", "    from whydeep.late import shift\n\n", "")
    package.edit(
        "training.py", "device, streams\n", "device, streams\nfrom whydeep.late import shift\n"
    )
    assert package.code == before


def move(package, name, text, source, target):
    """Take a definition out of ``source``, put it into ``target``."""
    package.edit(source, text, "")
    package.write(target, (package.folder / target).read_text() + text)
    assert name in text


def test_a_definition_moved_to_another_module_does_not_change_the_hash(package):
    before = package.reached()
    move(package, "OFFSET", "OFFSET = 3\n", "streams.py", "elsewhere.py")
    package.edit("streams.py", "def pick", "from whydeep.elsewhere import OFFSET\n\n\ndef pick")
    move(package, "WIDTH", "WIDTH = 8\n", "networks.py", "elsewhere.py")
    package.edit("networks.py", "import math\n", "import math\n\nfrom whydeep import elsewhere\n")
    package.edit("networks.py", "= WIDTH", "= elsewhere.WIDTH")
    after = package.reached()
    assert after.where != before.where
    assert (after.parts, after.code) == (before.parts, before.code)


def test_a_definition_that_its_old_module_hands_on_does_not_change_the_hash(package):
    before = package.code
    move(package, "OFFSET", "OFFSET = 3\n", "streams.py", "elsewhere.py")
    package.edit(
        "streams.py", "def pick", "from whydeep.elsewhere import OFFSET as O\n\n\ndef pick"
    )
    package.edit("streams.py", "x * OFFSET", "x * O")
    assert package.code == before


def test_what_newer_pythons_add_to_the_parsed_code_does_not_change_the_hash(package, monkeypatch):
    # Python 3.12 gave functions and classes an empty list `type_params`.
    before, parse = package.code, ast.parse

    def newer(text):
        tree = parse(text)
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                node._fields, node.type_params = (*type(node)._fields, "type_params"), []
        return tree

    monkeypatch.setattr(ast, "parse", newer)
    assert package.code == before


# --- what changes it -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "old", "new", "part"),
    [
        (TOY, "* settings.steps", "+ settings.steps", "run"),
        (TOY, "# Why.\n", "# Why.\n    'a' and 'b'\n", "run"),
        (TOY, "seed):", "seed=0):", "run"),
        (TOY, '"steps": 0', '"steps": 1', "VARIANTS"),
        (TOY, "Settings()}", "Settings(4)}", "SCALES"),
        (TOY, "steps: int = 3", "steps: int = 4", "Settings"),
        (TOY, "frozen=True", "frozen=False", "Settings"),
        (TOY, "steps: int = 3", "steps: int = 3\n    more: int = 1", "Settings"),
        (TOY, "steps: int = 3", "steps: ClassVar[int] = 3", "Settings"),
        ("training.py", "RATE = 0.1", "RATE = 0.2", "RATE"),
        ("training.py", "= RATE)", "= 2 * RATE)", "step"),
        ("training.py", "@remember\n", "", "step"),
        ("training.py", "@remember", "@remember(1)", "step"),
        ("training.py", "return x - rate", "return x + rate", "step"),
        ("training.py", "np.sum", "np.prod", "step"),
        ("training.py", "import numpy as np", "import torch as np", "step"),
        ("networks.py", "WIDTH = 8", "WIDTH = 9", "WIDTH"),
        ("networks.py", "return 2", "return 3", "Base"),
        ("networks.py", "Dense(Base)", "Dense", "Dense"),
        ("networks.py", "units: int = WIDTH", "units: int = 2", "Dense"),
        ("networks.py", "math.sqrt", "math.cbrt", "Dense"),
        ("streams.py", "lambda x: x * OFFSET", "lambda x: x / OFFSET", "pick"),
        ("streams.py", "OFFSET = 3", "OFFSET = 4", "OFFSET"),
        ("streams.py", "OFFSET = 3", "OFFSET = 3\nOFFSET += 1", "OFFSET"),
        ("late.py", "SHIFT = 1", "SHIFT = 2", "SHIFT"),
        ("late.py", "range(seed)", "range(seed + 1)", "shift"),
        ("late.py", "SHIFT * each", "SHIFT + each", "shift"),
        ("datasets/images.py", '("pictures")', '("paintings")', "load"),
        ("__init__.py", '"""\n', '"""\nimport torch\n\ntorch.set_default_dtype(1)\n', "<import>"),
        ("experiments/__init__.py", "", "print(1)\n", "<import>"),
        ("training.py", "RATE = 0.1\n", "RATE = 0.1\nDense.units = 4\n", "<import>"),
        ("training.py", "RATE = 0.1\n", "RATE = 0.1\nif RATE:\n    RATE = 1\n", "<import>"),
    ],
)
def test_what_a_run_reaches_changes_the_hash_and_the_part_is_named(package, name, old, new, part):
    before = package.reached()
    after = package.edit(name, old, new).reached()
    changed = {
        each for each in {*before.parts, *after.parts}
        if before.parts.get(each) != after.parts.get(each)
    }  # fmt: skip
    assert part in changed
    assert after.code != before.code
    assert changed <= {part, "RATE", "Base", "WIDTH"}  # and what it now, or no longer, names


def test_a_branch_that_is_not_for_types_only_counts(package):
    before = package.code
    package.edit("streams.py", "OFFSET = 3", "OFFSET = 3\nif not TYPE_CHECKING:\n    OFFSET = 4")
    changed = package.code
    assert changed != before
    package.edit("streams.py", "not TYPE_CHECKING:\n    OFFSET = 4", "TYPE_CHECKING:\n    X = 4")
    assert package.code == before
    package.edit("streams.py", "X = 4", "X = 4\nelse:\n    OFFSET = 5")
    assert package.code != before


# --- names that stand for something else -------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "def pick(RATE):\n    return RATE",
        "def pick(x, *RATE):\n    return RATE",
        "def pick(x, *, RATE=1):\n    return RATE",
        "def pick(x, **RATE):\n    return RATE",
        "def pick(x):\n    RATE = x\n    return RATE",
        "def pick(x):\n    for RATE in x:\n        pass\n    return RATE",
        "def pick(x):\n    with x as RATE:\n        return RATE",
        "def pick(x):\n    try:\n        x()\n    except ValueError as RATE:\n        return RATE",
        "def pick(x):\n    (RATE, *y), z = x\n    return RATE",
        "def pick(x):\n    if (RATE := x):\n        return RATE",
        "def pick(x):\n    def RATE():\n        return 1\n    return RATE()",
        "def pick(x):\n    return (lambda RATE: RATE)(x)",
        "def pick(x):\n    import numpy as RATE\n    return RATE.sum(x)",
        "def pick(x):\n    def inner(y):\n        return RATE * y\n    RATE = 2\n    inner(x)",
        "def pick(x):\n    return x.RATE",
        "def pick(x):\n    return x(RATE=1)",
    ],
)
def test_a_name_of_ones_own_does_not_stand_for_the_modules(package, body):
    package.write("streams.py", f"RATE = 1\n\n\n{body}\n")
    assert ("whydeep.streams", "RATE") not in package.reached().where


@pytest.mark.parametrize(
    "body",
    [
        "def pick(x, y=RATE):\n    return y",
        "def pick(x, *, y=RATE):\n    return y",
        "def pick(RATE=RATE):\n    return RATE",
        "def pick(x):\n    return (lambda y=RATE: y)()",
        "def pick(x):\n    global RATE\n    RATE = x\n    return x",
        "def pick(x):\n    return [y for y in x if y < RATE]",
        "def pick(x):\n    return [RATE for RATE in RATE]",
        "def pick(x):\n    return {y: RATE for y in x}",
        "def pick(x):\n    def inner(y):\n        return RATE * y\n    return inner(x)",
        "def pick(x):\n    def inner(RATE):\n        return RATE\n    return inner(x) + RATE",
        "def pick(x):\n    class A:\n        y = RATE\n    return A.y",
        "def pick(x):\n    return f'{RATE}'",
        "def pick(x):\n    match x:\n        case y if y > RATE:\n            return y",
        "def wrap(f):\n    return f\n\n\n@wrap\ndef pick(x):\n    return RATE",
        "def wrap(f):\n    return lambda x: f(x) + RATE\n\n\n@wrap\ndef pick(x):\n    return x",
        "pick = lambda x: x * RATE",
        "pick, other = (lambda x: x * RATE), 2",
        "def other(x):\n    return RATE\n\n\ndef pick(x):\n    return OTHERS['other'](x)\n\n\n"
        "OTHERS = {'other': other}",
        "class A:\n    def __call__(self, x):\n        return RATE\n\n\npick = A()",
        "async def pick(x):\n    return RATE",
        "try:\n    from json import nothing as pick\nexcept ImportError:\n    def pick(x):\n"
        "        return RATE",
        "if RATE:\n    def pick(x):\n        return 1",
    ],
)
def test_the_modules_own_name_is_followed_wherever_it_is_used(package, body):
    package.write("streams.py", f"RATE = 1\n\n\n{body}\n")
    assert ("whydeep.streams", "RATE") in package.reached().where
    before = package.code
    assert package.edit("streams.py", "RATE = 1", "RATE = 2").code != before


def test_a_name_handed_on_by_a_packages_init_is_followed_to_its_definition(package):
    package.write("lab/__init__.py", "from whydeep.lab.inner import pick as choose\n")
    package.write("lab/inner.py", "RATE = 1\n\n\ndef pick(x):\n    return RATE\n")
    package.write(
        "streams.py", "from whydeep import lab\n\n\ndef pick(x):\n    return lab.choose(x)\n"
    )
    assert ("whydeep.lab.inner", "RATE") in package.reached().where
    package.write("streams.py", "from whydeep.lab import choose as pick\n")
    assert ("whydeep.lab.inner", "RATE") in package.reached().where


def test_a_name_that_a_lazy_package_imports_when_asked_is_followed_as_its_types_say(package):
    found = package.reached().where
    assert ("whydeep.datasets.images", "load") in found
    assert not any(name == "__getattr__" for _, name in found)


def test_definitions_of_one_name_in_two_modules_are_told_apart(package):
    package.write("elsewhere.py", "def step(seed):\n    return 0\n")
    package.edit(TOY, "from whydeep.claims", "from whydeep import elsewhere\nfrom whydeep.claims")
    package.edit(TOY, "training.step(seed)", "training.step(seed) - 2 * elsewhere.step(seed)")
    one = package.reached()
    assert {"training.step", "elsewhere.step"} <= set(one.parts)
    assert one.code == reach.code_of(one.parts)
    package.edit(TOY, "training.step(seed) - 2 * elsewhere", "elsewhere.step(seed) - 2 * training")
    assert package.reached().where == one.where
    assert package.code != one.code  # though each is named once, as before


def test_one_of_two_definitions_of_one_name_can_move_without_a_change(package):
    package.write("elsewhere.py", "def step(seed):\n    return 0\n")
    package.edit(TOY, "from whydeep.claims", "from whydeep import elsewhere\nfrom whydeep.claims")
    package.edit(TOY, "training.step(seed)", "training.step(seed) - elsewhere.step(seed)")
    before = package.code
    package.write("aside.py", "def step(seed):\n    return 0\n")
    package.edit(TOY, "import elsewhere", "import aside")
    package.edit(TOY, "elsewhere.step", "aside.step")
    assert package.code == before


# --- where it cannot follow, more counts --------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "def pick(x):\n    return globals()['other'](x)",
        "def pick(x):\n    return eval('other')(x)",
        "from whydeep import streams\n\n\ndef pick(x):\n    return getattr(streams, 'other')(x)",
        "import whydeep.streams as s\n\n\ndef pick(x):\n    return vars(s)['other'](x)",
        "def pick(x):\n    from whydeep import streams\n\n    map(getattr, [streams], 'o')",
    ],
)
def test_a_module_handed_about_as_a_value_counts_whole(package, body):
    package.write("streams.py", f"{body}\n\n\ndef other(x):\n    return x\n")
    assert ("whydeep.streams", "other") in package.reached().where
    before = package.code
    assert package.edit("streams.py", "return x\n", "return -x\n").code != before


@pytest.mark.parametrize(
    "body",
    [
        "import importlib\n\n\ndef pick(x):\n    return importlib.import_module('whydeep.' + x)",
        "from importlib import import_module as i\n\n\ndef pick(x):\n    return i('whydeep.' + x)",
        "def pick(x):\n    return __import__('whydeep.' + x)",
        "import sys\n\n\ndef pick(x):\n    return sys.modules['whydeep.' + x]",
        "import sys\n\n\ndef pick(x):\n    return sys.modules.get('whydeep.' + x)",
    ],
)
def test_a_module_asked_for_by_a_name_made_up_on_the_way_makes_all_count(package, body):
    package.write("streams.py", f"{body}\n")
    assert ("whydeep.networks", "unused") in package.reached().where
    before = package.code
    assert package.edit("figures.py", "blue", "red").code != before


@pytest.mark.parametrize("line", ["from . import late", "from whydeep.late import *"])
def test_an_import_that_hides_what_it_binds_is_refused(package, line):
    package.edit("streams.py", "OFFSET = 3", f"{line}\nOFFSET = 3")
    with pytest.raises(ValueError, match="write them out"):
        package.reached()


def test_an_import_in_the_body_of_a_class_is_refused(package):
    package.edit("networks.py", "    units", "    from whydeep.late import SHIFT\n\n    units")
    with pytest.raises(ValueError, match="class Dense imports in its body"):
        package.reached()


def test_the_code_in_another_copy_of_the_package_is_that_copys(package, tmp_path):
    before = package.code
    other = Package(tmp_path / "other").edit("late.py", "SHIFT = 1", "SHIFT = 2")
    assert reach.code_in(package.folder, NAME) == before
    assert reach.code_in(other.folder, NAME) == package.edit("late.py", "= 1", "= 2").code != before
    assert reach.code_in(tmp_path, NAME) == ""
    assert package.folder == reach.PACKAGE


def test_a_run_takes_the_device_if_it_asks_for_it(package):
    assert not reach.takes_device(NAME)
    package.edit(TOY, "import figures, training", "import device, figures, training")
    package.edit(TOY, "* settings.steps", "* settings.steps + (device.current() == 'cuda')")
    package.reached()
    assert reach.takes_device(NAME)


# --- the package itself ------------------------------------------------------------------------


def modules() -> list[str]:
    parts = [path.relative_to(reach.PACKAGE.parent) for path in reach.PACKAGE.rglob("*.py")]
    return [".".join(part.with_suffix("").parts).removesuffix(".__init__") for part in parts]


def test_a_module_of_the_package_does_nothing_on_import_that_a_run_could_feel():
    # What a module does on import counts where one of its definitions is reached, and so would be
    # missed where it is imported for that alone. The figures' fonts make no number.
    acting = {name for name in modules() if (read := reach.source(name)) and read.effects}
    assert acting <= {"whydeep.show.figures"}


def test_no_definition_is_registered_by_a_decorator_of_the_package_which_would_hide_its_use():
    for name in modules():
        read = reach.source(name)
        nodes = [node for each in read.defined.values() for node in each] if read else []
        for decorator in (d for node in nodes for d in getattr(node, "decorator_list", ())):
            front, *_ = reach._chain(getattr(decorator, "func", decorator))
            found = reach._find(name, front)
            assert found is None or found.kind == "outside", f"{name}: {ast.unparse(decorator)}"


# --- what did run, beside what the reading of the source says ------------------------------------
#
# A dozen experiments of all parts, with golden settings: stacks and lone networks, convolutions,
# other packages' solvers, a run of another experiment's run, data of every set.

TRACED = (
    "design-choices/max-norm", "design-choices/overlapping-pools", "design-choices/weight-decay",
    "features/convex-in-which-block", "features/examples-sweep", "features/kernel-learning",
    "features/mirror-symmetry", "hacking/backward", "mysterious-steps/dropout",
    "mysterious-steps/learned-rate", "mysterious-steps/sharpness-by-rate",
    "theory-survey/generalization/memorization", "theory-survey/generalization/path-sgd",
    "theory-survey/sgd/index-energy", "three-puzzles/depth-writes-parity",
)  # fmt: skip


@pytest.fixture
def traced(monkeypatch):
    """Makes the ``run`` of a module traced; returns the set of code that will have run in it."""

    def trace(module: ModuleType) -> set[CodeType]:
        ran: set[CodeType] = set()
        untraced = module.run

        def note(frame, event, _):
            if event == "call":
                ran.add(frame.f_code)

        def run(*args, **kwargs):
            sys.setprofile(note)
            try:
                return untraced(*args, **kwargs)
            finally:
                sys.setprofile(None)

        monkeypatch.setattr(module, "run", run)
        return ran

    return trace


def definition_of(code: CodeType) -> tuple[str, set[str]]:
    """The module of the package that some code stands in, and the definitions around it."""
    path = Path(code.co_filename).relative_to(reach.PACKAGE.parent).with_suffix("")
    module = ".".join(path.parts).removesuffix(".__init__")
    read = reach.source(module)
    return module, {
        name
        for name, nodes in (read.defined if read else {}).items()
        for node in nodes
        if _first_line(node) <= code.co_firstlineno <= node.end_lineno
    }


def _first_line(node: ast.stmt) -> int:
    return min(node.lineno, *(each.lineno for each in getattr(node, "decorator_list", ())), 10**9)


@pytest.mark.parametrize("name", TRACED)
def test_what_a_run_executes_is_what_it_reaches_and_its_data_are_those_it_asks_for(name, traced):
    module = experiments()[name]
    ran = traced(module)
    datasets.forget_used()
    run(module, stored(name))
    ours = {code for code in ran if code.co_filename.startswith(str(reach.PACKAGE))}
    where = reach.reach(module.__name__).where
    assert len(ours) > 5
    for code in ours:
        its_module, definitions = definition_of(code)
        if its_module not in reach.OPAQUE and code.co_name != "<module>":
            assert any((its_module, each) in where for each in definitions), code
    assert datasets.used().items() <= data_of(module.__name__).items()
