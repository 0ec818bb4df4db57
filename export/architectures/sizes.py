"""Sizes that a config may state: those of networks that exist, and some way beyond.

A config is read before any tensor is held against it, and a network is built of what it says: a thousand
million layers would be built until memory runs out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LARGEST_SIZE = 1 << 20
"""Of one axis of a tensor; the largest vocabularies have a quarter of it."""
LARGEST_LATENT = 4096
"""Side of what a network was trained on: 32,768 pixels."""
MOST_LAYERS = 256


def check_sizes(sizes: Mapping[str, Any], most: int = LARGEST_SIZE) -> None:
    """Refuse, with a ``ValueError``, what is no whole number from 1 to ``most``."""
    for name, size in sizes.items():
        if type(size) is not int:
            raise ValueError(f"{name} is {shown(size)}, which is no whole number")
        if not 1 <= size <= most:
            raise ValueError(f"{name} is {shown(size)}, {'below one' if size < 1 else f'above {most:,}'}")


def shown(value: Any) -> str:
    """A value as a message can show it, which long ones are not."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
