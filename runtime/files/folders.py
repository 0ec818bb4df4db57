"""The folders that are the user's own."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str) -> Path | None:
    """Folder for things that may be lost: in ``DIT4SR_CACHE``, else in the user's cache folder.

    None for a user who has no home, as in some containers.
    """
    if chosen := os.environ.get("DIT4SR_CACHE"):
        return Path(chosen) / name
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "dit4sr" / name
