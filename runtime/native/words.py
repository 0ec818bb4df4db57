"""Text on its way to C, where it is UTF-8 and ends in a zero byte."""

from __future__ import annotations


def for_c(text: str) -> str:
    """A text without zero bytes, and with what is no character, as names of files may hold it, spelt out."""
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()
