"""Makes numbered figures, with caption and alternative text, of each whydeep.show.figures.Figure.

myst-nb finds `FigureRenderer` through the package's entry points.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from docutils import nodes
from myst_nb.core.render import MimeData, MimeRenderPlugin, NbElementRenderer
from sphinx.util import logging

from whydeep.show.figures import MIME

logger = logging.getLogger(__name__)
PICTURES = ("image/svg+xml", "image/png")


class FigureRenderer(MimeRenderPlugin):
    """Renders ``MIME`` and wins over the bare picture that stands beside it in the output."""

    mime_priority_overrides: ClassVar[Sequence[tuple[str, str, int | None]]] = (("*", MIME, 1),)

    @staticmethod
    def handle_mime(
        renderer: NbElementRenderer, data: MimeData, inline: bool
    ) -> list[nodes.Node] | None:
        """The figure node for a cell's output, or None where the output is no book figure."""
        if data.mime_type != MIME or inline:
            return None
        about, document = data.content, renderer.renderer.document
        where = (renderer.renderer.sphinx_env.docname, data.line)
        for field in ("label", "caption", "alt"):
            if not about.get(field):
                logger.warning("a figure has no %s", field, location=where, type="whydeep")
        outputs = renderer.renderer.nb_client.code_cell_outputs(data.cell_index)[1]
        beside = next(o["data"] for o in outputs if o.get("data", {}).get(MIME) == about)
        mime_type = next(m for m in PICTURES if m in beside)
        (image,) = renderer.render_image(MimeData(mime_type, beside[mime_type], line=data.line))
        image["alt"] = about["alt"]
        figure = nodes.figure("", image, classes=["experiment-figure"])
        figure.source, figure.line = document["source"], data.line
        if about["caption"]:
            caption = nodes.caption()
            caption.source, caption.line = figure.source, figure.line
            with renderer.renderer.current_node_context(caption):
                renderer.renderer.nested_render_text(about["caption"], data.line or 0, inline=True)
            figure += caption
        if about["label"]:
            figure["names"].append(nodes.fully_normalize_name(about["label"]))
            document.note_explicit_target(figure, figure)
        return [figure]
