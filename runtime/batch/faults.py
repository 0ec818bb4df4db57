"""Which failures are one picture's own, and which end a job."""

from __future__ import annotations

from dit4sr.runtime.batch.entry import LedgerError
from dit4sr.runtime.errors import (
    BadInputError,
    Dit4srError,
    IncompatibleError,
    IntegrityError,
    MissingDependencyError,
    OutOfMemoryError,
    RunError,
    in_one_line,
    is_debugging,
)

ENDS_A_JOB = (
    *(MissingDependencyError, IncompatibleError, IntegrityError),  # which every picture would meet
    LedgerError,  # without which nothing could be resumed
    BrokenPipeError,  # nobody reads what is written
)


def fault_of_picture(error: Exception, name: str) -> Dit4srError | None:
    """A failure with its line and exit code if it is one picture's own; None where it ends the job.

    Whatever is not known to end it is the picture's, bugs of ours and of the libraries included.
    """
    if isinstance(error, ENDS_A_JOB) and not isinstance(error, RunError):
        return None
    if isinstance(error, Dit4srError):
        return error
    if isinstance(error, MemoryError):
        return OutOfMemoryError(f"{name}: out of memory", fix="close other programs, or make it smaller")
    if isinstance(error, OSError):
        return BadInputError(f"{name}: {error.strerror or error}")
    return None if is_debugging() else Dit4srError(f"{name}: {in_one_line(error)}")
