"""``python -m dit4sr.calibrate``: the study whose tables stand in the documentation."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import grouped_command, option
from dit4sr.runtime.console.options import PATH, steps_option, threads_option
from dit4sr.runtime.console.progress import show_progress

SHOWN = ("FP8, amax, one scale per weight", "INT8, SmoothQuant, one per output")


@grouped_command()
@click.argument("bundle", required=False, type=PATH)
@option("--images", type=PATH, metavar="DIR", help="Photos; samples by default.")
@option("--held-out", type=PATH, metavar="DIR", help="Photos to judge by.")
@steps_option()
@option("--sensitivity/--no-sensitivity", default=True, help="Measure every linear layer alone.")
@threads_option()
@option("--page", type=PATH, metavar="FILE", help="Markdown to put the table in.")
@option("--picture", type=PATH, metavar="FILE", help="PNG to write.")
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
    from dit4sr.runtime.bundles.built_in import tiny_bundle  # noqa: PLC0415

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
        found = run_study(config, show_progress)
    click.echo(pages.as_markdown(found))
    if page:
        pages.put_between_marks(page, pages.as_markdown(found))
    if picture:
        pages.save_picture(pages.side_by_side(found, SHOWN), picture)


if __name__ == "__main__":
    run_process(command)
