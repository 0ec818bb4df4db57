"""Plans as the manifest describes them: which shapes they take, and where their weights are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dit4sr.runtime.backends.compiled import CompiledComponent, compiled_for
from dit4sr.runtime.backends.contract import FREE, refuse_another_graph
from dit4sr.runtime.backends.plans.driver import Binding
from dit4sr.runtime.backends.protocol import Array
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import FileRecord, PlanDetails, TensorSpec


class Plan(CompiledComponent):
    """One plan of a component; there is a kind for each library."""

    @property
    def file(self) -> FileRecord:
        """The plan itself, which comes before what is said of it."""
        return self.record.files[0]

    @property
    def details(self) -> PlanDetails:
        """The builder's record of it."""
        return self.record.plan or PlanDetails(source=self.component.graph.sha256)

    def takes(self, inputs: Mapping[str, Array]) -> bool:
        """True if arrays have the shapes it was built for."""
        if not super().takes(inputs):
            return False
        ranges = {span.axis: span for span in self.details.ranges}
        return all(
            axis not in ranges or ranges[axis].least <= size <= ranges[axis].most
            for spec in self.inputs
            for axis, size in zip(spec.shape, inputs[spec.name].shape, strict=True)
            if isinstance(axis, str)
        )

    def shapes(self) -> str:
        """The sizes it takes, for people."""
        fixed = {axis: str(size) for axis, size in self.sizes.items()}
        free = {span.axis: f"{span.least} to {span.most}" for span in self.details.ranges}
        return ", ".join(f"{axis} {size}" for axis, size in sorted({**fixed, **free}.items())) or "any"

    def hold_to_manifest(self, bindings: Sequence[Binding]) -> None:
        """Refuse a plan whose own tensors are not those that the manifest describes."""
        for promised, is_input in ((self.inputs, True), (self.component.outputs, False)):
            found = [
                TensorSpec(
                    binding.name,
                    str(binding.dtype),
                    tuple(size if size >= 0 else FREE for size in binding.shape),
                )
                for binding in bindings
                if binding.is_input == is_input
            ]
            refuse_another_graph(self.record.component, promised, found, what="plan")


def plans_for(kind: type[Plan], bundle: Bundle, component: str, architecture: str) -> list[Plan]:
    """A component's plans for one GPU, those with fixed sizes first: they are the faster ones."""
    return sorted(compiled_for(kind, bundle, component, architecture), key=lambda plan: not plan.is_static)
