"""The backend: plans that TensorRT for RTX says are valid on this card, and the kernels it makes of them."""

from __future__ import annotations

import warnings
from typing import Protocol

from dit4sr.runtime.backends.plans.backend import PlanBackend, read_plan
from dit4sr.runtime.backends.plans.driver import Driver, LoadedPlan
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.plans.plan import Plan
from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.backends.tensorrt_rtx.runtime_cache import RuntimeCache
from dit4sr.runtime.backends.tensorrt_rtx.validity import Validity, refusal
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.checked_files import CheckedFile


class RtxPlan(Plan):
    """One plan of a component, and the list of its layers."""

    backend = NAME
    file_count = 2


class RtxDriver(Driver, Protocol):
    """A device, and the library that reads plans onto it."""

    @property
    def machine(self) -> Machine:
        """The library and the device."""
        ...

    @property
    def header_size(self) -> int:
        """Bytes of a plan that tell whether it is valid here."""
        ...

    def validity(self, header: bytes) -> Validity:
        """What the library says of a plan that begins with these bytes."""
        ...

    def load(self, plan: bytes | memoryview, cache: RuntimeCache) -> LoadedPlan:
        """Read a plan, and the kernels that were compiled for it before."""
        ...


class TensorRtx(PlanBackend):
    """TensorRT for RTX on the first visible CUDA device."""

    name = NAME
    kind = RtxPlan

    def __init__(self, driver: RtxDriver | None = None, *, stream: int | None = None) -> None:
        """``stream`` is the caller's, as a number; it must outlive the backend and its arrays."""
        if driver is None:
            from dit4sr.runtime.backends.tensorrt_rtx.library import Library  # noqa: PLC0415 - loads it

            driver = Library(stream)
        super().__init__(driver)
        self._library = driver

    def examine(self, plan: Plan, file: CheckedFile) -> None:
        """Refuse a plan that the library says is not valid here; say of one that is slow that it is."""
        super().examine(plan, file)
        library = self._library
        validity = library.validity(bytes(file.mapped()[: library.header_size]))
        if (error := refusal(validity, str(file.path), plan.record, library.machine)) is not None:
            raise error
        if validity.verdict == "SUBOPTIMAL":
            warnings.warn(f"{file.path}: {library.machine.library} says it may be slow here", stacklevel=2)

    def loaded(self, bundle: Bundle, plan: Plan, file: CheckedFile) -> LoadedPlan:  # noqa: ARG002
        """A plan from its open file, with the kernels that earlier processes have left for it."""
        cache = RuntimeCache.of(plan.file, self._library.machine)
        return read_plan(file, lambda content: self._library.load(content, cache))
