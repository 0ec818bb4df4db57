"""``dit4sr-calibrate``: from a bundle in half precision to one in eight bits, or fewer."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import Example, group, grouped_command, option
from dit4sr.runtime.console.options import (
    NUMBER,
    PATH,
    SOURCE,
    force_option,
    guidance_option,
    json_option,
    seed_option,
    steps_option,
    threads_option,
    typed_options,
)
from dit4sr.runtime.console.output import check_target, command_line, print_result
from dit4sr.runtime.console.progress import StatusLine
from dit4sr.runtime.console.requirements import require, require_onnxruntime

if TYPE_CHECKING:
    from dit4sr.calibrate.config import CalibrationConfig

# NumPy, onnx and the runtime are imported when there is work: --help answers at once.
# ruff: noqa: PLC0415


WITH_SCHEDULE = {
    *("schedules", "min_psnr_to_exact", "html", "images", "held_out", "statistics", "json_file", "force"),
    *("steps", "guidance", "seed", "threads", "timing"),
}
"""Options of a search for schedules."""
EXAMPLES = (
    Example(
        "FP8, by your own photos, and as true as 38 dB",
        "dit4sr-calibrate my-bundle --images photos/ -o my-bundle-fp8 --min-psnr-rgb 38",
    ),
    Example(
        "which schedules are worth their cost, as presets in the bundle's manifest",
        "dit4sr-calibrate my-bundle --schedule --images photos/ --held-out others/ --html schedules.html",
    ),
)


@grouped_command(name="dit4sr-calibrate", examples=EXAMPLES)
@click.argument("bundle", required=False, type=SOURCE)
@group(
    "Input and output",
    option("-o", "--output", type=PATH, help="Folder for the result; BUNDLE-PRECISION here."),
    option("--images", type=PATH, metavar="DIR", help="Photos; samples by default."),
    option("--held-out", type=PATH, metavar="DIR", help="Photos to judge by; some of --images."),
    option(
        "--statistics",
        type=PATH,
        metavar="FILE",
        help="What was observed, for going on and for other scales; beside the output by default.",
    ),
    force_option("Replace the bundle at --output, in one step, and the file of --json."),
    json_option(is_followed_by_inputs=True),
)
@group(
    "Precision and scales",
    option(
        "--precision",
        type=click.Choice(["fp8", "int8"]),
        default="fp8",
        show_default=True,
        help="Of the linear layers' weights and activations.",
    ),
    option(
        "--weights-only",
        type=click.Choice(["int8", "fp8", "int4"]),
        help="Only store weights smaller, of all components; linear layers compute as they did.",
    ),
    option(
        "--method",
        type=click.Choice(["amax", "percentile", "mse"]),
        default="amax",
        show_default=True,
        help="How scales follow from what was observed.",
    ),
    option("--smooth/--no-smooth", default=None, help="Move outliers into weights; on for int8."),
    option(
        "--form",
        type=click.Choice(["tensorrt", "onnxruntime"]),
        default="tensorrt",
        show_default=True,
        help="tensorrt: E4M3 weights with one scale, which is what fuses; runs in both.",
    ),
    option(
        "--switch-scales-at",
        type=click.IntRange(1),
        metavar="STEP",
        help="A second set of scales from this step on; for --form onnxruntime.",
    ),
    option("--quantize-attention", "attention", is_flag=True, help="Also round queries, keys and values."),
)
@group(
    "Schedules",
    option(
        "--schedule",
        "schedules",
        is_flag=True,
        help="Find the presets exact, balanced and fast, and write them into BUNDLE's manifest.",
    ),
    option(
        "--min-psnr-to-exact",
        type=NUMBER,
        default=50.0,
        show_default=True,
        metavar="DB",
        help="Of the pictures of balanced, on average; fast may be 6 dB below.",
    ),
    option("--html", type=PATH, metavar="FILE", help="Write tables and plot as one page."),
)
@group(
    "Quality",
    option(
        "--min-psnr-rgb",
        aliases=["--min-psnr"],
        type=NUMBER,
        default=35.0,
        show_default=True,
        metavar="DB",
        help="Against the pictures of BUNDLE, over all three channels.",
    ),
    option(
        "--max-psnr-drop",
        type=NUMBER,
        default=0.3,
        show_default=True,
        metavar="DB",
        help="Of the same PSNR against the truth, where it is known.",
    ),
    option("--sensitivity/--no-sensitivity", default=True, help="Measure every linear layer alone."),
    steps_option(),
    guidance_option(),
    seed_option(),
)
@group(
    "Speed and memory",
    threads_option(),
    option("--timing/--no-timing", default=True, help="Time a step of both bundles here, in the end."),
)
@click.version_option(package_name="dit4sr")
def command(*, bundle: Path | None, weights_only: str | None, json_file: str | None, **options: Any) -> None:
    """Make BUNDLE run in FP8 or INT8, with as few linear layers kept in FP16 as its pictures ask for.

    Or find the schedules that are worth their cost: --schedule. Without BUNDLE, the built-in dit4sr-tiny is
    calibrated on its sample photographs.
    """
    if options["schedules"]:
        _schedules(bundle, json_file, options)
        return
    if options["html"]:
        raise click.UsageError("--html is for --schedule")
    require("onnx", "onnx_ir", extra="export")
    require_onnxruntime()
    check_target(json_file, replace=options["force"])
    from dit4sr.calibrate.calibrator import calibrate, store_weights_only, timed
    from dit4sr.calibrate.report import format_report
    from dit4sr.calibrate.scales.formats import FORMATS
    from dit4sr.runtime.bundles.built_in import tiny_bundle

    config = _config(bundle or tiny_bundle(), weights_only or options["precision"], options)
    with StatusLine() as line:
        if weights_only:
            report = store_weights_only(config, FORMATS[weights_only], line.show)
        else:
            report = calibrate(config, line.show)
        if options["timing"]:
            report = timed(report, config, line.show)
    print_result(format_report(report), report.to_json(), json_file)


def _schedules(bundle: Path | None, json_file: str | None, options: dict[str, Any]) -> None:
    """Find presets for a bundle; what is said of precisions and scales has no place here."""
    idle = [flag for name, flag in typed_options().items() if name not in WITH_SCHEDULE]
    if idle:
        raise click.UsageError(f"{idle[0]} is not for --schedule")
    if bundle is None:
        raise click.UsageError("no BUNDLE; --schedule writes its presets into one")
    check_target(json_file, replace=options["force"])
    page = options["html"]
    check_target(str(page) if page else None, replace=options["force"])
    from dit4sr.calibrate.schedules.config import ScheduleConfig
    from dit4sr.calibrate.schedules.finder import find_schedules
    from dit4sr.calibrate.schedules.report import as_page, as_text
    from dit4sr.runtime.bundles.schema import to_json
    from dit4sr.runtime.files.whole import write_whole

    config = ScheduleConfig(
        bundle=bundle,
        images=options["images"],
        held_out=options["held_out"],
        findings=options["statistics"],
        steps=options["steps"],
        guidance=options["guidance"],
        seed=options["seed"],
        min_psnr=options["min_psnr_to_exact"],
        threads=options["threads"],
        has_timing=options["timing"],
        command=command_line("dit4sr-calibrate", sys.argv[1:]),
    )
    with StatusLine() as line:
        record = find_schedules(config, line.show)
    if page:
        write_whole(page, as_page(record).encode(), replace=options["force"])
    print_result(as_text(record), to_json(record), json_file)


def _config(bundle: Path, suffix: str, options: dict[str, Any]) -> CalibrationConfig:
    from dit4sr.calibrate.config import CalibrationConfig, Recipe

    recipe = Recipe.default(
        options["precision"],
        options["form"],
        method=options["method"],
        smooth=options["smooth"],
        switch_at=options["switch_scales_at"],
    )
    return CalibrationConfig(
        bundle=bundle,
        output=options["output"] or Path(f"{bundle.name}-{suffix}"),
        recipe=recipe,
        images=options["images"],
        held_out=options["held_out"],
        statistics=options["statistics"],
        steps=options["steps"],
        guidance=options["guidance"],
        seed=options["seed"],
        attention=options["attention"],
        sensitivity=options["sensitivity"],
        max_psnr_drop=options["max_psnr_drop"],
        min_psnr_rgb=options["min_psnr_rgb"],
        replace=options["force"],
        threads=options["threads"],
        command=command_line("dit4sr-calibrate", sys.argv[1:]),
    )


def main() -> None:
    """Entry point."""
    run_process(command)
