"""The library and the device that are here to run plans, found without constructing anything of either.

TensorRT's runtime dies of a missing driver instead of reporting it, so the driver is asked first.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from dit4sr.runtime.backends.plans import cuda


@dataclass(frozen=True)
class Machine:
    """A library and a device; an empty word is something that is not here."""

    platform: str
    library: str
    """Its name, as in TensorRT."""
    version: str = ""
    has_bindings: bool = False
    driver: str = ""
    """The newest CUDA that the driver speaks, as in 13.0."""
    architecture: str = ""
    """The first device's, as in ``sm_90``."""
    device: str = ""
    """Its name."""

    @property
    def device_name(self) -> str:
        """The device in a file's name."""
        return "".join(c if c.isalnum() else "-" for c in self.device) or self.architecture

    @property
    def words(self) -> str:
        """The machine in a message."""
        library = f"{self.library} {self.version}" if self.version else f"no {self.library}"
        return f"{self.architecture or 'no CUDA device'} with {library}"


def machine_with(library: str, version: str) -> Machine:
    """The first device that is here, and a library of a version that was found."""
    system = f"{sys.platform}-{platform.machine()}"
    has_bindings = _has_bindings()
    found = Machine(system, library, version, has_bindings)
    if not has_bindings:
        return found
    runtime = cuda.runtime()
    success = runtime.cudaError_t.cudaSuccess
    status, count = runtime.cudaGetDeviceCount()
    if status != success or not count:
        return found
    properties = cuda.checked(runtime.cudaGetDeviceProperties(0))
    speaks = int(cuda.checked(runtime.cudaDriverGetVersion()))
    return Machine(
        system,
        library,
        version,
        has_bindings,
        driver=f"{speaks // 1000}.{speaks % 1000 // 10}",
        architecture=cuda.architecture(),
        device=properties.name.split(b"\0")[0].decode(),
    )


def installed_module(names: Sequence[str]) -> str:
    """The first of some modules that is installed; nothing if none is."""
    return next((name for name in names if importlib.util.find_spec(name) is not None), "")


def installed_version(module: str, distributions: Sequence[str]) -> str:
    """A module's version without importing it; by import where a system package left no record."""
    if not module:
        return ""
    # It takes as long to import as half of NumPy.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    for name in distributions:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return str(importlib.import_module(module).__version__)


def _has_bindings() -> bool:
    try:
        return importlib.util.find_spec("cuda.bindings.runtime") is not None
    except ModuleNotFoundError:
        return False
