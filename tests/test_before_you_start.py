"""What *How to read a verdict* tells, checked against theory, simulation and the code."""

import ast
import inspect
import math
import re

import nbformat
import numpy as np
import pytest
from scipy import stats
from whydeep.book import claims as box
from whydeep.chance import Chance
from whydeep.evidence.claims import STATES, WORDS
from whydeep.evidence.intervals import interval
from whydeep.evidence.power import Study, power, seeds_needed, words
from whydeep.evidence.provenance import repository

CHAPTERS = repository() / "chapters"


@pytest.fixture(scope="module")
def page():
    path = CHAPTERS / "before-you-start" / "how-to-read-a-verdict.ipynb"
    return nbformat.read(path, as_version=4)


@pytest.fixture(scope="module")
def prose(page):
    return "\n".join(cell.source for cell in page.cells if cell.cell_type == "markdown")


@pytest.fixture(scope="module")
def world(page):
    """What the cells of the small world define."""
    names = {"np": np, "stats": stats}
    for cell in page.cells:
        if cell.cell_type == "code" and re.match(
            r"N = 50|def (train|unseen_error|study)", cell.source
        ):
            exec(compile(ast.parse(cell.source), "page", "exec"), names)
    return names


# --- chance ------------------------------------------------------------------------------------


def test_students_factors_and_the_interval_worked_by_hand_are_right(prose):
    for n, told in ((5, "2.78"), (8, "2.36"), (20, "2.09")):
        assert f"{stats.t.ppf(0.975, n - 1):.2f}" == told
        assert told in prose
    low, high = interval([2.8, 1.1, -3.3, -0.4, -3.0])
    assert (round(low, 1), round(high, 1)) == (-3.8, 2.7)


@pytest.mark.parametrize("f", [0.1, 0.2, 0.4])
def test_an_interval_contains_the_truth_as_often_as_it_says_where_seeds_share_a_pool(f: float):
    # Each seed draws a share of a finite pool without replacement, as the book's seeds do.
    rng, size, seeds, trials = Chance(0).numpy(), 50, 5, 3000
    widened, naive = 0, 0
    for _ in range(trials):
        pool = rng.normal(size=size)
        means = [rng.choice(pool, round(f * size), replace=False).mean() for _ in range(seeds)]
        low, high = interval(means, share=f)
        widened += low <= 0 <= high
        low, high = interval(means)
        naive += low <= 0 <= high
    assert widened / trials == pytest.approx(0.95, abs=0.015)
    # Without the second part the variance is too small by (1 / n) / (1 / n + f / (1 - f)).
    shorter = math.sqrt((1 / seeds) / (1 / seeds + f / (1 - f)))
    expected = 1 - 2 * stats.t.sf(shorter * stats.t.ppf(0.975, seeds - 1), seeds - 1)
    assert naive / trials == pytest.approx(expected, abs=0.02)


def test_the_worthless_method_is_worthless_example_by_example(world):
    plain, _ = world["study"](range(20))
    mirrored, _ = world["study"](range(20), mirror=True)
    np.testing.assert_allclose(mirrored, plain, rtol=0, atol=1e-12)


def test_the_error_on_all_images_is_what_drawn_images_give(world):
    rng, lean = np.random.default_rng(0), world["LEAN"]
    w = rng.normal(size=lean.size) + 3 * lean
    x, y = world["draw"](rng, 40_000)
    measured = (y * (x @ w) < 0).mean()
    (expected,) = world["unseen_error"](w[None], lean)
    assert measured == pytest.approx(expected, abs=4 * math.sqrt(expected / 40_000))


def test_half_way_between_a_ratio_and_one_is_its_root(prose):
    assert round(math.sqrt(130 / 160), 1) == 0.9
    assert r"\sqrt{0.81} = 0.9" in prose


def test_the_seeds_of_the_page_and_what_the_referee_asks_come_from_the_power(prose):
    assert seeds_needed(1.0) == 13
    assert "thirteen seeds" in prose
    # *Two at most* of a thousand: the chance of three or more is small, and of 20 nil.
    p = words(Study(5, 1.0, planted=True), 0.0, draws=200_000).get("shown here", 0.0)
    assert stats.binom.sf(2, 1000, p) < 0.01
    # One condition by itself; with a control of equal distance, both have to succeed.
    assert words(Study(10, 1.0), 2.0)["shown here"] == pytest.approx(power(10, 1.0) ** 2, abs=0.02)


# --- words -------------------------------------------------------------------------------------


def test_every_word_and_every_state_has_its_rule_on_the_page_and_in_the_glossary(prose):
    table = prose.split("| word | when |")[1].split("\n\n")[0]
    first = re.findall(r"^\| (.+?) \|", table, re.M)
    assert re.findall(r"\*([\w ]+)\*", " ".join(first)) == list(WORDS)
    assert {s.lower() for s in re.findall(r"^\* \*\*(\w[\w ]*)\*\*:", prose, re.M)} >= set(STATES)
    terms = re.findall(
        r"^([a-z][\w -]*)$", (CHAPTERS / "back-matter" / "glossary.md").read_text("utf-8"), re.M
    )
    assert set(WORDS) | set(STATES) <= set(terms)


def test_every_label_of_a_claim_box_is_explained_on_the_page(prose):
    code = inspect.getsource(box)
    labels = re.findall(r'\("([A-Z][\w ]+)\.", claim', code)
    assert len(labels) == 5  # Tested here, What came out, Mind, Contested, Limits
    labels += re.findall(r'"\*\*([A-Z][\w ]+)[:.]\*\*', code)
    labels += re.findall(r'"(The book\'s own statement)\. "', code)
    labels += [text.strip(" ()") for text in re.findall(r'"( \(about the reason; [\w ]+\))"', code)]
    assert len(labels) == 9
    for label in labels:
        assert f"*{label}" in prose, label
    headers = re.findall(r"header = \(([^)]*)\)", code)
    named = {h.lower() for names in headers for h in re.findall(r'"([^"]+)"', names)}
    assert {"ours over theirs", "no effect", "state", "worst", "needed", "the source"} <= named
    for label in ("Ours over theirs", "No effect", "state", "worst", "needed", "source"):
        assert re.search(label, prose, re.I), label
