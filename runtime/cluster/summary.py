"""What a job of many machines came to: with the pictures that took longest, and those that failed."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from dit4sr.runtime.batch.job import Record
from dit4sr.runtime.batch.summary import Summary

NAMED = 3
"""The slowest pictures that are named."""
MOST_FAILED = 10
"""The failed pictures that are named; a line for each has been printed before."""


@dataclass
class ClusterSummary(Summary):
    """Counts records as they come in, and remembers the slowest and the failed."""

    slowest: list[tuple[float, str]] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def count(self, record: Record) -> None:
        """One more picture is over with."""
        super().count(record)
        if record.status == "failed":
            self.lost.append(record.item.name)
        elif record.status == "done":
            took = sum(record.details["seconds"].values()), record.item.name
            keep = heapq.heappush if len(self.slowest) < NAMED else heapq.heappushpop
            keep(self.slowest, took)

    def lines(self) -> list[str]:
        """What is said at the end."""
        lines = [self.line()]
        if self.slowest:
            named = [f"{name} {seconds:.1f} s" for seconds, name in sorted(self.slowest, reverse=True)]
            lines.append(f"slowest: {', '.join(named)}")
        if self.lost:
            more = len(self.lost) - MOST_FAILED
            named = [*sorted(self.lost)[:MOST_FAILED], *([f"{more} more"] if more > 0 else [])]
            lines.append(f"failed: {', '.join(named)}")
        return lines
