"""Child processes that end with us, and take with them what they have started."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from dit4sr.runtime.interruption import DELAY, LEFTOVERS


@contextmanager
def child_process(command: Sequence[str], **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command while the block lasts; unless it has been waited for, it and its children are killed.

    It has a session of its own, so that Ctrl-C reaches it through us. Where a system knows no sessions, its
    children are left to themselves.
    """
    with ExitStack() as ends:
        with DELAY.while_beginning():
            process = subprocess.Popen(command, start_new_session=True, **streams)
            ends.enter_context(LEFTOVERS.removed_by(lambda: _kill(process)))
        yield process


def _kill(process: subprocess.Popen[bytes]) -> None:
    # Once waited for, its number may be somebody else's.
    if process.returncode is not None:
        return
    with suppress(OSError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()
