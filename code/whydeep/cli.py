"""The command line: list, run, check, record, certify, data.

Exit 0 is as registered, 1 not, 2 bad input, 130 an interrupted command, 141 one whose output nobody
reads any more. torch is imported late, so that --help and bad input are answered at once, and
everything that can go wrong is one line.
"""

from __future__ import annotations

import argparse
import errno
import json
import os
import re
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn

from whydeep import interrupted
from whydeep.errors import BadSettings, WhydeepError

if TYPE_CHECKING:
    from types import ModuleType

    from whydeep.evidence.certify import Outcome
    from whydeep.evidence.claims import Measured, Verdict
    from whydeep.evidence.results import Record

CALIBRATION = "1000-1019"
BESIDE = "100-104"  # the seeds of neighbours
MOST_SEEDS = 10_000
MOST_JOBS = 1024
MISSHAPEN = (KeyError, TypeError, AttributeError, RecursionError)
OUTPUT_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
SHARE = 360.0  # CPU seconds that --changed spends on records whose code has not changed


def _seeds(text: str) -> list[int]:
    """``0-4``, ``7`` or ``1,3,5-8``; every headline number has a spread over such seeds."""
    spans = [
        re.fullmatch(r"([0-9]{1,10})(?:-([0-9]{1,10}))?", part.strip()) for part in text.split(",")
    ]
    known = [span for span in spans if span]
    if len(known) < len(spans):
        raise BadSettings(f"seeds {text!r} not understood: write 0-4, 7 or 1,3,5-8")
    ends = [(int(span[1]), int(span[2] or span[1])) for span in known]
    for first, last in ends:
        if last < first:
            raise BadSettings(f"seeds {text!r} run backwards from {first} to {last}: write 0-4")
    if sum(last - first + 1 for first, last in ends) > MOST_SEEDS:
        raise BadSettings(f"seeds {text!r} are more than {MOST_SEEDS:,}: choose fewer")
    return list(dict.fromkeys(seed for first, last in ends for seed in range(first, last + 1)))


def _whole(least: int, most: int) -> Any:
    """A type for argparse: a whole number in ASCII digits, within bounds."""

    def number(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,20}", text) or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {least} to {most:,}"
            )
        return int(text)

    return number


# ---------------------------------------------------------------------------------- verdicts


def _verdicts(module: ModuleType, record: Record, only: str | None = None) -> list[Verdict]:
    from whydeep.evidence.claims import judge

    claims = [claim for claim in module.CLAIMS if only in (None, claim.id)] or module.CLAIMS
    try:
        return [judge(claim, record.runs, share=record.share()) for claim in claims]
    except (KeyError, TypeError, IndexError) as error:
        raise WhydeepError(
            f"the runs of {record.experiment} ({record.scale}) lack what its claims measure "
            f"({error!r}): run `whydeep record {record.experiment}`, or restore its record with git"
        ) from None


def _print_verdict(verdict: Verdict) -> None:
    mark = "ok " if verdict.as_registered else "NOT AS REGISTERED"
    print(f"{mark} {verdict}; registered: {verdict.claim.expected}{_otherwise(verdict)}")
    for m in verdict.measured:
        c = m.condition
        aside = ", about the reason" if m in verdict.mechanism else ""
        print(f"     {c.name} = {_interval(m)} ({c.sense} {c.bound:g}: {m.state}{aside})")
        if m.of_theirs:
            ours, low, high = m.of_theirs
            ratio = f"{ours:.2g} [{low:.2g}, {high:.2g}]"
            print(f"         the source {c.source:g}; ours over theirs {ratio}")
    for outcome in verdict.controls:
        values = _intervals(outcome.measured)
        print(f"     control {outcome.control.variant}: {outcome.why} ({values})")


def _intervals(measured: Sequence[Measured]) -> str:
    return ", ".join(f"{m.condition.name} = {_interval(m)}" for m in measured)


def _interval(measured: Measured) -> str:
    """Middle and interval over the seeds; of one value, or of values that do not vary, itself."""
    if not measured.low < measured.high:
        return f"{measured.centre:.4g}"
    return f"{measured.centre:.4g} [{measured.low:.4g}, {measured.high:.4g}]"


def _otherwise(verdict: Verdict) -> str:
    """What differs where the word is the registered one, and yet not all is as registered."""
    if verdict.as_registered or verdict.word != verdict.claim.expected:
        return ""
    return f", but missing {', '.join(verdict.claim.missed)}"


# ---------------------------------------------------------------------------------- commands


def command_list(args: argparse.Namespace) -> int:
    """One row a runnable claim; with --all the catalogue's entries that are not yet run too."""
    from whydeep.experiments import experiments

    rows = [
        dict(
            id=c.id,
            experiment=name,
            kind=c.kind,
            expected=c.expected,
            page=module.PAGE,
            title=c.title,
        )
        for name, module in experiments().items()
        for c in module.CLAIMS
    ]
    if args.all:
        done = {row["id"] for row in rows}
        later = dict(experiment=None, kind=None, expected="not yet run", page=None, title=None)
        rows += [{"id": each} | later for each in _catalogue() if each not in done]
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            print(f"{row['id']:45} {row['expected']:14} {row['title'] or ''}")
    return 0


def _catalogue() -> list[str]:
    """The ids of the catalogue's entries."""
    import yaml

    from whydeep.evidence.provenance import repository

    path = repository() / "data" / "catalogue.yaml"
    try:
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["entries"]
        return [str(entry["id"]) for entry in entries]
    except FileNotFoundError:
        raise WhydeepError(f"no {path}: restore it with git") from None
    except (OSError, ValueError, yaml.YAMLError, *MISSHAPEN) as error:
        raise WhydeepError(
            f"{path} is damaged ({type(error).__name__}): restore it with git"
        ) from None


def command_run(args: argparse.Namespace) -> int:
    """One seed of an experiment and its controls, beside the recorded seeds. It judges nothing."""
    from whydeep.evidence.results import MAIN, sweep
    from whydeep.experiments import find

    name, module = find(args.id)
    record = sweep(module, name, args.scale, [args.seed], device=args.device, progress=True)
    only = args.id if args.id != name else None
    here = _verdicts(module, record, only)
    known = _recorded_verdicts(name, module, args.scale, only) or [None] * len(here)
    if not args.json:
        for one, recorded in zip(here, known, strict=True):
            _print_beside(one, recorded, args.seed)
        return 0
    main = record.runs[MAIN][args.seed]
    told = {
        "id": args.id,
        "seed": args.seed,
        "values": {n: v.tolist() for n, v in main.items()},
        "claims": [_beside(*pair) for pair in zip(here, known, strict=True)],
        "provenance": record.provenance,
    }
    print(json.dumps(told, indent=1))
    return 0


def _recorded_verdicts(
    name: str, module: ModuleType, scale: str, only: str | None
) -> list[Verdict] | None:
    """The verdicts from the committed record; None where there is none of this scale."""
    from whydeep.evidence.results import read_record, record_path

    if scale != _scale(module) or not record_path(name, scale).is_file():
        return None
    try:
        return _verdicts(module, read_record(name, scale), only)
    except WhydeepError as error:
        print(f"whydeep: {error}", file=sys.stderr)
        return None


def _print_beside(one: Verdict, recorded: Verdict | None, seed: int) -> None:
    """Each condition of one seed, and over the recorded seeds what it was."""
    word = f"over the recorded seeds: {recorded.word}" if recorded else "no record of this scale"
    print(f"{one.claim.id}: one seed judges nothing; {word}")
    before = {m.condition.name: m for m in recorded.measured} if recorded else {}
    for m in one.measured:
        print(f"     {_seed_beside(m, before.get(m.condition.name), seed)}")
    outcomes = recorded.controls if recorded else [None] * len(one.controls)
    for outcome, known in zip(one.controls, outcomes, strict=True):
        print(f"     control {outcome.control.variant}" + (f": {known.why}" if known else ""))
        before = {m.condition.name: m for m in known.measured} if known else {}
        for m in outcome.measured:
            print(f"         {_seed_beside(m, before.get(m.condition.name), seed)}")


def _seed_beside(measured: Measured, recorded: Measured | None, seed: int) -> str:
    c = measured.condition
    beside = f"; recorded {_interval(recorded)}, {recorded.state}" if recorded else ""
    return f"{c.name} = {measured.mean:.4g} on seed {seed} ({c.sense} {c.bound:g}{beside})"


def _beside(one: Verdict, recorded: Verdict | None) -> dict:
    """One claim of ``run --json``: the recorded word, this seed's numbers and the intervals."""
    before = {m.condition.name: m for m in recorded.measured} if recorded else {}

    def interval(name: str) -> list[float] | None:
        known = before.get(name)
        return [known.low, known.high] if known else None

    return {
        "id": one.claim.id,
        "expected": one.claim.expected,
        "verdict": recorded.word if recorded else None,
        "measured": [
            {
                "condition": m.condition.name,
                "value": m.mean,
                "bound": m.condition.bound,
                "recorded": interval(m.condition.name),
            }
            for m in one.measured
        ],
        "control": [
            {"variant": c.control.variant, "worked": c.worked, "why": c.why}
            for c in (recorded.controls if recorded else ())
        ],
    }


def command_check(args: argparse.Namespace) -> int:
    """Verdicts over several seeds, rerun or (--recorded) computed from the recorded arrays.

    A rerun is held against the record, number by number; --recorded also says which records and
    calibrations were made by other code.
    """
    from whydeep.experiments import experiments, find

    chosen = dict(find(each) for each in args.ids) if args.ids else experiments()
    if args.neighbours:
        return _check_neighbours(chosen, args)
    if args.recorded:
        if args.seeds is not None or args.device_named or args.jobs != 1 or args.scheduler:
            raise BadSettings(
                "--recorded judges the recorded seeds as they are: leave out --seeds, --device, "
                "--jobs and --scheduler, or leave out --recorded to run anew"
            )
        return _check_recorded(chosen)
    from whydeep.evidence.results import read_record

    records = {name: read_record(name, _scale(module)) for name, module in chosen.items()}
    due = _due(chosen, records) if args.changed else set(chosen)
    good = True
    for name in sorted(set(chosen) - due):
        print(f"{name} ({records[name].scale}, from its record)")
        good &= _print_verdicts(_verdicts(chosen[name], records[name]))
    for rerun in _rerun({name: chosen[name] for name in chosen if name in due}, records, args):
        fine = _check_rerun(chosen[rerun.experiment], records[rerun.experiment], rerun)
        good &= fine
        if args.changed and fine:
            _note_verified(rerun.experiment)
    return 0 if good else 1


def _print_verdicts(verdicts: list[Verdict]) -> bool:
    """Print them; whether all are as registered."""
    for verdict in verdicts:
        _print_verdict(verdict)
    return all(verdict.as_registered for verdict in verdicts)


def _scale(module: ModuleType) -> str:
    from whydeep.experiments import recorded_scale

    return recorded_scale(module)


def _check_recorded(chosen: dict[str, ModuleType]) -> int:
    from whydeep.evidence.certify import earlier, stale
    from whydeep.evidence.results import read_record

    good = True
    for name, module in chosen.items():
        record = read_record(name, _scale(module))
        print(f"{name} ({record.scale}, from its record)")
        good &= _print_verdicts(_verdicts(module, record))
        for scale in (record.scale, *(["calibration"] if module.CLAIMS else [])):
            found = read_record(name, scale)
            if why := earlier(found):
                print(f"     {scale}: of earlier code: {why}")
            if changed := stale(module, found):
                good = False
                print(
                    f"     STALE {scale}: {', '.join(changed[:5])} changed since: run "
                    f"`whydeep certify {name}`"
                )
    return 0 if good else 1


def _rerun(
    chosen: dict[str, ModuleType], records: dict[str, Record], args, *, beside: bool = False
) -> Iterator[Record]:
    """The experiments, or their neighbours, run anew, each as soon as its last run has ended."""
    from whydeep.evidence.results import Sweep, sweeps

    asked = None if args.seeds is None else tuple(_seeds(args.seeds))
    return sweeps(
        [
            Sweep(module, name, _scale(module), asked or tuple(records[name].seeds), beside)
            for name, module in chosen.items()
        ],
        device=args.device,
        progress=True,
        resume=not args.changed,
        jobs=args.jobs,
        scheduler=args.scheduler,
        cost=lambda task: records[task[0]].provenance.get("seconds", 1.0),
    )


def _check_rerun(module: ModuleType, record: Record, rerun: Record) -> bool:
    """Print the verdicts of a rerun and how its numbers compare; whether all is as it should be.

    Where the numbers are within chance on another arithmetic, a word that tips over is told, and is
    no failure: then the seeds do not settle it, and no processor's word is better than another's.
    """
    from whydeep.evidence.compare import MOVED, WITHIN, compare
    from whydeep.evidence.results import MAIN

    timed = getattr(module, "TIMED", ())
    print(f"{rerun.experiment} ({rerun.scale}, rerun)")
    found, good = compare(record, rerun, timed), True
    for verdict, recorded in zip(_verdicts(module, rerun), _verdicts(module, record), strict=True):
        first = rerun.runs[MAIN][rerun.seeds[0]]
        if timed and not verdict.claim.reads(first).isdisjoint(timed):
            print(f"     timed, so judged as recorded on {record.provenance.get('processor')}:")
            verdict = recorded
        fine = _print_verdicts([verdict])
        if not fine and found.word == WITHIN and recorded.as_registered:
            print("     the numbers are within chance of the recorded ones: told, not a failure")
            fine = True
        good &= fine
    print(f"     numbers: {found}")
    return good and found.word != MOVED


def _check_neighbours(chosen: dict[str, ModuleType], args: argparse.Namespace) -> int:
    """How far each effect carries, its neighbours run anew or (--recorded) as recorded."""
    from whydeep.evidence.compare import MOVED, compare
    from whydeep.evidence.results import NEAR, read_record

    if args.changed or args.seeds is not None:
        raise BadSettings(
            "--neighbours runs the recorded seeds of all neighbours: leave out --changed and "
            "--seeds"
        )
    chosen = {name: m for name, m in chosen.items() if getattr(m, "NEIGHBOURS", ())}
    records = {name: read_record(name, NEAR) for name in chosen}
    if args.recorded:
        for name, module in chosen.items():
            _print_carried(name, module, records[name])
        return 0
    good = True
    for rerun in _rerun(chosen, records, args, beside=True):
        name = rerun.experiment
        _print_carried(name, chosen[name], rerun)
        found = compare(records[name], rerun, getattr(chosen[name], "TIMED", ()))
        print(f"     numbers: {found}")
        good &= found.word != MOVED
    return 0 if good else 1


def _print_carried(name: str, module: ModuleType, record: Record) -> None:
    """A line for each neighbour of each claim: whether the effect carries, and its numbers."""
    from whydeep.evidence.near import carried
    from whydeep.evidence.results import read_record

    print(f"{name} (neighbours)")
    for verdict in _verdicts(module, read_record(name, _scale(module))):
        for each in carried(verdict, module, record):
            word = "carries" if each.carries else "does not carry"
            numbers, beside = _intervals(each.measured), _intervals(each.control)
            print(f"     {verdict.claim.id} {word} to {each.neighbour.name}: {numbers}")
            print(f"         control {verdict.claim.controls[0].variant}: {beside or 'none'}")


def command_record(args: argparse.Namespace) -> int:
    """Run the seeds and write the record; --calibration, --neighbours: their runs instead."""
    from whydeep.evidence.results import MAIN, Record, Sweep, say_unkept, sweeps, write_record
    from whydeep.experiments import find, recorded_seeds

    for option in ("scale", "device_named", "scheduler"):
        if getattr(args, option) == "":
            raise BadSettings(
                f"--{option.removesuffix('_named')} is empty: leave it out, or name one"
            )
    name, module = find(args.id)
    scale = args.scale or _scale(module)
    if args.neighbours and not getattr(module, "NEIGHBOURS", ()):
        raise BadSettings(f"{name} has no neighbours to record")
    if args.calibration or args.neighbours:
        seeds = _seeds(CALIBRATION if args.calibration else BESIDE)
    else:
        seeds = recorded_seeds(module)
    unkept: set[str] = set()  # told with the record: where that fails too, both are one line

    def tell(why: str) -> None:
        unkept.add(why)
        if sys.stderr and sys.stderr.isatty():  # somebody who sees it now can make room
            say_unkept(why)

    how = dict(device=args.device, progress=True, jobs=args.jobs, scheduler=args.scheduler)
    pool = "calibration" if args.calibration else "reporting"
    wanted = Sweep(module, name, scale, tuple(seeds), beside=args.neighbours)
    try:
        (record,) = sweeps([wanted], pool=pool, unkept=tell, **how)
    except BaseException:
        for why in unkept:
            say_unkept(why)
        raise
    if args.calibration:
        # What bounds are set by: single numbers, and what the conditions read.
        first = record.runs[MAIN][record.seeds[0]]
        kept = {name for name, value in first.items() if value.ndim == 0}
        kept = kept.union(*(claim.reads(first) for claim in module.CLAIMS))
        runs = {
            variant: {seed: r.only(n for n in r if n in kept) for seed, r in by_seed.items()}
            for variant, by_seed in record.runs.items()
        }
        record = Record(name, "calibration", record.provenance | {"scale": scale}, runs)
    if args.neighbours:
        _print_carried(name, module, record)
    else:
        _print_verdicts(_verdicts(module, record))
    path = write_record(record, unkept)
    for why in unkept:
        say_unkept(why)
    print(f"written: {path}")
    return 0


def _certify(task: tuple[str, str]) -> Outcome:
    """Certify one record, by names, so that another process can."""
    from whydeep.evidence.certify import certify
    from whydeep.experiments import experiments

    name, scale = task
    return certify(experiments()[name], name, scale)


def command_certify(args: argparse.Namespace) -> int:
    """Whether rewritten code makes a record's numbers bit by bit; then the record stays valid."""
    from whydeep.evidence.results import write_record
    from whydeep.evidence.spread import spread
    from whydeep.experiments import experiments, find

    chosen = dict(find(each) for each in args.ids) if args.ids else experiments()
    tasks = [
        (name, scale)
        for name, module in chosen.items()
        for scale in (_scale(module), *(["calibration"] if module.CLAIMS else []))
    ]
    good = True
    for _, outcome in spread(_certify, tasks, jobs=args.jobs):
        good &= outcome.good
        if outcome.record:  # written here, since two that renew the checksums at once lose one
            write_record(outcome.record)
        if outcome.word != "stands":
            print(outcome, flush=True)
    print(f"{len(tasks)} records and calibrations looked at")
    return 0 if good else 1


def command_data(args: argparse.Namespace) -> int:
    """What data the book ships, whether it is intact, and the full sets fetched on demand."""
    from whydeep import datasets

    if args.mirror is not None and args.action != "fetch":
        raise BadSettings(f"--mirror is for fetch: data {args.action} reads what is here")

    if args.action == "list":
        for file in datasets.entries(args.name):
            print(f"{file.name:44} {file.bytes:>10,} bytes  {file.licence}")
        return 0
    if args.action == "fetch":
        print(datasets.fetch(args.name, mirror=args.mirror))
        return 0
    rows = datasets.verify(args.name)
    for name, ok, message in rows:
        print(f"{'ok ' if ok else 'BAD'} {name}: {message}")
    return 0 if all(ok for _, ok, _ in rows) else 1


# ------------------------------------------------------------------------- what is due to be rerun


def _due(chosen: dict[str, ModuleType], records: dict[str, Record]) -> set[str]:
    """What CI reruns: all whose code has changed, and of the others the oldest for SHARE seconds.

    A record is as old as its last check on this machine, or else its recording; among equals the
    day draws, so that each has its turn wherever nothing is remembered.
    """
    from whydeep.evidence.certify import stale

    changed = {name for name, module in chosen.items() if stale(module, records[name])}
    verified, left = _verified(), SHARE
    due = set(changed)
    for name in sorted(set(chosen) - changed, key=lambda each: _age(each, records, verified)):
        spent = _seconds(records[name])
        if spent <= left:
            due.add(name)
            left -= spent
    return due


def _seconds(record: Record) -> float:
    """CPU seconds that rerunning the record takes."""
    runs = sum(map(len, record.runs.values()))
    return runs * float(record.provenance.get("seconds", 1.0))


def _age(name: str, records: dict[str, Record], verified: dict[str, str]) -> tuple[str, str]:
    import hashlib
    from datetime import date

    drawn = hashlib.sha256(f"{name} {date.today().isoformat()}".encode()).hexdigest()
    return max(verified.get(name, ""), str(records[name].provenance["recorded"])), drawn


def _verified_path():
    from whydeep.evidence.provenance import repository

    return repository() / ".whydeep" / "verified.json"


def _verified() -> dict[str, str]:
    """The day of each record's last check on this machine; forgetting it costs nothing."""
    try:
        found = json.loads(_verified_path().read_text(encoding="utf-8"))
        return {str(name): str(day) for name, day in found.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _note_verified(name: str) -> None:
    from contextlib import suppress
    from datetime import date

    from whydeep.evidence.results import write_atomically

    with suppress(OSError):
        days = _verified() | {name: date.today().isoformat()}
        write_atomically(_verified_path(), json.dumps(days, indent=1, sort_keys=True) + "\n")


# ------------------------------------------------------------------------------------- the grammar


class _Parser(argparse.ArgumentParser):
    """Tells bad arguments like any other bad input: in one line, with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")

    def _print_message(self, message: str, file: Any = None) -> None:
        """As argparse has it, which however keeps it to itself that nothing could be written."""
        file = file or sys.stderr
        if message and file is not None:
            file.write(message)


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = _Parser(prog="whydeep", description=__doc__)
    top.add_argument("--version", action="version", version=f"whydeep {version('whydeep')}")
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, function) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=function.__doc__.partition("\n")[0])
        sub.set_defaults(function=function, device=None)
        return sub

    def spread_out(sub: argparse.ArgumentParser) -> None:
        text = "so many processes at a time"
        sub.add_argument("--jobs", type=_whole(1, MOST_JOBS), default=1, metavar="N", help=text)
        text = "a Dask scheduler, tcp://host:port, whose workers take the runs"
        sub.add_argument("--scheduler", metavar="ADDRESS", help=text)

    sub = command("list", command_list)
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--all", action="store_true")
    sub = command("run", command_run)
    sub.add_argument("id")
    sub.add_argument("--scale", default="quick")
    sub.add_argument("--seed", type=_whole(0, 2**32 - 1), default=0)
    sub.add_argument("--device")
    sub.add_argument("--json", action="store_true")
    sub = command("check", command_check)
    sub.add_argument("ids", nargs="*")
    sub.add_argument("--seeds", help="such as 0-4, 7 or 1,3,5-8; the recorded ones if left out")
    sub.add_argument("--device")
    spread_out(sub)
    text = "how far effects carry: settings that ought not to matter"
    sub.add_argument("--neighbours", action="store_true", help=text)
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--recorded", action="store_true", help="recompute from the recorded arrays")
    how.add_argument("--changed", action="store_true", help="rerun what changed, and the oldest")
    sub = command("record", command_record)
    sub.add_argument("id")
    sub.add_argument("--scale")
    sub.add_argument("--device")
    spread_out(sub)
    which = sub.add_mutually_exclusive_group()
    which.add_argument("--calibration", action="store_true")
    which.add_argument("--neighbours", action="store_true")
    sub = command("certify", command_certify)
    sub.add_argument("ids", nargs="*")
    sub.add_argument("--jobs", type=_whole(1, MOST_JOBS), default=1, metavar="N")
    sub = command("data", command_data)
    sub.add_argument("action", choices=["list", "verify", "fetch"])
    sub.add_argument("name", nargs="?")
    sub.add_argument("--mirror", help="a folder of files under this URL, instead of our list")
    return top


def _run_command(argv: Sequence[str] | None) -> int:
    args = parser().parse_args(argv)
    if "device" in args and args.command != "list":
        args.device_named = args.device is not None
        if args.command in ("run", "check", "record") and not getattr(args, "recorded", False):
            from whydeep.device import device

            if args.device == "":
                raise BadSettings("--device is empty: leave it out, or name one")
            args.device = str(device(args.device))
    if getattr(args, "scheduler", None) and args.jobs != 1:
        raise BadSettings("--jobs is for this machine, --scheduler for a cluster: choose one")
    if args.command != "data":
        _load()
    if signal.getsignal(signal.SIGINT) is interrupted.leave_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        return args.function(args)
    except KeyboardInterrupt:
        told = (
            "whydeep: interrupted; no half file is left"
            if args.command == "data"
            else interrupted.MESSAGE
        )
        print(told, file=sys.stderr)
        return 130


def _load() -> None:
    """Import all experiments, and torch with them, before Ctrl-C is an exception again."""
    from whydeep.experiments import experiments

    experiments()


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a WhydeepError is one line on stderr and status 2, Ctrl-C is 130."""
    # One thread a run: more of them change the last digits, and --jobs makes better use of cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    _stand_somewhere()
    try:
        try:
            return _run_command(argv)
        finally:
            if sys.stdout is not None:  # as it is where the shell has closed it
                sys.stdout.flush()
    except WhydeepError as error:
        print(f"whydeep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(interrupted.MESSAGE, file=sys.stderr)
        return 130
    except BrokenPipeError:
        _forget_output()
        return 141
    except OSError as error:
        if sys.stdout is not None and error.errno in OUTPUT_FULL:
            _forget_output()
            print(f"whydeep: the output cannot be written ({error.strerror})", file=sys.stderr)
            return 2
        if error.errno in (errno.EMFILE, errno.ENFILE):
            print("whydeep: too many files are open: raise the limit (ulimit -n)", file=sys.stderr)
            return 2
        raise


def _stand_somewhere() -> None:
    """Leave a working folder that has been removed: in one, oneMKL ends whoever imports torch."""
    try:
        os.getcwd()
    except OSError:
        import tempfile

        os.chdir(tempfile.gettempdir())


def _forget_output() -> None:
    """Let Python's own flush at the end go nowhere, instead of failing once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
