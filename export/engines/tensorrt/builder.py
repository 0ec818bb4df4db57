"""From a bundle's graphs to plans: prepare, build, inspect, verify, describe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dit4sr.export.engines.adding import Progress, add_engines
from dit4sr.export.engines.plans.compiler import BuildRequest, BuiltPlan, Compiler, Shapes
from dit4sr.export.engines.plans.graph import PreparedGraph, prepared
from dit4sr.export.engines.plans.profiles import Profile, profiles_of
from dit4sr.export.engines.plans.resources import check_disk
from dit4sr.export.engines.tensorrt.config import TensorRtConfig
from dit4sr.export.engines.tensorrt.preflight import preflight
from dit4sr.export.engines.tensorrt.report import report_of, require_fusion
from dit4sr.export.engines.tensorrt.timing_cache import TimingCache
from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt import NAME
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.backends.tensorrt.machine import this_machine
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, Manifest, PlanDetails, record_of
from dit4sr.runtime.errors import BadInputError


@dataclass(frozen=True)
class Tools:
    """The library that builds, the backend that runs, and the machine they are on."""

    machine: Machine
    compiler: Callable[[], Compiler]
    backend: Callable[[], TensorRt]


def tools_here() -> Tools:
    """The real libraries, which are touched only after the preflight."""

    def compiler() -> Compiler:
        from dit4sr.export.engines.tensorrt.library import TensorRtCompiler  # noqa: PLC0415 - loads TensorRT

        return TensorRtCompiler()

    return Tools(this_machine(), compiler, TensorRt)


def add_to(
    bundle: Bundle,
    config: TensorRtConfig,
    *,
    progress: Progress = lambda _: None,
    tools: Tools | None = None,
) -> Manifest:
    """Add plans to a bundle, whole or not at all. The checkpoint is not needed."""
    return add_engines(bundle, partial(build, config=config, tools=tools), progress=progress)


def build(
    bundle: Bundle, *, config: TensorRtConfig, folder: Path, progress: Progress, tools: Tools | None = None
) -> tuple[Engine, ...]:
    """Build the plans of a bundle into a folder; return what the manifest is to say of them."""
    tools = tools or tools_here()
    preflight(bundle, config, tools.machine)
    profiles = {
        name: profiles_of(bundle.card, name, bundle.components, config)
        for name in config.components or bundle.components
    }
    if not config.weight_stripped:
        plans = {name: len(found) for name, found in profiles.items()}
        check_disk(bundle, plans, folder, fix="free some, or build with --weight-stripped")
    builder = _PlanBuilder(bundle, config, folder, tools, progress)
    return tuple(builder.build(name, plans) for name, plans in _pairs(profiles))


def _pairs(profiles: dict[str, list[Profile]]) -> list[tuple[str, Profile]]:
    return [(name, profile) for name, plans in profiles.items() for profile in plans]


class _PlanBuilder:
    """Builds plans of one bundle, one after the other."""

    def __init__(
        self, bundle: Bundle, config: TensorRtConfig, folder: Path, tools: Tools, progress: Progress
    ) -> None:
        self._bundle, self._config, self._folder, self._progress = bundle, config, folder, progress
        self._machine, self._compiler, self._backend = tools.machine, tools.compiler(), tools.backend()
        self._place = folder / "engines" / f"{NAME}-{tools.machine.architecture.replace('_', '')}"
        self._place.mkdir(parents=True, exist_ok=True)
        self._cache = TimingCache.of(config.timing_cache, tools.machine)

    def build(self, name: str, profile: Profile) -> Engine:
        """Build one plan, examine it, and return what the manifest says of it."""
        label = f"{name} {profile.name}".rstrip()
        component = self._bundle.components[name]
        graph = prepared(
            self._bundle.component_file(name),
            component.inputs,
            profile,
            self._config.forms,
            weights_come_later=self._config.weight_stripped,
        )
        ranges = profile.ranges(component.inputs)
        if graph.plugins and ranges:
            raise BadInputError(
                f"{label} has kernels of ours, which leak memory in TensorRT whenever a size changes",
                fix="build it for fixed sizes, or with its operators as native",
            )
        self._progress(f"{label}: building for {self._machine.architecture}")
        shapes = {spec.name: profile.shapes(spec) for spec in component.inputs}
        built = self._built(label, graph, shapes if ranges else {})
        path = self._place / ("-".join(filter(None, [name, profile.name])) + ".plan")
        path.write_bytes(built.plan)
        self._cache.write(built.timing_cache)
        record = Engine(
            backend=NAME,
            component=name,
            files=(record_of(path, self._folder),),
            precision=component.precision,
            gpu_architecture=self._machine.architecture,
            versions=self._versions(),
            plugins=graph.plugins,
            inputs=profile.fixed(component.inputs),
            plan=PlanDetails(
                source=component.graph.sha256,
                ranges=ranges,
                is_stripped=self._config.weight_stripped,
                is_version_compatible=self._config.version_compatible,
            ),
        )
        return self._examined(label, record, profile, built, graph.attentions)

    def _built(self, label: str, graph: PreparedGraph, shapes: Mapping[str, Shapes]) -> BuiltPlan:
        config = self._config
        request = BuildRequest(
            graph=graph,
            shapes=shapes,
            profiles=config.concurrency,
            level=config.level,
            workspace=config.workspace,
            version_compatible=config.version_compatible,
            weight_stripped=config.weight_stripped,
            timing_cache=self._cache.read(),
        )
        try:
            return self._compiler.compile(request, lambda phase: self._progress(f"{label}: {phase}"))
        except RuntimeError as error:
            raise translated(error, label) from None

    def _examined(
        self, label: str, record: Engine, profile: Profile, built: BuiltPlan, attentions: int
    ) -> Engine:
        """The record with what was found: counts, errors, times."""
        from dit4sr.export.engines.tensorrt.verify import layer_times, verified  # noqa: PLC0415 - loads torch

        report = report_of(built.layers, attentions)
        if not self._config.allow_unfused:
            require_fusion(label, report)
        # A bundle of this one plan: the runtime then runs it as it will.
        manifest = replace(self._bundle.manifest, engines=(record,))
        alone = Bundle(self._folder, manifest, trusts_engines=True)
        if self._config.time_layers:
            self._progress(f"{label}: timing its layers")
            report = report_of(built.layers, attentions, layer_times(alone, self._backend, profile))
        checks = record.verification
        if self._config.verify:
            self._progress(f"{label}: verifying against its graph")
            checks = verified(alone, self._backend, profile, self._bundle)
        assert record.plan is not None
        return replace(record, verification=checks, plan=replace(record.plan, report=report))

    def _versions(self) -> dict[str, str]:
        """Versions that the runtime compares with those of the machine it finds itself on."""
        machine = self._machine
        return {
            "tensorrt": machine.version,
            # Libraries of one major version of CUDA run on every driver of it.
            "cuda": f"{machine.driver.split('.')[0]}.0",
            "driver": machine.driver,
            "platform": machine.platform,
            "device": machine.device,
        }
