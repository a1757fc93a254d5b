"""Evidence: claims and their verdicts, results and records, and what a record rests on.

A page needs `judge` and `read_record`; the modules hold the rest.
"""

from whydeep.evidence.claims import judge
from whydeep.evidence.results import read_record

__all__ = ["judge", "read_record"]
