"""``python -m dit4sr.bench.report.tables``: write the tables of a document from the records they come from.

A block of a document between ``<!-- table: FILE SECTION -->`` and ``<!-- /table -->`` holds that section of
that record, and is never typed by hand. FILE is sought among the records; SECTION is a title of the report.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from dit4sr.bench.plans.record import is_plan_record, read_plan_record
from dit4sr.bench.plans.sections import STAND_IN, compilers, plan_sections
from dit4sr.bench.plans.side_by_side import side_by_side
from dit4sr.bench.record import read_record
from dit4sr.bench.report.markdown import markdown_section
from dit4sr.bench.report.sections import Section, sections
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.reading import read_text

OPENING = re.compile(r"^<!-- table: ", re.MULTILINE)
BLOCK = re.compile(
    r"^(<!-- table: (\S+) ([^\n]+?) -->\n)(?:(?!<!-- table: ).)*?^(<!-- /table -->)", re.DOTALL | re.MULTILINE
)
BESIDE = "beside "
"""Begins what is asked of a record where the table is to hold another system's beside it."""
UNMEASURED = "Not measured yet (`make records`, `make plan-records`).\n"


def renewed(text: str, records: Path) -> str:
    """A document with every table written anew; one without an end is refused."""

    def block(match: re.Match[str]) -> str:
        opening, file, title, closing = match.groups()
        return f"{opening}{_table(records / file, title)}{closing}"

    renewed_text, count = BLOCK.subn(block, text)
    if count != len(OPENING.findall(text)):
        raise BadInputError(
            "a table's block has no end", expected="<!-- table: FILE SECTION --> … <!-- /table -->"
        )
    return renewed_text


def _table(file: Path, title: str) -> str:
    if not file.exists():
        return UNMEASURED
    if title.startswith(BESIDE):
        return _beside(file, file.with_name(title.removeprefix(BESIDE)))
    found, made = _plans(file) if is_plan_record(file) else _measurements(file)
    for section in found:
        if section.title == title:
            return "\n".join([*markdown_section(section), "", made]) + "\n"
    raise BadInputError(f"{file} has no section {title!r}")


def _measurements(file: Path) -> tuple[list[Section], str]:
    """The sections of what was measured, and where that was."""
    record = read_record(file)
    machine = f"{record.environment.machine}, {record.environment.cores} cores"
    busy = " The machine was busy: not a record." if record.environment.is_busy else ""
    return sections(record), f"Measured {record.made[:10]} on {machine}.{busy}"


def _plans(file: Path) -> tuple[list[Section], str]:
    """The sections of what was compiled, and by which compiler."""
    record = read_plan_record(file)
    stand_in = f" In {record.precision}, {STAND_IN}." if record.has_stand_in_scales else ""
    made = f"Compiled {record.made[:10]} by {', '.join(compilers(record))}, not run."
    return plan_sections(record), made + stand_in


def _beside(file: Path, other: Path) -> str:
    """Two systems' records in one table."""
    records = [read_plan_record(each) for each in (file, other)]
    names = dict.fromkeys(name for each in records for name in compilers(each))
    made = f"Compiled by {', '.join(names)}, not run."
    return "\n".join([*markdown_section(side_by_side(*records)), "", made]) + "\n"


@click.command()
@click.argument("documents", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--records", type=click.Path(path_type=Path), default=Path("bench/results"), show_default=True)
@click.option("--check", is_flag=True, help="Write nothing; fail if a table is not what its record says.")
def command(documents: tuple[Path, ...], records: Path, *, check: bool) -> None:
    """Write the tables of DOCUMENTS anew."""
    for document in documents:
        text = read_text(document)
        new = renewed(text, records)
        if check and new != text:
            raise IntegrityError(f"a table of {document} is not what its record says", fix="make tables")
        if new != text:
            document.write_text(new, encoding="utf-8")


if __name__ == "__main__":
    run_process(command)
