"""TensorRT's version and the device that are here."""

from __future__ import annotations

from dit4sr.runtime.backends.plans.machine import Machine, installed_module, installed_version, machine_with

DISTRIBUTIONS = (
    "tensorrt",
    "tensorrt_cu13",
    "tensorrt_cu12",
    "tensorrt_cu13_bindings",
    "tensorrt_cu12_bindings",
)


def this_machine() -> Machine:
    """The library and the first device that are here."""
    return machine_with("TensorRT", installed_version(installed_module(("tensorrt",)), DISTRIBUTIONS))
