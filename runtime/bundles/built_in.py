"""What comes in the box: dit4sr-tiny, ready to run, and three photographs to try it on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.bundles.manifest import MANIFEST
from dit4sr.runtime.errors import BadInputError

HOME = Path(__file__).parents[1]


@dataclass(frozen=True)
class Sample:
    """A degraded photograph, a quarter of the side of the true one, and that true one."""

    name: str
    photo: Path
    truth: Path


def tiny_bundle() -> Path:
    """Folder of the trained model of a few megabytes, for trying everything without a checkpoint."""
    folder = HOME / "tiny"
    if not (folder / MANIFEST).is_file():
        raise BadInputError(
            f"this installation lacks the built-in model at {folder}",
            fix="install dit4sr again, or name a bundle with --model",
        )
    return folder


def sample_photographs() -> list[Sample]:
    """List the sample photographs, which dit4sr-tiny has never seen."""
    truths = sorted((HOME / "samples").glob("*-truth.png"))
    names = [truth.name.removesuffix("-truth.png") for truth in truths]
    return [
        Sample(name, truth.with_name(f"{name}.png"), truth) for name, truth in zip(names, truths, strict=True)
    ]
