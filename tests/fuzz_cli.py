"""Bad command lines by the hundred, and interruptions at random moments: a tool, run by hand.

    python tests/fuzz_cli.py --cases 500 --interrupts 50 --seed 0

A case is a command line, its environment and perhaps a file damaged beforehand in a scratch copy of
`data/`. Most run in a fork of this process, which has imported the package already; every tenth is
a process of its own, started as the installed command is. What must not happen: a traceback, an
exit status other than those expected, a refusal (status 2) that is not one line, no answer within
the time allowed; and, after an interruption, a finished run that is damaged or computed again, or a
record that differs from the one made without interruptions. Exit status 1 if anything did.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import io
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import tomllib

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENT = "design-choices/unknown-position"  # fifteen runs of a third of a second
CLAIM = "patel2015-drm"
PATIENCE = 300.0
ENTRY = tomllib.loads((ROOT / "code/pyproject.toml").read_text("utf-8"))
ENTRY_MODULE, ENTRY_FUNCTION = ENTRY["project"]["scripts"]["whydeep"].split(":")
START = (
    f"import sys; from {ENTRY_MODULE} import {ENTRY_FUNCTION} as main; "
    "sys.argv[0] = 'whydeep'; sys.exit(main())"
)
REFUSED = frozenset({2})
ANSWERED = frozenset({0, 1})
EITHER = REFUSED | ANSWERED


@dataclass
class Case:
    """One command line: what it is given, what is wrong, and which exit statuses are right."""

    family: str
    argv: list[str]
    right: frozenset[int]
    environment: dict[str, str | None] = field(default_factory=dict)
    damage: Callable[[], None] | None = None
    limits: dict[int, int] = field(default_factory=dict)
    stdout: str = "pipe"  # or "full": /dev/full, "closed": no such descriptor, "gone": no reader
    folder: str | None = None  # "gone": a working directory that has been removed
    says: str = ""  # what standard output must hold where the status is 0 or 1
    note: str = ""


@dataclass
class Outcome:
    status: int | None
    out: str
    err: str

    def faults(self, case: Case) -> list[str]:
        """What went wrong, each by the name of its column."""
        found = []
        if re.search(r"^Traceback|Exception ignored", self.out + "\n" + self.err, re.MULTILINE):
            found.append("traceback")
        if self.status is None:
            return [*found, "no answer"]
        if self.status not in case.right:
            found.append("status")
        if self.status == 2 and case.stdout == "pipe" and self.err.count("\n") != 1:
            found.append("not one line")
        if self.status in ANSWERED and case.stdout == "pipe" and case.says not in self.out:
            found.append("nothing said")
        return found


# ------------------------------------------------------------------------------ a scratch checkout


class Scratch:
    """A copy of `data/` that cases may damage; `mend` brings back what they changed."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "book"
        self.runs = folder / "runs"
        shutil.copytree(ROOT / "data", self.root / "data", ignore=shutil.ignore_patterns("*.part"))
        self.touched: set[Path] = set()

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "WHYDEEP" not in name}
        return kept | {
            "WHYDEEP_ROOT": str(self.root),
            "WHYDEEP_RUNS": str(self.runs),
            "WHYDEEP_DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
            "XDG_CACHE_HOME": str(self.root.parent / "cache"),
            "PYTHONPATH": str(ROOT / "code"),
        }

    def damage(self, path: Path, how: Callable[[Path], None]) -> None:
        self.touched.add(path)
        how(path)

    def mend(self) -> None:
        for path in self.touched:
            remove(path)
            if path.is_relative_to(self.root):
                shutil.copy(ROOT / path.relative_to(self.root), path)
        self.touched.clear()


def remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replaced_by(content: bytes) -> Callable[[Path], None]:
    return lambda path: (remove(path), path.write_bytes(content))[0]


def cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])


def edited(chance: random.Random) -> Callable[[Path], None]:
    """Take a random entry of a JSON file away, or put something else in its place."""
    seed = chance.random()

    def edit(path: Path) -> None:
        chance = random.Random(seed)
        whole = json.loads(path.read_text("utf-8"))
        node = whole
        while True:
            key = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if not isinstance(node[key], dict | list) or not node[key] or chance.random() < 0.3:
                break
            node = node[key]
        if chance.random() < 0.5:
            del node[key]
        else:
            node[key] = chance.choice([None, "text", [], {}, -1, 1e400, [[1], [2, 3]], True])
        path.write_text(json.dumps(whole), "utf-8")

    return edit


def damages(chance: random.Random) -> list[tuple[str, Callable[[Path], None]]]:
    return [
        ("missing", remove),
        ("empty", replaced_by(b"")),
        ("cut short", cut(chance.random())),
        ("binary", replaced_by(chance.randbytes(300))),
        ("null", replaced_by(b"null")),
        ("a list", replaced_by(b"[]")),
        ("an empty table", replaced_by(b"{}")),
        ("deep", replaced_by(b"[" * 100_000)),
        ("another encoding", replaced_by("\ufeff{}".encode("utf-16"))),
        ("a folder", lambda path: (remove(path), path.mkdir())[0]),
        ("a dangling link", lambda path: (remove(path), path.symlink_to("nowhere"))[0]),
        ("a loop of links", lambda path: (remove(path), path.symlink_to(path.name))[0]),
    ]


# ------------------------------------------------------------------------------ cases by family

NAMES = (
    "", " ", "no-such-claim", "features", f"{EXPERIMENT}/", f"../{EXPERIMENT}", "../../etc/passwd",
    f"{EXPERIMENT}\n", EXPERIMENT.upper(), "特征", "a" * 5000, "*", "%s", "{0}", "\x1b[31mred",
    "\udcff", "None", "0", "__init__", "whydeep.experiments",
)  # fmt: skip
SEEDS = (
    "", " ", "a-b", "4-0", "-1", "1-2-3", "0-3000000000", "18446744073709551616", "1,,2", ",",
    "0-4,", "1e3", "0x10", "+1", "1_0", "²", "٠-٤", "7-", "0–4", "99999999999999999999-1",
    "0-99999999999999999999", "1;2", "nan",
)  # fmt: skip
ONE_SEED = (
    "", "one", "-1", "1.5", "0x1", "1_000", "٣", "²", "nan", "18446744073709551616",
    "99999999999999999999999", "9" * 5000,
)  # fmt: skip
SCALES = ("", " ", "huge", "QUICK", "quick ", "quick\n", "../quick", "calibration", "\udcff")
DEVICES = (
    "cpu:00", "cpu:٠", "cpu:1", "cpu:", "cpu:-1", "CPU", "cpu ", "gpu", "cuda:99", "mps:7", "0",
    "cuda:99999999999999999999", "cuda:" + "9" * 5000, "cpu:0:0", "meta", "\udcff",
)  # fmt: skip
JOBS = ("", "0", "-1", "1.5", "٢", "99999999999", "many")
GRAMMAR = (
    [], ["fly"], [""], ["run"], ["record"], ["run", CLAIM, "--colour"], ["list", "extra"],
    ["list", "--json=1"], ["check", "--recorded", "--changed"], ["data"], ["data", "burn"],
    ["run", CLAIM, "--seed"], ["check", "--seeds"], ["list", "--\udcff"], ["-1"],
)  # fmt: skip
DATA = (
    ["fetch"], ["fetch", ""], ["fetch", "no-such"], ["list", "no-such"], ["verify", "no-such"],
    ["list", ""], ["list", "--mirror", "https://example.org"],
    ["verify", "digits", "--mirror", "x"],
    ["fetch", "filters", "--mirror", "ftp://example.org"], ["fetch", "filters", "--mirror", ""],
    ["fetch", "filters", "--mirror", "file:///etc"], ["fetch", "digits", "--mirror", "http://x"],
    ["fetch", "fashion-mnist-full", "--mirror", "http://127.0.0.1:1"],
    ["fetch", "fashion-mnist-full", "--mirror", "http://" + "a" * 64 + ".example"],
    ["fetch", "fashion-mnist-full", "--mirror", "http://[::1"],
    ["fetch", "fashion-mnist-full", "--mirror", "http://127.0.0.1:99999"],
)  # fmt: skip
# These end at once, and each prints something.
HARMLESS = (
    ["list"], ["list", "--json"], ["list", "--all"], ["check", "--recorded", EXPERIMENT],
    ["data", "list"], ["data", "verify", "filters"], ["run", EXPERIMENT],
)  # fmt: skip


def cases(count: int, chance: random.Random, scratch: Scratch) -> Iterator[Case]:
    """`count` cases, the families in turn."""
    record = scratch.root / "data/results" / EXPERIMENT
    makers = [
        lambda: names(chance),
        lambda: Case("seeds", ["check", CLAIM, "--seeds", chance.choice(SEEDS)], REFUSED),
        lambda: Case("seed", ["run", CLAIM, "--seed", chance.choice(ONE_SEED)], REFUSED),
        lambda: Case(
            "scale", [chance.choice(["run", "record"]), CLAIM, "--scale", chance.choice(SCALES)],
            REFUSED,
        ),
        lambda: devices(chance),
        lambda: Case("grammar", list(chance.choice(GRAMMAR)), REFUSED),
        lambda: voided(chance),
        lambda: Case("data", ["data", *chance.choice(DATA)], REFUSED),
        lambda: surroundings(chance, scratch),
        lambda: damaged(chance, scratch, record),
        lambda: damaged(chance, scratch, record),
        lambda: outputs(chance),
        lambda: unwritable(chance, scratch),
        lambda: scarce(chance),
    ]  # fmt: skip
    for number in range(count):
        yield makers[number % len(makers)]()


def names(chance: random.Random) -> Case:
    command = chance.choice(["run", "check", "record"])
    return Case("names", [command, chance.choice(NAMES)], REFUSED)


def devices(chance: random.Random) -> Case:
    argv = [chance.choice(["run", "check", "record"]), CLAIM]
    named = chance.choice(DEVICES)
    if chance.random() < 0.5 and "\udcff" not in named:
        return Case("device", argv, REFUSED, {"WHYDEEP_DEVICE": named}, note=named)
    return Case("device", [*argv, "--device", chance.choice([named, ""])], REFUSED)


def voided(chance: random.Random) -> Case:
    """An option that another one voids, or that has no such value."""
    recorded = ["check", CLAIM, "--recorded"]
    argv = chance.choice(
        [
            [*recorded, "--seeds", chance.choice(["7", "0-1", "99999", *SEEDS])],
            [*recorded, "--device", chance.choice(DEVICES)],
            ["check", CLAIM, "--jobs", chance.choice(JOBS)],
            ["record", CLAIM, "--jobs", chance.choice(JOBS)],
            ["record", CLAIM, "--scheduler", chance.choice(["", "nonsense", "tcp://", "x://y"])],
            ["check", CLAIM, "--jobs", "2", "--scheduler", "tcp://127.0.0.1:1"],
        ]
    )
    return Case("voided", argv, REFUSED)


def surroundings(chance: random.Random, scratch: Scratch) -> Case:
    """A variable of the environment that names nothing, a locale, a folder that is gone."""
    folders = ["/no/such/folder", "/dev/null", "relative/no", "~nobody-such/data", "a" * 5000]
    wrong = chance.choice([*folders, str(scratch.runs.parent)])
    needs_root = [["check", "--recorded", EXPERIMENT], ["list", "--all"], ["data", "verify"]]
    kind = chance.randrange(6)
    if kind == 0:
        return Case("environment", chance.choice(needs_root), REFUSED, {"WHYDEEP_ROOT": wrong})
    if kind == 1:
        argv = ["data", "verify", chance.choice(["filters", "photographs"])]
        return Case("environment", argv, REFUSED, {"WHYDEEP_DATA": chance.choice(folders)})
    if kind == 2:
        argv = ["data", "fetch", "fashion-mnist-full"]
        mirror = chance.choice(["ftp://example.org", "nonsense", "http://127.0.0.1:1"])
        return Case("environment", argv, REFUSED, {"WHYDEEP_MIRROR": mirror})
    harmless = chance.choice(HARMLESS)
    if kind == 3:
        home = chance.choice([None, "/no/such/home", "", "/dev/null"])
        return Case("environment", harmless, ANSWERED, {"HOME": home, "XDG_CACHE_HOME": home})
    if kind == 4:
        return Case("environment", harmless, ANSWERED, folder="gone", note="folder gone")
    locale = chance.choice(["C", "POSIX", "no_SUCH", "ja_JP.EUC-JP"])
    coding = chance.choice(["ascii", "cp1252", "utf-16", "latin-1"])
    return Case("environment", harmless, ANSWERED, {"LC_ALL": locale, "PYTHONIOENCODING": coding})


def damaged(chance: random.Random, scratch: Scratch, record: Path) -> Case:
    """A file of the book's, or a kept run, that is not what it should be."""
    photograph = scratch.root / "data/photographs/black-canyon.jpg"
    filters = scratch.root / "data/filters/conv1_dlib_face_resnet_rgb.npz"
    # One is there or not: the cases after this one are the same either way.
    kept = next(iter(sorted(scratch.runs.rglob("main-0.json"))), record / "quick.json")
    path, argv = chance.choice(
        [
            (record / "quick.json", ["check", "--recorded", EXPERIMENT]),
            (record / "quick.json", ["check", "--recorded", EXPERIMENT]),
            (record / "calibration.json", ["check", "--recorded", EXPERIMENT]),
            (scratch.root / "data/catalogue.yaml", ["list", "--all"]),
            (scratch.root / "data/datasets.yaml", ["data", chance.choice(["list", "verify"])]),
            (photograph, ["data", "verify", "photographs"]),
            (filters, ["data", chance.choice(["verify", "fetch"]), "filters"]),
            (kept, ["run", EXPERIMENT, "--seed", "0"]),
        ]
    )
    how, act = chance.choice(damages(chance))
    if path.suffix == ".json" and chance.random() < 0.6:
        how, act = "edited", edited(chance)
    return Case(
        "damaged file", argv, EITHER, damage=lambda: scratch.damage(path, act),
        note=f"{path.name} {how}",
    )  # fmt: skip


def outputs(chance: random.Random) -> Case:
    """Nobody reads, nothing can be written, or there is no standard output at all."""
    stdout = chance.choice(["full", "gone", "closed"])
    right = {
        "full": frozenset({1, 2, 74, 120, 141}),
        "gone": frozenset({0, 1, 141, -signal.SIGPIPE}),
        "closed": EITHER,
    }
    return Case("output", chance.choice(HARMLESS), right[stdout], stdout=stdout, note=stdout)


def unwritable(chance: random.Random, scratch: Scratch) -> Case:
    """Finished runs or the record cannot be kept: what was computed is said all the same."""
    blocked = chance.choice(["/proc/no", "/dev/null/no", str(scratch.root / "data/datasets.yaml")])
    argv = ["run", CLAIM, "--seed", str(chance.randrange(100, 200))]
    if chance.random() < 0.6:
        return Case("unwritable", argv, EITHER, {"WHYDEEP_RUNS": blocked}, says=CLAIM)
    if chance.random() < 0.5:
        argv = ["record", CLAIM]
    # A file may have so many bytes: as on a disk that is full.
    limit = {resource.RLIMIT_FSIZE: chance.choice([0, 100])}
    return Case("unwritable", argv, EITHER, limits=limit, says=CLAIM)


def scarce(chance: random.Random) -> Case:
    """Few files may be open."""
    limit = {resource.RLIMIT_NOFILE: chance.choice([3, 4, 6, 10, 16])}
    return Case("few files", chance.choice(HARMLESS), EITHER, limits=limit)


# ------------------------------------------------------------------------------ running a case


def prepared(case: Case, scratch: Scratch) -> dict[str, str]:
    environment = scratch.environment()
    for name, value in case.environment.items():
        environment.pop(name, None)
        if value is not None:
            environment[name] = value
    return environment


def settle(case: Case, environment: dict[str, str], out: int, err: int) -> None:
    """Give this process what the case says, before the command starts in it."""
    if case.folder == "gone":
        gone = tempfile.mkdtemp()
        os.chdir(gone)
        os.rmdir(gone)
    os.dup2(err, 2)
    if case.stdout == "full":
        os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
    elif case.stdout == "gone":
        reader, writer = os.pipe()
        os.close(reader)
        os.dup2(writer, 1)
    elif case.stdout == "closed":
        os.close(1)
    else:
        os.dup2(out, 1)
    os.closerange(3, 256)
    for kind, size in case.limits.items():
        resource.setrlimit(kind, (size, size))


def forked(case: Case, scratch: Scratch, main: Callable) -> Outcome:
    """Run the case in a fork of this process, in which the package is imported already."""
    environment = prepared(case, scratch)

    def child(out: int, err: int) -> None:
        settle(case, environment, out, err)
        os.environ.clear()
        os.environ.update(environment)
        sys.stdin = None
        coding = environment.get("PYTHONIOENCODING", "utf-8")
        sys.stderr = opened(2, coding, "backslashreplace")
        sys.stdout = None if case.stdout == "closed" else opened(1, coding, "strict")
        sys.argv = ["whydeep", *case.argv]
        status: int | str | None = 1
        try:
            status = main(case.argv)
        except SystemExit as left:
            status = left.code
        except BaseException:
            traceback.print_exc()
        try:
            if sys.stdout is not None:
                sys.stdout.flush()
        except OSError as error:
            print(f"Exception ignored in: stdout: {error}", file=sys.stderr)
            status = 120
        sys.stderr.flush()
        os._exit(status if isinstance(status, int) else 0 if status is None else 1)

    return collected(lambda out, err: fork(lambda: child(out, err)))


def opened(descriptor: int, coding: str, errors: str) -> io.TextIOWrapper:
    """A text stream as Python itself makes one for the descriptor when it starts."""
    return io.TextIOWrapper(io.FileIO(descriptor, "w", closefd=False), coding, errors)


def fork(child: Callable[[], None]) -> Callable[[], int | None]:
    """Run `child` in a fork of this process; what waits for its exit status."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(99)
    return lambda: waited(pid)


def collected(start: Callable[[int, int], Callable[[], int | None]]) -> Outcome:
    """What a process says that writes into two pipes. A file would share its limit of size."""
    pipes = [os.pipe(), os.pipe()]
    wait = start(pipes[0][1], pipes[1][1])
    said: list[bytes] = [b"", b""]

    def listen(number: int) -> None:
        with open(pipes[number][0], "rb") as reader:
            said[number] = reader.read()

    for _, writer in pipes:
        os.close(writer)
    listeners = [threading.Thread(target=listen, args=(number,)) for number in range(2)]
    for listener in listeners:
        listener.start()
    status = wait()
    for listener in listeners:
        listener.join()
    return Outcome(status, *(text.decode("utf-8", "replace") for text in said))


def waited(pid: int) -> int | None:
    """The exit status of a child; None if it had to be killed after PATIENCE seconds."""
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return None


def started(case: Case, scratch: Scratch) -> Outcome:
    """Run the case as a process of its own."""
    environment = prepared(case, scratch)

    def start(out: int, err: int) -> Callable[[], int | None]:
        process = subprocess.Popen(
            [sys.executable, "-c", START, *case.argv],
            env=environment,
            close_fds=False,
            preexec_fn=lambda: settle(case, environment, out, err),
        )
        return lambda: ended(process)

    return collected(start)


def ended(process: subprocess.Popen) -> int | None:
    try:
        return process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


def try_cases(options: argparse.Namespace, scratch: Scratch) -> tuple[Counter, Counter]:
    """Run the cases; how many there were of each family, and their faults by (family, fault)."""
    sys.path.insert(0, str(ROOT / "code"))
    cli = importlib.import_module("whydeep.cli")
    importlib.import_module("whydeep.experiments").experiments()
    tried, faults = Counter(), Counter()
    for number, case in enumerate(cases(options.cases, random.Random(options.seed), scratch)):
        if options.only not in (None, number):
            continue
        tried[case.family] += 1
        if case.damage:
            case.damage()
        # A process with three files cannot even load Python's own modules: not the command's fault.
        own = number % 10 == 0 and not case.limits
        outcome = started(case, scratch) if own else forked(case, scratch, cli.main)
        scratch.mend()
        found = outcome.faults(case)
        faults.update((case.family, fault) for fault in found)
        if found or options.only is not None:
            last = outcome.err.strip().splitlines()[-1:] or ["nothing on stderr"]
            given = case.environment | ({"note": case.note} if case.note else {}) | case.limits
            print(
                f"#{number} {', '.join(found) or 'fine'}: whydeep {shown(case.argv)} {given or ''} "
                f"-> {outcome.status}: {last[0][:160]!r}",
                flush=True,
            )
            if options.only is not None:
                print(outcome.out[-2000:], outcome.err[-4000:], sep="\n---\n")
    return tried, faults


def shown(argv: list[str]) -> str:
    return " ".join(ascii(word)[:60] for word in argv)


# ------------------------------------------------------------------------------ interruptions


def kept_runs(scratch: Scratch) -> dict[Path, tuple[int, bytes]]:
    """The finished runs on disk: when each was written, and what it holds."""
    return {
        path: (path.stat().st_mtime_ns, path.read_bytes()) for path in scratch.runs.rglob("*.json")
    }


def recorded_runs(scratch: Scratch) -> dict:
    path = scratch.root / "data/results" / EXPERIMENT / "quick.json"
    return json.loads(path.read_text("utf-8"))["runs"]


def launch(argv: list[str], scratch: Scratch, err=subprocess.DEVNULL) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", START, *argv],
        env=scratch.environment(),
        stdout=subprocess.DEVNULL,
        stderr=err,
    )


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL, signal.SIGHUP)


def try_interruptions(options: argparse.Namespace, scratch: Scratch) -> tuple[Counter, Counter]:
    """Interrupt a command again and again until its work is done; then do it all anew.

    How long starting and the whole take is measured first, without interruption, and what the
    record then holds is what every interrupted one must hold in the end.
    """
    chance = random.Random(options.seed)
    tried, faults = Counter(), Counter()
    commands = (["record", CLAIM], ["check", CLAIM], ["run", CLAIM, "--seed", "3"])
    shutil.rmtree(scratch.runs, ignore_errors=True)
    began = time.monotonic()
    assert launch(["list"], scratch).wait() == 0
    starting = time.monotonic() - began
    began = time.monotonic()
    assert launch(commands[0], scratch).wait() == 0
    whole = time.monotonic() - began
    expected = recorded_runs(scratch)
    print(f"starting takes {starting:.1f} s, all {len(kept_runs(scratch))} runs {whole:.1f} s")
    shutil.rmtree(scratch.runs)
    number = 0
    while number < options.interrupts:
        what = chance.choice(SIGNALS)
        early = chance.random() < 0.4
        argv = list(chance.choice(commands))
        moment = chance.uniform(0.0, starting) if early else chance.uniform(starting, whole)
        before = kept_runs(scratch)
        with tempfile.TemporaryFile() as err:
            process = launch(argv, scratch, err)
            time.sleep(moment)
            over = process.poll() is not None
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(what)
            status = ended(process)
            err.seek(0)
            said = err.read().decode("utf-8", "replace")
        found = ["no answer"] if status is None else []
        found += judged(what, status, said, over)
        after = kept_runs(scratch)
        if any(after.get(path) != was for path, was in before.items()) or not whole_files(after):
            found.append("run lost")
        if not over:
            number += 1
            family = f"{what.name} {'at the start' if early else 'in a run'}"
            tried[family] += 1
            faults.update((family, fault) for fault in found)
            if found:
                last = said.strip().splitlines()[-1:] or ["nothing on stderr"]
                print(
                    f"{family} after {moment:.2f} s of whydeep {shown(argv)}: {', '.join(found)}; "
                    f"{status}: {last[0][:160]!r}",
                    flush=True,
                )
        if (argv == commands[0] and over) or len(after) >= 15:
            faults.update(check_result(scratch, commands[0], expected))
            shutil.rmtree(scratch.runs, ignore_errors=True)
    faults.update(check_result(scratch, commands[0], expected))
    return tried, faults


def judged(what: signal.Signals, status: int | None, said: str, over: bool) -> list[str]:
    """The faults in how a command ended that got the signal `what`, unless it was over before."""
    found = []
    if re.search(r"^Traceback|Exception ignored|KeyboardInterrupt", said, re.MULTILINE):
        found.append("traceback")
    # 0 and 1: the command had just come to its end.
    right = {0, 1, 130} if what == signal.SIGINT else {0, 1, 128 + what, -what}
    if status is not None and status not in right and not over:
        found.append("status")
    if what == signal.SIGINT and status == 130 and said.count("\n") != 1:
        found.append("not one line")
    return found


def whole_files(runs: dict[Path, tuple[int, bytes]]) -> bool:
    for _, content in runs.values():
        try:
            json.loads(content)
        except ValueError:
            return False
    return True


def check_result(scratch: Scratch, argv: list[str], expected: dict) -> list[tuple[str, str]]:
    """Let the command run to its end; a fault if that fails or the record is another one."""
    before = kept_runs(scratch)
    status = launch(argv, scratch).wait()
    kept = kept_runs(scratch)
    lost = any(kept.get(path) != was for path, was in before.items())
    wrong = status != 0 or recorded_runs(scratch) != expected
    return [("resumed to the end", "run lost")] * lost + [("resumed to the end", "record")] * wrong


# ------------------------------------------------------------------------------ the summary


def table(tried: Counter, faults: Counter) -> str:
    columns = sorted({fault for _, fault in faults}) or ["faults"]
    rows = [["", "tried", *columns]]
    families = list(dict.fromkeys([*tried, *(family for family, _ in faults)]))
    for family in families:
        counts = [faults[family, column] for column in columns]
        rows.append([family, tried[family], *counts])
    rows.append(
        ["all", sum(tried.values()), *(sum(faults[f, c] for f in families) for c in columns)]
    )
    return "\n".join(f"{row[0]:24}" + "".join(f"{cell!s:>14}" for cell in row[1:]) for row in rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=500, help="how many bad command lines")
    parser.add_argument("--interrupts", type=int, default=50, help="how many interruptions")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same cases")
    parser.add_argument("--only", type=int, help="only the case of this number, with all it says")
    options = parser.parse_args()
    print(f"seed {options.seed}, entry {ENTRY_MODULE}:{ENTRY_FUNCTION}")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        scratch = Scratch(Path(folder))
        for count, attempt in (
            (options.cases, try_cases),
            (0 if options.only is not None else options.interrupts, try_interruptions),
        ):
            if count:
                tried, faults = attempt(options, scratch)
                print(table(tried, faults))
                bad += faults.total()
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
