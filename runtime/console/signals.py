"""Signals that ask a command to end: Ctrl-C, SIGTERM, and SIGHUP, which comes when a terminal goes."""

from __future__ import annotations

import os
import signal
import threading
import time
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any

import click

from dit4sr.runtime.errors import HUNG_UP, INTERRUPTED, TERMINATED
from dit4sr.runtime.interruption import DELAY, LEFTOVERS, NATIVE_CALLS

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGHUP"):
    EXIT_CODES[signal.SIGHUP] = HUNG_UP

SAME = 0.3
"""Seconds in which a second signal is the first once more: `timeout` and shells send theirs twice."""

PATIENCE = 1.0
"""Seconds after which it is said what the command is waiting for."""


class Interrupted(KeyboardInterrupt):
    """A signal asked the command to end. It takes the way of Ctrl-C, whichever signal it was."""


class EndingSignals:
    """What becomes of the signals that ask to end, while a command runs in the main thread.

    The first raises `Interrupted` in the main thread, and stops native calls: until they return, Python
    raises nothing. The next one ends the process on the spot, once its leftovers are removed. A signal that
    was ignored before, as under nohup, stays ignored.
    """

    def __init__(self) -> None:
        self.received: signal.Signals | None = None
        """The first signal that has come."""
        self._is_over = False
        self._before: dict[signal.Signals, Any] = {}
        self._watcher: threading.Thread | None = None
        self._hint = threading.Timer(PATIENCE, _say, ["stopping; the same once more ends it at once"])
        self._hint.daemon = True

    def __enter__(self) -> EndingSignals:
        if threading.current_thread() is not threading.main_thread():
            return self
        # Python's own handlers wait for the main thread. What the system's handler writes here does not.
        reader, self._writer = os.pipe()
        if hasattr(os, "set_blocking"):
            os.set_blocking(self._writer, False)
        self._wakeup = signal.set_wakeup_fd(self._writer, warn_on_full_buffer=False)
        self._watcher = threading.Thread(target=self._watch, args=(reader,), daemon=True)
        self._watcher.start()
        _listening.append(self)
        for number in EXIT_CODES:
            if (before := signal.getsignal(number)) not in {signal.SIG_IGN, None}:
                self._before[number] = before
                signal.signal(number, self._interrupt)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._hint.cancel()
        if self._watcher is None:
            return
        _listening.remove(self)
        self.forget()
        os.close(self._writer)
        self._watcher.join()
        NATIVE_CALLS.allow()

    def forget(self) -> None:
        """Leave the signals to whoever had them before."""
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def farewell(self) -> str:
        """How the command ended, in a few words."""
        return _farewell(self.received or signal.SIGINT)

    def exit_code(self) -> int:
        """The exit code that says which signal it was."""
        return EXIT_CODES[self.received or signal.SIGINT]

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        """Raise for the first signal only: what it sets going, tidying up, is not to be cut short."""
        if self.received is None and not self._is_over:
            self.received = signal.Signals(number)
            DELAY.interrupt(Interrupted())

    def _watch(self, reader: int) -> None:
        """Read the numbers of the signals as they come, whatever the main thread is doing."""
        first: signal.Signals | None = None
        since = 0.0
        with os.fdopen(reader, "rb", buffering=0) as numbers:
            while number := numbers.read(1):
                if number[0] not in EXIT_CODES:
                    continue
                if first is None:
                    first = signal.Signals(number[0])
                    self._hint.start()
                    NATIVE_CALLS.stop_all()
                    since = time.monotonic()  # what has come meanwhile was not typed anew
                elif time.monotonic() - since > SAME:
                    LEFTOVERS.remove_all()
                    _say(f"error: {_farewell(first)}, at once")
                    os._exit(EXIT_CODES[first])


_listening: list[EndingSignals] = []
"""What is to be forgotten in a child that is forked meanwhile: its signals are its own."""


def _farewell(number: signal.Signals) -> str:
    return "interrupted" if number is signal.SIGINT else f"ended by {number.name}"


def _say(line: str) -> None:
    with suppress(OSError):
        click.echo(line, err=True)


def _forget_in_child() -> None:
    for signals in _listening:
        signals.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_in_child)
