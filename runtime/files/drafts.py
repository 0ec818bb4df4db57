"""Drafts: files and folders beside what they are to become, each under a name of its own.

Whoever makes a draft holds a lock on it, which ends with the process in whatever way that ends. A draft that
nobody holds was left by a kill or a power cut, and goes when its target is written the next time.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from dit4sr.runtime.interruption import LEFTOVERS

HAS_LOCKS = find_spec("fcntl") is not None
"""False on Windows."""

AGE = 24 * 3600.0
"""Seconds after which a draft is taken for abandoned where the file system has no locks to tell."""

_PREFIX = 32
"""Characters of the target's name that its drafts carry: names have a greatest length."""

_ATTEMPTS = 10


@contextmanager
def draft_folder(target: Path) -> Iterator[Path]:
    """Make an empty folder beside a target, gone afterwards unless it has been moved."""
    with _draft(target, _new_folder) as (path, _):
        yield path


@contextmanager
def draft_file(target: Path, content: bytes | Iterable[bytes]) -> Iterator[Path]:
    """Write a file beside a target, through to the disk; gone afterwards unless it has been moved."""
    with _draft(target, _new_file) as (path, handle):
        # Windows moves no file that is open.
        with os.fdopen(handle, "wb", closefd=not HAS_LOCKS) as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            os.fsync(file.fileno())
        yield path


@contextmanager
def _draft(target: Path, make: Callable[[Path], int]) -> Iterator[tuple[Path, int]]:
    """Make a draft and hold its lock, after removing those of the same target that nobody holds."""
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    for _ in range(_ATTEMPTS):
        path = _new_name(target)
        if os.path.lexists(path):
            raise FileExistsError(f"{path} is none of ours")
        # From before it is there: a signal may come with the very call that makes it.
        with LEFTOVERS.removed_by(partial(_remove, path)):
            handle = make(path)
            try:
                # Another sweep may have come between the making and the lock.
                if _lock(handle) is False or not path.exists():
                    continue
                yield path, handle
                return
            finally:
                if HAS_LOCKS:
                    os.close(handle)
    raise FileNotFoundError(f"no draft of {target} stays")


def _new_name(target: Path) -> Path:
    return target.with_name(f".{target.name[:_PREFIX]}.{os.urandom(8).hex()}.partial")


def _new_folder(path: Path) -> int:
    path.mkdir(mode=0o700)
    return os.open(path, os.O_RDONLY) if HAS_LOCKS else -1


def _new_file(path: Path) -> int:
    """Create a file, open for writing: new, and behind no link.

    A name that several writers share would give one of them the other's bytes.
    """
    never_what_is_there = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, os.O_WRONLY | never_what_is_there | getattr(os, "O_BINARY", 0), 0o666)


def _lock(handle: int) -> bool | None:
    """Lock a file or folder: false where another holds it, none where locks are not to be had."""
    if not HAS_LOCKS:
        return None
    import fcntl  # noqa: PLC0415 - not everywhere

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _sweep(target: Path) -> None:
    """Remove the drafts of a target whose makers are gone."""
    drafts = re.compile(rf"\.{re.escape(target.name[:_PREFIX])}\.[0-9a-f]{{16}}\.partial")
    with os.scandir(target.parent) as entries:
        found = [Path(entry.path) for entry in entries if drafts.fullmatch(entry.name)]
    for path in found:
        with suppress(OSError):
            _remove_abandoned(path)


def _remove_abandoned(path: Path) -> None:
    """Remove a draft that nobody holds; what is neither file nor folder is none of ours."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
        return
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK) if HAS_LOCKS else -1
    try:
        is_free = _lock(handle)
        if is_free or (is_free is None and time.time() - status.st_mtime > AGE):
            _remove(path)
    finally:
        if HAS_LOCKS:
            os.close(handle)


def _remove(path: Path) -> None:
    """Remove a file or folder that may be gone already."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    # Under another name first: nobody can then put in place what is half removed.
    with suppress(OSError):
        path = path.rename(path.with_suffix("").with_suffix(f".{os.urandom(8).hex()}.partial"))
    shutil.rmtree(path, ignore_errors=True)
