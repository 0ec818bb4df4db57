"""What the four commands have in common: a typed error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NoReturn

import click

from dit4sr.runtime.console.signals import EXIT_CODES, EndingSignals
from dit4sr.runtime.console.version import version
from dit4sr.runtime.errors import INTERNAL_ERROR, Dit4srError, OutOfMemoryError, in_one_line, is_debugging
from dit4sr.runtime.interruption import LEFTOVERS


def run_command(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code; standard error gets one line, never a traceback.

    ``DIT4SR_DEBUG=1`` adds the traceback, for whoever mends an internal error.
    """
    with EndingSignals() as signals:
        try:
            return _run(command, arguments, signals)
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
        error.show()
        return error.exit_code
    except Dit4srError as error:
        return _fail(str(error), error.exit_code)
    except MemoryError:
        return _fail("out of memory; close other programs, or ask for less", OutOfMemoryError.exit_code)
    except BrokenPipeError:
        # The reader went away (`… | head`); silence the flush at exit as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
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


def _fail(line: str, exit_code: int) -> int:
    with suppress(OSError):  # where standard error is closed, the exit code has to do
        click.echo(f"error: {line}", err=True)
    return exit_code
