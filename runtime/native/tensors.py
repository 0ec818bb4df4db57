"""Tensors of a host in C, in and out by DLPack.

A tensor may be on the host, or on the device of a backend that runs plans. There the caller's stream and the
backend's wait for one another on the device; the picture itself passes through the host, where it is enlarged
and gets its colours.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.runtime.backends.plans.backend import PlanBackend
from dit4sr.runtime.backends.plans.dlpack import HOST, array_of, capsule_of, device_of
from dit4sr.runtime.backends.plans.interop import DEFAULT_STREAM
from dit4sr.runtime.backends.protocol import Array, Backend
from dit4sr.runtime.errors import BadInputError


def lends_tensors(backend: Backend) -> bool:
    """True if tensors on the backend's own device can be taken and given."""
    return isinstance(backend, PlanBackend)


def levels_of(backend: Backend, capsule: object, stream: int) -> NDArray[Any]:
    """The numbers of a tensor, once what the caller has put on a stream is done."""
    device, array = device_of(capsule), array_of(capsule)
    if isinstance(backend, PlanBackend) and device == backend.driver.device:
        backend.driver.follow(backend.driver.stream, after=stream or DEFAULT_STREAM)
        return backend.download(array)
    if device != HOST:
        devices = [HOST, *([backend.driver.device] if isinstance(backend, PlanBackend) else [])]
        raise BadInputError(f"a tensor on device {device}", expected=" or ".join(map(str, devices)))
    return _view(array)


def capsule_with(backend: Backend, levels: NDArray[Any], like: object, stream: int) -> object:
    """A tensor of some numbers on the side of another one, which a stream may read from now on."""
    if isinstance(backend, PlanBackend) and device_of(like) == backend.driver.device:
        return backend.lend(backend.upload(levels)).__dlpack__(stream=stream or DEFAULT_STREAM)
    return capsule_of(Array(levels.ctypes.data, levels.shape, levels.dtype, levels), HOST, lambda: None)


def _view(array: Array) -> NDArray[Any]:
    """The host's memory as NumPy sees it; the capsule keeps it."""
    import ctypes  # noqa: PLC0415 - few hosts hand over tensors

    size = math.prod(array.shape) * array.dtype.itemsize
    memory = memoryview((ctypes.c_char * size).from_address(array.address))
    return np.ndarray(array.shape, array.dtype, memory)
