"""What the library itself says of a plan: from its first bytes, before it is loaded."""

from __future__ import annotations

from dataclasses import dataclass

from dit4sr.runtime.backends.plans.compatibility import built_by, built_for
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt_rtx.compatibility import REBUILD, remedy_for, remedy_for_version
from dit4sr.runtime.bundles.manifest import Engine
from dit4sr.runtime.errors import (
    Dit4srError,
    IncompatibleError,
    MissingDependencyError,
    OutOfMemoryError,
)


@dataclass(frozen=True)
class Validity:
    """The library's answer, in its own words."""

    verdict: str
    """``VALID``, ``SUBOPTIMAL`` or ``INVALID``."""
    diagnostics: tuple[str, ...] = ()
    """Names of what it found, as ``VERSION_MISMATCH``."""
    remark: str = ""
    """The last error it has logged."""


@dataclass(frozen=True)
class Objection:
    """One of the library's diagnostics: what it means, and what removes it."""

    what: str
    fix: str
    failure: type[Dit4srError] = IncompatibleError


def refusal(validity: Validity, name: str, engine: Engine, machine: Machine) -> Dit4srError | None:
    """The error of a plan that the library says is not valid here; None for one that is."""
    if validity.verdict != "INVALID":
        return None
    known = _objections(engine, machine)
    found = [known[each] for each in known if each in validity.diagnostics] or [_UNKNOWN]
    reasons = " and ".join(objection.what for objection in found)
    remark = f" ({validity.remark})" if validity.remark else ""
    return found[0].failure(
        f"{name} is built for {built_for(engine, machine)}; {machine.library} says that {reasons}{remark}",
        expected=f"a plan for {machine.words}",
        fix=found[0].fix,
    )


def _objections(engine: Engine, machine: Machine) -> dict[str, Objection]:
    """By the library's names for them; of several the first has the remedy."""
    return {
        "MALFORMED_ENGINE": Objection("it is no plan that this version can read", REBUILD),
        "VERSION_MISMATCH": Objection(
            "another version of it built the plan", remedy_for_version(built_by(engine))
        ),
        "UNSUPPORTED_CC": Objection("the plan is not for this GPU", remedy_for(machine)),
        "OLD_CUDA_DRIVER": Objection("the driver is too old", "update the driver"),
        "OLD_CUDA_RUNTIME": Objection("the CUDA runtime is too old", "pip install -U tensorrt-rtx"),
        "INSUFFICIENT_GPU_MEMORY": Objection(
            "the GPU has too little memory", "use --low-memory, or close what else uses it", OutOfMemoryError
        ),
        "CUDA_ERROR": Objection(
            "CUDA does not work", "check the driver with nvidia-smi", MissingDependencyError
        ),
    }


_UNKNOWN = Objection("it cannot be run", "check the driver with nvidia-smi, or use backend onnxruntime")
