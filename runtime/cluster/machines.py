"""What the machines of a cluster offer, and what a worker that opens a bundle asks of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.errors import BadInputError, MissingDependencyError, OutOfMemoryError
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import Settings, TileSizes
from dit4sr.runtime.upscaler import Upscaler

TILES = 2
"""On either side of the picture by which a worker's memory is told; memory follows the tile."""


@dataclass(frozen=True)
class Machine:
    """What one of them offers, or has to spare."""

    cpus: float
    gpus: float
    memory: float

    @classmethod
    def all(cls) -> list[Machine]:
        """Those of the cluster that are there now."""
        import ray  # noqa: PLC0415 - it takes a second

        offers = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        return [
            cls(each.get("CPU", 0.0), each.get("GPU", 0.0), each.get("memory", 0.0))
            for each in offers
            if each.get("CPU")
        ]


@dataclass(frozen=True)
class Needs:
    """What a worker asks for."""

    cpus: int
    gpus: int
    memory: int

    def options(self) -> dict[str, Any]:
        """The same in Ray's words."""
        return {"num_cpus": self.cpus, "num_gpus": self.gpus, "memory": self.memory}

    def workers(self, machines: Sequence[Machine]) -> int:
        """How many workers the machines have room for."""
        return sum(self._of(machine) for machine in machines)

    def _of(self, machine: Machine) -> int:
        counts = [machine.cpus // self.cpus, machine.memory // self.memory]
        if self.gpus:
            counts.append(machine.gpus // self.gpus)
        return int(min(counts))


def needs_of_bundle(
    upscaler: Upscaler, settings: Settings, machines: Sequence[Machine], *, device: str, threads: int
) -> Needs:
    """What a worker needs for a bundle; refused here if no machine has it, for Ray would wait for one.

    With ``threads``, a worker has as many CPUs; else a machine has as many workers as its memory holds, one a
    core at most, and the cores are shared out among them.
    """
    if not machines:
        raise MissingDependencyError("the cluster has no machine with CPUs")
    gpus = int(device == "cuda" or (device == "auto" and any(machine.gpus for machine in machines)))
    fitting = [machine for machine in machines if machine.gpus >= gpus]
    if not fitting:
        raise MissingDependencyError("--device cuda: no machine of the cluster has a GPU")
    memory = worker_memory(upscaler, settings)
    roomiest = max(fitting, key=lambda machine: machine.memory)
    if memory > roomiest.memory:
        raise OutOfMemoryError(
            f"a worker needs {format_bytes(memory)} of memory, and a machine of the cluster offers "
            f"{format_bytes(int(roomiest.memory))} at most",
            fix="say --low-memory or a smaller --tile",
        )
    most = max(int(machine.cpus) for machine in fitting)
    if threads > most:
        raise BadInputError(f"--threads {threads}", expected=f"{most} at most, as no machine has more CPUs")
    return Needs(threads or (1 if gpus else _shared_out(fitting, memory)), gpus, memory)


def worker_memory(upscaler: Upscaler, settings: Settings) -> int:
    """Bytes of a worker: what is predicted of the bundle, for a picture of a few tiles."""
    known = settings.resolved(upscaler.card)
    assert known.tile is not None
    side = max(round(TILES * known.tile / settings.scale), 1)
    geometry = upscaler.geometry(side, side, settings)
    plan = Plan.of(geometry, settings, upscaler.card, TileSizes.of(settings, upscaler.card))
    return upscaler.estimator().memory(plan, geometry)


def _shared_out(machines: Sequence[Machine], memory: int) -> int:
    """CPUs of a worker, such that it fits every machine that can hold one."""
    able = [machine for machine in machines if machine.memory >= memory]
    return min(max(int(each.cpus // min(each.memory // memory, each.cpus)), 1) for each in able)
