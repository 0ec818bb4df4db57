"""The times of TensorRT's kernels, kept between builds. Losing them costs time, nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.errors import BadInputError, Dit4srError
from dit4sr.runtime.files.folders import user_cache
from dit4sr.runtime.files.reading import LARGEST_STATE, read_file
from dit4sr.runtime.files.whole import write_whole


@dataclass(frozen=True)
class TimingCache:
    """One file for each version of the library on each kind of device."""

    path: Path | None
    """None where there is no folder to keep it in."""

    @classmethod
    def of(cls, folder: Path | None, machine: Machine) -> TimingCache:
        """The cache for a machine, in a folder or in the user's cache folder."""
        home = folder or user_cache("tensorrt")
        device = "".join(c if c.isalnum() else "-" for c in machine.device) or machine.architecture
        return cls(home / f"{machine.version}-{device}.cache" if home else None)

    def read(self) -> bytes:
        """The bytes that earlier builds left; none if there are none."""
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
