"""The libraries and device that are here to run plans, found without constructing anything of TensorRT's.

Its runtime dies of a missing driver instead of reporting it, so the driver is asked first.
"""

from __future__ import annotations

import importlib.util
import platform
import sys
from dataclasses import dataclass

from dit4sr.runtime.backends.tensorrt import cuda

DISTRIBUTIONS = (
    "tensorrt",
    "tensorrt_cu13",
    "tensorrt_cu12",
    "tensorrt_cu13_bindings",
    "tensorrt_cu12_bindings",
)


@dataclass(frozen=True)
class Machine:
    """Libraries and device; an empty word is something that is not here."""

    platform: str
    tensorrt: str = ""
    """Its version."""
    has_bindings: bool = False
    driver: str = ""
    """The newest CUDA that the driver speaks, as in 13.0."""
    architecture: str = ""
    """The first device's, as in ``sm_90``."""
    device: str = ""
    """Its name."""

    @property
    def words(self) -> str:
        """The machine in a message."""
        library = f"TensorRT {self.tensorrt}" if self.tensorrt else "no TensorRT"
        return f"{self.architecture or 'no CUDA device'} with {library}"


def this_machine() -> Machine:
    """The libraries and the first device that are here."""
    system = f"{sys.platform}-{platform.machine()}"
    has_bindings = _has_bindings()
    found = Machine(system, _version(), has_bindings)
    if not has_bindings:
        return found
    runtime = cuda.runtime()
    success = runtime.cudaError_t.cudaSuccess
    status, count = runtime.cudaGetDeviceCount()
    if status != success or not count:
        return found
    properties = cuda.checked(runtime.cudaGetDeviceProperties(0))
    version = int(cuda.checked(runtime.cudaDriverGetVersion()))
    return Machine(
        system,
        found.tensorrt,
        has_bindings,
        driver=f"{version // 1000}.{version % 1000 // 10}",
        architecture=cuda.architecture(),
        device=properties.name.split(b"\0")[0].decode(),
    )


def _version() -> str:
    """TensorRT's version without importing it; by import where a system package left no record."""
    if importlib.util.find_spec("tensorrt") is None:
        return ""
    # It takes as long to import as half of NumPy.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    for name in DISTRIBUTIONS:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return str(importlib.import_module("tensorrt").__version__)


def _has_bindings() -> bool:
    try:
        return importlib.util.find_spec("cuda.bindings.runtime") is not None
    except ModuleNotFoundError:
        return False
