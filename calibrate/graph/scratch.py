"""Room for bundles that are looked at once."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.bundle import Bundle
from dit4sr.runtime.manifest import FileRecord


@contextmanager
def scratch_folder(beside: Path) -> Iterator[Path]:
    """An empty folder next to what it is for, gone afterwards; one that a killed run left goes first."""
    folder = beside.absolute().with_name(f".{beside.name}.scratch")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class OverlayBundle(Bundle):
    """A bundle of few files of its own; all others lie, as they are, in the bundle that it was made of.

    Links would not do: libraries refuse weights that have several names.
    """

    original: Bundle

    def checked(self, records: tuple[FileRecord, ...]) -> list[Path]:
        """Paths of files whose size and digest are what the manifest says."""
        below = set(self.original.manifest.files())
        return [path for record in records for path in self._home(record, below).checked((record,))]

    def _home(self, record: FileRecord, below: set[FileRecord]) -> Bundle:
        is_own = (self.path / record.path).exists() or record not in below
        return Bundle(self.path, self.manifest) if is_own else self.original
