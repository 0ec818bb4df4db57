"""How far a job is: shown on a terminal, and not in a pipe."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING

import click

from dit4sr.runtime.costs.time_left import TimeLeft

if TYPE_CHECKING:
    from dit4sr.runtime.batch.inputs import Item
    from dit4sr.runtime.plan import Plan
    from dit4sr.runtime.upscaler import Progress

_PAUSE, _TICK = 0.1, 0.5
"""Seconds between two updates of the line: at least where runs are short, at most where they are long."""


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
    """Shows the picture, its stage, and the time that is left of a job of pictures of one size.

    The line moves as time goes by, not only as runs end: within a block a thread looks at the clock.
    """

    def __init__(
        self,
        line: StatusLine,
        pictures: int,
        costs: Callable[[Plan], Mapping[str, float]] = lambda _: {},
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``costs`` weighs the runs of the engines of a plan against one another."""
        self._line, self._pictures, self._costs, self._now = line, pictures, costs, clock
        self._time_left = TimeLeft()
        self._start = self._began = self._since = self._shown = clock()
        self._finished = 0
        self._name, self._stage = "", ""
        self._progress: Progress | None = None
        self._weights: Mapping[str, float] = {}
        self._is_over, self._lock = threading.Event(), threading.Lock()
        self._ticking = threading.Thread(target=self._tick, daemon=True)

    def __enter__(self) -> PictureProgress:
        if self._line.is_shown:
            self._ticking.start()
        return self

    def __exit__(self, *_failure: object) -> None:
        self._is_over.set()
        if self._line.is_shown:
            self._ticking.join()
        self._line.clear()

    def begin(self, item: Item, stage: str) -> None:
        """A stage of a picture begins."""
        if not self._line.is_shown:
            return
        with self._lock:
            self._name, self._stage, self._since = item.name, stage, self._now()
            self.show()

    def update(self, item: Item, progress: Progress) -> None:
        """A run of an engine is done."""
        if not self._line.is_shown:
            return
        with self._lock:
            now = self._now()
            if self._progress is None or self._progress.plan is not progress.plan:
                self._weights = self._costs(progress.plan)
            self._time_left.learn(progress.stage, now - self._since)
            self._name, self._stage, self._progress, self._since = item.name, progress.stage, progress, now
            if now - self._shown >= _PAUSE:
                self.show()

    def finish_picture(self) -> None:
        """One more picture is over with."""
        with self._lock:
            self._finished += 1
            self._progress, self._began, self._stage = None, self._now(), ""
            self._line.clear()

    def show(self) -> None:
        """Draw the line as it is at this moment."""
        left = self._picture_left()
        if left is None:
            self._show(f"{self._stage}  {clock_time(self._now() - self._began)}")
            return
        spent = self._now() - self._began
        share = spent / (spent + left) if left else 1.0
        finished = self._began - self._start
        each = finished / self._finished if self._finished else spent + left
        left += each * (self._pictures - self._finished - 1)
        self._show(f"{self._stage} {100 * share:.0f}%  {clock_time(left)} left")

    def _picture_left(self) -> float | None:
        """Seconds that this picture still takes, less what the run under way has taken already."""
        if self._progress is None:
            return None
        left = self._progress.plan.left(self._progress.done)
        total = self._time_left.of_runs(left, self._weights)
        of_run = self._time_left.of_run(self._stage, self._weights) if left.get(self._stage) else 0.0
        return None if total is None else total - min(self._now() - self._since, of_run or 0.0)

    def _show(self, text: str) -> None:
        place = f"[{self._finished + 1}/{self._pictures}] " if self._pictures > 1 else ""
        self._shown = self._now()
        self._line.show(f"{place}{self._name}  {text}")

    def _tick(self) -> None:
        while not self._is_over.wait(_TICK):
            with self._lock:
                if self._stage:
                    self.show()


def clock_time(seconds: float) -> str:
    """Seconds as people read them on a clock."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
