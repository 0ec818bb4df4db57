"""A library's exceptions in the words of the exit codes."""

from __future__ import annotations

from dit4sr.runtime.errors import Dit4srError, IncompatibleError, OutOfMemoryError

_SIGNS_OF_EXHAUSTION = ("failed to allocate", "bad_alloc", "bad allocation", "out of memory", "alloc_failed")


def translated(
    error: Exception, what: str, otherwise: type[IncompatibleError] = IncompatibleError
) -> Dit4srError:
    """One line: memory that ran out, or a file that does not fit."""
    if isinstance(error, Dit4srError):
        return error
    line = " ".join(str(error).split())
    short = line if len(line) <= 300 else f"{line[:297]}..."
    if isinstance(error, MemoryError) or any(sign in line.lower() for sign in _SIGNS_OF_EXHAUSTION):
        return OutOfMemoryError(f"{what}: out of memory ({short})", fix="use smaller tiles")
    return otherwise(f"{what}: {short}", fix="check the bundle with dit4sr-export, or export it anew")
