"""The times of TensorRT's kernels, kept between builds."""

from __future__ import annotations

from pathlib import Path

from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.files.folders import user_cache
from dit4sr.runtime.files.kept import KeptFile


class TimingCache(KeptFile):
    """One file for each version of the library on each kind of device."""

    @classmethod
    def of(cls, folder: Path | None, machine: Machine) -> TimingCache:
        """The cache for a machine, in a folder or in the user's cache folder."""
        home = folder or user_cache("tensorrt")
        return cls(home / f"{machine.version}-{machine.device_name}.cache" if home else None)
