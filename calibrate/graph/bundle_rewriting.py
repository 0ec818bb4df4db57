"""A bundle with some of its graphs changed: scratch ones to measure, and the one that is kept."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from dit4sr.calibrate.graph.overlay import OverlayBundle
from dit4sr.export.graph.tensor_specs import tensor_spec
from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import MANIFEST, Component, FileRecord, Provenance, record_of

_SMALL = 256
"""Bytes of a tensor up to which it stays in the graph."""


@dataclass(frozen=True)
class GraphChange:
    """A component's new graph, and the precision that its manifest entry is to name."""

    model: ir.Model
    precision: str


def load_graph(bundle: Bundle, component: str) -> ir.Model:
    """Load a component's graph; its weights stay where they are until somebody reads them."""
    return ir.load(bundle.component_file(component))


def rewrite_bundle(
    bundle: Bundle,
    folder: Path,
    changes: Mapping[str, GraphChange],
    *,
    precision: str = "",
    provenance: Provenance | None = None,
    share: bool = True,
) -> Bundle:
    """Fill an empty folder with the bundle as it is but for the changes; compiled engines stay behind.

    With ``share``, files that are as they were stay in the original's folder, which a scratch copy can bear.
    """
    manifest, components = bundle.manifest, dict(bundle.components)
    for name, change in changes.items():
        components[name] = _write_component(bundle, folder, components[name], change)
    if not share:
        replaced = {record for name in changes for record in bundle.components[name].files}
        _copy(bundle, folder, tuple(record for record in manifest.files() if record not in replaced))
    # The schedules stay; what they lose was measured on other weights.
    presets = tuple(replace(preset, loss=None) for preset in manifest.model.presets)
    card = replace(manifest.model, precision=precision or manifest.model.precision, presets=presets)
    manifest = replace(
        manifest,
        model=card,
        components=components,
        provenance=provenance or manifest.provenance,
        engines=(),
        verification=(),
    )
    (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    return OverlayBundle(folder, manifest, bundle) if share else Bundle(folder, manifest)


def _write_component(bundle: Bundle, folder: Path, component: Component, change: GraphChange) -> Component:
    graph = folder / component.graph.path
    graph.parent.mkdir(parents=True, exist_ok=True)
    if _has_own_weights(change.model):
        data = graph.with_name(f"{graph.name}.data")
        ir.save(change.model, graph, external_data=data.name, size_threshold_bytes=_SMALL)
        written = [graph, data]
        onnx.checker.check_model(graph)
    else:
        _copy(bundle, folder, component.files[1:])
        ir.save(change.model, graph)
        written = [graph, *(folder / record.path for record in component.files[1:])]
    return Component(
        files=tuple(record_of(path, folder) for path in written if path.exists()),
        precision=change.precision,
        inputs=tuple(tensor_spec(value) for value in change.model.graph.inputs),
        outputs=tuple(tensor_spec(value) for value in change.model.graph.outputs),
    )


def _has_own_weights(model: ir.Model) -> bool:
    """True if a weight of the graph is other than the bundle's."""
    return any(isinstance(value.const_value, ir.LazyTensor) for value in model.graph.initializers.values())


def _copy(bundle: Bundle, folder: Path, records: tuple[FileRecord, ...]) -> None:
    for record, source in zip(records, bundle.checked(records), strict=True):
        target = folder / record.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
