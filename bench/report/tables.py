"""``python -m dit4sr.bench.report.tables``: write the tables of a document from the records they come from.

A block of a document between ``<!-- table: FILE SECTION -->`` and ``<!-- /table -->`` holds that section of
that record, and is never typed by hand. FILE is sought among the records; SECTION is a title of the report.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from dit4sr.bench.record import read_record
from dit4sr.bench.report.markdown import markdown_section
from dit4sr.bench.report.sections import sections
from dit4sr.runtime.console.command import run_process
from dit4sr.runtime.errors import BadInputError, IntegrityError
from dit4sr.runtime.files.reading import read_text

OPENING = re.compile(r"^<!-- table: ", re.MULTILINE)
BLOCK = re.compile(
    r"^(<!-- table: (\S+) ([^\n]+?) -->\n)(?:(?!<!-- table: ).)*?^(<!-- /table -->)", re.DOTALL | re.MULTILINE
)
UNMEASURED = "Not measured yet (`make records`).\n"


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
    record = read_record(file)
    for section in sections(record):
        if section.title == title:
            machine = f"{record.environment.machine}, {record.environment.cores} cores"
            made = f"Measured {record.made[:10]} on {machine}."
            busy = " The machine was busy: not a record." if record.environment.is_busy else ""
            return "\n".join([*markdown_section(section), "", f"{made}{busy}"]) + "\n"
    raise BadInputError(f"{file} has no section {title!r}")


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
