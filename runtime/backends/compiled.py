"""A compiled component as the manifest records it: what it was made for, and which shapes it takes.

A component may be compiled several times, for other sizes; whoever runs it picks by the shapes at hand.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, TypeVar

from dit4sr.runtime.backends.compatibility import Compatibility
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Component, Engine, TensorSpec
from dit4sr.runtime.errors import IncompatibleError, IntegrityError, RunError


@dataclass(frozen=True, eq=False)
class CompiledComponent:
    """One engine of a component, as the manifest describes it."""

    backend: ClassVar[str]
    file_count: ClassVar[int]

    record: Engine
    component: Component

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """Its inputs; axes that are names take any size."""
        return self.record.inputs or self.component.inputs

    @cached_property
    def is_static(self) -> bool:
        """True if every size is fixed."""
        return all(isinstance(axis, int) for spec in self.inputs for axis in spec.shape)

    @cached_property
    def sizes(self) -> dict[str, int]:
        """The component's axes that it fixes, and their sizes."""
        return {
            axis: size
            for free, fixed in zip(self.component.inputs, self.inputs, strict=True)
            for axis, size in zip(free.shape, fixed.shape, strict=True)
            if isinstance(axis, str) and isinstance(size, int)
        }

    def takes(self, inputs: Mapping[str, Array]) -> bool:
        """True if arrays have the shapes it was compiled for."""
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


Compiled = TypeVar("Compiled", bound=CompiledComponent)


def compiled_for(kind: type[Compiled], bundle: Bundle, component: str, target: str) -> list[Compiled]:
    """A component's engines for one target, ``cpu`` or a GPU; a bundle without any is refused.

    Also by whoever opens a backend without choosing it, engines are run only if they may be.
    """
    found = [
        kind(engine, bundle.components[component])
        for engine in bundle.engines
        if (engine.backend, engine.component) == (kind.backend, component) and target in engine.targets
    ]
    if not found and bundle.withholds_engines(kind.backend):
        raise Compatibility.withheld(kind.backend).error()
    if not found:
        raise IncompatibleError(
            f"{bundle.path} has no {kind.backend} engine of {component} for {target}",
            fix=f"build one with dit4sr-export --engine {kind.backend}",
        )
    for engine in found:
        fits_component = _axes(engine.inputs) == _axes(engine.component.inputs)
        if len(engine.record.files) != kind.file_count or not fits_component:
            raise IntegrityError(
                f"{bundle.path}: its {kind.backend} engine of {component} is not one of that component",
                fix="build it anew",
            )
    return found


def engine_for(engines: Sequence[Compiled], inputs: Mapping[str, Array]) -> Compiled:
    """The first of a component's engines that takes arrays of these shapes; torch would run a wrong one."""
    for engine in engines:
        if engine.takes(inputs):
            return engine
    found = ", ".join(f"{name} {'×'.join(map(str, array.shape))}" for name, array in inputs.items())
    raise RunError(
        f"no {engines[0].backend} engine of {engines[0].record.component} for {found}",
        expected=" or ".join(engine.shapes() for engine in engines),
        fix="build one for this size with dit4sr-export, or use backend onnxruntime",
    )


def fixed_sizes(engines: Sequence[CompiledComponent], specs: Sequence[TensorSpec]) -> tuple[TensorSpec, ...]:
    """Specs with the sizes that all of a component's engines share."""
    first, *others = engines
    shared = {
        axis: size
        for axis, size in first.sizes.items()
        if all(other.sizes.get(axis) == size for other in others)
    }
    return tuple(
        replace(
            spec,
            shape=tuple(shared.get(axis, axis) if isinstance(axis, str) else axis for axis in spec.shape),
        )
        for spec in specs
    )


def _axes(specs: Sequence[TensorSpec]) -> list[tuple[str, int]]:
    return [(spec.name, len(spec.shape)) for spec in specs]
