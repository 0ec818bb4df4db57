"""Calls of ONNX Runtime that end early when the process is asked to end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from dit4sr.runtime.interruption import NATIVE_CALLS

_FATAL = 4
"""The library's severity above which it says nothing on standard error; what it raises says the same."""


@contextmanager
def stoppable_run() -> Iterator[Any]:
    """Options for one run of a session, which ends after the operator that it is at."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.RunOptions()
    options.log_severity_level = _FATAL

    def stop() -> None:
        options.terminate = True

    with NATIVE_CALLS.stopped_by(stop):
        yield options


@contextmanager
def stoppable_opening(options: Any) -> Iterator[Any]:
    """The options for opening one session, which ends after the pass over the graph that it is at.

    Versions of the library that cannot be stopped here open to the end.
    """
    cancel = getattr(options, "set_load_cancellation_flag", None)
    with NATIVE_CALLS.stopped_by(lambda: cancel and cancel(True)):
        yield options
