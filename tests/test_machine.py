"""Which arithmetic made a number: told in full, and equal only where the bits would be."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from whydeep.evidence import machine
from whydeep.evidence.machine import KEYS, arithmetic, same_arithmetic


def test_the_arithmetic_is_told_in_full():
    found = arithmetic()
    assert tuple(found) == KEYS
    assert all(found.values())
    assert found["capability"] == torch.backends.cpu.get_cpu_capability()
    assert "openblas" in found["blas"]
    assert torch.__version__.startswith(found["torch"])


@pytest.mark.parametrize(
    ("told", "threads"), [("3", 3), ("3,2", 3), (None, 1), ("", 1), ("0", 1), ("many", 1)]
)
def test_the_threads_are_those_that_a_run_computes_with(monkeypatch, told, threads):
    if told is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", told)
    assert arithmetic()["threads"] == threads


@pytest.mark.parametrize("key", KEYS)
def test_two_arithmetics_are_the_same_only_if_both_say_so_of_everything(key):
    one = dict.fromkeys(KEYS, "x")
    assert same_arithmetic(one, one | {"seconds": 3})
    assert not same_arithmetic(one, one | {key: "y"})
    silent = {name: value for name, value in one.items() if name != key}
    assert not same_arithmetic(silent, silent)
    assert not same_arithmetic(one, silent)


@pytest.mark.parametrize(
    ("library", "ours"),
    [
        ("site-packages/numpy.libs/libscipy_openblas64_.so", True),
        ("site-packages/scs.libs/libopenblas.so", False),
        ("usr/lib/libopenblas.so", True),
    ],
)
def test_the_blas_of_another_package_is_not_told(monkeypatch, library, ours):
    pool = {"user_api": "blas", "internal_api": "openblas", "version": "9.9", "filepath": library}
    monkeypatch.setattr("threadpoolctl.threadpool_info", lambda: [pool])
    assert ("9.9" in machine.blas()) == ours


def test_other_kernels_of_the_same_processor_are_another_arithmetic():
    # What a reader, or `make portable`, sets before the start.
    program = "from whydeep.evidence.machine import arithmetic; print(arithmetic())"
    package = Path(machine.__file__).parents[1]
    changes = {
        "ATEN_CPU_CAPABILITY": "default",
        "OPENBLAS_CORETYPE": "Nehalem",
        "MKL_CBWR": "COMPATIBLE",
    }
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=os.environ | {"PYTHONPATH": str(package)} | changes,
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    told = ast.literal_eval(done.stdout)
    assert told["capability"] == "DEFAULT"
    assert "Nehalem" in told["blas"]
    assert "mkl in torch MKL_CBWR=COMPATIBLE" in told["blas"]


def test_the_processor_is_told_apart_from_one_of_the_same_name(monkeypatch):
    text = "model name\t: A Processor\ncpu family\t: 6\nmodel\t\t: {}\n"

    def named(model):
        machine.processor.cache_clear()
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: text.format(model))
        return machine.processor()

    try:
        assert named(1) == "A Processor (family 6, model 1)"
        assert named(1) != named(2)
    finally:
        machine.processor.cache_clear()


def test_a_system_that_does_not_list_its_processor_still_names_one(monkeypatch):
    def missing(*_, **__):
        raise FileNotFoundError

    machine.processor.cache_clear()
    try:
        monkeypatch.setattr(Path, "read_text", missing)
        assert machine.processor()
    finally:
        machine.processor.cache_clear()
