"""The low-resolution pictures that a bundle is measured with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from dit4sr.runtime.bundles.built_in import sample_photographs
from dit4sr.runtime.image.photo import Picture, read_content, read_photo
from dit4sr.runtime.settings import MOST_PIXELS


@dataclass(frozen=True)
class InputPicture:
    """A low-resolution picture, and the truth where it is known."""

    name: str
    pixels: Picture
    truth: Picture | None = None

    @classmethod
    def read(cls, path: Path, truth: Path | None = None) -> InputPicture:
        """A picture from its file, with its truth from another."""
        return cls(path.stem, _pixels(path), None if truth is None else _pixels(truth))

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def fitted(self, height: int, width: int) -> InputPicture:
        """The middle of the picture at that size, or the whole resized where it is smaller."""
        if self.size[0] < height or self.size[1] < width:
            resized = Image.fromarray(self.pixels).resize((width, height), Image.Resampling.BICUBIC)
            return InputPicture(self.name, np.asarray(resized))
        top, left = (self.size[0] - height) // 2, (self.size[1] - width) // 2
        truth = None
        if self.truth is not None:
            factor = self.truth.shape[0] // self.size[0]
            truth = self.truth[top * factor :, left * factor :][: height * factor, : width * factor]
        return InputPicture(self.name, self.pixels[top : top + height, left : left + width], truth)


def sample_pictures() -> list[InputPicture]:
    """The photographs in the box, with their truths; a drawn one where there are none."""
    return [InputPicture.read(sample.photo, sample.truth) for sample in sample_photographs()] or [
        drawn_picture()
    ]


def drawn_picture(height: int = 64, width: int = 64) -> InputPicture:
    """Slopes, edges and grain: a picture for timing, not for looking at."""
    rows, columns = np.mgrid[0:height, 0:width] / max(height, width)
    planes = np.stack([rows, columns, np.sin(24 * (rows + columns)) > 0], axis=-1) * 180.0 + 30
    grain = np.random.default_rng(0).normal(0, 8, planes.shape)
    return InputPicture("drawn", (planes + grain).clip(0, 255).astype(np.uint8))


def _pixels(path: Path) -> Picture:
    return read_photo(read_content(path), str(path), most_pixels=MOST_PIXELS).in_eight_bits().rgb
