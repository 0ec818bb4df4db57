"""The kernels that the library has compiled for one plan on one card, kept between processes.

Losing them costs the seconds that compiling takes, so what is damaged counts as not there, and is
written anew. They are code for the GPU: they are read only from a folder where nobody else can write.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress

from dit4sr.runtime.backends.plans.machine import Machine
from dit4sr.runtime.backends.tensorrt_rtx import NAME
from dit4sr.runtime.bundles.manifest import FileRecord
from dit4sr.runtime.files.folders import forget_the_oldest, is_private, make_private, user_cache
from dit4sr.runtime.files.kept import KeptFile

LARGEST = 100 << 20
"""Bytes: NVIDIA warns that reading more costs what it saves."""
MOST = 64
"""Files; the oldest are removed."""
_DIGEST = hashlib.sha256().digest_size


class RuntimeCache(KeptFile):
    """One file for each plan, version of the library, driver and kind of device."""

    @classmethod
    def of(cls, plan: FileRecord, machine: Machine) -> RuntimeCache:
        """The cache for a plan on a machine, in the user's cache folder."""
        folder = user_cache(NAME)
        name = f"{plan.sha256[:32]}-{machine.version}-{machine.driver}-{machine.device_name}.cache"
        return cls(folder / name if folder else None)

    def read(self) -> bytes:
        """What an earlier process kept; none if it is not whole, or not ours."""
        content = super().read() if self._is_private() else b""
        digest, kernels = content[:_DIGEST], content[_DIGEST:]
        return kernels if digest == hashlib.sha256(kernels).digest() else b""

    def write(self, content: bytes) -> None:
        """Keep kernels; a folder that somebody else may write to is left as it is."""
        if self.path is None or len(content) > LARGEST:
            return
        with suppress(OSError):
            if not self.path.parent.exists():
                make_private(self.path.parent)
            if self._is_private():
                super().write(hashlib.sha256(content).digest() + content)
                forget_the_oldest(self.path.parent, keep=MOST)

    def _is_private(self) -> bool:
        try:
            return self.path is not None and is_private(self.path.parent)
        except OSError:
            return False
