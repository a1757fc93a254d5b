"""The cover on the index page, numbers about the whole book, and how a link to it looks elsewhere.

    {cover}          a directive: the cover with its caption (whydeep.book.cover draws it)
    {count}`run`     a role: how many claims have a verdict; {count}`all`: how many there are

Every page gets the icons, and the tags from which other sites make a preview of a link. Addresses
in those must be absolute, so the picture is left out where the book is not published.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from whydeep.book.evidence import evidence
from whydeep.book.ledger import catalogue
from whydeep.book.numbers import Role
from whydeep.errors import BadSettings
from whydeep.experiments import experiments

STATIC = Path(__file__).parent / "static"
TAGLINE = "A textbook in which every claim is an experiment."
CAPTION = (
    "Learning, thread by thread. Each thread is one of {pictures} photographs of clothing that "
    "a network with two hidden layers was never trained on; its height is where the network files "
    "it. At first all lie in the middle: the network has no opinion. After {steps:,} steps there "
    "are ten strands, one a garment. The orange threads, {wrong} of them, end at a garment that is "
    "not their own. Drawn by the book's own code from Fashion-MNIST {{cite}}`xiao2017`, "
    "seed {seed}: an illustration, chosen for its looks."
)
ALT = (
    "Hundreds of fine threads run from left to right. They start as one tangle beside a heap of "
    "mixed pictures of clothes, fan out, and end as ten combed strands, each beside one garment: "
    "bag, trousers, dress, T-shirt, shirt, pullover, coat, sandal, sneaker, ankle boot. Most "
    "threads are blue; orange ones, which end beside the wrong garment, crowd around shirts and "
    "pullovers."
)
SIZE = (1440, 640)


def counts() -> dict[str, int]:
    """Claims by word: "run" with a verdict from a record, "all" in the catalogue."""
    return {
        "run": sum(len(evidence(name).verdicts) for name in experiments()),
        "all": len(catalogue()),
    }


class Count(Role):
    """``{count}``: a number about the whole book."""

    def shown(self) -> list[nodes.Node]:
        found = counts()
        if self.text not in found:
            raise BadSettings(f"count {self.text!r}: choose from {', '.join(found)}")
        return [nodes.inline("", str(found[self.text]), classes=["recorded-number"])]


class Cover(SphinxDirective):
    """``{cover}``: the cover, light or dark as the page is, and its caption."""

    def run(self) -> list[nodes.Node]:
        numbers = json.loads((STATIC / "cover.json").read_text(encoding="utf-8"))
        static = "../" * self.env.docname.count("/") + "_static"
        pictures = "".join(
            f'<img class="only-{look}" src="{static}/cover-{look}.webp" alt="{html.escape(ALT)}" '
            f'width="{SIZE[0]}" height="{SIZE[1]}" {load}>'
            for look, load in (("light", 'fetchpriority="high"'), ("dark", 'loading="lazy"'))
        )
        caption, messages = self.parse_inline(CAPTION.format(**numbers), lineno=self.lineno)
        return [
            # In a box of their own: the theme hides captions beside a picture that is not shown.
            nodes.raw(
                "", f'<figure class="cover"><div>{pictures}</div><figcaption>', format="html"
            ),
            nodes.paragraph("", "", *caption),
            nodes.raw("", "</figcaption></figure>", format="html"),
            *messages,
        ]


def pages_address(repository: str) -> str:
    """Where GitHub serves the book of ``repository``, with a closing slash; "" if it does not."""
    found = re.fullmatch(r"https://github\.com/([^/]+)/([^/]+)", repository)
    if not found:
        return ""
    owner, name = found.groups()
    root = f"https://{owner.lower()}.github.io/"
    return root if f"https://{name.lower()}/" == root else f"{root}{name}/"


def summary(doctree: nodes.document | None) -> str:
    """The first words of a page, at most 200 characters; the tagline for a page without text."""
    for paragraph in doctree.findall(nodes.paragraph) if doctree else ():
        text = " ".join(paragraph.astext().split())
        if isinstance(paragraph.parent, nodes.section | nodes.container) and len(text) > 60:
            return text if len(text) <= 200 else f"{text[:200].rsplit(' ', 1)[0]} …"
    return TAGLINE


def plain(title: str) -> str:
    """A page's title without markup and without its number."""
    return re.sub(r"^[\d.]+\s+", "", html.unescape(re.sub(r"<[^>]+>", "", title)))


def preview(page: str, title: str, about: str, book: str, repository: str) -> dict[str, str]:
    """The names and contents of a page's Open Graph and Twitter tags.

    ``about`` describes the page, ``book`` is the book's title, ``repository`` its address or "".
    """
    tags = {
        "og:type": "website" if page == "index" else "article",
        "og:site_name": book,
        "og:title": plain(title) or book,
        "og:description": about,
    }
    if address := pages_address(repository):
        tags |= {
            "og:url": f"{address}{page}.html",
            "og:image": f"{address}_static/social.png",
            "og:image:width": "1200",
            "og:image:height": "630",
            "og:image:alt": ALT,
            "twitter:card": "summary_large_image",
        }
    return tags


def _head(
    app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Add icons and preview tags to the head of a page."""
    config, about, pathto = app.config, summary(doctree), context["pathto"]
    title = context.get("title", "")
    tags = preview(page, title, about, config.html_title, config.whydeep_repository)
    lines = [
        f'<meta name="description" content="{html.escape(about)}" />',
        *(
            f'<meta {"name" if name.startswith("twitter") else "property"}="{name}" '
            f'content="{html.escape(text)}" />'
            for name, text in tags.items()
        ),
    ]
    for relation, name, more in (
        ("icon", "favicon.ico", 'sizes="32x32"'),
        ("icon", "favicon.svg", 'type="image/svg+xml"'),
        ("apple-touch-icon", "touch-icon.png", ""),
    ):
        lines.append(
            f'<link rel="{relation}" href="{pathto(f"_static/{name}", resource=True)}" {more}/>'
        )
    context["metatags"] = "\n    ".join([context.get("metatags", ""), *lines])


def setup(app: Sphinx) -> None:
    """Register the directive, the role and the tags."""
    app.add_directive("cover", Cover)
    app.add_role("count", Count())
    app.connect("html-page-context", _head)
