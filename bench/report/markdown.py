"""A record as Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from dit4sr.bench.record import Record
from dit4sr.bench.report.sections import Row, Section, headline, sections


def markdown_report(record: Record) -> str:
    """The record for a pull request or a wiki."""
    return markdown_text(headline(record), sections(record), f"Measured {record.made}", record.command)


def markdown_text(lead: Sequence[str], parts: Sequence[Section], made: str, command: str) -> str:
    """Lines that lead, sections under their titles, and when and how all of it was made."""
    lines = ["# dit4sr-bench", "", *(f"{line}  " for line in lead)]
    for section in parts:
        lines += ["", f"## {section.title}", *markdown_section(section)]
    lines += ["", f"{made}: `{command}`."]
    return "\n".join(lines) + "\n"


def markdown_section(section: Section) -> list[str]:
    """A section's table and sentences as lines of Markdown."""
    lines = markdown_table(section.header, section.rows) if section.rows else []
    return [*lines, *(f"- {sentence}" for sentence in section.sentences)]


def markdown_table(header: Row, rows: tuple[Row, ...]) -> list[str]:
    """A table as lines of Markdown: the first column aligned to the left, the others to the right."""
    rule = ["---", *("---:" for _ in header[1:])]
    return ["| " + " | ".join(_escaped(cell) for cell in row) + " |" for row in (header, rule, *rows)]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
