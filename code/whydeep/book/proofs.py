"""Proofs that can be folded: ``{prf:proof}`` with ``:class: dropdown``, as theorems can be.

sphinx-proof 0.4 gives every proof the same id and no title, so that two proofs on a page are
invalid HTML and the script that folds boxes stops at the first.
"""

from __future__ import annotations

from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class ProofDirective(SphinxDirective):
    """``{prf:proof}``: a box with the title *Proof*."""

    has_content = True
    option_spec = {"class": directives.class_option}  # noqa: RUF012 (docutils' own protocol)

    def run(self) -> list[nodes.Node]:
        box = nodes.admonition(classes=["proof", *self.options.get("class", [])])
        self.set_source_info(box)
        box += nodes.title("", "Proof")
        self.state.nested_parse(self.content, self.content_offset, box)
        return [box]


def setup(app: Sphinx) -> None:
    """Put our directive in the place of sphinx-proof's."""
    app.setup_extension("sphinx_proof")
    app.add_directive_to_domain("prf", "proof", ProofDirective, override=True)
