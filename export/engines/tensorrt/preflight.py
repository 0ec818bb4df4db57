"""Is everything here that building takes? Asked before anything of TensorRT's is constructed."""

from __future__ import annotations

import importlib.util
from dataclasses import astuple

import numpy as np

from dit4sr.export.engines.plans.resources import check_components
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.runtime.backends.plans.compatibility import numbers
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt.machine import this_machine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import BadInputError, IncompatibleError, MissingDependencyError

OLDEST, BEYOND = (10, 13), (12,)
NUMPY_READY = (11, 2, 1)
"""From here on TensorRT's plugins understand NumPy 2.4."""
FP8_ARCHITECTURE = 89
INSTALL = "pip install 'dit4sr[tensorrt]'"


def check(precision: str, config: TensorRtConfig) -> None:
    """Refuse what could not be built on this machine, before there is a bundle to build it from."""
    check_machine(precision, config, this_machine())


def preflight(bundle: Bundle, config: TensorRtConfig, machine: Machine) -> None:
    """Refuse what cannot succeed, with what would help."""
    check_components(bundle, config.components)
    check_machine(bundle.card.precision, config, machine)


def check_machine(precision: str, config: TensorRtConfig, machine: Machine) -> None:
    """Refuse what can be known to fail without a bundle."""
    _check_request(precision, config)
    _check_libraries(machine, uses_plugins="plugin" in astuple(config.forms))
    _check_comparator(config)
    _check_device(precision, config, machine)


def _check_request(precision: str, config: TensorRtConfig) -> None:
    if not 0 <= config.level <= 5:
        raise BadInputError(f"builder level {config.level}", expected="0 to 5")
    if config.concurrency < 1 or min(config.images + config.branches, default=0) < 1:
        raise BadInputError("a profile without rows", expected="1 or more")
    if precision == "fp32" and config.forms.joint_attention == "plugin":
        raise BadInputError(
            "attention as plugin in fp32", expected="fp16 or bf16", fix="build with --attention native"
        )
    if unknown := sorted(set(astuple(config.forms)) - {"plugin", "native"}):
        raise BadInputError(f"form {unknown[0]!r}", expected="plugin or native")


def _check_libraries(machine: Machine, *, uses_plugins: bool) -> None:
    if not machine.version:
        raise MissingDependencyError("TensorRT is not installed here", fix=INSTALL)
    if not machine.has_bindings:
        raise MissingDependencyError("cuda-bindings is not installed here", fix=INSTALL)
    version = numbers(machine.version)
    if not OLDEST <= version < BEYOND:
        raise IncompatibleError(f"TensorRT {machine.version}", expected="10.13 to 11", fix=INSTALL)
    if not uses_plugins:
        return
    if importlib.util.find_spec("triton") is None:
        raise MissingDependencyError(
            "our kernels need triton", fix="pip install triton, or build with --inject native"
        )
    if version < NUMPY_READY and numbers(np.__version__) >= (2, 4):
        raise IncompatibleError(
            f"the plugin module of TensorRT {machine.version} does not understand NumPy {np.__version__}",
            fix="pip install 'numpy<2.4' while building, or TensorRT 11.2.1 or newer",
        )


def _check_comparator(config: TensorRtConfig) -> None:
    if config.verify and importlib.util.find_spec("polygraphy") is None:
        raise MissingDependencyError(
            "Polygraphy, which compares plans with their graphs, is not installed here",
            fix=f"{INSTALL}, or build with --no-verify",
        )


def _check_device(precision: str, config: TensorRtConfig, machine: Machine) -> None:
    if not machine.architecture:
        raise MissingDependencyError(
            "no CUDA device here, and plans are built where they run",
            fix="build on the machine with the GPU, check its driver with nvidia-smi; "
            "dit4sr-bench BUNDLE --plan shows here what TensorRT for RTX makes of the graphs",
        )
    if config.architecture and machine.architecture != f"sm_{config.architecture}":
        raise IncompatibleError(
            f"this machine builds for {machine.architecture}",
            expected=f"sm_{config.architecture}",
            fix="build on a machine with that GPU",
        )
    if precision == "fp8" and numbers(machine.architecture)[0] < FP8_ARCHITECTURE:
        raise IncompatibleError(
            f"{machine.architecture} has no FP8",
            expected=f"sm_{FP8_ARCHITECTURE} or newer",
            fix="use the fp16 bundle",
        )
