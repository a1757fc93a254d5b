# The concordance: every statement of the four documents has a treatment, every link leads
# somewhere, every correction stands beside a statement, and the page shows what the data say.
import re
from pathlib import Path

import pytest
import yaml
from pybtex.database import parse_file
from test_book import Book
from whydeep.book.checks import vocabulary
from whydeep.book.concordance import (
    IN_PART,
    STATUSES,
    TREATED,
    UNDECIDABLE,
    WAITING,
    BadConcordance,
    Concordance,
    Statement,
    read_concordance,
)

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def concordance() -> Concordance:
    return read_concordance()


@pytest.fixture(scope="module")
def statements(concordance) -> list[Statement]:
    return [statement for document in concordance.documents for statement in document.statements]


@pytest.fixture(scope="module")
def entries() -> dict[str, dict]:
    text = (ROOT / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    return {entry["id"]: entry for entry in yaml.safe_load(text)["entries"]}


def sentences(concordance: Concordance) -> list[tuple[str, str]]:
    """Every text of the two data files that a reader sees, with where it stands."""
    found = []
    for document in concordance.documents:
        found += [(document.id, document.about), (document.id, document.left_out)]
        for statement in document.statements:
            found += [(statement.id, statement.says), (statement.id, statement.undecidable)]
    for correction in concordance.corrections.values():
        found += [(correction.id, correction.document), (correction.id, correction.right)]
    return found


# --- the data files ----------------------------------------------------------------------------


def test_the_four_documents_stand_in_their_order(concordance):
    assert [document.id for document in concordance.documents] == ["000", "001", "002", "003"]


def test_every_claim_is_in_the_catalogue_and_named_once_a_statement(statements, entries):
    for statement in statements:
        named = statement.claims + statement.further
        assert set(named) <= set(entries), statement.id
        assert len(named) == len(set(named)), statement.id


def test_every_entry_is_reached_from_each_document_that_it_names(concordance, entries):
    for document in concordance.documents:
        reached = {claim for s in document.statements for claim in s.claims + s.further}
        names = {e["id"] for e in entries.values() if document.id in e["documents"]}
        excepted = {e.claim for e in concordance.exceptions if e.document == document.id}
        assert names - reached == excepted, document.id


def test_every_page_is_in_the_book(statements):
    toc = (ROOT / "_toc.yml").read_text(encoding="utf-8")
    for statement in statements:
        for page in statement.pages:
            assert f"file: {page}\n" in toc, statement.id
            assert list(ROOT.glob(f"{page}.*")), statement.id


def test_the_page_shows_the_counts_and_every_document(concordance):
    page = (ROOT / "chapters/back-matter/concordance.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\{concordance\} (\S+)\n```", page)
    assert shown == ["counts", *(document.id for document in concordance.documents)]


def test_citations_are_in_the_bibliography(concordance):
    known = set(parse_file(str(ROOT / "references.bib"), "bibtex").entries.keys())
    cited = {document.cite for document in concordance.documents}
    for _, text in sentences(concordance):
        for group in re.findall(r"\{cite[^}]*\}`([^`]+)`", text):
            cited |= set(group.split(","))
    assert not cited - known


def test_a_correction_cites_what_it_rests_on(concordance):
    for correction in concordance.corrections.values():
        assert "{cite}`" in correction.right, correction.id


def test_a_statement_is_one_sentence(statements):
    for statement in statements:
        says = statement.says
        assert re.search(r"[.?]$", says), statement.id
        assert says[0].isupper() or says[0] == "$", statement.id
        # A full stop or question mark inside is one of a number or a formula, not of a sentence.
        plain = re.sub(r"\$[^$]*\$|\{cite[^}]*\}`[^`]*`", "", says)
        assert not re.search(r"[.?!]\s+\S", plain), statement.id
        assert 4 <= len(says.split()) <= 40, statement.id


def test_a_reason_is_a_few_words_that_continue_a_line(statements):
    for statement in statements:
        if statement.undecidable:
            assert re.fullmatch(r"[a-z][^.]{5,70}", statement.undecidable), statement.id


def test_the_words_are_those_of_the_book(concordance):
    glossary = vocabulary.avoided((ROOT / vocabulary.GLOSSARY).read_text(encoding="utf-8"))
    texts = [
        (where, re.sub(r"\{cite[^}]*\}`[^`]*`", "", text)) for where, text in sentences(concordance)
    ]
    assert vocabulary.problems(iter(texts), glossary) == []
    # British spelling, and nothing from memory.
    foreign = r"\b(\w+ization|generalizes?|colors?|clearly|obviously|from memory)\b"
    for where, text in texts:
        assert not re.search(foreign, text, re.IGNORECASE), where


def test_a_quotation_is_a_few_words(concordance):
    for where, text in sentences(concordance):
        assert text.count("“") == text.count("”"), where
        for quotation in re.findall(r"“([^”]*)”", text):
            assert len(quotation.split()) <= 8, where


def test_what_a_machine_wrote_is_said_to_be_a_machines(concordance):
    # Of the summary page, only the abstract has human authors.
    sections = concordance.document("003").sections
    assert [section.by_machine for section in sections] == [False] + [True] * (len(sections) - 1)
    others = [concordance.document(name) for name in ("000", "001", "002")]
    assert not any(section.by_machine for document in others for section in document.sections)


# --- status and counts -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"claims": ("a", "b")}, TREATED),
        ({"claims": ("a", "c")}, IN_PART),
        ({"claims": ("c",)}, WAITING),
        ({"claims": ("c",), "further": ("a",)}, WAITING),
        ({"pages": ("p",)}, TREATED),
        ({"pages": ("p",), "claims": ("c",)}, IN_PART),
        ({"undecidable": "it is history", "further": ("a",)}, UNDECIDABLE),
    ],
)
def test_what_makes_a_statement_treated(fields, status):
    assert Statement("001-01", "A sentence.", **fields).status({"a", "b"}) == status


def test_counts_add_up_whatever_runs(concordance, entries):
    for run in (set(), set(entries)):
        for document in concordance.documents:
            counts = document.counts(run)
            assert set(counts) <= set(STATUSES)
            assert counts.total() == len(list(document.statements))
    # With everything run nothing is left to run.
    for document in concordance.documents:
        counts = document.counts(set(entries))
        assert not counts[WAITING] + counts[IN_PART]


# --- what is refused ---------------------------------------------------------------------------

GOOD = {
    "concordance.yaml": """
documents:
  - id: "000"
    cite: doe1999
    short: Doe
    about: "An essay."
    left_out: "Thanks."
    sections:
      - where: Beginning
        statements:
          - id: 000-01
            says: "Errors are small, as $x_1$ shows."
            claims: [scratch-claim, still-waiting]
            corrections: [C-01]
          - id: 000-02
            says: "They were *always* small {cite}`poe2003`."
            undecidable: it is history
            further: [still-waiting]
            corrections: [C-01, C-02]
      - where: End
        by_machine: true
        statements:
          - {id: 000-03, says: "Waiting helps.", claims: [still-waiting]}
          - {id: 000-04, says: "Everything is on a page.", pages: [page]}
exceptions: []
""",
    "corrections.yaml": """
corrections:
  - {id: C-01, document: "Errors are small.", right: "They are tiny {cite}`roe2001`."}
  - {id: C-02, document: "Always.", right: "Since 1999 {cite}`doe1999`."}
""",
}


def write(folder: Path, **changes: tuple[str, str]) -> Path:
    """The good data files in ``folder``, each changed by one replacement."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in GOOD.items():
        old, new = changes.get(name.removesuffix(".yaml"), ("", ""))
        assert old in text
        (folder / name).write_text(text.replace(old, new) if old else text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("concordance", "id: 000-02", "id: 000-07", "'000-07' stands where 000-02 should"),
        ("concordance", ", pages: [page]", "", "statement 000-04 needs claims or pages"),
        ("concordance", "[page]", "[page], undecidable: it is a wish", "and not both"),
        ("concordance", "[C-01, C-02]", "[C-01, C-03]", "no correction is called 'C-03'"),
        ("concordance", "[C-01, C-02]", "[C-01]", "no statement names the correction C-02"),
        ("concordance", "[C-01]", "[C-02]", "correction C-02 is named where C-01 should"),
        ("concordance", 'says: "Waiting', 'sayz: "Waiting', "an unknown field 'sayz'"),
        ("concordance", "undecidable: it is history", "undecidable: no", "of type str, not False"),
        ("concordance", "claims: [still-waiting]}", "claims: still-waiting}", "type tuple"),
        ("concordance", "short: Doe", "short: [", "concordance.yaml is not valid YAML"),
        ("concordance", "sections:", "parts:", "document 000 needs a list 'sections'"),
        ("concordance", "exceptions: []", "", "concordance.yaml needs a list 'exceptions'"),
        ("corrections", "id: C-02", "id: C-03", "'C-03' stands where C-02 should"),
        ("corrections", ', right: "Since', ', wrong: "Since', "an unknown field 'wrong'"),
        ("corrections", 'document: "Always.", ', "", "correction C-02 has no field 'document'"),
    ],
)
def test_a_defect_of_the_data_is_named_in_one_line(tmp_path, name, old, new, words):
    with pytest.raises(BadConcordance, match=re.escape(words)) as caught:
        read_concordance(write(tmp_path / "data", **{name: (old, new)}))
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_an_unknown_part_are_named(tmp_path, concordance):
    with pytest.raises(BadConcordance, match=r"no file .*corrections\.yaml: restore it with"):
        read_concordance(tmp_path)
    with pytest.raises(BadConcordance, match="no part '007': choose counts, 000, 001"):
        concordance.document("007")


# --- the page ----------------------------------------------------------------------------------

PAGE = "# Concordance\n\n```{concordance} counts\n```\n\n## Doe\n\n```{concordance} 000\n```\n"


def scratch(folder: Path, **changes: tuple[str, str]) -> Book:
    """The scratch book of test_book with a concordance."""
    book = Book(folder)
    write(folder / "data", **changes)
    book.write("concordance.md", PAGE)
    book.edit("_toc.yml", "- file: other\n", "- file: concordance\n")
    (folder / "other.ipynb").unlink()
    return book


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> Book:
    book = scratch(tmp_path_factory.mktemp("concordance") / "book")
    status, log = book.build()
    assert status == 0, log[-3000:]
    return book


def test_the_page_counts_what_is_treated_and_what_is_not(built):
    text = built.text("concordance")
    assert "Statements Doe All treated 1 1 treated in part 1 1 not yet run 1 1" in text
    assert "no experiment can decide it 1 1 all 4 4" in text
    assert "4 statements (treated: 1; treated in part: 1; not yet run: 1; no experiment" in text


def test_a_statement_leads_to_its_claim_box_with_the_verdict_or_to_the_ledger(built):
    item = re.search(r'<li[^>]*id="statement-000-01">(.*?)</li>', built.html("concordance"), re.S)[
        1
    ]
    text = " ".join(re.sub(r"<[^>]+>", "", item).split())
    assert 'href="page.html#claim-scratch-claim"' in item
    assert "Treated in part: Is the error small? reproduced Not yet run: still-waiting" in text
    assert 'href="ledger.html#not-yet-run-still-waiting"' in item
    assert 'id="not-yet-run-still-waiting"' in built.html("ledger")
    assert "math notranslate" in item


def test_a_page_and_a_reason_stand_as_treatments_too(built):
    text = built.text("concordance")
    assert "No experiment can decide it: it is history" in text
    assert "Taken further: still-waiting" in text
    assert "Treated: A page" in text
    assert re.search(r'href="page.html"><span class="doc">A page', built.html("concordance"))


def test_a_correction_stands_once_in_full_and_is_linked_afterwards(built):
    text, html = built.text("concordance"), built.html("concordance")
    assert text.count("They are tiny [Roe, 2001].") == 1
    assert "Correction C-01 applies here too." in text
    assert html.count('id="correction-C-01"') == 1
    assert 'href="#correction-C-01"' in html


def test_every_link_within_the_page_leads_somewhere(built):
    html = built.html("concordance").partition("<article")[2].partition("</article>")[0]
    ids = set(re.findall(r'id="([^"]+)"', html))
    assert set(re.findall(r'href="#([^"]+)"', html)) <= ids
    assert {"statement-000-04", "correction-C-02"} <= ids


def test_machine_written_words_are_marked_where_they_stand(built):
    _, machine = built.text("concordance").split("words were written by a machine")
    assert "Waiting helps." in machine


def test_a_link_that_leads_nowhere_fails_the_build(tmp_path):
    missing = ("pages: [page]", "pages: [page, nowhere]")
    status, log = scratch(tmp_path / "book", concordance=missing).build()
    assert status != 0
    assert "nowhere" in log
    unknown = ("claims: [still-waiting]", "claims: [no-such-claim]")
    book = scratch(tmp_path / "other", concordance=unknown)
    status, log = book.build()
    assert status != 0
    assert "'no-such-claim', which is not in the catalogue" in log
