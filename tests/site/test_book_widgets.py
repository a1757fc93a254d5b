# The widgets on the pages of the book, whatever pages there are: how many, and how heavy.
import gzip
import re

import pytest
from browsing import PAGES, SITE, WITH_WIDGETS, views

pytestmark = pytest.mark.site

STATE = re.compile(
    r'<script type="application/vnd\.jupyter\.widget-state\+json">(.*?)</script>', re.S
)
HEAVIEST_PAGE, HEAVIEST_WIDGETS = 500_000, 250_000  # bytes of HTML; of code and data, gzipped


def test_no_page_is_too_heavy(measured):
    weights = {page: (SITE / page).stat().st_size for page in PAGES}
    heaviest = max(weights, key=weights.get)
    measured(f"heaviest page: {heaviest}, {weights[heaviest] / 1000:.0f} kB of HTML")
    assert weights[heaviest] <= HEAVIEST_PAGE


@pytest.mark.parametrize("page", WITH_WIDGETS)
def test_code_and_data_of_a_pages_widgets_are_small(page, measured):
    state = STATE.search((SITE / page).read_text("utf-8"))[1].encode()
    host = (SITE / "_static" / "widget-host.js").read_bytes()
    size = sum(len(gzip.compress(part, mtime=0)) for part in (state, host))
    measured(f"{page}: {views(page)} widgets, {size / 1000:.1f} kB gzipped with code and data")
    assert size <= HEAVIEST_WIDGETS
