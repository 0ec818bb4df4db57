"""A cancel that lives in C, as the event that the runtime looks at."""

from __future__ import annotations

import threading
from collections.abc import Callable


class HostCancel(threading.Event):
    """Set when the caller says so: by its progress callback, from another thread, or by closing."""

    def __init__(self, is_cancelled: Callable[[], bool]) -> None:
        super().__init__()
        self._is_cancelled = is_cancelled

    def is_set(self) -> bool:
        """Ask C."""
        return self._is_cancelled()
