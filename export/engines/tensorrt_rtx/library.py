"""The compiler itself. Its list of layers comes out of its log: only a driver lets one look into a plan."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dit4sr.export.engines.account.layer_list import Entry, is_layer_list, parse_layer_list
from dit4sr.export.engines.plans.compiler import Shapes
from dit4sr.export.engines.plans.graph import PreparedGraph
from dit4sr.export.engines.plans.network import built, monitor_class, parse
from dit4sr.runtime.backends.tensorrt_rtx.machine import LIBRARY, module, version

trt = module()
ProgressMonitor = monitor_class(trt)


@dataclass(frozen=True)
class RtxPlan:
    """A plan, and the layers that it is made of."""

    plan: Any
    """Its bytes, in the library's memory."""
    layers: list[Entry]


class BuildLog(trt.ILogger):  # type: ignore[misc, name-defined]
    """Keeps what matters of a build's tens of thousands of lines: the last error, and the list of layers."""

    def __init__(self) -> None:
        trt.ILogger.__init__(self)
        self.error, self.layer_list = "", ""

    def log(self, severity: Any, msg: str) -> None:
        """Called by the library, from any thread."""
        if severity in {trt.ILogger.Severity.ERROR, trt.ILogger.Severity.INTERNAL_ERROR}:
            self.error = msg
        elif is_layer_list(msg):
            self.layer_list = msg


def name_and_version() -> str:
    """The compiler, as an account names it."""
    return f"{LIBRARY} {version()}"


def compile_graph(
    graph: PreparedGraph,
    targets: Sequence[int],
    progress: Callable[[str], None],
    shapes: Mapping[str, Shapes] | None = None,
) -> RtxPlan:
    """Compile a graph for some compute capabilities.

    ``shapes`` are the least, best and largest of every input, where its sizes are free.
    """
    log, monitor = BuildLog(), ProgressMonitor(progress)

    def build() -> Any:
        builder = trt.Builder(log)
        network = builder.create_network(0)
        parser = trt.OnnxParser(network, log)
        parse(parser, graph, LIBRARY)
        config = _configured(builder, targets, shapes or {})
        config.progress_monitor = monitor
        return builder.build_serialized_network(network, config)

    plan = built(build, monitor)
    if plan is None:
        raise RuntimeError(f"{LIBRARY} builds no plan: {log.error}")
    if not log.layer_list:
        raise RuntimeError(f"{LIBRARY} {version()} lists no layers, so that nothing can be counted")
    return RtxPlan(plan, parse_layer_list(log.layer_list))


def _configured(builder: Any, targets: Sequence[int], shapes: Mapping[str, Shapes]) -> Any:
    config = builder.create_builder_config()
    config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
    config.num_compute_capabilities = len(targets)
    for index, target in enumerate(targets):
        config.set_compute_capability(getattr(trt.ComputeCapability, f"SM{target}"), index)
    if shapes:
        profile = builder.create_optimization_profile()
        for name, (least, best, most) in shapes.items():
            profile.set_shape(name, least, best, most)
        config.add_optimization_profile(profile)
    return config
