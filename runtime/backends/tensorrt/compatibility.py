"""Do a bundle's plans run here? From the manifest and the machine, before any plan is read.

TensorRT itself only answers that a plan was rejected.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility, Obstacle, rebuild
from dit4sr.runtime.backends.tensorrt import NAME
from dit4sr.runtime.backends.tensorrt.machine import Machine, this_machine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine

REBUILD = rebuild(NAME)

_ATTENTION = "38009ae2"
DIGESTS = {
    "JointAttention": _ATTENTION,
    "JointAttentionFinal": _ATTENTION,
    "JointAttentionDual": _ATTENTION,
    "DepthwiseInject": "d676864a",
}
"""Digests of the code of the kernels that plans carry; a test holds them against it.

A plan keeps its kernels for good: a corrected one reaches it only by being built anew, and older plans are
refused.
"""


def compatibility(bundle: Bundle, device: str = AUTO, machine: Machine | None = None) -> Compatibility:
    """How the bundle's plans fit; the machine is looked at only if there are any.

    A bundle may hold plans for several architectures; those for the one that is here are looked at.
    """
    plans = [engine for engine in bundle.engines if engine.backend == NAME]
    if not plans:
        return Compatibility.without_engines(NAME)
    machine = machine or this_machine()
    engines = [engine for engine in plans if engine.gpu_architecture == machine.architecture] or plans
    first = engines[0]
    built_for = f"{first.gpu_architecture} with TensorRT {first.versions.get('tensorrt', 'of any version')}"
    return Compatibility.of(NAME, built_for, machine.words, _obstacles(bundle, engines, device, machine))


def _obstacles(
    bundle: Bundle, engines: Sequence[Engine], device: str, machine: Machine
) -> Iterator[Obstacle]:
    if missing := sorted(bundle.components.keys() - {engine.component for engine in engines}):
        yield Obstacle(f"not for {', '.join(missing)}", REBUILD)
    if device == "cpu":
        yield Obstacle("device cpu was asked for", "use backend onnxruntime, or leave --device at auto")
    yield from absences(machine)
    for engine in engines:
        yield from _mismatches(bundle, engine, machine)


def absences(machine: Machine) -> Iterator[Obstacle]:
    """What this machine lacks to run any plan at all."""
    install = "pip install 'dit4sr[tensorrt]', or use backend onnxruntime"
    if not machine.tensorrt:
        yield Obstacle("TensorRT is not installed here", install, is_missing=True)
    if not machine.has_bindings:
        yield Obstacle("cuda-bindings is not installed here", install, is_missing=True)
    if not machine.architecture:
        remedy = "check the driver with nvidia-smi, or use backend onnxruntime"
        yield Obstacle("no CUDA device is here", remedy, is_missing=True)


def _mismatches(bundle: Bundle, engine: Engine, machine: Machine) -> Iterator[Obstacle]:
    versions, plan = engine.versions, engine.plan
    if engine.gpu_architecture != machine.architecture:
        yield Obstacle(f"running on {machine.architecture}", REBUILD)
    if (system := versions.get("platform", machine.platform)) != machine.platform:
        yield Obstacle(f"on {system}, and running on {machine.platform}", REBUILD)
    yield from _versions(
        versions.get("tensorrt", ""), machine, is_lenient=bool(plan and plan.is_version_compatible)
    )
    if numbers(machine.driver) < numbers(needed := versions.get("cuda", "")):
        yield Obstacle(
            f"the driver speaks CUDA {machine.driver} and {needed} is needed",
            "update the driver, or use backend onnxruntime",
        )
    for plugin in engine.plugins:
        name, _, digest = plugin.rpartition("@")
        known = DIGESTS.get(name.rpartition("::")[2], "none")
        if digest != known:
            yield Obstacle(f"with {name} of digest {digest}, where this version has {known}", REBUILD)
    component = bundle.components.get(engine.component)
    if plan and (component is None or plan.source != component.graph.sha256):
        yield Obstacle(f"{engine.component} was built from another graph than the bundle holds", REBUILD)


def _versions(built: str, machine: Machine, *, is_lenient: bool) -> Iterator[Obstacle]:
    """A plan runs on the version that built it; a version-compatible one on newer versions too."""
    here = machine.tensorrt
    if is_lenient and numbers(here) < numbers(built):
        yield Obstacle(f"running on TensorRT {here}, which is older", f"pip install 'tensorrt>={built}'")
    if not is_lenient and built and numbers(here) != numbers(built):
        remedy = f"pip install tensorrt=={built}, or {REBUILD}"
        yield Obstacle(f"running on TensorRT {here}", remedy)


def numbers(version: str) -> tuple[int, ...]:
    """A version as numbers that compare; of endless digits none makes a version."""
    return tuple(int(part) for part in re.findall(r"\d{1,9}", version.split("+", maxsplit=1)[0]))
