"""Cold starts: a process from its birth to its first picture, and the most memory it ever held."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dit4sr.bench.subject import Subject
from dit4sr.runtime.child import child_process
from dit4sr.runtime.errors import IncompatibleError
from dit4sr.runtime.image.photo import Picture

PERIOD = 0.005
"""Seconds between two looks at a child, and so the error of its time."""


@dataclass(frozen=True)
class Child:
    """What a process took that ran to its end."""

    seconds: float
    peak_bytes: int


@dataclass(frozen=True)
class ColdStart:
    """A command line that restores one picture, as a user would type it."""

    arguments: Callable[[Path, Path], Sequence[str]]
    """Makes the arguments for Python, given the photo's file and the output's."""

    def run(self, picture: Picture, keep: Path | None = None) -> Child:
        """Start the command on a picture, wait for it, and measure; the result can be kept as a file."""
        with tempfile.TemporaryDirectory() as folder:
            photo, output = Path(folder) / "photo.png", Path(folder) / "restored.png"
            Image.fromarray(picture).save(photo)
            child = timed_child([sys.executable, *self.arguments(photo, output)])
            if keep is not None:
                shutil.copyfile(output, keep)
        return child


def ours(subject: Subject, *, threads: int) -> ColdStart:
    """The cold start of ``dit4sr-upscale`` on the subject's bundle at its settings."""
    known = subject.settings.resolved(subject.bundle.card)
    options = [
        *("--model", str(subject.bundle.path)),
        *("--steps", str(known.steps), "--guidance", str(known.guidance)),
        *(["--preset", known.preset] if known.preset else []),
        *("--same-seed", "--seed", "0", "--threads", str(threads), "--progress", "none"),
        *("--backend", subject.backend.name, "--device", subject.backend.device),
        *(["--trust-engines"] if subject.bundle.trusts_engines else []),
    ]
    script = "from dit4sr.runtime.cli import main; main()"
    return ColdStart(lambda photo, output: ["-c", script, str(photo), "-o", str(output), *options])


def released(subject: Subject, checkpoint: Path, *, threads: int) -> ColdStart:
    """The cold start of torch and diffusers on a checkpoint of the same size."""
    known = subject.settings.resolved(subject.bundle.card)
    options = ["--steps", str(known.steps), "--guidance", str(known.guidance), "--threads", str(threads)]
    files = [str(checkpoint), str(subject.bundle.path)]
    return ColdStart(
        lambda photo, output: [
            "-m",
            "dit4sr.bench.baselines.released",
            *files,
            str(photo),
            str(output),
            *options,
        ]
    )


def timed_child(arguments: Sequence[str]) -> Child:
    """Run a command to its end, timed; what it says is shown only if it fails."""
    start, peak = time.perf_counter(), 0
    with tempfile.TemporaryFile() as said:
        with child_process(arguments, stdout=subprocess.DEVNULL, stderr=said) as process:
            while process.poll() is None:
                peak = max(peak, _high_water(process.pid))
                time.sleep(PERIOD)
        seconds = time.perf_counter() - start
        if process.returncode != 0:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines() or ["without a word"]
            raise IncompatibleError(f"a cold start failed with exit code {process.returncode}: {lines[-1]}")
    return Child(seconds, peak)


def _high_water(pid: int) -> int:
    """The most memory a living process has held; 0 where the system does not say.

    Its resource usage would not do: on Linux a child begins with its parent's mark.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)
