"""Who is on the page now, and how each one's restorations are told to stop."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Visitors:
    """The restorations that are asked for, by the visitors who did."""

    def __init__(self) -> None:
        self._asked: dict[str, set[threading.Event]] = {}
        self._lock = threading.Lock()
        self._turn = threading.Lock()

    @contextmanager
    def turn(self, visitor: str) -> Iterator[threading.Event]:
        """Wait for a visitor's turn, one at a time; what is yielded says whether it is still wanted.

        Gradio's queue lets in one at a time as well, but takes one that was stopped for gone at once, where
        it ends with the step that it is in.
        """
        cancel = threading.Event()
        with self._lock:
            self._asked.setdefault(visitor, set()).add(cancel)
        try:
            with self._turn:
                yield cancel
        finally:
            with self._lock:
                self._asked[visitor].discard(cancel)
                if not self._asked[visitor]:
                    del self._asked[visitor]

    @property
    def are_served(self) -> bool:
        """True while it is somebody's turn."""
        return self._turn.locked()

    def stop(self, visitor: str) -> None:
        """Stop what a visitor has asked for."""
        with self._lock:
            for cancel in self._asked.get(visitor, ()):
                cancel.set()

    def stop_all(self) -> None:
        """Stop everything."""
        with self._lock:
            for cancels in self._asked.values():
                for cancel in cancels:
                    cancel.set()
