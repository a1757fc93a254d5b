# The built book in Chromium, as a reader gets it: with the network off, from the file system and
# over http; loaded once and looked at in light, dark and forced colours, and on a phone. Needs
# `make book` and Chromium. What widgets do is tested on the scratch book, a kind at a time.
import functools
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import pytest
from browsing import (
    ALL_AT_ONCE,
    COLOURS,
    PAGES,
    SITE,
    WIDER_THAN_THE_SCREEN,
    Visit,
    views,
    violations,
    widget,
)

pytestmark = pytest.mark.site


STILL = "*, *::before, *::after { transition: none !important; animation: none !important; }"


@pytest.fixture(scope="module")
def address(site, serve):
    """The site over http on this machine."""
    return serve(site)


@pytest.fixture(scope="module")
def reader(browser):
    """A tab for all pages, one after the other."""
    visit = Visit(browser)
    yield visit
    visit.context.close()


@pytest.fixture
def look(reader):
    """Gives the reader's tab its first look again: a light page on a wide screen."""

    def start(width=1280, scheme="light", forced="none"):
        reader.page.emulate_media(color_scheme=scheme, forced_colors=forced)
        reader.page.set_viewport_size({"width": width, "height": 900})
        return reader.page

    start()
    reader.seen.clear()
    return start


def open_by_key(frame):
    """Answer the widget's question with the keys, if it has one."""
    gate = frame.locator(".wd-gate")
    if not gate.count():
        return
    gate.get_by_role("radio").first.press("Space")
    gate.get_by_role("button", name="Show the measurement").press("Enter")
    gate.wait_for(state="hidden")
    assert frame.page.evaluate("document.activeElement.textContent").startswith("You predicted: ")


def test_the_book_is_built():
    assert "index.html" in PAGES, f"no book in {SITE}: run `make book` first"


@pytest.mark.rotates
@pytest.mark.parametrize("page", PAGES)
def test_a_page_needs_no_server_and_is_right_in_light_dark_forced_colours_and_on_a_phone(
    page, reader, look, site
):
    tab = reader.open((site / page).as_uri() + ALL_AT_ONCE)
    tab.add_style_tag(content=STILL)  # a colour that fades is looked at when it has arrived
    for i in range(views(page)):
        widget(tab, i).and_(tab.locator("[data-ready]")).wait_for()
        open_by_key(widget(tab, i))
    assert tab.locator("[data-failed]").count() == 0
    assert tab.locator(".math:not(:has(mjx-container)):not(mjx-container .math)").count() == 0
    assert tab.locator("mjx-merror").count() == 0
    assert violations(tab) == []
    look(scheme="dark")
    tab.locator("html[data-theme=dark]").wait_for()
    assert violations(tab, rules=COLOURS) == []
    look(forced="active")
    tab.locator("html[data-theme=light]").wait_for()
    assert violations(tab, rules=COLOURS) == []
    look(width=375)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375, tab.evaluate(
        WIDER_THAN_THE_SCREEN
    )
    assert violations(tab) == []
    assert reader.seen == []


@pytest.mark.rotates
@pytest.mark.parametrize("page", PAGES)
def test_a_page_over_http_asks_nobody_else_and_reports_no_error(page, reader, look, address):
    tab = reader.open(address + page)
    tab.wait_for_load_state("networkidle")  # what still loads would be broken off by the next page
    assert reader.seen == []


def test_a_citation_is_copied_at_a_click_also_from_the_file_system(browser, site):
    pages = [page for page in PAGES if 'class="claim"' in (site / page).read_text("utf-8")]
    if not pages:
        pytest.skip("no page has a claim box")
    visit = Visit(browser)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = visit.open((site / pages[0]).as_uri())
    tab.get_by_text("The record", exact=True).first.click()
    tab.get_by_role("button", name="Copy citation").first.click()
    tab.get_by_text("Copied.").wait_for()
    assert tab.evaluate("navigator.clipboard.readText()").startswith("@misc{whydeep-")
    visit.context.close()


# ---------------------------------------------------------------------------------- the files


class Page(HTMLParser):
    """The ids, links and images of a page."""

    def __init__(self, path: Path):
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.images: list[tuple[str, str | None]] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        if found.get("id"):
            self.ids.add(found["id"])
        if tag == "a" and found.get("name"):
            self.ids.add(found["name"])
        if tag in ("a", "link") and found.get("href"):
            self.links.append(found["href"])
        if tag == "script" and found.get("src"):
            self.links.append(found["src"])
        if tag == "img":
            self.images.append((found.get("src", ""), found.get("alt")))


@functools.cache
def parsed(page: str) -> Page:
    return Page(SITE / page)


@pytest.mark.parametrize("page", PAGES)
def test_every_picture_says_what_is_seen(page):
    for source, alt in parsed(page).images:
        assert alt, f"{source} has no alternative text"
        assert len(alt) > 20, f"{source}: {alt!r} says too little"
        assert not re.search(r"\.(svg|png|jpe?g)\b", alt), f"{source}: {alt!r} is a file name"


@pytest.mark.parametrize("page", PAGES)
def test_every_link_inside_the_book_leads_somewhere(page):
    broken = []
    for link in parsed(page).links:
        if urlparse(link).scheme or link.startswith("//"):
            continue
        parts = urlparse(urljoin(f"http://book/{page}", link))
        target, anchor = unquote(parts.path).lstrip("/"), unquote(parts.fragment)
        known = parsed(target).ids if target in PAGES else {anchor}
        if not (SITE / target).is_file() or (anchor and anchor not in known):
            broken.append(link)
    assert broken == []
