"""What was seen of every activation at every step, in one file that other scales can be derived from.

The file names what it was made of, by digest. It is written after every photo, so a killed calibration goes
on where it was; and it is read only if it is whole and belongs to the same weights, photos and settings.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dit4sr.calibrate.observe.histogram import (
    BINS,
    Counts,
    as_numbers,
    count,
    is_finite,
    magnitudes,
)
from dit4sr.runtime.errors import AccuracyError, BadInputError, Dit4srError, IntegrityError
from dit4sr.runtime.files.arrays import read_arrays
from dit4sr.runtime.files.json_file import parse_json
from dit4sr.runtime.files.whole import write_whole

VERSION = 1
_FIELDS = ("amax", "counts", "channels")


@dataclass
class TensorStatistics:
    """What was seen of one activation: largest magnitude and histogram by step, and channels' largest."""

    amax: NDArray[np.float32]
    counts: Counts
    """Histograms ``[steps, BINS]``."""
    channels: NDArray[np.float32]
    """Largest magnitudes ``[channels]``, over all steps."""

    @classmethod
    def empty(cls, steps: int, channels: int) -> TensorStatistics:
        """Statistics of an activation of which nothing has been seen."""
        return cls(
            np.zeros(steps, np.float32), np.zeros((steps, BINS), np.int64), np.zeros(channels, np.float32)
        )

    def see(self, step: int, bits: NDArray[np.uint16]) -> None:
        """Take in what a step made of the activation, as bits; the last axis is the channels'."""
        by_channel = as_numbers(bits.reshape(-1, bits.shape[-1]).max(axis=0))
        self.amax[step] = max(self.amax[step], by_channel.max())
        self.counts[step] += count(bits)
        np.maximum(self.channels, by_channel, out=self.channels)

    def together(self, other: TensorStatistics) -> TensorStatistics:
        """What was seen of two activations that are to be scaled alike."""
        return TensorStatistics(
            np.maximum(self.amax, other.amax),
            self.counts + other.counts,
            np.maximum(self.channels, other.channels),
        )

    def over(self, steps: slice) -> tuple[float, Counts]:
        """The largest magnitude and the histogram of some steps together."""
        return float(self.amax[steps].max()), self.counts[steps].sum(axis=0)


@dataclass(frozen=True)
class Origin:
    """What statistics were made of; they are good for nothing else."""

    weights: str
    """Digest of the graph and weights that were observed."""
    photos: tuple[str, ...]
    """Digests of all photos that were to be shown, in order."""
    settings: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """The origin as plain values, for the file."""
        return {"weights": self.weights, "photos": list(self.photos), "settings": dict(self.settings)}


@dataclass
class Statistics:
    """What was seen of all activations of a step, in the photos so far."""

    origin: Origin
    steps: int
    tensors: dict[str, TensorStatistics] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    """Digests of the photos that have been seen."""

    def see(self, step: int, activations: Mapping[str, NDArray[Any]]) -> None:
        """Take in the activations of a step; halves that are no numbers stop the calibration."""
        for name, values in activations.items():
            bits = magnitudes(values)
            if not is_finite(bits):
                raise AccuracyError(
                    f"{name} is not finite at step {step + 1} of {self.steps}",
                    expected="numbers that a half can hold",
                    fix="calibrate on other photos, or check the bundle",
                )
            if name not in self.tensors:
                self.tensors[name] = TensorStatistics.empty(self.steps, bits.shape[-1])
            self.tensors[name].see(step, bits)

    def save(self, file: Path) -> None:
        """Write the statistics to a file, whole or not at all."""
        arrays = {
            f"{name}:{key}": getattr(self.tensors[name], key) for name in self.tensors for key in _FIELDS
        }
        header = {
            "version": VERSION,
            "steps": self.steps,
            "seen": self.seen,
            "origin": self.origin.to_json(),
            "digest": _digest(arrays),
        }
        buffer = io.BytesIO()
        text = np.frombuffer(json.dumps(header, sort_keys=True).encode(), np.uint8)
        np.savez_compressed(buffer, **{"header": text, **arrays})
        write_whole(file, buffer.getvalue(), replace=True)

    @classmethod
    def load(cls, file: Path, origin: Origin) -> Statistics:
        """Read what a calibration left, if it was one of the same weights, photos and settings."""
        header, arrays = _read(file)
        if header["origin"] != json.loads(json.dumps(origin.to_json())):
            [difference, *_] = [
                key for key, value in origin.to_json().items() if header["origin"][key] != value
            ]
            raise BadInputError(
                f"{file} was made of other {difference}",
                fix="remove it to calibrate anew, or name another file with --statistics",
            )
        names = sorted({name.rpartition(":")[0] for name in arrays})
        tensors = {name: TensorStatistics(*(arrays[f"{name}:{key}"] for key in _FIELDS)) for name in names}
        return cls(origin, header["steps"], tensors, list(header["seen"]))


def resumed(file: Path, origin: Origin, steps: int) -> Statistics:
    """The statistics that a file holds, or empty ones where there is no file."""
    return Statistics.load(file, origin) if file.exists() else Statistics(origin, steps)


def _read(file: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    fix = "remove it to calibrate anew"
    try:
        arrays = read_arrays(file)
        header = parse_json(arrays.pop("header").tobytes())
        digest, version = header["digest"], header["version"]
        origin, steps, seen = header["origin"], header["steps"], header["seen"]
        is_shaped = origin.keys() == {"weights", "photos", "settings"} and set(seen) <= set(origin["photos"])
    except (Dit4srError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise IntegrityError(f"{file} is no calibration, or a damaged one ({error})", fix=fix) from None
    if version != VERSION:
        raise IntegrityError(f"{file} has version {version}", expected=str(VERSION), fix=fix)
    if digest != _digest(arrays) or not is_shaped or not _fits(arrays, steps):
        raise IntegrityError(f"{file} is damaged: its contents are not what it says", fix=fix)
    return header, arrays


def _fits(arrays: Mapping[str, NDArray[Any]], steps: int) -> bool:
    """True if every tensor has its three arrays, of the shapes that the steps ask for."""
    names = {name.rpartition(":")[0] for name in arrays}
    if arrays.keys() != {f"{name}:{key}" for name in names for key in _FIELDS}:
        return False
    return all(
        arrays[f"{name}:amax"].shape == (steps,) and arrays[f"{name}:counts"].shape == (steps, BINS)
        for name in names
    )


def _digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        values = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {values.dtype} {values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()


def photo_digests(photos: Sequence[NDArray[Any]]) -> tuple[str, ...]:
    """Digests that identify photos by their pixels and shapes."""
    return tuple(hashlib.sha256(str(photo.shape).encode() + photo.tobytes()).hexdigest() for photo in photos)
