"""Golden runs: what every experiment's `run` gave when it was small, and what it gives now.

Theory guards the mechanisms elsewhere; here stands the code's own output, and only here. It kills
the programs in which all parts are right and two wires are crossed: a sign, an arm for another, the
training pictures for the test pictures, a control that is the untreated arm.
"""

import numpy as np
import pytest
from golden.make import FOLDER, arithmetic, faults, path_of, run, stored
from whydeep.evidence.reach import takes_device
from whydeep.evidence.results import MAIN
from whydeep.experiments import experiments

EXPERIMENTS = experiments()
every_experiment = pytest.mark.parametrize("name", EXPERIMENTS)
FOR_A_GPU = [name for name, module in EXPERIMENTS.items() if "gpu" in module.SCALES]
REMEDY = "a wanted change of numbers is stored by `python tests/golden/make.py {}`"


@pytest.fixture(scope="module")
def here():
    return arithmetic()


@every_experiment
def test_a_run_gives_the_numbers_that_were_stored_of_it(name, here):
    golden = stored(name)
    told = faults(golden, run(EXPERIMENTS[name], golden), same=golden["arithmetic"] == here)
    assert not told, "\n".join([*told, REMEDY.format(name)])


@every_experiment
def test_every_variant_has_a_golden_run_that_differs_from_the_main_one(name):
    runs = stored(name)["runs"]
    assert set(runs) == {MAIN, *EXPERIMENTS[name].VARIANTS}
    for variant in EXPERIMENTS[name].VARIANTS:
        assert runs[variant] != runs[MAIN], f"{variant} does not act"


def test_no_golden_run_is_left_of_an_experiment_that_is_no_more():
    assert set(FOLDER.rglob("*.json")) == {path_of(name) for name in EXPERIMENTS}


def test_six_experiments_have_a_scale_for_a_gpu_and_ask_for_one():
    assert len(FOR_A_GPU) == 6
    assert all(takes_device(EXPERIMENTS[name].__name__) for name in FOR_A_GPU)


@pytest.mark.parametrize("name", FOR_A_GPU)
def test_the_scale_for_a_gpu_runs_on_a_cpu_when_it_is_made_small(name):
    golden = stored(name)
    found = run(EXPERIMENTS[name], golden, "gpu")
    assert set(found[MAIN]) == set(golden["runs"][MAIN])
    assert all(np.isfinite(value).any() for value in found[MAIN].values())
