# ImageExplorer in Chromium, on a scratch book: the grid, the pixels and the feature maps, by key,
# by mouse and by link. The feature maps are compared with PyTorch's.
import base64
import csv
import json
import math
import re

import numpy as np
import pytest
import torch
from browsing import says, scrolled, tab_to, violations, widget
from scipy import ndimage
from whydeep.widgets.kit import dequantise
from widgets_book import VIEWS

pytestmark = pytest.mark.site

PAGE = "part/images.html"
FIRST = "Ramps: pattern 1 of 13, 3 × 5 pixels. Values from −7 to 7, mean 0. Shift (pixels): 0."
COLOURS = """canvas => [...canvas.getContext('2d').getImageData(
  0, 0, canvas.width, canvas.height).data]"""


@pytest.fixture
def tab(visit, scratch):
    """The page of images from the file system, nothing touched yet."""
    return show(visit(), scratch)


def show(visit, scratch, hash_=""):
    return scrolled(visit.open((scratch / PAGE).as_uri() + hash_))


def chosen(tab, n=0):
    return widget(tab, n).locator("[role=gridcell][aria-selected=true]")


def stage(tab, n, name):
    """What shows an enlarged image and takes the keys that go from pixel to pixel."""
    return widget(tab, n).get_by_role("application", name=name)


def colours(tab, n, name):
    """The pixels that are painted, (height, width, 3), each 0 to 255."""
    canvas = stage(tab, n, name).locator("canvas")
    height, width = canvas.evaluate("canvas => [canvas.height, canvas.width]")
    return np.array(canvas.evaluate(COLOURS)).reshape(height, width, 4)[:, :, :3]


@pytest.fixture(scope="module")
def stored(scratch):
    """Filters and pictures of the second widget as the page has them: two dictionaries."""
    html = (scratch / PAGE).read_text("utf-8")
    script = re.search(r'widget-state\+json">(.*?)</script>', html, re.S)[1]
    model = json.loads(script)["state"]["w2"]
    buffers = {b["path"][0]: base64.b64decode(b["data"]) for b in model["buffers"]}
    found = []
    for name, trait in (("banks", "data"), ("pictures", "scenes")):
        images, start = {}, 0
        for spec in model["state"]["spec"][name]:
            codes = buffers[trait][start : start + spec["bytes"]]
            start += spec["bytes"]
            values = dequantise(codes, spec["low"], spec["high"], log=False, bits=spec["bits"])
            shape = (-1, spec["channels"], spec["height"], spec["width"])
            images[spec["label"]] = torch.from_numpy(values.reshape(shape))
        found.append(images)
    return found


# --- the grid --------------------------------------------------------------------------------


def test_every_image_explorer_is_ready_and_nobody_else_is_asked(visit, scratch):
    seen = visit()
    tab = show(seen, scratch)
    assert tab.locator("[data-ready]").count() == VIEWS["part/images"]
    assert seen.seen == []
    says(tab, FIRST)


def test_the_grid_is_one_stop_of_the_tab_key_and_obeys_arrows_home_and_end(tab):
    tab_to(tab, "[data-widget=w1] [role=gridcell]")
    assert widget(tab).locator("[role=gridcell][tabindex='0']").count() == 1
    assert widget(tab).get_by_role("row").count() == 2  # 13 items: a row of 7 and a row of 6
    for key, item in [
        ("ArrowLeft", 1), ("ArrowRight", 2), ("ArrowDown", 9), ("ArrowUp", 2), ("ArrowUp", 2),
        ("End", 7), ("Home", 1), ("Control+End", 13), ("ArrowRight", 13), ("Home", 8),
        ("Control+Home", 1),
    ]:  # fmt: skip
        tab.keyboard.press(key)
        says(tab, f"pattern {item} of 13")
        focused = tab.evaluate("document.activeElement.getAttribute('aria-label')")
        assert focused == chosen(tab).get_attribute("aria-label") == f"Pattern {item}"
    tab.keyboard.press("Tab")
    assert not chosen(tab).evaluate("cell => cell === document.activeElement")


def test_a_tap_chooses_an_item_and_its_numbers_are_told_where_there_are_any(tab):
    widget(tab).get_by_role("gridcell", name="Pattern 3", exact=True).click()
    says(tab, "pattern 3 of 13, 3 × 5 pixels. Values from −7 to 7, mean 0. Shift (pixels): 2.")
    widget(tab).get_by_role("gridcell", name="Pattern 13").click()
    says(tab, "pattern 13 of 13, 3 × 5 pixels. Values from 0 to 0, mean 0.")
    assert "Shift" not in widget(tab).locator(".wd-twin").last.inner_text()


def test_another_bank_is_chosen_by_key_and_its_items_have_their_names(tab):
    widget(tab).get_by_role("gridcell", name="Pattern 13").click()
    tab_to(tab, "[data-widget=w1] .wd-choice input")
    tab.keyboard.press("ArrowRight")
    # It has two items only: the place falls back to the last.
    says(tab, "Checks: pattern 2 of 2, falling, 2 × 2 pixels. Values from −1 to 1, mean 0.")
    assert widget(tab).get_by_role("gridcell").count() == 2
    assert chosen(tab).get_attribute("aria-label") == "falling"


# --- pixels ----------------------------------------------------------------------------------


def test_zero_is_light_grey_and_both_signs_have_their_colour_and_their_words(tab):
    painted = colours(tab, 0, "Pattern 1")
    assert painted[0, 0].tolist() == [0, 60, 112]  # −7: blue
    assert painted[1, 2].tolist() == [238, 238, 234]  # 0: light grey
    assert painted[2, 4].tolist() == [122, 40, 0]  # 7: orange
    key = widget(tab).locator("p", has_text="light grey")
    assert key.inner_text() == "Pattern 1: blue is −7, light grey is 0, orange is 7."
    chosen(tab).press("Control+End")
    says(tab, "pattern 13")
    assert (colours(tab, 0, "Pattern 13") == [238, 238, 234]).all()


def test_the_two_ends_of_the_signed_colours_are_equally_dark_and_grey_is_the_lightest(tab):
    painted = colours(tab, 0, "Pattern 1").reshape(15, 3) / 255
    linear = np.where(painted <= 0.04045, painted / 12.92, ((painted + 0.055) / 1.055) ** 2.4)
    luminance = linear @ [0.2126, 0.7152, 0.0722]  # WCAG 2.2, "relative luminance"
    assert (np.diff(luminance[:8]) > 0).all()
    assert (np.diff(luminance[7:]) < 0).all()
    # Contrast between the signs is small, to zero large: sign is told by hue, size by lightness.
    mirrored = luminance[::-1]
    ratio = (np.maximum(luminance, mirrored) + 0.05) / (np.minimum(luminance, mirrored) + 0.05)
    assert ratio.max() < 1.35
    assert (luminance[7] + 0.05) / (luminance[[0, 14]].max() + 0.05) > 7


def test_colour_images_without_negative_values_are_shown_as_they_are(tab):
    painted = colours(tab, 2, "Image 1").reshape(255, 3)
    assert painted[:, 0] == pytest.approx(np.arange(255) * 255 / 254, abs=0.51)
    assert not painted[:, 1:].any()
    widget(tab, 2).get_by_text("Image 1: black is 0, full colour is 1.").wait_for()


def test_signed_colour_filters_are_grey_at_zero_and_spread_over_their_own_range(tab, stored):
    widget(tab, 1).get_by_role("button", name="Skip the question").click()
    filter_ = stored[0]["wide"][0]
    expected = 255 * (0.5 + filter_ / (2 * filter_.abs().max()))
    painted = colours(tab, 1, "Filter 1").transpose(2, 0, 1)
    assert np.abs(painted - expected.numpy()).max() <= 0.51


def test_the_value_of_a_pixel_is_told_by_pointer_and_by_key(tab):
    pixel = widget(tab).locator("[role=status].wd-quiet")
    picture = stage(tab, 0, "Pattern 1")
    box = picture.bounding_box()
    tab.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 0.5 * box["height"])
    pixel.filter(has_text="Pattern 1, row 2, column 5: 2.").wait_for()
    picture.focus()
    for key, text in [
        ("ArrowLeft", "row 2, column 4: 1."), ("ArrowUp", "row 1, column 4: −4."),
        ("Home", "row 1, column 1: −7."), ("ArrowLeft", "row 1, column 1: −7."),
        ("PageDown", "row 3, column 1: 3."), ("End", "row 3, column 5: 7."),
        ("ArrowDown", "row 3, column 5: 7."), ("PageUp", "row 1, column 5: −3."),
    ]:  # fmt: skip
        tab.keyboard.press(key)
        pixel.filter(has_text=text).wait_for()
    # Another item: the same pixel of it is told. The ramp has moved on by one.
    widget(tab).get_by_role("gridcell", name="Pattern 2", exact=True).click()
    pixel.filter(has_text="Pattern 2, row 1, column 5: −4.").wait_for()
    widget(tab).get_by_role("button", name="Start again").click()
    pixel.filter(has_text="Point at a pixel").wait_for()


def test_the_channels_of_a_pixel_are_told_one_by_one_and_only_one_picture_has_the_cursor(
    tab, stored
):
    widget(tab, 1).get_by_role("button", name="Skip the question").click()
    pixel = widget(tab, 1).locator("[role=status].wd-quiet")
    stage(tab, 1, "leaf").press("ArrowRight")
    values = dict(zip(("red", "green", "blue"), stored[1]["leaf"][0][:, 0, 0], strict=True))
    told = ", ".join(f"{colour} {value:.4g}" for colour, value in values.items())
    pixel.filter(has_text=f"leaf, row 1, column 1: {told}.").wait_for()
    stage(tab, 1, "Feature map").press("ArrowRight")
    pixel.filter(has_text="Feature map, row 1, column 1: ").wait_for()
    assert widget(tab, 1).locator(".wd-pixel:visible").count() == 1


# --- feature maps ----------------------------------------------------------------------------


def test_the_feature_map_is_that_of_pytorch_to_rounding(tab, stored):
    banks, pictures = stored
    # The module's own function, where the page's module exports only what draws.
    compute = """async ([picture, filter]) => {
      const {state, sources} = JSON.parse(document.querySelector(
        'script[type="application/vnd.jupyter.widget-state+json"]').textContent);
      const [, maps] = sources[state.w2.esm].match(/^const (maps_\\d+) = /m);
      const source = sources[state.w2.esm].replace(
        /^export default.*/m, `export const { correlate } = ${maps};`);
      const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
      const {correlate} = await import(url);
      const {height, width, values} = correlate(picture, filter);
      return {height, width, values: [...values]};
    }"""

    def image(tensor):
        channels, height, width = tensor.shape
        return {"channels": channels, "height": height, "width": width,
                "values": tensor.flatten().tolist()}  # fmt: skip

    for picture in pictures.values():
        for bank in banks.values():
            expected = torch.nn.functional.conv2d(picture, bank[1:2])[0, 0]
            found = tab.evaluate(compute, [image(picture[0]), image(bank[1])])
            assert (found["height"], found["width"]) == tuple(expected.shape)
            values = torch.tensor(found["values"], dtype=torch.float64).reshape(expected.shape)
            torch.testing.assert_close(values, expected, rtol=1e-12, atol=1e-12)


# --- the patch and its column ----------------------------------------------------------------


def outlined(tab, name, n=3):
    """What is outlined of the image ``name``: (top, left, height, width) in pixels, or None."""
    patch = stage(tab, n, name).locator(".wd-patch")
    if patch.is_hidden():
        return None
    height, width = stage(tab, n, name).locator("canvas").evaluate("c => [c.height, c.width]")
    style = patch.evaluate("p => [p.style.top, p.style.left, p.style.height, p.style.width]")
    shares = [float(value.removesuffix("%")) / 100 for value in style]
    return tuple(round(s * n, 3) for s, n in zip(shares, (height, width) * 2, strict=True))


def test_the_patch_slides_with_the_unit_and_its_column_lights_up(tab):
    pixel = widget(tab, 3).locator("[role=status].wd-quiet")
    assert outlined(tab, "halves") is None
    units = stage(tab, 3, "Feature map")
    units.press("Home")
    for key, place, column in [("Home", (0, 0), 0), ("ArrowRight", (0, 1), 1),
                               ("ArrowDown", (1, 1), 6), ("End", (1, 4), 9)]:  # fmt: skip
        units.press(key)
        row, left = place
        pixel.filter(
            has_text=f"Column {column + 1} of W belongs to the patch from row {row + 1}, column "
            f"{left + 1} on."
        ).wait_for()
        assert outlined(tab, "halves") == (row, left, 3, 2)
        assert outlined(tab, "Matrix W") == (0, column, 30, 1)
        assert outlined(tab, "Feature map") is None
    widget(tab, 3).get_by_role("button", name="Start again").click()
    pixel.filter(has_text="Point at a pixel").wait_for()
    assert outlined(tab, "halves") is outlined(tab, "Matrix W") is None


def test_a_column_shows_its_unit_and_a_pixel_its_row_at_the_stride_that_is_chosen(tab):
    part, pixel = widget(tab, 3), widget(tab, 3).locator("[role=status].wd-quiet")
    part.get_by_role("radio", name="2", exact=True).check()
    columns = stage(tab, 3, "Matrix W")
    columns.press("Home")
    columns.press("End")
    # Stride 2 on 5 by 6 pixels: 2 by 3 places, the last from row 3, column 5 on.
    pixel.filter(has_text="Column 6 of W belongs to the patch from row 3, column 5 on.").wait_for()
    assert outlined(tab, "halves") == (2, 4, 3, 2)
    assert outlined(tab, "Feature map") == (1, 2, 1, 1)
    picture = stage(tab, 3, "halves")
    picture.press("Home")
    for _ in range(2):
        picture.press("ArrowDown")
    pixel.filter(has_text="It is row 13 of W; 2 of 6 units see it.").wait_for()
    assert outlined(tab, "Matrix W") == (12, 0, 1, 6)
    # Another stride while a pixel is pointed at: its row and its words follow.
    part.get_by_role("radio", name="1", exact=True).check()
    pixel.filter(has_text="It is row 13 of W; 3 of 15 units see it.").wait_for()
    assert outlined(tab, "Matrix W") == (12, 0, 1, 15)


@pytest.mark.parametrize(("stride", "places"), [(1, 15), (2, 6)])
def test_the_matrix_that_is_painted_gives_pytorchs_strided_map_and_its_counts_are_told(
    tab, stride, places
):
    part = widget(tab, 3)
    part.get_by_role("radio", name=str(stride), exact=True).check()
    halves = (torch.arange(30) ** 2 * 7 // 5 % 3 / 2).view(1, 1, 5, 6)
    kernel = torch.tensor([1.0, 3, 5, 7, 11, 15]).view(1, 1, 3, 2)
    expected = torch.nn.functional.conv2d(halves, kernel, stride=stride)[0, 0]
    row, column = divmod(expected.argmax().item(), expected.shape[1])
    says(tab, f"to {number(expected.max())} (row {row + 1}, column {column + 1})", n=3)
    says(
        tab,
        f"W has 30 rows and {places} columns; {6 * places} of its {30 * places} entries lie in a "
        "patch, and 6 weights fill them.",
        n=3,
    )
    says(tab, f"(5 − 3) / {stride} + 1 = {expected.shape[0]}.", n=3)
    painted = colours(tab, 3, "Matrix W")
    patches = torch.nn.functional.unfold(
        torch.arange(1.0, 31).view(1, 1, 5, 6), (3, 2), stride=stride
    )
    for column, pixels in enumerate(patches[0].T.long() - 1):
        filled = (painted[:, column] != [238, 238, 234]).any(1).nonzero()[0]
        assert filled.tolist() == pixels.tolist()
        # The heaviest weight comes last, at the end of the colours.
        assert painted[pixels[-1], column].tolist() == [122, 40, 0]


def test_the_stride_stands_in_the_address(tab, visit, scratch):
    widget(tab, 3).get_by_role("radio", name="2", exact=True).check()
    tab.wait_for_url(re.compile(r"#slide\.stride=2$"))
    other = show(visit(), scratch, "#slide.stride=2")
    says(other, "W has 30 rows and 6 columns", n=3)
    nonsense = show(visit(), scratch, "#slide.stride=7")
    says(nonsense, "W has 30 rows and 15 columns", n=3)


# --- pooling under a shift -------------------------------------------------------------------

HALVES = (torch.arange(90) ** 2 * 7 // 5 % 3 / 2).view(1, 1, 9, 10).double()
EDGES = torch.tensor([[1.0, 0, -1], [1, 0, -1]]).view(1, 1, 2, 3).double()
POOLS = {
    "maximum of 2 × 2": lambda z: torch.nn.functional.max_pool2d(z, 2),
    "average of 2 × 2": lambda z: torch.nn.functional.avg_pool2d(z, 2),
    "every second": lambda z: z[..., ::2, ::2],
    "overlapping 3 × 3": lambda z: torch.nn.functional.max_pool2d(z, 3, 2),
}


def shifted(right, down):
    """The picture moved, zeros moving in, by SciPy."""
    return torch.from_numpy(ndimage.shift(HALVES.numpy(), (0, 0, down, right), order=0))


def maps(pool, right, down, relu=False):
    """Feature map and pooled map of the shifted picture, by PyTorch."""
    found = torch.nn.functional.conv2d(shifted(right, down), EDGES)
    found = found.relu() if relu else found
    return found[0, 0], POOLS[pool](found)[0, 0]


def told(before, after):
    """How many values change by more than a hundredth of the largest, and the share of the map."""
    change = (after - before).abs()
    count = int((change > before.abs().max() / 100).sum())
    return f"{count} of {change.numel()}", f"{100 * change.sum() / before.abs().sum():.0f} %"


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("pool", POOLS)
def test_the_pooled_map_of_a_shifted_picture_is_pytorchs_and_its_changes_are_told(tab, pool, relu):
    part = widget(tab, 4)
    part.get_by_role("radio", name=pool).check()
    if relu:
        part.get_by_label("after a ReLU").check()
    part.get_by_label("Shift to the right (pixels)", exact=True).press("ArrowRight")
    part.get_by_label("Shift down (pixels)", exact=True).press("Home")
    (map0, pooled0), (map1, pooled1) = maps(pool, 0, 0, relu), maps(pool, 1, -2, relu)
    count, share = told(pooled0, pooled1)
    before, before_share = told(map0, map1)
    says(
        tab,
        f"Shifted by 1 to the right and 2 up: {count} pooled units change, by {share} of the map; "
        f"before pooling {before} units change, by {before_share} of the map.",
        n=4,
    )
    with tab.expect_download() as caught:
        part.get_by_role("button", name="Download the pooled map (CSV)").click()
    with open(caught.value.path(), newline="", encoding="utf-8") as file:
        _, *rows = csv.reader(file)
    values = torch.tensor([float(value) for *_, value in rows], dtype=torch.float64)
    torch.testing.assert_close(values, pooled1.flatten(), rtol=1e-4, atol=1e-9)


def test_a_shift_by_the_stride_moves_the_pooled_map_by_one(tab):
    before = colours(tab, 4, "Pooled map")
    part = widget(tab, 4)
    for _ in range(2):
        part.get_by_label("Shift to the right (pixels)", exact=True).press("ArrowRight")
    says(tab, "Shifted by 2 to the right", n=4)
    assert (colours(tab, 4, "Pooled map")[:, 2:] == before[:, 1:-1]).all()


def test_the_picture_is_dragged_by_pointer_and_moved_by_shift_and_arrows(tab):
    says(tab, "The picture is not shifted: nothing changes.", n=4)
    picture = stage(tab, 4, "halves")
    picture.scroll_into_view_if_needed()
    box = picture.bounding_box()
    pixel = box["width"] / 10
    tab.mouse.move(box["x"] + 4.5 * pixel, box["y"] + 4.5 * pixel)
    tab.mouse.down()
    tab.mouse.move(box["x"] + 5.5 * pixel, box["y"] + 6.5 * pixel, steps=5)
    says(tab, "Shifted by 1 to the right and 2 down", n=4)
    tab.mouse.move(box["x"] + 5.5 * pixel, box["y"] + 8.5 * pixel)  # no further than 2
    tab.mouse.up()
    tab.mouse.move(box["x"] + 2.5 * pixel, box["y"] + 2.5 * pixel)
    says(tab, "Shifted by 1 to the right and 2 down", n=4)
    expected = (255 * shifted(1, 2)[0, 0]).numpy()
    assert np.abs(colours(tab, 4, "halves")[..., 0] - expected).max() <= 0.51
    for key in ("Shift+ArrowLeft", "Shift+ArrowLeft", "Shift+ArrowUp"):
        picture.press(key)
    says(tab, "Shifted by 1 to the left and 1 down", n=4)
    tab.wait_for_url(lambda url: {"pool.right=-1", "pool.down=1"} <= set(re.split("[#&]", url)))
    widget(tab, 4).get_by_role("button", name="Start again").click()
    says(tab, "The picture is not shifted", n=4)


def test_a_pooled_unit_shows_its_window(tab):
    part = widget(tab, 4)
    part.get_by_role("radio", name="overlapping 3 × 3").check()
    units = stage(tab, 4, "Pooled map")
    for key in ("Home", "ArrowRight", "ArrowDown"):
        units.press(key)
    part.locator("[role=status].wd-quiet").filter(
        has_text="It is the maximum of 3 by 3 values of the feature map from row 3, column 3 on."
    ).wait_for()
    assert outlined(tab, "Feature map", 4) == (2, 2, 3, 3)


def test_the_shift_and_the_pool_stand_in_the_address(visit, scratch):
    other = show(visit(), scratch, "#pool.right=-2&pool.down=1&pool.pool=every+second")
    says(other, "Pooled by every second to 4 × 4 pixels. Shifted by 2 to the left and 1 down", n=4)
    nonsense = show(visit(), scratch, "#pool.right=9&pool.down=x&pool.pool=none")
    says(nonsense, "Shifted by 2 to the right: ", n=4)


def number(value):
    """As a widget writes it."""
    return f"{value:.4g}".replace("-", "−")


def test_the_map_that_is_told_painted_and_downloaded_is_that_of_the_choice(tab, stored):
    banks, pictures = stored
    part = widget(tab, 1)
    part.get_by_role("button", name="Skip the question").click()
    part.get_by_role("radio", name="tall").check()
    part.get_by_role("gridcell", name="Filter 3").click()
    part.get_by_role("radio", name="sky").check()
    plain = torch.nn.functional.conv2d(pictures["sky"], banks["tall"][2:3])[0, 0]
    for label, map_ in (("as it is", plain), ("after a ReLU", plain.relu())):
        part.get_by_label(label).check()
        low, high = map_.argmin().item(), map_.argmax().item()
        places = [f"(row {i // 8 + 1}, column {i % 8 + 1})" for i in (low, high)]
        above = math.floor(100 * (map_ > 0).double().mean() + 0.5)  # a half goes up, as in the page
        says(
            tab,
            f"5 × 8 pixels: from {number(map_.min())} {places[0]} to {number(map_.max())} "
            f"{places[1]}, above zero at {above} % of the places.",
            n=1,
        )
        painted = colours(tab, 1, "Feature map")
        assert painted.shape == (5, 8, 3)
        # The colours span what the map has without the ReLU: what it cuts turns light grey.
        assert (painted[(map_ == 0).numpy()] == [238, 238, 234]).all()
        strongest = plain.abs().argmax().item()
        if map_.flatten()[strongest]:
            end = [0, 60, 112] if map_.flatten()[strongest] < 0 else [122, 40, 0]
            assert painted.reshape(-1, 3)[strongest].tolist() == end
        with tab.expect_download() as caught:
            part.get_by_role("button", name="Download the feature map (CSV)").click()
        assert caught.value.suggested_filename == "filters-map.csv"
        with open(caught.value.path(), newline="", encoding="utf-8") as file:
            head, *rows = csv.reader(file)
        assert head == ["row", "column", "value"]
        assert [(int(r), int(c)) for r, c, _ in rows[:9]] == [(1, c + 1) for c in range(8)] + [
            (2, 1)
        ]
        values = torch.tensor([float(v) for _, _, v in rows], dtype=torch.float64)
        torch.testing.assert_close(values, map_.flatten(), rtol=5.1e-5, atol=1e-12)


# --- the rest --------------------------------------------------------------------------------


def test_the_images_wait_for_a_prediction_made_by_key(tab):
    part = widget(tab, 1)
    assert part.locator("canvas:visible").count() == 0
    part.get_by_text("The filters appear after the question.").wait_for()
    part.locator(".wd-gate").get_by_role("radio").first.press("Space")
    part.get_by_role("button", name="Show the measurement").press("Enter")
    told = "You predicted: wide. Measured: wide, as you said. It has larger weights."
    assert tab.evaluate("document.activeElement.textContent") == told
    assert part.get_by_role("gridcell").count() == 6
    assert part.locator("canvas:visible").count() == 6 + 3
    part.get_by_role("button", name="Start again").click()
    assert part.locator("canvas:visible").count() == 0


def test_the_address_gives_the_same_pictures_and_start_again_the_first(tab, visit, scratch):
    state = "#filters.open=1&filters.bank=tall&filters.item=3&filters.picture=sky&filters.relu=1"
    part = widget(tab, 1)
    part.get_by_role("button", name="Skip the question").click()
    first = colours(tab, 1, "Feature map")
    part.get_by_role("radio", name="tall").check()
    part.get_by_role("gridcell", name="Filter 3").click()
    part.get_by_role("radio", name="sky").check()
    part.get_by_label("after a ReLU").check()
    tab.wait_for_url(lambda url: set(url.split("#")[-1].split("&")) == set(state[1:].split("&")))
    other = show(visit(), scratch, state)
    says(other, "Tall: filter 3 of 4", n=1)
    for name in ("Filter 3", "sky", "Feature map"):
        assert (colours(other, 1, name) == colours(tab, 1, name)).all()
    part.get_by_role("button", name="Start again").click()
    tab.wait_for_url(re.compile(r"html$"))
    part.get_by_role("button", name="Skip the question").click()
    assert (colours(tab, 1, "Feature map") == first).all()
    nonsense = show(visit(), scratch, "#ramps.bank=x&ramps.item=y&filters.item=99&filters.open=1")
    says(nonsense, FIRST)
    says(nonsense, "filter 6 of 6", n=1)


def test_the_download_holds_every_pixel_of_every_bank(tab):
    with tab.expect_download() as caught:
        widget(tab).get_by_role("button", name="Download the patterns (CSV)").click()
    with open(caught.value.path(), newline="", encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    assert head == ["bank", "pattern", "name", "channel", "row", "column", "value"]
    assert len(rows) == 13 * 15 + 2 * 4
    ramp = np.arange(-7, 8)
    for bank, item, name, channel, row, column, value in rows:
        at = (int(item), int(row) - 1, int(column) - 1)
        if bank == "ramps":
            expected = 0 if at[0] == 13 else np.roll(ramp, at[0] - 1).reshape(3, 5)[at[1:]]
            assert name == ""
        else:
            expected = (1 if at[1] == at[2] else -1) * (1 if at[0] == 1 else -1)
            assert name == ["rising", "falling"][at[0] - 1]
        assert (float(value), channel) == (expected, "1")


def test_the_table_has_each_item_in_numbers(tab):
    widget(tab).get_by_text("Table", exact=True).click()
    rows = [row.split("\t") for row in widget(tab).locator("table").inner_text().splitlines()]
    assert rows[0] == ["pattern", "lowest", "mean", "highest", "shift (pixels)"]
    assert rows[12] == ["12", "−7", "0", "7", "11"]
    assert rows[13] == ["13", "0", "0", "0", "no value"]


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 1280), ("light", 320)])
def test_axe_finds_nothing_in_the_images_and_nothing_is_wider(scheme, width, visit, scratch):
    tab = show(visit(scheme=scheme, width=width), scratch)
    assert violations(tab) == []
    widget(tab, 1).get_by_role("button", name="Skip the question").click()
    for i in range(5):
        widget(tab, i).get_by_text("Table", exact=True).click()
    stage(tab, 1, "Feature map").press("ArrowRight")
    stage(tab, 3, "Feature map").press("ArrowRight")
    stage(tab, 4, "halves").press("Shift+ArrowRight")
    stage(tab, 4, "Pooled map").press("ArrowRight")
    tab.evaluate("scrollTo({top: 0, behavior: 'instant'})")
    assert violations(tab) == []
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
    sizes = (
        widget(tab)
        .get_by_role("gridcell")
        .evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().width)")
    )
    assert min(sizes) >= 24  # WCAG 2.2, 2.5.8
