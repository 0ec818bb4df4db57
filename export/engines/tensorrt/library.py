"""The builder's protocol over the real library. Import it only where there is a driver: see `preflight`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

import tensorrt as trt

from dit4sr.export.engines.plans.compiler import BuildRequest, BuiltPlan
from dit4sr.export.engines.plans.network import built, monitor_class, parse
from dit4sr.runtime.backends.plans.library import logger_class

PLUGINS = {
    "JointAttention": "dit4sr.kernels.joint_attention.plugin",
    "DepthwiseInject": "dit4sr.kernels.depthwise_inject.plugin",
}
"""Modules whose import registers kernels, by the beginning of the operators' names."""

ErrorLogger, ProgressMonitor = logger_class(trt), monitor_class(trt)


class TensorRtCompiler:
    """TensorRT's builder, parser and inspector."""

    def __init__(self) -> None:
        self._errors = ErrorLogger()
        self._builder = trt.Builder(self._errors)

    def compile(self, request: BuildRequest, progress: Callable[[str], None]) -> BuiltPlan:
        """Parse, configure, build, inspect."""
        register(request.graph.plugins)
        config, monitor = self._configured(request), ProgressMonitor(progress)
        config.progress_monitor = monitor

        def build() -> Any:
            network = self._builder.create_network(_network_flags())
            parser = trt.OnnxParser(network, self._errors)
            parse(parser, request.graph, "TensorRT")
            return self._builder.build_serialized_network(network, config)

        plan = built(build, monitor)
        if plan is None:
            raise self._errors.error("TensorRT builds no plan")
        cache = bytes(config.get_timing_cache().serialize())
        return BuiltPlan(plan, self._layers(plan, request), cache)

    def _configured(self, request: BuildRequest) -> Any:
        config = self._builder.create_builder_config()
        config.builder_optimization_level = request.level
        config.max_aux_streams = 0  # a recording should be one line of launches
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.clear_flag(trt.BuilderFlag.TF32)  # FP32 in the graph was meant
        if request.workspace is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, request.workspace)
        if request.version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if request.weight_stripped:
            config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        for _ in range(request.profiles if request.shapes else 0):
            profile = self._builder.create_optimization_profile()
            for name, (least, best, most) in request.shapes.items():
                profile.set_shape(name, least, best, most)
            config.add_optimization_profile(profile)
        cache = config.create_timing_cache(request.timing_cache)
        if not config.set_timing_cache(cache, False):
            # Of another machine or version: begin a new one.
            config.set_timing_cache(config.create_timing_cache(b""), False)
        return config

    def _layers(self, plan: Any, request: BuildRequest) -> list[dict[str, Any]]:
        runtime = trt.Runtime(self._errors)
        runtime.engine_host_code_allowed = request.version_compatible
        engine = runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise self._errors.error("TensorRT rejects the plan it has built")
        inspector = engine.create_engine_inspector()
        text = inspector.get_engine_information(trt.LayerInformationFormat.JSON)
        layers = json.loads(text).get("Layers", [])
        # Without details a layer is only a name.
        return [layer if isinstance(layer, dict) else {"Name": layer} for layer in layers]


def register(plugins: tuple[str, ...]) -> None:
    """Make kernels known, which the parser needs beforehand."""
    for prefix, module in PLUGINS.items():
        if any(f"::{prefix}" in plugin for plugin in plugins):
            importlib.import_module(module)


def _network_flags() -> int:
    """Kernels compiled ahead of time; up to 10 strong typing had to be asked for."""
    flags = trt.NetworkDefinitionCreationFlag
    chosen = 1 << int(flags.PREFER_AOT_PYTHON_PLUGINS)
    if trt.__version__.startswith("10."):
        chosen |= 1 << int(flags.STRONGLY_TYPED)
    return chosen
