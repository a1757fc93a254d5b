"""Runs side by side give what one process gives, whatever happens to the processes beside them."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest
import spread_work as work
import torch
from whydeep.errors import BadSettings, WhydeepError
from whydeep.evidence import spread as module
from whydeep.evidence.spread import spread

TESTS = Path(__file__).parent
RUNS = [
    ("design_choices.pooled_features", "four-sites", 0),
    ("design_choices.pooled_features", "four-sites", 1),
    ("design_choices.signal_through_depth", "main", 0),
]
PATIENCE = 300  # seconds: only a fault takes so long


def wait_for(condition) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def first_error(results) -> tuple[list, Exception]:
    """What was yielded, and the error that it ended with."""
    seen = []
    try:
        for result in results:
            seen.append(result)
    except Exception as error:
        return seen, error
    raise AssertionError(f"no error, but {seen}")


# --- one process and several -------------------------------------------------------------------


def test_one_job_runs_in_this_process_in_the_order_of_the_tasks():
    found = list(spread(work.process, range(3), cost=[1.0, 2.0, 3.0]))
    assert found == [(i, os.getpid()) for i in range(3)]


def test_one_task_starts_no_process():
    assert list(spread(work.process, [0], jobs=2)) == [(0, os.getpid())]
    assert list(spread(work.process, [], jobs=2)) == []


@pytest.fixture(scope="module")
def alone():
    """What the runs give in this process."""
    return dict(spread(work.experiment, RUNS))


def test_two_jobs_give_the_numbers_of_one(alone):
    assert dict(spread(work.experiment, RUNS, jobs=2)) == alone
    assert alone[0] != alone[1]


def test_two_jobs_compute_in_two_processes_that_are_kept_from_run_to_run():
    processes = [pid for _, pid in spread(work.process, range(12), jobs=2)]
    assert len(set(processes)) == 2
    assert os.getpid() not in processes


@pytest.mark.parametrize("threads", [None, 2])
def test_a_run_has_the_same_number_of_threads_whatever_the_number_of_jobs(monkeypatch, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if threads:
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        alone = dict(spread(work.threads, [0]))
        beside = dict(spread(work.threads, [0, 1], jobs=2))
        assert torch.get_num_threads() == 3  # the caller's own is given back
    finally:
        torch.set_num_threads(before)
    assert alone[0] == beside[0] == beside[1] == {threads or 1}


def test_the_dearest_task_is_begun_first_and_keeps_its_index(tmp_path, monkeypatch):
    begun = []

    class Pool(module._Processes):
        def submit(self, compute, task):
            begun.append(task)
            return super().submit(compute, task)

    monkeypatch.setattr(module, "_Processes", Pool)
    noted = partial(work.noted, str(tmp_path))
    found = dict(spread(noted, range(4), jobs=2, cost=[1.0, 5.0, 3.0, 5.0]))
    assert begun == [1, 3, 2, 0]
    assert found == {i: i for i in range(4)}


@pytest.mark.parametrize("jobs", [0, -1, 10**9])
def test_an_absurd_number_of_jobs_is_told_in_one_line(jobs):
    with pytest.raises(BadSettings, match=rf"jobs is {jobs}, expected 1 to \d+"):
        spread(work.process, range(3), jobs=jobs)


# --- what goes wrong ---------------------------------------------------------------------------


def test_a_run_whose_process_is_killed_is_repeated_and_no_other_is_lost(tmp_path):
    found = spread(partial(work.killed_once, str(tmp_path)), range(5), jobs=2)
    assert sorted(found) == [(i, i) for i in range(5)]
    assert (tmp_path / "killed").exists()


def test_a_run_that_is_killed_twice_is_named_after_all_that_ended_was_yielded(tmp_path):
    seen, error = first_error(spread(partial(work.killed_always, str(tmp_path)), range(8), jobs=2))
    assert isinstance(error, WhydeepError)
    assert "the run 1 was killed twice" in str(error)
    assert "fewer --jobs" in str(error)
    ended = {int(path.name) for path in tmp_path.iterdir()}
    # Two at a time: of what left its file, one run at most was on its way here.
    assert {i for i, _ in seen} <= ended
    assert len(ended) - len(seen) <= 1
    assert len(seen) >= 6


@pytest.mark.parametrize("jobs", [1, 2])
def test_bad_input_is_told_as_in_one_process(jobs):
    seen, error = first_error(spread(work.bad_input, range(2), jobs=jobs))
    assert (type(error), str(error)) == (WhydeepError, "1 is bad: choose another number")
    assert set(seen) <= {(0, 0)}


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_fault_keeps_the_lines_where_it_happened(jobs):
    _, error = first_error(spread(work.fault, [1, 0], jobs=jobs))
    assert isinstance(error, ZeroDivisionError)
    assert "return 1 / number" in "".join(traceback.format_exception(error))


ENDLESS = """
import sys
from functools import partial
import spread_work as work
from whydeep.evidence.spread import spread
try:
    print("begun", flush=True)
    list(spread(partial(work.endless, sys.argv[1]), range(3), jobs=2))
except KeyboardInterrupt:
    print("interrupted", file=sys.stderr)
    sys.exit(130)
"""


@pytest.fixture
def endless(tmp_path):
    """A program with two jobs that never end, in a process group of its own as in a terminal."""
    path = os.pathsep.join(str(p) for p in (TESTS, *sys.path) if p)
    program = subprocess.Popen(
        [sys.executable, "-c", ENDLESS, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert program.stdout.readline() == "begun\n"
    yield program
    if program.poll() is None:
        os.killpg(program.pid, signal.SIGKILL)
    program.communicate()


def processes_in(folder: Path) -> list[int]:
    return [int(path.read_text()) for path in folder.iterdir() if path.suffix != ".part"]


def no_process_in_group(group: int) -> bool:
    stats = [path.read_text().rpartition(")")[2].split() for path in stat_files()]
    return not any(int(stat[2]) == group and stat[0] != "Z" for stat in stats)


def stat_files():
    for path in Path("/proc").glob("[0-9]*/stat"):
        if path.exists():
            yield path


@pytest.mark.parametrize("begun", [0, 1, 2])
def test_ctrl_c_ends_every_process_and_no_child_says_a_word(endless, tmp_path, begun):
    wait_for(lambda: len(processes_in(tmp_path)) >= begun)
    os.killpg(endless.pid, signal.SIGINT)
    _, stderr = endless.communicate(timeout=PATIENCE)
    assert (endless.returncode, stderr) == (130, "interrupted\n")
    wait_for(lambda: no_process_in_group(endless.pid))


def test_processes_do_not_outlive_a_killed_parent(endless, tmp_path):
    wait_for(lambda: len(processes_in(tmp_path)) == 2)
    endless.kill()
    wait_for(lambda: not any(alive(pid) for pid in processes_in(tmp_path)))


# --- a Dask cluster ----------------------------------------------------------------------------


def dask(program: str, *arguments: str, path: Path = TESTS, **environment: str):
    """A Dask scheduler or worker in a process of its own, with ``path`` first on its path."""
    folders = os.pathsep.join(str(each) for each in (path, TESTS, *sys.path) if each)
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.dask_{program}", "--no-dashboard", *arguments],
        env=os.environ | {"PYTHONPATH": folders} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@contextmanager
def ending(*programs: subprocess.Popen):
    """Ends the programs and all that they started."""
    try:
        yield
    finally:
        for program in programs:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()


@contextmanager
def scheduler(folder: Path):
    """A scheduler without workers, which gives a run up when its second worker has died: yields
    its address and its process."""
    file = folder / "scheduler.json"
    program = dask(
        *("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(file)),
        DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES="1",
    )
    with ending(program):
        wait_for(lambda: file.exists() and file.read_text().rstrip().endswith("}"))
        yield json.loads(file.read_text())["address"], program


@contextmanager
def workers(address: str, folder: Path, *arguments: str, path: Path = TESTS):
    start = (address, "--local-directory", str(folder), "--host", "127.0.0.1", *arguments)
    program = dask("worker", *start, path=path)
    with ending(program):
        yield program


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The address of a scheduler with two workers, which are started again when they die."""
    folder = tmp_path_factory.mktemp("dask")
    with (
        scheduler(folder) as (address, _),
        workers(address, folder, "--nthreads", "1", "--nworkers", "2"),
    ):
        yield address


def test_a_cluster_gives_the_numbers_of_one_process(cluster, alone):
    assert dict(spread(work.experiment, RUNS, scheduler=cluster)) == alone


def test_a_cluster_computes_with_both_its_workers_and_our_number_of_threads(cluster, monkeypatch):
    processes = {pid for _, pid in spread(work.process, range(20), scheduler=cluster)}
    assert len(processes) == 2
    assert os.getpid() not in processes
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert [found for _, found in spread(work.threads, [0], scheduler=cluster)] == [{2}]


def test_a_worker_killed_mid_run_loses_nothing(cluster, tmp_path):
    found = spread(partial(work.killed_once, str(tmp_path)), range(6), scheduler=cluster)
    assert sorted(found) == [(i, i) for i in range(6)]
    assert (tmp_path / "killed").exists()


def test_a_run_that_kills_every_worker_is_named(cluster, tmp_path):
    killed = partial(work.killed_always, str(tmp_path))
    seen, error = first_error(spread(killed, range(4), scheduler=cluster))
    assert isinstance(error, WhydeepError)
    assert "the run 1 took down every worker" in str(error)
    assert set(seen) <= {(0, 0), (2, 2), (3, 3)}


def test_errors_of_a_cluster_are_those_of_one_process(cluster):
    _, error = first_error(spread(work.bad_input, range(2), scheduler=cluster))
    assert (type(error), str(error)) == (WhydeepError, "1 is bad: choose another number")
    _, error = first_error(spread(work.fault, [1, 0], scheduler=cluster))
    assert isinstance(error, ZeroDivisionError)
    assert "return 1 / number" in "".join(traceback.format_exception(error))


@pytest.mark.parametrize("fault", ["no whydeep", "other code"])
def test_a_worker_without_our_code_is_told_in_one_line(tmp_path, fault):
    package = tmp_path / "whydeep"
    if fault == "no whydeep":
        package.mkdir()
        missing = "raise ModuleNotFoundError(\"No module named 'whydeep'\", name='whydeep')\n"
        (package / "__init__.py").write_text(missing)
        expected = "lacks the module whydeep: install the book there"
    else:
        shutil.copytree(Path(module.__file__).parents[1], package)
        with open(package / "labs" / "bounds.py", "a") as file:
            file.write("# not the same\n")
        expected = "bring both to the same commit and restart the workers"
    with (
        scheduler(tmp_path) as (address, _),
        workers(address, tmp_path, "--nthreads", "1", "--no-nanny", path=tmp_path),
    ):
        _, error = first_error(spread(work.process, [0], scheduler=address))
    assert isinstance(error, WhydeepError)
    assert expected in str(error)


def test_other_versions_on_a_worker_are_named(monkeypatch):
    import distributed

    class Worker:
        address = "tcp://there:1"

    monkeypatch.setattr(distributed, "get_worker", Worker)
    expected = module.versions() | {"torch": "1.0"}
    with pytest.raises(WhydeepError, match=r"tcp://there:1 has torch \S+, this machine 1.0: "):
        module._on_worker(expected, work.process, 0)
    assert module._on_worker(module.versions(), work.process, 0) == os.getpid()


def test_a_scheduler_without_workers_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WORKERLESS_S", 0)
    with scheduler(tmp_path) as (address, _):
        _, error = first_error(spread(work.process, [0], scheduler=address))
    assert isinstance(error, WhydeepError)
    assert f"`dask worker {address} --nthreads 1`" in str(error)


def test_a_worker_of_several_threads_is_refused(tmp_path):
    with (
        scheduler(tmp_path) as (address, _),
        workers(address, tmp_path, "--nthreads", "2", "--no-nanny"),
    ):
        _, error = first_error(spread(work.process, [0], scheduler=address))
    assert isinstance(error, WhydeepError)
    assert "start it with --nthreads 1" in str(error)


def test_a_scheduler_that_goes_away_is_told_in_one_line(tmp_path):
    runs = tmp_path / "runs"
    runs.mkdir()
    with (
        scheduler(tmp_path) as (address, program),
        workers(address, tmp_path, "--nthreads", "1", "--no-nanny"),
        ThreadPoolExecutor(1) as beside,
    ):
        endless = spread(partial(work.endless, str(runs)), [0], scheduler=address)
        ended = beside.submit(first_error, endless)
        wait_for(lambda: processes_in(runs))
        program.kill()
        _, error = ended.result(timeout=PATIENCE)
    assert isinstance(error, WhydeepError)
    assert "has gone away" in str(error)
    assert "finished runs are kept" in str(error)


def test_an_address_where_nothing_listens_is_told_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
    _, error = first_error(spread(work.process, [0], scheduler=address))
    assert isinstance(error, WhydeepError)
    assert f"no Dask scheduler answers at {address} (" in str(error)
    assert "refused" in str(error)


def test_an_address_where_something_else_listens_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "ANSWER_S", 1)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        _, error = first_error(spread(work.process, [0], scheduler=address))
    assert isinstance(error, WhydeepError)
    assert f"no Dask scheduler answers at {address} (it is silent)" in str(error)


@pytest.mark.parametrize(
    "address", ["", "here", "here:8786", "tcp://here", "tcp://:1", "http://here:1", "tcp://h:99999"]
)
def test_what_is_no_address_is_told_in_one_line(address):
    with pytest.raises(BadSettings, match="expected an address like tcp://host:8786"):
        spread(work.process, [0], scheduler=address)


def test_jobs_and_a_scheduler_exclude_each_other():
    with pytest.raises(BadSettings, match="choose one"):
        spread(work.process, [0], jobs=2, scheduler="tcp://here:8786")


def test_without_dask_the_line_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    _, error = first_error(spread(work.process, [0], scheduler="tcp://here:8786"))
    assert isinstance(error, WhydeepError)
    assert "pip install 'whydeep[dask]'" in str(error)
