"""A job as a command runs it: every picture is counted, written down, shown and told as it comes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Protocol

import click

from dit4sr.runtime.batch.inputs import Item
from dit4sr.runtime.batch.job import JobConfig, Record
from dit4sr.runtime.batch.records import opened_records, print_record, write_record
from dit4sr.runtime.batch.sheet import opened_sheet
from dit4sr.runtime.batch.summary import Summary
from dit4sr.runtime.batch.unused import Unused
from dit4sr.runtime.console.progress import warn
from dit4sr.runtime.errors import SomeInputsFailedError
from dit4sr.runtime.upscaler import Upscaler


class Shown(Protocol):
    """How far a job is, shown while the block lasts."""

    def __enter__(self) -> object:
        """Begin to show it."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave an empty line."""

    def finish_picture(self) -> None:
        """One more picture is over with."""


@dataclass(frozen=True)
class Session:
    """What somebody asked for on a command line, and where they want to hear of it."""

    upscaler: Upscaler
    """What knows the bundle; it need not be what restores."""
    items: Sequence[Item]
    config: JobConfig
    typed: Mapping[str, str]
    """The options that were given, by the names of their parameters."""
    json_file: str | None = None
    sheet: Path | None = None
    progress: str = "auto"

    def tell(self, records: Iterator[Record], shown: Shown, summary: Summary, *, is_plain: bool) -> None:
        """Take the records of a job to its end, and say what it came to."""
        unused = Unused(self.upscaler, self.items, self.config, self.typed)
        warn(unused.before())
        with (
            opened_records(self.json_file) as stream,
            opened_sheet(self.sheet, self.upscaler, self.items, self.config) as show,
        ):
            try:
                with shown:
                    for record in records:
                        summary.count(record)
                        unused.see(record)
                        shown.finish_picture()
                        write_record(record, stream)
                        show(record)
                        print_record(record, is_plain=is_plain)
            except KeyboardInterrupt:
                click.echo(
                    f"stopped after {summary.finished} of {len(self.items)}; go on with --resume", err=True
                )
                raise
        warn(unused.after())
        if self.progress != "none":
            for line in summary.lines():
                click.echo(line, err=True)
        if summary.failed:
            raise SomeInputsFailedError(
                f"{summary.failed} of {len(self.items)} pictures failed", fix="see the lines above"
            )
