"""How far a job is, on a terminal: one line that is written over, and what time is left."""

from __future__ import annotations

import time
from typing import TextIO

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.upscaler import Progress

_PAUSE = 0.1
"""Seconds between two updates of the line."""


class ProgressLine:
    """Shows the picture, the step and an estimate that assumes pictures of one size."""

    def __init__(self, stream: TextIO, pictures: int) -> None:
        self._stream, self._pictures = stream, pictures
        self._start = self._shown = time.monotonic()
        self._finished, self._width = 0, 0

    def update(self, item: Item, progress: Progress) -> None:
        """A run of an engine is done."""
        now = time.monotonic()
        if now - self._shown < _PAUSE:
            return
        self._shown = now
        done = (self._finished + progress.done / progress.total) / self._pictures
        left = (now - self._start) * (1 - done) / done
        place = f"[{self._finished + 1}/{self._pictures}] " if self._pictures > 1 else ""
        percent = 100 * progress.done // progress.total
        self._show(f"{place}{item.name}  {progress.stage} {percent}%  {_clock(left)} left")

    def finish_picture(self) -> None:
        """One more picture is over with."""
        self._finished += 1
        self.clear()

    def clear(self) -> None:
        """Leave an empty line for somebody else to write on."""
        self._show("")
        self._stream.write("\r")
        self._stream.flush()

    def _show(self, line: str) -> None:
        self._stream.write("\r" + line.ljust(self._width))
        self._stream.flush()
        self._width = len(line)


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
