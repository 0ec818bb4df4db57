"""Draws the picture of docs/page.md anew: ``python -m support.page_picture docs/page.jpg`` (make picture)."""

from __future__ import annotations

import sys
from pathlib import Path

from support.browser import OFFLINE, browser
from support.page import open_page

WIDTH, HEIGHT, QUALITY = 1280, 760, 82


def draw(file: Path) -> None:
    """Restore a sample on a page with the model in the box, and keep what the browser shows."""
    with open_page(None, threads=0) as opened, browser(OFFLINE) as page:
        page.visit(opened.address, width=WIDTH, height=HEIGHT)
        page.wait_for("document.querySelector('#restore')?.checkVisibility()")
        page.wait_for_quiet()
        page.click("#samples button:nth-child(1)")
        page.wait_for("document.querySelector('.stage.alone')")
        page.click("#restore")
        page.wait_for("document.querySelector('#recipe .command') && document.querySelector('#restore')")
        page.wait_for("[...document.querySelectorAll('.stage img')].every(image => image.complete)")
        page.wait_for_quiet()
        page.evaluate("document.activeElement.blur()")
        file.write_bytes(page.picture(quality=QUALITY))


if __name__ == "__main__":
    draw(Path(sys.argv[1]))
