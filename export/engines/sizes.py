"""Sizes of pictures as people write them."""

from __future__ import annotations

import re


def parse_size(text: str) -> tuple[int, int]:
    """Read ``512x768`` as height and width; one number is a square. Anything else is a ``ValueError``."""
    sides = re.fullmatch(r"([1-9]\d{0,5})(?:[xX×]([1-9]\d{0,5}))?", text)
    if not sides:
        raise ValueError(f"{text!r} is not a size")
    return int(sides[1]), int(sides[2] or sides[1])
