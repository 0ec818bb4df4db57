"""What there is to say while C runs: to its callback, and never to the host's standard error."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterable

from dit4sr.runtime.native.words import for_c

INFO, WARNING = 0, 1

Say = Callable[[int, str], None]
"""Takes a level and a line."""


class Log:
    """Lines for whoever listens in C."""

    def __init__(self) -> None:
        self._say: Say = lambda _level, _line: None

    def listen(self, say: Say) -> None:
        """Say everything to somebody else from now on."""
        self._say = say

    def tell(self, level: int, lines: Iterable[str]) -> None:
        """Say some lines."""
        for line in lines:
            self._say(level, for_c(line))

    def take_over_streams(self) -> None:
        """Let what libraries print in a Python that is ours become lines."""
        sys.stdout, sys.stderr = LogStream(self), LogStream(self)


class LogStream(io.TextIOBase):
    """A stream whose lines go to the log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log, self._begun = log, ""

    def writable(self) -> bool:
        """True, as of any stream to print to."""
        return True

    def write(self, text: str) -> int:
        """Say every line that is complete."""
        *lines, self._begun = (self._begun + text).split("\n")
        self._log.tell(INFO, lines)
        return len(text)


LOG = Log()
"""The log of this process, which C has one of."""
