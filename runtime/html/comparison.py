"""A picture before and after, under a line that is moved across it: with a pointer, a finger or keys."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from dit4sr.runtime.html.document import data_uri

HERE = Path(__file__)
STYLE = HERE.with_suffix(".css").read_text(encoding="utf-8")
SCRIPT = HERE.with_suffix(".js").read_text(encoding="utf-8")
"""Without it the sides stand below one another."""

LARGE = 720
"""Width in pixels from which a picture wants a row to itself."""

CHOOSER = """<fieldset class="chooser"><legend class="aside">What stands left of the line</legend><span>
<label><input type="radio" name="before" value="bicubic" checked>Bicubic</label>
<label><input type="radio" name="before" value="input">Input</label>
</span></fieldset>"""
"""Chooses what all pictures of the page are compared with."""


@dataclass(frozen=True)
class Comparison:
    """One picture in its three states, as JPEG files of one size, and what is said below it."""

    name: str
    said: str
    size: tuple[int, int]
    """Width and height of each file."""
    bicubic: bytes
    input: bytes
    """Its own pixels, each as large as it is in the others."""
    restored: bytes

    def to_html(self) -> str:
        """The picture as a figure of the page."""
        name, large = escape(self.name), " large" if self.size[0] >= LARGE else ""
        sides = [
            self._side("restored", "Restored", self.restored),
            self._side("bicubic", "Bicubic", self.bicubic),
            self._side("input", "Input", self.input),
        ]
        return (
            f'<figure class="comparison{large}"><div class="stage">\n'
            + "\n".join(sides)
            + '\n<input type="range" min="0" max="100" step="any" value="50" '
            f'aria-label="{name}: percent shown before restoring"><div class="line"></div></div>\n'
            f"<figcaption><strong>{name}</strong>{escape(self.said)}</figcaption></figure>\n"
        )

    def _side(self, kind: str, label: str, file: bytes) -> str:
        width, height = self.size
        return (
            f'<div class="side {kind}"><img src="{data_uri(file, "image/jpeg")}" width="{width}" '
            f'height="{height}" alt="{escape(self.name)}: {label.lower()}" draggable="false">'
            f'<span class="label" aria-hidden="true">{label}</span></div>'
        )
