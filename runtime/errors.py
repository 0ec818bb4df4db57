"""Every way a command can fail, and the exit code that says so.

A message is one line: what was found, what was expected, what to do. The four commands share this table,
so a script can tell a typo from a full disk without reading English.
"""

from __future__ import annotations

import errno
import os
from typing import ClassVar


class Dit4srError(Exception):
    """A failure the user can act on; anything else that escapes is an internal error (exit 1)."""

    exit_code: ClassVar[int] = 1

    def __init__(self, found: str, *, expected: str = "", fix: str = "") -> None:
        self.found, self.expected, self.fix = found, expected, fix
        parts = [found, expected and f"expected {expected}", fix]
        super().__init__("; ".join(" ".join(part.split()) for part in parts if part))


class BadInputError(Dit4srError):
    """Wrong usage, or an input that cannot be what it claims to be."""

    exit_code = 2


class MissingDependencyError(Dit4srError):
    """A library or device that this command needs is not here."""

    exit_code = 3


class IncompatibleError(Dit4srError):
    """An engine or bundle that does not fit this machine or version."""

    exit_code = 4


class RunError(IncompatibleError):
    """A run that an engine refused for its very inputs; with others it may do."""


class IntegrityError(Dit4srError):
    """A file whose bytes are not what they should be: truncated, damaged, altered."""

    exit_code = 5


class AccuracyError(Dit4srError):
    """A result that strays further from the reference than its gate allows."""

    exit_code = 6


class OutOfMemoryError(Dit4srError):
    """Host or device memory ran out."""

    exit_code = 7


class PerformanceError(Dit4srError):
    """A timing that fails its gate."""

    exit_code = 8


class SomeInputsFailedError(Dit4srError):
    """The run went to its end, but some inputs did not come through."""

    exit_code = 9


INTERNAL_ERROR = 1

INTERRUPTED = 130
"""By Ctrl-C."""

TERMINATED = 143
"""By SIGTERM, as machines that shut down and service managers send it."""

HUNG_UP = 129
"""By SIGHUP, which comes when a terminal is closed."""


def in_one_line(error: BaseException) -> str:
    """An unexpected exception in a line: its kind, and what it says."""
    return " ".join(f"internal error: {type(error).__name__}: {error}".split())


def is_debugging() -> bool:
    """True where ``DIT4SR_DEBUG`` asks for tracebacks of internal errors."""
    return os.environ.get("DIT4SR_DEBUG", "") not in {"", "0"}


FAULTS_OF_THE_SYSTEM = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV, errno.EPIPE),
    *(errno.EMFILE, errno.ENFILE),
}
"""Errors that a user can act on, wherever they are met: no room, no right, nobody who reads."""


def known_failure(error: BaseException) -> Dit4srError | None:
    """What an error means to a user; nothing if it is a fault of ours."""
    match error:
        case Dit4srError():
            return error
        case MemoryError():
            return OutOfMemoryError("out of memory", fix="close other programs, or ask for less")
        case OSError() if error.errno in FAULTS_OF_THE_SYSTEM:
            return BadInputError(f"{error.filename or 'standard output'}: {error.strerror}")
    return None
