"""``python -m dit4sr.calibrate``: the study whose tables stand in the documentation."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import click

from dit4sr.runtime.console.command import run_command

SHOWN = ("FP8, amax, one scale per weight", "INT8, SmoothQuant, one per output")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("bundle", required=False, type=click.Path(path_type=Path))
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Photos; samples by default.")
@click.option("--held-out", type=click.Path(path_type=Path), metavar="DIR", help="Photos to judge by.")
@click.option("--steps", type=click.IntRange(1, 1000), help="Steps; the bundle's by default.")
@click.option("--sensitivity/--no-sensitivity", default=True, help="Measure every product alone.")
@click.option("--threads", type=click.IntRange(0, 1024), default=0, help="0 is one per core.")
@click.option("--page", type=click.Path(path_type=Path), metavar="FILE", help="Markdown to put the table in.")
@click.option("--picture", type=click.Path(path_type=Path), metavar="FILE", help="PNG to write.")
def command(
    *,
    bundle: Path | None,
    images: Path | None,
    held_out: Path | None,
    steps: int | None,
    sensitivity: bool,
    threads: int,
    page: Path | None,
    picture: Path | None,
) -> None:
    """Compare every way of choosing scales on BUNDLE, by default the model in the box."""
    from dit4sr.calibrate.config import CalibrationConfig, Recipe  # noqa: PLC0415
    from dit4sr.calibrate.study import page as pages  # noqa: PLC0415 - --help answers at once
    from dit4sr.calibrate.study.study import run_study  # noqa: PLC0415
    from dit4sr.runtime.bundled import tiny_bundle  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="dit4sr-study-") as scratch:
        config = CalibrationConfig(
            bundle or tiny_bundle(),
            Path(scratch) / "study",
            Recipe.default("fp8"),
            images=images,
            held_out=held_out,
            steps=steps,
            sensitivity=sensitivity,
            threads=threads,
        )
        found = run_study(config, lambda text: click.echo(text, err=True))
    click.echo(pages.as_markdown(found))
    if page:
        pages.put_between_marks(page, pages.as_markdown(found))
    if picture:
        pages.save_picture(pages.side_by_side(found, SHOWN), picture)


if __name__ == "__main__":
    sys.exit(run_command(command))
