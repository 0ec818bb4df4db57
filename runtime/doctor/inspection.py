"""Looking into a bundle: its manifest and its graphs, as ``--inspect`` and ``dit4sr doctor`` show them.

Weights are neither read nor checked, so a bundle of gigabytes is looked into at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import Component, Engine
from dit4sr.runtime.bundles.schema import to_json
from dit4sr.runtime.console.table import format_bytes, format_table
from dit4sr.runtime.costs.bundle_costs import BundleCosts
from dit4sr.runtime.costs.outline import Outline
from dit4sr.runtime.doctor.accounts import format_accounts

HALVES = ("fp16", "bf16")
_FLOAT = 1
"""ONNX's number of FP32."""

WHY_FP32 = {
    "LayerNormalization": "norm statistics",
    "GroupNormalization": "norm statistics",
    "Softmax": "softmax statistics",
    "Sin": "time embedding",
    "Cos": "time embedding",
    "Sigmoid": "activations between norms",
    "Mul": "modulation, gates, guidance, solver",
    "Add": "modulation, residual sums, solver",
    "ReduceSum": "guidance",
}
"""Operators that stay in FP32 in a graph of half precision, and the reason."""


@dataclass(frozen=True)
class GraphView:
    """One component's graph, counted."""

    component: Component
    nodes: Counter[str]
    fp32: Counter[str]
    weights: int
    names: frozenset[str]
    """Of the weights."""


def view_graphs(bundle: Bundle) -> dict[str, GraphView]:
    """Read every graph of a bundle, without its weights."""
    costs = BundleCosts(bundle)
    return {name: _view(bundle.components[name], costs.outline(name)) for name in bundle.components}


def _view(component: Component, outline: Outline) -> GraphView:
    in_fp32 = Counter(
        node.operator
        for node in outline.nodes
        if node.operator != "Cast" and _FLOAT in {outline.element(name) for name in node.outputs[:1]}
    )
    size = sum(record.bytes for record in component.files)
    return GraphView(component, outline.operators, in_fp32, size, outline.weights)


def inspection_json(bundle: Bundle) -> dict[str, Any]:
    """The manifest and the graphs' histograms, for machines."""
    graphs = {
        name: {"nodes": dict(sorted(view.nodes.items())), "fp32": dict(sorted(view.fp32.items()))}
        for name, view in view_graphs(bundle).items()
    }
    return {"manifest": to_json(bundle.manifest), "graphs": graphs}


def format_contents(bundle: Bundle, views: Mapping[str, GraphView] | None = None) -> str:
    """Format what a bundle is, and a line for each of its components."""
    card, manifest = bundle.card, bundle.manifest
    views = view_graphs(bundle) if views is None else views
    total = sum(record.bytes for record in manifest.files())
    kinds = {"flavour": card.flavour, "variant": card.variant}  # not every network has them
    described = [card.name, *(f"{kind} {name}" for kind, name in kinds.items() if name), card.precision]
    lines = [
        f"{bundle.path}: {', '.join(described)}",
        f"{format_bytes(total)}, weights {card.weights}, schema {manifest.schema}",
        "",
        format_table(
            ["component", "precision", "bytes", "nodes", "fused"],
            [
                [
                    name,
                    view.component.precision,
                    format_bytes(view.weights),
                    str(view.nodes.total()),
                    _fused(view),
                ]
                for name, view in views.items()
            ],
        ),
    ]
    return "\n".join(lines)


def format_inspection(bundle: Bundle) -> str:
    """Format all of a bundle's manifest and graphs for people."""
    views = view_graphs(bundle)
    lines = [format_contents(bundle, views)]
    for name, view in views.items():
        lines += ["", name]
        lines += [f"  in   {spec.name} {_shape(spec.shape)} {spec.dtype}" for spec in view.component.inputs]
        lines += [f"  out  {spec.name} {_shape(spec.shape)} {spec.dtype}" for spec in view.component.outputs]
        lines.append("  nodes  " + ", ".join(f"{count} {op}" for op, count in view.nodes.most_common()))
        if view.component.precision in HALVES:
            kept = [f"{view.fp32[op]} {op} ({why})" for op, why in WHY_FP32.items() if view.fp32[op]]
            lines.append("  in FP32  " + ", ".join(kept))
    accounts = format_accounts(bundle.manifest.engines)
    lines += ["", *_presets(bundle), *_engines(bundle), *([accounts] if accounts else [])]
    lines += ["", *_origin(bundle), *_checks(bundle)]
    return "\n".join(lines)


def _fused(view: GraphView) -> str:
    ours = {op.removeprefix("dit4sr::"): n for op, n in view.nodes.items() if op.startswith("dit4sr::")}
    return ", ".join(f"{count} {op}" for op, count in sorted(ours.items())) or "none"


def _shape(shape: tuple[int | str, ...]) -> str:
    return "[" + ", ".join(map(str, shape)) + "]"


def _presets(bundle: Bundle) -> list[str]:
    """Say what every preset costs and loses."""
    lines = []
    for preset in bundle.card.presets:
        line = f"preset {preset.name}: {preset.rows} rows of the network, {preset.solver} {preset.velocities}"
        if preset.loss and preset.loss.psnr is not None:
            line += f"; {preset.loss.psnr:g} dB to exact over {preset.loss.photos} photos"
        lines.append(line)
    return lines


def _engines(bundle: Bundle) -> list[str]:
    return [
        f"engine {engine.backend} for {engine.component}: {engine.precision}, {engine.gpu_architecture}"
        + _report(engine)
        for engine in bundle.manifest.engines
    ] or ["no engines: ONNX Runtime runs the graphs as they are"]


def _report(engine: Engine) -> str:
    """Say what TensorRT made of an engine's graph, by its own account."""
    report = engine.plan and engine.plan.report
    if not report:
        return ""
    return (
        f"; {engine.files[0].path.rpartition('/')[2]}: {report.layers} layers, "
        f"{report.fused_attentions} of {report.attentions} attentions fused, "
        f"{report.fp8_products} FP8 MatMuls, {report.casts} casts, {report.reformats} reformats"
    )


def _origin(bundle: Bundle) -> list[str]:
    origin = bundle.manifest.provenance
    return [
        f"made by  {origin.command}",
        "from     " + ", ".join(f"{file} {digest[:16]}" for file, digest in origin.checkpoint.items()),
        "with     " + ", ".join(f"{library} {version}" for library, version in origin.versions.items()),
    ]


def _checks(bundle: Bundle) -> list[str]:
    checks = bundle.manifest.verification
    if not checks:
        return ["not verified against torch"]
    rows = [[f"{c.component} {c.output}", f"{c.error:.1e}", f"{c.allowed:.1e}"] for c in checks]
    return ["", format_table(["relative error against torch in FP64", "found", "allowed"], rows)]
