"""Is everything here that building takes? Asked before minutes of work."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dit4sr.export.engines.plans.resources import check_components, check_disk, check_memory
from dit4sr.export.engines.tensorrt_rtx.config import FP8_TARGETS, RtxConfig
from dit4sr.runtime.backends.tensorrt_rtx import NAME, TARGETS
from dit4sr.runtime.backends.tensorrt_rtx.machine import is_installed
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.errors import IncompatibleError, MissingDependencyError

MEMORY_PER_WEIGHT = 3.3
"""Bytes of memory that building takes for each byte of weights: 11.2 GB for a step of 3.48 GB, measured."""


def check(precision: str, config: RtxConfig) -> None:
    """Refuse what could not be built on any machine, or not on this one."""
    if not is_installed():
        raise MissingDependencyError(
            "TensorRT for RTX is not installed here", fix="pip install 'dit4sr[tensorrt-rtx]'"
        )
    if unknown := [target for target in config.architectures if target not in TARGETS]:
        raise IncompatibleError(
            f"{NAME} builds nothing for sm_{unknown[0]}",
            expected=f"--arch with some of {', '.join(map(str, TARGETS))}",
            fix="for Hopper and other cards of data centres: --engine tensorrt, on a machine with one",
        )
    if precision == "fp8" and (without := [t for t in config.architectures if t not in FP8_TARGETS]):
        raise IncompatibleError(
            f"sm_{without[0]} has no FP8",
            expected=f"--arch with some of {', '.join(map(str, FP8_TARGETS))}",
            fix="build the fp16 bundle for it",
        )


def preflight(bundle: Bundle, config: RtxConfig, plans: Mapping[str, int], folder: Path) -> None:
    """Refuse what cannot succeed here; ``plans`` are how many each component gets."""
    check_components(bundle, config.components)
    check(bundle.card.precision, config)
    check_disk(bundle, plans, folder)
    check_memory(bundle, plans, MEMORY_PER_WEIGHT)
