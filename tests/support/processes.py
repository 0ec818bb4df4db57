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
