# The catalogue of claims and the bibliography: complete, consistent, and written for a reader.
import re
import unicodedata
from pathlib import Path

import pytest
import yaml
from pybtex.database import BibliographyData, parse_file
from pybtex.richtext import Text
from whydeep.experiments import experiments

ROOT = Path(__file__).resolve().parents[1]
# The parts of the book, in its order (DESIGN: the chapters of the catalogue's index).
CHAPTERS = [
    "features",
    "design-choices",
    "mysterious-steps",
    "hacking",
    "survey-optimization",
    "survey-generalization",
    "survey-convnets",
    "survey-depth",
    "survey-physics",
    "readers-questions",
    "since-then",
]
STRENGTHS = {"exact", "strong", "medium", "weak", "mixed", "not-run", "process-check"}
FIELDS = {"id", "chapter", "documents", "cite", "strength", "aliases"}
SAID = {claim.id: claim.says for m in experiments().values() for claim in m.CLAIMS}
KEY = re.compile(r"[a-z][A-Za-z]*[0-9]{4}[a-z]*")


@pytest.fixture(scope="module")
def entries() -> list[dict]:
    text = (ROOT / "data" / "catalogue.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)["entries"]


@pytest.fixture(scope="module")
def bibliography() -> BibliographyData:
    return parse_file(str(ROOT / "references.bib"), "bibtex")


def test_every_claim_of_the_documents_stands_once(entries):
    # 196 drafts, of which 9 are aliases and 2 stood in two files: 196 - 9 - 2 = 185.
    ids = [entry["id"] for entry in entries]
    assert len(ids) == len(set(ids)) == 185


def test_nine_drafts_are_folded_and_none_hides_a_claim(entries):
    ids = {entry["id"] for entry in entries}
    aliases = [alias for entry in entries for alias in entry["aliases"]]
    assert len(aliases) == len(set(aliases)) == 9
    assert not ids & set(aliases)


def test_an_entry_has_its_fields_and_a_note_at_most(entries):
    for entry in entries:
        # What a claim that runs says stands with its experiment, and only there.
        said = set() if entry["id"] in SAID else {"claim"}
        assert set(entry) - {"note"} == FIELDS | said, entry["id"]
        assert entry["strength"] in STRENGTHS, entry["id"]
        assert entry["documents"], entry["id"]
        assert set(entry["documents"]) <= {"000", "001", "002", "003"}


def test_a_mixed_strength_says_which_part_is_strong_and_which_is_not(entries):
    assert not [e["id"] for e in entries if e["strength"] == "mixed" and "note" not in e]


def test_a_claim_that_is_exact_by_the_catalogue_is_judged_as_exact(entries):
    kinds = {claim.id: claim.kind for m in experiments().values() for claim in m.CLAIMS}
    for entry in entries:
        if entry["id"] in kinds and entry["strength"] == "exact":
            assert kinds[entry["id"]] == "exact", entry["id"]
        # A claim that no experiment decides is run by none; only an account of one may be.
        if entry["strength"] == "process-check":
            assert kinds.get(entry["id"], "account") == "account", entry["id"]


def test_chapters_are_known_and_stand_in_the_order_of_the_book(entries):
    seen = [entry["chapter"] for entry in entries]
    assert sorted(seen, key=CHAPTERS.index) == seen
    assert set(seen) == set(CHAPTERS)


def test_a_claim_is_one_sentence_in_the_words_of_the_book(entries):
    for entry in entries:
        claim = SAID.get(entry["id"]) or entry["claim"]
        assert claim == claim.strip(), entry["id"]
        assert claim.endswith("."), entry["id"]
        assert not re.search(r"[.?!] [A-Z(]", claim), f"more than one sentence: {entry['id']}"
        assert 5 <= len(claim.split()) <= 60, entry["id"]
        # The fixed vocabulary: network and unit, not net and neuron; British spelling.
        foreign = r"\b(nets?|neurons?|\w+ization|generalizes?|color)\b"
        assert not re.search(foreign, claim, re.IGNORECASE), entry["id"]


def test_nothing_in_the_catalogue_rests_on_memory():
    for name in ("data/catalogue.yaml", "references.bib"):
        text = (ROOT / name).read_text(encoding="utf-8").lower()
        assert "from memory" not in text
        assert "todo" not in text


def test_every_citation_is_in_the_bibliography_and_every_work_is_used(entries, bibliography):
    known = set(bibliography.entries.keys())
    cited = {key for entry in entries for key in entry["cite"]}
    assert all(entry["cite"] for entry in entries)
    assert not cited - known
    pages = [ROOT / "index.md", *(ROOT / "chapters").rglob("*.ipynb")]
    pages += [*(ROOT / "chapters" / "theory-survey").rglob("*.md")]  # the groups' opening pages
    pages += [ROOT / "data" / "concordance.yaml", ROOT / "data" / "corrections.yaml"]
    text = "".join(page.read_text(encoding="utf-8") for page in pages)
    on_pages = {
        key
        for group in re.findall(r"\{cite[^}]*\}`([^`]+)`", text)
        for key in re.split(r"[\s,]+", group)
    }
    assert not {key for key in known - cited if key not in on_pages}


def test_keys_are_plain_and_differ_by_more_than_case(bibliography):
    keys = list(bibliography.entries.keys())
    assert all(KEY.fullmatch(key) for key in keys)
    assert len({key.lower() for key in keys}) == len(keys)


def test_a_work_can_be_found_by_its_reader(bibliography):
    # A journal or a book names its place; anything else has a number, an address or a place.
    for key, work in bibliography.entries.items():
        fields = work.fields
        assert fields["title"], key
        assert re.fullmatch(r"\d{4}", fields["year"]), key
        assert work.persons.get("author"), key
        if work.type == "article":
            assert fields["journal"], key
        elif work.type in {"inproceedings", "incollection"}:
            assert fields["booktitle"], key
        elif work.type == "book":
            assert fields["publisher"], key
        else:
            assert work.type == "misc", key
            assert {"eprint", "url", "howpublished"} & set(fields.keys()), key


def test_numbers_that_machines_follow_are_well_formed(bibliography):
    for key, work in bibliography.entries.items():
        fields = work.fields
        if "eprint" in fields:
            # New and old style of https://info.arxiv.org/help/arxiv_identifier.html
            assert re.fullmatch(r"\d{4}\.\d{4,5}|[a-z-]+/\d{7}", fields["eprint"]), key
            assert fields["archiveprefix"] == "arXiv", key
        if "doi" in fields:
            assert re.fullmatch(r"10\.\d{4,9}/\S+", fields["doi"]), key
        if "url" in fields:
            assert fields["url"].startswith("https://"), key


# Keys as old as the claim ids that begin with them, beside the work that is cited: its year, or the
# author that the literature names it after.
OTHER_YEAR = {
    "folena2020": 2019,
    "keskar2017": 2016,
    "lin2014": 2013,
    "morningstarMelko2018": 2017,
    "wardefarley2014": 2013,
}
OTHER_AUTHOR = {"grohs2019": 2}


def plain(name: str) -> str:
    """``name`` in letters a to z, without accents, spaces and hyphens."""
    letters = unicodedata.normalize("NFKD", str(Text.from_latex(name)))
    return re.sub("[^a-z]", "", letters.lower())


def arxiv_year(number: str) -> int:
    """The year in an arXiv number of either style: 1412.8690, hep-th/9901001."""
    year = int(number.rpartition("/")[2][:2])
    return year + (1900 if year > 90 else 2000)


def test_a_key_names_an_author_and_the_year_of_its_work(bibliography):
    for key, work in bibliography.entries.items():
        name, year, _ = re.fullmatch(r"([A-Za-z]+)(\d{4})(\w*)", key).groups()
        authors = [plain(" ".join(p.prelast_names + p.last_names)) for p in work.persons["author"]]
        first = authors[OTHER_AUTHOR.get(key, 0)]
        # The surname, its beginning, or those of the first two authors.
        assert name.lower() in (first, "".join(authors[:2])) or first.startswith(name.lower()), key
        appeared = int(work.fields["year"])
        years = {appeared} | ({arxiv_year(e)} if (e := work.fields.get("eprint")) else set())
        assert int(year) in years or OTHER_YEAR.get(key) == appeared, key


def test_no_work_appeared_before_its_preprint(bibliography):
    for key, work in bibliography.entries.items():
        if "eprint" in work.fields:
            assert arxiv_year(work.fields["eprint"]) <= int(work.fields["year"]), key


def test_no_arxiv_number_or_doi_belongs_to_two_works(bibliography):
    for name in ("eprint", "doi"):
        values = [w.fields[name] for w in bibliography.entries.values() if name in w.fields]
        assert len(values) == len(set(values))


def test_licences_and_citation_file_are_whole():
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    text = (ROOT / "LICENSE-text").read_text(encoding="utf-8")
    assert "Creative Commons Attribution 4.0 International Public License" in text
    assert all(f"Section {number} -- " in text for number in range(1, 9))
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["cff-version"] == "1.2.0"
    # The keys that the Citation File Format 1.2.0 requires.
    assert {"authors", "cff-version", "message", "title"} <= set(citation)
