"""NVIDIA GPUs as their driver knows them, without any library of CUDA."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_MAJOR, _MINOR = 75, 76
"""Numbers of the attributes that make up a device's compute capability."""
LIBRARIES = ("nvcuda.dll",) if sys.platform == "win32" else ("libcuda.so.1", "libcuda.so")


@dataclass(frozen=True)
class Gpu:
    """One device."""

    name: str
    architecture: str
    """As in ``sm_90``."""
    memory_bytes: int


@dataclass(frozen=True)
class GpuDriver:
    """The driver, and the devices it shows to this process."""

    cuda: str = ""
    """The newest CUDA that it speaks, as in 13.0; an empty word where there is no driver."""
    gpus: tuple[Gpu, ...] = ()
    remark: str = ""
    """Why there are no devices."""


def gpu_driver(libraries: Sequence[str] = LIBRARIES) -> GpuDriver:
    """Ask the driver; whatever is wrong with it is a remark."""
    driver = _loaded(libraries)
    if driver is None:
        return GpuDriver(remark="no NVIDIA driver is installed")
    if status := driver.cuInit(0):
        return GpuDriver(remark=f"the NVIDIA driver does not start (error {status}); look at nvidia-smi")
    version, count = ctypes.c_int(), ctypes.c_int()
    driver.cuDriverGetVersion(ctypes.byref(version))
    driver.cuDeviceGetCount(ctypes.byref(count))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    gpus = tuple(_gpu(driver, number) for number in range(count.value))
    return GpuDriver(cuda, gpus, "" if gpus else "the driver shows no device")


def _loaded(libraries: Sequence[str]) -> Any:
    for name in libraries:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def _gpu(driver: Any, number: int) -> Gpu:
    name, memory = ctypes.create_string_buffer(256), ctypes.c_size_t()
    driver.cuDeviceGetName(name, len(name), number)
    driver.cuDeviceTotalMem_v2(ctypes.byref(memory), number)
    capability = []
    for attribute in (_MAJOR, _MINOR):
        value = ctypes.c_int()
        driver.cuDeviceGetAttribute(ctypes.byref(value), attribute, number)
        capability.append(str(value.value))
    return Gpu(name.value.decode(errors="replace"), f"sm_{''.join(capability)}", memory.value)
