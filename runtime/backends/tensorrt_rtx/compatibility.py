"""Do a bundle's plans run here? From the manifest and the machine, before any plan is read.

The library can tell more, from a plan's header: see `validity`.
"""

from __future__ import annotations

from collections.abc import Iterator

from dit4sr.runtime.backends.compatibility import AUTO, Compatibility, Obstacle, rebuild
from dit4sr.runtime.backends.plans.compatibility import absences, built_by, numbers, plans_fit
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt_rtx import NAME, TARGETS
from dit4sr.runtime.backends.tensorrt_rtx.machine import this_machine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine

REBUILD = rebuild(NAME)
ELSEWISE = "build with dit4sr-export --engine tensorrt on this machine, or use backend onnxruntime"


def compatibility(bundle: Bundle, device: str = AUTO, machine: Machine | None = None) -> Compatibility:
    """How the bundle's plans fit; the machine is looked at only if there are any."""
    return plans_fit(NAME, bundle, device, lambda: machine or this_machine(), _mismatches)


def obstacles_here(machine: Machine) -> Iterator[Obstacle]:
    """What keeps this machine from running any plan at all."""
    yield from absences(NAME, machine)
    yield from _foreign_card(machine)


def _foreign_card(machine: Machine) -> Iterator[Obstacle]:
    if machine.architecture and remedy_for(machine) == ELSEWISE:
        yield Obstacle(f"{machine.architecture} is no target of {machine.library}", ELSEWISE)


def _mismatches(engine: Engine, machine: Machine) -> Iterator[Obstacle]:
    yield from _foreign_card(machine)
    if machine.architecture not in engine.targets:
        yield Obstacle(f"running on {machine.architecture}", REBUILD)
    # A plan runs on the very version that built it, down to the last number.
    if (built := built_by(engine)) and numbers(built) != numbers(machine.version):
        what = f"running on {machine.library} {machine.version}"
        yield Obstacle(what, remedy_for_version(built))


def remedy_for(machine: Machine) -> str:
    """What helps where plans are for other cards: plans for this one, if the library has any for it."""
    return REBUILD if machine.architecture in {f"sm_{target}" for target in TARGETS} else ELSEWISE


def remedy_for_version(built: str) -> str:
    """What helps where plans are of another version."""
    return f"pip install tensorrt-rtx=={built}, or {REBUILD}" if built else REBUILD
