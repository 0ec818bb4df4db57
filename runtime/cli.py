"""``dit4sr-upscale``: photos to photos."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.console.help import Example, group, grouped_command, option
from dit4sr.runtime.console.options import (
    NAME,
    NUMBER,
    PATH,
    backend_option,
    device_option,
    force_option,
    guidance_option,
    json_option,
    seed_option,
    steps_option,
    threads_option,
)
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.errors import BadInputError, SomeInputsFailedError

if TYPE_CHECKING:
    from dit4sr.runtime.batch.inputs import Item
    from dit4sr.runtime.batch.job import JobConfig
    from dit4sr.runtime.settings import Settings
    from dit4sr.runtime.upscaler import Upscaler

# NumPy and Pillow are imported when there is work: --help answers at once.
# ruff: noqa: PLC0415

SOLVERS, RNGS = ("euler", "ab2", "dpmpp-2m"), ("torch-cpu", "torch-cuda", "numpy")
COLOUR_FIXES, ENDINGS = ("adain", "wavelet", "none"), ("auto", "png", "jpg", "webp", "tif")
EXAMPLES = (
    Example(
        "a folder, with the outcome of every picture as a line of JSON; stop it and --resume any time",
        "dit4sr-upscale photos/ -o restored/ -m my-bundle --json records.jsonl --resume",
    ),
    Example(
        "one picture, in half the steps, to standard output",
        "dit4sr-upscale photo.jpg -o - -m my-bundle --steps 20 --solver dpmpp-2m > photo.png",
    ),
)


@grouped_command(name="dit4sr-upscale", no_args_is_help=True, examples=EXAMPLES)
@click.argument("inputs", nargs=-1, type=NAME, metavar="INPUT...")
@group(
    "Input and output",
    option(
        "-i", "--input", "more_inputs", type=NAME, multiple=True, metavar="PATH", help="The same as INPUT."
    ),
    option("-o", "--output", type=NAME, metavar="PATH", help='A folder, a file for one picture, or "-".'),
    option("-m", "--model", type=PATH, metavar="BUNDLE", help="The built-in dit4sr-tiny by default."),
    option("--recursive", is_flag=True, help="Search folders within folders."),
    option("-s", "--outscale", "scale", type=NUMBER, default=4.0, show_default=True, help="Enlarge by."),
    option("--suffix", default="", help="Put before the ending of every output."),
    option(
        "-x",
        "--ext",
        "ending",
        type=click.Choice(ENDINGS),
        default="auto",
        show_default=True,
        help="Format of the outputs; auto keeps the input's.",
    ),
    option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG and WEBP."),
    option("--strip-metadata", is_flag=True, help="Leave out EXIF and colour profile."),
    json_option("Add a line of JSON for every picture; - prints it."),
)
@group(
    "What is there already",
    option("--skip-existing", is_flag=True, help="Pass over outputs that are there."),
    force_option("Replace outputs that are there."),
    option("--resume", is_flag=True, help="Go on with a job that was stopped."),
    option("--continue-on-error", is_flag=True, help="Go on after a bad picture; exit code 9 at the end."),
    option("--dry-run", is_flag=True, help="Say what would be done."),
)
@group(
    "Prompts",
    option("--prompt", help="What all pictures show."),
    option("--prompts", "prompts_file", type=PATH, metavar="JSON", help="Prompts by file name."),
    option("--captioner", metavar="COMMAND", help="Prints a caption; {} stands for the picture."),
    option("--quality-prompt", help="Replaces what is added to every prompt."),
    option("--negative-prompt", help="Replaces what to keep away from."),
)
@group(
    "Quality",
    steps_option(),
    option(
        "--solver",
        type=click.Choice(SOLVERS),
        default="euler",
        show_default=True,
        help="How a step is taken; the later ones need fewer.",
    ),
    guidance_option(),
    option(
        "--guidance-interval",
        type=(NUMBER, NUMBER),
        default=(0.0, 1.0),
        metavar="LOW HIGH",
        help="Noise levels that are guided; steps outside cost half.",
    ),
    option(
        "--colour-fix",
        "colour",
        aliases=["--color-fix"],
        type=click.Choice(COLOUR_FIXES),
        default="adain",
        show_default=True,
        help="How the colours of the input are kept.",
    ),
    seed_option(),
    option("--same-seed", is_flag=True, help="The seed itself for all, not one by seed and name for each."),
    option(
        "--rng",
        type=click.Choice(RNGS),
        default="torch-cpu",
        show_default=True,
        help="Whose noise a seed stands for.",
    ),
)
@group(
    "Speed and memory",
    backend_option(),
    device_option(),
    threads_option(),
    option("-t", "--tile", type=int, default=0, metavar="PIXELS", help="Side of a tile; 0 asks the bundle."),
    option(
        "--tile-overlap", aliases=["--tile-pad"], type=int, metavar="PIXELS", help="How much tiles share."
    ),
    option("--tile-batch", type=int, default=1, show_default=True, help="Tiles in one run of the engine."),
    option(
        "--low-memory",
        aliases=["--low-vram"],
        is_flag=True,
        help="Hold one component, and few wide weights.",
    ),
    option(
        "--max-pixels",
        type=click.IntRange(1),
        default=8192 * 8192,
        show_default=True,
        help="Refuse larger pictures before they are decoded.",
    ),
)
@option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    help="auto: a line on a terminal, nothing in a pipe; plain: a line a picture.",
)
@click.version_option(package_name="dit4sr")
def command(
    *,
    inputs: Sequence[str],
    more_inputs: Sequence[str],
    output: str | None,
    model: Path | None,
    json_file: str | None,
    dry_run: bool,
    progress: str,
    **options: Any,
) -> None:
    """Restore and enlarge pictures: files, folders, patterns, or - for standard input.

    Existing files are never overwritten unless you say so. A caption for a picture is taken from --prompt,
    --prompts, a text file of the same name, or --captioner, in that order.
    """
    inputs = [*inputs, *more_inputs]
    if not inputs:
        raise click.UsageError("no INPUT; name pictures or a folder")
    if output is None:
        raise click.UsageError("no --output; name a folder, or a file for one picture")
    if PIPE in {output, json_file} and sys.stdout is None:
        raise BadInputError("standard output is closed", fix="name a file")
    if output == PIPE and json_file == PIPE:
        raise click.UsageError("picture and --json cannot both go to standard output")

    from dit4sr.runtime.batch.inputs import plan_items
    from dit4sr.runtime.bundles.built_in import tiny_bundle

    model = model or tiny_bundle()
    items = plan_items(
        inputs,
        output,
        recursive=options["recursive"],
        suffix=options["suffix"],
        ending=options["ending"],
    )
    config = job_config(options)
    with _open(model, options, photos=1 if dry_run else len(items)) as upscaler:
        if dry_run:
            from dit4sr.runtime.batch.dry_run import format_dry_run

            click.echo(format_dry_run(upscaler, items, config))
        else:
            _run(upscaler, items, config, output=output, json_file=json_file, progress=progress)


def job_config(options: dict[str, Any]) -> JobConfig:
    """The options as one frozen configuration."""
    from dit4sr.runtime.batch.job import Existing, JobConfig
    from dit4sr.runtime.prompt.captions import Captioner, Captions, read_captions

    existing = {"skip_existing": Existing.SKIP, "force": Existing.OVERWRITE, "resume": Existing.RESUME}
    ways = [way for way in existing if options[way]]
    if len(ways) > 1:
        raise click.UsageError("--skip-existing, --force and --resume exclude one another")
    return JobConfig(
        settings=_settings(options),
        captions=Captions(
            for_all=options["prompt"],
            by_name=read_captions(options["prompts_file"]) if options["prompts_file"] else {},
            captioner=Captioner(options["captioner"]) if options["captioner"] is not None else None,
        ),
        negative=options["negative_prompt"],
        seed=options["seed"],
        same_seed=options["same_seed"],
        existing=existing[ways[0]] if ways else Existing.REFUSE,
        continue_on_error=options["continue_on_error"],
        quality=options["quality"],
        keep_metadata=not options["strip_metadata"],
    )


def _settings(options: dict[str, Any]) -> Settings:
    from dit4sr.runtime.image.colour import ColourFix
    from dit4sr.runtime.prompt.wording import Wording
    from dit4sr.runtime.sampling.noise import Rng
    from dit4sr.runtime.sampling.solver import Solver
    from dit4sr.runtime.settings import Settings

    quality = options["quality_prompt"]
    return Settings(
        scale=options["scale"],
        steps=options["steps"],
        solver=Solver(options["solver"]),
        guidance=options["guidance"],
        guidance_interval=options["guidance_interval"],
        rng=Rng(options["rng"]),
        tile=options["tile"] or None,
        overlap=options["tile_overlap"],
        tile_batch=options["tile_batch"],
        colour=ColourFix(options["colour"]),
        wording=Wording() if quality is None else Wording(quality=quality),
        most_pixels=options["max_pixels"],
    )


def _open(model: Path, options: dict[str, Any], *, photos: int) -> Upscaler:
    from dit4sr.runtime.upscaler import Upscaler

    return Upscaler(
        model,
        backend=options["backend"],
        device=options["device"],
        threads=options["threads"],
        # One photo needs each component once.
        keep_components=photos > 1 and not options["low_memory"],
        frugal=options["low_memory"],
    )


def _run(
    upscaler: Upscaler,
    items: Sequence[Item],
    config: JobConfig,
    *,
    output: str,
    json_file: str | None,
    progress: str,
) -> None:
    from dit4sr.runtime.batch.job import Job
    from dit4sr.runtime.batch.ledger import Ledger
    from dit4sr.runtime.batch.records import opened_records, print_record, write_record
    from dit4sr.runtime.console.progress import PictureProgress, StatusLine

    is_folder = all(item.target is not None and item.target != Path(output) for item in items)
    line = StatusLine(is_wanted=progress == "auto")
    pictures = PictureProgress(line, len(items))
    job = Job(upscaler, items, config, Ledger(Path(output)) if is_folder else None, pictures.update)
    finished, failed = 0, 0
    with opened_records(json_file) as stream:
        try:
            for record in job.run():
                finished += 1
                failed += record.status == "failed"
                pictures.finish_picture()
                write_record(record, stream)
                print_record(record, is_plain=progress == "plain" or line.is_shown)
        except KeyboardInterrupt:
            line.clear()
            click.echo(f"stopped after {finished} of {len(items)}; go on with --resume", err=True)
            raise
    if failed:
        raise SomeInputsFailedError(f"{failed} of {len(items)} pictures failed", fix="see the lines above")


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_command(command))
