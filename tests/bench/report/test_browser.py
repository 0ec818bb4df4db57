"""The page in a real browser, as wide as a phone. Needs Chromium on the PATH, and fails without it."""

from __future__ import annotations

import json
import re
import subprocess
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from support.records import record

from dit4sr.bench.report.html import html_report

PHONE = 390
FRAME = """<!doctype html>
<iframe id="phone" src="report.html" width="{width}" height="800" style="border: 0"></iframe>
<pre id="found"></pre>
<script>
onload = () => {{
  const page = document.getElementById("phone").contentDocument;
  const images = [...page.images];
  document.getElementById("found").textContent = JSON.stringify({{
    shown: page.documentElement.clientWidth,
    needed: page.documentElement.scrollWidth,
    images: images.length,
    broken: images.filter(image => !image.naturalWidth).length,
  }});
}};
</script>
"""


def opened(page: Path) -> tuple[str, str]:
    """The document after its scripts ran, and what the browser had to say."""
    options = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--allow-file-access-from-files",
    ]
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update"]
    done = subprocess.run(
        ["chromium", *options, *quiet, "--enable-logging=stderr", "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return done.stdout, done.stderr


@pytest.mark.slow
def test_a_phone_shows_the_whole_page_and_no_error(tmp_path):
    pictures = [(name, np.full((512, 512, 3), 90, np.uint8)) for name in ("given, enlarged", "restored")]
    (tmp_path / "report.html").write_text(html_report(record(), pictures), encoding="utf-8")
    (tmp_path / "frame.html").write_text(FRAME.format(width=PHONE), encoding="utf-8")
    document, said = opened(tmp_path / "frame.html")
    [answer] = re.findall(r'<pre id="found">(.+?)</pre>', document)
    found = json.loads(unescape(answer))
    assert found["needed"] <= found["shown"] == PHONE
    assert found["images"] > len(pictures)
    assert found["broken"] == 0
    assert "CONSOLE" not in said
