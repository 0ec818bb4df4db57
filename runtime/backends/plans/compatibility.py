"""Do a bundle's plans run here? From the manifest and the machine, as far as both libraries ask the same."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from dit4sr.runtime.backends.compatibility import Compatibility, Obstacle, rebuild
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine

Mismatches = Callable[[Engine, Machine], Iterator[Obstacle]]
"""What a library has against one plan on one machine."""


def plans_fit(
    name: str, bundle: Bundle, device: str, look: Callable[[], Machine], mismatches: Mismatches
) -> Compatibility:
    """How the bundle's plans for a backend fit; the machine is looked at only if there are any.

    A bundle may hold plans for several architectures; those for the one that is here are looked at.
    """
    plans = [engine for engine in bundle.engines if engine.backend == name]
    if not plans:
        return Compatibility.without_engines(name)
    machine = look()
    engines = [engine for engine in plans if machine.architecture in engine.targets] or plans
    obstacles = _obstacles(bundle, engines, device, machine, mismatches)
    return Compatibility.of(name, built_for(engines[0], machine), machine.words, obstacles)


def _obstacles(
    bundle: Bundle, engines: Sequence[Engine], device: str, machine: Machine, mismatches: Mismatches
) -> Iterator[Obstacle]:
    name = engines[0].backend
    if missing := sorted(bundle.components.keys() - {engine.component for engine in engines}):
        yield Obstacle(f"not for {', '.join(missing)}", rebuild(name))
    if device == "cpu":
        yield Obstacle("device cpu was asked for", "use backend onnxruntime, or leave --device at auto")
    yield from absences(name, machine)
    for engine in engines:
        yield from mismatches(engine, machine)
        component = bundle.components.get(engine.component)
        if engine.plan and (component is None or engine.plan.source != component.graph.sha256):
            what = f"{engine.component} was built from another graph than the bundle holds"
            yield Obstacle(what, rebuild(name))


def absences(name: str, machine: Machine) -> Iterator[Obstacle]:
    """What this machine lacks to run any plan of a backend at all."""
    install = f"pip install 'dit4sr[{name}]', or use backend onnxruntime"
    if not machine.version:
        yield Obstacle(f"{machine.library} is not installed here", install, is_missing=True)
    if not machine.has_bindings:
        yield Obstacle("cuda-bindings is not installed here", install, is_missing=True)
    if not machine.architecture:
        remedy = "check the driver with nvidia-smi, or use backend onnxruntime"
        yield Obstacle("no CUDA device is here", remedy, is_missing=True)


def built_for(engine: Engine, machine: Machine) -> str:
    """What a plan was built for, in a message."""
    return f"{engine.gpu_architecture} with {machine.library} {built_by(engine) or 'of any version'}"


def built_by(engine: Engine) -> str:
    """The version of the library that built a plan, as the manifest has it."""
    return engine.versions.get(engine.backend.replace("-", "_"), "")


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare; of endless digits none makes a version."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version.split("+", maxsplit=1)[0]))
