"""The page by which a bundle introduces itself on a hub, made from its manifest and from nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dit4sr.runtime.bundles.manifest import FileRecord, Manifest
from dit4sr.runtime.bundles.presets import Preset
from dit4sr.runtime.console.table import format_bytes


def model_card(manifest: Manifest, repository: str) -> str:
    """The text of its ``README.md``."""
    return "\n".join(_lines(manifest, repository)) + "\n"


def _lines(manifest: Manifest, repository: str) -> Iterator[str]:
    card = manifest.model
    yield from ("---", "library_name: dit4sr", "pipeline_tag: image-to-image", "license: other")
    yield from ("tags:", "- super-resolution", "- image-restoration", "- onnx", "---", "")
    yield f"# {card.name}"
    network = manifest.architecture.name if manifest.architecture else "dit4sr"
    kind = f"{network}, flavour {card.flavour}, in {card.precision}"
    yield f"A bundle for dit4sr: {kind}; its weights are {card.weights}."
    yield from ("", "```", "pip install 'dit4sr[cpu,hub]'")
    yield from (f"dit4sr-upscale photo.jpg -o restored.png -m hf://{repository}", "```", "")
    yield from ("## Sizes", "| part | precision | size |", "|---|---|---:|")
    for name, component in manifest.components.items():
        yield f"| {name} | {component.precision} | {_size(component.files)} |"
    for engine in manifest.engines:
        built = f"{engine.component} for {engine.backend} on {engine.gpu_architecture}"
        yield f"| {built} | {engine.precision} | {_size(engine.files)} |"
    yield f"| all | | {_size(manifest.files())} |"
    if manifest.engines:
        yield "\nEngines are code, which runs only where `--trust-engines` says so; graphs are data."
    yield from ("", "## Loss", _verified(manifest))
    if card.presets:
        yield from ("", "| preset | steps | solver | photos | PSNR to the first | drop against the truth |")
        yield "|---|---:|---|---:|---:|---:|"
        yield from map(_preset, card.presets)
    yield from ("", "## Licence")
    yield (
        "The weights stay under the terms of the checkpoint that they were made from, and a bundle is a copy "
        "of them. SD3.5-Medium and DiT4SR have terms of their own, the latter for non-commercial use only: "
        "read them before you use this, and before you pass it on."
    )
    if manifest.provenance.checkpoint:
        yield from ("", "Made from files with these SHA-256:")
        yield from (f"- `{file}` {digest}" for file, digest in manifest.provenance.checkpoint.items())


def _size(files: Sequence[FileRecord]) -> str:
    return format_bytes(sum(record.bytes for record in files))


def _verified(manifest: Manifest) -> str:
    worst = max(manifest.verification, key=lambda check: check.error / check.allowed, default=None)
    if worst is None:
        return "Not compared with torch when it was written."
    found = f"a relative error of {worst.error:.2g} where {worst.allowed:.2g} is allowed"
    compared = f"{len(manifest.verification)} outputs compared with torch when it was written"
    return f"{compared}; the worst, `{worst.component}.{worst.output}`, has {found}."


def _preset(preset: Preset) -> str:
    photos, psnr, drop = "", "not measured", ""
    if preset.loss:
        photos, psnr = str(preset.loss.photos), _decibels(preset.loss.psnr)
        drop = _decibels(preset.loss.drop)
    return f"| {preset.name} | {preset.steps} | {preset.solver} | {photos} | {psnr} | {drop} |"


def _decibels(value: float | None) -> str:
    return "" if value is None else f"{value:.2f} dB"
