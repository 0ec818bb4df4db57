"""A bundle that lies over another: few files of its own, and all others where they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from dit4sr.runtime.bundles.bundle import Bundle
from dit4sr.runtime.bundles.checked_files import CheckedFile
from dit4sr.runtime.bundles.manifest import FileRecord


@dataclass(frozen=True)
class OverlayBundle(Bundle):
    """A bundle of few files of its own; all others lie, as they are, in the bundle that it was made of.

    Links would not do: libraries refuse weights that have several names.
    """

    original: Bundle

    def opened(self, record: FileRecord) -> CheckedFile:
        """Open a file that the manifest names, where it is."""
        is_own = (self.path / record.path).exists() or record not in self._below
        return super().opened(record) if is_own else self.original.opened(record)

    @cached_property
    def _below(self) -> frozenset[FileRecord]:
        return frozenset(self.original.manifest.files())
