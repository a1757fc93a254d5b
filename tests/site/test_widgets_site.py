# Widgets in Chromium, on a scratch book built with the book's own settings: with the network off,
# over http and from the file system, by key, by mouse and by link.
import csv
import gzip
import math
import re
import runpy
from pathlib import Path

import pytest
from browsing import picture, says, scrolled, tab_to, violations, widget
from widgets_book import PAGES, VIEWS, build

pytestmark = pytest.mark.site

PAGE = "part/widgets.html"
# The scratch curves are 10 - step + 2 series + 5 on the second variant, and their seeds spread by
# -0.2, -0.1, 0, 0.1, 0.2: a standard deviation of sqrt(0.1 / 4) = 0.158.
FIRST = "Examples: 100 pictures; as they are. Test error (%), mean ± sd over 5 seeds: raw 10.00 ± 0.16; random 12.00 ± 0.16; learned 14.00 ± 0.16. Lowest: raw."  # noqa: E501


@pytest.fixture(scope="module")
def site(scratch):
    return scratch


@pytest.fixture(scope="module")
def address(site, serve):
    return serve(site)


@pytest.fixture
def tab(visit, site):
    """The page of widgets from the file system, nothing touched yet."""
    return show(visit(), site)


def show(visit, site, hash_=""):
    return scrolled(visit.open((site / PAGE).as_uri() + hash_))


# --- loading ---------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["http", "file"])
def test_every_view_is_ready_once_and_nobody_else_is_asked(protocol, visit, site, address):
    seen = visit()
    tab = scrolled(seen.open((address + PAGE) if protocol == "http" else (site / PAGE).as_uri()))
    assert tab.locator("[data-ready]").count() == VIEWS["part/widgets"]
    assert tab.locator("[data-failed]").count() == 0
    assert seen.seen == []
    says(tab, FIRST)


def test_a_view_far_below_is_drawn_only_when_the_reader_comes_near(visit, site):
    tab = visit().open((site / PAGE).as_uri())
    widget(tab).and_(tab.locator("[data-ready]")).wait_for()
    assert tab.locator("[data-ready]").count() == 1
    assert scrolled(tab).locator("[data-ready]").count() == VIEWS["part/widgets"]


def test_in_jupyter_the_same_module_leaves_the_address_alone(tab):
    # Jupyter calls render without `page`; here with the least that it promises of a model.
    tab.evaluate("""async () => {
      const {state, sources} = JSON.parse(document.querySelector(
        'script[type="application/vnd.jupyter.widget-state+json"]').textContent);
      const {esm, state: values, buffers} = state.w1;
      const bytes = Uint8Array.from(atob(buffers[0].data), c => c.charCodeAt(0));
      const url = URL.createObjectURL(new Blob([sources[esm]], {type: 'text/javascript'}));
      const all = {...values, data: new DataView(bytes.buffer)}, listeners = {};
      const model = {
        get: n => all[n], save_changes() {}, off() {},
        on: (n, f) => { listeners[n] = f; },
        set: (n, v) => { all[n] = v; listeners[`change:${n}`]?.(); },
      };
      const el = document.createElement('div');
      el.id = 'live';
      document.querySelector('.widget-frame').before(el);
      (await import(url)).default.render({model, el});
    }""")
    tab.locator("#live").get_by_role("slider").press("End")
    live = tab.locator("#live [role=status]")
    live.filter(has_text="examples: 3,000 pictures").wait_for()
    tab.wait_for_timeout(500)
    assert "#" not in tab.url


def test_a_broken_module_shows_an_error_box_and_not_a_blank(visit, site):
    tab = scrolled(visit().open((site / "part/broken.html").as_uri()))
    boxes = tab.get_by_role("alert").all_inner_texts()
    assert len(boxes) == tab.locator("[data-failed]").count() == VIEWS["part/broken"]
    assert "could not be drawn (no luck today)" in boxes[0]
    assert tab.locator("[data-ready]").count() == 0
    assert violations(tab) == []


def test_only_pages_with_widgets_load_the_host_and_no_page_loads_a_library(site):
    for page in ("index", *PAGES):
        html = (site / f"{page}.html").read_text("utf-8")
        assert html.count("widget-host.js") == (page in VIEWS)
        assert "require.js" not in html
        assert "html-manager" not in html


def test_a_module_stands_in_the_page_once_and_page_and_host_are_small(site, record_property):
    html = (site / PAGE).read_text("utf-8")
    state = re.search(
        r'<script type="application/vnd.jupyter.widget-state\+json">(.*?)</script>', html
    )
    assert html.count("function unpack(") == 1
    assert re.findall(r'"model_id":"(\w+)"', html) == ["w1", "w2", "w3", "w4"]
    host = (site / "_static" / "widget-host.js").read_bytes()
    size = len(gzip.compress(state[1].encode(), mtime=0)) + len(gzip.compress(host, mtime=0))
    record_property("bytes_gzipped", size)
    print(f"widgets of {PAGE}: {size} bytes gzipped")
    assert size < 30_000


def test_two_builds_in_different_folders_are_identical(site, tmp_path):
    other = build(tmp_path)
    compare = runpy.run_path(str(Path(__file__).with_name("compare_builds.py")))["differences"]
    assert compare(site, other) == []


# --- using it --------------------------------------------------------------------------------


def test_the_slider_obeys_every_key_and_the_text_follows(tab):
    says(tab, FIRST)
    tab_to(tab, "[data-widget=w1] input[type=range]")
    for key, place, text in [
        ("ArrowRight", 1, "examples: 300 pictures; as they are. test error (%), mean ± sd over 5 "
         "seeds: raw 9.00 ± 0.16"),
        ("End", 3, "examples: 3,000 pictures"),
        ("ArrowLeft", 2, "raw 8.00 ± 0.16; random 10.00 ± 0.16; learned 12.00 ± 0.16"),
        ("Home", 0, FIRST),
        ("PageUp", 1, "examples: 300"),
        ("PageDown", 0, "examples: 100"),
    ]:  # fmt: skip
        tab.keyboard.press(key)
        says(tab, text)
        slider = widget(tab).get_by_role("slider", name="examples (pictures)")
        assert slider.input_value() == str(place)
    assert slider.get_attribute("aria-valuetext") == "100 pictures"


def test_a_typed_number_goes_to_the_nearest_step(tab):
    tab_to(tab, "[data-widget=w1] input[type=number]")
    tab.keyboard.press("Control+a")
    tab.keyboard.type("1200")
    tab.keyboard.press("Enter")
    says(tab, "examples: 1,000 pictures")
    field = widget(tab).get_by_role("spinbutton", name="examples (pictures), as a number")
    assert field.input_value() == "1000"


def test_the_cursor_follows_a_drag_and_a_tap_in_the_picture(tab):
    box = widget(tab).locator(".wd-picture svg").bounding_box()
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + 60, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] - 30, middle, steps=8)
    tab.mouse.up()
    says(tab, "examples: 3,000 pictures")
    tab.mouse.move(box["x"] + 60, middle)  # no button: nothing follows
    says(tab, "examples: 3,000 pictures")
    tab.mouse.click(box["x"] + 60, middle)
    says(tab, FIRST)


def test_the_control_is_chosen_by_key_and_the_axes_stay(tab):
    axes = widget(tab).locator(".wd-axes").inner_html()
    tab_to(tab, "[data-widget=w1] .wd-choice input")
    tab.keyboard.press("ArrowRight")
    says(tab, "examples: 100 pictures; shuffled. test error (%), mean ± sd over 5 seeds: raw 15.00")
    assert widget(tab).locator(".wd-axes").inner_html() == axes


def test_the_address_gives_the_same_picture_and_start_again_the_first(tab, visit, site):
    first = picture(tab)
    widget(tab).get_by_role("slider").press("End")
    widget(tab).get_by_label("shuffled").check()
    says(tab, "shuffled")
    tab.wait_for_url("**#ladder.at=3000&ladder.show=permuted")
    other = show(visit(), site, "#ladder.at=3000&ladder.show=permuted")
    says(other, "examples: 3,000 pictures; shuffled")
    assert picture(other) == picture(tab) != first
    widget(tab).get_by_role("button", name="Start again").click()
    says(tab, FIRST)
    assert picture(tab) == first
    tab.wait_for_url(re.compile(r"html$"))


def test_addresses_of_several_widgets_and_sections_live_side_by_side(visit, site):
    tab = show(visit(), site, "#ladder.at=300&rates.at=0.1&gated.open=1")
    says(tab, "examples: 300")
    says(tab, "examples: 100. test error", n=1)
    says(tab, "learning rate: 0.1", n=2)
    nonsense = show(visit(), site, "#ladder.at=x&ladder.show=y&other=1")
    says(nonsense, FIRST)
    section = visit()
    assert show(section, site, "#widgets").locator("[data-ready]").count() == VIEWS["part/widgets"]
    assert section.seen == []


def test_the_download_holds_every_value_of_every_seed(tab, tmp_path):
    with tab.expect_download() as caught:
        widget(tab).get_by_role("button", name="Download the data (CSV)").click()
    path = tmp_path / "data.csv"
    caught.value.save_as(path)
    assert caught.value.suggested_filename == "ladder.csv"
    with path.open(newline="", encoding="utf-8") as file:
        head, *rows = list(csv.reader(file))
    assert head == ["variant", "series", "seed", "examples (pictures)", "test error (%)"]
    assert len(rows) == 2 * 3 * 5 * 4
    variants, series = ["main", "permuted"], ["raw", "random", "learned"]
    for variant, name, seed, examples, value in rows:
        step = [100, 300, 1000, 3000].index(int(examples))
        expected = (
            10 - step + 2 * series.index(name) + (int(seed) - 2) / 10 + 5 * variants.index(variant)
        )
        # The range is 6.8 to 19.2, in 65,534 steps, then rounded to five digits.
        assert float(value) == pytest.approx(expected, abs=12.4 / 131068 + 5e-4)


def test_the_table_has_the_means_and_is_reached_by_key(tab):
    widget(tab).get_by_text("Table", exact=True).click()
    rows = [row.split("\t") for row in widget(tab).locator("table").inner_text().splitlines()]
    assert rows[0] == ["examples (pictures)", "raw", "random", "learned"]
    assert rows[3] == ["1,000", "8.00 ± 0.16", "10.00 ± 0.16", "12.00 ± 0.16"]
    tab_to(tab, "[data-widget=w1] .wd-table")


def test_the_curves_wait_for_a_prediction_made_by_key(tab):
    gated = widget(tab, 1)
    assert gated.locator(".wd-line").count() == 3  # the samples of the legend
    assert not gated.get_by_role("slider").is_visible()
    assert gated.get_by_role("button", name="Show the measurement").is_disabled()
    tab_to(tab, "[data-widget=w2] .wd-gate input")
    tab.keyboard.press("Space")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    told = "You predicted: random. Measured: raw, not what you said. It was made so."
    assert tab.evaluate("document.activeElement.textContent") == told
    assert gated.locator(".wd-line").count() == 6
    assert not gated.locator(".wd-gate").is_visible()
    says(tab, "Lowest: raw.", n=1)
    gated.get_by_role("button", name="Start again").click()
    assert gated.locator(".wd-line").count() == 3
    assert gated.locator(".wd-gate input:checked").count() == 0


def test_the_question_can_be_skipped_or_answered_rightly(tab):
    gated = widget(tab, 1)
    gated.get_by_role("button", name="Skip the question").click()
    gated.get_by_text("Measured: raw. It was made so.", exact=True).wait_for()
    gated.get_by_role("button", name="Start again").click()
    gated.locator(".wd-gate").get_by_label("raw").check()
    gated.get_by_role("button", name="Show the measurement").click()
    gated.get_by_text("You predicted: raw. Measured: raw, as you said. It was made so.").wait_for()


def test_a_chosen_curve_follows_the_slider_and_a_diverged_one_ends(tab):
    # exp(-rate step / 10) at step 60: 0.94176 at rate 0.01; 0.54881 at rate 0.1.
    says(tab, f"learning rate: 0.01, at step 60. loss (nats), mean ± sd over 2 seeds: loss "
         f"{math.exp(-0.06):.4g}", n=2)  # fmt: skip
    widget(tab, 2).get_by_role("slider").press("ArrowRight")
    says(tab, f"loss {math.exp(-0.6):.4g}", n=2)
    lines = widget(tab, 2).locator(".wd-picture .wd-line")
    assert lines.get_attribute("d").count("L") == 59
    widget(tab, 2).get_by_role("slider").press("End")
    says(tab, "loss no value", n=2)
    assert lines.get_attribute("d").count("L") == 29


def test_a_field_is_told_by_its_extremes_and_tabulated(tab):
    # The mean over seeds of t weight - bias + 3.
    says(tab, "time: 1. loss (nats), mean over 2 seeds: lowest 1 at weight 1, bias 3; highest 6 at "
         "weight 3, bias 0.", n=3)  # fmt: skip
    widget(tab, 3).get_by_role("slider").press("End")
    says(tab, "lowest 3 at weight 1, bias 3; highest 12 at weight 3, bias 0", n=3)
    assert widget(tab, 3).locator(".wd-picture .wd-cells").first.locator("rect").count() == 12
    widget(tab, 3).get_by_text("Table", exact=True).click()
    rows = [row.split("\t") for row in widget(tab, 3).locator("table").inner_text().splitlines()]
    assert rows == [
        ["bias, weight", "1", "2", "3"],
        ["0", "6", "9", "12"],
        ["1", "5", "8", "11"],
        ["2", "4", "7", "10"],
        ["3", "3", "6", "9"],
    ]
    with tab.expect_download() as caught:
        widget(tab, 3).get_by_role("button", name="Download the data (CSV)").click()
    lines = Path(caught.value.path()).read_text("utf-8").splitlines()
    assert lines[0] == "variant,series,seed,time,bias,weight,loss (nats)"
    assert "main,loss,1,3,2,3,10.5" in lines
    assert len(lines) == 1 + 2 * 2 * 12


# --- for everyone ----------------------------------------------------------------------------


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 1100), ("light", 320)])
def test_axe_finds_nothing_before_and_after_use_and_nothing_is_wider(scheme, width, visit, site):
    tab = show(visit(scheme=scheme, width=width), site)
    assert violations(tab) == []
    widget(tab, 1).get_by_role("button", name="Skip the question").click()
    for i in range(4):
        widget(tab, i).get_by_text("Table", exact=True).click()
    # Scrolling up a little brings the theme's button that leads back to the top, below 1200 px.
    tab.evaluate("scrollTo({top: 1e6, behavior: 'instant'})")
    tab.wait_for_function("""() => {
      scrollBy({top: -10, behavior: 'instant'});
      return getComputedStyle(document.getElementById('pst-back-to-top')).display !== 'none';
    }""")
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    # The theme would paint a light box behind a widget's output on the dark page.
    frame = "getComputedStyle(document.querySelector('.widget-frame')).backgroundColor"
    assert tab.evaluate(frame) == "rgba(0, 0, 0, 0)"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_and_markers_stand_out_from_the_background_by_3_to_1(scheme, visit, site):
    tab = show(visit(scheme=scheme), site)

    def luminance(colour):
        # WCAG 2.2, "relative luminance".
        parts = [int(c) / 255 for c in re.findall(r"\d+", colour)[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    colours = tab.evaluate("""() => {
      const wd = document.querySelector('.wd');
      const probe = document.createElement('i');
      wd.append(probe);
      return ['--wd-paper', ...[0, 1, 2, 3, 4, 5].map(i => `--wd-${i}`)].map(name => {
        probe.style.color = `var(${name})`;
        return getComputedStyle(probe).color;
      });
    }""")
    paper, *inks = (luminance(colour) + 0.05 for colour in colours)
    assert len({round(ink, 3) for ink in inks}) == 6
    for ink in inks:
        assert max(ink, paper) / min(ink, paper) >= 3
    # Words in a picture, which axe does not look at, have the colour of the words around it.
    fills = """[...document.querySelectorAll('.wd text')].map(t =>
      getComputedStyle(t).fill === getComputedStyle(t.closest('.wd')).color)"""
    assert set(tab.evaluate(fills)) == {True}


def test_nothing_moves_for_readers_who_ask_for_less_motion(visit, site):
    moving = "getComputedStyle(document.querySelector('.wd-appear')).animationName"
    for wish, name in (("no-preference", "wd-appear"), ("reduce", "none")):
        still = visit()
        still.page.emulate_media(reduced_motion=wish)
        tab = show(still, site)
        widget(tab, 1).get_by_role("button", name="Skip the question").click()
        assert tab.evaluate(moving) == name
