"""Compiled packages as the manifest describes them: code for torch to load, and the weights it is given."""

from __future__ import annotations

from dit4sr.runtime.backends.compiled import CompiledComponent
from dit4sr.runtime.backends.inductor import NAME
from dit4sr.runtime.bundles.manifest import FileRecord


class Package(CompiledComponent):
    """One compiled package of a component: its file, then its weights."""

    backend = NAME
    file_count = 2

    @property
    def code(self) -> FileRecord:
        """The file that torch loads."""
        return self.record.files[0]

    @property
    def weights(self) -> FileRecord:
        """The file of its weights, which other packages may share."""
        return self.record.files[1]
