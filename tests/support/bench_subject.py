"""The toy bundle as the bench's subject, with drawn pictures."""

from __future__ import annotations

from pathlib import Path

from support.runtime_system import CARD, toy_weights, write_toy_bundle

from dit4sr.bench.pictures import InputPicture, drawn_picture
from dit4sr.bench.subject import Subject
from dit4sr.runtime import Settings

TILE, PIXELS = CARD.training_tile, CARD.training_tile * CARD.vae_factor
SIDE = PIXELS // 4
"""Side of a low-resolution picture that makes one tile."""


def toy_picture(side: int) -> InputPicture:
    truth = drawn_picture(4 * side, 4 * side).pixels
    return InputPicture(f"drawn-{side}", drawn_picture(side, side).pixels, truth)


def toy_subject(
    folder: Path, fixed: dict[str, int] | None = None, given: InputPicture | None = None, seed: int = 0
) -> Subject:
    """The toy bundle with weights by seed, on the CPU; its picture makes one tile unless one is given."""
    return Subject(
        write_toy_bundle(folder / f"toy{seed}", toy_weights(seed), fixed=fixed),
        given or toy_picture(SIDE),
        Settings(steps=2),
        backend="onnxruntime",
        device="cpu",
        threads=1,
    )
