# One face for site, figures and widgets: colours that everyone can tell apart and read, letters
# that come with the book, and a cover that its own code still draws.
import io
import itertools
import json
import logging
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from docutils import nodes
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font
from PIL import Image
from test_figures import contrast
from whydeep.book import cover, face
from whydeep.evidence.provenance import PACKAGE
from whydeep.experiments import experiments
from whydeep.show import figures

ROOT = PACKAGE.parents[1]
STATIC = PACKAGE / "book" / "static"
FACE = (STATIC / "face.css").read_text(encoding="utf-8")
KIT = (PACKAGE / "widgets" / "kit.css").read_text(encoding="utf-8")

# Machado, Oliveira and Fernandes (2009), table of severity 1.0; they act on linear RGB.
VISION = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
SRGB_TO_XYZ = np.array([  # IEC 61966-2-1
    [0.4124564, 0.3575761, 0.1804375],
    [0.2126729, 0.7151522, 0.0721750],
    [0.0193339, 0.1191920, 0.9503041],
])  # fmt: skip
PALETTES = {"light": figures.COLOURS, "dark": figures.DARK_COLOURS}
PAPERS = {"light": figures.BACKGROUND, "dark": figures.DARK_BACKGROUND}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b*, white D65, of linear RGB."""
    t = SRGB_TO_XYZ @ np.clip(rgb, 0, 1) / SRGB_TO_XYZ.sum(1)
    x, y, z = np.where(t > (6 / 29) ** 3, np.cbrt(t), t / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def difference(one, two) -> float:
    """CIEDE2000 of two L*a*b* colours, in the notation of Sharma, Wu and Dalal (2005)."""
    (L1, a1, b1), (L2, a2, b2) = one, two
    C7 = ((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2) ** 7
    G = (1 - np.sqrt(C7 / (C7 + 25.0**7))) / 2
    C1, C2 = np.hypot((1 + G) * a1, b1), np.hypot((1 + G) * a2, b2)
    h1 = np.degrees(np.arctan2(b1, (1 + G) * a1)) % 360
    h2 = np.degrees(np.arctan2(b2, (1 + G) * a2)) % 360
    dh = (h2 - h1 + 180) % 360 - 180 if C1 * C2 else 0.0
    dL, dC, dH = L2 - L1, C2 - C1, 2 * np.sqrt(C1 * C2) * np.sin(np.radians(dh / 2))
    L, C = (L1 + L2) / 2, (C1 + C2) / 2
    h = (h1 + h2) / 2 if abs(h1 - h2) <= 180 else ((h1 + h2 + 360) / 2) % 360
    if not C1 * C2:
        h = h1 + h2
    turn = np.radians([h - 30, 2 * h, 3 * h + 6, 4 * h - 63])
    T = 1 + np.dot([-0.17, 0.24, 0.32, -0.20], np.cos(turn))
    S_L = 1 + 0.015 * (L - 50) ** 2 / np.sqrt(20 + (L - 50) ** 2)
    S_C, S_H = 1 + 0.045 * C, 1 + 0.015 * C * T
    R_C = 2 * np.sqrt(C**7 / (C**7 + 25.0**7))
    R_T = -np.sin(np.radians(60 * np.exp(-(((h - 275) / 25) ** 2)))) * R_C
    c, d = dC / S_C, dH / S_H
    return float(np.sqrt((dL / S_L) ** 2 + c**2 + d**2 + R_T * c * d))


def css(text: str, selector: str) -> dict[str, str]:
    """The custom properties that one rule sets."""
    body = re.search(rf"(?:^|\n){re.escape(selector)} \{{(.*?)\}}", text, re.S)[1]
    return dict(re.findall(r"(--[\w-]+):\s*([^;]+);", body))


# ------------------------------------------------------------------------------- colours


@pytest.mark.parametrize(
    ("one", "two", "published"),
    [  # Sharma, Wu and Dalal (2005), table 1: pairs 1, 4, 7, 16, 17, 26 and 34
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, -1.3802, -84.2814), (50, 0, -82.7485), 1.0000),
        ((50, 0, 0), (50, -1, 2), 2.3669),
        ((50, 2.5, 0), (50, 0, -2.5), 4.3065),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((2.0776, 0.0795, -1.1350), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_the_colour_difference_is_the_published_one(one, two, published):
    assert difference(one, two) == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize("matrix", VISION.values(), ids=VISION)
def test_a_grey_stays_grey_to_every_eye(matrix):
    assert np.sum(matrix, axis=1) == pytest.approx(1, abs=2e-6)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize("mode", PALETTES)
def test_any_two_colours_differ_at_a_glance_to_every_eye(mode, vision):
    # A floor of our own choice, some way under what the palettes reach (14.2 and 14.6).
    seen = {name: lab(VISION[vision] @ linear(c)) for name, c in PALETTES[mode].items()}
    nearest = min((difference(seen[a], seen[b]), a, b) for a, b in itertools.combinations(seen, 2))
    assert nearest[0] >= 11.5, nearest


@pytest.mark.parametrize("mode", PALETTES)
def test_lines_stand_out_from_the_page_and_words_can_be_read(mode):
    paper = PAPERS[mode]
    for colour in PALETTES[mode].values():
        assert contrast(colour, paper) >= 3  # WCAG 1.4.11
    colours = css(FACE, f'html[data-theme="{mode}"]')
    for word in ("ink", "muted", "blue", "accent", "yes", "partly", "no"):
        for behind in (paper, colours["--why-wash"]):
            assert contrast(colours[f"--why-{word}"], behind) >= 4.5, (word, behind)  # WCAG 1.4.3
    assert contrast(colours["--why-ink"], colours["--why-mark"]) >= 4.5


def test_lines_of_a_figure_dimmed_for_the_dark_page_still_stand_out():
    style = (STATIC / "whydeep.css").read_text(encoding="utf-8")
    share = float(re.search(r"filter: brightness\(([\d.]+)\)", style)[1])

    def dimmed(colour: str) -> str:
        return "#" + "".join(f"{round(share * int(colour[i : i + 2], 16)):02x}" for i in (1, 3, 5))

    for colour in (*figures.COLOURS.values(), figures.INK, figures.MUTED):
        assert contrast(dimmed(colour), dimmed(figures.BACKGROUND)) >= 3


def test_site_widgets_and_figures_have_one_palette():
    for mode, ink in (("light", figures.INK), ("dark", figures.DARK_INK)):
        colours = css(FACE, f'html[data-theme="{mode}"]')
        assert colours["--why-paper"] == PAPERS[mode]
        assert colours["--why-ink"] == ink
        assert colours["--why-blue"] == PALETTES[mode]["blue"]
    assert css(FACE, 'html[data-theme="light"]')["--why-muted"] == figures.MUTED
    selectors = {
        "light": ".wd",
        "dark": 'html[data-theme="dark"] .wd, [data-jp-theme-light="false"] .wd, '
        'html[theme="dark"] .wd',
    }
    for mode, selector in selectors.items():
        series = css(KIT, selector)
        assert [series[f"--wd-{i}"] for i in range(6)] == list(PALETTES[mode].values())


# ------------------------------------------------------------------------------- letters


def test_the_fonts_of_a_page_come_with_the_book_and_are_light():
    rules = re.findall(r"@font-face \{(.*?)\}", FACE)
    files = {STATIC / re.search(r'url\("([^"]+)"\)', rule)[1] for rule in rules}
    assert all("font-display: swap" in rule for rule in rules)
    assert files == set((STATIC / "fonts").glob("*.woff2"))
    assert sum(file.stat().st_size for file in files) < 150_000
    for file in files:
        assert file.read_bytes()[:4] == b"wOF2"


def test_every_font_has_its_licence_beside_it_and_its_line_in_third_party():
    lines = (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")
    fonts = [*(STATIC / "fonts").glob("*.woff2"), *figures.FONTS.glob("*.ttf")]
    assert len(fonts) == 10
    for font in fonts:
        assert f"`{font.relative_to(ROOT).as_posix()}`" in lines
        assert "SIL OPEN FONT LICENSE" in (font.parent / "OFL.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", sorted(figures.FONTS.glob("*.ttf")), ids=lambda path: path.name)
def test_a_font_that_was_cut_down_does_not_bear_the_reserved_name(path):
    font = FT2Font(str(path))
    assert font.family_name.startswith("Why ")
    names = {key: text for key, text in font.get_sfnt().items() if key[3] not in (0, 5, 13, 14)}
    assert names
    assert not any(b"Source" in text for text in names.values())


def test_figures_use_the_book_s_fonts_and_no_other_machine_s():
    for weight, slant in ((400, "normal"), (600, "normal"), (400, "italic")):
        wanted = font_manager.FontProperties(family="Why Sans", weight=weight, style=slant)
        found = font_manager.findfont(wanted, fallback_to_default=False)
        assert Path(found).parent == figures.FONTS


def test_a_figure_with_formulas_and_signs_misses_no_letter(caplog, recwarn):
    with caplog.at_level(logging.WARNING), figures.style():
        figure, axes = plt.subplots()
        axes.set(title=r"$\ell \leq \sigma(W_1^\top x)$, $\mathbf{b}$, $\mathcal{L}$, $\mathrm{d}$")
        axes.set(xlabel="α ≤ β ± 2 × 10⁻³ → Čech, Şahin")
        figures.Figure(figure, label="x", caption="x", alt="x", kind="png").bytes()
    assert not caplog.records
    assert not list(recwarn)


# --------------------------------------------------------------------- cover and previews


def test_the_cover_is_what_its_code_draws():
    found = cover.threads()
    told = json.loads((STATIC / "cover.json").read_text(encoding="utf-8"))
    assert told["pictures"] == len(found.own)
    assert told["steps"] == found.steps[-1]
    # Other processors round otherwise, and a few threads may end elsewhere.
    assert abs(told["wrong"] - int(found.wrong.sum())) <= 4
    drawn = [(cover.draw(found, look), STATIC / f"cover-{look}.webp") for look in cover.LOOKS]
    drawn.append((cover.draw(found, "light", title=True), STATIC / "social.png"))
    for content, file in drawn:
        with Image.open(io.BytesIO(content)) as one, Image.open(file) as other:
            ours, kept = one.convert("RGB"), other.convert("RGB")
        assert ours.size == kept.size
        small = [np.asarray(p.resize((180, 80)), dtype=float) for p in (ours, kept)]
        assert np.abs(small[0] - small[1]).mean() < 3  # of 255


def test_the_cover_fits_where_it_is_shown():
    for look in cover.LOOKS:
        path = STATIC / f"cover-{look}.webp"
        with Image.open(path) as picture:
            assert picture.size == face.SIZE
        assert path.stat().st_size < 200_000
    with Image.open(STATIC / "social.png") as picture:
        assert picture.size == (1200, 630)
    with Image.open(STATIC / "favicon.ico") as picture:
        assert picture.info["sizes"] == {(16, 16), (32, 32), (48, 48)}


def test_the_counts_are_of_all_claims_with_a_record_and_of_the_whole_catalogue():
    ids = {claim.id for module in experiments().values() for claim in module.CLAIMS}
    assert face.counts() == {"run": len(ids), "all": 185}  # 185: data/catalogue.yaml says so too


@pytest.mark.parametrize(
    ("repository", "address"),
    [
        ("https://github.com/Ada/why", "https://ada.github.io/why/"),
        ("https://github.com/ada/ada.github.io", "https://ada.github.io/"),
        ("https://gitlab.com/ada/why", ""),
        ("", ""),
    ],
)
def test_a_preview_has_an_address_only_where_the_book_is_published(repository, address):
    page = nodes.document(None, None)
    page += nodes.section("", nodes.paragraph(text="One question about learning. " * 20))
    title = "<span>3. </span>A &amp; B"
    tags = face.preview("chapters/a", title, face.summary(page), "The Book", repository)
    assert tags["og:title"] == "A & B"
    assert tags["og:site_name"] == "The Book"
    assert len(tags["og:description"]) <= 202
    assert tags["og:description"].endswith(" …")
    assert tags.get("og:url", "") == (f"{address}chapters/a.html" if address else "")
    assert tags.get("og:image", "") == (f"{address}_static/social.png" if address else "")
