#!/usr/bin/env python3
"""What `.ci/run` would take with more pages and claims, from the table of stages that it printed.

    .ci/project.py --pages 25 90 --claims 78 185 < log_of_ci_run

A stage is a sum of three parts: what stays as it is, what grows with pages, what grows with claims.
The shares below are those of a run with 25 notebooks and 78 claims, as seen in the durations that
pytest prints. `claims` reruns a fixed budget of records; its rest reads every record.
"""

import argparse
import re
import sys

# stage: shares of its time that stay, that grow with pages, that grow with claims
SHARES = {
    "execute": (0.0, 1.0, 0.0),
    "pages": (0.1, 0.9, 0.0),
    "lint": (0.5, 0.5, 0.0),
    "javascript": (1.0, 0.0, 0.0),
    "unit": (0.4, 0.0, 0.6),
    "claims": (0.8, 0.0, 0.2),
    "notebooks": (0.1, 0.9, 0.0),
    "rotation": (0.2, 0.5, 0.3),
    "site": (0.4, 0.6, 0.0),
}
LIMIT = 60  # minutes


def project(table: str, pages: float, claims: float) -> list[tuple[str, int, float]]:
    """The stages of ``table`` with their seconds, and with so many times the pages and claims."""
    rows = re.findall(r"^ *([a-z]+) +(\d+)(?: failed)?$", table, re.MULTILINE)
    return [
        (
            name,
            int(seconds),
            sum(map(float.__mul__, SHARES[name], (1.0, pages, claims))) * int(seconds),
        )
        for name, seconds in rows
        if name in SHARES
    ]


def main() -> int:
    """Print the table; exit 1 if the projection is beyond the limit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pages", nargs=2, type=int, default=(25, 90), metavar=("NOW", "THEN"))
    parser.add_argument("--claims", nargs=2, type=int, default=(78, 185), metavar=("NOW", "THEN"))
    args = parser.parse_args()
    rows = project(sys.stdin.read(), args.pages[1] / args.pages[0], args.claims[1] / args.claims[0])
    for name, now, then in rows:
        print(f"{name:10} {now:6d} s {then:8.0f} s")
    minutes = [sum(row[i] for row in rows) / 60 for i in (1, 2)]
    print(f"{'together':10} {minutes[0]:6.1f} min {minutes[1]:6.1f} min of {LIMIT}")
    return int(minutes[1] > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
