"""What has to be done when somebody wants an end at once: native calls to stop, and leftovers to remove.

Python answers no signal while a native call runs, and a process that leaves on the spot cleans up nothing. So
whoever makes such a call, or something half-done, says beforehand how it ends. The library never looks at
signals itself; the commands do (`runtime/console/signals.py`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

Call = Callable[[], object]


class NativeCalls:
    """The native calls that are under way, and how each is asked to stop."""

    def __init__(self) -> None:
        self._stops: dict[object, Call] = {}
        self._are_stopped = False

    @contextmanager
    def stopped_by(self, stop: Call) -> Iterator[None]:
        """Make a native call in the block; ``stop`` may come from another thread and ends it early.

        The call then fails as its library sees fit.
        """
        key = object()
        self._stops[key] = stop
        try:
            # Looked at after the call is listed: a stop meets either this or the list.
            if self._are_stopped:
                stop()
            yield
        finally:
            del self._stops[key]

    def stop_all(self) -> None:
        """Stop what is under way, and from now on whatever begins."""
        self._are_stopped = True
        for stop in list(self._stops.values()):
            stop()

    def allow(self) -> None:
        """Let calls run again."""
        self._are_stopped = False


class Leftovers:
    """What would be left behind by a process that ends now, and how each is removed."""

    def __init__(self) -> None:
        self._removals: dict[object, Call] = {}

    @contextmanager
    def removed_by(self, remove: Call) -> Iterator[None]:
        """Call ``remove`` when the block is left; or before, where the process ends first.

        It may be called twice, and at the same time.
        """
        key = object()
        self._removals[key] = remove
        try:
            yield
        finally:
            remove()
            # Where a signal cuts the removal short it stays on the list.
            del self._removals[key]

    def remove_all(self) -> None:
        """Remove everything, whatever goes wrong with some of it."""
        for remove in list(self._removals.values()):
            with suppress(Exception):
                remove()


class Delay:
    """Moments in which the main thread is not interrupted: what they begin nobody could end in between."""

    def __init__(self) -> None:
        self._is_on = False
        self._waiting: BaseException | None = None

    @contextmanager
    def while_beginning(self) -> Iterator[None]:
        """Let what interrupts the main thread wait until the block is done."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        self._is_on = True
        try:
            yield
        finally:
            self._is_on = False
            waiting, self._waiting = self._waiting, None
            if waiting is not None:
                raise waiting

    def interrupt(self, error: BaseException) -> None:
        """Raise in the main thread, which calls this; now, or when its moment is over."""
        if not self._is_on:
            raise error
        self._waiting = error


NATIVE_CALLS = NativeCalls()
"""The native calls of this process."""

LEFTOVERS = Leftovers()
"""The leftovers of this process."""

DELAY = Delay()
"""The moments of this process."""
