"""What a search has found so far, in one file, so that a search that was stopped goes on where it was."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dit4sr.calibrate.schedules.trajectory import Trajectory
from dit4sr.runtime.bundles.schema import SchemaError, from_json, to_json
from dit4sr.runtime.errors import BadInputError, Dit4srError, IntegrityError
from dit4sr.runtime.files.arrays import read_arrays
from dit4sr.runtime.files.json_file import parse_json
from dit4sr.runtime.files.whole import write_whole

FIELDS = ("products", "answered", "astray")
FIX = "remove it to search anew, or name another file with --statistics"


@dataclass(frozen=True)
class Outcome:
    """What became of one photo by one schedule."""

    psnr: float
    """PSNR (RGB) to the exact picture, in decibels."""
    drop: float | None
    """Decibels of PSNR (RGB) lost against the truth; ``None`` where that is not known."""
    seconds: float
    """Of its steps, on the machine that searched."""


@dataclass(frozen=True)
class _Header:
    origin: Mapping[str, str]
    outcomes: Mapping[str, Mapping[str, Outcome]]


@dataclass
class Findings:
    """Trajectories by photo, and outcomes by photo and schedule; photos are known by their digests."""

    file: Path
    origin: Mapping[str, str]
    """What all of it was found on: weights, seed, and the exact schedule."""
    trajectories: dict[str, Trajectory] = field(default_factory=dict)
    outcomes: dict[str, dict[str, Outcome]] = field(default_factory=dict)

    @classmethod
    def resumed(cls, file: Path, origin: Mapping[str, str]) -> Findings:
        """What a file holds, if it was found on the same; nothing where there is no file."""
        found = cls(file, origin)
        if not file.exists():
            return found
        header, found.trajectories = _read(file)
        for name, value in origin.items():
            if header.origin.get(name) != value:
                raise BadInputError(f"{file} was found with another {name}", fix=FIX)
        found.outcomes = {photo: dict(known) for photo, known in header.outcomes.items()}
        return found

    def keep_outcome(self, photo: str, schedule: str, outcome: Outcome) -> None:
        """Keep what became of a photo."""
        self.outcomes.setdefault(photo, {})[schedule] = outcome
        self.save()

    def keep_trajectory(self, photo: str, trajectory: Trajectory) -> None:
        """Keep what the exact way of a photo tells."""
        self.trajectories[photo] = trajectory
        self.save()

    def save(self) -> None:
        """Write everything, whole or not at all."""
        header: dict[str, Any] = {"origin": dict(self.origin), "outcomes": to_json(self.outcomes)}
        arrays = {
            f"{photo}:{name}": getattr(known, name)
            for photo, known in self.trajectories.items()
            for name in FIELDS
        }
        buffer = io.BytesIO()
        np.savez(buffer, **{"header": np.frombuffer(json.dumps(header).encode(), np.uint8), **arrays})
        write_whole(self.file, buffer.getvalue(), replace=True)


def _read(file: Path) -> tuple[_Header, dict[str, Trajectory]]:
    try:
        arrays = read_arrays(file)
        header = from_json(_Header, parse_json(arrays.pop("header").tobytes()))
        photos = {name.rpartition(":")[0] for name in arrays}
        return header, {
            photo: Trajectory(*(arrays[f"{photo}:{name}"] for name in FIELDS)) for photo in photos
        }
    except (Dit4srError, SchemaError, LookupError, ValueError) as error:
        raise IntegrityError(f"{file} holds no findings, or damaged ones ({error})", fix=FIX) from None
