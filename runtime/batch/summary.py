"""What a job came to, in one line."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from dit4sr.runtime.batch.job import Record


@dataclass
class Summary:
    """Counts the records of a job as they come in."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    start: float = field(default_factory=time.monotonic)

    def count(self, record: Record) -> None:
        """One more picture is over with."""
        self.counts[record.status] += 1

    @property
    def finished(self) -> int:
        """Pictures that are over with, however they went."""
        return self.counts.total()

    @property
    def failed(self) -> int:
        """Pictures that did not come through."""
        return self.counts["failed"]

    def lines(self) -> list[str]:
        """What is said at the end."""
        return [self.line()]

    def line(self) -> str:
        """Pictures, seconds and the seed that the job was given."""
        done = self.counts["done"]
        others = [
            f"{self.counts[status]} {status}" for status in ("skipped", "failed") if self.counts[status]
        ]
        pictures = f"{done} picture{'s' * (done != 1)} restored in {time.monotonic() - self.start:.1f} s"
        return ", ".join([pictures, *others, f"seed {self.seed}"])
