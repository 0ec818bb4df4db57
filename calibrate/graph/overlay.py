"""A bundle that lies over another: few files of its own, and all others where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.manifest import FileRecord


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
