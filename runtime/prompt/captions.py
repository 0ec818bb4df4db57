"""Where a picture's caption comes from."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dit4sr.runtime.errors import BadInputError, MissingDependencyError
from dit4sr.runtime.files.json_file import read_json
from dit4sr.runtime.files.reading import read_text

LONGEST_CAPTION = 100_000
CAPTIONER_TIMEOUT = 600.0


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
        words = [str(picture) if word == "{}" else word for word in words]
        try:
            done = subprocess.run(
                words, capture_output=True, stdin=subprocess.DEVNULL, timeout=CAPTIONER_TIMEOUT, check=False
            )
        except FileNotFoundError:
            raise MissingDependencyError(f"captioner {words[0]!r} is not installed") from None
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            raise BadInputError(f"captioner {words[0]!r} failed on {picture} ({error})") from None
        if done.returncode:
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:]
            raise BadInputError(
                f"captioner {words[0]!r} left {picture} with status {done.returncode} {' '.join(last)}"
            )
        return done.stdout.decode(errors="replace")[:LONGEST_CAPTION].strip()


@dataclass(frozen=True)
class Captions:
    """Captions by rank: one for all pictures, a list by name, a text file beside each, a captioner."""

    for_all: str | None = None
    by_name: Mapping[str, str] = field(default_factory=dict)
    captioner: Captioner | None = None

    def of(self, picture: Path | None) -> str | None:
        """Find the caption of a picture file, or of an input without a name; None if nobody has one."""
        words = self.written(picture)
        if words is None and picture is not None and self.captioner:
            return self.captioner.caption(picture)
        return words

    def written(self, picture: Path | None) -> str | None:
        """Find the caption that somebody has written down; None if nobody has."""
        if self.for_all is not None or picture is None:
            return self.for_all
        for name in (picture.name, picture.stem):
            if name in self.by_name:
                return self.by_name[name]
        sidecar = picture.with_suffix(".txt")
        return read_text(sidecar).strip() if sidecar.is_file() else None


def read_captions(file: Path) -> dict[str, str]:
    """Read a JSON object from picture names, with or without their endings, to captions."""
    captions = read_json(file)
    if not isinstance(captions, dict) or not all(isinstance(text, str) for text in captions.values()):
        raise BadInputError(f"{file} is no list of prompts", expected='{"picture.png": "caption", …}')
    return captions
