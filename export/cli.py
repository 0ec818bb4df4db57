"""``dit4sr-export``: from checkpoint to bundle."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from dit4sr.export.engines.registry import BUILDERS, EngineRequests, engine_options, takers
from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, MissingDependencyError

if TYPE_CHECKING:
    from dit4sr.runtime.manifest import Manifest

CALIBRATED = ("fp8", "int8")
"""Precisions that a checkpoint does not have, for they hang on photos."""


def picture_size(text: str) -> tuple[int, int]:
    """Read "512x768", height by width; one number is a square."""
    match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", text)
    if not match:
        raise click.BadParameter(f"{text!r} is not a size; write 512x768 (height by width)")
    return int(match[1]), int(match[2] or match[1])


def names(text: str | None) -> tuple[str, ...]:
    """Read "prepare,step"."""
    return tuple(part.strip() for part in text.split(",")) if text else ()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="Folder for the bundle; named after the checkpoint.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "bf16", *CALIBRATED]),
    default="fp16",
    show_default=True,
    help=f"{' and '.join(CALIBRATED)} only with --engine, of a bundle that dit4sr-calibrate wrote.",
)
@click.option("--static", is_flag=True, help="Fix every axis: the training tile, two rows, all text tokens.")
@click.option("--components", metavar="A,B", help="Only these components.")
@click.option("--force", is_flag=True, help="Replace the bundle at --output, in one step.")
@click.option("--no-verify", is_flag=True, help="Do not compare what was written with torch.")
@click.option("--random-weights", type=int, metavar="SEED", help="A full-size system without a checkpoint.")
@click.option("--flavour", type=click.Choice(["copied", "own"]), help="LR-key rule; detected by default.")
@click.option(
    "--variant",
    type=click.Choice(["full", "a", "b", "c", "d", "d-channel"]),
    help="Architecture or ablation; full by default.",
)
@click.option("--untrained", is_flag=True, help="Open SD3.5 weights as a DiT4SR that is yet to be trained.")
@click.option("--describe", "describing", is_flag=True, help="Print parameters and products, export nothing.")
@click.option(
    "--size",
    type=picture_size,
    default="512x512",
    show_default=True,
    metavar="HxW",
    help="Picture that --describe counts for.",
)
@click.option("--text-tokens", type=click.IntRange(1, 4096), default=333, show_default=True)
@click.option("--steps", type=click.IntRange(1, 1000), default=40, show_default=True)
@click.option("--guidance/--no-guidance", default=True, show_default=True, help="Two rows a step, or one.")
@click.option(
    "--inspect", "inspected", type=click.Path(path_type=Path), metavar="BUNDLE", help="Look into one."
)
@click.option(
    "--verify", "verified", type=click.Path(path_type=Path), metavar="BUNDLE", help="Check its digests."
)
@click.option(
    "--engine",
    "engines",
    type=click.Choice(list(BUILDERS)),
    multiple=True,
    help="Also build engines, into the bundle that is written or that is there.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.version_option(package_name="dit4sr")
def command(
    *, describing: bool, inspected: Path | None, verified: Path | None, as_json: bool, **options: Any
) -> None:
    """Turn a DiT4SR CHECKPOINT (a diffusers folder or a .safetensors file) into a bundle.

    Without CHECKPOINT, the built-in dit4sr-tiny is exported: small, and trained to be looked at.
    """
    if sum(map(bool, (describing, inspected, verified))) > 1:
        raise click.UsageError("--describe, --inspect and --verify exclude one another")
    if verified:
        _verify(verified, as_json=as_json)
        return
    _require("torch", "diffusers", "onnx", "onnxscript", "safetensors")
    if inspected:
        _inspect(inspected, as_json=as_json)
    elif describing:
        _describe(options, as_json=as_json)
    else:
        _export(options, as_json=as_json)


command.params.extend(engine_options())


def main() -> None:
    """Entry point."""
    sys.exit(run_command(command))


# torch, diffusers and onnx take seconds to import: each of these imports what it needs, and --help nothing.
# ruff: noqa: PLC0415


def _verify(path: Path, *, as_json: bool) -> None:
    from dit4sr.runtime.bundle import Bundle

    bundle = Bundle.open(path)
    bundle.verify()
    files = bundle.manifest.files()
    found = {"bundle": str(path), "files": len(files), "bytes": sum(record.bytes for record in files)}
    _print(found, f"{path}: {len(files)} files, {found['bytes']:,} bytes, all as the manifest says", as_json)


def _inspect(path: Path, *, as_json: bool) -> None:
    from dit4sr.export.reports.inspection import format_inspection, inspection_json
    from dit4sr.runtime.bundle import Bundle

    bundle = Bundle.open(path)
    if as_json:
        click.echo(json.dumps(inspection_json(bundle), indent=2))
    else:
        click.echo(format_inspection(bundle))


def _describe(options: dict[str, Any], *, as_json: bool) -> None:
    from dit4sr.export.reports.describe import describe, format_description

    description = describe(
        options["checkpoint"],
        options,
        size=options["size"],
        text_tokens=options["text_tokens"],
        steps=options["steps"],
        guidance=options["guidance"],
    )
    if as_json:
        click.echo(json.dumps(description.to_json(), indent=2))
    else:
        click.echo(format_description(description))


def _export(options: dict[str, Any], *, as_json: bool) -> None:
    if options["checkpoint"] and options["random_weights"] is not None:
        raise click.UsageError("--random-weights is for when there is no CHECKPOINT")

    from dit4sr.export.exporter import ExportConfig, export_bundle
    from dit4sr.export.pipeline import checkpoint_pipeline, full_size_pipeline
    from dit4sr.export.tiny import CHECKPOINT
    from dit4sr.runtime.console.table import format_bytes
    from dit4sr.runtime.manifest import MANIFEST
    from dit4sr.runtime.schema import to_json

    engines = _engine_requests(options)
    if options["checkpoint"] and (options["checkpoint"] / MANIFEST).is_file():
        if engines is None:
            raise BadInputError(f"{options['checkpoint']} is a bundle", expected="a checkpoint, or --engine")
        if options["output"]:
            raise click.UsageError("engines are added to the bundle that is there, not at --output")
        _check_precision(options["checkpoint"], options["precision"])
        _print_engines(options["checkpoint"], engines.add_to(options["checkpoint"], None, _progress), as_json)
        return
    if options["precision"] in CALIBRATED:
        raise BadInputError(
            f"a checkpoint cannot be exported in {options['precision']}",
            fix="export it in fp16, give that to dit4sr-calibrate, and build engines of what it writes",
        )
    if engines is not None:
        engines.check(options["precision"])
    if options["random_weights"] is not None:
        pipeline = full_size_pipeline(options["random_weights"], options)
    else:
        if not options["checkpoint"]:
            click.echo("no checkpoint: exporting dit4sr-tiny, which comes in the box", err=True)
        pipeline = checkpoint_pipeline(options["checkpoint"] or CHECKPOINT, options)

    config = ExportConfig(
        output=options["output"] or Path(f"{_stem(options)}-{options['precision']}"),
        precision=options["precision"],
        static=options["static"],
        replace=options["force"],
        verify=not options["no_verify"],
        components=names(options["components"]),
        command=_repeatable_command(),
    )
    if engines is not None and (config.output / MANIFEST).is_file() and not options["force"]:
        _check_precision(config.output, options["precision"])
        _print_engines(config.output, engines.add_to(config.output, pipeline, _progress), as_json)
        return
    manifest = export_bundle(pipeline, config, progress=_progress)
    if engines is not None:
        manifest = engines.add_to(config.output, pipeline, _progress)
    total = sum(record.bytes for record in manifest.files())
    worst = max((check.error / check.allowed for check in manifest.verification), default=None)
    verdict = "not verified" if worst is None else f"verified: worst error {worst:.0%} of what is allowed"
    parts = ", ".join([*manifest.components, *_built(manifest)])
    _print(
        to_json(manifest),
        f"{config.output}: {parts} in {config.precision}, {format_bytes(total)}; {verdict}",
        as_json,
    )


def _engine_requests(options: dict[str, Any]) -> EngineRequests | None:
    for option in engine_options():
        kinds = takers(option)
        if _is_given(str(option.name)) and not set(kinds) & set(options["engines"]):
            raise click.UsageError(f"{option.opts[0]} is for --engine {' or '.join(kinds)}")
    if not options["engines"]:
        return None
    return EngineRequests.of(options["engines"], {**options, "components": names(options["components"])})


def _check_precision(path: Path, precision: str) -> None:
    """A bundle that is there keeps its precision; whoever names another wants another bundle."""
    from dit4sr.runtime.bundle import Bundle

    found = Bundle.open(path).card.precision
    if _is_given("precision") and precision != found:
        way = "make one with dit4sr-calibrate" if precision in CALIBRATED else "name another bundle"
        raise BadInputError(f"{path} is in {found}", expected=precision, fix=way)


def _is_given(option: str) -> bool:
    """True if an option was typed."""
    return click.get_current_context().get_parameter_source(option) is ParameterSource.COMMANDLINE


def _print_engines(path: Path, manifest: Manifest, as_json: bool) -> None:
    from dit4sr.runtime.schema import to_json

    _print(to_json(manifest), f"{path}: {', '.join(_built(manifest))}", as_json)


def _built(manifest: Manifest) -> list[str]:
    return sorted({f"{engine.backend} for {engine.gpu_architecture}" for engine in manifest.engines})


def _stem(options: dict[str, Any]) -> str:
    """What a bundle is called when no --output is given."""
    if options["checkpoint"]:
        return str(options["checkpoint"].resolve().stem)
    return "dit4sr-tiny" if options["random_weights"] is None else "dit4sr-random"


def _print(found: Any, sentence: str, as_json: bool) -> None:
    click.echo(json.dumps(found, indent=2) if as_json else sentence)


def _progress(line: str) -> None:
    """Long work is shown to people, not to pipes."""
    if sys.stderr.isatty():
        click.echo(line, err=True)


def _repeatable_command() -> str:
    """The command line without where it wrote: the same export anywhere is the same bundle."""
    words, given = ["dit4sr-export"], iter(sys.argv[1:])
    for word in given:
        if word in {"-o", "--output"}:
            next(given, None)
        elif word not in {"--force", "--json"} and not word.startswith("--output="):
            words.append(word)
    return shlex.join(words)


def _require(*modules: str) -> None:
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingDependencyError(
            f"not installed: {', '.join(missing)}", fix="pip install 'dit4sr[export]'"
        )


if __name__ == "__main__":
    main()
