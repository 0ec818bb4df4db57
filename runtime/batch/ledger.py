"""What a job has finished, so that it can be taken up again after anything, a power cut included."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.reading import LARGEST_STATE, read_file, sha256_of

NAME = ".dit4sr-ledger.jsonl"


class LedgerError(BadInputError):
    """The ledger cannot be read or written."""


@dataclass(frozen=True)
class Entry:
    """What a finished picture was made from and how, and what came out."""

    name: str
    recipe: str
    """Digest of everything the output depends on."""
    output_sha256: str


class Ledger:
    """The finished pictures of a folder, one line each, written before the picture appears.

    In that order a picture that exists without a line is not ours, and a line without its picture is work
    to be done again; there is no moment at which a kill leaves doubt.
    """

    def __init__(self, folder: Path) -> None:
        self._file = folder / NAME
        self._entries = _read(self._file)

    def write(self, entry: Entry) -> None:
        """Append an entry, through to the disk."""
        self._entries[entry.name] = entry
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a+b") as file:
                # A line that a kill cut short must not swallow this one.
                is_cut = file.tell() > 0 and _last_byte(file) != b"\n"
                file.write(b"\n" * is_cut + json.dumps(asdict(entry)).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(f"{self._file} cannot be written ({error.strerror})") from None

    def has_finished(self, name: str, recipe: str, target: Path) -> bool:
        """True if ``target`` is what this very recipe made."""
        entry = self._entries.get(name)
        return (
            entry is not None
            and entry.recipe == recipe
            and target.is_file()
            and sha256_of(target) == entry.output_sha256
        )


def _read(file: Path) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    if not file.exists():
        return entries
    for line in read_file(file, most=LARGEST_STATE, failure=LedgerError).splitlines():
        try:
            entry = Entry(**json.loads(line))
            entries[entry.name] = entry
        except (ValueError, TypeError, RecursionError):
            continue  # cut short by a kill; its picture had not appeared yet
    return entries


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)
