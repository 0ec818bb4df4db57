"""Do a bundle's packages run here? From the manifest and the machine, before any package is loaded."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility, Obstacle, rebuild
from dit4sr.runtime.backends.inductor import CPU, NAME
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine

REBUILD = rebuild(NAME)

_INSTRUCTION_SETS = ("amx", "avx", "bmi", "f16c", "fma", "gfni", "sha", "sse4", "vaes", "vpclmul")


def compatibility(bundle: Bundle, device: str = AUTO) -> Compatibility:
    """How the bundle's packages fit; torch is asked only if nothing else stands in the way."""
    if not _targets(bundle):
        return Compatibility.without_engines(NAME)
    fits = [_fit(bundle, target, device) for target in _targets(bundle)]
    return next((fit for fit in fits if fit.fits), fits[0])


def chosen_target(bundle: Bundle, device: str = AUTO) -> str:
    """The target that `compatibility` found to fit."""
    return next(target for target in _targets(bundle) if _fit(bundle, target, device).fits)


def _targets(bundle: Bundle) -> list[str]:
    """The devices that a bundle's packages were compiled for, GPUs first."""
    targets = {engine.gpu_architecture for engine in bundle.engines if engine.backend == NAME}
    return sorted(targets, key=lambda target: (target == CPU, target))


def _fit(bundle: Bundle, target: str, device: str) -> Compatibility:
    records = [e for e in bundle.engines if e.backend == NAME and e.gpu_architecture == target]
    built_for = f"{target} with torch {records[0].versions.get('torch', 'of any version')}"
    here = f"torch {torch_version()}" if torch_version() else "no torch"
    return Compatibility.of(NAME, built_for, here, _obstacles(bundle, records, target, device))


def _obstacles(bundle: Bundle, records: Sequence[Engine], target: str, device: str) -> Iterator[Obstacle]:
    """Everything that stands in the way, in the order of what it costs to find out."""
    versions, here = records[0].versions, torch_version()
    if missing := sorted(bundle.components.keys() - {record.component for record in records}):
        yield Obstacle(f"not for {', '.join(missing)}", REBUILD)
    if device != AUTO and (device == CPU) != (target == CPU):
        yield Obstacle(f"device {device} was asked for", REBUILD)
    yield from absences()
    if here is None:
        return
    # Packages call torch through an interface that may change with every minor version.
    if _minor(here) != _minor(versions.get("torch", "")):
        yield Obstacle(f"running on torch {here}", REBUILD)
    elif target == CPU:
        if lacking := sorted(set(versions.get("instructions", "").split()) - set(instruction_sets())):
            yield Obstacle(f"this CPU lacks {', '.join(lacking)}", REBUILD)
    elif (found := gpu_target()) != target:
        what = f"running on {found}" if found else "no CUDA device is here"
        yield Obstacle(what, REBUILD, is_missing=found is None)


def absences() -> Iterator[Obstacle]:
    """What this machine lacks to run any package at all."""
    if torch_version() is None:
        yield Obstacle("torch is not installed here", "pip install torch", is_missing=True)


def torch_version() -> str | None:
    """The version of torch, without importing it."""
    if importlib.util.find_spec("torch") is None:
        return None
    from importlib.metadata import version  # noqa: PLC0415  (takes as long to import as half of NumPy)

    return version("torch")


def _minor(version: str) -> list[str]:
    return version.split("+", maxsplit=1)[0].split(".")[:2]


def gpu_target() -> str | None:
    """The CUDA device's architecture, as in ``sm_90``."""
    import torch  # noqa: PLC0415 - costs seconds, and only if used

    if not torch.cuda.is_available():
        return None
    major, minor = torch.cuda.get_device_capability()
    return f"sm_{major}{minor}"


@cache
def instruction_sets() -> tuple[str, ...]:
    """Instruction sets of this CPU, where the kernel names them.

    Code compiled for more would die without a word.
    """
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return (platform.machine(), *sorted(flag for flag in flags if flag.startswith(_INSTRUCTION_SETS)))
