"""Files and folders written so that a reader sees the old or the new, never a half."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dit4sr.runtime.errors import BadInputError

AT_FDCWD, NO_REPLACE, EXCHANGE = -100, 1, 2
"""Numbers of the kernel's renameat2."""


@contextmanager
def atomic_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a hidden sibling to fill; on success it takes the target's place, on any failure it is gone.

    With ``replace`` an existing target is swapped out in one step and then removed; without, a target that
    appears meanwhile stays.
    """
    target = target.absolute()
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    except OSError as error:
        raise BadInputError(f"{target} cannot be written ({error.strerror})") from None
    try:
        yield scratch
        scratch.chmod(0o755)
        for path in sorted(scratch.rglob("*")):
            _sync(path)
        _sync(scratch)
        if replace and target.exists():
            _exchange(scratch, target)
        else:
            _move(scratch, target)
        _sync(target.parent)
    finally:
        # After an exchange this is the old target; after a rename it is nothing.
        shutil.rmtree(scratch, ignore_errors=True)


def write_whole(target: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file whole or not at all; without ``replace`` an existing target is an error."""
    if target.exists() and not target.is_file() and not target.is_dir():
        # The file would take the place of the device for everybody.
        raise BadInputError(f"{target} is no ordinary file", fix="choose another name")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial, handle = _draft(target)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                partial.replace(target)
            else:
                # A link, unlike a rename, refuses a name that has been taken since we looked.
                os.link(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError:
        raise BadInputError(
            f"{target} exists", fix="choose another -o, or say --force, --skip-existing or --resume"
        ) from None
    except OSError as error:
        raise BadInputError(f"{target} cannot be written ({error.strerror})") from None


def _draft(target: Path) -> tuple[Path, int]:
    """Create a file beside a target, open for writing: new, under a name of its own, behind no link.

    A name that several writers share would give one of them the other's bytes.
    """
    path = target.with_name(f".{target.name[:32]}.{os.urandom(8).hex()}.partial")
    never_what_is_there = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    return path, os.open(path, os.O_WRONLY | never_what_is_there | getattr(os, "O_BINARY", 0), 0o666)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _move(first: Path, second: Path) -> None:
    """Rename a directory, to a name that is free."""
    try:
        if not _rename_by_kernel(first, second, NO_REPLACE):
            first.rename(second)  # which takes the place of an empty directory, and of no other
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            raise
        raise BadInputError(
            f"{second} has appeared meanwhile", fix="choose another name, or replace it with --force"
        ) from None


def _exchange(first: Path, second: Path) -> None:
    """Swap two directories, in one step where the kernel can."""
    if not _rename_by_kernel(first, second, EXCHANGE):
        aside = first.with_suffix(".replaced")
        second.rename(aside)
        first.rename(second)
        aside.rename(first)


def _rename_by_kernel(first: Path, second: Path, how: int) -> bool:
    """Rename as Linux can and Python cannot; false where this kernel or file system cannot."""
    if sys.platform != "linux" or not hasattr(libc := ctypes.CDLL(None, use_errno=True), "renameat2"):
        return False
    if libc.renameat2(AT_FDCWD, os.fsencode(first), AT_FDCWD, os.fsencode(second), how) == 0:
        return True
    if (code := ctypes.get_errno()) in {errno.EINVAL, errno.ENOSYS}:
        return False
    raise OSError(code, os.strerror(code), str(second))
