# The Sphinx side, on a scratch book of one experiment and two notebooks: what pages show comes from
# the record, what is wrong fails the build, what has changed is never served stale, and what has
# not is never run again.
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from whydeep.book import evidence, site
from whydeep.book.checks import notebooks
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import FAVOUR, Condition, Measured
from whydeep.evidence.provenance import PACKAGE
from whydeep.evidence.results import MAIN, read_record

ROOT = PACKAGE.parents[1]
# Five seeds whose mean is 0.12 and whose standard deviation (n - 1) is sqrt(0.0008 / 4) = 0.01414.
ERRORS = [0.10, 0.12, 0.14, 0.12, 0.12]

EXPERIMENT = '''
"""A scratch experiment."""
from dataclasses import dataclass

from whydeep.evidence.claims import Claim, Condition, Control
from whydeep.evidence.results import Result

PAGE = "page"


@dataclass(frozen=True)
class Settings:
    broken: bool = False


SCALES = {"quick": Settings()}
VARIANTS = {"no cause": {"broken": True}}
ANSWER = 41


def run(settings, chance):
    return Result(error=(0.5 if settings.broken else 0.12, "fraction"))


small = Condition(
    "error", "the error is small", lambda r: float(r["error"]), "<=", 0.2, none=0.5, source=0.11,
    because="half of the *paper's*",
)
CLAIMS = (
    Claim(
        id="scratch-claim",
        cite="doe1999",
        title="Is the error small?",
        says="The error is small, as $x_1$ shows.",
        tested="One coin, thrown five times.",
        so="The error was {num}`scratch/coin error .2f`.",
        caveat="It was one coin.",
        kind="effect",
        expected="reproduced",
        paper=(("test error", "0.11", "Table 7"),),
        decides=(small,),
        controls=(
            Control("no cause", "the cause", ("error",), (
                Condition("valid", "it ran", lambda r: 1.0, ">=", 0.5),
            ), by_design="the error is that of guessing"),
        ),
        contested="Not by {cite}`roe2001`, who *repeated* it.",
        limits="One coin only.",
        changes=("The bound was 0.3 before: a slip in the unit.",),
    ),
)
'''

BIBLIOGRAPHY = """
@misc{doe1999, author = {Doe, J.}, title = {On errors}, year = {1999}}
@misc{roe2001, author = {Roe, R.}, title = {Once more}, year = {2001}}
@misc{poe2003, author = {Poe, E.}, title = {Waiting}, year = {2003}}
"""

CATALOGUE = """
entries:
  - {id: scratch-claim, chapter: features, documents: ["001"], cite: [doe1999]}
  - {id: still-waiting, chapter: hacking, documents: ["001"], cite: [poe2003], claim: It waits.}
"""

ANSWERS = """# Answers

```{answers}
scratch-claim: measured with *one* coin
still-waiting: a guess
```
"""

LEDGER = """# Ledger

```{ledger} counts
```
```{ledger} claims
```
```{ledger} calibration
```
```{ledger} changes
```

## Waiting

```{ledger} not-yet-run
```

## Works

```{bibliography}
```
"""

STATUS = (
    "---\nnosearch: true\n---\n# Status\n\n```{build-status}\n```\n\n```{build-status} pages\n```\n"
)

PAGE = [
    "# A page\n\nThe error is {num}`scratch/coin error .3f ±`, without the cause "
    '{num}`"scratch/coin@no cause" error .1%`, as a condition {num}`scratch-claim:error .2f`. '
    "It was {verdict}`scratch-claim`: {experiment}`scratch/coin`. See {numref}`fig-line`.",
    "from whydeep.experiments.scratch import coin\ncoin.ANSWER + 1",
    "import matplotlib.pyplot as plt\nfrom whydeep.show import figures\n"
    "with figures.style():\n    figure, axes = plt.subplots()\n    axes.plot([0, 1])\n"
    "figures.Figure(figure, label='fig-line', caption='A *line* with $x_2$ {cite}`doe1999`.', "
    "alt='A straight line rises from the left to the right.')",
    "```{claim} scratch-claim\n```",
    "import numpy as np\nfrom whydeep.widgets import Axis, SweepExplorer\n"
    "SweepExplorer(np.arange(8.0).reshape(1, 2, 2, 2), key='s', title='A sweep', about='Drag.',\n"
    "              series=['a', 'b'], variants={'main': 'as it is'}, seeds=[0, 1],\n"
    "              sweep=Axis('steps'), sweep_values=[1, 2], y=Axis('error'))",
]


def notebook(cells: list[str]) -> str:
    made = nbformat.v4.new_notebook(metadata=notebooks.METADATA)
    for i, cell in enumerate(cells):
        is_code = not re.match(r"[#`\w ]*[#`]", cell)
        new = nbformat.v4.new_code_cell if is_code else nbformat.v4.new_markdown_cell
        made.cells.append(new(cell, id=f"cell-{i}"))
    return nbformat.writes(made)


def record(scale: str, seeds: list[int], errors: list[float]) -> str:
    runs = {
        "main": {str(s): {"error": e} for s, e in zip(seeds, errors, strict=True)},
        "no cause": {str(s): {"error": 0.5} for s in seeds},
    }
    provenance = {"code": "0123456789ab", "settings": {}, "device": "cpu (test)", "torch": "2.0"}
    return json.dumps(
        {
            "experiment": "scratch/coin",
            "scale": scale,
            "recorded": "2026-01-02",
            "provenance": provenance,
            "units": {"error": "fraction"},
            "runs": runs,
        }
    )


class Book:
    """A scratch book in ``root``; ``build`` runs Jupyter Book on it as `make book` does."""

    def __init__(self, root: Path):
        self.root = root
        code = root / "code" / "whydeep"
        shutil.copytree(PACKAGE, code, ignore=shutil.ignore_patterns("__pycache__", "experiments"))
        self.write("code/whydeep/experiments/__init__.py", "")
        shutil.copy(PACKAGE / "experiments" / "__init__.py", code / "experiments" / "__init__.py")
        self.write("code/whydeep/experiments/scratch/__init__.py", '"""Scratch."""')
        self.write("code/whydeep/experiments/scratch/coin.py", EXPERIMENT)
        self.write("data/results/scratch/coin/quick.json", record("quick", list(range(5)), ERRORS))
        calibration = record("calibration", list(range(1000, 1020)), [0.1, 0.14] * 10)
        self.write("data/results/scratch/coin/calibration.json", calibration)
        self.write("data/catalogue.yaml", CATALOGUE)
        self.write("data/answer.txt", "42")
        self.write("references.bib", BIBLIOGRAPHY)
        self.write("index.md", "# Scratch\n\n{ref}`claim-scratch-claim`")
        self.write("answers.md", ANSWERS)
        self.write("ledger.md", LEDGER)
        self.write("build-status.md", STATUS)
        self.write("page.ipynb", notebook(PAGE))
        self.write(
            "other.ipynb",
            notebook(
                ["# Other\n", "from pathlib import Path\nPath('data/answer.txt').read_text()"]
            ),
        )
        self.write(
            "_toc.yml",
            "format: jb-book\nroot: index\nchapters:\n"
            "- file: page\n- file: other\n- file: answers\n- file: ledger\n- file: build-status\n",
        )
        shutil.copy(ROOT / "_config.yml", root / "_config.yml")

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.root / name).read_text(encoding="utf-8")
        assert old in text
        self.write(name, text.replace(old, new))

    def start(self, *command: str) -> subprocess.Popen:
        """Start a command on the book, with its own package; stdout and stderr come together."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WHYDEEP")}
        environment |= {"PYTHONPATH": str(self.root / "code"), "GITHUB_REPOSITORY": "some/book"}
        return subprocess.Popen(
            [Path(sys.executable).parent / command[0], *command[1:]],
            cwd=self.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def done(self, started: subprocess.Popen) -> tuple[int, str]:
        """The exit status and the log of a command, once it has ended."""
        log, _ = started.communicate(timeout=3600)
        return started.returncode, re.sub(r"\x1b\[\d*(;\d+)*m", "", log)

    def start_build(self) -> subprocess.Popen:
        return self.start("jupyter-book", "build", ".", "-n", "-W", "--keep-going")

    def build(self) -> tuple[int, str]:
        """What Jupyter Book says of the book, run alone: it executes what has not been."""
        return self.done(self.start_build())

    def execute(self) -> tuple[int, str]:
        """What the first part of `make book` says: it runs the notebooks."""
        return self.done(self.start("python", "-m", "whydeep.book.execute"))

    def html(self, name: str) -> str:
        return (self.root / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8")

    def text(self, name: str) -> str:
        """What a reader of the page's main part sees, on one line."""
        body = self.html(name).partition("<article")[2].partition("</article>")[0]
        return " ".join(re.sub(r"<[^>]+>", "", body).split())


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    book = Book(tmp_path_factory.mktemp("first") / "book")
    status, log = book.build()
    assert status == 0, log[-3000:]
    assert "2 executed (other, page), 0 from the cache" in log
    return book


# ---------------------------------------------------------------------------------- pages


def test_numbers_in_sentences_come_from_the_record(built):
    text = built.text("page")
    assert "The error is 0.120 ± 0.014, without the cause 50.0%, as a condition 0.12." in text
    assert "5 seeds (0–4), scale quick, code 0123456789ab, cpu (test)" in text


def test_a_record_of_older_code_says_that_the_code_has_moved_on(built):
    assert "the code has moved on since, to" in built.text("page")


def test_a_figure_has_number_caption_and_alternative_text(built):
    html = built.html("page")
    assert 'alt="A straight line rises from the left to the right."' in html
    figure = html.partition("<figure")[2].partition("</figure>")[0]
    assert "<em>line</em>" in figure
    assert "math notranslate" in figure
    assert "doe" in figure.lower()
    assert re.search(r'href="#fig-line"><span class="std std-numref">Fig. 1', html)


def test_the_claim_box_shows_paper_measurement_control_and_verdict(built):
    box = built.html("page").partition('class="claim"')[2].partition("</article>")[0]
    assert 'id="claim-scratch-claim"' in built.html("page")
    text = " ".join(re.sub(r"<[^>]+>", " ", box).split())
    assert "reproduced contested Is the error small?" in text
    assert "What came out. The error was 0.12 ." in text
    assert "Mind. It was one coin. Contested." in text
    # t of 97.5 % at 4 degrees 2.776, times 0.01414 / sqrt(5): 0.0176. From no effect, 0.5: ours is
    # 0.38 below it, the source's 0.39.
    measured = "0.120 (0.102 to 0.138) fraction at most 0.2 fraction 0.5 fraction 0.11 fraction"
    assert f"the error is small Why this bound: half of the paper’s . {measured}" in text
    assert "0.97 (0.93 to 1) in favour" in text
    assert "the cause the error is small: 0.5 fraction misses, as it should" in text
    strip, told = box.partition('class="strip"')[2].split("</p>")[0].split("</div>")
    assert "measured 0.120 (0.102 to 0.138) fraction · needed at most 0.2 fraction" in told
    assert "without the cause 0.5 fraction" in told
    assert strip.count('"strip-seed"') == strip.count("strip-control") == 5
    assert "<em>repeated</em>" in box
    assert "https://github.com/some/book/issues/new" in box
    assert "@misc{whydeep-scratch-claim" in box
    assert "@misc{doe1999" in box


def test_a_claim_box_can_be_linked_from_other_pages(built):
    assert 'href="page.html#claim-scratch-claim"' in built.html("index")


def test_the_ledger_counts_claims_and_names_what_is_not_yet_run(built):
    text = built.text("ledger")
    assert "reproduced 1 of these, contested 1 not yet run 1" in text
    assert "the error is small: 0.120 (0.102 to 0.138) fraction, at most 0.2 fraction" in text
    assert "the source 0.11 fraction, ours over theirs 0.97 (0.93 to 1). In favour." in text
    assert "Takes away the cause: misses, as it should (0.5 fraction)." in text
    assert "20 seeds (1000–1019)" in text
    assert "The bound was 0.3 before" in text
    assert "Hacking (1)" in text
    assert "It waits. [Poe, 2003] still-waiting" in text
    assert 'href="page.html#claim-scratch-claim"' in built.html("ledger")


def test_a_map_of_answers_says_who_claims_what_how_far_it_reaches_and_how_it_fared(built):
    text = built.text("answers")
    assert "[Doe, 1999] measured with one coin reproduced contested Is the error small?" in text
    assert "It waits. [Poe, 2003] a guess not yet run" in text
    assert 'href="page.html#claim-scratch-claim"' in built.html("answers")
    assert 'href="ledger.html#not-yet-run-still-waiting"' in built.html("answers")


def test_no_page_loads_sphinx_thebe_or_anything_from_elsewhere(built):
    for page in ("index", "page", "ledger"):
        html = built.html(page)
        assert "thebe" not in html
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]+(?:src|href)="https?:', html)


def test_a_build_that_executes_and_one_that_reads_the_cache_elsewhere_are_identical(
    built, tmp_path
):
    second = Book(tmp_path / "elsewhere" / "book")
    status, log = second.execute()
    assert status == 0, log[-3000:]
    assert "2 of 2 notebooks run" in log
    status, log = second.build()
    assert status == 0, log[-3000:]
    assert "0 executed, 2 from the cache (other, page)" in log
    compare = runpy.run_path(str(ROOT / "tests" / "site" / "compare_builds.py"))["differences"]
    assert compare(*(book.root / "_build" / "html" for book in (built, second))) == []


def test_two_builds_at_once_both_succeed_for_one_waits(tmp_path):
    book = Book(tmp_path / "book")
    (status, log), (status_2, log_2) = map(book.done, [book.start_build(), book.start_build()])
    assert (status, status_2) == (0, 0), log[-2000:] + log_2[-2000:]
    assert (log + log_2).count("another build of this book is at work: waiting") == 1
    assert (log + log_2).count("2 executed") == 1


def test_the_status_page_alone_tells_when_and_with_what_the_book_was_built(built):
    assert re.search(r"built 20\d\d-\d\d-\d\d \d\d:\d\d UTC", built.text("build-status"))
    assert "jupyter-book 1.0.4" in built.text("build-status")
    page = r"A page \d+\.\d s 20\d\d-\d\d-\d\d \d\d:\d\d UTC scratch/coin: torch 2\.0"
    assert re.search(page, built.text("build-status"))
    assert re.search(r"Other \d+\.\d s 20\S+ \S+ UTC —", built.text("build-status"))
    year = re.search(r"built (20\d\d)", built.text("build-status"))[1]
    assert not any(f"{year}-" in built.html(page) for page in ("index", "page", "ledger"))


# ---------------------------------------------------------------------------------- the cache


def test_nothing_is_executed_or_read_again_when_nothing_changed(built):
    status, log = built.build()
    assert status == 0
    assert "0 executed, 0 from the cache, 2 unchanged" in log


def test_a_changed_module_or_datum_is_never_served_stale(built):
    assert "42" in built.text("page")
    built.edit("code/whydeep/experiments/scratch/coin.py", "ANSWER = 41", "ANSWER = 1998")
    built.write("data/answer.txt", "forty-three")
    status, log = built.build()
    assert status == 0, log[-3000:]
    assert "2 executed (other, page)" in log
    assert "1999" in built.text("page")
    assert "forty-three" in built.text("other")


def test_a_docstring_a_style_or_a_widgets_script_is_shown_without_running_anything(built):
    built.edit("code/whydeep/experiments/scratch/coin.py", "A scratch experiment", "Anew")
    built.edit("code/whydeep/evidence/results.py", "Results of experiments in", "Results, in")
    for script, old in (("sweep/index.js", "export default"), ("kit.css", ".wd-")):
        path = built.root / "code/whydeep/widgets" / script
        path.write_text(f"/* shown at once */\n{path.read_text('utf-8')}", "utf-8")
        assert old in path.read_text("utf-8")
    status, log = built.build()
    assert status == 0, log[-3000:]
    assert "0 executed, 2 from the cache (other, page)" in log
    assert built.html("page").count("/* shown at once */") == 2


def test_a_module_or_a_datum_runs_the_pages_that_reach_it_and_no_other(built):
    coin = built.root / "code/whydeep/experiments/scratch/coin.py"
    coin.write_text(re.sub(r"ANSWER = \d+", "ANSWER = 1967", coin.read_text("utf-8")), "utf-8")
    status, log = built.build()
    assert status == 0, log[-3000:]
    assert "1 executed (page), 1 from the cache (other)" in log
    assert "1968" in built.text("page")
    built.write("data/answer.txt", "forty-four")
    status, log = built.build()
    assert status == 0, log[-3000:]
    assert "1 executed (other), 1 from the cache (page)" in log
    assert "forty-four" in built.text("other")


def test_a_change_of_one_page_executes_that_page_alone(built):
    built.edit("other.ipynb", "# Other", "# Another\\n\\n{num}`scratch/coin error .2f max`")
    built.edit("other.ipynb", ".read_text()", ".read_text().upper()")
    status, log = built.build()
    assert status == 0, log[-3000:]
    assert "1 executed (other), 0 from the cache, 1 unchanged" in log
    assert "0.14" in built.text("other")


def test_a_page_that_leaves_the_book_leaves_the_site(built):
    built.edit("_toc.yml", "- file: other\n", "")
    (built.root / "other.ipynb").unlink()
    status, log = built.build()
    assert status == 0, log[-3000:]
    assert not (built.root / "_build" / "html" / "other.html").exists()
    assert (built.root / "_build" / "html" / "page.html").exists()


# ---------------------------------------------------------------------------------- what fails


def test_every_defect_of_a_page_fails_the_build_and_is_named(tmp_path):
    book = Book(tmp_path / "book")
    book.edit("page.ipynb", "caption='A *line* with $x_2$ {cite}`doe1999`.'", "caption=''")
    book.edit("page.ipynb", "It was ", "{num}`scratch/coin eror .2f` {verdict}`no-claim` It was ")
    book.edit("page.ipynb", "error .2f`. ", "error .2q`. ")
    book.edit("code/whydeep/experiments/scratch/coin.py", '"reproduced"', '"opposite"')
    book.write("data/results/scratch/coin/calibration.json", "{")
    status, log = book.build()
    assert status != 0
    assert "a figure has no caption" in log
    assert "no quantity 'eror'; there are error" in log
    assert "no experiment or runnable claim is called 'no-claim'" in log
    assert "'.2q' is no format" in log
    assert "scratch-claim: reproduced, but registered is: opposite" in log
    assert "calibration.json cannot be read" in log


def test_a_missing_record_and_a_claim_without_a_box_fail_the_build(tmp_path):
    book = Book(tmp_path / "book")
    (book.root / "data/results/scratch/coin/quick.json").unlink()
    book.write("page.ipynb", notebook(["# A page\n"]))
    status, log = book.build()
    assert status != 0
    assert "run `whydeep record scratch/coin --scale quick`" in log
    assert "claim-scratch-claim" in log


def test_a_broken_cell_fails_the_build_however_it_is_run(tmp_path):
    book = Book(tmp_path / "book")
    book.edit("other.ipynb", ".read_text()", ".no_such_thing()")
    status, log = book.execute()
    assert status == 1
    what = "AttributeError: 'PosixPath' object has no attribute 'no_such_thing'"
    assert f"execute: other.ipynb, cell 2: {what}\n" in log
    assert "1 of 2" not in log  # the other page is run all the same
    status, log = book.build()
    assert status != 0
    assert "no_such_thing" in log


# ---------------------------------------------------------------------------------- words


def measured(low, high, unit="nats", **how):
    condition = Condition("c", "is small", lambda r: 0.0, "<=", 1e9, **how)
    return Measured(condition, (low, high), low, high, FAVOUR, unit)


@pytest.mark.parametrize(
    ("low", "high", "unit", "words"),
    [
        (0.106, 0.134, "nats", "0.120 (0.106 to 0.134) nats"),
        (-3.25, -2.75, "nats", "−3.00 (−3.25 to −2.75) nats"),
        (1178.0, 1290.0, "steps", "1234 (1178 to 1290) steps"),
        (2.2e-12, 2.8e-12, "nats", "2.5 × 10⁻¹² (2.2 × 10⁻¹² to 2.8 × 10⁻¹²) nats"),
        (0.5, 0.5, "nats", "0.5 nats"),
        (0.062, 0.102, "fraction of test examples", "8.2 (6.2 to 10.2) % of test examples"),
        (1.1, 1.3, "ratio of errors", "1.20 (1.10 to 1.30)"),
    ],
)
def test_an_interval_is_written_to_the_second_digit_of_its_half_width(low, high, unit, words):
    assert evidence.interval_words(measured(low, high, unit)) == words


def test_ours_over_theirs_is_told_where_the_source_has_the_number():
    assert evidence.ratio_words(measured(0.2, 0.4)) == ""
    beside = measured(0.2, 0.4, none=2e9, source=1e9)
    assert evidence.ratio_words(beside) == "2 (2 to 2)"


def test_the_numbers_in_a_claims_words_are_filled_in_for_a_terminal():
    text = "It is {num}`mysterious-steps/dropout gain .1%` and {cite}`doe1999`."
    assert evidence.plain(text) == (
        f"It is {evidence.resolve('mysterious-steps/dropout gain .1%')} and {{cite}}`doe1999`."
    )


def test_a_number_in_a_sentence_has_a_power_of_ten_and_no_exponent_form():
    text = "theory-survey/generalization/finite-sample error[pictures]"
    (shown,) = {evidence.resolve(f"{text} .0e"), evidence.resolve(f"{text} .1g")}
    assert re.fullmatch(r"[1-9] × 10⁻[¹²³⁴⁵⁶⁷⁸⁹]", shown)
    low, high = evidence.resolve(f"{text} min .1e ±").split(" ± ")
    assert all(re.fullmatch(r"\d\.\d × 10⁻[⁰¹²³⁴⁵⁶⁷⁸⁹]+", each) for each in (low, high))


def test_a_number_of_an_array_is_counted_from_the_end_where_its_index_is_negative():
    runs = read_record("mysterious-steps/dropout", "quick").runs[MAIN].values()
    for index in (0, 2, -1, -2):
        mean = np.mean([run["loss[clean, none]"][index] for run in runs])
        shown = evidence.resolve(f"mysterious-steps/dropout loss[clean,none,{index}] .6f")
        assert shown == f"{mean:.6f}"


def test_a_number_of_a_variant_is_that_of_its_runs():
    runs = read_record("mysterious-steps/dropout", "quick").runs
    for place, by_seed in (("", runs[MAIN]), ("@gradient-only", runs["gradient-only"])):
        found = [float(run["loss[clean, dropout, -1]"]) for run in by_seed.values()]
        shown = evidence.resolve(f"mysterious-steps/dropout{place} loss[clean,dropout,-1] .6f ±")
        assert shown == f"{np.mean(found):.6f} ± {np.std(found, ddof=1):.6f}"


@pytest.mark.parametrize(
    ("seeds", "words"),
    [([0, 1, 2, 3, 4], "5 seeds (0–4)"), ([3], "seed 3"), ([0, 2], "2 seeds (0, 2)")],
)
def test_seeds_are_named_as_a_range_where_they_are_one(seeds, words):
    assert evidence.seeds_words(seeds) == words


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:some/book.git", "https://github.com/some/book"),
        ("https://github.com/some/book", "https://github.com/some/book"),
        ("https://token@gitlab.com/some/book.git", "https://gitlab.com/some/book"),
        ("/srv/git/book.git", ""),
        ("https://intranet.example/some/book", ""),
        ("", ""),
    ],
)
def test_launch_and_issue_links_never_get_a_made_up_address(remote, address, monkeypatch):
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    answer = subprocess.CompletedProcess([], 0, stdout=f"{remote}\n")
    monkeypatch.setattr(site.subprocess, "run", lambda *args, **options: answer)
    assert site.repository_url() == address


def test_without_git_there_is_no_address_and_no_error(monkeypatch):
    def missing(*args, **options):
        raise FileNotFoundError("git")

    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    monkeypatch.setattr(site.subprocess, "run", missing)
    assert site.repository_url() == ""


# ---------------------------------------------------------------------------------- notebooks


def stored(tmp_path: Path, cells: list[str], tags: dict[int, list[str]] | None = None) -> Path:
    path = tmp_path / "page.ipynb"
    made = nbformat.reads(notebook(cells), as_version=4)
    for i, found in (tags or {}).items():
        made.cells[i].metadata["tags"] = found
    nbformat.write(made, path)
    return path


def test_store_keeps_text_and_empties_pictures_so_that_lint_is_content(tmp_path):
    path = stored(
        tmp_path,
        [
            "# Title\n",
            "1 + 1",
            "print((2, 3))",
            "from IPython.display import HTML as figure\nfigure('<b>x</b>')",
            "'as registered'",
        ],
    )
    notebooks.store(path)
    first = path.read_bytes()
    cells = nbformat.read(path, as_version=4).cells
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3, 4]
    assert cells[1].outputs[0].data == {"text/plain": "2"}
    assert cells[3].outputs == []
    assert cells[3].metadata.tags == [notebooks.IGNORED]
    assert notebooks.problems(path) == []
    notebooks.store(path)
    assert path.read_bytes() == first


@pytest.mark.parametrize(
    ("cell", "tags", "what"),
    [
        ("import sys; print('x', file=sys.stderr)", [], "writes to stderr"),
        ("1 / 0", [], "ZeroDivisionError"),
        ("import numpy as np; np.ones(1) / 0", [], "RuntimeWarning: divide by zero"),
        ("2 + 3", [notebooks.IGNORED], "is compared|compared"),
    ],
)
def test_store_refuses_stderr_errors_and_needless_tags(tmp_path, cell, tags, what):
    with pytest.raises(WhydeepError, match=what):
        notebooks.store(stored(tmp_path, [cell], {0: tags} if tags else None))


@pytest.mark.parametrize(
    ("output", "what"),
    [
        ({"output_type": "stream", "name": "stderr", "text": "x"}, "stores stderr"),
        ({"output_type": "stream", "name": "stdout", "text": "0.12345678"}, "last digits"),
        (
            {"output_type": "stream", "name": "stdout", "text": "<A at 0x7f00aa11>"},
            "memory address",
        ),
        (
            {"output_type": "display_data", "data": {"image/png": "aa"}, "metadata": {}},
            "not text",
        ),
    ],
)
def test_lint_names_outputs_that_must_not_be_stored(tmp_path, output, what):
    path = stored(tmp_path, ["1", "2", "3"])
    made = nbformat.read(path, as_version=4)
    for count, cell in enumerate(made.cells, start=1):
        cell.execution_count = count
        cell.outputs = [nbformat.from_dict(output)]
    nbformat.write(made, path)
    assert any(what in line for line in notebooks.problems(path))


@pytest.mark.parametrize(
    ("cell", "refused"),
    [
        ("glue('steps', f'{steps / 1e6:.2g} million', display=False)", True),
        ("glue(name, f'{x:,.0f}', display=False)\nprint(f'{x:.2g}')", False),
    ],
)
def test_lint_wants_no_number_in_a_sentence_that_may_come_in_exponent_form(tmp_path, cell, refused):
    found = notebooks.problems(stored(tmp_path, [cell]))
    assert any("may come as 2.1e+02" in line for line in found) == refused


@pytest.mark.parametrize("tolerance", [0.0, 1.5, "0.1", 10])
def test_lint_names_a_tolerance_that_is_no_fraction(tmp_path, tolerance):
    path = stored(tmp_path, ["1", "2", "3"])
    made = nbformat.read(path, as_version=4)
    made.cells[1].metadata["tolerance"] = tolerance
    nbformat.write(made, path)
    assert any(f"cell 2 has the tolerance {tolerance!r}" in s for s in notebooks.problems(path))


def test_lint_asks_for_counts_and_for_three_compared_cells(tmp_path):
    found = notebooks.problems(stored(tmp_path, ["1", "2", "3"]))
    assert sum("has no execution count" in line for line in found) == 3
    assert any("only 0 cells store text" in line for line in found)


def test_the_notebook_tool_says_in_one_line_what_it_cannot_read(tmp_path, capsys):
    path = tmp_path / "bad.ipynb"
    path.write_text("not json")
    assert notebooks.main(["lint", str(path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
