"""The command line: list, run, check, record, data. Exit 0 as registered, 1 not, 2 bad input."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Sequence
from datetime import date
from types import ModuleType
from typing import NoReturn

import yaml

from whydeep import datasets
from whydeep.claims import Verdict, judge
from whydeep.device import device as choose_device
from whydeep.errors import BadSettings, WhydeepError
from whydeep.experiments import experiments, find, recorded_scale
from whydeep.provenance import code_hash, repository
from whydeep.results import MAIN, Record, Result, read_record, sweep, write_record

CALIBRATION = "1000-1019"


def _seeds(text: str) -> list[int]:
    """``0-4``, ``7`` or ``1,3,5-8``; every headline number has a spread over such seeds."""
    spans = [re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip()) for part in text.split(",")]
    if not all(spans):
        raise BadSettings(f"seeds {text!r} not understood: write 0-4, 7 or 1,3,5-8")
    ends = [(int(span[1]), int(span[2] or span[1])) for span in spans]
    return [seed for first, last in ends for seed in range(first, last + 1)]


def _verdicts(module: ModuleType, runs: dict, only: str | None = None) -> list[Verdict]:
    claims = [claim for claim in module.CLAIMS if only in (None, claim.id)] or module.CLAIMS
    return [judge(claim, runs) for claim in claims]


def _print_verdict(verdict: Verdict) -> None:
    mark = "ok " if verdict.as_registered else "NOT AS REGISTERED"
    print(f"{mark} {verdict}; registered: {verdict.claim.expected}")
    for m in verdict.measured:
        c, n = m.condition, len(m.values)
        spread = f" +- {m.sd:.2g}" if n > 1 else ""
        margin = f"margin {m.margin_in_sd:.1f} sd over {n} seeds" if n > 1 else "1 seed"
        print(f"     {c.name} = {m.mean:.4g}{spread} ({c.sense} {c.bound:g}; {margin})")
    for outcome in verdict.controls:
        values = ", ".join(f"{m.condition.name} = {m.mean:.4g}" for m in outcome.measured)
        print(f"     control {outcome.control.variant}: {outcome.why} ({values})")


def command_list(args: argparse.Namespace) -> int:
    """One row a runnable claim; with --all the catalogue's entries that are not yet run too."""
    rows = [
        dict(id=c.id, experiment=name, kind=c.kind, expected=c.expected, page=module.PAGE)
        for name, module in experiments().items()
        for c in module.CLAIMS
    ]
    if args.all:
        done = {row["id"] for row in rows}
        path = repository() / "data" / "catalogue.yaml"
        entries = yaml.safe_load(path.read_text(encoding="utf-8"))["entries"]
        later = dict(experiment=None, kind=None, expected="not yet run", page=None)
        rows += [{"id": entry["id"]} | later for entry in entries if entry["id"] not in done]
    if args.json:
        print(json.dumps(rows, indent=1))
    else:
        for row in rows:
            print(f"{row['id']:45} {row['expected']:20} {row['page'] or ''}")
    return 0


def command_run(args: argparse.Namespace) -> int:
    """One seed of an experiment and its controls, with the verdicts that this seed alone gives."""
    name, module = find(args.id)
    record = sweep(module, name, args.scale, [args.seed], device=args.device, progress=True)
    verdicts = _verdicts(module, record.runs, args.id if args.id != name else None)
    if args.json:
        main: Result = record.runs[MAIN][args.seed]
        print(
            json.dumps(
                {
                    "id": args.id,
                    "seed": args.seed,
                    "values": {n: v.tolist() for n, v in main.items()},
                    "claims": [
                        {
                            "id": v.claim.id,
                            "expected": v.claim.expected,
                            "verdict": v.word,
                            "control": [
                                {"variant": c.control.variant, "worked": c.worked, "why": c.why}
                                for c in v.controls
                            ],
                        }
                        for v in verdicts
                    ],
                    "provenance": record.provenance,
                },
                indent=1,
            )
        )
    else:
        for verdict in verdicts:
            _print_verdict(verdict)
    return 0 if all(verdict.as_registered for verdict in verdicts) else 1


def _due(name: str, module: ModuleType) -> bool:
    """Whether CI reruns it: its code has changed since it was recorded, or its tenth is up."""
    record = read_record(name, recorded_scale(module))
    tenth = sorted(experiments()).index(name) % 10 == date.today().toordinal() % 10
    return record.provenance["code"] != code_hash(module.__name__) or tenth


def command_check(args: argparse.Namespace) -> int:
    """Verdicts over several seeds, rerun or (--recorded) computed from the recorded arrays."""
    chosen = dict(find(each) for each in args.ids) if args.ids else experiments()
    seeds, good = _seeds(args.seeds), True
    for name, module in chosen.items():
        scale = recorded_scale(module)
        rerun = _due(name, module) if args.changed else not args.recorded
        print(f"{name} ({scale}, {'rerun' if rerun else 'from its record'})")
        how = dict(device=args.device, progress=True, resume=not args.changed)
        record = sweep(module, name, scale, seeds, **how) if rerun else read_record(name, scale)
        for verdict in _verdicts(module, record.runs):
            _print_verdict(verdict)
            good &= verdict.as_registered
    return 0 if good else 1


def command_record(args: argparse.Namespace) -> int:
    """Run the seeds and write the record; --calibration: the seeds that fix the thresholds."""
    name, module = find(args.id)
    scale = args.scale or recorded_scale(module)
    seeds = _seeds(CALIBRATION if args.calibration else "0-4")
    record = sweep(module, name, scale, seeds, device=args.device, progress=True)
    if args.calibration:
        runs = {
            variant: {
                seed: Result(**{n: (v, result.units[n]) for n, v in result.items() if v.ndim == 0})
                for seed, result in by_seed.items()
            }
            for variant, by_seed in record.runs.items()
        }
        record = Record(name, "calibration", record.provenance | {"scale": scale}, runs)
    for verdict in _verdicts(module, record.runs):
        _print_verdict(verdict)
    print(f"written: {write_record(record)}")
    return 0


def command_data(args: argparse.Namespace) -> int:
    """What data the book ships, whether it is intact, and the full sets fetched on demand."""
    if args.action == "list":
        for file in datasets.catalogue():
            print(f"{file.name:44} {file.bytes:>10,} bytes  {file.licence}")
        return 0
    if args.action == "fetch":
        print(datasets.fetch(args.name, mirror=args.mirror))
        return 0
    rows = datasets.verify(args.name)
    for name, ok, message in rows:
        print(f"{'ok ' if ok else 'BAD'} {name}: {message}")
    return 0 if all(ok for _, ok, _ in rows) else 1


class _Parser(argparse.ArgumentParser):
    """Tells bad arguments like any other bad input: in one line, with status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {' '.join(message.split())}; see {self.prog} --help\n")


def parser() -> argparse.ArgumentParser:
    """The grammar of the command line."""
    top = _Parser(prog="whydeep", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True)

    def command(name: str, function) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=function.__doc__)
        sub.set_defaults(function=function, device=None)
        return sub

    sub = command("list", command_list)
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--all", action="store_true")
    sub = command("run", command_run)
    sub.add_argument("id")
    sub.add_argument("--scale", default="quick")
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--device")
    sub.add_argument("--json", action="store_true")
    sub = command("check", command_check)
    sub.add_argument("ids", nargs="*")
    sub.add_argument("--seeds", default="0-4")
    sub.add_argument("--device")
    how = sub.add_mutually_exclusive_group()
    how.add_argument("--recorded", action="store_true", help="recompute from the recorded arrays")
    how.add_argument("--changed", action="store_true", help="rerun what changed and a tenth")
    sub = command("record", command_record)
    sub.add_argument("id")
    sub.add_argument("--scale")
    sub.add_argument("--device")
    sub.add_argument("--calibration", action="store_true")
    sub = command("data", command_data)
    sub.add_argument("action", choices=["list", "verify", "fetch"])
    sub.add_argument("name", nargs="?")
    sub.add_argument("--mirror", help="a folder of files under this URL, instead of our list")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a WhydeepError is one line on stderr and status 2, Ctrl-C is 130."""
    args = parser().parse_args(argv)
    try:
        args.device = str(choose_device(args.device))
        return args.function(args)
    except WhydeepError as error:
        print(f"whydeep: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(
            "whydeep: interrupted; finished runs are kept, the same command goes on from there",
            file=sys.stderr,
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
