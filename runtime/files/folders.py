"""The folders that are the user's own."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Folder for things that may be lost: in ``DIT4SR_CACHE``, else in the user's cache folder."""
    chosen, base = os.environ.get("DIT4SR_CACHE"), os.environ.get("XDG_CACHE_HOME")
    home = Path(chosen) if chosen else Path(base or Path.home() / ".cache") / "dit4sr"
    return home / name
