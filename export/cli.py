"""``dit4sr-export``: from checkpoint to bundle, and engines into the bundle."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.export import architectures
from dit4sr.export.engines.registry import BUILDERS, EngineRequests, engine_options, takers
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import Example, add_options, group, grouped_command, option, without
from dit4sr.runtime.console.names import NamesType
from dit4sr.runtime.console.options import (
    HUB_NAME,
    PATH,
    SOURCE,
    force_option,
    json_option,
    preset_option,
    typed_options,
)
from dit4sr.runtime.console.output import check_target, command_line, print_result
from dit4sr.runtime.console.progress import show_progress
from dit4sr.runtime.console.requirements import require, require_onnxruntime
from dit4sr.runtime.console.sizes import SIZE
from dit4sr.runtime.serving.options import SERVING, served_model

if TYPE_CHECKING:
    from dit4sr.export.request import ExportRequest
    from dit4sr.runtime.hub.name import HubName

# torch, diffusers and onnx take seconds to import: each mode imports what it needs, and --help nothing.
# ruff: noqa: PLC0415

EXAMPLES = (
    Example(
        "a published checkpoint in half precision", "dit4sr-export dit4sr_q --precision fp16 -o my-bundle"
    ),
    Example(
        "TensorRT plans for this machine's GPU, into that bundle", "dit4sr-export my-bundle --engine tensorrt"
    ),
)
PRECISIONS = ("fp32", "fp16", "bf16")
CALIBRATED = ("fp8", "int8")
"""Precisions that a checkpoint does not have, for they hang on photos."""


@grouped_command(name="dit4sr-export", examples=EXAMPLES)
@click.argument("checkpoint", required=False, type=SOURCE)
@group(
    "Input and output",
    option("-o", "--output", type=PATH, help="Folder for the bundle; named after the checkpoint by default."),
    option(
        "--random-weights",
        type=click.IntRange(0, (1 << 64) - 1),
        metavar="SEED",
        help="A full-size system without a checkpoint.",
    ),
    force_option("Replace the bundle at --output, in one step."),
    json_option(
        "Also write the manifest as JSON; - prints it in place of a line.", is_followed_by_inputs=True
    ),
)
@group(
    "What is exported",
    option(
        "--system",
        type=click.Choice(list(architectures.known())),
        help="Network; told by the checkpoint's tensors, and without a checkpoint dit4sr.",
    ),
    option(
        "--precision",
        type=click.Choice([*PRECISIONS, *CALIBRATED]),
        default="fp16",
        show_default=True,
        help=f"{' and '.join(CALIBRATED)} only with --engine, of a bundle that dit4sr-calibrate wrote.",
    ),
    option(
        "--text-tokens",
        type=click.IntRange(1, 4096),
        metavar="N",
        help="Rows of a prompt, also of plans and --describe: 333 as released, 154 as DiT4SR was trained.",
    ),
    option("--static", is_flag=True, help="Fix every axis: the training tile, two rows, all text tokens."),
    option("--components", type=NamesType(), default=(), metavar="A,B", help="Only these components."),
    option("--no-verify", is_flag=True, help="Do not compare what was written with torch."),
)
@group(
    "Looking instead of exporting",
    option("--describe", "is_description", is_flag=True, help="Print parameters and cost of a checkpoint."),
    option(
        "--size",
        type=SIZE,
        default="512x512",
        show_default=True,
        metavar="HxW",
        help="Of --describe; of --whole, that of the photo, by default what becomes the training tile.",
    ),
    option(
        "--steps",
        type=click.IntRange(1, 1000),
        default=40,
        show_default=True,
        metavar="N",
        help="Of --describe; of --whole, by default the bundle's.",
    ),
    option(
        "--guidance/--no-guidance",
        default=True,
        show_default=True,
        help="Of --describe and --whole: two rows or one.",
    ),
    option("--inspect", "inspected", type=SOURCE, metavar="BUNDLE", help="Print what is inside a bundle."),
    option(
        "--verify",
        "verified",
        type=SOURCE,
        metavar="BUNDLE",
        help="Hold a bundle's files against its digests.",
    ),
)
@group(
    "One graph of a whole bundle",
    option(
        "--whole",
        type=PATH,
        metavar="FILE",
        help="Write the CHECKPOINT, here a bundle, as one graph that any ONNX Runtime runs with one call.",
    ),
    option("--unrolled", is_flag=True, help="Of --whole: a copy of the step for each, in place of a loop."),
    preset_option(),
    option("--prompt", metavar="TEXT", help="A caption of all that the graph will restore."),
)
@group(
    "Engines",
    option(
        "--engine",
        "engines",
        type=click.Choice(list(BUILDERS)),
        multiple=True,
        help="Also build engines, into the bundle that is written or that is there.",
    ),
)
@group("Serving", *SERVING)
@group(
    "Sharing",
    option(
        "--push",
        "pushed_to",
        type=HUB_NAME,
        metavar="hf://OWNER/NAME",
        help="Also send the bundle, which may be CHECKPOINT itself, to the Hugging Face Hub.",
    ),
)
@click.version_option(package_name="dit4sr")
def command(
    *,
    is_description: bool,
    inspected: Path | None,
    verified: Path | None,
    triton_repository: Path | None,
    json_file: str | None,
    **options: Any,
) -> None:
    """Turn a CHECKPOINT (a diffusers folder, a .safetensors file or hf://owner/name) into a bundle.

    Without CHECKPOINT, the built-in dit4sr-tiny is exported: small, and trained to be looked at.
    """
    if sum(map(bool, (is_description, inspected, verified, triton_repository))) > 1:
        raise click.UsageError("--describe, --inspect, --verify and --triton-repository exclude one another")
    check_target(json_file, replace=options["force"])
    # Whoever only looks needs none of what exporting takes.
    if verified:
        _verify(verified, json_file)
        return
    if inspected:
        _inspect(inspected, json_file)
        return
    if model := served_model(triton_repository, options):
        record = model.write()
        print_result("{repository}: {model}, version {version}".format(**record), record, json_file)
        return
    if options["whole"]:
        require("onnx", extra="export")
        require_onnxruntime()
        _write_whole(options, json_file)
        return
    if idle := typed_options().keys() & {"unrolled", "preset", "prompt"}:
        raise click.UsageError(f"--{min(idle)} is for --whole")
    if options["pushed_to"]:
        require("huggingface_hub", extra="hub")
        if _is_bundle(options["checkpoint"]) and not options["engines"]:
            _push(options["checkpoint"], options["pushed_to"])
            return
    require("torch", "diffusers", "onnx", "onnxscript", "safetensors", extra="export")
    if is_description:
        _describe(options, json_file)
    else:
        _export(options, json_file)


for _name, _architecture in architectures.known().items():
    add_options(command, f"Options of {_name}", _architecture.options())
add_options(command, "Engines", engine_options())


def main() -> None:
    """Entry point of the console script."""
    run_process(command)


def _verify(path: Path, json_file: str | None) -> None:
    from dit4sr.runtime.bundles.bundle import Bundle
    from dit4sr.runtime.doctor.verifying import verify_digests

    bundle = Bundle.open(path)
    verify_digests(bundle)
    files = bundle.manifest.files()
    found = {"bundle": str(path), "files": len(files), "bytes": sum(record.bytes for record in files)}
    text = f"{path}: {len(files)} files, {found['bytes']:,} bytes, all as the manifest says"
    print_result(text, found, json_file)


def _inspect(path: Path, json_file: str | None) -> None:
    from dit4sr.runtime.bundles.bundle import Bundle
    from dit4sr.runtime.doctor.inspection import format_inspection, inspection_json

    bundle = Bundle.open(path)
    print_result(format_inspection(bundle), inspection_json(bundle), json_file)


def _write_whole(options: dict[str, Any], json_file: str | None) -> None:
    from dit4sr.export.whole.request import WholeRequest
    from dit4sr.runtime.bundles.built_in import tiny_bundle
    from dit4sr.runtime.settings import Settings

    typed = typed_options()
    height, width = options["size"]
    request = WholeRequest(
        bundle=options["checkpoint"] or tiny_bundle(),
        output=options["whole"],
        settings=Settings(
            preset=options["preset"],
            steps=options["steps"] if "steps" in typed else None,
            guidance=None if options["guidance"] else 1.0,
        ),
        size=(width, height) if "size" in typed else None,
        prompt=options["prompt"],
        is_unrolled=options["unrolled"],
        replace=options["force"],
    )
    outcome = request.run()
    print_result(outcome.words, dict(outcome.details), json_file)


def _describe(options: dict[str, Any], json_file: str | None) -> None:
    from dit4sr.export.reports.describe import describe, format_description

    description = describe(
        options["checkpoint"],
        options,
        name=options["system"],
        size=options["size"],
        text_tokens=options["text_tokens"],
        steps=options["steps"],
        guidance=options["guidance"],
    )
    print_result(format_description(description), description.to_json(), json_file)


def _export(options: dict[str, Any], json_file: str | None) -> None:
    if options["checkpoint"] and options["random_weights"] is not None:
        raise click.UsageError("--random-weights is for when there is no CHECKPOINT")
    _refuse_idle_options(options)
    if not options["no_verify"]:
        require_onnxruntime()
    from dit4sr.runtime.bundles.schema import to_json

    if options["checkpoint"] is None and options["random_weights"] is None:
        click.echo("no checkpoint: exporting dit4sr-tiny, which comes in the box", err=True)
    outcome = _request(options).run(show_progress)
    print_result(outcome.words, to_json(outcome.manifest), json_file)
    if options["pushed_to"]:
        _push(outcome.bundle, options["pushed_to"])


def _is_bundle(path: Path | None) -> bool:
    from dit4sr.runtime.bundles.manifest import MANIFEST

    return path is not None and (path / MANIFEST).is_file()


def _push(bundle: Path, name: HubName) -> None:
    from dit4sr.export.sharing import push

    click.echo(f"{name}: {push(bundle, name)}", err=True)


def _request(options: dict[str, Any]) -> ExportRequest:
    """The options as one frozen request."""
    from dit4sr.export.request import ExportRequest

    return ExportRequest(
        checkpoint=options["checkpoint"],
        output=options["output"],
        random_weights=options["random_weights"],
        architecture=options["system"],
        choices=options,
        text_tokens=options["text_tokens"],
        precision=options["precision"],
        is_precision_typed="precision" in typed_options(),
        static=options["static"],
        replace=options["force"],
        verify=not options["no_verify"],
        components=options["components"],
        engines=EngineRequests.of(options["engines"], options) if options["engines"] else None,
        command=_repeatable_command(),
    )


def _refuse_idle_options(options: dict[str, Any]) -> None:
    """An option of an engine that is not built would do nothing, and nobody would say so."""
    for each in engine_options():
        kinds = takers(each)
        if each.name in typed_options() and not set(kinds) & set(options["engines"]):
            raise click.UsageError(f"{each.opts[0]} is for --engine {' or '.join(kinds)}")


def _repeatable_command() -> str:
    """The command line without where it wrote: the same export anywhere is the same bundle."""
    return command_line(
        "dit4sr-export", without(command, sys.argv[1:], {"output", "force", "json_file", "pushed_to"})
    )


if __name__ == "__main__":
    main()
