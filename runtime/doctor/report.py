"""A checkup as people read it."""

from __future__ import annotations

from collections.abc import Iterator

from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.doctor.checkup import BundleReport, MachineReport
from dit4sr.runtime.doctor.inspection import format_contents


def format_machine(machine: MachineReport) -> str:
    """What is here, and which backends it can run."""
    return "\n".join([*_facts(machine), "", *_backends(machine)])


def format_bundle(report: BundleReport) -> str:
    """What is in a bundle, what would run it here, and what a picture would take."""
    return "\n".join([format_contents(report.bundle), "", *_choice(report), *_estimate(report)])


def _facts(machine: MachineReport) -> Iterator[str]:
    available, whole = (_amount(count) for count in (machine.available_bytes, machine.memory_bytes))
    yield f"system     {machine.system}"
    yield f"processor  {machine.processor}, {machine.cores:g} cores to use"
    yield f"           {' '.join(machine.instruction_sets)}"
    yield f"memory     {available} available of {whole}"
    if machine.driver.remark:
        yield f"GPU        none: {machine.driver.remark}"
    for gpu in machine.driver.gpus:
        driver = f"the driver speaks CUDA {machine.driver.cuda}"
        yield f"GPU        {gpu.name}, {gpu.architecture}, {format_bytes(gpu.memory_bytes)}; {driver}"
    for folder, free in machine.free_bytes.items():
        yield f"disk       {_amount(free)} free for {folder}"
    libraries = ", ".join(f"{name} {version}" for name, version in machine.libraries.items())
    yield f"libraries  {libraries}"


def _backends(machine: MachineReport) -> Iterator[str]:
    for backend in machine.backends:
        if backend.can_run:
            yield f"{backend.name}: runs {backend.runs}"
            continue
        yield f"{backend.name}: cannot run here"
        for obstacle in backend.obstacles:
            yield f"  {obstacle.what}: {obstacle.remedy}"


def _choice(report: BundleReport) -> Iterator[str]:
    if report.backend:
        yield f"{report.backend} would run it"
    for fit in report.fits:
        if not fit.fits:
            yield f"  {fit.backend} would not: {fit.obstacle}; {fit.remedy}"


def _estimate(report: BundleReport) -> Iterator[str]:
    estimate = report.estimate
    if estimate is not None:
        sizes = ["{}×{}".format(*size) for size in (report.source, report.geometry.final)]
        yield ""
        yield f"a picture of {sizes[0]}, restored to {sizes[1]} in {report.steps} steps, would take"
        yield f"  memory  {format_bytes(estimate.memory_bytes)}"
        yield f"  disk    {format_bytes(estimate.output_bytes)} at most, beside the bundle"
        if estimate.seconds is not None:
            stages = ", ".join(f"{name} {seconds:.2g}" for name, seconds in estimate.seconds.items())
            yield f"  time    {estimate.total_seconds:.2g} s, {estimate.basis}: {stages}"
        yield from (f"  ({factor})" for factor in estimate.factors)
    if report.problem is not None:
        yield f"it does not fit: {report.problem}"


def _amount(count: int | None) -> str:
    return "an unknown amount" if count is None else format_bytes(count)
