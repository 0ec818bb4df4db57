"""``python -m dit4sr.calibrate.schedules RECORD.json``: a search's tables and plot, for the documentation."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import click

from dit4sr.calibrate.observe.photos import sample_cases
from dit4sr.calibrate.schedules.plot import draw
from dit4sr.calibrate.schedules.record import ScheduleRecord, read_schedule_record
from dit4sr.calibrate.schedules.report import as_markdown
from dit4sr.calibrate.schedules.timing import time_in_turns
from dit4sr.calibrate.study.page import put_between_marks
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.console.help import option
from dit4sr.runtime.console.options import PATH
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.whole import write_whole
from dit4sr.runtime.machine.host import processor_name, usable_cores
from dit4sr.runtime.settings import Settings
from dit4sr.runtime.upscaler import Upscaler


@click.command()
@click.argument("record", type=PATH)
@option("--page", type=PATH, metavar="FILE", help="Markdown to put the tables in, between its marks.")
@option("--plot", type=PATH, metavar="FILE", help="SVG to write.")
@option("--time", "timed", type=PATH, metavar="BUNDLE", help="Time its presets anew, into RECORD.")
def command(*, record: Path, page: Path | None, plot: Path | None, timed: Path | None) -> None:
    """Show what RECORD says, which --json of a search has written."""
    found = read_schedule_record(record)
    if timed:
        found = timed_anew(found, timed)
        write_whole(record, found.to_text().encode(), replace=True)
    click.echo(as_markdown(found))
    if page:
        put_between_marks(page, as_markdown(found))
    if plot:
        plot.write_text(draw(found), encoding="utf-8")


def timed_anew(record: ScheduleRecord, bundle: Path) -> ScheduleRecord:
    """The record with its presets timed on this machine, by a sample photo."""
    with Upscaler(bundle) as upscaler:
        known = {preset.name for preset in upscaler.card.presets}
        if missing := [preset.name for preset in record.presets if preset.name not in known]:
            raise BadInputError(
                f"{bundle} has no preset {missing[0]}", fix="name the bundle that the search was about"
            )
        settings = {preset.name: Settings(preset=preset.name) for preset in record.presets}
        photo = sample_cases(upscaler.card)[0].photo
        timings = time_in_turns(upscaler, photo, settings)
    where = f"{processor_name()}, {usable_cores():g} cores, {date.today().isoformat()}"
    return record.timed(timings, f"anew on {where}")


if __name__ == "__main__":
    run_process(command)
