"""``python -m dit4sr.calibrate.schedules RECORD.json``: a search's tables and plot, for the documentation."""

from __future__ import annotations

from pathlib import Path

import click

from dit4sr.calibrate.schedules.plot import draw
from dit4sr.calibrate.schedules.record import read_schedule_record
from dit4sr.calibrate.schedules.report import as_markdown
from dit4sr.calibrate.study.page import put_between_marks
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import option
from dit4sr.runtime.console.options import PATH


@click.command()
@click.argument("record", type=PATH)
@option("--page", type=PATH, metavar="FILE", help="Markdown to put the tables in, between its marks.")
@option("--plot", type=PATH, metavar="FILE", help="SVG to write.")
def command(*, record: Path, page: Path | None, plot: Path | None) -> None:
    """Show what RECORD says, which --json of a search has written."""
    found = read_schedule_record(record)
    click.echo(as_markdown(found))
    if page:
        put_between_marks(page, as_markdown(found))
    if plot:
        plot.write_text(draw(found), encoding="utf-8")


if __name__ == "__main__":
    run_process(command)
