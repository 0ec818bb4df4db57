"""From a pipeline to a bundle on disk: trace, round, bind, verify, describe; whole or not at all."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from torch import nn

from dit4sr.export.component import ComponentSource, static_sizes
from dit4sr.export.graph.external_data import bind_weights
from dit4sr.export.graph.passes.cleanup import simplify_graph, strip_stack_traces, transpose_weights
from dit4sr.export.graph.passes.precision import HALVES, mixed_precision
from dit4sr.export.graph.passes.report import PassReport, run_pass
from dit4sr.export.graph.tensor_specs import tensor_spec
from dit4sr.export.graph.tracing import OPSET, attach_operators, trace
from dit4sr.export.pipeline import Pipeline
from dit4sr.export.sampling import Prompt
from dit4sr.export.verify import elements, memory_needed, verify_components
from dit4sr.runtime.axes import axis_sizes
from dit4sr.runtime.bundles.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Check,
    Component,
    FileRecord,
    LighterStep,
    Manifest,
    ModelCard,
    Provenance,
    record_of,
)
from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.files.whole import atomic_directory
from dit4sr.runtime.machine.host import available_memory
from dit4sr.runtime.machine.libraries import installed_versions

PRECISIONS = ("fp32", "fp16", "bf16")
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
LIBRARIES = ("dit4sr", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "onnxruntime-gpu", "numpy")


@dataclass(frozen=True)
class ExportConfig:
    """The settings of one export: where the bundle goes, and how it is made."""

    output: Path
    precision: str = "fp16"
    static: bool = False
    replace: bool = False
    verify: bool = True
    components: tuple[str, ...] = ()
    command: str = "dit4sr-export"


def export_bundle(
    pipeline: Pipeline, config: ExportConfig, *, progress: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Write a bundle; the output appears when it is complete and verified, and is untouched until then."""
    sources = _chosen(pipeline.components(), config.components)
    _check_output(config)
    _check_disk(sources, config)
    _check_memory(sources, config)
    card, record = pipeline.card(config.precision), pipeline.record()
    tokenizers = {source.name: source.tokenizer.to_text() for source in sources if source.tokenizer}

    with atomic_directory(config.output, replace=config.replace) as folder:
        (folder / "onnx").mkdir()
        components = {}
        for source in sources:
            progress(f"{source.name}: tracing")
            model = traced_at_precision(source, card, static=config.static)[0]
            progress(f"{source.name}: writing weights")
            components[source.name] = _write_component(model, source, folder, config.precision)
        checks: tuple[Check, ...] = ()
        if config.verify:
            progress("verifying against torch")
            checks = verify_components(sources, card, folder, static=config.static)
        shown = tuple(each.name for each in pipeline.image_encoders if each.name in components)
        manifest = Manifest(
            schema=SCHEMA_VERSION,
            model=card,
            components=components,
            architecture=record,
            text_encoders=tuple(
                encoder.name for encoder in pipeline.text_encoders if encoder.name in components
            ),
            lighter_step=next(
                (
                    LighterStep(source.name, source.replaces_step_where_zero)
                    for source in sources
                    if source.replaces_step_where_zero and "step" in components
                ),
                None,
            ),
            image_encoders=shown,
            views=pipeline.views if shown else (),
            provenance=Provenance(pipeline.origin, _versions(), config.command),
            embeddings={
                name: _write_prompt(folder, name, prompt) for name, prompt in pipeline.prompts.items()
            },
            tokenizers=tuple(_write_tokenizer(folder, name, text) for name, text in tokenizers.items()),
            verification=checks,
        )
        (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    return manifest


def traced_at_precision(
    source: ComponentSource, card: ModelCard, *, static: bool = False
) -> tuple[ir.Model, list[PassReport]]:
    """A component's graph before it has weights, and what each pass did to it."""
    precision = card.precision
    if static:
        sizes = static_sizes(card, source)
    else:
        # Sizes that differ from one another, so that no two axes are mistaken for one.
        sizes = axis_sizes(card, images=3, branches=2, latent=(16, 24), text=10, steps=4)
    model = trace(source, sizes, static=static, opset=OPSET[precision])
    passes = [simplify_graph, transpose_weights, strip_stack_traces]
    reports = [run_pass(model, change) for change in passes]
    if precision in HALVES:
        reports.append(run_pass(model, mixed_precision(HALVES[precision]), "mixed_precision"))
    return model, reports


def _write_component(model: ir.Model, source: ComponentSource, folder: Path, precision: str) -> Component:
    graphs = folder / "onnx"
    bind_weights(model, source, graphs)
    attach_operators(model)
    model.producer_name, model.producer_version = "dit4sr", importlib.metadata.version("dit4sr")
    graph = graphs / f"{source.name}.onnx"
    ir.save(model, graph)
    onnx.checker.check_model(graph, full_check=True)
    data = graphs / f"{source.name}.onnx.data"
    return Component(
        files=(record_of(graph, folder), record_of(data, folder)),
        precision=precision,
        inputs=tuple(tensor_spec(value) for value in model.graph.inputs),
        outputs=tuple(tensor_spec(value) for value in model.graph.outputs),
    )


def _write_prompt(folder: Path, name: str, prompt: Prompt) -> tuple[FileRecord, ...]:
    (folder / "embeddings").mkdir(exist_ok=True)
    paths = {part: folder / "embeddings" / f"{name}.{part}.npy" for part in prompt}
    for part, path in paths.items():
        np.save(path, prompt[part], allow_pickle=False)
    return tuple(record_of(path, folder) for path in paths.values())


def _write_tokenizer(folder: Path, component: str, text: str) -> FileRecord:
    path = folder / "tokenizers" / component.removeprefix("text_") / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return record_of(path, folder)


def _chosen(sources: Sequence[ComponentSource], names: tuple[str, ...]) -> list[ComponentSource]:
    known = [source.name for source in sources]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInputError(f"no component {unknown[0]!r} here", expected=f"some of {', '.join(known)}")
    return [source for source in sources if not names or source.name in names]


def _check_output(config: ExportConfig) -> None:
    """Refuse to lose what a user had: only a bundle is ever replaced, and only on request."""
    if config.precision not in PRECISIONS:
        raise BadInputError(f"precision {config.precision!r}", expected=f"one of {', '.join(PRECISIONS)}")
    output = config.output
    if not output.exists() and not output.is_symlink():
        return
    if not (output / MANIFEST).is_file():
        raise BadInputError(f"{output} exists and is no bundle", fix="choose another --output")
    if not config.replace:
        raise BadInputError(f"{output} exists", fix="choose another --output, or replace it with --force")


def _check_disk(sources: Sequence[ComponentSource], config: ExportConfig) -> None:
    written = sum(_bytes_written(source, BYTES[config.precision]) for source in sources)
    needed = int(written * 1.02) + (16 << 20)
    parent = next(folder for folder in config.output.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise BadInputError(
            f"{free:,} bytes free at {parent}",
            expected=f"{needed:,} ({format_bytes(needed)}) for this bundle",
            fix="free some, or choose another --output",
        )


def _bytes_written(source: ComponentSource, width: int) -> int:
    """Bytes that a component's weights take on disk; embedding tables stay in FP32 at every precision."""
    tables = [module.weight for module in source.module.modules() if isinstance(module, nn.Embedding)]
    return elements(source) * width + sum(table.numel() for table in tables) * (4 - width)


def _check_memory(sources: Sequence[ComponentSource], config: ExportConfig) -> None:
    """Refuse to verify without the memory for it, rather than be killed after minutes of writing."""
    needed, free = memory_needed(sources, config.precision), available_memory()
    if config.verify and free is not None and free < needed:
        raise OutOfMemoryError(
            f"{format_bytes(free)} of memory available",
            expected=f"{format_bytes(needed)} to verify this bundle",
            fix="export with --no-verify, or on a larger machine",
        )


def _versions() -> dict[str, str]:
    return installed_versions(LIBRARIES) | {"python": platform.python_version()}
