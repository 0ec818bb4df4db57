"""What has become of processes."""

from __future__ import annotations

import time
from pathlib import Path


def has_ended(pid):
    """True once a process is gone, or waits for nothing but to be collected."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.01)
    return False


def children(pid: int) -> list[int]:
    """The processes that a process has started and that are there now, and theirs."""
    try:
        started = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return [each for child in started for each in (child, *children(child))]
