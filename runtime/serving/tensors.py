"""The tensors of the service: what a request may bring, and what its answer has."""

from __future__ import annotations

from dataclasses import dataclass

ANY = -1
"""A side that each picture chooses."""


@dataclass(frozen=True)
class Tensor:
    """One of them, as Triton's configuration declares it."""

    name: str
    kind: str
    """Triton's name of the type."""
    shape: tuple[int, ...]
    meaning: str


PICTURE = Tensor("picture", "UINT8", (ANY, ANY, ANY), "levels, [height, width, 3]")
FILE = Tensor("file", "STRING", (1,), "the bytes of a picture file")
SEED = Tensor("seed", "UINT64", (1,), "of the noise; 0 by default")
PROMPT = Tensor("prompt", "STRING", (1,), "what the picture shows")
PRESET = Tensor("preset", "STRING", (1,), "one of the bundle's")
STEPS = Tensor("steps", "INT32", (1,), "evaluations of the network; the bundle's by default")
REQUEST = (PICTURE, FILE, SEED, PROMPT, PRESET, STEPS)
"""All are optional, but for one of the first two."""

WARNINGS = Tensor("warnings", "STRING", (ANY,), "what is to be said of the picture; often nothing")
SECONDS = Tensor("seconds", "FP64", (1,), "that it took, without the time it waited")
PNG = Tensor("file", "STRING", (1,), "the same as a PNG, with transparency, 16 bits, EXIF and colour profile")
ANSWER = (PICTURE, PNG, WARNINGS, SECONDS)

PROGRESS = Tensor("progress", "INT32", (2,), "runs of an engine: done, and all; comes before the rest")
"""Only of a decoupled model."""
