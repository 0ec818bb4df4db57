"""The folders that are the user's own."""

from __future__ import annotations

import os
from pathlib import Path


def user_cache(name: str) -> Path | None:
    """Folder for things that may be lost: in ``DIT4SR_CACHE``, else in the user's cache folder.

    None for a user who has neither that nor a home, as in some containers.
    """
    return _folder(name, "DIT4SR_CACHE", "XDG_CACHE_HOME", ".cache")


def user_config(name: str) -> Path | None:
    """Folder for what is to be kept: in ``DIT4SR_CONFIG``, else in the user's configuration folder.

    None for a user who has neither that nor a home.
    """
    return _folder(name, "DIT4SR_CONFIG", "XDG_CONFIG_HOME", ".config")


def _folder(name: str, ours: str, everybodys: str, at_home: str) -> Path | None:
    """What one environment variable names for this toolkit, another for all programs, or one at home."""
    if chosen := os.environ.get(ours):
        return Path(chosen) / name
    try:
        base = os.environ.get(everybodys) or Path.home() / at_home
    except RuntimeError:
        return None
    return Path(base) / "dit4sr" / name
