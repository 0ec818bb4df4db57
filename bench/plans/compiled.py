"""The layers that NVIDIA's compiler makes of a bundle's graphs: those of its plans, or compiled for once."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
import onnx_ir as ir

from dit4sr.bench.baselines.graphs import StepGraph
from dit4sr.bench.baselines.reference import reference_of
from dit4sr.bench.graph.cost import read_graph
from dit4sr.calibrate.graph.untried import quantise_untried
from dit4sr.calibrate.scales.formats import FORMATS
from dit4sr.export import architectures
from dit4sr.export.engines.account.counting import account_of
from dit4sr.export.engines.account.graph_nodes import GraphNodes
from dit4sr.export.engines.account.layer import Layer
from dit4sr.export.engines.account.layer_list import read_layer_list
from dit4sr.export.engines.plans.config import NATIVE
from dit4sr.export.engines.plans.graph import prepared
from dit4sr.export.engines.plans.profiles import Profile, profiles_of
from dit4sr.export.engines.tensorrt_rtx.config import RtxConfig
from dit4sr.export.engines.tensorrt_rtx.preflight import check
from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Engine, TensorSpec
from dit4sr.runtime.bundles.plan_account import PlanAccount

Progress = Callable[[str], None]
PLAIN = "plain export of the step"
"""The released network as torch exports it, AdaLN inside and without our operators."""


@dataclass(frozen=True)
class CompiledPlan:
    """A graph's layers at fixed sizes, and their sums."""

    name: str
    component: str
    account: PlanAccount
    layers: tuple[Layer, ...]


def compiled_plans(bundle: Bundle, progress: Progress) -> list[CompiledPlan]:
    """One for every component: of the bundle's own plans where it has them, guided steps first."""
    plans = [_of_engine(bundle, engine) for engine in _engines(bundle)]
    missing = [name for name in bundle.components if name not in {plan.component for plan in plans}]
    compiler = _Compiler(bundle, progress)
    return [*plans, *(compiler.component(name) for name in missing)]


def plain_plan(bundle: Bundle, progress: Progress) -> CompiledPlan:
    """The released network's step through the same compiler, at the sizes of the bundle's guided step."""
    return _Compiler(bundle, progress).plain_step()


def _engines(bundle: Bundle) -> list[Engine]:
    """The first plan of each component that has an account: it is the one that the others vary."""
    first: dict[str, Engine] = {}
    for engine in bundle.manifest.engines:
        if engine.backend == NAME and engine.plan and engine.plan.account:
            first.setdefault(engine.component, engine)
    return list(first.values())


def _of_engine(bundle: Bundle, engine: Engine) -> CompiledPlan:
    assert engine.plan is not None
    assert engine.plan.account is not None
    plan, layer_list = engine.files
    entries = read_layer_list(bundle.content(layer_list), layer_list.path)
    name = Path(plan.path).stem
    return CompiledPlan(name, engine.component, engine.plan.account, tuple(map(Layer.of, entries)))


class _Compiler:
    """Compiles graphs of one bundle at their best sizes, and keeps nothing but their layers."""

    def __init__(self, bundle: Bundle, progress: Progress) -> None:
        self._bundle, self._progress = bundle, progress
        config = RtxConfig()
        check(bundle.card.precision, config)
        self._targets = config.targets(bundle.card.precision)
        self._names = architectures.of_bundle(bundle.manifest).layers

    def component(self, name: str) -> CompiledPlan:
        """Compile a component."""
        bundle = self._bundle
        [profile, *_] = profiles_of(bundle.card, name, bundle.components, RtxConfig())
        label = "-".join(filter(None, [name, profile.name]))
        return self._compiled(
            label, name, bundle.component_file(name), bundle.components[name].inputs, profile
        )

    def plain_step(self) -> CompiledPlan:
        """Compile the step of the published formulation."""
        bundle = self._bundle
        source = reference_of(bundle).plain_step()
        with tempfile.TemporaryDirectory() as folder:
            self._progress(f"{PLAIN}: exporting")
            graph = StepGraph.write(source, bundle.card, Path(folder))
            file = self._at_precision(graph.file)
            sizes = {
                axis: span
                for name in bundle.components
                for each in profiles_of(bundle.card, name, bundle.components, RtxConfig())[:1]
                for axis, span in each.sizes.items()
            }
            axes = {axis for spec in graph.inputs for axis in spec.shape if isinstance(axis, str)}
            profile = Profile("", {axis: sizes[axis] for axis in sorted(axes)})
            return self._compiled(PLAIN, "step", file, graph.inputs, profile)

    def _at_precision(self, file: Path) -> Path:
        """A graph in halves, or beside it the same in the bundle's eight bits, as far as it has products."""
        format_ = FORMATS.get(self._bundle.card.precision)
        if format_ is None:
            return file
        self._progress(f"{PLAIN}: in {format_.name}, scales stand in")
        model = read_graph(file)
        quantise_untried(model, self._names, format_)
        narrow = file.with_name(f"{format_.name}.onnx")
        ir.save(model, narrow, external_data=f"{narrow.name}.data")
        return narrow

    def _compiled(
        self, label: str, component: str, file: Path, inputs: Sequence[TensorSpec], profile: Profile
    ) -> CompiledPlan:
        from dit4sr.export.engines.tensorrt_rtx.library import compile_graph, name_and_version  # noqa: PLC0415

        self._progress(f"{label}: compiling")
        best = profile.at_best()
        graph = prepared(file, inputs, best, NATIVE)
        layers = tuple(map(Layer.of, compile_graph(graph, self._targets, lambda _: None).layers))
        account = account_of(
            layers,
            GraphNodes.of(onnx.load_from_string(graph.content), self._names),
            compiler=name_and_version(),
            sizes={axis: span.best for axis, span in best.sizes.items()},
            rest=self._names.rest,
        )
        return CompiledPlan(label, component, account, layers)
