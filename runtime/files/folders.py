"""The folders that are the user's own."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str) -> Path:
    """Folder for things that may be lost: in ``DIT4SR_CACHE``, else in the user's cache folder."""
    chosen, base = os.environ.get("DIT4SR_CACHE"), os.environ.get("XDG_CACHE_HOME")
    home = Path(chosen) if chosen else Path(base or Path.home() / ".cache") / "dit4sr"
    return home / name


def user_config(name: str) -> Path | None:
    """Folder for what is to be kept: in ``DIT4SR_CONFIG``, else in the user's configuration folder.

    None for a user who has neither that nor a home.
    """
    chosen, base = os.environ.get("DIT4SR_CONFIG"), os.environ.get("XDG_CONFIG_HOME")
    if chosen:
        return Path(chosen) / name
    try:
        return Path(base or Path.home() / ".config") / "dit4sr" / name
    except RuntimeError:
        return None
