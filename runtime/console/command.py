"""What the four commands have in common: a typed error becomes one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress

import click

from dit4sr.runtime.errors import (
    INTERNAL_ERROR,
    INTERRUPTED,
    BadInputError,
    Dit4srError,
    OutOfMemoryError,
)

FAULTS_OF_THE_SYSTEM = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ENXIO, errno.ENODEV, errno.EPIPE),
    *(errno.EMFILE, errno.ENFILE),
}
"""Errors that a user can act on, wherever they are met: no room, no right, nobody who reads."""


def run_command(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code; standard error gets one line, never a traceback.

    ``DIT4SR_DEBUG=1`` adds the traceback, for whoever mends an internal error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may hold bytes that are no characters.
        sys.stdout.reconfigure(errors="backslashreplace")
    code = _run(command, arguments)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # What could not be written would be tried again at exit, and complained of by Python.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or _fail(f"standard output cannot be written ({error.strerror})", BadInputError.exit_code)
    return code


def _run(command: click.Command, arguments: Sequence[str] | None) -> int:
    try:
        result = command.main(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        return _misuse(error, command)
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED)
    except SystemExit:
        # So click ends where nobody reads on, and nowhere else.
        return _fail(f"standard output: {os.strerror(errno.EPIPE)}", BadInputError.exit_code)
    except Exception as error:
        if known := _known(error):
            return _fail(str(known), known.exit_code)
        if os.environ.get("DIT4SR_DEBUG", "") not in {"", "0"}:
            traceback.print_exc()
        line = " ".join(f"{type(error).__name__}: {error}".split())
        report = f"please report it with the output of DIT4SR_DEBUG=1 (dit4sr {_version()})"
        return _fail(f"internal error: {line}; {report}", INTERNAL_ERROR)
    return result if isinstance(result, int) else 0


def _misuse(error: click.ClickException, command: click.Command) -> int:
    # A command without arguments that answers with its help; click before 8.2 knows no such error.
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return error.exit_code
    return _fail(f"{error.format_message()}; see {command.name} --help", error.exit_code)


def _known(error: Exception) -> Dit4srError | None:
    """What an error means to a user; nothing if it is a fault of ours."""
    match error:
        case Dit4srError():
            return error
        case MemoryError():
            return OutOfMemoryError("memory ran out", fix="use a smaller --tile, or close other programs")
        case OSError() if error.errno in FAULTS_OF_THE_SYSTEM:
            return BadInputError(f"{error.filename or 'standard output'}: {error.strerror}")
    return None


def _version() -> str:
    # It takes as long to import as half of NumPy, and is needed only when all is lost.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("dit4sr")
    except PackageNotFoundError:
        return "from a checkout"


def _fail(line: str, exit_code: int) -> int:
    with suppress(OSError):
        click.echo(f"error: {printable(line)}", err=True)
    return exit_code


def printable(text: str) -> str:
    """A text as one line of a few words for a terminal, whatever somebody has named their files.

    What would move the cursor or change colours is spelt out, and words without end lose their middle.
    """
    line = " ".join(text.split())
    spelt = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return re.sub(r"\S{300,}", lambda word: f"{word[0][:150]}…{word[0][-50:]}", spelt)
