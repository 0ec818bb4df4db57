"""Does a plan compute what its graph says? Both on the same inputs: the plan as the runtime runs it.

The graph was compared with torch when it was exported, and may err as much as twice plain rounding. The plan
may be that far from the graph.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import onnx

from dit4sr.export.engines.tensorrt.profiles import Profile
from dit4sr.export.verify import Arrays, graph_runner, relative_error, seeded_inputs
from dit4sr.runtime.backends.tensorrt.backend import TensorRt
from dit4sr.runtime.backends.tensorrt.plans import plans_for
from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.errors import AccuracyError
from dit4sr.runtime.manifest import Check, TensorSpec

ROUNDS = 3
"""Runs before one is timed."""


@dataclass(frozen=True)
class Questioned:
    """What is asked of: inputs, and how many words it knows."""

    inputs: tuple[TensorSpec, ...]
    vocabulary: int


def verified(bundle: Bundle, backend: TensorRt, profile: Profile) -> tuple[Check, ...]:
    """Compare a bundle's only plan with its graph; a graph that was not checked allows no judgement."""
    [engine] = bundle.engines
    allowed = {
        check.output: check.allowed
        for check in bundle.manifest.verification
        if check.component == engine.component
    }
    if not allowed:
        return ()
    feeds = questions(bundle, engine.component, profile)
    truths = graph_runner(bundle.component_file(engine.component))(feeds)
    context = backend.open(bundle, engine.component).context()
    answers = context.run({name: backend.upload(values) for name, values in feeds.items()})
    checks = []
    for spec, truth in zip(bundle.components[engine.component].outputs, truths, strict=True):
        found = backend.download(answers[spec.name])
        check = Check(engine.component, spec.name, relative_error(found, truth), allowed[spec.name])
        # Written so that an answer that is no number fails.
        if not check.error <= check.allowed:
            raise AccuracyError(
                f"{engine.component}: {spec.name} of the plan is off by {check.error:.1e}",
                expected=f"at most {check.allowed:.1e}, what its graph was allowed against torch",
                fix="build with another --attention or --inject, or export with --precision bf16 or fp32",
            )
        checks.append(check)
    return tuple(checks)


def layer_times(bundle: Bundle, backend: TensorRt, profile: Profile) -> dict[str, float]:
    """Milliseconds of each layer of a bundle's only plan, once it is warm."""
    [engine] = bundle.engines
    [plan] = plans_for(bundle, engine.component, engine.gpu_architecture)
    path = bundle.checked(engine.files)[0]
    weights = bundle.component_file(engine.component) if plan.details.is_stripped else None
    loaded = backend.driver.load(path, weights=weights, runs_own_code=plan.details.is_version_compatible)
    execution = loaded.execution(0)
    feeds = questions(bundle, engine.component, profile)
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


def questions(bundle: Bundle, component: str, profile: Profile) -> Arrays:
    """Seeded inputs of the sizes that the profile is best at."""
    inputs = bundle.components[component].inputs
    sizes = {axis: span.best for axis, span in profile.sizes.items()}
    graph = bundle.path / bundle.components[component].graph.path
    asked = Questioned(inputs, vocabulary_of(graph, inputs))
    return seeded_inputs(asked, {"steps": 1, "branches": 1, **sizes})


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
