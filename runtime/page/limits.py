"""What a page takes from its visitors, and for how long."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most of everything."""

    upload_bytes: int
    """Of a photo's file."""
    pixels: int
    """Of a photo, and of what is made of it."""
    queue: int
    """Visitors who wait for their turn."""
    seconds_kept: int = 3600
    """For which photos and results stay on the disk."""
    prompt: int = 2000
    """Characters."""
    message_bytes: int = 1 << 20
    """Of a message to the page that is no photo."""
