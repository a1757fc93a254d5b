# Widgets in Debian's Firefox, from the file system, with the network off: on every page that has
# some they are ready, without an error, and fit a phone; on the scratch book every kind of them is
# used by key and by mouse.
import pytest
from browsing import ALL_AT_ONCE, SITE, WITH_WIDGETS, views
from firefox import running, wait
from widgets_book import VIEWS

pytestmark = pytest.mark.site

SCRATCH = ["part/widgets.html", "part/images.html", "part/playground.html", "part/referee.html"]


@pytest.fixture(scope="module")
def firefox(tmp_path_factory):
    with running(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


def ready(firefox, address, expected):
    """Open the page; returns its widgets, as JavaScript expressions, when all are drawn."""
    firefox.seen.clear()
    firefox.open(address + ALL_AT_ONCE)
    wait(lambda: firefox.evaluate("document.querySelectorAll('[data-ready]').length") == expected)
    assert firefox.evaluate("document.querySelectorAll('[data-failed]').length") == 0
    return [f"document.querySelectorAll('.widget-frame')[{i}]" for i in range(expected)]


def within(widget, selector):
    return f"{widget}.querySelector({selector!r})"


def answer_by_key(firefox, widget):
    """Answer the widget's question with the keys, if it has one."""
    if not firefox.evaluate(f"!!{within(widget, '.wd-gate')}"):
        return
    firefox.press(within(widget, ".wd-gate input"), "Space")
    firefox.press(within(widget, ".wd-gate button"), "Enter")
    wait(lambda: firefox.evaluate(f"{within(widget, '.wd-gate')}.hidden"))


def follows(firefox, widget, use):
    """Wait until the words of ``widget`` are others than before ``use()``."""
    words = f"{within(widget, '[role=status]:not(.wd-quiet)')}.textContent"
    before = wait(lambda: firefox.evaluate(words))
    use()
    wait(lambda: firefox.evaluate(words) != before)


def use(firefox, widget):
    """Use the widget by key and then by mouse; its words must follow both."""
    answer_by_key(firefox, widget)
    if firefox.evaluate(f"!!{within(widget, '[role=grid]')}"):
        cells = "[role=gridcell]"
        if firefox.evaluate(f"{widget}.querySelectorAll({cells!r}).length") < 2:
            return
        chosen = within(widget, "[aria-selected=true]")
        follows(firefox, widget, lambda: firefox.press(chosen, "ArrowRight"))
        follows(firefox, widget, lambda: firefox.click(within(widget, cells)))
        return
    slider = within(widget, "input[type=range]")
    follows(firefox, widget, lambda: firefox.press(slider, "End"))
    follows(firefox, widget, lambda: firefox.click(slider))


@pytest.mark.rotates
@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_the_widgets_of_a_page_are_ready_in_firefox_and_fit_a_phone(page, firefox):
    firefox.resize(375, 800)
    ready(firefox, (SITE / page).as_uri(), views(page))
    assert firefox.evaluate("document.documentElement.scrollWidth") <= 375
    assert firefox.seen == []


@pytest.mark.parametrize("page", SCRATCH)
def test_every_kind_of_widget_works_in_firefox(page, firefox, scratch):
    firefox.resize(1280, 900)
    expected = VIEWS[page.removesuffix(".html")]
    for widget in ready(firefox, (scratch / page).as_uri(), expected):
        use(firefox, widget)
    assert firefox.seen == []


def test_what_goes_wrong_in_firefox_is_noticed(firefox, tmp_path):
    page = tmp_path / "wrong.html"
    page.write_text(
        "<script>fetch('http://192.0.2.1/x').catch(() => console.error('boo'));"
        "setTimeout(() => { throw new Error('thrown'); });</script>",
        "utf-8",
    )
    firefox.seen.clear()
    firefox.open(page.as_uri())
    wait(lambda: firefox.evaluate("1") and len(firefox.seen) >= 3)
    told = "\n".join(firefox.seen)
    for part in ("external request: http://192.0.2.1/x", "boo", "thrown"):
        assert part in told
