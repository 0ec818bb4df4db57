"""The protocol over TensorRT: its plans may lack their weights, and are recorded by CUDA's own means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import tensorrt as trt

from dit4sr.runtime.backends.plans.library import DeviceExecution, DevicePlan, PlanLibrary


class Library(PlanLibrary):
    """TensorRT on a CUDA device."""

    def __init__(self, stream: int | None = None) -> None:
        super().__init__(trt, "TensorRT", stream)

    def load(self, plan: bytes | memoryview, *, weights: Path | None, runs_own_code: bool) -> RefittablePlan:
        """Read a plan, and refit it if it has no weights."""
        self.runtime.engine_host_code_allowed = runs_own_code
        engine = self.engine(plan)
        if weights is not None:
            self._refit(engine, weights)
        return RefittablePlan(self, engine)

    def _refit(self, engine: Any, graph: Path) -> None:
        refitter = trt.Refitter(engine, self.errors)
        parser = trt.OnnxParserRefitter(refitter, self.errors)
        if not parser.refit_from_file(str(graph)):
            reasons = [parser.get_error(i).desc() for i in range(parser.num_errors)]
            raise RuntimeError(f"the plan cannot take its weights from {graph}: {'; '.join(reasons)}")
        if missing := list(refitter.get_missing_weights()):
            raise RuntimeError(f"{graph} lacks {len(missing)} weights of the plan, as {missing[0]}")
        self.errors.require(refitter.refit_cuda_engine(), "the plan does not take its weights")


class RefittablePlan(DevicePlan):
    """A plan of TensorRT's."""

    def execution(self, profile: int) -> TensorRtExecution:
        """A context, for good at one profile."""
        return TensorRtExecution(self, self.engine.create_execution_context(), profile)


class TensorRtExecution(DeviceExecution):
    """A context of TensorRT's."""

    def record(self, addresses: Mapping[str, int]) -> Callable[[], None]:
        """Capture a run; launches of it use this context's memory."""
        for name, address in addresses.items():
            self.bind(name, address)
        return self._library.record(self.enqueue)
