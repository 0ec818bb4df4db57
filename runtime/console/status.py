"""How long work says what it is doing, to whoever wants to show it."""

from __future__ import annotations

from collections.abc import Callable

ShowStatus = Callable[[str], None]
"""Takes one line: what is being done now."""


def show_nothing(_: str) -> None:
    """For callers that need no word of what is being done."""
