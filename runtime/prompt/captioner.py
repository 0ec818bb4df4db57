"""A command of the user's that looks at a picture and prints a caption."""

from __future__ import annotations

import shlex
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dit4sr.runtime.child import child_process
from dit4sr.runtime.errors import BadInputError, MissingDependencyError

LONGEST_CAPTION = 100_000
"""Bytes of the longest caption that is read."""

CAPTIONER_TIMEOUT = 600.0
"""Seconds that a captioner may take for a picture."""

_LAST_WORDS = 4096
"""Bytes of what a captioner says on standard error that are kept."""

_MOMENT = 1.0
"""Seconds for the last words of a captioner that has failed."""


@dataclass(frozen=True)
class Captioner:
    """Any command that prints a caption; ``{}`` stands for the picture, which otherwise comes last."""

    command: str

    def __post_init__(self) -> None:
        try:
            words = shlex.split(self.command)
        except ValueError as error:
            raise BadInputError(f"captioner {self.command!r} is no command ({error})") from None
        if not words:
            raise BadInputError("the captioner is empty", expected="a command that prints a caption")

    def caption(self, picture: Path) -> str:
        """Return what the command prints for a picture."""
        words = shlex.split(self.command)
        if "{}" not in words:
            words.append("{}")
        words = [_as_argument(picture) if word == "{}" else word for word in words]
        try:
            return _printed(words, picture)
        except FileNotFoundError:
            raise MissingDependencyError(f"captioner {words[0]!r} is not installed") from None
        except OSError as error:
            raise BadInputError(f"captioner {words[0]!r} failed on {picture} ({error})") from None


def _as_argument(picture: Path) -> str:
    """A picture's path as no command takes it for an option, whatever its name."""
    path = str(picture)
    return f"./{path}" if path.startswith("-") else path


def _printed(words: list[str], picture: Path) -> str:
    """Run a command within bounds of time and memory, and return what it printed."""
    name, deadline = f"captioner {words[0]!r}", time.monotonic() + CAPTIONER_TIMEOUT
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with child_process(words, **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        said, printed = _LastWords(process.stderr), _Beginning(process.stdout)
        printed.join(CAPTIONER_TIMEOUT)
        if printed.is_too_long:
            raise BadInputError(
                f"{name} does not stop printing on {picture}",
                expected=f"a caption of {LONGEST_CAPTION:,} bytes at most",
            )
        try:
            # What it has started may still print when it has ended itself.
            status = None if printed.is_alive() else process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            status = None
        if status is None:
            raise BadInputError(f"{name} is not done with {picture} after {CAPTIONER_TIMEOUT:g} seconds")
    if status:
        said.join(_MOMENT)
        last = said.text().strip().splitlines()[-1:]
        raise BadInputError(f"{name} left {picture} with status {status} {' '.join(last)}")
    return printed.text().strip()


class _Reader(threading.Thread):
    """Reads a pipe in the background, and keeps a part of what comes."""

    def __init__(self, pipe: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._pipe, self._kept = pipe, b""
        self.start()

    def text(self) -> str:
        """What has been kept, whatever bytes it is made of."""
        return self._kept.decode("utf-8", errors="replace")


class _Beginning(_Reader):
    """Reads a caption, and no more than the longest."""

    @property
    def is_too_long(self) -> bool:
        """True if more came than the longest caption has."""
        return len(self._kept) > LONGEST_CAPTION

    def run(self) -> None:
        """Read to the end, or to where it is too long."""
        with self._pipe:
            self._kept = self._pipe.read(LONGEST_CAPTION + 1)


class _LastWords(_Reader):
    """Reads whatever comes, and keeps the last of it."""

    def run(self) -> None:
        """Read to the end."""
        with self._pipe:
            for part in iter(lambda: self._pipe.read(_LAST_WORDS), b""):
                self._kept = (self._kept + part)[-_LAST_WORDS:]
