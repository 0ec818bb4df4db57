"""``dit4sr-upscale``: photos to photos."""

from __future__ import annotations

import contextlib
import secrets
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import click

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError, SomeInputsFailedError

if TYPE_CHECKING:
    from dit4sr.runtime.batch.inputs import Item
    from dit4sr.runtime.batch.job import JobConfig, Record
    from dit4sr.runtime.settings import Settings
    from dit4sr.runtime.upscaler import Upscaler

# NumPy and Pillow are imported when there is work: --help answers at once.

PIPE = "-"
SOLVERS, RNGS = ("euler", "ab2", "dpmpp-2m"), ("torch-cpu", "torch-cuda", "numpy")
COLOUR_FIXES, ENDINGS = ("adain", "wavelet", "none"), ("auto", "png", "jpg", "webp", "tif")


def read_seed(text: str) -> int:
    """A whole number, or the word "random"; a random one is drawn here, once."""
    if text == "random":
        return secrets.randbelow(1 << 32)
    if not text.isascii() or not text.isdigit() or int(text) >= 1 << 64:
        raise click.BadParameter(f"{text!r} is no seed; write a whole number below 2⁶⁴, or random")
    return int(text)


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, no_args_is_help=True)
@click.argument("inputs", nargs=-1, metavar="INPUT...")
@click.option("-i", "--input", "more_inputs", multiple=True, metavar="PATH", help="The same as INPUT.")
@click.option("-o", "--output", metavar="PATH", help='A folder, a file for one picture, or "-".')
@click.option(
    "-m",
    "--model",
    type=click.Path(path_type=Path),
    metavar="BUNDLE",
    help="Folder of a bundle; the built-in dit4sr-tiny by default.",
)
@click.option("-s", "--outscale", "scale", type=float, default=4.0, show_default=True, help="Enlarge by.")
@click.option("--recursive", is_flag=True, help="Search folders within folders.")
@click.option("--steps", type=int, help="Evaluations of the network; the bundle's by default.")
@click.option("--solver", type=click.Choice(SOLVERS), default="euler", show_default=True)
@click.option("--cfg", "--guidance", "guidance", type=float, help="Guidance scale; 1 turns it off.")
@click.option(
    "--guidance-interval",
    type=(float, float),
    default=(0.0, 1.0),
    metavar="LOW HIGH",
    help="Noise levels that are guided; steps outside cost half.",
)
@click.option("--prompt", help="What all pictures show.")
@click.option(
    "--prompts", "prompts_file", type=click.Path(path_type=Path), metavar="JSON", help="Prompts by file name."
)
@click.option("--captioner", metavar="COMMAND", help="Prints a caption; {} stands for the picture.")
@click.option("--quality-prompt", help="Replaces what is added to every prompt.")
@click.option("--negative-prompt", help="Replaces what to keep away from.")
@click.option(
    "--color-fix",
    "--colour-fix",
    "colour",
    type=click.Choice(COLOUR_FIXES),
    default="adain",
    show_default=True,
)
@click.option(
    "-t", "--tile", type=int, default=0, metavar="PIXELS", help="Side of a tile; 0 asks the bundle."
)
@click.option("--tile-overlap", "--tile-pad", type=int, metavar="PIXELS", help="How much tiles share.")
@click.option("--tile-batch", type=int, default=1, show_default=True, help="Tiles in one run of the engine.")
@click.option("--seed", type=read_seed, default="0", show_default=True, metavar="N|random")
@click.option("--same-seed", is_flag=True, help="The seed itself for all, not one by seed and name for each.")
@click.option("--rng", type=click.Choice(RNGS), default="torch-cpu", show_default=True)
@click.option("--backend", default="auto", show_default=True, metavar="NAME")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option(
    "--threads", type=click.IntRange(0, 1024), default=0, help="Of one operator; 0 is one per core."
)
@click.option("--low-memory", "--low-vram", is_flag=True, help="Hold one component, and few wide weights.")
@click.option("--max-pixels", type=click.IntRange(1), default=8192 * 8192, show_default=True)
@click.option("--suffix", default="", help="Put before the ending of every output.")
@click.option("-x", "--ext", "ending", type=click.Choice(ENDINGS), default="auto", show_default=True)
@click.option(
    "--quality", type=click.IntRange(1, 100), default=95, show_default=True, help="Of JPEG and WEBP."
)
@click.option("--strip-metadata", is_flag=True, help="Leave out EXIF and colour profile.")
@click.option("--skip-existing", is_flag=True, help="Pass over outputs that are there.")
@click.option("--overwrite", is_flag=True, help="Replace outputs that are there.")
@click.option("--resume", is_flag=True, help="Go on with a job that was stopped.")
@click.option("--continue-on-error", is_flag=True, help="Go on after a bad picture; exit code 9 at the end.")
@click.option("--json", "json_file", metavar="FILE|-", help="Add a line of JSON for every picture.")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
@click.option("--progress", type=click.Choice(["auto", "plain", "none"]), default="auto", show_default=True)
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
    if output == PIPE and json_file == PIPE:
        raise click.UsageError("picture and --json cannot both go to standard output")

    from dit4sr.runtime.batch.inputs import plan_items  # noqa: PLC0415
    from dit4sr.runtime.bundled import tiny_bundle  # noqa: PLC0415

    model = model or tiny_bundle()
    items = plan_items(
        inputs,
        output,
        recursive=options["recursive"],
        suffix=options["suffix"],
        ending=options["ending"],
    )
    config = job_config(options)
    if dry_run:
        _show_plan(model, items, config, options)
        return
    _run(model, items, config, options, output=output, json_file=json_file, progress=progress)


def job_config(options: dict[str, Any]) -> JobConfig:
    """The options as one frozen configuration."""
    from dit4sr.runtime.batch.job import Existing, JobConfig  # noqa: PLC0415
    from dit4sr.runtime.prompt.captions import Captioner, Captions, read_captions  # noqa: PLC0415

    ways = [way for way in ("skip_existing", "overwrite", "resume") if options[way]]
    if len(ways) > 1:
        raise click.UsageError("--skip-existing, --overwrite and --resume exclude one another")
    existing = {
        "skip_existing": Existing.SKIP,
        "overwrite": Existing.OVERWRITE,
        "resume": Existing.RESUME,
    }
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
    from dit4sr.runtime.image.colour import ColourFix  # noqa: PLC0415
    from dit4sr.runtime.prompt.wording import Wording  # noqa: PLC0415
    from dit4sr.runtime.sampling.noise import Rng  # noqa: PLC0415
    from dit4sr.runtime.sampling.solver import Solver  # noqa: PLC0415
    from dit4sr.runtime.settings import Settings  # noqa: PLC0415

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
    from dit4sr.runtime.upscaler import Upscaler  # noqa: PLC0415

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
    model: Path,
    items: Sequence[Item],
    config: JobConfig,
    options: dict[str, Any],
    *,
    output: str,
    json_file: str | None,
    progress: str,
) -> None:
    from dit4sr.runtime.batch.job import Job  # noqa: PLC0415
    from dit4sr.runtime.batch.ledger import Ledger  # noqa: PLC0415
    from dit4sr.runtime.console.progress import ProgressLine  # noqa: PLC0415

    is_folder = all(item.target is not None and item.target != Path(output) for item in items)
    line = ProgressLine(sys.stderr, len(items)) if progress == "auto" and sys.stderr.isatty() else None
    finished, failed = 0, 0
    with _open(model, options, photos=len(items)) as upscaler, _json_stream(json_file) as stream:
        job = Job(upscaler, items, config, Ledger(Path(output)) if is_folder else None)
        if line:
            job = Job(upscaler, items, config, job.ledger, line.update)
        try:
            for record in job.run():
                finished += 1
                failed += record.status == "failed"
                if line:
                    line.finish_picture()
                _report(record, stream, is_plain=progress == "plain" or line is not None)
        except KeyboardInterrupt:
            if line:
                line.clear()
            click.echo(f"stopped after {finished} of {len(items)}; go on with --resume", err=True)
            raise
    if failed:
        raise SomeInputsFailedError(f"{failed} of {len(items)} pictures failed", fix="see the lines above")


def _report(record: Record, stream: TextIO | None, *, is_plain: bool) -> None:
    if stream:
        stream.write(record.to_json() + "\n")
        stream.flush()
    name, details = record.item.name, record.details
    if record.status == "failed":
        click.echo(f"failed: {details['error']}", err=True)
    elif record.status == "skipped" and is_plain:
        click.echo(f"{name}: skipped, {details['reason']}", err=True)
    elif is_plain:
        width, height = details["output_size"]
        seconds = sum(details["seconds"].values())
        click.echo(f"{name}: {width}×{height} in {seconds:.1f} s, seed {details['seed']}", err=True)
    for warning in details.get("warnings", ()):
        click.echo(f"warning: {name}: {warning}", err=True)


@contextlib.contextmanager
def _json_stream(file: str | None) -> Iterator[TextIO | None]:
    if file is None:
        yield None
    elif file == PIPE:
        yield sys.stdout
    else:
        try:
            stream = Path(file).open("a", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise BadInputError(f"{file} cannot be written ({error.strerror})") from None
        with stream:
            yield stream


def _show_plan(model: Path, items: Sequence[Item], config: JobConfig, options: dict[str, Any]) -> None:
    from dit4sr.runtime.console.table import format_table  # noqa: PLC0415
    from dit4sr.runtime.image.photo import read_content, read_photo  # noqa: PLC0415

    rows, refusals = [], []
    with _open(model, options, photos=1) as upscaler:
        for item in items:
            if item.source is None:
                raise BadInputError("standard input can be read only once", fix="leave out --dry-run")
            try:
                content = read_content(item.source)
                photo = read_photo(content, str(item.source), most_pixels=config.settings.most_pixels)
                final = upscaler.geometry(*photo.size, config.settings).final
            except BadInputError as error:
                refusals.append(str(error))
                continue
            is_there = item.target is not None and item.target.exists()
            rows.append(
                [
                    item.name,
                    "{}×{}".format(*photo.size),
                    "{}×{}".format(*final),
                    str(config.seed_of(item)),
                    f"{item.target or PIPE}{' (exists)' if is_there else ''}",
                ]
            )
        reasons = upscaler.reasons
        if rows:
            click.echo(format_table(["picture", "size", "becomes", "seed", "goes to"], rows))
        for refusal in refusals:
            click.echo(f"would fail: {refusal}")
        click.echo(f"backend {upscaler.backend}" + "".join(f"; {reason}" for reason in reasons))


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_command(command))
