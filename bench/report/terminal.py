"""A record as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from dit4sr.bench.record import Record
from dit4sr.bench.report.sections import Section, headline, sections
from dit4sr.runtime.console.table import format_table


def terminal_report(record: Record, *, with_explanation: bool = False) -> str:
    """The record as aligned tables and sentences."""
    return terminal_text(headline(record), sections(record, with_explanation=with_explanation))


def terminal_text(lead: Sequence[str], parts: Sequence[Section]) -> str:
    """Lines that lead, and sections under their titles."""
    lines = list(lead)
    for section in parts:
        lines += ["", section.title.upper()]
        if section.rows:
            lines.append(format_table(section.header, section.rows))
        lines += section.sentences
    return "\n".join(lines)
