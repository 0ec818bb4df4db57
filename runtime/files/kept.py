"""Files that the toolkit keeps for itself between processes: losing one costs time, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.errors import BadInputError, Dit4srError
from dit4sr.runtime.files.reading import LARGEST_STATE, read_file
from dit4sr.runtime.files.whole import write_whole


@dataclass(frozen=True)
class KeptFile:
    """One of them."""

    path: Path | None
    """None where there is no folder to keep it in."""

    def read(self) -> bytes:
        """The bytes that an earlier process left; none if there are none."""
        if self.path is None:
            return b""
        try:
            return read_file(self.path, most=LARGEST_STATE)
        except Dit4srError:
            return b""

    def write(self, content: bytes) -> None:
        """Store; a full or read-only disk is no reason to stop."""
        if self.path is None:
            return
        with suppress(BadInputError):
            write_whole(self.path, content, replace=True)
