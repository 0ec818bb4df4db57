"""What the commands of this folder print: a table for people, JSON for machines."""

from __future__ import annotations

from typing import IO

import click

json_option = click.option(
    "--json",
    "--record",
    "json_file",
    type=click.File("w", encoding="utf-8", lazy=True, atomic=True),
    is_flag=False,
    flag_value="-",
    metavar="[FILE|-]",
    help="Also write the table as JSON; - prints it in place of the table.",
)
"""``--json [FILE|-]``, as in the other folders, whose options nothing here may import."""


def print_result(table: str, text: str, json_file: IO[str] | None) -> None:
    """Print the table, and write its JSON where ``--json`` says; - prints the JSON alone."""
    if json_file is None or json_file.name != "-":
        click.echo(table)
    if json_file is not None:
        json_file.write(text + "\n")
