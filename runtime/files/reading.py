"""Files as they are read: ordinary ones only, and never more of them than their reader can use.

A name may be that of a device that never ends, of a pipe that nobody fills, or of forty gigabytes of nothing.
So every file that comes from outside is read here, with a bound that its reader states.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import BinaryIO

from dit4sr.runtime.errors import BadInputError, Dit4srError
from dit4sr.runtime.files.address import Address, Place

CHUNK = 1 << 22
LARGEST_TEXT = 16 << 20
"""Bytes of a text: a manifest, a config, a list of prompts, a record."""
LARGEST_PHOTO = 1 << 30
"""Bytes of a picture's file: several times those of the most pixels that are restored."""
LARGEST_STATE = 1 << 30
"""Bytes of what the toolkit has kept for itself, as ledgers and timings."""

Failure = type[Dit4srError]
"""What a file that cannot be read means to whoever wanted it."""


@contextmanager
def opened(file: Place, *, most: int | None = None, failure: Failure = BadInputError) -> Iterator[BinaryIO]:
    """Open an ordinary file to read it, if it has at most so many bytes; without ``most``, any number.

    How many a store's file has, its reader finds out as it reads.
    """
    if isinstance(file, Address):
        try:
            with file.opened() as stream:
                yield stream
        except OSError as error:
            raise _unreadable(file, error, failure) from None
        return
    require_ordinary(file, failure)
    try:
        # Should a pipe have taken its place meanwhile, nobody waits for a writer.
        handle = os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(handle, "rb") as stream:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode):
                raise _not_ordinary(file, failure)
            if most is not None and status.st_size > most:
                raise _too_large(str(file), status.st_size, most, failure)
            yield stream
    except OSError as error:
        raise _unreadable(file, error, failure) from None


def require_ordinary(file: Path, failure: Failure = BadInputError) -> None:
    """Refuse what is no ordinary file without opening it, which some devices take for an order.

    For files that a library opens by their names.
    """
    try:
        mode = file.stat().st_mode
    except (OSError, ValueError) as error:
        raise _unreadable(file, error, failure) from None
    if stat.S_ISDIR(mode):
        raise failure(f"{file} is a folder", expected="a file")
    if not stat.S_ISREG(mode):
        raise _not_ordinary(file, failure)


def read_file(file: Place, *, most: int, failure: Failure = BadInputError) -> bytes:
    """The bytes of a file, which may be no more than ``most``."""
    with opened(file, most=most, failure=failure) as stream:
        return read_stream(stream, str(file), most=most, failure=failure)


def read_stream(stream: BinaryIO, name: str, *, most: int, failure: Failure = BadInputError) -> bytes:
    """What comes out of a stream until it ends, which it has to within ``most`` bytes."""
    parts, size = [], 0
    while part := stream.read(min(CHUNK, most + 1 - size)):
        parts.append(part)
        if (size := size + len(part)) > most:
            raise _too_large(name, size, most, failure)
    return b"".join(parts)


def read_text(file: Place, *, most: int = LARGEST_TEXT, failure: Failure = BadInputError) -> str:
    """A text in UTF-8."""
    try:
        return read_file(file, most=most, failure=failure).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise failure(f"{file} is not UTF-8 text") from None


def sha256_of(file: Place, failure: Failure = BadInputError) -> str:
    """SHA-256 of a file of any size, in hexadecimal."""
    with opened(file, failure=failure) as stream:
        if not isinstance(file, Address):
            return sha256_of_open(stream)
        digest = hashlib.sha256()
        while chunk := stream.read(CHUNK):
            digest.update(chunk)
        return digest.hexdigest()


def sha256_of_open(file: BinaryIO | FileIO) -> str:
    """SHA-256 of what is left to read of a file that is open; what is added from now on is not waited for."""
    digest, left = hashlib.sha256(), os.fstat(file.fileno()).st_size - file.tell()
    while chunk := file.read(min(CHUNK, left)):
        digest.update(chunk)
        left -= len(chunk)
    return digest.hexdigest()


def _too_large(name: str, size: int, most: int, failure: Failure) -> Dit4srError:
    return failure(f"{name} has {size:,} bytes or more", expected=f"{most:,} at most")


def _not_ordinary(file: Path, failure: Failure) -> Dit4srError:
    return failure(f"{file} is no ordinary file", expected="no pipe and no device")


def _unreadable(file: Place, error: OSError | ValueError, failure: Failure) -> Dit4srError:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return failure(f"{file} cannot be read ({reason})")
