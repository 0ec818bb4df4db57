"""``dit4sr-bench``: how fast, how near the machine's limit, how true."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import Example, group, grouped_command, option
from dit4sr.runtime.console.names import NamesType, parse_names
from dit4sr.runtime.console.options import (
    NAME,
    NUMBER,
    PATH,
    SOURCE,
    NumberType,
    backend_option,
    device_option,
    force_option,
    guidance_option,
    json_option,
    preset_option,
    steps_option,
    threads_option,
    trust_engines_option,
)
from dit4sr.runtime.console.output import PIPE, check_target, command_line, write_text
from dit4sr.runtime.console.progress import show_progress
from dit4sr.runtime.console.requirements import require_onnxruntime
from dit4sr.runtime.console.sizes import SIZES

if TYPE_CHECKING:
    from dit4sr.bench.config import BenchConfig
    from dit4sr.bench.pictures import InputPicture
    from dit4sr.bench.plans.record import PlanRecord
    from dit4sr.bench.session import Findings

# NumPy, Pillow and the runtime are imported when there is work: --help answers at once.
# ruff: noqa: PLC0415

BASELINES = ("eager", "compile", "plain")
ABLATIONS = ("folds", "prepare", "inject", "attention", "graph", "guidance-interval")


EXAMPLES = (
    Example(
        "against eager torch and the same network in FP32, with a page to look at",
        "dit4sr-bench my-bundle --baseline eager --reference my-bundle-fp32 --html report.html",
    ),
    Example(
        "was the second of two records slower?",
        "dit4sr-bench --compare before.json after.json --tolerance 0.1",
    ),
)


class BatchesType(click.ParamType):  # type: ignore[type-arg]  # generic only from click 8.2 on
    """Numbers of pictures in one run, separated by commas."""

    name = "batches"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        """The numbers that a word lists."""
        names = parse_names(value)
        if any(not re.fullmatch("[0-9]{1,4}", name) or not 0 < int(name) <= 4096 for name in names):
            self.fail(f"{value!r} are no batch sizes; write 1,2,4", param, ctx)
        return tuple(map(int, names))


@grouped_command(name="dit4sr-bench", examples=EXAMPLES)
@click.argument("bundle", required=False, type=SOURCE)
@group(
    "Input and output",
    option("--picture", type=PATH, help="Photo to restore; a sample by default."),
    option("--truth", type=PATH, help="What --picture ought to become."),
    json_option("Write the record; - prints it in place of the report."),
    option("--markdown", type=NAME, metavar="FILE|-", help="Write the report as Markdown."),
    option("--html", type=NAME, metavar="FILE", help="Write the report as one page."),
    force_option("Replace files that are there."),
    option("--explain", "explaining", is_flag=True, help="Say in sentences what holds it back."),
)
@group(
    "Plans, without a GPU",
    option(
        "--plan", "plans", is_flag=True, help="Ask TensorRT for RTX's compiler, and predict; run nothing."
    ),
    option(
        "--card",
        "cards",
        multiple=True,
        metavar="NAME",
        help="Predict for this card, as L40S; all that are known by default.",
    ),
    option(
        "--as-fp8",
        is_flag=True,
        help="Put an FP16 bundle's step into FP8 first, for the compiler alone: no photo is seen.",
    ),
    option(
        "--measured",
        type=PATH,
        multiple=True,
        metavar="RECORD.json",
        help="Show what a record of this bundle's plans measured beside what is predicted.",
    ),
)
@group(
    "What to measure",
    option(
        "--baseline",
        "baselines",
        type=NamesType(BASELINES, nothing="none"),
        metavar="A,B",
        help=f"Some of {', '.join(BASELINES)}, or none; eager where torch is installed.",
    ),
    option("--checkpoint", type=SOURCE, help="What it was made of, for a cold start in torch."),
    option("--reference", type=SOURCE, metavar="BUNDLE", help="The FP32 bundle."),
    option(
        "--ablate",
        "ablations",
        type=NamesType(),
        default="",
        metavar="A,B",
        help=f"Switch off, one by one: {', '.join(ABLATIONS)}, or what else the network offers.",
    ),
    option("--sizes", type=SIZES, default="", metavar="N,HxW", help="Time a step at these sizes as well."),
    option(
        "--batches",
        type=BatchesType(),
        default="",
        metavar="N,N",
        help="Time a step with so many pictures as well.",
    ),
    option("--no-roofline", is_flag=True, help="Leave out layers and limits."),
    option(
        "--cold", type=click.IntRange(0, 100), default=3, show_default=True, help="Cold starts; 0 for none."
    ),
)
@group(
    "How long to measure",
    option(
        "-w",
        "--warmup",
        type=click.IntRange(0, 1000),
        default=2,
        show_default=True,
        help="Runs that do not count.",
    ),
    option("-r", "--runs", type=click.IntRange(3, 100000), default=10, show_default=True, help="At least."),
    option("--min-time", type=NumberType(0), default=3.0, show_default=True, help="Seconds at least."),
    option(
        "--max-time",
        type=NumberType(0),
        default=10.0,
        show_default=True,
        help="Seconds after which slow work ends.",
    ),
)
@group(
    "Quality",
    preset_option(),
    steps_option(),
    guidance_option(),
    option(
        "--min-psnr-y",
        aliases=["--min-psnr"],
        type=NUMBER,
        metavar="DB",
        help="Fail (exit 6) below; of luma, against --reference or the truth.",
    ),
    option("--min-ssim", type=NUMBER, help="Fail (exit 6) below."),
    option("--max-error", type=click.IntRange(0, 255), help="Fail (exit 6) above, in levels of 255."),
    option(
        "--iqa",
        "metrics",
        type=NamesType(),
        default="",
        metavar="A,B",
        help="PyIQA's metrics by name, where it is installed.",
    ),
)
@group("Speed and memory", backend_option(), trust_engines_option(), device_option(), threads_option())
@group(
    "Comparing two records",
    option(
        "--compare",
        "compared",
        nargs=2,
        type=PATH,
        metavar="A.json B.json",
        help="Was B slower than A, and how far are its pictures? Exit 8 if slower.",
    ),
    option(
        "--tolerance",
        type=NumberType(0, 10),
        default=0.05,
        show_default=True,
        help="Share of A's time that B may be slower by.",
    ),
    option("--cross-machine", is_flag=True, help="Normalise by what each machine measured."),
)
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
        check_target(output, replace=options["force"])
    if options["plans"]:
        _plans(bundle, options)
        return
    if idle := [flag for flag in ("cards", "as_fp8", "measured") if options[flag]]:
        raise click.UsageError(f"--{idle[0].removesuffix('s').replace('_', '-')} is for --plan")

    # Even where another engine is measured, the machine's limits and the FP32 result are ONNX Runtime's.
    require_onnxruntime()
    from dit4sr.bench.accuracy.gates import Gates
    from dit4sr.bench.session import run_session

    findings = run_session(bench_config(bundle, options), show_progress)
    _report(findings, options)
    Gates(options["min_psnr_y"], options["min_ssim"], options["max_error"]).check(findings.record.accuracy)


def bench_config(bundle: Path | None, options: dict[str, Any]) -> BenchConfig:
    """The options as one frozen configuration."""
    from dit4sr.bench.config import BenchConfig, default_baselines, default_checkpoint
    from dit4sr.bench.measure.stopwatch import StopRule
    from dit4sr.bench.subject import bundle_path
    from dit4sr.runtime import Settings

    path = bundle_path(bundle)
    return BenchConfig(
        bundle=path,
        settings=Settings(preset=options["preset"], steps=options["steps"], guidance=options["guidance"]),
        pictures=_pictures(options["picture"], options["truth"]),
        is_cropped=options["picture"] is None,
        backend=options["backend"],
        device=options["device"],
        threads=options["threads"],
        trust_engines=options["trust_engines"],
        rule=StopRule(options["warmup"], options["runs"], options["min_time"], options["max_time"]),
        cold_runs=options["cold"],
        baselines=default_baselines(path) if options["baselines"] is None else options["baselines"],
        checkpoint=options["checkpoint"] or default_checkpoint(path),
        reference=options["reference"],
        ablations=options["ablations"],
        sizes=options["sizes"],
        batches=options["batches"],
        has_roofline=not options["no_roofline"],
        metrics=options["metrics"],
        command=command_line("dit4sr-bench", sys.argv[1:]),
    )


def main() -> None:
    """Entry point of the console script."""
    run_process(command)


def _pictures(picture: Path | None, truth: Path | None) -> tuple[InputPicture, ...]:
    from dit4sr.bench.pictures import InputPicture, sample_pictures

    if picture is None and truth is not None:
        raise click.UsageError("--truth is that of a --picture")
    return tuple(sample_pictures()) if picture is None else (InputPicture.read(picture, truth),)


def _report(findings: Findings, options: dict[str, Any]) -> None:
    from dit4sr.bench.report.html import html_report
    from dit4sr.bench.report.markdown import markdown_report
    from dit4sr.bench.report.terminal import terminal_report

    record = findings.record
    _write(
        options,
        terminal=lambda: terminal_report(record, with_explanation=options["explaining"]),
        json_file=record.to_text,
        markdown=lambda: markdown_report(record),
        html=lambda: html_report(record, findings.pictures),
    )


def _plans(bundle: Path | None, options: dict[str, Any]) -> None:
    if options["as_fp8"] and options["measured"]:
        raise click.UsageError("nothing has run the plans of --as-fp8, so there is nothing --measured")
    from dit4sr.bench.plans.cards import cards_named
    from dit4sr.bench.plans.config import PlanRequest
    from dit4sr.bench.plans.report import html_plans, markdown_plans, terminal_plans
    from dit4sr.bench.plans.session import plan_record
    from dit4sr.bench.subject import bundle_path

    request = PlanRequest(
        bundle_path(bundle),
        cards_named(options["cards"]),
        with_plain=options["baselines"] is None or "plain" in options["baselines"],
        as_fp8=options["as_fp8"],
        measured=options["measured"],
        command=command_line("dit4sr-bench", sys.argv[1:]),
    )
    record = plan_record(request, show_progress)
    _write(
        options,
        terminal=lambda: terminal_plans(record),
        json_file=record.to_text,
        markdown=lambda: markdown_plans(record),
        html=lambda: html_plans(record),
    )


def _write(options: dict[str, Any], *, terminal: Callable[[], str], **forms: Callable[[], str]) -> None:
    """Print the report, unless one of its other forms goes to standard output, and write those asked for."""
    if PIPE not in {options["json_file"], options["markdown"]}:
        click.echo(terminal())
    for name, form in forms.items():
        if options[name]:
            write_text(options[name], form())


def _compare(before: Path, after: Path, *, tolerance: float, across: bool) -> None:
    from dit4sr.bench.plans.record import is_plan_record, read_plan_record
    from dit4sr.bench.record import read_record
    from dit4sr.bench.report.differences import format_differences
    from dit4sr.bench.report.regressions import compare, format_changes, refuse_regressions

    kinds = [is_plan_record(path) for path in (before, after)]
    if all(kinds):
        _compare_plans(read_plan_record(before), read_plan_record(after))
        return
    if any(kinds):
        raise click.UsageError("one record is of plans, and the other of measurements")
    records = [read_record(path) for path in (before, after)]
    changes = compare(*records, tolerance=tolerance, across_machines=across)
    click.echo(f"{format_changes(changes)}\n\n{format_differences(*records)}")
    if any(record.environment.is_busy for record in records):
        click.echo("warning: a machine was busy when it was measured", err=True)
    refuse_regressions(changes)


def _compare_plans(before: PlanRecord, after: PlanRecord) -> None:
    """Of one system, more than before is a fault; two systems are shown side by side."""
    if before.system != after.system:
        from dit4sr.bench.plans.side_by_side import side_by_side
        from dit4sr.bench.report.terminal import terminal_text

        click.echo(terminal_text([], [side_by_side(before, after)]).lstrip())
        return
    from dit4sr.bench.plans.comparison import compare_plans, format_plan_changes, refuse_growth

    plans = compare_plans(before, after)
    click.echo(format_plan_changes(plans))
    refuse_growth(plans)


if __name__ == "__main__":
    main()
