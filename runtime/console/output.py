"""What a command says: to standard output, or into a file that appears whole or not at all."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from dit4sr.runtime.errors import BadInputError

PIPE = "-"
"""The name of standard output."""


def check_target(file: str | None, *, replace: bool) -> None:
    """Refuse a file that could not be written at the end: before minutes of work, not after."""
    if file is None or file == PIPE:
        return
    path = Path(file)
    if (path.exists() and not path.is_file()) or not path.absolute().parent.is_dir():
        raise BadInputError(f"{path} cannot be written", expected="a file in a folder that exists")
    if path.exists() and not replace:
        raise BadInputError(f"{path} exists", fix="choose another name, or replace it with --force")


def write_text(file: str, text: str) -> None:
    """Write a text whole; ``-`` is standard output."""
    if file == PIPE:
        click.echo(text, nl=False)
        return
    # It brings hashes and locks, which --help needs none of.
    from dit4sr.runtime.files.whole import write_whole  # noqa: PLC0415

    write_whole(Path(file), text.encode("utf-8"), replace=True)


def printable(text: str) -> str:
    """A text for standard output; what that cannot show, such as names that are no UTF-8, in escapes."""
    encoding = sys.stdout.encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def command_line(command: str, words: Sequence[str]) -> str:
    """What somebody typed, as a text that every file can hold, whatever bytes names on it have."""
    return shlex.join([command, *words]).encode("utf-8", "backslashreplace").decode()


def print_result(text: str, record: Any, json_file: str | None) -> None:
    """Print a text for people and write its record where ``--json`` says; - prints the record alone."""
    if json_file != PIPE:
        click.echo(printable(text))
    if json_file is not None:
        write_text(json_file, json.dumps(record, indent=2) + "\n")
