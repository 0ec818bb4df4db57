"""The roof of this machine: the bytes and the floating-point operations of a second."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

MEMORY, CACHES, COMPUTE = "memory", "caches", "compute"


@dataclass(frozen=True)
class Limits:
    """What the machine can do at best: bytes and floating-point operations per second."""

    copy_bandwidth: float
    """Bytes per second of copying arrays far larger than the caches."""
    cached_bandwidth: float
    """Bytes per second of copying arrays that stay in the caches."""
    matmul_rate: float
    precision: str
    source: str = MEMORY
    """Where bytes come from: the memory, or for a small network the caches."""

    def for_weights(self, weight_bytes: int) -> Limits:
        """The limits for a network of this size: one that fits the last cache is read from there."""
        return self if weight_bytes > last_cache() else replace(self, source=CACHES)

    def seconds(self, flops: float, moved: float) -> float:
        """The least time for so much arithmetic and traffic, the two overlapping perfectly."""
        return max(flops / self.matmul_rate, moved / self._bandwidth)

    def bound(self, flops: float, moved: float) -> str:
        """What limits so much arithmetic and traffic: ``compute``, or the source of the bytes."""
        return COMPUTE if flops / self.matmul_rate >= moved / self._bandwidth else self.source

    @property
    def _bandwidth(self) -> float:
        return self.cached_bandwidth if self.source == CACHES else self.copy_bandwidth


def last_cache() -> int:
    """Bytes of the processor's last cache; 0 where the system does not say."""
    folder = Path("/sys/devices/system/cpu/cpu0/cache")
    found = [file.read_text(encoding="ascii").strip() for file in sorted(folder.glob("index*/size"))]
    units = {"K": 1 << 10, "M": 1 << 20}
    return max((int(text[:-1]) * units.get(text[-1], 0) for text in found), default=0)
