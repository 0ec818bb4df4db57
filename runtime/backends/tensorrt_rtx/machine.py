"""Is TensorRT for RTX here, under which name, in which version, on which device? Found without loading it."""

from __future__ import annotations

import importlib
from typing import Any

from dit4sr.runtime.backends.plans.machine import Machine, installed_module, installed_version, machine_with

LIBRARY = "TensorRT for RTX"
MODULES = ("tensorrt_rtx", "tensorrt_rtx_bindings")
"""The second is all there is where only the bindings and libraries of one CUDA version are installed."""
DISTRIBUTIONS = ("tensorrt_rtx_cu13_bindings", "tensorrt_rtx_cu12_bindings", "tensorrt_rtx")


def is_installed() -> bool:
    """True if one of its modules can be imported."""
    return bool(installed_module(MODULES))


def module() -> Any:
    """The library's module; loading it takes a driver for nothing but running plans."""
    name = installed_module(MODULES)
    assert name, "whoever asks for the module has looked whether it is there"
    return importlib.import_module(name)


def version() -> str:
    """The library's version, or nothing where it is not here; a plan runs on no other."""
    return installed_version(installed_module(MODULES), DISTRIBUTIONS)


def this_machine() -> Machine:
    """The library and the first device that are here."""
    return machine_with(LIBRARY, version())
