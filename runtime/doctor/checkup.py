"""A look at this machine, and at what it would make of a bundle."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dit4sr.runtime.backends.choice import candidates, choose
from dit4sr.runtime.backends.compatibility import AUTO, Compatibility
from dit4sr.runtime.backends.inductor.compatibility import instruction_sets
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.costs.estimate import Estimate, Estimator
from dit4sr.runtime.doctor.engines import BackendReport, backend_reports
from dit4sr.runtime.doctor.inspection import inspection_json
from dit4sr.runtime.doctor.verifying import verify_digests, verify_sizes
from dit4sr.runtime.errors import Dit4srError, IncompatibleError, MissingDependencyError
from dit4sr.runtime.files.folders import user_cache
from dit4sr.runtime.image.geometry import Geometry
from dit4sr.runtime.machine.gpu import GpuDriver, gpu_driver
from dit4sr.runtime.machine.host import (
    available_memory,
    free_disk,
    processor_name,
    total_memory,
    usable_cores,
)
from dit4sr.runtime.machine.libraries import runtime_versions
from dit4sr.runtime.plan import Plan
from dit4sr.runtime.settings import Settings, TileSizes


@dataclass(frozen=True)
class MachineReport:
    """What is here, as far as this process may use it."""

    system: str
    processor: str
    cores: float
    instruction_sets: Sequence[str]
    memory_bytes: int | None
    available_bytes: int | None
    driver: GpuDriver
    free_bytes: Mapping[str, int | None]
    """By folder: the cache, and where pictures would go."""
    libraries: Mapping[str, str]
    backends: Sequence[BackendReport]

    @property
    def can_run(self) -> bool:
        """True if any backend runs here."""
        return any(backend.can_run for backend in self.backends)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "system": self.system,
            "processor": self.processor,
            "cores": self.cores,
            "instruction_sets": list(self.instruction_sets),
            "memory_bytes": self.memory_bytes,
            "available_bytes": self.available_bytes,
            "cuda_driver": self.driver.cuda,
            "gpus": [vars(gpu) for gpu in self.driver.gpus],
            "gpu_remark": self.driver.remark,
            "free_bytes": dict(self.free_bytes),
            "libraries": dict(self.libraries),
            "backends": [backend.to_json() for backend in self.backends],
        }


@dataclass(frozen=True)
class BundleReport:
    """What this machine would make of a bundle."""

    bundle: Bundle
    fits: Sequence[Compatibility]
    """Of every backend, best first."""
    backend: str
    """What would run it, as in ``onnxruntime/cpu``; an empty word where nothing can."""
    source: tuple[int, int]
    """Width and height of the picture that the estimate is of."""
    geometry: Geometry
    steps: int
    estimate: Estimate | None
    problem: Dit4srError | None
    """What stands in the way, with its exit code."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "path": str(self.bundle.path),
            "contents": inspection_json(self.bundle),
            "backend": self.backend,
            "passed_over": [
                {"backend": fit.backend, "obstacle": fit.obstacle, "remedy": fit.remedy}
                for fit in self.fits
                if not fit.fits
            ],
            "picture": {"from": list(self.source), "to": list(self.geometry.final), "steps": self.steps},
            "estimate": self.estimate.to_json() if self.estimate else None,
            "problem": str(self.problem) if self.problem else None,
        }


def check_machine(output: Path) -> MachineReport:
    """Look at the machine; ``output`` is a folder that pictures would go to."""
    driver = gpu_driver()
    folders = [folder for folder in (user_cache(""), output) if folder is not None]
    return MachineReport(
        system=f"{platform.system()} {platform.release()}, {platform.machine()}",
        processor=processor_name(),
        cores=usable_cores(),
        instruction_sets=instruction_sets(),
        memory_bytes=total_memory(),
        available_bytes=available_memory(),
        driver=driver,
        free_bytes={str(folder): free_disk(folder) for folder in folders},
        libraries=runtime_versions(),
        backends=backend_reports(driver),
    )


def check_bundle(
    bundle: Bundle, settings: Settings, *, threads: int = 0, verify: bool = False
) -> BundleReport:
    """Look at a bundle: whether it is whole, what would run it, and what a picture of one tile would take."""
    (verify_digests if verify else verify_sizes)(bundle)
    card = bundle.card
    known = settings.resolved(card)
    side = max(round(card.training_tile * card.vae_factor / settings.scale), 1)
    geometry = Geometry.of(
        (side, side),
        scale=settings.scale,
        tile=card.training_tile * card.vae_factor,
        factor=card.vae_factor,
        most_pixels=settings.most_pixels,
    )
    fits = [candidate.fit for candidate in candidates(bundle, AUTO, threads)]
    backend, estimate = "", None
    problem: Dit4srError | None = None
    try:
        chosen = choose(bundle, threads=threads).backend
        backend = f"{chosen.name}/{chosen.device}"
        plan = Plan.of(geometry, settings, card, TileSizes.of(settings, card))
        estimate = Estimator(bundle, chosen, threads=threads).of(plan, geometry)
        if chosen.device == "cpu":
            problem = lack_of_memory(estimate)
    except Dit4srError as error:
        problem = error
    assert known.steps is not None
    return BundleReport(bundle, fits, backend, (side, side), geometry, known.steps, estimate, problem)


def lack_of_memory(estimate: Estimate) -> IncompatibleError | None:
    """The error of a bundle that needs more memory than can be had."""
    available = available_memory()
    if available is None or estimate.memory_bytes <= available:
        return None
    return IncompatibleError(
        f"a picture takes {estimate.memory_bytes:,} bytes of memory",
        expected=f"no more than the {available:,} that are available",
        fix="use a smaller --tile, close other programs, or take a bundle of fewer bits with --low-memory",
    )


def exit_code(machine: MachineReport, bundle: BundleReport | None) -> int:
    """0 if something can run; 3 if no engine can, 4 if the bundle does not fit, or what its problem says."""
    if not machine.can_run:
        return MissingDependencyError.exit_code
    return bundle.problem.exit_code if bundle and bundle.problem else 0
