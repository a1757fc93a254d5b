# Which browser tests of a page need not run: never one whose page, styles or scripts have changed.
import json

import pytest
import rotation

TESTS = {f"test_{kind}[{page}]": page for page in ("a", "b", "c") for kind in ("look", "fox")}


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A site of three pages with a style and a script; nothing is remembered between looks."""
    for name in ("a", "b", "c", "_static/site.css", "_static/sub/site.js"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(rotation, "SITE", tmp_path)
    monkeypatch.setattr(rotation, "PASSED", tmp_path / "looked-at.json")
    forget()
    yield tmp_path
    forget()


def forget():
    rotation.state.cache_clear()
    rotation._shared.cache_clear()


def everything_passes():
    rotation.keep({test: rotation.state(page) for test, page in TESTS.items()})
    forget()


def run(turn):
    """The pages whose tests are run."""
    skipped = rotation.needless(TESTS, rotation.passed(), turn)
    return {page for test, page in TESTS.items() if test not in skipped}


def test_at_first_every_page_is_looked_at(site):
    assert run(turn=0) == {"a", "b", "c"}


def test_of_unchanged_pages_a_third_is_looked_at_and_each_in_its_turn(site):
    everything_passes()
    assert [run(turn) for turn in range(3)] == [{"a"}, {"b"}, {"c"}]


@pytest.mark.parametrize(
    ("changed", "pages"),
    [("b", {"a", "b"}), ("_static/site.css", {"a", "b", "c"}), ("_static/sub/site.js", {*"abc"})],
)
def test_a_page_is_looked_at_if_it_or_what_all_pages_load_has_changed(site, changed, pages):
    everything_passes()
    (site / changed).write_text("new")
    assert run(turn=0) == pages


def test_a_test_that_failed_runs_again_though_the_others_of_its_page_passed(site):
    kept = {test: rotation.state(page) for test, page in TESTS.items()}
    del kept["test_fox[c]"]
    rotation.keep(kept)
    skipped = rotation.needless(TESTS, rotation.passed(), 0)
    assert "test_look[c]" in skipped
    assert "test_fox[c]" not in skipped


@pytest.mark.parametrize("damage", ["", "{", "[1, 2]", json.dumps({"test_look[b]": 3})])
def test_a_damaged_list_lets_nothing_through(site, damage):
    (site / "looked-at.json").write_text(damage)
    assert run(turn=0) == {"a", "b", "c"}
