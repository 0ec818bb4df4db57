"""Keeps the standard streams to ourselves: what Ray has to say is in its log files."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO, cast


@contextmanager
def rays_lines_apart() -> Iterator[None]:
    """Let nobody but this thread write to standard output, and nothing but Python to standard error."""
    ours = sys.stdout
    sys.stdout = cast("TextIO", _OfOneThread(ours))
    try:
        with native_lines_apart():
            yield
    finally:
        sys.stdout = ours


class _OfOneThread:
    """A stream for the thread that makes it; what others write to it is dropped.

    Ray prints there from a thread of its own, of every worker that is lost, and records may go there.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._owner = stream, threading.get_ident()

    def write(self, text: str) -> int:
        """Write, if it is the thread's own."""
        return self._stream.write(text) if threading.get_ident() == self._owner else len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def native_lines_apart() -> Iterator[None]:
    """Let nothing but Python write to standard error while the block lasts.

    Ray's native half and the processes that it starts write to the handle of that number, whatever they are
    asked. So the number leads nowhere meanwhile, and Python has a handle of its own.
    """
    ours = sys.stderr
    with (
        open(os.dup(_NUMBER), "wb") as led,
        open(os.devnull, "wb") as nowhere,
        _own_handle(ours, led.fileno()) as own,
    ):
        os.dup2(nowhere.fileno(), _NUMBER)
        sys.stderr = own
        try:
            yield
        finally:
            sys.stderr = ours
            os.dup2(led.fileno(), _NUMBER)


@contextmanager
def _own_handle(stream: TextIO, led: int) -> Iterator[TextIO]:
    """A stream that does not go by the number; where it never did, the same."""
    try:
        goes_by_number = stream.fileno() == _NUMBER
    except (OSError, ValueError, AttributeError):
        goes_by_number = False
    if not goes_by_number:
        yield stream
        return
    stream.flush()
    with open(os.dup(led), "w", buffering=1, encoding=stream.encoding, errors=stream.errors) as own:
        yield own


def silence_ray_data() -> None:
    """Keep what Ray Data logs in its file; call it once Ray Data is imported."""
    for handler in logging.getLogger("ray.data").handlers:
        if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL + 1)


_NUMBER = 2
