# What the browser tests share: a tab that notes what goes wrong, and how a reader uses a page.
import os
import re
import shutil
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get("WHYDEEP_SITE", ROOT / "_build" / "html")).resolve()
PAGES = sorted(
    str(path.relative_to(SITE)) for path in SITE.rglob("*.html") if "_static" not in path.parts
)
VIEW = '<script type="application/vnd.jupyter.widget-view+json">'
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
COLOURS = ["color-contrast", "link-in-text-block"]
WIDER_THAN_THE_SCREEN = """() => [...document.querySelectorAll('body *')].filter(element => {
  if (element.getBoundingClientRect().right <= innerWidth + 1) return false;
  for (let e = element.parentElement; e; e = e.parentElement)
    if (getComputedStyle(e).overflowX !== 'visible') return false;
  return true;
}).slice(0, 5).map(element => element.outerHTML.slice(0, 120))"""


def views(page):
    """How many widgets the book's page ``page`` shows."""
    return (SITE / page).read_text("utf-8").count(VIEW)


# Any state in the address makes the host draw every widget at once.
ALL_AT_ONCE = "#all=1"
WITH_WIDGETS = [page for page in PAGES if views(page)]


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
        self.page.on("requestfailed", self._failed)
        self.page.on("response", self._response)

    def _failed(self, request):
        # The browser asks for the tab's picture by itself, and lets go of it with the page.
        if not (request.url.endswith("/favicon.svg") and request.failure == "net::ERR_ABORTED"):
            self.seen.append(f"failed: {request.url} ({request.failure})")

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


def violations(tab, within="html", *, rules=None):
    """What axe finds against WCAG 2.0 to 2.2, levels A and AA, on the open page.

    With ``rules`` only by those: where nothing but colours has changed, COLOURS say all.
    """
    options = WCAG | ({"runOnly": {"type": "rule", "values": rules}} if rules else {})
    return [
        (violation["id"], node["html"][:160], node["failureSummary"][:300])
        for violation in Axe().run(tab, context=within, options=options).response["violations"]
        for node in violation["nodes"]
    ]


def scrolled(tab):
    """The open page, when every view on it has come near the screen and been drawn."""
    for i, frame in enumerate(tab.locator(".widget-frame").all()):
        frame.scroll_into_view_if_needed()
        tab.locator(".widget-frame").nth(i).and_(
            tab.locator("[data-ready], [data-failed]")
        ).wait_for()
    tab.evaluate("scrollTo(0, 0)")
    return tab


def widget(tab, n=0):
    return tab.locator(".widget-frame").nth(n)


def says(tab, text, n=0):
    """Wait until the text twin of widget ``n`` says ``text``."""
    widget(tab, n).locator("[role=status]").filter(has_text=text).wait_for()


def picture(tab, n=0):
    return widget(tab, n).locator(".wd-picture").inner_html()


def tab_to(tab, selector):
    """Press Tab until the focus is on what ``selector`` names."""
    for _ in range(200):
        tab.keyboard.press("Tab")
        if tab.evaluate("s => document.activeElement.matches(s)", selector):
            return
    raise AssertionError(f"Tab never reaches {selector}")
