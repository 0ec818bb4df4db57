"""Other steps as graphs: through the same exporter, and in the same runtime as the bundle's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dit4sr.bench.subject import Subject
from dit4sr.bench.workload import Workload
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Component, ModelCard, TensorSpec, record_of

if TYPE_CHECKING:
    from dit4sr.export.component import ComponentSource


@dataclass(frozen=True)
class StepGraph:
    """A step's graph on disk, what it reads and what it makes."""

    file: Path
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]

    @classmethod
    def write(cls, source: ComponentSource, card: ModelCard, folder: Path) -> StepGraph:
        """Trace, round and bind a step into an empty folder; beside eight bits it is in halves."""
        import onnx_ir as ir  # noqa: PLC0415  (torch and onnx, only for who asks for a baseline)

        from dit4sr.export.exporter import traced_at_precision  # noqa: PLC0415
        from dit4sr.export.graph.external_data import bind_weights  # noqa: PLC0415
        from dit4sr.export.graph.tracing import OPSET, attach_operators  # noqa: PLC0415

        precision = card.precision if card.precision in OPSET else "fp16"
        model, _ = traced_at_precision(source, replace(card, precision=precision))
        bind_weights(model, source, folder)
        attach_operators(model)
        file = folder / f"{source.name}.onnx"
        ir.save(model, file)
        return cls(file, source.inputs, source.outputs)

    def call(self, subject: Subject, workload: Workload) -> Callable[[], Any]:
        """One run of the graph, opened and bound by the subject's own backend."""
        files = [self.file, *sorted(self.file.parent.glob("*.data"))]
        made = {spec.name: spec for spec in subject.bundle.components["step"].outputs}
        component = Component(
            tuple(record_of(path, self.file.parent) for path in files),
            subject.bundle.card.precision,
            self.inputs,
            tuple(made[name] for name in self.outputs),
        )
        manifest = replace(subject.bundle.manifest, components={"step": component}, engines=())
        engine = subject.backend.open(Bundle(self.file.parent, manifest), "step")
        context, backend = engine.context(), subject.backend
        given = {name: backend.upload(values) for name, values in workload.arrays(engine.inputs).items()}
        results = {spec.name: backend.empty(workload.shape(spec)) for spec in engine.outputs}
        return lambda: context.run(given, results)
