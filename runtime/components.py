"""Opened components: shared, opened once, and dropped when told to."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from dit4sr.runtime.backends.contract import CheckedEngine, Contract
from dit4sr.runtime.backends.protocol import Backend, Engine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError


class Components:
    """A bundle's engines, opened as they are needed and shared between threads.

    With ``keep`` off a component is dropped as soon as nobody uses it: the memory is that of the largest
    one, and the price is opening it again for the next picture.
    """

    def __init__(self, bundle: Bundle, backend: Backend, *, keep: bool = True) -> None:
        self._bundle, self._backend, self._keep = bundle, backend, keep
        self._engines: dict[str, Engine] = {}
        self._users: defaultdict[str, int] = defaultdict(int)
        self._opening: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._is_closed = False

    @contextmanager
    def use(self, name: str) -> Iterator[Engine]:
        """Lend an engine for the length of a block; opening one does not hold up the users of others."""
        with self._lock:
            self._refuse_if_closed()
            self._users[name] += 1
            opening = self._opening[name]
        engine: Engine | None = None
        try:
            with opening:
                engine = self._engines.get(name)
                if engine is None:
                    engine = self._engines[name] = self._opened(name)
            yield engine
        finally:
            engine = None  # the last reference must not outlive its place among the engines
            with self._lock:
                self._users[name] -= 1
                if self._users[name] == 0 and (self._is_closed or not self._keep):
                    self._engines.pop(name, None)

    @property
    def are_kept(self) -> bool:
        """True if a component stays open for the next picture."""
        return self._keep

    def has_open(self, name: str) -> bool:
        """True if a component need not be opened before it is used."""
        return name in self._engines

    def close(self) -> None:
        """Drop everything that is not in use now, and the rest as it falls idle."""
        with self._lock:
            self._is_closed = True
            for name in [name for name in self._engines if self._users[name] == 0]:
                del self._engines[name]

    def _opened(self, name: str) -> Engine:
        """Open a component and hold it to its contract; a name that the bundle lacks the backend refuses."""
        engine, component = self._backend.open(self._bundle, name), self._bundle.components[name]
        return CheckedEngine(engine, Contract(name, component))

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise BadInputError("this Upscaler is closed", fix="open another")
