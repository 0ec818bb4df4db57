"""``dit4sr-bench``: how fast, how near the machine's limit, how true."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import BadInputError

if TYPE_CHECKING:
    from dit4sr.bench.config import BenchConfig
    from dit4sr.bench.pictures import InputPicture
    from dit4sr.bench.session import Findings

# NumPy, Pillow and the runtime are imported when there is work: --help answers at once.
# ruff: noqa: PLC0415

BASELINES = ("eager", "compile", "plain")
ABLATIONS = ("folds", "prepare", "inject", "attention", "graph", "guidance-interval")
NONE, AUTO, PIPE = "none", "auto", "-"


def names(text: str | None) -> tuple[str, ...]:
    """Read "eager,plain"."""
    return tuple(part.strip() for part in text.split(",") if part.strip()) if text else ()


def sizes(text: str | None) -> tuple[tuple[int, int], ...]:
    """Read "512,512x768": height by width, one number is a square."""
    found = []
    for part in names(text):
        match = re.fullmatch(r"(\d{1,5})(?:[x×](\d{1,5}))?", part)
        if not match:
            raise click.BadParameter(f"{part!r} is not a size; write 512 or 512x768 (height by width)")
        found.append((int(match[1]), int(match[2] or match[1])))
    return tuple(found)


def batches(text: str | None) -> tuple[int, ...]:
    """Read "1,2,4"."""
    if any(not part.isdecimal() or not 0 < int(part) <= 4096 for part in names(text)):
        raise click.BadParameter(f"{text!r} are no batch sizes; write 1,2,4")
    return tuple(int(part) for part in names(text))


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--picture", type=click.Path(path_type=Path), help="Photo to restore; a sample by default.")
@click.option("--truth", type=click.Path(path_type=Path), help="What --picture ought to become.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps; the bundle's by default.")
@click.option("--guidance", type=float, help="Guidance scale; the bundle's by default.")
@click.option("--backend", default=AUTO, show_default=True, metavar="NAME")
@click.option("--device", type=click.Choice([AUTO, "cpu", "cuda"]), default=AUTO, show_default=True)
@click.option(
    "--threads", type=click.IntRange(0, 1024), default=0, help="Of one operator; 0 is one per core."
)
@click.option(
    "--baseline",
    metavar="A,B",
    help=f"Some of {', '.join(BASELINES)}, or none; eager where torch is installed.",
)
@click.option(
    "--checkpoint", type=click.Path(path_type=Path), help="What it was made of, for a cold start in torch."
)
@click.option("--reference", type=click.Path(path_type=Path), metavar="BUNDLE", help="The FP32 bundle.")
@click.option("--ablate", metavar="A,B", help=f"Switch off, one by one: {', '.join(ABLATIONS)}.")
@click.option("--sizes", "swept_sizes", metavar="N,HxW", help="Time a step at these picture sizes as well.")
@click.option("--batches", "swept_batches", metavar="N,N", help="Time a step with so many pictures as well.")
@click.option("--iqa", metavar="A,B", help="PyIQA's metrics by name, where it is installed.")
@click.option(
    "--cold", type=click.IntRange(0, 100), default=3, show_default=True, help="Cold starts; 0 for none."
)
@click.option("--no-roofline", is_flag=True, help="Leave out layers and limits.")
@click.option("-w", "--warmup", type=click.IntRange(0, 1000), default=2, show_default=True)
@click.option("-r", "--runs", type=click.IntRange(3, 100000), default=10, show_default=True, help="At least.")
@click.option(
    "--min-time", type=click.FloatRange(0), default=3.0, show_default=True, help="Seconds at least."
)
@click.option(
    "--max-time",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds after which slow work ends.",
)
@click.option("--min-psnr", type=float, help="Fail (exit 6) below.")
@click.option("--min-ssim", type=float, help="Fail (exit 6) below.")
@click.option("--max-error", type=int, help="Fail (exit 6) above, in levels of 255.")
@click.option("--explain", "explaining", is_flag=True, help="Say in sentences what holds it back.")
@click.option("--json", "json_file", metavar="FILE|-", help="Write the record.")
@click.option("--markdown", metavar="FILE|-", help="Write the report as Markdown.")
@click.option("--html", metavar="FILE", help="Write the report as one page.")
@click.option("--force", is_flag=True, help="Replace files that are there.")
@click.option(
    "--compare",
    "compared",
    nargs=2,
    type=click.Path(path_type=Path),
    metavar="A.json B.json",
    help="Was B slower than A? Exit 8 if so.",
)
@click.option(
    "--tolerance", type=click.FloatRange(0, 10), default=0.05, show_default=True, help="Of --compare."
)
@click.option("--cross-machine", is_flag=True, help="Of --compare: normalise by what each machine measured.")
@click.version_option(package_name="dit4sr")
def command(bundle: Path | None, *, compared: tuple[Path, Path] | None, **options: Any) -> None:
    """Measure BUNDLE: latency, baselines, roofline, accuracy. Without BUNDLE, the model in the box."""
    if compared:
        _compare(*compared, tolerance=options["tolerance"], across=options["cross_machine"])
        return
    outputs = [options[name] for name in ("json_file", "markdown", "html") if options[name]]
    if outputs.count(PIPE) > 1:
        raise click.UsageError("only one of --json and --markdown can go to standard output")
    for output in outputs:
        _check_output(output, is_forced=options["force"])

    from dit4sr.bench.accuracy.gates import Gates
    from dit4sr.bench.session import run_session

    findings = run_session(bench_config(bundle, options), _progress)
    _report(findings, options)
    Gates(options["min_psnr"], options["min_ssim"], options["max_error"]).check(findings.record.accuracy)


def bench_config(bundle: Path | None, options: dict[str, Any]) -> BenchConfig:
    """The options as one frozen configuration."""
    from dit4sr.bench.config import BenchConfig, default_baselines, default_checkpoint
    from dit4sr.bench.measure.stopwatch import StopRule
    from dit4sr.bench.subject import bundle_path
    from dit4sr.runtime import Settings

    asked = options["baseline"]
    baselines = default_baselines() if asked is None else () if asked == NONE else names(asked)
    _check_names("baseline", baselines, BASELINES)
    _check_names("ablate", names(options["ablate"]), ABLATIONS)
    path = bundle_path(bundle)
    return BenchConfig(
        bundle=path,
        pictures=_pictures(options["picture"], options["truth"]),
        is_cropped=options["picture"] is None,
        settings=Settings(steps=options["steps"], guidance=options["guidance"]),
        backend=options["backend"],
        device=options["device"],
        threads=options["threads"],
        rule=StopRule(options["warmup"], options["runs"], options["min_time"], options["max_time"]),
        cold_runs=options["cold"],
        baselines=baselines,
        checkpoint=options["checkpoint"] or default_checkpoint(path),
        reference=options["reference"],
        ablations=names(options["ablate"]),
        sizes=sizes(options["swept_sizes"]),
        batches=batches(options["swept_batches"]),
        has_roofline=not options["no_roofline"],
        metrics=names(options["iqa"]),
        command=shlex.join(["dit4sr-bench", *sys.argv[1:]]),
    )


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run_command(command))


def _pictures(picture: Path | None, truth: Path | None) -> tuple[InputPicture, ...]:
    from dit4sr.bench.pictures import InputPicture, sample_pictures

    if picture is None and truth is not None:
        raise click.UsageError("--truth is that of a --picture")
    return tuple(sample_pictures()) if picture is None else (InputPicture.read(picture, truth),)


def _check_names(option: str, given: tuple[str, ...], known: tuple[str, ...]) -> None:
    if unknown := [name for name in given if name not in known]:
        raise BadInputError(f"--{option} {unknown[0]!r}", expected=f"some of {', '.join(known)}")


def _check_output(file: str, *, is_forced: bool) -> None:
    """Before minutes of measuring, not after."""
    path = Path(file)
    if file == PIPE:
        return
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise BadInputError(f"{path} cannot be written", expected="a file in a folder that exists")
    if path.exists() and not is_forced:
        raise BadInputError(f"{path} exists", fix="choose another name, or replace it with --force")


def _report(findings: Findings, options: dict[str, Any]) -> None:
    from dit4sr.bench.report.html import html_report
    from dit4sr.bench.report.markdown import markdown_report
    from dit4sr.bench.report.terminal import terminal_report

    record = findings.record
    if PIPE not in {options["json_file"], options["markdown"]}:
        click.echo(terminal_report(record, with_explanation=options["explaining"]))
    if options["json_file"]:
        _write(options["json_file"], record.to_text())
    if options["markdown"]:
        _write(options["markdown"], markdown_report(record))
    if options["html"]:
        _write(options["html"], html_report(record, findings.pictures))


def _write(file: str, text: str) -> None:
    if file == PIPE:
        click.echo(text, nl=False)
        return
    target = Path(file)
    draft = target.with_name(f".{target.name}.partial")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise BadInputError(f"{file} cannot be written ({error.strerror})") from None


def _compare(before: Path, after: Path, *, tolerance: float, across: bool) -> None:
    from dit4sr.bench.record import read_record
    from dit4sr.bench.report.regressions import compare, format_changes, refuse_regressions

    records = [read_record(path) for path in (before, after)]
    changes = compare(*records, tolerance=tolerance, across_machines=across)
    click.echo(format_changes(changes))
    if any(record.environment.is_busy for record in records):
        click.echo("warning: a machine was busy when it was measured", err=True)
    refuse_regressions(changes)


def _progress(line: str) -> None:
    """Long work is shown to people, not to pipes."""
    if sys.stderr.isatty():
        click.echo(f"… {line}", err=True)


if __name__ == "__main__":
    main()
