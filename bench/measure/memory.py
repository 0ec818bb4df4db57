"""The most memory a device was asked for while something ran."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

PERIOD = 0.01
"""Seconds between two looks at the device: allocations that live shorter are missed."""


class DevicePeak:
    """Looks at a CUDA device again and again during a block; on the host it has nothing to look at.

    The count is the whole device's, less what was in use before.
    """

    def __init__(self, device: str) -> None:
        self.bytes: int | None = None
        self._runtime = None if device == "cpu" else _cuda_runtime()
        self._is_over = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> DevicePeak:
        if self._runtime is not None:
            self._before = self._used()
            self.bytes = 0
            self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._runtime is not None:
            self._is_over.set()
            self._watcher.join()

    def _watch(self) -> None:
        while not self._is_over.wait(PERIOD):
            self.bytes = max(self.bytes or 0, self._used() - self._before)

    def _used(self) -> int:
        status, free, whole = self._runtime.cudaMemGetInfo()  # type: ignore[union-attr]
        return int(whole - free) if int(status) == 0 else 0


def _cuda_runtime() -> Any:
    try:
        from cuda.bindings import runtime  # noqa: PLC0415  (only where there is a device)
    except ImportError:
        return None
    return runtime
