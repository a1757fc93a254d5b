# The referee in Chromium, on a scratch book: the question first, studies drawn by key and by mouse,
# the tally, settings by slider, choice and address.
import re

import pytest
from browsing import picture, says, scrolled, tab_to, violations, widget

pytestmark = pytest.mark.site

PAGE = "part/referee.html"


@pytest.fixture
def tab(visit, scratch):
    """The page of referees from the file system, nothing touched yet."""
    return show(visit(), scratch)


def show(visit, site, hash_=""):
    return scrolled(visit.open((site / PAGE).as_uri() + hash_))


def tally(tab, n=0):
    """How often each word came out, by the table."""
    rows = widget(tab, n).locator("tbody tr").all_inner_texts()
    return {word: int(count.replace(",", "")) for word, count, *_ in (r.split("\t") for r in rows)}


def press(tab, name, n=0):
    widget(tab, n).get_by_role("button", name=name, exact=True).click()


def test_the_strips_are_empty_until_the_question_is_answered_by_key(tab):
    gated = widget(tab)
    assert gated.locator(".wd-picture .wd-mark").count() == 0
    assert not gated.get_by_role("button", name="Draw a study").is_visible()
    tab_to(tab, "[data-widget=w1] .wd-gate input")
    tab.keyboard.press("Space")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    told = "You predicted: 1 in 40. Measured: 1 in 40, as you said. It was so."
    assert tab.evaluate("document.activeElement.textContent") == told
    # Three arms of five seeds, and a thousand studies that have been judged.
    assert gated.locator(".wd-picture .wd-mark").count() == 15
    says(tab, "Of 1,000 studies:")
    assert sum(tally(tab).values()) == 1000
    assert tally(tab)["shown here"] <= 3
    press(tab, "Start again")
    assert gated.locator(".wd-picture .wd-mark").count() == 0
    assert gated.locator(".wd-gate").is_visible()


def test_each_study_drawn_is_another_one_and_counts_once(tab):
    press(tab, "Skip the question")
    before, seen = tally(tab), {picture(tab)}
    for n in range(1, 6):
        press(tab, "Draw a study")
        says(tab, f"Study {1000 + n:,}, 5 seeds")
        seen.add(picture(tab))
    assert len(seen) == 6
    assert sum(tally(tab).values()) == 1005
    assert all(tally(tab)[word] >= before[word] for word in before)
    tab_to(tab, "[data-widget=w1] .wd-actions button:nth-child(2)")
    tab.keyboard.press("Enter")
    says(tab, "Of 2,005 studies:")
    assert sum(tally(tab).values()) == 2005


def test_the_words_come_as_often_as_theory_says(tab):
    # Twice the bound, spread half a bound: power.words(Study(20, 2.0, planted=True), 2.0) gives
    # 100 % of *shown here* with twenty seeds; with five and the same control 83 %.
    says(tab, "Study 1, 20 seeds", n=1)
    press(tab, "Draw 1,000 studies", 1)
    says(tab, "Of 1,001 studies:", n=1)
    assert tally(tab, 1)["shown here"] >= 999
    widget(tab, 1).get_by_label("5", exact=True).check()
    says(tab, "Study 1, 5 seeds", n=1)
    assert sum(tally(tab, 1).values()) == 1
    press(tab, "Draw 1,000 studies", 1)
    says(tab, "Of 1,001 studies:", n=1)
    assert 770 <= tally(tab, 1)["shown here"] <= 890
    # A control that leaves all of it cannot miss, so nothing is shown.
    widget(tab, 1).get_by_label("all of it").check()
    press(tab, "Draw 1,000 studies", 1)
    says(tab, "Of 1,001 studies:", n=1)
    assert tally(tab, 1)["shown here"] == 0


def test_a_slider_changes_the_truth_by_key_and_the_tally_begins_again(tab):
    press(tab, "Draw 1,000 studies", 1)
    slider = widget(tab, 1).get_by_role("slider", name="true effect (bounds)")
    slider.focus()
    tab.keyboard.press("Home")
    says(tab, "Study 1, 20 seeds", n=1)
    assert slider.get_attribute("aria-valuetext") == "−2 bounds"
    assert sum(tally(tab, 1).values()) == 1
    assert tally(tab, 1)["opposite"] == 1


def test_the_address_gives_the_same_referee_and_start_again_the_first(tab, visit, scratch):
    first = picture(tab, 1)
    widget(tab, 1).get_by_role("slider", name="spread over seeds (bounds)").press("End")
    widget(tab, 1).get_by_label("half").check()
    tab.wait_for_url("**#judge.spread=3&judge.left=0.5")
    other = show(visit(), scratch, "#judge.spread=3&judge.left=0.5")
    says(other, "Study 1, 20 seeds", n=1)
    assert widget(other, 1).get_by_label("half").is_checked()
    press(tab, "Start again", 1)
    assert picture(tab, 1) == first
    tab.wait_for_url(re.compile(r"html$"))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 320)])
def test_axe_finds_nothing_before_and_after_use_and_nothing_is_wider(scheme, width, visit, scratch):
    seen = visit(scheme=scheme, width=width)
    tab = show(seen, scratch)
    assert violations(tab) == []
    press(tab, "Skip the question")
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.seen == []
