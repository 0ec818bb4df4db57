"""Tensors of other libraries as the runtime's arrays, and the other way round, without a copy.

Both sides keep their streams: whoever takes a tensor waits, on the device, for what its maker has put there.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dit4sr.runtime.backends.plans.dlpack import CUDA, Device, array_of, capsule_of, require_dense
from dit4sr.runtime.backends.plans.driver import Driver
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.errors import BadInputError

DEFAULT_STREAM = 1
"""By DLPack's count, where 2 is each thread's own; CUDA takes both as handles."""
UNORDERED = -1
"""A taker that wants no waiting."""


class LentArray:
    """An array for other libraries, as in ``torch.from_dlpack(lent)`` or ``cupy.asarray(lent)``."""

    def __init__(self, driver: Driver, array: Array) -> None:
        self._driver, self._array = driver, array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        """The older protocol. Its taker must wait for the stream, and keep this object."""
        if self._driver.device[0] != CUDA:
            raise AttributeError("this memory is not CUDA's")
        array = self._array
        return {
            "shape": array.shape,
            "typestr": array.dtype.str,
            "data": (array.address, False),
            "strides": None,
            "version": 3,
            "stream": self._driver.stream,
        }

    def __dlpack_device__(self) -> Device:
        return self._driver.device

    def __dlpack__(self, *, stream: int | None = None, **_versions_and_wishes: object) -> object:
        """A capsule whose memory ``stream`` may read from now on, and after which we wait to reuse it."""
        driver = self._driver
        taker = DEFAULT_STREAM if stream is None else stream
        if taker == UNORDERED:
            return capsule_of(self._array, driver.device, lambda: None)
        driver.follow(taker, after=driver.stream)
        return capsule_of(self._array, driver.device, lambda: driver.follow(driver.stream, after=taker))


def borrowed(driver: Driver, tensor: Any) -> Array:
    """Another library's tensor, which our stream may read from now on.

    Its library does not know when we are done: keep it until results were downloaded, or share a stream.
    """
    if hasattr(tensor, "__dlpack__"):
        device = tuple(int(part) for part in tensor.__dlpack_device__())
        if device != driver.device:
            raise BadInputError(f"a tensor on device {device}", expected=str(driver.device))
        return array_of(tensor.__dlpack__(stream=driver.stream if device[0] == CUDA else None))
    try:
        told = tensor.__cuda_array_interface__
    except AttributeError:
        raise BadInputError(
            f"a {type(tensor).__name__}", expected="a tensor with __dlpack__ or __cuda_array_interface__"
        ) from None
    dtype, shape = np.dtype(told["typestr"]), tuple(told["shape"])
    if told.get("strides"):
        require_dense(shape, tuple(told["strides"]), dtype.itemsize)
    if told.get("stream") is not None:
        driver.follow(driver.stream, after=int(told["stream"]))
    return Array(int(told["data"][0]), shape, dtype, tensor)
