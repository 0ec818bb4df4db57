"""Files and folders written so that a reader sees the old or the new, never a half."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Address, Place
from dit4sr.runtime.files.drafts import draft_file, draft_folder

AT_FDCWD, NO_REPLACE, EXCHANGE = -100, 1, 2
"""Numbers of the kernel's renameat2."""


@contextmanager
def atomic_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a hidden sibling to fill; on success it takes the target's place, on any failure it is gone.

    With ``replace`` an existing target is swapped out in one step and then removed; without, a target that
    appears meanwhile stays.
    """
    target = target.absolute()
    with ExitStack() as stack:
        try:
            scratch = stack.enter_context(draft_folder(target))
        except OSError as error:
            raise BadInputError(f"{target} cannot be written ({error.strerror})") from None
        yield scratch
        scratch.chmod(0o755)
        for path in sorted(scratch.rglob("*")):
            _sync(path)
        _sync(scratch)
        if replace and target.exists():
            _exchange(scratch, target)  # what then goes with the draft is the old target
        else:
            _move(scratch, target)
        _sync(target.parent)


def write_whole(target: Place, content: bytes | Iterable[bytes], *, replace: bool = False) -> None:
    """Write a file, at once or piece by piece, whole or not at all.

    Without ``replace`` an existing target is an error. A store has no link that refuses a name: there, one
    that is taken while this file is on its way is not noticed.
    """
    if isinstance(target, Address):
        _write_to_store(target, content if isinstance(content, bytes) else b"".join(content), replace)
        return
    if target.exists() and not target.is_file() and not target.is_dir():
        # The file would take the place of the device for everybody.
        raise BadInputError(f"{target} is no ordinary file", fix="choose another name")
    try:
        with draft_file(target, content) as draft:
            if replace:
                draft.replace(target)
            else:
                # A link, unlike a rename, refuses a name that has been taken since we looked.
                os.link(draft, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError as error:
        raise BadInputError(f"{target} cannot be written ({error.strerror})") from None


def _write_to_store(target: Address, content: bytes, replace: bool) -> None:
    try:
        if not replace and target.exists():
            raise _exists(target)
        target.write(content)
    except OSError as error:
        raise BadInputError(f"{target} cannot be written ({error.strerror})") from None


def _exists(target: Place) -> BadInputError:
    return BadInputError(
        f"{target} exists", fix="choose another -o, or say --force, --skip-existing or --resume"
    )


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
