"""How far a job is whose pictures are restored elsewhere: one line for all of it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType

from dit4sr.runtime.console.progress import StatusLine, clock_time

TICK = 0.5
"""Seconds between two updates of the line."""


class JobProgress:
    """Shows how many pictures are over with, how many that is a second, and the time that is left."""

    def __init__(self, line: StatusLine, pictures: int, now: Callable[[], float] = time.monotonic) -> None:
        self._line, self._pictures, self._now = line, pictures, now
        self._start, self._first, self._finished = now(), 0.0, 0
        self._is_over, self._lock = threading.Event(), threading.Lock()
        self._ticking = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> JobProgress:
        if self._line.is_shown:
            self._ticking.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over.set()
        if self._line.is_shown:
            self._ticking.join()
        self._line.clear()

    def finish_picture(self) -> None:
        """One more picture is over with."""
        with self._lock:
            self._finished += 1
            # Until the first, the workers open the bundle: the rate is that of the others.
            self._first = self._first or self._now()
            self._line.clear()

    def text(self) -> str:
        """The line as it is at this moment."""
        place, now = f"[{self._finished}/{self._pictures}]", self._now()
        if self._finished < 2 or now <= self._first:
            return f"{place} workers are at work  {clock_time(now - self._start)}"
        rate = (self._finished - 1) / (now - self._first)
        left = (self._pictures - self._finished) / rate
        return f"{place} {rate:.3g} pictures/s  {clock_time(left)} left"

    def _tick(self) -> None:
        while not self._is_over.wait(TICK):
            with self._lock:
                self._line.show(self.text())
