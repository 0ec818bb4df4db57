"""The ledger in pieces: a small file for each finished picture, for jobs of many writers.

A store of objects appends to nothing, and many machines had better not append to one file. So whoever
finishes a picture writes its entry as a file of its own, before the picture appears; later they are folded
into the lines of the one ledger.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from dit4sr.runtime.batch.entry import Entry, LedgerError
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.files.address import Address, Place
from dit4sr.runtime.files.reading import LARGEST_TEXT, read_file
from dit4sr.runtime.files.whole import write_whole

Result = TypeVar("Result")

FOLDER = ".dit4sr-ledger.d"
READERS = 32
"""Threads that read pieces: of a store each takes some hundredths of a second, whatever its size."""


@dataclass(frozen=True)
class Piece:
    """An entry, the job that made the picture, and what its record says."""

    entry: Entry
    job: str
    details: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the piece as a text in ASCII, whatever bytes its names are made of."""
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, content: bytes) -> Piece | None:
        """Read a piece; none if this is no piece."""
        try:
            plain = json.loads(content)
            return cls(Entry(**plain["entry"]), plain["job"], plain["details"])
        except (ValueError, TypeError, KeyError, RecursionError):
            return None


class Pieces:
    """The pieces beside the pictures of a folder."""

    def __init__(self, folder: Place) -> None:
        self._folder = folder / FOLDER
        self._made_above = False

    def begin(self, job: str) -> None:
        """Leave a sign of a job, by which its machines see that they share the folder."""
        self._made_above = isinstance(self._folder, Path) and not self._folder.parent.exists()
        self._write(self._sign(job), b"")

    def leave(self, job: str) -> None:
        """Remove the sign of a job that ended early; the folders that came with it too, if they are empty."""
        sign = self._sign(job)
        with suppress(OSError):
            if isinstance(sign, Address):
                sign.remove_file()
            else:
                sign.unlink()
                sign.parent.rmdir()
                if self._made_above:
                    sign.parent.parent.rmdir()

    def are_shared(self, job: str) -> bool:
        """True if the sign of a job can be seen here."""
        try:
            return self._sign(job).exists()
        except OSError:
            return False

    def write(self, piece: Piece) -> None:
        """Write a piece, through to the disk."""
        self._write(self._place(piece.entry.name), piece.to_json().encode())

    def of(self, name: str) -> Piece | None:
        """The piece of a picture, if it has one."""
        place = self._place(name)
        try:
            return Piece.of(read_file(place, most=LARGEST_TEXT)) if place.is_file() else None
        except (OSError, BadInputError) as error:
            raise LedgerError(f"{place} cannot be read ({error})") from None

    def count(self, name: str) -> int:
        """Count an attempt at a picture, and return how many have been counted."""
        place = self._place(name).with_suffix(".tries")
        try:
            tries = 1 + (int(read_file(place, most=LARGEST_TEXT)) if place.is_file() else 0)
        except (OSError, ValueError, BadInputError) as error:
            raise LedgerError(f"{place} cannot be read ({error})") from None
        self._write(place, str(tries).encode())
        return tries

    def all(self) -> list[Piece]:
        """Every piece that is there."""
        with ThreadPoolExecutor(READERS) as pool:
            contents = pool.map(partial(read_file, most=LARGEST_TEXT, failure=LedgerError), self._files())
            return [piece for piece in map(Piece.of, contents) if piece is not None]

    def remove(self, pieces: Iterable[Piece]) -> None:
        """Remove those that are in the lines of the ledger now; whoever still writes others keeps them."""

        def remove(piece: Piece) -> None:
            place = self._place(piece.entry.name)
            self._trying(place.remove_file if isinstance(place, Address) else place.unlink, "removed")

        with ThreadPoolExecutor(READERS) as pool:
            list(pool.map(remove, pieces))

    def clear(self) -> None:
        """Remove the folder of a job that is at its end."""

        def remove() -> None:
            if isinstance(self._folder, Address):
                self._folder.remove_folder()
            elif self._folder.is_dir():
                shutil.rmtree(self._folder, ignore_errors=True)

        self._trying(remove, "removed")

    def _files(self) -> list[Place]:
        def found() -> list[Place]:
            if isinstance(self._folder, Address):
                return [file for file in self._folder.files(recursive=True) if file.suffix == ".json"]
            return list(self._folder.rglob("*.json"))

        return self._trying(found, "read")

    def _place(self, name: str) -> Place:
        """A name of its own for every picture, in one of 256 folders: large ones are slow to look through."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
        return self._folder / digest[:2] / f"{digest}.json"

    def _sign(self, job: str) -> Place:
        return self._folder / f"{job}.job"

    def _write(self, place: Place, content: bytes) -> None:
        try:
            write_whole(place, content, replace=True)
        except BadInputError as error:
            raise LedgerError(str(error)) from None

    def _trying(self, act: Callable[[], Result], done: str) -> Result:
        try:
            return act()
        except OSError as error:
            raise LedgerError(f"{self._folder} cannot be {done} ({error.strerror})") from None
