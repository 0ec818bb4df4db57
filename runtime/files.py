"""Files: written so that a reader sees the old or the new, never a half; digests; the user's cache folder."""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dit4sr.runtime.errors import BadInputError

CHUNK = 1 << 22


@contextmanager
def atomic_directory(target: Path, *, replace: bool = False) -> Iterator[Path]:
    """Yield a hidden sibling to fill; on success it takes the target's place, on any failure it is gone.

    With ``replace`` an existing target is swapped out in one step and then removed.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        yield scratch
        scratch.chmod(0o755)
        for path in sorted(scratch.rglob("*")):
            _sync(path)
        _sync(scratch)
        if replace and target.exists():
            _exchange(scratch, target)
        else:
            scratch.rename(target)
        _sync(target.parent)
    finally:
        # After an exchange this is the old target; after a rename it is nothing.
        shutil.rmtree(scratch, ignore_errors=True)


def write_whole(target: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file whole or not at all; without ``replace`` an existing target is an error."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with partial.open("wb") as file:
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


def user_cache(name: str) -> Path:
    """Folder for things that may be lost: in ``DIT4SR_CACHE``, else in the user's cache folder."""
    chosen, base = os.environ.get("DIT4SR_CACHE"), os.environ.get("XDG_CACHE_HOME")
    home = Path(chosen) if chosen else Path(base or Path.home() / ".cache") / "dit4sr"
    return home / name


def sha256_of(path: Path) -> str:
    """SHA-256 of a file of any size, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _exchange(first: Path, second: Path) -> None:
    """Swap two directories, in one step where the kernel can."""
    if sys.platform == "linux":
        at_fdcwd, rename_exchange = -100, 2
        libc = ctypes.CDLL(None, use_errno=True)
        if hasattr(libc, "renameat2"):
            names = (os.fsencode(first), os.fsencode(second))
            if libc.renameat2(at_fdcwd, names[0], at_fdcwd, names[1], rename_exchange) == 0:
                return
            if (code := ctypes.get_errno()) not in {errno.EINVAL, errno.ENOSYS}:
                raise OSError(code, os.strerror(code), str(second))
    aside = first.with_suffix(".replaced")
    second.rename(aside)
    first.rename(second)
    aside.rename(first)
