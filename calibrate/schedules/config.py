"""Everything a user may choose about a search for schedules."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.backends.compatibility import AUTO


@dataclass(frozen=True)
class ScheduleConfig:
    """Which bundle's schedules are searched, on which photos, and what a preset may lose."""

    bundle: Path
    images: Path | None = None
    """Folder of photos to search on; ``None`` for the samples in the box."""
    held_out: Path | None = None
    """Folder of photos to judge by; ``None`` holds some of the others out."""
    findings: Path | None = None
    """File that keeps what was found, for going on; ``None`` puts it beside the bundle."""
    steps: int | None = None
    """Of what all are held against; ``None`` for the bundle's preset ``exact``, or its defaults."""
    guidance: float | None = None
    seed: int = 0
    min_psnr: float = 50.0
    """What `balanced` must reach to the exact pictures on average, in decibels; `fast` may be 6 below."""
    max_drop: float = 0.05
    """What the mean PSNR against the truth may lose, in decibels."""
    backend: str = AUTO
    threads: int = 0
    has_timing: bool = True
    command: str = "dit4sr-calibrate --schedule"

    @property
    def findings_file(self) -> Path:
        """The file that keeps what was found."""
        return self.findings or self.bundle.with_name(f"{self.bundle.name}.schedules.npz")
