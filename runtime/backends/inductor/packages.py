"""Compiled packages as the manifest describes them: what they were made for, and which shapes they take."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from dit4sr.runtime.backends.choice import AUTO, Compatibility
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import IntegrityError
from dit4sr.runtime.manifest import Component, Engine, FileRecord, TensorSpec

NAME = "inductor"
CPU = "cpu"

_INSTRUCTION_SETS = ("amx", "avx", "bmi", "f16c", "fma", "gfni", "sha", "sse4", "vaes", "vpclmul")


@dataclass(frozen=True, eq=False)
class Package:
    """One compiled package of a component: its file, then its weights."""

    record: Engine
    component: Component

    @classmethod
    def all_in(cls, bundle: Bundle, component: str) -> list[Package]:
        """The packages of a component."""
        packages = [
            cls(engine, bundle.components[component])
            for engine in bundle.engines
            if engine.backend == NAME and engine.component == component
        ]
        for package in packages:
            if len(package.record.files) != 2 or _axes(package.inputs) != _axes(package.component.inputs):
                raise IntegrityError(
                    f"{bundle.path}: an {NAME} engine of {component} is not one of that component",
                    fix="build it anew",
                )
        return packages

    @property
    def code(self) -> FileRecord:
        """What torch loads."""
        return self.record.files[0]

    @property
    def weights(self) -> FileRecord:
        """What it is given; other packages may share it."""
        return self.record.files[1]

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Its inputs; axes that are names take any size."""
        return self.record.inputs or self.component.inputs

    @cached_property
    def is_static(self) -> bool:
        """Whether every size is fixed."""
        return all(isinstance(axis, int) for spec in self.inputs for axis in spec.shape)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """What it fixes of the component's axes."""
        return {
            axis: size
            for free, fixed in zip(self.component.inputs, self.inputs, strict=True)
            for axis, size in zip(free.shape, fixed.shape, strict=True)
            if isinstance(axis, str) and isinstance(size, int)
        }

    def runs_on(self, target: str) -> bool:
        """Whether it was compiled for this device."""
        return self.record.gpu_architecture == target

    def takes(self, inputs: Mapping[str, Array]) -> bool:
        """Whether arrays have the shapes it was compiled for."""
        return all(
            len(spec.shape) == len(inputs[spec.name].shape)
            and all(
                isinstance(axis, str) or axis == size
                for axis, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
            )
            for spec in self.inputs
        )

    def shapes(self) -> str:
        """The sizes it takes, for people."""
        return ", ".join(f"{axis} {size}" for axis, size in sorted(self.sizes.items())) or "any"


def _axes(specs: Sequence[TensorSpec]) -> list[tuple[str, int]]:
    return [(spec.name, len(spec.shape)) for spec in specs]


def fixed_sizes(packages: Sequence[Package], specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Specs with the sizes that all packages share."""
    first = packages[0].sizes
    shared = {axis: size for axis, size in first.items() if all(p.sizes.get(axis) == size for p in packages)}
    return tuple(
        replace(
            spec,
            shape=tuple(shared.get(axis, axis) if isinstance(axis, str) else axis for axis in spec.shape),
        )
        for spec in specs
    )


def compatibility(bundle: Bundle, device: str = AUTO) -> Compatibility:
    """Whether the bundle's packages run here; torch is asked only if nothing else stands in the way."""
    if not _targets(bundle):
        remedy = f"build them with dit4sr-export --engine {NAME}"
        return Compatibility(NAME, "", "", "the bundle holds no engines for it", remedy)
    fits = [_fit(bundle, target, device) for target in _targets(bundle)]
    return next((fit for fit in fits if fit.fits), fits[0])


def chosen_target(bundle: Bundle, device: str = AUTO) -> str:
    """The target that `compatibility` found to fit."""
    return next(target for target in _targets(bundle) if _fit(bundle, target, device).fits)


def _targets(bundle: Bundle) -> list[str]:
    """What the packages were compiled for, GPUs first."""
    targets = {engine.gpu_architecture for engine in bundle.engines if engine.backend == NAME}
    return sorted(targets, key=lambda target: (target == CPU, target))


@dataclass(frozen=True)
class _Obstacle:
    what: str
    remedy: str = f"rebuild with dit4sr-export --engine {NAME}, or use backend onnxruntime"
    is_missing: bool = False


def _fit(bundle: Bundle, target: str, device: str) -> Compatibility:
    records = [e for e in bundle.engines if e.backend == NAME and e.gpu_architecture == target]
    built_for = f"{target} with torch {records[0].versions.get('torch', 'of any version')}"
    first = next(_obstacles(bundle, records, target, device), None)
    here = f"torch {_installed()}" if _installed() else "no torch"
    if first is None:
        return Compatibility(NAME, built_for, here)
    what = f"built for {built_for}, but {first.what}"
    return Compatibility(NAME, built_for, here, what, first.remedy, first.is_missing)


def _obstacles(bundle: Bundle, records: Sequence[Engine], target: str, device: str) -> Iterator[_Obstacle]:
    """What stands in the way, cheapest to find out first; whoever asks for one need not pay for the next."""
    versions, here = records[0].versions, _installed()
    if missing := sorted(bundle.components.keys() - {record.component for record in records}):
        yield _Obstacle(f"not for {', '.join(missing)}")
    if device != AUTO and (device == CPU) != (target == CPU):
        yield _Obstacle(f"device {device} was asked for")
    if here is None:
        yield _Obstacle("torch is not installed here", "pip install torch", is_missing=True)
    # Packages call torch through an interface that may change with every minor version.
    elif _minor(here) != _minor(versions.get("torch", "")):
        yield _Obstacle(f"running on torch {here}")
    elif target == CPU:
        if lacking := sorted(set(versions.get("instructions", "").split()) - set(instruction_sets())):
            yield _Obstacle(f"this CPU lacks {', '.join(lacking)}")
    elif (found := gpu_target()) != target:
        what = f"running on {found}" if found else "no CUDA device is here"
        yield _Obstacle(what, is_missing=found is None)


def _installed() -> str | None:
    """The version of torch, without importing it."""
    if importlib.util.find_spec("torch") is None:
        return None
    return importlib.metadata.version("torch")


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
    """What this CPU can do, where the kernel says so: code compiled for more would die without a word."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    flags = next((line.split(":", 1)[1].split() for line in lines if line.startswith("flags")), [])
    return (platform.machine(), *sorted(flag for flag in flags if flag.startswith(_INSTRUCTION_SETS)))
