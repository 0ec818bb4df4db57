"""A record as text for a terminal."""

from __future__ import annotations

from dit4sr.bench.record import Record
from dit4sr.bench.report.sections import headline, sections
from dit4sr.runtime.console.table import format_table


def terminal_report(record: Record, *, with_explanation: bool = False) -> str:
    """The record as aligned tables and sentences."""
    lines = headline(record)
    for section in sections(record, with_explanation=with_explanation):
        lines += ["", section.title.upper()]
        if section.rows:
            lines.append(format_table(section.header, section.rows))
        lines += section.sentences
    return "\n".join(lines)
