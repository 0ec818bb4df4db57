"""The folders that are the user's own."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_PRIVATE, _OTHERS_MAY_WRITE = 0o700, stat.S_IWGRP | stat.S_IWOTH


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


def make_private(folder: Path) -> None:
    """Make a folder, or one that is there, such that only its user gets in."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(_PRIVATE)


def is_private(folder: Path) -> bool:
    """True if nobody else could have put anything into it; where users have no numbers, all is theirs."""
    if not hasattr(os, "geteuid"):
        return True
    found = folder.stat()
    return found.st_uid == os.geteuid() and not found.st_mode & _OTHERS_MAY_WRITE


def forget_the_oldest(folder: Path, *, keep: int) -> None:
    """Remove from a folder of small files all but those that were written last."""
    known = [entry for entry in folder.iterdir() if not entry.name.startswith(".")]
    if len(known) > keep:
        for entry in sorted(known, key=lambda entry: entry.stat().st_mtime)[: len(known) - keep]:
            entry.unlink(missing_ok=True)


def _folder(name: str, ours: str, everybodys: str, at_home: str) -> Path | None:
    """What one environment variable names for this toolkit, another for all programs, or one at home."""
    if chosen := os.environ.get(ours):
        return Path(chosen) / name
    try:
        base = os.environ.get(everybodys) or Path.home() / at_home
    except RuntimeError:
        return None
    return Path(base) / "dit4sr" / name
