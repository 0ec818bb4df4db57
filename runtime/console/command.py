"""What the four commands have in common: a typed error becomes one line and an exit code."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

import click

from dit4sr.runtime.errors import INTERNAL_ERROR, INTERRUPTED, Dit4srError
from dit4sr.runtime.version import version


def run_command(command: click.Command, arguments: Sequence[str] | None = None) -> int:
    """Run a click command and return its exit code; standard error gets one line, never a traceback.

    ``DIT4SR_DEBUG=1`` adds the traceback, for whoever mends an internal error.
    """
    try:
        result = command.main(args=arguments, standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return _fail("interrupted", INTERRUPTED)
    except Dit4srError as error:
        return _fail(str(error), error.exit_code)
    except BrokenPipeError:
        # The reader went away (`… | head`); silence the flush at exit as well.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if os.environ.get("DIT4SR_DEBUG", "") not in {"", "0"}:
            traceback.print_exc()
        line = " ".join(f"{type(error).__name__}: {error}".split())
        report = f"please report it with the output of DIT4SR_DEBUG=1 (dit4sr {version()})"
        return _fail(f"internal error: {line}; {report}", INTERNAL_ERROR)
    return result if isinstance(result, int) else 0


def _fail(line: str, exit_code: int) -> int:
    click.echo(f"error: {line}", err=True)
    return exit_code
