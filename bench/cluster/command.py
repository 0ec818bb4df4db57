"""The command as people run it: a process of its own, whose records are read as they come."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

MAIN = "from dit4sr.runtime.cli import main; main()"
VARYING = ("input", "output", "seconds")
"""What may differ between two records of the same picture: where it was, and how long it took."""


@dataclass
class Command:
    """``dit4sr-upscale`` with its records on standard output, and when each of them came."""

    words: Sequence[str]
    folder: Path
    records: list[dict[str, Any]] = field(default_factory=list)
    moments: list[float] = field(default_factory=list)
    said: str = ""
    """What came on standard error."""

    def __enter__(self) -> Command:
        self.start = time.monotonic()
        self._errors = (self.folder / "errors").open("w+", encoding="utf-8")
        line = [sys.executable, "-c", MAIN, *self.words, "--json", "-"]
        self.process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=self._errors, text=True, cwd=self.folder
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._errors.seek(0)
        self.said = self._errors.read()
        self._errors.close()
        assert self.process.stdout is not None
        self.process.stdout.close()

    def coming(self) -> Iterator[dict[str, Any]]:
        """The records, one by one as the command writes them."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.records.append(json.loads(line))
            self.moments.append(time.monotonic())
            yield self.records[-1]

    def finish(self) -> int:
        """Read to the end, and return the exit code."""
        for _ in self.coming():
            pass
        return self.process.wait()

    @property
    def rate(self) -> float:
        """Pictures a second, from the first that came to the last."""
        return (len(self.moments) - 1) / (self.moments[-1] - self.moments[0])


def by_name(records: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """What does not vary of each record, by the picture's name; twice the same name is refused."""
    found: dict[str, dict[str, Any]] = {}
    for record in records:
        name = Path(record["input"]).name
        if name in found:
            raise ValueError(f"{name} came twice")
        found[name] = {key: value for key, value in record.items() if key not in VARYING}
    return found


def pictures(folder: Path) -> dict[str, bytes]:
    """The bytes of every picture in a folder, and in folders within."""
    found = {path.relative_to(folder): path for path in folder.rglob("*") if path.is_file()}
    return {
        place.as_posix(): path.read_bytes()
        for place, path in found.items()
        if not any(part.startswith(".") for part in place.parts)
    }
