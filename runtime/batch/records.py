"""What became of every picture: a line for people, and a line of JSON for machines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from dit4sr.runtime.batch.job import Record
from dit4sr.runtime.console.output import PIPE
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import opened


@contextlib.contextmanager
def opened_records(file: str | None) -> Iterator[TextIO | None]:
    """Where lines of JSON are added: a file, standard output for ``-``, or nowhere."""
    if file is None:
        yield None
    elif file == PIPE:
        yield sys.stdout
    else:
        try:
            _refuse_other_content(Path(file))
            stream = Path(file).open("a", encoding="utf-8")  # noqa: SIM115 - closed below
        except OSError as error:
            raise BadInputError(f"{file} cannot be written ({error.strerror})") from None
        with stream:
            yield stream


def print_record(record: Record, *, is_plain: bool) -> None:
    """Tell people on standard error: failures and warnings always, the rest where they want it."""
    name, details = record.item.name, record.details
    if record.status == "failed":
        click.echo(f"failed: {details['error']}", err=True)
    elif record.status == "skipped" and is_plain:
        click.echo(f"{name}: skipped, {details['reason']}", err=True)
    elif is_plain:
        width, height = details["output_size"]
        seconds = sum(details["seconds"].values())
        click.echo(f"{name}: {width}×{height} in {seconds:.1f} s, seed {details['seed']}", err=True)
    for warning in details.get("warnings", ()):
        click.echo(f"warning: {name}: {warning}", err=True)


def write_record(record: Record, stream: TextIO | None) -> None:
    """Add a line of JSON, at once: whoever reads along sees it, and a kill loses none."""
    if stream is None:
        return
    line = record.to_json()
    try:
        line.encode(stream.encoding or "utf-8")
    except UnicodeEncodeError:  # names of files may be any bytes
        line = record.to_json(only_ascii=True)
    try:
        stream.write(line + "\n")
        stream.flush()
    except OSError as error:
        if stream is not sys.stdout:
            # It would be written once more when it is closed.
            with contextlib.suppress(OSError):
                stream.close()
        name = "standard output" if stream is sys.stdout else stream.name
        raise BadInputError(f"{name} cannot be written ({error.strerror})") from None


def _refuse_other_content(path: Path) -> None:
    """Whoever types a picture after ``--json`` should not find lines of text at its end."""
    if not path.is_file():
        return
    with opened(path) as file:
        begins = file.read(1)
    if begins not in {b"", b"{"}:
        raise BadInputError(f"{path} holds something else than records", fix="name another --json file")
