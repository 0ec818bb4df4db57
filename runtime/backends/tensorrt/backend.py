"""The backend: plans that TensorRT runs, with the weights of their graphs if they have none of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dit4sr.runtime.backends.plans.backend import PlanBackend, read_plan
from dit4sr.runtime.backends.plans.driver import Driver, LoadedPlan
from dit4sr.runtime.backends.plans.plan import Plan
from dit4sr.runtime.backends.tensorrt import NAME
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.checked_files import CheckedFile


class TensorRtPlan(Plan):
    """One plan of a component."""

    backend = NAME
    file_count = 1


class TensorRtDriver(Driver, Protocol):
    """A device, and the library that reads plans onto it."""

    def load(self, plan: bytes | memoryview, *, weights: Path | None, runs_own_code: bool) -> LoadedPlan:
        """Read a plan: its weights from a graph, if it has none; its own runtime in it, if it is trusted."""
        ...


class TensorRt(PlanBackend):
    """TensorRT on the first visible CUDA device."""

    name = NAME
    kind = TensorRtPlan

    def __init__(self, driver: TensorRtDriver | None = None, *, stream: int | None = None) -> None:
        """``stream`` is the caller's, as a number; it must outlive the backend and its arrays."""
        if driver is None:
            from dit4sr.runtime.backends.tensorrt.library import Library  # noqa: PLC0415 - loads TensorRT

            driver = Library(stream)
        super().__init__(driver)
        self._library = driver

    def loaded(self, bundle: Bundle, plan: Plan, file: CheckedFile) -> LoadedPlan:
        """A plan from its open file, with the weights of its component's graph if it has none."""
        runs_own_code = plan.details.is_version_compatible

        def load(content: bytes | memoryview) -> LoadedPlan:
            if not plan.details.is_stripped:
                return self._library.load(content, weights=None, runs_own_code=runs_own_code)
            with bundle.opened_component(plan.record.component) as component:
                return self._library.load(content, weights=component.graph.path, runs_own_code=runs_own_code)

        return read_plan(file, load, runs_own_code=runs_own_code)
