"""The map of answers that opens a group of pages: who claims what, how far, and how it fared.

    ```{answers}
    zhang2017-random-labels: measured on two data sets; no theorem
    kawaguchi2017-generalization: proved, for a network fixed before its test data are seen
    ```

The content is YAML: entries of the catalogue, and in our words how far each one reaches. What is
claimed and by whom comes from data/catalogue.yaml, how it fared from the record; an entry that has
no experiment yet says so.
"""

from __future__ import annotations

import yaml
from docutils import nodes
from sphinx.application import Sphinx

from whydeep.book.claims import EvidenceDirective, table
from whydeep.book.evidence import evidence
from whydeep.book.ledger import anchor, catalogue, claimed, runnable
from whydeep.book.numbers import verdict_badges
from whydeep.errors import WhydeepError


class AnswersDirective(EvidenceDirective):
    """``{answers}``: a table with a row for each entry that its content names."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        try:
            return [self._table(self._reaches())]
        except WhydeepError as error:
            self.warn(error)
            return []

    def _reaches(self) -> dict[str, str]:
        """The content: what is said of each entry, by its id."""
        try:
            reaches = yaml.safe_load("\n".join(self.content))
        except yaml.YAMLError as error:
            raise WhydeepError(f"{{answers}} is not YAML: {str(error).splitlines()[0]}") from None
        if not isinstance(reaches, dict) or not all(isinstance(s, str) for s in reaches.values()):
            raise WhydeepError("{answers} takes one `entry: how far it reaches` a line")
        return reaches

    def _table(self, reaches: dict[str, str]) -> nodes.table:
        entries, run = {entry["id"]: entry for entry in catalogue()}, runnable()
        rows = []
        for name, reach in reaches.items():
            if name not in entries:
                raise WhydeepError(f"{{answers}} names {name!r}, which the catalogue has not")
            if name in run:
                found = evidence(name)
                fared = verdict_badges(found, found.verdict(name))
            else:
                fared = [nodes.Text("not yet run")]
            titled = nodes.inline("", run[name].title) if name in run else nodes.literal("", name)
            link = self.reference(anchor(name), titled)
            rows.append(
                (
                    self.inline(claimed(entries[name])),
                    self.inline(reach),
                    [nodes.paragraph("", "", *fared), nodes.paragraph("", "", link)],
                )
            )
        header = ("Who claims what", "How far it reaches", "How it fared here")
        return table(header, rows, "answers")


def setup(app: Sphinx) -> None:
    """Register the directive."""
    app.add_directive("answers", AnswersDirective)
