"""A page of HTML that stands alone: style, script and pictures inside, and a policy against all else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from pathlib import Path

STYLE = Path(__file__).with_name("document.css").read_text(encoding="utf-8")
"""What all pages look like: colours for light and for dark, letters, headings, captions."""


@dataclass(frozen=True)
class Document:
    """A page without its body; a browser runs its script and its style, and none that a body smuggled in."""

    title: str
    style: str = ""
    """What this page adds to the style of all."""
    script: str = ""
    generator: str = "dit4sr"
    """What made the page, for whoever has to tell it from other files."""

    def around(self, body: str) -> str:
        """The page with a body."""
        return self.head() + body + self.foot()

    def head(self) -> str:
        """The page up to its body."""
        return (
            f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n{self.generator_tag()}\n'
            f'<meta http-equiv="Content-Security-Policy" content="{self._policy()}">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            '<link rel="icon" href="data:,">\n'
            f"<title>{escape(self.title)}</title>\n<style>{self._styles()}</style>\n</head>\n<body>\n"
        )

    def foot(self) -> str:
        """The page from its body on."""
        script = f"<script>{self.script}</script>\n" if self.script else ""
        return f"\n{script}</body>\n</html>\n"

    def generator_tag(self) -> str:
        """The element that says what made the page."""
        return f'<meta name="generator" content="{escape(self.generator)}">'

    def _styles(self) -> str:
        return STYLE + self.style

    def _policy(self) -> str:
        allowed = [
            "default-src 'none'",
            "img-src data:",
            f"style-src {_digest(self._styles())}",
            *([f"script-src {_digest(self.script)}"] if self.script else []),
            "base-uri 'none'",
            "form-action 'none'",
        ]
        return "; ".join(allowed)


def data_uri(content: bytes, kind: str) -> str:
    """A file as an address that needs no file; ``kind`` is its media type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _digest(text: str) -> str:
    """What a policy calls a text that it allows."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"
