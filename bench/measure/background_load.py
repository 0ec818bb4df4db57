"""How much other work kept the machine busy while the bench ran."""

from __future__ import annotations

import os
import time
from pathlib import Path

STAT = Path("/proc/stat")
IDLE = (3, 4)
"""Columns of the system's statistics in which a core did nothing."""
COUNTED = 8
"""Columns of the system's statistics that add up; what follows is counted in these already."""


class BackgroundLoad:
    """Counts, from its birth on, what all cores did and what of it this process and its children did.

    The load average would not do: it remembers for minutes what this bench, or the one before, did itself.
    """

    def __init__(self, stat: Path = STAT) -> None:
        self._stat = stat
        self._start, self._busy, self._own = time.perf_counter(), self._busy_seconds(), own_seconds()

    def cores(self) -> float:
        """Cores that others kept busy, on average; 0 where the system does not say."""
        elapsed = time.perf_counter() - self._start
        busy, own = self._busy_seconds() - self._busy, own_seconds() - self._own
        return max(busy - own, 0.0) / elapsed if elapsed > 0 else 0.0

    def _busy_seconds(self) -> float:
        try:
            first = self._stat.read_text(encoding="ascii").partition("\n")[0]
        except OSError:
            return 0.0
        ticks = [int(word) for word in first.split()[1 : COUNTED + 1]]
        return sum(count for place, count in enumerate(ticks) if place not in IDLE) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor time of this process and of the children it has seen end."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system
