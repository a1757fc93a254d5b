"""Facts in text: words agree with bounds, sources are as they were looked up, changes are told."""

import dataclasses
import re
from functools import lru_cache

import nbformat
import pytest
import yaml
from whydeep.book.checks import changes, cited, notebooks, reviewed
from whydeep.book.checks.changes import Told, registered
from whydeep.errors import WhydeepError
from whydeep.evidence.claims import (
    BOUND,
    DOES_NOT_HOLD,
    OPPOSITE,
    SHOWN,
    UNDECIDED,
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
OTHER_NUMBERS = {
    "lin2014-fully-connected-not-needed": {"96"},
    "lecun2016-depth-concise": {"2016"},
    "maxnorm-columns": {"5.1"},  # a section
}


@every_claim
def test_a_number_in_the_sentence_of_a_claim_is_one_of_its_sources(claim):
    rows = " ".join(cell for row in claim.paper_says for cell in row)
    number = r"(?<![\w.^{_-])(?:\d[\d,]*\.\d+|\d[\d,]*\d(?![\w.-]*\w)|\d+(?= ?%))"
    said = set(re.findall(number, re.sub(r"\$[^$]*\$", "", claim.says)))
    told = set(re.findall(r"\d[\d,]*(?:\.\d+)?", rows))
    assert said <= told | OTHER_NUMBERS.get(claim.id, set())


def test_rows_of_the_source_are_put_into_words_with_their_numbers():
    row = ("x", ("{} %; {:,}", 17.0, 1425), "y")
    claim = Claim("a", "b", "account", "told", "A title", "It says.", paper=(row,))
    assert claim.paper_says == (("x", "17.0 %; 1,425", "y"),)


# ---------------------------------------------------------------------------------- registration

EXAMPLE = Claim(
    id="a",
    cite="b",
    title="Is one larger?",
    says="One is larger than the other.",
    kind="effect",
    expected=SHOWN,
    decides=(at_least("x", "at least {bound}", 1.1, none=1.0),),
    controls=(Control("none", "all", ("x",), (at_most("y", "at most {bound}", 0.5),)),),
)


def refitted(claim: Claim) -> dict[str, Claim]:
    """The claim changed in each way that could fit it to a result."""
    found = {
        "says": dataclasses.replace(claim, says=f"It is not so that {claim.says}"),
        "ours": dataclasses.replace(claim, ours=not claim.ours),
        "kind": dataclasses.replace(
            claim, kind="account", expected="told", missed=(), decides=(), mechanism=(), controls=()
        ),
    }
    if claim.kind == "account":
        return {"says": found["says"], "ours": found["ours"]}
    condition, control = claim.decides[0], claim.controls[0]

    def with_condition(**changed):
        changed = dataclasses.replace(condition, **changed)
        return dataclasses.replace(claim, decides=(changed, *claim.decides[1:]))

    def with_control(**changed):
        changed = dataclasses.replace(control, **changed)
        return dataclasses.replace(claim, controls=(changed, *claim.controls[1:]))

    other = {">=": "<=", "<=": ">="}[condition.sense]
    up = 1 if condition.sense == ">=" else -1
    words, effect = "at least {bound}", claim.kind == "effect"
    found["bound"] = with_condition(
        bound=condition.bound * (1 + up * 1e-6) + up * 1e-12, words=words
    )
    found["sense"] = with_condition(
        sense=other, words=words, none=condition.bound if effect else None, source=None
    )
    if effect:
        wide = condition.bound - up * abs(condition.bound or 1.0) * 0.5
        found["none"] = with_condition(none=wide if wide != condition.none else condition.bound)
        found["source"] = with_condition(source=condition.bound * 3 + (not condition.bound))
        if claim.decides[1:]:
            found["aside"] = dataclasses.replace(
                claim, mechanism=(condition, *claim.mechanism), decides=claim.decides[1:]
            )
    zones = (condition.bound, condition.none, condition.source)
    if min(each for each in zones if each is not None) > 0:
        found["log"] = with_condition(log=not condition.log)
    found["unit"] = with_condition(unit="furlongs")
    found["measure"] = with_condition(measure=lambda result: 0.0)
    found["attacks"] = with_control(misses=tuple(control.misses)[1:], finds=control.finds[1:])
    found["variant"] = with_control(variant="another")
    found["valid"] = with_control(valid=control.valid[1:])
    found["excuse"] = with_control(by_design="" if control.by_design else "It is meant to be so.")
    expected = DOES_NOT_HOLD if claim.kind == "exact" else OPPOSITE
    found["expected"] = dataclasses.replace(claim, expected=expected, missed=())
    return found


@every_claim
def test_a_claim_cannot_be_registered_anew_unnoticed(claim):
    if claim.kind != "account":
        # Undecided may be registered whatever is attacked, so that each part can be changed alone.
        claim = dataclasses.replace(claim, expected=UNDECIDED, missed=())
    known = registered(claim)
    assert known == registered(dataclasses.replace(claim, limits="Somebody disagrees."))
    for what, other in refitted(claim).items():
        assert registered(other) != known, what


def test_words_that_only_explain_do_not_count_as_registered():
    (condition,) = EXAMPLE.decides
    reworded = dataclasses.replace(condition, words="no less than {bound}, that is")
    assert registered(dataclasses.replace(EXAMPLE, decides=(reworded,))) == registered(EXAMPLE)


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


# ---------------------------------------------------------------------------------- cited works


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A book of one notebook, one module, one catalogue entry and three works; no experiments."""
    page(
        tmp_path,
        "Before. Networks are *easy* to fool {cite}`goodfellow2015,szegedy2014`. After $x$.",
        "```{admonition} Predict\n:class: tip\nDid {cite:t}`goodfellow2015` ask,\nor not? No.\n```",
        "```{prf:theorem} T\n{cite:yearpar}`goodfellow2015adversarial` proves $y \\le 1$.\n```",
        "* A list says so {cite}`szegedy2014`.\n* Another line does not.",
        '# draw\nf(caption="As drawn by {cite:t}`szegedy2014`. Dashed.")\nx = "{cite}`code2000`"',
    )
    (tmp_path / "chapters").mkdir()
    (tmp_path / "page.ipynb").rename(tmp_path / "chapters" / "page.ipynb")
    (tmp_path / "index.md").write_text("Welcome {cite}`szegedy2014`.\n", "utf-8")
    (tmp_path / "code" / "whydeep").mkdir(parents=True)
    (tmp_path / "code" / "whydeep" / "lab.py").write_text(
        '"""What {cite}`szegedy2014` found.\n\nMore."""\nf(caption="See {cite}`szegedy2014`.")\n',
        "utf-8",
    )
    (tmp_path / "data").mkdir()
    for name, text in {
        "catalogue": "entries: [{id: fool, cite: [goodfellow2015], claim: It is so. Or not.}]",
        "concordance": "documents: [{id: '000', cite: szegedy2014, about: A post, sections: "
        "[{statements: [{id: 000-01, says: 'They fool {cite}`goodfellow2015`.'}]}]}]",
        "corrections": "corrections: [{id: C-01, document: No., right: 'Yes. {cite}`new2020`'}]",
    }.items():
        (tmp_path / "data" / f"{name}.yaml").write_text(text, "utf-8")
    (tmp_path / "references.bib").write_text(
        "@article{goodfellow2015, author={Goodfellow, I. and {Van der} Berg, S.}, journal={A},"
        "title={{AI}: how?}, year={2015}, abstract={We fool. Then not.}}\n"
        "@misc{goodfellow2015adversarial, author={Shlens, J.}, title={B}, year={2015},"
        "eprint={1412.6572}}\n@book{szegedy2014, author={Szegedy, C.}, title={C}, publisher={P},"
        "year={2014}}\n",
        "utf-8",
    )
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    monkeypatch.setattr(cited, "experiments", dict)
    return tmp_path


def test_a_key_lists_each_sentence_that_cites_it_and_no_other_under_what_the_work_is(book, capsys):
    assert cited.main(["goodfellow2015", "goodfellow2015adversarial"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "goodfellow2015: Goodfellow, Van der Berg, “AI: how?”, A, 2015",
        "    We fool.",
        "  - page, cell 1: Networks are easy to fool {cite}`goodfellow2015,szegedy2014`.",
        "  - page, cell 2: Did {cite:t}`goodfellow2015` ask, or not?",
        "  - catalogue fool: It is so. Or not.",
        "  - concordance 000-01: They fool {cite}`goodfellow2015`.",
        "goodfellow2015adversarial: Shlens, “B”, arXiv 1412.6572, 2015",
        "  - page, cell 3: {cite:yearpar}`goodfellow2015adversarial` proves $y \\le 1$.",
    ]


def test_all_works_are_listed_and_a_key_without_a_work_is_told(book, capsys):
    assert cited.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    heads = [line.partition(":")[0] for line in lines if not line.startswith(" ")]
    assert heads == ["goodfellow2015", "goodfellow2015adversarial", "new2020", "szegedy2014"]
    assert "new2020: not in references.bib" in lines
    assert "  - correction C-01: No. Yes. {cite}`new2020`" in lines
    assert lines[lines.index("szegedy2014: Szegedy, “C”, P, 2014") + 1 :] == [
        "  - index: Welcome {cite}`szegedy2014`.",
        "  - page, cell 1: Networks are easy to fool {cite}`goodfellow2015,szegedy2014`.",
        "  - page, cell 4: A list says so {cite}`szegedy2014`.",
        "  - page, cell 5: As drawn by {cite:t}`szegedy2014`.",
        "  - whydeep/lab.py: What {cite}`szegedy2014` found.",
        "  - whydeep/lab.py: See {cite}`szegedy2014`.",
        "  - concordance, document 000: A post",
    ]


def test_a_key_that_nobody_knows_is_one_line_with_the_nearest_one(book, capsys):
    assert cited.main(["goodfelow2015"]) == 2
    assert capsys.readouterr().err == (
        "cited: no work has the key 'goodfelow2015': did you mean 'goodfellow2015'?\n"
    )


def test_a_claim_stands_under_its_work_and_its_rows_under_theirs():
    claim = dataclasses.replace(
        EXAMPLE,
        paper=(("error", ("{} %", 5), "Figure 1"), ("cost", "high", "{cite:t}`c`, Table 2")),
        contested="Fine. Not on text {cite}`d,e`.",
    )
    found = cited.uses(cited._of_claim(claim))
    assert found == {
        "b": [
            ("claim a", "One is larger than the other."),
            ("claim a, its source", "error; 5 %; Figure 1"),
        ],
        "c": [("claim a, its source", "cost; high; {cite:t}`c`, Table 2")],
        "d": [("claim a, contested", "Not on text {cite}`d,e`.")],
        "e": [("claim a, contested", "Not on text {cite}`d,e`.")],
    }


def test_all_that_the_book_says_of_a_work_is_listed_under_it(capsys):
    assert cited.main(["student1908", "telgarsky2016"]) == 0
    told = capsys.readouterr().out
    assert "Student" in told
    assert "before-you-start/how-to-read-a-verdict" in told
    assert "catalogue telgarsky2016-sawtooth: " in told  # not yet run: the catalogue says it
    by_key = cited.uses(cited.passages())
    for claim in (c for _, c in CLAIMS):  # and of one that runs, what the claim says
        said = " ".join(claim.says.split())
        assert (f"claim {claim.id}", said) in by_key[claim.cite]
        assert (f"catalogue {claim.id}", said) in by_key[claim.cite]


def test_no_citation_of_a_page_is_overlooked():
    for name, path in reviewed.pages():
        if path.suffix == ".md":
            text = path.read_text("utf-8")
        else:
            cells = nbformat.read(path, as_version=4).cells
            text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        listed = cited.uses(
            cited.Passage(name, said) for _, said in cited.page_texts(path, roles=True)
        )
        assert cited.keys(text) <= set(listed), name
