# Which browser tests of a page need not run: those that passed on the same page before, but for a
# third of them that the commit chooses. A list under .whydeep says what has passed; CI starts
# without one and looks at everything.
import hashlib
import json
import os
import subprocess
from functools import cache
from pathlib import Path

from browsing import CHROMIUM, ROOT, SITE
from firefox import FIREFOX
from whydeep.evidence.results import write_atomically

PASSED = ROOT / ".whydeep" / "looked-at.json"
EVERY = 3


def passed() -> dict[str, str]:
    """The state of its page that each test has passed on, by the test's id; none if unreadable."""
    try:
        return dict(json.loads(PASSED.read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def keep(found: dict[str, str]) -> None:
    write_atomically(PASSED, json.dumps(found, indent=0, sort_keys=True) + "\n")


@cache
def _shared() -> str:
    """A hash of what all pages load, of the tests, and of which browsers there are."""
    files = [p for p in (SITE / "_static").rglob("*") if p.suffix in (".css", ".js")]
    files += Path(__file__).parent.glob("*.py")
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(f"{path.name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    # None on a fresh machine, where the tests are collected before `make system` has run.
    for browser in filter(os.path.exists, filter(None, (CHROMIUM, FIREFOX))):
        status = Path(browser).resolve().stat()
        digest.update(f"{browser} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.hexdigest()


@cache
def state(page: str) -> str:
    """A hash of all that the tests of a page depend on: its HTML, styles, scripts, themselves."""
    return hashlib.sha256(_shared().encode() + (SITE / page).read_bytes()).hexdigest()[:16]


@cache
def _turn() -> int:
    done = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return int(done.stdout.strip() or "0", 16) % EVERY


def needless(tests: dict[str, str], before: dict[str, str], turn: int | None = None) -> set[str]:
    """The ids among ``tests`` (id: page) that passed before and whose turn it is not."""
    turn = _turn() if turn is None else turn
    places = {page: place for place, page in enumerate(sorted(set(tests.values())))}
    return {
        test
        for test, page in tests.items()
        if before.get(test) == state(page) and places[page] % EVERY != turn
    }
