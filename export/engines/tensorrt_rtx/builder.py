"""From a bundle's graphs to plans for RTX cards: compile, count, describe."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from dit4sr.export import architectures
from dit4sr.export.engines.account.counting import account_of, require_fusion
from dit4sr.export.engines.account.graph_nodes import GraphNodes
from dit4sr.export.engines.account.layer import Layer
from dit4sr.export.engines.account.layer_list import Entry, write_layer_list
from dit4sr.export.engines.adding import Progress, add_engines
from dit4sr.export.engines.plans.compiler import Shapes
from dit4sr.export.engines.plans.config import NATIVE
from dit4sr.export.engines.plans.graph import PreparedGraph, prepared
from dit4sr.export.engines.plans.profiles import Profile, profiles_of
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.engines.tensorrt_rtx.preflight import preflight
from dit4sr.runtime.backends.failures import translated
from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.backends.tensorrt_rtx.machine import version
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, Manifest, PlanDetails, network_components, record_of
from dit4sr.runtime.bundles.plan_account import PlanAccount

if TYPE_CHECKING:
    from dit4sr.export.engines.tensorrt_rtx.library import RtxPlan

LAYERS = ".layers.json"
"""Ending of the list of layers that lies beside every plan."""


def add_to(bundle: Bundle, config: RtxConfig, *, progress: Progress = lambda _: None) -> Manifest:
    """Add plans to a bundle, whole or not at all. The checkpoint is not needed."""
    return add_engines(bundle, partial(build, config=config), progress=progress)


def build(bundle: Bundle, *, config: RtxConfig, folder: Path, progress: Progress) -> tuple[Engine, ...]:
    """Build the plans of a bundle into a folder; return what the manifest is to say of them."""
    profiles = {
        name: profiles_of(bundle.card, name, bundle.components, config)
        for name in config.components or bundle.components
        if name in bundle.components
    }
    preflight(bundle, config, {name: len(plans) for name, plans in profiles.items()}, folder)
    builder = _PlanBuilder(bundle, config, folder, progress)
    return tuple(builder.build(name, profile) for name, plans in profiles.items() for profile in plans)


class _PlanBuilder:
    """Builds plans of one bundle, one after the other."""

    def __init__(self, bundle: Bundle, config: RtxConfig, folder: Path, progress: Progress) -> None:
        self._bundle, self._config, self._folder, self._progress = bundle, config, folder, progress
        self._targets = config.targets(bundle.card.precision)
        self._layer_names = architectures.of_bundle(bundle.manifest).layers
        # These have groups of layers, and their attentions are written so that they can be fused.
        self._network = network_components(bundle.manifest)
        self._place = folder / "engines" / "-".join([NAME, *map(str, self._targets)])
        self._place.mkdir(parents=True, exist_ok=True)

    def build(self, name: str, profile: Profile) -> Engine:
        """Build one plan, count its layers, and return what the manifest says of it."""
        label = f"{name} {profile.name}".rstrip()
        component = self._bundle.components[name]
        file = self._bundle.component_file(name)
        ranges = profile.ranges(component.inputs)
        shapes = {spec.name: profile.shapes(spec) for spec in component.inputs} if ranges else {}
        graph = prepared(file, component.inputs, profile, NATIVE)
        built = self._compiled(label, graph, shapes)
        stem = self._place / "-".join(filter(None, [name, profile.name]))
        plan, layers = stem.with_name(f"{stem.name}.plan"), stem.with_name(f"{stem.name}{LAYERS}")
        plan.write_bytes(built.plan)
        counted, best = built.layers, profile.at_best()
        if ranges:
            # A plan for ranges leaves its sizes open, so that nothing could be counted.
            graph = prepared(file, component.inputs, best, NATIVE)
            counted = self._compiled(f"{label}, to count at its best sizes", graph, {}).layers
        write_layer_list(counted, layers)
        account = self._account(name, graph, counted, best)
        if name in self._network and not self._config.allow_unfused:
            require_fusion(label, account)
        return Engine(
            backend=NAME,
            component=name,
            files=(record_of(plan, self._folder), record_of(layers, self._folder)),
            precision=component.precision,
            gpu_architecture="+".join(f"sm_{target}" for target in self._targets),
            versions={"tensorrt_rtx": version()},
            plugins=(),
            inputs=profile.fixed(component.inputs),
            plan=PlanDetails(source=component.graph.sha256, ranges=ranges, account=account),
        )

    def _compiled(self, label: str, graph: PreparedGraph, shapes: Mapping[str, Shapes]) -> RtxPlan:
        from dit4sr.export.engines.tensorrt_rtx.library import compile_graph  # noqa: PLC0415 - loads it

        start = time.monotonic()

        def show(phase: str) -> None:
            self._progress(f"{label}: {phase.lower()}, {time.monotonic() - start:.0f} s")

        show("reading")
        try:
            return compile_graph(graph, self._targets, show, shapes)
        except RuntimeError as error:
            raise translated(error, label) from None

    def _account(self, name: str, graph: PreparedGraph, layers: list[Entry], profile: Profile) -> PlanAccount:
        from dit4sr.export.engines.tensorrt_rtx.library import name_and_version  # noqa: PLC0415

        layer_names = self._layer_names if name in self._network else None
        return account_of(
            [Layer.of(entry) for entry in layers],
            GraphNodes.of(onnx.load_from_string(graph.content), layer_names),
            compiler=name_and_version(),
            sizes={axis: span.best for axis, span in profile.sizes.items()},
            rest=layer_names.rest if layer_names else name,
        )
