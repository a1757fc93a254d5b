"""What the book costs in time and weight, in one table: nothing here passes or fails.

    python code/benchmarks/bench.py [--only stack playground pages build] [--markdown]

* stack: the book's `train` beside one network after another and beside JAX (stack.py).
* playground: epochs a second that the widget trains in headless Chromium, and what the page that
  it stands on still does meanwhile. TensorFlow Playground does 26 to 41 and 6 to 10 epochs/s.
* pages: what a reader's browser has to read to open a page.
* build: the book of this commit, every notebook executed, in a folder of its own.

What cannot be measured is a row that says why. `playground` and `pages` look at a built book
(`make book`; --site names another).
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import torch
from stack import machine

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# Hidden layers, and what TensorFlow Playground does with them.
NETWORKS = {"4-2": "26 to 41 epochs/s", "8-8-8-8-8-8": "6 to 10 epochs/s"}
FRAMES = """() => new Promise(done => {
  let n = 0;
  const began = performance.now();
  const count = () => {
    n += 1;
    const passed = performance.now() - began;
    if (passed > 2500) done(1000 * n / passed);
    else requestAnimationFrame(count);
  };
  requestAnimationFrame(count);
})"""
Row = tuple[str, str, str]  # what, measured, beside it


# --- the stack of K networks ---------------------------------------------------------------------


def stack(options: argparse.Namespace) -> Iterator[Row]:
    command = [sys.executable, HERE / "stack.py", "--json", *options.stack]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    for row in json.loads(done.stdout):
        times = row["loop_s"] / row["ours_s"]
        yield (
            f"stack of {row['k']} {row['kind']} networks, {row['steps']} steps",
            f"{row['ours_s']:.3g} s",
            f"by vmap {row['vmap_s']:.3g} s, one by one {row['loop_s']:.3g} s "
            f"({times:.1f} times as long), "
            f"JAX {row['jax_s']:.3g} s after {row['jax_compile_s']:.3g} s of compiling",
        )


# --- the Playground ------------------------------------------------------------------------------


def longest_task(trace: bytes) -> float:
    """Milliseconds of processor time of the longest task of a page's own thread, in a trace."""
    events = json.loads(trace)["traceEvents"]
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events if e["name"] == "thread_name"}
    tasks = [
        event["tdur"] / 1000
        for event in events
        if event["name"] == "RunTask" and event.get("ph") == "X" and "tdur" in event
        if names.get((event["pid"], event["tid"])) == "CrRendererMain"
    ]
    return max(tasks, default=0.0)


def playground(options: argparse.Namespace) -> Iterator[Row]:
    from playwright.sync_api import sync_playwright

    page_file = options.site / "chapters" / "playground" / "playground.html"
    if not page_file.is_file():
        raise RuntimeError(f"no {page_file}: run make book")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for widths, beside in NETWORKS.items():
            settings = {
                "data": "rings", "examples": 250, "widths": widths, "seeds": 1, "speed": 0,
                "lr": 0.03, "stop_at": 10_000_000,
            }  # fmt: skip
            hash_ = "&".join(f"playground.{name}={value}" for name, value in settings.items())
            page = browser.new_page()
            page.goto(f"{page_file.resolve().as_uri()}#{hash_}")
            box = page.locator(".widget-frame").first
            box.scroll_into_view_if_needed()
            box.get_by_role("button", name="Run", exact=True).press("Enter")
            epoch = box.locator(".wd-stats > div").filter(
                has=page.locator("dt", has_text=re.compile("^epoch$"))
            )

            def seen(epoch=epoch, page=page) -> tuple[float, float]:
                """Epochs so far, and the seconds of the page's clock."""
                words = epoch.locator("dd").inner_text().replace(",", "")
                return float(words), page.evaluate("performance.now()") / 1000

            page.wait_for_timeout(1000)
            browser.start_tracing(page, categories=["disabled-by-default-devtools.timeline"])
            epochs, began = seen()
            frames = page.evaluate(FRAMES)
            end, ended = seen()
            task = longest_task(browser.stop_tracing())
            yield (
                f"Playground, 2-{widths}-1, 250 points, batches of 10",
                f"{(end - epochs) / (ended - began):,.0f} epochs/s",
                f"{frames:.0f} frames/s, longest task of the page {task:.1f} ms; "
                f"TensorFlow Playground: {beside}",
            )
            page.close()
        browser.close()


# --- the pages -----------------------------------------------------------------------------------


def read_by(page, address: str) -> list[Path]:
    """The files that the browser tab ``page`` reads to open the page at ``address`` (file:///)."""
    files: dict[str, None] = {}

    def note(request) -> None:
        if request.url.startswith("file:"):
            files[request.url.split("#")[0].split("?")[0]] = None

    page.on("request", note)
    page.goto(address, wait_until="networkidle")
    page.remove_listener("request", note)
    paths = (Path(url2pathname(urlsplit(url).path)) for url in files)
    return [path for path in paths if path.is_file()]


def pages(options: argparse.Namespace) -> Iterator[Row]:
    from playwright.sync_api import sync_playwright

    found = [p for p in sorted(options.site.rglob("*.html")) if "_static" not in p.parts]
    if not found:
        raise RuntimeError(f"no pages in {options.site}: run make book")
    weights: dict[str, tuple[int, int]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        for path in found:
            tab = browser.new_page()  # without what another page has left in its cache
            read = read_by(tab, path.resolve().as_uri())
            name = path.relative_to(options.site).as_posix()
            weights[name] = sum(file.stat().st_size for file in read), len(read)
            tab.close()
        browser.close()
    heaviest = max(weights, key=lambda name: weights[name][0])
    median = statistics.median(size for size, _ in weights.values())
    size, files = weights[heaviest]
    yield f"a page of {len(weights)}, all that it reads", f"{median / 1e6:.2f} MB", "the median"
    yield heaviest, f"{size / 1e6:.2f} MB", f"the heaviest, in {files} files"


# --- building the book ---------------------------------------------------------------------------


def build(options: argparse.Namespace) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        copy, archive = Path(folder) / "book", Path(folder) / "book.tar"
        git = ["git", "archive", "--output", str(archive), "HEAD"]
        subprocess.run(git, cwd=ROOT, check=True)
        shutil.unpack_archive(archive, copy, filter="data")
        command = [Path(sys.executable).with_name("jupyter-book"), "build", ".", "--keep-going"]
        around = {**os.environ, "PYTHONPATH": str(copy / "code")}
        began = time.monotonic()
        done = subprocess.run(
            command, cwd=copy, env=around, capture_output=True, text=True, check=False
        )
        seconds = time.monotonic() - began
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[-1])
    notebooks = len(list((ROOT / "chapters").rglob("*.ipynb")))
    yield "cold build of this commit", f"{seconds:.0f} s", f"{notebooks} notebooks executed"


# --- the table -----------------------------------------------------------------------------------

MEASUREMENTS: dict[str, Callable[[argparse.Namespace], Iterator[Row]]] = {
    "stack": stack,
    "playground": playground,
    "pages": pages,
    "build": build,
}


def rows(options: argparse.Namespace) -> list[Row]:
    """A row for each thing measured; where one cannot be, a row that says why."""
    found: list[Row] = []
    for name in options.only:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            found += list(MEASUREMENTS[name](options))
        except Exception as error:
            lines = str(error).strip().splitlines() or [type(error).__name__]
            found.append((name, "not measured", lines[0][:120]))
    return found


def table(found: list[Row], markdown: bool) -> str:
    """The rows for people, or as a table in Markdown."""
    head = ("what", "measured", "beside it")
    widths = [max(map(len, column)) for column in zip(head, *found, strict=True)]
    ruler = tuple("-" * width for width in widths)
    lines = [
        [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        for line in (head, ruler, *found)
    ]
    if markdown:
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return "\n".join("  ".join(line).rstrip() for line in lines)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    names = list(MEASUREMENTS)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html")
    parser.add_argument("--markdown", action="store_true", help="print the README's table")
    options, options.stack = parser.parse_known_args()  # what else there is, stack.py is given
    print(table(rows(options), options.markdown))
    load = f"load {os.getloadavg()[0]:.1f}, " if hasattr(os, "getloadavg") else ""
    processor = machine(torch.device("cpu"))
    print(f"\n{processor}, {os.cpu_count()} cores, {load}Python {sys.version.split()[0]}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
