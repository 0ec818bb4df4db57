"""A picture on its way to being restored: what was asked for, and how far it is."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from dit4sr.runtime.console.status import ShowStatus
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import Settings, TileSizes


class CancelledError(Exception):
    """The caller asked to stop: no failure, so none of the errors that have an exit code."""


class CancelWhen(threading.Event):
    """A cancel that others know of, in C or at a server: set when they say so."""

    def __init__(self, is_cancelled: Callable[[], bool]) -> None:
        super().__init__()
        self._is_cancelled = is_cancelled

    def is_set(self) -> bool:
        """Ask them."""
        return self._is_cancelled()


@dataclass(frozen=True)
class Progress:
    """How far a picture is, counted in runs of an engine; `prepare`'s are not counted."""

    stage: str
    done: int
    total: int
    plan: Plan


@dataclass
class Restoration:
    """One picture on its way."""

    settings: Settings
    sizes: TileSizes
    seed: int
    prompt: str | None
    negative: str | None
    geometry: Geometry
    plan: Plan
    progress: Callable[[Progress], None]
    status: ShowStatus
    cancel: threading.Event | None
    seconds: dict[str, float] = field(default_factory=dict)
    stage: str = ""
    done: int = 0

    def tick(self) -> None:
        """Count one run of an engine; stop if asked to."""
        if self.cancel is not None and self.cancel.is_set():
            raise CancelledError("cancelled")
        self.done += 1
        self.progress(Progress(self.stage, self.done, self.plan.counted, self.plan))

    @contextmanager
    def timed(self, stage: str, begins_by: str = "") -> Iterator[None]:
        """Add a block's duration to the seconds of a stage; what it begins by doing is told."""
        self.stage, start = stage, time.perf_counter()
        self.status(begins_by or stage)
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + time.perf_counter() - start
