"""Runs side by side: over processes of this machine, or over a reader's own Dask cluster.

A run gives the same numbers wherever it is computed: it has the same number of threads whatever
the number of jobs is (OMP_NUM_THREADS, or one), and a cluster's workers must have the same code and
the same versions of what computes. Each run has a process to itself, so that a process that is
killed names the run it takes along, and takes no other.
"""

from __future__ import annotations

import hashlib
import logging
import os
import pickle
import platform
import signal
import socket
import sys
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import resource_tracker
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeVar, cast
from urllib.parse import urlsplit

from whydeep.errors import BadSettings, WhydeepError
from whydeep.evidence.machine import threads_of_a_run

T = TypeVar("T")
Call = Callable[[Any], T]
COMPUTES = ("torch", "numpy", "scipy", "scikit-learn", "distributed")
LEAKED = "ignore:resource_tracker:UserWarning"
# Seconds: until a scheduler must have answered, for how long a cluster may be without a worker,
# and between two looks at its workers.
ANSWER_S, WORKERLESS_S, LOOK_S = 20, 60, 1


def spread(
    work: Call[T],
    tasks: Iterable[Any],
    *,
    jobs: int = 1,
    scheduler: str | None = None,
    cost: Iterable[float] | None = None,
) -> Iterator[tuple[int, T]]:
    """``(i, work(tasks[i]))`` for every task, each as it ends.

    With one job, or one task, they are computed here, in order. With more ``jobs`` each goes to one
    of so many processes; with a ``scheduler`` (``tcp://host:8786``) to a worker of that Dask
    cluster. ``work`` is then a function of a module, and tasks and results can be pickled.
    ``cost``: what each task is expected to take, in any unit; the dearest is begun first.

    What has ended is yielded before an error is raised, so that the caller can keep it; closing the
    iterator (or Ctrl-C) ends the processes at once. A run whose process is killed is repeated once,
    after the others. Raises WhydeepError if that one is killed too, and for a scheduler that does
    not answer, has no worker, or one with other code; what ``work`` raises passes as it is.
    """
    tasks = list(tasks)
    order = list(range(len(tasks)))
    if cost is not None:
        cost = list(cost)
        order.sort(key=lambda i: -cost[i])
    compute = partial(_compute, work, threads_of_a_run())
    if scheduler is not None:
        if jobs != 1:
            raise BadSettings("--jobs is for this machine, --scheduler for others: choose one")
        _check_address(scheduler)
        return _as_they_end(partial(_Cluster, scheduler), compute, tasks, order)
    if jobs != 1:
        _check_jobs(jobs)
    if min(jobs, len(tasks)) > 1:
        return _as_they_end(partial(_Processes, min(jobs, len(tasks))), compute, tasks, order)
    return ((i, compute(task)) for i, task in enumerate(tasks))


def _check_jobs(jobs: int) -> None:
    from joblib import cpu_count

    most = 2 * cpu_count()
    if not 1 <= jobs <= most:
        raise BadSettings(
            f"jobs is {jobs}, expected 1 to {most}, twice the cores of this machine at most"
        )


def _check_address(scheduler: str) -> None:
    try:
        parts = urlsplit(scheduler)
        good = bool(parts.scheme in ("tcp", "tls") and parts.hostname and parts.port)
    except ValueError:
        good = False
    if not good:
        raise BadSettings(f"scheduler is {scheduler!r}, expected an address like tcp://host:8786")


def _compute(work: Call[T], threads: int, task: Any) -> T:
    """``work(task)`` with so many threads for torch and for every BLAS and OpenMP."""
    from threadpoolctl import threadpool_limits

    # For those that are loaded from here on; Dask sets all three to 1 for its workers.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(threads)
    torch = sys.modules.get("torch")
    before = torch and torch.get_num_threads()
    try:
        if torch:
            torch.set_num_threads(threads)
        with threadpool_limits(threads):
            return work(task)
    finally:
        if torch:
            torch.set_num_threads(before)


class _Pool(Protocol):
    """Where runs are computed. ``killed`` is the error of a run whose process was."""

    killed: type[Exception]
    repeats: int  # how often a killed run is submitted again
    remedy: str

    def size(self) -> int: ...
    def submit(self, compute: Call, task: Any) -> Future: ...
    def ended(self, future: Future) -> None: ...
    def close(self) -> None: ...


def _as_they_end(
    open_pool: Callable[[], _Pool], compute: Call[T], tasks: list, order: list[int]
) -> Iterator[tuple[int, T]]:
    """Keep a pool busy, never with more runs than it computes at once: no run waits beside another
    in a process and is blamed for its end."""
    waiting, running, kills = deque(order), {}, dict.fromkeys(order, 0)
    ended: SimpleQueue[int] = SimpleQueue()
    pool = open_pool()
    try:
        while waiting or running:
            for _ in range(min(pool.size() - len(running), len(waiting))):
                i = waiting.popleft()
                running[i] = pool.submit(compute, tasks[i])
                running[i].add_done_callback(lambda _, i=i: ended.put(i))
            failure = None
            for i in _those_ended(ended):
                future = running.pop(i)
                try:
                    pool.ended(future)
                    result = future.result()
                except pool.killed as error:
                    kills[i] += 1
                    if kills[i] <= pool.repeats:
                        waiting.append(i)
                    else:
                        failure = failure or _killed(tasks[i], pool.remedy, error)
                except Exception as error:
                    failure = failure or error
                else:
                    yield i, result
            if failure:
                raise failure
    finally:
        pool.close()


def _those_ended(ended: SimpleQueue[int]) -> Iterator[int]:
    """What has ended by now; waits for the first, but not longer than LOOK_S."""
    try:
        yield ended.get(timeout=LOOK_S)
        while True:
            yield ended.get_nowait()
    except Empty:
        return


def _killed(task: Any, remedy: str, cause: Exception) -> WhydeepError:
    name = " ".join(map(str, task)) if isinstance(task, tuple | list) else str(task)
    error = WhydeepError(f"the run {name} {remedy}; finished runs are kept")
    error.__cause__ = cause
    return error


# --- this machine ------------------------------------------------------------------------------


class _Processes:
    """So many processes of this machine, each with a loky executor to itself."""

    repeats = 1
    remedy = (
        "was killed twice, for want of memory as a rule: close other programs, or start again "
        "with fewer --jobs"
    )

    def __init__(self, jobs: int):
        from joblib.externals.loky.process_executor import TerminatedWorkerError

        self.killed: type[Exception] = TerminatedWorkerError
        self.jobs = jobs
        self.idle: list[Any] = []
        self.busy: dict[Future, Any] = {}
        # loky replaces a process that has grown by 300 MB, and warns; a larger run is no leak.
        warnings.filterwarnings("ignore", "A worker stopped while some jobs", UserWarning)
        # The process that looks after semaphores tells of those whose process was ended on purpose.
        if LEAKED not in sys.warnoptions:
            sys.warnoptions.append(LEAKED)

    def size(self) -> int:
        return self.jobs

    def submit(self, compute: Call, task: Any) -> Future:
        with _undisturbed():
            process = self.idle.pop() if self.idle else self._start()
            try:
                future = process.submit(compute, task)
            except self.killed:  # while it was idle, so no run is to blame
                process.shutdown()
                process = self._start()
                future = process.submit(compute, task)
            self.busy[future] = process
        return future

    def _start(self) -> Any:
        from joblib.externals.loky.process_executor import ProcessPoolExecutor

        return ProcessPoolExecutor(
            max_workers=1,
            initializer=_begin,
            initargs=(os.getpid(),),
            env={"OMP_NUM_THREADS": str(threads_of_a_run())},
        )

    def ended(self, future: Future) -> None:
        process = self.busy.pop(future)
        if isinstance(future.exception(), self.killed):
            process.shutdown()
        else:
            self.idle.append(process)

    def close(self) -> None:
        with _undisturbed():
            for process in (*self.idle, *self.busy.values()):
                process.shutdown(kill_workers=True)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Ctrl-C waits until the block has ended, and processes started in it never hear of it."""
    interrupts: list[int] = []
    in_main = threading.current_thread() is threading.main_thread()
    if in_main:  # no other thread is interrupted
        before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    masks = hasattr(signal, "pthread_sigmask")  # inherited; Windows has none
    if masks:
        resource_tracker.ensure_running()  # here, since starting it lifts the mask
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        if masks:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if in_main:
            signal.signal(signal.SIGINT, before)
        if interrupts:
            signal.raise_signal(signal.SIGINT)


def _begin(parent: int) -> None:
    """The first thing a process does: see to it that it does not outlive its parent's kill -9."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


# --- a Dask cluster ----------------------------------------------------------------------------


class _Cluster:
    """The workers of a Dask scheduler, as many as there are at the time."""

    repeats = 0  # the scheduler has repeated it on other workers, three times by default
    remedy = (
        "took down every worker that it was sent to, for want of memory as a rule: "
        "start fewer workers on each machine"
    )

    def __init__(self, address: str):
        try:
            import distributed
        except ImportError as error:
            raise WhydeepError(
                f"--scheduler needs Dask ({error}): pip install 'whydeep[dask]'"
            ) from None
        logging.getLogger("distributed").setLevel(logging.CRITICAL)  # told in one line, by us
        self.address = address
        self.killed: type[Exception] = distributed.KilledWorker
        self.last_worker_seen = time.monotonic()
        try:
            parts = urlsplit(address)  # asked first, since Dask tries again when it is refused
            socket.create_connection((parts.hostname, parts.port), timeout=ANSWER_S).close()
            with warnings.catch_warnings():  # versions are compared by each worker, below
                warnings.simplefilter("ignore")
                connect = partial(distributed.Client, address, timeout=ANSWER_S)
                self.client = _in_time(partial(connect, set_as_default=False))
        except Exception as error:
            raise WhydeepError(
                f"no Dask scheduler answers at {address} ({str(error) or 'it is silent'}): start "
                "one with `dask scheduler`, or correct the address"
            ) from error

    def size(self) -> int:
        # A client that is not asynchronous answers at once; Dask's types know coroutines only.
        asked = partial(self.client.nthreads, callback_timeout=ANSWER_S)
        workers = cast("dict[str, int]", self._ask(asked))
        for worker, threads in workers.items():
            if threads != 1:
                raise WhydeepError(
                    f"the worker {worker} computes {threads} tasks at once in one process: "
                    "start it with --nthreads 1, and with --nworkers for more of them"
                )
        if workers:
            self.last_worker_seen = time.monotonic()
        elif time.monotonic() - self.last_worker_seen > WORKERLESS_S:
            raise WhydeepError(
                f"the scheduler {self.address} has had no worker for {WORKERLESS_S} seconds: start "
                f"some with `dask worker {self.address} --nthreads 1`; finished runs are kept"
            )
        return len(workers)

    def submit(self, compute: Call, task: Any) -> Any:
        # A lambda travels by value, and it alone unpacks the rest: a scheduler needs no whydeep,
        # and a worker without it says so.
        packed = pickle.dumps(partial(_on_worker, versions(), compute, task))
        return self._ask(
            lambda: self.client.submit(lambda packed: pickle.loads(packed)(), packed, pure=False)
        )

    def ended(self, future: Any) -> None:
        if future.cancelled():
            raise self._lost()
        error = future.exception() if future.status == "error" else None
        if isinstance(error, ModuleNotFoundError):
            raise WhydeepError(
                f"a worker of {self.address} lacks the module {error.name}: install the book there "
                "as on this machine"
            ) from error

    def close(self) -> None:
        with _undisturbed():
            self.client.close()

    def _ask(self, question: Callable[[], T]) -> T:
        if self.client.status != "running":
            raise self._lost()
        try:
            return question()
        except Exception as error:
            raise self._lost() from error

    def _lost(self) -> WhydeepError:
        return WhydeepError(
            f"the scheduler {self.address} has gone away: start it again, then the same command; "
            "finished runs are kept"
        )


def _in_time(make: Callable[[], T]) -> T:
    """What ``make`` makes; TimeoutError after ANSWER_S. Dask greets without a limit of its own."""
    made: Future[T] = Future()

    def attempt() -> None:
        try:
            made.set_result(make())
        except BaseException as error:
            made.set_exception(error)

    threading.Thread(target=attempt, daemon=True).start()
    return made.result(timeout=ANSWER_S + 1)


@cache
def versions() -> dict[str, str]:
    """What must be equal where runs of one record are computed: the package's files, as a hash,
    and the versions of what computes."""
    digest, package = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        digest.update(f"{path.relative_to(package).as_posix()}\n{text}\n".encode())
    found = {name: version(name).partition("+")[0] for name in COMPUTES}
    python = ".".join(platform.python_version_tuple()[:2])
    return {"whydeep": digest.hexdigest()[:12], "python": python} | found


def _on_worker(expected: dict[str, str], compute: Call[T], task: Any) -> T:
    """The task, on a cluster's worker; WhydeepError where that is not set up as the client is."""
    from distributed import get_worker

    here = versions()
    for name, wanted in expected.items():
        if here.get(name) != wanted:
            remedy = "the same commit" if name == "whydeep" else "the same version"
            raise WhydeepError(
                f"the worker {get_worker().address} has {name} {here.get(name)}, this machine "
                f"{wanted}: bring both to {remedy} and restart the workers"
            )
    return compute(task)
