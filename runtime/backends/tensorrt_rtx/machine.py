"""Is TensorRT for RTX here, under which name, and in which version? Found without loading it."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")
"""The second is all there is where only the bindings and libraries of one CUDA version are installed."""
DISTRIBUTIONS = ("tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu12_bindings", "tensorrt_rtx")


def is_installed() -> bool:
    """True if one of its modules can be imported."""
    return _module_name() is not None


def module() -> Any:
    """The library's module; loading it takes a driver for nothing but running plans."""
    name = _module_name()
    assert name is not None, "whoever asks for the module has looked whether it is there"
    return importlib.import_module(name)


def version() -> str:
    """The library's version, or nothing where it is not here; a plan runs on no other."""
    if not is_installed():
        return ""
    # It takes as long to import as half of NumPy.
    from importlib.metadata import PackageNotFoundError  # noqa: PLC0415
    from importlib.metadata import version as version_of  # noqa: PLC0415

    for name in DISTRIBUTIONS:
        try:
            return version_of(name)
        except PackageNotFoundError:
            continue
    return str(module().__version__)


def _module_name() -> str | None:
    return next((name for name in MODULES if importlib.util.find_spec(name) is not None), None)
