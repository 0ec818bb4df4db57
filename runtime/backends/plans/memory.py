"""Memory on the device as the runtime's arrays."""

from __future__ import annotations

import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np

from dit4sr.runtime.backends.plans.driver import Driver
from dit4sr.runtime.backends.protocol import Array


class Memory:
    """A block that is given back with its last array."""

    def __init__(self, driver: Driver, size: int) -> None:
        self.address = driver.allocate(max(size, 1))
        # Not at exit: the library may be gone by then, and the device takes everything back anyway.
        weakref.finalize(self, driver.free, self.address).atexit = False


def device_array(driver: Driver, shape: Sequence[int], dtype: Any = np.float32) -> Array:
    """An array with undefined values."""
    kind = np.dtype(dtype)
    memory = Memory(driver, math.prod(shape) * kind.itemsize)
    return Array(memory.address, tuple(shape), kind, memory)


def size_of(array: Array) -> int:
    """Bytes of an array."""
    return math.prod(array.shape) * array.dtype.itemsize
