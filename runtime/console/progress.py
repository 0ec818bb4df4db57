"""How far a job is: shown on a terminal, and not in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from dit4sr.runtime.batch.inputs import Item
    from dit4sr.runtime.upscaler import Progress

_PAUSE = 0.1
"""Seconds between two updates of the line."""


def show_progress(line: str) -> None:
    """Say on a terminal, in a line that stays, what long work has come to."""
    if sys.stderr.isatty():
        click.echo(f"… {line}", err=True)


def warn(lines: Iterable[str]) -> None:
    """Say what the user should know and nothing is stopped by."""
    for line in lines:
        click.echo(f"warning: {line}", err=True)


class StatusLine:
    """One line that is written over, and gone when the work is done."""

    def __init__(self, *, is_wanted: bool = True) -> None:
        self._stream = sys.stderr
        self.is_shown, self._width = is_wanted and self._stream.isatty(), 0

    def __enter__(self) -> StatusLine:
        return self

    def __exit__(self, *_failure: object) -> None:
        self.clear()

    def show(self, text: str) -> None:
        """Replace the line."""
        if self.is_shown:
            self._stream.write("\r" + text.ljust(self._width))
            self._stream.flush()
            self._width = len(text)

    def clear(self) -> None:
        """Leave an empty line for somebody else to write on."""
        if self.is_shown and self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()
            self._width = 0


class PictureProgress:
    """Shows the picture, the step and an estimate that assumes pictures of one size."""

    def __init__(self, line: StatusLine, pictures: int) -> None:
        self._line, self._pictures = line, pictures
        self._start = self._shown = time.monotonic()
        self._finished = 0

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
        self._line.show(f"{place}{item.name}  {progress.stage} {percent}%  {_clock(left)} left")

    def finish_picture(self) -> None:
        """One more picture is over with."""
        self._finished += 1
        self._line.clear()


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
