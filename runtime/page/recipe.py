"""How to make a picture again without the page: its call, on the command line and in Python, to be copied."""

from __future__ import annotations

from html import escape
from pathlib import Path

from dit4sr.runtime.page.call import Call

HERE = Path(__file__)
STYLE = HERE.with_suffix(".css").read_text(encoding="utf-8")
SCRIPT = HERE.with_suffix(".js").read_text(encoding="utf-8")


def to_html(call: Call) -> str:
    """Both forms beside one another."""
    forms = [
        ("command", "On the command line", call.command_line()),
        ("python", "In Python", call.python()),
    ]
    shown = "".join(_form(*form) for form in forms)
    return f'<div class="recipe"><p>The same picture without this page:</p>{shown}</div>'


def _form(kind: str, title: str, text: str) -> str:
    return (
        f'<section class="{kind}"><header><h2>{escape(title)}</h2>'
        f'<button type="button" class="copy" aria-label="Copy: {escape(title)}">Copy</button></header>'
        f"<pre><code>{escape(text)}</code></pre></section>"
    )
