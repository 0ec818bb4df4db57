"""The page in a real browser, as wide as a phone. Needs Chromium on the PATH, and fails without it."""

from __future__ import annotations

import numpy as np
import pytest
from support.browser import PHONE, browser
from support.records import record

from dit4sr.bench.report.html import html_report


@pytest.mark.slow
def test_a_phone_shows_the_whole_page_and_no_error(tmp_path):
    pictures = [(name, np.full((512, 512, 3), 90, np.uint8)) for name in ("given, enlarged", "restored")]
    (tmp_path / "report.html").write_text(html_report(record(), pictures), encoding="utf-8")
    with browser() as page:
        page.open(tmp_path / "report.html", width=PHONE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE == page.evaluate("innerWidth")
        widths = page.evaluate("[...document.images].map(image => image.naturalWidth)")
        assert len(widths) > len(pictures)
        assert all(widths)
        assert page.complaints == []
