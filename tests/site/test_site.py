# The built book in Chromium, as a reader gets it: with the network off, over http and from the file
# system, in light and dark, on a wide screen and on a phone. Needs `make book` and Chromium.
import functools
import http.server
import os
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import sync_playwright

pytestmark = pytest.mark.site

SITE = Path(os.environ.get("WHYDEEP_SITE", Path(__file__).parents[2] / "_build" / "html")).resolve()
PAGES = sorted(
    str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts
)
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WCAG = {
    # axe would fetch style sheets anew to look into them, which a page from a file may not.
    "preload": False,
    "runOnly": {
        "type": "tag",
        "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"],
    },
}
WIDER_THAN_THE_SCREEN = """() => [...document.querySelectorAll('body *')].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let e = element.parentElement; e; e = e.parentElement)
    if (getComputedStyle(e).overflowX !== 'visible') return false;
  return true;
}).slice(0, 5).map(element => element.outerHTML.slice(0, 120))"""


@pytest.fixture(scope="module")
def site():
    assert (SITE / "index.html").is_file(), f"no book in {SITE}: run `make book` first"
    return SITE


@pytest.fixture(scope="module")
def address(site):
    """The site over http on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Say nothing: the tests look at what the browser saw."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))
    )
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """A browser tab that notes requests to other machines, failures and errors."""

    def __init__(self, browser, *, width=1280, scheme="light"):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        self.seen: list[str] = []
        self.context.route(re.compile(r"^https?://(?!127\.0\.0\.1[:/])"), self._refuse)
        self.page = self.context.new_page()
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.seen.append(f"script error: {error}"))
        self.page.on("requestfailed", lambda r: self.seen.append(f"failed: {r.url}"))
        self.page.on("response", self._response)

    def _refuse(self, route):
        self.seen.append(f"external request: {route.request.url}")
        route.abort()

    def _console(self, message):
        if message.type in ("error", "warning"):
            self.seen.append(f"console {message.type}: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self.seen.append(f"status {response.status}: {response.url}")

    def open(self, url):
        """Open ``url`` and wait until its formulas are set."""
        self.page.goto(url, wait_until="load")
        self.page.evaluate(
            "() => window.MathJax && window.MathJax.startup && window.MathJax.startup.promise"
        )
        return self.page


@pytest.fixture(scope="module", params=["light", "dark"])
def scheme(request):
    return request.param


@pytest.fixture(scope="module")
def desktop(browser, scheme):
    visit = Visit(browser, scheme=scheme)
    yield visit
    visit.context.close()


@pytest.fixture(scope="module")
def phone(browser):
    visit = Visit(browser, width=375)
    yield visit
    visit.context.close()


def test_the_book_is_built():
    assert "index.html" in PAGES, f"no book in {SITE}: run `make book` first"


def violations(tab):
    """What axe finds against WCAG 2.0 to 2.2, levels A and AA, on the open page."""
    return [
        (violation["id"], node["html"][:160], node["failureSummary"][:300])
        for violation in Axe().run(tab, options=WCAG).response["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_over_http_asks_nobody_else_reports_no_error_and_axe_is_content(
    page, desktop, address
):
    desktop.seen.clear()
    tab = desktop.open(address + page)
    assert desktop.seen == []
    assert violations(tab) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_page_from_the_file_system_fits_a_phone_and_needs_no_server(page, phone, site):
    phone.seen.clear()
    tab = phone.open((site / page).as_uri())
    assert phone.seen == []
    assert tab.locator(".math:not(:has(mjx-container)):not(mjx-container .math)").count() == 0
    assert tab.locator("mjx-merror").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375, tab.evaluate(
        WIDER_THAN_THE_SCREEN
    )
    assert violations(tab) == []


def test_a_citation_is_copied_at_a_click_also_from_the_file_system(browser, site):
    pages = [page for page in PAGES if 'class="claim"' in (site / page).read_text("utf-8")]
    if not pages:
        pytest.skip("no page has a claim box")
    visit = Visit(browser)
    visit.context.grant_permissions(["clipboard-read", "clipboard-write"])
    tab = visit.open((site / pages[0]).as_uri())
    tab.get_by_role("button", name="Copy citation").first.click()
    tab.get_by_text("Copied.").wait_for(timeout=5000)
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
