"""Does a plan compute what its graph says? Both run on the same inputs, the plan as the runtime runs it.

The graph was compared with torch when it was exported, and may err as much as twice plain rounding. The plan
may be that far from the graph. One that is further is left for Polygraphy to look into.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from dit4sr.export.engines.comparison import Comparison
from dit4sr.export.engines.plans.config import NATIVE
from dit4sr.export.engines.plans.graph import prepared
from dit4sr.export.engines.plans.profiles import Profile
from dit4sr.export.engines.reproduction import COMMANDS, Graph, leave_reproduction
from dit4sr.export.verify import Arrays, graph_runner, seeded_inputs
from dit4sr.runtime.backends.plans.plan import plans_for
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Check, TensorSpec
from dit4sr.runtime.errors import AccuracyError

ROUNDS = 3
"""Runs before one is timed."""


@dataclass(frozen=True)
class GraphInputs:
    """The inputs of a graph, and how many words it knows."""

    inputs: tuple[TensorSpec, ...]
    vocabulary: int


def verified(bundle: Bundle, backend: TensorRt, profile: Profile, original: Bundle) -> tuple[Check, ...]:
    """Compare a bundle's only plan with its graph; a graph that was not checked allows no judgement.

    What is needed to look into a failure is left beside the original bundle.
    """
    comparison = compared(bundle, backend, profile)
    if comparison is None:
        return ()
    verdicts = comparison.verdicts()
    if all(verdicts):
        return tuple(verdict.check for verdict in verdicts)
    failed = next(verdict.check for verdict in verdicts if not verdict)
    raise AccuracyError(
        f"{failed.component}: {failed.output} of the plan is off by {failed.error:.1e}",
        expected=f"at most {failed.allowed:.1e}, what its graph was allowed against torch",
        fix=_ways_on(comparison, bundle, profile, original),
    )


def compared(bundle: Bundle, backend: TensorRt, profile: Profile) -> Comparison | None:
    """The graph and the plan of a bundle's only engine, run on the same inputs."""
    [engine] = bundle.engines
    allowed = {
        check.output: check.allowed
        for check in bundle.manifest.verification
        if check.component == engine.component
    }
    if not allowed:
        return None
    outputs = [spec.name for spec in bundle.components[engine.component].outputs]
    feeds = sample_inputs(bundle, engine.component, profile)
    golden = graph_runner(bundle.component_file(engine.component))(feeds)
    context = backend.open(bundle, engine.component).context()
    answers = context.run({name: backend.upload(values) for name, values in feeds.items()})
    return Comparison(
        engine.component,
        inputs=feeds,
        golden=dict(zip(outputs, golden, strict=True)),
        found={name: backend.download(answers[name]) for name in outputs},
        allowed=allowed,
    )


def _ways_on(comparison: Comparison, bundle: Bundle, profile: Profile, original: Bundle) -> str:
    """Advice for a plan that strays, and the place where it was left."""
    fix = "build with another --attention or --inject, or export with --precision bf16 or fp32"
    [engine] = bundle.engines
    component = original.components[engine.component]
    path, *data = (original.path / record.path for record in component.files)
    standard = prepared(path, component.inputs, profile.at_best(), NATIVE)
    try:
        folder = leave_reproduction(
            comparison,
            Graph(path.name, standard.content, data),
            engine=bundle.path / engine.files[0].path,
            beside=original.path.resolve(),
        )
    except OSError:
        return fix
    return f"{fix}; {folder / COMMANDS} says how to look into it"


def layer_times(bundle: Bundle, backend: TensorRt, profile: Profile) -> dict[str, float]:
    """Milliseconds of each layer of a bundle's only plan, once it is warm."""
    [engine] = bundle.engines
    [plan] = plans_for(backend.kind, bundle, engine.component, engine.gpu_architecture)
    with bundle.opened(plan.file) as file:
        loaded = backend.loaded(bundle, plan, file)
    execution = loaded.execution(0)
    feeds = sample_inputs(bundle, engine.component, profile)
    arrays = {name: backend.upload(values) for name, values in feeds.items()}
    for name, array in arrays.items():
        if not plan.is_static:
            execution.set_shape(name, array.shape)
        execution.bind(name, array.address)
    for binding in loaded.bindings:
        if not binding.is_input:
            arrays[binding.name] = backend.empty(execution.shape(binding.name))
            execution.bind(binding.name, arrays[binding.name].address)
    for _ in range(ROUNDS):
        execution.enqueue(backend.driver.stream)
    return execution.time_layers(backend.driver.stream)


def sample_inputs(bundle: Bundle, component: str, profile: Profile) -> Arrays:
    """Seeded inputs of the sizes that the profile is best at."""
    inputs = bundle.components[component].inputs
    sizes = {axis: span.best for axis, span in profile.sizes.items()}
    graph = bundle.path / bundle.components[component].graph.path
    wanted = GraphInputs(inputs, vocabulary_of(graph, inputs))
    return seeded_inputs(wanted, {"steps": 1, "branches": 1, **sizes})


def vocabulary_of(graph: Path, inputs: tuple[TensorSpec, ...]) -> int:
    """Rows of the table that whole numbers are looked up in; 0 if there are none."""
    numbers = {spec.name for spec in inputs if spec.dtype == "int64"}
    if not numbers:
        return 0
    model = onnx.load(graph, load_external_data=False)
    tables = {tensor.name: tensor.dims[0] for tensor in model.graph.initializer if tensor.dims}
    return min(
        (
            tables[node.input[0]]
            for node in model.graph.node
            if node.op_type == "Gather" and node.input[1] in numbers and node.input[0] in tables
        ),
        default=1,
    )
