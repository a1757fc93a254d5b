# The widgets on the pages of the book, whatever pages there are: how many, how heavy, how soon, and
# each one used by key and by mouse with its words following.
import gzip
import re

import pytest
from browsing import PAGES, SITE, WIDER_THAN_THE_SCREEN, WITH_WIDGETS, views, violations, widget

pytestmark = pytest.mark.site

STATE = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-state\+json">(.*?)</script>', re.S
)
HEAVIEST_PAGE, HEAVIEST_WIDGETS = 500_000, 250_000  # bytes of HTML; of code and data, gzipped
# Any state in the address makes the host draw every widget at once.
ALL_AT_ONCE = "#all=1"
NOTE_THE_FIRST = """new MutationObserver((_, observer) => {
  if (!document.querySelector('[data-ready]')) return;
  window.firstWidget = performance.now();
  observer.disconnect();
}).observe(document, {subtree: true, childList: true, attributeFilter: ['data-ready']});"""


def changes(frame, use):
    """Wait until the text twin of ``frame`` says something else than before ``use()``."""
    words = frame.locator("[role=status]:not(.wd-quiet)")
    before = words.inner_text()
    use()
    words.and_(frame.page.locator(":not(:empty)")).filter(has_not_text=before).wait_for(
        timeout=5000
    )


def open_by_key(frame):
    """Answer the widget's question with the keys, if it has one."""
    gate = frame.locator(".wd-gate")
    if not gate.count():
        return
    gate.get_by_role("radio").first.press("Space")
    gate.get_by_role("button", name="Show the measurement").press("Enter")
    gate.wait_for(state="hidden")
    assert frame.page.evaluate("document.activeElement.textContent").startswith("You predicted: ")


def drive(frame):
    """Use the widget in ``frame`` by key and then by mouse; its words must follow both."""
    frame.locator("[role=status]:not(.wd-quiet):not(:empty)").wait_for()
    if frame.get_by_role("grid").count():
        chosen = frame.locator("[role=gridcell][aria-selected=true]")
        changes(frame, lambda: chosen.press("ArrowRight"))
        changes(frame, lambda: frame.get_by_role("gridcell").last.click())
        return
    slider = frame.get_by_role("slider")
    changes(frame, lambda: slider.press("End"))
    box = slider.bounding_box()
    left = {"x": 2, "y": box["height"] / 2}
    changes(frame, lambda: slider.click(position=left))


def test_no_page_is_too_heavy(measured):
    weights = {page: (SITE / page).stat().st_size for page in PAGES}
    heaviest = max(weights, key=weights.get)
    measured(f"heaviest page: {heaviest}, {weights[heaviest] / 1000:.0f} kB of HTML")
    assert weights[heaviest] <= HEAVIEST_PAGE


@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_code_and_data_of_a_pages_widgets_are_small(page, measured):
    state = STATE.search((SITE / page).read_text("utf-8"))[1].encode()
    host = (SITE / "_static" / "widget-host.js").read_bytes()
    size = sum(len(gzip.compress(part, mtime=0)) for part in (state, host))
    measured(f"{page}: {views(page)} widgets, {size / 1000:.1f} kB gzipped with code and data")
    assert size <= HEAVIEST_WIDGETS


@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_every_widget_of_a_page_follows_keys_and_mouse_in_light_dark_and_on_a_phone(
    page, visit, measured
):
    seen = visit()
    seen.page.add_init_script(NOTE_THE_FIRST)
    tab = seen.open((SITE / page).as_uri() + ALL_AT_ONCE)
    for i in range(views(page)):
        widget(tab, i).and_(tab.locator("[data-ready]")).wait_for()
    first = tab.evaluate("firstWidget")
    measured(f"{page}: first widget {first / 1000:.1f} s after the start of loading")
    assert tab.locator("[data-ready]").count() == views(page)
    assert tab.locator("[data-failed]").count() == 0
    for i in range(views(page)):
        open_by_key(widget(tab, i))
        drive(widget(tab, i))
    assert seen.seen == []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.locator(f"html[data-theme={scheme}]").wait_for()
        tab.evaluate("scrollTo({top: 0, behavior: 'instant'})")
        assert violations(tab, within=".widget-frame") == []
    tab.set_viewport_size({"width": 375, "height": 800})
    assert tab.evaluate("document.documentElement.scrollWidth") <= 375, tab.evaluate(
        WIDER_THAN_THE_SCREEN
    )
