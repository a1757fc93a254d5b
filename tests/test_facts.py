"""Facts in text: words agree with bounds, sources are as they were looked up, changes are told."""

import dataclasses
import re
from functools import lru_cache

import nbformat
import pytest
import yaml
from whydeep.book.checks import changes, notebooks, reviewed
from whydeep.book.checks.changes import Told, registered
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import (
    BOUND,
    KINDS,
    REPRODUCED,
    Claim,
    Condition,
    Control,
    at_least,
    at_most,
)
from whydeep.evidence.provenance import repository
from whydeep.evidence.results import MAIN, read_record
from whydeep.experiments import experiments, recorded_scale

ROOT = repository()
CLAIMS = [(name, claim) for name, module in experiments().items() for claim in module.CLAIMS]
CONDITIONS = {  # (experiment, variant, condition) by claim
    claim.id: [
        (name, variant, condition)
        for variant, conditions in (
            (MAIN, claim.conditions),
            *((control.variant, control.valid) for control in claim.controls),
        )
        for condition in conditions
    ]
    for name, claim in CLAIMS
}
every_claim = pytest.mark.parametrize(
    "claim", [c for _, c in CLAIMS], ids=[c.id for _, c in CLAIMS]
)


@lru_cache
def recorded(name):
    return read_record(name, recorded_scale(experiments()[name]))


NUMBER = re.compile(r"(?<![\w.^{-])[-−]?\d[\d,]*(?:\.\d+)?(?:e-?\d+)?(?![\w.]*\d)( ?%)?")
# A bound of 0 may be any "no" or "every"; a bound of 1 on a ratio or a share, one of these.
NO_MORE_THAN_ALL = re.compile(r"no (more|less|\w+ and no \w+ reaches more)|nowhere|rounding")


# ---------------------------------------------------------------------------------- bounds in words


@every_claim
def test_the_words_of_a_condition_name_its_bound(claim):
    for *_, condition in CONDITIONS[claim.id]:
        told = condition.bound == 0 or (
            condition.bound == 1 and NO_MORE_THAN_ALL.search(condition.words)
        )
        assert told or BOUND.search(condition.words), condition.name


@every_claim
def test_the_words_of_a_condition_do_not_say_its_bound_a_second_time_by_hand(claim):
    for *_, condition in CONDITIONS[claim.id]:
        by_hand = re.sub(rf"(1/)?{BOUND.pattern}", "", condition.words)
        for found in NUMBER.finditer(by_hand):
            value = float(found[0].rstrip("% ,").replace(",", "").replace("−", "-"))
            assert (value / 100 if found[1] else value) != condition.bound, found[0]


def directions(condition: Condition) -> set[str]:
    """The senses that the words around a bound speak for: at least, or more; at most, within."""
    said = set()
    for found in BOUND.finditer(condition.words):
        before = condition.words[: found.start()].rstrip("$ ")
        after = condition.words[found.end() :].lstrip("$}% ")
        below = re.search(r"(at most( a)?|within( a factor of)?|all but|but for)$", before)
        below = below or re.match(r"(\S+ ){0,4}or (less|fewer)", after)
        above = re.search(r"at least( a)?$", before) or re.match(r"(\S+ ){0,4}or more", after)
        if before.endswith("more than"):
            below, above = (True, above) if re.search(r"\bno(ne)?\b", before) else (below, True)
        # Said of a number below zero, or as one over it, the words point the other way.
        turned = before.endswith("1/") or (condition.bound < 0 and found[1] in ("abs", "10^"))
        said |= {"<=" if turned else ">="} if above else set()
        said |= {">=" if turned else "<="} if below else set()
    return said


@every_claim
def test_at_least_and_at_most_say_what_the_condition_asks(claim):
    for *_, condition in CONDITIONS[claim.id]:
        assert directions(condition) <= {condition.sense}, condition.name


def test_the_words_speak_for_a_side_often_enough_for_the_test_to_mean_something():
    spoken = [bool(directions(c)) for found in CONDITIONS.values() for *_, c in found]
    assert sum(spoken) > 0.6 * len(spoken)


@pytest.mark.parametrize(
    ("words", "bound", "says"),
    [
        ("at least {bound} times", 1.1, "at least 1.1 times"),
        ("within {bound} steps", 1500.0, "within 1,500 steps"),
        ("{bound:%} % of them", 0.07, "7 % of them"),
        ("at most {bound:word}", 0.25, "at most a quarter"),
        ("to $10^{{bound:log10}}$", 1e-9, "to $10^{-9}$"),
        ("$n^{{bound}}$ and $2^{-d}$", 3.5, "$n^{3.5}$ and $2^{-d}$"),
        ("a factor of {bound:10^}", 0.3, "a factor of 2"),
        ("falls by a factor of {bound:10^}", -2.0, "falls by a factor of 100"),
        ("{bound:2^}, {bound:e^}", 0.678, "1.6, 2"),
        ("by more than {bound:abs}", -0.01, "by more than 0.01"),
    ],
)
def test_a_bound_is_filled_into_the_words_in_the_format_that_they_ask_for(words, bound, says):
    assert at_most("x", words, bound).says == says


def test_words_follow_a_bound_that_is_moved():
    assert dataclasses.replace(at_least("x", "at least {bound}", 1.1), bound=1.15).says.endswith(
        "1.15"
    )


@pytest.mark.parametrize("words", ["{bound:word}", "{bound:log10}", "{bound:furlongs}"])
def test_a_bound_that_the_format_cannot_say_is_refused_when_the_claim_is_written(words):
    with pytest.raises(ValueError, match=r"condition x: its words cannot name -0.3"):
        at_most("x", words, -0.3)


# ---------------------------------------------------------------------------------- units

# Where a condition reads a quantity under a shorter or plainer unit than the run gave it.
PLAINER = {
    "log error over log units": "slope",
    "log of measured over predicted": "log of the ratio",
    "log time over log examples": "exponent of n",
    "s_min |r| over |gradient|": "ratio",
    "share of chains": "share of runs",
    "share of the largest logit": "share of the largest score",
}


@every_claim
def test_a_condition_that_reads_a_quantity_has_its_unit(claim):
    for name, variant, condition in CONDITIONS[claim.id]:
        results = list(recorded(name).runs[variant].values())
        if all(
            condition.name in result
            and result[condition.name].ndim == 0
            and float(result[condition.name]) == condition.measure(result)
            for result in results
        ):
            unit = results[0].unit(condition.name)
            assert condition.unit in ("", unit, unit.partition(",")[0], PLAINER.get(unit))


# ---------------------------------------------------------------------------------- the source


@every_claim
def test_a_number_of_the_source_is_given_as_a_number(claim):
    for _, value, _ in claim.paper:
        if isinstance(value, tuple):
            text, *numbers = value
            assert numbers
            assert all(isinstance(number, int | float) for number in numbers)
        else:
            text = value
        # Formulas, citations and the source's own words may hold figures.
        text = re.sub(r"\$[^$]*\$|\{+[^{}]*\}+`[^`]*`|\"[^\"]*\"|“[^”]*”", "", text)
        text = re.sub(r"\{[^{}]*\}", "", text)
        assert not re.search(r"(?<![\d:])\d+(?![\w:-])", text), text


@lru_cache
def catalogue() -> list[dict]:
    return yaml.safe_load((ROOT / "data" / "catalogue.yaml").read_text("utf-8"))["entries"]


# Said in a sentence and not in the rows of the source: a count of ours, and a year.
OTHER_NUMBERS = {"lin2014-fully-connected-not-needed": {"96"}, "lecun2016-depth-concise": {"2016"}}


@every_claim
def test_a_number_in_the_sentence_of_a_claim_is_one_of_its_sources(claim):
    (entry,) = [e for e in catalogue() if e["id"] == claim.id]
    rows = " ".join(cell for row in claim.paper_says for cell in row)
    number = r"(?<![\w.^{_-])(?:\d[\d,]*\.\d+|\d[\d,]*\d(?![\w.-]*\w)|\d+(?= ?%))"
    said = {n for text in (claim.sentence, entry["claim"]) for n in re.findall(number, text)}
    told = set(re.findall(r"\d[\d,]*(?:\.\d+)?", rows))
    assert said <= told | OTHER_NUMBERS.get(claim.id, set())


def test_rows_of_the_source_are_put_into_words_with_their_numbers():
    claim = Claim(
        "a", "b", "c", "account", "no verdict", paper=(("x", ("{} %; {:,}", 17.0, 1425), "y"),)
    )
    assert claim.paper_says == (("x", "17.0 %; 1,425", "y"),)


# ---------------------------------------------------------------------------------- registration

EXAMPLE = Claim(
    id="a",
    cite="b",
    sentence="One is larger than the other.",
    kind="effect",
    expected=REPRODUCED,
    conditions=(at_least("x", "at least {bound}", 1.1),),
    controls=(Control("none", "all", {"x": 0.1}, (at_most("y", "at most {bound}", 0.5),)),),
)


def refitted(claim: Claim) -> dict[str, Claim]:
    """The claim changed in each way that could fit it to a result."""
    found = {
        "sentence": dataclasses.replace(claim, sentence=f"It is not so that {claim.sentence}"),
        "kind": dataclasses.replace(
            claim, kind="account", expected="no verdict", missed=(), conditions=(), controls=()
        ),
    }
    if claim.kind == "account":
        return {"sentence": found["sentence"]}
    condition, control = claim.conditions[0], claim.controls[0]

    def with_condition(**changed):
        changed = dataclasses.replace(condition, **changed)
        return dataclasses.replace(claim, conditions=(changed, *claim.conditions[1:]))

    def with_control(**changed):
        changed = dataclasses.replace(control, **changed)
        return dataclasses.replace(claim, controls=(changed, *claim.controls[1:]))

    other = {">=": "<=", "<=": ">="}[condition.sense]
    found["bound"] = with_condition(bound=condition.bound + 1e-3, words="at least {bound}")
    found["sense"] = with_condition(sense=other)
    found["unit"] = with_condition(unit="furlongs")
    found["measure"] = with_condition(measure=lambda result: 0.0)
    found["margin"] = with_control(misses={n: by / 100 for n, by in control.misses.items()})
    found["variant"] = with_control(variant="another")
    found["valid"] = with_control(valid=control.valid[1:])
    found["excuse"] = with_control(by_design="" if control.by_design else "It is meant to be so.")
    expected = next(word for word in KINDS[claim.kind] if word != claim.expected)
    found["expected"] = dataclasses.replace(claim, expected=expected, missed=())
    return found


@every_claim
def test_a_claim_cannot_be_registered_anew_unnoticed(claim):
    known = registered(claim)
    assert known == registered(dataclasses.replace(claim, disputed="Somebody disagrees."))
    for what, other in refitted(claim).items():
        assert registered(other) != known, what


def test_words_that_only_explain_do_not_count_as_registered():
    (condition,) = EXAMPLE.conditions
    reworded = dataclasses.replace(condition, words="no less than {bound}, that is")
    assert registered(dataclasses.replace(EXAMPLE, conditions=(reworded,))) == registered(EXAMPLE)


def _larger(result):
    """The larger one."""
    return max(result["x"], result["y"])


def measures(factor):
    """Conditions that read the same name: by a quotient, its inverse, a helper, a factor."""
    return [
        lambda result: result["x"] / result["y"],
        lambda result: result["y"] / result["x"],
        lambda result: _larger(result),
        lambda result: factor * result["x"],
    ]


def test_what_a_condition_measures_is_registered_with_what_it_reads_from_around_it():
    told = [tuple(changes.measured_by(measure)) for measure in (*measures(2), *measures(3))]
    assert len(set(told[:4])) == 4
    assert told[:3] == told[4:7]  # they do not use the factor
    assert told[3] != told[7]


def test_every_claim_stands_in_the_file_of_released_registrations():
    history, now = changes.read_changes(), changes.told_now()
    assert len(now) == len(CLAIMS)
    assert set(history.released) == set(now)
    assert changes.problems(history, now) == []
    for claim, told in now.items():
        forged = now | {claim: Told(told.word, "00000000")}
        (line,) = changes.problems(history, forged)
        assert line.startswith(f"{claim}: what is registered has changed")


# ---------------------------------------------------------------------------------- reviewed facts


@pytest.fixture(scope="module")
def now() -> reviewed.Facts:
    return reviewed.facts()


def test_every_fact_is_as_it_was_looked_up(now):
    assert reviewed.problems(reviewed.read_reviewed(), now) == []


@pytest.mark.parametrize("section", reviewed.SECTIONS)
def test_a_fact_that_changes_comes_or_goes_is_told_in_one_line_until_it_is_accepted(now, section):
    key = next(iter(now[section]))
    for value in ("1.5; 200", None):
        changed = now | {section: {k: v for k, v in now[section].items() if k != key}}
        if value:
            changed[section][key] = value
        for before, after in ((now, changed), (changed, now)):
            (line,) = reviewed.problems(before, after)
            assert line.startswith(f"{section}/{key}: ")
            assert line.endswith(f"`python -m whydeep.book.checks.reviewed accept {section}/{key}`")
            for keys in ([f"{section}/{key}"], [section]):
                assert reviewed.problems(reviewed.accept(keys, before, after), after) == []


@pytest.mark.parametrize("key", ["works/nobody1900", "nothing", "", "/"])
def test_a_fact_that_does_not_exist_cannot_be_accepted(now, key):
    with pytest.raises(WhydeepError, match="no fact is called"):
        reviewed.accept([key], now, now)


def page(tmp_path, *sources: str):
    """A page with these cells; one that begins with # is code."""
    new = nbformat.v4
    cells = [
        new.new_code_cell(s) if s.startswith("#") else new.new_markdown_cell(s) for s in sources
    ]
    path = tmp_path / "page.ipynb"
    path.write_text(nbformat.writes(new.new_notebook(cells=cells)), "utf-8")
    return path


def test_the_numbers_of_a_page_are_those_that_its_sentences_hold_by_hand(tmp_path):
    path = page(
        tmp_path,
        "It erred on 28.2 % and on 5 % of 10,000 pictures, −0.5 of {num}`a:b` `12.5` $3.14$.",
        "Two or 3 layers, AlexNet2012.",
        "# 99.9\nprint(17.5)",
    )
    assert reviewed.numbers(path) == "28.2%; 5%; 10,000; −0.5"


def test_a_number_in_a_sentence_that_changes_is_named_and_sentences_may_change_places(now):
    name = next(iter(now["numbers"]))
    before = now | {"numbers": now["numbers"] | {name: "28.2%; 10"}}
    after = now | {"numbers": now["numbers"] | {name: "10; 38.2%"}}
    (line,) = reviewed.problems(before, after)
    assert "a number in a sentence of the page has changed (+38.2%, -28.2%)" in line
    swapped = now | {"numbers": now["numbers"] | {name: "10; 28.2%"}}
    assert reviewed.problems(before, swapped) == []


def test_prose_and_layout_may_change_and_captions_and_assertions_may_not(tmp_path):
    first = page(tmp_path, "Some words.", "# draw\nassert a < b, 'why'\nf(alt='up', caption='C.')")
    known = reviewed.shown(first), reviewed.asserted(first), reviewed.numbers(first)
    other = page(
        tmp_path, "Other words.", '# draw\nf(\n  alt="up", caption="C.")\nassert a<b, "so"'
    )
    assert (reviewed.shown(other), reviewed.asserted(other), reviewed.numbers(other)) == known
    opposite = page(tmp_path, "Some words.", "# draw\nf(alt='down', caption='C.')")
    assert reviewed.shown(opposite) != known[0]
    assert reviewed.asserted(opposite) == []


def test_accepting_writes_the_file_that_the_check_then_reads(tmp_path, monkeypatch, now, capsys):
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setattr(reviewed, "facts", lambda: now)
    reviewed.write_reviewed(now | {"works": {}})
    assert reviewed.main([]) == 1
    assert capsys.readouterr().out.count("works/") == 2 * len(now["works"])
    assert reviewed.main(["accept", "works"]) == 0
    assert reviewed.read_reviewed() == now


@pytest.mark.parametrize("text", [None, "works: [", "works: {}"])
def test_a_file_of_reviewed_facts_that_is_missing_or_damaged_is_one_line(
    tmp_path, monkeypatch, text
):
    (tmp_path / "data").mkdir()
    if text:
        (tmp_path / "data" / reviewed.NAME).write_text(text, "utf-8")
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    with pytest.raises(WhydeepError, match=r"reviewed.yaml"):
        reviewed.read_reviewed()


@pytest.mark.parametrize(
    ("source", "refused"),
    [
        ("# 2 + 3\n2 + 3", True),
        ("# verdicts\nprint(figures)", True),
        ("# number\nglue('a', 1)", False),
        ("# drawn\nraw_pixels.figure(runs)", False),
        ("# drawn\none_pass.stability_figure(runs)", False),
        ("# drawn\nfigures.Figure(drawn)", False),
        ("# widget\nPlayground()", False),
        ("# widget\nReferee()", False),
        ("# widget\nexamples.explorer(runs)", False),
    ],
)
def test_a_cell_is_left_out_of_the_comparison_only_if_it_shows_or_glues(tmp_path, source, refused):
    path = page(tmp_path, source)
    notebook = nbformat.read(path, as_version=4)
    notebook.cells[0].metadata["tags"] = [notebooks.IGNORED]
    nbformat.write(notebook, path)
    assert any("remove the tag" in line for line in notebooks.problems(path)) == refused
