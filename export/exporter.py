"""From an architecture to a bundle on disk: trace, round, bind, verify, describe; whole or not at all."""

from __future__ import annotations

import importlib.metadata
import platform
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from torch import nn

from dit4sr.export.architecture import Architecture, ComponentSource, static_sizes
from dit4sr.export.graph.external_data import bind_weights
from dit4sr.export.graph.passes.cleanup import forget_origins, simplify_graph, transpose_weights
from dit4sr.export.graph.passes.precision import HALVES, mixed_precision
from dit4sr.export.graph.passes.report import PassReport, run_pass
from dit4sr.export.graph.tensor_specs import tensor_spec
from dit4sr.export.graph.tracing import OPSET, attach_operators, trace
from dit4sr.export.sampling import Prompt
from dit4sr.export.verify import elements, memory_needed, verify_parts
from dit4sr.runtime.axes import axis_sizes
from dit4sr.runtime.console.table import format_bytes
from dit4sr.runtime.errors import BadInputError, OutOfMemoryError
from dit4sr.runtime.files import atomic_directory
from dit4sr.runtime.manifest import (
    MANIFEST,
    SCHEMA_VERSION,
    Check,
    Component,
    FileRecord,
    Manifest,
    Provenance,
    record_of,
)

PRECISIONS = ("fp32", "fp16", "bf16")
BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
LIBRARIES = ("dit4sr", "torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime", "numpy")


@dataclass(frozen=True)
class ExportConfig:
    """What to write, and how."""

    output: Path
    precision: str = "fp16"
    static: bool = False
    replace: bool = False
    verify: bool = True
    components: tuple[str, ...] = ()
    command: str = "dit4sr-export"
    checkpoint: Mapping[str, str] = field(default_factory=dict)
    prompts: Mapping[str, Prompt] = field(default_factory=dict)


def export_bundle(
    architecture: Architecture,
    surroundings: Sequence[ComponentSource],
    config: ExportConfig,
    *,
    progress: Callable[[str], None] = lambda _: None,
) -> Manifest:
    """Write a bundle; the output appears when it is complete and verified, and is untouched until then."""
    parts = _chosen([*surroundings, *architecture.parts()], config.components)
    _check_output(config)
    _check_disk(parts, config)
    _check_memory(parts, config)
    tokenizers = {part.name: part.tokenizer.to_text() for part in parts if part.tokenizer}

    with atomic_directory(config.output, replace=config.replace) as folder:
        (folder / "onnx").mkdir()
        components = {}
        for part in parts:
            progress(f"{part.name}: tracing")
            model = traced_at_precision(part, architecture, config)[0]
            progress(f"{part.name}: writing weights")
            components[part.name] = _write_component(model, part, folder, config.precision)
        checks: tuple[Check, ...] = ()
        if config.verify:
            progress("verifying against torch")
            checks = verify_parts(parts, architecture.card(config.precision), folder, static=config.static)
        manifest = Manifest(
            schema=SCHEMA_VERSION,
            model=architecture.card(config.precision),
            components=components,
            text_encoders=tuple(name for name in components if name.startswith("text_")),
            provenance=Provenance(config.checkpoint, _versions(), config.command),
            embeddings={name: _write_prompt(folder, name, prompt) for name, prompt in config.prompts.items()},
            tokenizers=tuple(_write_tokenizer(folder, name, text) for name, text in tokenizers.items()),
            verification=checks,
        )
        (folder / MANIFEST).write_text(manifest.to_text(), encoding="utf-8")
    return manifest


def traced_at_precision(
    part: ComponentSource, architecture: Architecture, config: ExportConfig
) -> tuple[ir.Model, list[PassReport]]:
    """A part's graph before it has weights, and what each pass did to it."""
    card = architecture.card(config.precision)
    if config.static:
        sizes = static_sizes(card, part)
    else:
        # Sizes that differ from one another, so that no two axes are mistaken for one.
        sizes = axis_sizes(card, images=3, branches=2, latent=(16, 24), text=10, steps=4)
    model = trace(part, sizes, static=config.static, opset=OPSET[config.precision])
    passes = [simplify_graph, transpose_weights, forget_origins]
    reports = [run_pass(model, change) for change in passes]
    if config.precision in HALVES:
        reports.append(run_pass(model, mixed_precision(HALVES[config.precision]), "mixed_precision"))
    return model, reports


def _write_component(model: ir.Model, part: ComponentSource, folder: Path, precision: str) -> Component:
    graphs = folder / "onnx"
    bind_weights(model, part, graphs)
    attach_operators(model)
    model.producer_name, model.producer_version = "dit4sr", importlib.metadata.version("dit4sr")
    graph = graphs / f"{part.name}.onnx"
    ir.save(model, graph)
    onnx.checker.check_model(graph, full_check=True)
    data = graphs / f"{part.name}.onnx.data"
    return Component(
        files=(record_of(graph, folder), record_of(data, folder)),
        precision=precision,
        inputs=tuple(tensor_spec(value) for value in model.graph.inputs),
        outputs=tuple(tensor_spec(value) for value in model.graph.outputs),
    )


def _write_prompt(folder: Path, name: str, prompt: Prompt) -> tuple[FileRecord, ...]:
    (folder / "embeddings").mkdir(exist_ok=True)
    paths = [folder / "embeddings" / f"{name}.{part}.npy" for part in ("text", "pooled")]
    for path, array in zip(paths, prompt, strict=True):
        np.save(path, array, allow_pickle=False)
    return tuple(record_of(path, folder) for path in paths)


def _write_tokenizer(folder: Path, component: str, text: str) -> FileRecord:
    path = folder / "tokenizers" / component.removeprefix("text_") / "tokenizer.json"
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return record_of(path, folder)


def _chosen(parts: Sequence[ComponentSource], names: tuple[str, ...]) -> list[ComponentSource]:
    known = [part.name for part in parts]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInputError(f"no component {unknown[0]!r} here", expected=f"some of {', '.join(known)}")
    return [part for part in parts if not names or part.name in names]


def _check_output(config: ExportConfig) -> None:
    """Nothing a user had is lost: only a bundle is ever replaced, and only on request."""
    if config.precision not in PRECISIONS:
        raise BadInputError(f"precision {config.precision!r}", expected=f"one of {', '.join(PRECISIONS)}")
    output = config.output
    if not output.exists() and not output.is_symlink():
        return
    if not (output / MANIFEST).is_file():
        raise BadInputError(f"{output} exists and is no bundle", fix="choose another --output")
    if not config.replace:
        raise BadInputError(f"{output} exists", fix="choose another --output, or replace it with --force")


def _check_disk(parts: Sequence[ComponentSource], config: ExportConfig) -> None:
    written = sum(_bytes_written(part, BYTES[config.precision]) for part in parts)
    needed = int(written * 1.02) + (16 << 20)
    parent = next(folder for folder in config.output.absolute().parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if free < needed:
        raise BadInputError(
            f"{free:,} bytes free at {parent}",
            expected=f"{needed:,} ({format_bytes(needed)}) for this bundle",
            fix="free some, or choose another --output",
        )


def _bytes_written(part: ComponentSource, width: int) -> int:
    """Words are looked up in FP32, whatever the products are in."""
    tables = [module.weight for module in part.module.modules() if isinstance(module, nn.Embedding)]
    return elements(part) * width + sum(table.numel() for table in tables) * (4 - width)


def _check_memory(parts: Sequence[ComponentSource], config: ExportConfig) -> None:
    """Better to say so now than to be killed after minutes of writing."""
    needed, free = memory_needed(parts, config.precision), available_memory()
    if config.verify and free is not None and free < needed:
        raise OutOfMemoryError(
            f"{format_bytes(free)} of memory available",
            expected=f"{format_bytes(needed)} to verify this bundle",
            fix="export with --no-verify, or on a larger machine",
        )


def available_memory() -> int | None:
    """Bytes the kernel would give us, where it says so."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["MemAvailable"].split()[0]) * 1024 if "MemAvailable" in fields else None


def _versions() -> dict[str, str]:
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    return versions | {"python": platform.python_version()}
