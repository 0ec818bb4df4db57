"""How near each group of layers comes to this machine's limits."""

from __future__ import annotations

from collections.abc import Mapping

from dit4sr.bench.graph.cost import Cost, graph_cost, read_graph, total
from dit4sr.bench.graph.layer_times import LARGEST, layer_seconds
from dit4sr.bench.measure.limits import Limits
from dit4sr.bench.record import GroupRow
from dit4sr.bench.subject import Subject
from dit4sr.export import architectures
from dit4sr.export.architectures.layer_names import LayerNames
from dit4sr.runtime.errors import Dit4srError


def step_costs(subject: Subject, notes: list[str]) -> dict[str, Cost]:
    """What a step costs by group of layers; nothing, and a note, if the graph cannot be read here."""
    try:
        graph = read_graph(subject.bundle.component_file("step"))
        return graph_cost(graph, subject.workload().sizes, _layers(subject))
    except Dit4srError as error:
        notes.append(f"costs and roofline not counted: {error}")
    return {}


def step_seconds(subject: Subject, notes: list[str]) -> dict[str, float]:
    """Seconds that a step takes by group of layers; nothing, and a note, where the runtime does not tell."""
    step = subject.bundle.components["step"]
    if (subject.backend.name, subject.backend.device) != ("onnxruntime", "cpu"):
        notes.append(f"times by group of layers: not measured on {subject.upscaler.backend}")
        return {}
    if sum(file.bytes for file in step.files) > LARGEST:
        notes.append("times by group of layers: not measured on a step of this size")
        return {}
    try:
        feeds = subject.workload().arrays(step.inputs)
        graph = subject.bundle.component_file("step")
        return layer_seconds(graph, feeds, _layers(subject), threads=subject.threads)
    except Dit4srError as error:
        notes.append(f"times by group of layers: {error}")
    return {}


def roofline(costs: Mapping[str, Cost], limits: Limits, seconds: Mapping[str, float]) -> tuple[GroupRow, ...]:
    """A row for each group of layers, the dearest first: by time where it was measured, else by its roof."""
    fitting = limits.for_weights(total(costs).weight_bytes)
    rows = [
        GroupRow(
            group,
            float(cost.flops),
            float(cost.bytes),
            fitting.seconds(cost.flops, cost.bytes),
            fitting.bound(cost.flops, cost.bytes),
            seconds.get(group),
        )
        for group, cost in costs.items()
    ]
    return tuple(sorted(rows, key=lambda row: -(row.seconds or row.roof_seconds)))


def _layers(subject: Subject) -> LayerNames:
    """What the layers of the subject's network are called."""
    return architectures.of_bundle(subject.bundle.manifest).layers
