"""What the four commands have in common: a typed error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from dit4sr.runtime.errors import INTERNAL_ERROR, INTERRUPTED, Dit4srError


def run_command(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code; standard error gets one line, never a traceback.

    ``DIT4SR_DEBUG=1`` adds the traceback, for whoever mends an internal error.
    """
    try:
        result = command.main(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort) as error:
        # click takes every file that ends too soon for a user who went away.
        is_ours = isinstance(error.__cause__, EOFError)
        return _internal(error.__cause__) if is_ours else _fail("interrupted", INTERRUPTED)
    except Dit4srError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader went away (`… | head`); silence the flush at exit as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        return _internal(error)
    return result if isinstance(result, int) else 0


def _internal(error: BaseException | None) -> int:
    """A fault of ours: one line all the same, and the traceback for whoever asks."""
    if os.environ.get("DIT4SR_DEBUG", "") not in {"", "0"}:
        traceback.print_exception(error)
    line = " ".join(f"{type(error).__name__}: {error}".split())
    report = f"please report it with the output of DIT4SR_DEBUG=1 (dit4sr {_version()})"
    return _fail(f"internal error: {line}; {report}", INTERNAL_ERROR)


def _version() -> str:
    # It takes as long to import as half of NumPy, and is needed only when all is lost.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("dit4sr")
    except PackageNotFoundError:
        return "from a checkout"


def _fail(line: str, exit_code: int) -> int:
    click.echo(f"error: {line}", err=True)
    return exit_code
