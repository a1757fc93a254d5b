"""Make the book's fonts from Adobe's Source families: six for the site, four for the figures.

For maintainers only: no page, test or build of the book runs this. It needs `npm`, and
`pip install fonttools brotli`.

    python code/whydeep/fonts/build.py

Each family is cut down to the characters, weights and optical sizes that the book uses. The licence
(OFL.txt) reserves the name "Source" for the originals, so ours are called Why Serif, Why Display,
Why Sans and Why Mono; no other copy of the originals on a reader's machine is taken for them.
"""

from __future__ import annotations

import hashlib
import subprocess
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

HERE = Path(__file__).resolve().parent
SITE = HERE.parent / "book" / "static" / "fonts"

PACKAGES = {  # npm package: sha256 of its tarball
    "source-serif@4.5.1": "19a448df98f4aa777de3452b0a1e29aa7ffe29252fe552c8a2d2531702d80746",
    "source-sans@3.52.0": "49cf78ddd79b436591ee696785222b54ff28102922e3d3df297fe382d7fdfa88",
    "source-code-pro@2.42.0": "51f898e0712c5f1b3f583b63c9ab7d51daaa9bae1d4c8dc63dc2a4b6a72d7ae4",
}
SERIF = "package/VAR/SourceSerif4Variable-{}.ttf"
SANS = "package/VF/SourceSans3VF-{}.ttf"
MONO = "package/VF/SourceCodeVF-{}.ttf"

LATIN = "".join(map(chr, [*range(0x20, 0x7F), *range(0xA0, 0x100)])) + "–—‘’“”…−"
NAMES = "ĀāĂăĄąĆćČčĎďĐđĒēĖėĘęĚěĞğĪīİıĶķŁłŃńŇňŌōŐőŒœŘřŚśŞşŠšŤťŪūŮůŰűŸŹźŻżŽžȘșȚț"
SIGNS = "‐‑‚„†•′″‹›€™∞≈≠≤≥√∂∑←→↑↓⁰¹²³⁴⁵⁶⁷⁸⁹⁻₀₁₂₃₄₅₆₇₈₉"
GREEK = "ΓΔΘΛΞΠΣΦΨΩαβγδεζηθικλμνξοπρστυφχψω"
MARKS = "↔↕✓✗○●■□▲△▼▽◆◇"

# name of the file: package, member, style, axes, characters
FONTS = {
    SITE / "why-serif.woff2": (
        "source-serif@4.5.1", SERIF.format("Roman"), ("Why Serif", "Regular"),
        {"wght": (400, 700), "opsz": 14}, LATIN + NAMES + SIGNS,
    ),
    SITE / "why-display.woff2": (
        "source-serif@4.5.1", SERIF.format("Roman"), ("Why Display", "Semibold"),
        {"wght": 600, "opsz": 40}, LATIN,
    ),
    SITE / "why-serif-italic.woff2": (
        "source-serif@4.5.1", SERIF.format("Italic"), ("Why Serif", "Italic"),
        {"wght": 400, "opsz": 14}, LATIN + NAMES + SIGNS,
    ),
    SITE / "why-sans.woff2": (
        "source-sans@3.52.0", SANS.format("Upright"), ("Why Sans", "Regular"),
        {"wght": (400, 700)}, LATIN + NAMES + SIGNS + GREEK + MARKS,
    ),
    SITE / "why-sans-italic.woff2": (
        "source-sans@3.52.0", SANS.format("Italic"), ("Why Sans", "Italic"),
        {"wght": 400}, LATIN + NAMES + SIGNS,
    ),
    SITE / "why-mono.woff2": (
        "source-code-pro@2.42.0", MONO.format("Upright"), ("Why Mono", "Regular"),
        {"wght": 400}, LATIN + SIGNS + GREEK,
    ),
    HERE / "why-display.ttf": (
        "source-serif@4.5.1", SERIF.format("Roman"), ("Why Display", "Semibold"),
        {"wght": 600, "opsz": 40}, LATIN,
    ),
    HERE / "why-sans.ttf": (
        "source-sans@3.52.0", SANS.format("Upright"), ("Why Sans", "Regular"),
        {"wght": 400}, LATIN + NAMES + SIGNS + GREEK + MARKS,
    ),
    HERE / "why-sans-semibold.ttf": (
        "source-sans@3.52.0", SANS.format("Upright"), ("Why Sans", "Semibold"),
        {"wght": 600}, LATIN + NAMES + SIGNS + GREEK + MARKS,
    ),
    HERE / "why-sans-italic.ttf": (
        "source-sans@3.52.0", SANS.format("Italic"), ("Why Sans", "Italic"),
        {"wght": 400}, LATIN + NAMES + SIGNS + GREEK,
    ),
}  # fmt: skip
FEATURES = ["ccmp", "locl", "kern", "liga", "mark", "tnum", "lnum", "onum"]


def unpack(package: str, folder: Path) -> Path:
    """The folder of an npm package, fetched and checked against its checksum."""
    command = ["npm", "pack", "--silent", "--pack-destination", str(folder), package]
    name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
    content = (folder / name).read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != PACKAGES[package]:
        raise SystemExit(f"{package}: sha256 {found}, expected {PACKAGES[package]}")
    with tarfile.open(folder / name) as archive:
        archive.extractall(folder / package, filter="data")
    return folder / package


def rename(font: TTFont, family: str, style: str) -> None:
    """Name the font ours, and keep of the original names the copyright and the licence."""
    names = font["name"]
    kept = {number: names.getDebugName(number) for number in (0, 5, 13, 14)}
    names.names = []
    full = f"{family} {style}".removesuffix(" Regular")
    postscript = f"{family}-{style}".replace(" ", "")
    ours = {1: family, 2: style, 3: f"{postscript};whydeep", 4: full, 6: postscript}
    for number, text in {**kept, **ours}.items():
        if text:
            names.setName(text, number, 3, 1, 0x409)
    for table in ("STAT", "DSIG", "meta"):
        if table in font:
            del font[table]


def make(source: Path, target: Path, name: tuple[str, str], axes: dict, characters: str) -> None:
    """Write ``target``: ``source`` within ``axes``, with ``characters`` only, called ``name``."""
    font = TTFont(source, recalcTimestamp=False)
    options = subset.Options(
        layout_features=FEATURES, hinting=False, notdef_outline=True, name_IDs=["*"],
        name_languages=["*"], name_legacy=True, recalc_timestamp=False,
    )  # fmt: skip
    cutter = subset.Subsetter(options)
    cutter.populate(text=characters)
    cutter.subset(font)
    between = BytesIO()
    font.save(between)  # the subsetter reads tables lazily, which the next step does not expect
    font = instancer.instantiateVariableFont(TTFont(between, recalcTimestamp=False), axes)
    if "fvar" in font:
        font["fvar"].instances = []
    rename(font, *name)
    font.flavor = "woff2" if target.suffix == ".woff2" else None
    target.parent.mkdir(exist_ok=True)
    font.save(target, reorderTables=True)
    print(f"{target.stat().st_size:7,} bytes  {target.name}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folders = {package: unpack(package, Path(name)) for package in PACKAGES}
        for target, (package, member, style, axes, characters) in FONTS.items():
            make(folders[package] / member, target, style, axes, characters)


if __name__ == "__main__":
    main()
