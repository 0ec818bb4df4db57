"""What a job has finished, so that it can be taken up again after anything, a power cut included."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from dit4sr.runtime.batch.entry import Entry, LedgerError
from dit4sr.runtime.batch.pieces import Piece, Pieces
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Address, Place
from dit4sr.runtime.files.reading import LARGEST_STATE, read_file, sha256_of
from dit4sr.runtime.files.whole import write_whole

NAME = ".dit4sr-ledger.jsonl"


class Ledger:
    """The finished pictures of a folder, one line each, written before the picture appears.

    In that order a picture that exists without a line is not ours, and a line without its picture is work
    to be done again; there is no moment at which a kill leaves doubt. Of a store, which appends to nothing,
    the lines are written at the end; until then there are pieces, as jobs of many machines leave them.
    """

    def __init__(self, folder: Place) -> None:
        self._file = folder / NAME
        self._entries = _read(self._file)
        self._is_written = True
        self.pieces = Pieces(folder)

    def entry(self, name: str) -> Entry | None:
        """The last entry of a picture."""
        return self._entries.get(name)

    def write(self, entry: Entry, details: dict[str, Any]) -> None:
        """Append an entry, through to the disk."""
        if isinstance(self._file, Address):
            self.pieces.write(Piece(entry, "", details))
        self.add(entry)

    def add(self, entry: Entry) -> None:
        """Append an entry of which there is a piece."""
        self._keep([entry])

    def has_finished(self, name: str, recipe: str, target: Place) -> bool:
        """True if ``target`` is what this very recipe made."""
        return is_made(self._entries.get(name), recipe, target)

    def made(self, _name: str, _target: Place) -> dict[str, Any] | None:
        """None: who writes a ledger alone never meets a picture twice."""
        return None

    def fold(self) -> None:
        """Take the entries of pieces that an earlier job left into the lines."""
        if found := self.pieces.all():
            self._keep([piece.entry for piece in found])
            self._write_to_store()
            self.pieces.remove(found)

    def finish(self) -> None:
        """Write what only pieces tell yet, and remove them: nobody may be at work any more."""
        self._write_to_store()
        self.pieces.clear()

    def __enter__(self) -> Ledger:
        self.fold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # Who is interrupted does not wait; the pieces tell the same.
        if kind is None or issubclass(kind, Exception):
            self.finish()

    def _keep(self, entries: Sequence[Entry]) -> None:
        self._entries |= {entry.name: entry for entry in entries}
        if isinstance(self._file, Address):
            self._is_written = False
        else:
            self._append(entries)

    def _append(self, entries: Iterable[Entry]) -> None:
        assert isinstance(self._file, Path)
        lines = "".join(f"{json.dumps(asdict(entry))}\n" for entry in entries).encode()
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.open("a+b") as file:
                # A line that a kill cut short must not swallow these.
                is_cut = file.tell() > 0 and _last_byte(file) != b"\n"
                file.write(b"\n" * is_cut + lines)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise LedgerError(f"{self._file} cannot be written ({error.strerror})") from None

    def _write_to_store(self) -> None:
        if self._is_written:
            return
        lines = (f"{json.dumps(asdict(entry))}\n".encode() for entry in self._entries.values())
        try:
            write_whole(self._file, lines, replace=True)
        except BadInputError as error:
            raise LedgerError(str(error)) from None
        self._is_written = True


def is_made(entry: Entry | None, recipe: str, target: Place) -> bool:
    """True if ``target`` is what an entry tells of, by this very recipe."""
    return (
        entry is not None
        and entry.recipe == recipe
        and target.is_file()
        and sha256_of(target) == entry.output_sha256
    )


def _read(file: Place) -> dict[str, Entry]:
    entries: dict[str, Entry] = {}
    try:
        if not file.exists():
            return entries
    except OSError as error:
        raise LedgerError(f"{file} cannot be read ({error.strerror})") from None
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
