"""The photos that a bundle is calibrated on, and those it is evaluated on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dit4sr.runtime.batch.inputs import plan_items
from dit4sr.runtime.bundles.built_in import sample_photographs
from dit4sr.runtime.bundles.manifest import ModelCard
from dit4sr.runtime.errors import BadInputError
from dit4sr.runtime.image.photo import Picture, read_content, read_photo

SCALE = 4
TRUTH = "-truth"
"""How the name of a truth ends: ``cat-truth.png`` is what ``cat.png`` ought to become."""
MOST_PIXELS = 1 << 26


@dataclass(frozen=True)
class Case:
    """The middle of a photo, as much as makes one tile, and what it ought to become where that is known."""

    name: str
    photo: Picture
    truth: Picture | None = None


def sample_cases(card: ModelCard) -> list[Case]:
    """The photographs in the box, as cases."""
    return [
        _case(sample.name, _read(sample.photo), _read(sample.truth), card) for sample in sample_photographs()
    ]


def folder_cases(folder: Path, card: ModelCard) -> list[Case]:
    """A folder's photos as cases; a file whose name ends in ``-truth`` belongs to another."""
    if not folder.is_dir():
        raise BadInputError(f"no folder {folder}", expected="a folder of photos")
    items = plan_items([str(folder)], str(folder / "unused"))
    sources = {item.source for item in items if isinstance(item.source, Path)}
    truths = {path.stem.removesuffix(TRUTH): path for path in sources if path.stem.endswith(TRUTH)}
    photos = sorted(path for path in sources if not path.stem.endswith(TRUTH))
    if not photos:
        raise BadInputError(f"no photos in {folder}", expected="one at least")
    return [
        _case(path.name, _read(path), _read(truths[path.stem]) if path.stem in truths else None, card)
        for path in photos
    ]


def split(cases: Sequence[Case]) -> tuple[list[Case], list[Case]]:
    """Split cases into three in four to calibrate on and the rest to evaluate on; a single one does both."""
    if len(cases) == 1:
        return list(cases), list(cases)
    held_out = [case for place, case in enumerate(cases, 1) if place % 4 == 0] or [cases[-1]]
    return [case for case in cases if case not in held_out], held_out


def _case(name: str, photo: Picture, truth: Picture | None, card: ModelCard) -> Case:
    if truth is not None and truth.shape[:2] != (photo.shape[0] * SCALE, photo.shape[1] * SCALE):
        raise BadInputError(
            f"the truth of {name} has {truth.shape[1]}×{truth.shape[0]} pixels",
            expected=f"{photo.shape[1] * SCALE}×{photo.shape[0] * SCALE}",
        )
    side = card.training_tile * card.vae_factor // SCALE
    top, left = (max(length - side, 0) // 2 for length in photo.shape[:2])
    middle = photo[top : top + side, left : left + side]
    if truth is not None:
        top, left, side = top * SCALE, left * SCALE, side * SCALE
        truth = truth[top : top + side, left : left + side].copy()
    return Case(name, middle.copy(), truth)


def _read(path: Path) -> Picture:
    return read_photo(read_content(path), str(path), most_pixels=MOST_PIXELS).in_eight_bits().rgb
