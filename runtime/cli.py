"""``dit4sr-upscale``: photos to photos."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.cluster.addresses import ClusterType, is_cluster_address
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import Example, group, grouped_command, option
from dit4sr.runtime.console.options import (
    NUMBER,
    PATH,
    PLACE,
    SOURCE,
    backend_option,
    device_option,
    force_option,
    guidance_option,
    json_option,
    low_memory_option,
    max_pixels_option,
    preset_option,
    seed_option,
    steps_option,
    threads_option,
    trust_engines_option,
    typed_options,
)
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.errors import BadInputError

if TYPE_CHECKING:
    from dit4sr.runtime.batch.inputs import Item
    from dit4sr.runtime.batch.job import JobConfig
    from dit4sr.runtime.batch.session import Session
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
@click.argument("inputs", nargs=-1, type=PLACE, metavar="INPUT...")
@group(
    "Input and output",
    option(
        "-i", "--input", "more_inputs", type=PLACE, multiple=True, metavar="PATH", help="The same as INPUT."
    ),
    option("-o", "--output", type=PLACE, metavar="PATH", help='A folder, a file for one picture, or "-".'),
    option(
        "-m",
        "--model",
        aliases=["-n"],
        type=SOURCE,
        metavar="BUNDLE",
        help="A folder, or hf://owner/name; the built-in dit4sr-tiny by default.",
    ),
    option("--recursive", is_flag=True, help="Search folders within folders."),
    option("-s", "--outscale", "scale", type=NUMBER, default=4.0, show_default=True, help="Enlarge by."),
    option("--suffix", default="", help="Put before the ending of every output."),
    option(
        "-x",
        "--ext",
        "ending",
        aliases=["-f"],
        type=click.Choice(ENDINGS),
        default="auto",
        show_default=True,
        help="Format of the outputs; auto keeps the input's. (Not TTA, which -x is in realesrgan-ncnn.)",
    ),
    option("--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG and WEBP."),
    option("--strip-metadata", is_flag=True, help="Leave out EXIF and colour profile."),
    json_option("Add a line of JSON for every picture; - prints it."),
    option(
        "--compare-sheet",
        "sheet",
        type=PATH,
        metavar="FILE.html",
        help="Also write one page with every picture before and after.",
    ),
)
@group(
    "What is there already",
    option("--skip-existing", is_flag=True, help="Pass over outputs that are there."),
    force_option("Replace outputs that are there."),
    option("--resume", is_flag=True, help="Go on with a job that was stopped."),
    option("--continue-on-error", is_flag=True, help="Go on after a bad picture; exit code 9 at the end."),
    option("--dry-run", is_flag=True, help="Say what would be done, and what it would take."),
)
@group(
    "Prompts",
    option("--prompt", help="What all pictures show."),
    option("--prompts", "prompts_file", type=PATH, metavar="JSON", help="Prompts by file name."),
    option("--captioner", metavar="COMMAND", help="Prints a caption; {} stands for the picture."),
    option("--quality-prompt", help="Replaces what is added to every prompt."),
    option("--negative-prompt", help="Replaces what to keep away from."),
    option(
        "--text-tokens",
        type=int,
        metavar="N",
        help="Rows of a prompt; the bundle's by default, 333 as DiT4SR is released, 154 as it was trained.",
    ),
)
@group(
    "Quality",
    preset_option(),
    steps_option(),
    option(
        "--solver",
        type=click.Choice(SOLVERS),
        help="How a step is taken, euler by default; the others need fewer.",
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
    trust_engines_option(),
    device_option(),
    threads_option(),
    option("-t", "--tile", type=int, default=0, metavar="PIXELS", help="Side of a tile; 0 asks the bundle."),
    option(
        "--tile-overlap",
        aliases=["--tile-pad", "--tile_pad"],
        type=int,
        metavar="PIXELS",
        help="How much tiles share.",
    ),
    option("--tile-batch", type=int, default=1, show_default=True, help="Tiles in one run of the engine."),
    low_memory_option(),
    max_pixels_option("Refuse larger pictures before they are decoded."),
)
@group(
    "Many machines",
    option(
        "--ray",
        type=ClusterType(),
        bare="",
        takes=is_cluster_address,
        metavar="[ADDRESS]",
        help="Restore over a Ray cluster: that of RAY_ADDRESS or this machine's cores; or auto, HOST:PORT.",
    ),
)
@option(
    "--progress",
    type=click.Choice(["auto", "plain", "none"]),
    default="auto",
    show_default=True,
    help="auto: a line that moves on a terminal; plain: a line a picture; none: not even the last line.",
)
@click.version_option(package_name="dit4sr")
def command(
    *,
    inputs: Sequence[str],
    more_inputs: Sequence[str],
    output: str | None,
    model: Path | None,
    json_file: str | None,
    sheet: Path | None,
    dry_run: bool,
    progress: str,
    ray: str | None,
    **options: Any,
) -> None:
    """Restore and enlarge pictures: files, folders, patterns, addresses, or - for standard input.

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

    if ray is not None:
        from dit4sr.runtime.cluster.session import OPENING, check_session, run_on_cluster

        check_session(output, inputs, dry_run=dry_run)

    from dit4sr.runtime.batch.inputs import plan_items
    from dit4sr.runtime.batch.session import Session

    items = plan_items(
        inputs,
        output,
        recursive=options["recursive"],
        suffix=options["suffix"],
        ending=options["ending"],
    )
    config = job_config(options)
    if sheet is not None:
        from dit4sr.runtime.batch.sheet import check_sheet

        check_sheet(sheet, items, config.existing)
    opening = _opening(options, photos=len(items))
    with _open(model, OPENING if ray is not None else opening) as upscaler:
        if dry_run:
            _look(upscaler, items, config, options, json_file)
            return
        session = Session(upscaler, items, config, typed_options(), json_file, sheet, progress)
        if ray is not None:
            run_on_cluster(ray, session, output, model, opening)
        else:
            _run(session, output)


def job_config(options: dict[str, Any]) -> JobConfig:
    """The options as one frozen configuration."""
    from dit4sr.runtime.batch.job import Existing, JobConfig
    from dit4sr.runtime.prompt.captioner import Captioner
    from dit4sr.runtime.prompt.captions import Captions, read_captions

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
    from dit4sr.runtime.prompt.wording import Wording
    from dit4sr.runtime.settings import Settings

    quality = options["quality_prompt"]
    return Settings(
        scale=options["scale"],
        preset=options["preset"],
        steps=options["steps"],
        solver=options["solver"],
        guidance=options["guidance"],
        guidance_interval=options["guidance_interval"],
        rng=options["rng"],
        text_tokens=options["text_tokens"],
        tile=options["tile"] or None,
        overlap=options["tile_overlap"],
        tile_batch=options["tile_batch"],
        colour=options["colour"],
        wording=Wording() if quality is None else Wording(quality=quality),
        most_pixels=options["max_pixels"],
    )


def _open(model: Path | None, opening: Mapping[str, Any]) -> Upscaler:
    from dit4sr.runtime.upscaler import Upscaler

    return Upscaler(model, **opening)


def _opening(options: dict[str, Any], *, photos: int) -> dict[str, Any]:
    """How a bundle is opened, here or wherever else it restores."""
    return {
        "backend": options["backend"],
        "device": options["device"],
        "threads": options["threads"],
        # One photo needs each component once.
        "keep_components": photos > 1 and not options["low_memory"],
        "frugal": options["low_memory"],
        "trust_engines": options["trust_engines"],
    }


def _look(
    upscaler: Upscaler,
    items: Sequence[Item],
    config: JobConfig,
    options: dict[str, Any],
    json_file: str | None,
) -> None:
    from dit4sr.runtime.batch.dry_run import DryRun
    from dit4sr.runtime.batch.records import opened_records

    estimator = upscaler.estimator(threads=options["threads"])
    found = DryRun.of(upscaler, estimator, items, config)
    if json_file != PIPE:
        click.echo(found.text())
    with opened_records(json_file) as stream:
        if stream:
            stream.writelines(f"{line}\n" for line in found.records())


def _run(session: Session, output: str) -> None:
    from dit4sr.runtime.batch.job import Job
    from dit4sr.runtime.batch.ledger import Ledger
    from dit4sr.runtime.batch.summary import Summary
    from dit4sr.runtime.console.progress import PictureProgress, StatusLine
    from dit4sr.runtime.costs.bundle_costs import BundleCosts
    from dit4sr.runtime.costs.rates import NOMINAL
    from dit4sr.runtime.files.address import place_of

    upscaler, items = session.upscaler, session.items
    for notice in upscaler.notices:
        click.echo(f"note: {notice}", err=True)
    place = place_of(output)
    is_folder = all(item.target is not None and item.target != place for item in items)
    line = StatusLine(is_wanted=session.progress == "auto")
    costs = BundleCosts(upscaler.bundle)
    pictures = PictureProgress(line, len(items), lambda plan: costs.run_seconds(plan, NOMINAL) or {})
    is_plain = session.progress == "plain" or line.is_shown
    with Ledger(place) if is_folder else nullcontext() as ledger:
        job = Job(upscaler, items, session.config, ledger, pictures.update, pictures.begin)
        session.tell(job.run(), pictures, Summary(session.config.seed), is_plain=is_plain)


def main() -> None:
    """Entry point of the console script."""
    run_process(command)
