"""What the commands have in common: a typed error becomes one line and an exit code."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from dit4sr.runtime.console.signals import EXIT_CODES, EndingSignals
from dit4sr.runtime.console.version import version
from dit4sr.runtime.errors import (
    INTERNAL_ERROR,
    BadInputError,
    in_one_line,
    is_debugging,
    known_failure,
)
from dit4sr.runtime.interruption import LEFTOVERS


def run_command(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code; standard error gets one line, never a traceback.

    ``DIT4SR_DEBUG=1`` adds the traceback, for whoever mends an internal error.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may hold bytes that are no characters.
        sys.stdout.reconfigure(errors="backslashreplace")
    with EndingSignals() as signals:
        try:
            return _flushed(_run(command, arguments, signals))
        except KeyboardInterrupt:
            LEFTOVERS.remove_all()  # those whose removal a signal cut short
            return _fail(signals.farewell(), signals.exit_code())


def run_process(command: click.Command) -> NoReturn:
    """Run a click command as all that a process does."""
    code = run_command(command)
    if code in EXIT_CODES.values():
        # Whoever asked for an end should not wait for what a framework takes seconds to take down.
        with suppress(OSError):
            sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def _run(command: click.Command, arguments: Sequence[str] | None, signals: EndingSignals) -> int:
    try:
        result = _invoke(command, arguments, signals)
    except click.ClickException as error:
        return _misuse(error, command)
    except SystemExit:
        # So click ends where nobody reads on, and nowhere else.
        return _fail(f"standard output: {os.strerror(errno.EPIPE)}", BadInputError.exit_code)
    except Exception as error:
        if known := known_failure(error):
            return _fail(str(known), known.exit_code)
        if is_debugging():
            traceback.print_exc()
        report = f"please report it with the output of DIT4SR_DEBUG=1 (dit4sr {version()})"
        return _fail(f"{in_one_line(error)}; {report}", INTERNAL_ERROR)
    return result if isinstance(result, int) else 0


def _invoke(command: click.Command, arguments: Sequence[str] | None, signals: EndingSignals) -> Any:
    """Call the command; what fails after a signal, as writing to a closed terminal does, is its end."""
    try:
        return command.main(args=arguments, standalone_mode=False)
    except Exception as error:
        if signals.received is None and not isinstance(error, click.Abort):
            raise
        # click takes every file that ends too soon for a user who went away.
        if signals.received is None and isinstance(error.__cause__, EOFError):
            raise error.__cause__ from None
        raise KeyboardInterrupt from error


def _flushed(code: int) -> int:
    """The exit code once all that was printed has been written; what could not be is a failure itself."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        # What could not be written would be tried again at exit, and complained of by Python.
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code or _fail(f"standard output cannot be written ({error.strerror})", BadInputError.exit_code)
    return code


def _misuse(error: click.ClickException, command: click.Command) -> int:
    # A command without arguments that answers with its help; click before 8.2 knows no such error.
    if isinstance(error, getattr(click.exceptions, "NoArgsIsHelpError", ())):
        error.show()
        return error.exit_code
    return _fail(f"{error.format_message()}; see {command.name} --help", error.exit_code)


def _fail(line: str, exit_code: int) -> int:
    with suppress(OSError):  # where standard error is closed, the exit code has to do
        click.echo(f"error: {_for_a_terminal(line)}", err=True)
    return exit_code


def _for_a_terminal(text: str) -> str:
    """A text as one line of a few words, whatever somebody has named their files.

    What would move the cursor or change colours is spelt out, and words without end lose their middle.
    """
    line = " ".join(text.split())
    spelt = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return re.sub(r"\S{300,}", lambda word: f"{word[0][:150]}…{word[0][-50:]}", spelt)
