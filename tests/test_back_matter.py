"""The book keeps to its own words, and no verdict changes without a reason."""

import datetime

import nbformat
import pytest
from whydeep.book.checks import changes, vocabulary
from whydeep.book.checks.changes import Change, History, Registration, Told
from whydeep.errors import WhydeepError
from whydeep.evidence import claims

GLOSSARY = """# Glossary

```{glossary}
unit
  A number.

  *Not:* neuron, *Processing element*.

verdict word
  A word.

  *Not:* confirmed.
```
"""
WORDS = {"neuron": "unit", "processing element": "unit", "confirmed": "verdict word"}


def said(tmp_path, text: str, kind: str = "markdown") -> list[str]:
    new = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}[kind]
    path = tmp_path / "page.ipynb"
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=[new(text)])), "utf-8")
    return vocabulary.problems(vocabulary.page_texts(path), WORDS)


# ---------------------------------------------------------------------------------- vocabulary


def test_the_words_to_avoid_are_the_glossarys():
    assert vocabulary.avoided(GLOSSARY) == WORDS


def test_a_word_cannot_be_a_term_and_one_to_avoid():
    with pytest.raises(WhydeepError, match="'unit' is a term and a word to avoid"):
        vocabulary.avoided(GLOSSARY.replace("confirmed", "unit"))


@pytest.mark.parametrize(
    "text",
    [
        "A neuron fires.",
        "## Neurons",
        "Many *neurons* and\nmore.",
        "* in a list: neuron",
        "| a table |\n|---|\n| neuron |",
        "```{admonition} Of neurons\nText.\n```",
        "````{prf:theorem} T\n```{note}\nIt has one neuron.\n```\n````",
        "A processing\nelement.",
    ],
)
def test_a_word_to_avoid_is_found_wherever_a_page_speaks(tmp_path, text):
    (line,) = said(tmp_path, text)
    assert "page.ipynb, cell 1: says " in line
    assert line.endswith("the glossary's word is 'unit'")


@pytest.mark.parametrize(
    "text",
    [
        "In code, `neuron`.",
        "$neuron$ and $$neuron$$",
        'He writes “each neuron fires” and "a neuron".',
        "{cite}`neuron` and {doc}`neuron`",
        "```python\nneuron = 1\n```",
        "```{claim} neuron\n```",
        "<!-- neuron -->",
        "Neuronal, an interneuron, neuron-like.",
    ],
)
def test_code_formulas_roles_and_quotations_may_say_what_they_like(tmp_path, text):
    assert said(tmp_path, text) == []


def test_captions_and_axes_are_read_and_other_code_is_not(tmp_path):
    assert (
        len(said(tmp_path, "f(caption='A neuron.', alt='x')\naxes.set(xlabel='neurons')", "code"))
        == 2
    )
    assert said(tmp_path, "neuron = 'neuron'\n%matplotlib inline", "code") == []
    assert said(tmp_path, "neuron = 'neuron'  # a neuron\nprint('neuron')", "code") == []


def test_the_books_own_pages_keep_to_its_glossary(capsys):
    assert vocabulary.main() == 0, capsys.readouterr().out


def test_the_glossary_has_the_fixed_vocabulary_and_every_verdict_word():
    text = (vocabulary.repository() / vocabulary.GLOSSARY).read_text("utf-8").splitlines()
    fixed = {"network", "layer", "unit", "weight", "example", "label", "loss", "step", "epoch"}
    assert fixed | {"seed", "contested"} | set(claims.WORDS) <= set(text)


def test_words_of_earlier_rules_are_explained_where_changes_are_told_and_nowhere_used():
    page = vocabulary.repository() / "chapters" / "back-matter" / "changed-verdicts.md"
    glossary = (vocabulary.repository() / vocabulary.GLOSSARY).read_text("utf-8")
    old = changes.WORDS - set(claims.WORDS)
    assert {"partly reproduced", "void"} <= old
    for word in old:
        assert f'* "{word}"' in page.read_text("utf-8"), word
        assert f"\n{word}\n" not in glossary
    assert vocabulary.avoided(glossary)["partly reproduced"] == "in part"
    assert vocabulary.avoided(glossary)["not reproduced"] == "not shown"


# ---------------------------------------------------------------------------------- verdicts


def change(before: str, after: str, claim: str = "a", day: int = 1, registered="") -> Change:
    when = datetime.date(2030, 1, day)
    return Change(when, claim, before, after, "Because.", registered)


def problems(released: dict, entries: list, now: dict) -> list[str]:
    """The problems where every claim registers the same as ever."""
    told = ({c: Told(word, "1") for c, word in words.items()} for words in (released, now))
    return changes.problems(History(next(told), entries), next(told))


def test_every_verdict_of_the_book_is_as_released_or_its_change_is_told(capsys):
    assert changes.main() == 0, capsys.readouterr().out


def test_a_claim_that_was_never_told_is_given_its_line():
    (line,) = problems({}, [], {"a": "reproduced"})
    assert line.startswith("a is new: put the line `a: reproduced 1` under `released`")


def test_a_verdict_that_differs_from_the_release_needs_an_entry():
    now = {"a": "void"}
    (line,) = problems({"a": "reproduced"}, [], now)
    assert "a: the verdict is 'void', but the last one told is 'reproduced'" in line
    assert problems({"a": "reproduced"}, [change("reproduced", "void")], now) == []


def test_an_entry_older_than_the_verdict_of_today_is_not_enough():
    entries = [change("reproduced", "void")]
    (line,) = problems({"a": "reproduced"}, entries, {"a": "not reproduced"})
    assert "the verdict is 'not reproduced', but the last one told is 'void'" in line


def test_the_entries_of_a_claim_lead_from_one_verdict_to_the_next():
    entries = [change("reproduced", "void"), change("reproduced", "not reproduced", day=2)]
    (line,) = problems({"a": "reproduced"}, entries, {"a": "not reproduced"})
    assert "begins at 'reproduced', but the one before it ends at 'void'" in line


def test_entries_that_do_not_start_from_the_release_are_refused():
    entries = [change("void", "not reproduced")]
    (line,) = problems({"a": "reproduced"}, entries, {"a": "not reproduced"})
    assert "a: released as 'reproduced', now 'not reproduced', and no entry" in line


def test_an_entry_names_a_claim_that_exists_and_verdicts_that_exist():
    now = {"a": "void"}
    (line,) = problems(now, [change("void", "void", claim="b")], now)
    assert "an entry names the claim 'b', which no experiment runs" in line
    (line, *_) = problems(now, [change("maybe", "void")], now)
    assert "says 'maybe', which is no verdict" in line


def test_a_registration_that_differs_needs_an_entry_with_what_it_is_now():
    before, now = {"a": Told("void", "1")}, {"a": Told("void", "2")}
    (line,) = changes.problems(History(before), now)
    assert line.startswith("a: what is registered has changed")
    assert "`registered: {a: '2'}`" in line
    with_verdict = change("void", "void", registered="2")
    alone = Registration(datetime.date(2030, 1, 1), {"a": "2"}, "Because.")
    assert changes.problems(History(before, [with_verdict]), now) == []
    assert changes.problems(History(before, registrations=[alone]), now) == []
    later = Registration(datetime.date(2030, 1, 2), {"a": "3"}, "Because.")
    assert changes.problems(History(before, [with_verdict], [later]), now) != []


def test_the_file_of_changes_is_read_with_both_kinds_of_entries(tmp_path, monkeypatch):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "verdict-changes.yaml").write_text(
        "released:\n  a: not reproduced 12345678\nchanges:\n"
        "- {when: 2030-01-02, registered: {a: '2'}, reason: b}\n"
        "- {when: 2030-01-01, claim: a, before: void, after: void, registered: '1', reason: c}\n"
        "- {when: 2030-01-02, registered: {a: '3'}, reason: d}\n",
        "utf-8",
    )
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    history = changes.read_changes()
    assert history.released == {"a": Told("not reproduced", "12345678")}
    assert history.changes[0].registered == "1"
    assert history.registered("a") == "3"  # of two entries of one day, the later


@pytest.mark.parametrize(
    "text", ["changes: []", "released: {}\nchanges: [{when: 1}]", "released: {}\nchanges: [", "a"]
)
def test_a_damaged_file_of_changes_is_one_clear_line(tmp_path, monkeypatch, text):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "verdict-changes.yaml").write_text(text, "utf-8")
    monkeypatch.setenv("WHYDEEP_ROOT", str(tmp_path))
    with pytest.raises(WhydeepError, match=r"verdict-changes.yaml is damaged"):
        changes.read_changes()
