"""Do a bundle's plans run here? From the manifest and the machine, before any plan is read.

TensorRT itself only answers that a plan was rejected.
"""

from __future__ import annotations

from collections.abc import Iterator

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility, Obstacle, rebuild
from dit4sr.runtime.backends.plans.compatibility import built_by, numbers, plans_fit
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt import NAME
from dit4sr.runtime.backends.tensorrt.machine import this_machine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine

REBUILD = rebuild(NAME)

_ATTENTION = "38009ae2"
DIGESTS = {
    "JointAttention": _ATTENTION,
    "JointAttentionFinal": _ATTENTION,
    "JointAttentionDual": _ATTENTION,
    "DepthwiseInject": "3823b6ef",
}
"""Digests of the code of the kernels that plans carry; a test holds them against it.

A plan keeps its kernels for good: a corrected one reaches it only by being built anew, and older plans are
refused.
"""


def compatibility(bundle: Bundle, device: str = AUTO, machine: Machine | None = None) -> Compatibility:
    """How the bundle's plans fit; the machine is looked at only if there are any."""
    return plans_fit(NAME, bundle, device, lambda: machine or this_machine(), _mismatches)


def _mismatches(engine: Engine, machine: Machine) -> Iterator[Obstacle]:
    versions, plan = engine.versions, engine.plan
    if machine.architecture not in engine.targets:
        yield Obstacle(f"running on {machine.architecture}", REBUILD)
    if (system := versions.get("platform", machine.platform)) != machine.platform:
        yield Obstacle(f"on {system}, and running on {machine.platform}", REBUILD)
    yield from _versions(built_by(engine), machine, is_lenient=bool(plan and plan.is_version_compatible))
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


def _versions(built: str, machine: Machine, *, is_lenient: bool) -> Iterator[Obstacle]:
    """A plan runs on the version that built it; a version-compatible one on newer versions too."""
    here = machine.version
    if is_lenient and numbers(here) < numbers(built):
        yield Obstacle(f"running on TensorRT {here}, which is older", f"pip install 'tensorrt>={built}'")
    if not is_lenient and built and numbers(here) != numbers(built):
        remedy = f"pip install tensorrt=={built}, or {REBUILD}"
        yield Obstacle(f"running on TensorRT {here}", remedy)
