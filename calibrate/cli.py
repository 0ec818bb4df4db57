"""``dit4sr-calibrate``: from a bundle in half precision to one in eight bits, or fewer."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from dit4sr.runtime.console.command import run_command
from dit4sr.runtime.errors import MissingDependencyError

if TYPE_CHECKING:
    from dit4sr.calibrate.config import CalibrationConfig
    from dit4sr.calibrate.report import Report

# NumPy, onnx and the runtime are imported when there is work: --help answers at once.
# ruff: noqa: PLC0415


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), help="Folder for the result; BUNDLE-PRECISION here."
)
@click.option("--precision", type=click.Choice(["fp8", "int8"]), default="fp8", show_default=True)
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Photos; samples by default.")
@click.option(
    "--held-out", type=click.Path(path_type=Path), metavar="DIR", help="Photos to judge by; some of --images."
)
@click.option("--method", type=click.Choice(["amax", "percentile", "mse"]), default="amax", show_default=True)
@click.option("--smooth/--no-smooth", default=None, help="Move outliers into weights; on for int8.")
@click.option(
    "--form",
    type=click.Choice(["tensorrt", "onnxruntime"]),
    default="tensorrt",
    show_default=True,
    help="tensorrt: E4M3 weights with one scale, which is what fuses; runs in both.",
)
@click.option(
    "--switch-scales-at",
    type=click.IntRange(1),
    metavar="STEP",
    help="A second set of scales from this step on; for --form onnxruntime.",
)
@click.option("--quantize-attention", "attention", is_flag=True, help="Also round queries, keys and values.")
@click.option(
    "--weights-only",
    type=click.Choice(["int8", "fp8", "int4"]),
    help="Only store weights smaller, of all components; products stay as they are.",
)
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps; the bundle's by default.")
@click.option("--guidance", type=float, help="Guidance scale; the bundle's by default.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--max-psnr-drop", type=float, default=0.3, show_default=True, metavar="DB")
@click.option("--min-psnr", type=float, default=35.0, show_default=True, metavar="DB")
@click.option("--sensitivity/--no-sensitivity", default=True, help="Measure every product alone.")
@click.option(
    "--statistics",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="What was observed, for going on and for other scales; beside the output by default.",
)
@click.option("--force", is_flag=True, help="Replace the bundle at --output, in one step.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="0 is one per core.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of tables.")
@click.version_option(package_name="dit4sr")
def command(*, bundle: Path | None, weights_only: str | None, as_json: bool, **options: Any) -> None:
    """Make BUNDLE run in FP8 or INT8, with as few products kept in FP16 as its pictures ask for.

    Without BUNDLE, the built-in dit4sr-tiny is calibrated on its sample photographs.
    """
    _require("onnx", "onnx_ir")
    from dit4sr.calibrate.calibrator import calibrate, store_weights_only
    from dit4sr.calibrate.scales.formats import FORMATS
    from dit4sr.runtime.bundled import tiny_bundle

    config = _config(bundle or tiny_bundle(), weights_only or options["precision"], options)
    line = _Line()
    try:
        if weights_only:
            report = store_weights_only(config, FORMATS[weights_only], line.show)
        else:
            report = calibrate(config, line.show)
    finally:
        line.clear()
    _print(report, as_json=as_json)


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
        min_psnr_rgb=options["min_psnr"],
        replace=options["force"],
        threads=options["threads"],
        command=shlex.join(["dit4sr-calibrate", *sys.argv[1:]]),
    )


class _Line:
    """What is being done, on a terminal; nothing in a pipe."""

    def __init__(self) -> None:
        self._width, self._is_shown = 0, sys.stderr.isatty()

    def show(self, text: str) -> None:
        if self._is_shown:
            click.echo(f"\r{text.ljust(self._width)}", nl=False, err=True)
            self._width = len(text)

    def clear(self) -> None:
        if self._is_shown and self._width:
            click.echo(f"\r{' ' * self._width}\r", nl=False, err=True)


def _print(report: Report, *, as_json: bool) -> None:
    from dit4sr.calibrate.report import format_report

    click.echo(json.dumps(report.to_json(), indent=2) if as_json else format_report(report))


def _require(*modules: str) -> None:
    import importlib.util

    for module in modules:
        if importlib.util.find_spec(module) is None:
            raise MissingDependencyError(f"{module} is not installed", fix="pip install 'dit4sr[export]'")


def main() -> None:
    """Entry point."""
    sys.exit(run_command(command))
